/* Lines of fields survive a round trip; damaged ones are refused with a place. */
#include <string.h>

#include "harness/base/line.h"
#include "tests/lib/test.h"

static void fields_and_keys_survive_a_round_trip(void **state)
{
    (void)state;
    struct buf out = BUF_INIT;
    line_field(&out, "7");
    line_field(&out, "daemon-start");
    line_key(&out, "arg", "a\tb\nc\\d");
    line_key(&out, "arg", "");
    line_key_int(&out, "limit", -42);
    line_end(&out);
    struct arena arena = ARENA_INIT;
    struct line line;
    struct err err = ERR_INIT;
    assert_ok(line_parse(&arena, out.data, out.length - 1, &line, &err));
    assert_int_equal(line.count, 5);
    assert_string_equal(line_at(&line, 1), "daemon-start");
    uint32_t cursor = 0;
    assert_string_equal(line_next(&line, "arg", &cursor), "a\tb\nc\\d");
    assert_string_equal(line_next(&line, "arg", &cursor), "");
    assert_null(line_next(&line, "arg", &cursor));
    assert_int_equal(line_get_int(&line, "limit", 0), -42);
    assert_int_equal(line_get_int(&line, "absent", 5), 5);
    arena_free(&arena);
    buf_free(&out);
}

static void damaged_lines_are_refused(void **state)
{
    (void)state;
    struct arena arena = ARENA_INIT;
    struct line line;
    struct err err = ERR_INIT;
    assert_int_equal(line_parse(&arena, "a\\", 2, &line, &err), ERR_PARSE);
    assert_contains(err.message, "byte 2");
    assert_int_equal(line_parse(&arena, "a\\q", 3, &line, &err), ERR_PARSE);
    assert_int_equal(line_parse(&arena, "a\nb", 3, &line, &err), ERR_PARSE);
    assert_int_equal(line_parse(&arena, "a\0b", 3, &line, &err), ERR_PARSE);
    arena_free(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fields_and_keys_survive_a_round_trip),
        cmocka_unit_test(damaged_lines_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
