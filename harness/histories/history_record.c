/* Events as bytes: see history_record.h, and docs/history-format.md for every byte. */
#include "harness/histories/history_record.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "harness/histories/history_record_tags.h"

enum {
    IDS_SLOTS = RECORD_IDS_MAX * 2,
    VARINT_MAX = 10,
    SCALAR_MAX = 1 + 2 * VARINT_MAX,
    EVENT_MAX = 1 + 4 * VARINT_MAX, /* an event without its value and error */
};

bool record_reserve(struct record_bytes *bytes, size_t more)
{
    if (bytes->capacity - bytes->length >= more)
        return true;
    if (more > RECORD_BYTES_MAX || bytes->length + more > RECORD_BYTES_MAX)
        return false;
    size_t capacity =
        bytes->capacity * 2 > bytes->length + more ? bytes->capacity * 2 : bytes->length + more;
    unsigned char *data = realloc(bytes->data, capacity);
    if (data == NULL)
        return false;
    bytes->data = data;
    bytes->capacity = capacity;
    return true;
}

static uint64_t zigzag(int64_t integer)
{
    return (uint64_t)integer << 1 ^ (uint64_t)(integer >> 63);
}

/* ---- Numbers for values that repeat ---- */

static void ids_free(struct record_ids *ids)
{
    free(ids->values);
    free(ids->hashes);
    free(ids->slots);
}

static bool ids_allocate(struct record_ids *ids)
{
    if (ids->slots != NULL)
        return true;
    ids->values = malloc(RECORD_IDS_MAX * sizeof *ids->values);
    ids->hashes = malloc(RECORD_IDS_MAX * sizeof *ids->hashes);
    ids->slots = calloc(IDS_SLOTS, sizeof *ids->slots);
    if (ids->values != NULL && ids->hashes != NULL && ids->slots != NULL)
        return true;
    ids_free(ids);
    *ids = (struct record_ids){.count = 0};
    return false;
}

enum id_answer { ID_KNOWN, ID_NEW, ID_NONE };

/* Finds a value's number, or gives it the next one and keeps a copy; ID_NONE when all are given. */
static enum id_answer ids_find(struct record_ids *ids, struct arena *arena, struct value value,
                               uint32_t *id)
{
    if (!ids_allocate(ids))
        return ID_NONE;
    uint64_t hash = value_hash(value);
    uint32_t at = (uint32_t)hash % IDS_SLOTS;
    for (; ids->slots[at] != 0; at = (at + 1) % IDS_SLOTS) {
        *id = (uint32_t)ids->slots[at] - 1;
        if (ids->hashes[*id] == hash && value_equal(ids->values[*id], value))
            return ID_KNOWN;
    }
    if (ids->count == RECORD_IDS_MAX)
        return ID_NONE;
    *id = ids->count++;
    ids->values[*id] = value_copy(arena, value);
    ids->hashes[*id] = hash;
    ids->slots[at] = (uint16_t)(*id + 1);
    return ID_NEW;
}

/* ---- Writing ---- */

/* The caller has reserved room. */
static void put_byte(struct record_bytes *out, unsigned byte)
{
    out->data[out->length++] = (unsigned char)byte;
}

static void put_varint(struct record_bytes *out, uint64_t number)
{
    unsigned char *at = out->data + out->length;
    while (number >= 0x80) {
        *at++ = (unsigned char)(number | 0x80);
        number >>= 7;
    }
    *at++ = (unsigned char)number;
    out->length = (size_t)(at - out->data);
}

static bool put_text(struct record_bytes *out, unsigned tag, const char *text, size_t length)
{
    if (!record_reserve(out, SCALAR_MAX + length))
        return false;
    put_byte(out, tag);
    put_varint(out, length);
    memcpy(out->data + out->length, text, length);
    out->length += length;
    return true;
}

static void put_int(struct record_bytes *out, int64_t integer)
{
    if (integer >= INT_SMALL_LOW && integer <= INT_SMALL_HIGH) {
        put_byte(out, (unsigned)(V_INT_SMALL + (integer - INT_SMALL_LOW)));
    } else {
        put_byte(out, V_INT);
        put_varint(out, zigzag(integer));
    }
}

static bool put_keyword(struct record_encoder *encoder, struct record_bytes *out,
                        struct value value)
{
    uint32_t id;
    switch (value_text_length(value) <= RECORD_ID_BYTES_MAX
                ? ids_find(&encoder->keywords, &encoder->arena, value, &id)
                : ID_NONE) {
    case ID_NEW:
        return put_text(out, V_KEYWORD_NEW, value_as_text(value), value_text_length(value));
    case ID_NONE:
        return put_text(out, V_KEYWORD, value_as_text(value), value_text_length(value));
    case ID_KNOWN:
        break;
    }
    if (id <= SMALL_MAX) {
        put_byte(out, V_KEYWORD_SMALL + id);
    } else {
        put_byte(out, V_KEYWORD_REF);
        put_varint(out, id);
    }
    return true;
}

static bool put_value(struct record_encoder *encoder, struct record_bytes *out, struct value value,
                      unsigned depth);

static bool put_items(struct record_encoder *encoder, struct record_bytes *out, struct value value,
                      unsigned depth)
{
    size_t count = value_count(value);
    enum value_kind kind = value_kind(value);
    if (depth >= RECORD_DEPTH_MAX)
        return false;
    if (kind == VALUE_VECTOR && count <= SMALL_MAX) {
        put_byte(out, (unsigned)(V_VECTOR_SMALL + count));
    } else {
        put_byte(out, (unsigned)(V_VECTOR + (kind - VALUE_VECTOR)));
        if (kind != VALUE_TAGGED)
            put_varint(out, count);
    }
    for (size_t i = 0; i < count; i++)
        if (!put_value(encoder, out, value_at(value, i), depth + 1))
            return false;
    return true;
}

static bool put_value(struct record_encoder *encoder, struct record_bytes *out, struct value value,
                      unsigned depth)
{
    if (!record_reserve(out, SCALAR_MAX))
        return false;
    enum value_kind kind = value_kind(value);
    switch (kind) {
    case VALUE_NIL:
        put_byte(out, V_NIL);
        return true;
    case VALUE_BOOL:
        put_byte(out, value_as_bool(value) ? V_TRUE : V_FALSE);
        return true;
    case VALUE_INT:
        put_int(out, value_as_int(value));
        return true;
    case VALUE_DOUBLE: {
        double real = value_as_double(value);
        put_byte(out, V_DOUBLE);
        memcpy(out->data + out->length, &real, sizeof real); /* little-endian */
        out->length += sizeof real;
        return true;
    }
    case VALUE_KEYWORD:
        return put_keyword(encoder, out, value);
    case VALUE_NUMBER:
    case VALUE_STRING:
    case VALUE_SYMBOL:
    case VALUE_CHAR:
        return put_text(out, V_NUMBER + (unsigned)(kind - VALUE_NUMBER), value_as_text(value),
                        value_text_length(value));
    default:
        return put_items(encoder, out, value, depth);
    }
}

void record_encoder_init(struct record_encoder *encoder, const struct history *names)
{
    *encoder = (struct record_encoder){.names = names, .arena = ARENA_INIT};
}

void record_encoder_free(struct record_encoder *encoder)
{
    ids_free(&encoder->keywords);
    ids_free(&encoder->errors);
    arena_free(&encoder->arena);
}

void record_encoder_block(struct record_encoder *encoder)
{
    encoder->time_before_ns = 0;
}

static bool define_names(struct record_encoder *encoder, struct record_bytes *out,
                         const struct op *op)
{
    const struct history *names = encoder->names;
    for (; encoder->f_defined <= op->f; encoder->f_defined++) {
        const char *name = names->f_names[encoder->f_defined];
        if (!put_text(out, DEFINE_F, name, strlen(name)))
            return false;
    }
    while (op->process <= PROCESS_OTHER &&
           encoder->process_defined <= (uint32_t)(PROCESS_OTHER - op->process)) {
        const char *name = names->process_names[encoder->process_defined++];
        if (!put_text(out, DEFINE_PROCESS, name, strlen(name)))
            return false;
    }
    return true;
}

/* The error's number + 1, after its definition; 0 when it is to stand inline. */
static bool define_error(struct record_encoder *encoder, struct record_bytes *out,
                         struct value error, uint32_t *number)
{
    uint32_t id;
    *number = 0;
    if (value_text_length(error) > RECORD_ID_BYTES_MAX)
        return true;
    enum id_answer answer = ids_find(&encoder->errors, &encoder->arena, error, &id);
    if (answer == ID_NONE)
        return true;
    *number = id + 1;
    if (answer == ID_KNOWN)
        return true;
    if (!record_reserve(out, SCALAR_MAX))
        return false;
    put_byte(out, DEFINE_ERROR);
    return put_value(encoder, out, error, 0);
}

static bool put_event(struct record_encoder *encoder, struct record_bytes *out, const struct op *op)
{
    bool has_error = !value_is_nil(op->error);
    uint32_t error = 0;
    if (!value_is_nil(op->extra)) {
        if (!record_reserve(out, SCALAR_MAX))
            return false;
        put_byte(out, EXTRA);
        if (!put_value(encoder, out, op->extra, 0))
            return false;
    }
    if (has_error && !define_error(encoder, out, op->error, &error))
        return false;
    if (!record_reserve(out, EVENT_MAX + SCALAR_MAX))
        return false;
    unsigned f = op->f < EVENT_F_MORE ? op->f : EVENT_F_MORE;
    put_byte(out, (unsigned)op->type | (has_error ? EVENT_HAS_ERROR : 0) | f << EVENT_F_SHIFT);
    if (f == EVENT_F_MORE)
        put_varint(out, op->f);
    put_varint(out, zigzag(op->process));
    uint64_t step = (uint64_t)op->time_ns - (uint64_t)encoder->time_before_ns;
    put_varint(out, zigzag((int64_t)step));
    encoder->time_before_ns = op->time_ns;
    if (has_error)
        put_varint(out, error);
    if (has_error && error == 0 && !put_value(encoder, out, op->error, 0))
        return false;
    return put_value(encoder, out, op->value, 0);
}

enum err_code record_encode(struct record_encoder *encoder, struct record_bytes *out,
                            const struct op *op, struct err *err)
{
    size_t before = out->length;
    bool known = op->f < encoder->f_defined &&
                 (op->process > PROCESS_OTHER ||
                  (uint32_t)(PROCESS_OTHER - op->process) < encoder->process_defined);
    if ((known || define_names(encoder, out, op)) && put_event(encoder, out, op))
        return ERR_NONE;
    out->length = before;
    return err_set(err, ERR_NOMEM,
                   "recording an operation: its value is over %zu MiB or %d levels deep, or memory "
                   "ended",
                   RECORD_BYTES_MAX >> 20, RECORD_DEPTH_MAX);
}
