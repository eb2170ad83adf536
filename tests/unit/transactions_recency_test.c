/* Recency: how old what was read had become at least, by hand and on random histories against the
 * definition, all writes and reads looked at. */
#include <stdio.h>
#include <string.h>

#include "harness/base/prng.h"
#include "harness/histories/edn.h"
#include "tests/lib/test.h"
#include "tests/lib/txn_text.h"

/* Events are 1 ms apart. */
static const struct {
    const char *name, *transactions;
    int64_t reads, stale, least_ms, most_ms;
} cases[] = {
    {"what is newest", "0 [[:append 1 1]]\n1 [[:r 1 [1]]]", 1, 0, 0, 0},
    {"a write that was complete", "0 [[:append 1 1]]\n1 [[:r 1 nil]]\n1 [[:r 1 [1]]]", 2, 1, 1, 1},
    {"one that nobody ever read", "0 [[:append 1 1]]\n2 [[:append 2 1]]\n1 [[:r 1 nil]]", 1, 1, 3,
     3},
    {"from the first of those that were missed",
     "0 [[:append 1 1]]\n0 [[:append 1 2]]\n1 [[:r 1 nil]]\n1 [[:r 1 [1]]]\n1 [[:r 1 [1 2]]]", 3, 2,
     3, 3},
    {"one that was not complete yet",
     "0 invoke [[:append 1 1]]\n1 invoke [[:r 1 nil]]\n0 ok [[:append 1 1]]\n1 ok [[:r 1 nil]]\n"
     "1 [[:r 1 [1]]]",
     2, 0, 0, 0},
    {"an unknown one, since somebody saw it",
     "0 info [[:append 1 1]]\n1 [[:r 1 [1]]]\n2 [[:r 1 nil]]", 2, 1, 1, 1},
    {"an unknown one that nobody saw", "0 info [[:append 1 1]]\n1 [[:r 1 nil]]\n2 [[:r 1 nil]]", 2,
     0, 0, 0},
    {"one's own append is no news", "0 [[:append 1 1]]\n1 [[:append 1 2] [:r 1 [2]]]", 0, 0, 0, 0},
    {"lists that contradict each other",
     "0 [[:append 1 1]]\n0 [[:append 1 2]]\n1 [[:r 1 [1]]]\n1 "
     "[[:r 1 [2 1]]]\n1 [[:r 1 nil]]",
     0, 0, 0, 0},
    {"registers: the initial value", "0 [[:w 1 1]]\n1 [[:r 1 nil]]", 1, 1, 1, 1},
    {"registers: an older write", "0 [[:w 1 1]]\n0 [[:w 1 2]]\n1 [[:r 1 1]]", 1, 1, 1, 1},
    {"registers: two that overlap have no order",
     "0 invoke [[:w 1 1]]\n1 invoke [[:w 1 2]]\n0 ok [[:w 1 1]]\n1 ok [[:w 1 2]]\n"
     "2 [[:r 1 1]]\n2 [[:r 1 2]]",
     2, 0, 0, 0},
    {"registers: seen before the other began",
     "0 invoke [[:w 1 1]]\n1 [[:r 1 1]]\n2 [[:w 1 2]]\n3 [[:r 1 1]]\n0 ok [[:w 1 1]]", 2, 1, 1, 1},
    {"registers: an unknown one, since somebody saw it",
     "0 [[:w 1 1]]\n1 info [[:w 1 2]]\n2 [[:r 1 2]]\n3 [[:r 1 1]]", 2, 1, 1, 1},
    {"registers: own writes are no news", "0 [[:w 1 1]]\n0 [[:w 1 2] [:r 1 2]]\n1 [[:r 1 2]]", 1, 0,
     0, 0},
};

static int64_t number(const struct json *object, const char *name)
{
    return json_as_int(json_get(object, name), 0);
}

static void ages_are_certain(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct txn_verdict verdict = txn_check(cases[i].transactions, NULL);
        const struct json *recency = json_get(verdict.details, "recency");
        const struct json *age = json_get(recency, "age");
        if (number(recency, "read-count") != cases[i].reads ||
            number(recency, "stale-count") != cases[i].stale ||
            number(age, "min-ns") < cases[i].least_ms * 1000000 ||
            number(age, "max-ns") != cases[i].most_ms * 1000000) {
            struct buf text = BUF_INIT;
            json_print(verdict.details, JSON_PRETTY, &text);
            fail_msg("%s: %s", cases[i].name, buf_text(&text));
        }
        txn_verdict_free(&verdict);
    }
}

static void the_oldest_is_shown(void **state)
{
    (void)state;
    struct txn_verdict verdict = txn_check(
        "0 [[:append 7 1]]\n2 [[:append 8 1]]\n1 [[:r 8 [1]] [:r 7 nil]]\n1 [[:r 7 [1]]]", NULL);
    const struct json *oldest = json_get(json_get(verdict.details, "recency"), "oldest");
    assert_string_equal(json_as_text(json_get(oldest, "key"), ""), "7");
    assert_string_equal(json_as_text(json_get(oldest, "read"), ""), "nil");
    assert_int_equal(number(oldest, "age-ns"), 3000000);
    assert_int_equal(number(oldest, "missed-event"), 1);
    assert_int_equal(number(oldest, "event"), 5);
    txn_verdict_free(&verdict);
}

/* ---- Against the definition ---- */

enum { TXNS = 14, CASES = 3000 };

/* One micro-operation on key 1 each, on a list or a register; the i-th transaction writes i + 1. */
struct small {
    bool lists, write[TXNS], ok[TXNS];
    int invoked[TXNS], completed[TXNS]; /* events */
    int effect[TXNS];                   /* of a write: its place in the true order, or none */
    int seen[TXNS];                     /* of a read: how many of that order */
    int order[TXNS], order_count;
};

/* Events in random order, invocations before completions; each write takes effect between the two
 * (an unknown one maybe), each read sees any earlier state. */
static void small_random(struct prng *prng, struct small *small, struct buf *text)
{
    int event = 0, next = 0, open[4] = {-1, -1, -1, -1}, names[4] = {0, 1, 2, 3};
    *small = (struct small){.lists = prng_below(prng, 2) == 0};
    const char *write = small->lists ? "append" : "w";
    struct buf value = BUF_INIT;
    for (int idle = 0; idle < 40 && event < 2 * TXNS; idle++) {
        int thread = (int)prng_below(prng, 4), t = open[thread], process = names[thread];
        if (t < 0 && next < TXNS) {
            t = open[thread] = next++;
            small->write[t] = prng_below(prng, 2) == 0;
            small->ok[t] = !small->write[t] || prng_below(prng, 4) > 0;
            small->invoked[t] = event++;
            small->completed[t] = -1;
            small->effect[t] = -1;
            small->seen[t] = small->order_count;
            if (prng_below(prng, 8) == 0)
                small->seen[t] = (int)prng_below(prng, (uint64_t)small->order_count + 1);
            if (small->write[t])
                buf_printf(text, "%d invoke [[:%s 1 %d]]\n", process, write, t + 1);
            else
                buf_printf(text, "%d invoke [[:r 1 nil]]\n", process);
        } else if (t >= 0) {
            if (small->write[t] && (small->ok[t] || prng_below(prng, 2) == 0)) {
                small->effect[t] = small->order_count;
                small->order[small->order_count++] = t;
            }
            buf_clear(&value);
            for (int i = 0; i < small->seen[t] && small->lists; i++)
                buf_printf(&value, "%s%d", i > 0 ? " " : "", small->order[i] + 1);
            if (small->write[t] && small->ok[t])
                buf_printf(text, "%d ok [[:%s 1 %d]]\n", process, write, t + 1);
            else if (small->write[t])
                ; /* it stays open */
            else if (small->lists)
                buf_printf(text, "%d ok [[:r 1 [%s]]]\n", process, buf_text(&value));
            else if (small->seen[t] > 0)
                buf_printf(text, "%d ok [[:r 1 %d]]\n", process,
                           small->order[small->seen[t] - 1] + 1);
            else
                buf_printf(text, "%d ok [[:r 1 nil]]\n", process);
            if (small->ok[t])
                small->completed[t] = event++;
            open[thread] = -1;
            names[thread] += small->ok[t] ? 0 : 4; /* it never goes on */
        }
    }
    for (int t = next; t < TXNS; t++)
        small->invoked[t] = small->completed[t] = -1;
    buf_free(&value);
}

/* The first event after which a write was certainly there; INT32_MAX. */
static int there(const struct small *small, int w)
{
    int event = small->ok[w] && small->completed[w] >= 0 ? small->completed[w] : INT32_MAX;
    for (int r = 0; r < TXNS; r++) {
        if (small->write[r] || small->completed[r] < 0 || small->effect[w] < 0)
            continue;
        bool shows = small->lists ? small->seen[r] > small->effect[w]
                                  : small->seen[r] == small->effect[w] + 1;
        if (shows && small->completed[r] < event)
            event = small->completed[r];
    }
    return event;
}

/* Whether write w certainly came after what read r saw, by the definition. */
static bool after(const struct small *small, int r, int w)
{
    if (small->lists)
        return small->effect[w] >= small->seen[r];
    return small->seen[r] == 0 ||
           small->invoked[w] > there(small, small->order[small->seen[r] - 1]);
}

static void compare(const struct small *small, const struct json *recency, const char *text)
{
    int64_t reads = 0, stale = 0, most_ns = 0, true_most = 0;
    for (int r = 0; r < TXNS; r++) {
        if (small->invoked[r] < 0 || small->write[r] || small->completed[r] < 0)
            continue;
        int first = INT32_MAX;
        reads++;
        for (int w = 0; w < TXNS; w++)
            if (small->invoked[w] >= 0 && small->write[w] && after(small, r, w) &&
                there(small, w) < first)
                first = there(small, w);
        if (first >= small->invoked[r])
            continue;
        stale++;
        int64_t age_ns = (small->invoked[r] - first) * INT64_C(1000000);
        most_ns = age_ns > most_ns ? age_ns : most_ns;
        /* What took effect next can have done so no sooner than it was invoked. */
        int next = small->order[small->seen[r]];
        int64_t true_ns = (small->invoked[r] - small->invoked[next]) * INT64_C(1000000);
        true_most = true_ns > true_most ? true_ns : true_most;
        assert_true(small->seen[r] < small->order_count && age_ns <= true_ns);
    }
    if (number(recency, "read-count") != reads || number(recency, "stale-count") != stale ||
        number(json_get(recency, "age"), "max-ns") != most_ns)
        fail_msg("%lld reads, %lld stale, %lld ns at most, and not so of:\n%s", (long long)reads,
                 (long long)stale, (long long)most_ns, text);
    assert_true(most_ns <= true_most);
}

static void random_histories_agree_with_the_definition(void **state)
{
    (void)state;
    uint64_t stale = 0, fresh = 0;
    for (uint64_t seed = 0; seed < CASES; seed++) {
        struct prng prng = prng_stream(seed, "recency");
        struct small small;
        struct buf text = BUF_INIT;
        small_random(&prng, &small, &text);
        struct txn_verdict verdict = txn_check(buf_text(&text), NULL);
        const struct json *kind = json_get(verdict.details, "kind");
        bool lists = strcmp(json_as_text(kind, ""), "list-append") == 0;
        const struct json *recency = json_get(verdict.details, "recency");
        if (lists == small.lists && recency != NULL) { /* without writes nil may be either */
            compare(&small, recency, buf_text(&text));
            stale += number(recency, "stale-count") > 0;
            fresh += number(recency, "stale-count") == 0;
        }
        txn_verdict_free(&verdict);
        buf_free(&text);
    }
    print_message("# %d histories with stale reads, %d without\n", (int)stale, (int)fresh);
    assert_true(stale > CASES / 8 && fresh > CASES / 8); /* or nothing was shown */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ages_are_certain),
        cmocka_unit_test(the_oldest_is_shown),
        cmocka_unit_test(random_histories_agree_with_the_definition),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
