/* The storage's planted defects on the disk that loses power: each breaks its promise there, and
 * the same lives without them keep it.
 *
 * The files that have them are compiled into this program once more, with the defects that a normal
 * build does not have. */
#define ORDEAL_QUEUE_DEFECTS

#include "queue/defect.c"
#include "queue/log_recover.c"
#include "queue/snapshot.c"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "tests/queue/lib/disk_shim.h"
#include "tests/queue/lib/script.h"

static bool fill(void *context, struct snapshot_writer *writer)
{
    return snapshot_write(writer, context, strlen(context));
}

static void save(struct shim *shim, uint64_t index)
{
    struct snapshot_header header = {.index = index, .term = 1, .config = "c", .config_bytes = 1};
    char bytes[] = "state";
    assert_int_equal(snapshot_save(shim_disk(shim), &header, fill, bytes, NULL), DISK_OK);
}

/* How many ways of losing power take a snapshot away that was acknowledged. */
static int snapshots_lost(void)
{
    int lost = 0;
    for (int how = 0; how < SHIM_CUTS; how++) {
        struct shim *shim = shim_new();
        struct snapshot snapshot;
        for (uint64_t index = 10; index <= 40; index += 10)
            save(shim, index);
        shim_power_cut(shim, (enum shim_cut)how, 7);
        enum disk_result result = snapshot_open_newest(&snapshot, shim_disk(shim), NULL, NULL);
        lost += result != DISK_OK || snapshot.header.index != 40;
        if (result == DISK_OK)
            snapshot_close(&snapshot);
        shim_free(shim);
    }
    return lost;
}

/* A follower that was far behind: entries, then a snapshot from the leader, behind which the log
 * goes on and is acknowledged. */
static void receive(struct shim *shim, const struct storage_options *options, const char *bytes,
                    size_t length)
{
    struct storage storage;
    struct snapshot_receiver receiver;
    assert_int_equal(storage_open(&storage, shim_disk(shim), options, NULL), DISK_OK);
    assert_int_equal(snapshot_receive_begin(&receiver, shim_disk(shim), NULL), DISK_OK);
    assert_int_equal(snapshot_receive(&receiver, 0, bytes, length, NULL), DISK_OK);
    assert_int_equal(snapshot_receive_verify(&receiver, 40, 1, NULL), DISK_OK);
    assert_int_equal(snapshot_receive_install(&receiver, NULL), DISK_OK);
    log_reset(storage.log, 40, 1);
    struct entry entry = {.index = 41, .term = 1, .type = ENTRY_NOOP};
    log_append(storage.log, &entry, 1);
    while (log_work(storage.log))
        ;
    assert_int_equal(log_persisted(storage.log), 41);
    storage_close(&storage);
}

/* How many ways of losing power make a sound disk count as damaged. */
static int disks_damaged(void)
{
    struct script script = {.formatted = false};
    struct storage_options options = script_options(&script);
    struct shim *leader = shim_new();
    struct snapshot snapshot;
    char bytes[1024];
    size_t length;
    save(leader, 40);
    assert_int_equal(snapshot_open_newest(&snapshot, shim_disk(leader), NULL, NULL), DISK_OK);
    assert_int_equal(snapshot_read_chunk(&snapshot, 0, bytes, sizeof bytes, &length, NULL),
                     DISK_OK);
    snapshot_close(&snapshot);
    int damaged = 0;
    for (int how = 0; how < SHIM_CUTS; how++) {
        struct shim *shim = shim_new();
        struct storage storage;
        receive(shim, &options, bytes, length);
        shim_power_cut(shim, (enum shim_cut)how, 7);
        enum disk_result result = storage_open(&storage, shim_disk(shim), &options, NULL);
        assert_true(result == DISK_OK || result == DISK_DAMAGED);
        damaged += result == DISK_DAMAGED;
        if (result == DISK_OK) {
            assert_int_equal(log_persisted(storage.log), 41);
            storage_close(&storage);
        }
        shim_free(shim);
    }
    shim_free(leader);
    return damaged;
}

static void a_snapshot_without_its_name_is_gone(void **state)
{
    (void)state;
    assert_int_equal(snapshots_lost(), 0);
    assert_int_equal(disks_damaged(), 0);
    queue_defect_set(DEFECT_SNAPSHOT_NO_DIRSYNC, true);
    int lost = snapshots_lost(), damaged = disks_damaged();
    queue_defect_set(DEFECT_SNAPSHOT_NO_DIRSYNC, false);
    print_message("# of %d ways of losing power %d take a snapshot, %d the disk\n", SHIM_CUTS, lost,
                  damaged);
    assert_true(lost > 0 && damaged > 0);
}

/* Turns one bit in each byte of the log; how often entries that were acknowledged are gone without
 * a word. */
static size_t tails_cut(size_t *found)
{
    struct script script;
    struct shim *shim = shim_new();
    char names[64][64];
    size_t cut = 0;
    assert_true(script_run(&script, shim_disk(shim)));
    size_t count = shim_names(shim, names, 64);
    *found = 0;
    for (size_t i = 0; i < count; i++) {
        size_t length;
        assert_true(shim_length(shim, names[i], &length));
        for (size_t at = 0; strncmp(names[i], "log-", 4) == 0 && at < length; at += 3) {
            struct shim *copy = shim_copy(shim);
            struct storage storage;
            struct storage_options options = script_options(&script);
            shim_flip(copy, names[i], at, 4);
            enum disk_result result = storage_open(&storage, shim_disk(copy), &options, NULL);
            *found += result == DISK_DAMAGED;
            if (result == DISK_OK) {
                cut += log_last(storage.log) < script.acknowledged.last;
                storage_close(&storage);
            }
            shim_free(copy);
        }
    }
    shim_free(shim);
    return cut;
}

static void a_committed_tail_is_cut_in_silence(void **state)
{
    (void)state;
    size_t found;
    assert_int_equal(tails_cut(&found), 0);
    assert_true(found > 0);
    queue_defect_set(DEFECT_CUT_COMMITTED_TAIL, true);
    size_t cut = tails_cut(&found);
    queue_defect_set(DEFECT_CUT_COMMITTED_TAIL, false);
    print_message("# %zu flipped bits took acknowledged entries away\n", cut);
    assert_true(cut > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_snapshot_without_its_name_is_gone),
        cmocka_unit_test(a_committed_tail_is_cut_in_silence),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
