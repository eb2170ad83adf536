/* `ordeal check`: options that belong together work together, and those that do not are refused. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness/histories/edn.h"
#include "tests/lib/test.h"

struct files {
    char history[4200], certificate[4200];
};

static void open_files(struct files *files)
{
    static const char text[] = "{:process 0, :type :invoke, :f :write, :value 1}\n"
                               "{:process 0, :type :ok, :f :write, :value 1}\n"
                               "{:process 0, :type :invoke, :f :look, :value nil}\n"
                               "{:process 0, :type :ok, :f :look, :value 2}\n";
    const char *folder = getenv("TMPDIR") == NULL ? "/tmp" : getenv("TMPDIR");
    snprintf(files->history, sizeof files->history, "%s/check-%d.edn", folder, getpid());
    snprintf(files->certificate, sizeof files->certificate, "%s/check-%d.txt", folder, getpid());
    FILE *file = fopen(files->history, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static void remove_files(const struct files *files)
{
    (void)unlink(files->history);
    (void)unlink(files->certificate);
}

/* Runs `ordeal check` on the history, its function `look` read as `read`. Returns the exit status;
 * what it printed is in `said`. */
static int check(const struct files *files, const char *option, const char *more, char *said,
                 size_t size)
{
    char command[20000];
    const char *build = getenv("ORDEAL_BUILD");
    snprintf(command, sizeof command, "'%s/ordeal' check '%s' --map look=read %s '%s' %s 2>&1",
             build == NULL ? "build/release" : build, files->history, option, files->certificate,
             more);
    FILE *pipe = popen(command, "r");
    assert_non_null(pipe);
    said[fread(said, 1, size - 1, pipe)] = '\0';
    int status = pclose(pipe);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void a_certificate_is_proved_in_every_form(void **state)
{
    (void)state;
    struct files files;
    struct arena arena = ARENA_INIT;
    struct err err = ERR_INIT;
    struct value proved;
    char said[8192];
    open_files(&files);
    assert_int_equal(check(&files, "--certificate", "--model register", said, sizeof said), 1);
    assert_int_equal(check(&files, "--verify", "", said, sizeof said), 1);
    assert_contains(said, "invalid: the certificate proves 0 keys valid and 1 invalid");
    assert_int_equal(check(&files, "--verify", "--json", said, sizeof said), 1);
    assert_contains(said, "\"the certificate proves 0 keys valid and 1 invalid");
    assert_int_equal(check(&files, "--verify", "--edn", said, sizeof said), 1);
    assert_ok(edn_parse_all(&arena, said, strlen(said), &proved, &err));
    struct value verdict = value_get(proved, "valid?");
    assert_true(value_kind(verdict) == VALUE_BOOL && !value_as_bool(verdict));
    assert_contains(value_as_text(value_get(value_get(proved, "linearizable"), "reason")),
                    "the certificate proves 0 keys valid and 1 invalid");
    arena_free(&arena);
    remove_files(&files);
}

static void what_would_have_no_effect_is_refused(void **state)
{
    (void)state;
    static const char *const options[] = {"--checker linearizable", "--certificate x",
                                          "--model register",       "--keyed no",
                                          "--level serializable",   "--set linearizable.initial=1"};
    struct files files;
    char said[8192];
    open_files(&files);
    assert_int_equal(check(&files, "--certificate", "--model register", said, sizeof said), 1);
    for (size_t i = 0; i < sizeof options / sizeof options[0]; i++) {
        assert_int_equal(check(&files, "--verify", options[i], said, sizeof said), 254);
        assert_contains(said, "--verify judges nothing");
        assert_ptr_equal(strchr(said, '\n'), said + strlen(said) - 1);
    }
    assert_int_equal(check(&files, "--verify", "--json --edn", said, sizeof said), 254);
    assert_contains(said, "--json and --edn");
    remove_files(&files);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_certificate_is_proved_in_every_form),
        cmocka_unit_test(what_would_have_no_effect_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
