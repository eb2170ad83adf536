/* The journal: see journal.h. */
#include "harness/agent/journal.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { NAME_SIZE = 32 };

static const char format_name[] = "ordeal-undo";
static const char format_version[] = "1";

enum err_code agentd_make_directories(const char *path, mode_t mode, struct err *err)
{
    char partial[4096];
    if (strlen(path) >= sizeof partial)
        return err_set(err, ERR_CONFIG, "cannot make directory %.64s...: its name is too long",
                       path);
    strcpy(partial, path);
    for (char *at = partial + 1;; at++) {
        char c = *at;
        if (c != '/' && c != '\0')
            continue;
        *at = '\0';
        if (mkdir(partial, mode) != 0 && errno != EEXIST)
            return err_errno(err, errno, "cannot make directory %s", partial);
        if (c == '\0')
            break;
        *at = c;
    }
    struct stat status;
    if (stat(path, &status) != 0)
        return err_errno(err, errno, "cannot look at %s", path);
    if (!S_ISDIR(status.st_mode))
        return err_set(err, ERR_IO, "%s is not a directory", path);
    return ERR_NONE;
}

static void entry_name(uint64_t sequence, char *name)
{
    snprintf(name, NAME_SIZE, "%012" PRIu64, sequence);
}

static bool parse_name(const char *name, uint64_t *sequence)
{
    if (strlen(name) != 12 || strspn(name, "0123456789") != 12)
        return false;
    *sequence = strtoull(name, NULL, 10);
    return *sequence > 0;
}

static void read_boot_id(char *text, size_t size)
{
    int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    ssize_t length = fd < 0 ? -1 : read(fd, text, size - 1);
    if (fd >= 0)
        close(fd);
    text[length < 0 ? 0 : length] = '\0';
    text[strcspn(text, "\n")] = '\0';
}

static DIR *open_listing(const struct agentd_journal *journal)
{
    int fd = openat(journal->directory_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 ? NULL : fdopendir(fd);
}

static void find_next_sequence(struct agentd_journal *journal)
{
    DIR *listing = open_listing(journal);
    journal->next_sequence = 1;
    struct dirent *file;
    while (listing != NULL && (file = readdir(listing)) != NULL) {
        char name[13] = "";
        uint64_t sequence;
        /* An entry set aside keeps its number, so that its name is not taken again. */
        memcpy(name, file->d_name, strnlen(file->d_name, 12));
        if (parse_name(name, &sequence) && sequence >= journal->next_sequence)
            journal->next_sequence = sequence + 1;
    }
    if (listing != NULL)
        closedir(listing);
}

enum err_code agentd_journal_open(struct agentd_journal *journal, const char *path, struct err *err)
{
    enum err_code code = agentd_make_directories(path, 0755, err);
    if (code != ERR_NONE)
        return code;
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return err_errno(err, errno, "cannot open the journal %s", path);
    *journal = (struct agentd_journal){.directory_fd = fd};
    snprintf(journal->path, sizeof journal->path, "%s", path);
    read_boot_id(journal->boot_id, sizeof journal->boot_id);
    find_next_sequence(journal);
    return ERR_NONE;
}

void agentd_journal_close(struct agentd_journal *journal)
{
    if (journal->directory_fd > 0)
        close(journal->directory_fd);
    journal->directory_fd = -1;
}

void agentd_journal_begin(const struct agentd_journal *journal, struct buf *text, const char *kind)
{
    line_field(text, format_name);
    line_field(text, format_version);
    line_key(text, "boot", journal->boot_id);
    line_key(text, "kind", kind);
}

static enum err_code write_file(const struct agentd_journal *journal, const char *name,
                                const struct buf *text, struct err *err)
{
    int fd = openat(journal->directory_fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0)
        return err_errno(err, errno, "cannot write %s/%s", journal->path, name);
    size_t written = 0;
    int failure = 0;
    while (written < text->length && failure == 0) {
        ssize_t step = write(fd, text->data + written, text->length - written);
        if (step >= 0)
            written += (size_t)step;
        else if (errno != EINTR)
            failure = errno;
    }
    if (close(fd) != 0 && failure == 0)
        failure = errno;
    if (failure == 0)
        return ERR_NONE;
    unlinkat(journal->directory_fd, name, 0);
    return err_errno(err, failure, "cannot write %s/%s", journal->path, name);
}

enum err_code agentd_journal_write(struct agentd_journal *journal, uint64_t *sequence,
                                   struct buf *text, struct err *err)
{
    line_end(text);
    if (text->length > AGENTD_ENTRY_BYTES_MAX)
        return err_set(err, ERR_CONFIG, "a fault of %zu bytes: the journal takes at most %d",
                       text->length, AGENTD_ENTRY_BYTES_MAX);
    uint64_t number = *sequence != 0 ? *sequence : journal->next_sequence;
    char name[NAME_SIZE], temporary[NAME_SIZE + 8];
    entry_name(number, name);
    snprintf(temporary, sizeof temporary, "%s.new", name);
    enum err_code code = write_file(journal, temporary, text, err);
    if (code != ERR_NONE)
        return code;
    if (renameat(journal->directory_fd, temporary, journal->directory_fd, name) != 0) {
        int failure = errno;
        unlinkat(journal->directory_fd, temporary, 0);
        return err_errno(err, failure, "cannot name %s/%s", journal->path, name);
    }
    if (*sequence == 0)
        *sequence = journal->next_sequence++;
    return ERR_NONE;
}

enum err_code agentd_journal_remove(struct agentd_journal *journal, uint64_t sequence,
                                    struct err *err)
{
    char name[NAME_SIZE];
    entry_name(sequence, name);
    if (unlinkat(journal->directory_fd, name, 0) != 0 && errno != ENOENT)
        return err_errno(err, errno, "cannot remove %s/%s", journal->path, name);
    return ERR_NONE;
}

void agentd_journal_set_aside(struct agentd_journal *journal, uint64_t sequence)
{
    char name[NAME_SIZE], bad[NAME_SIZE + 8];
    entry_name(sequence, name);
    snprintf(bad, sizeof bad, "%s.bad", name);
    renameat(journal->directory_fd, name, journal->directory_fd, bad);
}

static enum err_code parse_entry(const char *bytes, size_t length, struct arena *arena,
                                 struct agentd_entry *entry, struct err *err)
{
    if (length == 0 || bytes[length - 1] != '\n')
        return err_set(err, ERR_PARSE, "it does not end with a newline");
    enum err_code code = line_parse(arena, bytes, length - 1, &entry->line, err);
    if (code != ERR_NONE)
        return code;
    if (strcmp(line_at(&entry->line, 0), format_name) != 0)
        return err_set(err, ERR_PARSE, "it does not begin with '%s'", format_name);
    if (strcmp(line_at(&entry->line, 1), format_version) != 0)
        return err_set(err, ERR_PARSE, "its version is not %s", format_version);
    entry->kind = line_get(&entry->line, "kind");
    if (entry->kind == NULL || line_get(&entry->line, "boot") == NULL)
        return err_set(err, ERR_PARSE, "it has no kind or no boot");
    return ERR_NONE;
}

enum err_code agentd_journal_read(struct agentd_journal *journal, uint64_t sequence,
                                  struct arena *arena, struct agentd_entry *entry, struct err *err)
{
    char name[NAME_SIZE];
    entry_name(sequence, name);
    int fd = openat(journal->directory_fd, name, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return err_errno(err, errno, "cannot read %s/%s", journal->path, name);
    struct buf text = BUF_INIT;
    buf_reserve(&text, 4096);
    ssize_t step = 0;
    while (text.length <= AGENTD_ENTRY_BYTES_MAX) {
        buf_reserve(&text, 4096);
        step = read(fd, text.data + text.length, 4096);
        if (step <= 0)
            break;
        text.length += (size_t)step;
    }
    int failure = step < 0 ? errno : 0;
    close(fd);
    entry->sequence = sequence;
    enum err_code code =
        failure != 0 ? err_errno(err, failure, "cannot read it")
        : text.length > AGENTD_ENTRY_BYTES_MAX
            ? err_set(err, ERR_PARSE, "it is longer than %d bytes", AGENTD_ENTRY_BYTES_MAX)
            : parse_entry(text.data, text.length, arena, entry, err);
    buf_free(&text);
    return code == ERR_NONE ? code : err_wrap(err, "journal entry %s/%s", journal->path, name);
}

static bool exists(const struct agentd_journal *journal, uint64_t sequence)
{
    char name[NAME_SIZE];
    entry_name(sequence, name);
    return faccessat(journal->directory_fd, name, F_OK, 0) == 0;
}

static int newest_first(const void *left, const void *right)
{
    const struct agentd_entry *a = left, *b = right;
    return a->sequence < b->sequence ? 1 : a->sequence > b->sequence ? -1 : 0;
}

static uint32_t list_sequences(struct agentd_journal *journal, struct arena *arena,
                               uint64_t **numbers, struct err *err)
{
    DIR *listing = open_listing(journal);
    if (listing == NULL) {
        err_errno(err, errno, "cannot list the journal %s", journal->path);
        return UINT32_MAX;
    }
    uint32_t count = 0, capacity = 64;
    *numbers = arena_alloc(arena, capacity * sizeof **numbers);
    struct dirent *file;
    while ((file = readdir(listing)) != NULL) {
        uint64_t sequence;
        if (!parse_name(file->d_name, &sequence))
            continue;
        if (count == capacity) {
            uint64_t *more = arena_alloc(arena, 2 * capacity * sizeof *more);
            memcpy(more, *numbers, capacity * sizeof *more);
            *numbers = more;
            capacity *= 2;
        }
        (*numbers)[count++] = sequence;
    }
    closedir(listing);
    return count;
}

enum err_code agentd_journal_list(struct agentd_journal *journal, struct arena *arena,
                                  struct agentd_entries *entries, struct buf *problems,
                                  struct err *err)
{
    uint64_t *numbers;
    uint32_t count = list_sequences(journal, arena, &numbers, err);
    if (count == UINT32_MAX)
        return ERR_IO;
    struct agentd_entries found = {.items = arena_alloc(arena, (count + 1) * sizeof *found.items)};
    for (uint32_t i = 0; i < count; i++) {
        struct agentd_entry entry;
        struct err problem = ERR_INIT;
        if (agentd_journal_read(journal, numbers[i], arena, &entry, &problem) != ERR_NONE) {
            if (!exists(journal, numbers[i]))
                continue; /* a living agent undid it between listing and reading */
            buf_printf(problems, "%s; kept aside as .bad\n", problem.message);
            agentd_journal_set_aside(journal, numbers[i]);
        } else if (strcmp(line_get(&entry.line, "boot"), journal->boot_id) != 0) {
            if (agentd_journal_remove(journal, numbers[i], &problem) != ERR_NONE)
                buf_printf(problems, "%s\n", problem.message);
        } else {
            found.items[found.count++] = entry;
        }
    }
    qsort(found.items, found.count, sizeof *found.items, newest_first);
    *entries = found;
    return ERR_NONE;
}
