/* What succeeded while each fault was in force, and how long the system took to recover after it.
 *
 * Facts, never a safety verdict: a system may be unavailable and right. A fault's window is from
 * when its beginning was done to when its end was asked for. An operation succeeded during the
 * fault when all of it lies within the window: one that was on its way when the fault began, or
 * that came back after it, says nothing about what was possible meanwhile. The usual rate is the
 * median over slices of the time outside all faults, so that slow recoveries do not lower the rate
 * that recovering is measured by. Recovery times count from when the end was asked for. */
#include <stdlib.h>
#include <string.h>

#include "checkers/checkers.h"
#include "checkers/fault_windows.h"
#include "harness/base/clock.h"

enum { SLICE_OPERATIONS = 20 }; /* so many successes a slice usually has: fewer would be noise */
static const double recovered_share = 0.9;
#define TIME_MAX_NS (INT64_MAX / 4) /* 73 years: what lies beyond is no time, and sums fit */

struct counts {
    uint64_t invoked, ok, late_ok, fail, info; /* of those invoked within the window */
    bool present;                              /* any of it at all, also on its way at the edges */
};

struct window {
    const struct fault_window *fault;
    int64_t from_ns, to_ns;
    int64_t reach_ns; /* the latest `to_ns` of this and all earlier ones */
    struct counts *by_f;
    size_t missing_count; /* functions of which nothing succeeded */
    bool idle;            /* nothing was tried at all */
};

struct stretch {
    int64_t from_ns, to_ns;
};

struct run {
    const struct history *history;
    struct fault_windows faults;
    struct window *windows; /* of the faults that may have been in force, by from_ns */
    size_t window_count;
    struct counts *counts; /* what the windows' by_f point into */
    int64_t *ok_ns;        /* completions of all that succeeded, ascending */
    size_t ok_count;
    uint64_t *usual_ok;      /* by f: successes outside all faults */
    struct stretch *use;     /* by f: from its first invocation to its last */
    struct stretch *outside; /* outside all faults, ascending: from included, to not */
    size_t outside_count;
    int64_t outside_ns;        /* how long they are together */
    int64_t first_ns, last_ns; /* of the clients' events */
    double usual_rate;         /* successes a second; 0: not known */
    int64_t slice_ns;
};

/* ---- Gathering ---- */

static int by_time(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static int by_from(const void *a, const void *b)
{
    const struct window *x = a, *y = b;
    int order = by_time(&x->from_ns, &y->from_ns);
    return order != 0
               ? order
               : (x->fault->number > y->fault->number) - (x->fault->number < y->fault->number);
}

static bool allocate(struct run *run)
{
    const struct history *history = run->history;
    size_t functions = (size_t)history->f_count + 1;
    run->windows = calloc(run->faults.count + 1, sizeof *run->windows);
    run->counts = calloc(run->faults.count * functions + 1, sizeof *run->counts);
    run->usual_ok = calloc(functions, sizeof *run->usual_ok);
    run->use = calloc(functions, sizeof *run->use);
    run->outside = calloc(run->faults.count + 1, sizeof *run->outside);
    run->ok_ns = malloc(((size_t)history->count / 2 + 1) * sizeof *run->ok_ns);
    return run->windows != NULL && run->counts != NULL && run->usual_ok != NULL &&
           run->use != NULL && run->outside != NULL && run->ok_ns != NULL;
}

static void open_windows(struct run *run)
{
    for (size_t i = 0; i < run->faults.count; i++) {
        const struct fault_window *fault = &run->faults.items[i];
        int64_t from_ns = fault_from_ns(run->history, fault);
        int64_t to_ns = fault_to_ns(run->history, fault);
        if (!fault_happened(fault) || from_ns < 0 || to_ns < from_ns)
            continue;
        run->windows[run->window_count] =
            (struct window){.fault = fault,
                            .from_ns = from_ns,
                            .to_ns = to_ns,
                            .by_f = run->counts + run->window_count * run->history->f_count};
        run->window_count++;
    }
    qsort(run->windows, run->window_count, sizeof *run->windows, by_from);
    int64_t reach_ns = INT64_MIN;
    for (size_t i = 0; i < run->window_count; i++) {
        reach_ns = run->windows[i].to_ns > reach_ns ? run->windows[i].to_ns : reach_ns;
        run->windows[i].reach_ns = reach_ns;
    }
}

/* The first window that any operation from this time on can touch. */
static size_t first_window(const struct run *run, int64_t from_ns)
{
    size_t low = 0, high = run->window_count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (run->windows[middle].reach_ns < from_ns)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void count_in(struct window *window, uint16_t f, enum op_type outcome, int64_t from_ns,
                     int64_t to_ns)
{
    struct counts *counts = &window->by_f[f];
    counts->present = true;
    if (from_ns < window->from_ns || from_ns > window->to_ns)
        return;
    counts->invoked++;
    counts->fail += outcome == OP_FAIL;
    counts->info += outcome == OP_INFO;
    counts->ok += outcome == OP_OK && to_ns <= window->to_ns;
    counts->late_ok += outcome == OP_OK && to_ns > window->to_ns;
}

static void count_operation(struct run *run, uint32_t invocation)
{
    const struct history *history = run->history;
    uint32_t completion = history->partner[invocation];
    enum op_type outcome = history_outcome(history, invocation);
    uint16_t f = history->f[invocation];
    int64_t from_ns = history->time_ns[invocation];
    int64_t to_ns = completion != HISTORY_NONE ? history->time_ns[completion] : INT64_MAX;
    for (size_t i = first_window(run, from_ns);
         i < run->window_count && run->windows[i].from_ns <= to_ns; i++)
        if (run->windows[i].to_ns >= from_ns)
            count_in(&run->windows[i], f, outcome, from_ns, to_ns);
    struct stretch *use = &run->use[f];
    if (use->to_ns == 0 || from_ns < use->from_ns)
        use->from_ns = from_ns;
    if (from_ns >= use->to_ns)
        use->to_ns = from_ns + 1; /* never 0 once used */
    if (run->first_ns < 0 || from_ns < run->first_ns)
        run->first_ns = from_ns;
    if (from_ns > run->last_ns)
        run->last_ns = from_ns;
    if (completion != HISTORY_NONE && to_ns > run->last_ns)
        run->last_ns = to_ns;
    if (outcome == OP_OK)
        run->ok_ns[run->ok_count++] = to_ns;
}

/* ---- The usual rate ---- */

/* How many successes came before this time. */
static size_t ok_before(const struct run *run, int64_t time_ns)
{
    size_t low = 0, high = run->ok_count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (run->ok_ns[middle] < time_ns)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static int by_begin(const void *a, const void *b)
{
    const struct stretch *x = a, *y = b;
    return by_time(&x->from_ns, &y->from_ns);
}

/* What is left of the clients' time without all in which ordeal was at work on a fault: from asking
 * for it to the last word about its end. */
static void find_outside(struct run *run)
{
    const int64_t *time_ns = run->history->time_ns;
    struct stretch *stretches = run->outside;
    for (size_t i = 0; i < run->window_count; i++) {
        const struct fault_window *fault = run->windows[i].fault;
        stretches[i] = (struct stretch){time_ns[fault->begin_asked], fault->end_done != HISTORY_NONE
                                                                         ? time_ns[fault->end_done]
                                                                         : TIME_MAX_NS};
    }
    qsort(stretches, run->window_count, sizeof *stretches, by_begin);
    int64_t free_ns = run->first_ns;
    for (size_t i = 0; i <= run->window_count; i++) { /* each is read before its place is reused */
        struct stretch fault = {run->last_ns + 1, run->last_ns + 1};
        if (i < run->window_count)
            fault = stretches[i];
        if (fault.from_ns > run->last_ns)
            fault.from_ns = run->last_ns + 1;
        if (fault.from_ns > free_ns) {
            stretches[run->outside_count++] = (struct stretch){free_ns, fault.from_ns};
            run->outside_ns += fault.from_ns - free_ns;
        }
        free_ns = fault.to_ns >= free_ns ? fault.to_ns + 1 : free_ns;
    }
}

static bool is_outside(const struct run *run, int64_t time_ns)
{
    size_t low = 0, high = run->outside_count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (run->outside[middle].to_ns <= time_ns)
            low = middle + 1;
        else
            high = middle;
    }
    return low < run->outside_count && run->outside[low].from_ns <= time_ns;
}

static int by_count(const void *a, const void *b)
{
    size_t x = *(const size_t *)a, y = *(const size_t *)b;
    return (x > y) - (x < y);
}

/* The median over whole slices of the time outside; without any whole slice, the mean. */
static void find_usual_rate(struct run *run)
{
    size_t ok = 0, slices = 0;
    for (size_t i = 0; i < run->outside_count; i++)
        ok += ok_before(run, run->outside[i].to_ns) - ok_before(run, run->outside[i].from_ns);
    if (ok == 0)
        return;
    run->usual_rate = (double)ok * 1e9 / (double)run->outside_ns;
    double slice_ns = SLICE_OPERATIONS * 1e9 / run->usual_rate;
    run->slice_ns = slice_ns < (double)run->outside_ns ? (int64_t)slice_ns : run->outside_ns;
    if (run->slice_ns < 100 * NS_PER_MS)
        run->slice_ns = 100 * NS_PER_MS;
    size_t *counts = calloc((size_t)(run->outside_ns / run->slice_ns) + 1, sizeof *counts);
    if (counts == NULL)
        return;
    for (size_t i = 0; i < run->outside_count; i++)
        for (int64_t from_ns = run->outside[i].from_ns;
             from_ns + run->slice_ns <= run->outside[i].to_ns; from_ns += run->slice_ns)
            counts[slices++] = ok_before(run, from_ns + run->slice_ns) - ok_before(run, from_ns);
    qsort(counts, slices, sizeof *counts, by_count);
    if (slices > 0 && counts[slices / 2] > 0)
        run->usual_rate = (double)counts[slices / 2] * 1e9 / (double)run->slice_ns;
    free(counts);
}

static void count_usual(struct run *run)
{
    const struct history *history = run->history;
    for (uint32_t i = 0; i < history->count; i++)
        if (history_is_client(history, i) && history->type[i] == OP_OK)
            run->usual_ok[history->f[i]] += is_outside(run, history->time_ns[i]);
}

/* ---- Each fault ---- */

static double rate(uint64_t count, int64_t duration_ns)
{
    return duration_ns > 0 ? (double)count * 1e9 / (double)duration_ns : 0;
}

static int64_t longest_gap_ns(const struct run *run, const struct window *window)
{
    int64_t last_ns = window->from_ns, longest_ns = 0;
    size_t end = ok_before(run, window->to_ns + 1);
    for (size_t i = ok_before(run, window->from_ns); i < end; i++) {
        if (run->ok_ns[i] - last_ns > longest_ns)
            longest_ns = run->ok_ns[i] - last_ns;
        last_ns = run->ok_ns[i];
    }
    return window->to_ns - last_ns > longest_ns ? window->to_ns - last_ns : longest_ns;
}

/* When the next fault spoils the measuring, or the clients stop. */
static int64_t calm_until_ns(const struct run *run, const struct window *window)
{
    int64_t until_ns = run->last_ns;
    for (size_t i = 0; i < run->window_count; i++) {
        int64_t begin_ns = run->history->time_ns[run->windows[i].fault->begin_asked];
        if (begin_ns > window->to_ns && begin_ns < until_ns)
            until_ns = begin_ns;
    }
    return until_ns;
}

/* From the end to the first slice with the usual rate; -1 when there is none. */
static int64_t recovered_after_ns(const struct run *run, const struct window *window)
{
    int64_t until_ns = calm_until_ns(run, window), from_ns = window->to_ns;
    double enough = recovered_share * run->usual_rate * (double)run->slice_ns / 1e9;
    for (size_t i = ok_before(run, from_ns); run->usual_rate > 0;) {
        if (from_ns + run->slice_ns > until_ns)
            return -1;
        if ((double)(ok_before(run, from_ns + run->slice_ns) - ok_before(run, from_ns)) >= enough)
            return from_ns - window->to_ns;
        if (i == run->ok_count)
            return -1;
        from_ns = run->ok_ns[i++];
    }
    return -1;
}

static void set_ns(struct json *object, const char *name, int64_t ns)
{
    if (ns < 0)
        json_set(object, name, json_null());
    else
        json_set_int(object, name, ns);
}

/* Nothing of the function succeeded, though clients wanted it: some of it was under way, or it was
 * in use both before and after. (Final reads, say, are not missed before the end.) */
static bool is_missing(const struct run *run, const struct window *window, uint32_t f)
{
    const struct stretch *use = &run->use[f];
    if (window->by_f[f].ok > 0)
        return false;
    return window->by_f[f].present ||
           (use->to_ns > window->to_ns && use->from_ns < window->from_ns);
}

static void describe_f(const struct run *run, struct window *window, uint32_t f, struct json *by_f,
                       struct json *missing)
{
    const struct counts *counts = &window->by_f[f];
    const char *name = run->history->f_names[f];
    bool missed = is_missing(run, window, f);
    if (!counts->present && !missed)
        return;
    window->idle = window->idle && !counts->present;
    struct json *object = json_set(by_f, name, json_object());
    json_set_int(object, "count", (int64_t)counts->invoked);
    json_set_int(object, "ok-count", (int64_t)counts->ok);
    json_set_int(object, "late-ok-count", (int64_t)counts->late_ok);
    json_set_int(object, "fail-count", (int64_t)counts->fail);
    json_set_int(object, "info-count", (int64_t)counts->info);
    json_set_real(object, "ok-rate", rate(counts->ok, window->to_ns - window->from_ns));
    json_set_real(object, "usual-ok-rate", rate(run->usual_ok[f], run->outside_ns));
    if (missed) {
        json_add(missing, json_text(name));
        window->missing_count++;
    }
}

static void describe(const struct run *run, struct window *window, struct json *list)
{
    const struct fault_window *fault = window->fault;
    struct json *object = json_add(list, json_object());
    json_set_int(object, "fault", fault->number);
    json_set_text(object, "nemesis", fault->nemesis->name);
    json_set_text(object, "f", fault->nemesis->begin_f);
    json_set_bool(object, "verified", fault->effect == FAULT_IN_FORCE);
    json_set_int(object, "operation-count", (int64_t)fault->operations);
    json_set_int(object, "from-ns", window->from_ns);
    json_set_int(object, "to-ns", window->to_ns);
    struct json *by_f = json_set(object, "by-f", json_object());
    struct json *missing = json_set(object, "missing", json_array());
    uint64_t ok = 0;
    window->idle = true;
    for (uint32_t f = 0; f < run->history->f_count; f++) {
        ok += window->by_f[f].ok;
        describe_f(run, window, f, by_f, missing);
    }
    json_set_real(object, "ok-rate", rate(ok, window->to_ns - window->from_ns));
    set_ns(object, "longest-gap-ns", longest_gap_ns(run, window));
    bool ended = fault->end_asked != HISTORY_NONE;
    size_t next = ok_before(run, window->to_ns + 1);
    set_ns(object, "first-ok-after-ns",
           ended && next < run->ok_count ? run->ok_ns[next] - window->to_ns : -1);
    set_ns(object, "recovered-after-ns", ended ? recovered_after_ns(run, window) : -1);
}

/* ---- In words ---- */

/* "no cas and no read succeeded during fault 3 (kill, 10.1-15.0 s)" */
static void print_missing(const struct run *run, const struct window *window, struct buf *out)
{
    size_t told = 0;
    for (uint32_t f = 0; f < run->history->f_count; f++) {
        if (!is_missing(run, window, f))
            continue;
        buf_printf(out, "%sno %s", told++ > 0 ? " and " : "", run->history->f_names[f]);
    }
    buf_add_text(out, " succeeded during ");
    fault_print(run->history, window->fault, out);
}

/* What did not succeed during which faults. */
static void summarize_missing(const struct run *run, struct buf *out)
{
    enum { TOLD_MAX = 3 };
    size_t missing = 0, idle = 0;
    for (size_t i = 0; i < run->window_count; i++) {
        idle += run->windows[i].idle;
        if (run->windows[i].missing_count == 0 || run->windows[i].idle || missing++ >= TOLD_MAX)
            continue;
        buf_add_text(out, missing > 1 ? "; " : "");
        print_missing(run, &run->windows[i], out);
    }
    if (missing > TOLD_MAX)
        buf_printf(out, "; the like in %zu more", missing - TOLD_MAX);
    if (idle > 0)
        buf_printf(out, "%snothing was even tried during %zu of %zu faults",
                   missing > 0 ? "; " : "", idle, run->window_count);
    if (missing == 0 && idle < run->window_count)
        buf_printf(out, "%ssomething of every function succeeded during %s", idle > 0 ? "; " : "",
                   run->window_count == 1 ? "the one fault"
                   : idle > 0             ? "the others"
                                          : "every fault");
}

/* How long recovering took. */
static void summarize_recovery(const struct run *run, const struct json *list, struct buf *out)
{
    int64_t slowest_ns = -1;
    size_t never = 0;
    for (const struct json *window = json_first(list); window != NULL; window = json_next(window)) {
        int64_t ns = json_as_int(json_get(window, "recovered-after-ns"), -1);
        slowest_ns = ns > slowest_ns ? ns : slowest_ns;
        never += ns < 0;
    }
    if (slowest_ns >= 0) {
        char text[32];
        clock_format_human(slowest_ns, text, sizeof text);
        buf_printf(out, "; back to the usual rate %s after an end at worst", text);
    }
    if (never > 0 && run->usual_rate > 0)
        buf_printf(out, "; after %zu of %zu faults not before the next one or the end", never,
                   run->window_count);
}

static bool has_times(const struct history *history)
{
    for (uint32_t i = 0; i < history->count; i++)
        if (history->time_ns[i] < 0 || history->time_ns[i] > TIME_MAX_NS)
            return false;
    return true;
}

static void measure(struct run *run, struct check_result *result)
{
    const struct history *history = run->history;
    uint64_t operations = 0;
    open_windows(run);
    for (uint32_t i = 0; i < history->count; i++)
        if (history_is_client(history, i) && history->type[i] == OP_INVOKE) {
            count_operation(run, i);
            operations++;
        }
    qsort(run->ok_ns, run->ok_count, sizeof *run->ok_ns, by_time);
    struct json *list = json_set(result->details, "windows", json_array());
    if (operations == 0) {
        check_verdict(result, VERDICT_VALID, "nothing to measure: there are no client operations");
        return;
    }
    find_outside(run);
    find_usual_rate(run);
    count_usual(run);
    json_set_real(result->details, "usual-ok-rate", run->usual_rate);
    for (size_t i = 0; i < run->window_count; i++)
        describe(run, &run->windows[i], list);
    if (run->window_count == 0) {
        check_verdict(result, VERDICT_VALID, "nothing to measure: no fault took effect");
        return;
    }
    struct buf reason = BUF_INIT;
    summarize_missing(run, &reason);
    summarize_recovery(run, list, &reason);
    check_verdict(result, VERDICT_VALID, "%s", reason.data);
    buf_free(&reason);
}

static void check(const struct check_input *input, struct check_result *result)
{
    struct run run = {.history = input->history, .first_ns = -1, .last_ns = -1};
    if (!has_times(input->history))
        check_verdict(result, VERDICT_VALID, "nothing to measure: the history has no times");
    else if (fault_windows_find(input->history, &run.faults) != ERR_NONE || !allocate(&run))
        check_verdict(result, VERDICT_UNKNOWN, "out of memory");
    else
        measure(&run, result);
    fault_windows_free(&run.faults);
    free(run.windows);
    free(run.counts);
    free(run.usual_ok);
    free(run.outside);
    free(run.use);
    free(run.ok_ns);
}

const struct checker checker_availability = {
    .name = "availability",
    .summary = "what succeeded during each fault, and how long recovering took; never a verdict",
    .check = check,
};
