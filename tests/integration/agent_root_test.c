/* What only root's agent can do: other users, limits, protection from the out-of-memory killer, and
 * telling its victims. */
#include <sys/stat.h>

#include "tests/lib/agent_process.h"

struct fixture {
    struct agent_process agent;
    char directory[200], log[256], log_field[300];
};

static int begin(void **state)
{
    static struct fixture fixture;
    fixture = (struct fixture){.agent = {.network = -1}};
    *state = &fixture;
    if (geteuid() != 0)
        return 0;
    agent_make_directory(fixture.directory, sizeof fixture.directory);
    snprintf(fixture.log, sizeof fixture.log, "%s/log", fixture.directory);
    snprintf(fixture.log_field, sizeof fixture.log_field, "log=%s", fixture.log);
    agent_serve(&fixture.agent, fixture.directory, "--firewall", "none");
    return 0;
}

static int finish(void **state)
{
    struct fixture *fixture = *state;
    return geteuid() != 0 || agent_end(&fixture->agent) == 0 ? 0 : -1;
}

#define need_root()                                                                                \
    do {                                                                                           \
        if (geteuid() != 0)                                                                        \
            test_skip("needs root");                                                               \
    } while (0)

static const char *read_text(const char *path)
{
    static char text[8192];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t length = fd < 0 ? 0 : read(fd, text, sizeof text - 1);
    if (fd >= 0)
        close(fd);
    text[length < 0 ? 0 : length] = '\0';
    return text;
}

static void a_daemon_runs_as_another_user(void **state)
{
    struct fixture *fixture = *state;
    need_root();
    agent_do(&fixture->agent, "daemon-start", "name=u", "user=nobody", "arg=sh", "arg=-c",
             "arg=id -un; id -Gn; echo $HOME $USER; touch /root/forbidden", fixture->log_field);
    struct line event = agent_event(&fixture->agent, "exit");
    assert_int_not_equal(line_get_int(&event, "status", -1), 0);
    const char *text = read_text(fixture->log);
    assert_int_equal(strncmp(text, "nobody\nnogroup\n", 15), 0);
    assert_contains(text, " nobody\n");
    assert_contains(text, "ermission denied");
    const char *message = agent_refused(&fixture->agent, "failed", "daemon-start", "name=u",
                                        "user=nobody", "arg=/bin/true", "cwd=/root");
    assert_contains(message, "cannot enter /root: Permission denied");
}

static void the_agent_is_not_what_a_kernel_out_of_memory_picks(void **state)
{
    struct fixture *fixture = *state;
    need_root();
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/oom_score_adj", (int)fixture->agent.serving);
    /* Also root may be denied it: then the agent does without. */
    bool allowed = system("sh -c 'echo -900 >/proc/self/oom_score_adj' 2>/dev/null") == 0;
    assert_string_equal(read_text(path), allowed ? "-900\n" : "0\n");
    agent_do(&fixture->agent, "daemon-start", "name=o", "arg=cat", "arg=/proc/self/oom_score_adj",
             fixture->log_field);
    agent_event(&fixture->agent, "exit");
    assert_string_equal(read_text(fixture->log), "0\n");
}

/* A memory control group of 24 MB, of either version; false when the machine offers none. */
static bool make_group(char *procs, size_t size, char *directory, size_t directory_size)
{
    static const char *const forms[][2] = {{"/sys/fs/cgroup/memory", "memory.limit_in_bytes"},
                                           {"/sys/fs/cgroup", "memory.max"}};
    for (size_t i = 0; i < 2; i++) {
        char path[256];
        snprintf(directory, directory_size, "%s/ordeal-test-%d", forms[i][0], (int)getpid());
        if (mkdir(directory, 0755) != 0)
            continue;
        snprintf(path, sizeof path, "%s/%s", directory, forms[i][1]);
        FILE *file = fopen(path, "w");
        bool limited = file != NULL && fprintf(file, "%d", 24 << 20) > 0;
        limited = file != NULL && fclose(file) == 0 && limited;
        snprintf(procs, size, "%s/cgroup.procs", directory);
        if (limited && access(procs, W_OK) == 0)
            return true;
        rmdir(directory);
    }
    return false;
}

static void a_victim_of_the_out_of_memory_killer_is_told_as_one(void **state)
{
    struct fixture *fixture = *state;
    need_root();
    char procs[200], directory[128], script[400];
    if (!make_group(procs, sizeof procs, directory, sizeof directory))
        test_skip("no memory control group can be made here");
    /* tail keeps what has no newline. */
    snprintf(script, sizeof script, "arg=echo $$ >%s && exec tail /dev/zero", procs);
    agent_do(&fixture->agent, "daemon-start", "name=greedy", "arg=sh", "arg=-c", script,
             fixture->log_field);
    struct line event = agent_event(&fixture->agent, "exit");
    assert_string_equal(line_get(&event, "signal_name"), "KILL");
    assert_int_equal(line_get_int(&event, "asked", -1), 0);
    assert_int_equal(line_get_int(&event, "oom", -1), 1);
    wait_until(rmdir(directory) == 0);
    /* And a plain kill is not taken for one. */
    struct line reply = agent_do(&fixture->agent, "daemon-start", "name=s", "arg=sleep", "arg=60");
    kill((pid_t)line_get_int(&reply, "pid", 0), SIGKILL);
    event = agent_event(&fixture->agent, "exit");
    assert_int_equal(line_get_int(&event, "oom", -1), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_daemon_runs_as_another_user, begin, finish),
        cmocka_unit_test_setup_teardown(the_agent_is_not_what_a_kernel_out_of_memory_picks, begin,
                                        finish),
        cmocka_unit_test_setup_teardown(a_victim_of_the_out_of_memory_killer_is_told_as_one, begin,
                                        finish),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
