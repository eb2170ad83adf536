/* One and the same history of a queue as EDN, Jepsen's JSON, JSON lines and history.ordeal: the
 * command says the same of all of them, to the last finding; and what does not follow the
 * vocabulary is named, with its event, in each. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness/base/json.h"
#include "harness/base/text.h"
#include "harness/histories/history_io.h"
#include "tests/lib/sanitized.h"
#include "tests/lib/test.h"

static const char *const formats[] = {"edn", "json", "jsonl", "ordeal"};
enum { FORMATS = sizeof formats / sizeof *formats, FOREIGN = FORMATS };

static const char *environment(const char *name, const char *fallback)
{
    const char *value = getenv(name);
    return value == NULL ? fallback : value;
}

/* Runs it; what it printed is added to `out`. The exit status. */
static int run(const char *command, struct buf *out)
{
    char part[4096];
    FILE *pipe = popen(command, "r");
    assert_non_null(pipe);
    for (size_t length; (length = fread(part, 1, sizeof part, pipe)) > 0;)
        buf_add(out, part, length);
    int status = pclose(pipe);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static int ordeal(struct buf *out, const char *format, const char *source, const char *target)
{
    struct buf command = BUF_INIT;
    buf_printf(&command, "'%s/ordeal' ", environment("ORDEAL_BUILD", "build/release"));
    buf_printf(&command, format, source, target);
    buf_clear(out);
    int status = run(buf_text(&command), out);
    buf_free(&command);
    return status;
}

/* What does not depend on the moment, in one text. */
static int judge(const char *path, struct buf *said)
{
    struct buf all = BUF_INIT;
    int status = ordeal(
        &all, "check '%s' --checker delivery --promise no-loss,order --json 2>&1 # %s", path, "");
    buf_clear(said);
    const char *at = buf_text(&all);
    for (const char *seconds; (seconds = strstr(at, "\"seconds\":")) != NULL;) {
        buf_add(said, at, (size_t)(seconds - at));
        buf_add_text(said, "\"seconds\": 0");
        at = seconds + strcspn(seconds, ",\n");
    }
    buf_add_text(said, at);
    buf_free(&all);
    return status;
}

/* The array of Jepsen's JSON, one operation a line, is JSON lines as others write them but for its
 * brackets and commas. */
static void write_foreign_lines(const char *json, const char *path)
{
    struct buf text = BUF_INIT;
    struct err err = ERR_INIT;
    assert_ok(file_read(json, 1 << 20, &text, &err));
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    const char *at = buf_text(&text);
    for (const char *newline; *at != '\0'; at = *newline == '\0' ? newline : newline + 1) {
        newline = at + strcspn(at, "\n");
        const char *end = newline;
        while (end > at && end[-1] != '}')
            end--;
        at += *at == '[';
        if (end > at)
            fprintf(file, "%.*s\n", (int)(end - at), at);
    }
    assert_int_equal(fclose(file), 0);
    buf_free(&text);
}

/* The same history in one of the formats; FOREIGN is JSON lines without the marks that make them
 * exact. */
static void convert(const char *source, int format, char *path, size_t size)
{
    struct buf said = BUF_INIT;
    const char *folder = environment("TMPDIR", "/tmp");
    snprintf(path, size, "%s/formats-%d.%s", folder, getpid(),
             format == FOREIGN ? "json" : formats[format]);
    if (ordeal(&said, "convert '%s' '%s' 2>&1", source, path) != 0)
        fail_msg("%s: %s", source, buf_text(&said));
    buf_free(&said);
    if (format == FOREIGN) {
        char lines[4200];
        snprintf(lines, sizeof lines, "%s/formats-%d-foreign.jsonl", folder, getpid());
        write_foreign_lines(path, lines);
        (void)remove(path);
        snprintf(path, size, "%s", lines);
    }
}

static struct json *results_of(const struct buf *said)
{
    struct json *results = NULL;
    struct err err = ERR_INIT;
    assert_ok(json_parse(said->data, said->length, "results", &results, &err));
    return results;
}

static const struct json *delivery_of(const struct json *results)
{
    return json_get(json_get(results, "checkers"), "delivery");
}

/* Verdicts, counts and findings of all promises. */
static void print_promises(const struct buf *said, struct buf *out)
{
    struct json *results = results_of(said);
    json_print(json_get(delivery_of(results), "promises"), JSON_PRETTY, out);
    json_free(results);
}

static void compare(const char *source)
{
    struct buf expected = BUF_INIT, said = BUF_INIT, promises = BUF_INIT, others = BUF_INIT;
    int status = judge(source, &expected);
    assert_in_range(status, 0, 2);
    print_promises(&expected, &promises);
    for (int format = 0; format <= FOREIGN; format++) {
        char path[4200];
        convert(source, format, path, sizeof path);
        if (judge(path, &said) != status)
            fail_msg("%s: another verdict as %s: %s", source, path, buf_text(&said));
        /* Their keys are texts and no keywords, which shows where a value is printed. */
        if (format != FOREIGN && strcmp(buf_text(&said), buf_text(&expected)) != 0)
            fail_msg("%s: as %s: %s", source, path, buf_text(&said));
        buf_clear(&others);
        print_promises(&said, &others);
        assert_string_equal(buf_text(&others), buf_text(&promises));
        (void)remove(path);
    }
    buf_free(&expected);
    buf_free(&said);
    buf_free(&promises);
    buf_free(&others);
}

static void source_path(const char *folder, const char *name, char *path, size_t size)
{
    snprintf(path, size, "%s/tests/histories/queue/%s/%s", environment("ORDEAL_SOURCE", "."),
             folder, name);
}

static void every_format_gets_the_same_findings(void **state)
{
    (void)state;
    static const char *const folders[] = {"valid", "invalid", "unknown"};
    for (size_t i = 0; i < 3; i++) {
        char folder[4000], path[4100];
        int count = 0;
        source_path(folders[i], "", folder, sizeof folder);
        DIR *directory = opendir(folder);
        assert_non_null(directory);
        for (const struct dirent *entry; (entry = readdir(directory)) != NULL;) {
            if (history_format_of(entry->d_name) == NULL)
                continue;
            source_path(folders[i], entry->d_name, path, sizeof path);
            if (!SANITIZED || count % 8 == 0) /* eleven processes each, slow ones there */
                compare(path);
            count++;
        }
        closedir(directory);
        assert_true(count >= 11);
    }
}

/* ---- What cannot be judged says why ---- */

static const struct {
    const char *history;
    int64_t event; /* -1: none of them */
    const char *said;
} reasons[] = {
    {"no-queue-operations.edn", -1, "the history has no operations of a queue"},
    {"no-message.edn", 0, "it names no message"},
    {"sent-twice.edn", 2, "its message was sent before"},
    {"ack-of-nothing.edn", 2, "its message had not been delivered to anybody by then"},
    {"completion-without-invocation.edn", 4, "it completes what was never invoked"},
};

static void check_reason(size_t which, const struct json *delivery)
{
    const char *reason = json_as_text(json_get(delivery, "reason"), "");
    const struct json *problems = json_get(delivery, "problems"), *first = json_at(problems, 0);
    if (reasons[which].event < 0) {
        assert_contains(reason, reasons[which].said);
        assert_null(first);
        return;
    }
    char place[64];
    snprintf(place, sizeof place, "event %d (", (int)reasons[which].event);
    assert_int_equal(json_as_int(json_get(first, "event"), -1), reasons[which].event);
    assert_contains(json_as_text(json_get(first, "text"), ""), place);
    assert_contains(json_as_text(json_get(first, "text"), ""), reasons[which].said);
    assert_contains(reason, place);
}

static void every_format_names_and_locates_what_is_wrong(void **state)
{
    (void)state;
    struct buf said = BUF_INIT;
    for (size_t i = 0; i < sizeof reasons / sizeof *reasons; i++)
        for (int format = 0; format <= FOREIGN; format++) {
            char source[4100], path[4200];
            source_path("unknown", reasons[i].history, source, sizeof source);
            convert(source, format, path, sizeof path);
            assert_int_equal(judge(path, &said), 2);
            struct json *results = results_of(&said);
            check_reason(i, delivery_of(results));
            json_free(results);
            (void)remove(path);
        }
    buf_free(&said);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_format_gets_the_same_findings),
        cmocka_unit_test(every_format_names_and_locates_what_is_wrong),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
