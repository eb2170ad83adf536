/* A space gives equal sequences equal numbers, and stops when it is told to. */
#include <string.h>

#include "harness/base/prng.h"
#include "harness/model_space.h"
#include "tests/lib/test.h"

static void equal_sequences_are_one(void **unused)
{
    (void)unused;
    struct arena arena = ARENA_INIT;
    struct model_space space;
    model_space_init(&space, &arena);
    int64_t items[] = {3, 1, 4};
    assert_int_equal(model_sequence(&space, items, 0), 0);
    int64_t first = model_sequence(&space, items, 3);
    assert_int_equal(model_sequence(&space, items, 3), first);
    assert_int_not_equal(model_sequence(&space, items, 2), first);
    items[0] = 9; /* the space has its own copy */
    assert_int_equal(model_sequence_of(&space, first).items[0], 3);
    arena_free(&arena);
}

/* Random edits of a plain array and of numbers go the same way, and numbers are equal exactly when
 * the arrays are. */
static void splices_are_edits_of_arrays(void **unused)
{
    (void)unused;
    enum { STEPS = 20000, LONGEST = 6 };
    struct prng prng = prng_stream(11, "splices");
    struct arena arena = ARENA_INIT;
    struct model_space space;
    model_space_init(&space, &arena);
    int64_t array[LONGEST + 1], number = 0;
    size_t count = 0;
    for (int step = 0; step < STEPS; step++) {
        size_t at = prng_below(&prng, count + 1);
        size_t removed = at < count ? prng_below(&prng, 2) : 0;
        size_t added = count < LONGEST ? prng_below(&prng, 2) : 0;
        int64_t item = (int64_t)prng_below(&prng, 3);
        number = model_spliced(&space, number, at, removed, &item, added);
        memmove(array + at + added, array + at + removed, (count - at - removed) * sizeof *array);
        if (added > 0)
            array[at] = item;
        count += added - removed;
        struct model_sequence sequence = model_sequence_of(&space, number);
        assert_int_equal(sequence.count, count);
        assert_memory_equal(sequence.items, array, count * sizeof *array);
        assert_int_equal(model_sequence(&space, array, count), number);
    }
    assert_in_range(space.sequence_count, 500, 1093); /* of 3^0 + .. + 3^6 there are 1093 */
    arena_free(&arena);
}

static void entries_are_found(void **unused)
{
    (void)unused;
    const int64_t items[] = {2, 70, 5, 71, 9, 72};
    struct model_sequence sequence = {.items = items, .count = 6};
    assert_int_equal(model_sequence_search(sequence, 2, 1), 0);
    assert_int_equal(model_sequence_search(sequence, 2, 5), 1);
    assert_int_equal(model_sequence_search(sequence, 2, 6), 2);
    assert_int_equal(model_sequence_search(sequence, 2, 10), 3);
}

static bool pay(void *purse, size_t bytes)
{
    size_t *left = purse;
    if (bytes > *left)
        return false;
    *left -= bytes;
    return true;
}

static void a_space_without_money_is_full(void **unused)
{
    (void)unused;
    struct arena arena = ARENA_INIT;
    struct model_space space;
    model_space_init(&space, &arena);
    size_t left = 100000, before = space.used_bytes;
    space.charge = pay;
    space.purse = &left;
    int64_t last = 0, next = 0;
    for (int64_t i = 0; i < 1000000 && next != MODEL_FULL; i++) {
        last = next;
        next = model_spliced(&space, last, 0, 0, &i, 1);
    }
    assert_true(space.full);
    assert_int_equal(space.used_bytes - before, 100000 - left);
    assert_in_range(model_sequence_of(&space, last).count, 50, 500); /* a triangle of bytes */
    int64_t known = model_sequence(&space, model_sequence_of(&space, last).items,
                                   model_sequence_of(&space, last).count);
    assert_int_equal(known, last); /* what is there stays */
    arena_free(&arena);
}

static void made_values_are_copied(void **unused)
{
    (void)unused;
    struct arena arena = ARENA_INIT, other = ARENA_INIT;
    struct model_space space;
    model_space_init(&space, &arena);
    int64_t a = model_value(&space, value_string(&other, "a rather long text"));
    arena_free(&other);
    other = ARENA_INIT;
    assert_int_equal(model_value(&space, value_string(&other, "a rather long text")), a);
    int64_t items[] = {a, 0};
    struct buf text = BUF_INIT;
    model_print_values(&space, model_sequence(&space, items, 2), &text);
    assert_string_equal(buf_text(&text), "[\"a rather long text\" nil]");
    buf_free(&text);
    arena_free(&other);
    arena_free(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_sequences_are_one), cmocka_unit_test(splices_are_edits_of_arrays),
        cmocka_unit_test(entries_are_found),       cmocka_unit_test(a_space_without_money_is_full),
        cmocka_unit_test(made_values_are_copied),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
