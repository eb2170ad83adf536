/* Lines of fields: see line.h. */
#include "harness/base/line.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static void add_escaped(struct buf *out, const char *bytes, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        switch (bytes[i]) {
        case '\\':
            buf_add(out, "\\\\", 2);
            break;
        case '\t':
            buf_add(out, "\\t", 2);
            break;
        case '\n':
            buf_add(out, "\\n", 2);
            break;
        case '\r':
            buf_add(out, "\\r", 2);
            break;
        case '\0':
            buf_add(out, "\\0", 2);
            break;
        default:
            buf_add_char(out, bytes[i]);
        }
    }
}

static void separate(struct buf *out)
{
    if (out->length > 0 && out->data[out->length - 1] != '\n')
        buf_add_char(out, '\t');
}

void line_field(struct buf *out, const char *text)
{
    separate(out);
    add_escaped(out, text, strlen(text));
}

void line_key_bytes(struct buf *out, const char *key, const void *value, size_t length)
{
    separate(out);
    buf_add_text(out, key);
    buf_add_char(out, '=');
    add_escaped(out, value, length);
}

void line_key(struct buf *out, const char *key, const char *value)
{
    line_key_bytes(out, key, value, strlen(value));
}

void line_key_int(struct buf *out, const char *key, int64_t value)
{
    separate(out);
    buf_printf(out, "%s=%" PRId64, key, value);
}

void line_end(struct buf *out)
{
    buf_add_char(out, '\n');
}

static int unescape(char c)
{
    switch (c) {
    case '\\':
        return '\\';
    case 't':
        return '\t';
    case 'n':
        return '\n';
    case 'r':
        return '\r';
    case '0':
        return '\0';
    default:
        return -1;
    }
}

enum err_code line_parse(struct arena *arena, const char *bytes, size_t length, struct line *line,
                         struct err *err)
{
    if (length > LINE_BYTES_MAX)
        return err_set(err, ERR_PARSE, "line of %zu bytes: at most %d are allowed", length,
                       LINE_BYTES_MAX);
    uint32_t count = 1;
    for (size_t i = 0; i < length; i++)
        count += bytes[i] == '\t';
    if (count > LINE_FIELDS_MAX)
        return err_set(err, ERR_PARSE, "line of %u fields: at most %d are allowed", count,
                       LINE_FIELDS_MAX);
    struct line_field *fields = arena_alloc(arena, count * sizeof *fields);
    char *text = arena_alloc(arena, length + 1);
    char *end = text;
    uint32_t field = 0;
    fields[0] = (struct line_field){.text = text};
    for (size_t i = 0; i < length; i++) {
        if (bytes[i] == '\t') {
            fields[field].length = (size_t)(end - fields[field].text);
            *end++ = '\0';
            fields[++field] = (struct line_field){.text = end};
        } else if (bytes[i] == '\\') {
            int c = i + 1 < length ? unescape(bytes[i + 1]) : -1;
            if (c < 0)
                return err_set(err, ERR_PARSE, "byte %zu: a backslash that escapes nothing", i + 1);
            *end++ = (char)c;
            i++;
        } else if (bytes[i] == '\n' || bytes[i] == '\0') {
            return err_set(err, ERR_PARSE, "byte %zu: a raw newline or NUL inside a line", i + 1);
        } else {
            *end++ = bytes[i];
        }
    }
    fields[field].length = (size_t)(end - fields[field].text);
    *end = '\0';
    *line = (struct line){.fields = fields, .count = count};
    return ERR_NONE;
}

const char *line_at(const struct line *line, uint32_t index)
{
    return index < line->count ? line->fields[index].text : "";
}

const char *line_next(const struct line *line, const char *key, uint32_t *cursor)
{
    size_t length = strlen(key);
    while (*cursor < line->count) {
        const struct line_field *field = &line->fields[(*cursor)++];
        if (field->length > length && field->text[length] == '=' &&
            memcmp(field->text, key, length) == 0)
            return field->text + length + 1;
    }
    return NULL;
}

const char *line_get(const struct line *line, const char *key)
{
    uint32_t cursor = 0;
    return line_next(line, key, &cursor);
}

int64_t line_get_int(const struct line *line, const char *key, int64_t absent)
{
    const char *text = line_get(line, key);
    if (text == NULL)
        return absent;
    char *end;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    return end == text || *end != '\0' || errno != 0 ? absent : value;
}
