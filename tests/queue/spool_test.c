/* The spool on a disk that loses power at every call, fails at every call, and has its bytes
 * turned: what was synced is there until it is decided, under its number, as it was. */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "queue/spool.h"
#include "tests/lib/sanitized.h"
#include "tests/queue/lib/disk_shim.h"

enum {
    JOBS_MAX = 64,
    SEEDS = SANITIZED ? 1 : 3,
    STRIDE = SANITIZED ? 3 : 1,
    SEGMENT_BYTES = 8 * 512,
    BODY_MAX = 900
};

/* A node's life with its spool, and what may be found after it was interrupted. */
struct life {
    uint64_t added, stored, decided; /* the greatest numbers; stored: synced, and so promised */
    bool deciding;                   /* a tidying may have been under way */
    int fatal;
    char message[256];
};

static void on_fatal(void *context, const char *message)
{
    struct life *life = context;
    life->fatal++;
    snprintf(life->message, sizeof life->message, "%s", message);
}

static struct spool_options options(struct life *life)
{
    return (struct spool_options){.node = 3,
                                  .segment_bytes = SEGMENT_BYTES,
                                  .thread = LOG_INLINE,
                                  .fatal = on_fatal,
                                  .context = life};
}

static uint32_t make_body(uint64_t number, char body[BODY_MAX])
{
    uint32_t length = (uint32_t)(number * 37 % 600 + (number % 5 == 0 ? 300 : 0));
    for (uint32_t i = 0; i < length; i++)
        body[i] = (char)(number * 31 + i);
    return length;
}

static struct command make_add(uint64_t number, char body[BODY_MAX])
{
    struct command command = {.type = COMMAND_ADD, .queue = {"queue", 5}};
    memcpy(command.id.bytes, &number, sizeof number);
    command.add.body = (struct command_bytes){body, make_body(number, body)};
    command.add.retry_ms = (uint32_t)number;
    return command;
}

static bool add(struct life *life, struct spool *spool, int count)
{
    char body[BODY_MAX];
    for (int i = 0; i < count; i++) {
        struct command command = make_add(life->added + 1, body);
        uint64_t number = spool_add(spool, &command, NULL);
        assert_int_equal(number, life->added + 1);
        life->added = number;
    }
    while (log_work(spool->storage.log))
        ;
    life->stored = life->fatal == 0 ? life->added : life->stored;
    if (life->fatal == 0)
        assert_int_equal(spool_persisted(spool), life->stored);
    return life->fatal == 0;
}

static bool decide(struct life *life, struct spool *spool, uint64_t number)
{
    life->decided = number;
    spool_decide(spool, number);
    spool_tidy(spool);
    while (log_work(spool->storage.log))
        ;
    return life->fatal == 0;
}

/* Two processes, one after the other: some jobs added and decided in part, all decided, more. */
static bool live(struct life *life, const struct disk *disk)
{
    struct spool spool;
    struct spool_options how = options(life);
    bool good = true;
    *life = (struct life){0};
    for (int process = 0; good && process < 2; process++) {
        if (spool_open(&spool, disk, &how, NULL) != DISK_OK)
            return false;
        assert_int_equal(spool.last, life->added);
        good = add(life, &spool, 3) && add(life, &spool, 5) &&
               decide(life, &spool, life->decided + 2) && add(life, &spool, 4) &&
               decide(life, &spool, life->added) && add(life, &spool, 2);
        spool_close(&spool);
    }
    return good;
}

static void check_entry(const struct entry *entry)
{
    struct command_reader reader;
    struct command command;
    char body[BODY_MAX];
    struct command wanted = make_add(entry->index, body);
    assert_true(command_reader_begin(&reader, entry->data, entry->length, NULL));
    assert_int_equal(command_reader_next(&reader, &command, NULL), 1);
    assert_int_equal(command.type, COMMAND_ADD);
    assert_memory_equal(command.id.bytes, wanted.id.bytes, sizeof wanted.id.bytes);
    assert_int_equal(command.add.retry_ms, wanted.add.retry_ms);
    assert_int_equal(command.add.body.length, wanted.add.body.length);
    assert_memory_equal(command.add.body.data, wanted.add.body.data, wanted.add.body.length);
    assert_int_equal(command_reader_next(&reader, &command, NULL), 0);
}

/* Opens as the next process would, and sends all. */
static enum disk_result look(struct life *life, const struct disk *disk, uint64_t *first,
                             uint64_t *last)
{
    struct spool spool;
    struct life next = {0};
    struct spool_options how = options(&next);
    struct queue_error error;
    enum disk_result result = spool_open(&spool, disk, &how, &error);
    snprintf(life->message, sizeof life->message, "%s", result == DISK_OK ? "" : error.message);
    if (result != DISK_OK)
        return result;
    *first = spool.decided + 1;
    *last = spool.last;
    assert_int_equal(spool_persisted(&spool), spool.last);
    while (result == DISK_OK && spool.decided < spool.last) {
        struct log_batch batch;
        result = spool_next(&spool, 1000, &batch, &error);
        if (result != DISK_OK)
            break;
        assert_true(batch.count > 0);
        assert_int_equal(batch.entries[0].index, spool.decided + 1);
        for (size_t i = 0; i < batch.count; i++)
            check_entry(&batch.entries[i]);
        spool_decide(&spool, spool.decided + batch.count);
        log_batch_free(&batch);
    }
    if (result == DISK_OK)
        assert_int_equal(spool.bytes, 0);
    spool_close(&spool);
    return result;
}

/* Nothing that was promised and not decided is missing; a number is never used again, since what
 * was sent was synced. */
static void must_hold(struct life *life, const struct disk *disk)
{
    uint64_t first, last;
    if (look(life, disk, &first, &last) != DISK_OK)
        fail_msg("%s", life->message);
    assert_true(first <= life->decided + 1);
    assert_in_range(last, life->stored, life->added);
}

static void what_was_promised_survives_power_cuts(void **state)
{
    (void)state;
    uint64_t cases = 0, n = 1;
    for (bool more = true; more; n++) {
        struct shim *shim = shim_new();
        struct life life;
        shim_crash_at(shim, n);
        more = !live(&life, shim_disk(shim));
        assert_true(more == shim_crashed(shim));
        for (int how = 0; how < SHIM_CUTS; how++)
            for (uint64_t seed = 0; seed < SEEDS; seed++, cases++) {
                struct shim *copy = shim_copy(shim);
                shim_power_cut(copy, (enum shim_cut)how, n * 100 + seed);
                must_hold(&life, shim_disk(copy));
                shim_free(copy);
            }
        shim_kill(shim);
        must_hold(&life, shim_disk(shim));
        shim_free(shim);
    }
    assert_true(n > 50);
    print_message("# %" PRIu64 " power cuts at %" PRIu64 " calls\n", cases, n);
}

static void a_power_cut_while_starting_does_no_harm(void **state)
{
    (void)state;
    uint64_t cases = 0;
    bool more = true;
    for (uint64_t n = 1; more; n += (uint64_t)3 * STRIDE) {
        struct shim *shim = shim_new();
        struct life life;
        shim_crash_at(shim, n);
        more = !live(&life, shim_disk(shim));
        shim_power_cut(shim, n % 2 ? SHIM_RANDOM : SHIM_FRONT, n);
        bool interrupted = true;
        for (uint64_t m = 1; interrupted; m++) {
            struct shim *again = shim_copy(shim);
            struct spool spool;
            struct life next = {0};
            struct spool_options how = options(&next);
            shim_crash_at(again, m);
            interrupted = spool_open(&spool, shim_disk(again), &how, NULL) != DISK_OK;
            if (!interrupted)
                spool_close(&spool);
            for (int cut = 0; cut < SHIM_CUTS; cut++, cases++) {
                struct shim *copy = shim_copy(again);
                shim_power_cut(copy, (enum shim_cut)cut, n * 100 + m);
                must_hold(&life, shim_disk(copy));
                shim_free(copy);
            }
            shim_free(again);
        }
        shim_free(shim);
    }
    print_message("# %" PRIu64 " power cuts while starting\n", cases);
}

static void a_failing_call_ends_it_once(void **state)
{
    (void)state;
    static const int codes[] = {5 /* EIO */, 28 /* ENOSPC */};
    uint64_t cases = 0;
    bool more = true;
    for (uint64_t n = 1; more; n++)
        for (size_t c = 0; c < 2; c++, cases++) {
            struct shim *shim = shim_new();
            struct life life;
            shim_fail_at(shim, n, codes[c]);
            bool done = live(&life, shim_disk(shim));
            more = shim_failed(shim);
            assert_true(done || more);
            assert_true(life.fatal <= 1);
            assert_int_equal(shim_syncs_after_failure(shim), 0);
            shim_power_cut(shim, SHIM_ALL, n);
            must_hold(&life, shim_disk(shim));
            shim_free(shim);
        }
    print_message("# %" PRIu64 " failing calls\n", cases);
}

/* Found out, or without effect; and whatever is found out is left as it is. */
static void no_flipped_bit_goes_unnoticed(void **state)
{
    (void)state;
    struct shim *shim = shim_new();
    struct life life;
    char names[32][64];
    uint64_t cases = 0, found = 0, first, last;
    assert_true(live(&life, shim_disk(shim)));
    size_t files = shim_names(shim, names, 32);
    assert_true(files >= 2);
    for (size_t file = 0; file < files; file++) {
        size_t length;
        assert_true(shim_length(shim, names[file], &length));
        for (size_t at = 0; at < length; at += STRIDE, cases++) {
            struct shim *copy = shim_copy(shim);
            shim_flip(copy, names[file], at, (unsigned char)(1 << at % 8));
            enum disk_result result = look(&life, shim_disk(copy), &first, &last);
            if (result == DISK_OK) {
                assert_true(first <= life.decided + 1);
                assert_int_equal(last, life.added);
            } else {
                assert_true(result == DISK_DAMAGED || result == DISK_REFUSED);
                found++;
            }
            shim_free(copy);
        }
    }
    shim_free(shim);
    assert_true(found > 1000);
    print_message("# %" PRIu64 " bits turned, %" PRIu64 " found out\n", cases, found);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_promised_survives_power_cuts),
        cmocka_unit_test(a_power_cut_while_starting_does_no_harm),
        cmocka_unit_test(a_failing_call_ends_it_once),
        cmocka_unit_test(no_flipped_bit_goes_unnoticed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
