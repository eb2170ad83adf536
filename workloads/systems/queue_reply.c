/* What the queue's error replies mean.
 *
 * FAIL says that the request never takes effect; said wrongly once, it convicts an innocent queue
 * of a phantom. So FAIL is for replies that docs/queue.md promises to mean "nothing was done", and
 * for refusals that are made before anything is proposed or by the state machine itself. Everything
 * else, what is not known above all, is INFO. */
#include <string.h>

#include "harness/base/text.h"
#include "workloads/systems/queue.h"

/* An error begins with its word; those of ERR are told apart by what follows. */
static const struct {
    const char *text;
    enum op_type type;
    const char *error;
} rows[] = {
    {"UNKNOWN ", OP_INFO, "unknown"},
    {"NOLEADER ", OP_FAIL, "no-leader"},
    {"OOM ", OP_FAIL, "out-of-memory"},
    {"PAUSED ", OP_FAIL, "paused"},
    {"MAXLEN ", OP_FAIL, "full"},
    {"BUSY ", OP_FAIL, "busy"},
    {"STALE ", OP_FAIL, "stale"},
    {"NOJOB ", OP_FAIL, "not-found"},
    {"WRONGSTATE ", OP_FAIL, "wrong-state"},
    {"EXPIRED ", OP_FAIL, "expired"},
    {"BADID ", OP_FAIL, "bad-id"},
    {"MOVED ", OP_FAIL, "moved"},
    {"NOAUTH ", OP_FAIL, "not-authenticated"},
    {"ERR syntax", OP_FAIL, "bad-request"},
    {"ERR unknown command", OP_FAIL, "unsupported"},
    {"ERR wrong number of arguments", OP_FAIL, "bad-request"},
    {"ERR a queue's name has", OP_FAIL, "bad-request"},
    {"ERR a job's body has", OP_FAIL, "bad-request"},
    {"ERR a value is out of range", OP_FAIL, "bad-request"},
    {"ERR SPOOL is not offered", OP_FAIL, "unsupported"},
};

struct job_meaning queue_error_meaning(const char *message)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (text_starts(message, rows[i].text))
            return (struct job_meaning){rows[i].type, rows[i].error};
    return (struct job_meaning){OP_INFO, "unexpected-reply"};
}

size_t queue_id_length(const char *id, size_t length, int64_t *attempt)
{
    const char *colon = memchr(id, ':', length);
    *attempt = 0;
    if (colon == NULL)
        return length;
    for (const char *at = colon + 1; at < id + length && *at >= '0' && *at <= '9'; at++)
        *attempt = *attempt * 10 + (*at - '0');
    return (size_t)(colon - id);
}
