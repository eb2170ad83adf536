/* Histories in any format: see history_io.h. */
#include "harness/histories/history_io.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "harness/base/text.h"
#include "harness/histories/history_edn.h"
#include "harness/histories/history_file.h"
#include "harness/histories/history_jepsen.h"
#include "harness/histories/history_json.h"
#include "harness/histories/history_log.h"
#include "harness/histories/history_txn.h"

const char *const history_formats[] = {"ordeal", "edn",   "jsonl", "json",  "log",
                                       "jepsen", "awdit", "plume", "dbcop", NULL};
enum { FORMAT_COUNT = 9 };

static enum err_code check_format(const char *format, struct err *err)
{
    for (unsigned i = 0; i < FORMAT_COUNT; i++)
        if (strcmp(history_formats[i], format) == 0)
            return ERR_NONE;
    const char *near = text_nearest(format, history_formats, FORMAT_COUNT);
    return err_set(
        err, ERR_CONFIG,
        "'%s' is not a history format: use ordeal, edn, jsonl, json, log, jepsen, awdit, plume or "
        "dbcop%s%s%s",
        format, near == NULL ? "" : " (did you mean ", near == NULL ? "" : near,
        near == NULL ? "" : "?)");
}

const char *history_format_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    const char *dot = strrchr(slash == NULL ? path : slash, '.');
    for (unsigned i = 0; dot != NULL && i < FORMAT_COUNT; i++)
        if (strcmp(dot + 1, history_formats[i]) == 0)
            return history_formats[i];
    return NULL;
}

static enum err_code choose_format(const char *path, const char **format, struct err *err)
{
    if (*format != NULL)
        return check_format(*format, err);
    *format = history_format_of(path);
    if (*format != NULL)
        return ERR_NONE;
    if (strcmp(path, "-") == 0)
        return err_set(err, ERR_CONFIG,
                       "standard input and output have no extension: say the format (ordeal, edn, "
                       "jsonl or json)");
    return err_set(err, ERR_CONFIG,
                   "%s: its name does not tell the format (.ordeal, .edn, .jsonl, .json): say it "
                   "with --from or --to",
                   path);
}

/* ---- Reading ---- */

/* A run directory stands for its history. */
static enum err_code find_in_directory(struct arena *arena, const char **path, struct err *err)
{
    struct stat status;
    if (stat(*path, &status) != 0 || !S_ISDIR(status.st_mode))
        return ERR_NONE;
    static const char *const names[] = {HISTORY_FILE_NAME, "history.edn", "test.jepsen"};
    for (unsigned i = 0; i < sizeof names / sizeof names[0]; i++) {
        const char *inside = arena_printf(arena, "%s/%s", *path, names[i]);
        if (access(inside, F_OK) == 0) {
            *path = inside;
            return ERR_NONE;
        }
    }
    return err_set(err, ERR_IO,
                   "%s holds neither " HISTORY_FILE_NAME
                   " nor history.edn nor test.jepsen: is it a run "
                   "directory?",
                   *path);
}

/* The binary reader wants to seek: what comes through a pipe is kept in memory first. */
static enum err_code spool(int fd, const char *name, int *seekable, struct err *err)
{
    int memory = memfd_create("history", MFD_CLOEXEC);
    if (memory < 0)
        return err_errno(err, errno, "%s: keep it in memory", name);
    char bytes[65536];
    enum err_code code = ERR_NONE;
    ssize_t got = 1;
    while (code == ERR_NONE && got != 0) {
        got = read(fd, bytes, sizeof bytes);
        if (got < 0 && errno != EINTR)
            code = err_errno(err, errno, "read %s", name);
        else if (got > 0)
            code = file_write_fd(memory, name, bytes, (size_t)got, err);
    }
    if (code == ERR_NONE)
        *seekable = memory;
    else
        close(memory);
    return code;
}

static enum err_code read_ordeal(int fd, const char *name, struct history *history, struct err *err)
{
    if (lseek(fd, 0, SEEK_CUR) == 0)
        return history_file_read_fd(fd, name, history, err);
    int memory;
    enum err_code code = spool(fd, name, &memory, err);
    if (code != ERR_NONE)
        return code;
    code = history_file_read_fd(memory, name, history, err);
    close(memory);
    return code;
}

/* Its blocks lie anywhere: the whole file is looked at, in the page cache. */
static enum err_code read_jepsen(int fd, const char *name, struct history *history,
                                 struct history_notes *notes, struct err *err)
{
    int memory = -1;
    if (lseek(fd, 0, SEEK_CUR) != 0) {
        if (spool(fd, name, &memory, err) != ERR_NONE)
            return err->code;
        fd = memory;
    }
    struct stat status;
    void *bytes = NULL;
    enum err_code code = ERR_NONE;
    if (fstat(fd, &status) != 0)
        code = err_errno(err, errno, "%s", name);
    size_t length = code == ERR_NONE ? (size_t)status.st_size : 0;
    if (length > 0) {
        bytes = mmap(NULL, length, PROT_READ, MAP_PRIVATE, fd, 0);
        if (bytes == MAP_FAILED) {
            code = err_errno(err, errno, "read %s", name);
            length = 0;
        }
    }
    if (code == ERR_NONE)
        code = history_jepsen_read(length == 0 ? "" : bytes, length, name, history, notes, err);
    if (length > 0)
        munmap(bytes, length);
    if (memory >= 0)
        close(memory);
    return code;
}

/* Those of history_txn.h. */
static bool is_txn_format(const char *format)
{
    return strcmp(format, "awdit") == 0 || strcmp(format, "plume") == 0 ||
           strcmp(format, "dbcop") == 0;
}

/* Texts worth reading by several threads are mapped, so that each can read where it likes. */
enum { MAP_FROM_BYTES = 1 << 20 };

static const char *map_text(int fd, size_t *length)
{
    struct stat status;
    if (lseek(fd, 0, SEEK_CUR) != 0 || fstat(fd, &status) != 0 || !S_ISREG(status.st_mode) ||
        status.st_size < MAP_FROM_BYTES)
        return NULL;
    *length = (size_t)status.st_size;
    void *bytes = mmap(NULL, *length, PROT_READ, MAP_PRIVATE, fd, 0);
    return bytes == MAP_FAILED ? NULL : bytes;
}

static enum err_code read_text(int fd, const char *name, const char *format,
                               struct history *history, struct history_notes *notes,
                               struct err *err)
{
    struct source source;
    size_t length = 0;
    const char *text = map_text(fd, &length);
    if (text != NULL)
        source_open_text(&source, name, text, length);
    else
        source_open_fd(&source, name, fd);
    enum err_code code;
    if (strcmp(format, "log") == 0)
        code = history_log_read(&source, history, notes, err);
    else if (is_txn_format(format))
        code = history_txn_read(&source, format, history, err);
    else if (strcmp(format, "edn") == 0)
        code = history_edn_read(&source, history, notes, err);
    else
        code = history_json_read(&source, strcmp(format, "json") == 0 ? JSON_PLAIN : JSON_EXACT,
                                 history, notes, err);
    source_close(&source);
    if (text != NULL)
        munmap((void *)(uintptr_t)text, length);
    return code;
}

static enum err_code load_file(const char *path, const char *format, struct history *history,
                               struct history_notes *notes, struct err *err)
{
    bool standard = strcmp(path, "-") == 0;
    const char *name = standard ? "standard input" : path;
    int fd = standard ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return err_errno(err, errno, "%s", path);
    struct history loaded;
    history_init(&loaded);
    *notes = (struct history_notes){.format = format};
    enum err_code code;
    if (strcmp(format, "ordeal") == 0)
        code = read_ordeal(fd, name, &loaded, err);
    else if (strcmp(format, "jepsen") == 0)
        code = read_jepsen(fd, name, &loaded, notes, err);
    else
        code = read_text(fd, name, format, &loaded, notes, err);
    if (!standard)
        close(fd);
    if (code == ERR_NONE)
        *history = loaded;
    else
        history_free(&loaded);
    return code;
}

enum err_code history_load(const char *path, const char *format, struct history *history,
                           struct history_notes *notes, struct err *err)
{
    struct arena scratch = ARENA_INIT;
    struct history_notes unused;
    enum err_code code = find_in_directory(&scratch, &path, err);
    if (code == ERR_NONE)
        code = choose_format(path, &format, err);
    if (code == ERR_NONE)
        code = load_file(path, format, history, notes == NULL ? &unused : notes, err);
    arena_free(&scratch);
    return code;
}

/* ---- Writing ---- */

static enum err_code write_ordeal(const struct history *history, int fd, const char *name,
                                  struct err *err)
{
    struct history_writer *writer;
    int own = dup(fd); /* the writer closes what it is given */
    if (own < 0)
        return err_errno(err, errno, "write %s", name);
    enum err_code code = history_writer_open_fd(own, name, history, NULL, &writer, err);
    if (code != ERR_NONE) {
        close(own);
        return code;
    }
    for (uint32_t i = 0; i < history->count; i++) {
        struct op op = history_op(history, i);
        history_writer_append(writer, &op);
    }
    return history_writer_close(writer, err);
}

static enum err_code write_format(const struct history *history, const char *format, int fd,
                                  const char *name, struct err *err)
{
    if (strcmp(format, "jepsen") == 0 || is_txn_format(format))
        return err_set(err, ERR_CONFIG, "%s: the format %s is read, not written: use edn", name,
                       format);
    if (history->unordered)
        return err_set(err, ERR_CONFIG,
                       "%s: the history came without times, and no format that is written keeps "
                       "that only its sessions are ordered",
                       name);
    if (strcmp(format, "log") == 0)
        return history_log_write(history, fd, name, err);
    if (strcmp(format, "ordeal") == 0)
        return write_ordeal(history, fd, name, err);
    if (strcmp(format, "edn") == 0)
        return history_edn_write(history, fd, name, err);
    return history_json_write(history, strcmp(format, "json") == 0 ? JSON_PLAIN : JSON_EXACT, fd,
                              name, err);
}

static enum err_code save_file(const char *path, const char *aside, const char *format,
                               const struct history *history, struct err *err)
{
    int fd = open(aside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0)
        return err_errno(err, errno, "create %s", aside);
    enum err_code code = write_format(history, format, fd, path, err);
    if (code == ERR_NONE && fsync(fd) != 0 && errno != EINVAL && errno != EROFS)
        code = err_errno(err, errno, "sync %s", path);
    if (close(fd) != 0 && code == ERR_NONE)
        code = err_errno(err, errno, "write %s", path);
    if (code == ERR_NONE && rename(aside, path) != 0)
        code = err_errno(err, errno, "rename %s to %s", aside, path);
    if (code != ERR_NONE)
        unlink(aside);
    return code;
}

enum err_code history_save(const char *path, const char *format, const struct history *history,
                           struct err *err)
{
    enum err_code code = choose_format(path, &format, err);
    if (code != ERR_NONE)
        return code;
    if (strcmp(path, "-") == 0)
        return write_format(history, format, STDOUT_FILENO, "standard output", err);
    struct buf aside = BUF_INIT;
    buf_printf(&aside, "%s.%ld.tmp", path, (long)getpid());
    code = save_file(path, aside.data, format, history, err);
    buf_free(&aside);
    return code;
}
