/* Seeing for oneself whether a disk's faults are in force: see disks_probe.h. */
#include "harness/agent/disks_probe.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "harness/base/clock.h"

/* With so many times the tries that one hit needs on average, one in a thousand million misses. */
enum { TRIES_OF_CHANCE = 21, WORKS_TRIES = 5 };

static const char *const op_words[] = {
    [STRICT_READ] = "read", [STRICT_WRITE] = "write", [STRICT_FSYNC] = "fsync"};

struct outcome {
    ssize_t result;
    int failure; /* errno, 0: none */
    int64_t took_ns;
};

/* Opened anew each time: what was read before is then not remembered. */
static struct outcome operate(const struct agentd_disk *disk, enum strict_op op, off_t offset,
                              size_t length)
{
    static const char same[] = "ordeal\n";
    char bytes[sizeof same];
    struct outcome outcome = {.result = -1};
    int fd = open(disk->fault_probe, O_RDWR | O_CLOEXEC);
    int64_t began_ns = clock_monotonic_ns();
    if (fd >= 0 && op == STRICT_READ)
        outcome.result = pread(fd, bytes, length, offset);
    else if (fd >= 0 && op == STRICT_WRITE)
        outcome.result = pwrite(fd, same, length, offset);
    else if (fd >= 0)
        outcome.result = fsync(fd);
    outcome.failure = outcome.result < 0 ? errno : 0;
    outcome.took_ns = clock_monotonic_ns() - began_ns;
    if (fd >= 0)
        close(fd);
    return outcome;
}

static bool fails_with(const struct agentd_disk *disk, enum strict_op op, off_t offset, int wanted,
                       struct buf *seen)
{
    struct outcome outcome = operate(disk, op, offset, 1);
    buf_clear(seen);
    buf_printf(seen, "%s: %s", op_words[op],
               outcome.failure != 0 ? strerror(outcome.failure) : "it worked");
    return outcome.failure == wanted;
}

static bool is_slow(const struct agentd_disk *disk, const struct strict_rule *rule,
                    struct buf *seen)
{
    bool all = true;
    buf_clear(seen);
    for (unsigned op = STRICT_READ; op <= STRICT_FSYNC; op <<= 1) {
        if ((rule->ops & op) == 0)
            continue;
        char took[32];
        struct outcome outcome = operate(disk, (enum strict_op)op, 0, 1);
        clock_format_human(outcome.took_ns, took, sizeof took);
        buf_printf(seen, "%s%s took %s", seen->length > 0 ? ", " : "", op_words[op], took);
        all = all && outcome.took_ns >= rule->delay_ns;
    }
    return all;
}

/* What is said to be free, and that nothing grows where that is nothing. */
static bool is_full(const struct agentd_disk *disk, const struct strict_rule *rule,
                    struct buf *seen)
{
    struct statvfs status;
    struct stat probe;
    buf_clear(seen);
    if (statvfs(disk->mount, &status) != 0 || stat(disk->fault_probe, &probe) != 0) {
        buf_printf(seen, "%s", strerror(errno));
        return false;
    }
    uint64_t free_bytes = (uint64_t)status.f_bavail * status.f_frsize;
    if (rule->bytes > 0) {
        buf_printf(seen, "%" PRIu64 " bytes are free", free_bytes);
        return free_bytes <= rule->bytes;
    }
    /* In a block that the file does not have yet. */
    off_t beyond = (probe.st_size / (off_t)status.f_bsize + 1) * (off_t)status.f_bsize;
    bool full = fails_with(disk, STRICT_WRITE, beyond, ENOSPC, seen);
    if (!full)
        (void)!truncate(disk->fault_probe, probe.st_size);
    return full;
}

static bool is_short(const struct agentd_disk *disk, struct buf *seen)
{
    struct outcome outcome = operate(disk, STRICT_WRITE, 0, 2);
    buf_clear(seen);
    if (outcome.failure != 0)
        buf_printf(seen, "write: %s", strerror(outcome.failure));
    else
        buf_printf(seen, "write: %zd of 2 bytes", outcome.result);
    return outcome.result == 1;
}

static bool shows(const struct agentd_disk *disk, const struct strict_rule *rule, struct buf *seen)
{
    switch (rule->kind) {
    case STRICT_EIO_READ:
        return fails_with(disk, STRICT_READ, 0, EIO, seen);
    case STRICT_EIO_WRITE:
        return fails_with(disk, STRICT_WRITE, 0, EIO, seen);
    case STRICT_EIO_FSYNC:
        return fails_with(disk, STRICT_FSYNC, 0, EIO, seen);
    case STRICT_SLOW:
        return is_slow(disk, rule, seen);
    case STRICT_FULL:
        return is_full(disk, rule, seen);
    case STRICT_LYING_FSYNC: /* who calls counts: the lie itself cannot be seen here */
        return fails_with(disk, STRICT_FSYNC, 0, 0, seen);
    case STRICT_SHORT_WRITE:
        return is_short(disk, seen);
    case STRICT_KINDS:
        break;
    }
    return false;
}

enum err_code agentd_disk_probe(const struct agentd_disk *disk, const struct strict_rule *rule,
                                struct buf *seen, struct err *err)
{
    uint32_t tries = rule->chance >= STRICT_CHANCE_ALWAYS
                         ? 1
                         : TRIES_OF_CHANCE * STRICT_CHANCE_ALWAYS / rule->chance;
    for (uint32_t i = 0; i < tries; i++)
        if (shows(disk, rule, seen)) {
            if (i > 0)
                buf_printf(seen, " at try %" PRIu32, i + 1);
            return ERR_NONE;
        }
    return err_set(err, ERR_REMOTE, "%s does not show on the disk of %s: %s",
                   strict_kind_names[rule->kind], disk->path, buf_text(seen));
}

enum err_code agentd_disk_probe_works(const struct agentd_disk *disk, int64_t below_ns,
                                      struct err *err)
{
    for (unsigned op = STRICT_READ; op <= STRICT_FSYNC; op <<= 1) {
        struct outcome outcome = operate(disk, (enum strict_op)op, 0, 1);
        /* A busy machine may be slow by itself, but not each time. */
        for (int i = 0; i < WORKS_TRIES && below_ns > 0 && outcome.took_ns >= below_ns; i++)
            outcome = operate(disk, (enum strict_op)op, 0, 1);
        if (outcome.failure != 0)
            return err_errno(err, outcome.failure, "%s on the disk of %s still fails", op_words[op],
                             disk->path);
        if (below_ns > 0 && outcome.took_ns >= below_ns)
            return err_set(err, ERR_REMOTE, "%s on the disk of %s is still slow", op_words[op],
                           disk->path);
    }
    return ERR_NONE;
}
