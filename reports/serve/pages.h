/* The pages of ordeal serve. They need no script, but for the live one; all that came from a store
 * is escaped. Links begin with "/". */
#ifndef ORDEAL_REPORTS_SERVE_PAGES_H
#define ORDEAL_REPORTS_SERVE_PAGES_H

#include "reports/serve/files.h"
#include "reports/serve/runs.h"

/* What the list is narrowed to and how it is sorted; "" where nothing is asked. */
struct page_query {
    const char *search;                      /* in any of the texts, ASCII case aside */
    const char *system, *workload, *nemesis; /* in the text of that column */
    const char *verdict;                     /* as run_state_word */
    const char *since, *until;               /* "20261121" or longer beginnings of a time */
    const char *sort;                        /* see pages_sorts; "": newest first */
    size_t page;                             /* from 0 */
};
extern const char *const pages_sorts[]; /* "time", "test", "verdict", ...; NULL at the end */

/* The runs that a query is about, sorted as it asks; `list` is changed. */
void pages_select(struct run_list *list, const struct page_query *query);

void pages_list(const struct run_list *all, const struct run_list *selected,
                const struct page_query *query, struct buf *out);
void pages_run(const struct run_entry *entry, const struct file_entry *files, size_t file_count,
               struct buf *out);
/* Two runs side by side, each with its plan.json and results.json (NULL where there is none). */
struct page_side {
    const struct run_entry *entry;
    const struct json *plan, *results;
};
void pages_compare(const struct page_side sides[2], struct buf *out);
void pages_live(const struct run_entry *entry, struct buf *out);
void pages_problem(unsigned status, const char *text, struct buf *out);

extern const char pages_style[];  /* /style.css, behind the reports' own style */
extern const char pages_script[]; /* /live.js */

/* Shared by the pages' files. */
void pages_begin(struct buf *out, const char *title);
void pages_end(struct buf *out);
void pages_verdict(struct buf *out, const struct run_entry *entry);
/* Adds "/KIND/test/time", percent-encoded and safe in an attribute. */
void pages_run_link(struct buf *out, const char *kind, const struct run_entry *entry);
/* Percent-encodes all but unreserved characters and, with `slashes`, "/". */
enum url_part { URL_PATH, URL_VALUE };
void pages_url(struct buf *out, const char *text, enum url_part part);

#endif
