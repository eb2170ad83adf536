/* JSON documents: errors have a place, text is always UTF-8, numbers stay what they are. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "harness/base/json.h"
#include "harness/base/text.h"
#include "tests/lib/test.h"

static void what_is_no_json_is_refused_with_its_place(void **state)
{
    (void)state;
    static const struct {
        const char *text, *place;
    } cases[] = {
        {"{\"a\": 1,\n  \"b\" 2}", "plan.json:2:7: not JSON"},
        {"{\"a\": [1, 2}", "plan.json:1:12: not JSON"},
        {"{\"a\": tru}", "plan.json:1:7: not JSON near 'tru}'"},
        {"{} x", "plan.json:1:4: not JSON near 'x'"},
        {"{\"a\":", "plan.json:1:"},
        {"", "plan.json:1:1: not JSON: the text ends too early"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct json *root = NULL;
        struct err err = ERR_INIT;
        assert_int_equal(json_parse(cases[i].text, strlen(cases[i].text), "plan.json", &root, &err),
                         ERR_PARSE);
        assert_null(root);
        assert_contains(err.message, cases[i].place);
    }
}

static void a_nul_does_not_end_a_document(void **state)
{
    (void)state;
    struct json *root = NULL;
    struct err err = ERR_INIT;
    assert_int_equal(json_parse("{}\0garbage", 10, "plan.json", &root, &err), ERR_PARSE);
    assert_contains(err.message, "plan.json:1:3");
}

static void documents_survive_a_round_trip(void **state)
{
    (void)state;
    static const char text[] = "{\"a\":1,\"b\":[true,false,null,-2.5,\"x\\n\\\"y\"],\"c\":{}}";
    struct json *root;
    struct err err = ERR_INIT;
    struct buf out = BUF_INIT;
    assert_ok(json_parse(text, sizeof text - 1, "t", &root, &err));
    json_print(root, JSON_COMPACT, &out);
    assert_string_equal(out.data, text);
    struct json *copy = json_copy(root);
    json_set_int(root, "a", 2);
    assert_int_equal(json_as_int(json_get(copy, "a"), 0), 1);
    assert_int_equal(json_as_int(json_get(root, "a"), 0), 2);
    json_remove(root, "b");
    assert_int_equal(json_count(root), 2);
    assert_int_equal(json_count(json_get(copy, "b")), 5);
    json_free(copy);
    json_free(root);
    buf_free(&out);
}

static void absent_things_answer_quietly(void **state)
{
    (void)state;
    assert_null(json_get(NULL, "a"));
    assert_null(json_first(NULL));
    assert_null(json_next(NULL));
    assert_int_equal(json_count(NULL), 0);
    assert_string_equal(json_key(NULL), "");
    assert_int_equal(json_as_int(NULL, 7), 7);
    assert_true(json_as_bool(NULL, true));
    assert_string_equal(json_as_text(NULL, "none"), "none");
    assert_int_equal(json_kind(NULL), JSON_NULL);
}

static void numbers_are_exact_to_53_bits(void **state)
{
    (void)state;
    struct json *object = json_object();
    struct buf out = BUF_INIT;
    json_set_int(object, "large", (INT64_C(1) << 53) - 1);
    json_set_int(object, "negative", -((INT64_C(1) << 53) - 1));
    json_set_real(object, "nan", NAN);
    json_set_real(object, "infinite", INFINITY);
    json_set_real(object, "real", 0.1);
    json_print(object, JSON_COMPACT, &out);
    assert_string_equal(out.data, "{\"large\":9007199254740991,\"negative\":-9007199254740991,"
                                  "\"nan\":null,\"infinite\":null,\"real\":0.1}");
    assert_true(json_as_int(json_get(object, "large"), 0) == (INT64_C(1) << 53) - 1);
    json_free(object);
    buf_free(&out);
}

static void text_is_always_utf8(void **state)
{
    (void)state;
    static const struct {
        const char *given, *kept;
    } cases[] = {
        {"plain", "plain"},
        {"\xce\xa9", "\xce\xa9"},
        {"a\xff"
         "b",
         "a?b"},
        {"\xce", "?"},
        {"\xc0\x80x", "??x"},
        {"\xed\xa0\x80", "???"},
        {"\xf0\x9f\x98\x80!", "\xf0\x9f\x98\x80!"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct json *node = json_text(cases[i].given);
        assert_string_equal(json_as_text(node, NULL), cases[i].kept);
        json_free(node);
    }
}

static void every_node_has_a_line(void **state)
{
    (void)state;
    static const char text[] = "{\n \"a\": {\"b\": [1,\n true, \"x:\\\"\"]},\n"
                               " \"b\"\n : [\n{\"a\": null},\n[], -1.5e3\n]}";
    struct err err = ERR_INIT;
    struct json *root;
    assert_ok(json_parse(text, strlen(text), "x.json", &root, &err));
    struct json_source source = {"x.json", text, root};
    const struct json *list = json_get(json_get(root, "a"), "b"), *other = json_get(root, "b");
    assert_int_equal(json_line_at(&source, root), 1);
    assert_int_equal(json_line_at(&source, json_get(root, "a")), 2);
    assert_int_equal(json_line_at(&source, list), 2);
    assert_int_equal(json_line_at(&source, json_at(list, 0)), 2);
    assert_int_equal(json_line_at(&source, json_at(list, 1)), 3);
    assert_int_equal(json_line_at(&source, json_at(list, 2)), 3);
    assert_int_equal(json_line_at(&source, other), 4); /* where its name is */
    assert_int_equal(json_line_at(&source, json_at(other, 0)), 6);
    assert_int_equal(json_line_at(&source, json_get(json_at(other, 0), "a")), 6);
    assert_int_equal(json_line_at(&source, json_at(other, 1)), 7);
    assert_int_equal(json_line_at(&source, json_at(other, 2)), 7);
    assert_int_equal(json_line_at(&source, NULL), 0);
    char where[64];
    json_where(&source, json_at(list, 1), where, sizeof where);
    assert_string_equal(where, "x.json:3");
    struct json *stranger = json_object();
    assert_int_equal(json_line_at(&source, stranger), 0);
    json_free(stranger);
    json_free(root);
}

static void files_are_read_with_their_name(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    struct json *root;
    assert_ok(file_write("plan.json", "{\"a\":\n[}", 8, &err));
    assert_int_equal(json_read_file("plan.json", &root, &err), ERR_PARSE);
    assert_contains(err.message, "plan.json:2:2: not JSON");
    assert_int_equal(json_read_file("absent.json", &root, &err), ERR_IO);
    assert_ok(file_write("plan.json", "{\"a\": 5}", 8, &err));
    assert_ok(json_read_file("plan.json", &root, &err));
    assert_int_equal(json_as_int(json_get(root, "a"), 0), 5);
    json_free(root);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_no_json_is_refused_with_its_place),
        cmocka_unit_test(a_nul_does_not_end_a_document),
        cmocka_unit_test(documents_survive_a_round_trip),
        cmocka_unit_test(absent_things_answer_quietly),
        cmocka_unit_test(numbers_are_exact_to_53_bits),
        cmocka_unit_test(text_is_always_utf8),
        cmocka_unit_test(every_node_has_a_line),
        cmocka_unit_test(files_are_read_with_their_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
