/* The end of the log workload: every log is read from its beginning to its end, as one that comes
 * anew would see it. */
#include <assert.h>

#include "harness/base/clock.h"
#include "workloads/log.h"

static const int64_t pause_ns = 100 * NS_PER_MS;       /* after a poll that failed */
static const int64_t patience_ns = 30 * NS_PER_SECOND; /* for a log whose polls fail */

enum { NOBODY = -1 };

struct ending {
    int64_t next, since_ns, not_before_ns;
    int32_t thread; /* that polls it now */
    bool over;
};

struct final {
    struct generator base;
    const struct log_mix *mix;
    struct ending logs[LOGS_MAX];
    bool begun;
};

static void begin(struct final *final, int64_t now_ns)
{
    for (int64_t i = 0; i < final->mix->logs; i++)
        final->logs[i] = (struct ending){.since_ns = now_ns, .thread = NOBODY};
    final->begun = true;
}

static enum generator_answer final_next(struct generator *generator,
                                        const struct generator_context *context,
                                        struct generator_op *op)
{
    struct final *final = (struct final *)generator;
    if (!final->begun)
        begin(final, context->now_ns);
    bool left = false;
    *op = (struct generator_op){.not_before_ns = GENERATOR_NEVER};
    for (int64_t i = 0; i < final->mix->logs; i++) {
        struct ending *log = &final->logs[i];
        left = left || !log->over;
        if (log->over || log->thread != NOBODY)
            continue;
        if (log->not_before_ns > context->now_ns) {
            if (log->not_before_ns < op->not_before_ns)
                op->not_before_ns = log->not_before_ns;
            continue;
        }
        log->thread = context->thread;
        op->f = final->mix->poll_f;
        op->value = log_poll_value(i, log->next, context->scratch);
        op->not_before_ns = context->now_ns;
        return GENERATOR_OP;
    }
    return left ? GENERATOR_PENDING : GENERATOR_DONE;
}

static void final_update(struct generator *generator, const struct generator_context *context,
                         const struct op *event)
{
    struct final *final = (struct final *)generator;
    if (event->type == OP_INVOKE)
        return;
    for (int64_t i = 0; i < final->mix->logs; i++) {
        struct ending *log = &final->logs[i];
        if (log->over || log->thread != context->thread)
            continue;
        struct value end = value_get(event->value, "end");
        int64_t next = event->type == OP_OK ? log_poll_next(event->value, log->next) : log->next;
        bool stuck = event->type != OP_OK || next == log->next;
        log->thread = NOBODY;
        log->over = event->type == OP_OK && value_kind(end) == VALUE_BOOL && value_as_bool(end);
        if (stuck && !log->over) {
            log->not_before_ns = event->time_ns + pause_ns;
            log->over = event->time_ns > log->since_ns + patience_ns;
        } else {
            log->since_ns = event->time_ns;
        }
        log->next = next;
    }
    if (context->news != NULL)
        *context->news = true;
}

static const struct generator_class final_class = {
    .name = "log-final", .next = final_next, .update = final_update};

struct generator *log_final(struct arena *arena, const struct log_mix *mix)
{
    struct final *final = arena_zalloc(arena, sizeof *final);
    final->base.class = &final_class;
    final->mix = mix;
    assert(mix->logs <= LOGS_MAX);
    return &final->base;
}
