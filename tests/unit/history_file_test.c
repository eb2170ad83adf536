/* history.ordeal: what is written is read; whatever happens to the bytes, what is read is a prefix
 * of what was written; a failing disk is told. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness/base/clock.h"
#include "harness/base/text.h"
#include "harness/histories/history_file.h"
#include "harness/histories/history_record.h"
#include "tests/lib/random_value.h"
#include "tests/lib/test.h"

static void append_all(struct history_writer *writer, const struct history *history, uint32_t from,
                       uint32_t to)
{
    for (uint32_t i = from; i < to; i++) {
        struct op op = history_op(history, i);
        history_writer_append(writer, &op);
    }
}

/* A file of several blocks: one each time `flush_every` events were appended. */
static void write_file(const char *path, const struct history *history, uint32_t flush_every)
{
    struct history_writer *writer;
    struct err err = ERR_INIT;
    unlink(path);
    assert_ok(history_writer_open(path, history, "{\"test\":\"t\"}", &writer, &err));
    for (uint32_t i = 0; i < history->count; i += flush_every) {
        uint32_t to = i + flush_every < history->count ? i + flush_every : history->count;
        append_all(writer, history, i, to);
        assert_ok(history_writer_flush(writer, &err));
    }
    assert_ok(history_writer_close(writer, &err));
}

static void what_is_written_is_read(void **state)
{
    (void)state;
    struct prng prng = prng_stream(1, "round trip");
    static const uint32_t sizes[] = {0, 1, 2, 100, 5000, 60000};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct history history, back;
        struct err err = ERR_INIT;
        history_init(&history);
        history_init(&back);
        random_history(&prng, &history, sizes[i]);
        write_file("h.ordeal", &history, sizes[i] < 2000 ? 37 : 1000000);
        assert_ok(history_file_read("h.ordeal", &back, &err));
        assert_null(back.cut);
        assert_int_equal(back.count, history.count);
        assert_true(history_same(&history, &back, history.count));
        history_free(&back);
        history_free(&history);
    }
}

static void pieces_give_the_same_events(void **state)
{
    (void)state;
    struct prng prng = prng_stream(2, "pieces");
    struct history history, all;
    struct err err = ERR_INIT;
    history_init(&history);
    history_init(&all);
    random_history(&prng, &history, 3000);
    write_file("p.ordeal", &history, 250);
    assert_ok(history_file_read("p.ordeal", &all, &err));
    struct history_reader *reader;
    assert_ok(history_reader_open("p.ordeal", &reader, &err));
    assert_string_equal(history_reader_header(reader), "{\"test\":\"t\"}");
    uint32_t seen = 0, blocks = 0;
    for (bool more = true; more;) {
        struct history piece;
        history_init(&piece);
        assert_ok(history_reader_next(reader, &piece, &more, &err));
        assert_true(more == (piece.count > 0));
        if (more) {
            assert_int_equal(history_reader_first(reader), seen);
            for (uint32_t i = 0; i < piece.count; i++) {
                struct buf a = BUF_INIT, b = BUF_INIT;
                struct op whole = history_op(&all, seen + i), part = history_op(&piece, i);
                value_print(whole.value, &a);
                value_print(part.value, &b);
                assert_string_equal(a.data, b.data);
                assert_string_equal(history_f_name(&piece, i), history_f_name(&all, seen + i));
                buf_free(&a);
                buf_free(&b);
            }
            seen += piece.count;
            blocks++;
        }
        history_free(&piece);
    }
    assert_null(history_reader_cut(reader));
    assert_int_equal(seen, 3000);
    assert_true(blocks >= 12);
    history_reader_close(reader);
    history_free(&all);
    history_free(&history);
}

static void a_small_operation_costs_few_bytes(void **state)
{
    (void)state;
    enum { COUNT = 10000 };
    struct history history;
    history_init(&history);
    enum err_code code;
    uint16_t f = history_f(&history, "write");
    for (int i = 0; i < COUNT; i++) {
        struct op op = {.type = OP_OK,
                        .process = i % 60,
                        .f = f,
                        .value = value_int(NULL, i % 5),
                        .time_ns = (int64_t)i * 2000};
        history_append(&history, &op, &code);
    }
    write_file("s.ordeal", &history, COUNT);
    struct stat status;
    assert_int_equal(stat("s.ordeal", &status), 0);
    assert_true(status.st_size < COUNT * 6);
    history_free(&history);
}

/* ---- Damage ---- */

struct image {
    struct history history;
    struct buf bytes;
};

static void make_image(struct image *image, uint32_t count, uint32_t flush_every)
{
    struct prng prng = prng_stream(4, "image");
    struct err err = ERR_INIT;
    history_init(&image->history);
    random_history(&prng, &image->history, count);
    write_file("image.ordeal", &image->history, flush_every);
    image->bytes = BUF_INIT;
    assert_ok(file_read("image.ordeal", 1 << 20, &image->bytes, &err));
}

static void free_image(struct image *image)
{
    history_free(&image->history);
    buf_free(&image->bytes);
}

/* Reads bytes as a file; the events must be a prefix. Returns how many, -1 for "not a history". */
static int64_t read_bytes(const struct image *image, const char *bytes, size_t length, char *cut,
                          size_t cut_size)
{
    int fd = memfd_create("test", MFD_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, length), (ssize_t)length);
    struct history back;
    struct err err = ERR_INIT;
    history_init(&back);
    enum err_code code = history_file_read_fd(fd, "bytes", &back, &err);
    int64_t count = back.count;
    if (code == ERR_NONE) {
        assert_true(back.count <= image->history.count);
        assert_true(history_same(&image->history, &back, back.count));
    } else {
        assert_true(code == ERR_PARSE || code == ERR_UNSUPPORTED);
        assert_int_equal(back.count, 0);
        count = -1;
    }
    snprintf(cut, cut_size, "%s", back.cut == NULL ? "" : back.cut);
    history_free(&back);
    close(fd);
    return count;
}

static void cut_at_every_byte_a_prefix_is_read(void **state)
{
    (void)state;
    struct image image;
    char cut[256];
    make_image(&image, 40, 7);
    int64_t before = -1;
    for (size_t length = 0; length < image.bytes.length; length++) {
        int64_t count = read_bytes(&image, image.bytes.data, length, cut, sizeof cut);
        assert_true(count >= before); /* more bytes never give fewer events */
        if (count >= 0) {
            char read[64];
            snprintf(read, sizeof read, "read %d events up to there", (int)count);
            assert_contains(cut, read);
        } else {
            assert_true(length < HISTORY_MAGIC_BYTES);
        }
        before = count;
    }
    assert_int_equal(before, 40); /* all events, but for the end mark */
    assert_int_equal(read_bytes(&image, image.bytes.data, image.bytes.length, cut, sizeof cut), 40);
    assert_string_equal(cut, "");
    free_image(&image);
}

static void with_any_byte_changed_a_prefix_is_read(void **state)
{
    (void)state;
    struct image image;
    char cut[256];
    make_image(&image, 40, 7);
    for (size_t at = 0; at < image.bytes.length; at++)
        for (unsigned flip = 1; flip < 256; flip = flip * 2 + (flip == 128)) {
            image.bytes.data[at] ^= (char)flip;
            int64_t count =
                read_bytes(&image, image.bytes.data, image.bytes.length, cut, sizeof cut);
            image.bytes.data[at] ^= (char)flip;
            if (at < HISTORY_MAGIC_BYTES)
                assert_int_equal(count, -1);
            else
                assert_true(cut[0] != '\0'); /* no change goes unseen */
        }
    free_image(&image);
}

static void damage_is_told_apart(void **state)
{
    (void)state;
    struct image image;
    char cut[256];
    make_image(&image, 40, 10);
    size_t header = HISTORY_MAGIC_BYTES + HISTORY_BLOCK_BYTES + strlen("{\"test\":\"t\"}");
    char *first = image.bytes.data + header;
    struct history_block_head head;
    assert_true(history_block_parse((unsigned char *)first, &head));
    size_t second = header + HISTORY_BLOCK_BYTES + head.payload_bytes;
    char words[128];

    image.bytes.data[second + HISTORY_BLOCK_BYTES + 3] ^= 1;
    assert_int_equal(read_bytes(&image, image.bytes.data, image.bytes.length, cut, sizeof cut), 10);
    snprintf(words, sizeof words, "block 3 (byte %zu) is damaged, and the whole blocks behind it",
             second);
    assert_contains(cut, words);
    assert_contains(cut, "read 10 events");
    image.bytes.data[second + HISTORY_BLOCK_BYTES + 3] ^= 1;

    assert_int_equal(read_bytes(&image, image.bytes.data, second + 30, cut, sizeof cut), 10);
    snprintf(words, sizeof words, "the file ends in the middle of block 3 (byte %zu)", second);
    assert_contains(cut, words);

    assert_int_equal(read_bytes(&image, image.bytes.data, second, cut, sizeof cut), 10);
    assert_contains(cut, "no end mark");

    buf_add_text(&image.bytes, "more");
    assert_int_equal(read_bytes(&image, image.bytes.data, image.bytes.length, cut, sizeof cut), 40);
    assert_contains(cut, "bytes behind the end mark");

    /* a block cut out whole leaves two neighbours whose check sums are right */
    struct buf spliced = BUF_INIT;
    buf_add(&spliced, image.bytes.data, header);
    buf_add(&spliced, image.bytes.data + second, image.bytes.length - 4 - second);
    assert_int_equal(read_bytes(&image, spliced.data, spliced.length, cut, sizeof cut), 0);
    assert_contains(cut, "block 2");
    buf_free(&spliced);
    free_image(&image);
}

/* Check sums that are right do not make bytes right: the decoder itself must refuse nonsense. */
static void nonsense_with_a_right_check_sum_is_refused(void **state)
{
    (void)state;
    struct prng prng = prng_stream(9, "nonsense");
    struct image image;
    make_image(&image, 30, 1000);
    size_t header = HISTORY_MAGIC_BYTES + HISTORY_BLOCK_BYTES + strlen("{\"test\":\"t\"}");
    struct history_block_head head;
    unsigned char *block = (unsigned char *)image.bytes.data + header;
    assert_true(history_block_parse(block, &head));
    for (int round = 0; round < 20000; round++) {
        struct record_decoder decoder;
        struct history back;
        enum err_code code;
        unsigned char *payload = malloc(head.payload_bytes);
        memcpy(payload, block + HISTORY_BLOCK_BYTES, head.payload_bytes);
        for (uint64_t i = prng_below(&prng, 4) + 1; i > 0; i--)
            payload[prng_below(&prng, head.payload_bytes)] = (unsigned char)prng_next(&prng);
        record_decoder_init(&decoder);
        history_init(&back);
        bool good = record_decode(&decoder, payload, head.payload_bytes, head.count, &back, &code);
        assert_int_equal(back.count, good ? head.count : 0);
        history_free(&back);
        record_decoder_free(&decoder);
        free(payload);
    }
    free_image(&image);
}

static void other_files_are_refused(void **state)
{
    (void)state;
    struct history history;
    struct err err = ERR_INIT;
    history_init(&history);
    assert_ok(file_write("text", "{:type :invoke, :f :read}\n", 26, &err));
    assert_int_equal(history_file_read("text", &history, &err), ERR_PARSE);
    assert_contains(err.message, "text is not an ordeal history");
    assert_ok(file_write("empty", "", 0, &err));
    assert_int_equal(history_file_read("empty", &history, &err), ERR_PARSE);
    assert_int_equal(history_file_read("absent", &history, &err), ERR_IO);
    assert_contains(err.message, "absent: No such file");
    unsigned char later[HISTORY_MAGIC_BYTES];
    memcpy(later, history_file_magic, sizeof later);
    later[HISTORY_MAGIC_BYTES - 4]++;
    assert_ok(file_write("later", later, sizeof later, &err));
    assert_int_equal(history_file_read("later", &history, &err), ERR_UNSUPPORTED);
    history_free(&history);
}

/* ---- Writing while a run goes on ---- */

static void unfinished_blocks_are_written_within_time(void **state)
{
    (void)state;
    struct history history, back;
    struct err err = ERR_INIT;
    struct prng prng = prng_stream(5, "live");
    history_init(&history);
    random_history(&prng, &history, 20);
    unlink("live.ordeal");
    struct history_writer *writer;
    assert_ok(history_writer_open("live.ordeal", &history, NULL, &writer, &err));
    struct history_reader *reader;
    assert_ok(history_reader_open("live.ordeal", &reader, &err));
    history_init(&back);
    bool more;
    assert_ok(history_reader_next(reader, &back, &more, &err));
    assert_false(more);
    assert_contains(history_reader_cut(reader), "no end mark");
    append_all(writer, &history, 0, 10);
    int64_t deadline_ns = clock_monotonic_ns() + 10 * NS_PER_SECOND;
    while (back.count < 10 && clock_monotonic_ns() < deadline_ns) {
        assert_ok(history_reader_next(reader, &back, &more, &err));
        if (!more)
            clock_sleep_ns(NS_PER_MS);
    }
    assert_int_equal(back.count, 10); /* with no flush asked for */
    append_all(writer, &history, 10, 20);
    assert_ok(history_writer_close(writer, &err));
    do
        assert_ok(history_reader_next(reader, &back, &more, &err));
    while (more);
    assert_null(history_reader_cut(reader));
    assert_int_equal(back.count, 20);
    assert_true(history_same(&history, &back, 20));
    history_reader_close(reader);
    history_free(&back);
    history_free(&history);
}

/* The controller: records without end, until it is killed. Never returns. */
static void record_until_killed(const char *path)
{
    struct history names;
    struct history_writer *writer;
    history_init(&names);
    struct op op = {.type = OP_OK, .f = history_f(&names, "write")};
    if (history_writer_open(path, &names, NULL, &writer, NULL) != ERR_NONE)
        _exit(1);
    for (int32_t i = 0;; i++) {
        op.process = i % 10;
        op.value = value_int(NULL, i);
        op.time_ns = i;
        history_writer_append(writer, &op);
    }
}

static void a_killed_controller_leaves_a_readable_file(void **state)
{
    (void)state;
    struct history back;
    struct err err = ERR_INIT;
    struct stat status = {.st_size = 0};
    unlink("killed.ordeal");
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        record_until_killed("killed.ordeal");
    int64_t deadline_ns = clock_monotonic_ns() + 20 * NS_PER_SECOND;
    while (status.st_size < 300000 && clock_monotonic_ns() < deadline_ns)
        if (stat("killed.ordeal", &status) != 0 || status.st_size < 300000)
            clock_sleep_ns(NS_PER_MS);
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    history_init(&back);
    assert_ok(history_file_read("killed.ordeal", &back, &err));
    assert_true(back.count > 10000);
    assert_non_null(back.cut);
    for (uint32_t i = 0; i < back.count; i++)
        assert_true(value_as_int(back.value[i]) == i && back.time_ns[i] == i);
    history_free(&back);
}

static void a_full_disk_is_told(void **state)
{
    (void)state;
    struct history history;
    struct err err = ERR_INIT;
    history_init(&history);
    uint16_t f = history_f(&history, "write");
    struct history_writer *writer;
    int fd = open("/dev/full", O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        test_skip("no /dev/full here");
    assert_int_equal(history_writer_open_fd(fd, "store/h", &history, NULL, &writer, &err), ERR_IO);
    assert_contains(err.message, "store/h: No space left on device");
    close(fd);

    int pipes[2];
    assert_int_equal(pipe(pipes), 0);
    assert_ok(history_writer_open_fd(pipes[1], "store/h", &history, NULL, &writer, &err));
    close(pipes[0]); /* from here on writes fail */
    struct op op = {.type = OP_OK, .f = f, .value = value_int(NULL, 1)};
    history_writer_append(writer, &op);
    assert_int_equal(history_writer_flush(writer, &err), ERR_IO);
    assert_contains(err.message, "store/h: Broken pipe");
    assert_int_equal(history_writer_problem(writer, &err), ERR_IO);
    for (int i = 0; i < 100000; i++)
        history_writer_append(writer, &op); /* harmless */
    assert_int_equal(history_writer_close(writer, &err), ERR_IO);
    assert_contains(err.message, "Broken pipe");
    history_free(&history);
}

static void an_existing_file_is_not_overwritten(void **state)
{
    (void)state;
    struct history history;
    struct err err = ERR_INIT;
    history_init(&history);
    assert_ok(file_write("there.ordeal", "x", 1, &err));
    struct history_writer *writer;
    assert_int_equal(history_writer_open("there.ordeal", &history, NULL, &writer, &err), ERR_IO);
    assert_contains(err.message, "File exists");
    history_free(&history);
}

/* What cannot be encoded ends the recording, but what came before it is kept. */
static void a_value_too_deep_is_told(void **state)
{
    (void)state;
    struct history history, back;
    struct err err = ERR_INIT;
    history_init(&history);
    history_init(&back);
    struct op op = {.type = OP_OK, .f = history_f(&history, "write")};
    struct value deep = value_nil();
    for (int i = 0; i < 600; i++)
        deep = value_items(&history.arena, VALUE_VECTOR, &deep, 1);
    unlink("deep.ordeal");
    struct history_writer *writer;
    assert_ok(history_writer_open("deep.ordeal", &history, NULL, &writer, &err));
    history_writer_append(writer, &op);
    op.value = deep;
    history_writer_append(writer, &op);
    assert_int_equal(history_writer_close(writer, &err), ERR_NOMEM);
    assert_contains(err.message, "512 levels deep");
    assert_ok(history_file_read("deep.ordeal", &back, &err));
    assert_int_equal(back.count, 1);
    assert_non_null(back.cut);
    history_free(&back);
    history_free(&history);
}

struct slow_disk {
    int fd;
    uint64_t bytes;
};

static void *read_slowly(void *argument)
{
    struct slow_disk *disk = argument;
    char *bytes = malloc(1 << 20);
    clock_sleep_ns(20 * NS_PER_MS); /* lets the queue grow; nothing depends on how far */
    for (ssize_t got; (got = read(disk->fd, bytes, 1 << 20)) > 0;)
        disk->bytes += (uint64_t)got;
    free(bytes);
    return NULL;
}

/* 100 MB through a pipe: more than may be queued, so the appender must wait and lose nothing. */
static void a_slow_disk_holds_the_appender_back(void **state)
{
    (void)state;
    enum { COUNT = 1000, VALUE_BYTES = 100000 };
    struct history history;
    struct err err = ERR_INIT;
    int pipes[2];
    history_init(&history);
    assert_int_equal(pipe(pipes), 0);
    struct slow_disk disk = {.fd = pipes[0]};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, read_slowly, &disk), 0);
    char *text = malloc(VALUE_BYTES);
    memset(text, 'x', VALUE_BYTES);
    struct op op = {.type = OP_OK,
                    .f = history_f(&history, "write"),
                    .value = value_text(&history.arena, VALUE_STRING, text, VALUE_BYTES)};
    free(text);
    struct history_writer *writer;
    assert_ok(history_writer_open_fd(pipes[1], "slow", &history, NULL, &writer, &err));
    for (int i = 0; i < COUNT; i++)
        history_writer_append(writer, &op);
    assert_ok(history_writer_close(writer, &err));
    pthread_join(thread, NULL);
    assert_true(disk.bytes > (uint64_t)COUNT * VALUE_BYTES);
    close(pipes[0]);
    history_free(&history);
}

struct worker {
    pthread_mutex_t *lock;
    struct history *history;
    struct history_writer *writer;
    int32_t process;
};

static void *record(void *argument)
{
    struct worker *worker = argument;
    for (int i = 0; i < 2000; i++) {
        char name[16];
        snprintf(name, sizeof name, "f%d", i % 30);
        pthread_mutex_lock(worker->lock);
        struct op op = {.type = OP_OK,
                        .process = worker->process,
                        .f = history_f(worker->history, name), /* names grow meanwhile */
                        .value = value_int(NULL, i),
                        .time_ns = i};
        enum err_code code;
        history_append(worker->history, &op, &code);
        history_writer_append(worker->writer, &op);
        pthread_mutex_unlock(worker->lock);
    }
    return NULL;
}

static void workers_record_under_one_lock(void **state)
{
    (void)state;
    struct history history, back;
    struct err err = ERR_INIT;
    history_init(&history);
    history_init(&back);
    unlink("workers.ordeal");
    struct history_writer *writer;
    assert_ok(history_writer_open("workers.ordeal", &history, NULL, &writer, &err));
    pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    struct worker workers[4];
    pthread_t threads[4];
    for (int i = 0; i < 4; i++) {
        workers[i] = (struct worker){&lock, &history, writer, i};
        assert_int_equal(pthread_create(&threads[i], NULL, record, &workers[i]), 0);
    }
    for (int i = 0; i < 50; i++)
        assert_ok(history_writer_problem(writer, &err));
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    assert_ok(history_writer_close(writer, &err));
    assert_ok(history_file_read("workers.ordeal", &back, &err));
    assert_null(back.cut);
    assert_int_equal(back.count, 8000);
    assert_true(history_same(&history, &back, 8000));
    history_free(&back);
    history_free(&history);
}

static void the_header_tells_of_the_run(void **state)
{
    (void)state;
    struct buf header = BUF_INIT;
    history_header_add(&header, "etcd \"register\"", 1795249815123 * NS_PER_MS, 42);
    assert_contains(header.data, "\"test\":\"etcd \\\"register\\\"\"");
    assert_contains(header.data, "\"started\":\"20261121T083015.123Z\"");
    assert_contains(header.data, "\"seed\":42");
    buf_free(&header);
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_is_read),
        cmocka_unit_test(pieces_give_the_same_events),
        cmocka_unit_test(a_small_operation_costs_few_bytes),
        cmocka_unit_test(cut_at_every_byte_a_prefix_is_read),
        cmocka_unit_test(with_any_byte_changed_a_prefix_is_read),
        cmocka_unit_test(damage_is_told_apart),
        cmocka_unit_test(nonsense_with_a_right_check_sum_is_refused),
        cmocka_unit_test(other_files_are_refused),
        cmocka_unit_test(unfinished_blocks_are_written_within_time),
        cmocka_unit_test(a_killed_controller_leaves_a_readable_file),
        cmocka_unit_test(a_full_disk_is_told),
        cmocka_unit_test(an_existing_file_is_not_overwritten),
        cmocka_unit_test(a_value_too_deep_is_told),
        cmocka_unit_test(a_slow_disk_holds_the_appender_back),
        cmocka_unit_test(workers_record_under_one_lock),
        cmocka_unit_test(the_header_tells_of_the_run),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
