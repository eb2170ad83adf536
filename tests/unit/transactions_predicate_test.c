/* Closed predicates: what reads of predicates show and do not show, case by case, and on random
 * histories against every serial order. */
#include <stdio.h>
#include <string.h>

#include "harness/base/prng.h"
#include "tests/lib/sanitized.h"
#include "tests/lib/test.h"
#include "tests/lib/txn_text.h"

/* ---- Cases ---- */

#define INIT "init {1 0, 2 0}\n"

static const struct {
    const char *name, *transactions, *types, *set;
} cases[] = {
    {"what matches is shown", INIT "1 [[:rp [:= 0] {1 0, 2 0}]]", "", NULL},
    {"a version that a predicate must have chosen", INIT "1 [[:w 1 5]]\n2 [[:rp [:= 0] {2 0}]]", "",
     NULL},
    {"one that it cannot have chosen yet",
     INIT "1 invoke [[:w 1 5] [:r 3 nil]]\n2 invoke [[:rp [:= 0] nil] [:insert 3 1]]\n"
          "1 ok [[:w 1 5] [:r 3 1]]\n2 ok [[:rp [:= 0] {2 0}] [:insert 3 1]]",
     "G1c", "level=serializable"},
    {"a phantom: neither saw what the other inserted",
     "1 invoke [[:rp :true nil] [:insert 1 1]]\n2 invoke [[:rp :true nil] [:insert 2 1]]\n"
     "1 ok [[:rp :true {}] [:insert 1 1]]\n2 ok [[:rp :true {}] [:insert 2 1]]",
     "G2", "level=serializable"},
    {"which repeatable read allows",
     "1 invoke [[:rp :true nil] [:insert 1 1]]\n2 invoke [[:rp :true nil] [:insert 2 1]]\n"
     "1 ok [[:rp :true {}] [:insert 1 1]]\n2 ok [[:rp :true {}] [:insert 2 1]]",
     "", "level=repeatable-read"},
    {"what does not change a match is no conflict",
     INIT "1 invoke [[:rp [:= 0] nil] [:w 3 1]]\n2 invoke [[:rp [:= 1] nil] [:w 4 2]]\n"
          "1 ok [[:rp [:= 0] {1 0, 2 0}] [:w 3 1]]\n2 ok [[:rp [:= 1] {}] [:w 4 2]]",
     "", "level=serializable"},
    {"a deleted one that is still there", INIT "1 [[:delete 1]]\n2 [[:rp :true {1 0, 2 0}]]",
     "G-single-realtime", NULL},
    {"a deleted one read as nil", INIT "1 [[:delete 1]]\n2 [[:r 1 nil]]", "", NULL},
    {"nil of a key that was made and never deleted", INIT "1 [[:r 1 nil] [:rp [:= 9] {}]]",
     "G-single-item", NULL},
    {"a key that every version of matches is missed",
     INIT "1 [[:w 1 2]]\n2 [[:rp [:mod 2 0] {2 0}]]", "G-single predicate-read-miss", NULL},
    {"a negative rest", "init {1 -3}\n1 [[:rp [:mod 2 1] {1 -3}]]", "", NULL},
    {"its own insertion is not shown", "1 [[:insert 1 1] [:rp :true {}]]", "internal", NULL},
    {"its own deletion is shown", INIT "1 [[:delete 1] [:rp :true {1 0, 2 0}]]", "internal", NULL},
    {"its own write is shown", INIT "1 [[:w 1 7] [:rp [:= 7] {1 7}] [:r 1 7]]", "", NULL},
    {"what failed is shown", INIT "1 fail [[:w 1 7]]\n2 [[:rp [:= 7] {1 7}]]", "G1a", NULL},
    {"what nobody wrote is shown", INIT "1 [[:w 3 7]]\n2 [[:rp [:= 8] {3 8}]]", "garbage-read",
     NULL},
    {"an unknown one that was seen", INIT "1 info [[:w 1 7]]\n2 [[:rp [:= 0] {2 0}]]", "", NULL},
    {"an unknown one that was seen, then not",
     INIT "1 info [[:w 1 7]]\n2 [[:rp [:= 0] {2 0}]]\n3 [[:rp [:= 0] {1 0, 2 0}]]",
     "G-single-realtime", NULL},
    {"an unknown one that nobody saw",
     INIT "1 info [[:w 1 7]]\n2 [[:rp [:= 0] {1 0, 2 0}]]\n3 [[:rp [:= 7] {}]]", "", NULL},
};

static void test_cases(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct txn_verdict verdict = txn_check(cases[i].transactions, cases[i].set);
        enum verdict expected = cases[i].types[0] == '\0' ? VERDICT_VALID : VERDICT_INVALID;
        if (strcmp(verdict.types, cases[i].types) != 0 || verdict.verdict != expected)
            fail_msg("%s: '%s' for '%s': %s", cases[i].name, verdict.types, cases[i].types,
                     verdict.reason);
        txn_verdict_free(&verdict);
    }
}

static void test_words(void **state)
{
    (void)state;
    struct txn_verdict verdict = txn_check(cases[3].transactions, "level=serializable");
    const char *text = json_as_text(json_get(json_at(verdict.anomalies, 0), "text"), "");
    assert_contains(text, "predicate read [:rp :true {}] chose version unborn of key ");
    assert_contains(text, " made it 1, which changes what matches");
    assert_string_equal(json_as_text(json_get(verdict.details, "kind"), ""), "closed-predicate");
    txn_verdict_free(&verdict);
}

/* What the method rests on must be so, or nothing is said. */
static void test_refused(void **state)
{
    (void)state;
    static const struct {
        const char *transactions, *part;
    } refused[] = {
        {INIT "1 [[:w 1 5]]\n2 [[:w 1 6]]\n3 [[:rp :true {}]]", "key 1 is written once more"},
        {INIT "0 [[:rp [:< 3] {}]]", "[:< 3] is no predicate"},
        {"init {1 0}\ninit {2 0}\n1 [[:rp :true {}]]", "there are 2 :init operations"},
        {"1 invoke [[:rp :true {}]]\ninit {1 0}\n1 ok [[:rp :true {}]]", "before :init had made"},
        {"init info {1 0}\n1 [[:rp :true {}]]", ":init is not known to have succeeded"},
        {"1 [[:rp :true {}] [:append 1 1]]", "mixes :append and predicates"},
    };
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        struct txn_verdict verdict = txn_check(refused[i].transactions, NULL);
        assert_contains(verdict.reason, refused[i].part);
        assert_int_equal(verdict.verdict, VERDICT_UNKNOWN);
        txn_verdict_free(&verdict);
    }
}

/* ---- Every serial order ---- */

enum { KEYS = 4, TXNS = 4, MOPS = 3, NOTHING = -1 };

enum f { READ, WRITE, PREDICATE };
struct small_mop {
    enum f f;
    int key, value; /* of a write, or what was read; NOTHING: deleted, not there */
    int predicate;  /* 0: all; 1, 2: the value is 0, 1; 3, 4: it is even, odd */
    int shown[KEYS];
};
struct small_txn {
    struct small_mop mops[MOPS];
    int count, invoked, completed, process;
    bool unknown;
};
struct small {
    int made[KEYS];
    struct small_txn txns[TXNS];
    int count;
};

static bool matches(int predicate, int value)
{
    if (value == NOTHING)
        return false;
    return predicate == 0   ? true
           : predicate <= 2 ? value == predicate - 1
                            : value % 2 == predicate - 3;
}

/* What it does to the state; with `write` its reads are taken from there, else compared. */
static bool run(struct small_txn *txn, int *now, bool write)
{
    for (int m = 0; m < txn->count; m++) {
        struct small_mop *mop = &txn->mops[m];
        if (mop->f == WRITE) {
            now[mop->key] = mop->value;
        } else if (mop->f == READ) {
            if (write)
                mop->value = now[mop->key];
            else if (!txn->unknown && mop->value != now[mop->key])
                return false;
        } else {
            for (int key = 0; key < KEYS; key++) {
                int is = matches(mop->predicate, now[key]) ? now[key] : NOTHING;
                if (write)
                    mop->shown[key] = is;
                else if (!txn->unknown && mop->shown[key] != is)
                    return false;
            }
        }
    }
    return true;
}

static void make(struct prng *prng, struct small *small)
{
    int states[TXNS + 1][KEYS], free_keys[KEYS], left = KEYS, written = 2;
    memset(small, 0, sizeof *small);
    for (int key = 0; key < KEYS; key++) {
        small->made[key] = (int)prng_below(prng, 3) - 1;
        states[0][key] = small->made[key];
        free_keys[key] = key;
    }
    prng_shuffle(prng, free_keys, KEYS, sizeof free_keys[0]);
    small->count = 2 + (int)prng_below(prng, TXNS - 1);
    uint64_t lag = prng_below(prng, 3);
    for (int t = 0; t < small->count; t++) {
        struct small_txn *txn = &small->txns[t];
        txn->count = 1 + (int)prng_below(prng, MOPS);
        txn->unknown = prng_below(prng, 10) == 0;
        for (int m = 0; m < txn->count; m++) {
            struct small_mop *mop = &txn->mops[m];
            mop->f = (enum f)prng_below(prng, 3);
            mop->key = (int)prng_below(prng, KEYS);
            mop->predicate = (int)prng_below(prng, 5);
            if (mop->f == WRITE && left == 0)
                mop->f = PREDICATE;
            if (mop->f != WRITE)
                continue;
            mop->key = free_keys[--left];
            mop->value =
                small->made[mop->key] != NOTHING && prng_below(prng, 2) == 0 ? NOTHING : written++;
        }
        /* Reads of a state some commits ago; writes on top of all. */
        int back = (int)prng_below(prng, lag + 1), snapshot[KEYS];
        memcpy(snapshot, states[back > t ? 0 : t - back], sizeof snapshot);
        run(txn, snapshot, true);
        memcpy(states[t + 1], states[t], sizeof states[t]);
        for (int m = 0; m < txn->count && !(txn->unknown && prng_below(prng, 2) == 0); m++)
            if (txn->mops[m].f == WRITE)
                states[t + 1][txn->mops[m].key] = txn->mops[m].value;
        txn->process = t;
    }
    for (int t = 0, done = 0, time = 0; done < small->count;) {
        if (t < small->count && (t == done || prng_below(prng, 2) == 0))
            small->txns[t++].invoked = time++;
        else
            small->txns[done++].completed = time++;
    }
}

static bool order_from(struct small *small, int *now, unsigned placed, bool real_time)
{
    bool all = true;
    for (int t = 0; t < small->count; t++)
        all = all && (placed >> t & 1 || small->txns[t].unknown);
    for (int t = 0; !all && t < small->count; t++) {
        bool ready = (placed >> t & 1) == 0;
        for (int other = 0; ready && real_time && other < small->count; other++)
            ready = placed >> other & 1 || small->txns[other].unknown ||
                    small->txns[other].completed > small->txns[t].invoked;
        int next[KEYS];
        memcpy(next, now, sizeof next);
        all = ready && run(&small->txns[t], next, false) &&
              order_from(small, next, placed | 1U << t, real_time);
    }
    return all;
}

static void print_txn(const struct small_txn *txn, struct buf *out)
{
    buf_add_text(out, "[");
    for (int m = 0; m < txn->count; m++) {
        static const char *const names[] = {":true", "[:= 0]", "[:= 1]", "[:mod 2 0]",
                                            "[:mod 2 1]"};
        const struct small_mop *mop = &txn->mops[m];
        if (mop->f == PREDICATE) {
            buf_printf(out, "[:rp %s {", names[mop->predicate]);
            for (int key = 0; key < KEYS; key++)
                if (mop->shown[key] != NOTHING)
                    buf_printf(out, "%d %d ", key, mop->shown[key]);
            buf_add_text(out, "}]");
        } else if (mop->f == WRITE && mop->value == NOTHING) {
            buf_printf(out, "[:delete %d]", mop->key);
        } else if (mop->value == NOTHING) {
            buf_printf(out, "[:r %d nil]", mop->key);
        } else {
            buf_printf(out, "[%s %d %d]", mop->f == READ ? ":r" : ":w", mop->key, mop->value);
        }
    }
    buf_add_text(out, "]\n");
}

static void print(const struct small *small, struct buf *out)
{
    buf_add_text(out, "init {");
    for (int key = 0; key < KEYS; key++)
        if (small->made[key] != NOTHING)
            buf_printf(out, "%d %d ", key, small->made[key]);
    buf_add_text(out, "}\n");
    for (int time = 0; time < 2 * small->count; time++)
        for (int t = 0; t < small->count; t++) {
            const struct small_txn *txn = &small->txns[t];
            if (txn->invoked != time && (txn->completed != time || txn->unknown))
                continue; /* an unknown one never completes */
            buf_printf(out, "%d %s ", t,
                       txn->invoked == time ? "invoke"
                       : txn->unknown       ? "info"
                                            : "ok");
            print_txn(txn, out);
        }
}

static void test_orders(void **state)
{
    (void)state;
    enum { CASES = SANITIZED ? 1500 : 10000 };
    uint64_t wrong[2] = {0}, right[2] = {0}, caught[2] = {0};
    for (uint64_t seed = 0; seed < CASES; seed++) {
        struct prng prng = prng_stream(seed, "predicates");
        struct small small;
        struct buf text = BUF_INIT;
        make(&prng, &small);
        print(&small, &text);
        for (int real_time = 0; real_time < 2; real_time++) {
            int now[KEYS];
            memcpy(now, small.made, sizeof now);
            bool holds = order_from(&small, now, 0, real_time != 0);
            struct txn_verdict verdict =
                txn_check(buf_text(&text),
                          real_time != 0 ? "level=strict-serializable" : "level=serializable");
            if (strstr(verdict.reason, "event ") != NULL && verdict.verdict == VERDICT_UNKNOWN)
                fail_msg("%s\n%s", verdict.reason, buf_text(&text));
            if (holds && verdict.verdict == VERDICT_INVALID)
                fail_msg("there is an order: %s\n%s", verdict.reason, buf_text(&text));
            wrong[real_time] += !holds;
            right[real_time] += holds;
            caught[real_time] += verdict.verdict == VERDICT_INVALID;
            txn_verdict_free(&verdict);
        }
        buf_free(&text);
    }
    for (int i = 0; i < 2; i++) {
        print_message("%llu have an order; of %llu that have none %llu were convicted\n",
                      (unsigned long long)right[i], (unsigned long long)wrong[i],
                      (unsigned long long)caught[i]);
        assert_true(right[i] > CASES / 4 && wrong[i] > CASES / 50 && caught[i] > wrong[i] / 2);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_cases), cmocka_unit_test(test_words),
                                       cmocka_unit_test(test_refused),
                                       cmocka_unit_test(test_orders)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
