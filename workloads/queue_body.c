/* Bodies: "<check sum> <message> <producer> <sequence> <retry> <queue> <filling>". The check sum
 * covers all that follows it, so that a body that was cut, mixed up or damaged is not taken for a
 * message. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/base/crc32c.h"
#include "workloads/queue_body.h"

enum { SUM_DIGITS = 8 };

void queue_body_write(const struct queue_body *body, size_t size, struct buf *out)
{
    struct buf rest = BUF_INIT;
    buf_printf(&rest, "%" PRId64 " %" PRId64 " %" PRId64 " %" PRId64 " %s ", body->message,
               body->producer, body->sequence, body->retry_ms, body->queue);
    while (rest.length + SUM_DIGITS + 1 < size)
        buf_add_char(&rest, (char)('a' + rest.length % 26));
    buf_printf(out, "%08" PRIx32 " ", crc32c(0, rest.data, rest.length));
    buf_add(out, rest.data, rest.length);
    buf_free(&rest);
}

static bool read_fields(const char *text, struct queue_body *body)
{
    int used = 0;
    return sscanf(text, "%" SCNd64 " %" SCNd64 " %" SCNd64 " %" SCNd64 " %63s %n", &body->message,
                  &body->producer, &body->sequence, &body->retry_ms, body->queue, &used) == 5 &&
           used > 0;
}

bool queue_body_read(const char *text, size_t length, struct queue_body *body)
{
    if (length <= SUM_DIGITS + 1 || text[SUM_DIGITS] != ' ' || memchr(text, '\0', length) != NULL)
        return false;
    struct buf copy = BUF_INIT, again = BUF_INIT;
    buf_add(&copy, text, length);
    bool good = read_fields(copy.data + SUM_DIGITS + 1, body);
    if (good) {
        queue_body_write(body, length, &again);
        good = again.length == length && memcmp(again.data, text, length) == 0;
    }
    buf_free(&copy);
    buf_free(&again);
    return good;
}
