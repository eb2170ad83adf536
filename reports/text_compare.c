/* Two runs side by side, for a terminal: what differs, and how the latencies went. */
#include <string.h>

#include "reports/compare.h"
#include "reports/digest.h"
#include "reports/reports.h"
#include "reports/text_table.h"
#include "reports/visible.h"

enum { WIDTH = 100, NAME_COLUMNS = 34 };

struct page {
    struct buf out;
    struct text_table table;
    const char *title;
    size_t rows, same;
};

static void cell(struct page *page, const char *text)
{
    text_table_add(&page->table, *text == '\0' ? "-" : text);
}

static void row(void *state, const char *name, const char *left, const char *right)
{
    struct page *page = state;
    if (strcmp(left, right) == 0) {
        page->same++;
        return;
    }
    page->rows++;
    cell(page, name);
    cell(page, left);
    cell(page, right);
}

static void begin(struct page *page, const char *title)
{
    page->title = title;
    page->rows = page->same = 0;
    text_table_init(&page->table, "lll");
    text_table_limit(&page->table, 0, NAME_COLUMNS);
    text_table_elastic(&page->table, 2, WIDTH);
    text_table_limit(&page->table, 1, (WIDTH - NAME_COLUMNS) / 2);
    text_table_add(&page->table, "");
    text_table_add(&page->table, "left");
    text_table_add(&page->table, "right");
}

static void end(struct page *page)
{
    if (page->title == NULL)
        return;
    buf_printf(&page->out, "\n%s\n", page->title);
    if (page->rows > 0)
        text_table_print(&page->table, 2, &page->out);
    if (page->same > 0)
        buf_printf(&page->out, "  %zu the same\n", page->same);
    else if (page->rows == 0)
        buf_add_text(&page->out, "  nothing to compare\n");
    text_table_free(&page->table);
}

static void section(void *state, const char *title)
{
    end(state);
    begin(state, title);
}

static const struct digest_function *find(const struct digest *digest, const char *name)
{
    for (size_t i = 0; i < digest->function_count; i++)
        if (strcmp(digest->functions[i].name, name) == 0)
            return &digest->functions[i];
    return NULL;
}

static void latency_row(struct page *page, const char *name, const char *quantile, double share,
                        const struct digest_function *const functions[2])
{
    struct buf title = BUF_INIT, texts[2] = {BUF_INIT, BUF_INIT};
    buf_printf(&title, "%s, %s", name, quantile);
    for (int i = 0; i < 2; i++)
        if (functions[i] != NULL && functions[i]->latency[OP_OK].count > 0)
            digest_duration(&texts[i], latency_quantile(&functions[i]->latency[OP_OK], share));
    row(page, buf_text(&title), buf_text(&texts[0]), buf_text(&texts[1]));
    buf_free(&title);
    buf_free(&texts[0]);
    buf_free(&texts[1]);
}

static void latencies(struct page *page, const struct digest digests[2])
{
    section(page, "Latency of ok operations");
    for (int side = 0; side < 2; side++)
        for (size_t i = 0; i < digests[side].function_count; i++) {
            const char *name = digests[side].functions[i].name;
            const struct digest_function *functions[2] = {find(&digests[0], name),
                                                          find(&digests[1], name)};
            if (side == 1 && functions[0] != NULL)
                continue;
            latency_row(page, name, "median", 0.5, functions);
            latency_row(page, name, "p99", 0.99, functions);
        }
}

enum err_code report_compare(const struct run *left, const struct run *right, FILE *out,
                             struct err *err)
{
    struct page page = {.out = BUF_INIT};
    const struct run *runs[2] = {left, right};
    struct digest digests[2];
    struct compare_side sides[2];
    for (int i = 0; i < 2; i++) {
        digest_make(runs[i], &digests[i]);
        sides[i] = (struct compare_side){.plan = runs[i]->plan, .results = runs[i]->results};
        buf_add_text(&page.out, i == 0 ? "left:  " : "right: ");
        const char *directory = runs[i]->directory == NULL ? "" : runs[i]->directory;
        visible_add(&page.out, directory, strlen(directory), VISIBLE_LINE);
        buf_add_char(&page.out, '\n');
    }
    const struct compare into = {.state = &page, .section = section, .row = row};
    compare_runs(sides, &into);
    latencies(&page, digests);
    end(&page);
    for (int i = 0; i < 2; i++)
        digest_free(&digests[i]);
    return report_put(&page.out, "the comparison", out, err);
}
