/* A set that is read at the end: what `add` acknowledged must be in the last successful `read`, and
 * nothing else may be, but for what an indeterminate add may have added.
 *
 * Only adds that were acknowledged before that read began can be missed by it; and what it shows
 * must have been invoked before it ended, by an add that did not fail. */
#include <inttypes.h>

#include "checkers/checkers.h"
#include "checkers/folding/by_key.h"
#include "checkers/folding/fold.h"

struct members {
    struct elements elements; /* that were to be added */
    struct elements strangers;
    uint8_t *state; /* by element */
};
enum {
    MEMBER_POSSIBLE = 1,     /* an add that did not fail began before the read ended */
    MEMBER_ACKNOWLEDGED = 2, /* and was acknowledged before it began */
    MEMBER_LATER = 4,        /* an add was acknowledged, but not before it began */
    MEMBER_READ = 8,
    MEMBER_TWICE = 16,
};

static uint32_t last_read(const struct history *history, int read)
{
    for (uint32_t i = history->count; read >= 0 && i-- > 0;)
        if (fold_is(history, i, OP_OK, read))
            return i;
    return HISTORY_NONE;
}

static uint32_t collect_adds(const struct history *history, int add, uint32_t read,
                             struct members *members)
{
    uint32_t attempts = 0, began = history->partner[read];
    for (uint32_t i = 0; add >= 0 && i < history->count; i++) {
        if (!fold_is(history, i, OP_INVOKE, add))
            continue;
        attempts++;
        uint32_t element = elements_add(&members->elements, history->value[i]);
        uint32_t completion = history->partner[i];
        enum op_type outcome = history_outcome(history, i);
        if (outcome != OP_FAIL && i < read)
            members->state[element] |= MEMBER_POSSIBLE;
        if (outcome != OP_OK)
            continue;
        members->state[element] |= completion < began ? MEMBER_ACKNOWLEDGED : MEMBER_LATER;
    }
    return attempts;
}

struct lists {
    struct fold_list ok, lost, unexpected, recovered, duplicated;
};

static void collect_read(struct value read, struct members *members, struct lists *lists)
{
    for (size_t i = 0; i < value_count(read); i++) {
        struct value value = value_at(read, i);
        uint32_t element = elements_find(&members->elements, value);
        if (element == ELEMENT_NONE) {
            uint32_t before = members->strangers.count;
            if (elements_add(&members->strangers, value) == before)
                fold_list_add(&lists->unexpected, value, true);
            continue;
        }
        uint8_t *state = &members->state[element];
        if ((*state & (MEMBER_READ | MEMBER_TWICE)) == MEMBER_READ) {
            fold_list_add(&lists->duplicated, value, true);
            *state |= MEMBER_TWICE;
        }
        *state |= MEMBER_READ;
    }
}

static void sort_out(const struct members *members, struct lists *lists)
{
    for (uint32_t i = 0; i < members->elements.count; i++) {
        uint8_t state = members->state[i];
        struct value value = members->elements.values[i];
        bool acknowledged = state & (MEMBER_ACKNOWLEDGED | MEMBER_LATER);
        if (!(state & MEMBER_READ)) {
            if (state & MEMBER_ACKNOWLEDGED)
                fold_list_add(&lists->lost, value, true);
        } else if (!(state & MEMBER_POSSIBLE)) {
            fold_list_add(&lists->unexpected, value, true);
        } else {
            fold_list_add(&lists->ok, value, true);
            if (!acknowledged)
                fold_list_add(&lists->recovered, value, true);
        }
    }
}

static void tell(struct check_result *result, struct fold_list *list, const char *kind,
                 const char *title, const char *what, uint32_t read)
{
    if (list->count == 0)
        return;
    fold_sort(list->values, list->kept);
    struct buf text = BUF_INIT;
    fold_add_some(list, &text);
    buf_add_text(&text, what);
    check_verdict(result, VERDICT_INVALID, "%s", buf_text(&text));
    check_anomaly(result, kind, title, buf_text(&text), &read, 1);
    buf_free(&text);
}

static void judge(const struct check_input *input, struct check_result *result, int add,
                  uint32_t read, struct arena *arena)
{
    const struct history *history = input->history;
    struct members members = {.state = NULL};
    struct lists lists = {.ok = {.values = NULL}};
    elements_init(&members.elements, arena, history->count / 2 + 1);
    elements_init(&members.strangers, arena, 0);
    members.state = arena_zalloc(arena, history->count + 1);
    uint32_t attempts = collect_adds(history, add, read, &members), acknowledged = 0;
    for (uint32_t i = 0; i < members.elements.count; i++)
        acknowledged += (members.state[i] & (MEMBER_ACKNOWLEDGED | MEMBER_LATER)) != 0;
    collect_read(history->value[read], &members, &lists);
    sort_out(&members, &lists);
    tell(result, &lists.lost, "lost", "acknowledged elements are missing",
         ": acknowledged before the last read began, and not in it", read);
    tell(result, &lists.unexpected, "unexpected", "elements that nobody can have added",
         ": read, though no add that did not fail had begun", read);
    struct json *details = result->details;
    json_set_int(details, "attempt-count", attempts);
    json_set_int(details, "acknowledged-count", acknowledged);
    fold_set_ranges(details, "ok", &lists.ok);
    fold_set_ranges(details, "lost", &lists.lost);
    fold_set_ranges(details, "unexpected", &lists.unexpected);
    fold_set_ranges(details, "recovered", &lists.recovered);
    fold_set_ranges(details, "duplicated", &lists.duplicated);
    if (attempts == 0)
        check_verdict(result, VERDICT_UNKNOWN, "nothing was ever added");
    check_verdict(result, VERDICT_VALID,
                  "%" PRIu32 " adds, %" PRIu32 " elements acknowledged, none lost", attempts,
                  acknowledged);
    fold_list_free(&lists.ok);
    fold_list_free(&lists.lost);
    fold_list_free(&lists.unexpected);
    fold_list_free(&lists.recovered);
    fold_list_free(&lists.duplicated);
}

static void check_one(const struct check_input *input, struct check_result *result)
{
    const struct history *history = input->history;
    if (!fold_understands(input, result, (const char *const[]){"add", "read", NULL}))
        return;
    uint32_t read = last_read(history, fold_f(input, "read"));
    if (read == HISTORY_NONE) {
        check_verdict(result, VERDICT_UNKNOWN, "the set was never read");
        return;
    }
    if (!fold_is_collection(history->value[read])) {
        check_verdict(result, VERDICT_UNKNOWN,
                      "event %" PRIu32 ": the last read told no collection", read);
        return;
    }
    struct arena arena = ARENA_INIT;
    judge(input, result, fold_f(input, "add"), read, &arena);
    arena_free(&arena);
}

static void check(const struct check_input *input, struct check_result *result)
{
    fold_check(input, result, check_one);
}

const struct checker checker_set = {
    .name = "set",
    .summary = "the last read holds what was added, and nothing else",
    .check = check,
};
