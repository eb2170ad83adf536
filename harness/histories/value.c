/* Values of operations: see value.h. */
#include "harness/value.h"

#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PAIR_BITS = 30, KEYED_BITS = 20 };
_Static_assert(64 - 2 * VALUE_MICRO_BITS >= 6,
               "below a micro-operation's key are the tag, f and whether the value is nil");

static struct value from_box(struct value_box *box)
{
    return (struct value){.bits = (uint64_t)(uintptr_t)box};
}

/* Field `index` of `width` bits above the tag, sign-extended. */
static int64_t field(struct value value, unsigned index, unsigned width)
{
    uint64_t up = value.bits << (64 - 3 - width * (index + 1));
    return (int64_t)up >> (64 - width);
}

static uint64_t put(int64_t integer, unsigned index, unsigned width)
{
    return ((uint64_t)integer & ((UINT64_C(1) << width) - 1)) << (3 + width * index);
}

static bool fits(int64_t integer, unsigned width)
{
    return integer >= -(INT64_C(1) << (width - 1)) && integer < INT64_C(1) << (width - 1);
}

struct value value_nil(void)
{
    return VALUE_NIL_INIT;
}

struct value value_bool(bool truth)
{
    return (struct value){.bits = VALUE_TAG_BOOL | (uint64_t)truth << 3};
}

struct value value_int(struct arena *arena, int64_t integer)
{
    _Static_assert(VALUE_TAG_INT == 1, "value_small makes the same");
    if (fits(integer, 61))
        return value_small(integer);
    assert(arena != NULL);
    struct value_box *box = arena_alloc(arena, sizeof *box);
    box->kind = VALUE_INT;
    box->count = 0;
    box->u.integer = integer;
    return from_box(box);
}

struct value value_double(struct arena *arena, double real)
{
    struct value_box *box = arena_alloc(arena, sizeof *box);
    box->kind = VALUE_DOUBLE;
    box->count = 0;
    box->u.real = real;
    return from_box(box);
}

/* The names of micro-operations are there once for all, so that they are known by their address.
 * Laid out as value_box is. */
static _Alignas(16) struct micro_name {
    uint32_t kind, count;
    char text[8];
} micro_names[] = {
    [VALUE_MICRO_R] = {VALUE_KEYWORD, 1, "r"},
    [VALUE_MICRO_APPEND] = {VALUE_KEYWORD, 6, "append"},
    [VALUE_MICRO_W] = {VALUE_KEYWORD, 1, "w"},
};
enum { MICRO_NAMES = sizeof micro_names / sizeof micro_names[0] };
_Static_assert(sizeof(struct micro_name) == 16 &&
                   offsetof(struct micro_name, text) == offsetof(struct value_box, u),
               "a name is a box");

struct value value_micro_keyword(enum value_micro_op f)
{
    return from_box((struct value_box *)&micro_names[f]);
}

enum value_micro_op value_micro_named(struct value keyword)
{
    uint64_t from = keyword.bits - value_micro_keyword(VALUE_MICRO_R).bits;
    uint64_t f = from / sizeof micro_names[0];
    return f < MICRO_NAMES && from % sizeof micro_names[0] == 0 ? (enum value_micro_op)f
                                                                : VALUE_MICRO_NONE;
}

struct value value_text(struct arena *arena, enum value_kind kind, const char *text, size_t length)
{
    assert(length < UINT32_MAX);
    for (unsigned f = 0; kind == VALUE_KEYWORD && f < MICRO_NAMES; f++)
        if (length == micro_names[f].count && memcmp(text, micro_names[f].text, length) == 0)
            return value_micro_keyword((enum value_micro_op)f);
    struct value_box *box = arena_alloc(arena, offsetof(struct value_box, u) + length + 1);
    box->kind = kind;
    box->count = (uint32_t)length;
    memcpy(box->u.text, text, length);
    box->u.text[length] = '\0';
    return from_box(box);
}

struct value value_keyword(struct arena *arena, const char *name)
{
    return value_text(arena, VALUE_KEYWORD, name, strlen(name));
}

struct value value_string(struct arena *arena, const char *text)
{
    return value_text(arena, VALUE_STRING, text, strlen(text));
}

/* A small int read straight from its word. */
static bool small_int(struct value value, unsigned width, int64_t *integer)
{
    if (value_tag(value) != VALUE_TAG_INT)
        return false;
    *integer = (int64_t)value.bits >> 3;
    return fits(*integer, width);
}

/* [int int] and [int [int int]] in the word itself; false when they do not fit. */
static bool pack_pair(struct value first, struct value second, struct value *packed)
{
    int64_t a, b;
    if (small_int(first, PAIR_BITS, &a) && small_int(second, PAIR_BITS, &b)) {
        packed->bits = VALUE_TAG_PAIR | put(a, 0, PAIR_BITS) | put(b, 1, PAIR_BITS);
        return true;
    }
    if (!small_int(first, KEYED_BITS, &a) || value_tag(second) != VALUE_TAG_PAIR)
        return false;
    int64_t old = field(second, 0, PAIR_BITS), new = field(second, 1, PAIR_BITS);
    if (!fits(old, KEYED_BITS) || !fits(new, KEYED_BITS))
        return false;
    packed->bits = VALUE_TAG_KEYED_PAIR | put(a, 0, KEYED_BITS) | put(old, 1, KEYED_BITS) |
                   put(new, 2, KEYED_BITS);
    return true;
}

bool value_pack(const struct value *items, size_t count, struct value *packed)
{
    if (count == 3) {
        enum value_micro_op f = value_micro_named(items[0]);
        return f != VALUE_MICRO_NONE && value_micro_pack(f, items[1], items[2], packed);
    }
    return count == 2 && pack_pair(items[0], items[1], packed);
}

struct value value_items(struct arena *arena, enum value_kind kind, const struct value *items,
                         size_t count)
{
    struct value packed;
    if (kind == VALUE_VECTOR && value_pack(items, count, &packed))
        return packed;
    if (kind == VALUE_VECTOR && count > 0 && count <= VALUE_PREFIX_MAX) {
        struct value *array = arena_alloc(arena, count * sizeof *items);
        memcpy(array, items, count * sizeof *items);
        return value_prefix(array, count); /* all of it: how many is told by the word */
    }
    assert(count < UINT32_MAX);
    struct value_box *box =
        arena_alloc(arena, offsetof(struct value_box, u) + count * sizeof *items);
    box->kind = kind;
    box->count = (uint32_t)count;
    if (count > 0)
        memcpy(box->u.items, items, count * sizeof *items);
    return from_box(box);
}

struct value value_prefix(const struct value *items, size_t count)
{
    uint64_t address = (uint64_t)(uintptr_t)items;
    assert(count <= VALUE_PREFIX_MAX && address % 16 == 0 && address >> VALUE_PREFIX_SHIFT == 0);
    return (struct value){.bits =
                              address | VALUE_TAG_PREFIX | (uint64_t)count << VALUE_PREFIX_SHIFT};
}

struct value value_pair(struct arena *arena, struct value first, struct value second)
{
    return value_items(arena, VALUE_VECTOR, (struct value[]){first, second}, 2);
}

static struct value copy_items(struct arena *arena, uint32_t kind, const struct value *items,
                               uint32_t count)
{
    if (kind == VALUE_VECTOR && count > 0 && count <= VALUE_PREFIX_MAX) {
        struct value *array = arena_alloc(arena, count * sizeof *items);
        for (uint32_t i = 0; i < count; i++)
            array[i] = value_copy(arena, items[i]);
        return value_prefix(array, count);
    }
    struct value_box *copy =
        arena_alloc(arena, offsetof(struct value_box, u) + count * sizeof *items);
    copy->kind = kind;
    copy->count = count;
    for (uint32_t i = 0; i < count; i++)
        copy->u.items[i] = value_copy(arena, items[i]);
    return from_box(copy);
}

struct value value_copy(struct arena *arena, struct value value)
{
    if (value_tag(value) == VALUE_TAG_PREFIX)
        return copy_items(arena, VALUE_VECTOR, value_prefix_items(value),
                          (uint32_t)value_prefix_count(value));
    if (value_tag(value) != VALUE_TAG_BOX || value.bits == 0)
        return value;
    const struct value_box *box = value_box(value);
    if (value_kind_is_text(box->kind))
        return value_text(arena, box->kind, box->u.text, box->count);
    if (box->kind == VALUE_INT)
        return value_int(arena, box->u.integer);
    if (box->kind == VALUE_DOUBLE)
        return value_double(arena, box->u.real);
    return copy_items(arena, box->kind, box->u.items, box->count);
}

bool value_as_bool(struct value value)
{
    return value_tag(value) == VALUE_TAG_BOOL && value.bits >> 3 != 0;
}

double value_as_double(struct value value)
{
    if (value_kind(value) == VALUE_DOUBLE)
        return value_box(value)->u.real;
    return (double)value_as_int(value);
}

struct value value_at(struct value value, size_t index)
{
    assert(index < value_count(value));
    if (value_tag(value) == VALUE_TAG_PAIR)
        return value_int(NULL, field(value, (unsigned)index, PAIR_BITS));
    if (value_tag(value) == VALUE_TAG_MICRO_OP) {
        if (index == 0)
            return value_micro_keyword(value_micro_f(value));
        return index == 1 ? value_small(value_micro_key(value)) : value_micro_value(value);
    }
    if (value_tag(value) == VALUE_TAG_KEYED_PAIR) {
        if (index == 0)
            return value_int(NULL, field(value, 0, KEYED_BITS));
        return (struct value){.bits = VALUE_TAG_PAIR |
                                      put(field(value, 1, KEYED_BITS), 0, PAIR_BITS) |
                                      put(field(value, 2, KEYED_BITS), 1, PAIR_BITS)};
    }
    if (value_tag(value) == VALUE_TAG_PREFIX)
        return value_prefix_items(value)[index];
    return value_box(value)->u.items[index];
}

const struct value *value_array_unboxed(struct value value, struct value room[VALUE_ROOM],
                                        size_t *count)
{
    *count = value_count(value);
    for (size_t i = 0; i < *count; i++)
        room[i] = value_at(value, i);
    return *count == 0 ? NULL : room;
}

struct value value_get(struct value map, const char *name)
{
    if (value_kind(map) != VALUE_MAP)
        return value_nil();
    for (size_t i = 0; i + 1 < value_count(map); i += 2) {
        struct value key = value_at(map, i);
        if ((value_kind(key) == VALUE_KEYWORD || value_kind(key) == VALUE_STRING) &&
            strcmp(value_as_text(key), name) == 0)
            return value_at(map, i + 1);
    }
    return value_nil();
}

bool value_is_pair(struct value value)
{
    enum value_kind kind = value_kind(value);
    return (kind == VALUE_VECTOR || kind == VALUE_LIST) && value_count(value) == 2;
}

static bool sequential(enum value_kind kind)
{
    return kind == VALUE_VECTOR || kind == VALUE_LIST;
}

/* One element of a set, or one entry of a map, by the hash of the element or key. */
struct hashed {
    uint64_t hash;
    size_t at;
};

static int by_hash(const void *left, const void *right)
{
    const struct hashed *a = left, *b = right;
    return (a->hash > b->hash) - (a->hash < b->hash);
}

static void sort_by_hash(struct value value, size_t step, struct hashed *sorted)
{
    size_t count = value_count(value) / step;
    for (size_t i = 0; i < count; i++)
        sorted[i] = (struct hashed){.hash = value_hash(value_at(value, i * step)), .at = i * step};
    qsort(sorted, count, sizeof *sorted, by_hash);
}

static bool equal_steps(struct value a, size_t i, struct value b, size_t j, size_t step)
{
    return value_equal(value_at(a, i), value_at(b, j)) &&
           (step == 1 || value_equal(value_at(a, i + 1), value_at(b, j + 1)));
}

/* Sets and maps: the same multiset of (key, value) steps. Candidates have equal hashes, so they are
 * near each other in both sorted orders; a partner that is found moves to its element's place. */
static bool match_sorted(struct value a, struct value b, size_t step, const struct hashed *in_a,
                         struct hashed *in_b, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        size_t j = i;
        while (j < count && in_b[j].hash == in_a[i].hash &&
               !equal_steps(a, in_a[i].at, b, in_b[j].at, step))
            j++;
        if (j == count || in_b[j].hash != in_a[i].hash)
            return false;
        struct hashed partner = in_b[j];
        in_b[j] = in_b[i];
        in_b[i] = partner;
    }
    return true;
}

static bool equal_unordered(struct value a, struct value b, size_t step)
{
    size_t count = value_count(a) / step;
    struct hashed few[2 * 16], *sorted = few;
    if (count > 16)
        sorted = malloc(2 * count * sizeof *sorted);
    if (sorted == NULL) {
        fprintf(stderr, "ordeal: out of memory comparing sets of %zu elements\n", count);
        abort();
    }
    sort_by_hash(a, step, sorted);
    sort_by_hash(b, step, sorted + count);
    bool equal = match_sorted(a, b, step, sorted, sorted + count, count);
    if (sorted != few)
        free(sorted);
    return equal;
}

bool value_equal(struct value a, struct value b)
{
    if (a.bits == b.bits)
        return true;
    enum value_kind kind = value_kind(a);
    if (kind != value_kind(b) && !(sequential(kind) && sequential(value_kind(b))))
        return false;
    if (value_kind_is_text(kind))
        return value_box(a)->count == value_box(b)->count &&
               memcmp(value_box(a)->u.text, value_box(b)->u.text, value_box(a)->count) == 0;
    if (kind == VALUE_INT)
        return value_as_int(a) == value_as_int(b);
    if (kind == VALUE_DOUBLE)
        return value_as_double(a) == value_as_double(b);
    if (kind < VALUE_VECTOR || value_count(a) != value_count(b))
        return false;
    if (kind == VALUE_SET || kind == VALUE_MAP)
        return equal_unordered(a, b, kind == VALUE_MAP ? 2 : 1);
    for (size_t i = 0; i < value_count(a); i++)
        if (!value_equal(value_at(a, i), value_at(b, i)))
            return false;
    return true;
}

static uint64_t mix(uint64_t h)
{
    h = (h ^ (h >> 32)) * UINT64_C(0xd6e8feb86659fd93);
    h = (h ^ (h >> 32)) * UINT64_C(0xd6e8feb86659fd93);
    return h ^ (h >> 32);
}

static uint64_t hash_text(const char *text, size_t length)
{
    uint64_t h = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < length; i++)
        h = (h ^ (unsigned char)text[i]) * UINT64_C(0x100000001b3);
    return h;
}

uint64_t value_hash(struct value value)
{
    if (value_is_int(value)) /* most are */
        return mix((uint64_t)value_as_int(value) + 1);
    enum value_kind kind = value_kind(value);
    if (kind == VALUE_DOUBLE) {
        double real = value_as_double(value);
        uint64_t bits;
        real = real == 0 ? 0 : real; /* -0.0 equals 0.0 */
        memcpy(&bits, &real, sizeof bits);
        return mix(bits + 2);
    }
    if (value_kind_is_text(kind))
        return mix(hash_text(value_as_text(value), value_text_length(value)) + kind);
    if (kind < VALUE_VECTOR)
        return mix(value.bits + 3);
    uint64_t h = mix(sequential(kind) ? VALUE_VECTOR : kind);
    size_t count = value_count(value);
    for (size_t i = 0; i < count; i++) {
        uint64_t item = value_hash(value_at(value, i));
        if (kind == VALUE_MAP && i + 1 < count)
            item = mix(item + 31 * value_hash(value_at(value, ++i)));
        h = kind == VALUE_SET || kind == VALUE_MAP ? h + item : mix(h * 31 + item);
    }
    return h;
}

static void print_string(struct value value, struct buf *out)
{
    const char *text = value_as_text(value);
    buf_add_char(out, '"');
    for (size_t i = 0; i < value_text_length(value); i++) {
        unsigned char c = (unsigned char)text[i];
        if (c == '"' || c == '\\')
            buf_printf(out, "\\%c", c);
        else if (c == '\n')
            buf_add_text(out, "\\n");
        else if (c == '\t')
            buf_add_text(out, "\\t");
        else if (c == '\r')
            buf_add_text(out, "\\r");
        else if (c < 0x20 || c == 0x7f)
            buf_printf(out, "\\u%04x", c);
        else
            buf_add_char(out, (char)c);
    }
    buf_add_char(out, '"');
}

static void print_items(struct value value, const char *open, const char *close, struct buf *out)
{
    bool map = value_kind(value) == VALUE_MAP;
    buf_add_text(out, open);
    for (size_t i = 0; i < value_count(value); i++) {
        if (i > 0)
            buf_add_text(out, map && i % 2 == 0 ? ", " : " ");
        value_print(value_at(value, i), out);
    }
    buf_add_text(out, close);
}

static void print_double(double real, struct buf *out)
{
    char text[40];
    if (isnan(real))
        snprintf(text, sizeof text, "##NaN");
    else if (isinf(real))
        snprintf(text, sizeof text, real > 0 ? "##Inf" : "##-Inf");
    else {
        int digits = 15; /* the shortest form that reads back as the same number */
        do
            snprintf(text, sizeof text, "%.*g", digits, real);
        while (strtod(text, NULL) != real && ++digits <= 17);
        if (strpbrk(text, ".e") == NULL)
            strcat(text, ".0");
    }
    buf_add_text(out, text);
}

void value_print(struct value value, struct buf *out)
{
    switch (value_kind(value)) {
    case VALUE_NIL:
        buf_add_text(out, "nil");
        break;
    case VALUE_BOOL:
        buf_add_text(out, value_as_bool(value) ? "true" : "false");
        break;
    case VALUE_INT:
        buf_printf(out, "%" PRId64, value_as_int(value));
        break;
    case VALUE_DOUBLE:
        print_double(value_as_double(value), out);
        break;
    case VALUE_STRING:
        print_string(value, out);
        break;
    case VALUE_KEYWORD:
        buf_add_char(out, ':');
        buf_add(out, value_as_text(value), value_text_length(value));
        break;
    case VALUE_CHAR:
        buf_add_char(out, '\\');
        buf_add(out, value_as_text(value), value_text_length(value));
        break;
    case VALUE_NUMBER:
    case VALUE_SYMBOL:
        buf_add(out, value_as_text(value), value_text_length(value));
        break;
    case VALUE_VECTOR:
        print_items(value, "[", "]", out);
        break;
    case VALUE_LIST:
        print_items(value, "(", ")", out);
        break;
    case VALUE_SET:
        print_items(value, "#{", "}", out);
        break;
    case VALUE_MAP:
        print_items(value, "{", "}", out);
        break;
    case VALUE_TAGGED:
        buf_add_char(out, '#');
        value_print(value_at(value, 0), out);
        buf_add_char(out, ' ');
        value_print(value_at(value, 1), out);
        break;
    }
}
