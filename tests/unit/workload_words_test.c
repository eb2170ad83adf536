/* What operations may answer: the language of shapes, and the words of every workload. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/base/text.h"
#include "harness/histories/edn.h"
#include "harness/histories/json_value.h"
#include "harness/workload_words.h"
#include "tests/lib/test.h"

static struct arena arena;

static struct value read_json(const char *text, enum json_way way)
{
    struct json_reader reader;
    struct value value;
    struct buf padded = BUF_INIT;
    buf_printf(&padded, "%s ", text);
    json_reader_init(&reader, &arena, way);
    json_reader_text(&reader, padded.data, padded.length);
    assert_true(json_reader_read(&reader, &value));
    json_reader_free(&reader);
    buf_free(&padded);
    return value;
}

/* What is taken, as EDN; "no" when it does not fit. `asked` may have keywords. */
static const char *taken(const char *shape, const char *asked, const char *answered)
{
    static struct buf text;
    struct value value;
    buf_clear(&text);
    if (word_take(shape, read_json(asked, JSON_EXACT), read_json(answered, JSON_PLAIN), &arena,
                  &value))
        value_print(value, &text);
    else
        buf_add_text(&text, "no");
    return text.data;
}

static void shapes_fit_or_not(void **state)
{
    (void)state;
    static const struct {
        const char *shape, *asked, *answered, *taken;
    } cases[] = {
        {"int", "null", "5", "5"},
        {"int", "null", "5.0", "no"},
        {"int", "null", "\"5\"", "no"},
        {"int", "null", "null", "no"},
        {"int?", "null", "null", "nil"},
        {"int?", "null", "9007199254740993", "9007199254740993"},
        {"int | text", "null", "\"a\"", "\"a\""},
        {"int | text", "null", "true", "no"},
        {"any", "null", "{\"a\": [1]}", "{:a [1]}"},
        {"[same int?]", "[3, null]", "[3, 4]", "[3 4]"},
        {"[same int?]", "[3, null]", "[3, null]", "[3 nil]"},
        {"[same int?]", "[3, null]", "[4, 4]", "no"},
        {"[same int?]", "[3, null]", "[3]", "no"},
        {"[same int?]", "[3, null]", "[3, 4, 5]", "no"},
        {"[same int?]", "[3, null]", "4", "no"},
        {"[int*]", "null", "[]", "[]"},
        {"[int*]", "null", "[1, 2, 3]", "[1 2 3]"},
        {"[int*]", "null", "[1, null]", "no"},
        {"same", "[\":append\", 1, 2]", "[\"append\", 1, 2]", "[:append 1 2]"},
        {"same", "[1, 2]", "[1, 2, 3]", "no"},
        {"same", "{\"a\": 1, \"b\": [2]}", "{\"b\": [2], \"a\": 1}", "{\"a\" 1, \"b\" [2]}"},
        {"same", "{\":a\": 1}", "{\"a\": 1}", "{:a 1}"},
        {"same", "{\"a\": 1}", "{\"a\": 2}", "no"},
        {"{:a int}", "null", "{\"a\": 1, \"b\": \"x\"}", "{:a 1, :b \"x\"}"},
        {"{:a int :b text}", "null", "{\"a\": 1}", "no"},
        {"{:a same}", "{\"a\": 1}", "{\"a\": 2}", "no"},
        {"{:a same}", "{\"a\": 1}", "{\"a\": 1}", "{:a 1}"},
        {":empty | [int]", "null", "\"empty\"", ":empty"},
        {":empty | [int]", "null", "[1]", "[1]"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_true(word_shape_is_good(cases[i].shape));
        const char *got = taken(cases[i].shape, cases[i].asked, cases[i].answered);
        if (strcmp(got, cases[i].taken) != 0)
            fail_msg("%s, asked %s, answered %s: %s, not %s", cases[i].shape, cases[i].asked,
                     cases[i].answered, got, cases[i].taken);
    }
}

static void transactions_answer_each_part(void **state)
{
    (void)state;
    const char *shape = word_find(workload_find("list-append"), "txn")->answered;
    const char *asked = "[[\":append\", 1, 5], [\":r\", 2, null]]";
    assert_string_equal(taken(shape, asked, "[[\"append\", 1, 5], [\"r\", 2, [1, 2]]]"),
                        "[[:append 1 5] [:r 2 [1 2]]]");
    assert_string_equal(taken(shape, asked, "[[\"append\", 1, 5], [\"r\", 2, null]]"),
                        "[[:append 1 5] [:r 2 nil]]");
    assert_string_equal(taken(shape, asked, "[[\"append\", 1, 5]]"), "no");
    assert_string_equal(taken(shape, asked, "[[\"append\", 1, 6], [\"r\", 2, []]]"), "no");
    assert_string_equal(taken(shape, asked, "[[\"r\", 1, [5]], [\"r\", 2, []]]"), "no");
    assert_string_equal(taken(shape, asked, "[[\"append\", 1, 5], [\"r\", 3, []]]"), "no");
    assert_string_equal(taken(shape, asked, "[[\"append\", 1, 5], [\"r\", 2, 7]]"), "no");
    assert_string_equal(taken(shape, "[]", "[]"), "[]");
}

/* Jobs have keys that no shape names: they stay. */
static void jobs_keep_what_they_have(void **state)
{
    (void)state;
    const char *dequeue = word_find(workload_find("queue"), "dequeue")->answered;
    assert_string_equal(taken(dequeue, "{\":queue\": \"q0\"}", "null"), "nil");
    assert_string_equal(taken(dequeue, "{\":queue\": \"q0\"}",
                              "{\"message\": 7, \"queue\": \"q0\", \"delivery\": 3, \"count\": 1}"),
                        "{:message 7, :queue \"q0\", :delivery 3, :count 1}");
    assert_string_equal(taken(dequeue, "{\":queue\": \"q0\"}", "{\"queue\": \"q0\"}"), "no");
    const char *drain = word_find(workload_find("queue"), "drain")->answered;
    assert_string_equal(taken(drain, "{\":queue\": \"q0\"}", "\"exhausted\""), ":exhausted");
    const char *enqueue = word_find(workload_find("queue"), "enqueue")->answered;
    assert_string_equal(taken(enqueue, "{\":message\": 7, \":queue\": \"q0\", \":retry\": 100}",
                              "{\"message\": 7, \"queue\": \"q0\", \"retry\": 100, \"id\": \"a\"}"),
                        "{:message 7, :queue \"q0\", :retry 100, :id \"a\"}");
    assert_string_equal(taken(enqueue, "{\":message\": 7, \":queue\": \"q0\"}",
                              "{\"message\": 8, \"queue\": \"q0\"}"),
                        "no");
}

static void bad_shapes_are_told(void **state)
{
    (void)state;
    static const char *const bad[] = {"",      "integer", "[int",   "{a int}", "(int",
                                      "int |", "int int", "[int]]", "?",       "{:a}"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        if (word_shape_is_good(bad[i]))
            fail_msg("'%s' is taken for a shape", bad[i]);
    char deep[200];
    memset(deep, '[', sizeof deep - 1);
    deep[sizeof deep - 1] = '\0';
    assert_false(word_shape_is_good(deep));
}

static void every_workload_has_good_words(void **state)
{
    (void)state;
    for (size_t i = 0; workloads[i] != NULL; i++)
        for (const struct word *word = workloads[i]->words; word != NULL && word->f != NULL; word++)
            if (!word_shape_is_good(word->answered) || *word->asked == '\0' || *word->help == '\0')
                fail_msg("%s: %s: '%s'", workloads[i]->name, word->f, word->answered);
    assert_non_null(word_find(workload_find("register"), "cas"));
    assert_null(word_find(workload_find("register"), "enqueue"));
    assert_null(word_find(workload_find("noop"), "noop"));
}

static void add_cell(struct buf *row, const char *code)
{
    buf_add_text(row, " `");
    for (; *code != '\0'; code++) {
        if (*code == '|') /* it would end the cell */
            buf_add_char(row, '\\');
        buf_add_char(row, *code);
    }
    buf_add_text(row, "` |");
}

/* The table of docs/clients.md, as the words are. */
static void print_table(struct buf *table)
{
    for (size_t i = 0; workloads[i] != NULL; i++)
        for (const struct word *word = workloads[i]->words; word != NULL && word->f != NULL;
             word++) {
            buf_add_char(table, '|');
            add_cell(table, workloads[i]->name);
            add_cell(table, word->f);
            add_cell(table, word->asked);
            add_cell(table, word->answered);
            buf_printf(table, " %s |\n", word->help);
        }
}

static void the_page_has_every_word(void **state)
{
    (void)state;
    const char *source = getenv("ORDEAL_SOURCE");
    char path[4096];
    struct err err = ERR_INIT;
    struct buf page = BUF_INIT, table = BUF_INIT;
    snprintf(path, sizeof path, "%s/docs/clients.md", source == NULL ? "." : source);
    assert_int_equal(file_read(path, 1 << 20, &page, &err), ERR_NONE);
    print_table(&table);
    buf_add_char(&table, '\n'); /* and no row more */
    const char *found = strstr(buf_text(&page), buf_text(&table));
    if (found == NULL || strncmp(found - 5, "---|\n", 5) != 0) {
        fputs(table.data, stdout);
        fail_msg("%s has another table of words than the one above", path);
    }
    buf_free(&page);
    buf_free(&table);
}

int main(void)
{
    arena = ARENA_INIT;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shapes_fit_or_not),
        cmocka_unit_test(transactions_answer_each_part),
        cmocka_unit_test(jobs_keep_what_they_have),
        cmocka_unit_test(bad_shapes_are_told),
        cmocka_unit_test(every_workload_has_good_words),
        cmocka_unit_test(the_page_has_every_word),
    };
    int status = cmocka_run_group_tests(tests, NULL, NULL);
    arena_free(&arena);
    return status;
}
