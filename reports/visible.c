/* Text from outside, made fit to be shown: see visible.h. */
#include "reports/visible.h"

#include <string.h>

#include "harness/base/text.h"

static uint32_t decode(const char *text, size_t size)
{
    const unsigned char *s = (const unsigned char *)text;
    uint32_t code = size == 1 ? s[0] : s[0] & (0xffu >> (size + 1));
    for (size_t i = 1; i < size; i++)
        code = code << 6 | (s[i] & 0x3fu);
    return code;
}

/* Characters that are not seen, or that change how others are seen. XML forbids some of them. */
static bool is_hidden(uint32_t code)
{
    return code < 0x20 || (code >= 0x7f && code < 0xa0) || code == 0xad || code == 0x61c ||
           code == 0x180e || (code >= 0x200b && code <= 0x200f) ||
           (code >= 0x2028 && code <= 0x202e) || (code >= 0x2060 && code <= 0x206f) ||
           code == 0xfeff || (code >= 0xfff0 && code <= 0xfffb) || (code & 0xfffe) == 0xfffe ||
           (code >= 0xfdd0 && code <= 0xfdef) || (code >= 0xe0000 && code <= 0xe0fff);
}

static void add_hidden(struct buf *out, uint32_t code, enum visible_newlines newlines)
{
    if (newlines == VISIBLE_PROSE && (code == '\n' || code == '\t'))
        buf_add_char(out, code == '\n' ? '\n' : ' ');
    else if (code == '\n')
        buf_add_text(out, "\\n");
    else if (code == '\t')
        buf_add_text(out, "\\t");
    else if (code == '\r')
        buf_add_text(out, "\\r");
    else if (code < 0x80)
        buf_printf(out, "\\x%02x", code);
    else
        buf_printf(out, "\\u%04x", code);
}

void visible_add(struct buf *out, const char *text, size_t length, enum visible_newlines newlines)
{
    for (size_t i = 0; i < length;) {
        size_t size = text_utf8(text + i, length - i);
        uint32_t code = size == 0 ? 0 : decode(text + i, size);
        if (size == 0) {
            buf_printf(out, "\\x%02x", (unsigned)(unsigned char)text[i]);
            i++;
            continue;
        }
        if (is_hidden(code))
            add_hidden(out, code, newlines);
        else
            buf_add(out, text + i, size);
        i += size;
    }
}

static bool is_combining(uint32_t code)
{
    return (code >= 0x300 && code <= 0x36f) || (code >= 0x1ab0 && code <= 0x1aff) ||
           (code >= 0x1dc0 && code <= 0x1dff) || (code >= 0x20d0 && code <= 0x20ff) ||
           (code >= 0xfe00 && code <= 0xfe0f) || (code >= 0xfe20 && code <= 0xfe2f);
}

static bool is_wide(uint32_t code)
{
    return (code >= 0x1100 && code <= 0x115f) || (code >= 0x2e80 && code <= 0xa4cf) ||
           (code >= 0xac00 && code <= 0xd7a3) || (code >= 0xf900 && code <= 0xfaff) ||
           (code >= 0xfe30 && code <= 0xfe6f) || (code >= 0xff00 && code <= 0xff60) ||
           (code >= 0xffe0 && code <= 0xffe6) || (code >= 0x1f300 && code <= 0x1faff) ||
           (code >= 0x20000 && code <= 0x3fffd);
}

/* Bytes and columns of the first character. */
static size_t measure(const char *text, size_t length, size_t *columns)
{
    size_t size = text_utf8(text, length);
    uint32_t code = size == 0 ? '?' : decode(text, size);
    *columns = is_combining(code) ? 0 : is_wide(code) ? 2 : 1;
    return size == 0 ? 1 : size;
}

size_t visible_fit(const char *text, size_t length, size_t columns)
{
    size_t used = 0, i = 0;
    while (i < length) {
        size_t one, size = measure(text + i, length - i, &one);
        if (used + one > columns)
            break;
        used += one;
        i += size;
    }
    return i;
}

size_t visible_columns(const char *text, size_t length)
{
    size_t columns = 0;
    for (size_t i = 0; i < length;) {
        size_t one;
        i += measure(text + i, length - i, &one);
        columns += one;
    }
    return columns;
}

void visible_add_cut(struct buf *out, const char *text, size_t length, size_t columns)
{
    struct buf shown = BUF_INIT;
    visible_add(&shown, text, length, VISIBLE_LINE);
    bool cut = visible_columns(buf_text(&shown), shown.length) > columns;
    if (cut)
        shown.length = visible_fit(shown.data, shown.length, columns - 3);
    buf_add(out, buf_text(&shown), shown.length);
    if (cut)
        buf_add_text(out, "...");
    buf_free(&shown);
}

void markup_add(struct buf *out, const char *text, size_t length, enum visible_newlines newlines)
{
    struct buf shown = BUF_INIT;
    visible_add(&shown, text, length, newlines);
    for (size_t i = 0; i < shown.length; i++) {
        char c = shown.data[i];
        if (c == '&')
            buf_add_text(out, "&amp;");
        else if (c == '<')
            buf_add_text(out, "&lt;");
        else if (c == '>')
            buf_add_text(out, "&gt;");
        else if (c == '"')
            buf_add_text(out, "&quot;");
        else if (c == '\'')
            buf_add_text(out, "&#39;");
        else
            buf_add_char(out, c);
    }
    buf_free(&shown);
}

void markup_add_text(struct buf *out, const char *text)
{
    markup_add(out, text, strlen(text), VISIBLE_LINE);
}

/* ---- Wrapping ---- */

struct wrapping {
    struct buf *out;
    size_t width, indent, column; /* a column left of the indentation: blanks are due */
    bool first;                   /* nothing stands on the line yet that a blank must follow */
};

static void new_line(struct wrapping *wrapping)
{
    buf_add_char(wrapping->out, '\n');
    wrapping->column = 0;
    wrapping->first = true;
}

static void put_piece(struct wrapping *wrapping, const char *text, size_t length)
{
    if (wrapping->column < wrapping->indent) {
        buf_printf(wrapping->out, "%*s", (int)(wrapping->indent - wrapping->column), "");
        wrapping->column = wrapping->indent;
    } else if (!wrapping->first) {
        buf_add_char(wrapping->out, ' ');
        wrapping->column++;
    }
    buf_add(wrapping->out, text, length);
    wrapping->column += visible_columns(text, length);
    wrapping->first = false;
}

/* A word goes to the next line when it does not fit, and is broken when it fits on none. */
static void put_word(struct wrapping *wrapping, const char *word, size_t length)
{
    size_t columns = visible_columns(word, length);
    if (!wrapping->first && wrapping->column + 1 + columns > wrapping->width)
        new_line(wrapping);
    while (wrapping->indent + columns > wrapping->width) {
        size_t part = visible_fit(word, length, wrapping->width - wrapping->indent);
        if (part == 0)
            break;
        put_piece(wrapping, word, part);
        new_line(wrapping);
        word += part;
        length -= part;
        columns = visible_columns(word, length);
    }
    if (length > 0)
        put_piece(wrapping, word, length);
}

void visible_wrap(struct buf *out, const char *text, size_t width, size_t indent, size_t column)
{
    struct buf shown = BUF_INIT;
    struct wrapping wrapping = {out, width, indent, column, column <= indent};
    visible_add(&shown, text, strlen(text), VISIBLE_PROSE);
    for (const char *rest = buf_text(&shown); *rest != '\0';) {
        size_t length = strcspn(rest, " \n");
        if (length > 0)
            put_word(&wrapping, rest, length);
        rest += length;
        if (*rest == '\n' && rest[1] != '\0')
            new_line(&wrapping);
        rest += *rest != '\0';
    }
    buf_free(&shown);
}
