/* A vote, once said, is never unsaid: on real files and on the disk that loses power. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "queue/meta.h"
#include "tests/queue/lib/disk_shim.h"
#include "tests/queue/lib/scratch.h"

static void terms_and_votes_are_kept(void **state)
{
    (void)state;
    char *path = scratch_make();
    struct disk disk;
    struct meta meta;
    struct queue_error error;
    assert_int_equal(disk_open(&disk, path, &error), DISK_OK);
    assert_int_equal(meta_open(&meta, &disk, 3, &error), DISK_ABSENT);
    assert_int_equal(meta_create(&meta, &disk, 3, NULL, META_FORMATTING, &error), DISK_OK);
    struct meta_state said = meta.state;
    assert_int_equal(said.stage, META_FORMATTING);
    assert_true(meta_disk(&said) != 0);
    said = (struct meta_state){.node = 3, .term = 12, .vote = 2};
    memcpy(said.disk_id, meta.state.disk_id, sizeof said.disk_id);
    assert_int_equal(meta_save(&meta, &said, &error), DISK_OK);
    meta_close(&meta);
    assert_int_equal(meta_open(&meta, &disk, 3, &error), DISK_OK);
    assert_int_equal(meta.state.term, 12);
    assert_int_equal(meta.state.vote, 2);
    assert_int_equal(meta.state.stage, META_READY);
    assert_memory_equal(meta.state.disk_id, said.disk_id, sizeof said.disk_id);
    assert_int_equal(meta_renew(&meta, &error), DISK_OK);
    assert_memory_not_equal(meta.state.disk_id, said.disk_id, sizeof said.disk_id);
    assert_int_equal(meta.state.vote, 0);
    assert_int_equal(meta.state.stage, META_FORMATTING_AGAIN);
    meta_close(&meta);
    disk_close(&disk);
    scratch_remove(path);
}

static void a_directory_that_cannot_be_is_explained(void **state)
{
    (void)state;
    struct disk disk;
    struct queue_error error;
    assert_int_equal(disk_open(&disk, "/proc/none/of/this", &error), DISK_FAILED);
    assert_non_null(strstr(error.message, "/proc/none/of/this"));
}

/* Saves terms 1 to 5, of which the power takes one: the n-th changing call is the last. */
static uint64_t save_until(struct shim *shim, uint64_t n, bool *more)
{
    struct meta meta;
    uint64_t saved = 0;
    assert_int_equal(meta_create(&meta, shim_disk(shim), 3, NULL, META_READY, NULL), DISK_OK);
    shim_crash_at(shim, n);
    struct meta_state state = meta.state;
    for (state.term = 1; state.term <= 5; state.term++) {
        state.vote = state.term * 10;
        if (meta_save(&meta, &state, NULL) != DISK_OK)
            break;
        saved = state.term;
    }
    *more = shim_crashed(shim);
    meta_close(&meta);
    return saved;
}

static void no_power_cut_brings_an_old_vote_back(void **state)
{
    (void)state;
    bool more = true;
    int cases = 0;
    for (uint64_t n = 1; more; n++)
        for (int how = 0; how < SHIM_CUTS; how++)
            for (uint64_t seed = 0; seed < 20; seed++, cases++) {
                struct shim *shim = shim_new();
                struct meta meta;
                uint64_t saved = save_until(shim, n, &more);
                shim_power_cut(shim, (enum shim_cut)how, seed);
                assert_int_equal(meta_open(&meta, shim_disk(shim), 3, NULL), DISK_OK);
                assert_true(meta.state.term == saved || (more && meta.state.term == saved + 1));
                assert_int_equal(meta.state.vote, meta.state.term * 10);
                meta_close(&meta);
                shim_free(shim);
            }
    print_message("# %d power cuts\n", cases);
}

/* Also when the power cut comes first and the damage after: one slot of the two is enough. */
static void no_damage_to_one_slot_brings_an_old_vote_back(void **state)
{
    (void)state;
    bool more;
    for (int bit = 0; bit < 8; bit++)
        for (size_t at = 0; at < 4096 + 128; at++) {
            struct shim *shim = shim_new();
            struct meta meta;
            save_until(shim, 0, &more);
            shim_flip(shim, "meta", at, (unsigned char)(1 << bit));
            for (int again = 0; again < 2; again++) { /* the first repairs it */
                assert_int_equal(meta_open(&meta, shim_disk(shim), 3, NULL), DISK_OK);
                assert_int_equal(meta.state.term, 5);
                assert_int_equal(meta.state.vote, 50);
                meta_close(&meta);
            }
            shim_flip(shim, "meta", (at + 4096) % 8192 % (4096 + 128), 1);
            assert_int_equal(meta_open(&meta, shim_disk(shim), 3, NULL), DISK_OK);
            meta_close(&meta);
            shim_free(shim);
        }
}

static void two_bad_slots_are_damage(void **state)
{
    (void)state;
    bool more;
    struct shim *shim = shim_new();
    struct meta meta;
    struct queue_error error;
    save_until(shim, 0, &more);
    shim_flip(shim, "meta", 50, 1);
    shim_flip(shim, "meta", 4096 + 60, 1);
    assert_int_equal(meta_open(&meta, shim_disk(shim), 3, &error), DISK_DAMAGED);
    assert_non_null(strstr(error.message, "damaged"));
    shim_cut_file(shim, "meta", 0);
    assert_int_equal(meta_open(&meta, shim_disk(shim), 3, &error), DISK_DAMAGED);
    shim_free(shim);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(terms_and_votes_are_kept),
        cmocka_unit_test(a_directory_that_cannot_be_is_explained),
        cmocka_unit_test(no_power_cut_brings_an_old_vote_back),
        cmocka_unit_test(no_damage_to_one_slot_brings_an_old_vote_back),
        cmocka_unit_test(two_bad_slots_are_damage),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
