/* Values as JSON: see json_value.h. */
#include "harness/histories/json_value.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "harness/base/text.h"
#include "harness/histories/edn.h"

/* ---- What both directions agree on ---- */

static bool looks_like_int(const char *text, size_t length)
{
    size_t sign = length > 0 && text[0] == '-';
    if (length == sign || (text[sign] == '0' && length > 1))
        return false;
    for (size_t i = sign; i < length; i++)
        if (text[i] < '0' || text[i] > '9')
            return false;
    return true;
}

/* Where a string would be read as something else, a backslash stands before it (and before the
 * backslashes of one that begins with them): is this such a text, behind its backslashes? */
static bool is_marked(const char *text, size_t length, bool key)
{
    size_t at = 0;
    while (at < length && text[at] == '\\')
        at++;
    if (at == length)
        return false;
    return text[at] == ':' || (key && (text[at] == '#' || looks_like_int(text + at, length - at)));
}

static bool is_keyword_text(const char *text, size_t length)
{
    return length > 1 && text[0] == ':' && edn_is_name(text + 1, length - 1);
}

static const struct {
    const char *key;
    enum value_kind kind;
} marks[] = {
    {"#list", VALUE_LIST},     {"#set", VALUE_SET},    {"#map", VALUE_MAP},
    {"#symbol", VALUE_SYMBOL}, {"#char", VALUE_CHAR},  {"#number", VALUE_NUMBER},
    {"#double", VALUE_DOUBLE}, {"#tag", VALUE_TAGGED}, {"#keyword", VALUE_KEYWORD},
};
enum { MARK_COUNT = sizeof marks / sizeof marks[0] };

/* ---- Reading ---- */

bool json_reader_fail(struct json_reader *reader, const char *at, const char *problem)
{
    reader->problem = problem;
    reader->problem_at = at;
    reader->ended = false;
    return false;
}

bool json_reader_fail_ended(struct json_reader *reader, const char *problem)
{
    json_reader_fail(reader, reader->end, problem);
    reader->ended = true;
    return false;
}

void json_reader_init(struct json_reader *reader, struct arena *arena, enum json_way way)
{
    *reader = (struct json_reader){.arena = arena, .way = way};
}

void json_reader_free(struct json_reader *reader)
{
    free(reader->stack);
    buf_free(&reader->text);
}

void json_reader_text(struct json_reader *reader, const char *text, size_t length)
{
    reader->at = text;
    reader->end = text + length;
    reader->depth = 0;
    reader->stack_count = 0;
    reader->ended = false;
}

int json_reader_next(struct json_reader *reader)
{
    while (reader->at < reader->end && (*reader->at == ' ' || *reader->at == '\n' ||
                                        *reader->at == '\t' || *reader->at == '\r'))
        reader->at++;
    return reader->at == reader->end ? -1 : (unsigned char)*reader->at;
}

static int hex4(const char *text)
{
    int code = 0;
    for (int i = 0; i < 4; i++) {
        const char *digits = "0123456789abcdef";
        char c = text[i] >= 'A' && text[i] <= 'F' ? (char)(text[i] - 'A' + 'a') : text[i];
        const char *digit = c == '\0' ? NULL : strchr(digits, c);
        if (digit == NULL)
            return -1;
        code = code * 16 + (int)(digit - digits);
    }
    return code;
}

static void add_utf8(struct buf *out, unsigned code)
{
    char bytes[4];
    size_t length = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    static const unsigned char first[] = {0, 0, 0xc0, 0xe0, 0xf0};
    for (size_t i = length; i-- > 1; code >>= 6)
        bytes[i] = (char)(0x80 | (code & 0x3f));
    bytes[0] = (char)(first[length] | code);
    buf_add(out, bytes, length);
}

/* `at` is behind "\u"; half a surrogate pair becomes U+FFFD. Bytes used, 0 when malformed. */
static size_t add_unicode(struct buf *out, const char *at, const char *end)
{
    int first = end - at >= 4 ? hex4(at) : -1;
    if (first < 0)
        return 0;
    if (first >= 0xd800 && first < 0xdc00 && end - at >= 10 && at[4] == '\\' && at[5] == 'u') {
        int second = hex4(at + 6);
        if (second >= 0xdc00 && second < 0xe000) {
            add_utf8(out,
                     0x10000 + ((unsigned)(first - 0xd800) << 10) + (unsigned)(second - 0xdc00));
            return 10;
        }
    }
    add_utf8(out, first >= 0xd800 && first < 0xe000 ? 0xfffd : (unsigned)first);
    return 4;
}

/* `at` is behind the backslash. */
static size_t add_escape(struct buf *out, const char *at, const char *end)
{
    static const char from[] = "\"\\/ntrbf", to[] = "\"\\/\n\t\r\b\f";
    if (*at == 'u') {
        size_t used = add_unicode(out, at + 1, end);
        return used == 0 ? 0 : used + 1;
    }
    const char *known = *at == '\0' ? NULL : strchr(from, *at);
    if (known == NULL)
        return 0;
    buf_add_char(out, to[known - from]);
    return 1;
}

static bool unescape(struct json_reader *reader, const char *text, const char *end)
{
    buf_clear(&reader->text);
    while (text < end) {
        const char *slash = memchr(text, '\\', (size_t)(end - text));
        buf_add(&reader->text, text, (size_t)((slash == NULL ? end : slash) - text));
        if (slash == NULL)
            break;
        size_t used = add_escape(&reader->text, slash + 1, end);
        if (used == 0)
            return json_reader_fail(reader, slash, "an escape that JSON does not have");
        text = slash + 1 + used;
    }
    return true;
}

bool json_reader_read_text(struct json_reader *reader, const char **text, size_t *length)
{
    const char *begin = reader->at + 1, *at = begin;
    bool escaped = false;
    while (at < reader->end && *at != '"') {
        if ((unsigned char)*at < 0x20)
            return json_reader_fail(reader, at, "a control character in a string");
        if (*at == '\\') {
            escaped = true;
            at++;
        }
        at++;
    }
    if (at >= reader->end)
        return json_reader_fail_ended(reader, "the text ends inside a string");
    reader->at = at + 1;
    *text = begin;
    *length = (size_t)(at - begin);
    if (escaped) {
        if (!unescape(reader, begin, at))
            return false;
        *text = buf_text(&reader->text);
        *length = reader->text.length;
    }
    return true;
}

static bool is_mark(const char *text, size_t length)
{
    for (size_t i = 0; i < MARK_COUNT; i++)
        if (strlen(marks[i].key) == length && memcmp(marks[i].key, text, length) == 0)
            return true;
    return false;
}

static bool read_int_key(struct json_reader *reader, const char *text, size_t length,
                         struct value *value)
{
    return looks_like_int(text, length) &&
           edn_parse_all(reader->arena, text, length, value, NULL) == ERR_NONE &&
           value_is_int(*value);
}

/* An object's key. A mark is a symbol for the moment, which no key is, so that "\\#set" differs. */
static struct value key_value(struct json_reader *reader, const char *text, size_t length)
{
    struct value value;
    if (read_int_key(reader, text, length, &value))
        return value;
    if (reader->way == JSON_PLAIN)
        return value_text(reader->arena, edn_is_name(text, length) ? VALUE_KEYWORD : VALUE_STRING,
                          text, length);
    if (is_mark(text, length))
        return value_text(reader->arena, VALUE_SYMBOL, text, length);
    if (is_keyword_text(text, length))
        return value_text(reader->arena, VALUE_KEYWORD, text + 1, length - 1);
    size_t marked = length > 0 && text[0] == '\\' && is_marked(text, length, true);
    return value_text(reader->arena, VALUE_STRING, text + marked, length - marked);
}

static struct value string_value(struct json_reader *reader, const char *text, size_t length)
{
    if (reader->way == JSON_EXACT && is_keyword_text(text, length))
        return value_text(reader->arena, VALUE_KEYWORD, text + 1, length - 1);
    size_t marked = reader->way == JSON_EXACT && length > 0 && text[0] == '\\' &&
                    is_marked(text, length, false);
    return value_text(reader->arena, VALUE_STRING, text + marked, length - marked);
}

static bool push(struct json_reader *reader, struct value value)
{
    if (reader->stack_count == reader->stack_capacity) {
        size_t capacity = reader->stack_capacity == 0 ? 64 : reader->stack_capacity * 2;
        struct value *stack = realloc(reader->stack, capacity * sizeof *stack);
        if (stack == NULL)
            return json_reader_fail(reader, reader->at, "out of memory for a collection");
        reader->stack = stack;
        reader->stack_capacity = capacity;
    }
    reader->stack[reader->stack_count++] = value;
    return true;
}

static bool read_member(struct json_reader *reader)
{
    const char *text;
    size_t length;
    struct value value;
    if (json_reader_next(reader) == -1)
        return json_reader_fail_ended(reader, "the text ends inside an object");
    if (*reader->at != '"')
        return json_reader_fail(reader, reader->at, "expected a key in quotes");
    if (!json_reader_read_text(reader, &text, &length) ||
        !push(reader, key_value(reader, text, length)))
        return false;
    if (json_reader_next(reader) == -1)
        return json_reader_fail_ended(reader, "the text ends inside an object");
    if (*reader->at != ':')
        return json_reader_fail(reader, reader->at, "expected a colon behind a key");
    reader->at++;
    return json_reader_read(reader, &value) && push(reader, value);
}

/* The items between the bracket at `at` and its partner, pushed. */
static bool read_items(struct json_reader *reader, char close, bool members)
{
    reader->at++;
    if (json_reader_next(reader) == close) {
        reader->at++;
        return true;
    }
    for (;;) {
        struct value value;
        if (members ? !read_member(reader)
                    : !json_reader_read(reader, &value) || !push(reader, value))
            return false;
        int next = json_reader_next(reader);
        if (next == -1)
            return json_reader_fail_ended(reader, "the text ends inside an array or object");
        reader->at++;
        if (next == close)
            return true;
        if (next != ',')
            return json_reader_fail(reader, reader->at - 1,
                                    "expected a comma or a closing bracket");
    }
}

static bool read_collection(struct json_reader *reader, struct value *value,
                            bool (*finish)(struct json_reader *, const struct value *, size_t,
                                           struct value *))
{
    if (reader->depth >= JSON_VALUE_DEPTH_MAX)
        return json_reader_fail(reader, reader->at, "arrays and objects nested more than 512 deep");
    const char *begin = reader->at;
    bool object = *begin == '{';
    size_t base = reader->stack_count;
    reader->depth++;
    bool good = read_items(reader, object ? '}' : ']', object);
    reader->depth--;
    size_t count = reader->stack_count - base;
    reader->stack_count = base;
    if (!good)
        return false;
    const struct value *items = reader->stack == NULL ? NULL : reader->stack + base;
    return finish(reader, items, count, value) ||
           json_reader_fail(reader, begin, "an object with a # key that does not mean anything");
}

static bool finish_array(struct json_reader *reader, const struct value *items, size_t count,
                         struct value *value)
{
    *value = value_items(reader->arena, VALUE_VECTOR, items, count);
    return true;
}

/* {"#map": [[key, value], ...]} */
static bool unmark_map(struct json_reader *reader, struct value pairs, struct value *value)
{
    size_t count = value_count(pairs), base = reader->stack_count;
    bool good = value_kind(pairs) == VALUE_VECTOR;
    for (size_t i = 0; good && i < count; i++) {
        struct value pair = value_at(pairs, i);
        good = value_is_pair(pair) && push(reader, value_at(pair, 0)) &&
               push(reader, value_at(pair, 1));
    }
    reader->stack_count = base;
    if (good)
        *value = value_items(reader->arena, VALUE_MAP,
                             reader->stack == NULL ? NULL : reader->stack + base, count * 2);
    return good;
}

static bool unmark_text(struct json_reader *reader, enum value_kind kind, struct value text,
                        struct value *value)
{
    if (value_kind(text) != VALUE_STRING)
        return false;
    const char *bytes = value_as_text(text);
    size_t length = value_text_length(text);
    if (kind != VALUE_DOUBLE) {
        *value = value_text(reader->arena, kind, bytes, length);
        return true;
    }
    return edn_parse_all(reader->arena, bytes, length, value, NULL) == ERR_NONE &&
           value_kind(*value) == VALUE_DOUBLE;
}

/* {"#tag": "inst", "value": ...} */
static bool unmark_tag(struct json_reader *reader, const struct value *items, size_t count,
                       struct value *value)
{
    if (count != 4 || value_kind(items[1]) != VALUE_STRING ||
        value_kind(items[2]) != VALUE_STRING || strcmp(value_as_text(items[2]), "value") != 0)
        return false;
    struct value pair[2] = {value_text(reader->arena, VALUE_SYMBOL, value_as_text(items[1]),
                                       value_text_length(items[1])),
                            items[3]};
    *value = value_items(reader->arena, VALUE_TAGGED, pair, 2);
    return true;
}

static bool unmark(struct json_reader *reader, enum value_kind kind, const struct value *items,
                   size_t count, struct value *value)
{
    if (kind == VALUE_TAGGED)
        return unmark_tag(reader, items, count, value);
    if (count != 2)
        return false;
    if (kind == VALUE_MAP)
        return unmark_map(reader, items[1], value);
    if (kind != VALUE_LIST && kind != VALUE_SET)
        return unmark_text(reader, kind, items[1], value);
    if (value_kind(items[1]) != VALUE_VECTOR)
        return false;
    size_t inner = value_count(items[1]), base = reader->stack_count;
    for (size_t i = 0; i < inner; i++)
        if (!push(reader, value_at(items[1], i)))
            return false;
    reader->stack_count = base;
    *value = value_items(reader->arena, kind, reader->stack == NULL ? NULL : reader->stack + base,
                         inner);
    return true;
}

static bool finish_object(struct json_reader *reader, const struct value *items, size_t count,
                          struct value *value)
{
    bool marked = false;
    for (size_t i = 0; i < count; i += 2)
        marked |= value_kind(items[i]) == VALUE_SYMBOL;
    if (!marked) {
        *value = value_items(reader->arena, VALUE_MAP, items, count);
        return true;
    }
    if (count > 4)
        return false;
    struct value held[4]; /* the items lie in the stack, which unmarking uses */
    memcpy(held, items, count * sizeof *items);
    for (size_t i = 0; i < MARK_COUNT; i++)
        if (strcmp(marks[i].key, value_as_text(held[0])) == 0)
            return unmark(reader, marks[i].kind, held, count, value);
    return false;
}

static bool read_number(struct json_reader *reader, struct value *value)
{
    const char *begin = reader->at, *at = begin;
    while (at < reader->end && *at != '\0' && strchr("+-.0123456789eE", *at) != NULL)
        at++;
    reader->at = at;
    size_t length = (size_t)(at - begin);
    if (at == reader->end) /* an operation never ends with a number: half of one, perhaps */
        return json_reader_fail_ended(reader, "the text ends behind a number");
    if (length == 0 || *begin == '+' ||
        edn_parse_all(reader->arena, begin, length, value, NULL) != ERR_NONE ||
        value_kind(*value) == VALUE_SYMBOL)
        return json_reader_fail(reader, begin, "not a JSON value");
    return true;
}

static bool read_word(struct json_reader *reader, struct value *value)
{
    static const char *const words[] = {"null", "true", "false"};
    size_t rest = (size_t)(reader->end - reader->at);
    for (unsigned i = 0; i < 3; i++) {
        size_t length = strlen(words[i]);
        if (memcmp(reader->at, words[i], rest < length ? rest : length) != 0)
            continue;
        if (rest < length)
            return json_reader_fail_ended(reader, "the text ends inside a word");
        reader->at += length;
        *value = i == 0 ? value_nil() : value_bool(i == 1);
        return true;
    }
    return read_number(reader, value);
}

bool json_reader_read(struct json_reader *reader, struct value *value)
{
    const char *text;
    size_t length;
    switch (json_reader_next(reader)) {
    case -1:
        return json_reader_fail_ended(reader, "the text ends before a value");
    case '"':
        if (!json_reader_read_text(reader, &text, &length))
            return false;
        *value = string_value(reader, text, length);
        return true;
    case '[':
        return read_collection(reader, value, finish_array);
    case '{':
        return read_collection(reader, value, finish_object);
    default:
        return read_word(reader, value);
    }
}

static bool is_micro_op(struct value value)
{
    return value_kind(value) == VALUE_VECTOR && value_count(value) > 1 &&
           value_kind(value_at(value, 0)) == VALUE_STRING;
}

struct value json_name_micro_ops(struct arena *arena, struct value value)
{
    size_t count = value_count(value);
    if (value_kind(value) != VALUE_VECTOR || count == 0)
        return value;
    for (size_t i = 0; i < count; i++)
        if (!is_micro_op(value_at(value, i)))
            return value;
    struct value *ops = arena_alloc(arena, count * sizeof *ops);
    for (size_t i = 0; i < count; i++) {
        struct value op = value_at(value, i), name = value_at(op, 0);
        size_t parts = value_count(op);
        struct value *items = arena_alloc(arena, parts * sizeof *items);
        items[0] = value_text(arena, VALUE_KEYWORD, value_as_text(name), value_text_length(name));
        for (size_t j = 1; j < parts; j++)
            items[j] = value_at(op, j);
        ops[i] = value_items(arena, VALUE_VECTOR, items, parts);
    }
    return value_items(arena, VALUE_VECTOR, ops, count);
}

/* ---- Writing ---- */

static void add_quoted(struct buf *out, const char *before, const char *text, size_t length)
{
    buf_add_char(out, '"');
    buf_add_text(out, before);
    for (size_t at = 0, size; at < length; at += size) {
        unsigned char c = (unsigned char)text[at];
        size = 1;
        if (c == '"' || c == '\\')
            buf_printf(out, "\\%c", c);
        else if (c == '\n')
            buf_add_text(out, "\\n");
        else if (c < 0x20 || c == 0x7f)
            buf_printf(out, "\\u%04x", c);
        else if (c < 0x80)
            buf_add_char(out, (char)c);
        else if ((size = text_utf8(text + at, length - at)) > 0)
            buf_add(out, text + at, size);
        else {
            buf_add_text(out, "\xef\xbf\xbd");
            size = 1;
        }
    }
    buf_add_char(out, '"');
}

void json_add_text(struct buf *out, const char *text, size_t length)
{
    add_quoted(out, "", text, length);
}

static void add_mark(struct buf *out, enum value_kind kind)
{
    size_t i = 0;
    while (marks[i].kind != kind)
        i++;
    buf_printf(out, "{\"%s\":", marks[i].key);
}

static void add_marked_text(struct buf *out, struct value value)
{
    add_mark(out, value_kind(value));
    /* within a mark the text is a string value, with a string's rules */
    const char *text = value_as_text(value);
    size_t length = value_text_length(value);
    add_quoted(out, is_marked(text, length, false) ? "\\\\" : "", text, length);
    buf_add_char(out, '}');
}

/* What may stand as a key of an object: strings, keywords, integers. */
static bool key_fits(struct value key)
{
    enum value_kind kind = value_kind(key);
    return kind == VALUE_STRING || kind == VALUE_INT ||
           (kind == VALUE_KEYWORD && edn_is_name(value_as_text(key), value_text_length(key)));
}

static void add_key(struct buf *out, struct value key, enum json_way way)
{
    const char *text = value_as_text(key);
    size_t length = value_text_length(key);
    struct buf printed = BUF_INIT;
    if (value_kind(key) == VALUE_STRING || value_kind(key) == VALUE_KEYWORD) {
        const char *before = "";
        if (way == JSON_EXACT)
            before = value_kind(key) == VALUE_KEYWORD ? ":"
                     : is_marked(text, length, true)  ? "\\\\"
                                                      : "";
        add_quoted(out, before, text, length);
    } else {
        value_print(key, &printed);
        add_quoted(out, "", buf_text(&printed), printed.length);
    }
    buf_free(&printed);
}

static void add_map(struct buf *out, struct value map, enum json_way way)
{
    size_t count = value_count(map);
    bool object = true;
    for (size_t i = 0; i < count && way == JSON_EXACT; i += 2)
        object &= key_fits(value_at(map, i));
    if (object) {
        buf_add_char(out, '{');
    } else {
        add_mark(out, VALUE_MAP);
        buf_add_char(out, '[');
    }
    for (size_t i = 0; i < count; i += 2) {
        if (i > 0)
            buf_add_char(out, ',');
        if (object) {
            add_key(out, value_at(map, i), way);
            buf_add_char(out, ':');
            json_add_value(out, value_at(map, i + 1), way);
        } else {
            buf_add_char(out, '[');
            json_add_value(out, value_at(map, i), way);
            buf_add_char(out, ',');
            json_add_value(out, value_at(map, i + 1), way);
            buf_add_char(out, ']');
        }
    }
    buf_add_text(out, object ? "}" : "]}");
}

static void add_array(struct buf *out, struct value value, enum json_way way)
{
    bool mark = way == JSON_EXACT && value_kind(value) != VALUE_VECTOR;
    if (mark)
        add_mark(out, value_kind(value));
    buf_add_char(out, '[');
    for (size_t i = 0; i < value_count(value); i++) {
        if (i > 0)
            buf_add_char(out, ',');
        json_add_value(out, value_at(value, i), way);
    }
    buf_add_text(out, mark ? "]}" : "]");
}

static void add_tagged(struct buf *out, struct value value, enum json_way way)
{
    if (way == JSON_EXACT) {
        struct value tag = value_at(value, 0);
        const char *text = value_as_text(tag);
        size_t length = value_text_length(tag);
        add_mark(out, VALUE_TAGGED);
        add_quoted(out, is_marked(text, length, false) ? "\\\\" : "", text, length);
        buf_add_text(out, ",\"value\":");
    }
    json_add_value(out, value_at(value, 1), way);
    if (way == JSON_EXACT)
        buf_add_char(out, '}');
}

static void add_double(struct buf *out, struct value value, enum json_way way)
{
    bool finite = isfinite(value_as_double(value));
    if (!finite && way == JSON_PLAIN) {
        buf_add_text(out, "null");
    } else if (finite) {
        value_print(value, out);
    } else {
        add_mark(out, VALUE_DOUBLE);
        buf_add_char(out, '"');
        value_print(value, out);
        buf_add_text(out, "\"}");
    }
}

static void add_text_value(struct buf *out, struct value value, enum json_way way)
{
    const char *text = value_as_text(value);
    size_t length = value_text_length(value);
    enum value_kind kind = value_kind(value);
    if (way == JSON_PLAIN)
        add_quoted(out, "", text, length);
    else if (kind == VALUE_STRING)
        add_quoted(out, is_marked(text, length, false) ? "\\\\" : "", text, length);
    else if (kind == VALUE_KEYWORD && edn_is_name(text, length))
        add_quoted(out, ":", text, length);
    else
        add_marked_text(out, value);
}

void json_add_value(struct buf *out, struct value value, enum json_way way)
{
    switch (value_kind(value)) {
    case VALUE_NIL:
        buf_add_text(out, "null");
        break;
    case VALUE_BOOL:
    case VALUE_INT:
        value_print(value, out);
        break;
    case VALUE_DOUBLE:
        add_double(out, value, way);
        break;
    case VALUE_NUMBER:
    case VALUE_STRING:
    case VALUE_KEYWORD:
    case VALUE_SYMBOL:
    case VALUE_CHAR:
        add_text_value(out, value, way);
        break;
    case VALUE_MAP:
        add_map(out, value, way);
        break;
    case VALUE_TAGGED:
        add_tagged(out, value, way);
        break;
    default:
        add_array(out, value, way);
    }
}
