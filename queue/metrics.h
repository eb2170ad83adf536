/* What the server says of itself: INFO, and the same numbers for Prometheus over HTTP. */
#ifndef ORDEAL_QUEUE_METRICS_H
#define ORDEAL_QUEUE_METRICS_H

#include "queue/buffer.h"
#include "queue/loop.h"

struct server;

struct metrics {
    struct server *server;
    struct watch door; /* file -1: no port */
    struct metrics_visit *visits;
    uint32_t visit_count;
};

bool metrics_open(struct metrics *metrics, struct server *server, struct queue_error *error);
void metrics_close(struct metrics *metrics);
void metrics_tick(struct metrics *metrics, uint64_t now_ms); /* ends visits that take too long */

/* "name:value" lines in sections. */
void metrics_info(struct server *server, struct buffer *out);

#endif
