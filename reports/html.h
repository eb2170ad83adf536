/* The parts of report.html. One file a subject; each adds its sections to the page. Everything that
 * comes from outside goes through html_text and its like, which escape it. */
#ifndef ORDEAL_REPORTS_HTML_H
#define ORDEAL_REPORTS_HTML_H

#include "reports/digest.h"
#include "reports/node_logs.h"

struct html {
    struct buf out;
    struct digest digest;
    struct node_logs logs;
};

extern const char html_style[]; /* the style sheet */
/* The page's script and its style: reports/page, bundled. */
extern const char html_script[], html_script_style[];

/* The page up to its body's beginning; `title` is markup. */
void html_begin(struct html *html, const char *title);

/* ---- Sections, in the page's order ---- */
void html_verdict(struct html *html);
void html_anomalies(struct html *html);
void html_glance(struct html *html);
void html_timeline(struct html *html);
void html_throughput(struct html *html);
void html_latency(struct html *html);
void html_operations(struct html *html);
void html_errors(struct html *html);
void html_faults(struct html *html);
void html_availability(struct html *html);
/* Part of it: the windows of the checker "availability" as a chart; `usual_rate` in operations a
 * second, negative when not known. */
void html_recovery(struct html *html, const struct json *windows, double usual_rate);
/* Nothing where no clock was watched. */
bool html_has_clocks(const struct html *html);
void html_clocks(struct html *html);
/* Nothing where the delivery checker measured nothing. */
bool html_has_deliveries(const struct html *html);
void html_deliveries(struct html *html);
/* Part of it: how many messages waited when, and for how long the oldest of them. */
void html_backlog(struct html *html, const struct json *backlog);
void html_crashes(struct html *html);
/* Nothing where nobody set any. */
bool html_has_marks(const struct html *html);
void html_marks(struct html *html);
/* Nothing where no logs were fetched. */
bool html_has_logs(const struct html *html);
void html_logs(struct html *html);
void html_problems(struct html *html);
void html_plan(struct html *html);

/* The space-time diagram of an anomaly's operations, with what its checker tells of the reasons. */
struct html_anomaly {
    const struct json *json;
    const char *checker;
    uint32_t culprit; /* the invocation of the operation that does not fit, or HISTORY_NONE */
    size_t number;    /* on the page */
};
void html_spacetime(struct html *html, const struct html_anomaly *anomaly,
                    const struct digest_operation *operations, size_t count);

/* What the nodes' logs say around these operations; `number` is the anomaly's. */
void html_log_lines(struct html *html, const struct digest_operation *operations, size_t count,
                    size_t number);
/* Lines of the logs that match a pattern of the run's become marks of the digest. */
void html_take_log_marks(struct html *html);

/* ---- Building blocks ---- */
void html_raw(struct html *html, const char *markup); /* ours, not escaped */
void html_text(struct html *html, const char *text);  /* escaped, one line */
/* Escaped, with paragraphs where there are newlines, cut where it is beyond all reason. */
void html_prose(struct html *html, const char *text);
void html_value(struct html *html, struct value value, size_t columns);
void html_section(struct html *html, const char *id, const char *title);
void html_section_end(struct html *html);
/* A paragraph of our own words. */
void html_note(struct html *html, const char *format, ...) FORMAT(2, 3);
void html_verdict_badge(struct html *html, enum verdict verdict);
/* "process 4", "nemesis" */
void html_process(struct html *html, int32_t process);

/* A table whose columns are named, a name that begins with '>' for figures; NULL at the end. A row
 * is begun, filled with one cell a column, and ended. */
void html_table(struct html *html, const char *caption, const char *const *columns);
void html_table_end(struct html *html);
void html_row(struct html *html);
void html_row_end(struct html *html);
void html_head_cell(struct html *html, const char *text);
void html_cell(struct html *html, const char *text);
void html_number_cell(struct html *html, uint64_t number);
void html_time_cell(struct html *html, int64_t ns);
void html_exact_time_cell(struct html *html, int64_t ns);
void html_duration_cell(struct html *html, int64_t ns);
void html_value_cell(struct html *html, struct value value, size_t columns);

#endif
