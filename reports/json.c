/* The results as JSON: what results.json holds, for machines. */
#include "reports/reports.h"

static enum err_code write(const struct run *run, FILE *out, struct err *err)
{
    struct buf text = BUF_INIT;
    if (run->results == NULL)
        return err_set(err, ERR_CONFIG, "the run has no results yet: nothing judged it");
    json_print(run->results, JSON_PRETTY, &text);
    buf_add_char(&text, '\n');
    return report_put(&text, "the results", out, err);
}

static enum err_code write_suite(const struct json *summary, FILE *out, struct err *err)
{
    struct buf text = BUF_INIT;
    json_print(summary, JSON_PRETTY, &text);
    buf_add_char(&text, '\n');
    return report_put(&text, "the summary", out, err);
}

const struct reporter reporter_json = {
    .name = "json",
    .summary = "the results as one JSON object",
    .file_name = "results.json",
    .write = write,
    .suite_file_name = "summary.json",
    .write_suite = write_suite,
};
