/* A data directory under power cuts at every call, under failing calls, under damaged bytes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "tests/lib/sanitized.h"
#include "tests/queue/lib/disk_shim.h"
#include "tests/queue/lib/script.h"

/* No thread here: under a sanitizer each case still looks for what it looks for, among fewer. */
enum { SEEDS = SANITIZED ? 1 : 3, STRIDE = SANITIZED ? 7 : 1 };

static void must_be_sound(struct script *script, struct shim *shim, struct script_view *view)
{
    struct queue_error error = {.message = ""};
    enum disk_result result = script_reopen(script, shim_disk(shim), view, &error);
    if (result != DISK_OK)
        fail_msg("step %d: result %d: %s", script->step, (int)result, error.message);
}

/* Runs the script until the n-th changing call, at which the power goes. False when it never came
 * to that. */
static bool run_until(struct shim *shim, struct script *script, uint64_t n)
{
    shim_crash_at(shim, n);
    bool done = script_run(script, shim_disk(shim));
    assert_true(done != shim_crashed(shim));
    return !done;
}

static void whatever_the_power_cut_leaves_is_sound(void **state)
{
    (void)state;
    uint64_t cases = 0, n = 1;
    for (bool more = true; more; n++) {
        struct shim *shim = shim_new();
        struct script script;
        more = run_until(shim, &script, n);
        for (int how = 0; how < SHIM_CUTS; how++)
            for (uint64_t seed = 0; seed < SEEDS; seed++, cases++) {
                struct shim *copy = shim_copy(shim);
                struct script_view view;
                shim_power_cut(copy, (enum shim_cut)how, n * 100 + seed);
                must_be_sound(&script, copy, &view);
                shim_free(copy);
            }
        shim_free(shim);
    }
    print_message("# %llu power cuts at %llu calls\n", (unsigned long long)cases,
                  (unsigned long long)n);
}

/* The next start is interrupted too, at each of its calls. */
static void a_power_cut_while_recovering_is_sound_too(void **state)
{
    (void)state;
    uint64_t cases = 0;
    bool more = true;
    for (uint64_t n = 1; more; n += STRIDE) {
        struct shim *shim = shim_new();
        struct script script;
        more = run_until(shim, &script, n);
        enum shim_cut first = n % 3 == 0 ? SHIM_RANDOM : n % 3 == 1 ? SHIM_BACK : SHIM_FRONT;
        shim_power_cut(shim, first, n);
        bool interrupted = true;
        for (uint64_t m = 1; interrupted; m++) {
            struct shim *again = shim_copy(shim);
            struct storage storage;
            struct storage_options options = script_options(&script);
            shim_crash_at(again, m);
            interrupted = storage_open(&storage, shim_disk(again), &options, NULL) != DISK_OK;
            assert_true(interrupted == shim_crashed(again));
            if (!interrupted)
                storage_close(&storage);
            for (int how = 0; how < SHIM_CUTS; how++, cases++) {
                struct shim *copy = shim_copy(again);
                struct script_view view;
                shim_power_cut(copy, (enum shim_cut)how, n * 100 + m);
                must_be_sound(&script, copy, &view);
                shim_free(copy);
            }
            shim_free(again);
        }
        shim_free(shim);
    }
    print_message("# %llu power cuts while recovering from one\n", (unsigned long long)cases);
}

/* What a server that was only killed finds, and tells others, must survive the power going next. */
static void what_is_seen_after_a_kill_survives_a_power_cut(void **state)
{
    (void)state;
    bool more = true;
    for (uint64_t n = 1; more; n++) {
        struct shim *shim = shim_new();
        struct script script;
        struct script_view seen, after;
        struct storage storage;
        struct storage_options options = script_options(&script);
        more = run_until(shim, &script, n);
        shim_kill(shim);
        struct queue_error error = {.message = ""};
        enum disk_result result = storage_open(&storage, shim_disk(shim), &options, &error);
        if (result != DISK_OK)
            fail_msg("killed at %llu: %s", (unsigned long long)n, error.message);
        script_look(&storage, &seen);
        script_check(&script, &seen);
        storage_close(&storage);
        shim_power_cut(shim, SHIM_NOTHING, 0);
        must_be_sound(&script, shim, &after);
        assert_true(script_same(&seen, &after));
        shim_free(shim);
    }
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
            struct script script;
            shim_fail_at(shim, n, codes[c]);
            bool done = script_run(&script, shim_disk(shim));
            more = shim_failed(shim);
            assert_true(script.fatal <= 1);
            assert_true(done || more);
            if (!done && script.opened != DISK_OK)
                assert_int_equal(script.opened, DISK_FAILED);
            assert_int_equal(shim_syncs_after_failure(shim), 0);
            struct script_view view;
            shim_power_cut(shim, SHIM_ALL, n);
            must_be_sound(&script, shim, &view);
            shim_free(shim);
        }
    print_message("# %llu failing calls\n", (unsigned long long)cases);
}

/* Damage */

static struct shim *finished(struct script *script)
{
    struct shim *shim = shim_new();
    if (!script_run(script, shim_disk(shim)))
        fail_msg("step %d: %s", script->step, script->message);
    return shim;
}

/* Either it is found, or all that was acknowledged is there all the same. */
static bool found_or_harmless(struct script *script, struct shim *shim, const char *what,
                              size_t place)
{
    struct script_view view;
    struct queue_error error = {.message = ""};
    script->damaged = true;
    enum disk_result result = script_reopen(script, shim_disk(shim), &view, &error);
    if (result == DISK_DAMAGED) {
        assert_true(error.message[0] != '\0');
        return true;
    }
    if (result != DISK_OK || !script_same(&view, &script->acknowledged))
        fail_msg("%s at byte %zu: result %d, the log ends at %llu: %s", what, place, (int)result,
                 (unsigned long long)view.last, error.message);
    return false;
}

static void no_flipped_byte_goes_unseen(void **state)
{
    (void)state;
    struct script script;
    struct shim *shim = finished(&script);
    char names[64][64];
    size_t count = shim_names(shim, names, 64), cases = 0, found = 0;
    for (size_t i = 0; i < count; i++) {
        size_t length;
        assert_true(shim_length(shim, names[i], &length));
        for (size_t at = 0; at < length; at += STRIDE, cases++) {
            struct shim *copy = shim_copy(shim);
            shim_flip(copy, names[i], at, (unsigned char)(1u << (at * 7 + i) % 8));
            found += found_or_harmless(&script, copy, names[i], at);
            shim_free(copy);
        }
    }
    assert_true(found > 0);
    print_message("# %zu flipped bits, %zu found damaged, the others harmless\n", cases, found);
    shim_free(shim);
}

static void no_shortened_or_missing_file_goes_unseen(void **state)
{
    (void)state;
    struct script script;
    struct shim *shim = finished(&script);
    char names[64][64];
    size_t count = shim_names(shim, names, 64), cases = 0;
    for (size_t i = 0; i < count; i++) {
        size_t length;
        assert_true(shim_length(shim, names[i], &length));
        for (size_t shorter = 0; shorter < length; shorter += (size_t)13 * STRIDE, cases++) {
            struct shim *copy = shim_copy(shim);
            shim_cut_file(copy, names[i], shorter);
            bool found = found_or_harmless(&script, copy, names[i], shorter);
            if (strncmp(names[i], "log-", 4) == 0)
                assert_true(found);
            shim_free(copy);
        }
        struct shim *copy = shim_copy(shim);
        shim_remove(copy, names[i]);
        /* a snapshot may be missed when the log reaches further back */
        if (strncmp(names[i], "snapshot-", 9) != 0)
            assert_true(found_or_harmless(&script, copy, names[i], 0));
        shim_free(copy);
    }
    print_message("# %zu shortened files\n", cases);
    shim_free(shim);
}

/* A disk that forgot a whole sector. Only in the last frame can that pass for a write that never
 * ended, and then only that frame is gone. */
static void no_sector_turned_to_zeros_goes_unseen(void **state)
{
    (void)state;
    struct script script;
    struct shim *shim = finished(&script);
    char names[64][64];
    size_t count = shim_names(shim, names, 64), found = 0, cut = 0, cases = 0;
    script.damaged = true;
    for (size_t i = 0; i < count; i++) {
        size_t length;
        assert_true(shim_length(shim, names[i], &length));
        for (size_t at = 0; at < length; at += 512, cases++) {
            struct shim *copy = shim_copy(shim);
            struct storage storage;
            struct storage_options options = script_options(&script);
            shim_zero(copy, names[i], at, length - at < 512 ? length - at : 512);
            enum disk_result result = storage_open(&storage, shim_disk(copy), &options, NULL);
            if (result == DISK_OK) {
                struct script_view view;
                script_look(&storage, &view);
                assert_in_range(view.last, 96, 100); /* 97 to 100 are the last frame */
                assert_int_equal(view.meta_term, script.wanted.meta_term);
                cut += view.last < 100;
                storage_close(&storage);
            } else {
                assert_int_equal(result, DISK_DAMAGED);
                found++;
            }
            shim_free(copy);
        }
    }
    print_message("# %zu lost sectors, %zu found, %zu in the last frame taken for a torn write\n",
                  cases, found, cut);
    assert_true(found > 20 && cut <= 3);
    shim_free(shim);
}

/* After a power cut in the last frame, flips anywhere cost at most what was not acknowledged. */
static void flips_around_a_torn_tail_cost_nothing_acknowledged(void **state)
{
    (void)state;
    struct script script;
    struct shim *whole = finished(&script);
    shim_free(whole);
    size_t cases = 0;
    for (uint64_t n = 40; n < 400; n += 36) {
        struct shim *shim = shim_new();
        run_until(shim, &script, n);
        shim_power_cut(shim, SHIM_RANDOM, n);
        char names[64][64];
        size_t count = shim_names(shim, names, 64);
        for (size_t i = 0; i < count; i++) {
            size_t length;
            if (strncmp(names[i], "log-", 4) != 0)
                continue;
            assert_true(shim_length(shim, names[i], &length));
            for (size_t at = n % 5; at < length; at += (size_t)5 * STRIDE, cases++) {
                struct shim *copy = shim_copy(shim);
                struct script_view view;
                shim_flip(copy, names[i], at, 0x10);
                enum disk_result result = script_reopen(&script, shim_disk(copy), &view, NULL);
                assert_true(result == DISK_OK || result == DISK_DAMAGED);
                shim_free(copy);
            }
        }
        shim_free(shim);
    }
    print_message("# %zu flips beside torn frames\n", cases);
}

/* Formatting again */

static void a_damaged_disk_comes_back_as_another(void **state)
{
    (void)state;
    struct script script;
    struct shim *shim = finished(&script);
    struct storage_options options = script_options(&script);
    struct storage storage;
    char names[64][64], *log = NULL;
    size_t count = shim_names(shim, names, 64);
    for (size_t i = 0; i < count; i++)
        if (strncmp(names[i], "log-", 4) == 0)
            log = names[i];
    shim_flip(shim, log, 600, 1);
    bool interrupted = true;
    for (uint64_t n = 1; interrupted; n++)
        for (int how = 0; how < SHIM_CUTS; how++) {
            struct shim *copy = shim_copy(shim);
            shim_crash_at(copy, n);
            interrupted = storage_format_again(shim_disk(copy), &options, NULL) != DISK_OK;
            assert_true(interrupted == shim_crashed(copy));
            shim_power_cut(copy, (enum shim_cut)how, n);
            enum disk_result result = storage_open(&storage, shim_disk(copy), &options, NULL);
            assert_true(result == DISK_OK || (interrupted && result == DISK_DAMAGED));
            if (result == DISK_OK) {
                assert_memory_not_equal(storage.meta.state.disk_id, script.wanted.disk_id,
                                        META_DISK_ID_BYTES);
                assert_int_equal(storage.meta.state.term, 0);
                assert_int_equal(log_last(storage.log), 0);
                assert_false(storage.has_snapshot);
                storage_close(&storage);
            }
            shim_free(copy);
        }
    shim_free(shim);
}

/* A first disk either has the membership, the term and its id, or is formatted on. One that is
 * formatted again after damage founds nothing. */
static void a_founding_disk_is_whole_or_goes_on(void **state)
{
    (void)state;
    struct entry entry = {
        .index = 1, .term = 1, .type = ENTRY_CONFIG, .length = 7, .data = "members"};
    struct storage_founding founding = {.disk = 0x1234, .term = 1, .entry = &entry};
    struct script script = {.formatted = false};
    struct storage_options options = script_options(&script);
    struct storage storage;
    options.founding = &founding;
    bool interrupted = true;
    for (uint64_t n = 1; interrupted; n++)
        for (int how = 0; how < SHIM_CUTS; how++) {
            struct shim *shim = shim_new();
            shim_crash_at(shim, n);
            interrupted = storage_open(&storage, shim_disk(shim), &options, NULL) != DISK_OK;
            if (!interrupted)
                storage_close(&storage);
            shim_power_cut(shim, (enum shim_cut)how, n);
            assert_int_equal(storage_open(&storage, shim_disk(shim), &options, NULL), DISK_OK);
            assert_int_equal(storage.meta.state.term, 1);
            assert_int_equal(meta_disk(&storage.meta.state), 0x1234);
            struct log_batch batch;
            assert_int_equal(log_persisted(storage.log), 1);
            assert_int_equal(log_read(storage.log, 1, 0, &batch, NULL), DISK_OK);
            assert_int_equal(batch.entries[0].type, ENTRY_CONFIG);
            assert_memory_equal(batch.entries[0].data, "members", 7);
            log_batch_free(&batch);
            storage_close(&storage);
            assert_int_equal(storage_format_again(shim_disk(shim), &options, NULL), DISK_OK);
            assert_int_equal(storage_open(&storage, shim_disk(shim), &options, NULL), DISK_OK);
            assert_int_equal(log_last(storage.log), 0);
            assert_true(meta_disk(&storage.meta.state) != 0x1234);
            storage_close(&storage);
            shim_free(shim);
        }
}

static void another_nodes_directory_is_refused(void **state)
{
    (void)state;
    struct script script;
    struct shim *shim = finished(&script);
    struct storage storage;
    struct storage_options options = script_options(&script);
    struct queue_error error;
    options.node = 8;
    assert_int_equal(storage_open(&storage, shim_disk(shim), &options, &error), DISK_REFUSED);
    assert_non_null(strstr(error.message, "node 7, not of node 8"));
    struct shim *empty = shim_new();
    options.node = 0;
    assert_int_equal(storage_open(&storage, shim_disk(empty), &options, &error), DISK_ABSENT);
    shim_free(empty);
    shim_free(shim);
}

/* Files put together from two disks of the same node. */
static void another_disks_log_is_damage(void **state)
{
    (void)state;
    struct script script;
    struct shim *shim = finished(&script);
    struct storage storage;
    struct storage_options options = script_options(&script);
    struct queue_error error;
    struct meta meta;
    shim_remove(shim, "meta");
    assert_int_equal(storage_open(&storage, shim_disk(shim), &options, &error), DISK_DAMAGED);
    assert_non_null(strstr(error.message, "the meta file is missing"));
    assert_int_equal(meta_create(&meta, shim_disk(shim), options.node, NULL, META_READY, NULL),
                     DISK_OK);
    meta_close(&meta);
    assert_int_equal(storage_open(&storage, shim_disk(shim), &options, &error), DISK_DAMAGED);
    assert_non_null(strstr(error.message, "another disk id"));
    shim_free(shim);
}

/* The mode that promises nothing about power still never invents an entry or calls it damage. */
static void without_syncs_a_power_cut_costs_a_tail(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 200; seed++) {
        struct shim *shim = shim_new();
        struct script script = {.formatted = false};
        struct storage storage;
        struct storage_options options = script_options(&script);
        options.sync = LOG_NO_SYNC;
        assert_int_equal(storage_open(&storage, shim_disk(shim), &options, NULL), DISK_OK);
        for (uint64_t index = 1; index <= 30; index++) {
            struct entry entry = {.index = index, .term = 1, .type = ENTRY_NOOP};
            log_append(storage.log, &entry, 1);
            log_work(storage.log);
        }
        assert_int_equal(log_persisted(storage.log), 30);
        storage_close(&storage);
        shim_power_cut(shim, seed % 2 == 0 ? SHIM_RANDOM : SHIM_FRONT, seed);
        struct queue_error error;
        if (storage_open(&storage, shim_disk(shim), &options, &error) != DISK_OK)
            fail_msg("%s", error.message);
        assert_true(log_last(storage.log) <= 30);
        storage_close(&storage);
        shim_free(shim);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whatever_the_power_cut_leaves_is_sound),
        cmocka_unit_test(a_power_cut_while_recovering_is_sound_too),
        cmocka_unit_test(what_is_seen_after_a_kill_survives_a_power_cut),
        cmocka_unit_test(a_failing_call_ends_it_once),
        cmocka_unit_test(no_flipped_byte_goes_unseen),
        cmocka_unit_test(no_shortened_or_missing_file_goes_unseen),
        cmocka_unit_test(no_sector_turned_to_zeros_goes_unseen),
        cmocka_unit_test(flips_around_a_torn_tail_cost_nothing_acknowledged),
        cmocka_unit_test(a_damaged_disk_comes_back_as_another),
        cmocka_unit_test(a_founding_disk_is_whole_or_goes_on),
        cmocka_unit_test(another_nodes_directory_is_refused),
        cmocka_unit_test(another_disks_log_is_damage),
        cmocka_unit_test(without_syncs_a_power_cut_costs_a_tail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
