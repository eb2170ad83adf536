/* What the delivery checker measures beside its verdicts, on a history whose numbers are worked out
 * here by hand. Times in the history are milliseconds; which bound each number is:
 * docs/delivery.md. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "checkers/delivery/backlog.h"
#include "harness/base/prng.h"
#include "harness/checker.h"
#include "harness/histories/history_io.h"
#include "tests/lib/test.h"

struct step {
    int ms;
    const char *type;
    int process;
    const char *f, *value;
};

/* Message 1 is acknowledged, 2 is delayed and may be, 3 stays, 4 expires, 5 goes at most once, 6
 * was refused. */
static const struct step steps[] = {
    {0, "invoke", 0, "enqueue", "{:message 1 :queue \"q\"}"},
    {10, "ok", 0, "enqueue", "{:message 1 :queue \"q\"}"},
    {20, "invoke", 1, "dequeue", "{:queue \"q\"}"},
    {30, "ok", 1, "dequeue", "{:message 1 :queue \"q\" :delivery 11}"},
    {50, "invoke", 1, "ack", "{:message 1 :delivery 11}"},
    {60, "ok", 1, "ack", "{:message 1 :delivery 11}"},
    {70, "invoke", 0, "enqueue", "{:message 2 :queue \"q\" :delay 100}"},
    {80, "ok", 0, "enqueue", "{:message 2 :queue \"q\" :delay 100}"},
    {250, "invoke", 2, "dequeue", "{:queue \"q\"}"},
    {260, "ok", 2, "dequeue", "{:message 2 :queue \"q\" :delivery 12}"},
    {270, "invoke", 2, "ack", "{:message 2 :delivery 12}"},
    {280, "info", 2, "ack", "{:message 2 :delivery 12}"},
    {300, "invoke", 0, "enqueue", "{:message 3 :queue \"q\"}"},
    {310, "ok", 0, "enqueue", "{:message 3 :queue \"q\"}"},
    {400, "invoke", 0, "enqueue", "{:message 4 :queue \"q\" :ttl 200}"},
    {410, "ok", 0, "enqueue", "{:message 4 :queue \"q\" :ttl 200}"},
    {500, "invoke", 0, "enqueue", "{:message 5 :queue \"q\" :retry 0}"},
    {510, "ok", 0, "enqueue", "{:message 5 :queue \"q\" :retry 0}"},
    {520, "invoke", 3, "dequeue", "{:queue \"q\"}"},
    {530, "ok", 3, "dequeue", "{:message 5 :queue \"q\" :delivery 13}"},
    {600, "invoke", 0, "enqueue", "{:message 6 :queue \"q\"}"},
    {1000, "fail", 0, "enqueue", "{:message 6 :queue \"q\"}"},
};

static struct json *judged(void)
{
    struct history history;
    struct err err = ERR_INIT;
    FILE *file = fopen("facts.edn", "w");
    assert_non_null(file);
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++)
        fprintf(file, "{:index %zu, :time %lld, :type :%s, :process %d, :f :%s, :value %s}\n", i,
                steps[i].ms * 1000000LL, steps[i].type, steps[i].process, steps[i].f,
                steps[i].value);
    fclose(file);
    assert_ok(history_load("facts.edn", NULL, &history, NULL, &err));
    assert_ok(history_pair(&history, &err));
    struct json *options = json_object();
    option_defaults(&(struct options){options}, "delivery", checker_find("delivery")->options);
    struct check_input input = {
        .history = &history, .limits = {.threads = 1}, .options = {options}};
    enum verdict verdict;
    struct json *results = check_all((const char *const[]){"delivery"}, 1, &input, &verdict);
    json_free(options);
    history_free(&history);
    remove("facts.edn");
    return results;
}

static const struct json *facts_of(const struct json *results)
{
    return json_get(json_get(json_get(results, "checkers"), "delivery"), "facts");
}

static int64_t number(const struct json *object, const char *key)
{
    return json_as_int(json_get(object, key), -1);
}

static void how_long_messages_were_there(void **state)
{
    (void)state;
    struct json *results = judged();
    const struct json *backlog = json_get(facts_of(results), "backlog"),
                      *age = json_get(backlog, "age");
    /* 1: 50 - 10; 2: 270 - (80 + 100); 3: 1000 - 310; 4: (400 + 200) - 410; 5: 520 - 510 */
    assert_int_equal(number(age, "count"), 5);
    assert_int_equal(number(age, "min-ns"), 10 * 1000000);
    assert_int_equal(number(age, "max-ns"), 690 * 1000000);
    int64_t middle = number(age, "p50-ns"); /* of 10 40 90 190 690, to 3 % */
    assert_in_range(middle, 90 * 1000000, 93 * 1000000);
    assert_int_equal(number(backlog, "unfinished-count"), 1);
    assert_int_equal(number(backlog, "oldest-unfinished-ns"), 690 * 1000000);
    json_free(results);
}

/* At 0, 5, 10 ... 1000 ms. 1 waits from 10 to 50, 2 from 180 to 270, 3 from 310 on, 4 from 410 to
 * 600, 5 from 510 to 520; 6 was refused. */
static void how_many_waited_when(void **state)
{
    static const struct {
        int ms, depth, oldest_ms;
    } wanted[] = {{0, 0, 0},     {5, 0, 0},     {10, 1, 0},    {45, 1, 35},   {50, 0, 0},
                  {175, 0, 0},   {180, 1, 0},   {265, 1, 85},  {270, 0, 0},   {310, 1, 0},
                  {405, 1, 95},  {410, 2, 100}, {510, 3, 200}, {515, 3, 205}, {520, 2, 210},
                  {595, 2, 285}, {600, 1, 290}, {1000, 1, 690}};
    (void)state;
    struct json *results = judged();
    const struct json *backlog = json_get(facts_of(results), "backlog"),
                      *moments = json_get(backlog, "moments"), *depth = json_get(moments, "depth"),
                      *oldest = json_get(moments, "oldest-ns");
    assert_int_equal(number(moments, "from-ns"), 0);
    assert_int_equal(number(moments, "to-ns"), 1000 * 1000000);
    assert_int_equal(json_count(depth), 201);
    assert_int_equal(json_count(oldest), 201);
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
        size_t k = (size_t)wanted[i].ms / 5;
        assert_int_equal(json_as_int(json_at(depth, k), -1), wanted[i].depth);
        assert_int_equal(json_as_int(json_at(oldest, k), -1), wanted[i].oldest_ms * 1000000LL);
    }
    json_free(results);
}

/* Against counting at every moment. */
static void the_backlog_is_that_of_plain_counting(void **state)
{
    enum { MESSAGES = 300, ROUNDS = 50 };
    struct prng prng = prng_stream(7, "backlog");
    (void)state;
    for (int round = 0; round < ROUNDS; round++) {
        int64_t ready[MESSAGES], done[MESSAGES], end = 1 + (int64_t)prng_below(&prng, 3000);
        struct backlog *backlog = calloc(1, sizeof *backlog);
        assert_non_null(backlog);
        backlog_begin(backlog, 17, 17 + end);
        for (int i = 0; i < MESSAGES; i++) {
            ready[i] = 17 + (int64_t)prng_below(&prng, (uint64_t)end + 50);
            done[i] = prng_below(&prng, 8) == 0
                          ? INT64_MAX
                          : ready[i] + (int64_t)prng_below(
                                           &prng, 1 + (uint64_t)end / (1 + prng_below(&prng, 9)));
            backlog_add(backlog, ready[i], done[i]);
        }
        struct json *told = json_object();
        backlog_describe(backlog, told);
        const struct json *moments = json_get(told, "moments"),
                          *depth = json_first(json_get(moments, "depth")),
                          *oldest = json_first(json_get(moments, "oldest-ns"));
        for (int64_t k = 0; k <= BACKLOG_STEPS;
             k++, depth = json_next(depth), oldest = json_next(oldest)) {
            int64_t at = 17 + end * k / BACKLOG_STEPS, waiting = 0, age = 0;
            for (int i = 0; i < MESSAGES; i++)
                if (ready[i] <= at && at < done[i]) {
                    waiting++;
                    age = at - ready[i] > age ? at - ready[i] : age;
                }
            assert_int_equal(json_as_int(depth, -1), waiting);
            assert_int_equal(json_as_int(oldest, -1), age);
        }
        json_free(told);
        free(backlog);
    }
}

static void how_long_until_delivered_and_acknowledged(void **state)
{
    (void)state;
    struct json *results = judged();
    const struct json *facts = facts_of(results), *finish = json_get(facts, "finish-latency"),
                      *latency = json_get(facts, "delivery-latency"),
                      *late = json_get(facts, "delay-lateness");
    assert_int_equal(number(finish, "count"), 1); /* only 1 was certainly acknowledged: 60 - 0 */
    assert_int_equal(number(finish, "max-ns"), 60 * 1000000);
    assert_int_equal(number(latency, "count"), 3); /* 1: 30 - 0; 2: 260 - 70; 5: 530 - 500 */
    assert_int_equal(number(latency, "min-ns"), 30 * 1000000);
    assert_int_equal(number(latency, "max-ns"), 190 * 1000000);
    assert_int_equal(number(late, "count"), 1); /* 2: 250 - (80 + 100) */
    assert_int_equal(number(late, "max-ns"), 70 * 1000000);
    json_free(results);
}

static void what_each_consumer_took(void **state)
{
    (void)state;
    static const int expected[][3] = {{1, 1, 1}, {2, 1, 0}, {3, 1, 0}};
    struct json *results = judged();
    const struct json *consumers = json_get(facts_of(results), "consumers");
    assert_int_equal(number(consumers, "count"), 3);
    size_t i = 0;
    for (const struct json *one = json_first(json_get(consumers, "shares")); one != NULL;
         one = json_next(one), i++) {
        assert_true(i < 3);
        assert_int_equal(number(one, "process"), expected[i][0]);
        assert_int_equal(number(one, "deliveries"), expected[i][1]);
        assert_int_equal(number(one, "acks"), expected[i][2]);
    }
    assert_int_equal(i, 3);
    assert_int_equal(number(consumers, "least-deliveries"), 1);
    assert_int_equal(number(consumers, "most-deliveries"), 1);
    json_free(results);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(how_long_messages_were_there),
        cmocka_unit_test(how_many_waited_when),
        cmocka_unit_test(the_backlog_is_that_of_plain_counting),
        cmocka_unit_test(how_long_until_delivered_and_acknowledged),
        cmocka_unit_test(what_each_consumer_took),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
