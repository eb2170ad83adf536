/* The ordered hash table and the heap, against the simplest possible ones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "queue/state_heap.h"
#include "queue/state_table.h"
#include "tests/queue/lib/state_trial.h"

#define ITEMS 3000

struct item {
    uint64_t key, hash;
    bool in, met;
};

static struct item items[ITEMS];

static int compare(const void *item, const void *probe)
{
    uint64_t a = ((const struct item *)item)->key, b = *(const uint64_t *)probe;
    return (a > b) - (a < b);
}

/* A hash with so few values that most items share theirs, or a good one. */
static void make_items(bool poor)
{
    for (uint64_t i = 0; i < ITEMS; i++) {
        uint64_t hash = table_hash(3, &i, sizeof i);
        items[i] = (struct item){.key = i * 7, .hash = poor ? (hash % 40) << 55 : hash};
    }
}

struct walk {
    struct item *last;
    uint64_t count;
};

static void meet(void *context, void *entry)
{
    struct walk *walk = context;
    struct item *item = entry;
    assert_true(item->in && !item->met);
    item->met = true;
    if (walk->last && walk->last->hash == item->hash)
        assert_true(walk->last->key < item->key);
    walk->last = item;
    walk->count++;
}

static void short_hashes_are_the_long_ones(void **unused)
{
    (void)unused;
    for (uint64_t i = 0; i < 1000; i++) {
        char bytes[17];
        for (size_t k = 0; k < sizeof bytes; k++)
            bytes[k] = (char)(i * 31 + k * k * 7 + i / 3);
        assert_int_equal(table_hash_16(i % 5, bytes + 1), table_hash(i % 5, bytes + 1, 16));
    }
}

static void check_table(const struct table *table, uint64_t *seed)
{
    uint64_t in = 0, cursor = 0;
    struct walk walk = {0};
    for (uint64_t i = 0; i < ITEMS; i++) {
        uint64_t key = items[i].key, other = key + 1;
        items[i].met = false;
        in += items[i].in;
        assert_ptr_equal(table_find(table, items[i].hash, &key), items[i].in ? &items[i] : NULL);
        assert_null(table_find(table, items[i].hash, &other));
    }
    assert_int_equal(table->count, in);
    do {
        cursor = table_scan(table, cursor, 1 + trial_random_below(seed, 400), meet, &walk);
    } while (cursor);
    assert_int_equal(walk.count, in);
}

static void churn(uint32_t bits, bool poor, uint64_t *seed)
{
    struct table table;
    table_init(&table, bits, compare);
    make_items(poor);
    for (int phase = 0; phase < 8; phase++) {
        /* Growing and shrinking phases. */
        for (int step = 0; step < 4000; step++) {
            struct item *item = &items[trial_random_below(seed, ITEMS)];
            bool insert = trial_random_below(seed, 10) < (phase % 2 ? 1 : 9);
            if (insert && !item->in)
                table_insert(&table, item->hash, item, &item->key);
            else if (!insert && item->in)
                table_remove(&table, item->hash, item);
            else
                continue;
            item->in = insert;
        }
        check_table(&table, seed);
    }
    for (uint64_t i = 0; i < ITEMS; i++) {
        if (items[i].in)
            table_remove(&table, items[i].hash, &items[i]);
        items[i].in = false;
    }
    check_table(&table, seed);
    assert_int_equal(table_bytes(&table), sizeof(struct table_segment) << bits);
    table_free(&table);
}

static void the_table_finds_what_it_holds(void **state)
{
    (void)state;
    uint64_t seed = trial_seed(11);
    churn(0, false, &seed);
    churn(4, false, &seed);
    churn(10, false, &seed);
    churn(2, true, &seed);
    churn(0, true, &seed);
}

struct order {
    const struct item *met[ITEMS];
    uint64_t count;
};

static void note(void *context, void *item)
{
    struct order *order = context;
    order->met[order->count++] = item;
}

static void a_walk_depends_on_the_items_alone(void **state)
{
    (void)state;
    static struct order first, second;
    struct table forward, backward;
    first.count = second.count = 0;
    make_items(true);
    table_init(&forward, 3, compare);
    table_init(&backward, 3, compare);
    for (uint64_t i = 0; i < ITEMS; i++)
        table_insert(&forward, items[i].hash, &items[i], &items[i].key);
    for (uint64_t i = ITEMS; i-- > 0;)
        table_insert(&backward, items[i].hash, &items[i], &items[i].key);
    for (uint64_t i = ITEMS / 3; i < ITEMS; i++) {
        table_remove(&forward, items[i].hash, &items[i]);
        table_remove(&backward, items[i].hash, &items[i]);
    }
    table_scan(&forward, 0, UINT64_MAX, note, &first);
    table_scan(&backward, 0, UINT64_MAX, note, &second);
    assert_int_equal(first.count, ITEMS / 3);
    assert_int_equal(second.count, ITEMS / 3);
    assert_memory_equal(first.met, second.met, first.count * sizeof *first.met);
    table_free(&forward);
    table_free(&backward);
}

static void a_cursor_from_anywhere_is_harmless(void **state)
{
    (void)state;
    struct table table;
    struct walk walk = {0};
    make_items(false);
    table_init(&table, 4, compare);
    for (uint64_t i = 0; i < ITEMS; i++) {
        items[i].in = true;
        table_insert(&table, items[i].hash, &items[i], &items[i].key);
    }
    assert_int_equal(table_scan(&table, UINT64_MAX, 10, meet, &walk), 0);
    assert_int_equal(table_scan(&table, 16ul << 16, 10, meet, &walk), 0);
    assert_int_equal(walk.count, 0);
    assert_int_equal(table_scan(&table, 15ul << 16 | 0xffff, 10, meet, &walk), 0);
    assert_true(walk.count < 3);
    table_free(&table);
}

static void the_heap_gives_the_earliest_and_then_the_first(void **state)
{
    (void)state;
    static struct timer timers[500];
    static uint64_t deadlines[500];
    struct heap heap = {0};
    uint64_t seed = trial_seed(12);
    for (uint64_t i = 0; i < 500; i++)
        timers[i].sequence = i;
    for (int step = 0; step < 20000; step++) {
        uint64_t i = trial_random_below(&seed, 500);
        if (trial_random_below(&seed, 3)) {
            deadlines[i] = 1 + trial_random_below(&seed, 100);
            heap_set(&heap, &timers[i], deadlines[i]);
        } else {
            deadlines[i] = 0;
            heap_clear(&heap, &timers[i]);
        }
        const struct timer *first = NULL;
        for (uint64_t k = 0; k < 500; k++) {
            assert_int_equal(heap_deadline_ms(&heap, &timers[k]), deadlines[k]);
            if (deadlines[k] && (!first || deadlines[k] < deadlines[first->sequence]))
                first = &timers[k];
        }
        assert_ptr_equal(heap_first(&heap), first);
        assert_true(heap_next_ms(&heap) == (first ? deadlines[first->sequence] : UINT64_MAX));
    }
    heap_free(&heap);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_table_finds_what_it_holds),
        cmocka_unit_test(a_walk_depends_on_the_items_alone),
        cmocka_unit_test(short_hashes_are_the_long_ones),
        cmocka_unit_test(a_cursor_from_anywhere_is_harmless),
        cmocka_unit_test(the_heap_gives_the_earliest_and_then_the_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
