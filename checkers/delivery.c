/* A queue's promises, one verdict each: see docs/delivery.md for what they mean and why a right
 * queue is never convicted. This file is the plug-in; delivery/ does the work: `vocabulary` reads
 * operations, `fold` passes over the history, `deliver` and `lease` are the rules, `end` is what
 * never came, `promises` the verdicts and `life` the words. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "checkers/checkers.h"
#include "checkers/delivery/life.h"
#include "checkers/delivery/promises.h"
#include "checkers/fault_windows.h"
#include "harness/base/clock.h"
#include "harness/base/text.h"

enum { LIFE_EVENTS = 40 };

/* ---- What is promised ---- */

struct promised {
    uint32_t bits; /* by index into promises */
    bool by_plan;  /* named by the plan, so that what was not tested is not satisfied */
    bool declared; /* and what the system declares */
};

static bool add_name(struct promised *promised, const char *name)
{
    if (strcmp(name, "declared") == 0)
        promised->declared = true;
    if (strcmp(name, "declared") == 0 || strcmp(name, "none") == 0)
        return true;
    bool all = strcmp(name, "all") == 0, found = all;
    for (int i = 0; promises[i].name != NULL; i++)
        if (all || strcmp(promises[i].name, name) == 0) {
            promised->bits |= UINT32_C(1) << i;
            found = true;
        }
    return found;
}

static bool add_list(struct promised *promised, const char *list)
{
    struct arena arena = ARENA_INIT;
    const char **names;
    size_t count = text_split(&arena, list, ',', &names);
    bool good = true;
    for (size_t i = 0; i < count; i++)
        good = add_name(promised, names[i]) && good;
    arena_free(&arena);
    return good;
}

static bool find_promised(const struct check_input *input, struct promised *promised)
{
    const char *list = option_text(&input->options, "delivery.promise");
    *promised = (struct promised){.by_plan = strcmp(list, "declared") != 0};
    return add_list(promised, list) &&
           (!promised->declared ||
            add_list(promised, option_text(&input->options, "delivery.declared")));
}

/* ---- Settings ---- */

static int64_t duration_or(const struct options *options, const char *name, const char *word,
                           int64_t meaning)
{
    const char *text = option_text(options, name);
    int64_t ns = meaning;
    if (strcmp(text, word) != 0 && clock_parse_duration(text, &ns, NULL) != ERR_NONE)
        return -2;
    return ns;
}

static bool read_settings(const struct check_input *input, struct arena *arena,
                          struct settings *settings, struct check_result *result)
{
    const struct options *options = &input->options;
    const char *dead = option_text(options, "delivery.dead-letter");
    *settings = (struct settings){
        .slack_ns = option_duration_ns(options, "delivery.slack"),
        .stuck_ns = option_duration_ns(options, "delivery.stuck-after"),
        .settle_ns = duration_or(options, "delivery.settle", "never", INT64_MAX),
        .retry_ns = duration_or(options, "delivery.retry", "unknown", DURATION_NONE),
    };
    if (settings->settle_ns == -2 || settings->retry_ns == -2) {
        check_verdict(result, VERDICT_UNKNOWN, "delivery.%s is no duration, nor '%s'",
                      settings->retry_ns == -2 ? "retry" : "settle",
                      settings->retry_ns == -2 ? "unknown" : "never");
        return false;
    }
    if (strcmp(dead, "none") != 0)
        settings->dead_letter = value_string(arena, dead);
    return true;
}

/* When the last fault was undone; INT64_MAX when one never was; INT64_MIN without faults. */
static int64_t find_healed(const struct history *history)
{
    struct fault_windows windows;
    int64_t healed_ns = INT64_MIN;
    if (fault_windows_find(history, &windows) != ERR_NONE)
        return INT64_MAX;
    for (size_t i = 0; i < windows.count; i++) {
        const struct fault_window *window = &windows.items[i];
        if (!fault_happened(window))
            continue;
        int64_t end_ns =
            window->end_done == HISTORY_NONE ? INT64_MAX : history->time_ns[window->end_done];
        healed_ns = end_ns > healed_ns ? end_ns : healed_ns;
    }
    fault_windows_free(&windows);
    return healed_ns;
}

/* ---- The result ---- */

static void add_anomalies(const struct judge *judge, uint32_t kinds, struct check_result *result)
{
    for (int kind = 0; kind < FINDING_KINDS; kind++) {
        size_t count =
            kinds >> kind & 1 ? finding_examples(&judge->findings, (enum finding_kind)kind) : 0;
        for (size_t i = 0; i < count; i++) {
            const struct finding *finding = &judge->findings.examples[kind][i];
            struct buf title = BUF_INIT, text = BUF_INIT;
            uint32_t events[LIFE_EVENTS];
            size_t event_count = life_tell(judge, finding, &text, events, LIFE_EVENTS);
            life_title(judge, finding, &title);
            check_anomaly(result, finding_name(finding->kind), buf_text(&title), buf_text(&text),
                          events, event_count);
            buf_free(&title);
            buf_free(&text);
        }
    }
}

/* The first finding that breaks the promise, in words. */
static void tell_first(const struct judge *judge, const struct promise *promise, struct buf *out)
{
    for (int kind = 0; kind < FINDING_KINDS; kind++)
        if (promise->broken_by >> kind & 1 && judge->findings.counts[kind] > 0) {
            uint32_t events[LIFE_EVENTS];
            life_tell(judge, &judge->findings.examples[kind][0], out, events, LIFE_EVENTS);
            return;
        }
}

static void describe_kinds(const struct judge *judge, const struct promise *promise,
                           struct json *object)
{
    struct json *kinds = json_set(object, "findings", json_object());
    for (int kind = 0; kind < FINDING_KINDS; kind++)
        if (promise->broken_by >> kind & 1 && judge->findings.counts[kind] > 0)
            json_set_int(kinds, finding_name((enum finding_kind)kind),
                         (int64_t)judge->findings.counts[kind]);
}

struct tally {
    struct buf untested;
    uint32_t kinds; /* that break what is promised */
    int promised, tested;
};

static void judge_promise(const struct judge *judge, const struct promised *promised, int index,
                          struct check_result *result, struct json *list, struct tally *tally)
{
    const struct promise *promise = &promises[index];
    bool is_promised = promised->bits >> index & 1, tested;
    struct buf reason = BUF_INIT;
    enum verdict verdict = promise_judge(judge, promise, &reason, &tested);
    struct json *object = json_set(list, promise->name, json_object());
    json_set_bool(object, "promised", is_promised);
    json_set(object, "valid", verdict_json(verdict));
    json_set_int(object, "count", (int64_t)promise_violations(judge, promise));
    describe_kinds(judge, promise, object);
    if (verdict == VERDICT_INVALID) {
        buf_add_text(&reason, ": ");
        tell_first(judge, promise, &reason);
    }
    json_set_text(object, "reason", buf_text(&reason));
    if (is_promised) {
        tally->promised++;
        tally->tested += tested;
        tally->kinds |= promise->broken_by;
        if (!tested)
            buf_printf(&tally->untested, "%s%s", tally->untested.length > 0 ? ", " : "",
                       promise->name);
        if (verdict != VERDICT_VALID && (tested || promised->by_plan))
            check_verdict(result, verdict, "%s: %s", promise->name, buf_text(&reason));
    }
    buf_free(&reason);
}

static void describe_problems(const struct judge *judge, struct check_result *result)
{
    struct json *list = json_set(result->details, "problems", json_array());
    json_set_int(result->details, "problem-count", (int64_t)judge->problem_count);
    for (uint64_t i = 0; i < judge->problem_count && i < PROBLEMS_MAX; i++) {
        const struct problem *problem = &judge->problems[i];
        struct buf text = BUF_INIT;
        buf_printf(&text, "event %u (%s of process %d, value ", problem->event,
                   history_f_name(judge->history, problem->event),
                   judge->history->process[problem->event]);
        value_print(judge->history->value[problem->event], &text);
        buf_printf(&text, "): %s", problem->what);
        if (problem->other != HISTORY_NONE)
            buf_printf(&text, " (event %u)", problem->other);
        struct json *object = json_add(list, json_object());
        json_set_int(object, "event", problem->event);
        json_set_text(object, "text", buf_text(&text));
        if (i == 0 && judge->problem_count == 1)
            check_verdict(result, VERDICT_UNKNOWN, "%s", buf_text(&text));
        else if (i == 0)
            check_verdict(result, VERDICT_UNKNOWN, "%s; and %" PRIu64 " more such", buf_text(&text),
                          judge->problem_count - 1);
        buf_free(&text);
    }
}

static void say_nothing_to_judge(const struct judge *judge, struct check_result *result)
{
    struct buf names = BUF_INIT;
    const struct history *history = judge->history;
    for (uint32_t f = 0; f < history->f_count && f < 8; f++)
        buf_printf(&names, "%s%s", f > 0 ? ", " : "", history->f_names[f]);
    check_verdict(
        result, VERDICT_UNKNOWN,
        "the history has no operations of a queue (enqueue, dequeue, drain, ack ...)%s%s%s",
        names.length > 0 ? "; it has " : "", buf_text(&names),
        names.length > 0 ? ", which --map may translate" : "");
    buf_free(&names);
}

static void describe(struct judge *judge, struct check_result *result)
{
    struct json *details = result->details;
    json_set_int(details, "message-count", judge->messages.count);
    json_set_int(details, "accepted-count", (int64_t)judge->accepted);
    json_set_int(details, "expired-count", (int64_t)judge->expired);
    json_set_int(details, "missing-spent-count", (int64_t)judge->spent);
    json_set_int(details, "missing-excused-count", (int64_t)judge->excused);
    json_set_int(details, "missing-undrained-count", (int64_t)judge->undrained);
    json_set_int(details, "unfinished-count", (int64_t)judge->unfinished);
    facts_describe(&judge->facts, details);
    if (judge->messages.count > 0)
        json_set_real(details, "bytes-per-message",
                      (double)judge->messages.bytes / judge->messages.count);
}

static void report(struct judge *judge, const struct promised *promised,
                   struct check_result *result)
{
    struct tally tally = {.untested = BUF_INIT};
    struct json *list = json_set(result->details, "promises", json_object());
    if (judge->queue_operations == 0)
        say_nothing_to_judge(judge, result);
    describe_problems(judge, result); /* first: what cannot be read tells more than what follows */
    for (int i = 0; promises[i].name != NULL; i++)
        judge_promise(judge, promised, i, result, list, &tally);
    describe(judge, result);
    add_anomalies(judge, tally.kinds, result);
    if (tally.promised == 0)
        check_verdict(result, VERDICT_UNKNOWN, "nothing is promised, so nothing is judged");
    else if (tally.tested == 0)
        check_verdict(result, VERDICT_UNKNOWN, "none of what is promised was tested (%s)",
                      buf_text(&tally.untested));
    check_verdict(result, VERDICT_VALID,
                  "%d promises kept, %" PRIu64 " messages accepted, %" PRIu64 " deliveries%s%s",
                  tally.tested, judge->accepted, judge->facts.deliveries,
                  tally.untested.length > 0 ? "; not tested: " : "", buf_text(&tally.untested));
    buf_free(&tally.untested);
}

static void check(const struct check_input *input, struct check_result *result)
{
    struct arena arena = ARENA_INIT;
    struct settings settings;
    struct promised promised;
    if (!find_promised(input, &promised))
        check_verdict(result, VERDICT_UNKNOWN, "delivery.promise names what is no promise");
    else if (read_settings(input, &arena, &settings, result)) {
        struct judge *judge = malloc(sizeof *judge);
        if (judge == NULL) {
            check_verdict(result, VERDICT_UNKNOWN, "out of memory");
        } else {
            judge_init(judge, input->history, &settings);
            judge->healed_ns = find_healed(input->history);
            judge_fold(judge);
            judge_end(judge);
            report(judge, &promised, result);
            judge_free(judge);
            free(judge);
        }
    }
    arena_free(&arena);
}

static const struct option options[] = {
    {.name = "promise",
     .kind = OPTION_CHOICES,
     .fallback = "declared",
     .choices = "declared|all|none|" PROMISE_NAMES,
     .help = "What is promised, separated by commas; `declared`: what the system declares."},
    {.name = "declared",
     .kind = OPTION_CHOICES,
     .fallback = "no-loss,no-phantom",
     .choices = "all|none|" PROMISE_NAMES,
     .help = "What the system under test promises, as it declares."},
    {.name = "retry",
     .kind = OPTION_TEXT,
     .fallback = "unknown",
     .help = "The lease of messages that do not say :retry; 0: at most once."},
    {.name = "settle",
     .kind = OPTION_TEXT,
     .fallback = "never",
     .help = "How long after its invocation an operation of unknown outcome may still take effect; "
             "`never`: it may at any time."},
    {.name = "slack",
     .kind = OPTION_DURATION,
     .fallback = "5ms",
     .help = "By how much the clocks of broker and controller may differ over a lease or delay."},
    {.name = "stuck-after",
     .kind = OPTION_DURATION,
     .fallback = "10s",
     .help = "How long after healing a message may be undelivered though it is asked for."},
    {.name = "dead-letter",
     .kind = OPTION_TEXT,
     .fallback = "none",
     .help = "The queue that dead messages are delivered from."},
    {.name = NULL},
};

const struct checker checker_delivery = {
    .name = "delivery",
    .summary = "a queue's promises, one verdict each, with the life lines of offending messages",
    .options = options,
    .check = check,
};
