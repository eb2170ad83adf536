/* EDN as it is found in the wild is read; what is malformed is refused with a place. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/base/prng.h"
#include "harness/histories/edn.h"
#include "tests/lib/test.h"

/* Reads `text` and prints it again: `printed`. */
static void check(const char *text, const char *printed)
{
    struct arena arena = ARENA_INIT;
    struct err err = ERR_INIT;
    struct value value;
    struct buf out = BUF_INIT;
    if (edn_parse_all(&arena, text, strlen(text), &value, &err) != ERR_NONE)
        fail_msg("%s: %s", text, err.message);
    value_print(value, &out);
    assert_string_equal(buf_text(&out), printed);
    buf_free(&out);
    arena_free(&arena);
}

static enum value_kind kind_of(const char *text)
{
    struct arena arena = ARENA_INIT;
    struct err err = ERR_INIT;
    struct value value;
    assert_ok(edn_parse_all(&arena, text, strlen(text), &value, &err));
    enum value_kind kind = value_kind(value);
    arena_free(&arena);
    return kind;
}

static void scalars_are_read(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum value_kind kind;
        const char *printed;
    } cases[] = {
        {"nil", VALUE_NIL, "nil"},
        {"true", VALUE_BOOL, "true"},
        {"false", VALUE_BOOL, "false"},
        {"0", VALUE_INT, "0"},
        {"-0", VALUE_INT, "0"},
        {"+7", VALUE_INT, "7"},
        {"-12", VALUE_INT, "-12"},
        {"9223372036854775807", VALUE_INT, "9223372036854775807"},
        {"-9223372036854775808", VALUE_INT, "-9223372036854775808"},
        {"9223372036854775808", VALUE_NUMBER, "9223372036854775808N"},
        {"-9223372036854775809N", VALUE_NUMBER, "-9223372036854775809N"},
        {"12N", VALUE_INT, "12"},
        {"0x1F", VALUE_INT, "31"},
        {"1/3", VALUE_NUMBER, "1/3"},
        {"1.5M", VALUE_NUMBER, "1.5M"},
        {"1.0E10", VALUE_DOUBLE, "10000000000.0"},
        {"-2.5e-3", VALUE_DOUBLE, "-0.0025"},
        {"1.", VALUE_DOUBLE, "1.0"},
        {"##NaN", VALUE_DOUBLE, "##NaN"},
        {"##Inf", VALUE_DOUBLE, "##Inf"},
        {"##-Inf", VALUE_DOUBLE, "##-Inf"},
        {":a", VALUE_KEYWORD, ":a"},
        {":jepsen.history/op", VALUE_KEYWORD, ":jepsen.history/op"},
        {":0", VALUE_KEYWORD, ":0"},
        {"foo.Bar/baz", VALUE_SYMBOL, "foo.Bar/baz"},
        {"-", VALUE_SYMBOL, "-"},
        {"+a", VALUE_SYMBOL, "+a"},
        {"/", VALUE_SYMBOL, "/"},
        {"nilly", VALUE_SYMBOL, "nilly"},
        {"\\a", VALUE_CHAR, "\\a"},
        {"\\newline", VALUE_CHAR, "\\newline"},
        {"\\(", VALUE_CHAR, "\\("},
        {"\\\\", VALUE_CHAR, "\\\\"},
        {"\\\xce\xa9", VALUE_CHAR, "\\\xce\xa9"},
        {"\"\"", VALUE_STRING, "\"\""},
        {"#inst \"2020-01-01\"", VALUE_TAGGED, "#inst \"2020-01-01\""},
        {"#'clojure.core/inc", VALUE_SYMBOL, "#'clojure.core/inc"},
        {"#<Foo a <b> c>", VALUE_SYMBOL, "#<Foo a <b> c>"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        check(cases[i].text, cases[i].printed);
        if (kind_of(cases[i].text) != cases[i].kind)
            fail_msg("%s is of kind %d", cases[i].text, kind_of(cases[i].text));
    }
}

static void strings_and_their_escapes_are_read(void **state)
{
    (void)state;
    check("\"a\\n\\t\\r\\\"\\\\b\"", "\"a\\n\\t\\r\\\"\\\\b\"");
    check("\"\\u03a9\\u03A9\"", "\"\xce\xa9\xce\xa9\"");
    check("\"\\ud83d\\ude00\"", "\"\xf0\x9f\x98\x80\"");
    check("\"\\ud83d\"", "\"\xef\xbf\xbd\"");
    check("\"\\ude00x\"", "\"\xef\xbf\xbdx\"");
    check("\"\\b\\f\\101\\0\"", "\"\\u0008\\u000cA\\u0000\"");
    check("\"two\nlines\"", "\"two\\nlines\"");
    struct arena arena = ARENA_INIT;
    struct err err = ERR_INIT;
    struct value value;
    assert_ok(edn_parse_all(&arena, "\"a\\u0000b\"", 10, &value, &err));
    assert_int_equal(value_text_length(value), 3);
    assert_memory_equal(value_as_text(value), "a\0b", 4);
    arena_free(&arena);
}

static void collections_are_read(void **state)
{
    (void)state;
    check("[1 2]", "[1 2]");
    check("[]", "[]");
    check("(1,2,,3)", "(1 2 3)");
    check("#{5 5 7}", "#{5 5 7}");
    check("{:a 1 :b{:c[]}}", "{:a 1, :b {:c []}}");
    check("[[:append 9 1][:r 9 nil]]", "[[:append 9 1] [:r 9 nil]]");
    check("[:a\"b\"\\c(d)]", "[:a \"b\" \\c (d)]");
    check("{\"n1\" #{\"n2\"}}", "{\"n1\" #{\"n2\"}}");
    check("[3[0 1]]", "[3 [0 1]]");
}

static void tags_and_records_are_kept(void **state)
{
    (void)state;
    check("#knossos.model.Register{:value 225}", "#knossos.model.Register {:value 225}");
    check("#object[clojure.core$f 0x4f2 \"x\"]", "#object [clojure.core$f 1266 \"x\"]");
    check("#a #b 1", "#a #b 1");
    check("#:ns{:a 1}", "#:ns {:a 1}");
    check("[#uuid \"f\"]", "[#uuid \"f\"]");
}

static void comments_and_discards_are_stepped_over(void **state)
{
    (void)state;
    check("; top\n[1 ; inside\n 2] ; end", "[1 2]");
    check("[1 #_ 2 3]", "[1 3]");
    check("[1 #_ #_ 2 3 4]", "[1 4]");
    check("{:a #_[x {:y 1}] 1 #_z}", "{:a 1}");
    check("#_#foo{:a 1} 5 #_6", "5");
    check("[#_\"text\" #_\\a #_1/2 #_1.5 #_99999999999999999999]", "[]");
}

static void what_is_malformed_is_refused_with_its_place(void **state)
{
    (void)state;
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"", "1:1: the text ends before a value"},
        {"  ; only a comment", "1:19: the text ends before a value"},
        {"[1 2", "1:5: the text ends inside a collection"},
        {"{:a", "the text ends inside a collection"},
        {"{:a 1 :b}", "1:9: a map whose last key has no value"},
        {"[1\n  2)", "2:4: a closing bracket that nothing opened"},
        {"]", "1:1: a closing bracket that nothing opened"},
        {"\"abc", "the text ends inside a string"},
        {"\"abc\\", "the text ends inside a string"},
        {"\"\\q\"", "1:2: an escape that EDN does not have"},
        {"\"\\u12\"", "1:2: an escape that EDN does not have"},
        {"12x", "1:1: not a number, though it begins like one"},
        {"1.2.3", "not a number"},
        {"1/", "not a number"},
        {"1e", "not a number"},
        {"0xg", "not a number"},
        {"007", "1:1: a number that begins with 0"},
        {":", "1:1: a colon without a name"},
        {"[: 1]", "1:2: a colon without a name"},
        {"#", "the text ends behind a #"},
        {"# 1", "1:1: a # that begins nothing EDN has"},
        {"#\"re\"", "a # that begins nothing EDN has"},
        {"#foo", "the text ends behind a tag"},
        {"##Foo", "neither ##NaN nor ##Inf nor ##-Inf"},
        {"#<Foo", "the text ends inside #<...>"},
        {"#_", "the text ends before a value"},
        {"\\", "the text ends inside a character"},
        {"\\ a", "1:1: a backslash without a character"},
        {"[1 \x01]", "1:4: a control character"},
        {"1 2", "1:3: something follows the value"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct arena arena = ARENA_INIT;
        struct err err = ERR_INIT;
        struct value value;
        if (edn_parse_all(&arena, cases[i].text, strlen(cases[i].text), &value, &err) != ERR_PARSE)
            fail_msg("'%s' was read", cases[i].text);
        assert_contains(err.message, cases[i].message);
        arena_free(&arena);
    }
}

static void nesting_has_a_limit(void **state)
{
    (void)state;
    static const char *const openings[] = {"[", "(", "{", "#{", "#t ", "#_"};
    for (size_t i = 0; i < sizeof openings / sizeof openings[0]; i++) {
        struct arena arena = ARENA_INIT;
        struct err err = ERR_INIT;
        struct value value;
        struct buf text = BUF_INIT;
        for (int depth = 0; depth < 100000; depth++)
            buf_add_text(&text, openings[i]);
        assert_int_equal(edn_parse(&arena, text.data, text.length, NULL, &value, &err), ERR_PARSE);
        assert_contains(err.message, "512 deep");
        buf_free(&text);
        arena_free(&arena);
    }
    struct buf text = BUF_INIT;
    for (int depth = 0; depth < EDN_DEPTH_MAX; depth++)
        buf_add_char(&text, '[');
    for (int depth = 0; depth < EDN_DEPTH_MAX; depth++)
        buf_add_char(&text, ']');
    check(text.data, text.data);
    buf_free(&text);
}

static void values_are_read_one_after_the_other(void **state)
{
    (void)state;
    struct arena arena = ARENA_INIT;
    struct err err = ERR_INIT;
    const char *text = "1 [2] ; c\n:x";
    size_t at = 0, consumed;
    struct value value;
    assert_ok(edn_parse(&arena, text, strlen(text), &consumed, &value, &err));
    assert_int_equal(consumed, 1);
    at += consumed;
    assert_ok(edn_parse(&arena, text + at, strlen(text) - at, &consumed, &value, &err));
    assert_int_equal(value_count(value), 1);
    at += consumed;
    assert_ok(edn_parse(&arena, text + at, strlen(text) - at, &consumed, &value, &err));
    assert_string_equal(value_as_text(value), "x");
    assert_int_equal(at + consumed, strlen(text));
    arena_free(&arena);
}

/* The text need not end with a NUL, and nothing behind its end is looked at. */
static void nothing_behind_the_end_is_read(void **state)
{
    (void)state;
    static const char *const texts[] = {"{:a [1 \"b\\n\" \\c] #t x ##Inf #_ y 1.5}",
                                        "[[:r 12 [345 -6 7890]] -1 1234567890123456789]"};
    for (size_t i = 0; i < 2; i++)
        for (size_t length = 0; length < strlen(texts[i]); length++) {
            char *copy = malloc(length + 1);
            memcpy(copy, texts[i], length); /* under a sanitizer, byte `length` is poison */
            copy = realloc(copy, length == 0 ? 1 : length);
            struct arena arena = ARENA_INIT;
            struct value value;
            assert_int_equal(edn_parse(&arena, copy, length, NULL, &value, NULL), ERR_PARSE);
            arena_free(&arena);
            free(copy);
        }
}

/* A text may be a window of a longer one: where it ends a number ends. */
static void a_number_ends_with_the_text(void **state)
{
    (void)state;
    static const char digits[] = "12345678901234567890 ";
    for (size_t length = 1; length <= 18; length++) {
        struct arena arena = ARENA_INIT;
        struct err err = ERR_INIT;
        struct value value;
        char expected[32];
        snprintf(expected, sizeof expected, "%.*s", (int)length, digits);
        assert_ok(edn_parse_all(&arena, digits, length, &value, &err));
        assert_true(value_as_int(value) == strtoll(expected, NULL, 10));
        arena_free(&arena);
    }
}

/* Whatever stands between them, however long they are; again and again by one reader, whose text
 * begins and ends anywhere. */
static void lists_of_integers_are_read(void **state)
{
    (void)state;
    static const char *const between[] = {" ", "  ", ",", ", ", "\n", " ;x\n", " #_9 "};
    struct prng prng = prng_stream(3, "lists of integers");
    struct arena arena = ARENA_INIT;
    struct edn_reader reader;
    edn_reader_init(&reader, &arena);
    for (int round = 0; round < 3000; round++) {
        struct buf text = BUF_INIT;
        int64_t expected[40];
        size_t count = prng_below(&prng, 40);
        buf_add_char(&text, '[');
        for (size_t i = 0; i < count; i++) {
            uint64_t bits = prng_next(&prng) >> prng_below(&prng, 64);
            expected[i] = (int64_t)(prng_below(&prng, 4) == 0 ? 0 - bits : bits);
            bool odd = prng_below(&prng, 8) == 0;
            buf_printf(&text, "%s%" PRId64, i == 0 ? "" : between[odd ? prng_below(&prng, 7) : 0],
                       expected[i]);
        }
        buf_add_text(&text, prng_below(&prng, 2) == 0 ? "]" : " ]");
        struct value value;
        edn_reader_text(&reader, text.data, text.length);
        assert_true(edn_read(&reader, &value));
        assert_true(reader.at == reader.end);
        assert_int_equal(value_count(value), count);
        for (size_t i = 0; i < count; i++)
            assert_true(value_as_int(value_at(value, i)) == expected[i]);
        buf_free(&text);
    }
    edn_reader_free(&reader);
    arena_free(&arena);
}

/* [:append 1 5] as it was asked and as it was answered, and a list read twice, are kept once. */
static void what_stands_again_takes_no_memory(void **state)
{
    (void)state;
    static const char text[] = "[[:append 1 5] [:r 2 [1 2 3]] [:r 3 nil]]";
    struct arena arena = ARENA_INIT;
    struct edn_reader reader;
    edn_reader_init(&reader, &arena);
    struct value first, second;
    edn_reader_text(&reader, text, sizeof text - 1);
    assert_true(edn_read(&reader, &first));
    size_t used = arena.used_bytes;
    edn_reader_text(&reader, text, sizeof text - 1);
    assert_true(edn_read(&reader, &second));
    assert_int_equal(arena.used_bytes, used);
    assert_true(value_equal(first, second));
    edn_reader_free(&reader);
    arena_free(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scalars_are_read),
        cmocka_unit_test(strings_and_their_escapes_are_read),
        cmocka_unit_test(collections_are_read),
        cmocka_unit_test(tags_and_records_are_kept),
        cmocka_unit_test(comments_and_discards_are_stepped_over),
        cmocka_unit_test(what_is_malformed_is_refused_with_its_place),
        cmocka_unit_test(nesting_has_a_limit),
        cmocka_unit_test(values_are_read_one_after_the_other),
        cmocka_unit_test(nothing_behind_the_end_is_read),
        cmocka_unit_test(a_number_ends_with_the_text),
        cmocka_unit_test(lists_of_integers_are_read),
        cmocka_unit_test(what_stands_again_takes_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
