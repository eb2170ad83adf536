/* Snapshots on real files: made here and in a child, sent in pieces, damaged, pruned. */
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "queue/snapshot.h"
#include "tests/queue/lib/disk_shim.h"
#include "tests/queue/lib/scratch.h"

enum { STATE_BYTES = 300000 };

struct state {
    unsigned char fill;
    size_t length;
    bool fail, wait;
};

static bool fill(void *context, struct snapshot_writer *writer)
{
    const struct state *state = context;
    unsigned char bytes[1000];
    memset(bytes, state->fill, sizeof bytes);
    if (state->wait)
        for (;;)
            pause();
    for (size_t left = state->length; left > 0;) {
        size_t take = left < sizeof bytes ? left : sizeof bytes;
        if (!snapshot_write(writer, bytes, take))
            return false;
        left -= take;
    }
    return !state->fail;
}

static struct snapshot_header header_of(uint64_t index)
{
    return (struct snapshot_header){
        .index = index, .term = index / 10, .config = "config", .config_bytes = 6};
}

static void save(const struct disk *disk, uint64_t index, size_t length)
{
    struct state state = {.fill = (unsigned char)index, .length = length};
    struct snapshot_header header = header_of(index);
    struct queue_error error;
    if (snapshot_save(disk, &header, fill, &state, &error) != DISK_OK)
        fail_msg("%s", error.message);
}

/* The newest whole one is this, to the last byte. */
static void expect_newest(const struct disk *disk, uint64_t index, size_t expected)
{
    struct snapshot snapshot;
    struct queue_error error;
    unsigned char bytes[777];
    size_t length, total = 0;
    if (snapshot_open_newest(&snapshot, disk, NULL, &error) != DISK_OK)
        fail_msg("%s", error.message);
    assert_int_equal(snapshot.header.index, index);
    assert_int_equal(snapshot.header.term, index / 10);
    assert_int_equal(snapshot.header.config_bytes, 6);
    assert_memory_equal(snapshot.header.config, "config", 6);
    do {
        assert_int_equal(snapshot_read(&snapshot, bytes, sizeof bytes, &length, &error), DISK_OK);
        for (size_t i = 0; i < length; i++)
            assert_int_equal(bytes[i], (unsigned char)index);
        total += length;
    } while (length > 0);
    assert_int_equal(total, expected);
    snapshot_close(&snapshot);
}

static size_t count_files(const struct disk *disk)
{
    struct disk_names names;
    assert_int_equal(disk_list(disk, "snapshot-", &names, NULL), DISK_OK);
    size_t count = names.count;
    disk_free_names(&names);
    return count;
}

static void two_are_kept_and_the_newest_is_used(void **state)
{
    (void)state;
    char *path = scratch_make();
    struct disk disk;
    struct snapshot none;
    assert_int_equal(disk_open(&disk, path, NULL), DISK_OK);
    assert_int_equal(snapshot_open_newest(&none, &disk, NULL, NULL), DISK_ABSENT);
    static const size_t sizes[] = {0, 1, (64 << 10) - 6, 64 << 10, STATE_BYTES};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        save(&disk, 10 + i * 7, sizes[i]);
        expect_newest(&disk, 10 + i * 7, sizes[i]);
        assert_int_equal(count_files(&disk), i == 0 ? 1 : 2);
    }
    disk_close(&disk);
    scratch_remove(path);
}

static void wait_for_child(const struct snapshot_child *child)
{
    struct pollfd end = {.fd = child->pipe, .events = POLLIN};
    assert_int_equal(poll(&end, 1, 30000), 1);
}

static void a_child_writes_the_state_as_it_was(void **state)
{
    (void)state;
    char *path = scratch_make();
    struct disk disk;
    struct snapshot_child child;
    struct queue_error error;
    struct state at_first = {.fill = 40, .length = STATE_BYTES};
    struct snapshot_header header = header_of(40);
    assert_int_equal(disk_open(&disk, path, &error), DISK_OK);
    assert_int_equal(snapshot_begin_child(&disk, &child, &header, fill, &at_first, &error),
                     DISK_OK);
    at_first.fill = 41; /* the server goes on */
    wait_for_child(&child);
    if (snapshot_finish_child(&child, &error) != DISK_OK)
        fail_msg("%s", error.message);
    expect_newest(&disk, 40, STATE_BYTES);
    disk_close(&disk);
    scratch_remove(path);
}

static void a_child_that_fails_says_why_and_leaves_no_snapshot(void **state)
{
    (void)state;
    char *path = scratch_make();
    struct disk disk;
    struct snapshot_child child;
    struct queue_error error;
    struct state failing = {.length = 10, .fail = true}, waiting = {.wait = true};
    struct snapshot_header header = header_of(40);
    struct snapshot none;
    assert_int_equal(disk_open(&disk, path, &error), DISK_OK);
    assert_int_equal(snapshot_begin_child(&disk, &child, &header, fill, &failing, &error), DISK_OK);
    assert_int_equal(snapshot_finish_child(&child, &error), DISK_FAILED);
    assert_non_null(strstr(error.message, "could not be written out"));
    assert_int_equal(snapshot_begin_child(&disk, &child, &header, fill, &waiting, &error), DISK_OK);
    kill(child.pid, SIGKILL);
    wait_for_child(&child);
    assert_int_equal(snapshot_finish_child(&child, &error), DISK_FAILED);
    assert_non_null(strstr(error.message, "signal 9"));
    assert_int_equal(disk_remove_aside(&disk, &error), DISK_OK);
    assert_int_equal(count_files(&disk), 0);
    assert_int_equal(snapshot_open_newest(&none, &disk, NULL, &error), DISK_ABSENT);
    disk_close(&disk);
    scratch_remove(path);
}

/* The child must not keep the directory locked, nor connections open. */
static void a_child_holds_nothing_of_the_servers(void **state)
{
    (void)state;
    char *path = scratch_make();
    struct disk disk, again;
    struct snapshot_child child;
    struct queue_error error;
    struct state waiting = {.wait = true};
    struct snapshot_header header = header_of(40);
    int connection[2];
    assert_int_equal(disk_open(&disk, path, &error), DISK_OK);
    assert_int_equal(pipe(connection), 0);
    assert_int_equal(snapshot_begin_child(&disk, &child, &header, fill, &waiting, &error), DISK_OK);
    close(connection[1]);
    struct pollfd end = {.fd = connection[0], .events = POLLIN};
    assert_int_equal(poll(&end, 1, 30000), 1); /* its last writer is gone */
    disk_close(&disk);
    assert_int_equal(disk_open(&again, path, &error), DISK_OK);
    kill(child.pid, SIGKILL);
    assert_int_equal(snapshot_finish_child(&child, &error), DISK_FAILED);
    close(connection[0]);
    disk_close(&again);
    scratch_remove(path);
}

/* Sending */

static void send_all(const struct disk *source, const struct disk *target, size_t flip,
                     struct snapshot_receiver *receiver)
{
    struct snapshot snapshot;
    unsigned char chunk[5000];
    size_t length;
    assert_int_equal(snapshot_open_newest(&snapshot, source, NULL, NULL), DISK_OK);
    assert_int_equal(snapshot_receive_begin(receiver, target, NULL), DISK_OK);
    do {
        uint64_t offset = receiver->offset;
        assert_int_equal(snapshot_read_chunk(&snapshot, offset, chunk, sizeof chunk, &length, NULL),
                         DISK_OK);
        if (flip >= offset && flip < offset + length)
            chunk[flip - offset] ^= 4;
        assert_int_equal(snapshot_receive(receiver, offset, chunk, length, NULL), DISK_OK);
        assert_int_equal(receiver->offset, offset + length);
        /* sent twice, and from too far on */
        assert_int_equal(snapshot_receive(receiver, offset + length + 1, chunk, length, NULL),
                         DISK_OK);
        if (length > 0)
            assert_int_equal(snapshot_receive(receiver, offset, chunk, length, NULL), DISK_OK);
        assert_int_equal(receiver->offset, offset + length);
    } while (length > 0);
    snapshot_close(&snapshot);
}

static void what_is_sent_in_chunks_arrives_whole_or_not_at_all(void **state)
{
    (void)state;
    struct shim *source = shim_new(), *target = shim_new();
    struct snapshot_receiver receiver;
    struct snapshot none;
    struct queue_error error;
    save(shim_disk(source), 50, 70000);
    for (size_t flip = 0; flip < 70000; flip += 997) {
        send_all(shim_disk(source), shim_disk(target), flip, &receiver);
        assert_int_equal(snapshot_receive_verify(&receiver, 50, 5, &error), DISK_DAMAGED);
        assert_int_equal(snapshot_open_newest(&none, shim_disk(target), NULL, NULL), DISK_ABSENT);
    }
    send_all(shim_disk(source), shim_disk(target), SIZE_MAX, &receiver);
    assert_int_equal(snapshot_receive_verify(&receiver, 51, 5, &error), DISK_DAMAGED);
    assert_non_null(strstr(error.message, "ends at entry 50, not at 51"));
    send_all(shim_disk(source), shim_disk(target), SIZE_MAX, &receiver);
    snapshot_receive_abandon(&receiver);
    assert_int_equal(count_files(shim_disk(target)), 0);
    send_all(shim_disk(source), shim_disk(target), SIZE_MAX, &receiver);
    assert_int_equal(snapshot_receive_verify(&receiver, 50, 5, &error), DISK_OK);
    assert_int_equal(snapshot_open_newest(&none, shim_disk(target), NULL, NULL), DISK_ABSENT);
    assert_int_equal(snapshot_receive_install(&receiver, &error), DISK_OK);
    expect_newest(shim_disk(target), 50, 70000);
    /* one that comes late must not take the place of a newer one */
    save(shim_disk(target), 60, 10);
    send_all(shim_disk(source), shim_disk(target), SIZE_MAX, &receiver);
    assert_int_equal(snapshot_receive_verify(&receiver, 50, 5, &error), DISK_OK);
    assert_int_equal(snapshot_receive_install(&receiver, &error), DISK_OK);
    expect_newest(shim_disk(target), 60, 10);
    assert_int_equal(snapshot_open_at(&none, shim_disk(target), 50, &error), DISK_OK);
    assert_int_equal(none.header.index, 50);
    snapshot_close(&none);
    assert_int_equal(snapshot_open_at(&none, shim_disk(target), 51, &error), DISK_ABSENT);
    shim_free(source);
    shim_free(target);
}

static void any_damage_to_the_newest_uncovers_the_one_before(void **state)
{
    (void)state;
    struct shim *shim = shim_new();
    static const char newest[] = "snapshot-0000000000000046-0000000000000007";
    size_t length, cases = 0;
    save(shim_disk(shim), 60, 1000);
    save(shim_disk(shim), 70, 2000);
    assert_true(shim_length(shim, newest, &length));
    for (size_t at = 0; at < length; at++, cases++) {
        struct shim *copy = shim_copy(shim);
        struct snapshot snapshot;
        struct queue_error passed;
        shim_flip(copy, newest, at, (unsigned char)(1 << at % 8));
        enum disk_result result = snapshot_open_newest(&snapshot, shim_disk(copy), &passed, NULL);
        if (result == DISK_OK) {
            assert_int_equal(snapshot.header.index, 60);
            assert_non_null(strstr(passed.message, newest));
            snapshot_close(&snapshot);
        } else {
            fail_msg("byte %zu: result %d", at, (int)result);
        }
        shim_free(copy);
    }
    for (size_t shorter = 0; shorter < length; shorter += 7) {
        struct shim *copy = shim_copy(shim);
        shim_cut_file(copy, newest, shorter);
        expect_newest(shim_disk(copy), 60, 1000);
        assert_int_equal(snapshot_prune(shim_disk(copy), 60, NULL), DISK_OK);
        assert_int_equal(count_files(shim_disk(copy)), 1);
        shim_free(copy);
    }
    print_message("# %zu flipped bits\n", cases);
    shim_free(shim);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_are_kept_and_the_newest_is_used),
        cmocka_unit_test(a_child_writes_the_state_as_it_was),
        cmocka_unit_test(a_child_that_fails_says_why_and_leaves_no_snapshot),
        cmocka_unit_test(a_child_holds_nothing_of_the_servers),
        cmocka_unit_test(what_is_sent_in_chunks_arrives_whole_or_not_at_all),
        cmocka_unit_test(any_damage_to_the_newest_uncovers_the_one_before),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
