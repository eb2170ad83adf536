/* GETJOB: taking jobs through the log, waiting for them in the leader's memory. */
#include <stdlib.h>
#include <string.h>

#include "queue/commands.h"
#include "queue/defect.h"
#include "queue/server.h"

/* A take, from its start to its reply. */
struct get {
    uint32_t count, queue_count;
    bool blocks, counters, fenced;
    uint64_t timeout_ms; /* 0: none */
    bool taking;
    struct command_bytes *queues; /* their names behind it */
    struct waiter waiters[];
};

void commands_free_get(struct request *request)
{
    if (request->get != NULL)
        free(request->get->queues);
    free(request->get);
    request->get = NULL;
}

static struct get *get_new(const struct resp_slice *names, uint32_t count)
{
    struct get *get = disk_allocate(NULL, sizeof *get + count * sizeof *get->waiters);
    *get = (struct get){.count = 1, .queue_count = count};
    memset(get->waiters, 0, count * sizeof *get->waiters);
    size_t size = count * sizeof *get->queues;
    for (uint32_t i = 0; i < count; i++)
        size += names[i].length;
    get->queues = disk_allocate(NULL, size);
    char *at = (char *)(get->queues + count);
    for (uint32_t i = 0; i < count; i++) {
        memcpy(at, names[i].data, names[i].length);
        get->queues[i] = (struct command_bytes){at, (uint32_t)names[i].length};
        at += names[i].length;
    }
    return get;
}

/* GETJOB [NOHANG] [TIMEOUT ms] [COUNT n] [WITHCOUNTERS] [FENCED] FROM queue ... */
static struct get *parse_get(const struct resp_slice *arguments, uint32_t count)
{
    uint64_t timeout_ms = 0, jobs = 1;
    bool nohang = false, counters = false, fenced = false, good = true;
    uint32_t i = 1;
    for (; good && i < count && !slice_is(arguments[i], "FROM"); i++) {
        if (slice_is(arguments[i], "NOHANG"))
            nohang = true;
        else if (slice_is(arguments[i], "WITHCOUNTERS"))
            counters = true;
        else if (slice_is(arguments[i], "FENCED"))
            fenced = true;
        else if (slice_is(arguments[i], "TIMEOUT") && i + 1 < count)
            good = slice_number(arguments[++i], COMMAND_DURATION_MS_MAX, &timeout_ms);
        else if (slice_is(arguments[i], "COUNT") && i + 1 < count)
            good = slice_number(arguments[++i], COMMAND_TAKE_MAX, &jobs) && jobs > 0;
        else
            good = false;
    }
    uint32_t queues = count - i - 1;
    if (!good || i + 1 >= count || queues > COMMAND_QUEUES_MAX)
        return NULL;
    for (uint32_t q = i + 1; q < count; q++) {
        if (!slice_name(arguments[q]))
            return NULL;
    }
    struct get *get = get_new(arguments + i + 1, queues);
    get->count = (uint32_t)jobs;
    get->blocks = !nohang;
    get->counters = counters;
    get->fenced = fenced;
    get->timeout_ms = timeout_ms;
    return get;
}

/* Takes under way count against what a queue has to give, so that not every waiter is woken for one
 * job. */
static void note_taking(struct server *server, struct get *get, bool begins)
{
    if (get->taking == begins)
        return;
    get->taking = begins;
    for (uint32_t i = 0; i < get->queue_count; i++) {
        struct waiter_queue *queue = waiters_make(&server->waiters, get->queues[i]);
        if (begins) {
            queue->taking += get->count;
            continue;
        }
        queue->taking -= get->count;
        waiters_mark(&server->waiters, get->queues[i]);
        waiters_tidy(&server->waiters, queue);
    }
}

static void leave_lines(struct server *server, struct get *get)
{
    for (uint32_t i = 0; i < get->queue_count; i++)
        waiters_remove(&server->waiters, &get->waiters[i]);
}

void commands_unpark(struct server *server, struct request *request)
{
    if (request->get == NULL)
        return;
    leave_lines(server, request->get);
    note_taking(server, request->get, false);
}

static void take(struct request *request)
{
    struct server *server = request_server(request);
    struct get *get = request->get;
    leave_lines(server, get);
    struct command command = {.type = COMMAND_TAKE, .count = get->count};
    command.take.queues = get->queues;
    command.take.queue_count = get->queue_count;
    command.take.nonce = request->client->number;
    if (commands_submit(request, &command))
        note_taking(server, get, true);
}

static void park(struct request *request, bool in_front)
{
    struct server *server = request_server(request);
    struct get *get = request->get;
    request->phase = REQUEST_PARKED;
    request_barrier(request);
    for (uint32_t i = 0; i < get->queue_count; i++) {
        get->waiters[i].request = request;
        waiters_add(&server->waiters, &get->waiters[i], get->queues[i], in_front);
        if (state_takeable(server->node.state, get->queues[i]) > 0)
            waiters_mark(&server->waiters, get->queues[i]);
    }
}

static bool may_get_now(struct server *server, const struct get *get)
{
    for (uint32_t i = 0; i < get->queue_count; i++) {
        if (state_takeable(server->node.state, get->queues[i]) > 0)
            return true;
    }
    return false;
}

static bool get_start(struct request *request, const struct resp_slice *arguments, uint32_t count)
{
    struct server *server = request_server(request);
    if (request->get == NULL)
        request->get = parse_get(arguments, count);
    struct get *get = request->get;
    if (get == NULL) {
        commands_syntax(request);
        return true;
    }
    if (get->blocks) {
        request_keep(request, arguments, count);
        request->deadline_ms = get->timeout_ms > 0 ? node_clock_ms() + get->timeout_ms : 0;
    }
    if (queue_defect(DEFECT_REPLY_REPLAY) && commands_defect_replay(request, get->queues[0]))
        return true;
    if (queue_defect(DEFECT_TAKE_LOCAL) &&
        commands_defect_local(request, get->queues[0], get->count))
        return true;
    if (get->blocks && !may_get_now(server, get))
        park(request, false);
    else
        take(request);
    return true;
}

static bool get_prepare(struct request *request, const struct resp_slice *arguments, uint32_t count)
{
    struct get *get = parse_get(arguments, count);
    if (get == NULL) {
        commands_syntax(request);
        return false;
    }
    /* The leader sees to the time-out; here it is only for when the leader cannot be heard. */
    request->deadline_ms = get->blocks && get->timeout_ms == 0
                               ? 0
                               : node_clock_ms() + get->timeout_ms + SERVER_COMMAND_MS_MAX;
    free(get->queues);
    free(get);
    return true;
}

/* Replies. */

void commands_end_get(struct request *request)
{
    commands_unpark(request_server(request), request);
    struct resp_writer writer = request_writer(request);
    resp_write_null_array(&writer);
    request_finish(request);
}

static void write_job(struct resp_writer *writer, const struct get *get, const struct job_view *job)
{
    char id[COMMANDS_ID_BYTES];
    commands_print_id(&job->id, id);
    resp_write_array(writer, get->counters ? 9 : 3);
    resp_write_bulk(writer, job->queue.data, job->queue.length);
    if (get->fenced)
        resp_write_format(writer, "%s:%u", id, job->attempt);
    else
        resp_write_text(writer, id);
    resp_write_bulk(writer, job->body.data, job->body.length);
    if (!get->counters)
        return;
    resp_write_text(writer, "nacks");
    resp_write_integer(writer, job->nacks);
    resp_write_text(writer, "additional-deliveries");
    resp_write_integer(writer, job->attempt > 0 ? job->attempt - 1 : 0);
    resp_write_text(writer, "attempt");
    resp_write_integer(writer, job->attempt);
}

static void get_result(struct request *request, const struct state_result *result)
{
    struct server *server = request_server(request);
    struct get *get = request->get;
    note_taking(server, get, false);
    if (result->status == STATE_OK && result->count > 0) {
        struct resp_writer writer = request_writer(request);
        resp_write_array(&writer, result->count);
        for (uint32_t i = 0; i < result->count; i++)
            write_job(&writer, get, &result->jobs[i]);
        if (request->reply.failed) /* more than a client may be sent at once */
            commands_abandoned(server, request, result);
        request_finish(request);
        return;
    }
    bool late = request->deadline_ms != 0 && node_clock_ms() >= request->deadline_ms;
    if (get->blocks && !late && (result->status == STATE_OK || result->status == STATE_PAUSED))
        park(request, true);
    else if (result->status == STATE_OK || result->status == STATE_PAUSED || late)
        commands_end_get(request);
    else
        commands_refuse(request, result);
}

/* Nobody is there to have the jobs: those that may be delivered again are, at once. */
void commands_abandoned(struct server *server, struct request *request,
                        const struct state_result *result)
{
    if (result->type != COMMAND_TAKE)
        return;
    if (request->get != NULL)
        note_taking(server, request->get, false);
    for (uint32_t i = 0; i < result->count; i++) {
        const struct job_view *job = &result->jobs[i];
        if (job->retry_ms == 0) {
            server->counters.lost_in_reply++;
            continue;
        }
        struct command command = {
            .type = COMMAND_NACK, .id = job->id, .attempt = job->attempt, .mode = NACK_DELAY};
        server->counters.given_back++;
        node_submit(&server->node, &command, NULL, NULL);
    }
}

/* Waiters. */

/* The line goes with the last in it, so it is looked up each time. */
static void serve(struct server *server, struct waiter_queue *queue)
{
    char copy[COMMAND_NAME_BYTES_MAX];
    struct command_bytes name = {copy, queue->length};
    memcpy(copy, queue->name, queue->length);
    uint64_t takeable = state_takeable(server->node.state, name);
    while (queue != NULL && queue->first != NULL && takeable > queue->taking) {
        take(queue->first->request);
        queue = waiters_find(&server->waiters, name);
    }
    if (queue != NULL)
        waiters_tidy(&server->waiters, queue);
}

void commands_serve_waiters(struct server *server)
{
    for (struct waiter_queue *queue = waiters_next_dirty(&server->waiters); queue != NULL;
         queue = waiters_next_dirty(&server->waiters)) {
        if (server->node.leading)
            serve(server, queue);
        else
            waiters_tidy(&server->waiters, queue);
    }
}

void commands_unpark_all(struct server *server)
{
    for (struct request *request = server->waiting, *next; request != NULL; request = next) {
        next = request->waiting_next;
        if (request->phase != REQUEST_PARKED)
            continue;
        struct client *client = request->client;
        commands_unpark(server, request);
        if (request->barrier)
            client->barriers--;
        request->barrier = false;
        request_again(request); /* a session's goes back to its node, and is freed */
        if (client->watch.file >= 0)
            client_schedule(client);
    }
}

const struct command_entry commands_get[] = {
    {.name = "GETJOB",
     .usage = "[NOHANG] [TIMEOUT ms] [COUNT n] [WITHCOUNTERS] [FENCED] FROM queue [queue ...]",
     .arity = -3,
     .flags = COMMAND_WRITE | COMMAND_BLOCKS,
     .start = get_start,
     .result = get_result,
     .prepare = get_prepare},
    {.name = NULL},
};
