/* Jepsen's binary store. tests/histories/jepsen/test.jepsen was written by Fressian's own library,
 * in the blocks that Jepsen makes; expected.edn is what Clojure printed of the same operations. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/base/text.h"
#include "harness/histories/fressian.h"
#include "harness/histories/history_edn.h"
#include "harness/histories/history_io.h"
#include "harness/histories/history_jepsen.h"
#include "harness/store.h"
#include "tests/lib/random_value.h"
#include "tests/lib/test.h"

static struct buf file; /* test.jepsen */

/* Tests run in directories of their own. */
static const char *data_path(const char *name)
{
    static char path[4096];
    const char *root = getenv("ORDEAL_SOURCE");
    snprintf(path, sizeof path, "%s/tests/histories/jepsen/%s", root == NULL ? "." : root, name);
    return path;
}

static enum err_code read_bytes(const void *bytes, size_t length, struct history *history,
                                struct err *err)
{
    struct history_notes notes = {.format = "jepsen"};
    history_init(history);
    return history_jepsen_read(bytes, length, "test.jepsen", history, &notes, err);
}

static void a_file_of_the_real_library_reads_as_clojure_printed_it(void **state)
{
    (void)state;
    struct history read, printed;
    struct err err = ERR_INIT;
    assert_ok(read_bytes(file.data, file.length, &read, &err));
    assert_null(read.cut);
    assert_ok(history_load(data_path("expected.edn"), NULL, &printed, NULL, &err));
    assert_int_equal(read.count, printed.count);
    assert_true(history_same(&read, &printed, read.count));
    history_free(&read);
    history_free(&printed);
}

/* Never more than what is there, and never silently less. */
static void a_file_cut_anywhere_gives_its_whole_chunks(void **state)
{
    (void)state;
    uint32_t last = 0;
    for (size_t length = 0; length < file.length; length++) {
        struct history history;
        struct err err = ERR_INIT;
        char *exact = malloc(length + 1);
        memcpy(exact, file.data, length);
        enum err_code code = read_bytes(exact, length, &history, &err);
        assert_int_equal(code == ERR_NONE, length >= 18);
        if (code == ERR_NONE) {
            assert_non_null(history.cut);
            assert_true(history.count >= last); /* 0, then the first chunk, then both */
            last = history.count;
        }
        history_free(&history);
        free(exact);
    }
    assert_int_equal(last, 6);
}

static void a_damaged_byte_is_noticed(void **state)
{
    (void)state;
    struct history whole;
    struct err err = ERR_INIT;
    assert_ok(read_bytes(file.data, file.length, &whole, &err));
    for (size_t at = 18; at < file.length; at++) {
        struct history history;
        file.data[at] ^= 0x10;
        enum err_code code = read_bytes(file.data, file.length, &history, &err);
        assert_int_equal(code, ERR_NONE);
        /* bytes of heads that mean nothing may change; all else is seen by the check sums */
        assert_true(history.cut != NULL || history.count == whole.count);
        assert_true(history_same(&history, &whole, history.count));
        history_free(&history);
        file.data[at] ^= 0x10;
    }
    history_free(&whole);
}

static void what_is_no_such_file_is_refused(void **state)
{
    (void)state;
    struct history history;
    struct err err = ERR_INIT;
    assert_int_equal(read_bytes("{:type :ok, :f :read}", 21, &history, &err), ERR_PARSE);
    assert_contains(err.message, "it does not begin with JEPSEN");
    history_free(&history);
    file.data[9] = 7;
    assert_int_equal(read_bytes(file.data, file.length, &history, &err), ERR_UNSUPPORTED);
    assert_contains(err.message, "version 7 of Jepsen's format");
    history_free(&history);
    file.data[9] = 1;
}

static void a_directory_of_jepsens_store_is_read(void **state)
{
    (void)state;
    static const char results[] = "{:valid? false, :set {:lost #{5 5 7} :op #x.Op{:f :a}}}\n";
    struct stored_run stored;
    struct err err = ERR_INIT;
    assert_ok(file_make_dirs("jepsen-store", &err));
    assert_ok(file_write("jepsen-store/results.edn", results, sizeof results - 1, &err));
    assert_ok(file_write("jepsen-store/test.jepsen", file.data, file.length, &err));
    assert_ok(store_read("jepsen-store", &stored, &err));
    assert_int_equal(stored.history.count, 6);
    assert_contains(buf_text(&stored.notes), "results.edn says :valid? false\n");
    assert_null(strstr(buf_text(&stored.notes), "missing"));
    store_free(&stored);
    assert_ok(file_write("jepsen-store/results.edn", "{:valid?", 8, &err));
    assert_ok(store_read("jepsen-store", &stored, &err)); /* a note, not the end */
    assert_contains(buf_text(&stored.notes), "results.edn cannot be read: 1:9: ");
    store_free(&stored);
}

/* ---- Fressian by itself ---- */

static void reads(const char *bytes, size_t length, const char *expected)
{
    struct arena arena = ARENA_INIT;
    struct fressian fressian;
    struct value value;
    struct buf text = BUF_INIT;
    char *exact = malloc(length + 1);
    memcpy(exact, bytes, length);
    fressian_init(&fressian, &arena, exact, length);
    if (fressian_read(&fressian, &value))
        value_print(value, &text);
    else
        buf_add_text(&text, fressian.problem);
    assert_string_equal(buf_text(&text), expected);
    buf_free(&text);
    fressian_free(&fressian);
    arena_free(&arena);
    free(exact);
}
#define READS(bytes, expected) reads(bytes, sizeof bytes - 1, expected)

static void every_code_is_read(void **state)
{
    (void)state;
    READS("\x05", "5");
    READS("\xff", "-1");
    READS("\x50\x40", "64");
    READS("\x4f\xff", "-1");
    READS("\x68\x20\x00", "8192");
    READS("\x72\x80\x00\x00", "8388608");
    READS("\x76\x80\x00\x00\x00", "2147483648");
    READS("\x7a\x00\x00\x00\x00\x01", "1");
    READS("\x7e\x00\x00\x00\x00\x00\x02", "2");
    READS("\xf8\x80\x00\x00\x00\x00\x00\x00\x00", "-9223372036854775808");
    READS("\xe2\x02"
          "ab"
          "\xe2\x01"
          "c"
          "\xdb"
          "d",
          "\"abcd\"");
    READS("\xe3\x09"
          "abcdefghi",
          "\"abcdefghi\"");
    READS("\xe0\xed\xa0\xbd\xed\xb8\x80", "\"\xf0\x9f\x98\x80\"");
    READS("\xd8\x01\x0a\xd9\x01\x0b", "#bytes \"0a0b\"");
    READS("\xed\x01\x02\xfd", "[1 2]");
    READS("\xee\x01\x02", "[1 2]");
    READS("\xec\x01\xf7", "[nil]");
    READS("\xc1\xe6\x01\x02", "#{1 2}");
    READS("\xb0\x02\x01\x02", "[1 2]");
    READS("\xc6\xd1\xff", "-1");
    READS("\xc6\xd9\x09\x01\x00\x00\x00\x00\x00\x00\x00\x00", "18446744073709551616N");
    READS("\xc6\xd9\x09\xff\x00\x00\x00\x00\x00\x00\x00\x00", "-18446744073709551616N");
    READS("\xc7\xd1\x0f\x01", "1.5M");
    READS("\xc7\xd1\xf1\x03", "-0.015M");
    READS("\xc7\xd1\x0f\xff", "15E1M");
    READS("\xc8\x00", "#inst \"1970-01-01T00:00:00.000-00:00\"");
    READS("\xc8\xff", "#inst \"1969-12-31T23:59:59.999-00:00\"");
    READS("\xc5\xdc"
          "ab",
          "#uri \"ab\"");
    READS("\xe6\xcd\xe5\x07\x80", "[[7] [7]]");
    READS("\xe6\xef\xdf"
          "thing"
          "\x02\x01\x02\xa0\x03\x04",
          "[#thing [1 2] #thing [3 4]]");
    READS("\xe6\xef\xdf"
          "thing"
          "\x01\x01\xf0\x00\x03",
          "[#thing 1 #thing 3]");
    READS("\xef\xe3\x08"
          "multiset"
          "\x01\xc0\xe6\x05\x02",
          "#{5 5}");
    READS("\xfe\xf5", "true");
    READS("\xe7\xfb\xfc\xf9\x3f\x00\x00\x00", "[0.0 1.0 0.5]");
}

static void what_makes_no_sense_is_told(void **state)
{
    (void)state;
    READS("", "the bytes end inside a value");
    READS("\xe6\x01", "the bytes end inside a value");
    READS("\x80", "a reference to a value that is not there");
    READS("\xa0", "a tag that was not defined");
    READS("\xc0\xe5\x01", "a map whose last key has no value");
    READS("\xec\xff", "a length below 0");
    READS("\xec\x7e\x7f\x7f\x7f\x7f\x7f\x7f", "the bytes end inside a value");
    READS("\xca\xf7\x01", "expected a name");
    READS("\xf2", "a code that Fressian does not have");
    READS("\xc3\xd1\x00", "a UUID of other than 16 bytes");
    /* thirty lists of two, each of them twice the one before: a thousand million parts */
    struct buf bytes = BUF_INIT;
    buf_add_text(&bytes, "\xed\xcd\xe6\x01\x01");
    for (int i = 0; i < 30; i++) {
        buf_add_text(&bytes, "\xcd\xe6");
        buf_add_char(&bytes, (char)(0x80 + i));
        buf_add_char(&bytes, (char)(0x80 + i));
    }
    buf_add_text(&bytes, "\xfd");
    reads(bytes.data, bytes.length, "a value of too many parts");
    buf_free(&bytes);
    char deep[2000];
    memset(deep, '\xe5', sizeof deep);
    reads(deep, sizeof deep, "values nested more than 512 deep");
}

static int load_file(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    return file_read(data_path("test.jepsen"), 1 << 20, &file, &err) != ERR_NONE;
}

static int free_file(void **state)
{
    (void)state;
    buf_free(&file);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_of_the_real_library_reads_as_clojure_printed_it),
        cmocka_unit_test(a_file_cut_anywhere_gives_its_whole_chunks),
        cmocka_unit_test(a_damaged_byte_is_noticed),
        cmocka_unit_test(what_is_no_such_file_is_refused),
        cmocka_unit_test(a_directory_of_jepsens_store_is_read),
        cmocka_unit_test(every_code_is_read),
        cmocka_unit_test(what_makes_no_sense_is_told),
    };
    return cmocka_run_group_tests(tests, load_file, free_file);
}
