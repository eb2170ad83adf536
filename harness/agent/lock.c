/* The lock: see lock.h. */
#include "harness/agent/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "harness/agent/journal.h"
#include "harness/agent/process.h"
#include "harness/base/clock.h"
#include "harness/base/line.h"

static const char *lock_path(const char *run_dir, char *path, size_t size)
{
    snprintf(path, size, "%s/agent.lock", run_dir);
    return path;
}

enum agentd_lock agentd_lock_take(const char *run_dir, int *fd, struct err *err)
{
    char path[4200];
    if (agentd_make_directories(run_dir, 0755, err) != ERR_NONE)
        return AGENTD_LOCK_FAILED;
    int file = open(lock_path(run_dir, path, sizeof path), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (file < 0) {
        err_errno(err, errno, "cannot open %s", path);
        return AGENTD_LOCK_FAILED;
    }
    if (flock(file, LOCK_EX | LOCK_NB) == 0) {
        *fd = file;
        return AGENTD_LOCK_TAKEN;
    }
    int failure = errno;
    close(file);
    if (failure == EWOULDBLOCK)
        return AGENTD_LOCK_HELD;
    err_errno(err, failure, "cannot lock %s", path);
    return AGENTD_LOCK_FAILED;
}

static int64_t start_of(pid_t pid)
{
    struct agentd_process process;
    return agentd_process_read(pid, &process) ? (int64_t)process.start : 0;
}

void agentd_lock_sign(int fd, const char *owner, pid_t guardian)
{
    char since[40];
    struct buf text = BUF_INIT;
    clock_format_utc(clock_wall_ns(), since, sizeof since);
    line_key(&text, "owner", owner);
    line_key(&text, "since", since);
    line_key_int(&text, "pid", getpid());
    line_key_int(&text, "pid_start", start_of(getpid()));
    line_key_int(&text, "guardian", guardian);
    line_key_int(&text, "guardian_start", start_of(guardian));
    line_end(&text);
    /* One write, so that a reader sees it whole; a shorter text leaves the tail of the older one
     * behind its newline until it is cut. */
    if (pwrite(fd, text.data, text.length, 0) == (ssize_t)text.length &&
        ftruncate(fd, (off_t)text.length) != 0) {
        /* The tail does no harm. */
    }
    buf_free(&text);
}

void agentd_lock_read(const char *run_dir, struct agentd_holder *holder)
{
    char path[4200], bytes[2048];
    struct arena arena = ARENA_INIT;
    struct line line;
    *holder = (struct agentd_holder){.pid = 0};
    int fd = open(lock_path(run_dir, path, sizeof path), O_RDONLY | O_CLOEXEC);
    ssize_t length = fd < 0 ? -1 : read(fd, bytes, sizeof bytes);
    if (fd >= 0)
        close(fd);
    const char *newline = length > 0 ? memchr(bytes, '\n', (size_t)length) : NULL;
    if (newline != NULL &&
        line_parse(&arena, bytes, (size_t)(newline - bytes), &line, NULL) == ERR_NONE) {
        const char *owner = line_get(&line, "owner"), *since = line_get(&line, "since");
        snprintf(holder->owner, sizeof holder->owner, "%s", owner != NULL ? owner : "");
        snprintf(holder->since, sizeof holder->since, "%s", since != NULL ? since : "");
        holder->pid = (pid_t)line_get_int(&line, "pid", 0);
        holder->guardian = (pid_t)line_get_int(&line, "guardian", 0);
        holder->pid_start = (uint64_t)line_get_int(&line, "pid_start", 0);
        holder->guardian_start = (uint64_t)line_get_int(&line, "guardian_start", 0);
    }
    arena_free(&arena);
}
