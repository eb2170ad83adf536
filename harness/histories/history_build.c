/* From fields to events: see history_build.h. */
#include "harness/histories/history_build.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { OPEN_MAX = 10000, DESCRIBE_BYTES = 60 };

/* ---- Notes ---- */

void history_notes_print(const struct history_notes *notes, struct buf *out)
{
    for (uint32_t i = 0; i < notes->key_count; i++)
        if (notes->keys[i].count > 0) {
            const char *before =
                out->length > 0 && out->data[out->length - 1] != '\n' ? ", " : "other keys, kept: ";
            buf_printf(out, "%s:%s (%" PRIu64 ")", before, notes->keys[i].name,
                       notes->keys[i].count);
        }
    if (notes->other_keys > 0)
        buf_printf(out, ", and others (%" PRIu64 ")", notes->other_keys);
    if (out->length > 0 && out->data[out->length - 1] != '\n')
        buf_add_char(out, '\n');
    if (notes->without_f > 0)
        buf_printf(out, "operations without :f, read as :txn: %" PRIu64 "\n", notes->without_f);
    if (notes->without_process > 0)
        buf_printf(out, "operations without :process, paired by :f and :value: %" PRIu64 "\n",
                   notes->without_process);
    if (notes->without_time > 0)
        buf_printf(out, "operations without :time: %" PRIu64 "\n", notes->without_time);
    if (notes->other_lines > 0)
        buf_printf(out, "lines that are no operations: %" PRIu64 "\n", notes->other_lines);
    if (notes->keyed > 0)
        buf_printf(out, "operations whose :key joined their value, as [key value]: %" PRIu64 "\n",
                   notes->keyed);
    if (notes->renumbered > 0)
        buf_printf(out,
                   "operations whose :index is not their position (from 0), which numbers them "
                   "here: %" PRIu64 "\n",
                   notes->renumbered);
}

enum event_field event_field_of(const char *key, size_t length)
{
    static const struct {
        const char *name;
        size_t length;
    } names[FIELD_COUNT] = {
        [FIELD_TYPE] = {"type", 4},   [FIELD_PROCESS] = {"process", 7},
        [FIELD_F] = {"f", 1},         [FIELD_VALUE] = {"value", 5},
        [FIELD_TIME] = {"time", 4},   [FIELD_INDEX] = {"index", 5},
        [FIELD_ERROR] = {"error", 5}, [FIELD_KEY] = {"key", 3},
    };
    unsigned i = 0;
    while (i < FIELD_COUNT &&
           (names[i].length != length || memcmp(names[i].name, key, length) != 0))
        i++;
    return (enum event_field)i;
}

void history_notes_key(struct history_notes *notes, const char *name, uint64_t count)
{
    uint32_t i = 0;
    while (i < notes->key_count && strcmp(notes->keys[i].name, name) != 0)
        i++;
    if (i == NOTES_KEYS_MAX) {
        notes->other_keys += count;
        return;
    }
    if (i == notes->key_count) {
        snprintf(notes->keys[i].name, sizeof notes->keys[i].name, "%s", name);
        notes->keys[i].count = 0;
        notes->key_count++;
    }
    notes->keys[i].count += count;
}

static void note_key(struct history_notes *notes, struct value key)
{
    char name[NOTES_KEY_BYTES];
    const char *text = value_as_text(key);
    size_t length = value_text_length(key);
    if (length == 0) {
        text = "(not a name)";
        length = strlen(text);
    }
    snprintf(name, sizeof name, "%.*s", (int)(length < sizeof name ? length : sizeof name), text);
    history_notes_key(notes, name, 1);
}

/* ---- Fields ---- */

static bool is_text(struct value value)
{
    enum value_kind kind = value_kind(value);
    return kind == VALUE_KEYWORD || kind == VALUE_STRING || kind == VALUE_SYMBOL;
}

/* The text of a name without the colon that JSON may give it. */
static const char *name_of(struct value value)
{
    const char *text = value_as_text(value);
    return text[0] == ':' && text[1] != '\0' ? text + 1 : text;
}

static const char *complain(struct history_builder *builder, const char *what, struct value value)
{
    struct buf printed = BUF_INIT;
    value_print(value, &printed);
    snprintf(builder->problem, sizeof builder->problem, "%s, not %.*s", what, DESCRIBE_BYTES,
             buf_text(&printed));
    buf_free(&printed);
    return builder->problem;
}

static const char *take_type(struct history_builder *builder, const struct event_fields *fields,
                             struct op *op)
{
    struct value type = fields->values[FIELD_TYPE];
    if ((fields->given & 1 << FIELD_TYPE) == 0)
        return "an operation without :type";
    struct builder_type *cached = &builder->type_cache[(type.bits >> 4) % 16];
    if (cached->bits == type.bits && type.bits != 0) {
        op->type = cached->type;
        return NULL;
    }
    const char *name = is_text(type) ? name_of(type) : "";
    for (unsigned i = OP_INVOKE; i <= OP_INFO; i++)
        if (strcmp(name, op_type_name((enum op_type)i)) == 0) {
            op->type = (enum op_type)i;
            *cached = (struct builder_type){.bits = type.bits, .type = op->type};
            return NULL;
        }
    return complain(builder, ":type must be :invoke, :ok, :fail or :info", type);
}

static const char *f_by_name(struct history_builder *builder, const char *name, uint16_t *f)
{
    int known = history_find_f(builder->history, name);
    if (known < 0 && builder->history->f_count == HISTORY_F_MAX) {
        snprintf(builder->problem, sizeof builder->problem,
                 "more than %d different :f (is something else meant by it?)", HISTORY_F_MAX);
        return builder->problem;
    }
    *f = known >= 0 ? (uint16_t)known : history_f(builder->history, name);
    return NULL;
}

static const char *take_f(struct history_builder *builder, const struct event_fields *fields,
                          struct op *op)
{
    struct value f = fields->values[FIELD_F];
    if (value_is_nil(f)) {
        builder->notes->without_f++;
        return f_by_name(builder, "txn", &op->f);
    }
    struct builder_f *cached = &builder->f_cache[(f.bits >> 4) % 64];
    if (cached->bits == f.bits) {
        op->f = cached->f;
        return NULL;
    }
    const char *problem;
    if (is_text(f) &&
        strlen(name_of(f)) == value_text_length(f) - (size_t)(name_of(f) - value_as_text(f))) {
        problem = f_by_name(builder, name_of(f), &op->f);
    } else {
        struct buf printed = BUF_INIT;
        value_print(f, &printed);
        problem = f_by_name(builder, buf_text(&printed), &op->f);
        buf_free(&printed);
    }
    if (problem == NULL)
        *cached = (struct builder_f){.bits = f.bits, .f = op->f};
    return problem;
}

static const char *take_named_process(struct history_builder *builder, struct value process,
                                      struct op *op)
{
    if (builder->history->process_name_count >= PROCESS_NAMES_MAX)
        return "too many processes that are not numbers";
    op->process = history_process_named(builder->history, name_of(process));
    return NULL;
}

static const char *take_process(struct history_builder *builder, const struct event_fields *fields,
                                struct op *op)
{
    struct value process = fields->values[FIELD_PROCESS];
    bool first = builder->history->count == 0, given = !value_is_nil(process);
    if (!first && given == (builder->notes->without_process > 0))
        return given ? "an operation with :process, though those before it have none"
                     : "an operation without :process, though those before it have one";
    if (!given)
        return NULL;
    if (is_text(process))
        return take_named_process(builder, process, op);
    int64_t number = value_as_int(process);
    if (!value_is_int(process) || number < 0 || number > INT32_MAX)
        return complain(builder, ":process must be a number from 0 to 2147483647 or a keyword",
                        process);
    op->process = (int32_t)number;
    return NULL;
}

static const char *take_time(struct history_builder *builder, const struct event_fields *fields,
                             struct op *op)
{
    struct value time = fields->values[FIELD_TIME];
    op->time_ns = -1;
    if (value_is_nil(time)) {
        builder->notes->without_time++;
        return NULL;
    }
    double real = value_as_double(time);
    if (value_is_int(time))
        op->time_ns = value_as_int(time);
    else if (value_kind(time) == VALUE_DOUBLE && fabs(real) < 9e18)
        op->time_ns = (int64_t)llround(real);
    else
        return complain(builder, ":time must be a number of nanoseconds", time);
    return NULL;
}

static const char *check_index(struct history_builder *builder, const struct event_fields *fields)
{
    struct value index = fields->values[FIELD_INDEX];
    if (value_is_nil(index))
        return NULL;
    if (!value_is_int(index))
        return complain(builder, ":index must be a number", index);
    uint64_t number = (uint64_t)value_as_int(index), here = builder->history->count;
    if (builder->index_unknown)
        builder->index_ahead = number - here;
    builder->index_unknown = false;
    builder->notes->renumbered += number != builder->index_ahead + here;
    return NULL;
}

/* ---- Operations without processes ---- */

/* Whether a completion's value can be what became of the invocation's: nil may be filled in. */
static bool fills(struct value invoked, struct value completed)
{
    if (value_is_nil(invoked) || value_equal(invoked, completed))
        return true;
    enum value_kind kind = value_kind(invoked);
    size_t count = value_count(invoked);
    if ((kind != VALUE_VECTOR && kind != VALUE_LIST) || value_kind(completed) != kind ||
        value_count(completed) != count)
        return false;
    for (size_t i = 0; i < count; i++)
        if (!fills(value_at(invoked, i), value_at(completed, i)))
            return false;
    return true;
}

/* Into `open`; open_count when there is none. */
static uint32_t find_invocation(const struct history_builder *builder, const struct op *op)
{
    const struct history *history = builder->history;
    uint32_t same_f = builder->open_count;
    for (uint32_t i = 0; i < builder->open_count; i++) {
        uint32_t index = builder->open[i].index;
        if (history->f[index] != op->f)
            continue;
        if (fills(history->value[index], op->value))
            return i;
        if (same_f == builder->open_count)
            same_f = i;
    }
    return same_f;
}

static const char *open_invocation(struct history_builder *builder, int32_t process)
{
    if (builder->open_count == OPEN_MAX)
        return "more than 10000 open operations, and no :process to tell them apart";
    if (builder->open_count == builder->open_capacity) {
        uint32_t capacity = builder->open_capacity == 0 ? 64 : builder->open_capacity * 2;
        struct builder_open *open = realloc(builder->open, capacity * sizeof *open);
        if (open == NULL)
            return "out of memory";
        builder->open = open;
        builder->open_capacity = capacity;
    }
    builder->open[builder->open_count++] =
        (struct builder_open){.index = builder->history->count, .process = process};
    return NULL;
}

/* The lowest number that no open invocation has. A number is never used again after an INFO. */
static const char *give_process(struct history_builder *builder, struct op *op)
{
    builder->notes->without_process++;
    uint32_t at = op->type == OP_INVOKE ? builder->open_count : find_invocation(builder, op);
    if (at < builder->open_count) {
        op->process = builder->open[at].process;
        memmove(&builder->open[at], &builder->open[at + 1],
                (builder->open_count - at - 1) * sizeof *builder->open);
        builder->open_count--;
        return NULL;
    }
    op->process = builder->processes++;
    return op->type == OP_INVOKE ? open_invocation(builder, op->process) : NULL;
}

/* ---- Events ---- */

void history_builder_init(struct history_builder *builder, struct history *history,
                          struct history_notes *notes)
{
    *builder = (struct history_builder){.history = history, .notes = notes};
}

void history_builder_free(struct history_builder *builder)
{
    free(builder->open);
    free(builder->extra);
}

void history_builder_begin(struct history_builder *builder, struct event_fields *fields)
{
    builder->extra_count = 0;
    fields->given = 0;
    memset(fields->values, 0, sizeof fields->values);
}

bool history_builder_extra(struct history_builder *builder, struct value key, struct value value)
{
    if (builder->extra_count + 2 > builder->extra_capacity) {
        uint32_t capacity = builder->extra_capacity == 0 ? 16 : builder->extra_capacity * 2;
        struct value *extra = realloc(builder->extra, capacity * sizeof *extra);
        if (extra == NULL)
            return false;
        builder->extra = extra;
        builder->extra_capacity = capacity;
    }
    builder->extra[builder->extra_count++] = key;
    builder->extra[builder->extra_count++] = value;
    return true;
}

const char *history_builder_add(struct history_builder *builder, const struct event_fields *fields)
{
    struct history_notes *notes = builder->notes;
    struct op op = {.value = fields->values[FIELD_VALUE], .error = fields->values[FIELD_ERROR]};
    const char *problem = take_type(builder, fields, &op);
    if (problem == NULL)
        problem = take_f(builder, fields, &op);
    if (problem == NULL)
        problem = take_process(builder, fields, &op);
    if (problem == NULL)
        problem = take_time(builder, fields, &op);
    if (problem == NULL)
        problem = check_index(builder, fields);
    if (fields->given & 1 << FIELD_KEY) {
        op.value = value_pair(&builder->history->arena, fields->values[FIELD_KEY], op.value);
        notes->keyed++;
    }
    if (problem == NULL && value_is_nil(fields->values[FIELD_PROCESS]))
        problem = give_process(builder, &op);
    if (problem != NULL)
        return problem;
    if (builder->extra_count > 0)
        op.extra =
            value_items(&builder->history->arena, VALUE_MAP, builder->extra, builder->extra_count);
    for (uint32_t i = 0; i < builder->extra_count; i += 2)
        note_key(notes, builder->extra[i]);
    enum err_code code;
    history_append_own(builder->history, &op, &code);
    return code == ERR_NONE ? NULL : "out of memory";
}
