/* Text from outside in the languages of machines: see machine.h. */
#include "reports/machine.h"

#include <string.h>

#include "reports/visible.h"

static struct buf visible(const char *text, size_t bytes_max, enum visible_newlines newlines)
{
    struct buf shown = BUF_INIT;
    size_t length = visible_fit(text, strlen(text), bytes_max);
    visible_add(&shown, text, length, newlines);
    if (length < strlen(text))
        buf_add_text(&shown, "...");
    return shown;
}

/* Everything that could be markup is a numeric reference, which is never taken for any; so nothing
 * is a link, an image, a heading or a mention. */
void machine_markdown(struct buf *out, const char *text, size_t bytes_max)
{
    struct buf shown = visible(text, bytes_max, VISIBLE_LINE);
    for (size_t i = 0; i < shown.length; i++) {
        char c = shown.data[i];
        if (strchr("\\`*_{}[]<>()#+-!|@&~$^:\"'=", c) != NULL)
            buf_printf(out, "&#%d;", c);
        else
            buf_add_char(out, c);
    }
    buf_free(&shown);
}

/* Between more backticks than the text has in a row. */
void machine_markdown_code(struct buf *out, const char *text)
{
    struct buf shown = visible(text, 4096, VISIBLE_LINE);
    size_t most = 0, row = 0;
    for (size_t i = 0; i < shown.length; i++) {
        row = shown.data[i] == '`' ? row + 1 : 0;
        most = row > most ? row : most;
    }
    for (size_t i = 0; i <= most; i++)
        buf_add_char(out, '`');
    buf_printf(out, " %s ", buf_text(&shown));
    for (size_t i = 0; i <= most; i++)
        buf_add_char(out, '`');
    buf_free(&shown);
}

void machine_workflow(struct buf *out, const char *text, enum machine_part part)
{
    struct buf shown = visible(text, 4096, VISIBLE_PROSE);
    for (size_t i = 0; i < shown.length; i++) {
        char c = shown.data[i];
        if (c == '%' || c == '\n' || c == '\r' ||
            (part == MACHINE_PROPERTY && (c == ':' || c == ',')))
            buf_printf(out, "%%%02X", (unsigned)c);
        else
            buf_add_char(out, c);
    }
    buf_free(&shown);
}

void machine_tap(struct buf *out, const char *text)
{
    struct buf shown = visible(text, 400, VISIBLE_LINE);
    for (size_t i = 0; i < shown.length; i++) {
        if (shown.data[i] == '#' || shown.data[i] == '\\')
            buf_add_char(out, '\\');
        buf_add_char(out, shown.data[i]);
    }
    buf_free(&shown);
}

void machine_json(struct buf *out, const char *text)
{
    struct buf shown = visible(text, 8192, VISIBLE_LINE);
    struct json *node = json_text(buf_text(&shown));
    json_print(node, JSON_COMPACT, out);
    json_free(node);
    buf_free(&shown);
}

void machine_label(struct buf *out, const char *text)
{
    struct buf shown = visible(text, 200, VISIBLE_LINE);
    buf_add_char(out, '"');
    for (size_t i = 0; i < shown.length; i++) {
        if (shown.data[i] == '"' || shown.data[i] == '\\')
            buf_add_char(out, '\\');
        buf_add_char(out, shown.data[i]);
    }
    buf_add_char(out, '"');
    buf_free(&shown);
}

const struct json *machine_promises(const struct json *checker)
{
    return json_first(json_get(checker, "promises"));
}

bool machine_promise_next(const struct json **at, struct machine_promise *promise)
{
    for (; *at != NULL; *at = json_next(*at)) {
        const struct json *one = *at;
        if (!json_as_bool(json_get(one, "promised"), false) || json_key(one) == NULL)
            continue;
        *promise = (struct machine_promise){.name = json_key(one),
                                            .reason = json_as_text(json_get(one, "reason"), ""),
                                            .verdict = verdict_from_json(json_get(one, "valid"))};
        *at = json_next(one);
        return true;
    }
    return false;
}
