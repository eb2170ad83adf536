/* Progress while a majority is together. */
#include <string.h>

#include "checkers/checkers.h"
#include "harness/base/clock.h"
#include "tests/lib/fake_control.h"
#include "tests/lib/made_history.h"
#include "tests/lib/test.h"

static void nemesis_event(struct history *history, const char *f, int64_t at_ms, struct value value)
{
    struct op op = {.type = OP_INFO,
                    .process = PROCESS_NEMESIS,
                    .f = history_f(history, f),
                    .value = value,
                    .time_ns = at_ms * NS_PER_MS};
    enum err_code code = ERR_NONE;
    history_append(history, &op, &code);
    assert_int_equal(code, ERR_NONE);
}

static struct value names(struct arena *arena, const char *const *list)
{
    struct value items[8];
    size_t count = 0;
    for (; list[count] != NULL; count++)
        items[count] = value_string(arena, list[count]);
    return value_items(arena, VALUE_SET, items, count);
}

/* [:isolated {node #{others}}] */
static struct value deaf(struct arena *arena, const char *node, const char *const *others)
{
    struct value pair[] = {value_string(arena, node), names(arena, others)};
    return value_pair(arena, value_keyword(arena, "isolated"),
                      value_items(arena, VALUE_MAP, pair, 2));
}

static struct value killed(struct arena *arena, const char *const *nodes)
{
    struct value items[16];
    size_t count = 0;
    for (; nodes[count / 2] != NULL; count += 2) {
        items[count] = value_string(arena, nodes[count / 2]);
        items[count + 1] = value_keyword(arena, "killed");
    }
    return value_items(arena, VALUE_MAP, items, count);
}

static void operations(struct history *history, int64_t from_ms, int64_t to_ms, enum op_type type,
                       struct value value)
{
    for (int64_t at_ms = from_ms; at_ms + 5 < to_ms; at_ms += 50)
        for (int end = 0; end < 2; end++) {
            struct op op = {.type = end ? type : OP_INVOKE,
                            .process = 1,
                            .f = history_f(history, "enqueue"),
                            .value = end ? value : value_nil(),
                            .time_ns = (at_ms + end) * NS_PER_MS};
            enum err_code code = ERR_NONE;
            history_append(history, &op, &code);
        }
}

struct story {
    const char *begin_f, *end_f;
    struct value told;
    int64_t lasts_ms;
    enum op_type early, late; /* what becomes of operations in the first 5 s of it, and after */
    struct value value;
};

static enum verdict tell(const struct story *story, const char *plan)
{
    struct history history;
    history_init(&history);
    operations(&history, 0, 1000, OP_OK, value_int(NULL, 1));
    nemesis_event(&history, story->begin_f, 1000, value_nil());
    nemesis_event(&history, story->begin_f, 1001, story->told);
    int64_t end_ms = 1001 + story->lasts_ms;
    operations(&history, 1002, end_ms < 6002 ? end_ms : 6002, story->early, story->value);
    operations(&history, 6002, end_ms, story->late, story->value);
    nemesis_event(&history, story->end_f, end_ms, value_nil());
    nemesis_event(&history, story->end_f, end_ms + 1, value_keyword(&history.arena, "healed"));
    operations(&history, end_ms + 2, end_ms + 1000, OP_OK, value_int(NULL, 1));
    struct made_result result = made_check(&checker_progress, &history, plan, NULL);
    enum verdict verdict = result.verdict;
    assert_true(strlen(result.reason) > 0);
    made_result_free(&result);
    history_free(&history);
    return verdict;
}

static void a_majority_must_go_on(void **state)
{
    (void)state;
    struct arena arena = ARENA_INIT;
    const char *const two[] = {"n2", "n3", NULL}, *const one[] = {"n1", NULL};
    const char *const both[] = {"n1", "n2", NULL};
    struct value some = value_int(NULL, 7), none = value_nil();
    const char *three = "{\"local\": 3}", *two_nodes = "{\"local\": \"2\"}";
    const struct {
        struct story story;
        const char *plan;
        enum verdict verdict;
    } cases[] = {
        /* n1 hears nobody; n2 and n3 are together. */
        {{"start-partition", "stop-partition", deaf(&arena, "n1", two), 9000, OP_FAIL, OP_FAIL,
          some},
         three,
         VERDICT_INVALID},
        {{"start-partition", "stop-partition", deaf(&arena, "n1", two), 9000, OP_FAIL, OP_OK, some},
         three,
         VERDICT_VALID},
        /* What is empty handed is no success. */
        {{"start-partition", "stop-partition", deaf(&arena, "n1", two), 9000, OP_FAIL, OP_OK, none},
         three,
         VERDICT_INVALID},
        /* Success in the first five seconds alone is none either. */
        {{"start-partition", "stop-partition", deaf(&arena, "n1", two), 9000, OP_OK, OP_INFO, some},
         three,
         VERDICT_INVALID},
        /* Too short to tell. */
        {{"start-partition", "stop-partition", deaf(&arena, "n1", two), 4500, OP_FAIL, OP_FAIL,
          some},
         three,
         VERDICT_UNKNOWN},
        /* Of two nodes one is no majority. */
        {{"start-partition", "stop-partition", deaf(&arena, "n1", two), 9000, OP_FAIL, OP_FAIL,
          some},
         two_nodes,
         VERDICT_UNKNOWN},
        {{"kill", "start", killed(&arena, one), 9000, OP_FAIL, OP_FAIL, some},
         three,
         VERDICT_INVALID},
        {{"kill", "start", killed(&arena, both), 9000, OP_FAIL, OP_FAIL, some},
         three,
         VERDICT_UNKNOWN},
        {{"kill", "start", killed(&arena, one), 9000, OP_FAIL, OP_FAIL, some},
         NULL,
         VERDICT_UNKNOWN},
        {{"kill", "start", value_nil(), 9000, OP_FAIL, OP_FAIL, some}, three, VERDICT_UNKNOWN},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (tell(&cases[i].story, cases[i].plan) != cases[i].verdict)
            fail_msg("case %zu has another verdict", i);
    arena_free(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_majority_must_go_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
