/* Why an operation cannot be placed: see explain.h.
 *
 * The words below claim only what the history shows by itself: who last could have left what the
 * operation needed, and what certainly came after that and before the operation began. Where no
 * such simple story holds, the heart of the refutation is listed instead. */
#include "checkers/linearizable/explain.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "harness/base/clock.h"

enum { LISTED_MAX = 12, PARTIAL_MAX = 256 };
#define NO_OP UINT32_MAX

struct story {
    const struct lin_case *found;
    const struct lin_op *at;
    struct buf text;
    uint32_t *events;
    size_t event_count;
};

/* ---- Naming ---- */

static bool is_named(const struct lin_problem *problem, const struct lin_op *op, const char *name)
{
    return problem->model->functions[0] != NULL &&
           strcmp(problem->model->functions[op->op.f], name) == 0;
}

static void name_function(const struct lin_problem *problem, const struct lin_op *op,
                          const char *function, struct buf *out)
{
    buf_add_text(out, function);
    if (is_named(problem, op, "cas") && value_is_pair(op->op.input)) {
        buf_add_text(out, " from ");
        value_print(value_at(op->op.input, 0), out);
        buf_add_text(out, " to ");
        value_print(value_at(op->op.input, 1), out);
        return;
    }
    bool read = is_named(problem, op, "read");
    struct value asked = op->op.input, answered = op->op.output;
    if (read || (value_is_nil(asked) && op->op.known))
        asked = op->op.known ? answered : asked;
    if (!read && value_is_nil(asked))
        return;
    buf_add_text(out, " of ");
    value_print(asked, out);
    if (!read && op->op.known && !value_is_nil(answered) && !value_equal(asked, answered)) {
        buf_add_text(out, " that answered ");
        value_print(answered, out);
    }
}

static void name_op(const struct history *history, const struct lin_problem *problem,
                    const struct lin_op *op, struct buf *out)
{
    buf_add_text(out, "the ");
    name_function(problem, op, history_f_name(history, op->op.event), out);
    buf_printf(out, " by process %d", history->process[op->op.event]);
}

void lin_name_op(const struct history *history, const struct lin_problem *problem, uint32_t op,
                 struct buf *out)
{
    name_op(history, problem, &problem->ops[op], out);
}

static void add_time(const struct history *history, uint32_t event, struct buf *out)
{
    int64_t ns = history->time_ns[event];
    if (ns < 0)
        buf_printf(out, "event %u", event);
    else if (ns < NS_PER_SECOND)
        buf_printf(out, "%.3f ms", (double)ns / 1e6);
    else
        buf_printf(out, "%" PRId64 ".%06d s", ns / NS_PER_SECOND, (int)(ns % NS_PER_SECOND / 1000));
}

static void tell(struct story *story, const struct lin_op *op)
{
    name_op(story->found->history, story->found->problem, op, &story->text);
}

/* "(completed at 11.2 s)", or what else became of it. */
static void tell_end(struct story *story, const struct lin_op *op)
{
    const struct history *history = story->found->history;
    if (op->completion != HISTORY_NONE && history->type[op->completion] == OP_OK) {
        buf_add_text(&story->text, "(completed at ");
        add_time(history, op->completion, &story->text);
    } else {
        buf_add_text(&story->text, "(invoked at ");
        add_time(history, op->op.event, &story->text);
        buf_add_text(&story->text, ", outcome unknown");
    }
    buf_add_char(&story->text, ')');
}

static void show_event(struct story *story, uint32_t event)
{
    if (event != HISTORY_NONE)
        story->events[story->event_count++] = event;
}

static void show(struct story *story, const struct lin_op *op)
{
    show_event(story, op->op.event);
    show_event(story, op->completion);
}

/* A model describes a state as "<subject> is <predicate>". */
static void describe(const struct lin_problem *problem, int64_t state, struct buf *out)
{
    _Alignas(16) unsigned char bytes[MODEL_STATE_MAX] = {0};
    memcpy(bytes, &state, sizeof state);
    problem->model->describe(bytes, problem->space, out);
}

static void split_description(const struct lin_problem *problem, int64_t state, struct buf *subject,
                              struct buf *predicate)
{
    struct buf text = BUF_INIT;
    describe(problem, state, &text);
    const char *is = strstr(buf_text(&text), " is ");
    if (is != NULL) {
        buf_add(subject, text.data, (size_t)(is - text.data));
        buf_add_text(predicate, is + 4);
    } else {
        buf_add_text(subject, "the state");
        buf_add_text(predicate, buf_text(&text));
    }
    buf_free(&text);
}

/* ---- Looking ---- */

static bool leaves_needed(const struct story *story, const struct lin_op *op)
{
    return op != story->at && !op->pure && op->leaves == story->at->needs;
}

/* Where the needed state came from: the last that could have left it, of those invoked before the
 * operation returned, and when its effect was certainly there. */
struct source {
    const struct lin_op *op;      /* NULL: the first state, or nothing */
    const struct lin_op *seen_by; /* something that needed the state and had it sooner than `op`
                                     returned; only when `op` is the one possible source */
    uint32_t effective;           /* position by which it had happened; LIN_NEVER: unknown */
};

static const struct lin_op *first_to_need(const struct story *story)
{
    const struct lin_problem *problem = story->found->problem;
    const struct lin_op *first = NULL;
    for (uint32_t i = 0; i < problem->op_count; i++) {
        const struct lin_op *op = &problem->ops[i];
        if (op != story->at && op->op.known && op->needs == story->at->needs &&
            (first == NULL || op->returned < first->returned))
            first = op;
    }
    return first;
}

static struct source find_source(const struct story *story, bool is_first_state)
{
    const struct lin_problem *problem = story->found->problem;
    struct source source = {.op = NULL};
    uint32_t count = 0;
    for (uint32_t i = 0; i < problem->op_count; i++) {
        const struct lin_op *op = &problem->ops[i];
        if (!leaves_needed(story, op) || op->invoked > story->at->returned)
            continue;
        count++;
        if (source.op == NULL || op->returned > source.op->returned)
            source.op = op;
    }
    source.effective = source.op == NULL ? 0 : source.op->returned;
    const struct lin_op *first = first_to_need(story);
    if (count == 1 && !is_first_state && first != NULL && first->returned < source.effective) {
        source.seen_by = first;
        source.effective = first->returned;
    }
    return source;
}

static const struct lin_op *first_later_source(const struct story *story)
{
    const struct lin_problem *problem = story->found->problem;
    for (uint32_t i = 0; i < problem->op_count; i++)
        if (leaves_needed(story, &problem->ops[i]) && problem->ops[i].invoked > story->at->returned)
            return &problem->ops[i];
    return NULL;
}

/* Something after which the state was, at some moment, certainly another one, with everything that
 * could leave the needed one before it, and all before the operation began: the latest to complete.
 * With `pure` reads that saw another value, else operations that left one. */
static const struct lin_op *proof_of_change(const struct story *story, const struct source *source,
                                            bool pure)
{
    const struct lin_problem *problem = story->found->problem;
    const struct lin_op *proof = NULL;
    for (uint32_t i = 0; i < problem->op_count; i++) {
        const struct lin_op *op = &problem->ops[i];
        int64_t shows = pure ? op->needs : op->leaves;
        if (op->pure != pure || !op->op.known || shows == MODEL_ANY || shows == story->at->needs ||
            op->returned > story->at->invoked || source->effective > op->invoked)
            continue;
        if (proof == NULL || op->returned > proof->returned)
            proof = op;
    }
    return proof;
}

/* Who last could have left what a read saw. */
static const struct lin_op *source_of(const struct lin_problem *problem, const struct lin_op *read)
{
    const struct lin_op *last = NULL;
    for (uint32_t i = 0; i < problem->op_count; i++) {
        const struct lin_op *op = &problem->ops[i];
        if (!op->pure && op->leaves == read->needs && op->invoked < read->returned &&
            (last == NULL || op->invoked > last->invoked))
            last = op;
    }
    return last;
}

static const struct lin_op *previous_ok(const struct story *story)
{
    const struct lin_problem *problem = story->found->problem;
    const struct lin_op *previous = NULL;
    for (uint32_t i = 0; i < problem->op_count; i++) {
        const struct lin_op *op = &problem->ops[i];
        if (op->op.known && op->returned < story->at->invoked &&
            (previous == NULL || op->returned > previous->returned))
            previous = op;
    }
    return previous;
}

/* An operation that failed and would have left the needed state: a sign of a dirty read. Decoded
 * here, since a problem knows nothing of what failed. */
static bool failed_source(const struct story *story, struct lin_op *failed)
{
    const struct lin_case *found = story->found;
    const struct lin_problem *problem = found->problem;
    for (uint32_t i = 0; i < found->event_count; i++) {
        uint32_t event = found->events[i];
        const struct history *history = found->history;
        if (history->type[event] != OP_INVOKE || history_outcome(history, event) != OP_FAIL)
            continue;
        struct value value = history->value[event];
        if (found->keyed && !value_is_pair(value))
            continue;
        *failed = (struct lin_op){
            .op = {.input = found->keyed ? value_at(value, 1) : value, .event = event},
            .completion = history->partner[event]};
        const char *const *functions = problem->model->functions;
        while (functions[failed->op.f] != NULL &&
               strcmp(functions[failed->op.f], history_f_name(history, event)) != 0)
            failed->op.f++;
        struct buf trouble = BUF_INIT;
        bool known = functions[failed->op.f] != NULL &&
                     problem->model->prepare(&failed->op, problem->space, &trouble);
        buf_free(&trouble);
        if (known && problem->model->effect(&failed->op).leaves == story->at->needs)
            return true;
    }
    return false;
}

/* ---- Telling ---- */

struct words {
    struct buf subject, predicate; /* of the needed state: "the value", "3" */
    bool value;                    /* the subject is a value: it is written, not made so */
};

static void tell_nothing_left_it(struct story *story, const struct words *words)
{
    struct lin_op failed;
    const struct lin_op *later = first_later_source(story);
    if (words->value)
        buf_printf(&story->text, "nothing that could have happened before it returned wrote %s",
                   buf_text(&words->predicate));
    else
        buf_printf(&story->text, "nothing that could have happened before it returned made %s %s",
                   buf_text(&words->subject), buf_text(&words->predicate));
    if (failed_source(story, &failed)) {
        buf_add_text(&story->text, "; ");
        tell(story, &failed);
        buf_add_text(&story->text, " failed, and what failed must never be seen");
        show(story, &failed);
    } else if (later != NULL) {
        buf_add_text(&story->text, "; ");
        tell(story, later);
        buf_add_text(&story->text, " was invoked only at ");
        add_time(story->found->history, later->op.event, &story->text);
        show(story, later);
    }
    buf_add_text(&story->text, ".");
}

static void tell_source(struct story *story, const struct words *words, const struct source *source)
{
    const char *predicate = buf_text(&words->predicate);
    if (source->op == NULL) {
        if (words->value)
            buf_printf(&story->text, "%s is the value before the first write", predicate);
        else
            buf_printf(&story->text, "%s was %s at the beginning", buf_text(&words->subject),
                       predicate);
        return;
    }
    if (words->value)
        buf_printf(&story->text, "%s was last written by ", predicate);
    else
        buf_printf(&story->text, "%s was last made %s by ", buf_text(&words->subject), predicate);
    tell(story, source->op);
    buf_add_char(&story->text, ' ');
    tell_end(story, source->op);
    show(story, source->op);
    if (source->seen_by == NULL)
        return;
    buf_add_text(&story->text, ", which had happened when ");
    tell(story, source->seen_by);
    buf_add_text(&story->text, " completed at ");
    add_time(story->found->history, source->seen_by->completion, &story->text);
    show(story, source->seen_by);
}

static void tell_no_return(struct story *story, const struct words *words, const char *since)
{
    if (words->value)
        buf_printf(&story->text, ", and nothing wrote %s after %s.", buf_text(&words->predicate),
                   since);
    else
        buf_printf(&story->text, ", and nothing made %s %s after %s.", buf_text(&words->subject),
                   buf_text(&words->predicate), since);
}

static void tell_this(struct story *story)
{
    buf_printf(&story->text, "this %s", history_f_name(story->found->history, story->at->op.event));
}

/* "but the write of 5 by process 1 completed at 11.9 s, before this read began". */
static void tell_missed(struct story *story, const struct lin_op *missed)
{
    buf_add_text(&story->text, ", but ");
    tell(story, missed);
    buf_add_text(&story->text, " completed at ");
    add_time(story->found->history, missed->completion, &story->text);
    buf_add_text(&story->text, ", before ");
    tell_this(story);
    buf_add_text(&story->text, " began");
    show(story, missed);
}

/* Returns the write that the earlier read saw, if it can be named. */
static const struct lin_op *tell_seen(struct story *story, const struct lin_op *read)
{
    const struct lin_op *source = source_of(story->found->problem, read);
    tell_missed(story, read);
    buf_add_text(&story->text, " and had already seen ");
    if (source != NULL) {
        buf_add_text(&story->text, "what ");
        tell(story, source);
        buf_add_text(&story->text, " left ");
        tell_end(story, source);
        show(story, source);
    } else
        buf_add_text(&story->text, "another value");
    return source;
}

static void tell_heart(struct story *story)
{
    const struct lin_heart *heart = story->found->heart;
    if (!heart->found) {
        buf_add_text(&story->text, "no order of the operations before its return allows it.");
        return;
    }
    const struct lin_problem *problem = &heart->problem;
    buf_printf(&story->text, "these operations alone have no order%s: ",
               problem->any_start ? ", whatever came before them" : "");
    uint32_t told = 0;
    for (uint32_t i = 0; i < problem->op_count; i++) {
        if (told++ >= LISTED_MAX)
            continue;
        const struct lin_op *op = &story->found->problem->ops[problem->ops[i].source];
        buf_add_text(&story->text, told == 1 ? "" : "; ");
        tell(story, op);
        buf_add_text(&story->text, " (");
        add_time(story->found->history, op->op.event, &story->text);
        buf_add_text(&story->text, " to ");
        if (op->op.known)
            add_time(story->found->history, op->completion, &story->text);
        else
            buf_add_text(&story->text, "an unknown end");
        buf_add_char(&story->text, ')');
        show(story, op);
    }
    if (told > LISTED_MAX)
        buf_printf(&story->text, "; and %u more", told - LISTED_MAX);
    buf_add_char(&story->text, '.');
}

static void tell_possible(struct story *story)
{
    const struct lin_problem *problem = story->found->problem;
    const uint8_t *possible = story->found->possible;
    uint32_t count = 0;
    if (possible == NULL || possible[problem->state_count] || possible[story->at->needs])
        return;
    for (uint32_t state = 0; state < problem->state_count; state++)
        count += possible[state];
    if (count == 0 || count > LISTED_MAX)
        return;
    bool first = true;
    for (uint32_t state = 0; state < problem->state_count; state++) {
        struct buf subject = BUF_INIT, predicate = BUF_INIT;
        split_description(problem, state, &subject, &predicate);
        if (possible[state]) {
            if (first)
                buf_printf(&story->text, " While it ran, %s could only be ", buf_text(&subject));
            buf_printf(&story->text, "%s%s", first ? "" : " or ", buf_text(&predicate));
            first = false;
        }
        buf_free(&subject);
        buf_free(&predicate);
    }
    buf_add_char(&story->text, '.');
}

/* ---- As data ---- */

static struct json *op_json(const struct story *story, const struct lin_op *op)
{
    const struct history *history = story->found->history;
    struct json *object = json_object();
    struct buf text = BUF_INIT;
    json_set_int(object, "process", history->process[op->op.event]);
    json_set_text(object, "f", history_f_name(history, op->op.event));
    bool ok = op->completion != HISTORY_NONE && history->type[op->completion] == OP_OK;
    value_print(ok && is_named(story->found->problem, op, "read") ? op->op.output : op->op.input,
                &text);
    json_set_text(object, "value", buf_text(&text));
    json_set_text(object, "outcome", op_type_name(history_outcome(history, op->op.event)));
    struct json *events = json_set(object, "events", json_array());
    json_add(events, json_int(op->op.event));
    json_set_real(object, "invoked-ms", (double)history->time_ns[op->op.event] / 1e6);
    if (op->completion != HISTORY_NONE) {
        json_add(events, json_int(op->completion));
        json_set_real(object, "completed-ms", (double)history->time_ns[op->completion] / 1e6);
    }
    buf_free(&text);
    return object;
}

static int compare_events(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

static size_t sort_events(uint32_t *events, size_t count)
{
    qsort(events, count, sizeof *events, compare_events);
    size_t kept = 0;
    for (size_t i = 0; i < count; i++)
        if (kept == 0 || events[kept - 1] != events[i])
            events[kept++] = events[i];
    return kept;
}

static void add_minimal(const struct story *story, struct json *fields)
{
    const struct lin_heart *heart = story->found->heart;
    if (!heart->found)
        return;
    struct json *operations = json_set(fields, "minimal-operations", json_array());
    uint32_t count = 0, *events = calloc(2 * (size_t)heart->problem.op_count + 1, sizeof *events);
    for (uint32_t i = 0; i < heart->problem.op_count; i++) {
        const struct lin_op *op = &story->found->problem->ops[heart->problem.ops[i].source];
        struct json *object = json_add(operations, op_json(story, op));
        if (!heart->problem.ops[i].op.known)
            json_set_bool(object, "optional", true);
        if (events == NULL)
            continue;
        events[count++] = op->op.event;
        if (op->completion != HISTORY_NONE)
            events[count++] = op->completion;
    }
    struct json *list = json_set(fields, "minimal", json_array());
    size_t kept = events == NULL ? 0 : sort_events(events, count);
    for (size_t i = 0; i < kept; i++)
        json_add(list, json_int(events[i]));
    free(events);
}

static void add_possible(const struct story *story, struct json *fields)
{
    const struct lin_problem *problem = story->found->problem;
    if (story->found->possible == NULL)
        return;
    struct json *list = json_set(fields, "possible-values", json_array());
    for (uint32_t state = 0; state < problem->state_count; state++) {
        if (!story->found->possible[state])
            continue;
        struct buf subject = BUF_INIT, predicate = BUF_INIT;
        split_description(problem, state, &subject, &predicate);
        json_add(list, json_text(buf_text(&predicate)));
        buf_free(&subject);
        buf_free(&predicate);
    }
}

/* What the longest order comes to, in place: by steps each state of a long queue is a copy. */
static bool describe_replayed(const struct lin_case *found, struct buf *text)
{
    const struct model *model = found->problem->model;
    _Alignas(16) unsigned char state[MODEL_STATE_MAX] = {0};
    if (model->replay == NULL || model->replay->describe == NULL)
        return false;
    struct arena arena = ARENA_INIT;
    lin_problem_start(found->problem, state);
    void *object = model->replay->open(&arena, found->problem->space, state);
    bool good = true;
    for (uint32_t i = 0; i < found->partial_count && good; i++)
        good =
            model->replay->apply(object, &found->problem->ops[found->partial[i]].op,
                                 found->partial_took == NULL ? MODEL_ANY : found->partial_took[i]);
    if (good)
        model->replay->describe(object, found->problem->space, text);
    arena_free(&arena);
    return good;
}

enum { STEPS_MAX = 20000 };

static bool describe_stepped(const struct lin_case *found, struct buf *text)
{
    const struct model *model = found->problem->model;
    _Alignas(16) unsigned char state[MODEL_STATE_MAX] = {0};
    if (model->replay != NULL && found->partial_count > STEPS_MAX)
        return false;
    lin_problem_start(found->problem, state);
    for (uint32_t i = 0; i < found->partial_count; i++)
        if (!model->step(state, &found->problem->ops[found->partial[i]].op, found->problem->space,
                         state))
            return false; /* the space is full */
    model->describe(state, found->problem->space, text);
    return true;
}

/* The end of the longest order, by invocations, and what it comes to. */
static void add_partial(const struct story *story, struct json *fields)
{
    const struct lin_case *found = story->found;
    struct buf text = BUF_INIT;
    if (found->partial == NULL)
        return;
    struct json *list = json_set(fields, "partial", json_array());
    uint32_t count = found->partial_count;
    for (uint32_t i = count > PARTIAL_MAX ? count - PARTIAL_MAX : 0; i < count; i++)
        json_add(list, json_int(found->problem->ops[found->partial[i]].op.event));
    json_set_int(fields, "partial-count", count);
    if (describe_replayed(found, &text) || describe_stepped(found, &text))
        json_set_text(fields, "partial-ends-with", buf_text(&text));
    buf_free(&text);
}

static struct json *make_fields(const struct story *story, const struct lin_op *source,
                                const struct lin_op *missed)
{
    const struct lin_op *previous = previous_ok(story);
    struct json *fields = json_object();
    if (story->found->keyed) {
        struct buf key = BUF_INIT;
        value_print(story->found->key, &key);
        json_set_text(fields, "key", buf_text(&key));
        buf_free(&key);
    }
    json_set(fields, "op", op_json(story, story->at));
    if (missed != NULL)
        json_set(fields, "missed", op_json(story, missed));
    if (source != NULL)
        json_set(fields, "last-source", op_json(story, source));
    if (previous != NULL)
        json_set(fields, "previous-ok", op_json(story, previous));
    add_possible(story, fields);
    add_partial(story, fields);
    json_set_bool(fields, "certified", story->found->heart->certified);
    if (story->found->heart->certified)
        json_set_text(fields, "certified-by", story->found->heart->certified_by);
    add_minimal(story, fields);
    return fields;
}

/* ---- The explanation ---- */

static void tell_opening(struct story *story)
{
    const struct history *history = story->found->history;
    if (story->found->keyed) {
        buf_add_text(&story->text, "Key ");
        value_print(story->found->key, &story->text);
        buf_add_text(&story->text, ": ");
    }
    size_t begin = story->text.length;
    tell(story, story->at);
    if (begin == 0)
        story->text.data[0] = 'T';
    buf_add_text(&story->text, " (invoked at ");
    add_time(history, story->at->op.event, &story->text);
    buf_add_text(&story->text, ", returned at ");
    add_time(history, story->at->completion, &story->text);
    buf_add_text(&story->text, ") cannot be placed: ");
    show(story, story->at);
}

static const char *title_kind(const struct story *story, bool nothing_left_it)
{
    if (!story->at->pure)
        return "%s could not have succeeded";
    return nothing_left_it ? "%s, which nothing wrote" : "stale %s";
}

static void make_title(const struct story *story, const char *format, struct buf *title)
{
    struct buf name = BUF_INIT;
    name_function(story->found->problem, story->at,
                  history_f_name(story->found->history, story->at->op.event), &name);
    const char *place = strstr(format, "%s");
    buf_add(title, format, (size_t)(place - format));
    buf_add_text(title, buf_text(&name));
    buf_add_text(title, place + 2);
    buf_free(&name);
}

/* For models with an effect: the story of the state that was needed. Returns the title's form. */
static const char *tell_story(struct story *story, const struct lin_op **last_source,
                              const struct lin_op **missed)
{
    const struct lin_problem *problem = story->found->problem;
    int64_t first_state = 0;
    lin_problem_start(problem, &first_state);
    struct words words = {.subject = BUF_INIT, .predicate = BUF_INIT};
    split_description(problem, story->at->needs, &words.subject, &words.predicate);
    words.value = strcmp(buf_text(&words.subject), "the value") == 0;
    bool is_first_state = first_state == story->at->needs;
    struct source source = find_source(story, is_first_state);
    *last_source = source.op;
    const char *title = NULL;
    if (source.op == NULL && !is_first_state) {
        tell_nothing_left_it(story, &words);
        title = title_kind(story, true);
    } else {
        const struct lin_op *proof = proof_of_change(story, &source, false);
        const struct lin_op *read = proof == NULL ? proof_of_change(story, &source, true) : NULL;
        if (proof != NULL || read != NULL) {
            tell_source(story, &words, &source);
            title = title_kind(story, false);
        }
        if (proof != NULL) {
            tell_missed(story, proof);
            tell_no_return(story, &words, "it");
        } else if (read != NULL) {
            proof = tell_seen(story, read);
            tell_no_return(story, &words, "that");
        }
        *missed = proof;
    }
    buf_free(&words.subject);
    buf_free(&words.predicate);
    return title;
}

void lin_explain(const struct lin_case *found, struct lin_explanation *explanation)
{
    const struct lin_problem *problem = found->problem;
    struct story story = {.found = found, .at = &problem->ops[found->at], .text = BUF_INIT};
    story.events = calloc(2 * (size_t)problem->op_count + 32, sizeof *story.events);
    if (story.events == NULL)
        abort(); /* as buf does: there is no memory left for a few words */
    const struct lin_op *source = NULL, *missed = NULL;
    const char *title = NULL;
    tell_opening(&story);
    if (problem->model->effect != NULL && story.at->needs != MODEL_ANY)
        title = tell_story(&story, &source, &missed);
    if (title == NULL) {
        tell_heart(&story);
        title = "%s fits no order";
    }
    if (problem->model->effect != NULL && story.at->needs != MODEL_ANY)
        tell_possible(&story);
    struct buf title_text = BUF_INIT;
    make_title(&story, title, &title_text);
    *explanation =
        (struct lin_explanation){.title = buf_take(&title_text),
                                 .text = buf_take(&story.text),
                                 .events = story.events,
                                 .event_count = sort_events(story.events, story.event_count),
                                 .fields = make_fields(&story, source, missed)};
}

void lin_explanation_free(struct lin_explanation *explanation)
{
    free(explanation->title);
    free(explanation->text);
    free(explanation->events);
    json_free(explanation->fields);
    *explanation = (struct lin_explanation){.title = NULL};
}
