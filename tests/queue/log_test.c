/* The log on real files with its writer's thread, and against a model through random lives. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "queue/ahead.h"
#include "queue/crc32c.h"
#include "queue/log.h"
#include "tests/queue/lib/disk_shim.h"
#include "tests/queue/lib/scratch.h"

static const unsigned char disk_id[META_DISK_ID_BYTES] = "a disk of tests";

static void no_fatal(void *context, const char *message)
{
    (void)context;
    fail_msg("fatal: %s", message);
}

static struct log_options options_of(const struct disk *disk, enum log_thread thread)
{
    return (struct log_options){.disk = disk,
                                .disk_id = disk_id,
                                .segment_bytes = 64 * 512,
                                .frame_bytes = 4096,
                                .thread = thread,
                                .fatal = no_fatal};
}

static struct log *open_log(const struct log_options *options)
{
    struct log *log;
    struct queue_error error;
    if (log_open(options, &log, &error) != DISK_OK)
        fail_msg("%s", error.message);
    return log;
}

static void append(struct log *log, uint64_t from, size_t count, uint64_t term)
{
    char payloads[64][32];
    struct entry entries[64];
    assert_true(count <= 64);
    for (size_t i = 0; i < count; i++) {
        int length = snprintf(payloads[i], sizeof payloads[i], "%llu of term %llu",
                              (unsigned long long)(from + i), (unsigned long long)term);
        entries[i] = (struct entry){.index = from + i,
                                    .term = term,
                                    .type = ENTRY_COMMANDS,
                                    .length = (uint32_t)length,
                                    .data = payloads[i]};
    }
    log_append(log, entries, count);
}

static void expect_entry(const struct entry *entry, uint64_t index, uint64_t term)
{
    char expected[32];
    int length = snprintf(expected, sizeof expected, "%llu of term %llu", (unsigned long long)index,
                          (unsigned long long)term);
    assert_int_equal(entry->index, index);
    assert_int_equal(entry->term, term);
    assert_int_equal(entry->length, length);
    assert_memory_equal(entry->data, expected, entry->length);
}

static void wait_persisted(struct log *log, uint64_t index)
{
    struct pollfd event = {.fd = log_event(log), .events = POLLIN};
    while (log_persisted_event(log) < index)
        assert_int_equal(poll(&event, 1, 60000), 1);
}

static void checksums_are_those_of_the_standard(void **state)
{
    (void)state;
    unsigned char bytes[20000];
    assert_int_equal(crc32c(0, "123456789", 9), 0xe3069283);
    memset(bytes, 0, 32);
    assert_int_equal(crc32c(0, bytes, 32), 0x8a9136aa);
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (unsigned char)(i * 37 + i / 7);
    for (size_t length = 0; length < sizeof bytes; length += length < 1000 ? 13 : 997)
        for (size_t begin = 0; begin < 9 && begin <= length; begin++) {
            uint32_t whole = crc32c_portable(0, bytes, length);
            assert_int_equal(crc32c(crc32c(0, bytes, begin), bytes + begin, length - begin), whole);
        }
}

static void what_was_persisted_is_there_after_closing(void **state)
{
    (void)state;
    char *path = scratch_make();
    struct disk disk;
    assert_int_equal(disk_open(&disk, path, NULL), DISK_OK);
    assert_int_equal(log_create(&disk, disk_id, 64 * 512, NULL), DISK_OK);
    struct log_options options = options_of(&disk, LOG_THREAD);
    struct log *log = open_log(&options);
    uint64_t next = 1;
    for (int batch = 0; batch < 100; batch++) {
        append(log, next, (size_t)batch % 17 + 1, 4);
        next += (uint64_t)batch % 17 + 1;
    }
    assert_int_equal(log_last(log), next - 1);
    wait_persisted(log, next - 1);
    struct log_counters counters = log_counters(log);
    assert_int_equal(counters.entries, next - 1);
    assert_int_equal(counters.syncs, counters.frames);
    assert_true(counters.frames < 100 || counters.segments > 1);
    assert_int_equal(log_pending_bytes(log), 0);
    log_close(log);
    log = open_log(&options);
    assert_int_equal(log_persisted(log), next - 1);
    for (uint64_t index = 1; index < next;) {
        struct log_batch batch;
        assert_int_equal(log_read(log, index, 500, &batch, NULL), DISK_OK);
        for (size_t i = 0; i < batch.count; i++)
            expect_entry(&batch.entries[i], index++, 4);
        log_batch_free(&batch);
    }
    log_close(log);
    disk_close(&disk);
    scratch_remove(path);
}

static void expect_entries(struct log *log, uint64_t next, uint64_t term)
{
    for (uint64_t index = 1; index < next;) {
        struct log_batch batch;
        assert_int_equal(log_read(log, index, 500, &batch, NULL), DISK_OK);
        for (size_t i = 0; i < batch.count; i++)
            expect_entry(&batch.entries[i], index++, term);
        log_batch_free(&batch);
    }
}

static bool is_there(const struct disk *disk, const char *prefix)
{
    struct disk_names names;
    assert_int_equal(disk_list(disk, prefix, &names, NULL), DISK_OK);
    bool any = names.count > 0;
    disk_free_names(&names);
    return any;
}

/* Entries until the log has gone on in files that were made ahead; or 3000 at most. */
static uint64_t append_until_ahead(struct log *log, uint64_t next, uint64_t files)
{
    for (; log_counters(log).segments_ahead < files && next < 3000; next++) {
        append(log, next, 1, 4);
        wait_persisted(log, next);
    }
    return next;
}

static void files_made_ahead_are_zeros_like_others(void **state)
{
    (void)state;
    char *path = scratch_make();
    struct disk disk;
    int left;
    assert_int_equal(disk_open(&disk, path, NULL), DISK_OK);
    assert_int_equal(log_create(&disk, disk_id, 64 * 512, NULL), DISK_OK);
    /* What a server left that was killed while it made one. */
    assert_int_equal(disk_open_file(&disk, AHEAD_NAME, DISK_OPEN_NEW, &left, NULL), DISK_OK);
    assert_int_equal(disk_write(&disk, left, AHEAD_NAME, "old", 3, 5000, NULL), DISK_OK);
    disk_close_file(&disk, &left);
    struct log_options options = options_of(&disk, LOG_THREAD);
    options.ahead = true;
    struct log *log = open_log(&options);
    uint64_t next = append_until_ahead(log, 1, 3);
    assert_int_equal(log_counters(log).segments_ahead, 3);
    log_close(log);
    assert_false(is_there(&disk, AHEAD_NAME));
    log = open_log(&options);
    assert_int_equal(log_persisted(log), next - 1);
    expect_entries(log, next, 4);
    next = append_until_ahead(log, next, 1);
    expect_entries(log, next, 4);
    log_close(log);
    disk_close(&disk);
    scratch_remove(path);
}

/* Pages of the file's first `bytes`, but for the one that the header is in, that the page cache
 * has. */
static size_t pages_cached(const char *path, uint64_t bytes)
{
    char name[512];
    unsigned char in_memory[64] = {0};
    size_t page = (size_t)sysconf(_SC_PAGESIZE), pages = bytes / page, cached = 0;
    assert_in_range(pages, 2, sizeof in_memory);
    snprintf(name, sizeof name, "%s/" SEGMENT_PREFIX "%016x", path, 1);
    int file = open(name, O_RDONLY | O_CLOEXEC);
    assert_true(file >= 0);
    void *map = mmap(NULL, pages * page, PROT_READ, MAP_SHARED, file, 0);
    assert_true(map != MAP_FAILED);
    assert_int_equal(mincore(map, pages * page, in_memory), 0);
    for (size_t i = 1; i < pages; i++)
        cached += in_memory[i] & 1;
    munmap(map, pages * page);
    close(file);
    return cached;
}

static void what_is_synced_is_not_kept_in_memory_as_well(void **state)
{
    (void)state;
    char *path = scratch_make();
    struct disk disk;
    assert_int_equal(disk_open(&disk, path, NULL), DISK_OK);
    assert_int_equal(log_create(&disk, disk_id, 128 * 512, NULL), DISK_OK);
    struct log_options options = options_of(&disk, LOG_THREAD);
    options.segment_bytes = 128 * 512;
    struct log *log = open_log(&options);
    for (uint64_t next = 1; next < 80; next++) {
        append(log, next, 1, 4);
        wait_persisted(log, next);
        if (next % 7 == 0) /* what is read in between is not what is read for ever */
            expect_entries(log, next + 1, 4);
    }
    for (uint64_t next = 80; next < 100; next++) {
        append(log, next, 1, 4);
        wait_persisted(log, next);
    }
    uint64_t written = log_counters(log).bytes;
    assert_int_equal(log_counters(log).segments, 1);
    int direct = disk_direct(&disk, SEGMENT_PREFIX "0000000000000001");
    if (direct >= 0) /* not every file system can */
        assert_true(pages_cached(path, written) < written / 4096 - 1);
    disk_close_file(&disk, &direct);
    expect_entries(log, 100, 4);
    log_close(log);
    log = open_log(&options);
    assert_int_equal(log_persisted(log), 99);
    expect_entries(log, 100, 4);
    log_close(log);
    disk_close(&disk);
    scratch_remove(path);
}

static int no_space(void *context, int file, uint64_t length)
{
    (void)context, (void)file, (void)length;
    errno = ENOSPC;
    return -1;
}

/* Nobody misses a file that could not be made ahead, as long as one can be made when it is needed.
 */
static void a_log_goes_on_without_files_made_ahead(void **state)
{
    (void)state;
    char *path = scratch_make();
    struct disk disk, full;
    struct disk_calls calls;
    assert_int_equal(disk_open(&disk, path, NULL), DISK_OK);
    assert_int_equal(log_create(&disk, disk_id, 64 * 512, NULL), DISK_OK);
    calls = *disk.calls;
    full = disk;
    calls.allocate = no_space;
    full.calls = &calls;
    struct ahead ahead;
    assert_true(ahead_start(&ahead, &full, 64 * 512));
    ahead_want(&ahead);
    for (bool wanted = true; wanted;) {
        pthread_mutex_lock(&ahead.lock);
        wanted = ahead.wanted;
        pthread_mutex_unlock(&ahead.lock);
    }
    assert_int_equal(ahead_take(&ahead), -1);
    assert_false(is_there(&disk, AHEAD_NAME));
    ahead_stop(&ahead);
    /* A larger one than usual is never one of those. */
    struct log_options options = options_of(&disk, LOG_THREAD);
    options.ahead = true;
    options.frame_bytes = 1 << 20;
    struct log *log = open_log(&options);
    uint64_t next = 1;
    for (; log_counters(log).segments < 3; next++) {
        char *body = calloc(1, 40000);
        struct entry entry = {
            .index = next, .term = 4, .type = ENTRY_COMMANDS, .length = 40000, .data = body};
        log_append(log, &entry, 1);
        wait_persisted(log, next);
        free(body);
    }
    assert_int_equal(log_counters(log).segments_ahead, 0);
    log_close(log);
    disk_close(&disk);
    scratch_remove(path);
}

/* Truncating while the writer is busy with what is truncated, over and over: the persisted index
 * may never stand for entries that were given up. */
static void the_persisted_index_is_of_the_entries_that_stand(void **state)
{
    (void)state;
    char *path = scratch_make();
    struct disk disk;
    assert_int_equal(disk_open(&disk, path, NULL), DISK_OK);
    assert_int_equal(log_create(&disk, disk_id, 64 * 512, NULL), DISK_OK);
    struct log_options options = options_of(&disk, LOG_THREAD);
    struct log *log = open_log(&options);
    append(log, 1, 10, 1);
    wait_persisted(log, 10);
    for (uint64_t term = 2; term < 120; term++) {
        append(log, log_last(log) + 1, 5, term);
        log_truncate_suffix(log, 11 + term % 4);
        assert_true(log_persisted(log) < 11 + term % 4);
        append(log, log_last(log) + 1, 3, term);
        uint64_t persisted = log_persisted_event(log);
        if (persisted > 10 + term % 4) {
            struct log_batch batch;
            assert_int_equal(log_read(log, 11 + term % 4, 0, &batch, NULL), DISK_OK);
            expect_entry(&batch.entries[0], 11 + term % 4, term);
            log_batch_free(&batch);
        }
        if (term % 10 == 0)
            wait_persisted(log, log_last(log));
    }
    log_reset(log, 1000, 200);
    assert_int_equal(log_first(log), 1001);
    append(log, 1001, 5, 201);
    wait_persisted(log, 1005);
    struct log_batch batch;
    struct queue_error error;
    assert_int_equal(log_read(log, 10, 100, &batch, &error), DISK_ABSENT);
    assert_int_equal(log_read(log, 1006, 100, &batch, &error), DISK_ABSENT);
    assert_int_equal(log_read(log, 1001, 1 << 20, &batch, &error), DISK_OK);
    assert_int_equal(batch.count, 5);
    expect_entry(&batch.entries[4], 1005, 201);
    log_batch_free(&batch);
    log_close(log);
    disk_close(&disk);
    scratch_remove(path);
}

/* Random lives */

enum { MODEL_MAX = 2000 };
struct model {
    uint64_t last, terms[MODEL_MAX + 1], base, base_term;
};

static uint64_t next_random(uint64_t *random)
{
    *random ^= *random << 13;
    *random ^= *random >> 7;
    *random ^= *random << 17;
    return *random;
}

static void random_step(struct log *log, struct model *model, uint64_t *random, uint64_t term)
{
    uint64_t kind = next_random(random) % 20, last = model->last;
    if (kind < 12 && last + 40 < MODEL_MAX) {
        uint64_t count = next_random(random) % 40 + 1;
        append(log, last + 1, count, term);
        for (uint64_t i = 1; i <= count; i++)
            model->terms[last + i] = term;
        model->last += count;
    } else if (kind < 16 && last > model->base) {
        uint64_t span = last - model->base, from = last + 1 - (next_random(random) % span) % 50;
        log_truncate_suffix(log, from);
        model->last = from - 1;
    } else if (kind < 18 && last > model->base) {
        model->base += next_random(random) % (last - model->base);
        model->base_term = model->base == 0 ? 0 : model->terms[model->base];
        log_compact_prefix(log, model->base);
    } else if (kind == 18 && next_random(random) % 4 == 0 && last + 100 < MODEL_MAX) {
        model->base = model->last = last + next_random(random) % 50 + 1;
        model->base_term = term;
        model->terms[model->base] = term;
        log_reset(log, model->base, term);
    }
}

static void must_be_the_model(struct log *log, const struct model *model)
{
    assert_int_equal(log_last(log), model->last);
    assert_int_equal(log_persisted(log), model->last);
    assert_true(log_first(log) <= model->base + 1);
    for (uint64_t index = log_first(log); index <= model->last;) {
        struct log_batch batch;
        assert_int_equal(log_read(log, index, 1000, &batch, NULL), DISK_OK);
        assert_true(batch.count > 0);
        for (size_t i = 0; i < batch.count; i++, index++)
            expect_entry(&batch.entries[i], index, model->terms[index]);
        log_batch_free(&batch);
    }
}

static void random_lives_agree_with_a_model(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 150; seed++) {
        struct shim *shim = shim_new();
        struct model model = {.last = 0};
        uint64_t random = seed * 0x9e3779b97f4a7c15u, term = 1;
        assert_int_equal(log_create(shim_disk(shim), disk_id, 16 * 512, NULL), DISK_OK);
        struct log_options options = options_of(shim_disk(shim), LOG_INLINE);
        options.segment_bytes = 16 * 512;
        options.frame_bytes = 600;
        struct log *log = open_log(&options);
        for (int step = 0; step < 60; step++, term += next_random(&random) % 2) {
            random_step(log, &model, &random, term);
            if (next_random(&random) % 3 == 0) {
                log_work(log);
                must_be_the_model(log, &model);
            }
            if (next_random(&random) % 15 == 0) {
                log_close(log);
                shim_power_cut(shim, SHIM_NOTHING, 0);
                options.base_index = model.base;
                options.base_term = model.base_term;
                log = open_log(&options);
                must_be_the_model(log, &model);
            }
        }
        log_close(log);
        shim_free(shim);
    }
}

/* Failing */

static void count_fatal(void *context, const char *message)
{
    assert_true(message[0] != '\0');
    ++*(int *)context;
}

static void after_a_failed_sync_nothing_is_written_any_more(void **state)
{
    (void)state;
    struct shim *shim = shim_new();
    int fatal = 0;
    assert_int_equal(log_create(shim_disk(shim), disk_id, 64 * 512, NULL), DISK_OK);
    struct log_options options = options_of(shim_disk(shim), LOG_INLINE);
    options.fatal = count_fatal;
    options.context = &fatal;
    struct log *log = open_log(&options);
    append(log, 1, 3, 1);
    assert_true(log_work(log));
    append(log, 4, 3, 1);
    shim_fail_at(shim, 2, 5);
    assert_false(log_work(log));
    assert_int_equal(fatal, 1);
    append(log, 7, 3, 1);
    assert_false(log_work(log));
    assert_int_equal(log_persisted(log), 3);
    assert_int_equal(shim_syncs_after_failure(shim), 0);
    log_close(log);
    assert_int_equal(fatal, 1);
    shim_free(shim);
}

static void a_mark_is_reached_when_all_before_it_is_there(void **state)
{
    (void)state;
    struct shim *shim = shim_new();
    assert_int_equal(log_create(shim_disk(shim), disk_id, 64 * 512, NULL), DISK_OK);
    struct log_options options = options_of(shim_disk(shim), LOG_INLINE);
    int fatal = 0;
    options.fatal = count_fatal;
    options.context = &fatal;
    struct log *log = open_log(&options);
    log_mark(log, 1); /* of nothing */
    assert_int_equal(log_marked(log), 0);
    log_work(log);
    assert_int_equal(log_marked(log), 1);
    append(log, 1, 10, 1);
    log_mark(log, 2);
    append(log, 11, 1, 1);
    log_mark(log, 3);
    log_work(log);
    assert_int_equal(log_marked(log), 3);
    assert_int_equal(log_counters(log).frames, 1); /* marks do not end a batch */
    /* a truncation that the next append does is there only with that */
    append(log, 12, 1, 1);
    log_truncate_suffix(log, 5);
    log_mark(log, 4);
    append(log, 5, 1, 2);
    shim_crash_at(shim, 3); /* the frame of entry 12 is written and synced, that of 5 is not */
    assert_false(log_work(log));
    assert_int_equal(log_marked(log), 3);
    log_close(log);
    shim_free(shim);
}

static void damage_found_while_reading_is_told(void **state)
{
    (void)state;
    struct shim *shim = shim_new();
    assert_int_equal(log_create(shim_disk(shim), disk_id, 64 * 512, NULL), DISK_OK);
    struct log_options options = options_of(shim_disk(shim), LOG_INLINE);
    struct log *log = open_log(&options);
    append(log, 1, 30, 1);
    log_work(log);
    shim_flip(shim, "log-0000000000000001", 700, 1);
    struct log_batch batch;
    struct queue_error error;
    assert_int_equal(log_read(log, 1, 1000, &batch, &error), DISK_DAMAGED);
    assert_non_null(strstr(error.message, "log-0000000000000001, byte 512"));
    log_close(log);
    struct log *none;
    assert_int_equal(log_open(&options, &none, &error), DISK_DAMAGED);
    assert_non_null(strstr(error.message, "log-0000000000000001, byte 512"));
    shim_free(shim);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(checksums_are_those_of_the_standard),
        cmocka_unit_test(what_was_persisted_is_there_after_closing),
        cmocka_unit_test(files_made_ahead_are_zeros_like_others),
        cmocka_unit_test(what_is_synced_is_not_kept_in_memory_as_well),
        cmocka_unit_test(a_log_goes_on_without_files_made_ahead),
        cmocka_unit_test(the_persisted_index_is_of_the_entries_that_stand),
        cmocka_unit_test(random_lives_agree_with_a_model),
        cmocka_unit_test(after_a_failed_sync_nothing_is_written_any_more),
        cmocka_unit_test(a_mark_is_reached_when_all_before_it_is_there),
        cmocka_unit_test(damage_found_while_reading_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
