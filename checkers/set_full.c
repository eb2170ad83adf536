/* A set that is read all the time. For each element:
 *
 *   known        when its add was acknowledged or a read that shows it completed, whichever first
 *   stable       every read from some moment on shows it
 *   lost         it was known, and from some moment on no read shows it
 *   never read   neither can be said: no read began after it was known
 *   stale        it is stable, but a read that began when it was known does not show it
 *
 * Lost elements, elements that a read shows twice, and elements that nobody can have added make the
 * history invalid, and with `linearizable` stale ones do. All this goes by the order of events: a
 * read that overlaps the last read that shows the element does not make it lost.
 *
 * Reads are gone through from the last invoked to the first. An element is looked for only until a
 * read without it was found, so the whole costs as much as the reads hold. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "checkers/checkers.h"
#include "checkers/folding/by_key.h"
#include "checkers/folding/fold.h"
#include "harness/base/clock.h"

enum { WORST_MAX = 8, ANOMALIES_MAX = 8 };
#define NONE ELEMENT_NONE

struct member {
    uint32_t known;        /* the event, NONE when it never was */
    uint32_t first_asked;  /* invocation of the first add that did not fail */
    uint32_t last_present; /* invocation of the last read that shows it */
    uint32_t last_shown;   /* completion of the read that shows it and completed last */
    uint32_t last_absent;  /* invocation of the last read that does not */
    uint32_t mark, times;  /* the read that showed it last, and how often */
    bool attempted;
};

struct set_full {
    const struct history *history;
    struct check_result *result;
    int add, read;
    struct arena arena;
    struct elements elements;
    struct member *members; /* by element; first those that were to be added */
    uint32_t member_capacity, named;
    uint32_t *reads; /* completions, by invocation, ascending */
    uint32_t read_count, attempts;
    struct fold_list lost, never_read, stale, duplicated, unexpected;
    uint64_t stable;
    int64_t *stable_ms, *lost_ms;
    uint32_t stable_ms_count, lost_ms_count;
};

static struct member *member_of(struct set_full *set, struct value value)
{
    uint32_t before = set->elements.count, element = elements_add(&set->elements, value);
    if (element < before)
        return &set->members[element];
    if (element == set->member_capacity) { /* many that nobody added */
        uint32_t capacity = set->member_capacity * 2;
        struct member *members = arena_alloc(&set->arena, capacity * sizeof *members);
        memcpy(members, set->members, element * sizeof *members);
        set->members = members;
        set->member_capacity = capacity;
    }
    set->members[element] = (struct member){NONE, NONE, NONE, NONE, NONE, NONE, 0, false};
    return &set->members[element];
}

static void know(struct member *member, uint32_t event)
{
    if (event < member->known)
        member->known = event;
}

/* Adds; and the reads, by invocation. Room for elements that only reads name is made first. */
static bool collect(struct set_full *set)
{
    const struct history *history = set->history;
    uint64_t room = 1;
    for (uint32_t i = 0; i < history->count; i++) {
        room += fold_is(history, i, OP_INVOKE, set->add);
        if (fold_is(history, i, OP_OK, set->read))
            set->read_count++;
    }
    set->reads = arena_alloc(&set->arena, ((size_t)set->read_count + 1) * sizeof *set->reads);
    set->members = arena_alloc(&set->arena, room * sizeof *set->members);
    set->member_capacity = (uint32_t)room;
    elements_init(&set->elements, &set->arena, (uint32_t)room);
    set->read_count = 0;
    for (uint32_t i = 0; i < history->count; i++) {
        if (!fold_is(history, i, OP_INVOKE, set->add) && !fold_is(history, i, OP_INVOKE, set->read))
            continue;
        uint32_t completion = history->partner[i];
        enum op_type outcome = history_outcome(history, i);
        if (history->f[i] == set->read) {
            if (outcome == OP_OK && !fold_is_collection(history->value[completion])) {
                check_verdict(set->result, VERDICT_UNKNOWN,
                              "event %" PRIu32 ": a read told no collection", completion);
                return false;
            }
            if (outcome == OP_OK)
                set->reads[set->read_count++] = completion;
            continue;
        }
        struct member *member = member_of(set, history->value[i]);
        set->attempts += !member->attempted;
        member->attempted = true;
        if (outcome != OP_FAIL && i < member->first_asked)
            member->first_asked = i;
        if (outcome == OP_OK)
            know(member, completion);
    }
    set->named = set->elements.count;
    return true;
}

static void tell(struct set_full *set, struct fold_list *list, struct value value, const char *kind,
                 const char *title, const char *what, uint32_t event)
{
    fold_list_add(list, value, false);
    if (list->count > ANOMALIES_MAX)
        return;
    struct buf text = BUF_INIT;
    buf_add_text(&text, "Element ");
    value_print(value, &text);
    buf_add_text(&text, what);
    check_anomaly(set->result, kind, title, buf_text(&text), &event, 1);
    buf_free(&text);
}

/* What one read shows. */
static void take_items(struct set_full *set, uint32_t number)
{
    uint32_t completion = set->reads[number], invocation = set->history->partner[completion];
    struct value items = set->history->value[completion];
    for (size_t i = 0, count = value_count(items); i < count; i++) {
        struct value value = value_at(items, i);
        struct member *member = member_of(set, value);
        if (member->mark == number) {
            if (member->times++ == 1)
                tell(set, &set->duplicated, value, "duplicated", "one read shows it twice",
                     " is twice in one read.", completion);
            continue;
        }
        member->mark = number;
        member->times = 1;
        know(member, completion);
        if (member->last_present == NONE)
            member->last_present = invocation;
        if (member->last_shown == NONE || completion > member->last_shown)
            member->last_shown = completion;
        if (member->first_asked > completion)
            tell(set, &set->unexpected, value, "unexpected", "nobody can have added it",
                 " was read, though no add of it that did not fail had begun.", completion);
    }
}

/* `wanted` are the elements that all later reads show; those this one lacks are done with. */
static void take_reads(struct set_full *set)
{
    uint32_t *wanted = arena_alloc(&set->arena, ((size_t)set->named + 1) * sizeof *wanted);
    uint32_t wanted_count = set->named;
    for (uint32_t i = 0; i < wanted_count; i++)
        wanted[i] = i;
    for (uint32_t number = set->read_count; number-- > 0;) {
        take_items(set, number);
        uint32_t left = 0;
        for (uint32_t i = 0; i < wanted_count; i++) {
            struct member *member = &set->members[wanted[i]];
            if (member->mark == number)
                wanted[left++] = wanted[i];
            else
                member->last_absent = set->history->partner[set->reads[number]];
        }
        wanted_count = left;
    }
}

/* ---- Outcomes ---- */

static int64_t latency_ms(const struct set_full *set, uint32_t from, uint32_t to)
{
    if (to == NONE || set->history->time_ns[to] < 0 || set->history->time_ns[from] < 0)
        return 0;
    int64_t ns = set->history->time_ns[to] + 1 - set->history->time_ns[from];
    return ns < 0 ? 0 : ns / NS_PER_MS;
}

static void sort_out_one(struct set_full *set, uint32_t element)
{
    struct member *member = &set->members[element];
    struct value value = set->elements.values[element];
    bool absent = member->last_absent != NONE, present = member->last_present != NONE;
    bool known_before = absent && member->known < member->last_absent;
    bool lost = known_before && (!present || member->last_shown < member->last_absent);
    if (present && !lost &&
        (known_before || !absent || member->last_absent < member->last_present)) {
        set->stable++;
        set->stable_ms[set->stable_ms_count++] =
            latency_ms(set, member->known, member->last_absent);
        if (known_before)
            tell(set, &set->stale, value, "stale", "a later read does not show it",
                 " was known when a read began that does not show it.", member->last_absent);
    } else if (lost) {
        set->lost_ms[set->lost_ms_count++] = latency_ms(set, member->known, member->last_present);
        tell(set, &set->lost, value, "lost", "no later read shows it",
             present ? " was read, and no read that began later shows it."
                     : " was acknowledged, and no read that began later shows it.",
             member->known);
    } else {
        fold_list_add(&set->never_read, value, false);
    }
}

static int by_latency(const void *left, const void *right)
{
    int64_t a = *(const int64_t *)left, b = *(const int64_t *)right;
    return (a > b) - (a < b);
}

static void set_quantiles(struct json *details, const char *key, int64_t *latencies, uint32_t count)
{
    static const struct {
        const char *name;
        double point;
    } points[] = {{"0", 0}, {"0.5", 0.5}, {"0.95", 0.95}, {"0.99", 0.99}, {"1", 1}};
    if (count == 0)
        return;
    uint32_t sorted = 1; /* as when all are 0 */
    while (sorted < count && latencies[sorted - 1] <= latencies[sorted])
        sorted++;
    if (sorted < count)
        qsort(latencies, count, sizeof *latencies, by_latency);
    struct json *object = json_set(details, key, json_object());
    for (size_t i = 0; i < sizeof points / sizeof points[0]; i++) {
        uint32_t at = (uint32_t)(points[i].point * count);
        json_set_int(object, points[i].name, latencies[at < count ? at : count - 1]);
    }
}

static int by_staleness(const void *left, const void *right)
{
    const int64_t *a = left, *b = right;
    return (a[0] < b[0]) - (a[0] > b[0]);
}

/* The elements that took longest to show up. */
static void set_worst(struct set_full *set)
{
    struct json *worst = json_set(set->result->details, "worst-stale", json_array());
    int64_t(*pairs)[2] = arena_alloc(&set->arena, ((size_t)set->stale.count + 1) * sizeof *pairs);
    uint32_t count = 0;
    for (uint32_t i = 0; i < set->named && count < set->stale.count; i++) {
        const struct member *member = &set->members[i];
        bool stale = member->last_present != NONE && member->last_absent != NONE &&
                     member->known < member->last_absent &&
                     member->last_shown > member->last_absent;
        if (!stale)
            continue;
        pairs[count][0] = latency_ms(set, member->known, member->last_absent);
        pairs[count++][1] = i;
    }
    qsort(pairs, count, sizeof *pairs, by_staleness);
    for (uint32_t i = 0; i < count && i < WORST_MAX; i++) {
        const struct member *member = &set->members[pairs[i][1]];
        struct json *entry = json_add(worst, json_object());
        json_set(entry, "element", fold_json(set->elements.values[pairs[i][1]]));
        json_set_text(entry, "outcome", "stable");
        json_set_int(entry, "stable-latency", pairs[i][0]);
        json_set_int(entry, "known", member->known);
        json_set_int(entry, "last-absent", member->last_absent);
    }
}

static void judge_list(struct set_full *set, const struct fold_list *list, const char *what)
{
    if (list->count == 0)
        return;
    struct buf text = BUF_INIT;
    fold_add_some(list, &text);
    check_verdict(set->result, VERDICT_INVALID, "%s %s", buf_text(&text), what);
    buf_free(&text);
}

static void report(struct set_full *set, bool linearizable)
{
    struct json *details = set->result->details;
    json_set_int(details, "attempt-count", set->attempts);
    json_set_int(details, "stable-count", (int64_t)set->stable);
    judge_list(set, &set->lost, "lost");
    judge_list(set, &set->duplicated, "twice in one read");
    judge_list(set, &set->unexpected, "read, that nobody can have added");
    if (linearizable)
        judge_list(set, &set->stale, "stale");
    if (set->stable == 0)
        check_verdict(set->result, VERDICT_UNKNOWN,
                      "no element was ever read for good (%" PRIu32 " elements, %" PRIu32 " reads)",
                      set->attempts, set->read_count);
    check_verdict(set->result, VERDICT_VALID,
                  "%" PRIu64 " of %" PRIu32 " elements stable, %" PRIu64
                  " never read, none lost, %" PRIu64 " stale on the way",
                  set->stable, set->attempts, set->never_read.count, set->stale.count);
    set_worst(set);
    set_quantiles(details, "stable-latencies", set->stable_ms, set->stable_ms_count);
    set_quantiles(details, "lost-latencies", set->lost_ms, set->lost_ms_count);
    fold_set_list(details, "lost", &set->lost);
    fold_set_list(details, "never-read", &set->never_read);
    fold_set_list(details, "stale", &set->stale);
    fold_set_list(details, "duplicated", &set->duplicated);
    fold_set_list(details, "unexpected", &set->unexpected);
}

static void check_one(const struct check_input *input, struct check_result *result)
{
    struct set_full set = {.history = input->history, .result = result};
    if (!fold_understands(input, result, (const char *const[]){"add", "read", NULL}))
        return;
    set.add = fold_f(input, "add");
    set.read = fold_f(input, "read");
    if (collect(&set)) {
        take_reads(&set);
        size_t bytes = ((size_t)set.named + 1) * sizeof *set.stable_ms;
        set.stable_ms = arena_alloc(&set.arena, bytes);
        set.lost_ms = arena_alloc(&set.arena, bytes);
        for (uint32_t i = 0; i < set.named; i++)
            sort_out_one(&set, i);
        report(&set, option_bool(&input->options, "set-full.linearizable"));
    }
    fold_list_free(&set.lost);
    fold_list_free(&set.never_read);
    fold_list_free(&set.stale);
    fold_list_free(&set.duplicated);
    fold_list_free(&set.unexpected);
    arena_free(&set.arena);
}

static void check(const struct check_input *input, struct check_result *result)
{
    fold_check(input, result, check_one);
}

static const struct option options[] = {
    {.name = "linearizable",
     .kind = OPTION_BOOL,
     .fallback = "false",
     .help = "Whether a stale read is a violation, and not only an element that is lost."},
    {.name = NULL},
};

const struct checker checker_set_full = {
    .name = "set-full",
    .summary = "each element stays once it is known; when it could be read first",
    .options = options,
    .check = check,
};
