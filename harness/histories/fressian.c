/* Reading Fressian: see fressian.h. The codes are those of org.fressian.impl.Codes. */
#include "harness/histories/fressian.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "harness/histories/fressian_number.h"

enum {
    INT_2 = 0x40,         /* packed integers: by how many bytes follow, up to 0x7f */
    CACHED = 0x80,        /* .. 0x9f */
    STRUCT_CACHED = 0xa0, /* .. 0xaf */
    LONG_ARRAY = 0xb0,
    OBJECT_ARRAY = 0xb5,
    MAP = 0xc0,
    SET = 0xc1,
    UUID = 0xc3,
    REGEX = 0xc4,
    URI = 0xc5,
    BIGINT = 0xc6,
    BIGDEC = 0xc7,
    INST = 0xc8,
    SYM = 0xc9,
    KEY = 0xca,
    GET_CACHE = 0xcc,
    PUT_CACHE = 0xcd,
    FOOTER = 0xcf,
    BYTES_PACKED = 0xd0, /* .. 0xd7 */
    BYTES_CHUNK = 0xd8,
    BYTES = 0xd9,
    STRING_PACKED = 0xda, /* .. 0xe1 */
    STRING_CHUNK = 0xe2,
    STRING = 0xe3,
    LIST_PACKED = 0xe4, /* .. 0xeb */
    LIST = 0xec,
    CLOSED_LIST = 0xed,
    OPEN_LIST = 0xee,
    STRUCT_TYPE = 0xef,
    STRUCT = 0xf0,
    TRUE = 0xf5,
    FALSE = 0xf6,
    NIL = 0xf7,
    INT = 0xf8,
    FLOAT = 0xf9,
    DOUBLE = 0xfa,
    DOUBLE_0 = 0xfb,
    DOUBLE_1 = 0xfc,
    END = 0xfd,
    RESET = 0xfe,
    MINUS_ONE = 0xff,
    FIELDS_MAX = 1024,
};

static bool fail(struct fressian *f, const char *problem)
{
    f->problem = problem;
    f->ended = false;
    return false;
}

static bool fail_ended(struct fressian *f)
{
    f->problem = "the bytes end inside a value";
    f->ended = true;
    return false;
}

/* ---- Bytes and integers ---- */

static size_t left(const struct fressian *f)
{
    return (size_t)(f->end - f->at);
}

static bool take_byte(struct fressian *f, unsigned *byte)
{
    if (f->at == f->end)
        return fail_ended(f);
    *byte = *f->at++;
    return true;
}

/* Big-endian. */
static bool take_bytes(struct fressian *f, unsigned count, uint64_t *bits)
{
    if (left(f) < count)
        return fail_ended(f);
    *bits = 0;
    for (unsigned i = 0; i < count; i++)
        *bits = *bits << 8 | *f->at++;
    return true;
}

/* Codes below 0x80: 0x00..0x3f are themselves; of the others the high bits tell how many bytes
 * follow, and the low ones, less their middle, stand above these. */
static bool take_packed(struct fressian *f, unsigned code, int64_t *integer)
{
    static const struct {
        unsigned below, zero, bytes;
    } forms[] = {{0x60, 0x50, 1}, {0x70, 0x68, 2}, {0x74, 0x72, 3},
                 {0x78, 0x76, 4}, {0x7c, 0x7a, 5}, {0x80, 0x7e, 6}};
    if (code < INT_2) {
        *integer = code;
        return true;
    }
    unsigned i = 0;
    while (code >= forms[i].below)
        i++;
    uint64_t low;
    if (!take_bytes(f, forms[i].bytes, &low))
        return false;
    int64_t high = (int64_t)code - (int64_t)forms[i].zero;
    *integer = (int64_t)((uint64_t)high << forms[i].bytes * 8 | low);
    return true;
}

static bool read_code(struct fressian *f, unsigned code, struct value *value);

static bool take_int(struct fressian *f, int64_t *integer)
{
    struct value value;
    unsigned code;
    if (!take_byte(f, &code) || !read_code(f, code, &value))
        return false;
    *integer = value_as_int(value);
    return value_is_int(value) || fail(f, "expected an integer");
}

/* How many items or bytes follow: each takes a byte at least. */
static bool take_count(struct fressian *f, size_t *count)
{
    int64_t integer;
    if (!take_int(f, &integer))
        return false;
    if (integer < 0)
        return fail(f, "a length below 0");
    *count = (size_t)integer;
    return *count <= left(f) || fail_ended(f);
}

/* ---- Sharing ---- */

/* Counts what a shared value would be when written out. */
static bool charge(struct fressian *f, struct value value, unsigned depth)
{
    if (++f->items > FRESSIAN_ITEMS_MAX)
        return fail(f, "a value of too many parts");
    if (depth > FRESSIAN_DEPTH_MAX)
        return fail(f, "values nested more than 512 deep");
    for (size_t i = 0, count = value_count(value); i < count; i++)
        if (!charge(f, value_at(value, i), depth + 1))
            return false;
    return true;
}

static bool look_up(struct fressian *f, int64_t index, struct value *value)
{
    if (index < 0 || index >= (int64_t)f->cache_count)
        return fail(f, "a reference to a value that is not there");
    *value = f->cache[index];
    return charge(f, *value, f->depth);
}

static bool push(struct fressian *f, struct value value)
{
    if (f->stack_count == f->stack_capacity) {
        size_t capacity = f->stack_capacity == 0 ? 64 : f->stack_capacity * 2;
        struct value *stack = realloc(f->stack, capacity * sizeof *stack);
        if (stack == NULL)
            return fail(f, "out of memory");
        f->stack = stack;
        f->stack_capacity = capacity;
    }
    f->stack[f->stack_count++] = value;
    return true;
}

static bool read_and_cache(struct fressian *f, struct value *value)
{
    if (f->cache_count == f->cache_capacity) {
        uint32_t capacity = f->cache_capacity == 0 ? 64 : f->cache_capacity * 2;
        struct value *cache = realloc(f->cache, capacity * sizeof *cache);
        if (cache == NULL)
            return fail(f, "out of memory");
        f->cache = cache;
        f->cache_capacity = capacity;
    }
    uint32_t index = f->cache_count++;
    f->cache[index] = value_nil(); /* a circle would find nothing */
    if (!fressian_read(f, value))
        return false;
    f->cache[index] = *value;
    return true;
}

/* ---- Texts ---- */

/* Java's characters are UTF-16 units, each of them encoded: pairs become what UTF-8 has. */
static void add_text(struct buf *out, const uint8_t *bytes, size_t length)
{
    for (size_t i = 0; i < length;) {
        bool pair = length - i >= 6 && bytes[i] == 0xed && (bytes[i + 1] & 0xf0) == 0xa0 &&
                    bytes[i + 3] == 0xed && (bytes[i + 4] & 0xf0) == 0xb0;
        if (!pair) {
            buf_add_char(out, (char)bytes[i++]);
            continue;
        }
        uint32_t high = (uint32_t)(bytes[i + 1] & 0x0f) << 6 | (bytes[i + 2] & 0x3f);
        uint32_t low = (uint32_t)(bytes[i + 4] & 0x0f) << 6 | (bytes[i + 5] & 0x3f);
        uint32_t code = 0x10000 + (high << 10) + low;
        buf_add_char(out, (char)(0xf0 | code >> 18));
        buf_add_char(out, (char)(0x80 | (code >> 12 & 0x3f)));
        buf_add_char(out, (char)(0x80 | (code >> 6 & 0x3f)));
        buf_add_char(out, (char)(0x80 | (code & 0x3f)));
        i += 6;
    }
}

static bool add_chunk(struct fressian *f, size_t length, struct buf *out)
{
    if (length > left(f))
        return fail_ended(f);
    add_text(out, f->at, length);
    f->at += length;
    return true;
}

static bool read_string(struct fressian *f, unsigned code, struct value *value)
{
    struct buf out = BUF_INIT;
    bool good = true, more;
    do {
        size_t length = code - STRING_PACKED;
        more = code == STRING_CHUNK;
        if (code >= STRING_CHUNK)
            good = take_count(f, &length);
        good = good && add_chunk(f, length, &out);
        if (good && more)
            good = take_byte(f, &code) && ((code >= STRING_PACKED && code <= STRING) ||
                                           fail(f, "expected the rest of a text"));
    } while (good && more);
    if (good)
        *value = value_text(f->arena, VALUE_STRING, buf_text(&out), out.length);
    buf_free(&out);
    return good;
}

/* Raw bytes into `out`. */
static bool take_byte_string(struct fressian *f, unsigned code, struct buf *out)
{
    bool more;
    do {
        size_t length = code - BYTES_PACKED;
        more = code == BYTES_CHUNK;
        if (code >= BYTES_CHUNK && !take_count(f, &length))
            return false;
        if (length > left(f))
            return fail_ended(f);
        buf_add(out, (const char *)f->at, length);
        f->at += length;
        if (more && !take_byte(f, &code))
            return false;
        if (more && (code < BYTES_PACKED || code > BYTES))
            return fail(f, "expected the rest of a string of bytes");
    } while (more);
    return true;
}

static struct value tagged(struct fressian *f, const char *tag, struct value content)
{
    struct value pair[] = {value_text(f->arena, VALUE_SYMBOL, tag, strlen(tag)), content};
    return value_items(f->arena, VALUE_TAGGED, pair, 2);
}

static bool read_bytes(struct fressian *f, unsigned code, struct value *value)
{
    struct buf raw = BUF_INIT, text = BUF_INIT;
    bool good = take_byte_string(f, code, &raw);
    for (size_t i = 0; good && i < raw.length; i++)
        buf_printf(&text, "%02x", (unsigned)(unsigned char)raw.data[i]);
    if (good)
        *value = tagged(f, "bytes", value_string(f->arena, buf_text(&text)));
    buf_free(&raw);
    buf_free(&text);
    return good;
}

/* The bytes of a value that must be a string of bytes. */
static bool take_raw(struct fressian *f, struct buf *raw)
{
    unsigned code;
    if (!take_byte(f, &code))
        return false;
    if (code < BYTES_PACKED || code > BYTES)
        return fail(f, "expected a string of bytes");
    return take_byte_string(f, code, raw);
}

/* ---- Numbers that Java keeps as bytes ---- */

enum { BIG_BYTES_MAX = 4096 }; /* dividing is quadratic */

static bool take_big(struct fressian *f, struct buf *text)
{
    struct buf raw = BUF_INIT;
    bool good = take_raw(f, &raw);
    if (good && raw.length > BIG_BYTES_MAX)
        good = fail(f, "an integer of more than 4096 bytes");
    if (good)
        fressian_add_decimal(text, &raw);
    buf_free(&raw);
    return good;
}

/* As EDN: a plain integer if it fits, else with its N. */
static bool read_big(struct fressian *f, struct value *value)
{
    struct buf text = BUF_INIT;
    bool good = take_big(f, &text);
    if (good && text.length < 19) {
        *value = value_int(f->arena, strtoll(buf_text(&text), NULL, 10));
    } else if (good) {
        buf_add_char(&text, 'N');
        *value = value_text(f->arena, VALUE_NUMBER, buf_text(&text), text.length);
    }
    buf_free(&text);
    return good;
}

/* unscaled * 10^-scale, with the M of EDN. */
static bool read_decimal(struct fressian *f, struct value *value)
{
    struct buf digits = BUF_INIT, text = BUF_INIT;
    int64_t scale;
    bool good = take_big(f, &digits) && take_int(f, &scale);
    if (good) {
        fressian_add_scaled(&text, &digits, scale);
        *value = value_text(f->arena, VALUE_NUMBER, buf_text(&text), text.length);
    }
    buf_free(&digits);
    buf_free(&text);
    return good;
}

static bool read_ratio(struct fressian *f, struct value *value)
{
    struct value parts[2];
    struct buf text = BUF_INIT;
    if (!fressian_read(f, &parts[0]) || !fressian_read(f, &parts[1]))
        return false;
    for (int i = 0; i < 2; i++) {
        bool number = value_is_int(parts[i]) || value_kind(parts[i]) == VALUE_NUMBER;
        if (!number) {
            buf_free(&text);
            return fail(f, "a ratio of what are no integers");
        }
        buf_add_text(&text, i == 1 ? "/" : "");
        value_print(parts[i], &text);
        if (text.data[text.length - 1] == 'N')
            text.length--;
    }
    *value = value_text(f->arena, VALUE_NUMBER, text.data, text.length);
    buf_free(&text);
    return true;
}

static bool read_uuid(struct fressian *f, struct value *value)
{
    struct buf raw = BUF_INIT, text = BUF_INIT;
    bool good = take_raw(f, &raw) && (raw.length == 16 || fail(f, "a UUID of other than 16 bytes"));
    for (size_t i = 0; good && i < 16; i++)
        buf_printf(&text, "%s%02x", i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "",
                   (unsigned)(unsigned char)raw.data[i]);
    if (good)
        *value = tagged(f, "uuid", value_string(f->arena, buf_text(&text)));
    buf_free(&raw);
    buf_free(&text);
    return good;
}

static bool read_inst(struct fressian *f, struct value *value)
{
    int64_t ms;
    if (!take_int(f, &ms))
        return false;
    int64_t seconds = ms / 1000 - (ms % 1000 < 0);
    struct tm parts;
    time_t when = (time_t)seconds;
    if (gmtime_r(&when, &parts) == NULL)
        return fail(f, "a time that no calendar has");
    char text[80];
    snprintf(text, sizeof text, "%04d-%02d-%02dT%02d:%02d:%02d.%03d-00:00", parts.tm_year + 1900,
             parts.tm_mon + 1, parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec,
             (int)(ms - seconds * 1000));
    *value = tagged(f, "inst", value_string(f->arena, text));
    return true;
}

/* ---- Collections ---- */

static bool pop_items(struct fressian *f, enum value_kind kind, size_t base, struct value *value)
{
    size_t count = f->stack_count - base;
    if (kind == VALUE_MAP && count % 2 != 0)
        return fail(f, "a map whose last key has no value");
    *value = value_items(f->arena, kind, f->stack == NULL ? NULL : f->stack + base, count);
    f->stack_count = base;
    return true;
}

static bool read_counted(struct fressian *f, size_t count, struct value *value)
{
    size_t base = f->stack_count;
    for (size_t i = 0; i < count; i++) {
        struct value item;
        if (!fressian_read(f, &item) || !push(f, item))
            return false;
    }
    return pop_items(f, VALUE_VECTOR, base, value);
}

/* Until the end mark; an open list may also end with the bytes. */
static bool read_until_end(struct fressian *f, bool open, struct value *value)
{
    size_t base = f->stack_count;
    for (;;) {
        struct value item;
        unsigned code;
        if (open && f->at == f->end)
            break;
        if (!take_byte(f, &code))
            return false;
        if (code == END)
            break;
        if (!read_code(f, code, &item) || !push(f, item))
            return false;
    }
    return pop_items(f, VALUE_VECTOR, base, value);
}

/* The items of a list, as another kind of collection; nil for an empty one. */
static bool read_as(struct fressian *f, enum value_kind kind, struct value *value)
{
    struct value list;
    if (!fressian_read(f, &list))
        return false;
    if (value_kind(list) != VALUE_VECTOR && !value_is_nil(list))
        return fail(f, "expected a list");
    size_t base = f->stack_count;
    for (size_t i = 0; i < value_count(list); i++)
        if (!push(f, value_at(list, i)))
            return false;
    return pop_items(f, kind, base, value);
}

/* {element times} to a set that has each as often. A few bytes can ask for any number of elements,
 * so each counts as many parts. */
static bool read_multiset(struct fressian *f, struct value *value)
{
    enum { PARTS = 16 };
    struct value times;
    if (!fressian_read(f, &times))
        return false;
    if (value_kind(times) != VALUE_MAP)
        return fail(f, "expected the multiplicities of a multiset");
    size_t base = f->stack_count;
    for (size_t i = 0; i < value_count(times); i += 2)
        for (int64_t j = value_as_int(value_at(times, i + 1)); j > 0; j--) {
            f->items += PARTS - 1;
            if (!charge(f, value_at(times, i), f->depth) || !push(f, value_at(times, i)))
                return false;
        }
    return pop_items(f, VALUE_SET, base, value);
}

/* Keywords and symbols: a namespace or nil, and a name. */
static bool read_named(struct fressian *f, enum value_kind kind, struct value *value)
{
    struct value space, name;
    if (!fressian_read(f, &space) || !fressian_read(f, &name))
        return false;
    if (value_kind(name) != VALUE_STRING ||
        (value_kind(space) != VALUE_STRING && !value_is_nil(space)))
        return fail(f, "expected a name");
    struct buf text = BUF_INIT;
    if (!value_is_nil(space)) {
        buf_add(&text, value_as_text(space), value_text_length(space));
        buf_add_char(&text, '/');
    }
    buf_add(&text, value_as_text(name), value_text_length(name));
    *value = value_text(f->arena, kind, buf_text(&text), text.length);
    buf_free(&text);
    return true;
}

/* Arrays begin with how many there are. */
static bool read_array(struct fressian *f, struct value *value)
{
    size_t count;
    return take_count(f, &count) && read_counted(f, count, value);
}

static bool read_char(struct fressian *f, struct value *value)
{
    int64_t code;
    if (!take_int(f, &code))
        return false;
    static const struct {
        int code;
        const char *name;
    } names[] = {{'\n', "newline"}, {' ', "space"},      {'\t', "tab"},
                 {'\r', "return"},  {'\b', "backspace"}, {'\f', "formfeed"}};
    char text[16];
    if (code > ' ' && code < 127)
        snprintf(text, sizeof text, "%c", (int)code);
    else
        snprintf(text, sizeof text, "u%04x", (unsigned)(code & 0xffff));
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (names[i].code == code)
            snprintf(text, sizeof text, "%s", names[i].name);
    *value = value_text(f->arena, VALUE_CHAR, text, strlen(text));
    return true;
}

/* ---- Structures ---- */

static bool read_fields(struct fressian *f, struct value tag, uint32_t fields, struct value *value)
{
    struct value content;
    bool good = fields == 1 ? fressian_read(f, &content) : read_counted(f, fields, &content);
    if (good)
        *value = tagged(f, value_as_text(tag), content);
    return good;
}

static bool is(struct value tag, const char *name, uint32_t fields, uint32_t wanted)
{
    return fields == wanted && strcmp(value_as_text(tag), name) == 0;
}

/* A record: its class and its fields by name. */
static bool read_record(struct fressian *f, struct value *value)
{
    struct value pair[2];
    if (!fressian_read(f, &pair[0]) || !fressian_read(f, &pair[1]))
        return false;
    if (value_kind(pair[0]) != VALUE_SYMBOL)
        return fail(f, "expected the class of a record");
    *value = value_items(f->arena, VALUE_TAGGED, pair, 2);
    return true;
}

static bool read_struct(struct fressian *f, struct value tag, uint32_t fields, struct value *value)
{
    if (is(tag, "persistent-hash-set", fields, 1) || is(tag, "persistent-sorted-set", fields, 1))
        return read_as(f, VALUE_SET, value);
    if (is(tag, "map-entry", fields, 2))
        return read_counted(f, 2, value);
    if (is(tag, "vec", fields, 1))
        return read_as(f, VALUE_VECTOR, value);
    if (is(tag, "multiset", fields, 1))
        return read_multiset(f, value);
    if (is(tag, "ratio", fields, 2))
        return read_ratio(f, value);
    if (is(tag, "char", fields, 1))
        return read_char(f, value);
    if (is(tag, "byte", fields, 1))
        return fressian_read(f, value);
    if (is(tag, "record", fields, 2))
        return read_record(f, value);
    if (is(tag, "key", fields, 2) || is(tag, "sym", fields, 2))
        return read_named(f, value_as_text(tag)[0] == 'k' ? VALUE_KEYWORD : VALUE_SYMBOL, value);
    if (is(tag, "bigint", fields, 1))
        return read_big(f, value);
    return read_fields(f, tag, fields, value);
}

static bool read_struct_type(struct fressian *f, struct value *value)
{
    struct fressian_struct type;
    int64_t fields;
    if (!fressian_read(f, &type.tag) || !take_int(f, &fields))
        return false;
    if (value_kind(type.tag) != VALUE_STRING || fields < 0 || fields > FIELDS_MAX)
        return fail(f, "expected a tag and how many fields it has");
    type.fields = (uint32_t)fields;
    if (f->struct_count == f->struct_capacity) {
        uint32_t capacity = f->struct_capacity == 0 ? 16 : f->struct_capacity * 2;
        struct fressian_struct *structs = realloc(f->structs, capacity * sizeof *structs);
        if (structs == NULL)
            return fail(f, "out of memory");
        f->structs = structs;
        f->struct_capacity = capacity;
    }
    f->structs[f->struct_count++] = type;
    return read_struct(f, type.tag, type.fields, value);
}

static bool read_known_struct(struct fressian *f, int64_t index, struct value *value)
{
    if (index < 0 || index >= (int64_t)f->struct_count)
        return fail(f, "a tag that was not defined");
    struct fressian_struct type = f->structs[index];
    return read_struct(f, type.tag, type.fields, value);
}

/* A check sum of what came before, which blocks have their own of. */
static bool skip_footer(struct fressian *f, struct value *value)
{
    uint64_t bits;
    if (!take_bytes(f, 3, &bits) || !take_bytes(f, 4, &bits) || !take_bytes(f, 4, &bits))
        return false;
    f->cache_count = f->struct_count = 0;
    return fressian_read(f, value);
}

static bool read_real(struct fressian *f, unsigned code, struct value *value)
{
    uint64_t bits = 0;
    double real = code == DOUBLE_1 ? 1 : 0;
    if (code == FLOAT) {
        if (!take_bytes(f, 4, &bits))
            return false;
        uint32_t word = (uint32_t)bits;
        float single;
        memcpy(&single, &word, sizeof single);
        real = single;
    } else if (code == DOUBLE) {
        if (!take_bytes(f, 8, &bits))
            return false;
        memcpy(&real, &bits, sizeof real);
    }
    *value = value_double(f->arena, real);
    return true;
}

static bool read_other(struct fressian *f, unsigned code, struct value *value)
{
    int64_t integer;
    size_t count;
    uint64_t bits;
    switch (code) {
    case MAP:
        return read_as(f, VALUE_MAP, value);
    case SET:
        return read_as(f, VALUE_SET, value);
    case UUID:
        return read_uuid(f, value);
    case REGEX:
    case URI:
        if (!fressian_read(f, value))
            return false;
        *value = tagged(f, code == URI ? "uri" : "regex", *value);
        return true;
    case BIGINT:
        return read_big(f, value);
    case BIGDEC:
        return read_decimal(f, value);
    case INST:
        return read_inst(f, value);
    case SYM:
    case KEY:
        return read_named(f, code == KEY ? VALUE_KEYWORD : VALUE_SYMBOL, value);
    case GET_CACHE:
        return take_int(f, &integer) && look_up(f, integer, value);
    case PUT_CACHE:
        return read_and_cache(f, value);
    case FOOTER:
        return skip_footer(f, value);
    case LIST:
        return take_count(f, &count) && read_counted(f, count, value);
    case CLOSED_LIST:
    case OPEN_LIST:
        return read_until_end(f, code == OPEN_LIST, value);
    case STRUCT_TYPE:
        return read_struct_type(f, value);
    case STRUCT:
        return take_int(f, &integer) && read_known_struct(f, integer, value);
    case TRUE:
    case FALSE:
        *value = value_bool(code == TRUE);
        return true;
    case NIL:
        *value = value_nil();
        return true;
    case INT:
        if (!take_bytes(f, 8, &bits))
            return false;
        *value = value_int(f->arena, (int64_t)bits);
        return true;
    case FLOAT:
    case DOUBLE:
    case DOUBLE_0:
    case DOUBLE_1:
        return read_real(f, code, value);
    case RESET:
        f->cache_count = f->struct_count = 0;
        return fressian_read(f, value);
    case MINUS_ONE:
        *value = value_int(NULL, -1);
        return true;
    default:
        return fail(f, "a code that Fressian does not have");
    }
}

static bool read_code(struct fressian *f, unsigned code, struct value *value)
{
    int64_t integer;
    if (++f->items > FRESSIAN_ITEMS_MAX)
        return fail(f, "a value of too many parts");
    if (f->depth >= FRESSIAN_DEPTH_MAX)
        return fail(f, "values nested more than 512 deep");
    if (code < CACHED) {
        if (!take_packed(f, code, &integer))
            return false;
        *value = value_int(f->arena, integer);
        return true;
    }
    f->depth++;
    bool good;
    if (code < STRUCT_CACHED)
        good = look_up(f, (int64_t)code - CACHED, value);
    else if (code < LONG_ARRAY)
        good = read_known_struct(f, (int64_t)code - STRUCT_CACHED, value);
    else if (code <= OBJECT_ARRAY)
        good = read_array(f, value);
    else if (code >= BYTES_PACKED && code <= BYTES)
        good = read_bytes(f, code, value);
    else if (code >= STRING_PACKED && code <= STRING)
        good = read_string(f, code, value);
    else if (code >= LIST_PACKED && code < LIST)
        good = read_counted(f, code - LIST_PACKED, value);
    else
        good = read_other(f, code, value);
    f->depth--;
    return good;
}

bool fressian_read(struct fressian *f, struct value *value)
{
    unsigned code;
    if (f->depth == 0)
        f->items = 0;
    return take_byte(f, &code) && read_code(f, code, value);
}

void fressian_init(struct fressian *fressian, struct arena *arena, const void *bytes, size_t length)
{
    const uint8_t *at = bytes;
    *fressian = (struct fressian){.at = at, .end = at + length, .arena = arena};
}

void fressian_free(struct fressian *fressian)
{
    free(fressian->cache);
    free(fressian->structs);
    free(fressian->stack);
}
