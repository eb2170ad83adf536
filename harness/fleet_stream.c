/* Streams: commands that stay, and are talked to. See fleet.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/fleet_internal.h"

/* What another thread asks of a stream; freed when done. */
struct stream_request {
    struct fleet_task task;
    struct stream *stream;
    struct buf data;
    bool finish;
    struct batch *closed; /* not NULL: end the stream and say so here */
};

enum err_code fleet_stream_open(struct fleet *fleet, uint32_t node, const struct command *command,
                                const struct stream_events *events, void *context,
                                struct stream **stream, struct err *err)
{
    struct stream *opened = calloc(1, sizeof *opened);
    if (opened == NULL)
        return err_set(err, ERR_NOMEM, "a stream to a node");
    const struct node *target = fleet_node(fleet, node);
    struct op *op = &opened->op;
    op_init(op, fleet, node, OP_STREAM);
    op->stream = opened;
    op->timeout_ns =
        command->timeout_ns > 0 ? command->timeout_ns : fleet->options.command_timeout_ns;
    opened->events = events;
    opened->context = context;
    atomic_init(&opened->open, true);
    char text[sizeof op->label - 2];
    command_label(command->text, text, sizeof text);
    snprintf(op->label, sizeof op->label, "`%s`", text);
    command_line(target, member_user(fleet, target), command, &op->line, &op->sudo, &op->err);
    ops_run(fleet, op, 1);
    if (op->err.code != ERR_NONE) {
        enum err_code code = err_set(err, op->err.code, "%s", op->err.message);
        op_destroy(op);
        free(opened);
        return code;
    }
    *stream = opened;
    return ERR_NONE;
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
        op_detach(&stream->op);
    atomic_store(&stream->open, false);
}

static void free_stream(struct stream *stream)
{
    op_destroy(&stream->op);
    free(stream);
}

static void send_now(struct stream *stream, const void *data, size_t length, bool finish)
{
    struct op *op = &stream->op;
    if (!atomic_load(&stream->open) || op->channel == NULL)
        return;
    if (length > 0)
        op->fleet->remote->channel_write(op->channel, data, length);
    if (finish)
        op->fleet->remote->channel_finish(op->channel);
    op->member->dirty = true;
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
    if (fleet_on_io_thread(stream->op.fleet)) {
        send_now(stream, data, length, finish);
        return;
    }
    struct stream_request *request = calloc(1, sizeof *request);
    if (request == NULL)
        abort();
    *request =
        (struct stream_request){.task = {.run = run_request}, .stream = stream, .finish = finish};
    buf_add(&request->data, data, length);
    fleet_post(stream->op.fleet, &request->task);
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
    if (fleet_on_io_thread(stream->op.fleet)) {
        end_stream(stream);
    } else {
        /* Writes posted before run before this, so that none finds the stream freed. */
        struct batch closed;
        batch_init(&closed, 1);
        struct stream_request request = {
            .task = {.run = run_request}, .stream = stream, .closed = &closed};
        fleet_post(stream->op.fleet, &request.task);
        batch_wait(&closed);
    }
    free_stream(stream);
}
