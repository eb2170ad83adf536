/* The journal survives what happens to files, and its replay touches nobody else's processes. */
#include <sys/stat.h>

#include "harness/agent/faults.h"
#include "tests/lib/agent_process.h"

struct fixture {
    char directory[200];
    struct agentd_journal journal;
    struct arena arena;
};

static int begin(void **state)
{
    static struct fixture fixture;
    struct err err = ERR_INIT;
    fixture = (struct fixture){.directory = ""};
    agent_make_directory(fixture.directory, sizeof fixture.directory);
    assert_ok(agentd_journal_open(&fixture.journal, fixture.directory, &err));
    *state = &fixture;
    return 0;
}

static int finish(void **state)
{
    struct fixture *fixture = *state;
    agentd_journal_close(&fixture->journal);
    arena_free(&fixture->arena);
    return 0;
}

static uint64_t write_entry(struct fixture *fixture, const char *kind, const char *id)
{
    uint64_t sequence = 0;
    struct buf text = BUF_INIT;
    struct err err = ERR_INIT;
    agentd_journal_begin(&fixture->journal, &text, kind);
    line_key(&text, "id", id);
    assert_ok(agentd_journal_write(&fixture->journal, &sequence, &text, &err));
    buf_free(&text);
    return sequence;
}

static struct agentd_entries list(struct fixture *fixture, struct buf *problems)
{
    struct agentd_entries entries;
    struct err err = ERR_INIT;
    assert_ok(agentd_journal_list(&fixture->journal, &fixture->arena, &entries, problems, &err));
    return entries;
}

static void write_file(struct fixture *fixture, const char *name, const void *bytes, size_t length)
{
    char path[300];
    snprintf(path, sizeof path, "%s/%s", fixture->directory, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, length, file), length);
    fclose(file);
}

static bool has_file(struct fixture *fixture, const char *name)
{
    char path[300];
    snprintf(path, sizeof path, "%s/%s", fixture->directory, name);
    return access(path, F_OK) == 0;
}

static void entries_come_back_newest_first(void **state)
{
    struct fixture *fixture = *state;
    struct buf problems = BUF_INIT;
    struct err err = ERR_INIT;
    uint64_t first = write_entry(fixture, "block", "a\tb\n"),
             second = write_entry(fixture, "x", "2");
    for (int i = 0; i < 100; i++)
        write_entry(fixture, "more", "m");
    struct agentd_entries entries = list(fixture, &problems);
    assert_int_equal(entries.count, 102);
    assert_string_equal(line_get(&entries.items[101].line, "id"), "a\tb\n");
    assert_int_equal(entries.items[101].sequence, first);
    assert_ok(agentd_journal_remove(&fixture->journal, second, &err));
    assert_ok(agentd_journal_remove(&fixture->journal, second, &err));
    assert_int_equal(list(fixture, &problems).count, 101);
    assert_int_equal(problems.length, 0);
    /* Another process that opens it goes on after the highest number. */
    struct agentd_journal again;
    assert_ok(agentd_journal_open(&again, fixture->directory, &err));
    assert_int_equal(again.next_sequence, fixture->journal.next_sequence);
    agentd_journal_close(&again);
}

static void an_entry_can_be_replaced(void **state)
{
    struct fixture *fixture = *state;
    struct err err = ERR_INIT;
    struct buf text = BUF_INIT, problems = BUF_INIT;
    uint64_t sequence = write_entry(fixture, "pause", "old"), same = sequence;
    agentd_journal_begin(&fixture->journal, &text, "pause");
    line_key(&text, "id", "new");
    assert_ok(agentd_journal_write(&fixture->journal, &same, &text, &err));
    assert_int_equal(same, sequence);
    struct agentd_entries entries = list(fixture, &problems);
    assert_int_equal(entries.count, 1);
    assert_string_equal(line_get(&entries.items[0].line, "id"), "new");
    buf_free(&text);
}

static void damaged_entries_are_kept_aside_and_told(void **state)
{
    struct fixture *fixture = *state;
    struct buf problems = BUF_INIT;
    uint64_t good = write_entry(fixture, "block", "good");
    char big[AGENTD_ENTRY_BYTES_MAX + 10];
    memset(big, 'x', sizeof big);
    static const struct {
        const char *name, *bytes;
        size_t length;
    } cases[] = {
        {"000000000101", "", 0},
        {"000000000102", "ordeal-undo\t1\tboot=x\tkind=block", 30}, /* cut */
        {"000000000103", "\0\0\0\n", 4},
        {"000000000104", "something else\n", 15},
        {"000000000105", "ordeal-undo\t2\tboot=x\tkind=block\n", 32}, /* of a later version */
        {"000000000106", "ordeal-undo\t1\tboot=x\n", 21},
        {"000000000107", "ordeal-undo\t1\tbo\\ot=x\n", 22},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        write_file(fixture, cases[i].name, cases[i].bytes, cases[i].length);
    write_file(fixture, "000000000108", big, sizeof big);
    write_file(fixture, "notes.txt", "not ours", 8); /* left alone */
    struct agentd_entries entries = list(fixture, &problems);
    assert_int_equal(entries.count, 1);
    assert_int_equal(entries.items[0].sequence, good);
    size_t told = 0;
    for (size_t i = 0; i < problems.length; i++)
        told += problems.data[i] == '\n';
    assert_int_equal(told, 8);
    assert_contains(problems.data, "000000000104: it does not begin with 'ordeal-undo'");
    assert_true(has_file(fixture, "000000000104.bad") && !has_file(fixture, "000000000104"));
    assert_true(has_file(fixture, "000000000108.bad") && has_file(fixture, "notes.txt"));
    buf_clear(&problems);
    assert_int_equal(list(fixture, &problems).count, 1);
    assert_int_equal(problems.length, 0);
    buf_free(&problems);
}

static void what_another_boot_left_is_dropped(void **state)
{
    struct fixture *fixture = *state;
    struct buf problems = BUF_INIT;
    static const char text[] = "ordeal-undo\t1\tboot=another\tkind=pause\tid=x\tmembers=1:1\n";
    write_file(fixture, "000000000007", text, sizeof text - 1);
    assert_int_equal(list(fixture, &problems).count, 0);
    assert_int_equal(problems.length, 0);
    assert_false(has_file(fixture, "000000000007"));
}

static void an_unknown_kind_is_a_failure_and_kept_aside(void **state)
{
    struct fixture *fixture = *state;
    struct agentd_healed healed = {.undone = 0};
    struct agentd_firewall firewall = {.netlink_fd = -1};
    write_entry(fixture, "earthquake", "x");
    agentd_replay(&fixture->journal, &firewall, &healed);
    assert_int_equal(healed.undone, 0);
    assert_true(healed.failed >= 1);
    assert_contains(buf_text(&healed.problems), "unknown kind 'earthquake'");
    assert_true(has_file(fixture, "000000000001.bad"));
    agentd_healed_free(&healed);
}

static void write_pause(struct fixture *fixture, pid_t pid, uint64_t start)
{
    struct err err = ERR_INIT;
    struct buf text = BUF_INIT;
    char members[64];
    uint64_t sequence = 0;
    snprintf(members, sizeof members, "%d:%llu", (int)pid, (unsigned long long)start);
    agentd_journal_begin(&fixture->journal, &text, "pause");
    line_key(&text, "id", "p");
    line_key_int(&text, "session", pid);
    line_key_int(&text, "start", (int64_t)start);
    line_key(&text, "members", members);
    assert_ok(agentd_journal_write(&fixture->journal, &sequence, &text, &err));
    buf_free(&text);
}

static void a_recycled_pid_is_never_touched(void **state)
{
    struct fixture *fixture = *state;
    struct agentd_firewall firewall = {.netlink_fd = -1};
    struct agentd_healed healed = {.undone = 0};
    struct agentd_process process;
    pid_t pid = fork();
    if (pid == 0) {
        setsid();
        for (;;)
            pause();
    }
    wait_until(agentd_process_read(pid, &process) && process.session == pid);
    kill(pid, SIGSTOP);
    wait_until(agentd_process_stopped(pid) == AGENTD_STOPPED_ALL);

    write_pause(fixture, pid, process.start - 1); /* whoever had this pid before */
    agentd_replay(&fixture->journal, &firewall, &healed);
    assert_int_equal(healed.undone, 1);
    assert_int_equal(agentd_process_stopped(pid), AGENTD_STOPPED_ALL);
    assert_false(agentd_process_signal(pid, process.start - 1, SIGKILL));
    assert_true(process_lives(pid));

    write_pause(fixture, pid, process.start);
    agentd_replay(&fixture->journal, &firewall, &healed);
    assert_int_equal(healed.undone, 2);
    assert_int_equal(healed.failed, 0);
    assert_int_equal(agentd_process_stopped(pid), AGENTD_STOPPED_NONE);
    assert_contains(buf_text(&healed.undone_texts), "pause p: members");
    assert_true(agentd_process_signal(pid, process.start, SIGKILL));
    waitpid(pid, NULL, 0);
    agentd_healed_free(&healed);
}

static void a_journal_that_cannot_be_is_an_error(void **state)
{
    struct fixture *fixture = *state;
    struct agentd_journal journal;
    struct err err = ERR_INIT;
    char path[300];
    write_file(fixture, "file", "x", 1);
    snprintf(path, sizeof path, "%s/file/journal", fixture->directory);
    assert_int_equal(agentd_journal_open(&journal, path, &err), ERR_IO);
    assert_contains(err.message, "cannot make directory");
    snprintf(path, sizeof path, "%s/file", fixture->directory);
    assert_int_equal(agentd_journal_open(&journal, path, &err), ERR_IO);
    assert_contains(err.message, "is not a directory");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(entries_come_back_newest_first, begin, finish),
        cmocka_unit_test_setup_teardown(an_entry_can_be_replaced, begin, finish),
        cmocka_unit_test_setup_teardown(damaged_entries_are_kept_aside_and_told, begin, finish),
        cmocka_unit_test_setup_teardown(what_another_boot_left_is_dropped, begin, finish),
        cmocka_unit_test_setup_teardown(an_unknown_kind_is_a_failure_and_kept_aside, begin, finish),
        cmocka_unit_test_setup_teardown(a_recycled_pid_is_never_touched, begin, finish),
        cmocka_unit_test_setup_teardown(a_journal_that_cannot_be_is_an_error, begin, finish),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
