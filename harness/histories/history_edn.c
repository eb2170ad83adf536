/* Jepsen's histories: see history_edn.h. */
#include "harness/histories/history_edn.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/base/text.h"
#include "harness/histories/edn.h"

/* ---- Reading ---- */

struct reading {
    struct source *source;
    struct edn_reader edn;
    struct history_builder builder;
    char close;  /* what closes the history as a whole; 0 outside such a thing */
    bool closed; /* it was closed */
    bool began;
    size_t done; /* bytes of the window that are dealt with */
    size_t here; /* where in it the operation being read begins */
};

enum step { STEP_ON, STEP_MORE, STEP_END, STEP_FAILED };

static bool read_key(struct edn_reader *edn, struct event_fields *fields,
                     struct history_notes *notes, enum event_field *field)
{
    const char *text;
    size_t length;
    struct value key = value_nil();
    if (*edn->at == ':') {
        if (!edn_read_token(edn, &text, &length))
            return false;
        text++;
        length--;
    } else {
        if (!edn_read(edn, &key))
            return false;
        text = value_kind(key) == VALUE_STRING ? value_as_text(key) : "(not a keyword)";
        length = strlen(text);
    }
    *field = event_field_of(text, length);
    if (*field == FIELD_COUNT)
        event_ignore(fields, notes, text, length);
    return true;
}

/* `{` and what follows, up to `}`. */
static bool read_fields(struct reading *reading, struct event_fields *fields)
{
    struct edn_reader *edn = &reading->edn;
    edn->at++;
    for (;;) {
        enum event_field field;
        int next = edn_next(edn);
        if (next == '}')
            break;
        if (next == -1)
            return edn_fail_ended(edn, "the text ends inside an operation");
        const char *key_at = edn->at;
        if (next < 0 || !read_key(edn, fields, reading->builder.notes, &field))
            return false;
        if (edn_next(edn) == '}')
            return edn_fail(edn, key_at, "a key without a value");
        if (field == FIELD_COUNT) {
            if (!edn_skip(edn))
                return false;
            continue;
        }
        if (fields->given & 1u << field)
            return edn_fail(edn, key_at, "a key that this operation has already");
        fields->given |= 1u << field;
        if (!edn_read(edn, &fields->values[field]))
            return false;
    }
    edn->at++;
    return true;
}

/* A map, or a record such as #jepsen.history.Op{...}. */
static bool read_operation(struct reading *reading, int next)
{
    struct edn_reader *edn = &reading->edn;
    const char *begin = edn->at, *tag;
    size_t tag_length;
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
    struct history_notes *notes = reading->builder.notes;
    uint32_t keys_before = notes->key_count;
    struct event_fields fields;
    fields.given = fields.ignored_count = fields.ignored_others = 0;
    memset(fields.values, 0, sizeof fields.values);
    if (!read_fields(reading, &fields)) {
        notes->key_count = keys_before; /* the last may be half a key, at the window's end */
        return false;
    }
    const char *problem = history_builder_add(&reading->builder, &fields);
    return problem == NULL || edn_fail(edn, begin, problem);
}

/* Opens or closes the vector or list around the whole history. False when `next` is neither. */
static bool take_bracket(struct reading *reading, int next)
{
    if (!reading->began && (next == '[' || next == '(')) {
        reading->close = next == '[' ? ']' : ')';
    } else if (reading->close != 0 && next == reading->close) {
        reading->close = 0;
        reading->closed = true;
    } else {
        return false;
    }
    reading->edn.at++;
    return true;
}

static enum step read_step(struct reading *reading)
{
    struct edn_reader *edn = &reading->edn;
    struct source *source = reading->source;
    edn_reader_text(edn, source->data + reading->done, source->length - reading->done);
    int next = edn_next(edn);
    reading->here = (size_t)(edn->at - source->data);
    if (next == -1)
        return source->end ? STEP_END : STEP_MORE;
    bool good = next >= 0;
    if (good && !take_bracket(reading, next))
        good = reading->closed ? edn_fail(edn, edn->at, "something follows the end of the history")
                               : read_operation(reading, next);
    if (!good)
        return edn->ended && !source->end ? STEP_MORE : STEP_FAILED;
    reading->began = true;
    reading->done = (size_t)(edn->at - source->data);
    return STEP_ON;
}

static void tell_cut(struct reading *reading, const char *where)
{
    struct history *history = reading->builder.history;
    uint64_t line, column;
    source_locate(reading->source, reading->here, &line, &column);
    history->cut = arena_printf(
        &history->arena, "the text ends %s (line %" PRIu64 "): read %" PRIu32 " events up to there",
        where, line, history->count);
}

enum err_code history_edn_read(struct source *source, struct history *history,
                               struct history_notes *notes, struct err *err)
{
    struct reading reading = {.source = source};
    edn_reader_init(&reading.edn, &history->arena);
    history_builder_init(&reading.builder, history, notes);
    enum err_code code = source_fill(source, 0, err);
    if (source->length >= 3 && memcmp(source->data, "\xef\xbb\xbf", 3) == 0)
        reading.done = 3; /* a byte order mark */
    enum step step = STEP_ON;
    while (code == ERR_NONE && (step == STEP_ON || step == STEP_MORE)) {
        step = read_step(&reading);
        if (step == STEP_MORE) {
            code = source_fill(source, reading.done, err);
            reading.done = 0;
        }
    }
    if (step == STEP_FAILED && reading.edn.ended)
        tell_cut(&reading, "in the middle of an operation");
    else if (step == STEP_FAILED)
        code = source_error(source, (size_t)(reading.edn.problem_at - source->data), err,
                            reading.edn.problem);
    else if (code == ERR_NONE && reading.close != 0)
        tell_cut(&reading, "before the bracket that closes the history");
    history_builder_free(&reading.builder);
    edn_reader_free(&reading.edn);
    return code;
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
