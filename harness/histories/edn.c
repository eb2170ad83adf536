/* Reading EDN: see edn.h. */
#include "harness/histories/edn.h"

#include <errno.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/histories/edn_escape.h"
#include "harness/histories/edn_number.h"
#include "harness/histories/value_lists.h"
#include "harness/histories/value_recent.h"

/* ---- Characters ---- */

enum { BLANK = 1, DELIMITER = 2, DIGIT = 4, CONTROL = 8, END_OF_TOKEN = BLANK | DELIMITER };

static const uint8_t classes[256] = {
    [0 ... 8] = CONTROL, ['\t'] = BLANK,    ['\n'] = BLANK,        [11] = BLANK,
    [12] = BLANK,        ['\r'] = BLANK,    [14 ... 27] = CONTROL, [28 ... 31] = BLANK,
    [' '] = BLANK,       [','] = BLANK,     ['"'] = DELIMITER,     ['('] = DELIMITER,
    [')'] = DELIMITER,   ['['] = DELIMITER, [']'] = DELIMITER,     ['{'] = DELIMITER,
    ['}'] = DELIMITER,   [';'] = DELIMITER, [127] = CONTROL,       ['0' ... '9'] = DIGIT,
};

static unsigned class_of(char c)
{
    return classes[(unsigned char)c];
}

bool edn_is_name(const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if (class_of(text[i]) & (END_OF_TOKEN | CONTROL))
            return false;
    return length > 0;
}

bool edn_fail(struct edn_reader *reader, const char *at, const char *problem)
{
    reader->problem = problem;
    reader->problem_at = at;
    reader->ended = false;
    return false;
}

bool edn_fail_ended(struct edn_reader *reader, const char *problem)
{
    edn_fail(reader, reader->end, problem);
    reader->ended = true;
    return false;
}

/* A wrong token that touches the end may only be half of a right one. */
static bool fail_token(struct edn_reader *reader, const char *at, const char *problem)
{
    edn_fail(reader, at, problem);
    reader->ended = reader->at == reader->end;
    return false;
}

/* ---- Texts already made ---- */

enum { NAMES_SLOTS = 8192, NAMES_MAX = NAMES_SLOTS / 2, NAME_BYTES_MAX = 40 };

enum { RECENT_SLOTS = 64, RECENT_BYTES = 8, LIST_ENDS_MAX = 4096 };

struct edn_names {
    /* Short keywords met lately, whole in one word with their colon: found without hashing. */
    struct edn_recent {
        uint64_t word, mask; /* mask 0: free */
        unsigned length;
        struct value value;
    } recent[RECENT_SLOTS];
    struct edn_name {
        uint32_t hash;
        struct value value; /* nil: free */
    } slots[NAMES_SLOTS];
    unsigned count;
    struct value_recent vectors;
    struct value_lists lists;
    uint32_t ends[LIST_ENDS_MAX];
};

static struct value make_text(struct edn_reader *reader, enum value_kind kind, const char *text,
                              size_t length)
{
    if (reader->skipping > 0)
        return value_nil();
    if (reader->names == NULL || length > NAME_BYTES_MAX)
        return value_text(reader->arena, kind, text, length);
    uint32_t hash = (uint32_t)kind;
    for (size_t i = 0; i < length; i++)
        hash = (hash ^ (unsigned char)text[i]) * UINT32_C(0x01000193);
    for (uint32_t at = hash ^ hash >> 15;; at++) {
        struct edn_name *name = &reader->names->slots[at % NAMES_SLOTS];
        if (value_is_nil(name->value)) {
            struct value made = value_text(reader->arena, kind, text, length);
            if (reader->names->count < NAMES_MAX) {
                *name = (struct edn_name){.hash = hash, .value = made};
                reader->names->count++;
            }
            return made;
        }
        if (name->hash == hash && value_kind(name->value) == kind &&
            value_text_length(name->value) == length &&
            memcmp(value_as_text(name->value), text, length) == 0)
            return name->value;
    }
}

/* ---- Numbers ---- */

static bool is_number_start(const char *at, const char *end)
{
    if (class_of(*at) & DIGIT)
        return true;
    return (*at == '-' || *at == '+') && at + 1 < end && (class_of(at[1]) & DIGIT);
}

static bool read_real(struct edn_reader *reader, const char *text, size_t length,
                      struct value *value)
{
    char small[64], *copy = small;
    if (length >= sizeof small && (copy = malloc(length + 1)) == NULL)
        return edn_fail(reader, text, "out of memory for a number");
    memcpy(copy, text, length);
    copy[length] = '\0';
    if (reader->skipping == 0)
        *value = value_double(reader->arena, strtod(copy, NULL));
    if (copy != small)
        free(copy);
    return true;
}

/* An integer past 64 bits keeps its N, so that 2^70 and 2^70N are one value. */
static struct value wide_integer(struct edn_reader *reader, const char *text, size_t length,
                                 bool has_n)
{
    if (reader->skipping > 0)
        return value_nil();
    char *copy = arena_printf(reader->arena, "%.*s%s", (int)(length < INT32_MAX ? length : 0), text,
                              has_n ? "" : "N");
    return value_text(reader->arena, VALUE_NUMBER, copy, strlen(copy));
}

static bool read_number(struct edn_reader *reader, const char *text, size_t length,
                        struct value *value)
{
    bool negative = text[0] == '-';
    size_t sign = negative || text[0] == '+';
    const char *body = text + sign;
    size_t count = length - sign, whole = edn_digits(body, count);
    int64_t integer;
    char last = body[count - 1];
    *value = value_nil();
    if (whole == count || (whole + 1 == count && last == 'N')) {
        if (whole > 1 && body[0] == '0')
            return fail_token(reader, text, "a number that begins with 0 (octal or decimal?)");
        if (edn_decimal(body, whole, negative, &integer))
            *value = value_int(reader->arena, integer);
        else
            *value = wide_integer(reader, text[0] == '+' ? body : text,
                                  text[0] == '+' ? count : length, whole != count);
        return true;
    }
    if (count > 2 && body[0] == '0' && (body[1] == 'x' || body[1] == 'X') &&
        edn_hexadecimal(body + 2, count - 2, negative, &integer)) {
        *value = value_int(reader->arena, integer);
        return true;
    }
    if (edn_is_real(body, count))
        return read_real(reader, text, length, value);
    if (edn_is_ratio(body, count) || (last == 'M' && edn_is_real(body, count - 1))) {
        *value = make_text(reader, VALUE_NUMBER, text, length);
        return true;
    }
    return fail_token(reader, text, "not a number, though it begins like one");
}

/* ---- Strings ---- */

static bool read_escaped(struct edn_reader *reader, const char *text, const char *end,
                         struct value *value)
{
    struct buf out = BUF_INIT;
    bool good = true;
    while (text < end && good) {
        const char *slash = memchr(text, '\\', (size_t)(end - text));
        const char *plain_end = slash == NULL ? end : slash;
        buf_add(&out, text, (size_t)(plain_end - text));
        text = plain_end;
        if (slash == NULL)
            break;
        size_t used = edn_add_escape(&out, slash + 1, end);
        good = used > 0 || edn_fail(reader, slash, "an escape that EDN does not have");
        text = slash + 1 + used;
    }
    if (good)
        *value = make_text(reader, VALUE_STRING, buf_text(&out), out.length);
    buf_free(&out);
    return good;
}

static bool read_string(struct edn_reader *reader, struct value *value)
{
    const char *text = reader->at + 1, *at = text;
    bool escaped = false;
    while (at < reader->end && *at != '"') {
        if (*at == '\\') {
            escaped = true;
            at++;
            if (at == reader->end)
                break;
        }
        at++;
    }
    if (at >= reader->end)
        return edn_fail_ended(reader, "the text ends inside a string");
    reader->at = at + 1;
    if (escaped)
        return read_escaped(reader, text, at, value);
    *value = make_text(reader, VALUE_STRING, text, (size_t)(at - text));
    return true;
}

/* ---- Tokens: numbers, keywords, symbols, characters ---- */

static const char *token_end(const struct edn_reader *reader, const char *at)
{
    while (at < reader->end && !(class_of(*at) & (END_OF_TOKEN | CONTROL)))
        at++;
    return at;
}

bool edn_read_token(struct edn_reader *reader, const char **text, size_t *length)
{
    const char *end = token_end(reader, reader->at);
    *text = reader->at;
    *length = (size_t)(end - reader->at);
    reader->at = end;
    return *length > 0;
}

static bool is(const char *text, size_t length, const char *word)
{
    return strlen(word) == length && memcmp(text, word, length) == 0;
}

static bool read_token(struct edn_reader *reader, struct value *value)
{
    const char *text;
    size_t length;
    bool number = is_number_start(reader->at, reader->end);
    if (!edn_read_token(reader, &text, &length))
        return edn_fail(reader, reader->at, "a control character");
    if (number)
        return read_number(reader, text, length, value);
    if (text[0] == ':') {
        if (length == 1)
            return fail_token(reader, text, "a colon without a name");
        *value = make_text(reader, VALUE_KEYWORD, text + 1, length - 1);
        return true;
    }
    if (is(text, length, "nil"))
        *value = value_nil();
    else if (is(text, length, "true") || is(text, length, "false"))
        *value = value_bool(text[0] == 't');
    else
        *value = make_text(reader, VALUE_SYMBOL, text, length);
    return true;
}

/* \a, \newline, \u03a9, and delimiters: \( */
static bool read_char(struct edn_reader *reader, struct value *value)
{
    const char *text = reader->at + 1;
    if (text == reader->end)
        return edn_fail_ended(reader, "the text ends inside a character");
    if (class_of(*text) & (CONTROL | BLANK) && *text != ',')
        return edn_fail(reader, reader->at, "a backslash without a character");
    const char *end = class_of(*text) & END_OF_TOKEN ? text + 1 : token_end(reader, text);
    reader->at = end;
    *value = make_text(reader, VALUE_CHAR, text, (size_t)(end - text));
    return true;
}

/* ---- The common values, quickly ---- */

/* An integer of up to 18 digits, in the plain form: where its token ends, or NULL. `last` is a byte
 * that is no digit, behind `at`, so that nothing else need stop the loop. */
static inline __attribute__((always_inline)) const char *int_at(const char *at, const char *last,
                                                                struct value *value)
{
    if (at >= last)
        return NULL;
    bool negative = *at == '-';
    const char *first = at + negative;
    unsigned digit = (unsigned)(unsigned char)*first - '0';
    if (digit > 9)
        return NULL;
    uint64_t sum = digit;
    for (at = first + 1; (digit = (unsigned)(unsigned char)*at - '0') < 10; at++)
        sum = sum * 10 + digit;
    if ((*first == '0' && at - first > 1) || at - first > 18 || !(class_of(*at) & END_OF_TOKEN))
        return NULL;
    *value = value_small((int64_t)(negative ? 0 - sum : sum));
    return at;
}

/* False leaves the reader where it was. */
static inline bool quick_int(struct edn_reader *reader, struct value *value)
{
    const char *at = int_at(reader->at, reader->last, value);
    if (at != NULL)
        reader->at = at;
    return at != NULL;
}

static inline struct edn_recent *recent_slot(struct edn_reader *reader)
{
    unsigned char first = (unsigned char)reader->at[1], second = (unsigned char)reader->at[2];
    return &reader->names->recent[(first * 5u + second) % RECENT_SLOTS];
}

static inline uint64_t word_at(const char *at)
{
    uint64_t word;
    memcpy(&word, at, sizeof word);
    return word;
}

static inline bool quick_keyword(struct edn_reader *reader, struct value *value)
{
    if (reader->names == NULL || reader->end - reader->at <= RECENT_BYTES)
        return false;
    const struct edn_recent *recent = recent_slot(reader);
    if (recent->mask == 0 || (word_at(reader->at) & recent->mask) != recent->word ||
        !(class_of(reader->at[recent->length]) & END_OF_TOKEN))
        return false;
    *value = recent->value;
    reader->at += recent->length;
    return true;
}

/* A keyword that was read the long way, for the next time. */
static void remember_keyword(struct edn_reader *reader, const char *text, struct value value)
{
    size_t length = (size_t)(reader->at - text);
    if (reader->names == NULL || reader->skipping > 0 || length > RECENT_BYTES ||
        value_kind(value) != VALUE_KEYWORD || reader->end - text <= RECENT_BYTES)
        return;
    struct edn_reader at_text = *reader;
    at_text.at = text;
    struct edn_recent *recent = recent_slot(&at_text);
    recent->mask = length == RECENT_BYTES ? UINT64_MAX : (UINT64_C(1) << length * 8) - 1;
    recent->word = word_at(text) & recent->mask;
    recent->length = (unsigned)length;
    recent->value = value;
}

static inline bool quick_nil(struct edn_reader *reader, struct value *value)
{
    if (reader->end - reader->at < 4 || memcmp(reader->at, "nil", 3) != 0 ||
        !(class_of(reader->at[3]) & END_OF_TOKEN))
        return false;
    *value = value_nil();
    reader->at += 3;
    return true;
}

/* ---- Collections and tags ---- */

static bool grow_stack(struct edn_reader *reader)
{
    size_t capacity = reader->stack_capacity == 0 ? 64 : reader->stack_capacity * 2;
    struct value *stack = realloc(reader->stack, capacity * sizeof *stack);
    if (stack == NULL)
        return edn_fail(reader, reader->at, "out of memory for a collection");
    reader->stack = stack;
    reader->stack_capacity = capacity;
    return true;
}

static inline bool push(struct edn_reader *reader, struct value value)
{
    if (reader->skipping > 0)
        return true;
    if (reader->stack_count == reader->stack_capacity && !grow_stack(reader))
        return false;
    reader->stack[reader->stack_count++] = value;
    return true;
}

static bool read_here(struct edn_reader *reader, struct value *value);

/* As many integers with one space between as there are: what transactions read is mostly that. */
static bool read_ints(struct edn_reader *reader, size_t *count)
{
    const char *at = reader->at, *next;
    size_t had = reader->stack_count;
    if (reader->stack == NULL && !grow_stack(reader))
        return false;
    struct value item, *top = reader->stack + had, *limit = reader->stack + reader->stack_capacity;
    while ((next = int_at(at, reader->last, &item)) != NULL) {
        if (top == limit) {
            reader->stack_count = (size_t)(top - reader->stack);
            if (!grow_stack(reader))
                return false;
            top = reader->stack + reader->stack_count;
            limit = reader->stack + reader->stack_capacity;
        }
        *top++ = item;
        at = next + (*next == ' ');
    }
    reader->at = at;
    reader->stack_count = (size_t)(top - reader->stack);
    *count += reader->stack_count - had;
    return true;
}

static bool read_items(struct edn_reader *reader, enum value_kind kind, char close, size_t *count)
{
    for (*count = 0;; (*count)++) {
        /* One space, and then neither comment nor tag, is what stands between nearly all items. */
        if (reader->at < reader->end && *reader->at == ' ')
            reader->at++;
        if (reader->skipping == 0 && !read_ints(reader, count))
            return false;
        int next = reader->at < reader->end ? (unsigned char)*reader->at : -1;
        if (next == -1 || next == ';' || next == '#' || (class_of((char)next) & BLANK))
            next = edn_next(reader);
        if (next == close)
            break;
        struct value item;
        if (next == -1)
            return edn_fail_ended(reader, "the text ends inside a collection");
        if (next < 0 || !read_here(reader, &item) || !push(reader, item))
            return false;
    }
    if (kind == VALUE_MAP && *count % 2 != 0)
        return edn_fail(reader, reader->at, "a map whose last key has no value");
    reader->at++;
    return true;
}

/* Whether what begins at `base` of the stack stands behind a micro-operation's name and key. */
static bool is_list_read(const struct edn_reader *reader, size_t base)
{
    return base >= 2 && value_micro_named(reader->stack[base - 2]) == VALUE_MICRO_R &&
           value_is_small(reader->stack[base - 1]);
}

/* A list that begins as the key's list did when it was read before, and goes on with integers or
 * not at all. False leaves the reader where it was. */
static bool read_known_list(struct edn_reader *reader, size_t base, struct value *value)
{
    struct edn_names *names = reader->names;
    struct value_list *list = value_lists_read(&names->lists, reader->stack[base - 1]);
    const char *began = reader->at, *text = began + 1;
    if (list == NULL || reader->end - text <= 1)
        return false;
    size_t same = value_list_agrees(list, text, (size_t)(reader->end - text) - 1);
    if (text[same] == ']') {
        if (same == 0 || !value_list_until(list, same, value))
            return false;
        reader->at = text + same + 1;
        return true;
    }
    if (same < list->length || text[same] != ' ')
        return false;
    size_t count = 0;
    reader->at = text + same + 1;
    bool good = read_ints(reader, &count);
    size_t length = (size_t)(reader->at - text) - same;
    reader->stack_count = base;
    if (good && count > 0 && count <= LIST_ENDS_MAX && reader->at < reader->end &&
        *reader->at == ']' && list->count + count <= VALUE_PREFIX_MAX &&
        edn_int_ends(text + same, length, 1, names->ends, count)) {
        *value = value_list_extend(list, reader->arena, reader->stack + base, count, text + same,
                                   names->ends);
        reader->at++;
        return true;
    }
    reader->at = began;
    return false;
}

static struct value make_list(struct edn_reader *reader, const char *text,
                              const struct value *items, size_t count)
{
    struct edn_names *names = reader->names;
    struct value key = items[-1];
    struct value list = value_lists_vector(&names->lists, reader->arena, key, items, count);
    size_t length = (size_t)(reader->at - 1 - text);
    if (count <= LIST_ENDS_MAX && length <= VALUE_LIST_BYTES_MAX &&
        value_lists_grow(&names->lists, key) && edn_int_ends(text, length, 0, names->ends, count))
        value_lists_remember(&names->lists, key, text, names->ends, count);
    return list;
}

/* `open` bytes begin it. */
static bool read_collection(struct edn_reader *reader, enum value_kind kind, size_t open,
                            char close, struct value *value)
{
    if (reader->depth >= EDN_DEPTH_MAX)
        return edn_fail(reader, reader->at, "collections nested more than 512 deep");
    size_t base = reader->stack_count, count;
    bool lists = kind == VALUE_VECTOR && reader->names != NULL && reader->skipping == 0 &&
                 is_list_read(reader, base);
    if (lists && read_known_list(reader, base, value))
        return true;
    const char *text = reader->at += open;
    reader->depth++;
    bool good = read_items(reader, kind, close, &count);
    reader->depth--;
    reader->stack_count = base;
    *value = value_nil();
    if (!good || reader->skipping > 0)
        return good;
    const struct value *items = reader->stack == NULL ? NULL : reader->stack + base;
    if (kind != VALUE_VECTOR || reader->names == NULL)
        *value = value_items(reader->arena, kind, items, count);
    else if (lists && count > 0 && value_lists_take(items[count - 1], count))
        *value = make_list(reader, text, items, count);
    else
        *value = value_recent_vector(&reader->names->vectors, reader->arena, items, count);
    return true;
}

static bool read_special_double(struct edn_reader *reader, struct value *value)
{
    const char *text;
    size_t length;
    reader->at += 2;
    if (reader->at == reader->end)
        return edn_fail_ended(reader, "the text ends inside a number");
    if (!edn_read_token(reader, &text, &length))
        length = 0;
    double real = is(text, length, "NaN") ? __builtin_nan("") : __builtin_inf();
    if (is(text, length, "-Inf"))
        real = -real;
    else if (!is(text, length, "NaN") && !is(text, length, "Inf"))
        return fail_token(reader, text, "neither ##NaN nor ##Inf nor ##-Inf");
    if (reader->skipping == 0)
        *value = value_double(reader->arena, real);
    return true;
}

/* #<Object of old printers>, with angle brackets inside it. */
static bool read_unreadable(struct edn_reader *reader, struct value *value)
{
    const char *text = reader->at, *at = text + 1;
    unsigned depth = 0;
    do {
        if (at == reader->end)
            return edn_fail_ended(reader, "the text ends inside #<...>");
        depth += (*at == '<') - (unsigned)(*at == '>');
        at++;
    } while (depth > 0);
    reader->at = at;
    *value = make_text(reader, VALUE_SYMBOL, text, (size_t)(at - text));
    return true;
}

static bool read_tagged(struct edn_reader *reader, struct value *value)
{
    const char *text;
    size_t length;
    struct value pair[2];
    if (reader->depth >= EDN_DEPTH_MAX)
        return edn_fail(reader, reader->at, "tags nested more than 512 deep");
    reader->at++;
    if (!edn_read_token(reader, &text, &length) || text[0] == '\\')
        return edn_fail(reader, text - 1, "a # that begins nothing EDN has");
    pair[0] = make_text(reader, VALUE_SYMBOL, text, length);
    reader->depth++;
    int next = edn_next(reader);
    bool good = next >= 0 && edn_read(reader, &pair[1]);
    reader->depth--;
    if (next == -1)
        return edn_fail_ended(reader, "the text ends behind a tag");
    *value = value_nil();
    if (good && reader->skipping == 0)
        *value = value_items(reader->arena, VALUE_TAGGED, pair, 2);
    return good;
}

static bool read_hash(struct edn_reader *reader, struct value *value)
{
    if (reader->at + 1 == reader->end)
        return edn_fail_ended(reader, "the text ends behind a #");
    switch (reader->at[1]) {
    case '{':
        return read_collection(reader, VALUE_SET, 2, '}', value);
    case '#':
        return read_special_double(reader, value);
    case '<':
        return read_unreadable(reader, value);
    case '\'': /* a var, as printed: #'clojure.core/inc */
        return read_token(reader, value);
    default:
        return read_tagged(reader, value);
    }
}

/* A byte at which a value begins. */
static bool read_here(struct edn_reader *reader, struct value *value)
{
    const char *text = reader->at;
    switch (*text) {
    case '-':
    case '0':
    case '1':
    case '2':
    case '3':
    case '4':
    case '5':
    case '6':
    case '7':
    case '8':
    case '9':
        return quick_int(reader, value) || read_token(reader, value);
    case ':':
        if (quick_keyword(reader, value))
            return true;
        if (!read_token(reader, value))
            return false;
        remember_keyword(reader, text, *value);
        return true;
    case 'n':
        return quick_nil(reader, value) || read_token(reader, value);
    case '"':
        return read_string(reader, value);
    case '[':
        return read_collection(reader, VALUE_VECTOR, 1, ']', value);
    case '(':
        return read_collection(reader, VALUE_LIST, 1, ')', value);
    case '{':
        return read_collection(reader, VALUE_MAP, 1, '}', value);
    case '#':
        return read_hash(reader, value);
    case '\\':
        return read_char(reader, value);
    case ']':
    case ')':
    case '}':
        return edn_fail(reader, reader->at, "a closing bracket that nothing opened");
    default:
        return read_token(reader, value);
    }
}

bool edn_skip(struct edn_reader *reader)
{
    struct value none;
    reader->skipping++;
    bool good = edn_read(reader, &none);
    reader->skipping--;
    return good;
}

/* `#_` and the value behind it. */
static bool discard(struct edn_reader *reader)
{
    if (reader->depth >= EDN_DEPTH_MAX)
        return edn_fail(reader, reader->at, "#_ nested more than 512 deep");
    reader->at += 2;
    reader->depth++;
    bool good = edn_skip(reader);
    reader->depth--;
    return good;
}

int edn_next(struct edn_reader *reader)
{
    while (reader->at < reader->end) {
        char c = *reader->at;
        if (class_of(c) & BLANK) {
            reader->at++;
        } else if (c == ';') {
            const char *newline = memchr(reader->at, '\n', (size_t)(reader->end - reader->at));
            reader->at = newline == NULL ? reader->end : newline + 1;
        } else if (c == '#' && reader->at + 1 < reader->end && reader->at[1] == '_') {
            if (!discard(reader))
                return -2;
        } else {
            return (unsigned char)c;
        }
    }
    return -1;
}

bool edn_read(struct edn_reader *reader, struct value *value)
{
    if (reader->at < reader->last && !(class_of(*reader->at) & BLANK) && *reader->at != ';' &&
        *reader->at != '#')
        return read_here(reader, value); /* mostly nothing stands before it */
    int next = edn_next(reader);
    if (next == -1)
        return edn_fail_ended(reader, "the text ends before a value");
    return next >= 0 && read_here(reader, value);
}

/* ---- Readers and one-off parsing ---- */

void edn_reader_init(struct edn_reader *reader, struct arena *arena)
{
    *reader = (struct edn_reader){.arena = arena};
    reader->names = calloc(1, sizeof *reader->names); /* without it every text is made anew */
}

void edn_reader_free(struct edn_reader *reader)
{
    if (reader->names != NULL)
        value_lists_free(&reader->names->lists);
    free(reader->names);
    free(reader->stack);
}

void edn_reader_text(struct edn_reader *reader, const char *text, size_t length)
{
    reader->at = text;
    reader->end = text + length;
    reader->last = reader->end;
    while (reader->last > text && (reader->last == reader->end || class_of(*reader->last) & DIGIT))
        reader->last--;
    reader->depth = 0;
    reader->skipping = 0;
    reader->stack_count = 0;
    reader->ended = false;
}

static enum err_code tell(const struct edn_reader *reader, const char *text, struct err *err)
{
    uint64_t line = 1, column = 1;
    for (const char *at = text; at < reader->problem_at; at++) {
        column++;
        if (*at == '\n') {
            line++;
            column = 1;
        }
    }
    return err_set(err, ERR_PARSE, "%" PRIu64 ":%" PRIu64 ": %s", line, column, reader->problem);
}

enum err_code edn_parse(struct arena *arena, const char *text, size_t length, size_t *consumed,
                        struct value *value, struct err *err)
{
    struct edn_reader reader = {.arena = arena};
    struct value parsed;
    edn_reader_text(&reader, text, length);
    enum err_code code = ERR_NONE;
    if (!edn_read(&reader, &parsed))
        code = tell(&reader, text, err);
    edn_reader_free(&reader);
    if (code != ERR_NONE)
        return code;
    if (consumed != NULL)
        *consumed = (size_t)(reader.at - text);
    *value = parsed;
    return ERR_NONE;
}

enum err_code edn_parse_all(struct arena *arena, const char *text, size_t length,
                            struct value *value, struct err *err)
{
    size_t consumed;
    struct value parsed;
    enum err_code code = edn_parse(arena, text, length, &consumed, &parsed, err);
    if (code != ERR_NONE)
        return code;
    struct edn_reader rest = {.arena = arena};
    edn_reader_text(&rest, text + consumed, length - consumed);
    int next = edn_next(&rest);
    if (next >= 0)
        edn_fail(&rest, rest.at, "something follows the value");
    if (next != -1)
        code = tell(&rest, text, err);
    edn_reader_free(&rest);
    if (code == ERR_NONE)
        *value = parsed;
    return code;
}
