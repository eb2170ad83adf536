/* Logs: values are appended, each once, and readers poll from where they are.
 *
 *   append {:log 0 :value 17} -> {:log 0 :value 17 :offset 5}
 *   poll   {:log 0 :from 3}   -> {:log 0 :from 3 :records [[3 12] [5 17]] :end true}
 *
 * A poll answers records from `from` on, in order, and none between the first and the last is left
 * out; offsets may have holes. `:end` says that there was nothing behind them. Every thread has a
 * place of its own in each log, polls on from there, and now and then begins anew. */
#include "workloads/log.h"

#include <string.h>

#include "harness/workload.h"
#include "workloads/workloads.h"

static const struct option options[] = {
    {.name = "logs", .kind = OPTION_INT, .fallback = "3", .help = "how many logs, at most 64"},
    {.name = "poll", .kind = OPTION_REAL, .fallback = "0.4", .help = "fraction of polls"},
    {.name = "rewind",
     .kind = OPTION_REAL,
     .fallback = "0.01",
     .help = "fraction of polls that begin at the beginning again"},
    {.name = "records",
     .kind = OPTION_INT,
     .fallback = "100",
     .help = "records that one poll answers at most, 1 to 10000"},
    {.name = "final-polls",
     .kind = OPTION_BOOL,
     .fallback = "true",
     .help = "read every log from beginning to end when everything was healed"},
    {.name = NULL},
};

struct reader {
    int64_t next[LOGS_MAX], from; /* by log; of the poll that is out */
};

struct work {
    struct generator base;
    struct log_mix mix;
    struct prng prng;
    struct arena *arena;
    struct reader *readers; /* by thread */
    uint32_t reader_count;
    int64_t next_value;
};

struct value log_poll_value(int64_t log, int64_t from, struct arena *scratch)
{
    struct value items[] = {value_keyword(scratch, "log"), value_int(scratch, log),
                            value_keyword(scratch, "from"), value_int(scratch, from)};
    return value_items(scratch, VALUE_MAP, items, 4);
}

int64_t log_poll_next(struct value answer, int64_t from)
{
    struct value records = value_get(answer, "records");
    size_t count = value_count(records);
    struct value last = count == 0 ? value_nil() : value_at(records, count - 1);
    int64_t next = value_is_pair(last) ? value_as_int(value_at(last, 0)) + 1 : from;
    return next < from ? from : next; /* a system that answers nonsense must not hold us up */
}

int64_t log_records(const struct test *test)
{
    int64_t records = option_int(&test->plan->options, "log.records");
    return records < 1 ? 1 : records > 10000 ? 10000 : records;
}

struct value log_extended(struct value asked, const struct value *more, size_t count,
                          struct arena *scratch)
{
    size_t had = value_count(asked);
    struct value *items = arena_alloc(scratch, (had + count) * sizeof *items);
    for (size_t i = 0; i < had; i++)
        items[i] = value_at(asked, i);
    memcpy(items + had, more, count * sizeof *more);
    return value_items(scratch, VALUE_MAP, items, had + count);
}

static struct reader *reader_of(struct work *work, const struct generator_context *context)
{
    if (work->readers == NULL) {
        work->reader_count = context->thread_count;
        work->readers = arena_zalloc(work->arena, work->reader_count * sizeof *work->readers);
    }
    return &work->readers[(uint32_t)context->thread % work->reader_count];
}

static enum generator_answer work_next(struct generator *generator,
                                       const struct generator_context *context,
                                       struct generator_op *op)
{
    struct work *work = (struct work *)generator;
    struct reader *reader = reader_of(work, context);
    struct arena *scratch = context->scratch;
    int64_t log = (int64_t)prng_below(&work->prng, (uint64_t)work->mix.logs);
    *op = (struct generator_op){.not_before_ns = context->now_ns};
    if (prng_unit(&work->prng) < work->mix.poll) {
        if (prng_unit(&work->prng) < work->mix.rewind)
            reader->next[log] = 0;
        reader->from = reader->next[log];
        op->f = work->mix.poll_f;
        op->value = log_poll_value(log, reader->from, scratch);
        return GENERATOR_OP;
    }
    struct value items[] = {value_keyword(scratch, "log"), value_int(scratch, log),
                            value_keyword(scratch, "value"),
                            value_int(scratch, work->next_value++)};
    op->f = work->mix.append_f;
    op->value = value_items(scratch, VALUE_MAP, items, 4);
    return GENERATOR_OP;
}

static void work_update(struct generator *generator, const struct generator_context *context,
                        const struct op *event)
{
    struct work *work = (struct work *)generator;
    if (event->type != OP_OK || event->f != work->mix.poll_f)
        return;
    struct reader *reader = reader_of(work, context);
    int64_t log = value_as_int(value_get(event->value, "log"));
    if (log >= 0 && log < LOGS_MAX)
        reader->next[log] = log_poll_next(event->value, reader->from);
}

static const struct generator_class work_class = {
    .name = "log-work", .next = work_next, .update = work_update};

static struct log_mix mix_of(const struct test *test)
{
    const struct options *from = &test->plan->options;
    int64_t logs = option_int(from, "log.logs");
    return (struct log_mix){
        .append_f = history_f(test->history, "append"),
        .poll_f = history_f(test->history, "poll"),
        .logs = logs < 1          ? 1
                : logs > LOGS_MAX ? LOGS_MAX
                                  : logs,
        .poll = option_real(from, "log.poll"),
        .rewind = option_real(from, "log.rewind"),
    };
}

static struct generator *generator(struct test *test, struct arena *arena)
{
    struct work *work = arena_zalloc(arena, sizeof *work);
    work->base.class = &work_class;
    work->mix = mix_of(test);
    work->prng = prng_stream(test->plan->seed, "workload");
    work->arena = arena;
    return generator_on_clients(arena, &work->base);
}

static struct generator *final_generator(struct test *test, struct arena *arena)
{
    if (!option_bool(&test->plan->options, "log.final-polls"))
        return generator_nothing(arena);
    struct log_mix *mix = arena_alloc(arena, sizeof *mix);
    *mix = mix_of(test);
    return generator_on_clients(arena, log_final(arena, mix));
}

static const struct word words[] = {
    {"append", "{\"log\": L, \"value\": V}", "{:log same :value same}",
     "puts it behind the log's last value; adds \"offset\", a number, where it is known"},
    {"poll", "{\"log\": L, \"from\": OFFSET}", "{:log same :from same :records [[int int]*]}",
     "records from that offset on, each [OFFSET VALUE]; adds \"end\": true when there are no more"},
    {.f = NULL},
};

static const char *const judged_by[] = {"log-offsets", "stats",  "availability",
                                        "crashes",     "faults", NULL};

const struct workload workload_log = {
    .name = "log",
    .summary = "values are appended to logs and polled by offset: is each one there, and in order?",
    .options = options,
    .checkers = judged_by,
    .generator = generator,
    .final_generator = final_generator,
    .words = words,
};
