/* The verdict for a pull request or a job's summary page, as GitHub's Markdown. What comes from
 * outside is text there: no markup, no link, no mention of anybody. */
#include <inttypes.h>
#include <string.h>

#include "reports/digest.h"
#include "reports/machine.h"
#include "reports/reports.h"
#include "reports/visible.h"

enum { ANOMALIES_MAX = 10, TEXT_BYTES_MAX = 1200, ERRORS_MAX = 8 };

static void row_of(struct buf *out, const char *name, const char *text)
{
    if (text == NULL || *text == '\0')
        return;
    buf_printf(out, "| %s | ", name);
    machine_markdown(out, text, TEXT_BYTES_MAX);
    buf_add_text(out, " |\n");
}

static void add_facts(struct buf *out, struct digest *digest)
{
    struct buf counts = BUF_INIT;
    digest_number(&counts, digest->total[OP_INVOKE]);
    buf_printf(&counts, " (%" PRIu64 " ok, %" PRIu64 " fail, %" PRIu64 " info), %zu fault%s",
               digest->total[OP_OK], digest->total[OP_FAIL], digest->total[OP_INFO],
               digest->fault_count, digest->fault_count == 1 ? "" : "s");
    buf_add_text(out, "\n| | |\n|---|---|\n");
    row_of(out, "Test", digest_test_text(digest, "name"));
    row_of(out, "Setting", digest_setting(digest));
    row_of(out, "Operations", buf_text(&counts));
    buf_free(&counts);
}

static void add_checkers(struct buf *out, const struct digest *digest)
{
    static const char *const marks[] = {":white_check_mark:", ":grey_question:", ":x:"};
    if (digest->checker_count == 0)
        return;
    buf_add_text(out, "\n| Checker | Verdict | Reason |\n|---|---|---|\n");
    for (size_t i = 0; i < digest->checker_count; i++) {
        const struct digest_checker *checker = &digest->checkers[i];
        buf_add_text(out, "| ");
        machine_markdown(out, checker->name, TEXT_BYTES_MAX);
        buf_printf(out, " | %s %s | ", marks[checker->verdict], verdict_name(checker->verdict));
        machine_markdown(out, checker->reason, TEXT_BYTES_MAX);
        buf_add_text(out, " |\n");
    }
}

static void add_anomalies(struct buf *out, const struct digest *digest)
{
    size_t shown = 0;
    if (digest->anomaly_count == 0)
        return;
    buf_add_text(out, "\n<details><summary>Anomalies</summary>\n\n");
    for (size_t i = 0; i < digest->checker_count; i++)
        for (const struct json *one = json_first(digest->checkers[i].anomalies);
             one != NULL && shown < ANOMALIES_MAX; one = json_next(one), shown++) {
            buf_add_text(out, "- **");
            machine_markdown(out, json_as_text(json_get(one, "title"), "an anomaly"), 200);
            buf_add_text(out, "** (");
            machine_markdown(out, digest->checkers[i].name, 80);
            buf_add_text(out, "): ");
            machine_markdown(out, json_as_text(json_get(one, "text"), ""), TEXT_BYTES_MAX);
            buf_add_char(out, '\n');
        }
    if (digest->anomaly_count > shown)
        buf_printf(out, "- and %zu more\n", digest->anomaly_count - shown);
    buf_add_text(out, "\n</details>\n");
}

static void add_problems(struct buf *out, const struct digest *digest)
{
    if (digest->problem_count == 0)
        return;
    buf_add_text(out, "\nThe harness itself had problems:\n\n");
    for (size_t i = 0; i < digest->problem_count && i < ERRORS_MAX; i++) {
        buf_add_text(out, "- ");
        machine_markdown(out, digest->problems[i], TEXT_BYTES_MAX);
        buf_add_char(out, '\n');
    }
}

enum err_code markdown_write_run(const struct run *run, FILE *out, struct err *err)
{
    static const char *const words[] = {"Valid", "Unknown", "Invalid"};
    struct digest digest;
    struct buf text = BUF_INIT;
    digest_make(run, &digest);
    buf_printf(&text, "### %s: ", words[digest.verdict]);
    machine_markdown(&text, digest.headline, TEXT_BYTES_MAX);
    buf_add_char(&text, '\n');
    add_facts(&text, &digest);
    add_checkers(&text, &digest);
    add_anomalies(&text, &digest);
    add_problems(&text, &digest);
    if (digest_run_again(&digest) != NULL) {
        buf_add_text(&text, "\nAgain: ");
        machine_markdown_code(&text, digest_run_again(&digest));
        buf_add_char(&text, '\n');
    }
    digest_free(&digest);
    return report_put(&text, "the Markdown", out, err);
}
