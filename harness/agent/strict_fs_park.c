/* Requests that a slow disk lets wait: each for itself, while the others go on.
 *
 * They are kept as the kernel sent them, before anything is done of them, so that one which waits
 * when the power goes has done nothing. Whoever is interrupted waits on, as at a disk. */
#include <errno.h>
#include <linux/fuse.h>
#include <stdio.h>
#include <stdlib.h>

#include "harness/agent/strict_fs_internal.h"
#include "harness/base/clock.h"

struct parked {
    struct parked *next; /* due later */
    int64_t due_ns;
    struct fuse_buf request;
};

static struct parked *first;

static int64_t delay_of(const struct fuse_buf *request)
{
    char text[PATH_MAX];
    const char *path;
    enum strict_op op;
    const struct fuse_in_header *header = request->mem;
    if (strict_fs.rules.count == 0 || strict_fs.dead || (request->flags & FUSE_BUF_IS_FD) != 0 ||
        request->size < sizeof *header)
        return 0;
    switch (header->opcode) {
    case FUSE_READ:
        op = STRICT_READ;
        break;
    case FUSE_WRITE:
    case FUSE_FALLOCATE:
        op = STRICT_WRITE;
        break;
    case FUSE_FSYNC:
    case FUSE_FSYNCDIR:
        op = STRICT_FSYNC;
        break;
    default:
        return 0;
    }
    if (!strict_fs_path(strict_fs_file(header->nodeid), text, &path))
        return 0;
    return strict_rules_delay_ns(&strict_fs.rules, op, path);
}

bool strict_fs_park(struct fuse_buf *request)
{
    int64_t delay_ns = delay_of(request);
    struct parked *parked = delay_ns > 0 ? malloc(sizeof *parked) : NULL;
    if (parked == NULL)
        return false;
    *parked = (struct parked){.due_ns = clock_monotonic_ns() + delay_ns, .request = *request};
    *request = (struct fuse_buf){.mem = NULL};
    void *least = realloc(parked->request.mem, parked->request.size);
    parked->request.mem = least != NULL ? least : parked->request.mem;
    struct parked **at = &first;
    while (*at != NULL && (*at)->due_ns <= parked->due_ns)
        at = &(*at)->next;
    parked->next = *at;
    *at = parked;
    return true;
}

void strict_fs_unpark(struct fuse_session *session, bool all)
{
    int64_t now_ns = first == NULL ? 0 : clock_monotonic_ns();
    while (first != NULL && (all || first->due_ns <= now_ns)) {
        struct parked *parked = first;
        first = parked->next;
        fuse_session_process_buf(session, &parked->request);
        free(parked->request.mem);
        free(parked);
    }
}

int strict_fs_parked_ms(void)
{
    if (first == NULL)
        return -1;
    int64_t left_ns = first->due_ns - clock_monotonic_ns();
    return left_ns <= 0 ? 0 : (int)((left_ns + NS_PER_MS - 1) / NS_PER_MS);
}
