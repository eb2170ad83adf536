/* What the sections of report.html are made of: see html.h. */
#include <string.h>

#include "reports/html.h"
#include "reports/visible.h"

enum { PROSE_BYTES_MAX = 8192, LINE_BYTES_MAX = 2048, NAME_COLUMNS = 40 };

void html_raw(struct html *html, const char *markup)
{
    buf_add_text(&html->out, markup);
}

static void add_cut(struct html *html, const char *text, size_t most,
                    enum visible_newlines newlines)
{
    size_t length = strnlen(text, most + 1);
    if (length <= most) {
        markup_add(&html->out, text, length, newlines);
        return;
    }
    length = most;
    while (length > most - 4 && ((unsigned char)text[length] & 0xc0) == 0x80)
        length--; /* not within a character */
    markup_add(&html->out, text, length, newlines);
    html_raw(html, "&hellip;");
}

void html_text(struct html *html, const char *text)
{
    add_cut(html, text, LINE_BYTES_MAX, VISIBLE_LINE);
}

void html_prose(struct html *html, const char *text)
{
    html_raw(html, "<p class=\"prose\">");
    add_cut(html, text, PROSE_BYTES_MAX, VISIBLE_PROSE);
    html_raw(html, "</p>\n");
}

void html_value(struct html *html, struct value value, size_t columns)
{
    struct buf text = BUF_INIT;
    digest_value(&text, value, columns);
    html_raw(html, "<code>");
    markup_add(&html->out, buf_text(&text), text.length, VISIBLE_LINE);
    html_raw(html, "</code>");
    buf_free(&text);
}

void html_section(struct html *html, const char *id, const char *title)
{
    buf_printf(&html->out, "<section id=\"%s\" aria-labelledby=\"%s-title\">\n", id, id);
    buf_printf(&html->out, "<h2 id=\"%s-title\">", id);
    html_text(html, title);
    html_raw(html, "</h2>\n");
}

void html_section_end(struct html *html)
{
    html_raw(html, "</section>\n");
}

void html_note(struct html *html, const char *format, ...)
{
    struct buf text = BUF_INIT;
    va_list arguments;
    va_start(arguments, format);
    buf_vprintf(&text, format, arguments);
    va_end(arguments);
    html_raw(html, "<p class=\"note\">");
    html_text(html, text.data);
    html_raw(html, "</p>\n");
    buf_free(&text);
}

void html_verdict_badge(struct html *html, enum verdict verdict)
{
    static const char *const marks[] = {"&#10003;", "?", "&#10007;"};
    buf_printf(&html->out,
               "<span class=\"badge %s\"><span aria-hidden=\"true\">%s</span> %s</span>",
               verdict_name(verdict), marks[verdict], verdict_name(verdict));
}

void html_process(struct html *html, int32_t process)
{
    struct buf name = BUF_INIT;
    history_print_process(html->digest.run->history, process, &name);
    if (process >= 0)
        html_raw(html, "process ");
    html_text(html, name.data[0] == ':' ? name.data + 1 : name.data);
    buf_free(&name);
}

/* ---- Tables ---- */

void html_table(struct html *html, const char *caption, const char *const *columns)
{
    html_raw(html, "<div class=\"scroll\" role=\"region\" tabindex=\"0\" aria-label=\"");
    html_text(html, caption);
    html_raw(html, "\"><table>\n<caption>");
    html_text(html, caption);
    html_raw(html, "</caption>\n<thead><tr>");
    for (; *columns != NULL; columns++) {
        bool figure = **columns == '>';
        html_raw(html, figure ? "<th scope=\"col\" class=\"n\">" : "<th scope=\"col\">");
        html_text(html, *columns + figure);
        html_raw(html, "</th>");
    }
    html_raw(html, "</tr></thead>\n<tbody>\n");
}

void html_table_end(struct html *html)
{
    html_raw(html, "</tbody></table></div>\n");
}

void html_row(struct html *html)
{
    html_raw(html, "<tr>");
}

void html_row_end(struct html *html)
{
    html_raw(html, "</tr>\n");
}

void html_head_cell(struct html *html, const char *text)
{
    struct buf name = BUF_INIT;
    visible_add_cut(&name, text, strlen(text), NAME_COLUMNS);
    html_raw(html, "<th scope=\"row\">");
    html_text(html, buf_text(&name));
    html_raw(html, "</th>");
    buf_free(&name);
}

void html_cell(struct html *html, const char *text)
{
    html_raw(html, "<td>");
    html_text(html, text);
    html_raw(html, "</td>");
}

/* A cell of figures; `text` is ours. */
static void figure_cell(struct html *html, struct buf *text)
{
    buf_printf(&html->out, "<td class=\"n\">%s</td>",
               strcmp(text->data, "-") == 0 ? "&ndash;" : text->data);
    buf_free(text);
}

void html_number_cell(struct html *html, uint64_t number)
{
    struct buf text = BUF_INIT;
    digest_number(&text, number);
    figure_cell(html, &text);
}

void html_time_cell(struct html *html, int64_t ns)
{
    struct buf text = BUF_INIT;
    digest_time(&text, ns);
    figure_cell(html, &text);
}

void html_exact_time_cell(struct html *html, int64_t ns)
{
    struct buf text = BUF_INIT;
    digest_exact_time(&text, ns);
    figure_cell(html, &text);
}

void html_duration_cell(struct html *html, int64_t ns)
{
    struct buf text = BUF_INIT;
    digest_duration(&text, ns);
    figure_cell(html, &text);
}

void html_value_cell(struct html *html, struct value value, size_t columns)
{
    html_raw(html, "<td>");
    html_value(html, value, columns);
    html_raw(html, "</td>");
}
