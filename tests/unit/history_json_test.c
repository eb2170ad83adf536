/* JSON lines lose nothing; elle-cli's arrays are read as it reads them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "harness/base/text.h"
#include "harness/histories/edn.h"
#include "harness/histories/history_edn.h"
#include "harness/histories/history_json.h"
#include "tests/lib/random_value.h"
#include "tests/lib/test.h"

static struct history_notes notes;

static enum err_code read_text(struct history *history, enum json_way way, const char *text,
                               size_t length, struct err *err)
{
    struct source source;
    history_init(history);
    notes = (struct history_notes){.format = "jsonl"};
    source_open_text(&source, "h.json", text, length);
    return history_json_read(&source, way, history, &notes, err);
}

static void written(const struct history *history, enum json_way way, struct buf *out)
{
    struct err err = ERR_INIT;
    int fd = memfd_create("test", MFD_CLOEXEC);
    assert_ok(history_json_write(history, way, fd, "out", &err));
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    assert_ok(file_read(path, 1 << 30, out, &err));
    close(fd);
}

/* EDN in, its JSON, and back to the same value. */
static void values_have_an_exact_form(void **state)
{
    (void)state;
    static const struct {
        const char *edn, *json;
    } cases[] = {
        {"nil", "null"},
        {"true", "true"},
        {"-5", "-5"},
        {"9223372036854775807", "9223372036854775807"},
        {"1.0", "1.0"},
        {"1e300", "1e+300"},
        {"##NaN", "{\"#double\":\"##NaN\"}"},
        {"##-Inf", "{\"#double\":\"##-Inf\"}"},
        {"1/3", "{\"#number\":\"1/3\"}"},
        {"\"a\\n\\\"\\u0001\"", "\"a\\n\\\"\\u0001\""},
        {":a", "\":a\""},
        {"\":a\"", "\"\\\\:a\""},
        {"\"\\\\:a\"", "\"\\\\\\\\:a\""},
        {"\"\\\\d\"", "\"\\\\d\""},
        {"x", "{\"#symbol\":\"x\"}"},
        {"\\a", "{\"#char\":\"a\"}"},
        {"[1 [2 nil]]", "[1,[2,null]]"},
        {"(1 2)", "{\"#list\":[1,2]}"},
        {"#{}", "{\"#set\":[]}"},
        {"#{1 1}", "{\"#set\":[1,1]}"},
        {"{}", "{}"},
        {"{:a 1, \"b\" 2, 3 4}", "{\":a\":1,\"b\":2,\"3\":4}"},
        {"{\"3\" 4, \":a\" 5, \"#set\" [6]}", "{\"\\\\3\":4,\"\\\\:a\":5,\"\\\\#set\":[6]}"},
        {"{[1 2] 3}", "{\"#map\":[[[1,2],3]]}"},
        {"#inst \"2020\"", "{\"#tag\":\"inst\",\"value\":\"2020\"}"},
        {"#:n {:a 1}", "{\"#tag\":\"\\\\:n\",\"value\":{\":a\":1}}"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct arena arena = ARENA_INIT;
        struct err err = ERR_INIT;
        struct value value, back;
        struct buf json = BUF_INIT, edn = BUF_INIT;
        assert_ok(edn_parse_all(&arena, cases[i].edn, strlen(cases[i].edn), &value, &err));
        json_add_value(&json, value, JSON_EXACT);
        assert_string_equal(json.data, cases[i].json);
        struct json_reader reader;
        json_reader_init(&reader, &arena, JSON_EXACT);
        buf_add_char(&json, '\n');
        json_reader_text(&reader, json.data, json.length);
        if (!json_reader_read(&reader, &back))
            fail_msg("%s: %s", json.data, reader.problem);
        value_print(back, &edn);
        struct buf printed = BUF_INIT;
        value_print(value, &printed);
        assert_string_equal(edn.data, printed.data);
        json_reader_free(&reader);
        buf_free(&printed);
        buf_free(&json);
        buf_free(&edn);
        arena_free(&arena);
    }
}

static void random_values_survive_json(void **state)
{
    (void)state;
    struct prng prng = prng_stream(21, "json");
    for (int round = 0; round < 3000; round++) {
        struct arena arena = ARENA_INIT;
        struct value value = random_value(&prng, &arena, 4), back;
        struct buf json = BUF_INIT;
        json_add_value(&json, value, JSON_EXACT);
        buf_add_char(&json, '\n');
        struct json_reader reader;
        json_reader_init(&reader, &arena, JSON_EXACT);
        json_reader_text(&reader, json.data, json.length);
        if (!json_reader_read(&reader, &back) || !value_equal(value, back))
            fail_msg("%s", json.data);
        json_reader_free(&reader);
        buf_free(&json);
        arena_free(&arena);
    }
}

static void histories_survive_json_lines(void **state)
{
    (void)state;
    struct prng prng = prng_stream(22, "jsonl");
    struct history history, back;
    struct err err = ERR_INIT;
    struct buf text = BUF_INIT;
    history_init(&history);
    random_history(&prng, &history, 3000);
    written(&history, JSON_EXACT, &text);
    assert_ok(read_text(&back, JSON_EXACT, text.data, text.length, &err));
    assert_null(back.cut);
    assert_int_equal(back.count, 3000);
    assert_true(history_same(&history, &back, 3000));
    buf_free(&text);
    history_free(&back);
    history_free(&history);
}

static void lines_look_as_documented(void **state)
{
    (void)state;
    struct history history;
    struct err err = ERR_INIT;
    struct source source;
    const char *edn = "{:time 12 :type :invoke :process 0 :f :read :value [1 nil]}"
                      "{:type :info :process :nemesis :f :kill :value {\"n1\" :killed} :error :x}";
    history_init(&history);
    source_open_text(&source, "edn", edn, strlen(edn));
    assert_ok(history_edn_read(&source, &history, &notes, &err));
    struct buf text = BUF_INIT;
    written(&history, JSON_EXACT, &text);
    assert_string_equal(text.data,
                        "{\"index\":0,\"time\":12,\"type\":\"invoke\",\"process\":0,\"f\":\"read\","
                        "\"value\":[1,null]}\n"
                        "{\"index\":1,\"type\":\"info\",\"process\":\"nemesis\",\"f\":\"kill\","
                        "\"value\":{\"n1\":\":killed\"},\"error\":\":x\"}\n");
    buf_clear(&text);
    written(&history, JSON_PLAIN, &text);
    assert_string_equal(
        text.data, "[{\"index\":0,\"time\":12,\"type\":\"invoke\",\"process\":0,\"f\":\"read\","
                   "\"value\":[1,null]},\n"
                   "{\"index\":1,\"type\":\"info\",\"process\":\"nemesis\",\"f\":\"kill\","
                   "\"value\":{\"n1\":\"killed\"},\"error\":\"x\"}]\n");
    buf_free(&text);
    history_free(&history);
}

static void check_plain(const char *json, const char *edn)
{
    struct history history;
    struct err err = ERR_INIT;
    struct buf out = BUF_INIT;
    if (read_text(&history, JSON_PLAIN, json, strlen(json), &err) != ERR_NONE)
        fail_msg("%s: %s", json, err.message);
    for (uint32_t i = 0; i < history.count; i++)
        history_print_op(&history, i, &out);
    assert_string_equal(buf_text(&out), edn);
    buf_free(&out);
    history_free(&history);
}

static void elle_clis_arrays_are_read(void **state)
{
    (void)state;
    check_plain(
        "[{\"type\":\"ok\",\"f\":\"txn\",\"process\":1,\"time\":3,\"value\":[[\"append\",9,1],"
        "[\"r\",9,[1]]]}]",
        "{:index 0, :time 3, :type :ok, :process 1, :f :txn, :value [[:append 9 1] [:r 9 "
        "[1]]]}");
    check_plain("[{\"type\":\"ok\",\"f\":\"read\",\"process\":1,\"time\":3,\"value\":{\"0\":100,"
                "\"from\":-1}}]",
                "{:index 0, :time 3, :type :ok, :process 1, :f :read, :value {0 100, :from -1}}");
    check_plain("[{\"type\":\"info\",\"f\":\"start\",\"process\":\"nemesis\",\"value\":\"n1\","
                "\"error\":\"not-held\"}]",
                "{:index 0, :time -1, :type :info, :process :nemesis, :f :start, :value \"n1\", "
                ":error \"not-held\"}");
    check_plain("[]", "");
    check_plain(" [ ] ", "");
}

static void what_is_wrong_is_named_with_its_place(void **state)
{
    (void)state;
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"{\"f\":\"read\"}", "h.json:1:1: an operation without :type"},
        {"[\n5]", "h.json:2:1: expected an operation (an object)"},
        {"{\"type\" \"ok\"}", "1:9: expected a colon behind a key"},
        {"{type:1}", "1:2: expected a key in quotes"},
        {"{\"type\":\"ok\" \"f\":1}", "1:14: expected a comma or a closing brace"},
        {"{\"value\":[1 2]}", "1:13: expected a comma or a closing bracket"},
        {"{\"value\":[1,]}", "1:13: not a JSON value"},
        {"{\"value\":nul}", "1:10: not a JSON value"},
        {"{\"value\":01}", "1:10: not a JSON value"},
        {"{\"value\":-}", "1:10: not a JSON value"},
        {"{\"value\":+1}", "1:10: not a JSON value"},
        {"{\"value\":\"\\x\"}", "1:11: an escape that JSON does not have"},
        {"{\"value\":\"a\nb\"}", "1:12: a control character in a string"},
        {"{\"value\":{\"#set\":1}}", "1:10: an object with a # key that does not mean anything"},
        {"{\"value\":{\"#tag\":\"a\"}}", "1:10: an object with a # key"},
        {"{\"value\":{\"#map\":[[1]]}}", "1:10: an object with a # key"},
        {"{\"value\":{\"a\":1,\"#set\":[]}}", "1:10: an object with a # key"},
        {"{\"value\":{\"#double\":\"x\"}}", "1:10: an object with a # key"},
        {"{\"type\":\"ok\",\"type\":\"ok\"}", "1:14: a key that this operation has already"},
        {"[{\"type\":\"ok\",\"process\":0}] 1", "1:29: something follows the end of the history"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct history history;
        struct err err = ERR_INIT;
        if (read_text(&history, JSON_EXACT, cases[i].text, strlen(cases[i].text), &err) !=
            ERR_PARSE)
            fail_msg("%s was read", cases[i].text);
        assert_contains(err.message, cases[i].message);
        history_free(&history);
    }
}

static void a_text_cut_anywhere_gives_what_is_whole(void **state)
{
    (void)state;
    static const char text[] =
        "[{\"type\":\"invoke\",\"process\":0,\"f\":\"cas\",\"value\":[1,-2.5e1,{\":a\":true}]},\n"
        "{\"type\":\"ok\",\"process\":0,\"f\":\"cas\",\"node\":\"\\u0041\",\"value\":null}]\n";
    uint32_t before = 0;
    for (size_t length = 0; length <= sizeof text - 1; length++) {
        char *exact = malloc(length == 0 ? 1 : length);
        memcpy(exact, text, length);
        struct history history;
        struct err err = ERR_INIT;
        assert_ok(read_text(&history, JSON_EXACT, exact, length, &err));
        assert_true(history.count >= before);
        before = history.count;
        if (length == 0 || length >= sizeof text - 2)
            assert_null(history.cut);
        else
            assert_non_null(history.cut);
        history_free(&history);
        free(exact);
    }
    assert_int_equal(before, 2);
}

static void nesting_has_a_limit(void **state)
{
    (void)state;
    struct buf text = BUF_INIT;
    struct history history;
    struct err err = ERR_INIT;
    buf_add_text(&text, "{\"value\":");
    for (int i = 0; i < 100000; i++)
        buf_add_text(&text, i % 2 == 0 ? "[" : "{\"a\":");
    assert_int_equal(read_text(&history, JSON_EXACT, text.data, text.length, &err), ERR_PARSE);
    assert_contains(err.message, "512 deep");
    history_free(&history);
    buf_free(&text);
}

static void wrong_bytes_become_replacement_characters(void **state)
{
    (void)state;
    struct buf out = BUF_INIT;
    json_add_text(&out, "a\xff\xc0\x80\xce\xa9", 6);
    assert_string_equal(out.data, "\"a\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xce\xa9\"");
    buf_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_have_an_exact_form),
        cmocka_unit_test(random_values_survive_json),
        cmocka_unit_test(histories_survive_json_lines),
        cmocka_unit_test(lines_look_as_documented),
        cmocka_unit_test(elle_clis_arrays_are_read),
        cmocka_unit_test(what_is_wrong_is_named_with_its_place),
        cmocka_unit_test(a_text_cut_anywhere_gives_what_is_whole),
        cmocka_unit_test(nesting_has_a_limit),
        cmocka_unit_test(wrong_bytes_become_replacement_characters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
