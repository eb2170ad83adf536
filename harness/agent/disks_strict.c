/* Strict disks: making, mounting, stalling and cutting them. */
#include "harness/agent/disks_strict.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "harness/agent/process.h"
#include "harness/agent/strict_fs.h"
#include "harness/agent/tool.h"
#include "harness/base/clock.h"
#include "harness/base/text.h"

#define STALL_NS_MAX (2 * NS_PER_SECOND)
#define CUT_NS_MAX (10 * NS_PER_SECOND)

static const char *below(const char *directory, const char *name, char path[PATH_MAX])
{
    snprintf(path, PATH_MAX, "%s/%s", directory, name);
    return path;
}

enum err_code agentd_strict_make(const char *backing, struct err *err)
{
    static const char *const parts[] = {"", "root", "trash"};
    char path[PATH_MAX];
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (mkdir(below(backing, parts[i], path), i == 1 ? 0755 : 0700) != 0)
            return err_errno(err, errno, "cannot make %s", path);
    return ERR_NONE;
}

enum err_code agentd_strict_mount(const char *backing, const char *mount, struct err *err)
{
    char self[PATH_MAX], path[PATH_MAX];
    unlink(below(backing, STRICT_FS_DEAD, path));
    ssize_t length = readlink("/proc/self/exe", self, sizeof self - 1);
    if (length < 0)
        return err_errno(err, errno, "cannot find the agent's own program");
    self[length] = '\0';
    return agentd_tool_run((const char *const[]){self, "strict-fs", backing, mount, NULL}, NULL,
                           NULL, err);
}

/* The process that serves it; false: there is none that runs. */
static bool server_of(const char *backing, struct agentd_process *server)
{
    char path[PATH_MAX];
    int pid = 0;
    FILE *file = fopen(below(backing, STRICT_FS_PID, path), "re");
    if (file == NULL)
        return false;
    bool read = fscanf(file, "%d", &pid) == 1 && pid > 1;
    fclose(file);
    return read && agentd_process_read(pid, server) && !agentd_process_is_dead(server) &&
           strcmp(server->comm, STRICT_FS_NAME) == 0;
}

int agentd_strict_stall(const char *backing, bool stalled)
{
    char path[PATH_MAX];
    int64_t deadline_ns = clock_monotonic_ns() + STALL_NS_MAX;
    struct agentd_process server;
    below(backing, STRICT_FS_STALLED, path);
    if ((access(path, F_OK) == 0) == stalled)
        return 0;
    if (server_of(backing, &server))
        (void)!agentd_process_signal(server.pid, server.start,
                                     stalled ? STRICT_FS_STALL : STRICT_FS_GO_ON);
    while ((access(path, F_OK) == 0) != stalled) {
        if (!server_of(backing, &server)) /* who is gone does not hang */
            return !stalled && unlink(path) == 0 ? 1 : -1;
        if (clock_monotonic_ns() > deadline_ns)
            return -1;
        clock_sleep_ns(NS_PER_MS / 5);
    }
    return 1;
}

/* Whether it has no power any more; *failure: what it could not undo. */
static bool is_dead(const char *backing, int *failure)
{
    char path[PATH_MAX];
    FILE *file = fopen(below(backing, STRICT_FS_DEAD, path), "re");
    bool dead = file != NULL && fscanf(file, "%d", failure) == 1;
    if (file != NULL)
        fclose(file);
    return dead;
}

enum err_code agentd_strict_cut(const char *backing, struct err *err)
{
    int failure = 0;
    int64_t deadline_ns = clock_monotonic_ns() + CUT_NS_MAX;
    struct agentd_process server;
    if (!server_of(backing, &server) ||
        !agentd_process_signal(server.pid, server.start, STRICT_FS_CUT))
        return err_set(err, ERR_REMOTE, "nobody serves the disk of %s", backing);
    while (!is_dead(backing, &failure)) {
        if (clock_monotonic_ns() > deadline_ns)
            return err_set(err, ERR_TIMEOUT, "the disk of %s does not lose its power", backing);
        clock_sleep_ns(NS_PER_MS / 5);
    }
    return failure == 0
               ? ERR_NONE
               : err_errno(err, failure, "the disk of %s keeps what it should lose", backing);
}

/* ---- Rules ---- */

bool agentd_strict_serves(const char *backing)
{
    char path[PATH_MAX];
    int failure;
    struct agentd_process server;
    return server_of(backing, &server) && !is_dead(backing, &failure) &&
           access(below(backing, STRICT_FS_STALLED, path), F_OK) != 0;
}

/* The rules but `drop`, with `add`, behind a first line that was never there before. */
static enum err_code compose(const char *backing, const struct strict_rule *add, const char *drop,
                             int64_t generation, struct strict_rules *rules, struct buf *text,
                             struct err *err)
{
    char path[PATH_MAX];
    struct buf now = BUF_INIT;
    below(backing, STRICT_FS_RULES, path);
    enum err_code code =
        access(path, F_OK) == 0 ? file_read(path, STRICT_FS_RULES_BYTES_MAX, &now, err) : ERR_NONE;
    *rules = (struct strict_rules){.count = 0};
    strict_rules_load(rules, buf_text(&now), now.length);
    buf_free(&now);
    if (code == ERR_NONE && add != NULL && rules->count == STRICT_RULES_MAX)
        code = err_set(err, ERR_NOMEM, "%d rules are in force there already", STRICT_RULES_MAX);
    if (code != ERR_NONE)
        return code;
    buf_printf(text, "rules %lld\n", (long long)generation);
    for (uint32_t i = 0; i < rules->count; i++) {
        if (drop != NULL && strcmp(rules->items[i].id, drop) == 0)
            continue;
        strict_rule_print(&rules->items[i], text);
        line_end(text);
    }
    if (add != NULL) {
        strict_rule_print(add, text);
        line_end(text);
    }
    return ERR_NONE;
}

/* Without a sync: it need not outlive the kernel. */
static enum err_code put_rules(const char *backing, const struct buf *text, struct err *err)
{
    char aside[PATH_MAX], path[PATH_MAX];
    below(backing, STRICT_FS_RULES ".new", aside);
    int fd = open(aside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0)
        return err_errno(err, errno, "cannot write %s", aside);
    enum err_code code = file_write_fd(fd, aside, text->data, text->length, err);
    close(fd);
    if (code == ERR_NONE && rename(aside, below(backing, STRICT_FS_RULES, path)) != 0)
        code = err_errno(err, errno, "cannot write %s", path);
    return code;
}

static enum err_code await_answer(const char *backing, int64_t generation, struct buf *answer,
                                  struct err *err)
{
    char path[PATH_MAX], wanted[48];
    int64_t deadline_ns = clock_monotonic_ns() + STALL_NS_MAX;
    size_t length = (size_t)snprintf(wanted, sizeof wanted, "rules %lld\n", (long long)generation);
    struct agentd_process server;
    below(backing, STRICT_FS_ANSWER, path);
    for (;;) {
        struct buf text = BUF_INIT;
        bool there = access(path, F_OK) == 0 &&
                     file_read(path, STRICT_FS_RULES_BYTES_MAX, &text, NULL) == ERR_NONE &&
                     text.length >= length && memcmp(text.data, wanted, length) == 0;
        if (there && answer != NULL)
            buf_add(answer, text.data, text.length);
        buf_free(&text);
        if (there)
            return ERR_NONE;
        if (!server_of(backing, &server))
            return err_set(err, ERR_REMOTE, "nobody serves the disk of %s", backing);
        if (clock_monotonic_ns() > deadline_ns)
            return err_set(err, ERR_TIMEOUT, "who serves the disk of %s does not answer", backing);
        clock_sleep_ns(NS_PER_MS / 5);
    }
}

enum err_code agentd_strict_rules(const char *backing, const struct strict_rule *add,
                                  const char *drop, struct buf *answer, struct err *err)
{
    struct strict_rules before;
    struct buf text = BUF_INIT;
    struct agentd_process server;
    int64_t generation = clock_monotonic_ns();
    enum err_code code = compose(backing, add, drop, generation, &before, &text, err);
    if (code == ERR_NONE)
        code = put_rules(backing, &text, err);
    buf_free(&text);
    if (code != ERR_NONE)
        return code;
    if (!server_of(backing, &server) ||
        !agentd_process_signal(server.pid, server.start, STRICT_FS_CHANGE))
        return err_set(err, ERR_REMOTE, "nobody serves the disk of %s", backing);
    return await_answer(backing, generation, answer, err);
}

enum err_code agentd_strict_rules_drop(const char *backing, const char *id, bool *last,
                                       struct err *err)
{
    struct strict_rules rest;
    struct buf text = BUF_INIT;
    struct agentd_process server;
    enum err_code code = agentd_strict_rules(backing, NULL, id, NULL, err);
    /* Who is gone reads them when he comes back. */
    if (code != ERR_NONE && !server_of(backing, &server) && access(backing, F_OK) == 0)
        code = ERR_NONE;
    if (code == ERR_NONE)
        code = compose(backing, NULL, NULL, 0, &rest, &text, err);
    *last = code == ERR_NONE && rest.count == 0;
    buf_free(&text);
    return code;
}

static int remove_one(const char *path, const struct stat *status, int kind, struct FTW *where)
{
    (void)status, (void)kind, (void)where;
    return remove(path);
}

enum err_code agentd_strict_remove(const char *backing, struct err *err)
{
    enum { DESCRIPTORS = 16 };
    if (nftw(backing, remove_one, DESCRIPTORS, FTW_DEPTH | FTW_PHYS | FTW_MOUNT) != 0 &&
        errno != ENOENT)
        return err_errno(err, errno, "cannot remove %s", backing);
    return ERR_NONE;
}
