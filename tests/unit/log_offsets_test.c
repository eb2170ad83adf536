/* The checkers log-offsets and monotonic: every kind of wrong by hand, and random histories of logs
 * that keep their promises and of logs with one defect. */
#include <stdio.h>
#include <string.h>

#include "checkers/checkers.h"
#include "tests/lib/fold_random.h"
#include "tests/lib/made_history.h"
#include "tests/lib/test.h"

/* ---- By hand ---- */

static struct history history;

static void append(int32_t process, int value, enum op_type outcome, const char *offset)
{
    char asked[64], answered[96];
    snprintf(asked, sizeof asked, "{:log 0 :value %d}", value);
    snprintf(answered, sizeof answered, "{:log 0 :value %d :offset %s}", value, offset);
    fold_op(&history, process, "append", asked, outcome, outcome == OP_OK ? answered : asked);
}

static void poll_event(int32_t process, enum op_type type, int from, const char *records, bool end)
{
    char text[200];
    if (type == OP_INVOKE)
        snprintf(text, sizeof text, "{:log 0 :from %d}", from);
    else
        snprintf(text, sizeof text, "{:log 0 :from %d :records [%s] :end %s}", from, records,
                 end ? "true" : "false");
    fold_event(&history, process, type, "poll", text);
}

static void poll(int32_t process, int from, const char *records, bool end)
{
    poll_event(process, OP_INVOKE, from, records, end);
    poll_event(process, OP_OK, from, records, end);
}

static void expect_of(const char *checker, const char *set, enum verdict verdict,
                      const char *reason, const char *count)
{
    struct made_result result = made_check(checker_find(checker), &history, NULL, set);
    if (result.verdict != verdict || strstr(result.reason, reason) == NULL)
        fail_msg("%s: %s: %s", checker, verdict_name(result.verdict), result.reason);
    if (count != NULL && json_as_int(json_get(result.details, count), 0) <= 0)
        fail_msg("%s: %s is not counted", checker, count);
    if (verdict == VERDICT_INVALID)
        assert_true(json_count(result.anomalies) > 0);
    made_result_free(&result);
    history_free(&history);
    history_init(&history);
}

static void expect(enum verdict verdict, const char *reason, const char *count)
{
    expect_of("log-offsets", NULL, verdict, reason, count);
}

static int begin(void **state)
{
    (void)state;
    history_init(&history);
    return 0;
}

static int end(void **state)
{
    (void)state;
    history_free(&history);
    return 0;
}

static void good_logs_are_valid(void **state)
{
    (void)state;
    append(0, 1, OP_OK, "0");
    append(0, 2, OP_OK, "4"); /* offsets may have holes */
    append(1, 3, OP_INFO, "");
    append(1, 4, OP_FAIL, "");
    poll(2, 0, "[0 1] [4 2]", true);
    poll(2, 5, "[5 3]", true); /* what was not known came after all */
    poll(0, 0, "[0 1] [4 2] [5 3]", true);
    expect(VERDICT_VALID, "2 values acknowledged, none lost, in 1 logs", "recovered-count");
}

static void losses_are_told(void **state)
{
    (void)state;
    append(0, 1, OP_OK, "0");
    append(0, 2, OP_OK, "1");
    poll(0, 0, "[1 2]", false); /* inside */
    expect(VERDICT_INVALID, "acknowledged values are lost", "lost-count");
    append(0, 1, OP_OK, "0");
    append(0, 2, OP_OK, "1");
    poll(0, 0, "[0 1]", true); /* at the end */
    expect(VERDICT_INVALID, "1 acknowledged values are lost", "lost-count");
    append(0, 1, OP_OK, "0");
    append(0, 2, OP_OK, "1");
    poll(0, 0, "[0 1] [1 2]", true); /* seen first */
    poll(0, 0, "", true);
    expect(VERDICT_INVALID, "2 acknowledged values are lost", "lost-count");
    append(0, 1, OP_OK, "0"); /* another one took its place */
    append(0, 2, OP_OK, "0");
    poll(0, 0, "[0 2]", true);
    expect(VERDICT_INVALID, "acknowledged values are lost", "inconsistent-offset-count");
}

static void old_ends_are_no_losses(void **state)
{
    (void)state;
    append(0, 1, OP_OK, "0");
    append(0, 2, OP_OK, "1");
    poll(0, 0, "[0 1]", true); /* of a replica that is behind */
    poll(0, 0, "[0 1] [1 2]", true);
    expect(VERDICT_VALID, "none lost", NULL);
    append(0, 1, OP_OK, "0");
    poll_event(0, OP_INVOKE, 0, "", false);
    append(1, 2, OP_OK, "1"); /* acknowledged while the poll is under way */
    poll_event(0, OP_OK, 0, "[0 1]", true);
    expect(VERDICT_UNKNOWN, "1 acknowledged values were never looked for", "unseen-count");
    append(0, 1, OP_OK, "0");
    append(0, 2, OP_OK, "1");
    poll(0, 0, "[0 1]", false); /* it does not say that this is the end */
    expect(VERDICT_UNKNOWN, "never looked for", "unseen-count");
}

static void what_is_wrong_is_named(void **state)
{
    (void)state;
    append(0, 1, OP_OK, "0");
    append(0, 2, OP_OK, "1");
    poll(0, 0, "[1 2]", false);
    poll(0, 0, "[0 1] [1 2]", true); /* it is there all the same */
    expect(VERDICT_INVALID, "1 records were gone past by polls", "skipped-count");
    append(0, 1, OP_OK, "0");
    poll(0, 0, "[0 1] [3 1]", true);
    expect(VERDICT_INVALID, "at more than one offset", "duplicate-count");
    append(0, 1, OP_OK, "0");
    append(0, 2, OP_OK, "1");
    poll(0, 0, "[1 2] [0 1]", true);
    expect(VERDICT_INVALID, "another order than their offsets'", "disordered-poll-count");
    append(0, 1, OP_OK, "0");
    append(0, 2, OP_OK, "1");
    poll(0, 1, "[0 1] [1 2]", true); /* before where it was to begin */
    expect(VERDICT_INVALID, "another order than their offsets'", "disordered-poll-count");
    append(0, 1, OP_OK, "0");
    poll(0, 0, "[0 1] [1 99]", true);
    expect(VERDICT_INVALID, "1 values were never appended", "phantom-count");
    append(0, 1, OP_OK, "0");
    append(0, 2, OP_FAIL, "");
    poll(0, 0, "[0 1] [1 2]", true);
    expect(VERDICT_INVALID, "1 values' appends had failed", "aborted-read-count");
    append(0, 1, OP_OK, "5");
    append(1, 2, OP_OK, "3");
    poll(0, 0, "[3 2] [5 1]", true);
    expect(VERDICT_INVALID, "lower offsets than earlier ones", "reordered-count");
}

static void nothing_tested_is_unknown(void **state)
{
    (void)state;
    append(0, 1, OP_OK, "0");
    expect(VERDICT_UNKNOWN, "no log was ever read", NULL);
    append(0, 1, OP_INFO, "");
    poll(0, 0, "", true);
    expect(VERDICT_UNKNOWN, "no append was ever acknowledged", NULL);
    append(0, 1, OP_OK, "nil"); /* no offset, and never shown */
    poll(0, 0, "", true);
    expect(VERDICT_UNKNOWN, "appends told no offset", NULL);
    append(0, 1, OP_OK, "0");
    append(0, 1, OP_OK, "1");
    poll(0, 0, "[0 1]", true);
    expect(VERDICT_INVALID, "at more than one offset", "duplicate-count");
    fold_op(&history, 0, "append", "7", OP_OK, "7");
    expect(VERDICT_UNKNOWN, "not what append and poll of a log look like", NULL);
    fold_op(&history, 0, "trim", "7", OP_OK, "7");
    expect(VERDICT_UNKNOWN, "what that does here is not known", NULL);
}

static void logs_are_told_apart(void **state)
{
    (void)state;
    fold_op(&history, 0, "append", "{:log 0 :value 1}", OP_OK, "{:log 0 :value 1 :offset 0}");
    fold_op(&history, 0, "append", "{:log 1 :value 1}", OP_OK, "{:log 1 :value 1 :offset 0}");
    poll(0, 0, "[0 1]", true);
    fold_op(&history, 0, "poll", "{:log 1 :from 0}", OP_OK,
            "{:log 1 :from 0 :records [[0 1]] :end true}");
    expect(VERDICT_VALID, "2 values acknowledged, none lost, in 2 logs", NULL);
}

/* ---- At random ---- */

enum { LOG_MAX = 64, RUNS = 4000 };
enum defect { SOUND, LOSES, SHIFTS, REPEATS, DEFECTS };

struct store {
    enum defect defect;
    int values[LOG_MAX], offsets[LOG_MAX], count, next_value, next_offset;
    bool planted;
};

static struct value map_of(struct arena *arena, const char *name, struct value value)
{
    struct value items[] = {value_keyword(arena, "log"), value_int(NULL, 0),
                            value_keyword(arena, name), value};
    return value_items(arena, VALUE_MAP, items, 4);
}

static struct value ask(void *state, struct prng *prng, struct arena *arena, const char **f)
{
    struct store *store = state;
    *f = prng_below(prng, 3) == 0 ? "poll" : "append";
    if (**f == 'a')
        return map_of(arena, "value", value_int(NULL, store->next_value++));
    int64_t from = prng_below(prng, 2) == 0 ? 0 : prng_between(prng, 0, store->next_offset);
    return map_of(arena, "from", value_int(NULL, from));
}

static struct value answer_append(struct store *store, struct prng *prng, struct arena *arena,
                                  struct value asked)
{
    int offset = store->next_offset;
    bool plant = !store->planted && store->count > 1 && prng_below(prng, 3) == 0;
    bool loses = plant && store->defect == LOSES;
    store->next_offset += prng_below(prng, 4) == 0 ? 2 : 1;
    if (plant && store->defect == SHIFTS)
        offset = store->offsets[store->count - 1];
    store->planted = store->planted || (plant && store->defect != SOUND);
    if (store->count + 2 < LOG_MAX && !loses) {
        store->offsets[store->count] = offset;
        store->values[store->count++] = (int)value_as_int(value_get(asked, "value"));
    }
    if (plant && store->defect == REPEATS) { /* the same once more, as a careless retry has it */
        store->offsets[store->count] = store->next_offset++;
        store->values[store->count] = store->values[store->count - 1];
        store->count++;
    }
    struct value items[] = {value_keyword(arena, "log"),    value_int(NULL, 0),
                            value_keyword(arena, "value"),  value_get(asked, "value"),
                            value_keyword(arena, "offset"), value_int(NULL, offset)};
    return value_items(arena, VALUE_MAP, items, 6);
}

static struct value answer_poll(const struct store *store, struct prng *prng, struct arena *arena,
                                int64_t from)
{
    struct value records[LOG_MAX];
    size_t count = 0;
    bool all = prng_below(prng, 2) == 0;
    int i = 0;
    for (; i < store->count && (all || count < 2); i++)
        if (store->offsets[i] >= from)
            records[count++] = value_pair(arena, value_int(NULL, store->offsets[i]),
                                          value_int(NULL, store->values[i]));
    struct value items[] = {
        value_keyword(arena, "log"),     value_int(NULL, 0),
        value_keyword(arena, "from"),    value_int(NULL, from),
        value_keyword(arena, "records"), value_items(arena, VALUE_VECTOR, records, count),
        value_keyword(arena, "end"),     value_bool(i == store->count)};
    return value_items(arena, VALUE_MAP, items, 8);
}

static struct value answer(void *state, struct prng *prng, struct arena *arena, const char *f,
                           struct value asked)
{
    if (*f == 'a')
        return answer_append(state, prng, arena, asked);
    return answer_poll(state, prng, arena, value_as_int(value_get(asked, "from")));
}

/* One run; at its end the whole log is read. */
static enum verdict verdict_of(enum defect defect, uint64_t seed, bool *planted)
{
    struct prng prng = prng_stream(seed, "logs");
    struct store store = {.defect = defect};
    struct arena arena = ARENA_INIT;
    struct fold_client client = {.ask = ask,
                                 .answer = answer,
                                 .state = &store,
                                 .clients = 1 + (uint32_t)prng_below(&prng, 4),
                                 .ops = 6 + (uint32_t)prng_below(&prng, 30),
                                 .info_percent = 10,
                                 .fail_percent = 10};
    fold_random(&prng, &client, &history);
    struct buf text = BUF_INIT;
    for (int i = 0; i < store.count; i++)
        buf_printf(&text, " [%d %d]", store.offsets[i], store.values[i]);
    char whole[4096];
    snprintf(whole, sizeof whole, "{:log 0 :from 0 :records [%s] :end true}", buf_text(&text));
    fold_op(&history, 1000, "poll", "{:log 0 :from 0}", OP_OK, whole);
    struct made_result result = made_check(&checker_log_offsets, &history, NULL, NULL);
    enum verdict verdict = result.verdict;
    *planted = store.planted;
    if (defect == SOUND && verdict == VERDICT_INVALID)
        fail_msg("seed %llu: %s", (unsigned long long)seed, result.reason);
    made_result_free(&result);
    buf_free(&text);
    arena_free(&arena);
    history_free(&history);
    history_init(&history);
    return verdict;
}

static void random_logs_are_judged_rightly(void **state)
{
    (void)state;
    for (int defect = SOUND; defect < DEFECTS; defect++) {
        int valid = 0, planted_runs = 0;
        for (uint64_t seed = 0; seed < RUNS; seed++) {
            bool planted;
            enum verdict verdict = verdict_of((enum defect)defect, seed, &planted);
            valid += verdict == VERDICT_VALID;
            planted_runs += planted;
            if (planted && verdict != VERDICT_INVALID)
                fail_msg("defect %d, seed %llu was not seen", defect, (unsigned long long)seed);
        }
        assert_true(defect == SOUND ? valid > RUNS / 2 : planted_runs > RUNS / 2);
    }
}

/* ---- monotonic ---- */

static void what_grows_is_valid(void **state)
{
    (void)state;
    fold_op(&history, 0, "next", "nil", OP_OK, "1");
    fold_op(&history, 1, "last", "nil", OP_OK, "1");
    fold_event(&history, 0, OP_INVOKE, "next", "nil");
    fold_op(&history, 1, "next", "nil", OP_OK, "5"); /* gaps are no matter */
    fold_event(&history, 0, OP_OK, "next", "3");     /* nor what overlaps */
    fold_op(&history, 2, "next", "nil", OP_INFO, "nil");
    fold_op(&history, 3, "time", "nil", OP_OK, "100");
    fold_op(&history, 0, "time", "nil", OP_OK, "100"); /* time may stand still */
    expect_of("monotonic", NULL, VERDICT_VALID, "4 numbers and 2 time stamps", NULL);
}

static void what_goes_back_is_told(void **state)
{
    (void)state;
    fold_op(&history, 0, "next", "nil", OP_OK, "5");
    fold_op(&history, 1, "next", "nil", OP_OK, "4");
    expect_of("monotonic", NULL, VERDICT_INVALID, "the sequence went back: 1", "numbers-back");
    fold_op(&history, 0, "next", "nil", OP_OK, "5");
    fold_op(&history, 1, "last", "nil", OP_OK, "4");
    expect_of("monotonic", NULL, VERDICT_INVALID, "the sequence went back: 1", "numbers-back");
    fold_op(&history, 0, "last", "nil", OP_OK, "5");
    fold_op(&history, 1, "next", "nil", OP_OK, "5"); /* was taken before it was told */
    expect_of("monotonic", NULL, VERDICT_INVALID, "the sequence went back: 1", "numbers-back");
    fold_event(&history, 0, OP_INVOKE, "next", "nil");
    fold_op(&history, 1, "next", "nil", OP_OK, "5");
    fold_event(&history, 0, OP_OK, "next", "5");
    expect_of("monotonic", NULL, VERDICT_INVALID, "1 numbers were given out again",
              "numbers-twice");
    fold_op(&history, 0, "time", "nil", OP_OK, "100");
    fold_op(&history, 1, "time", "nil", OP_OK, "99");
    expect_of("monotonic", NULL, VERDICT_INVALID, "time went back: 1", "times-back");
}

static void a_process_may_be_asked_about_alone(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        fold_op(&history, 0, "time", "nil", OP_OK, "100");
        fold_op(&history, 1, "time", "nil", OP_OK, "90");
        fold_op(&history, 0, "time", "nil", OP_OK, i == 0 ? "101" : "99");
        expect_of("monotonic", "monotonic.scope=process", i == 0 ? VERDICT_VALID : VERDICT_INVALID,
                  i == 0 ? "none went back" : "time went back: 1", NULL);
    }
}

static void nothing_told_is_unknown(void **state)
{
    (void)state;
    fold_op(&history, 0, "next", "nil", OP_INFO, "nil");
    expect_of("monotonic", NULL, VERDICT_UNKNOWN, "fewer than two", NULL);
    fold_op(&history, 0, "next", "nil", OP_OK, "\"x\"");
    expect_of("monotonic", NULL, VERDICT_UNKNOWN, "event 1: next told no integer", NULL);
    fold_op(&history, 0, "jump", "nil", OP_OK, "1");
    expect_of("monotonic", NULL, VERDICT_UNKNOWN, "what that does here is not known", NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(good_logs_are_valid, begin, end),
        cmocka_unit_test_setup_teardown(losses_are_told, begin, end),
        cmocka_unit_test_setup_teardown(old_ends_are_no_losses, begin, end),
        cmocka_unit_test_setup_teardown(what_is_wrong_is_named, begin, end),
        cmocka_unit_test_setup_teardown(nothing_tested_is_unknown, begin, end),
        cmocka_unit_test_setup_teardown(logs_are_told_apart, begin, end),
        cmocka_unit_test_setup_teardown(random_logs_are_judged_rightly, begin, end),
        cmocka_unit_test_setup_teardown(what_grows_is_valid, begin, end),
        cmocka_unit_test_setup_teardown(what_goes_back_is_told, begin, end),
        cmocka_unit_test_setup_teardown(a_process_may_be_asked_about_alone, begin, end),
        cmocka_unit_test_setup_teardown(nothing_told_is_unknown, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
