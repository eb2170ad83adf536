/* Histories kept as data: tests/histories/<model>/<verdict>/, the folders being what is expected.
 * Every engine that suits the model must agree. */
#include <dirent.h>
#include <stdlib.h>
#include <string.h>

#include "harness/checker.h"
#include "harness/histories/history_io.h"
#include "tests/lib/test.h"

static enum verdict judge(const struct history *history, const char *model, const char *engine,
                          struct buf *reason)
{
    struct check_input input = {
        .history = history, .limits = {.threads = 1}, .options = {.values = json_object()}};
    json_set_text(input.options.values, "linearizable.model", model);
    json_set_text(input.options.values, "linearizable.engine", engine);
    option_defaults(&input.options, "linearizable", checker_find("linearizable")->options);
    enum verdict verdict;
    struct json *results = check_all((const char *const[]){"linearizable"}, 1, &input, &verdict);
    const struct json *result = json_get(json_get(results, "checkers"), "linearizable");
    buf_clear(reason);
    buf_add_text(reason, json_as_text(json_get(result, "reason"), ""));
    if (verdict != VERDICT_UNKNOWN)
        assert_true(json_as_bool(json_get(result, "certified"), false));
    json_free(results);
    json_free(input.options.values);
    return verdict;
}

static void check_file(const char *path, const char *model, enum verdict expected)
{
    static const char *const engines[] = {"auto", "hiding", "frontier", "wgl"};
    struct history history;
    struct err err = ERR_INIT;
    struct buf reason = BUF_INIT;
    assert_ok(history_load(path, NULL, &history, NULL, &err));
    assert_ok(history_pair(&history, &err));
    for (int i = 0; i < 4; i++) {
        enum verdict verdict = judge(&history, model, engines[i], &reason);
        if (verdict != expected)
            fail_msg("%s by %s: %s, not %s: %s", path, engines[i], verdict_name(verdict),
                     verdict_name(expected), buf_text(&reason));
    }
    buf_free(&reason);
    history_free(&history);
}

/* Returns how many files there were. */
static int check_folder(const char *model, enum verdict expected)
{
    const char *root = getenv("ORDEAL_SOURCE");
    struct buf folder = BUF_INIT;
    buf_printf(&folder, "%s/tests/histories/%s/%s", root == NULL ? "." : root, model,
               verdict_name(expected));
    DIR *directory = opendir(buf_text(&folder));
    if (directory == NULL)
        fail_msg("%s cannot be opened", buf_text(&folder));
    int count = 0;
    for (const struct dirent *entry; (entry = readdir(directory)) != NULL;) {
        if (history_format_of(entry->d_name) == NULL)
            continue;
        struct buf path = BUF_INIT;
        buf_printf(&path, "%s/%s", buf_text(&folder), entry->d_name);
        check_file(buf_text(&path), model, expected);
        buf_free(&path);
        count++;
    }
    closedir(directory);
    buf_free(&folder);
    return count;
}

static void register_histories(void **state)
{
    (void)state;
    assert_true(check_folder("register", VERDICT_VALID) >= 8);
    assert_true(check_folder("register", VERDICT_INVALID) >= 9);
}

static void cas_register_histories(void **state)
{
    (void)state;
    assert_true(check_folder("cas-register", VERDICT_VALID) >= 9);
    assert_true(check_folder("cas-register", VERDICT_INVALID) >= 7);
}

static void mutex_histories(void **state)
{
    (void)state;
    assert_true(check_folder("mutex", VERDICT_VALID) >= 5);
    assert_true(check_folder("mutex", VERDICT_INVALID) >= 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(register_histories),
        cmocka_unit_test(cas_register_histories),
        cmocka_unit_test(mutex_histories),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
