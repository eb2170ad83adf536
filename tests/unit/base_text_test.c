/* Names near others, lists, UTF-8, files read whole and written at once, shell words. */
#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "harness/base/prng.h"
#include "harness/base/text.h"
#include "tests/lib/test.h"

static void the_nearest_name_is_found(void **state)
{
    (void)state;
    static const char *const names[] = {"partition", "kill", "pause", "clock", "packet"};
    static const struct {
        const char *name, *nearest;
    } cases[] = {
        {"partiton", "partition"}, {"klil", "kill"},     {"pasue", "pause"},
        {"clocks", "clock"},       {"Packet", "packet"}, {"kill", "kill"},
        {"zookeeper", NULL},       {"", NULL},           {"x", NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const char *nearest = text_nearest(cases[i].name, names, 5);
        if (cases[i].nearest == NULL)
            assert_null(nearest);
        else
            assert_string_equal(nearest, cases[i].nearest);
    }
    assert_null(text_nearest("kill", names, 0));
    char long_name[500];
    memset(long_name, 'a', sizeof long_name - 1);
    long_name[sizeof long_name - 1] = '\0';
    assert_null(text_nearest(long_name, names, 5));
}

static void lists_are_split_and_trimmed(void **state)
{
    (void)state;
    struct arena arena = ARENA_INIT;
    const char **parts;
    assert_int_equal(text_split(&arena, " n1, n2 ,,\tn3\t,", ',', &parts), 3);
    assert_string_equal(parts[0], "n1");
    assert_string_equal(parts[1], "n2");
    assert_string_equal(parts[2], "n3");
    assert_int_equal(text_split(&arena, "", ',', &parts), 0);
    assert_int_equal(text_split(&arena, " , ,", ',', &parts), 0);
    assert_int_equal(text_split(&arena, "a b", ',', &parts), 1);
    assert_string_equal(parts[0], "a b");
    assert_true(text_starts("nemesis", "nem"));
    assert_true(text_starts("nemesis", ""));
    assert_false(text_starts("ne", "nem"));
    arena_free(&arena);
}

static void only_valid_utf8_is_taken_for_it(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t size;
    } cases[] = {
        {"a", 1},
        {"\xce\xa9", 2},
        {"\xe2\x82\xac", 3},
        {"\xf0\x9f\x98\x80", 4},
        {"\xf4\x8f\xbf\xbf", 4},
        {"\x80", 0}, /* a continuation alone */
        {"\xce", 0}, /* cut short */
        {"\xce(", 0},
        {"\xc0\x80", 0}, /* overlong */
        {"\xc1\xbf", 0},
        {"\xe0\x9f\xbf", 0},
        {"\xf0\x8f\xbf\xbf", 0},
        {"\xed\xa0\x80", 0},     /* a surrogate */
        {"\xf4\x90\x80\x80", 0}, /* past U+10FFFF */
        {"\xff", 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_int_equal(text_utf8(cases[i].text, strlen(cases[i].text)), cases[i].size);
    assert_int_equal(text_utf8("", 0), 0);
    assert_int_equal(text_utf8("\xce\xa9", 1), 0);
}

static void files_are_read_whole_and_within_limits(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    struct buf out = BUF_INIT;
    char *large = malloc(300000);
    memset(large, 'x', 300000);
    assert_ok(file_write("large", large, 300000, &err));
    buf_add_text(&out, "before ");
    assert_ok(file_read("large", 300000, &out, &err));
    assert_int_equal(out.length, 300007);
    assert_memory_equal(out.data, "before xxx", 10);
    buf_clear(&out);
    buf_add_text(&out, "kept");
    assert_int_not_equal(file_read("large", 299999, &out, &err), ERR_NONE);
    assert_string_equal(out.data, "kept");
    assert_int_equal(file_read("absent", 10, &out, &err), ERR_IO);
    assert_contains(err.message, "absent: No such file");
    assert_int_equal(file_read(".", 10, &out, &err), ERR_IO);
    assert_ok(file_write("empty", "", 0, &err));
    assert_ok(file_read("empty", 10, &out, &err));
    assert_string_equal(out.data, "kept");
    buf_free(&out);
    free(large);
}

struct rewriting {
    _Atomic bool stop;
    _Atomic int written;
};

static void *rewrite(void *argument)
{
    struct rewriting *rewriting = argument;
    char text[20000];
    for (int i = 0; !rewriting->stop; i++) {
        memset(text, 'a' + i % 26, sizeof text);
        struct err err = ERR_INIT;
        if (file_write("rewritten", text, sizeof text, &err) != ERR_NONE)
            break;
        rewriting->written++;
    }
    return NULL;
}

static void a_reader_never_sees_half_a_file(void **state)
{
    (void)state;
    struct rewriting rewriting = {.stop = false};
    struct err err = ERR_INIT;
    char first[20000];
    memset(first, 'a', sizeof first);
    assert_ok(file_write("rewritten", first, sizeof first, &err));
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, rewrite, &rewriting), 0);
    for (int i = 0; i < 300 || rewriting.written < 3; i++) {
        struct buf out = BUF_INIT;
        assert_ok(file_read("rewritten", 1 << 20, &out, &err));
        assert_int_equal(out.length, 20000);
        for (size_t j = 1; j < out.length; j++)
            assert_true(out.data[j] == out.data[0]);
        buf_free(&out);
    }
    rewriting.stop = true;
    pthread_join(thread, NULL);
}

static void a_failed_write_leaves_what_was_there(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    assert_int_equal(file_write("no/such/file", "x", 1, &err), ERR_IO);
    assert_contains(err.message, "write no/such/file: No such file or directory");
    assert_ok(file_make_dirs("place/taken", &err));
    assert_int_equal(file_write("place/taken", "x", 1, &err), ERR_IO);
    DIR *directory = opendir("place");
    int entries = 0;
    while (readdir(directory) != NULL)
        entries++;
    closedir(directory);
    assert_int_equal(entries, 3); /* . .. taken, and no scrap */
    int fd = open("/dev/full", O_WRONLY | O_CLOEXEC);
    if (fd >= 0) {
        assert_int_equal(file_write_fd(fd, "out", "x", 1, &err), ERR_IO);
        assert_string_equal(err.message, "write out: No space left on device");
        close(fd);
    }
}

static void directories_are_made_with_their_parents(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    struct stat status;
    assert_ok(file_make_dirs("a/b/c", &err));
    assert_ok(file_make_dirs("a/b/c", &err));
    assert_ok(file_make_dirs("a//b/d/", &err));
    assert_int_equal(stat("a/b/d", &status), 0);
    assert_ok(file_write("a/file", "x", 1, &err));
    assert_int_equal(file_make_dirs("a/file", &err), ERR_IO);
    assert_int_equal(file_make_dirs("a/file/below", &err), ERR_IO);
}

/* What a real shell makes of a word. */
static void through_a_shell(const char *text, struct buf *out)
{
    struct buf command = BUF_INIT;
    buf_add_text(&command, "printf %s ");
    buf_add_shell_word(&command, text);
    FILE *shell = popen(command.data, "r");
    assert_non_null(shell);
    char bytes[4096];
    for (size_t got; (got = fread(bytes, 1, sizeof bytes, shell)) > 0;)
        buf_add(out, bytes, got);
    assert_int_equal(pclose(shell), 0);
    buf_free(&command);
}

static void shell_words_come_through_a_shell_unchanged(void **state)
{
    (void)state;
    static const char *const words[] = {
        "",      "plain",      "two words",  "it's",    "'",        "''",    "$HOME", "`id`",
        "$(id)", "a\\b",       "\"quoted\"", "a;b|c&d", "*?[a-z]~", "-n",    "%s",    "line\nfeed",
        "tab\t", "\xce\xa9 x", "!!",         "#no",     "\\'",      "end\\", "{a,b}", "trailing\n",
    };
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        struct buf out = BUF_INIT;
        through_a_shell(words[i], &out);
        assert_string_equal(buf_text(&out), words[i]);
        buf_free(&out);
    }
    struct prng prng = prng_stream(1, "shell");
    for (int round = 0; round < 30; round++) {
        char word[65];
        size_t length = prng_below(&prng, 64) + 1;
        for (size_t i = 0; i < length; i++)
            word[i] = (char)prng_between(&prng, 1, 127);
        word[length] = '\0';
        struct buf out = BUF_INIT;
        through_a_shell(word, &out);
        assert_string_equal(buf_text(&out), word);
        buf_free(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_nearest_name_is_found),
        cmocka_unit_test(lists_are_split_and_trimmed),
        cmocka_unit_test(only_valid_utf8_is_taken_for_it),
        cmocka_unit_test(files_are_read_whole_and_within_limits),
        cmocka_unit_test(a_reader_never_sees_half_a_file),
        cmocka_unit_test(a_failed_write_leaves_what_was_there),
        cmocka_unit_test(directories_are_made_with_their_parents),
        cmocka_unit_test(shell_words_come_through_a_shell_unchanged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
