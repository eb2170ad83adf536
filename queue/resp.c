/* Reading requests. */
#include "queue/resp.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const struct resp_limits resp_limits_default = {
    .arguments_max = 64 << 10,
    .bulk_bytes_max = 16 << 20,
    .request_bytes_max = 64 << 20,
    .line_bytes_max = 64 << 10,
};
const struct resp_limits resp_limits_stranger = {
    .arguments_max = 10,
    .bulk_bytes_max = 16 << 10,
    .request_bytes_max = 64 << 10,
    .line_bytes_max = 1 << 10,
};

void resp_parser_init(struct resp_parser *parser, const struct resp_limits *limits)
{
    *parser = (struct resp_parser){.limits = limits, .bulk = -1, .wanted = 1};
}

void resp_parser_free(struct resp_parser *parser)
{
    free(parser->spans);
    free(parser->slices);
    free(parser->words);
    resp_parser_init(parser, parser->limits);
}

size_t resp_wanted(const struct resp_parser *parser)
{
    return parser->wanted;
}

/* The next request begins afresh; memory is kept. */
static void forget(struct resp_parser *parser)
{
    parser->at = parser->scanned = 0;
    parser->wanted = 1;
    parser->bulk = -1;
    parser->expected = parser->count = 0;
    parser->in_array = false;
}

static enum resp_status fail(struct resp_parser *parser, struct resp_request *request,
                             const char *what)
{
    snprintf(parser->error, sizeof parser->error, "Protocol error: %s", what);
    request->error = parser->error;
    forget(parser);
    return RESP_ERROR;
}

static bool add_span(struct resp_parser *parser, size_t offset, size_t length)
{
    if (parser->count == parser->capacity) {
        uint32_t capacity = parser->capacity == 0 ? 8 : parser->capacity * 2;
        struct resp_span *spans = realloc(parser->spans, capacity * sizeof *spans);
        if (spans == NULL)
            return false;
        parser->spans = spans;
        struct resp_slice *slices = realloc(parser->slices, capacity * sizeof *slices);
        if (slices == NULL)
            return false;
        parser->slices = slices;
        parser->capacity = capacity;
    }
    parser->spans[parser->count++] = (struct resp_span){.offset = offset, .length = length};
    return true;
}

static enum resp_status finish(struct resp_parser *parser, const char *base, size_t consumed,
                               struct resp_request *request)
{
    for (uint32_t i = 0; i < parser->count; i++)
        parser->slices[i] = (struct resp_slice){.data = base + parser->spans[i].offset,
                                                .length = parser->spans[i].length};
    request->arguments = parser->slices;
    request->count = parser->count;
    request->consumed = consumed;
    forget(parser);
    return RESP_REQUEST;
}

/* Arrays */

enum line { LINE_WHOLE, LINE_PART, LINE_TOO_LONG };

/* A line from parser->at on; *end is where its LF is. */
static enum line find_line(struct resp_parser *parser, const char *buffer, size_t length,
                           size_t *end)
{
    size_t from = parser->scanned > parser->at ? parser->scanned : parser->at;
    const char *found = length > from ? memchr(buffer + from, '\n', length - from) : NULL;
    size_t until = found == NULL ? length : (size_t)(found - buffer);
    if (until - parser->at > parser->limits->line_bytes_max)
        return LINE_TOO_LONG;
    parser->scanned = until;
    parser->wanted = length + 1;
    *end = until;
    return found == NULL ? LINE_PART : LINE_WHOLE;
}

/* A whole number as Redis takes it: no plus, no spaces, no leading zeros. `end` is behind it. */
static bool parse_number(const char *at, const char *end, int64_t *value)
{
    bool negative = at < end && *at == '-';
    at += negative;
    if (at == end || end - at > 18 || (*at == '0' && (end - at > 1 || negative)))
        return false;
    int64_t number = 0;
    for (; at < end; at++) {
        if (*at < '0' || *at > '9')
            return false;
        number = number * 10 + (*at - '0');
    }
    *value = negative ? -number : number;
    return true;
}

/* The number behind the type's character at parser->at, in a line that ends with CR LF. */
static bool number_of_line(const struct resp_parser *parser, const char *buffer, size_t end,
                           int64_t *value)
{
    return end > parser->at + 1 && buffer[end - 1] == '\r' &&
           parse_number(buffer + parser->at + 1, buffer + end - 1, value);
}

/* As Redis' clients write it: the type, a short number, CR LF, all there. What is behind it, or
 * NULL: then it is to be looked at more closely. */
static inline const char *plain_header(const char *at, const char *end, char type, uint32_t *value)
{
    enum { DIGITS_MAX = 8 };
    uint32_t number = 0, digits = 0;
    if (end - at < DIGITS_MAX + 3 || *at++ != type)
        return NULL;
    for (; digits < DIGITS_MAX && (unsigned char)(*at - '0') < 10; digits++)
        number = number * 10 + (uint32_t)(*at++ - '0');
    if (digits == 0 || (digits > 1 && at[-(int)digits] == '0') || at[0] != '\r' || at[1] != '\n')
        return NULL;
    *value = number;
    return at + 2;
}

/* The array's or the argument's header at parser->at, in the usual case. */
static inline bool take_plain_header(struct resp_parser *parser, const char *buffer, size_t length,
                                     char type, uint64_t maximum, uint32_t *value)
{
    const char *next = plain_header(buffer + parser->at, buffer + length, type, value);
    if (next == NULL || *value > maximum)
        return false;
    parser->at = (size_t)(next - buffer);
    return true;
}

static enum resp_status begin_array(struct resp_parser *parser, const char *buffer, size_t length,
                                    struct resp_request *request)
{
    size_t end;
    int64_t count;
    uint32_t plain;
    if (take_plain_header(parser, buffer, length, '*', parser->limits->arguments_max, &plain)) {
        count = plain;
    } else {
        enum line line = find_line(parser, buffer, length, &end);
        if (line == LINE_TOO_LONG)
            return fail(parser, request, "too big mbulk count string");
        if (line == LINE_PART)
            return RESP_MORE;
        if (!number_of_line(parser, buffer, end, &count) || count > parser->limits->arguments_max)
            return fail(parser, request, "invalid multibulk length");
        parser->at = end + 1;
    }
    if (count <= 0)
        return finish(parser, buffer, parser->at, request);
    parser->in_array = true;
    parser->expected = (uint32_t)count;
    return RESP_REQUEST; /* go on */
}

static inline enum resp_status begun_bulk(struct resp_parser *parser, struct resp_request *request)
{
    if (parser->at + (uint64_t)parser->bulk + 2 > parser->limits->request_bytes_max)
        return fail(parser, request, "too big request");
    return RESP_REQUEST;
}

static enum resp_status begin_bulk(struct resp_parser *parser, const char *buffer, size_t length,
                                   struct resp_request *request)
{
    size_t end;
    uint32_t plain;
    if (take_plain_header(parser, buffer, length, '$', parser->limits->bulk_bytes_max, &plain)) {
        parser->bulk = plain;
        return begun_bulk(parser, request);
    }
    if (length == parser->at) {
        parser->wanted = length + 1;
        return RESP_MORE;
    }
    char type = buffer[parser->at];
    if (type != '$') {
        char what[32];
        snprintf(what, sizeof what, "expected '$', got '%c'",
                 type >= ' ' && type <= '~' ? type : '?');
        return fail(parser, request, what);
    }
    enum line line = find_line(parser, buffer, length, &end);
    if (line == LINE_TOO_LONG)
        return fail(parser, request, "too big bulk count string");
    if (line == LINE_PART)
        return RESP_MORE;
    if (!number_of_line(parser, buffer, end, &parser->bulk) || parser->bulk < 0 ||
        parser->bulk > parser->limits->bulk_bytes_max)
        return fail(parser, request, "invalid bulk length");
    parser->at = end + 1;
    return begun_bulk(parser, request);
}

static enum resp_status end_bulk(struct resp_parser *parser, const char *buffer, size_t length,
                                 struct resp_request *request)
{
    size_t end = parser->at + (size_t)parser->bulk;
    if (length < end + 2) {
        parser->wanted = end + 2;
        return RESP_MORE;
    }
    if (buffer[end] != '\r' || buffer[end + 1] != '\n')
        return fail(parser, request, "expected CR LF behind a bulk string");
    if (!add_span(parser, parser->at, (size_t)parser->bulk))
        return fail(parser, request, "out of memory");
    parser->at = end + 2;
    parser->bulk = -1;
    return RESP_REQUEST;
}

static enum resp_status parse_array(struct resp_parser *parser, const char *buffer, size_t length,
                                    struct resp_request *request)
{
    while (parser->count < parser->expected) {
        enum resp_status status = parser->bulk < 0 ? begin_bulk(parser, buffer, length, request)
                                                   : end_bulk(parser, buffer, length, request);
        if (status != RESP_REQUEST)
            return status;
    }
    return finish(parser, buffer, parser->at, request);
}

/* Inline requests */

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

struct words {
    const char *at, *end;
    char *out;
};

/* What stands behind a backslash in double quotes. */
static void take_escape(struct words *words)
{
    static const char names[] = "nrtba", values[] = "\n\r\t\b\a";
    char c = *words->at++;
    if (c == 'x' && words->end - words->at >= 2 && hex_digit(words->at[0]) >= 0 &&
        hex_digit(words->at[1]) >= 0) {
        *words->out++ = (char)(hex_digit(words->at[0]) * 16 + hex_digit(words->at[1]));
        words->at += 2;
        return;
    }
    const char *name = c == '\0' ? NULL : strchr(names, c);
    *words->out++ = name == NULL ? c : values[name - names];
}

/* Behind an opening quote. False when it is not closed, or not followed by a space. */
static bool take_quoted(struct words *words, char quote)
{
    while (words->at < words->end) {
        char c = *words->at++;
        if (c == quote)
            return words->at == words->end || is_space(*words->at);
        if (c == '\\' && words->at < words->end && quote == '"')
            take_escape(words);
        else if (c == '\\' && words->at < words->end && *words->at == '\'')
            *words->out++ = *words->at++;
        else
            *words->out++ = c;
    }
    return false;
}

static bool take_word(struct words *words)
{
    while (words->at < words->end && !is_space(*words->at)) {
        char c = *words->at++;
        if (c != '"' && c != '\'')
            *words->out++ = c;
        else if (!take_quoted(words, c))
            return false;
    }
    return true;
}

static enum resp_status parse_inline(struct resp_parser *parser, const char *buffer, size_t length,
                                     struct resp_request *request)
{
    size_t end;
    enum line line = find_line(parser, buffer, length, &end);
    if (line == LINE_TOO_LONG)
        return fail(parser, request, "too big inline request");
    if (line == LINE_PART)
        return RESP_MORE;
    /* Words are never longer than what they are written as. */
    char *room = realloc(parser->words, end + 1);
    if (room == NULL)
        return fail(parser, request, "out of memory");
    parser->words = room;
    struct words words = {.at = buffer, .end = buffer + end, .out = room};
    for (;;) {
        while (words.at < words.end && is_space(*words.at))
            words.at++;
        if (words.at == words.end)
            return finish(parser, room, end + 1, request);
        char *begin = words.out;
        if (!take_word(&words))
            return fail(parser, request, "unbalanced quotes in request");
        if (parser->count == parser->limits->arguments_max)
            return fail(parser, request, "too many arguments");
        if (!add_span(parser, (size_t)(begin - room), (size_t)(words.out - begin)))
            return fail(parser, request, "out of memory");
    }
}

enum resp_status resp_parse(struct resp_parser *parser, const char *buffer, size_t length,
                            struct resp_request *request)
{
    *request = (struct resp_request){.arguments = NULL};
    if (length < parser->wanted)
        return RESP_MORE;
    if (parser->in_array)
        return parse_array(parser, buffer, length, request);
    if (buffer[0] != '*')
        return parse_inline(parser, buffer, length, request);
    enum resp_status status = begin_array(parser, buffer, length, request);
    return status == RESP_REQUEST && parser->in_array ? parse_array(parser, buffer, length, request)
                                                      : status;
}
