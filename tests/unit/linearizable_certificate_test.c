/* Certificates prove what they claim, and none proves what is not so, however it was changed. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "checkers/linearizable/certificate.h"
#include "harness/checker.h"
#include "tests/lib/lin_brute.h"
#include "tests/lib/lin_random.h"
#include "tests/lib/ref_problem.h"
#include "tests/lib/sanitized.h"
#include "tests/lib/test.h"

enum { CASES = SANITIZED ? 300 : 6000, KEYS = 3, TAMPERINGS = 6 };

/* Three registers, whose histories are interleaved. */
struct subject {
    struct lin_text_op ops[KEYS * LIN_RANDOM_FEW];
    size_t count;
    bool valid[KEYS];
    struct history history;
};

static void open_subject(struct prng *prng, struct subject *subject)
{
    subject->count = 0;
    for (int key = 0; key < KEYS; key++) {
        struct lin_random random = {.ops = (uint32_t)prng_between(prng, 1, 7),
                                    .clients = 4,
                                    .values = 3,
                                    .info = 0.2,
                                    .cas = 0.3,
                                    .write = 0.3};
        struct lin_text_op *ops = subject->ops + subject->count;
        lin_random_valid(prng, &random, ops);
        if (prng_below(prng, 2) == 0)
            lin_random_spoil(prng, &random, ops);
        subject->valid[key] = lin_brute_valid(ops, random.ops);
        for (uint32_t i = 0; i < random.ops; i++) {
            ops[i].key = key;
            ops[i].process += 100 * key;
            ops[i].invoked = ops[i].invoked * KEYS + key;
            if (ops[i].completed != LIN_TEXT_NO_TIME)
                ops[i].completed = ops[i].completed * KEYS + key;
        }
        subject->count += random.ops;
    }
    lin_text_history(subject->ops, subject->count, &subject->history);
}

/* Judges with a certificate. */
static enum verdict certify(const struct subject *subject, struct buf *certificate)
{
    struct check_input input = {.history = &subject->history,
                                .limits = {.threads = 1},
                                .options = {.values = json_object()},
                                .keyed = KEYED_YES,
                                .certificate = certificate};
    option_defaults(&input.options, "linearizable", checker_find("linearizable")->options);
    enum verdict verdict;
    json_free(check_all((const char *const[]){"linearizable"}, 1, &input, &verdict));
    json_free(input.options.values);
    return verdict;
}

static bool proves(const struct subject *subject, const char *text, uint32_t counts[3],
                   struct buf *trouble)
{
    struct lin_memory memory;
    lin_memory_init(&memory, 0);
    struct lin_budget budget = {.memory = &memory, .deadline_ns = INT64_MAX};
    bool good = lin_certificate_verify(&subject->history, text, &budget, counts, trouble);
    assert_int_equal(atomic_load(&memory.used_bytes), 0);
    return good;
}

/* Changes a character into one that certificates are made of, swaps two or takes one away. */
static void tamper(struct prng *prng, struct buf *text)
{
    static const char letters[] = "0123456789 ?\nvk";
    size_t at = prng_below(prng, text->length - 1);
    char held = text->data[at];
    switch (prng_below(prng, 3)) {
    case 0:
        text->data[at] = letters[prng_below(prng, sizeof letters - 1)];
        break;
    case 1:
        text->data[at] = text->data[at + 1];
        text->data[at + 1] = held;
        break;
    default:
        memmove(text->data + at, text->data + at + 1, text->length - at - 1);
        text->length--;
        text->data[text->length] = '\0';
    }
}

static void no_claim_is_wrong(const struct subject *subject, const struct buf *text,
                              uint32_t *accepted)
{
    struct buf trouble = BUF_INIT;
    uint32_t counts[3], valid = 0, invalid = 0;
    if (proves(subject, buf_text(text), counts, &trouble)) {
        ++*accepted;
        for (int key = 0; key < KEYS; key++) {
            valid += subject->valid[key];
            invalid += !subject->valid[key];
        }
        if (counts[VERDICT_VALID] > valid || counts[VERDICT_INVALID] > invalid)
            fail_msg("proves %u valid, %u invalid:\n%s", counts[0], counts[2], buf_text(text));
    } else {
        assert_true(trouble.length > 0);
    }
    buf_free(&trouble);
}

static void certificates_prove_and_tampered_ones_prove_nothing_wrong(void **state)
{
    (void)state;
    struct prng prng = prng_stream(20261128, "certificates");
    uint32_t accepted = 0, invalid = 0;
    for (int i = 0; i < CASES; i++) {
        struct subject subject;
        open_subject(&prng, &subject);
        struct buf text = BUF_INIT, trouble = BUF_INIT;
        uint32_t counts[3], good = 0;
        enum verdict verdict = certify(&subject, &text);
        for (int key = 0; key < KEYS; key++)
            good += subject.valid[key];
        assert_int_equal(verdict == VERDICT_INVALID, good < KEYS);
        invalid += good < KEYS;
        if (!proves(&subject, buf_text(&text), counts, &trouble))
            fail_msg("%s:\n%s", buf_text(&trouble), buf_text(&text));
        assert_int_equal(counts[VERDICT_UNKNOWN], 0);
        assert_int_equal(counts[VERDICT_VALID], good);
        for (int j = 0; j < TAMPERINGS; j++) {
            struct buf changed = BUF_INIT;
            buf_add(&changed, text.data, text.length);
            for (uint64_t times = 1 + prng_below(&prng, 2); times > 0; times--)
                tamper(&prng, &changed);
            no_claim_is_wrong(&subject, &changed, &accepted);
            buf_free(&changed);
        }
        buf_free(&text);
        buf_free(&trouble);
        history_free(&subject.history);
    }
    assert_in_range(invalid, CASES / 4, CASES);
    /* Most are refused; a few are as good as before. */
    assert_in_range(accepted, 1, CASES * TAMPERINGS / 4);
}

/* ---- What may be left out ---- */

/* A compare-and-set may be left out of a refutation that shows reads of what it took away, but
 * nothing that shows what was left by an operation left out. */
static void what_an_operation_left_must_not_be_shown_without_it(void **state)
{
    (void)state;
    static const struct {
        const char *history, *claim, *trouble;
    } cases[] = {
        {"w1 [0,1]; r1 [2,3]; c1>2 [4,5]; r3 [6,7]",
         "invalid 3 from 0 until 7 by wgl key nil\n0 2 6", NULL},
        {"w1 [0,1]; c1>2 [2,3]; r2 [4,5]", "invalid 1 from 0 until 5 by wgl key nil\n4",
         "leaves out an operation that may have changed something"},
        {"w1 [0,1]; r1 [2,3]", "invalid 1 from 0 until 3 by wgl key nil\n2",
         "leaves out an operation that may have changed something"},
        /* What it took away is there without it, so that is no refutation. */
        {"w1 [0,1]; r1 [2,3]; c1>2 [4,5]", "invalid 2 from 0 until 5 by wgl key nil\n0 2",
         "these operations do have an order"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct subject subject;
        struct buf text = BUF_INIT, trouble = BUF_INIT;
        uint32_t counts[3];
        lin_text(cases[i].history, &subject.history);
        buf_printf(&text,
                   "ordeal certificate 1: linearizable\nmodel cas-register\ninitial nil\n"
                   "nil-reads value\nkeyed no\nevents %" PRIu32 "\n%s\n",
                   subject.history.count, cases[i].claim);
        bool good = proves(&subject, buf_text(&text), counts, &trouble);
        assert_true(good == (cases[i].trouble == NULL));
        if (good)
            assert_int_equal(counts[VERDICT_INVALID], 1);
        else if (strstr(buf_text(&trouble), cases[i].trouble) == NULL)
            fail_msg("%s: %s", cases[i].claim, buf_text(&trouble));
        buf_free(&text);
        buf_free(&trouble);
        history_free(&subject.history);
    }
}

/* ---- What monitors decide ---- */

/* Judges a history of distinct values, and has the certificate proved, and its distortions. */
static void prove_object(struct prng *prng, const struct ref_object *object, uint32_t counts[3])
{
    struct ref_op ops[REF_OPS];
    struct ref_shape shape = {.ops = (int)prng_between(prng, 2, 9),
                              .info = prng_below(prng, 2) == 0 ? 0.3 : 0.1,
                              .width = (int)prng_below(prng, 4),
                              .distinct = true};
    int count = ref_valid(prng, object, &shape, ops);
    for (uint64_t i = prng_below(prng, 3); i > 0; i--)
        ref_spoil(prng, object, ops, count);
    struct ref_problem built;
    ref_problem_open(&built, object, ops, count);
    struct buf text = BUF_INIT, trouble = BUF_INIT;
    struct check_input input = {.history = &built.history,
                                .limits = {.threads = 1},
                                .options = {.values = json_object()},
                                .keyed = KEYED_NO,
                                .certificate = &text};
    option_defaults(&input.options, "linearizable", checker_find("linearizable")->options);
    json_set_text(input.options.values, "linearizable.model", object->model);
    struct check_result result = {.details = json_object(), .anomalies = json_array()};
    checker_find("linearizable")->check(&input, &result);
    struct subject subject = {.history = built.history};
    uint32_t proved[3];
    if (built.problem.op_count > 0 && !proves(&subject, buf_text(&text), proved, &trouble))
        fail_msg("%s: %s:\n%s", object->model, buf_text(&trouble), buf_text(&text));
    if (built.problem.op_count > 0) {
        bool valid = ref_linearizable(object, ops, count);
        assert_int_equal(proved[VERDICT_UNKNOWN], 0);
        assert_int_equal(proved[VERDICT_VALID], valid);
        counts[valid ? VERDICT_VALID : VERDICT_INVALID]++;
        counts[VERDICT_UNKNOWN] += strchr(buf_text(&text), '<') != NULL;
        for (int i = 0; i < TAMPERINGS; i++) {
            struct buf changed = BUF_INIT;
            buf_add(&changed, text.data, text.length);
            tamper(prng, &changed);
            buf_clear(&trouble);
            if (proves(&subject, buf_text(&changed), proved, &trouble) &&
                proved[valid ? VERDICT_INVALID : VERDICT_VALID] > 0)
                fail_msg("%s: proves what is not so:\n%s", object->model, buf_text(&changed));
            buf_free(&changed);
        }
    }
    buf_free(&result.reason);
    json_free(result.details);
    json_free(result.anomalies);
    json_free(input.options.values);
    buf_free(&text);
    buf_free(&trouble);
    ref_problem_close(&built);
}

static void what_monitors_decide_is_proved_too(void **state)
{
    (void)state;
    for (const struct ref_object *object = ref_objects; object->model != NULL; object++) {
        if (!object->container)
            continue;
        struct prng prng = prng_stream(20261130, object->model);
        uint32_t counts[3] = {0, 0, 0}; /* [UNKNOWN]: orders that say what a removal took */
        for (int i = 0; i < CASES / 3; i++)
            prove_object(&prng, object, counts);
        assert_in_range(counts[VERDICT_VALID], CASES / 60, CASES);
        assert_in_range(counts[VERDICT_INVALID], CASES / 60, CASES);
        if (model_find(object->model)->container == MODEL_LIFO)
            assert_in_range(counts[VERDICT_UNKNOWN], 1, CASES);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(certificates_prove_and_tampered_ones_prove_nothing_wrong),
        cmocka_unit_test(what_an_operation_left_must_not_be_shown_without_it),
        cmocka_unit_test(what_monitors_decide_is_proved_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
