/* Bytes as events: see history_record.h, and docs/history-format.md for every byte. */
#include "harness/histories/history_record.h"

#include <stdlib.h>
#include <string.h>

#include "harness/histories/history_record_tags.h"

#define INT_PLAIN (UINT64_C(1) << 60) /* folded integers below it fit a value's word */

static int64_t unzigzag(uint64_t folded)
{
    return (int64_t)(folded >> 1 ^ -(folded & 1));
}

struct cursor {
    const unsigned char *at, *end;
    struct record_decoder *decoder;
    struct history *history;
};

static bool get_byte(struct cursor *cursor, unsigned *byte)
{
    if (cursor->at == cursor->end)
        return false;
    *byte = *cursor->at++;
    return true;
}

static bool get_varint(struct cursor *cursor, uint64_t *number)
{
    if (cursor->at < cursor->end && *cursor->at < 0x80) {
        *number = *cursor->at++;
        return true;
    }
    *number = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        unsigned byte;
        if (!get_byte(cursor, &byte) || (shift == 63 && byte > 1))
            return false;
        *number |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80)
            return true;
    }
    return false;
}

static bool get_text(struct cursor *cursor, const char **text, size_t *length)
{
    uint64_t bytes;
    if (!get_varint(cursor, &bytes) || bytes > (uint64_t)(cursor->end - cursor->at))
        return false;
    *text = (const char *)cursor->at;
    *length = (size_t)bytes;
    cursor->at += bytes;
    return true;
}

static bool get_value(struct cursor *cursor, struct arena *arena, struct value *value,
                      unsigned depth);

static bool reserve(struct record_decoder *decoder, size_t more)
{
    size_t needed = decoder->stack_count + more;
    if (needed <= decoder->stack_capacity)
        return true;
    size_t capacity = decoder->stack_capacity == 0 ? 64 : decoder->stack_capacity * 2;
    capacity = capacity < needed ? needed : capacity;
    struct value *stack = realloc(decoder->stack, capacity * sizeof *stack);
    if (stack == NULL)
        return false;
    decoder->stack = stack;
    decoder->stack_capacity = capacity;
    return true;
}

static bool push(struct record_decoder *decoder, struct value value)
{
    if (!reserve(decoder, 1))
        return false;
    decoder->stack[decoder->stack_count++] = value;
    return true;
}

static inline struct value small_int_of(unsigned tag)
{
    return value_small((int64_t)(tag - V_INT_SMALL) + INT_SMALL_LOW);
}

/* Small integers are most of what there is: they cost no call. */
static inline bool get_item(struct cursor *cursor, struct arena *arena, struct value *value,
                            unsigned depth)
{
    if (cursor->at < cursor->end && *cursor->at >= V_INT_SMALL) {
        *value = small_int_of(*cursor->at++);
        return true;
    }
    return get_value(cursor, arena, value, depth);
}

/* Those in the history's own arena share what they have in common. Transactions repeat too rarely
 * to be looked for. */
static struct value make_vector(struct cursor *cursor, struct arena *arena,
                                const struct value *items, size_t count)
{
    bool transaction =
        count > 0 && (value_is_micro_op(items[0]) || value_is_micro_op(items[count - 1]));
    if (arena != &cursor->history->arena || transaction)
        return value_items(arena, VALUE_VECTOR, items, count);
    return value_recent_vector(&cursor->decoder->vectors_here, arena, items, count);
}

/* Items one after the other, onto the decoder's stack; it is for the caller to take them off. */
static bool get_sequence(struct cursor *cursor, struct arena *arena, uint64_t count, unsigned depth)
{
    struct record_decoder *decoder = cursor->decoder;
    if (depth >= RECORD_DEPTH_MAX || count > (uint64_t)(cursor->end - cursor->at))
        return false;
    uint64_t i = 0;
    if (reserve(decoder, count))
        for (; i < count && *cursor->at >= V_INT_SMALL; i++) /* at most `count` bytes, all there */
            decoder->stack[decoder->stack_count++] = small_int_of(*cursor->at++);
    for (; i < count; i++) {
        struct value item;
        if (!get_item(cursor, arena, &item, depth + 1) || !push(decoder, item))
            return false;
    }
    return true;
}

static bool get_items(struct cursor *cursor, struct arena *arena, enum value_kind kind,
                      uint64_t count, struct value *value, unsigned depth)
{
    struct record_decoder *decoder = cursor->decoder;
    size_t base = decoder->stack_count;
    bool good = (kind != VALUE_MAP || count % 2 == 0) && get_sequence(cursor, arena, count, depth);
    decoder->stack_count = base;
    const struct value *items = decoder->stack == NULL ? NULL : decoder->stack + base;
    if (!good || (kind == VALUE_TAGGED && value_kind(items[0]) != VALUE_SYMBOL))
        return false;
    *value = kind == VALUE_VECTOR ? make_vector(cursor, arena, items, (size_t)count)
                                  : value_items(arena, kind, items, (size_t)count);
    return true;
}

/* Integers onto the decoder's stack, and where each ends behind `text`; how many there are, of
 * `count` at most, before something else comes. */
static size_t get_small_ints(struct cursor *cursor, const unsigned char *text, size_t count)
{
    struct record_decoder *decoder = cursor->decoder;
    size_t i = 0;
    if (!reserve(decoder, count))
        return 0;
    struct value *top = decoder->stack + decoder->stack_count;
    for (; i < count && cursor->at < cursor->end; i++) {
        uint64_t number;
        const unsigned char *began = cursor->at;
        unsigned tag = *cursor->at++;
        if (tag >= V_INT_SMALL) {
            top[i] = small_int_of(tag);
        } else if (tag == V_INT && get_varint(cursor, &number) && number < INT_PLAIN) {
            top[i] = value_small(unzigzag(number));
        } else {
            cursor->at = began;
            break;
        }
        decoder->ends[i] = (uint32_t)(cursor->at - text);
    }
    return i;
}

/* A list that is what the key's list was before, or its beginning, or that and integers. False
 * leaves the cursor where it was. */
static bool get_known_list(struct cursor *cursor, struct arena *arena, struct value key,
                           uint64_t count, struct value *value)
{
    struct record_decoder *decoder = cursor->decoder;
    struct value_list *list = value_lists_read(&decoder->lists_here, key);
    const unsigned char *text = cursor->at;
    size_t left = (size_t)(cursor->end - text);
    if (list == NULL || count == 0)
        return false;
    size_t known = count < list->count ? (size_t)count : list->count,
           length = list->ends[known - 1];
    if (length > left || memcmp(list->bytes, text, length) != 0)
        return false;
    cursor->at += length;
    if (known == count) {
        *value = value_prefix(list->items, known);
        return true;
    }
    size_t more = count - known <= RECORD_LIST_MAX ? (size_t)count - known : 0;
    if (more > 0 && count <= VALUE_PREFIX_MAX &&
        get_small_ints(cursor, text + length, more) == more) {
        *value = value_list_extend(list, arena, decoder->stack + decoder->stack_count, more,
                                   text + length, decoder->ends);
        return true;
    }
    cursor->at = text;
    return false;
}

/* The same for one of which nothing is known. */
static bool get_new_list(struct cursor *cursor, struct arena *arena, struct value key,
                         uint64_t count, struct value *value)
{
    struct record_decoder *decoder = cursor->decoder;
    const unsigned char *text = cursor->at;
    size_t length = (size_t)count;
    if (count == 0 || count > RECORD_LIST_MAX || count > VALUE_PREFIX_MAX ||
        get_small_ints(cursor, text, length) != length) {
        cursor->at = text;
        return false;
    }
    const struct value *items = decoder->stack + decoder->stack_count;
    *value = value_lists_vector(&decoder->lists_here, arena, key, items, length);
    value_lists_remember(&decoder->lists_here, key, text, decoder->ends, length);
    return true;
}

/* The third part of a micro-operation of `key`, if it is a vector: lists that were read. */
static bool get_list(struct cursor *cursor, struct arena *arena, struct value key,
                     struct value *value, unsigned depth)
{
    struct record_decoder *decoder = cursor->decoder;
    size_t base = decoder->stack_count;
    unsigned tag = *cursor->at++;
    uint64_t count = tag - V_VECTOR_SMALL;
    bool good = tag != V_VECTOR || get_varint(cursor, &count);
    if (good && depth < RECORD_DEPTH_MAX &&
        (get_known_list(cursor, arena, key, count, value) ||
         get_new_list(cursor, arena, key, count, value)))
        return true;
    good = good && get_sequence(cursor, arena, count, depth);
    decoder->stack_count = base;
    const struct value *items = decoder->stack == NULL ? NULL : decoder->stack + base;
    if (!good)
        return false;
    if (count > 0 && value_lists_take(items[count - 1], (size_t)count))
        *value = value_lists_vector(&decoder->lists_here, arena, key, items, (size_t)count);
    else
        *value = make_vector(cursor, arena, items, (size_t)count);
    return true;
}

static inline bool is_vector(const struct cursor *cursor)
{
    return cursor->at < cursor->end &&
           (*cursor->at == V_VECTOR ||
            (*cursor->at >= V_VECTOR_SMALL && *cursor->at <= V_VECTOR_SMALL + SMALL_MAX));
}

/* An integer that fits a value's word, or nil. False, somewhere behind, when something else comes.
 */
static inline bool get_plain(struct cursor *cursor, struct value *value)
{
    uint64_t number;
    unsigned tag;
    if (!get_byte(cursor, &tag))
        return false;
    if (tag >= V_INT_SMALL) {
        *value = small_int_of(tag);
        return true;
    }
    if (tag == V_INT && get_varint(cursor, &number) && number < INT_PLAIN) {
        *value = value_small(unzigzag(number));
        return true;
    }
    *value = value_nil();
    return tag == V_NIL;
}

/* The three parts of [:r KEY VALUE] and its like, the key an integer and the value one, nil or a
 * vector, which is what most of a history of transactions is. False, and the cursor is where it
 * was, when something else comes; *good is false when what comes makes no sense. */
static bool get_micro_op(struct cursor *cursor, struct arena *arena, struct value *value,
                         unsigned depth, bool *good)
{
    struct record_decoder *decoder = cursor->decoder;
    const unsigned char *began = cursor->at;
    struct value items[3];
    unsigned keyword = cursor->at < cursor->end ? *cursor->at - (unsigned)V_KEYWORD_SMALL : 16;
    if (keyword > SMALL_MAX || decoder->micro[keyword] == VALUE_MICRO_NONE)
        return false;
    cursor->at++;
    enum value_micro_op f = (enum value_micro_op)decoder->micro[keyword];
    if (!get_plain(cursor, &items[1]) || value_is_nil(items[1])) {
        cursor->at = began;
        return false;
    }
    if (is_vector(cursor)) {
        items[0] = value_micro_keyword(f);
        *good = get_list(cursor, arena, items[1], &items[2], depth + 1);
        if (*good)
            *value = value_items(arena, VALUE_VECTOR, items, 3);
        return true;
    }
    if (get_plain(cursor, &items[2]) && value_micro_pack(f, items[1], items[2], value))
        return true;
    cursor->at = began;
    return false;
}

/* Vectors so short that they need no place on the decoder's stack. */
static bool get_small_vector(struct cursor *cursor, struct arena *arena, size_t count,
                             struct value *value, unsigned depth)
{
    struct value items[SMALL_MAX];
    bool good = true;
    if (depth >= RECORD_DEPTH_MAX)
        return false;
    if (count == 3 && arena == &cursor->history->arena &&
        get_micro_op(cursor, arena, value, depth, &good))
        return good;
    for (size_t i = 0; i < count; i++)
        if (!get_item(cursor, arena, &items[i], depth + 1))
            return false;
    *value = make_vector(cursor, arena, items, count);
    return true;
}

static bool get_new_keyword(struct cursor *cursor, struct value *value)
{
    struct record_decoder *decoder = cursor->decoder;
    const char *text;
    size_t length;
    if (decoder->follows || decoder->keyword_count == RECORD_IDS_MAX ||
        !get_text(cursor, &text, &length))
        return false;
    uint32_t id = decoder->keyword_count++;
    decoder->keywords[id] = value_text(&decoder->arena, VALUE_KEYWORD, text, length);
    if (id <= SMALL_MAX)
        decoder->micro[id] = (uint8_t)value_micro_named(decoder->keywords[id]);
    decoder->keyword_here[id] = value_nil();
    *value = decoder->keywords[id];
    return true;
}

/* Keywords are made once a block in the history's arena, and shared by its values. */
static bool get_keyword(struct cursor *cursor, struct arena *arena, uint64_t id,
                        struct value *value)
{
    struct record_decoder *decoder = cursor->decoder;
    if (id >= decoder->keyword_count)
        return false;
    *value = decoder->keywords[id];
    if (arena == &decoder->arena)
        return true;
    if (value_is_nil(decoder->keyword_here[id]))
        decoder->keyword_here[id] = value_copy(arena, *value);
    *value = decoder->keyword_here[id];
    return true;
}

static bool get_text_value(struct cursor *cursor, struct arena *arena, enum value_kind kind,
                           struct value *value)
{
    const char *text;
    size_t length;
    if (!get_text(cursor, &text, &length))
        return false;
    *value = value_text(arena, kind, text, length);
    return true;
}

static bool get_double(struct cursor *cursor, struct arena *arena, struct value *value)
{
    double real;
    if ((size_t)(cursor->end - cursor->at) < sizeof real)
        return false;
    memcpy(&real, cursor->at, sizeof real);
    cursor->at += sizeof real;
    *value = value_double(arena, real);
    return true;
}

static bool get_value(struct cursor *cursor, struct arena *arena, struct value *value,
                      unsigned depth)
{
    unsigned tag;
    uint64_t number;
    if (!get_byte(cursor, &tag))
        return false;
    if (tag >= V_INT_SMALL) {
        *value = small_int_of(tag);
        return true;
    }
    if (tag >= V_KEYWORD_SMALL)
        return get_keyword(cursor, arena, tag - V_KEYWORD_SMALL, value);
    if (tag >= V_VECTOR_SMALL)
        return get_small_vector(cursor, arena, tag - V_VECTOR_SMALL, value, depth);
    switch (tag) {
    case V_NIL:
        *value = value_nil();
        return true;
    case V_FALSE:
    case V_TRUE:
        *value = value_bool(tag == V_TRUE);
        return true;
    case V_INT:
        if (!get_varint(cursor, &number))
            return false;
        *value =
            number < INT_PLAIN ? value_small(unzigzag(number)) : value_int(arena, unzigzag(number));
        return true;
    case V_DOUBLE:
        return get_double(cursor, arena, value);
    case V_NUMBER:
    case V_STRING:
    case V_KEYWORD:
    case V_SYMBOL:
    case V_CHAR:
        return get_text_value(cursor, arena, VALUE_NUMBER + (tag - V_NUMBER), value);
    case V_KEYWORD_NEW:
        if (!get_new_keyword(cursor, value))
            return false;
        return get_keyword(cursor, arena, cursor->decoder->keyword_count - 1, value);
    case V_KEYWORD_REF:
        return get_varint(cursor, &number) && get_keyword(cursor, arena, number, value);
    case V_VECTOR:
    case V_LIST:
    case V_SET:
    case V_MAP:
        return get_varint(cursor, &number) &&
               get_items(cursor, arena, VALUE_VECTOR + (tag - V_VECTOR), number, value, depth);
    case V_TAGGED:
        return get_items(cursor, arena, VALUE_TAGGED, 2, value, depth);
    default:
        return false;
    }
}

void record_decoder_init(struct record_decoder *decoder)
{
    *decoder = (struct record_decoder){.arena = ARENA_INIT};
    struct arena *arena = &decoder->arena;
    decoder->f_names = arena_alloc(arena, HISTORY_F_MAX * sizeof *decoder->f_names);
    decoder->f_here = arena_alloc(arena, HISTORY_F_MAX * sizeof *decoder->f_here);
    size_t processes = RECORD_PROCESSES_MAX;
    decoder->process_names = arena_alloc(arena, processes * sizeof *decoder->process_names);
    decoder->process_here = arena_alloc(arena, processes * sizeof *decoder->process_here);
    decoder->keywords = arena_alloc(arena, RECORD_IDS_MAX * sizeof *decoder->keywords);
    decoder->keyword_here = arena_alloc(arena, RECORD_IDS_MAX * sizeof *decoder->keyword_here);
    decoder->errors = arena_alloc(arena, RECORD_IDS_MAX * sizeof *decoder->errors);
    memset(decoder->micro, VALUE_MICRO_NONE, sizeof decoder->micro);
}

void record_decoder_follow(struct record_decoder *decoder, const struct record_decoder *from)
{
    decoder->follows = true;
    decoder->f_names = from->f_names;
    decoder->process_names = from->process_names;
    decoder->keywords = from->keywords;
    decoder->errors = from->errors;
    memcpy(decoder->micro, from->micro, sizeof decoder->micro);
    decoder->f_count = from->f_count;
    decoder->process_count = from->process_count;
    decoder->keyword_count = from->keyword_count;
    decoder->error_count = from->error_count;
}

void record_decoder_resolve(const struct record_decoder *decoder, struct history *history)
{
    for (uint32_t i = 0; i < decoder->f_count; i++)
        history_f(history, decoder->f_names[i]);
    for (uint32_t i = 0; i < decoder->process_count; i++)
        history_process_named(history, decoder->process_names[i]);
}

void record_decoder_free(struct record_decoder *decoder)
{
    free(decoder->stack);
    value_lists_free(&decoder->lists_here);
    arena_free(&decoder->arena);
}

static bool get_name(struct cursor *cursor, const char **names, int32_t *here, uint32_t *count,
                     uint32_t count_max)
{
    const char *text;
    size_t length;
    if (*count == count_max || !get_text(cursor, &text, &length) ||
        memchr(text, '\0', length) != NULL)
        return false;
    here[*count] = INT32_MIN;
    names[(*count)++] = arena_strndup(&cursor->decoder->arena, text, length);
    return true;
}

static bool get_definition(struct cursor *cursor, unsigned tag)
{
    struct record_decoder *d = cursor->decoder;
    switch (tag) {
    case DEFINE_F:
        return get_name(cursor, d->f_names, d->f_here, &d->f_count, HISTORY_F_MAX);
    case DEFINE_PROCESS:
        return get_name(cursor, d->process_names, d->process_here, &d->process_count,
                        RECORD_PROCESSES_MAX);
    case DEFINE_ERROR:
        return d->error_count < RECORD_IDS_MAX &&
               get_value(cursor, &d->arena, &d->errors[d->error_count], 0) &&
               !value_is_nil(d->errors[d->error_count++]);
    default:
        return false;
    }
}

static bool get_f(struct cursor *cursor, unsigned tag, struct op *op)
{
    uint64_t f = tag >> EVENT_F_SHIFT;
    if ((f == EVENT_F_MORE && !get_varint(cursor, &f)) || f >= cursor->decoder->f_count)
        return false;
    int32_t *here = &cursor->decoder->f_here[f];
    if (*here == INT32_MIN)
        *here = history_f(cursor->history, cursor->decoder->f_names[f]);
    op->f = (uint16_t)*here;
    return true;
}

static bool get_process(struct cursor *cursor, struct op *op)
{
    uint64_t number;
    if (!get_varint(cursor, &number))
        return false;
    int64_t process = unzigzag(number);
    if (process > INT32_MAX || process < INT32_MIN)
        return false;
    op->process = (int32_t)process;
    if (process > PROCESS_OTHER)
        return true;
    uint64_t id = (uint64_t)(PROCESS_OTHER - process);
    if (id >= cursor->decoder->process_count)
        return false;
    int32_t *here = &cursor->decoder->process_here[id];
    if (*here == INT32_MIN)
        *here = history_process_named(cursor->history, cursor->decoder->process_names[id]);
    op->process = *here;
    return true;
}

static bool get_error(struct cursor *cursor, struct op *op)
{
    uint64_t number;
    if (!get_varint(cursor, &number) || number > cursor->decoder->error_count)
        return false;
    if (number == 0)
        return get_value(cursor, &cursor->history->arena, &op->error, 0);
    op->error = cursor->decoder->errors[number - 1];
    return true;
}

static bool get_event(struct cursor *cursor, unsigned tag, struct op *op)
{
    uint64_t step;
    op->type = (enum op_type)(tag & EVENT_TYPE_MASK);
    op->error = value_nil();
    if (!get_f(cursor, tag, op) || !get_process(cursor, op) || !get_varint(cursor, &step))
        return false;
    op->time_ns = (int64_t)((uint64_t)op->time_ns + (uint64_t)unzigzag(step));
    if ((tag & EVENT_HAS_ERROR) && !get_error(cursor, op))
        return false;
    return get_value(cursor, &cursor->history->arena, &op->value, 0);
}

/* Histories differ from call to call: what was looked up in the last one is forgotten. */
static void forget_lookups(struct record_decoder *decoder)
{
    decoder->stack_count = 0;
    for (uint32_t i = 0; i < decoder->f_count; i++)
        decoder->f_here[i] = INT32_MIN;
    for (uint32_t i = 0; i < decoder->process_count; i++)
        decoder->process_here[i] = INT32_MIN;
    for (uint32_t i = 0; i < decoder->keyword_count; i++)
        decoder->keyword_here[i] = value_nil();
    if (decoder->same_arena)
        return;
    memset(&decoder->vectors_here, 0, sizeof decoder->vectors_here);
    value_lists_forget(&decoder->lists_here);
}

bool record_decode(struct record_decoder *decoder, const unsigned char *payload, size_t length,
                   uint32_t count, struct history *history, enum err_code *code)
{
    *code = ERR_NONE;
    if (length == 0) /* there may be no payload to point at */
        return count == 0;
    struct cursor cursor = {
        .at = payload, .end = payload + length, .decoder = decoder, .history = history};
    uint32_t before = history->count, seen = 0;
    struct op op = {.time_ns = 0};
    bool good = true;
    forget_lookups(decoder);
    while (good && *code == ERR_NONE && cursor.at < cursor.end) {
        unsigned tag = *cursor.at++;
        if (tag == EXTRA) {
            good = value_is_nil(op.extra) && get_value(&cursor, &history->arena, &op.extra, 0) &&
                   value_kind(op.extra) == VALUE_MAP;
        } else if (tag >= DEFINE_F) {
            good = !decoder->follows && get_definition(&cursor, tag);
        } else {
            good = ++seen <= count && get_event(&cursor, tag, &op);
            if (good)
                history_append_own(history, &op, code);
            op.extra = value_nil();
        }
    }
    good = good && value_is_nil(op.extra);
    if (!good || *code != ERR_NONE || seen != count)
        history->count = before;
    return good && *code == ERR_NONE && seen == count;
}
