/* Streams: commands that stay, and are talked to. See fleet.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/remote/fleet_internal.h"

/* What another thread asks of a stream; freed when done. */
struct stream_request {
    struct fleet_task task;
    struct stream *stream;
    struct buf data;
    bool finish;
    struct batch *closed; /* not NULL: end the stream and say so here */
};

static void free_stream(struct stream *stream)
{
    errand_destroy(&stream->errand);
    free(stream);
}

static struct stream *new_stream(struct fleet *fleet, const struct fleet_stream_job *job)
{
    struct stream *stream = calloc(1, sizeof *stream);
    if (stream == NULL)
        abort();
    const struct node *target = fleet_node(fleet, job->node);
    struct errand *errand = &stream->errand;
    errand_init(errand, fleet, job->node, ERRAND_STREAM);
    errand->stream = stream;
    errand->timeout_ns =
        job->command.timeout_ns > 0 ? job->command.timeout_ns : fleet->options.command_timeout_ns;
    stream->events = job->events;
    stream->context = job->context;
    atomic_init(&stream->open, true);
    command_label(&job->command, errand->label, sizeof errand->label);
    command_line(target, member_user(fleet, target), &job->command, &errand->line, &errand->sudo,
                 &errand->err);
    return stream;
}

enum err_code fleet_stream_open_all(struct fleet *fleet, struct fleet_stream_job *jobs,
                                    size_t count, struct err *err)
{
    struct errand **errands = calloc(count + 1, sizeof *errands);
    const struct err **errs = calloc(count + 1, sizeof *errs);
    uint32_t *nodes = calloc(count + 1, sizeof *nodes);
    if (errands == NULL || errs == NULL || nodes == NULL)
        abort();
    for (size_t i = 0; i < count; i++) {
        jobs[i].stream = new_stream(fleet, &jobs[i]);
        errands[i] = &jobs[i].stream->errand;
        errs[i] = &jobs[i].err;
        nodes[i] = jobs[i].node;
    }
    errands_run(fleet, errands, count);
    for (size_t i = 0; i < count; i++) {
        jobs[i].err = errands[i]->err;
        if (errands[i]->err.code == ERR_NONE)
            continue;
        free_stream(jobs[i].stream);
        jobs[i].stream = NULL;
    }
    enum err_code code = fleet_sum_up(fleet, nodes, errs, count, err);
    free(nodes);
    free(errs);
    free(errands);
    return code;
}

enum err_code fleet_stream_open(struct fleet *fleet, uint32_t node, const struct command *command,
                                const struct stream_events *events, void *context,
                                struct stream **stream, struct err *err)
{
    struct fleet_stream_job job = {
        .node = node, .command = *command, .events = events, .context = context};
    enum err_code code = fleet_stream_open_all(fleet, &job, 1, err);
    if (code == ERR_NONE)
        *stream = job.stream;
    return code;
}

void stream_lost(struct stream *stream, const struct channel_end *end, const struct err *err)
{
    atomic_store(&stream->open, false);
    stream->events->on_close(stream->context, end, err);
}

/* Takes the stream off its node, if it is still there. */
static void end_stream(struct stream *stream)
{
    if (atomic_load(&stream->open))
        errand_detach(&stream->errand);
    atomic_store(&stream->open, false);
}

static void send_now(struct stream *stream, const void *data, size_t length, bool finish)
{
    struct errand *errand = &stream->errand;
    if (!atomic_load(&stream->open) || errand->channel == NULL)
        return;
    if (length > 0)
        errand->fleet->remote->channel_write(errand->channel, data, length);
    if (finish)
        errand->fleet->remote->channel_finish(errand->channel);
    errand->member->dirty = true;
}

static void run_request(struct fleet_task *task)
{
    struct stream_request *request = (struct stream_request *)task;
    if (request->closed != NULL) {
        end_stream(request->stream);
        batch_done(request->closed); /* a request to close lives on its caller's stack */
        return;
    }
    send_now(request->stream, request->data.data, request->data.length, request->finish);
    buf_free(&request->data);
    free(request);
}

static void post_request(struct stream *stream, const void *data, size_t length, bool finish)
{
    if (fleet_on_io_thread(stream->errand.fleet)) {
        send_now(stream, data, length, finish);
        return;
    }
    struct stream_request *request = calloc(1, sizeof *request);
    if (request == NULL)
        abort();
    *request =
        (struct stream_request){.task = {.run = run_request}, .stream = stream, .finish = finish};
    buf_add(&request->data, data, length);
    fleet_post(stream->errand.fleet, &request->task);
}

void fleet_stream_write(struct stream *stream, const void *data, size_t length)
{
    post_request(stream, data, length, false);
}

void fleet_stream_finish(struct stream *stream)
{
    post_request(stream, "", 0, true);
}

void fleet_stream_close(struct stream *stream)
{
    if (fleet_on_io_thread(stream->errand.fleet)) {
        end_stream(stream);
    } else {
        /* Writes posted before run before this, so that none finds the stream freed. */
        struct batch closed;
        batch_init(&closed, 1);
        struct stream_request request = {
            .task = {.run = run_request}, .stream = stream, .closed = &closed};
        fleet_post(stream->errand.fleet, &request.task);
        batch_wait(&closed);
    }
    free_stream(stream);
}
