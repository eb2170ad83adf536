/* TAP, version 14: a test for each checker and each promise. Unknown is not ok: a job must not be
 * green because nobody could tell. */
#include "reports/digest.h"
#include "reports/machine.h"
#include "reports/reports.h"

struct tap {
    struct buf out, body;
    size_t count;
};

static void test(struct tap *tap, const char *name, const char *part, enum verdict verdict,
                 const char *reason)
{
    buf_printf(&tap->body, "%sok %zu - ", verdict == VERDICT_VALID ? "" : "not ", ++tap->count);
    machine_tap(&tap->body, name);
    if (part != NULL) {
        buf_add_text(&tap->body, ": ");
        machine_tap(&tap->body, part);
    }
    buf_printf(&tap->body, "\n  ---\n  verdict: %s\n  reason: ", verdict_name(verdict));
    machine_json(&tap->body, reason);
    buf_add_text(&tap->body, "\n  ...\n");
}

static enum err_code write_tap(const struct run *run, FILE *out, struct err *err)
{
    struct tap tap = {.out = BUF_INIT};
    struct digest digest;
    digest_make(run, &digest);
    enum verdict worst = VERDICT_VALID;
    for (size_t i = 0; i < digest.checker_count; i++) {
        const struct digest_checker *checker = &digest.checkers[i];
        worst = verdict_worse(worst, checker->verdict);
        test(&tap, checker->name, NULL, checker->verdict, checker->reason);
        struct machine_promise promise;
        for (const struct json *at = machine_promises(checker->json);
             machine_promise_next(&at, &promise);)
            test(&tap, checker->name, promise.name, promise.verdict, promise.reason);
    }
    for (size_t i = 0; i < digest.problem_count; i++)
        test(&tap, "harness", NULL, VERDICT_UNKNOWN, digest.problems[i]);
    if (tap.count == 0 || (digest.verdict > worst && digest.problem_count == 0))
        test(&tap, "verdict", NULL, digest.verdict, digest.headline);
    buf_printf(&tap.out, "TAP version 14\n1..%zu\n", tap.count);
    buf_add(&tap.out, tap.body.data, tap.body.length);
    buf_free(&tap.body);
    digest_free(&digest);
    return report_put(&tap.out, "the TAP", out, err);
}

const struct reporter reporter_tap = {
    .name = "tap",
    .summary = "Test Anything Protocol: a test for each checker and promise",
    .write = write_tap,
};
