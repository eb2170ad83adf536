/* Two runs side by side. What differs is marked; what both lack is left out. */
#include <string.h>

#include "reports/serve/pages.h"
#include "reports/visible.h"

static void begin_table(struct buf *out, const char *title, const struct page_side sides[2])
{
    buf_printf(out, "<section><h2>%s</h2><div class=\"scroll\"><table><thead><tr><th></th>", title);
    for (int i = 0; i < 2; i++) {
        buf_add_text(out, "<th scope=\"col\"><a href=\"");
        pages_run_link(out, "run", sides[i].entry);
        buf_add_text(out, "\">");
        markup_add_text(out, sides[i].entry->test);
        buf_add_text(out, "<br>");
        markup_add_text(out, sides[i].entry->time);
        buf_add_text(out, "</a></th>");
    }
    buf_add_text(out, "</tr></thead><tbody>\n");
}

static void end_table(struct buf *out)
{
    buf_add_text(out, "</tbody></table></div></section>\n");
}

static void row(struct buf *out, const char *name, const char *left, const char *right)
{
    if (*left == '\0' && *right == '\0')
        return;
    bool same = strcmp(left, right) == 0;
    buf_printf(out, "<tr%s><th scope=\"row\">", same ? "" : " class=\"differs\"");
    markup_add_text(out, name);
    buf_add_text(out, "</th><td>");
    markup_add_text(out, left);
    buf_add_text(out, "</td><td>");
    markup_add_text(out, right);
    buf_add_text(out, "</td></tr>\n");
}

static void print(const struct json *node, struct buf *out)
{
    buf_clear(out);
    if (json_kind(node) == JSON_TEXT)
        buf_add_text(out, json_as_text(node, ""));
    else if (node != NULL)
        json_print(node, JSON_COMPACT, out);
}

static void json_row(struct buf *out, const char *name, const struct json *left,
                     const struct json *right)
{
    struct buf texts[2] = {BUF_INIT, BUF_INIT};
    print(left, &texts[0]);
    print(right, &texts[1]);
    row(out, name, buf_text(&texts[0]), buf_text(&texts[1]));
    buf_free(&texts[0]);
    buf_free(&texts[1]);
}

/* The members of both objects, in the order of the first; nested objects as "set.etcd.reads". */
static void object_rows(struct buf *out, const char *prefix, const struct json *left,
                        const struct json *right)
{
    const struct json *sides[2] = {left, right};
    for (int side = 0; side < 2; side++)
        for (const struct json *item = json_first(sides[side]); item != NULL;
             item = json_next(item)) {
            const char *key = json_key(item);
            if (side == 1 && json_get(left, key) != NULL)
                continue;
            struct buf name = BUF_INIT;
            buf_printf(&name, "%s%s", prefix, key);
            if (json_kind(item) == JSON_OBJECT) {
                buf_add_char(&name, '.');
                object_rows(out, buf_text(&name), json_get(left, key), json_get(right, key));
            } else {
                json_row(out, buf_text(&name), json_get(left, key), json_get(right, key));
            }
            buf_free(&name);
        }
}

static void checker_rows(struct buf *out, const struct page_side sides[2])
{
    const struct json *judged[2];
    for (int i = 0; i < 2; i++)
        judged[i] = json_get(sides[i].results, "checkers");
    for (int side = 0; side < 2; side++)
        for (const struct json *one = json_first(judged[side]); one != NULL; one = json_next(one)) {
            if (side == 1 && json_get(judged[0], json_key(one)) != NULL)
                continue;
            struct buf texts[2] = {BUF_INIT, BUF_INIT};
            for (int i = 0; i < 2; i++) {
                const struct json *its = json_get(judged[i], json_key(one));
                if (its != NULL)
                    buf_printf(&texts[i], "%s: %s",
                               verdict_name(verdict_from_json(json_get(its, "valid"))),
                               json_as_text(json_get(its, "reason"), ""));
            }
            row(out, json_key(one), buf_text(&texts[0]), buf_text(&texts[1]));
            buf_free(&texts[0]);
            buf_free(&texts[1]);
        }
}

void pages_compare(const struct page_side sides[2], struct buf *out)
{
    pages_begin(out, "Two runs");
    begin_table(out, "Verdicts", sides);
    row(out, "verdict", run_state_word(sides[0].entry), run_state_word(sides[1].entry));
    checker_rows(out, sides);
    end_table(out);
    begin_table(out, "Facts", sides);
    object_rows(out, "", json_get(sides[0].results, "test"), json_get(sides[1].results, "test"));
    end_table(out);
    const struct json *stats[2];
    for (int i = 0; i < 2; i++)
        stats[i] = json_get(json_get(json_get(sides[i].results, "checkers"), "stats"), "by-f");
    begin_table(out, "Operations", sides);
    object_rows(out, "", stats[0], stats[1]);
    end_table(out);
    begin_table(out, "Plans", sides);
    object_rows(out, "", sides[0].plan, sides[1].plan);
    end_table(out);
    pages_end(out);
}
