/* Workflow commands of GitHub Actions on standard output: each becomes an annotation of the job. */
#include "reports/digest.h"
#include "reports/machine.h"
#include "reports/reports.h"

enum { ANOMALIES_MAX = 8 }; /* GitHub shows ten of a kind for a step */

static void command(struct buf *out, const char *level, const char *title, const char *more,
                    const char *message)
{
    buf_printf(out, "::%s title=", level);
    machine_workflow(out, title, MACHINE_PROPERTY);
    if (*more != '\0') {
        buf_add_text(out, " (");
        machine_workflow(out, more, MACHINE_PROPERTY);
        buf_add_char(out, ')');
    }
    buf_add_text(out, "::");
    machine_workflow(out, message, MACHINE_MESSAGE);
    buf_add_char(out, '\n');
}

static void checker(struct buf *out, const struct digest_checker *checker, size_t *shown)
{
    const char *level = checker->verdict == VERDICT_INVALID ? "error" : "warning";
    if (checker->verdict == VERDICT_VALID)
        return;
    command(out, level, checker->name, verdict_name(checker->verdict), checker->reason);
    for (const struct json *one = json_first(checker->anomalies);
         one != NULL && *shown < ANOMALIES_MAX; one = json_next(one), (*shown)++)
        command(out, level, json_as_text(json_get(one, "title"), "an anomaly"), checker->name,
                json_as_text(json_get(one, "text"), ""));
}

static enum err_code write_github(const struct run *run, FILE *out, struct err *err)
{
    struct digest digest;
    struct buf text = BUF_INIT;
    size_t shown = 0;
    digest_make(run, &digest);
    for (size_t i = 0; i < digest.checker_count; i++)
        checker(&text, &digest.checkers[i], &shown);
    for (size_t i = 0; i < digest.problem_count; i++)
        command(&text, "error", "the harness", "", digest.problems[i]);
    const char *name = digest_test_text(&digest, "name");
    command(&text, digest.verdict == VERDICT_VALID ? "notice" : "error",
            name == NULL ? "ordeal" : name, verdict_name(digest.verdict), digest.headline);
    digest_free(&digest);
    return report_put(&text, "the annotations", out, err);
}

const struct reporter reporter_github = {
    .name = "github",
    .summary = "annotations of a GitHub Actions job, for its standard output",
    .write = write_github,
};
