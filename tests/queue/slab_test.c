/* Pieces of slabs: none overlaps another, all come back, and so does the memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "queue/slab.h"

enum { PIECES = 20000, STEPS = 400000 };

struct held {
    unsigned char *piece;
    size_t size;
    unsigned char fill;
};

static uint64_t random_state = 1;

static uint64_t next_random(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

static size_t random_size(void)
{
    switch (next_random() % 4) {
    case 0:
        return 184;
    case 1:
        return next_random() % 64;
    case 2:
        return next_random() % (SLAB_PIECE_BYTES_MAX + 10);
    default:
        return 40;
    }
}

static void take(struct held *held)
{
    held->size = random_size();
    held->fill = (unsigned char)next_random();
    held->piece = slab_take(held->size);
    assert_int_equal((uintptr_t)held->piece % 8, 0);
    memset(held->piece, held->fill, held->size);
}

static void give(struct held *held)
{
    for (size_t i = 0; i < held->size; i++)
        assert_int_equal(held->piece[i], held->fill);
    slab_give(held->piece, held->size);
    held->piece = NULL;
}

static void no_piece_overlaps_another(void **state)
{
    (void)state;
    static struct held held[PIECES];
    for (int i = 0; i < STEPS; i++) {
        struct held *one = &held[next_random() % PIECES];
        if (one->piece != NULL)
            give(one);
        else
            take(one);
    }
    for (int i = 0; i < PIECES; i++) {
        if (held[i].piece != NULL)
            give(&held[i]);
    }
    assert_true(slab_bytes() <= SLAB_CHUNK_BYTES);
}

/* What a million jobs of 100 bytes are made of, a tenth of it. */
static void a_piece_costs_what_it_is_long(void **state)
{
    (void)state;
    enum { JOBS = 100000, JOB_BYTES = 184 };
    void **jobs = calloc(JOBS, sizeof *jobs);
    uint64_t before = slab_bytes();
    for (int i = 0; i < JOBS; i++)
        jobs[i] = slab_take(JOB_BYTES);
    uint64_t after = slab_bytes();
    assert_true(after - before <= (uint64_t)JOBS * JOB_BYTES * 101 / 100 + SLAB_CHUNK_BYTES);
    for (int i = 0; i < JOBS; i += 2)
        slab_give(jobs[i], JOB_BYTES);
    for (int i = 0; i < JOBS; i += 2)
        jobs[i] = slab_take(JOB_BYTES); /* into the gaps */
    assert_int_equal(slab_bytes(), after);
    for (int i = 0; i < JOBS; i++)
        slab_give(jobs[i], JOB_BYTES);
    assert_true(slab_bytes() <= SLAB_CHUNK_BYTES);
    free(jobs);
}

/* Nothing is lost by putting pages together, whether the system can or not. */
static void rejoining_changes_nothing(void **state)
{
    (void)state;
    enum { JOBS = 50000 };
    static unsigned char *jobs[JOBS];
    for (int i = 0; i < JOBS; i++) {
        jobs[i] = slab_take(184);
        memset(jobs[i], i % 251, 184);
    }
    slab_rejoin_begin();
    int chunks = 1;
    while (slab_rejoin())
        chunks++;
    print_message("# %d of %llu chunks rejoined\n", chunks,
                  (unsigned long long)slab_bytes() / SLAB_CHUNK_BYTES);
    assert_false(slab_rejoin());
    for (int i = 0; i < JOBS; i++) {
        for (int k = 0; k < 184; k += 61)
            assert_int_equal(jobs[i][k], i % 251);
        slab_give(jobs[i], 184);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_piece_overlaps_another),
        cmocka_unit_test(a_piece_costs_what_it_is_long),
        cmocka_unit_test(rejoining_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
