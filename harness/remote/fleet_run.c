/* Commands on many nodes at once, and how errands come by and give out their bytes. See fleet.h. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "harness/remote/fleet_internal.h"

enum { OUTPUT_BYTES_MAX = 1 << 20, INPUT_CHUNK = 128 << 10 };

/* ---- An errand's life ---- */

void errand_init(struct errand *errand, struct fleet *fleet, uint32_t node, enum errand_kind kind)
{
    *errand = (struct errand){.kind = kind,
                              .fleet = fleet,
                              .member = &fleet->members[node],
                              .output_bytes_max = OUTPUT_BYTES_MAX,
                              .input_fd = -1,
                              .output_fd = -1};
}

void errand_destroy(struct errand *errand)
{
    buf_free(&errand->line);
    output_free(&errand->output);
    if (errand->input_fd >= 0)
        close(errand->input_fd);
    if (errand->output_fd >= 0)
        close(errand->output_fd);
}

struct submission {
    struct fleet_task task;
    struct errand *const *errands;
    size_t count;
};

static void submit(struct fleet_task *task)
{
    struct submission *submission = (struct submission *)task;
    for (size_t i = 0; i < submission->count; i++)
        if (submission->errands[i]->batch != NULL)
            errand_submit(submission->errands[i]);
}

void errands_run(struct fleet *fleet, struct errand *const *errands, size_t count)
{
    struct batch batch;
    size_t pending = 0;
    for (size_t i = 0; i < count; i++)
        pending += errands[i]->err.code == ERR_NONE;
    if (pending == 0)
        return;
    batch_init(&batch, pending);
    for (size_t i = 0; i < count; i++) /* what failed before it began is left out */
        errands[i]->batch = errands[i]->err.code == ERR_NONE ? &batch : NULL;
    struct submission submission = {.task = {.run = submit}, .errands = errands, .count = count};
    fleet_post(fleet, &submission.task);
    batch_wait(&batch);
}

/* An array of errands, and of pointers to them; freed by errand_array_free. */
struct errand **errand_array(size_t count)
{
    struct errand *errands = fleet_allocate(count, sizeof *errands);
    struct errand **pointers = fleet_allocate(count + 1, sizeof *pointers);
    for (size_t i = 0; i < count; i++)
        pointers[i] = &errands[i];
    pointers[count] = errands;
    return pointers;
}

void errand_array_free(struct errand **errands, size_t count)
{
    for (size_t i = 0; i < count; i++)
        errand_destroy(errands[i]);
    free(errands[count]);
    free(errands);
}

/* ---- Events of a channel, on the I/O thread ---- */

static void on_started(void *context)
{
    errand_started(context);
}

static void write_out(struct errand *errand, const char *bytes, size_t length)
{
    while (length > 0) {
        ssize_t written = write(errand->output_fd, bytes, length);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0) {
            errand_fail(errand, ERR_IO, "writing the local copy: %s", strerror(errno));
            return;
        }
        bytes += written;
        length -= (size_t)written;
    }
}

static void on_stdout(void *context, const char *bytes, size_t length)
{
    struct errand *errand = context;
    if (errand->kind == ERRAND_STREAM) {
        errand->stream->events->on_stdout(errand->stream->context, bytes, length);
        return;
    }
    if (errand->output_fd >= 0) {
        write_out(errand, bytes, length);
        return;
    }
    size_t room = errand->output_bytes_max - errand->output.out.length;
    if (length > room) {
        errand->output.out_truncated = true;
        length = room;
    }
    buf_add(&errand->output.out, bytes, length);
}

/* The last bytes are kept. Half as much again is collected before the front is dropped, so that
 * the moving costs little. */
static void on_stderr(void *context, const char *bytes, size_t length)
{
    struct errand *errand = context;
    if (errand->kind == ERRAND_STREAM && errand->batch == NULL) {
        if (errand->stream->events->on_stderr != NULL)
            errand->stream->events->on_stderr(errand->stream->context, bytes, length);
        return;
    }
    struct buf *text = &errand->output.err;
    buf_add(text, bytes, length);
    if (text->length > errand->output_bytes_max + errand->output_bytes_max / 2) {
        buf_consume(text, text->length - errand->output_bytes_max);
        errand->output.err_truncated = true;
    }
}

static bool feed_file(struct errand *errand)
{
    char chunk[32 << 10];
    size_t wanted = errand->input_left < sizeof chunk ? errand->input_left : sizeof chunk;
    ssize_t got = pread(errand->input_fd, chunk, wanted, errand->input_offset);
    if (got <= 0) {
        errand_fail(errand, ERR_IO, "reading the local file: %s",
                    got == 0 ? "it became shorter" : strerror(errno));
        return false;
    }
    errand->fleet->remote->channel_write(errand->channel, chunk, (size_t)got);
    errand->input_offset += got;
    errand->input_left -= (size_t)got;
    return true;
}

void errand_feed(struct errand *errand)
{
    const struct remote *remote = errand->fleet->remote;
    if (errand->kind == ERRAND_STREAM || errand->input_finished)
        return;
    while (errand->input_left > 0 && remote->channel_backlog(errand->channel) < INPUT_CHUNK) {
        if (errand->input_fd >= 0) {
            if (!feed_file(errand))
                return;
            continue;
        }
        size_t length = errand->input_left < INPUT_CHUNK ? errand->input_left : INPUT_CHUNK;
        remote->channel_write(errand->channel, errand->input, length);
        errand->input += length;
        errand->input_left -= length;
    }
    if (errand->input_left == 0) {
        errand->input_finished = true;
        remote->channel_finish(errand->channel);
    }
}

static void on_writable(void *context)
{
    errand_feed(context);
}

static void on_end(void *context, const struct channel_end *end)
{
    struct errand *errand = context;
    struct buf *text = &errand->output.err;
    if (text->length > errand->output_bytes_max) {
        buf_consume(text, text->length - errand->output_bytes_max);
        errand->output.err_truncated = true;
    }
    errand_ended(errand, end);
}

const struct channel_events errand_events = {.on_started = on_started,
                                             .on_stdout = on_stdout,
                                             .on_stderr = on_stderr,
                                             .on_writable = on_writable,
                                             .on_end = on_end};

/* ---- Commands ---- */

void errand_prepare(struct errand *errand, struct fleet *fleet, uint32_t node,
                    const struct command *command)
{
    errand_init(errand, fleet, node, ERRAND_COMMAND);
    const struct node *target = fleet_node(fleet, node);
    errand->timeout_ns =
        command->timeout_ns > 0 ? command->timeout_ns : fleet->options.command_timeout_ns;
    if (command->output_bytes_max > 0)
        errand->output_bytes_max = command->output_bytes_max;
    errand->input = command->input;
    errand->input_left = command->input != NULL ? command->input_length : 0;
    command_label(command, errand->label, sizeof errand->label);
    command_line(target, member_user(fleet, target), command, &errand->line, &errand->sudo,
                 &errand->err);
}

/* Moves the errand's results to where the caller wants them. */
static void deliver(struct errand *errand, struct output *output, bool check, struct err *err)
{
    if (check && errand->err.code == ERR_NONE && errand->output.status != 0)
        command_failed(errand->member->node, errand->label, &errand->output, &errand->err);
    *err = errand->err;
    if (output != NULL) {
        *output = errand->output;
        errand->output = (struct output){.status = 0};
    }
}

static enum err_code run_jobs(struct fleet *fleet, struct fleet_job *jobs, size_t count, bool check,
                              struct err *err)
{
    struct errand **errands = errand_array(count);
    const struct err **errs = fleet_allocate(count, sizeof *errs);
    uint32_t *nodes = fleet_allocate(count, sizeof *nodes);
    for (size_t i = 0; i < count; i++) {
        errand_prepare(errands[i], fleet, jobs[i].node, &jobs[i].command);
        nodes[i] = jobs[i].node;
        errs[i] = &jobs[i].err;
    }
    errands_run(fleet, errands, count);
    for (size_t i = 0; i < count; i++)
        deliver(errands[i], &jobs[i].output, check, &jobs[i].err);
    enum err_code code = fleet_sum_up(fleet, nodes, errs, count, err);
    free(nodes);
    free(errs);
    errand_array_free(errands, count);
    return code;
}

enum err_code fleet_run_jobs(struct fleet *fleet, struct fleet_job *jobs, size_t count,
                             struct err *err)
{
    return run_jobs(fleet, jobs, count, false, err);
}

enum err_code fleet_check_jobs(struct fleet *fleet, struct fleet_job *jobs, size_t count,
                               struct err *err)
{
    return run_jobs(fleet, jobs, count, true, err);
}

static enum err_code run_one(struct fleet *fleet, uint32_t node, const struct command *command,
                             bool check, struct output *output, struct err *err)
{
    struct fleet_job job = {.node = node, .command = *command};
    enum err_code code = run_jobs(fleet, &job, 1, check, err);
    if (code == ERR_NONE && output != NULL)
        *output = job.output;
    else
        output_free(&job.output);
    return code;
}

enum err_code fleet_run(struct fleet *fleet, uint32_t node, const struct command *command,
                        struct output *output, struct err *err)
{
    return run_one(fleet, node, command, false, output, err);
}

enum err_code fleet_check(struct fleet *fleet, uint32_t node, const struct command *command,
                          struct output *output, struct err *err)
{
    return run_one(fleet, node, command, true, output, err);
}

static enum err_code run_everywhere(struct fleet *fleet, const uint32_t *nodes, size_t count,
                                    const struct command *command, bool check,
                                    struct output *outputs, struct err *err)
{
    struct fleet_job *jobs = fleet_allocate(count, sizeof *jobs);
    for (size_t i = 0; i < count; i++) {
        jobs[i].node = nodes != NULL ? nodes[i] : (uint32_t)i;
        jobs[i].command = *command;
    }
    enum err_code code = run_jobs(fleet, jobs, count, check, err);
    for (size_t i = 0; i < count; i++) {
        if (outputs == NULL || jobs[i].err.code != ERR_NONE)
            output_free(&jobs[i].output);
        if (outputs != NULL)
            outputs[i] = jobs[i].output;
    }
    free(jobs);
    return code;
}

enum err_code fleet_run_all(struct fleet *fleet, const uint32_t *nodes, size_t count,
                            const struct command *command, struct output *outputs, struct err *err)
{
    return run_everywhere(fleet, nodes, count, command, false, outputs, err);
}

enum err_code fleet_check_all(struct fleet *fleet, const uint32_t *nodes, size_t count,
                              const struct command *command, struct output *outputs,
                              struct err *err)
{
    return run_everywhere(fleet, nodes, count, command, true, outputs, err);
}
