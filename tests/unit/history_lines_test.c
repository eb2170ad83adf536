/* Texts that several threads read: the outcome must be that of one thread, whatever is in them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "harness/base/prng.h"
#include "harness/base/processors.h"
#include "harness/histories/history_edn.h"
#include "harness/histories/history_json.h"
#include "tests/lib/test.h"

enum { EVENTS = 15000 };

enum odd { /* what a text has beside plain operations */
           NOTHING,
           STRINGS,    /* with newlines and what looks like operations in them */
           OVER_LINES, /* operations over several lines, comments and discarded values between */
           EXTRA,      /* other keys */
           NAMES,      /* functions, processes and errors that come one after the other */
           OTHER_INDEX,
           LATE_INDEX, /* indexes that are wrong from the middle on */
           NO_PROCESS,
           LATE_NO_PROCESS, /* an error */
           BRACKETS,
           BEHIND_BRACKET, /* an error */
           WRONG,          /* an error in the middle */
           CUT,
           CUT_BRACKET,
           BLANK_END,
           ODDS,
};

static void add_op(struct buf *text, struct prng *prng, enum odd odd, int i)
{
    static const char *const types[] = {"ok", "fail", "info"};
    uint64_t rare = prng_below(prng, 500);
    int index = odd == OTHER_INDEX || (odd == LATE_INDEX && i > EVENTS / 2) ? i + 7 : i;
    buf_printf(text, "{:index %d, :time %d, :type :%s", index, i * 10,
               i % 2 == 0 ? "invoke" : types[prng_below(prng, 3)]);
    if (odd == NAMES && rare < 4)
        buf_printf(text, ", :process :watcher-%d", (int)prng_below(prng, 9));
    else if (odd != NO_PROCESS && !(odd == LATE_NO_PROCESS && i > EVENTS / 2))
        buf_printf(text, ", :process %d", i / 2);
    buf_printf(text, ", :f :%s%d, :value ", odd == NAMES ? "f" : "txn",
               odd == NAMES ? i / 2 / 300 : 0);
    if (odd == STRINGS && rare < 100)
        buf_add_text(text, "\"so\n{:type :ok}\n\"");
    else
        buf_printf(text, "[[:r %d [%d %d %d]] [:append %d %d]]", i % 7, i / 7, i / 7 + 1,
                   i / 7 + (int)prng_below(prng, 2), i % 5, i);
    if (odd == EXTRA && rare < 50)
        buf_printf(text, ", :node \"n%d\", :link-%d true", i % 5, (int)rare);
    if (odd == NAMES && rare > 400)
        buf_printf(text, ", :error [:lost %d]", (int)rare);
    buf_add_text(text, odd == OVER_LINES && rare < 300 ? "\n\n}" : "}");
    buf_add_text(text, odd == OVER_LINES && rare > 400 ? " ; {\n#_{:a 1}\n" : "\n");
}

static void make(struct buf *text, enum odd odd)
{
    struct prng prng = prng_stream(odd, "lines");
    bool bracket = odd == BRACKETS || odd == BEHIND_BRACKET || odd == CUT_BRACKET;
    buf_add_text(text, bracket ? "[" : "");
    for (int i = 0; i < EVENTS; i++) {
        add_op(text, &prng, odd, i);
        if (odd == WRONG && i == EVENTS * 2 / 3)
            buf_add_text(text, "{:type :ok, :process 3, :f :txn, :value 01}\n");
        if (odd == BEHIND_BRACKET && i == EVENTS * 2 / 3)
            buf_add_text(text, "]\n");
    }
    if (odd == CUT)
        text->length -= 20;
    buf_add_text(text, odd == BRACKETS ? "]\n" : odd == BLANK_END ? "\n\n  ;\n" : "");
}

struct outcome {
    struct history history;
    struct history_notes notes;
    struct err err;
    enum err_code code;
};

/* A source that is a descriptor is read by one thread. */
static void read_text(struct outcome *out, struct buf *text, bool json, int fd)
{
    struct source source;
    *out = (struct outcome){.err = ERR_INIT};
    history_init(&out->history);
    if (fd >= 0)
        source_open_fd(&source, "text", fd);
    else
        source_open_text(&source, "text", text->data, text->length);
    out->code = json ? history_json_read(&source, JSON_EXACT, &out->history, &out->notes, &out->err)
                     : history_edn_read(&source, &out->history, &out->notes, &out->err);
    source_close(&source);
}

static int as_descriptor(const struct buf *text)
{
    int fd = memfd_create("text", 0);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text->data, text->length), text->length);
    assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
    return fd;
}

static void assert_same(struct outcome *one, struct outcome *other)
{
    assert_int_equal(one->code, other->code);
    assert_string_equal(one->err.message, other->err.message);
    assert_int_equal(one->history.count, other->history.count);
    for (uint32_t i = 0; i < one->history.count; i++) {
        struct op a = history_op(&one->history, i), b = history_op(&other->history, i);
        assert_true(a.type == b.type && a.f == b.f && a.process == b.process &&
                    a.time_ns == b.time_ns && value_equal(a.value, b.value) &&
                    value_equal(a.error, b.error) && value_equal(a.extra, b.extra));
    }
    assert_int_equal(one->history.f_count, other->history.f_count);
    for (uint32_t i = 0; i < one->history.f_count; i++)
        assert_string_equal(one->history.f_names[i], other->history.f_names[i]);
    assert_int_equal(one->history.process_name_count, other->history.process_name_count);
    for (uint32_t i = 0; i < one->history.process_name_count; i++)
        assert_string_equal(one->history.process_names[i], other->history.process_names[i]);
    assert_true((one->history.cut == NULL) == (other->history.cut == NULL));
    if (one->history.cut != NULL)
        assert_string_equal(one->history.cut, other->history.cut);
    struct buf notes = BUF_INIT, others = BUF_INIT;
    history_notes_print(&one->notes, &notes);
    history_notes_print(&other->notes, &others);
    assert_string_equal(buf_text(&notes), buf_text(&others));
    buf_free(&notes);
    buf_free(&others);
}

static void by_many_as_by_one(struct buf *text, bool json, enum err_code code)
{
    struct outcome one, many;
    int fd = as_descriptor(text);
    read_text(&one, text, json, fd);
    close(fd);
    read_text(&many, text, json, -1);
    assert_int_equal(one.code, code);
    assert_same(&one, &many);
    history_free(&one.history);
    history_free(&many.history);
}

static void threads_read_what_one_would(void **state)
{
    (void)state;
    if (processors_usable(2) < 2)
        print_message("# one processor: texts are read by one thread here\n");
    for (enum odd odd = NOTHING; odd < ODDS; odd++) {
        struct buf text = BUF_INIT;
        make(&text, odd);
        assert_true(text.length > 1 << 20);
        bool wrong = odd == WRONG || odd == BEHIND_BRACKET || odd == LATE_NO_PROCESS;
        by_many_as_by_one(&text, false, wrong ? ERR_PARSE : ERR_NONE);
        buf_free(&text);
    }
}

static void json_lines_too(void **state)
{
    (void)state;
    struct buf text = BUF_INIT;
    for (int i = 0; i < EVENTS; i++)
        buf_printf(&text,
                   "{\"index\":%d,\"time\":%d,\"type\":\"invoke\",\"process\":%d,\"f\":\"w\","
                   "\"value\":[%d,\"{ and some more\"]}\n",
                   i, i, i, i % 9);
    assert_true(text.length > 1 << 20);
    by_many_as_by_one(&text, true, ERR_NONE);
    buf_add_text(&text, "{\"type\":");
    by_many_as_by_one(&text, true, ERR_NONE);
    buf_free(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(threads_read_what_one_would),
        cmocka_unit_test(json_lines_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
