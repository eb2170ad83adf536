/* One list of numbers, written in two forms. */
#include "queue/metrics.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "queue/server.h"

enum { VISITS_MAX = 64, VISIT_MS_MAX = 5000, REQUEST_BYTES_MAX = 8192 };

static void append(struct buffer *out, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static void append(struct buffer *out, const char *format, ...)
{
    char line[512];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    if (length > 0)
        buffer_append(out, line, (size_t)length < sizeof line ? (size_t)length : sizeof line - 1);
}

struct number {
    const char *name;
    bool counts; /* only up */
    uint64_t value;
};

enum { NUMBERS_MAX = 96 };

static uint32_t collect(struct server *server, struct number *numbers)
{
    struct state_info state;
    struct raft_status raft;
    const struct node *node = &server->node;
    state_info(node->state, &state);
    raft_status(node->raft, &raft);
    struct log_counters log = log_counters(node->storage.log);
    const struct number all[] = {
#define X(name)                                                                                    \
    {"jobs_" #name,                                                                                \
     strcmp(#name, "ready") && strcmp(#name, "delayed") && strcmp(#name, "leased") &&              \
         strcmp(#name, "dead"),                                                                    \
     state.counters.name},
        STATE_COUNTERS(X)
#undef X
            {"queues", false, state.queues},
        {"keys", false, state.keys},
        {"done_remembered", false, state.done},
        {"job_bytes", false, state.bytes},
        {"time_ms", true, state.time_ms},
        {"applied_index", true, state.index},
        {"term", true, raft.term},
        {"commit_index", true, raft.commit},
        {"last_index", true, raft.last},
        {"persisted_index", true, raft.persisted},
        {"snapshot_index", true, raft.snapshot_index},
        {"window_bytes", false, raft.window_bytes},
        {"window_memory_bytes", false, raft.memory_bytes},
        {"snapshot_fork_us", false, node->counters.fork_us},
        {"entries_read", true, node->counters.entries_read},
        {"leading", false, node->leading},
        {"leader", false, node->leader},
        {"log_entries", true, log.entries},
        {"log_frames", true, log.frames},
        {"log_syncs", true, log.syncs},
        {"log_bytes", true, log.bytes},
        {"log_segments", false, log.segments},
        {"log_segments_ahead", true, log.segments_ahead},
        {"batches", true, node->counters.batches},
        {"commands", true, node->counters.commands},
        {"ticks", true, node->counters.ticks},
        {"elections_won", true, node->counters.elections},
        {"snapshots", true, node->counters.snapshots},
        {"snapshots_received", true, node->counters.snapshots_received},
        {"snapshot_failures", true, node->snapshot_failures},
        {"clients", false, server->client_count},
        {"sessions", false, server->session_count},
        {"connections", true, server->counters.connections},
        {"connections_refused", true, server->counters.refused_connections},
        {"requests", true, server->counters.requests},
        {"errors", true, server->counters.errors},
        {"forwarded", true, server->counters.forwarded},
        {"unknown", true, server->counters.unknown},
        {"lost_in_reply", true, server->counters.lost_in_reply},
        {"given_back", true, server->counters.given_back},
        {"slow_clients_closed", true, server->counters.slow_closed},
        {"peers_refused", true, server->peers.refused},
        {"tls_failed", true, server->counters.tls_failed},
        {"spool_jobs", false, drain_jobs(&server->drain)},
        {"spool_bytes", false, server->drain.spool.bytes},
        {"spool_unusable", false, !server->drain.open || server->drain.stale},
        {"spool_added", true, server->drain.spooled},
        {"spool_handed_on", true, server->drain.handed_on},
    };
    uint32_t count = sizeof all / sizeof *all;
    memcpy(numbers, all, sizeof all);
    return count;
}

void metrics_info(struct server *server, struct buffer *out)
{
    static const char *const roles[] = {"follower", "precandidate", "candidate", "leader"};
    struct number numbers[NUMBERS_MAX];
    append(out, "# Server\r\nordeal_queue_version:%s\r\nnode:%u\r\ndisk:%016llx\r\n",
           ORDEAL_VERSION, server->config.node, (unsigned long long)server->node.disk_id);
    append(out, "role:%s\r\nformed:%d\r\nfsync:%s\r\nprocess_id:%d\r\ntcp_port:%u\r\n",
           roles[server->node.role], node_formed(&server->node), server->config.sync ? "yes" : "no",
           getpid(), server->config.port);
    append(out, "uptime_in_seconds:%llu\r\n# Numbers\r\n",
           (unsigned long long)(node_clock_ms() - server->started_ms) / 1000);
    uint32_t count = collect(server, numbers);
    for (uint32_t i = 0; i < count; i++)
        append(out, "%s:%llu\r\n", numbers[i].name, (unsigned long long)numbers[i].value);
}

static void write_prometheus(struct server *server, struct buffer *out)
{
    struct number numbers[NUMBERS_MAX];
    uint32_t count = collect(server, numbers);
    for (uint32_t i = 0; i < count; i++) {
        const char *total = numbers[i].counts ? "_total" : "";
        append(out, "# TYPE ordeal_queue_%s%s %s\n", numbers[i].name, total,
               numbers[i].counts ? "counter" : "gauge");
        append(out, "ordeal_queue_%s%s %llu\n", numbers[i].name, total,
               (unsigned long long)numbers[i].value);
    }
}

/* HTTP, as much as a scraper needs: one GET, one answer, the end. */

struct metrics_visit {
    struct watch watch;
    struct metrics *metrics;
    struct metrics_visit *next;
    struct buffer in, out;
    bool answered;
    uint64_t begun_ms;
};

static void visit_end(struct metrics_visit *visit)
{
    struct metrics *metrics = visit->metrics;
    struct metrics_visit **at = &metrics->visits;
    while (*at != visit)
        at = &(*at)->next;
    *at = visit->next;
    metrics->visit_count--;
    loop_remove(&metrics->server->loop, &visit->watch);
    close(visit->watch.file);
    buffer_free(&visit->in);
    buffer_free(&visit->out);
    free(visit);
}

static void answer(struct metrics_visit *visit)
{
    struct buffer body = {0};
    bool found =
        buffer_length(&visit->in) > 13 && memcmp(buffer_bytes(&visit->in), "GET /metrics", 12) == 0;
    if (found)
        write_prometheus(visit->metrics->server, &body);
    else
        append(&body, "Ask for /metrics.\n");
    append(&visit->out,
           "HTTP/1.1 %s\r\nContent-Type: text/plain; version=0.0.4\r\nContent-Length: "
           "%zu\r\nConnection: close\r\n\r\n",
           found ? "200 OK" : "404 Not Found", buffer_length(&body));
    buffer_append(&visit->out, buffer_bytes(&body), buffer_length(&body));
    buffer_free(&body);
    visit->answered = true;
}

static void visit_ready(struct watch *watch, uint32_t events)
{
    struct metrics_visit *visit = (struct metrics_visit *)watch;
    bool good = !(events & (EPOLLERR | EPOLLHUP));
    if (good && !visit->answered) {
        good = buffer_receive(&visit->in, watch->file, 2048) >= 0 &&
               buffer_length(&visit->in) < REQUEST_BYTES_MAX;
        if (good && buffer_length(&visit->in) >= 4 &&
            memmem(buffer_bytes(&visit->in), buffer_length(&visit->in), "\r\n\r\n", 4) != NULL)
            answer(visit);
    }
    if (good && visit->answered) {
        good = buffer_send(&visit->out, watch->file) >= 0 && buffer_length(&visit->out) > 0;
        loop_want(&visit->metrics->server->loop, watch, EPOLLOUT);
    }
    if (!good)
        visit_end(visit);
}

static void door_ready(struct watch *watch, uint32_t events)
{
    (void)events;
    struct metrics *metrics = (struct metrics *)((char *)watch - offsetof(struct metrics, door));
    int file = loop_accept(watch->file);
    if (file < 0)
        return;
    if (metrics->visit_count == VISITS_MAX) {
        close(file);
        return;
    }
    struct metrics_visit *visit = disk_allocate(NULL, sizeof *visit);
    *visit = (struct metrics_visit){.watch = {.file = file, .ready = visit_ready},
                                    .metrics = metrics,
                                    .next = metrics->visits,
                                    .begun_ms = node_clock_ms()};
    metrics->visits = visit;
    metrics->visit_count++;
    loop_add(&metrics->server->loop, &visit->watch, EPOLLIN);
}

void metrics_tick(struct metrics *metrics, uint64_t now_ms)
{
    for (struct metrics_visit *visit = metrics->visits, *next; visit != NULL; visit = next) {
        next = visit->next;
        if (now_ms - visit->begun_ms > VISIT_MS_MAX)
            visit_end(visit);
    }
}

bool metrics_open(struct metrics *metrics, struct server *server, struct queue_error *error)
{
    *metrics = (struct metrics){.server = server, .door = {.file = -1, .ready = door_ready}};
    if (server->config.metrics_port == 0)
        return true;
    metrics->door.file = loop_listen(server->config.bind, server->config.metrics_port, error);
    return metrics->door.file >= 0 && loop_add(&server->loop, &metrics->door, EPOLLIN);
}

void metrics_close(struct metrics *metrics)
{
    while (metrics->visits != NULL)
        visit_end(metrics->visits);
    if (metrics->door.file >= 0) {
        loop_remove(&metrics->server->loop, &metrics->door);
        close(metrics->door.file);
    }
}
