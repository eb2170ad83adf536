/* results.edn: reads back as EDN, and says under Jepsen's keys what results.json says. */
#include <stdlib.h>
#include <string.h>

#include "harness/histories/edn.h"
#include "tests/lib/sample_run.h"
#include "tests/lib/test.h"

static struct value render(enum sample_kind kind, struct arena *arena)
{
    struct sample_run sample;
    struct err err = ERR_INIT;
    struct value results;
    sample_run_make(kind, &sample);
    char *text = sample_render(&sample.run, "edn", NULL);
    assert_ok(edn_parse_all(arena, text, strlen(text), &results, &err));
    free(text);
    sample_run_free(&sample);
    return results;
}

static void verdicts_are_jepsens(void **state)
{
    (void)state;
    struct arena arena = ARENA_INIT;
    struct value valid = render(SAMPLE_VALID, &arena), invalid = render(SAMPLE_INVALID, &arena),
                 unknown = render(SAMPLE_UNKNOWN, &arena);
    assert_true(value_equal(value_get(valid, "valid?"), value_bool(true)));
    assert_true(value_equal(value_get(invalid, "valid?"), value_bool(false)));
    assert_string_equal(value_as_text(value_get(unknown, "valid?")), "unknown");
    struct value checker = value_get(invalid, "linearizable");
    assert_true(value_equal(value_get(checker, "valid?"), value_bool(false)));
    assert_true(value_kind(value_get(checker, "anomalies")) == VALUE_VECTOR);
    assert_true(value_kind(value_get(value_get(invalid, "ordeal"), "test")) == VALUE_MAP);
    arena_free(&arena);
}

static void whatever_texts_hold_it_reads_back(void **state)
{
    (void)state;
    static const enum sample_kind kinds[] = {SAMPLE_EMPTY, SAMPLE_BARE, SAMPLE_HOSTILE};
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        struct arena arena = ARENA_INIT;
        assert_true(value_kind(render(kinds[i], &arena)) == VALUE_MAP);
        arena_free(&arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(verdicts_are_jepsens),
        cmocka_unit_test(whatever_texts_hold_it_reads_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
