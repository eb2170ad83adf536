/* The logs of the nodes, as they lie under nodes/ in a run's directory, and when in the run each
 * line was written.
 *
 * Lines tell the time by the clock of their node (which a fault may have turned); results.json
 * tells which time of day the run's time 0 was. A line without a time of its own belongs to the one
 * before. Times without a zone are taken to be of the zone in which the log begins close to the
 * run. */
#ifndef ORDEAL_REPORTS_NODE_LOGS_H
#define ORDEAL_REPORTS_NODE_LOGS_H

#include "harness/base/arena.h"
#include "harness/reporter.h"

#define NODE_LOG_UNPLACED INT64_MIN

struct node_line {
    const struct node_log *log;
    const char *text; /* without its newline; as it lies in the file, any bytes */
    uint32_t length;
    int64_t ns; /* of the run, may be negative; NODE_LOG_UNPLACED */
};

struct node_log {
    const char *node, *file; /* names: "n1", "etcd.log" */
    char *data;
    size_t bytes, bytes_read;
    struct node_line *lines;
    size_t line_count;
    bool cut;                  /* there are more lines than are looked at */
    int64_t first_ns, last_ns; /* of the lines that have a place; NODE_LOG_UNPLACED: none has */
};

struct node_logs {
    struct arena arena;
    struct node_log *logs; /* by node and file */
    size_t count;
    bool zero_known;
};

/* Empty where there is no directory, or nothing in it. */
void node_logs_read(const struct run *run, struct node_logs *logs);
void node_logs_free(struct node_logs *logs);

/* The lines of the run's own time nearest to any of these times, none farther than `within_ns`: at
 * most `most`, by time.
 * *total counts all within. */
size_t node_logs_near(const struct node_logs *logs, const int64_t *times_ns, size_t time_count,
                      int64_t within_ns, struct node_line *lines, size_t most, size_t *total);

/* Calls `each` for the lines that one of the patterns matches, [{"kind": .., "pattern": ..}], log
 * by log; of each kind at most `most` a log. */
typedef void node_logs_each(void *state, const char *kind, const struct node_line *line);
void node_logs_match(const struct node_logs *logs, const struct json *patterns, size_t most,
                     node_logs_each *each, void *state);

#endif
