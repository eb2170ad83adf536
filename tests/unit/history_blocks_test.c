/* Reading history.ordeal many blocks at once gives what reading it block by block gives, whatever
 * is in the file: names that come late, errors, extra keys, damage, an end too early. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "harness/base/prng.h"
#include "harness/histories/history_file.h"
#include "tests/lib/random_value.h"
#include "tests/lib/sanitized.h"
#include "tests/lib/test.h"

enum { EVENTS = SANITIZED ? 20000 : 60000, FILES = 8, DAMAGES = SANITIZED ? 4 : 12 };

/* How often things are that a block cannot be read by itself with: in 1 of so many events. */
struct rarities {
    uint32_t error, extra, name, any;
};

static struct value mop_of(struct arena *arena, struct prng *prng)
{
    static const char *const names[] = {"r", "append", "w", "other"};
    struct value list[40];
    size_t length = prng_below(prng, 40);
    for (size_t i = 0; i < length; i++)
        list[i] =
            value_int(arena, prng_below(prng, 30) == 0 ? (int64_t)prng_next(prng) : (int64_t)i + 1);
    struct value parts[] = {value_keyword(arena, names[prng_below(prng, 4)]),
                            value_int(arena, (int64_t)prng_below(prng, 9)), value_nil()};
    if (prng_below(prng, 3) > 0)
        parts[2] = prng_below(prng, 2) == 0 ? value_int(arena, (int64_t)prng_below(prng, 1000))
                                            : value_items(arena, VALUE_VECTOR, list, length);
    return value_items(arena, VALUE_VECTOR, parts, 3);
}

static void add_event(struct history *history, struct prng *prng, const struct rarities *rarities)
{
    struct arena *arena = &history->arena;
    struct value mops[5];
    size_t count = prng_below(prng, 5);
    for (size_t i = 0; i < count; i++)
        mops[i] = mop_of(arena, prng);
    struct op op = {.type = (enum op_type)prng_below(prng, 4),
                    .process = (int32_t)prng_below(prng, 10),
                    .f = history_f(history, "txn"),
                    .value = value_items(arena, VALUE_VECTOR, mops, count),
                    .time_ns = (int64_t)history->count * 1000};
    if (rarities->any != 0 && prng_below(prng, rarities->any) == 0)
        op.value = random_value(prng, arena, 3);
    if (rarities->error != 0 && prng_below(prng, rarities->error) == 0)
        op.error = value_int(arena, (int64_t)prng_below(prng, 50));
    if (rarities->name != 0 && prng_below(prng, rarities->name) == 0) {
        char name[16];
        snprintf(name, sizeof name, "name%d", (int)prng_below(prng, 100));
        if (prng_below(prng, 2) == 0)
            op.f = history_f(history, name);
        else
            op.process = history_process_named(history, name);
    }
    if (rarities->extra != 0 && prng_below(prng, rarities->extra) == 0) {
        struct value entry[] = {value_keyword(arena, "node"), value_string(arena, "n1")};
        op.extra = value_items(arena, VALUE_MAP, entry, 2);
    }
    enum err_code code;
    history_append_own(history, &op, &code);
    assert_int_equal(code, ERR_NONE);
}

static int make_file(struct prng *prng, const struct rarities *rarities)
{
    struct history history;
    struct history_writer *writer;
    struct err err = ERR_INIT;
    int fd = memfd_create("blocks", MFD_CLOEXEC), writes = dup(fd);
    history_init(&history);
    assert_ok(history_writer_open_fd(writes, "blocks", &history, NULL, &writer, &err));
    for (uint32_t i = 0; i < EVENTS; i++) {
        add_event(&history, prng, rarities);
        struct op op = history_op(&history, i);
        history_writer_append(writer, &op);
    }
    assert_ok(history_writer_close(writer, &err));
    history_free(&history);
    return fd;
}

static void read_one_by_one(int fd, struct history *history)
{
    struct history_reader *reader;
    struct err err = ERR_INIT;
    bool more = true;
    history_init(history);
    assert_ok(history_reader_open_fd(fd, "blocks", &reader, &err));
    while (more)
        assert_ok(history_reader_next(reader, history, &more, &err));
    if (history_reader_cut(reader) != NULL)
        history->cut = arena_strdup(&history->arena, history_reader_cut(reader));
    history_reader_close(reader);
}

static void assert_same(const struct history *a, const struct history *b)
{
    assert_int_equal(a->count, b->count);
    assert_int_equal(a->f_count, b->f_count);
    for (uint32_t f = 0; f < a->f_count; f++)
        assert_string_equal(a->f_names[f], b->f_names[f]);
    assert_int_equal(a->process_name_count, b->process_name_count);
    for (uint32_t p = 0; p < a->process_name_count; p++)
        assert_string_equal(a->process_names[p], b->process_names[p]);
    assert_true((a->cut == NULL) == (b->cut == NULL));
    if (a->cut != NULL)
        assert_string_equal(a->cut, b->cut);
    for (uint32_t i = 0; i < a->count; i++) {
        struct op left = history_op(a, i), right = history_op(b, i);
        assert_true(left.type == right.type && left.process == right.process && left.f == right.f &&
                    left.time_ns == right.time_ns && value_equal(left.value, right.value) &&
                    value_equal(left.error, right.error) && value_equal(left.extra, right.extra));
    }
}

/* Whether it was read to its end. */
static bool compare(int fd)
{
    struct history at_once, one_by_one;
    struct err err = ERR_INIT;
    history_init(&at_once);
    assert_ok(history_file_read_fd(fd, "blocks", &at_once, &err));
    read_one_by_one(fd, &one_by_one);
    assert_same(&at_once, &one_by_one);
    bool whole = at_once.count == EVENTS && at_once.cut == NULL;
    history_free(&at_once);
    history_free(&one_by_one);
    return whole;
}

static void test_whole(void **state)
{
    (void)state;
    static const struct rarities kinds[] = {
        {0, 0, 0, 0}, {100, 0, 0, 0},       {0, 0, 5000, 0}, {0, 20000, 0, 0},
        {0, 0, 0, 3}, {3000, 0, 3000, 300}, {1, 1, 0, 0},    {10, 0, 10, 10},
    };
    struct prng prng = prng_stream(1, "blocks");
    for (int file = 0; file < FILES; file++) {
        int fd = make_file(&prng, &kinds[file % 8]);
        assert_true(compare(fd));
        close(fd);
    }
}

static void test_damaged(void **state)
{
    (void)state;
    static const struct rarities rarities = {300, 0, 9000, 300};
    struct prng prng = prng_stream(2, "blocks");
    int fd = make_file(&prng, &rarities);
    off_t size = lseek(fd, 0, SEEK_END);
    for (int i = 0; i < DAMAGES; i++) {
        unsigned char byte, other;
        off_t at = 100 + (off_t)prng_below(&prng, (uint64_t)size - 100);
        assert_int_equal(pread(fd, &byte, 1, at), 1);
        other = byte ^ (unsigned char)(1 << prng_below(&prng, 8));
        assert_int_equal(pwrite(fd, &other, 1, at), 1);
        assert_false(compare(fd));
        assert_int_equal(pwrite(fd, &byte, 1, at), 1);
    }
    assert_true(compare(fd));
    for (int i = 0; i < DAMAGES; i++) {
        size -= 1 + (off_t)prng_below(&prng, (uint64_t)size / 8);
        assert_int_equal(ftruncate(fd, size), 0);
        assert_false(compare(fd));
    }
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_whole),
        cmocka_unit_test(test_damaged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
