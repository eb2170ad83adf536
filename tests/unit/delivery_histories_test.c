/* Histories of queues kept as data: tests/histories/queue/<verdict>/. Comments at the head of each
 * say what is expected of it: ; breaks P,P..       exactly these promises are broken (or: none) ;
 * promise P,P..      what is promised; default: everything, where it was tested ; set OPTION=VALUE
 * an option of the checker ; reason TEXT        what the reason contains */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/base/text.h"
#include "harness/checker.h"
#include "harness/histories/history_io.h"
#include "harness/histories/history_supply.h"
#include "tests/lib/test.h"

struct expected {
    struct arena arena;
    struct json *options;
    const char **broken;
    size_t broken_count;
    const char *breaks, *reason;
};

static void read_line(struct expected *expected, char *line)
{
    char *word = strtok(line, " "), *rest = strtok(NULL, "");
    rest = rest == NULL ? NULL : arena_strdup(&expected->arena, rest);
    if (word == NULL || rest == NULL)
        return;
    if (strcmp(word, "breaks") == 0) {
        expected->breaks = rest;
        expected->broken_count = text_split(&expected->arena, rest, ',', &expected->broken);
    } else if (strcmp(word, "promise") == 0) {
        json_set_text(expected->options, "delivery.promise", rest);
    } else if (strcmp(word, "reason") == 0) {
        expected->reason = rest;
    } else if (strcmp(word, "set") == 0) {
        char *equals = strchr(rest, '=');
        assert_non_null(equals);
        *equals = '\0';
        json_set_text(expected->options, rest, equals + 1);
    }
}

static void read_expected(const char *path, struct expected *expected)
{
    char line[512];
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    *expected = (struct expected){.arena = ARENA_INIT, .options = json_object()};
    json_set_text(expected->options, "delivery.declared", "all");
    while (fgets(line, sizeof line, file) != NULL && line[0] == ';') {
        line[strcspn(line, "\n")] = '\0';
        read_line(expected, line + 1);
    }
    fclose(file);
    if (expected->breaks == NULL)
        fail_msg("%s does not say what it breaks", path);
}

static bool is_named(const struct expected *expected, const char *promise)
{
    for (size_t i = 0; i < expected->broken_count; i++)
        if (strcmp(expected->broken[i], promise) == 0)
            return true;
    return false;
}

static void check_promises(const char *path, const struct expected *expected,
                           const struct json *result)
{
    size_t broken = 0;
    for (const struct json *one = json_first(json_get(result, "promises")); one != NULL;
         one = json_next(one)) {
        bool is = verdict_from_json(json_get(one, "valid")) == VERDICT_INVALID;
        broken += is;
        if (is != is_named(expected, json_key(one)))
            fail_msg("%s: %s is %sbroken: %s", path, json_key(one), is ? "" : "not ",
                     json_as_text(json_get(one, "reason"), ""));
    }
    if (strcmp(expected->breaks, "none") != 0)
        assert_int_equal(broken, expected->broken_count);
}

/* What the checker says of a file; the caller frees. */
static struct json *judge_file(const char *path, struct json *set, enum verdict *verdict)
{
    struct history history;
    struct err err = ERR_INIT;
    uint32_t supplied;
    assert_ok(history_load(path, NULL, &history, NULL, &err));
    assert_ok(history_supply_invocations(&history, &supplied, &err));
    assert_ok(history_pair(&history, &err));
    option_defaults(&(struct options){set}, "delivery", checker_find("delivery")->options);
    struct check_input input = {.history = &history, .limits = {.threads = 1}, .options = {set}};
    struct json *results = check_all((const char *const[]){"delivery"}, 1, &input, verdict);
    history_free(&history);
    return results;
}

static void check_file(const char *path, enum verdict wanted)
{
    struct expected expected;
    enum verdict verdict;
    read_expected(path, &expected);
    struct json *results = judge_file(path, expected.options, &verdict);
    const struct json *result = json_get(json_get(results, "checkers"), "delivery");
    const char *reason = json_as_text(json_get(result, "reason"), "");
    if (verdict != wanted)
        fail_msg("%s: %s, not %s: %s", path, verdict_name(verdict), verdict_name(wanted), reason);
    if (expected.reason != NULL)
        assert_contains(reason, expected.reason);
    check_promises(path, &expected, result);
    json_free(results);
    json_free(expected.options);
    arena_free(&expected.arena);
}

static void add_folder(enum verdict expected, struct buf *path)
{
    const char *root = getenv("ORDEAL_SOURCE");
    buf_printf(path, "%s/tests/histories/queue/%s", root == NULL ? "." : root,
               verdict_name(expected));
}

static int check_folder(enum verdict expected)
{
    struct buf folder = BUF_INIT;
    add_folder(expected, &folder);
    DIR *directory = opendir(buf_text(&folder));
    if (directory == NULL)
        fail_msg("%s cannot be opened", buf_text(&folder));
    int count = 0;
    for (const struct dirent *entry; (entry = readdir(directory)) != NULL;) {
        if (history_format_of(entry->d_name) == NULL)
            continue;
        struct buf path = BUF_INIT;
        buf_printf(&path, "%s/%s", buf_text(&folder), entry->d_name);
        check_file(buf_text(&path), expected);
        buf_free(&path);
        count++;
    }
    closedir(directory);
    buf_free(&folder);
    return count;
}

static void valid_histories(void **state)
{
    (void)state;
    assert_true(check_folder(VERDICT_VALID) >= 14);
}

static void invalid_histories(void **state)
{
    (void)state;
    assert_true(check_folder(VERDICT_INVALID) >= 45);
}

static void unknown_histories(void **state)
{
    (void)state;
    assert_true(check_folder(VERDICT_UNKNOWN) >= 11);
}

/* What was measured of Disque, each convicted for its own failure: whatever promise is broken, it
 * is by that one finding, as often as there are such messages. */
static void disque_fails_as_it_was_seen_to(void **state)
{
    (void)state;
    static const struct {
        const char *file, *promise, *finding;
        int64_t count;
    } failures[] = {
        {"disque-rolling-kills.edn", "no-loss", "lost", 11},
        {"disque-clock-step.edn", "no-stuck", "stuck", 5},
        {"disque-at-most-once.edn", "no-loss", "lost", 3},
        {"disque-at-most-once-stuck.edn", "no-stuck", "stuck", 3},
    };
    for (size_t i = 0; i < sizeof failures / sizeof *failures; i++) {
        struct buf path = BUF_INIT;
        struct json *set = json_object();
        enum verdict verdict;
        add_folder(VERDICT_INVALID, &path);
        buf_printf(&path, "/%s", failures[i].file);
        json_set_text(set, "delivery.promise", failures[i].promise);
        json_set_text(set, "delivery.stuck-after", "5s");
        struct json *results = judge_file(buf_text(&path), set, &verdict);
        const struct json *list =
            json_get(json_get(json_get(results, "checkers"), "delivery"), "promises");
        assert_int_equal(verdict, VERDICT_INVALID);
        for (const struct json *one = json_first(list); one != NULL; one = json_next(one)) {
            const struct json *found = json_first(json_get(one, "findings"));
            if (strcmp(json_key(one), failures[i].promise) == 0)
                assert_non_null(found);
            if (found == NULL)
                continue;
            assert_string_equal(json_key(found), failures[i].finding);
            assert_int_equal(json_as_int(found, 0), failures[i].count);
            assert_null(json_next(found));
        }
        json_free(results);
        json_free(set);
        buf_free(&path);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(valid_histories),
        cmocka_unit_test(invalid_histories),
        cmocka_unit_test(unknown_histories),
        cmocka_unit_test(disque_fails_as_it_was_seen_to),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
