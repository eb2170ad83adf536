/* Machines that ordeal has switched off are found again after it was killed, and switched on: by
 * commands, for whom it is right to do so, and never by what somebody else may have written. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness/base/clock.h"
#include "harness/base/text.h"
#include "harness/switch_on.h"
#include "harness/switched_off.h"
#include "tests/lib/fake_fleet.h"
#include "tests/lib/fake_remote.h"
#include "tests/lib/test.h"

static char store[200];
static struct buf said;

static int set_up(void **state)
{
    (void)state;
    const char *parent = getenv("TMPDIR");
    char base[160];
    snprintf(base, sizeof base, "%s/switched-off.XXXXXX", parent != NULL ? parent : "/tmp");
    if (mkdtemp(base) == NULL)
        return -1;
    snprintf(store, sizeof store, "%s/store", base); /* which nobody has made yet */
    fake_reset();
    buf_clear(&said);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    char command[300];
    snprintf(command, sizeof command, "rm -rf %s", store);
    store[strlen(store) - strlen("/store")] = '\0';
    snprintf(command, sizeof command, "rm -rf %s", store);
    buf_free(&said);
    return system(command);
}

static struct node node_at(uint32_t index, const char *name, const char *address)
{
    return (struct node){.index = index, .name = name, .address = address, .user = "root"};
}

/* The one file that there is. */
static char *only_file(void)
{
    static char path[400];
    char command[300];
    snprintf(command, sizeof command, "echo %s/.switched-off/*.json", store);
    FILE *pipe = popen(command, "re");
    assert_non_null(pipe);
    assert_non_null(fgets(path, sizeof path, pipe));
    assert_int_equal(pclose(pipe), 0);
    path[strcspn(path, "\n")] = '\0';
    assert_null(strchr(path, ' '));
    return path;
}

static void note(const struct node *node, const char *command)
{
    struct err err = ERR_INIT;
    struct json *how = json_object();
    json_set_text(how, "command", command);
    assert_ok(switched_off_note(store, node, SWITCHED_OFF_COMMAND, how, "ordeal run here", &err));
    json_free(how);
}

/* As an ordeal would that was killed: the entry is that of a process that is no more. */
static void note_and_die(const struct node *node, const char *command)
{
    pid_t child = fork();
    if (child == 0) {
        note(node, command);
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

static enum switched_off_by who(const struct node *node)
{
    struct err err = ERR_INIT;
    struct json *entry;
    enum switched_off_by by;
    assert_ok(switched_off_read(store, node, &entry, &by, &err));
    assert_true((entry != NULL) == (by != SWITCHED_OFF_NOBODY));
    json_free(entry);
    return by;
}

/* Replaces a text of the same length in the file. */
static void edit(const char *path, const char *old, const char *new)
{
    struct err err = ERR_INIT;
    struct buf text = BUF_INIT;
    assert_ok(file_read(path, 1 << 16, &text, &err));
    char *at = strstr(text.data, old);
    assert_non_null(at);
    assert_int_equal(strlen(old), strlen(new));
    memcpy(at, new, strlen(new));
    assert_ok(file_write(path, text.data, text.length, &err));
    buf_free(&text);
}

static void say(void *state, const struct node *node, const char *line)
{
    (void)state;
    buf_printf(&said, "%s: %s\n", node->name, line);
}

static enum err_code switch_on_nodes(const struct node *nodes, uint32_t count,
                                     enum switch_on_which which, struct err *err)
{
    const struct fleet_options fleet_options = fake_options();
    const struct switch_on options = {.store = store,
                                      .nodes = nodes,
                                      .node_count = count,
                                      .fleet_options = &fleet_options,
                                      .which = which,
                                      .say = say};
    buf_clear(&said);
    return switch_on(&options, err);
}

static bool exists(const char *name)
{
    char path[300];
    snprintf(path, sizeof path, "%s/%s", store, name);
    return access(path, F_OK) == 0;
}

static const char *touch(const char *name)
{
    static char command[2][300];
    static int next;
    next = !next;
    snprintf(command[next], sizeof command[next], "touch %s/%s", store, name);
    return command[next];
}

/* ---- Tests ---- */

static void what_is_written_down_is_read_and_forgotten(void **state)
{
    (void)state;
    struct node one = node_at(0, "n1", "10.0.0.1"), other = node_at(1, "n2", "fe80::1/../x");
    struct err err = ERR_INIT;
    struct json *entry;
    struct stat status;
    enum switched_off_by by;
    assert_int_equal(who(&one), SWITCHED_OFF_NOBODY); /* there is no store yet */
    assert_ok(switched_off_forget(store, &one, &err));
    note(&one, "virsh start 'the first'");
    assert_int_equal(stat(only_file(), &status), 0);
    assert_int_equal(who(&one), SWITCHED_OFF_BY_ALIVE);
    assert_int_equal(who(&other), SWITCHED_OFF_NOBODY);
    one.port = 2222; /* another machine behind the same address */
    assert_int_equal(who(&one), SWITCHED_OFF_NOBODY);
    one.port = 0;
    note(&other, "true");
    assert_int_equal(who(&other), SWITCHED_OFF_BY_ALIVE); /* in the directory, whatever the name */
    assert_ok(switched_off_forget(store, &other, &err));
    note(&one, "the newest counts");
    assert_ok(switched_off_read(store, &one, &entry, &by, &err));
    assert_string_equal(json_as_text(json_get(json_get(entry, "how"), "command"), ""),
                        "the newest counts");
    assert_string_equal(json_as_text(json_get(entry, "node"), ""), "n1");
    json_free(entry);
    char directory[300];
    snprintf(directory, sizeof directory, "%s/.switched-off", store);
    assert_int_equal(stat(directory, &status), 0);
    assert_int_equal(status.st_mode & 077, 0); /* commands may hold a password */
    assert_ok(switched_off_forget(store, &one, &err));
    assert_int_equal(who(&one), SWITCHED_OFF_NOBODY);
    note_and_die(&one, "true");
    assert_int_equal(who(&one), SWITCHED_OFF_BY_DEAD);
}

static void it_is_not_done_when_it_cannot_be_written_down(void **state)
{
    (void)state;
    struct node one = node_at(0, "n1", NULL);
    struct err err = ERR_INIT;
    struct json *how = json_object();
    assert_int_equal(switched_off_note("/proc/nowhere", &one, SWITCHED_OFF_COMMAND, how, "x", &err),
                     ERR_IO);
    assert_contains(err.message, "n1 is not switched off, since that cannot be written down: ");
    json_free(how);
}

static void what_is_damaged_or_not_ours_is_not_believed(void **state)
{
    (void)state;
    struct node one = node_at(0, "n1", "10.0.0.1");
    struct err err = ERR_INIT;
    struct json *entry;
    enum switched_off_by by;
    note_and_die(&one, touch("done"));
    assert_int_equal(chmod(only_file(), 0666), 0);
    assert_int_equal(switched_off_read(store, &one, &entry, &by, &err), ERR_CONFIG);
    assert_contains(err.message, "is not believed: it is not a file that you alone may write");
    assert_int_equal(switch_on_nodes(&one, 1, SWITCH_ON_ALL, &err), ERR_CONFIG);
    assert_false(exists("done"));
    assert_int_equal(chmod(only_file(), 0644), 0);
    edit(only_file(), "\"starter\"", "\"starten\"");
    assert_int_equal(switched_off_read(store, &one, &entry, &by, &err), ERR_PARSE);
    assert_contains(err.message, "does not say how to switch the machine on");
    assert_int_equal(truncate(only_file(), 20), 0);
    assert_int_equal(switched_off_read(store, &one, &entry, &by, &err), ERR_PARSE);
    assert_null(entry);
    char path[400];
    snprintf(path, sizeof path, "%s", only_file());
    assert_int_equal(unlink(path), 0);
    assert_int_equal(symlink("/etc/passwd", path), 0);
    assert_int_equal(switched_off_read(store, &one, &entry, &by, &err), ERR_CONFIG);
}

static void healing_switches_on_whatever_is_left(void **state)
{
    (void)state;
    const struct node nodes[] = {node_at(0, "n1", "10.0.0.1"), node_at(1, "n2", "10.0.0.2"),
                                 node_at(2, "n3", "10.0.0.3")};
    struct err err = ERR_INIT;
    note_and_die(&nodes[0], touch("one"));
    note(&nodes[2], touch("three")); /* that one runs, but healing is for emergencies */
    fake_refuse(0, 3, true);         /* it is booting */
    assert_ok(switch_on_nodes(nodes, 3, SWITCH_ON_ALL, &err));
    assert_true(exists("one") && exists("three"));
    assert_contains(said.data, "n1: switched on again by `touch ");
    assert_contains(said.data, "/one`: ordeal run here had switched it off at 2");
    assert_contains(said.data, "n3: switched on again by `touch ");
    assert_contains(said.data, "n3: answers again, ");
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(who(&nodes[i]), SWITCHED_OFF_NOBODY);
    assert_ok(switch_on_nodes(nodes, 3, SWITCH_ON_ALL, &err)); /* nothing is left to do */
    assert_int_equal(said.length, 0);
}

static void a_run_does_only_what_it_may(void **state)
{
    (void)state;
    const struct node nodes[] = {node_at(0, "n1", "10.0.0.1"), node_at(1, "n2", "10.0.0.2")};
    struct err err = ERR_INIT;
    note_and_die(&nodes[0], touch("one"));
    note(&nodes[1], touch("two"));
    assert_ok(switch_on_nodes(nodes, 2, SWITCH_ON_LEFT, &err));
    assert_true(exists("one") && !exists("two"));
    assert_contains(said.data, "n2: ordeal run here had switched it off at ");
    assert_contains(said.data, ", and still runs");
    assert_int_equal(who(&nodes[0]), SWITCHED_OFF_NOBODY);
    assert_int_equal(who(&nodes[1]), SWITCHED_OFF_BY_ALIVE);
    assert_ok(switched_off_forget(store, &nodes[1], &err));
    /* Of another boot, as in a store that was fetched from somewhere. */
    note_and_die(&nodes[0], touch("again"));
    struct buf boot = BUF_INIT;
    assert_ok(file_read("/proc/sys/kernel/random/boot_id", 64, &boot, &err));
    boot.data[8] = '\0';
    edit(only_file(), boot.data, "00000000");
    buf_free(&boot);
    assert_int_equal(who(&nodes[0]), SWITCHED_OFF_BY_OTHER);
    assert_ok(switch_on_nodes(nodes, 2, SWITCH_ON_LEFT, &err));
    assert_false(exists("again"));
    assert_contains(said.data, "elsewhere or before this machine was booted; if it is still off, "
                               "ordeal heal with the same nodes and --store switches it on");
    assert_ok(switch_on_nodes(nodes, 2, SWITCH_ON_ALL, &err));
    assert_true(exists("again"));
}

static void what_fails_is_told_and_stays_written_down(void **state)
{
    (void)state;
    const struct node nodes[] = {node_at(0, "n1", "10.0.0.1"), node_at(1, "n2", "10.0.0.2")};
    struct err err = ERR_INIT;
    note_and_die(&nodes[0], "echo no such domain; exit 3");
    note_and_die(&nodes[1], touch("two"));
    fake_refuse(0, 1, false); /* n1, when it is looked at */
    assert_int_equal(switch_on_nodes(nodes, 2, SWITCH_ON_ALL, &err), ERR_REMOTE);
    assert_contains(err.message,
                    "n1: `echo no such domain; exit 3` exited with status 3: no such domain");
    assert_true(exists("two")); /* the others are none the worse */
    assert_int_equal(who(&nodes[0]), SWITCHED_OFF_BY_DEAD);
    assert_int_equal(who(&nodes[1]), SWITCHED_OFF_NOBODY);
    fake_reset(); /* it was on all the time */
    assert_ok(switch_on_nodes(nodes, 2, SWITCH_ON_ALL, &err));
    assert_contains(said.data, "exit 3`, which failed, but it is on: ordeal run here");
    assert_int_equal(who(&nodes[0]), SWITCHED_OFF_NOBODY);
}

static void an_unknown_means_is_told(void **state)
{
    (void)state;
    struct node one = node_at(0, "n1", "10.0.0.1");
    struct err err = ERR_INIT;
    struct json *how = json_object();
    assert_ok(switched_off_note(store, &one, "moon", how, "ordeal run here", &err));
    json_free(how);
    assert_int_equal(switch_on_nodes(&one, 1, SWITCH_ON_ALL, &err), ERR_CONFIG);
    assert_string_equal(err.message, "n1 was switched off by moon, which this ordeal does not "
                                     "know: switch it on by hand");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(what_is_written_down_is_read_and_forgotten),
        TEST(it_is_not_done_when_it_cannot_be_written_down),
        TEST(what_is_damaged_or_not_ours_is_not_believed),
        TEST(healing_switches_on_whatever_is_left),
        TEST(a_run_does_only_what_it_may),
        TEST(what_fails_is_told_and_stays_written_down),
        TEST(an_unknown_means_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
