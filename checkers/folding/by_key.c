/* Folding key by key: see by_key.h. */
#include "checkers/folding/by_key.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "harness/histories/value_table.h"

enum { RESULTS_MAX = 100, ANOMALIES_MAX = 20 };

struct split {
    const struct check_input *input;
    struct check_result *result;
    struct value_table keys;
    uint32_t *key_of; /* by event; HISTORY_NONE */
    uint32_t *first;  /* by key: where its events begin in `events` */
    uint32_t *events;
    uint32_t failed, unknown, key_count;
};

/* The key of each client's event: that of its invocation. False: an operation has none. */
static bool number_events(struct split *split)
{
    const struct history *history = split->input->history;
    for (uint32_t i = 0; i < history->count; i++) {
        split->key_of[i] = HISTORY_NONE;
        if (!history_is_client(history, i))
            continue;
        uint32_t asked = history->type[i] == OP_INVOKE ? i : history->partner[i];
        if (asked < i) {
            split->key_of[i] = split->key_of[asked];
        } else if (value_is_pair(history->value[i])) {
            split->key_of[i] = value_table_id(&split->keys, value_at(history->value[i], 0));
        } else if (history_outcome(history, i) != OP_FAIL) {
            check_verdict(split->result, VERDICT_UNKNOWN,
                          "event %" PRIu32 " (%s) has a value that is not [key value]", i,
                          history_f_name(history, i));
            return false;
        }
    }
    return true;
}

static void sort_events(struct split *split, struct arena *arena)
{
    uint32_t count = split->input->history->count, *next;
    split->first = arena_zalloc(arena, ((size_t)split->keys.count + 2) * sizeof *split->first);
    split->events = arena_alloc(arena, ((size_t)count + 1) * sizeof *split->events);
    for (uint32_t i = 0; i < count; i++)
        if (split->key_of[i] != HISTORY_NONE)
            split->first[split->key_of[i] + 1]++;
    for (uint32_t key = 0; key < split->keys.count; key++)
        split->first[key + 1] += split->first[key];
    next = arena_alloc(arena, ((size_t)split->keys.count + 1) * sizeof *next);
    memcpy(next, split->first, (size_t)split->keys.count * sizeof *next);
    for (uint32_t i = 0; i < count; i++)
        if (split->key_of[i] != HISTORY_NONE)
            split->events[next[split->key_of[i]]++] = i;
}

/* One key's operations as a history, with the values inside the pairs. A completion whose value is
 * no pair told nothing that can be taken apart, and stays as it is. */
static bool make_part(const struct split *split, uint32_t key, struct history *part)
{
    const struct history *history = split->input->history;
    struct err err = ERR_INIT;
    for (uint32_t f = 0; f < history->f_count; f++)
        history_f(part, history->f_names[f]);
    for (uint32_t i = split->first[key]; i < split->first[key + 1]; i++) {
        enum err_code code;
        struct op op = history_op(history, split->events[i]);
        if (value_is_pair(op.value))
            op.value = value_at(op.value, 1);
        op.error = op.extra = value_nil();
        history_append_own(part, &op, &code);
        if (code != ERR_NONE)
            return false;
    }
    uint32_t left_open;
    return history_pair_found(part, &left_open, &err) == ERR_NONE;
}

/* The anomalies of a key, with the whole history's numbers. */
static void move_anomalies(struct split *split, uint32_t key, const char *name,
                           const struct json *from)
{
    for (const struct json *one = json_first(from); one != NULL; one = json_next(one)) {
        if (json_count(split->result->anomalies) >= ANOMALIES_MAX)
            return;
        struct json *copy = json_add(split->result->anomalies, json_copy(one));
        struct json *events = json_array();
        for (const struct json *event = json_first(json_get(one, "events")); event != NULL;
             event = json_next(event))
            json_add(events, json_int(split->events[split->first[key] + json_as_int(event, 0)]));
        json_remove(copy, "events");
        json_set(copy, "events", events);
        json_set_text(copy, "key", name);
    }
}

static void judge_key(struct split *split, uint32_t key, check_one_fn *check_one,
                      struct json *results, struct json *failures)
{
    struct history part;
    struct check_result one = {.details = json_object(), .anomalies = json_array()};
    struct check_input input = *split->input;
    struct buf name = BUF_INIT;
    history_init(&part);
    input.history = &part;
    input.keyed = KEYED_NO;
    value_print(split->keys.values[key], &name);
    if (make_part(split, key, &part))
        check_one(&input, &one);
    else
        check_verdict(&one, VERDICT_UNKNOWN, "its operations cannot be told apart");
    split->key_count++;
    split->failed += one.verdict == VERDICT_INVALID;
    split->unknown += one.verdict == VERDICT_UNKNOWN;
    if (one.verdict != VERDICT_VALID) {
        if (json_count(failures) < RESULTS_MAX)
            json_add(failures, json_text(buf_text(&name)));
        check_verdict(split->result, one.verdict, "key %s: %s", buf_text(&name),
                      buf_text(&one.reason));
    }
    move_anomalies(split, key, buf_text(&name), one.anomalies);
    if (json_count(results) < RESULTS_MAX) {
        json_set(one.details, "valid", verdict_json(one.verdict));
        json_set(results, buf_text(&name), one.details);
    } else {
        json_free(one.details);
    }
    json_free(one.anomalies);
    buf_free(&one.reason);
    buf_free(&name);
    history_free(&part);
}

void fold_check(const struct check_input *input, struct check_result *result,
                check_one_fn *check_one)
{
    struct split split = {.input = input, .result = result};
    struct arena arena = ARENA_INIT;
    if (input->keyed != KEYED_YES) {
        check_one(input, result);
        return;
    }
    value_table_init(&split.keys, &arena);
    split.key_of = arena_alloc(&arena, ((size_t)input->history->count + 1) * sizeof *split.key_of);
    struct json *results = json_set(result->details, "results", json_object());
    struct json *failures = json_set(result->details, "failures", json_array());
    if (number_events(&split)) {
        sort_events(&split, &arena);
        for (uint32_t key = 0; key < split.keys.count; key++)
            if (split.first[key] < split.first[key + 1])
                judge_key(&split, key, check_one, results, failures);
        if (split.key_count == 0)
            check_verdict(result, VERDICT_UNKNOWN, "the history has no client operations");
        check_verdict(result, VERDICT_VALID, "%" PRIu32 " keys, all valid", split.key_count);
    }
    json_set_int(result->details, "key-count", split.key_count);
    json_set_int(result->details, "keys-invalid", split.failed);
    json_set_int(result->details, "keys-unknown", split.unknown);
    arena_free(&arena);
}
