/* Batches of commands: what is written is read; whatever else is read harms nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "tests/queue/lib/state_trial.h"

static struct command_bytes take_queues[2] = {{"left", 4}, {"right", 5}};

/* One command of each type. */
static uint32_t fill(struct command_batch *batch)
{
    struct command all[COMMAND_TYPE_END] = {0};
    for (enum command_type type = COMMAND_ADD; type < COMMAND_TYPE_END; type++) {
        all[type].type = type;
        all[type].id = trial_id(type);
        all[type].queue = trial_text("queue");
        all[type].key = trial_text("key");
        all[type].attempt = 3;
        all[type].mode = 1;
        all[type].count = 7;
        all[type].duration_ms = 1234567890123;
    }
    all[COMMAND_ADD].add = (struct command_add){
        .body = trial_text("the body"),
        .priority = 5,
        .retry_ms = 10,
        .attempts_max = 11,
        .flags = 1,
        .length_max = 12,
        .delay_ms = 13,
        .ttl_ms = 14,
        .key_ttl_ms = 15,
        .origin = 16,
        .origin_sequence = 1,
    };
    all[COMMAND_TAKE].take.queues = take_queues;
    all[COMMAND_TAKE].take.queue_count = 2;
    all[COMMAND_TAKE].take.nonce = 0xfeedfacecafef00d;
    all[COMMAND_LIMIT].limit.length_max = 21;
    all[COMMAND_LIMIT].limit.leased_max = 22;
    all[COMMAND_CONFIG].config.key = 1;
    all[COMMAND_CONFIG].config.value = 31;
    command_batch_begin(batch, 77);
    for (enum command_type type = COMMAND_ADD; type < COMMAND_TYPE_END; type++)
        assert_true(command_batch_add(batch, &all[type], NULL));
    return COMMAND_TYPE_END - 1;
}

static void assert_text(struct command_bytes bytes, const char *text)
{
    assert_int_equal(bytes.length, strlen(text));
    assert_memory_equal(bytes.data, text, bytes.length);
}

static void every_field_survives(void **state)
{
    (void)state;
    struct command_batch batch = COMMAND_BATCH_INIT;
    struct command_reader reader;
    struct command command = {0};
    uint32_t count = fill(&batch);
    command_batch_stamp(&batch, 78);
    assert_true(command_reader_begin(&reader, batch.data, batch.length, NULL));
    assert_int_equal(reader.time_ms, 78);
    assert_int_equal(reader.count, count);
    for (enum command_type type = COMMAND_ADD; type < COMMAND_TYPE_END; type++) {
        assert_int_equal(command_reader_next(&reader, &command, NULL), 1);
        assert_int_equal(command.type, type);
        if (type == COMMAND_ADD) {
            struct job_id id = trial_id(COMMAND_ADD);
            assert_memory_equal(&command.id, &id, sizeof id);
            assert_text(command.queue, "queue");
            assert_text(command.key, "key");
            assert_text(command.add.body, "the body");
            assert_int_equal(command.add.priority, 5);
            assert_int_equal(command.add.retry_ms, 10);
            assert_int_equal(command.add.attempts_max, 11);
            assert_int_equal(command.add.flags, 1);
            assert_int_equal(command.add.length_max, 12);
            assert_int_equal(command.add.delay_ms, 13);
            assert_int_equal(command.add.ttl_ms, 14);
            assert_int_equal(command.add.key_ttl_ms, 15);
            assert_int_equal(command.add.origin, 16);
            assert_int_equal(command.add.origin_sequence, 1);
        } else if (type == COMMAND_TAKE) {
            assert_int_equal(command.count, 7);
            assert_int_equal(command.take.queue_count, 2);
            assert_text(command.take.queues[0], "left");
            assert_text(command.take.queues[1], "right");
            assert_true(command.take.nonce == 0xfeedfacecafef00d);
        } else if (type == COMMAND_NACK) {
            struct job_id id = trial_id(COMMAND_NACK);
            assert_memory_equal(&command.id, &id, sizeof id);
            assert_int_equal(command.attempt, 3);
            assert_int_equal(command.mode, 1);
            assert_true(command.duration_ms == 1234567890123);
        } else if (type == COMMAND_KICK_QUEUE) {
            assert_text(command.queue, "queue");
            assert_int_equal(command.count, 7);
        } else if (type == COMMAND_LIMIT) {
            assert_int_equal(command.limit.length_max, 21);
            assert_int_equal(command.limit.leased_max, 22);
        } else if (type == COMMAND_CONFIG) {
            assert_int_equal(command.config.key, 1);
            assert_int_equal(command.config.value, 31);
        }
    }
    assert_int_equal(command_reader_next(&reader, &command, NULL), 0);
    command_batch_free(&batch);
}

static bool apply_bytes(struct state *state, uint64_t index, const uint8_t *data, size_t length)
{
    /* Memory of exactly this length, so that a sanitizer sees a byte read too far. */
    uint8_t *exact = malloc(length ? length : 1);
    assert_non_null(exact);
    if (length)
        memcpy(exact, data, length);
    struct entry entry = {index, 1, ENTRY_COMMANDS, (uint32_t)length, exact};
    struct queue_error error = {"?"};
    bool good = state_apply(state, &entry, NULL, &error);
    assert_true(good || error.message[0] != '?');
    assert_true(good == command_batch_check(exact, length, NULL));
    free(exact);
    return good;
}

static void a_batch_cut_anywhere_changes_nothing(void **unused)
{
    (void)unused;
    struct command_batch batch = COMMAND_BATCH_INIT;
    struct state *state = state_create();
    fill(&batch);
    for (size_t length = 0; length < batch.length; length++)
        assert_false(apply_bytes(state, length + 1, batch.data, length));
    struct state_info info;
    state_info(state, &info);
    assert_int_equal(info.index, batch.length);
    assert_int_equal(info.time_ms, 0);
    assert_int_equal(info.counters.added, 0);
    uint8_t *longer = calloc(1, batch.length + 1);
    assert_non_null(longer);
    memcpy(longer, batch.data, batch.length);
    assert_false(apply_bytes(state, batch.length + 1, longer, batch.length + 1));
    assert_true(apply_bytes(state, batch.length + 2, longer, batch.length));
    state_info(state, &info);
    assert_int_equal(info.counters.added, 1);
    assert_int_equal(info.time_ms, 77);
    free(longer);
    state_free(state);
    command_batch_free(&batch);
}

static void a_batch_with_any_bit_wrong_is_refused_or_harmless(void **unused)
{
    (void)unused;
    struct command_batch batch = COMMAND_BATCH_INIT;
    struct queue_error error;
    fill(&batch);
    uint64_t refused = 0, bits = 8 * batch.length;
    struct state *first = state_create(), *second = state_create();
    for (uint64_t bit = 0; bit < bits; bit++) {
        batch.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
        refused += !apply_bytes(first, bit + 1, batch.data, batch.length);
        apply_bytes(second, bit + 1, batch.data, batch.length);
        batch.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    assert_true(refused > bits / 50 && refused < bits);
    assert_true(state_check(first, &error));
    assert_true(state_hash(first) == state_hash(second));
    state_free(first);
    state_free(second);
    command_batch_free(&batch);
}

static void random_bytes_do_no_harm(void **unused)
{
    (void)unused;
    uint64_t seed = trial_seed(99);
    struct state *state = state_create();
    for (uint64_t index = 1; index <= 20000; index++) {
        uint8_t data[160] = {1};
        size_t length = 13 + trial_random_below(&seed, 140);
        data[9] = (uint8_t)(1 + trial_random_below(&seed, 3));
        for (size_t i = 13; i < length; i++)
            data[i] = (uint8_t)(trial_random_below(&seed, 3) ? trial_random_below(&seed, 17)
                                                             : trial_random(&seed));
        apply_bytes(state, index, data, length);
    }
    struct queue_error error;
    assert_true(state_check(state, &error));
    state_free(state);
}

static void what_no_reader_accepts_is_not_written(void **state)
{
    (void)state;
    static char long_name[300];
    memset(long_name, 'n', sizeof long_name - 1);
    struct command_batch batch = COMMAND_BATCH_INIT;
    struct queue_error error;
    command_batch_begin(&batch, 1);
    struct command command = trial_add(1, long_name, "x");
    assert_false(command_batch_add(&batch, &command, &error));
    assert_non_null(strstr(error.message, "ADD"));
    command = trial_add(1, "", "x");
    assert_false(command_batch_add(&batch, &command, &error));
    command = trial_add(1, "q", "x");
    command.add.body.length = COMMAND_BODY_BYTES_MAX + 1;
    assert_false(command_batch_add(&batch, &command, &error));
    command = trial_take("q", 1);
    command.take.queue_count = 0;
    assert_false(command_batch_add(&batch, &command, &error));
    command.take.queue_count = COMMAND_QUEUES_MAX + 1;
    assert_false(command_batch_add(&batch, &command, &error));
    command = trial_take(long_name, 1);
    assert_false(command_batch_add(&batch, &command, &error));
    command.type = COMMAND_TYPE_END;
    assert_false(command_batch_add(&batch, &command, &error));
    assert_true(command_batch_check(batch.data, batch.length, &error));
    assert_int_equal(batch.count, 0);
    command_batch_free(&batch);
}

static void other_entries_only_move_the_index(void **unused)
{
    (void)unused;
    struct state *state = state_create();
    struct entry entry = {1, 4, ENTRY_NOOP, 0, NULL};
    assert_true(state_apply(state, &entry, NULL, NULL));
    entry = (struct entry){2, 5, ENTRY_CONFIG, 3, "abc"};
    assert_true(state_apply(state, &entry, NULL, NULL));
    struct state_info info;
    state_info(state, &info);
    assert_int_equal(info.index, 2);
    assert_int_equal(info.term, 5);
    assert_int_equal(info.time_ms, 0);
    state_free(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_field_survives),
        cmocka_unit_test(a_batch_cut_anywhere_changes_nothing),
        cmocka_unit_test(a_batch_with_any_bit_wrong_is_refused_or_harmless),
        cmocka_unit_test(random_bytes_do_no_harm),
        cmocka_unit_test(what_no_reader_accepts_is_not_written),
        cmocka_unit_test(other_entries_only_move_the_index),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
