/* The list of runs: what is asked of it, its order, its verdicts over time. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "reports/serve/pages.h"
#include "reports/visible.h"

enum { ROWS_A_PAGE = 200, CELLS_A_TEST = 60, TESTS_MAX = 24 };

const char *const pages_sorts[] = {"time",     "test",     "verdict", "system",
                                   "workload", "duration", "events",  NULL};

/* ---- Selecting ---- */

static bool has(const char *text, const char *part)
{
    return *part == '\0' || strcasestr(text, part) != NULL;
}

static bool is_asked_for(const struct run_entry *entry, const struct page_query *query)
{
    const char *texts[] = {entry->test,    entry->time, entry->system, entry->workload,
                           entry->nemeses, entry->seed, entry->reason};
    bool found = false;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        found |= has(texts[i], query->search);
    return found && has(entry->system, query->system) && has(entry->workload, query->workload) &&
           has(entry->nemeses, query->nemesis) &&
           (*query->verdict == '\0' || strcmp(run_state_word(entry), query->verdict) == 0) &&
           strcmp(entry->time, query->since) >= 0 &&
           (*query->until == '\0' || strncmp(entry->time, query->until, strlen(query->until)) <= 0);
}

static int by_number(double left, double right)
{
    return (left < right) - (left > right); /* the largest first */
}

static int by_sort(const void *a, const void *b, void *argument)
{
    const struct run_entry *left = *(const struct run_entry *const *)a;
    const struct run_entry *right = *(const struct run_entry *const *)b;
    const char *sort = argument;
    int order = 0;
    if (strcmp(sort, "test") == 0)
        order = strcmp(left->test, right->test);
    else if (strcmp(sort, "verdict") == 0)
        order = strcmp(run_state_word(left), run_state_word(right));
    else if (strcmp(sort, "system") == 0)
        order = strcmp(left->system, right->system);
    else if (strcmp(sort, "workload") == 0)
        order = strcmp(left->workload, right->workload);
    else if (strcmp(sort, "duration") == 0)
        order = by_number(left->duration_s, right->duration_s);
    else if (strcmp(sort, "events") == 0)
        order = by_number((double)left->event_count, (double)right->event_count);
    if (order == 0)
        order = strcmp(right->time, left->time);
    return order != 0 ? order : strcmp(left->test, right->test);
}

void pages_select(struct run_list *list, const struct page_query *query)
{
    size_t kept = 0;
    for (size_t i = 0; i < list->count; i++)
        if (is_asked_for(list->items[i], query))
            list->items[kept++] = list->items[i];
    list->count = kept;
    qsort_r(list->items, list->count, sizeof *list->items, by_sort, (void *)query->sort);
}

/* ---- The form ---- */

static void field(struct buf *out, const char *name, const char *label, const char *value)
{
    buf_printf(out, "<label>%s<input name=\"%s\" value=\"", label, name);
    markup_add_text(out, value);
    buf_add_text(out, "\"></label>");
}

static void form(const struct page_query *query, struct buf *out)
{
    static const char *const words[] = {"valid",    "invalid", "unknown",
                                        "going on", "cut off", "damaged"};
    buf_add_text(out, "<form class=\"filter\" role=\"search\">");
    field(out, "q", "Search", query->search);
    field(out, "system", "System", query->system);
    field(out, "workload", "Workload", query->workload);
    field(out, "nemesis", "Nemesis", query->nemesis);
    buf_add_text(out, "<label>Verdict<select name=\"verdict\"><option value=\"\">any</option>");
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        buf_printf(out, "<option%s>%s</option>",
                   strcmp(words[i], query->verdict) == 0 ? " selected=\"selected\"" : "", words[i]);
    buf_add_text(out, "</select></label>");
    field(out, "since", "Since (20261121)", query->since);
    field(out, "until", "Until (20261121)", query->until);
    buf_add_text(out, "<input type=\"hidden\" name=\"sort\" value=\"");
    markup_add_text(out, query->sort);
    buf_add_text(out, "\"><button>Show</button></form>\n");
}

static void query_link(struct buf *out, const struct page_query *query, const char *sort,
                       size_t page)
{
    const char *const parts[][2] = {{"q", query->search},          {"system", query->system},
                                    {"workload", query->workload}, {"nemesis", query->nemesis},
                                    {"verdict", query->verdict},   {"since", query->since},
                                    {"until", query->until},       {"sort", sort}};
    buf_printf(out, "/?page=%zu", page);
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        if (*parts[i][1] == '\0')
            continue;
        buf_printf(out, "&amp;%s=", parts[i][0]);
        pages_url(out, parts[i][1], URL_VALUE);
    }
}

/* ---- Verdicts over time, a line a test ---- */

struct test_sum {
    const char *test;
    struct verdict_tally tally;
};

static struct test_sum *sum_of(struct test_sum *sums, size_t *count, const char *test)
{
    for (size_t i = 0; i < *count; i++)
        if (strcmp(sums[i].test, test) == 0)
            return &sums[i];
    if (*count == TESTS_MAX)
        return NULL;
    sums[*count] = (struct test_sum){.test = test};
    return &sums[(*count)++];
}

static size_t sum_up(const struct run_list *list, struct test_sum *sums)
{
    size_t count = 0;
    for (size_t i = 0; i < list->count; i++) {
        const struct run_entry *entry = list->items[i];
        struct test_sum *sum = sum_of(sums, &count, entry->test);
        if (sum == NULL)
            continue;
        if (entry->state != RUN_ENDED)
            sum->tally.other++;
        else
            verdict_tally_add(&sum->tally, entry->verdict);
    }
    return count;
}

/* A letter beside the colour, which never carries a meaning alone. */
static void cell(const struct run_entry *entry, struct buf *out)
{
    const char *word = run_state_word(entry);
    char letter = entry->state != RUN_ENDED           ? '.'
                  : entry->verdict == VERDICT_VALID   ? ' '
                  : entry->verdict == VERDICT_INVALID ? '!'
                                                      : '?';
    buf_printf(out, "<li><a class=\"%s\" href=\"", entry->state == RUN_ENDED ? word : "");
    pages_run_link(out, "run", entry);
    buf_printf(out, "\" title=\"%s ", word);
    markup_add_text(out, entry->time);
    buf_printf(out, "\" aria-label=\"%s ", word);
    markup_add_text(out, entry->time);
    buf_printf(out, "\">%c</a></li>", letter);
}

static void rate_row(const struct run_list *list, const struct test_sum *sum, struct buf *out)
{
    const struct verdict_tally *tally = &sum->tally;
    double rate = verdict_tally_rate(tally);
    buf_add_text(out, "<tr><th scope=\"row\">");
    markup_add_text(out, sum->test);
    buf_printf(out, "</th><td class=\"n\">%zu</td><td class=\"n\">%zu</td><td class=\"n\">%zu</td>",
               tally->valid, tally->invalid, tally->unknown);
    if (rate < 0)
        buf_add_text(out, "<td class=\"n\">-</td>");
    else
        buf_printf(out, "<td class=\"n\">%.1f %%</td>", 100.0 * rate);
    buf_add_text(out, "<td><ul class=\"cells\">");
    size_t shown = 0;
    for (size_t i = 0; i < list->count && shown < CELLS_A_TEST; i++)
        if (strcmp(list->items[i]->test, sum->test) == 0) {
            cell(list->items[i], out);
            shown++;
        }
    buf_add_text(out, "</ul></td></tr>\n");
}

static void rates(const struct run_list *list, struct buf *out)
{
    struct test_sum sums[TESTS_MAX];
    size_t count = sum_up(list, sums);
    if (count == 0)
        return;
    buf_printf(out,
               "<section><h2>Verdicts over time</h2><p class=\"note\">The newest %d runs of a "
               "test, newest first, of those listed below; at most %d tests. ! is invalid, ? "
               "unknown, . not judged.</p><div class=\"scroll\"><table><thead><tr><th>Test</th>"
               "<th class=\"n\">Valid</th><th class=\"n\">Invalid</th><th class=\"n\">Unknown</th>"
               "<th class=\"n\">Not valid</th><th>Runs</th></tr></thead><tbody>\n",
               CELLS_A_TEST, TESTS_MAX);
    for (size_t i = 0; i < count; i++)
        rate_row(list, &sums[i], out);
    buf_add_text(out, "</tbody></table></div></section>\n");
}

/* ---- The table ---- */

static void text_cell(struct buf *out, const char *text)
{
    buf_add_text(out, "<td>");
    markup_add_text(out, text);
    buf_add_text(out, "</td>");
}

static void row(const struct run_entry *entry, struct buf *out)
{
    buf_add_text(out, "<tr><td><input type=\"checkbox\" name=\"run\" value=\"");
    pages_url(out, entry->test, URL_VALUE);
    buf_add_char(out, '/');
    pages_url(out, entry->time, URL_VALUE);
    buf_add_text(out, "\" aria-label=\"compare this run\"></td><td><a href=\"");
    pages_run_link(out, "run", entry);
    buf_add_text(out, "\">");
    markup_add_text(out, entry->time);
    buf_add_text(out, "</a></td>");
    text_cell(out, entry->test);
    buf_add_text(out, "<td>");
    if (entry->state == RUN_ENDED || entry->state == RUN_GOING) {
        bool ended = entry->state == RUN_ENDED;
        buf_add_text(out, "<a href=\"");
        pages_run_link(out, ended ? "file" : "live", entry);
        buf_add_text(out, ended ? "/report.html\">" : "\">");
        pages_verdict(out, entry);
        buf_add_text(out, "</a>");
    } else {
        pages_verdict(out, entry);
    }
    if (entry->problem != NULL) {
        buf_add_text(out, "<small>");
        markup_add_text(out, entry->problem);
        buf_add_text(out, "</small>");
    }
    buf_add_text(out, "</td>");
    text_cell(out, entry->system);
    text_cell(out, entry->workload);
    text_cell(out, entry->nemeses);
    if (entry->duration_s >= 0)
        buf_printf(out, "<td class=\"n\">%.1f</td>", entry->duration_s);
    else
        buf_add_text(out, "<td class=\"n\">-</td>");
    if (entry->event_count >= 0)
        buf_printf(out, "<td class=\"n\">%" PRId64 "</td>", entry->event_count);
    else
        buf_add_text(out, "<td class=\"n\">-</td>");
    text_cell(out, entry->seed);
    buf_add_text(out, "</tr>\n");
}

static void head(const struct page_query *query, const char *label, const char *sort,
                 const char *class, struct buf *out)
{
    const char *now = *query->sort == '\0' ? "time" : query->sort;
    bool sorted = strcmp(now, sort) == 0;
    buf_printf(out, "<th scope=\"col\"%s%s><a href=\"", class,
               sorted ? " aria-sort=\"other\"" : "");
    query_link(out, query, sort, 0);
    buf_printf(out, "\">%s%s</a></th>", label, sorted ? " ▾" : "");
}

static void pager(const struct page_query *query, size_t count, struct buf *out)
{
    size_t pages = (count + ROWS_A_PAGE - 1) / ROWS_A_PAGE;
    if (pages < 2)
        return;
    buf_add_text(out, "<p>");
    if (query->page > 0) {
        buf_add_text(out, "<a href=\"");
        query_link(out, query, query->sort, query->page - 1);
        buf_add_text(out, "\">Before</a> · ");
    }
    buf_printf(out, "page %zu of %zu", query->page + 1, pages);
    if (query->page + 1 < pages) {
        buf_add_text(out, " · <a href=\"");
        query_link(out, query, query->sort, query->page + 1);
        buf_add_text(out, "\">Next</a>");
    }
    buf_add_text(out, "</p>\n");
}

static void table(const struct run_list *list, const struct page_query *query, struct buf *out)
{
    buf_add_text(out, "<form action=\"/compare\"><div class=\"scroll\"><table><thead><tr>"
                      "<th><span class=\"quiet\">⇔</span></th>");
    head(query, "Time (UTC)", "time", "", out);
    head(query, "Test", "test", "", out);
    head(query, "Verdict", "verdict", "", out);
    head(query, "System", "system", "", out);
    head(query, "Workload", "workload", "", out);
    buf_add_text(out, "<th scope=\"col\">Nemeses</th>");
    head(query, "Seconds", "duration", " class=\"n\"", out);
    head(query, "Events", "events", " class=\"n\"", out);
    buf_add_text(out, "<th scope=\"col\">Seed</th></tr></thead><tbody>\n");
    for (size_t i = query->page * ROWS_A_PAGE;
         i < list->count && i < (query->page + 1) * ROWS_A_PAGE; i++)
        row(list->items[i], out);
    buf_add_text(out, "</tbody></table></div>\n<p><button>Compare the two that are ticked</button>"
                      "</p></form>\n");
}

void pages_list(const struct run_list *all, const struct run_list *selected,
                const struct page_query *query, struct buf *out)
{
    pages_begin(out, "Runs");
    rates(selected, out);
    buf_add_text(out, "<section>");
    form(query, out);
    buf_printf(out, "<p class=\"note\">%zu of %zu runs</p>\n", selected->count, all->count);
    if (selected->count > 0)
        table(selected, query, out);
    else
        buf_add_text(out, all->count == 0
                              ? "<p>This store has no runs yet: <code>ordeal run</code> makes one."
                                "</p>"
                              : "<p>No run is like that. <a href=\"/\">Show all</a></p>");
    pager(query, selected->count, out);
    buf_add_text(out, "</section>\n");
    pages_end(out);
}
