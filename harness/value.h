/* Values of operations: EDN-shaped, immutable.
 *
 * A `struct value` is one 64-bit word, copied freely. The common ones live in the word itself and
 * cost no allocation: nil, booleans, integers of up to 60 bits, pairs of small integers ([3 7]),
 * a small integer with such a pair ([key [old new]]), and micro-operations of transactions on small
 * integers ([:append 3 7], [:r 3 nil]). Of other vectors the word holds the address and the length
 * of an array, which others may share and which may go on behind it (value_prefix); of an empty
 * one, of one too long for that, and of everything else it holds the address of a box. Arrays and
 * boxes live as long as the arena they are in. Constructors choose the form; readers need not know
 * it: a pair is a vector whose value_count is 2 and whose value_at works, in whichever form it is
 * kept.
 *
 * Equality is Clojure's, since histories come from there: 1 and 1.0 differ, :a and "a" differ,
 * vectors and lists with equal elements are equal, sets and maps ignore order. */
#ifndef ORDEAL_VALUE_H
#define ORDEAL_VALUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "harness/base/arena.h"
#include "harness/base/buf.h"

struct value {
    uint64_t bits; /* private to value.c and to what is inline below */
};

enum value_kind {
    VALUE_NIL,
    VALUE_BOOL,
    VALUE_INT,
    VALUE_DOUBLE,
    VALUE_NUMBER, /* kept as text: 12N, 1/3, 1.5M */
    VALUE_STRING,
    VALUE_KEYWORD, /* text without the colon */
    VALUE_SYMBOL,
    VALUE_CHAR, /* text after the backslash: "a", "newline" */
    VALUE_VECTOR,
    VALUE_LIST,
    VALUE_SET,
    VALUE_MAP,    /* 2 * n items: key, value, key, value ... in the order given */
    VALUE_TAGGED, /* two items: the tag as a symbol, the value */
};

#define VALUE_NIL_INIT ((struct value){0})

/* ---- Making. `arena` may be NULL where the word itself is known to be enough. ---- */
struct value value_nil(void);
struct value value_bool(bool truth);
struct value value_int(struct arena *arena, int64_t integer);
/* The same for what is known to fit 61 bits, and back, for inner loops. */
static inline struct value value_small(int64_t integer)
{
    return (struct value){.bits = 1 | (uint64_t)integer << 3};
}
static inline bool value_is_small(struct value value)
{
    return (value.bits & 7) == 1;
}
static inline int64_t value_as_small(struct value value)
{
    return (int64_t)value.bits >> 3;
}
struct value value_double(struct arena *arena, double real);
/* `kind` is a kind whose payload is text; the text is copied. */
struct value value_text(struct arena *arena, enum value_kind kind, const char *text, size_t length);
struct value value_keyword(struct arena *arena, const char *name);
struct value value_string(struct arena *arena, const char *text);
/* `kind` is VECTOR, LIST, SET, MAP or TAGGED; `count` counts items (for a map 2 per entry). */
struct value value_items(struct arena *arena, enum value_kind kind, const struct value *items,
                         size_t count);
struct value value_pair(struct arena *arena, struct value first, struct value second);
/* The vector of the first `count` of these items, which are not copied: whoever has them keeps
 * them, 16-byte aligned and as they are, as long as the value. Others may be added behind them. */
#define VALUE_PREFIX_MAX ((UINT64_C(1) << (64 - VALUE_PREFIX_SHIFT)) - 1)
struct value value_prefix(const struct value *items, size_t count);
/* A vector of these items in the word itself; false when it needs a box. */
bool value_pack(const struct value *items, size_t count, struct value *packed);
/* A deep copy into `arena`; words that hold no box come back as they are. */
struct value value_copy(struct arena *arena, struct value value);

/* ---- Reading ---- */
/* What a word that is not enough by itself points at. It is here so that what inner loops ask
 * costs no call; nobody else looks at it. */
struct value_box {
    uint32_t kind;
    uint32_t count; /* items, or bytes of text */
    union {
        int64_t integer;
        double real;
        struct value items[1];
        char text[1];
    } u;
};
/* The low three bits tell the form. Arena memory is 16-byte aligned, so a box has them zero. */
enum value_tag {
    VALUE_TAG_BOX = 0,
    VALUE_TAG_INT = 1,
    VALUE_TAG_PAIR = 2,
    VALUE_TAG_KEYED_PAIR = 3,
    VALUE_TAG_BOOL = 4,
    VALUE_TAG_MICRO_OP = 5,
    VALUE_TAG_PREFIX = 6,
};
static inline unsigned value_tag(struct value value)
{
    return (unsigned)(value.bits & 7);
}
static inline struct value_box *value_box(struct value value)
{
    return (struct value_box *)(uintptr_t)value.bits; /* tag 0: the bits are the address */
}

/* Of a prefix: above the address, 16-byte aligned, stands its length. */
enum { VALUE_PREFIX_SHIFT = 47 };
static inline size_t value_prefix_count(struct value value)
{
    return (size_t)(value.bits >> VALUE_PREFIX_SHIFT);
}
static inline const struct value *value_prefix_items(struct value value)
{
    uint64_t address = value.bits & ((UINT64_C(1) << VALUE_PREFIX_SHIFT) - 16);
    return (const struct value *)(uintptr_t)address;
}

/* Whether both are beginnings of one array. */
static inline bool value_begins_same(struct value a, struct value b)
{
    return value_tag(a) == VALUE_TAG_PREFIX && value_tag(b) == VALUE_TAG_PREFIX &&
           value_prefix_items(a) == value_prefix_items(b);
}

static inline enum value_kind value_kind(struct value value)
{
    switch (value_tag(value)) {
    case VALUE_TAG_INT:
        return VALUE_INT;
    case VALUE_TAG_PAIR:
    case VALUE_TAG_KEYED_PAIR:
    case VALUE_TAG_MICRO_OP:
    case VALUE_TAG_PREFIX:
        return VALUE_VECTOR;
    case VALUE_TAG_BOOL:
        return VALUE_BOOL;
    default:
        return value.bits == 0 ? VALUE_NIL : (enum value_kind)value_box(value)->kind;
    }
}
static inline bool value_is_nil(struct value value)
{
    return value.bits == 0;
}
bool value_as_bool(struct value value);
static inline bool value_is_int(struct value value)
{
    return value_is_small(value) || value_kind(value) == VALUE_INT;
}
/* 0 when it is none. */
static inline int64_t value_as_int(struct value value)
{
    if (value_is_small(value))
        return value_as_small(value);
    return value_kind(value) == VALUE_INT ? value_box(value)->u.integer : 0;
}
double value_as_double(struct value value);
static inline bool value_kind_is_text(enum value_kind kind)
{
    return kind >= VALUE_NUMBER && kind <= VALUE_CHAR;
}
static inline bool value_is_text(struct value value)
{
    return value_kind_is_text(value_kind(value));
}
/* Text of text kinds (NUL-terminated), "" otherwise. */
static inline const char *value_as_text(struct value value)
{
    return value_is_text(value) ? value_box(value)->u.text : "";
}
static inline size_t value_text_length(struct value value)
{
    return value_is_text(value) ? value_box(value)->count : 0;
}
/* Items of collections; 0 for anything else. */
static inline size_t value_count(struct value value)
{
    if (value_tag(value) == VALUE_TAG_PAIR || value_tag(value) == VALUE_TAG_KEYED_PAIR)
        return 2;
    if (value_tag(value) == VALUE_TAG_MICRO_OP)
        return 3;
    if (value_tag(value) == VALUE_TAG_PREFIX)
        return value_prefix_count(value);
    return value_kind(value) >= VALUE_VECTOR ? value_box(value)->count : 0;
}
struct value value_at(struct value value, size_t index);
/* All items at once, for readers of many: where they are kept, or for what is packed in `room`.
 * NULL when there are none. */
enum { VALUE_ROOM = 3 };
const struct value *value_array_unboxed(struct value value, struct value room[VALUE_ROOM],
                                        size_t *count);
static inline const struct value *value_array(struct value value, struct value room[VALUE_ROOM],
                                              size_t *count)
{
    if (value_tag(value) == VALUE_TAG_PREFIX && value_prefix_count(value) > 0) {
        *count = value_prefix_count(value);
        return value_prefix_items(value);
    }
    if (value_tag(value) != VALUE_TAG_BOX || value_count(value) == 0)
        return value_array_unboxed(value, room, count);
    *count = value_box(value)->count;
    return value_box(value)->u.items;
}
/* What a packed micro-operation holds, for inner loops: whether it is one, and its parts. */
enum value_micro_op { VALUE_MICRO_R, VALUE_MICRO_APPEND, VALUE_MICRO_W, VALUE_MICRO_NONE };
enum { VALUE_MICRO_BITS = 29, VALUE_MICRO_MASK = (1 << VALUE_MICRO_BITS) - 1 };
/* Which a keyword names; VALUE_MICRO_NONE. */
enum value_micro_op value_micro_named(struct value keyword);
struct value value_micro_keyword(enum value_micro_op f);
/* Packs one; false when the key is too large for that, or the value no small integer and not nil.
 */
static inline bool value_micro_pack(enum value_micro_op f, struct value key, struct value value,
                                    struct value *packed)
{
    int64_t number = value_as_small(key), integer = value_as_small(value);
    int64_t high = INT64_C(1) << (VALUE_MICRO_BITS - 1);
    bool nil = value_is_nil(value);
    if (!value_is_small(key) || number < -high || number >= high ||
        (!nil && (!value_is_small(value) || integer < -high || integer >= high)))
        return false;
    packed->bits = VALUE_TAG_MICRO_OP | (uint64_t)f << 3 | (uint64_t)nil << 5 |
                   ((uint64_t)number & VALUE_MICRO_MASK) << (64 - 2 * VALUE_MICRO_BITS) |
                   (uint64_t)integer << (64 - VALUE_MICRO_BITS);
    return true;
}
static inline bool value_is_micro_op(struct value value)
{
    return value_tag(value) == VALUE_TAG_MICRO_OP;
}
static inline enum value_micro_op value_micro_f(struct value value)
{
    return (enum value_micro_op)(value.bits >> 3 & 3);
}
static inline int64_t value_micro_key(struct value value)
{
    return (int64_t)(value.bits << VALUE_MICRO_BITS) >> (64 - VALUE_MICRO_BITS);
}
/* Nil or an integer. */
static inline struct value value_micro_value(struct value value)
{
    if ((value.bits >> 5 & 1) != 0)
        return (struct value){0};
    return value_small((int64_t)value.bits >> (64 - VALUE_MICRO_BITS));
}

/* The map's value under the keyword (or string) `name`; nil when there is none. */
struct value value_get(struct value map, const char *name);
/* True for a vector or list of exactly two items. */
bool value_is_pair(struct value value);

/* A hint that the value will soon be read. */
static inline void value_prefetch(struct value value)
{
    if (value_tag(value) == VALUE_TAG_PREFIX)
        __builtin_prefetch(value_prefix_items(value));
    else if (value_tag(value) == VALUE_TAG_BOX)
        __builtin_prefetch((const void *)(uintptr_t)value.bits);
}

bool value_equal(struct value a, struct value b);
uint64_t value_hash(struct value value); /* equal values have equal hashes */

/* Adds the value as EDN, in the form that Clojure's printer gives it. */
void value_print(struct value value, struct buf *out);

#endif
