/* Damage to files, byte by byte: that it is what was asked for and nothing else, that it can be put
 * back, and that what somebody has written since is left alone. */
#include <sys/stat.h>

#include "tests/lib/agent_process.h"

enum { BLOCK = 4096, BLOCKS = 12, BYTES = BLOCK * BLOCKS + 100 };

struct fixture {
    struct agent_process agent;
    char run[200], data[220], field[240], file[256];
    unsigned char bytes[BYTES];
};

/* A file "log-2" of blocks that all differ, an older "log-1", and one of another name. */
static int begin(void **state)
{
    static struct fixture fixture;
    fixture = (struct fixture){.agent = {.network = -1}};
    *state = &fixture;
    agent_make_directory(fixture.run, sizeof fixture.run);
    snprintf(fixture.data, sizeof fixture.data, "%s/data", fixture.run);
    snprintf(fixture.field, sizeof fixture.field, "path=%s", fixture.data);
    mkdir(fixture.data, 0755);
    static const char *const names[] = {"log-1", "log-2", "other"};
    for (size_t i = 0; i < BYTES; i++)
        fixture.bytes[i] = i % 11 == 0 ? 0 : (unsigned char)(i / BLOCK * 17 + i % 7 + 1);
    for (int i = 0; i < 3; i++) {
        snprintf(fixture.file, sizeof fixture.file, "%s/%s", fixture.data, names[i]);
        int fd = open(fixture.file, O_WRONLY | O_CREAT, 0640);
        assert_int_equal(write(fd, fixture.bytes, BYTES), BYTES);
        const struct timespec times[2] = {{.tv_sec = 1000 + i}, {.tv_sec = 1000 + i}};
        futimens(fd, times);
        close(fd);
    }
    snprintf(fixture.file, sizeof fixture.file, "%s/log-2", fixture.data);
    agent_serve(&fixture.agent, fixture.run, "--firewall", "none");
    return 0;
}

static int finish(void **state)
{
    struct fixture *fixture = *state;
    return fixture->agent.pid == 0 || agent_end(&fixture->agent) == 0 ? 0 : -1;
}

static size_t read_file(const char *path, unsigned char bytes[BYTES + 1])
{
    int fd = open(path, O_RDONLY);
    ssize_t count = fd < 0 ? 0 : read(fd, bytes, BYTES + 1);
    if (fd >= 0)
        close(fd);
    return (size_t)count;
}

static bool is_as_it_was(const struct fixture *fixture)
{
    unsigned char now[BYTES + 1];
    return read_file(fixture->file, now) == BYTES && memcmp(now, fixture->bytes, BYTES) == 0;
}

static struct line damage(struct fixture *fixture, const char *kind, const char *place)
{
    return agent_do(&fixture->agent, "disk-damage", "id=d", fixture->field, "files=log-*", kind,
                    place, "seed=5");
}

static void restore(struct fixture *fixture, int restored)
{
    struct line line = agent_do(&fixture->agent, "disk-restore", "id=d");
    assert_int_equal(line_get_int(&line, "restored", -1), restored);
    assert_int_equal(line_get_int(&line, "overwritten", -1), 1 - restored);
    struct line list = agent_do(&fixture->agent, "fault-list");
    assert_int_equal(list.count, 2);
    char kept[256];
    snprintf(kept, sizeof kept, "%s/journal.damage", fixture->run);
    assert_int_not_equal(access(kept, F_OK), 0);
}

/* Differing blocks of the file; the last goes to *which. */
static int changed_blocks(const struct fixture *fixture, int *which)
{
    unsigned char now[BYTES + 1];
    int changed = 0;
    assert_int_equal(read_file(fixture->file, now), BYTES);
    for (int block = 0; block < BLOCKS; block++)
        if (memcmp(now + block * BLOCK, fixture->bytes + block * BLOCK, BLOCK) != 0) {
            *which = block;
            changed++;
        }
    return changed;
}

static void one_bit_flips(void **state)
{
    struct fixture *fixture = *state;
    static const char *const places[] = {"place=0", "place=500", "place=1000"};
    for (int i = 0; i < 3; i++) {
        unsigned char now[BYTES + 1];
        int bits = 0;
        size_t at = 0;
        struct line line = damage(fixture, "kind=flip", places[i]);
        assert_int_equal(read_file(fixture->file, now), BYTES);
        for (size_t b = 0; b < BYTES; b++)
            if (now[b] != fixture->bytes[b]) {
                bits += __builtin_popcount(now[b] ^ fixture->bytes[b]);
                at = b;
            }
        assert_int_equal(bits, 1);
        assert_int_not_equal(fixture->bytes[at], 0);
        assert_in_range(at, (size_t)i * (BYTES / 2 - 20), (size_t)i * (BYTES / 2) + 20);
        char hex[8], words[64];
        snprintf(words, sizeof words, "of byte %zu of ", at);
        assert_contains(line_get(&line, "seen"), words);
        snprintf(hex, sizeof hex, "%02x", fixture->bytes[at]);
        assert_string_equal(line_get(&line, "before"), hex);
        snprintf(hex, sizeof hex, "%02x", now[at]);
        assert_string_equal(line_get(&line, "after"), hex);
        restore(fixture, 1);
        assert_true(is_as_it_was(fixture));
    }
}

static void what_was_written_since_is_left_alone(void **state)
{
    struct fixture *fixture = *state;
    unsigned char now[BYTES + 1];
    damage(fixture, "kind=flip", "place=500");
    int fd = open(fixture->file, O_WRONLY | O_TRUNC);
    assert_int_equal(write(fd, "all new", 7), 7);
    close(fd);
    restore(fixture, 0);
    assert_int_equal(read_file(fixture->file, now), 7);
    assert_memory_equal(now, "all new", 7);
}

static void ends_are_cut_off_and_files_removed(void **state)
{
    struct fixture *fixture = *state;
    struct stat status;
    damage(fixture, "kind=truncate", "place=300");
    assert_int_equal(stat(fixture->file, &status), 0);
    assert_in_range(status.st_size, BYTES * 3 / 10 - 2, BYTES * 3 / 10 + 2);
    restore(fixture, 1);
    assert_true(is_as_it_was(fixture));
    damage(fixture, "kind=remove", "place=0");
    assert_int_not_equal(access(fixture->file, F_OK), 0);
    restore(fixture, 1);
    assert_true(is_as_it_was(fixture));
    assert_int_equal(stat(fixture->file, &status), 0);
    assert_int_equal(status.st_mode & 07777, 0640);
    damage(fixture, "kind=remove", "place=0");
    int fd = open(fixture->file, O_WRONLY | O_CREAT, 0644);
    close(fd);
    restore(fixture, 0);
    assert_int_equal(stat(fixture->file, &status), 0);
    assert_int_equal(status.st_size, 0);
}

static void a_block_lands_on_another(void **state)
{
    struct fixture *fixture = *state;
    unsigned char now[BYTES + 1];
    int which = -1;
    damage(fixture, "kind=misdirect", "place=500");
    assert_int_equal(changed_blocks(fixture, &which), 1);
    assert_int_equal(read_file(fixture->file, now), BYTES);
    assert_memory_equal(now + which * BLOCK, fixture->bytes + BLOCKS / 2 * BLOCK, BLOCK);
    restore(fixture, 1);
    assert_true(is_as_it_was(fixture));
}

static void a_block_is_what_it_was_before(void **state)
{
    struct fixture *fixture = *state;
    unsigned char now[BYTES + 1];
    agent_refused(&fixture->agent, "bad-request", "disk-damage", "id=d", fixture->field,
                  "files=log-*", "kind=stale");
    agent_do(&fixture->agent, "disk-remember", "id=d", fixture->field, "files=log-*");
    const char *why = agent_refused(&fixture->agent, "bad-request", "disk-damage", "id=d",
                                    fixture->field, "files=log-*", "kind=stale");
    assert_contains(why, "has changed since");
    agent_do(&fixture->agent, "disk-remember", "id=d", fixture->field, "files=log-*");
    int fd = open(fixture->file, O_WRONLY);
    static unsigned char fresh[3 * BLOCK];
    memset(fresh, 'n', sizeof fresh);
    assert_int_equal(pwrite(fd, fresh, sizeof fresh, 4 * BLOCK), (ssize_t)sizeof fresh);
    close(fd);
    damage(fixture, "kind=stale", "place=400");
    assert_int_equal(read_file(fixture->file, now), BYTES);
    assert_memory_equal(now + 4 * BLOCK, fresh, BLOCK);
    assert_memory_equal(now + 5 * BLOCK, fixture->bytes + 5 * BLOCK, BLOCK);
    assert_memory_equal(now + 6 * BLOCK, fresh, BLOCK);
    restore(fixture, 1);
    assert_int_equal(read_file(fixture->file, now), BYTES);
    assert_memory_equal(now + 4 * BLOCK, fresh, sizeof fresh);
}

static void a_killed_agent_leaves_files_as_they_were(void **state)
{
    struct fixture *fixture = *state;
    damage(fixture, "kind=truncate", "place=100");
    assert_false(is_as_it_was(fixture));
    int64_t began_ns = clock_monotonic_ns();
    kill(fixture->agent.serving, SIGKILL);
    assert_int_equal(agent_wait(&fixture->agent), 1);
    fixture->agent.pid = 0;
    assert_true(clock_monotonic_ns() - began_ns < 5 * NS_PER_SECOND);
    assert_true(is_as_it_was(fixture));
}

static void it_can_be_left_as_it_is(void **state)
{
    struct fixture *fixture = *state;
    damage(fixture, "kind=flip", "place=500");
    agent_refused(&fixture->agent, "bad-request", "disk-damage", "id=d", fixture->field,
                  "kind=flip");
    agent_do(&fixture->agent, "disk-restore", "id=d", "drop=1");
    assert_false(is_as_it_was(fixture));
    agent_refused(&fixture->agent, "bad-request", "disk-restore", "id=d");
    agent_refused(&fixture->agent, "bad-request", "disk-damage", "id=d", fixture->field,
                  "kind=melt");
    agent_refused(&fixture->agent, "bad-request", "disk-damage", "id=d", fixture->field,
                  "kind=flip", "files=nothing-*");
    agent_refused(&fixture->agent, "bad-request", "disk-damage", "id=d", "path=data", "kind=flip");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(one_bit_flips, begin, finish),
        cmocka_unit_test_setup_teardown(what_was_written_since_is_left_alone, begin, finish),
        cmocka_unit_test_setup_teardown(ends_are_cut_off_and_files_removed, begin, finish),
        cmocka_unit_test_setup_teardown(a_block_lands_on_another, begin, finish),
        cmocka_unit_test_setup_teardown(a_block_is_what_it_was_before, begin, finish),
        cmocka_unit_test_setup_teardown(a_killed_agent_leaves_files_as_they_were, begin, finish),
        cmocka_unit_test_setup_teardown(it_can_be_left_as_it_is, begin, finish),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
