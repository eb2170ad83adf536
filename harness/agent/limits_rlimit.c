/* Limits of running processes: see limits_rlimit.h. */
#define _GNU_SOURCE 1
#include "harness/agent/limits_rlimit.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

enum { MIB = 1 << 20 };

static const int resources[] = {RLIMIT_NOFILE, RLIMIT_AS};
static const char *const names[] = {"files", "memory"};

static uint32_t count_descriptors(pid_t pid)
{
    char path[64];
    uint32_t count = 0;
    snprintf(path, sizeof path, "/proc/%d/fd", (int)pid);
    DIR *directory = opendir(path);
    if (directory == NULL)
        return 0;
    while (readdir(directory) != NULL)
        count++;
    closedir(directory);
    return count - 2; /* . and .. */
}

static int by_number(const void *a, const void *b)
{
    int x = *(const int *)a, y = *(const int *)b;
    return (x > y) - (x < y);
}

/* The limit below which `more` numbers are free. It is a descriptor's number that the kernel
 * compares, not how many there are, and the lowest free one is taken first. */
static uint64_t descriptor_limit(pid_t pid, uint64_t more)
{
    uint32_t count = count_descriptors(pid), found = 0;
    struct arena arena = ARENA_INIT;
    int *used = arena_alloc(&arena, (count + 64) * sizeof *used);
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/fd", (int)pid);
    DIR *directory = opendir(path);
    struct dirent *entry;
    while (directory != NULL && found < count + 64 && (entry = readdir(directory)) != NULL)
        if (sscanf(entry->d_name, "%d", &used[found]) == 1)
            found++;
    if (directory != NULL)
        closedir(directory);
    qsort(used, found, sizeof *used, by_number);
    uint64_t limit = more; /* numbers below it, of which those in use do not count */
    for (uint32_t i = 0; i < found && (uint64_t)used[i] <= limit; i++)
        limit++;
    arena_free(&arena);
    return limit;
}

static uint64_t address_space(pid_t pid)
{
    char path[64];
    unsigned long long pages = 0;
    snprintf(path, sizeof path, "/proc/%d/statm", (int)pid);
    FILE *file = fopen(path, "re");
    if (file == NULL || fscanf(file, "%llu", &pages) != 1)
        pages = 0;
    if (file != NULL)
        fclose(file);
    return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

static bool is_still(pid_t pid, uint64_t start)
{
    struct agentd_process now;
    return agentd_process_read(pid, &now) && now.start == start && !agentd_process_is_dead(&now);
}

void agentd_rlimit_add_keys(enum agentd_rlimit what, const struct agentd_selector *selector,
                            const struct agentd_processes *processes, struct buf *text)
{
    struct buf members = BUF_INIT;
    line_key(text, "limits", names[what]);
    if (selector->name == NULL) {
        line_key_int(text, "session", selector->session);
        line_key_int(text, "start", (int64_t)selector->start);
    }
    for (uint32_t i = 0; i < processes->count; i++) {
        struct rlimit old = {.rlim_cur = RLIM_INFINITY};
        if (prlimit(processes->items[i].pid, (unsigned)resources[what], NULL, &old) == 0)
            buf_printf(&members, "%s%d:%" PRIu64 ":%" PRIu64, members.length > 0 ? " " : "",
                       (int)processes->items[i].pid, processes->items[i].start,
                       (uint64_t)old.rlim_cur);
    }
    line_key(text, "members", buf_text(&members));
    buf_free(&members);
}

static enum err_code set_one(enum agentd_rlimit what, pid_t pid, uint64_t soft, struct err *err)
{
    struct rlimit now = {.rlim_cur = 0};
    unsigned resource = (unsigned)resources[what];
    if (prlimit(pid, resource, NULL, &now) != 0)
        return errno == ESRCH ? ERR_NONE
                              : err_errno(err, errno, "cannot read the limits of %d", (int)pid);
    now.rlim_cur = soft > now.rlim_max ? now.rlim_max : soft;
    struct rlimit back = {.rlim_cur = 0};
    if (prlimit(pid, resource, &now, NULL) != 0 || prlimit(pid, resource, NULL, &back) != 0)
        return errno == ESRCH
                   ? ERR_NONE
                   : err_errno(err, errno, "cannot limit %s of %d", names[what], (int)pid);
    if (back.rlim_cur != now.rlim_cur)
        return err_set(err, ERR_REMOTE, "process %d does not keep a limit of %s", (int)pid,
                       names[what]);
    return ERR_NONE;
}

enum err_code agentd_rlimit_set(enum agentd_rlimit what, const struct agentd_processes *processes,
                                int64_t more, struct err *err)
{
    enum err_code code = ERR_NONE;
    for (uint32_t i = 0; i < processes->count && code == ERR_NONE; i++) {
        const struct agentd_process *process = &processes->items[i];
        uint64_t soft = what == AGENTD_RLIMIT_FILES
                            ? descriptor_limit(process->pid, (uint64_t)more)
                            : address_space(process->pid) + (uint64_t)more * MIB;
        if (is_still(process->pid, process->start))
            code = set_one(what, process->pid, soft, err);
    }
    return code;
}

void agentd_rlimit_tell(const struct line *line, struct buf *text)
{
    const char *members = line_get(line, "members"), *limits = line_get(line, "limits");
    int pid = 0;
    uint64_t start = 0;
    struct rlimit now = {.rlim_cur = 0};
    if (members == NULL || limits == NULL || sscanf(members, "%d:%" SCNu64, &pid, &start) != 2 ||
        !is_still(pid, start)) {
        buf_add_text(text, "the process is gone");
        return;
    }
    bool files = strcmp(limits, "files") == 0;
    if (prlimit(pid, files ? RLIMIT_NOFILE : RLIMIT_AS, NULL, &now) != 0)
        return;
    if (files)
        buf_printf(text, "%u descriptors open, limit %" PRIu64, count_descriptors(pid),
                   (uint64_t)now.rlim_cur);
    else
        buf_printf(text, "%" PRIu64 " MiB of address space, limit %" PRIu64 " MiB",
                   address_space(pid) / MIB, (uint64_t)now.rlim_cur / MIB);
}

/* The session's processes that were not there at first got the limit with their fork. */
static enum err_code undo_others(enum agentd_rlimit what, const struct line *line, uint64_t soft,
                                 struct err *err)
{
    struct agentd_selector selector = {.session = (pid_t)line_get_int(line, "session", 0),
                                       .start = (uint64_t)line_get_int(line, "start", 0)};
    struct arena arena = ARENA_INIT;
    struct agentd_processes found;
    enum err_code code = ERR_NONE;
    if (selector.session <= 1)
        return ERR_NONE;
    agentd_processes_select(&arena, &selector, &found);
    const char *members = line_get(line, "members");
    for (uint32_t i = 0; i < found.count && code == ERR_NONE; i++) {
        char head[32];
        snprintf(head, sizeof head, "%d:", (int)found.items[i].pid);
        if (strstr(members, head) == NULL)
            code = set_one(what, found.items[i].pid, soft, err);
    }
    arena_free(&arena);
    return code;
}

enum err_code agentd_rlimit_undo(const struct line *line, struct err *err)
{
    const char *at = line_get(line, "members"), *limits = line_get(line, "limits");
    if (at == NULL || limits == NULL)
        return err_set(err, ERR_PARSE, "a limit without members");
    enum agentd_rlimit what =
        strcmp(limits, "files") == 0 ? AGENTD_RLIMIT_FILES : AGENTD_RLIMIT_MEMORY;
    int pid, length;
    uint64_t start, soft, first = 0;
    bool any = false;
    enum err_code code = ERR_NONE;
    while (code == ERR_NONE &&
           sscanf(at, "%d:%" SCNu64 ":%" SCNu64 "%n", &pid, &start, &soft, &length) == 3) {
        if (is_still(pid, start))
            code = set_one(what, pid, soft, err);
        first = any ? first : soft;
        any = true;
        at += length;
    }
    return code == ERR_NONE && any ? undo_others(what, line, first, err) : code;
}
