/* Messages on the wire: what goes in comes out, and nothing that comes from outside can do harm. */
#include "queue/raft.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static uint64_t state;

static uint64_t draw(void)
{
    state = state * 6364136223846793005u + 1442695040888963407u;
    return state >> 33;
}

static struct raft_config some_config(void)
{
    struct raft_config config = {.count = 3};
    for (uint32_t i = 0; i < config.count; i++) {
        config.members[i] = (struct raft_member){
            .node = i + 1, .disk = UINT64_MAX - i, .standing = (enum raft_standing)(i + 1)};
        strcpy(config.members[i].address, i == 1 ? "" : "127.0.0.1:7711");
    }
    return config;
}

/* A message of each type with all the parts that it can have. */
static struct raft_message some_message(enum raft_message_type type, struct entry entries[3],
                                        struct raft_config *config, uint8_t *config_bytes)
{
    *config = some_config();
    entries[0] = (struct entry){.index = 8, .term = 3, .type = ENTRY_NOOP};
    entries[1] = (struct entry){9, 4, ENTRY_COMMANDS, 5, "hello"};
    entries[2] = (struct entry){10, 4, ENTRY_CONFIG, 0, config_bytes};
    entries[2].length = (uint32_t)raft_config_encode(config, config_bytes);
    struct raft_message message = {.type = type,
                                   .flags = RAFT_FLAG_NO,
                                   .from = 1,
                                   .to = 2,
                                   .from_disk = 11,
                                   .to_disk = 12,
                                   .term = 5,
                                   .index = 7,
                                   .log_term = 3,
                                   .hint = 6,
                                   .commit = 4,
                                   .round = 99,
                                   .offset = 1000};
    if (type == RAFT_MESSAGE_APPEND) {
        message.entries = entries;
        message.entry_count = 3;
    } else if (type == RAFT_MESSAGE_SNAPSHOT) {
        message.config = config;
        message.data = "state";
        message.length = 5;
    }
    return message;
}

static struct raft_decoded decoded;

static void every_type_comes_back(void **unused)
{
    (void)unused;
    for (int type = RAFT_MESSAGE_PREVOTE; type < RAFT_MESSAGE_TYPES; type++) {
        struct entry entries[3];
        struct raft_config config;
        uint8_t config_bytes[RAFT_CONFIG_BYTES_MAX];
        struct raft_message message =
            some_message((enum raft_message_type)type, entries, &config, config_bytes);
        size_t size = raft_message_size(&message);
        uint8_t *bytes = malloc(size), *again = malloc(size);
        assert_non_null(bytes);
        assert_non_null(again);
        raft_message_encode(&message, bytes);
        assert_null(raft_message_decode(bytes, size, &decoded));
        const struct raft_message *back = &decoded.message;
        assert_int_equal(back->type, type);
        assert_int_equal(back->flags, RAFT_FLAG_NO);
        assert_int_equal(back->from_disk, 11);
        assert_int_equal(back->to, 2);
        assert_int_equal(back->offset, 1000);
        assert_int_equal(raft_message_size(back), size);
        raft_message_encode(back, again);
        assert_memory_equal(bytes, again, size);
        if (type == RAFT_MESSAGE_APPEND) {
            assert_int_equal(back->entries[1].index, 9);
            assert_memory_equal(back->entries[1].data, "hello", 5);
        } else if (type == RAFT_MESSAGE_SNAPSHOT) {
            assert_string_equal(back->config->members[2].address, "127.0.0.1:7711");
        }
        free(bytes);
        free(again);
    }
}

static void every_cut_is_refused(void **unused)
{
    (void)unused;
    for (int type = RAFT_MESSAGE_PREVOTE; type < RAFT_MESSAGE_TYPES; type++) {
        struct entry entries[3];
        struct raft_config config;
        uint8_t config_bytes[RAFT_CONFIG_BYTES_MAX];
        struct raft_message message =
            some_message((enum raft_message_type)type, entries, &config, config_bytes);
        size_t size = raft_message_size(&message);
        uint8_t *whole = malloc(size + 1);
        assert_non_null(whole);
        raft_message_encode(&message, whole);
        for (size_t length = 0; length <= size + 1; length++) {
            uint8_t *bytes = malloc(length + 1); /* of its own, so that a read too far is seen */
            assert_non_null(bytes);
            whole[size] = 0;
            memcpy(bytes, whole, length);
            const char *problem = raft_message_decode(bytes, length, &decoded);
            assert_true((problem == NULL) == (length == size));
            free(bytes);
        }
        free(whole);
    }
}

/* What is let through is what the bytes say: encoding it again gives the same bytes. */
static void damage_is_harmless(void **unused)
{
    (void)unused;
    state = 1;
    uint64_t passed = 0;
    for (int round = 0; round < 60000; round++) {
        struct entry entries[3];
        struct raft_config config;
        uint8_t config_bytes[RAFT_CONFIG_BYTES_MAX];
        struct raft_message message =
            some_message((enum raft_message_type)(1 + draw() % (RAFT_MESSAGE_TYPES - 1)), entries,
                         &config, config_bytes);
        size_t size = raft_message_size(&message);
        uint8_t *bytes = malloc(size), *again = malloc(size);
        assert_non_null(bytes);
        assert_non_null(again);
        raft_message_encode(&message, bytes);
        for (uint64_t k = 1 + draw() % 4; k > 0; k--) {
            bytes[draw() % size] = (uint8_t)(draw() % 3 == 0 ? 255 : draw());
        }
        if (!raft_message_decode(bytes, size, &decoded)) {
            passed++;
            assert_int_equal(raft_message_size(&decoded.message), size);
            raft_message_encode(&decoded.message, again);
            assert_memory_equal(bytes, again, size);
        }
        free(bytes);
        free(again);
    }
    assert_true(passed > 1000);
}

static void noise_is_refused(void **unused)
{
    (void)unused;
    state = 2;
    for (int round = 0; round < 20000; round++) {
        size_t length = draw() % 300;
        uint8_t *bytes = malloc(length + 1);
        assert_non_null(bytes);
        for (size_t i = 0; i < length; i++) {
            bytes[i] = (uint8_t)draw();
        }
        struct raft_config config;
        raft_config_decode(bytes, length, &config);
        assert_non_null(raft_message_decode(bytes, length, &decoded));
        free(bytes);
    }
}

static void memberships_that_cannot_be_are_refused(void **unused)
{
    (void)unused;
    uint8_t bytes[RAFT_CONFIG_BYTES_MAX];
    struct raft_config config = some_config(), back;
    size_t length = raft_config_encode(&config, bytes);
    assert_true(raft_config_decode(bytes, length, &back));
    assert_memory_equal(&config, &back, sizeof config);
    config.members[1].node = config.members[0].node; /* twice the same node */
    assert_false(raft_config_decode(bytes, raft_config_encode(&config, bytes), &back));
    config = some_config();
    config.members[1].disk = config.members[0].disk;
    assert_false(raft_config_decode(bytes, raft_config_encode(&config, bytes), &back));
    config = some_config();
    config.members[0].standing = RAFT_LEARNER; /* nobody has a vote */
    assert_false(raft_config_decode(bytes, raft_config_encode(&config, bytes), &back));
    config = some_config();
    config.members[0].disk = 0;
    assert_false(raft_config_decode(bytes, raft_config_encode(&config, bytes), &back));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_type_comes_back),
        cmocka_unit_test(every_cut_is_refused),
        cmocka_unit_test(damage_is_harmless),
        cmocka_unit_test(noise_is_refused),
        cmocka_unit_test(memberships_that_cannot_be_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
