/* The list of report formats. A new one is its file, one line here, and its test. */
#ifndef ORDEAL_REPORTERS_H
#define ORDEAL_REPORTERS_H

#include "harness/reporter.h"

#define REPORTERS(X)                                                                               \
    X(json) X(edn) X(text) X(html) X(junit) X(tap) X(markdown) X(github) X(prometheus)

#define DECLARE(name) extern const struct reporter reporter_##name;
REPORTERS(DECLARE)
#undef DECLARE

/* Those of suites that have files of their own. */
enum err_code suite_text_write(const struct json *summary, FILE *out, struct err *err);
enum err_code suite_html_write(const struct json *summary, FILE *out, struct err *err);
enum err_code suite_junit_write(const struct json *summary, FILE *out, struct err *err);

/* markdown_run.c's part of the Markdown. */
enum err_code markdown_write_run(const struct run *run, FILE *out, struct err *err);

/* How each ends: writes the text, which it frees. `what` names it in the error: "the page". */
enum err_code report_put(struct buf *text, const char *what, FILE *out, struct err *err);

#endif
