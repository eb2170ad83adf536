/* Values: packed and boxed forms behave alike, equality and hash keep their laws. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/base/prng.h"
#include "harness/histories/edn.h"
#include "harness/histories/value_lists.h"
#include "harness/histories/value_recent.h"
#include "tests/lib/random_value.h"
#include "tests/lib/test.h"

static void integers_keep_their_value_at_every_boundary(void **state)
{
    (void)state;
    struct arena arena = ARENA_INIT;
    for (unsigned bits = 0; bits < 64; bits++)
        for (int64_t off = -2; off <= 2; off++)
            for (int sign = 0; sign < 2; sign++) {
                uint64_t u = (UINT64_C(1) << bits) + (uint64_t)off;
                int64_t integer = (int64_t)(sign ? 0 - u : u);
                struct value value = value_int(&arena, integer);
                assert_int_equal(value_kind(value), VALUE_INT);
                assert_true(value_as_int(value) == integer);
                assert_true(value_equal(value, value_int(&arena, integer)));
                assert_true(value_hash(value) == value_hash(value_int(&arena, integer)));
            }
    assert_true(value_as_int(value_int(NULL, (INT64_C(1) << 60) - 1)) == (INT64_C(1) << 60) - 1);
    assert_true(value_as_int(value_int(NULL, -(INT64_C(1) << 60))) == -(INT64_C(1) << 60));
    arena_free(&arena);
}

static void pairs_keep_their_items_at_every_boundary(void **state)
{
    (void)state;
    struct arena arena = ARENA_INIT;
    static const int64_t edges[] = {0,
                                    -1,
                                    (1 << 19) - 1,
                                    1 << 19,
                                    -(1 << 19),
                                    -(1 << 19) - 1,
                                    (1 << 29) - 1,
                                    1 << 29,
                                    -(1 << 29),
                                    -(1 << 29) - 1,
                                    INT64_C(1) << 60,
                                    INT64_MIN};
    enum { EDGES = sizeof edges / sizeof edges[0] };
    for (size_t i = 0; i < EDGES; i++)
        for (size_t j = 0; j < EDGES; j++) {
            struct value a = value_int(&arena, edges[i]), b = value_int(&arena, edges[j]);
            struct value pair = value_pair(&arena, a, b);
            assert_int_equal(value_kind(pair), VALUE_VECTOR);
            assert_true(value_is_pair(pair));
            assert_true(value_as_int(value_at(pair, 0)) == edges[i]);
            assert_true(value_as_int(value_at(pair, 1)) == edges[j]);
            for (size_t k = 0; k < EDGES; k++) {
                struct value keyed = value_pair(&arena, value_int(&arena, edges[k]), pair);
                assert_int_equal(value_count(keyed), 2);
                assert_true(value_as_int(value_at(keyed, 0)) == edges[k]);
                assert_true(value_equal(value_at(keyed, 1), pair));
            }
            /* a list is boxed: packed and boxed forms are equal and hash alike */
            struct value list = value_items(&arena, VALUE_LIST, (struct value[]){a, b}, 2);
            assert_true(value_equal(list, pair));
            assert_true(value_hash(list) == value_hash(pair));
        }
    arena_free(&arena);
}

static void equality_is_clojures(void **state)
{
    (void)state;
    struct arena arena = ARENA_INIT;
    static const struct {
        const char *a, *b;
        bool equal;
    } cases[] = {
        {"1", "1.0", false},
        {":a", "\"a\"", false},
        {"a", ":a", false},
        {"[1 2]", "(1 2)", true},
        {"[1 2]", "#{1 2}", false},
        {"#{1 2 3}", "#{3 1 2}", true},
        {"#{1 1 2}", "#{1 2 2}", false},
        {"#{1 1}", "#{1}", false},
        {"{:a 1, :b 2}", "{:b 2, :a 1}", true},
        {"{:a 1}", "{:a 2}", false},
        {"nil", "false", false},
        {"0.0", "-0.0", true},
        {"[nil]", "[]", false},
        {"12N", "12", true},
        {"[[1 [2 3]] (4)]", "((1 (2 3)) [4])", true},
        {"\\a", "\"a\"", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct value a, b;
        struct err err = ERR_INIT;
        assert_ok(edn_parse_all(&arena, cases[i].a, strlen(cases[i].a), &a, &err));
        assert_ok(edn_parse_all(&arena, cases[i].b, strlen(cases[i].b), &b, &err));
        if (value_equal(a, b) != cases[i].equal || value_equal(b, a) != cases[i].equal)
            fail_msg("%s and %s", cases[i].a, cases[i].b);
        if (cases[i].equal)
            assert_true(value_hash(a) == value_hash(b));
    }
    arena_free(&arena);
}

static void random_values_keep_the_laws(void **state)
{
    (void)state;
    struct prng prng = prng_stream(7, "value laws");
    for (int round = 0; round < 300; round++) {
        struct arena arena = ARENA_INIT, other = ARENA_INIT;
        struct value values[8], copies[8];
        for (int i = 0; i < 8; i++) {
            values[i] = random_value(&prng, &arena, 3);
            copies[i] = value_copy(&other, values[i]);
            assert_true(value_equal(values[i], copies[i]));
            assert_true(value_hash(values[i]) == value_hash(copies[i]));
        }
        for (int i = 0; i < 8; i++)
            for (int j = 0; j < 8; j++) {
                bool equal = value_equal(values[i], values[j]);
                assert_true(equal == value_equal(copies[j], copies[i]));
                if (equal)
                    assert_true(value_hash(values[i]) == value_hash(values[j]));
            }
        arena_free(&arena); /* the copies stand alone */
        struct buf printed = BUF_INIT;
        for (int i = 0; i < 8; i++)
            value_print(copies[i], &printed);
        assert_true(printed.length > 0);
        buf_free(&printed);
        arena_free(&other);
    }
}

static void what_is_printed_reads_back_the_same(void **state)
{
    (void)state;
    struct prng prng = prng_stream(11, "print");
    for (int round = 0; round < 3000; round++) {
        struct arena arena = ARENA_INIT;
        struct value value = random_value(&prng, &arena, 4), back;
        struct buf printed = BUF_INIT, again = BUF_INIT;
        struct err err = ERR_INIT;
        value_print(value, &printed);
        assert_ok(edn_parse_all(&arena, printed.data, printed.length, &back, &err));
        if (!value_equal(value, back))
            fail_msg("%s", printed.data);
        value_print(back, &again);
        assert_string_equal(printed.data, again.data);
        buf_free(&printed);
        buf_free(&again);
        arena_free(&arena);
    }
}

static void doubles_print_shortest_and_special(void **state)
{
    (void)state;
    static const struct {
        double real;
        const char *text;
    } cases[] = {
        {1, "1.0"},     {0.1, "0.1"},        {-2.5, "-2.5"},        {1.0 / 3, "0.3333333333333333"},
        {NAN, "##NaN"}, {INFINITY, "##Inf"}, {-INFINITY, "##-Inf"}, {100000, "100000.0"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct arena arena = ARENA_INIT;
        struct buf out = BUF_INIT;
        value_print(value_double(&arena, cases[i].real), &out);
        assert_string_equal(out.data, cases[i].text);
        buf_free(&out);
        arena_free(&arena);
    }
}

static void readers_answer_for_what_is_not_theirs(void **state)
{
    (void)state;
    struct arena arena = ARENA_INIT;
    struct value text = value_string(&arena, "n1");
    assert_int_equal(value_as_int(text), 0);
    assert_string_equal(value_as_text(value_int(NULL, 5)), "");
    assert_int_equal(value_count(text), 0);
    assert_true(value_is_nil(value_get(text, "a")));
    struct value map =
        value_items(&arena, VALUE_MAP,
                    (struct value[]){value_keyword(&arena, "from"), value_int(NULL, 3),
                                     value_string(&arena, "to"), value_int(NULL, 4)},
                    4);
    assert_int_equal(value_as_int(value_get(map, "from")), 3);
    assert_int_equal(value_as_int(value_get(map, "to")), 4);
    assert_true(value_is_nil(value_get(map, "amount")));
    assert_false(value_is_pair(map));
    arena_free(&arena);
}

static void large_sets_compare_quickly(void **state)
{
    (void)state;
    enum { COUNT = 20000 };
    struct arena arena = ARENA_INIT;
    struct value *items = arena_alloc(&arena, COUNT * sizeof *items);
    for (int i = 0; i < COUNT; i++)
        items[i] = value_int(NULL, i);
    struct value up = value_items(&arena, VALUE_SET, items, COUNT);
    for (int i = 0; i < COUNT; i++)
        items[i] = value_int(NULL, COUNT - 1 - i);
    struct value down = value_items(&arena, VALUE_SET, items, COUNT);
    items[0] = value_int(NULL, -1);
    struct value other = value_items(&arena, VALUE_SET, items, COUNT);
    assert_true(value_equal(up, down));
    assert_false(value_equal(up, other));
    arena_free(&arena);
}

/* Few items, so that vectors meet again, and differ where only the middle differs. */
static void vectors_met_again_are_equal_to_new_ones(void **state)
{
    (void)state;
    struct prng prng = prng_stream(13, "recent vectors");
    struct value_recent *recent = calloc(1, sizeof *recent);
    struct arena arena = ARENA_INIT, other = ARENA_INIT;
    uint64_t shared = 0;
    assert_non_null(recent);
    for (int round = 0; round < 20000; round++) {
        struct value items[6];
        size_t count = prng_below(&prng, 6);
        for (size_t i = 0; i < count; i++)
            items[i] = prng_below(&prng, 8) == 0 ? value_nil()
                                                 : value_int(NULL, (int64_t)prng_below(&prng, 4));
        size_t used = arena.used_bytes;
        struct value vector = value_recent_vector(recent, &arena, items, count);
        shared += count > 2 && arena.used_bytes == used;
        assert_int_equal(value_kind(vector), VALUE_VECTOR);
        assert_true(value_equal(vector, value_items(&other, VALUE_VECTOR, items, count)));
    }
    assert_true(shared > 1000);
    arena_free(&arena);
    arena_free(&other);
    free(recent);
}

/* A list never is packed, and equals a vector of the same items. */
static void assert_as_list(struct arena *arena, struct value vector, const struct value *items,
                           size_t count)
{
    struct value list = value_items(arena, VALUE_LIST, items, count), room[VALUE_ROOM];
    struct buf text = BUF_INIT, list_text = BUF_INIT;
    size_t length;
    const struct value *all = value_array(vector, room, &length);
    assert_int_equal(value_kind(vector), VALUE_VECTOR);
    assert_int_equal(value_count(vector), count);
    assert_int_equal(length, count);
    for (size_t i = 0; i < count; i++) {
        assert_true(value_equal(value_at(vector, i), items[i]));
        assert_true(value_equal(all[i], items[i]));
    }
    assert_true(value_equal(vector, list) && value_equal(list, vector));
    assert_true(value_hash(vector) == value_hash(list));
    value_print(vector, &text);
    value_print(list, &list_text);
    assert_int_equal(text.length, list_text.length);
    assert_memory_equal(text.data + 1, list_text.data + 1, text.length - 2);
    buf_free(&text);
    buf_free(&list_text);
}

static void micro_operations_keep_their_items_at_every_boundary(void **state)
{
    (void)state;
    static const char *const names[] = {"r", "append", "w", "ra", "x", ""};
    struct arena arena = ARENA_INIT, other = ARENA_INIT;
    struct value some[80];
    size_t count = 0, packed = 0;
    some[count++] = value_nil();
    some[count++] = value_bool(true);
    some[count++] = value_string(&arena, "1");
    some[count++] = value_items(&arena, VALUE_VECTOR, NULL, 0);
    for (unsigned bits = 0; bits < 64; bits += bits < 26 || bits > 30 ? 9 : 1)
        for (int64_t off = -1; off <= 1; off++) {
            some[count++] = value_int(&arena, (int64_t)((UINT64_C(1) << bits) + (uint64_t)off));
            some[count++] = value_int(&arena, -(int64_t)((UINT64_C(1) << bits) / 2) - off);
        }
    for (unsigned n = 0; n < 6; n++)
        for (size_t k = 0; k < count; k++)
            for (size_t v = 0; v < count; v++) {
                struct value items[] = {value_keyword(&arena, names[n]), some[k], some[v]};
                struct value vector = value_items(&arena, VALUE_VECTOR, items, 3);
                packed += value_is_micro_op(vector);
                assert_as_list(&arena, vector, items, 3);
                assert_true(value_equal(value_copy(&other, vector), vector));
                if (n >= VALUE_MICRO_NONE)
                    assert_false(value_is_micro_op(vector));
            }
    assert_true(packed > 1000);
    arena_free(&arena);
    arena_free(&other);
}

/* Reads of a few keys whose lists grow, and now and then are another one's. */
static void lists_that_grow_stay_as_they_were_read(void **state)
{
    (void)state;
    enum { KEYS = 5, READS = 4000, LONGEST = 60 };
    struct prng prng = prng_stream(14, "lists");
    struct value_lists *lists = calloc(1, sizeof *lists);
    struct value *kept = calloc(READS, sizeof *kept), *copies = calloc(READS, sizeof *copies);
    struct arena arena = ARENA_INIT, other = ARENA_INIT;
    assert_true(lists != NULL && kept != NULL && copies != NULL);
    struct value items[KEYS][LONGEST];
    size_t length[KEYS] = {0}, shared = 0;
    for (int i = 0; i < READS; i++) {
        size_t k = prng_below(&prng, KEYS), grown = prng_below(&prng, 3);
        if (length[k] + grown > LONGEST || prng_below(&prng, 50) == 0)
            length[k] = prng_below(&prng, LONGEST / 2);
        for (; grown > 0; grown--)
            items[k][length[k]++] = value_int(NULL, (int64_t)prng_below(&prng, 3));
        if (length[k] == 0)
            items[k][length[k]++] = value_int(NULL, 7);
        size_t read = prng_below(&prng, 4) == 0 ? 1 + prng_below(&prng, length[k]) : length[k];
        size_t used = arena.used_bytes;
        assert_true(value_lists_take(items[k][read - 1], read));
        kept[i] =
            value_lists_vector(lists, &arena, value_int(NULL, (int64_t)k * 512), items[k], read);
        shared += arena.used_bytes == used;
        copies[i] = value_items(&other, VALUE_LIST, items[k], read);
        assert_as_list(&other, kept[i], items[k], read);
    }
    for (int i = 0; i < READS; i++)
        assert_true(value_equal(kept[i], copies[i]) &&
                    value_equal(value_copy(&other, kept[i]), copies[i]));
    assert_true(shared > READS / 2);
    assert_false(value_lists_take(value_nil(), 3));
    assert_false(value_lists_take(value_int(NULL, 1), 0));
    assert_false(value_lists_take(value_int(NULL, 1), VALUE_PREFIX_MAX + 1));
    arena_free(&arena);
    arena_free(&other);
    value_lists_free(lists);
    free(lists);
    free(kept);
    free(copies);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(integers_keep_their_value_at_every_boundary),
        cmocka_unit_test(pairs_keep_their_items_at_every_boundary),
        cmocka_unit_test(equality_is_clojures),
        cmocka_unit_test(random_values_keep_the_laws),
        cmocka_unit_test(what_is_printed_reads_back_the_same),
        cmocka_unit_test(doubles_print_shortest_and_special),
        cmocka_unit_test(readers_answer_for_what_is_not_theirs),
        cmocka_unit_test(large_sets_compare_quickly),
        cmocka_unit_test(vectors_met_again_are_equal_to_new_ones),
        cmocka_unit_test(micro_operations_keep_their_items_at_every_boundary),
        cmocka_unit_test(lists_that_grow_stay_as_they_were_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
