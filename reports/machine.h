/* Text from outside in the languages of machines: quoted so that it is text there and nothing else.
 */
#ifndef ORDEAL_REPORTS_MACHINE_H
#define ORDEAL_REPORTS_MACHINE_H

#include "harness/base/json.h"
#include "harness/checker.h"

/* One line of GitHub's Markdown, at most so many bytes of the text, also within a table's cell. */
void machine_markdown(struct buf *out, const char *text, size_t bytes_max);
void machine_markdown_code(struct buf *out, const char *text);
/* What a workflow command of GitHub Actions says; properties are quoted more. */
enum machine_part { MACHINE_PROPERTY, MACHINE_MESSAGE };
void machine_workflow(struct buf *out, const char *text, enum machine_part part);
void machine_tap(struct buf *out, const char *text);   /* a description */
void machine_json(struct buf *out, const char *text);  /* with its quotes */
void machine_label(struct buf *out, const char *text); /* Prometheus', with its quotes */

/* The promises of the delivery checker that a plan asked for; NULL when it is another one's JSON.
 */
struct machine_promise {
    const char *name, *reason;
    enum verdict verdict;
};
const struct json *machine_promises(const struct json *checker);
/* Takes the next; false at the end. */
bool machine_promise_next(const struct json **at, struct machine_promise *promise);

#endif
