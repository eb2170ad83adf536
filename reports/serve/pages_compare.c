/* Two runs side by side. What differs is marked; what both lack is left out. */
#include <string.h>

#include "reports/compare.h"
#include "reports/serve/pages.h"
#include "reports/visible.h"

struct page {
    const struct page_side *sides;
    struct buf *out;
    bool begun;
};

static void end_table(const struct page *page)
{
    if (page->begun)
        buf_add_text(page->out, "</tbody></table></div></section>\n");
}

static void section(void *state, const char *title)
{
    struct page *page = state;
    end_table(page);
    page->begun = true;
    buf_printf(page->out,
               "<section><h2>%s</h2><div class=\"scroll\" role=\"region\" tabindex=\"0\" "
               "aria-label=\"%s\"><table><thead><tr><td></td>",
               title, title);
    for (int i = 0; i < 2; i++) {
        buf_add_text(page->out, "<th scope=\"col\"><a href=\"");
        pages_run_link(page->out, "run", page->sides[i].entry);
        buf_add_text(page->out, "\">");
        markup_add_text(page->out, page->sides[i].entry->test);
        buf_add_text(page->out, "<br>");
        markup_add_text(page->out, page->sides[i].entry->time);
        buf_add_text(page->out, "</a></th>");
    }
    buf_add_text(page->out, "</tr></thead><tbody>\n");
}

static void row(void *state, const char *name, const char *left, const char *right)
{
    struct buf *out = ((struct page *)state)->out;
    bool same = strcmp(left, right) == 0;
    buf_printf(out, "<tr%s><th scope=\"row\">", same ? "" : " class=\"differs\"");
    markup_add_text(out, name);
    buf_add_text(out, "</th><td>");
    markup_add_text(out, left);
    buf_add_text(out, "</td><td>");
    markup_add_text(out, right);
    buf_add_text(out, "</td></tr>\n");
}

void pages_compare(const struct page_side sides[2], struct buf *out)
{
    struct page page = {.sides = sides, .out = out};
    const struct compare into = {.state = &page, .section = section, .row = row};
    struct compare_side two[2];
    for (int i = 0; i < 2; i++)
        two[i] =
            (struct compare_side){sides[i].plan, sides[i].results, run_state_word(sides[i].entry)};
    pages_begin(out, "Two runs");
    compare_runs(two, &into);
    end_table(&page);
    pages_end(out);
}
