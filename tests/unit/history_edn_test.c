/* Jepsen's histories in all their variants are read; what is written is what Knossos and Elle
 * read. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "harness/base/text.h"
#include "harness/histories/history_edn.h"
#include "tests/lib/random_value.h"
#include "tests/lib/test.h"

static struct history_notes notes;

static enum err_code read_text(struct history *history, const char *text, size_t length,
                               struct err *err)
{
    struct source source;
    history_init(history);
    notes = (struct history_notes){.format = "edn"};
    source_open_text(&source, "h.edn", text, length);
    return history_edn_read(&source, history, &notes, err);
}

/* The history as the writer gives it. */
static void written(const struct history *history, struct buf *out)
{
    struct err err = ERR_INIT;
    int fd = memfd_create("test", MFD_CLOEXEC);
    assert_ok(history_edn_write(history, fd, "out", &err));
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    assert_ok(file_read(path, 1 << 30, out, &err));
    close(fd);
}

static void check(const char *text, const char *expected)
{
    struct history history;
    struct err err = ERR_INIT;
    if (read_text(&history, text, strlen(text), &err) != ERR_NONE)
        fail_msg("%s: %s", text, err.message);
    struct buf out = BUF_INIT;
    written(&history, &out);
    assert_string_equal(buf_text(&out), expected);
    buf_free(&out);
    history_free(&history);
}

static const char two_ops[] =
    "{:index 0, :time 5, :type :invoke, :process 0, :f :read, :value nil}\n"
    "{:index 1, :time 9, :type :ok, :process 0, :f :read, :value 3}\n";

static void every_container_is_read(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "{:type :invoke, :f :read, :value nil, :process 0, :time 5}\n"
        "{:type :ok, :f :read, :value 3, :process 0, :time 9}\n",
        "[{:type :invoke :f :read :process 0 :time 5} {:type :ok :f :read :value 3 :process 0 "
        ":time 9}]",
        "( {:type :invoke :f :read :process 0 :time 5},\n  {:type :ok :f :read :value 3 :process 0 "
        ":time 9} )\n",
        "; recorded yesterday\n[{:type :invoke\n  :f :read ; a read\n  :value nil\n  :process 0\n"
        "  :time 5}\n\n {:time 9 :process 0 :value 3 :f :read :type :ok}\n]\n; end\n",
        "#jepsen.history.Op{:type :invoke, :f :read, :process 0, :time 5, :index 0}\n"
        "#jepsen.history.Op{:type :ok, :f :read, :process 0, :time 9, :index 1, :value 3}",
        "{\"type\" \"invoke\" \"f\" \"read\" \"process\" 0 \"time\" 5}"
        "{\"type\" \"ok\" \"f\" \"read\" \"process\" 0 \"time\" 9.0 \"value\" 3}",
        "\xef\xbb\xbf{:type :invoke :f :read :process 0 :time 5}\r\n"
        "#_{:type :junk}{:type :ok :f :read :value 3 :process 0 :time 9}\r\n",
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        check(texts[i], two_ops);
    check("", "");
    check("[]", "");
    check(" ; nothing\n", "");
}

static void processes_and_functions_may_be_anything_sensible(void **state)
{
    (void)state;
    check("{:type :info :process :nemesis :f :start :value {\"n1\" #{\"n2\"}} :time 1}"
          "{:type :info :process \"nemesis\" :f [:a :start] :time 2}"
          "{:type :info :process :checker :f {:x 1} :time 3}",
          "{:index 0, :time 1, :type :info, :process :nemesis, :f :start, :value {\"n1\" "
          "#{\"n2\"}}}\n"
          "{:index 1, :time 2, :type :info, :process :nemesis, :f [:a :start], :value nil}\n"
          "{:index 2, :time 3, :type :info, :process :checker, :f {:x 1}, :value nil}\n");
}

static void what_is_missing_has_defaults(void **state)
{
    (void)state;
    check("{:type :invoke :process 1 :value [[:r 1 nil]]}",
          "{:index 0, :type :invoke, :process 1, :f :txn, :value [[:r 1 nil]]}\n");
    struct history history;
    struct err err = ERR_INIT;
    const char *text = "{:index 5 :type :invoke :process 1 :node \"n1\" :vlue 3}"
                       "{:index 7 :type :ok :process 1 :time nil :node \"n2\"}";
    assert_ok(read_text(&history, text, strlen(text), &err));
    assert_int_equal(history.time_ns[0], -1);
    struct buf words = BUF_INIT;
    history_notes_print(&notes, &words);
    assert_string_equal(words.data,
                        "other keys, kept: :node (2), :vlue (1)\n"
                        "operations without :f, read as :txn: 2\n"
                        "operations without :time: 2\n"
                        "operations whose :index is not their position (from 0), which numbers "
                        "them here: 2\n");
    buf_free(&words);
    history_free(&history);
}

static void keys_join_their_values(void **state)
{
    (void)state;
    check("{:process 0, :type :invoke, :f :put, :key \"0\", :value \"x\"}",
          "{:index 0, :type :invoke, :process 0, :f :put, :value [\"0\" \"x\"]}\n");
}

/* Elle's paper example and histories for the comments checker have no processes at all. */
static void without_processes_operations_pair_by_what_they_do(void **state)
{
    (void)state;
    struct history history;
    struct err err = ERR_INIT;
    const char *text = "{:type :invoke :f :read :value nil}"
                       "{:type :invoke :f :write :value 4}"
                       "{:type :invoke :f :write :value 5}"
                       "{:type :ok :f :write :value 5}"
                       "{:type :ok :f :read :value #{4 5}}"
                       "{:type :invoke :value [[:r 1 nil] [:append 2 3]]}"
                       "{:type :invoke :value [[:r 2 nil] [:append 2 4]]}"
                       "{:type :ok :value [[:r 2 [3]] [:append 2 4]]}"
                       "{:type :ok :value [[:r 1 []] [:append 2 3]]}"
                       "{:type :ok :f :write :value 4}";
    assert_ok(read_text(&history, text, strlen(text), &err));
    assert_ok(history_pair(&history, &err));
    static const uint32_t partners[] = {4, 9, 3, 2, 0, 8, 7, 6, 5, 1};
    for (uint32_t i = 0; i < 10; i++)
        assert_int_equal(history.partner[i], partners[i]);
    history_free(&history);
}

static void what_is_wrong_is_named_with_its_place(void **state)
{
    (void)state;
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"{:f :read :process 0}", "h.edn:1:1: an operation without :type"},
        {"\n {:type :okay :process 0}",
         "h.edn:2:2: :type must be :invoke, :ok, :fail or :info, not :okay"},
        {"{:type :ok :process -4}", ":process must be a number from 0 to 2147483647 or a keyword, "
                                    "not -4"},
        {"{:type :ok :process 2147483648}", ":process must be"},
        {"{:type :ok :process [1]}", ":process must be"},
        {"{:type :ok :process 1 :time \"x\"}", ":time must be a number of nanoseconds, not \"x\""},
        {"{:type :ok :process 1 :index :a}", ":index must be a number, not :a"},
        {"{:type :ok :process 1}{:type :ok}", "1:23: an operation without :process, though"},
        {"{:type :ok}{:type :ok :process 1}", "1:12: an operation with :process, though"},
        {"{:type :ok :type :ok}", "1:12: a key that this operation has already"},
        {"{:type :ok :f}", "1:12: a key without a value"},
        {"{:type :ok :process 0} 5", "1:24: expected an operation (a map)"},
        {"[{:type :ok :process 0}] {:type :ok :process 0}",
         "1:26: something follows the end of the history"},
        {"[{:type :ok :process 0})", "1:24: expected an operation"},
        {"hello", "1:1: expected an operation"},
        {"#{1 2}", "1:1: expected an operation"},
        {"{:type :ok :process 0 :value 12x}", "1:30: not a number"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct history history;
        struct err err = ERR_INIT;
        if (read_text(&history, cases[i].text, strlen(cases[i].text), &err) != ERR_PARSE)
            fail_msg("%s was read", cases[i].text);
        assert_contains(err.message, cases[i].message);
        history_free(&history);
    }
}

static void a_text_cut_anywhere_gives_what_is_whole(void **state)
{
    (void)state;
    static const char text[] =
        "[{:type :invoke :process 0 :f :cas :value [1 [2 3]] :time 12}\n"
        "#op{:type :ok :process 0 :f :cas :value \"a\\n\" :error :x :exception {:a ##NaN}}\n"
        "; a comment\n{:type :info :process :nemesis :f :x :value 1.5e3}]\n";
    uint32_t before = 0;
    for (size_t length = 0; length <= sizeof text - 1; length++) {
        struct history history;
        struct err err = ERR_INIT;
        assert_ok(read_text(&history, text, length, &err));
        assert_true(history.count >= before);
        before = history.count;
        if (length == 0 || length >= sizeof text - 2)
            assert_null(history.cut);
        else
            assert_non_null(history.cut);
        history_free(&history);
    }
    assert_int_equal(before, 3);
    struct history history;
    struct err err = ERR_INIT;
    assert_ok(read_text(&history, text, 100, &err));
    assert_string_equal(history.cut, "the text ends in the middle of an operation (line 2): read 1 "
                                     "events up to there");
    history_free(&history);
}

static void failures_repeat_their_invocations_value(void **state)
{
    (void)state;
    check("{:type :invoke :process 0 :f :dequeue :value nil}"
          "{:type :fail :process 0 :f :dequeue :value :exhausted}"
          "{:type :invoke :process 0 :f :cas :value [1 2]}"
          "{:type :fail :process 0 :f :cas :value nil}"
          "{:type :invoke :process 0 :f :cas :value [1 2]}"
          "{:type :fail :process 0 :f :cas :value [1 2] :error :late}",
          "{:index 0, :type :invoke, :process 0, :f :dequeue, :value nil}\n"
          "{:index 1, :type :fail, :process 0, :f :dequeue, :value nil, :error :exhausted}\n"
          "{:index 2, :type :invoke, :process 0, :f :cas, :value [1 2]}\n"
          "{:index 3, :type :fail, :process 0, :f :cas, :value [1 2]}\n"
          "{:index 4, :type :invoke, :process 0, :f :cas, :value [1 2]}\n"
          "{:index 5, :type :fail, :process 0, :f :cas, :value [1 2], :error :late}\n");
}

/* The same bytes through a pipe, which gives them in small pieces, and at once. */
static void pieces_give_the_same_history(void **state)
{
    (void)state;
    struct prng prng = prng_stream(6, "edn pieces");
    struct history history, whole, pieces;
    struct err err = ERR_INIT;
    history_init(&history);
    random_history(&prng, &history, 20000);
    struct buf text = BUF_INIT;
    written(&history, &text);
    assert_true(text.length > 3 << 18); /* several windows */
    assert_ok(read_text(&whole, text.data, text.length, &err));
    assert_ok(file_write("pieces.edn", text.data, text.length, &err));
    int fd = open("pieces.edn", O_RDONLY | O_CLOEXEC);
    struct source source;
    source_open_fd(&source, "pieces.edn", fd);
    history_init(&pieces);
    notes = (struct history_notes){.format = "edn"};
    assert_ok(history_edn_read(&source, &pieces, &notes, &err));
    source_close(&source);
    close(fd);
    assert_int_equal(whole.count, 20000);
    assert_int_equal(pieces.count, 20000);
    assert_true(history_same(&whole, &pieces, 20000));
    /* a problem far into the file is told with its line */
    buf_add_text(&text, "{:type :ok :f :read :process 0 :value ]}");
    assert_ok(file_write("pieces.edn", text.data, text.length, &err));
    fd = open("pieces.edn", O_RDONLY | O_CLOEXEC);
    struct history none;
    history_init(&none);
    source_open_fd(&source, "pieces.edn", fd);
    assert_int_equal(history_edn_read(&source, &none, &notes, &err), ERR_PARSE);
    assert_contains(err.message, "pieces.edn:20001:39: a closing bracket");
    source_close(&source);
    close(fd);
    history_free(&none);
    buf_free(&text);
    history_free(&pieces);
    history_free(&whole);
    history_free(&history);
}

static void too_many_names_are_refused(void **state)
{
    (void)state;
    struct buf text = BUF_INIT;
    for (int i = 0; i < 5000; i++)
        buf_printf(&text, "{:type :ok :process 0 :f :f%d}\n", i);
    struct history history;
    struct err err = ERR_INIT;
    assert_int_equal(read_text(&history, text.data, text.length, &err), ERR_PARSE);
    assert_contains(err.message, "h.edn:4097:1: more than 4096 different :f");
    history_free(&history);
    buf_clear(&text);
    for (int i = 0; i < 5000; i++)
        buf_printf(&text, "{:type :ok :process :p%d :f :x}\n", i);
    assert_int_equal(read_text(&history, text.data, text.length, &err), ERR_PARSE);
    assert_contains(err.message, "too many processes that are not numbers");
    history_free(&history);
    buf_free(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_container_is_read),
        cmocka_unit_test(processes_and_functions_may_be_anything_sensible),
        cmocka_unit_test(what_is_missing_has_defaults),
        cmocka_unit_test(keys_join_their_values),
        cmocka_unit_test(without_processes_operations_pair_by_what_they_do),
        cmocka_unit_test(what_is_wrong_is_named_with_its_place),
        cmocka_unit_test(a_text_cut_anywhere_gives_what_is_whole),
        cmocka_unit_test(failures_repeat_their_invocations_value),
        cmocka_unit_test(pieces_give_the_same_history),
        cmocka_unit_test(too_many_names_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
