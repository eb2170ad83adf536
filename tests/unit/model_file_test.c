/* A model from outside judges histories as one of ordeal's own, and what is none is refused. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness/model_file.h"
#include "tests/lib/test.h"

/* Runs `ordeal check` on the history with the model of this file. Returns the exit status; what it
 * said is in `said`. */
static int check(const char *history, const char *model, char *said, size_t size)
{
    char path[4200], command[20000];
    const char *build = getenv("ORDEAL_BUILD"), *folder = getenv("TMPDIR");
    snprintf(path, sizeof path, "%s/history-%d.edn", folder == NULL ? "/tmp" : folder, getpid());
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(history, file) >= 0);
    assert_int_equal(fclose(file), 0);
    snprintf(command, sizeof command, "'%s/ordeal' check '%s' --model '%s' 2>&1",
             build == NULL ? "build/release" : build, path, model);
    FILE *pipe = popen(command, "r");
    assert_non_null(pipe);
    said[fread(said, 1, size - 1, pipe)] = '\0';
    int status = pclose(pipe);
    (void)unlink(path);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void the_example(char *path, size_t size)
{
    const char *build = getenv("ORDEAL_BUILD");
    snprintf(path, size, "%s/example-model.so", build == NULL ? "./build/release" : build);
}

#define TAKE(process, ticket)                                                                      \
    "{:process " #process ", :type :invoke, :f :take, :value nil}\n"                               \
    "{:process " #process ", :type :ok, :f :take, :value " #ticket "}\n"

static void the_example_judges(void **unused)
{
    (void)unused;
    char model[4200], said[8192];
    the_example(model, sizeof model);
    int status = check(TAKE(0, 1) TAKE(1, 2) TAKE(0, 3), model, said, sizeof said);
    assert_contains(said, "model tickets");
    assert_int_equal(status, 0);
    status = check(TAKE(0, 1) TAKE(1, 2) TAKE(0, 2), model, said, sizeof said);
    assert_contains(said, "not linearizable");
    assert_int_equal(status, 1);
    status = check(TAKE(0, many), model, said, sizeof said);
    assert_contains(said, "a take answers a number");
    assert_int_equal(status, 2);
}

static void what_is_no_model_is_refused(void **unused)
{
    (void)unused;
    char said[8192];
    assert_int_equal(check(TAKE(0, 1), "./absent.so", said, sizeof said), 254);
    assert_contains(said, "absent.so");
    assert_int_equal(check(TAKE(0, 1), "/lib/x86_64-linux-gnu/libm.so.6", said, sizeof said), 254);
    assert_contains(said, "defines no ordeal_model_2");
    assert_int_equal(check(TAKE(0, 1), "tickts", said, sizeof said), 254);
    assert_contains(said, "there is no model 'tickts'");
}

static void files_are_told_from_names(void **unused)
{
    (void)unused;
    assert_true(model_is_file("./mine"));
    assert_true(model_is_file("mine.so"));
    assert_false(model_is_file("cas-register"));
    assert_false(model_is_file(".so"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_example_judges),
        cmocka_unit_test(what_is_no_model_is_refused),
        cmocka_unit_test(files_are_told_from_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
