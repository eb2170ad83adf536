/* Buffers against a plain copy of what they should hold, and that a long backlog is not moved for
 * each little that leaves it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "queue/buffer.h"

enum { STEPS = 200000, MODEL_MAX = 1 << 20 };

static uint32_t next(uint32_t *seed)
{
    *seed = *seed * 1664525 + 1013904223;
    return *seed >> 8;
}

static void a_buffer_holds_what_was_put_in_and_not_taken(void **state)
{
    (void)state;
    char *model = malloc(MODEL_MAX), piece[5000];
    struct buffer buffer = {0};
    size_t length = 0;
    uint32_t seed = 1;
    for (int step = 0; step < STEPS; step++) {
        size_t amount = next(&seed) % (step % 100 == 0 ? sizeof piece : 60);
        if (length + amount > MODEL_MAX || next(&seed) % 100 < 50) {
            amount = amount < length ? amount : length;
            buffer_consume(&buffer, amount);
            memmove(model, model + amount, length - amount);
            length -= amount;
        } else {
            memset(piece, (int)next(&seed), amount);
            if (length == 0 && amount > 0 && step % 7 == 0) {
                char *own = malloc(amount + 10);
                memcpy(own, piece, amount);
                buffer_take(&buffer, own, amount, amount + 10);
            } else {
                buffer_append(&buffer, piece, amount);
            }
            memcpy(model + length, piece, amount);
            length += amount;
        }
        assert_int_equal(buffer_length(&buffer), length);
        assert_true(length == 0 || memcmp(buffer_bytes(&buffer), model, length) == 0);
        if (length > 4000) {
            buffer_consume(&buffer, length);
            length = 0;
        }
    }
    buffer_free(&buffer);
    free(model);
}

/* A reader that is always 32 MiB behind: moving that for each piece would take minutes. */
static void a_long_backlog_is_hardly_moved(void **state)
{
    (void)state;
    enum { BACKLOG = 32 << 20, PIECE = 4096, PIECES = 30000 };
    static char piece[PIECE];
    struct buffer buffer = {0};
    for (int i = 0; i < BACKLOG / PIECE; i++)
        buffer_append(&buffer, piece, PIECE);
    clock_t begun = clock();
    for (int i = 0; i < PIECES; i++) {
        buffer_append(&buffer, piece, PIECE);
        buffer_consume(&buffer, PIECE);
    }
    double seconds = (double)(clock() - begun) / CLOCKS_PER_SEC;
    assert_int_equal(buffer_length(&buffer), BACKLOG);
    assert_true(seconds < 20);
    buffer_free(&buffer);
}

static void lent_memory_holds_only_what_is_taken_at_once(void **state)
{
    (void)state;
    int ends[2];
    char memory[64];
    struct buffer buffer = {0};
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), 0);
    assert_int_equal(buffer_receive_lent(&buffer, ends[0], memory, sizeof memory), 0);
    assert_int_equal(write(ends[1], "firstsecond", 11), 11);
    assert_int_equal(buffer_receive_lent(&buffer, ends[0], memory, sizeof memory), 11);
    assert_true(buffer.lent && buffer_bytes(&buffer) == memory);
    buffer_consume(&buffer, 5);
    buffer_keep(&buffer);
    assert_false(buffer.lent);
    memset(memory, '-', sizeof memory);
    /* What comes then goes behind what there is, not into the lent memory in front of it. */
    assert_int_equal(write(ends[1], "third", 5), 5);
    assert_int_equal(buffer_receive_lent(&buffer, ends[0], memory, sizeof memory), 5);
    assert_int_equal(buffer_length(&buffer), 11);
    assert_memory_equal(buffer_bytes(&buffer), "secondthird", 11);
    buffer_consume(&buffer, 11);
    /* Neither of these may free, or write past, what is not the buffer's own. */
    assert_int_equal(write(ends[1], "fourth", 6), 6);
    assert_int_equal(buffer_receive_lent(&buffer, ends[0], memory, sizeof memory), 6);
    memset(buffer_room(&buffer, 1000), '+', 1000);
    buffer_added(&buffer, 1000);
    assert_memory_equal(buffer_bytes(&buffer), "fourth+", 7);
    assert_memory_equal(memory, "fourth-", 7);
    buffer_free(&buffer);
    assert_int_equal(write(ends[1], "fifth", 5), 5);
    assert_int_equal(buffer_receive_lent(&buffer, ends[0], memory, sizeof memory), 5);
    buffer_consume(&buffer, 5);
    buffer_keep(&buffer);
    assert_null(buffer.data);
    close(ends[1]);
    assert_int_equal(buffer_receive_lent(&buffer, ends[0], memory, sizeof memory), -1);
    close(ends[0]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_buffer_holds_what_was_put_in_and_not_taken),
        cmocka_unit_test(lent_memory_holds_only_what_is_taken_at_once),
        cmocka_unit_test(a_long_backlog_is_hardly_moved),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
