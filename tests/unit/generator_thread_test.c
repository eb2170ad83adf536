/* Threads: on_clients, on_nemesis, split, reserve, each_thread, each_process, keys. */
#include <string.h>

#include "tests/lib/simulate.h"
#include "tests/lib/test.h"

enum { A = 1, B, C };

static struct arena arena;
static struct simulate_result result;

static int begin(void **state)
{
    (void)state;
    arena = ARENA_INIT;
    result = (struct simulate_result){.arena = ARENA_INIT};
    return 0;
}

static int end(void **state)
{
    (void)state;
    simulate_free(&result);
    arena_free(&arena);
    return 0;
}

static struct simulate_options defaults(uint32_t threads)
{
    return (struct simulate_options){.threads = threads,
                                     .nemesis = true,
                                     .seed = 3,
                                     .latency_ns_min = NS_PER_MS,
                                     .latency_ns_max = 20 * NS_PER_MS,
                                     .fail = 0.1,
                                     .info = 0.1,
                                     .end_ns = 1000 * NS_PER_SECOND};
}

static void run_with(struct generator *generator, struct simulate_options options)
{
    simulate_free(&result);
    simulate(generator, &options, &result);
    assert_string_equal(result.broken, "");
}

static void run(struct generator *generator, uint32_t threads)
{
    run_with(generator, defaults(threads));
    assert_true(result.all_done);
}

static size_t invoked(int f)
{
    return simulate_count(&result, OP_INVOKE, f, 0, INT64_MAX);
}

static struct generator *ops(struct arena *into, uint64_t count, uint16_t f)
{
    return generator_limit(into, count, generator_repeat_op(into, f, value_int(into, f)));
}

/* Every operation of f is of a thread from `low` to `high`. */
static void assert_threads(int f, int low, int high)
{
    for (size_t i = 0; i < result.count; i++)
        if (result.events[i].f == f)
            assert_true(result.events[i].thread >= low && result.events[i].thread <= high);
}

static void clients_and_nemesis_are_told_apart(void **state)
{
    (void)state;
    run(generator_on_clients(&arena, ops(&arena, 20, A)), 3);
    assert_int_equal(invoked(A), 20);
    assert_threads(A, 0, 2);
    run(generator_on_nemesis(&arena, ops(&arena, 20, A)), 3);
    assert_int_equal(invoked(A), 20);
    assert_threads(A, GENERATOR_NEMESIS, GENERATOR_NEMESIS);
    run(generator_split(&arena, ops(&arena, 30, A), ops(&arena, 5, B)), 3);
    assert_int_equal(invoked(A), 30);
    assert_int_equal(invoked(B), 5);
    assert_threads(A, 0, 2);
    assert_threads(B, GENERATOR_NEMESIS, GENERATOR_NEMESIS);
}

static void reserve_groups_threads(void **state)
{
    (void)state;
    const uint32_t counts[] = {2, 0, 1};
    struct generator *parts[] = {ops(&arena, 20, A), ops(&arena, 9, 9), ops(&arena, 20, B)};
    run(generator_reserve(&arena, counts, parts, 3, ops(&arena, 30, C)), 5);
    assert_int_equal(invoked(A), 20);
    assert_int_equal(invoked(B), 20);
    assert_int_equal(invoked(C), 30);
    assert_int_equal(invoked(9), 0);
    assert_threads(A, 0, 1);
    assert_threads(B, 2, 2);
    assert_threads(C, 3, 4);
}

static void reserve_makes_do_with_few_threads(void **state)
{
    (void)state;
    const uint32_t counts[] = {2, UINT32_MAX, 4};
    struct generator *parts[] = {ops(&arena, 20, A), ops(&arena, 9, B), ops(&arena, 20, C)};
    run(generator_reserve(&arena, counts, parts, 3, NULL), 3);
    assert_int_equal(invoked(A), 20);
    assert_int_equal(invoked(B), 9);
    assert_int_equal(invoked(C), 0);
}

static void phases_in_a_reserve_wait_for_its_threads_alone(void **state)
{
    (void)state;
    const uint32_t counts[] = {2};
    struct generator *phases[] = {ops(&arena, 3, A), ops(&arena, 3, B)};
    struct generator *parts[] = {generator_phases(&arena, phases, 2)};
    struct simulate_options options = defaults(4);
    options.end_ns = 5 * NS_PER_SECOND;
    run_with(
        generator_reserve(&arena, counts, parts, 1, generator_repeat_op(&arena, C, value_nil())),
        options);
    assert_int_equal(invoked(A), 3);
    assert_int_equal(invoked(B), 3);
}

static struct generator *make_three(void *state, struct arena *into, uint64_t round)
{
    ++*(uint64_t *)state;
    return generator_limit(into, 3, generator_repeat_op(into, A, value_int(into, (int64_t)round)));
}

static void each_thread_has_its_own(void **state)
{
    (void)state;
    uint64_t made = 0;
    run(generator_each_thread(&arena, make_three, &made), 4);
    assert_int_equal(made, 5); /* the nemesis' too */
    assert_int_equal(invoked(A), 15);
    for (size_t i = 0; i < result.count; i++)
        assert_int_equal(value_as_int(result.events[i].value),
                         result.events[i].thread == GENERATOR_NEMESIS ? 4
                                                                      : result.events[i].thread);
}

static void each_process_begins_anew_after_info(void **state)
{
    (void)state;
    uint64_t made = 0;
    struct simulate_options options = defaults(3);
    options.nemesis = false;
    options.info = 0.3;
    run_with(generator_each_process(&arena, make_three, &made), options);
    assert_true(result.all_done);
    assert_true(made > 3);
    size_t of_process[1000] = {0}, ended[1000] = {0};
    for (size_t i = 0; i < result.count; i++) {
        int32_t process = result.events[i].process;
        assert_int_equal(value_as_int(result.events[i].value), process);
        of_process[process] += result.events[i].type == OP_INVOKE;
        ended[process] += result.events[i].type == OP_INFO;
    }
    for (uint64_t i = 0; i < made; i++)
        assert_true(of_process[i] == 3 || (of_process[i] < 3 && ended[i] == 1));
}

static struct generator *make_key(void *state, struct arena *into, uint64_t key)
{
    (void)state;
    return generator_limit(
        into, 10 + key % 3,
        generator_repeat_op(into, A, value_pair(into, value_int(into, 5), value_int(into, 6))));
}

/* Keys are worked on in full, by one group of `size` threads each, without overlap in a group. */
static void check_keys(uint32_t threads, uint32_t size, uint64_t keys)
{
    size_t done[100] = {0};
    int64_t now[100];
    memset(now, -1, sizeof now);
    for (size_t i = 0; i < result.count; i++) {
        const struct simulate_event *event = &result.events[i];
        assert_true(value_is_pair(event->value));
        int64_t key = value_as_int(value_at(event->value, 0));
        struct value inner = value_at(event->value, 1);
        assert_int_equal(value_as_int(value_at(inner, 0)), 5);
        assert_int_equal(value_as_int(value_at(inner, 1)), 6);
        uint32_t group = (uint32_t)event->thread / size;
        assert_true((uint32_t)event->thread < threads);
        assert_true(key >= now[group]);
        if (key > now[group] && now[group] >= 0) /* the key before is complete */
            assert_int_equal(done[now[group]], 2 * (10 + now[group] % 3));
        now[group] = key;
        done[key]++;
    }
    for (uint64_t key = 0; key < keys; key++)
        assert_int_equal(done[key], 2 * (10 + key % 3));
}

static void keys_go_to_groups_of_threads(void **state)
{
    (void)state;
    static const struct {
        uint32_t threads, size;
    } cases[] = {{6, 2}, {6, 6}, {5, 2}, {7, 3}, {2, 5}, {1, 1}, {4, 1}, {3, 0}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        run(generator_keys(&arena, cases[i].size, 23, make_key, NULL), cases[i].threads);
        check_keys(cases[i].threads, cases[i].size == 0 ? 1 : cases[i].size, 23);
    }
}

static struct generator *make_reserved(void *state, struct arena *into, uint64_t key)
{
    (void)state, (void)key;
    const uint32_t counts[] = {1};
    struct generator *parts[] = {ops(into, 4, A)};
    return generator_reserve(into, counts, parts, 1, ops(into, 6, B));
}

static void a_key_numbers_its_threads_from_nought(void **state)
{
    (void)state;
    run(generator_keys(&arena, 3, 8, make_reserved, NULL), 6);
    assert_int_equal(invoked(A), 32);
    assert_int_equal(invoked(B), 48);
    for (size_t i = 0; i < result.count; i++)
        assert_int_equal(result.events[i].f == A, result.events[i].thread % 3 == 0);
}

/* A source that wants its own values back. */
struct echo {
    struct generator base;
    uint64_t given, invoked, completed;
};

static enum generator_answer echo_next(struct generator *generator,
                                       const struct generator_context *context,
                                       struct generator_op *op)
{
    struct echo *echo = (struct echo *)generator;
    (void)context;
    if (echo->given == 20)
        return GENERATOR_DONE;
    echo->given++;
    *op = (struct generator_op){.f = A, .value = value_string(context->scratch, "long text")};
    return GENERATOR_OP;
}

static void echo_update(struct generator *generator, const struct generator_context *context,
                        const struct op *event)
{
    struct echo *echo = (struct echo *)generator;
    (void)context;
    assert_string_equal(value_as_text(event->value), "long text");
    echo->invoked += event->type == OP_INVOKE;
    echo->completed += event->type != OP_INVOKE;
}

static const struct generator_class echo_class = {
    .name = "echo", .next = echo_next, .update = echo_update};

static struct generator *make_echo(void *state, struct arena *into, uint64_t key)
{
    (void)into;
    struct echo *echo = &((struct echo *)state)[key];
    *echo = (struct echo){.base.class = &echo_class};
    return &echo->base;
}

static void events_come_back_without_the_key(void **state)
{
    (void)state;
    struct echo echoes[5];
    run(generator_keys(&arena, 2, 5, make_echo, echoes), 4);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(echoes[i].given, 20);
        assert_int_equal(echoes[i].invoked, 20);
        assert_int_equal(echoes[i].completed, 20);
    }
}

static struct generator *make_idle(void *state, struct arena *into, uint64_t key)
{
    ++*(uint64_t *)state;
    return key % 10 == 0 ? ops(into, 1, A) : NULL;
}

static struct generator *make_none(void *state, struct arena *into, uint64_t key)
{
    (void)into, (void)key;
    ++*(uint64_t *)state;
    return NULL;
}

static void idle_keys_are_skipped_and_do_not_hang(void **state)
{
    (void)state;
    uint64_t made = 0;
    run(generator_keys(&arena, 1, 100, make_idle, &made), 3);
    assert_int_equal(made, 100);
    assert_int_equal(invoked(A), 10);
    made = 0;
    run(generator_keys(&arena, 2, 0, make_none, &made), 6);
    assert_int_equal(made, 3000); /* a thousand for each group */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(clients_and_nemesis_are_told_apart),
        cmocka_unit_test(reserve_groups_threads),
        cmocka_unit_test(reserve_makes_do_with_few_threads),
        cmocka_unit_test(phases_in_a_reserve_wait_for_its_threads_alone),
        cmocka_unit_test(each_thread_has_its_own),
        cmocka_unit_test(each_process_begins_anew_after_info),
        cmocka_unit_test(keys_go_to_groups_of_threads),
        cmocka_unit_test(a_key_numbers_its_threads_from_nought),
        cmocka_unit_test(events_come_back_without_the_key),
        cmocka_unit_test(idle_keys_are_skipped_and_do_not_hang),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
