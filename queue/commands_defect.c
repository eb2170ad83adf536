/* Planted defects of the server: an empty file in a normal build. See defect.h. */
#include "queue/commands.h"

#ifdef ORDEAL_QUEUE_DEFECTS

#include <stdlib.h>
#include <string.h>

#include "queue/server.h"

enum { REPLAYED_MAX = 16 };

/* The last deliveries, which a new leader will repeat. */
static struct kept {
    struct job_id id;
    char queue[COMMAND_NAME_BYTES_MAX], *body;
    uint32_t queue_length, body_length;
} kept[REPLAYED_MAX];
static uint32_t kept_count;

void commands_defect_applied(const struct state_result *result)
{
    for (uint32_t i = 0; result->type == COMMAND_TAKE && i < result->count; i++) {
        struct kept *place = &kept[kept_count++ % REPLAYED_MAX];
        const struct job_view *job = &result->jobs[i];
        free(place->body);
        place->id = job->id;
        memcpy(place->queue, job->queue.data, job->queue.length);
        place->queue_length = job->queue.length;
        place->body = disk_allocate(NULL, job->body.length + 1);
        place->body_length = job->body.length;
        memcpy(place->body, job->body.data, job->body.length);
    }
}

static void deliver(struct request *request, const struct job_view *jobs, uint32_t count)
{
    struct resp_writer writer = request_writer(request);
    resp_write_array(&writer, count);
    for (uint32_t i = 0; i < count; i++) {
        char id[COMMANDS_ID_BYTES];
        commands_print_id(&jobs[i].id, id);
        resp_write_array(&writer, 3);
        resp_write_bulk(&writer, jobs[i].queue.data, jobs[i].queue.length);
        resp_write_text(&writer, id);
        resp_write_bulk(&writer, jobs[i].body.data, jobs[i].body.length);
    }
    request_finish(request);
}

bool commands_defect_replay(struct request *request, struct command_bytes queue)
{
    static uint64_t replayed_term;
    struct server *server = request_server(request);
    struct job_view jobs[REPLAYED_MAX];
    uint32_t count = 0;
    if (replayed_term == server->node.term)
        return false;
    replayed_term = server->node.term;
    for (uint32_t i = 0; i < REPLAYED_MAX && i < kept_count; i++) {
        if (kept[i].queue_length != queue.length ||
            memcmp(kept[i].queue, queue.data, queue.length) != 0)
            continue;
        jobs[count++] = (struct job_view){.id = kept[i].id,
                                          .queue = {kept[i].queue, kept[i].queue_length},
                                          .body = {kept[i].body, kept[i].body_length}};
    }
    if (count > 0)
        deliver(request, jobs, count);
    return count > 0;
}

struct peeked {
    struct job_view jobs[REPLAYED_MAX];
    uint32_t count;
};

static void peek(void *context, const struct job_view *job)
{
    struct peeked *peeked = context;
    peeked->jobs[peeked->count++] = *job;
}

bool commands_defect_local(struct request *request, struct command_bytes queue, uint32_t count)
{
    struct server *server = request_server(request);
    struct peeked peeked = {.count = 0};
    struct command command = {.type = COMMAND_TAKE};
    state_peek(server->node.state, queue, count < REPLAYED_MAX ? count : REPLAYED_MAX,
               ORDER_NEXT_FIRST, peek, &peeked);
    if (peeked.count == 0)
        return false;
    deliver(request, peeked.jobs, peeked.count);
    command.count = peeked.count;
    command.take.queues = &queue;
    command.take.queue_count = 1;
    node_submit(&server->node, &command, NULL, NULL);
    return true;
}

#endif
