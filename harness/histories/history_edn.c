/* Jepsen's histories: see history_edn.h. */
#include "harness/histories/history_edn.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/base/text.h"
#include "harness/histories/edn.h"
#include "harness/histories/history_text.h"

/* ---- Reading ---- */

/* Operations of a file tend to be written by one program: the same keys in the same order, with the
 * same bytes between the values. What stood before each value of the operation before is looked for
 * first; where it stands again the key need not be read. */
enum { LAYOUT_PARTS = 16, LAYOUT_WORDS = 2, LAYOUT_BYTES = LAYOUT_WORDS * 8 };

struct layout_part {
    enum event_field field;
    uint8_t length;                                    /* 0: nothing known */
    uint64_t bytes[LAYOUT_WORDS], masks[LAYOUT_WORDS]; /* masks: of the `length` bytes */
    struct value key;                                  /* of FIELD_COUNT */
};

struct edn_reading {
    struct edn_reader edn;
    struct layout_part layout[LAYOUT_PARTS];
};

static bool is_blank(char c)
{
    return c == ' ' || c == ',' || c == '\n' || c == '\t';
}

static const char *behind_blanks(const char *at)
{
    while (is_blank(*at)) /* something that is none follows */
        at++;
    return at;
}

/* Whether the bytes are blanks, one keyword and blanks, so that they mean the same wherever they
 * stand behind a whole value. */
static bool is_simple(const char *bytes, size_t length)
{
    size_t at = 0;
    while (at < length && is_blank(bytes[at]))
        at++;
    if (at == length || bytes[at] != ':')
        return false;
    size_t name = at;
    while (at < length && !is_blank(bytes[at]))
        at++;
    if (!edn_is_name(bytes + name, at - name) || at == length)
        return false;
    while (at < length && is_blank(bytes[at]))
        at++;
    return at == length;
}

static void learn(struct layout_part *part, enum event_field field, struct value key,
                  const char *bytes, size_t length)
{
    part->length = 0;
    if (length == 0 || length > LAYOUT_BYTES || !is_simple(bytes, length))
        return;
    part->field = field;
    part->key = key;
    part->length = (uint8_t)length;
    memset(part->bytes, 0, sizeof part->bytes);
    memset(part->masks, 0, sizeof part->masks);
    memcpy(part->bytes, bytes, length);
    memset(part->masks, 0xff, length);
}

/* Compares words: a call of memcmp for each few bytes would cost more than all the rest. */
static inline bool stands_at(const struct layout_part *part, const char *at, const char *end)
{
    uint64_t words[LAYOUT_WORDS], differs = 0;
    if (part->length == 0 || end - at <= LAYOUT_BYTES)
        return false;
    memcpy(words, at, sizeof words);
    for (unsigned i = 0; i < LAYOUT_WORDS; i++)
        differs |= (words[i] & part->masks[i]) ^ part->bytes[i];
    return differs == 0;
}

static bool read_key(struct edn_reader *edn, struct value *key, enum event_field *field)
{
    const char *text;
    size_t length;
    *key = value_nil();
    *field = FIELD_COUNT;
    if (*edn->at == ':') {
        if (!edn_read_token(edn, &text, &length))
            return false;
        *field = event_field_of(text + 1, length - 1);
        if (*field == FIELD_COUNT)
            *key = value_text(edn->arena, VALUE_KEYWORD, text + 1, length - 1);
        if (length > 1)
            return true;
        return edn->at == edn->end ? edn_fail_ended(edn, "the text ends inside an operation")
                                   : edn_fail(edn, text, "a colon without a name");
    }
    if (!edn_read(edn, key))
        return false;
    if (value_kind(*key) == VALUE_STRING)
        *field = event_field_of(value_as_text(*key), value_text_length(*key));
    return true;
}

/* A key and the bytes up to its value. *more is false at the closing brace. */
static bool read_to_value(struct edn_reader *edn, struct layout_part *part, enum event_field *field,
                          struct value *key, bool *more)
{
    const char *from = edn->at;
    if (part != NULL && stands_at(part, from, edn->end)) {
        edn->at = from + part->length;
        *field = part->field;
        *key = part->key;
        return true;
    }
    int next = edn_next(edn);
    if (next == '}') {
        *more = false;
        return true;
    }
    if (next == -1)
        return edn_fail_ended(edn, "the text ends inside an operation");
    const char *key_at = edn->at;
    if (next < 0 || !read_key(edn, key, field))
        return false;
    next = edn_next(edn);
    if (next == '}')
        return edn_fail(edn, key_at, "a key without a value");
    if (next == -1)
        return edn_fail_ended(edn, "the text ends inside an operation");
    if (part != NULL)
        learn(part, *field, *key, from, (size_t)(edn->at - from));
    return next >= 0;
}

/* `{` and what follows, up to `}`. */
static bool read_fields(struct edn_reading *state, struct history_builder *builder,
                        struct event_fields *fields)
{
    struct edn_reader *edn = &state->edn;
    edn->at++;
    for (unsigned i = 0;; i++) {
        if (edn->at < edn->end && *edn->at == '}')
            break;
        enum event_field field = FIELD_COUNT;
        struct value key, value;
        const char *from = edn->at;
        bool more = true;
        if (!read_to_value(edn, i < LAYOUT_PARTS ? &state->layout[i] : NULL, &field, &key, &more))
            return false;
        if (!more)
            break;
        if (!edn_read(edn, &value))
            return false;
        if (field == FIELD_COUNT) {
            if (!history_builder_extra(builder, key, value))
                return edn_fail(edn, from, "out of memory for an operation");
            continue;
        }
        if (fields->given & 1u << field)
            return edn_fail(edn, behind_blanks(from), "a key that this operation has already");
        fields->given |= 1u << field;
        fields->values[field] = value;
    }
    edn->at++;
    return true;
}

/* A map, or a record such as #jepsen.history.Op{...}. */
static bool read_operation(struct text_reading *reading, struct edn_reading *state, int next)
{
    struct edn_reader *edn = &state->edn;
    const char *begin = edn->at, *tag, *problem = text_expect_operation(reading);
    size_t tag_length;
    if (problem != NULL)
        return edn_fail(edn, begin, problem);
    if (next == '#') {
        edn->at++;
        if (!edn_read_token(edn, &tag, &tag_length) && edn->at < edn->end)
            return edn_fail(edn, begin, "expected an operation (a map)");
        next = edn_next(edn);
        if (next == -1)
            return edn_fail_ended(edn, "the text ends inside an operation");
        if (next == -2)
            return false;
    }
    if (next != '{')
        return edn_fail(edn, begin, "expected an operation (a map)");
    struct event_fields fields;
    history_builder_begin(&reading->builder, &fields);
    if (!read_fields(state, &reading->builder, &fields))
        return false;
    problem = history_builder_add(&reading->builder, &fields);
    return problem == NULL || edn_fail(edn, begin, problem);
}

static enum text_found read_item(struct text_reading *reading, void *data, const char *text,
                                 size_t length, struct text_place *place)
{
    struct edn_reading *state = data;
    struct edn_reader *edn = &state->edn;
    edn_reader_text(edn, text, length);
    int next = edn_next(edn);
    place->begin = edn->at;
    if (next == -1)
        return TEXT_NOTHING;
    bool good = text_take_bracket(reading, next, "[(", "])");
    if (good)
        edn->at++;
    else
        good = next >= 0 && read_operation(reading, state, next);
    place->at = edn->at;
    if (!good) {
        place->problem = edn->problem;
        place->problem_at = edn->problem_at;
        place->ended = edn->ended;
    }
    return good ? TEXT_ITEM : TEXT_FAILED;
}

static void open_state(void *data, struct arena *arena, int way)
{
    struct edn_reading *state = data;
    (void)way;
    memset(state->layout, 0, sizeof state->layout);
    edn_reader_init(&state->edn, arena);
}

static void close_state(void *data)
{
    struct edn_reading *state = data;
    edn_reader_free(&state->edn);
}

enum err_code history_edn_read(struct source *source, struct history *history,
                               struct history_notes *notes, struct err *err)
{
    static const struct text_format format = {.item = read_item,
                                              .state_size = sizeof(struct edn_reading),
                                              .open = open_state,
                                              .close = close_state};
    return history_text_read(source, &format, history, notes, err);
}

/* ---- Writing ---- */

enum { FLUSH_BYTES = 1 << 16 };

/* The open invocation of each client process: processes are looked up by number, which grows
 * without bound as indeterminate ones are retired, so a table by hash. */
struct invocations {
    struct invocation {
        int32_t process;
        uint32_t index; /* HISTORY_NONE: no open one, or a free slot */
        bool used;
    } * slots;
    uint32_t mask, used;
};

static struct invocation *invocation_of(struct invocations *table, int32_t process)
{
    uint32_t at = (uint32_t)process * UINT32_C(0x9e3779b1);
    at ^= at >> 15;
    while (table->slots[at & table->mask].used && table->slots[at & table->mask].process != process)
        at++;
    return &table->slots[at & table->mask];
}

static bool invocations_reserve(struct invocations *table)
{
    if (table->slots != NULL && table->used * 2 < table->mask)
        return true;
    struct invocations grown = {.mask = table->slots == NULL ? 255 : table->mask * 2 + 1};
    grown.slots = calloc((size_t)grown.mask + 1, sizeof *grown.slots);
    if (grown.slots == NULL)
        return false;
    for (uint32_t i = 0; table->slots != NULL && i <= table->mask; i++)
        if (table->slots[i].used) {
            *invocation_of(&grown, table->slots[i].process) = table->slots[i];
            grown.used++;
        }
    free(table->slots);
    *table = grown;
    return true;
}

static void repeat_invocation(const struct history *history, struct invocations *table,
                              struct op *op)
{
    struct invocation *open = invocation_of(table, op->process);
    if (!open->used) {
        *open = (struct invocation){.process = op->process, .index = HISTORY_NONE, .used = true};
        table->used++;
    }
    if (op->type == OP_FAIL && open->index != HISTORY_NONE) {
        struct value invoked = history->value[open->index];
        if (value_is_nil(op->error) && !value_equal(op->value, invoked))
            op->error = op->value;
        op->value = invoked;
    }
    open->index = op->type == OP_INVOKE ? op->index : HISTORY_NONE;
}

static void add_int(struct buf *out, int64_t integer)
{
    char text[24], *at = text + sizeof text;
    uint64_t magnitude = integer < 0 ? 0 - (uint64_t)integer : (uint64_t)integer;
    do
        *--at = (char)('0' + magnitude % 10);
    while ((magnitude /= 10) > 0);
    if (integer < 0)
        *--at = '-';
    buf_add(out, at, (size_t)(text + sizeof text - at));
}

static void add_op(const struct history *history, const struct op *op, struct buf *out)
{
    buf_add_text(out, "{:index ");
    add_int(out, op->index);
    if (op->time_ns != -1) {
        buf_add_text(out, ", :time ");
        add_int(out, op->time_ns);
    }
    buf_add_text(out, ", :type :");
    buf_add_text(out, op_type_name(op->type));
    buf_add_text(out, ", :process ");
    history_print_process(history, op->process, out);
    buf_add_text(out, ", :f ");
    history_print_f(history->f_names[op->f], out);
    buf_add_text(out, ", :value ");
    value_print(op->value, out);
    if (!value_is_nil(op->error)) {
        buf_add_text(out, ", :error ");
        value_print(op->error, out);
    }
    history_print_extra(op->extra, out);
    buf_add_text(out, "}\n");
}

enum err_code history_edn_write(const struct history *history, int fd, const char *name,
                                struct err *err)
{
    struct buf out = BUF_INIT;
    struct invocations table = {.slots = NULL};
    enum err_code code = ERR_NONE;
    for (uint32_t i = 0; i < history->count && code == ERR_NONE; i++) {
        struct op op = history_op(history, i);
        if (!invocations_reserve(&table)) {
            code = err_set(err, ERR_NOMEM, "write %s: out of memory", name);
            break;
        }
        if (op.process >= 0)
            repeat_invocation(history, &table, &op);
        add_op(history, &op, &out);
        if (out.length >= FLUSH_BYTES || i + 1 == history->count) {
            code = file_write_fd(fd, name, out.data, out.length, err);
            buf_clear(&out);
        }
    }
    free(table.slots);
    buf_free(&out);
    return code;
}
