/* Buffers against a plain copy of what they should hold, and that a long backlog is not moved for
 * each little that leaves it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_buffer_holds_what_was_put_in_and_not_taken),
        cmocka_unit_test(a_long_backlog_is_hardly_moved),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
