/* Orders of commits: the search against every order tried, with and without pruning, the guess, the
 * replay against the definitions, refutations and their words, certificates. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "checkers/transactions/orders.h"
#include "checkers/transactions/sat.h"
#include "harness/base/clock.h"
#include "harness/base/prng.h"
#include "tests/lib/sanitized.h"
#include "tests/lib/test.h"
#include "tests/lib/txn_small.h"
#include "tests/lib/txn_text.h"

/* A history as far as a search for an order needs it. */
struct subject {
    struct history history;
    struct arena arena;
    struct txns txns;
    struct found found;
    struct inference inference;
    struct orders *orders; /* NULL: some read is of no committed version */
};

static void infer(struct subject *subject)
{
    struct err err = ERR_INIT;
    struct register_options options = {.linearizable = false};
    subject->arena = ARENA_INIT;
    subject->txns = (struct txns){.history = &subject->history, .arena = &subject->arena};
    found_init(&subject->found, &subject->txns);
    subject->inference = (struct inference){.txns = &subject->txns, .found = &subject->found};
    assert_ok(txns_decode(&subject->txns, 1, 0, &err));
    assert_ok(register_infer(&subject->inference, &options, &err));
    bool clean = (found_set(&subject->found) & ORDER_SPOILERS) == 0;
    subject->orders = clean ? orders_make(&subject->inference, &subject->arena) : NULL;
}

static void end(struct subject *subject)
{
    found_free(&subject->found);
    arena_free(&subject->arena);
    history_free(&subject->history);
}

static void set_form(struct subject *subject, int which)
{
    subject->orders->snapshots = which % 2 != 0;
    subject->orders->form = (enum order_form)(which / 2);
}
enum { FORMS = 6 };

static const struct order_budget plenty = {INT64_MAX, 0};
/* So little that nothing can be pruned: everything is left to the solver. */
static const struct order_budget unpruned = {INT64_MAX, 128};

/* ---- Random histories, larger than what the definitions can judge ---- */

enum { MADE_MAX = 14, KEYS_MAX = 4 };

/* Text for txn_history: a store with snapshots that are `lag` commits old, and blind writes. Of
 * `twisted` of a hundred reads another value is told. */
static void make_text(struct prng *prng, struct buf *text)
{
    int count = 6 + (int)prng_below(prng, MADE_MAX - 5), keys = 2 + (int)prng_below(prng, 3);
    int states[MADE_MAX + 1][KEYS_MAX] = {{0}}, written[KEYS_MAX] = {0}, ends[MADE_MAX];
    uint64_t lag = prng_below(prng, 4), twisted = prng_below(prng, 3) == 0 ? 8 : 0;
    struct buf lines[MADE_MAX];
    for (int t = 0; t < count; t++) {
        struct buf *line = &lines[t];
        int *now = states[t + 1], own[KEYS_MAX];
        uint64_t back = prng_below(prng, lag + 1);
        memcpy(own, states[back > (uint64_t)t ? 0 : t - (int)back], sizeof own);
        memcpy(now, states[t], sizeof own);
        *line = (struct buf)BUF_INIT;
        buf_add_text(line, "[");
        for (uint64_t m = 1 + prng_below(prng, 3); m > 0; m--) {
            int key = (int)prng_below(prng, (uint64_t)keys);
            if (prng_below(prng, 2) == 0) {
                now[key] = own[key] = ++written[key];
                buf_printf(line, "[:w %d %d]", key, own[key]);
            } else {
                if (prng_below(prng, 100) < twisted && written[key] > 0)
                    own[key] = 1 + (int)prng_below(prng, (uint64_t)written[key]);
                buf_printf(line, own[key] == 0 ? "[:r %d nil]" : "[:r %d %d]", key, own[key]);
            }
        }
        buf_add_text(line, "]");
    }
    /* Each is invoked before up to two of its forerunners complete. */
    for (int t = 0, done = 0; t < count || done < count;) {
        if (t < count && t - done < 3 && (t == done || prng_below(prng, 2) == 0)) {
            ends[t] = t % 5;
            buf_printf(text, "%d invoke %s\n", ends[t], buf_text(&lines[t]));
            t++;
        } else {
            buf_printf(text, "%d ok %s\n", ends[done], buf_text(&lines[done]));
            done++;
        }
    }
    for (int t = 0; t < count; t++)
        buf_free(&lines[t]);
}

struct counts {
    uint64_t yes, no, open, guessed, shrunk;
};

static void compare(struct subject *subject, const char *text, int which, struct counts *counts)
{
    struct orders *orders = subject->orders;
    struct order_found found;
    bool *core;
    const char *why;
    set_form(subject, which);
    enum order_answer truth = orders_try_all(orders, 400000);
    if (truth == ORDER_OPEN) {
        counts->open++;
        return;
    }
    for (int unaided = 0; unaided < 2; unaided++) {
        enum order_answer answer = orders_solve(orders, unaided != 0 ? &unpruned : &plenty,
                                                &subject->arena, &found, &core, &why);
        if (answer != truth || (answer == ORDER_YES && !orders_replay(orders, &found)))
            fail_msg("%s %d: %d by every order, %d by the search%s\n%s",
                     orders->snapshots ? "snapshots" : "serial", orders->form, truth, answer,
                     unaided != 0 ? " without pruning" : "", text);
    }
    counts->yes += truth == ORDER_YES;
    counts->no += truth == ORDER_NO;
    orders->snapshots = false;
    bool guessed = orders_guess(orders, NULL, &subject->arena, &found);
    counts->guessed += guessed;
    if (guessed && (truth != ORDER_YES || !orders_replay(orders, &found)))
        fail_msg("guessed an order that is none\n%s", text);
    set_form(subject, which);
    if (truth != ORDER_NO)
        return;
    struct orders *small = orders_shrink(orders, &plenty, &subject->arena);
    counts->shrunk += small->count < orders->count;
    if (orders_try_all(small, 400000) != ORDER_NO)
        fail_msg("what is left of a refutation has an order\n%s", text);
    for (uint32_t i = 0; i < small->count; i++) { /* none can be left out */
        bool keep[MADE_MAX + KEYS_MAX];
        memset(keep, true, sizeof keep);
        keep[i] = false;
        if (orders_try_all(orders_part(small, keep, &subject->arena), 400000) != ORDER_YES)
            fail_msg("a refutation is larger than it need be\n%s", text);
    }
}

static void search_agrees_with_every_order(void **state)
{
    (void)state;
    enum { CASES = SANITIZED ? 300 : 2000 };
    struct counts counts = {0};
    for (uint64_t seed = 0; seed < CASES; seed++) {
        struct prng prng = prng_stream(seed, "orders");
        struct buf text = BUF_INIT;
        struct subject subject;
        make_text(&prng, &text);
        txn_history(buf_text(&text), &subject.history);
        infer(&subject);
        for (int which = 0; subject.orders != NULL && which < FORMS; which++)
            compare(&subject, buf_text(&text), which, &counts);
        end(&subject);
        buf_free(&text);
    }
    print_message(
        "%llu have an order, %llu have none, %llu open; %llu guessed, %llu made smaller\n",
        (unsigned long long)counts.yes, (unsigned long long)counts.no,
        (unsigned long long)counts.open, (unsigned long long)counts.guessed,
        (unsigned long long)counts.shrunk);
    assert_true(counts.yes > CASES && counts.no > CASES && counts.guessed > CASES / 2);
    assert_true(counts.shrunk > counts.no / 2 && counts.open < CASES / 20);
}

/* ---- The two that check answers, against the definitions ---- */

/* Whether some order of commits and snapshots is one, by the replay. */
static bool some_replay(const struct orders *orders, struct order_found *found, uint32_t place,
                        unsigned used)
{
    if (place == orders->count)
        return orders_replay(orders, found);
    for (uint32_t i = 0; i < orders->count; i++)
        for (uint32_t seen = orders->snapshots ? 0 : place; (used >> i & 1) == 0 && seen <= place;
             seen++) {
            found->commits[place] = i;
            found->seen[place] = seen;
            if (some_replay(orders, found, place + 1, used | 1U << i))
                return true;
        }
    return false;
}

static void replay_and_trial_are_the_definitions(void **state)
{
    (void)state;
    enum { CASES = SANITIZED ? 500 : 3000 };
    uint64_t yes = 0, no = 0;
    for (uint64_t seed = 0; seed < CASES; seed++) {
        struct prng prng = prng_stream(seed, "replay");
        struct err err = ERR_INIT;
        struct small small;
        struct subject subject;
        small_random(&prng, &small, true);
        small_history(&small, true, &subject.history);
        assert_ok(history_pair(&subject.history, &err));
        infer(&subject);
        for (int which = 0; subject.orders != NULL && !small_unwritten(&small) && which < FORMS;
             which++) {
            uint32_t commits[SMALL_TXNS], seen[SMALL_TXNS];
            struct order_found found = {commits, seen};
            enum small_order order = (enum small_order)(which / 2);
            set_form(&subject, which);
            bool holds = subject.orders->snapshots ? small_snapshot(&small, true, order)
                                                   : small_serializable(&small, true, order);
            bool replayed = some_replay(subject.orders, &found, 0, 0);
            enum order_answer tried = orders_try_all(subject.orders, 100000);
            if (holds != replayed || (tried == ORDER_YES) != holds || tried == ORDER_OPEN) {
                small_print(&small, true);
                fail_msg("form %d: by definition %d, by replay %d, by trial %d", which, holds,
                         replayed, tried);
            }
            yes += holds;
            no += !holds;
        }
        end(&subject);
    }
    print_message("%llu have an order, %llu have none\n", (unsigned long long)yes,
                  (unsigned long long)no);
    assert_true(yes > CASES && no > CASES / 10);
}

/* ---- Budgets ---- */

/* n transactions that write all of two keys blindly, n that read them crosswise. */
static char *make_hard(int n)
{
    struct buf text = BUF_INIT;
    for (int t = 0; t < 2 * n; t++)
        buf_printf(&text, "%d invoke %s\n", t, t < n ? "[[:w 1 0]]" : "[[:r 1 nil]]");
    for (int t = 0; t < n; t++)
        buf_printf(&text, "%d ok [[:w 1 %d] [:w 2 %d]]\n", t, t + 1, t + 1);
    for (int t = 0; t < n; t++)
        buf_printf(&text, "%d ok [[:r 1 %d] [:w 3 %d]]\n", n + t, t + 1, t + 1);
    return buf_take(&text);
}

static void a_budget_ends_the_search(void **state)
{
    (void)state;
    struct subject subject;
    struct order_found found;
    bool *core;
    const char *why = NULL;
    char *text = make_hard(60);
    txn_history(text, &subject.history);
    infer(&subject);
    const struct order_budget no_time = {clock_monotonic_ns() - 1, 0};
    assert_int_equal(orders_solve(subject.orders, &no_time, &subject.arena, &found, &core, &why),
                     ORDER_OPEN);
    assert_contains(why, "time ran out");
    assert_int_equal(orders_solve(subject.orders, &unpruned, &subject.arena, &found, &core, &why),
                     ORDER_OPEN);
    assert_contains(why, "more pairs of writers of one key than memory allows");
    assert_int_equal(orders_solve(subject.orders, &plenty, &subject.arena, &found, &core, &why),
                     ORDER_YES);
    assert_true(orders_replay(subject.orders, &found));
    end(&subject);
    free(text);
}

static void the_solver_ends_in_time(void **state)
{
    (void)state;
    /* Eleven pigeons and ten holes, which take it far longer than that. */
    enum { PIGEONS = 11, HOLES = 10 };
    int64_t begun = clock_monotonic_ns();
    struct sat *sat = sat_open(begun + 100000000);
    for (int pigeon = 0; pigeon < PIGEONS; pigeon++) {
        for (int hole = 0; hole < HOLES; hole++)
            sat_add(sat, pigeon * HOLES + hole + 1);
        sat_add(sat, 0);
        for (int other = 0; other < pigeon; other++)
            for (int hole = 0; hole < HOLES; hole++) {
                sat_add(sat, -(pigeon * HOLES + hole + 1));
                sat_add(sat, -(other * HOLES + hole + 1));
                sat_add(sat, 0);
            }
    }
    assert_int_equal(sat_solve(sat), SAT_OPEN);
    assert_true(clock_monotonic_ns() - begun < INT64_C(30) * NS_PER_SECOND);
    sat_close(sat);
}

/* ---- What is told ---- */

/* A long fork: nothing says which of 1 and 2 was written first, and neither can have been. */
#define LONG_FORK                                                                                  \
    "0 invoke [[:w 1 1]]\n1 invoke [[:w 1 2]]\n2 invoke [[:r 1 nil]]\n3 invoke [[:r 1 nil]]\n"     \
    "4 invoke [[:r 1 nil]]\n5 invoke [[:r 1 nil]]\n6 invoke [[:w 9 9]]\n"                          \
    "0 ok [[:w 1 1]]\n1 ok [[:w 1 2]]\n"                                                           \
    "2 ok [[:r 1 1] [:w 2 1]]\n3 ok [[:r 1 2] [:w 2 2]]\n"                                         \
    "4 ok [[:r 1 1] [:r 2 2]]\n5 ok [[:r 1 2] [:r 2 1]]\n6 ok [[:w 9 9]]"

static void a_refutation_is_told_step_by_step(void **state)
{
    (void)state;
    struct txn_verdict verdict = txn_check(LONG_FORK, "level=serializable dot=true");
    assert_int_equal(verdict.verdict, VERDICT_INVALID);
    assert_string_equal(verdict.types, "no-snapshot-order");
    const struct json *anomaly = json_at(verdict.anomalies, 0);
    const char *text = json_as_text(json_get(anomaly, "text"), "");
    assert_contains(text, "of key 1, T1's write of 1 comes before T2's write of 2, for otherwise ");
    assert_contains(text, "T5's snapshot < T2's commit (T5 read T1's write of 1 to key 1, which is "
                          "before T2's write of 2): a contradiction!");
    assert_int_equal(json_count(json_get(anomaly, "transactions")), 6); /* not T7 */
    assert_int_equal(json_count(json_get(anomaly, "steps")), 2);
    assert_contains(json_as_text(json_get(anomaly, "dot"), ""), "T2 -> T4 [label=\"wr\\l");
    txn_verdict_free(&verdict);
}

/* Either order of the writes of key 1 is refuted by its own circle, through keys of its own. */
static void what_is_open_is_supposed(void **state)
{
    (void)state;
    struct buf text = BUF_INIT;
    static const char *const done[] = {
        "[[:w 1 1] [:w 4 1]]", "[[:w 1 2] [:w 5 1]]", "[[:w 2 1] [:w 4 2]]", "[[:w 2 2] [:w 5 2]]",
        "[[:r 1 1] [:r 2 2]]", "[[:r 1 2] [:r 2 1]]", "[[:r 4 1] [:r 2 1]]", "[[:r 4 2] [:r 1 1]]",
        "[[:r 5 1] [:r 2 2]]", "[[:r 5 2] [:r 1 2]]",
    };
    enum { COUNT = sizeof done / sizeof done[0] };
    for (int t = 0; t < COUNT; t++)
        buf_printf(&text, "%d invoke [[:r 1 nil]]\n", t);
    for (int t = 0; t < COUNT; t++)
        buf_printf(&text, "%d ok %s\n", t, done[t]);
    struct txn_verdict verdict = txn_check(buf_text(&text), "level=serializable");
    assert_int_equal(verdict.verdict, VERDICT_INVALID);
    const char *told = json_as_text(json_get(json_at(verdict.anomalies, 0), "text"), "");
    assert_contains(told, "a contradiction!");
    assert_null(strstr(told, "every order of these was tried"));
    txn_verdict_free(&verdict);
    buf_free(&text);
}

static void an_order_is_a_proof(void **state)
{
    (void)state;
    static const char *const levels[] = {"level=serializable", "level=strict-serializable",
                                         "level=repeatable-read", "level=snapshot-isolation"};
    for (size_t i = 0; i < sizeof levels / sizeof *levels; i++) {
        struct txn_verdict verdict =
            txn_check("0 [[:w 1 1]]\n1 [[:r 1 1] [:w 1 2]]\n2 [[:r 1 2]]", levels[i]);
        assert_int_equal(verdict.verdict, VERDICT_VALID);
        assert_contains(verdict.reason, "an order of commits that explains every read was found");
        txn_verdict_free(&verdict);
    }
}

static void without_the_search_nothing_is_said(void **state)
{
    (void)state;
    struct txn_verdict verdict = txn_check(LONG_FORK, "level=serializable orders=false");
    assert_int_equal(verdict.verdict, VERDICT_VALID);
    assert_contains(verdict.reason, "this is no proof");
    txn_verdict_free(&verdict);
}

/* ---- Certificates ---- */

static void certify(const char *transactions, const char *level, struct buf *out)
{
    struct history history;
    const struct checker *checker = checker_find("transactions");
    txn_history(transactions, &history);
    struct check_input input = {.history = &history, .limits = {.threads = 1}, .certificate = out};
    input.options.values = json_object();
    json_set_text(input.options.values, "transactions.level", level);
    option_defaults(&input.options, checker->name, checker->options);
    struct check_result result = {.details = json_object(), .anomalies = json_array()};
    checker->check(&input, &result);
    json_free(result.details);
    json_free(result.anomalies);
    buf_free(&result.reason);
    json_free(input.options.values);
    history_free(&history);
}

static void expect_proof(const char *transactions, const char *text, enum verdict verdict,
                         const char *part)
{
    struct history history;
    txn_history(transactions, &history);
    struct check_input input = {.history = &history, .limits = {.threads = 1}};
    struct check_result result = {.verdict = VERDICT_VALID, .reason = BUF_INIT};
    checker_find("transactions")->verify(&input, text, &result);
    assert_contains(buf_text(&result.reason), part);
    assert_int_equal(result.verdict, verdict);
    buf_free(&result.reason);
    history_free(&history);
}

#define SKEW                                                                                       \
    "0 invoke [[:r 1 nil]]\n1 invoke [[:r 1 nil]]\n"                                               \
    "0 ok [[:r 1 nil] [:r 2 nil] [:w 1 1]]\n1 ok [[:r 1 nil] [:r 2 nil] [:w 2 1]]\n2 [[:r 1 1]]"

static void certificates_are_proved(void **state)
{
    (void)state;
    struct buf text = BUF_INIT;
    certify(SKEW, "strong-snapshot-isolation", &text);
    assert_contains(buf_text(&text), "order snapshot real-time\n");
    expect_proof(SKEW, buf_text(&text), VERDICT_VALID, "explains every read and keeps real time");
    expect_proof(LONG_FORK, buf_text(&text), VERDICT_UNKNOWN, "it is of a history of 6 events");
    buf_free(&text);
    certify(LONG_FORK, "serializable", &text);
    expect_proof(LONG_FORK, buf_text(&text), VERDICT_INVALID, "of the 6 transactions was tried");
    buf_free(&text);
}

static void what_is_no_certificate_proves_nothing(void **state)
{
    (void)state;
    static const struct {
        const char *rest, *part;
    } cases[] = {
        {"order snapshot data\n2 0\n3 0\n5 0\n", "does not explain every read"}, /* nil, not 1 */
        {"order serial data\n2\n3\n5\n", "does not explain every read"},
        {"order snapshot data\n2 0\n3 0\n", "it orders 2 transactions, and 3 committed"},
        {"order snapshot data\n2 0\n3 0\n3 1\n", "does not explain every read"},
        {"order snapshot data\n2 0\n3 0\n1 1\n", "line 7 names no committed transaction"},
        {"order snapshot data\n2 0\n3 0\n99 1\n", "line 7 names no committed transaction"},
        {"none snapshot data\n2\n3\n", "the transactions it names have an order"},
        {"none serial data\n2\n", "the transactions it names have an order"},
        {"none serial\n2\n", "line 4 claims nothing"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[256];
        snprintf(text, sizeof text, "ordeal certificate 1: transactions\ninitial nil\nevents 6\n%s",
                 cases[i].rest);
        expect_proof(SKEW, text, VERDICT_UNKNOWN, cases[i].part);
    }
    expect_proof(SKEW, "ordeal certificate 1: transactions\n", VERDICT_UNKNOWN, "not proved");
    expect_proof(
        SKEW, "ordeal certificate 1: transactions\ninitial nil\nevents 6\nnone serial data\n2\n3\n",
        VERDICT_INVALID, "every order of commits of the 2 transactions was tried");
    expect_proof(SKEW,
                 "ordeal certificate 1: transactions\ninitial nil\nevents 6\norder snapshot "
                 "data\n2 0\n3 0\n5 1\n",
                 VERDICT_VALID, "explains every read");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(search_agrees_with_every_order),
        cmocka_unit_test(replay_and_trial_are_the_definitions),
        cmocka_unit_test(a_budget_ends_the_search),
        cmocka_unit_test(the_solver_ends_in_time),
        cmocka_unit_test(a_refutation_is_told_step_by_step),
        cmocka_unit_test(what_is_open_is_supposed),
        cmocka_unit_test(an_order_is_a_proof),
        cmocka_unit_test(without_the_search_nothing_is_said),
        cmocka_unit_test(certificates_are_proved),
        cmocka_unit_test(what_is_no_certificate_proves_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
