/* Snapshots: whole, the same from replicas of different pasts, and refused when damaged. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "queue/bytes.h"
#include "queue/crc32c.h"
#include "tests/queue/lib/state_trial.h"

/* A state with something of everything. */
static void fill(struct trial *trial)
{
    trial_begin(trial);
    for (uint64_t i = 1; i <= 40; i++) {
        struct command add = trial_add(i, i % 3 ? "mail" : "video", "some work to do");
        add.add.priority = i % 4;
        add.add.delay_ms = i % 5 == 0 ? 500 : 0;
        add.add.ttl_ms = i % 7 == 0 ? 1000 : 0;
        add.add.flags = i % 2 ? ADD_DROP_EXPIRED : 0;
        add.add.retry_ms = i % 11 == 0 ? 0 : 2000;
        if (i % 6 == 0) {
            add.key = trial_text(i % 12 ? "one" : "two");
            add.add.key_ttl_ms = 100000;
        }
        add.add.origin = 9;
        add.add.origin_sequence = i;
        trial_run(trial, i, add);
    }
    trial_run(trial, 50, trial_take("mail", 9));
    trial_run(trial, 50, trial_take("video", 3));
    for (uint64_t i = 1; i <= 40; i += 4)
        trial_run(trial, 51, trial_job(COMMAND_ACK, i, 0));
    struct command nack = trial_job(COMMAND_NACK, 3, 0);
    nack.mode = NACK_DEAD;
    trial_run(trial, 52, nack);
    trial_tick(trial, 1100);
    struct command pause = {.type = COMMAND_PAUSE, .queue = trial_text("shut"), .mode = PAUSE_IN};
    trial_run(trial, 1100, pause);
    trial_run(trial, 1100, trial_add(99, "idle", "x"));
    trial_run(trial, 1101, trial_job(COMMAND_DELETE, 99, 0));
}

static struct trial_snapshot write_snapshot(struct state *state)
{
    struct trial_snapshot snapshot = {0};
    assert_true(state_snapshot_write(state, trial_snapshot_sink, &snapshot));
    return snapshot;
}

static struct state *read_snapshot(const struct trial_snapshot *snapshot, struct queue_error *error)
{
    struct trial_snapshot source = *snapshot;
    source.offset = 0;
    return state_snapshot_read(trial_snapshot_source, &source, error);
}

static void it_holds_the_whole_state(void **unused)
{
    (void)unused;
    static struct trial trial;
    struct queue_error error;
    struct state_info before, after;
    fill(&trial);
    state_info(trial.state, &before);
    assert_true(before.counters.ready && before.counters.leased && before.counters.dead &&
                before.counters.expired && before.keys && before.done);
    struct trial_snapshot first = write_snapshot(trial.state);
    struct state *copy = read_snapshot(&first, &error);
    assert_non_null(copy);
    state_info(copy, &after);
    assert_memory_equal(&before, &after, sizeof before);
    struct trial_snapshot second = write_snapshot(copy);
    assert_int_equal(first.length, second.length);
    assert_memory_equal(first.data, second.data, first.length);
    assert_true(state_hash(copy) == state_hash(trial.state));
    trial_tick(&trial, 1102);
    assert_true(state_hash(copy) != state_hash(trial.state));
    state_free(copy);
    free(first.data);
    free(second.data);
    trial_end(&trial);
}

static void damage_of_any_byte_is_noticed(void **unused)
{
    (void)unused;
    static struct trial trial;
    struct queue_error error;
    fill(&trial);
    struct trial_snapshot snapshot = write_snapshot(trial.state);
    for (size_t i = 0; i < snapshot.length; i++) {
        snapshot.data[i] ^= (uint8_t)(1 << i % 8);
        error.message[0] = 0;
        assert_null(read_snapshot(&snapshot, &error));
        assert_non_null(strstr(error.message, "byte"));
        snapshot.data[i] ^= (uint8_t)(1 << i % 8);
    }
    size_t whole = snapshot.length;
    for (snapshot.length = 0; snapshot.length < whole; snapshot.length++)
        assert_null(read_snapshot(&snapshot, &error));
    struct state *copy = read_snapshot(&snapshot, &error);
    assert_non_null(copy);
    state_free(copy);
    free(snapshot.data);
    trial_end(&trial);
}

/* Wrong bytes with right checksums: whatever comes of it passes its own judgement and works on. */
static void forged_bytes_do_no_harm(void **unused)
{
    (void)unused;
    static struct trial trial;
    struct queue_error error;
    uint64_t seed = trial_seed(5), accepted = 0;
    fill(&trial);
    struct trial_snapshot snapshot = write_snapshot(trial.state);
    uint32_t length = bytes_get32(snapshot.data);
    assert_int_equal(snapshot.length, 8 + length + 8);
    for (uint32_t i = 0; i < length; i++) {
        uint8_t number[8] = {0}, kept = snapshot.data[8 + i];
        snapshot.data[8 + i] ^= (uint8_t)(1 + trial_random_below(&seed, 255));
        uint32_t crc = crc32c(crc32c(0, number, 8), snapshot.data + 8, length);
        bytes_put32(snapshot.data + 4, crc);
        struct state *copy = read_snapshot(&snapshot, &error);
        if (copy) {
            static struct trial forged;
            trial_begin(&forged);
            state_free(forged.state);
            forged.state = copy;
            struct state_info info;
            state_info(copy, &info);
            forged.index = info.index;
            if (info.index < UINT64_MAX - 9) {
                trial_run(&forged, 2000, trial_take("mail", 50));
                trial_run(&forged, 2000, trial_job(COMMAND_ACK, 2, 0));
                trial_run(&forged, 2000, trial_add(2, "mail", "again"));
                trial_tick(&forged, COMMAND_TIME_MS_MAX);
            }
            trial_end(&forged);
            accepted++;
        }
        snapshot.data[8 + i] = kept;
    }
    assert_true(accepted > 0 && accepted < length); /* bodies may be anything, states may not */
    free(snapshot.data);
    trial_end(&trial);
}

static bool stop_at_once(void *context, const void *data, size_t length)
{
    (void)data;
    (void)length;
    ++*(int *)context;
    return false;
}

static void a_sink_that_gives_up_is_asked_once(void **unused)
{
    (void)unused;
    static struct trial trial;
    int calls = 0;
    fill(&trial);
    assert_false(state_snapshot_write(trial.state, stop_at_once, &calls));
    assert_int_equal(calls, 1);
    trial_end(&trial);
}

static void a_forked_child_writes_what_the_parent_had(void **unused)
{
    (void)unused;
    static struct trial trial;
    int ends[2];
    fill(&trial);
    uint64_t before = state_hash(trial.state);
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    if (child == 0) {
        char go;
        if (read(ends[0], &go, 1) != 1)
            _exit(2);
        _exit(state_hash(trial.state) == before ? 0 : 1);
    }
    assert_true(child > 0);
    trial_run(&trial, 1200, trial_take("mail", 50));
    assert_true(state_hash(trial.state) != before);
    assert_int_equal(write(ends[1], "g", 1), 1);
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    close(ends[0]);
    close(ends[1]);
    trial_end(&trial);
}

static void bodies_cross_blocks(void **unused)
{
    (void)unused;
    static struct trial trial;
    struct queue_error error;
    static char body[200000];
    memset(body, 'x', sizeof body - 1);
    trial_begin(&trial);
    for (uint64_t i = 1; i <= 5; i++) {
        struct command add = trial_add(i, "q", body + i * 1000);
        add.key = trial_text(body + sizeof body - 10 - i);
        trial_run(&trial, 0, add);
    }
    struct trial_snapshot snapshot = write_snapshot(trial.state);
    assert_true(snapshot.length > 4 * sizeof body);
    struct state *copy = read_snapshot(&snapshot, &error);
    assert_non_null(copy);
    assert_true(state_hash(copy) == state_hash(trial.state));
    state_free(copy);
    /* Two whole blocks of equal length, exchanged: each is right by itself. */
    size_t block = 8 + bytes_get32(snapshot.data);
    uint8_t *kept = malloc(block);
    assert_non_null(kept);
    memcpy(kept, snapshot.data + block, block);
    memmove(snapshot.data + block, snapshot.data + 2 * block, block);
    memcpy(snapshot.data + 2 * block, kept, block);
    assert_null(read_snapshot(&snapshot, &error));
    assert_non_null(strstr(error.message, "checksum"));
    free(kept);
    free(snapshot.data);
    trial_end(&trial);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_holds_the_whole_state),
        cmocka_unit_test(damage_of_any_byte_is_noticed),
        cmocka_unit_test(forged_bytes_do_no_harm),
        cmocka_unit_test(a_sink_that_gives_up_is_asked_once),
        cmocka_unit_test(a_forked_child_writes_what_the_parent_had),
        cmocka_unit_test(bodies_cross_blocks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
