/* Histories by file name, by format, from run directories; the convert command; and, where they are
 * at hand (ORDEAL_HISTORIES), the histories that other projects recorded. */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness/base/text.h"
#include "harness/cli/cmd_convert.h"
#include "harness/histories/history_io.h"
#include "tests/lib/random_value.h"
#include "tests/lib/test.h"

static const char edn[] = "{:index 0, :type :invoke, :process 0, :f :txn, :value [[:r 1 nil]]}\n"
                          "{:index 1, :type :ok, :process 0, :f :txn, :value [[:r 1 #{\"a\"}]]}\n";

static void expect_file(const char *path, const char *text)
{
    struct buf read = BUF_INIT;
    struct err err = ERR_INIT;
    assert_ok(file_read(path, 1 << 20, &read, &err));
    assert_string_equal(buf_text(&read), text);
    buf_free(&read);
}

static int convert(const char *in, const char *out, const char *option, const char *value)
{
    char *argv[] = {(char *)"convert", (char *)in,    (char *)out,
                    (char *)option,    (char *)value, NULL};
    return cmd_convert(option == NULL ? 3 : 5, argv);
}

static void formats_are_told_by_names(void **state)
{
    (void)state;
    assert_string_equal(history_format_of("a/b.edn"), "edn");
    assert_string_equal(history_format_of("x.jsonl"), "jsonl");
    assert_string_equal(history_format_of("x.json"), "json");
    assert_string_equal(history_format_of("history.ordeal"), "ordeal");
    assert_null(history_format_of("history"));
    assert_null(history_format_of("a.edn/history"));
    assert_null(history_format_of("-"));
}

static void every_format_converts_to_every_other(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    assert_ok(file_write("a.edn", edn, sizeof edn - 1, &err));
    static const char *const chain[] = {"a.edn", "b.ordeal", "c.jsonl", "d.ordeal", "e.edn"};
    for (int i = 0; i + 1 < 5; i++)
        assert_int_equal(convert(chain[i], chain[i + 1], NULL, NULL), 0);
    expect_file("e.edn", edn);
    assert_int_equal(convert("a.edn", "f.json", NULL, NULL), 0);
    assert_int_equal(convert("f.json", "g.edn", NULL, NULL), 0);
    expect_file("g.edn", "{:index 0, :type :invoke, :process 0, :f :txn, :value [[:r 1 nil]]}\n"
                         "{:index 1, :type :ok, :process 0, :f :txn, :value [[:r 1 [\"a\"]]]}\n");
    assert_int_equal(convert("a.edn", "h", "--to", "jsonl"), 0);
    assert_int_equal(convert("h", "i.edn", "--from", "jsonl"), 0);
    expect_file("i.edn", edn);
}

static void keys_that_mean_nothing_here_survive(void **state)
{
    (void)state;
    static const char kept[] =
        "{:index 0, :time 5, :type :invoke, :process 0, :f :read, :value nil, :node \"n1\", "
        ":op-index 7, :ts #inst \"2026-01-01\"}\n"
        "{:index 1, :time 9, :type :ok, :process 0, :f :read, :value #my/tag [1], :error :late, "
        ":exception {:via [{:type a.B, :at [c \"d\" 3]}]}, \"str\" 1, [1 2] #{3}}\n"
        "{:index 2, :time 11, :type :info, :process :nemesis, :f :kill, :value nil}\n";
    struct err err = ERR_INIT;
    assert_ok(file_write("k.edn", kept, sizeof kept - 1, &err));
    static const char *const chain[] = {"k.edn", "k.ordeal", "k.jsonl", "l.ordeal", "l.edn"};
    for (int i = 0; i + 1 < 5; i++)
        assert_int_equal(convert(chain[i], chain[i + 1], NULL, NULL), 0);
    expect_file("l.edn", kept);
    struct history history;
    struct history_notes notes;
    struct buf out = BUF_INIT;
    assert_ok(history_load("k.edn", NULL, &history, &notes, &err));
    history_notes_print(&notes, &out);
    assert_non_null(strstr(buf_text(&out), "other keys, kept: :node (1), :op-index (1), :ts (1), "
                                           ":exception (1), :str (1), :(not a name) (1)\n"));
    buf_free(&out);
    history_free(&history);
}

/* The command with files as its standard input and output; returns its exit status. */
static int through_standard_streams(const char *in, const char *from, const char *out,
                                    const char *to)
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        int input = open(in, O_RDONLY), output = open(out, O_WRONLY | O_CREAT | O_TRUNC, 0644);
        if (dup2(input, STDIN_FILENO) < 0 || dup2(output, STDOUT_FILENO) < 0)
            _exit(99);
        char *argv[] = {(char *)"convert", (char *)"-",    (char *)"-", (char *)"--from",
                        (char *)from,      (char *)"--to", (char *)to,  NULL};
        _exit(cmd_convert(7, argv));
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void standard_input_and_output_convert(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    assert_ok(file_write("a.edn", edn, sizeof edn - 1, &err));
    assert_int_equal(through_standard_streams("a.edn", "edn", "s1", "ordeal"), 0);
    assert_int_equal(through_standard_streams("s1", "ordeal", "s2", "jsonl"), 0);
    assert_int_equal(through_standard_streams("s2", "jsonl", "s3", "edn"), 0);
    expect_file("s3", edn);
    assert_int_equal(through_standard_streams("a.edn", "ordeal", "s4", "edn"), 255);
}

static void random_histories_convert_without_loss(void **state)
{
    (void)state;
    struct prng prng = prng_stream(31, "convert");
    struct history history, back;
    struct err err = ERR_INIT;
    history_init(&history);
    random_history(&prng, &history, 2000);
    assert_ok(history_save("r.ordeal", NULL, &history, &err));
    assert_ok(history_save("r.jsonl", NULL, &history, &err));
    static const char *const paths[] = {"r.ordeal", "r.jsonl"};
    for (int i = 0; i < 2; i++) {
        assert_ok(history_load(paths[i], NULL, &back, NULL, &err));
        assert_null(back.cut);
        assert_int_equal(back.count, 2000);
        assert_true(history_same(&history, &back, 2000));
        history_free(&back);
    }
    history_free(&history);
}

static void run_directories_stand_for_their_history(void **state)
{
    (void)state;
    struct history history;
    struct history_notes notes;
    struct err err = ERR_INIT;
    assert_ok(file_make_dirs("run/one", &err));
    assert_int_equal(history_load("run/one", NULL, &history, &notes, &err), ERR_IO);
    assert_contains(err.message, "run/one holds neither history.ordeal nor history.edn");
    assert_ok(file_write("run/one/history.edn", edn, sizeof edn - 1, &err));
    assert_ok(history_load("run/one", NULL, &history, &notes, &err));
    assert_string_equal(notes.format, "edn");
    assert_ok(history_save("run/one/history.ordeal", NULL, &history, &err));
    history_free(&history);
    assert_ok(history_load("run/one", NULL, &history, &notes, &err));
    assert_string_equal(notes.format, "ordeal");
    assert_int_equal(history.count, 2);
    history_free(&history);
}

static void what_cannot_be_meant_is_refused(void **state)
{
    (void)state;
    struct history history;
    struct err err = ERR_INIT;
    assert_int_equal(history_load("x.txt", NULL, &history, NULL, &err), ERR_CONFIG);
    assert_contains(err.message, "x.txt: its name does not tell the format");
    assert_int_equal(history_load("-", NULL, &history, NULL, &err), ERR_CONFIG);
    assert_int_equal(history_load("x.edn", "json1", &history, NULL, &err), ERR_CONFIG);
    assert_contains(err.message, "did you mean json");
    assert_int_equal(history_load("absent.edn", NULL, &history, NULL, &err), ERR_IO);
    assert_contains(err.message, "absent.edn: No such file");
    assert_ok(file_write("a.edn", edn, sizeof edn - 1, &err));
    assert_int_equal(convert("a.edn", "b.txt", NULL, NULL), 254);
    assert_int_equal(convert("a.edn", "b.edn", "--to", "xml"), 254);
    assert_int_equal(convert("a.edn", "b.edn", "--frm", "edn"), 254);
    assert_int_equal(convert("absent.edn", "b.edn", NULL, NULL), 255);
    assert_int_equal(convert("a.edn", "no/such/dir/b.edn", NULL, NULL), 255);
    assert_int_equal(convert("a.edn", "b.edn", "--from", "ordeal"), 255);
    assert_int_equal(access("b.edn", F_OK), -1);
    char *few[] = {(char *)"convert", (char *)"a.edn", NULL};
    assert_int_equal(cmd_convert(2, few), 254);
    char *help[] = {(char *)"convert", (char *)"--help", NULL};
    assert_int_equal(cmd_convert(2, help), 0);
}

/* A file that cannot be finished leaves neither a half one nor scraps. */
static void a_failed_write_leaves_what_was_there(void **state)
{
    (void)state;
    struct history history;
    struct err err = ERR_INIT;
    assert_ok(file_make_dirs("kept/out.edn", &err)); /* renaming a file over a directory fails */
    history_init(&history);
    assert_int_equal(history_save("kept/out.edn", NULL, &history, &err), ERR_IO);
    DIR *directory = opendir("kept");
    int entries = 0;
    while (readdir(directory) != NULL)
        entries++;
    closedir(directory);
    assert_int_equal(entries, 3); /* . .. out.edn */
    history_free(&history);
}

/* ---- Recorded elsewhere ---- */

struct tally {
    unsigned files, failed;
    char first[8192];
};

static void load_recorded(const char *path, const char *format, struct tally *tally)
{
    struct history history, back;
    struct err err = ERR_INIT;
    enum err_code code = history_load(path, format, &history, NULL, &err);
    tally->files++;
    if (code == ERR_NONE) {
        if (history.count == 0)
            code = err_set(&err, ERR_PARSE, "no events");
        if (code == ERR_NONE)
            code = history_save("recorded.jsonl", NULL, &history, &err);
        if (code == ERR_NONE)
            code = history_load("recorded.jsonl", NULL, &back, NULL, &err);
        if (code == ERR_NONE &&
            (back.count != history.count || !history_same(&history, &back, history.count)))
            code = err_set(&err, ERR_PARSE, "JSON lines gave another history");
        if (code == ERR_NONE)
            history_free(&back);
        history_free(&history);
    }
    if (code != ERR_NONE && tally->failed++ == 0)
        snprintf(tally->first, sizeof tally->first, "%s: %s", path, err.message);
}

/* Field `index` of a line of tab-separated ones. */
static const char *field(const char *line, int index, char *text, size_t size)
{
    for (; index > 0 && line != NULL; index--) {
        line = strchr(line, '\t');
        line = line == NULL ? NULL : line + 1;
    }
    snprintf(text, size, "%.*s", line == NULL ? 0 : (int)strcspn(line, "\t\n"),
             line == NULL ? "" : line);
    return text;
}

static void recorded_histories_load(void **state)
{
    (void)state;
    const char *root = getenv("ORDEAL_HISTORIES");
    if (root == NULL)
        test_skip("ORDEAL_HISTORIES does not name a directory of recorded histories");
    char path[4096], line[65536], before[1024] = "", name[1024], format[256];
    snprintf(path, sizeof path, "%s/MANIFEST.tsv", root);
    FILE *manifest = fopen(path, "r");
    assert_non_null(manifest);
    struct tally tally = {.files = 0};
    while (fgets(line, sizeof line, manifest) != NULL) {
        field(line, 3, name, sizeof name);
        field(line, 4, format, sizeof format);
        bool text = strncmp(format, "edn", 3) == 0, json = strcmp(format, "json-array") == 0;
        size_t length = strlen(name);
        bool packed = length > 3 && strcmp(name + length - 3, ".gz") == 0;
        if ((!text && !json) || packed || strcmp(name, before) == 0)
            continue;
        snprintf(before, sizeof before, "%s", name);
        snprintf(path, sizeof path, "%s/%s", root, name);
        load_recorded(path, json ? "json" : "edn", &tally);
    }
    fclose(manifest);
    if (tally.failed > 0)
        fail_msg("%u of %u files, the first: %s", tally.failed, tally.files, tally.first);
    assert_true(tally.files > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(formats_are_told_by_names),
        cmocka_unit_test(every_format_converts_to_every_other),
        cmocka_unit_test(keys_that_mean_nothing_here_survive),
        cmocka_unit_test(standard_input_and_output_convert),
        cmocka_unit_test(random_histories_convert_without_loss),
        cmocka_unit_test(run_directories_stand_for_their_history),
        cmocka_unit_test(what_cannot_be_meant_is_refused),
        cmocka_unit_test(a_failed_write_leaves_what_was_there),
        cmocka_unit_test(recorded_histories_load),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
