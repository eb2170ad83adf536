/* Histories as JSON: see history_json.h. */
#include "harness/histories/history_json.h"

#include <inttypes.h>
#include <string.h>

#include "harness/base/text.h"
#include "harness/histories/history_text.h"

/* ---- Reading ---- */

/* A key that is no field: a keyword, as Jepsen's keys are. */
static struct value extra_key(struct json_reader *json, const char *key, size_t length)
{
    return value_text(json->arena, VALUE_KEYWORD, key, length);
}

/* Keys that are no keywords come as entries of one "#extra". */
static bool add_extra(struct json_reader *json, struct history_builder *builder, struct value key,
                      const char *key_at, struct value value)
{
    if (strcmp(value_as_text(key), "#extra") != 0)
        return history_builder_extra(builder, key, value) ||
               json_reader_fail(json, key_at, "out of memory for an operation");
    if (value_kind(value) != VALUE_MAP)
        return json_reader_fail(json, key_at, "#extra must be an object");
    for (size_t i = 0; i < value_count(value); i += 2)
        if (!history_builder_extra(builder, value_at(value, i), value_at(value, i + 1)))
            return json_reader_fail(json, key_at, "out of memory for an operation");
    return true;
}

/* "key": value, with json->at at the key. */
static bool read_field(struct json_reader *json, struct history_builder *builder,
                       struct event_fields *fields)
{
    const char *key, *key_at = json->at;
    size_t length;
    if (*json->at != '"')
        return json_reader_fail(json, json->at, "expected a key in quotes");
    if (!json_reader_read_text(json, &key, &length))
        return false;
    size_t colon = length > 0 && key[0] == ':';
    enum event_field field = event_field_of(key + colon, length - colon);
    struct value extra = value_nil();
    if (field == FIELD_COUNT)
        extra = extra_key(json, key + colon, length - colon);
    else if (fields->given & 1u << field)
        return json_reader_fail(json, key_at, "a key that this operation has already");
    int next = json_reader_next(json);
    if (next == -1)
        return json_reader_fail_ended(json, "the text ends inside an operation");
    if (next != ':')
        return json_reader_fail(json, json->at, "expected a colon behind a key");
    json->at++;
    struct value value;
    if (!json_reader_read(json, &value))
        return false;
    if (field == FIELD_COUNT)
        return add_extra(json, builder, extra, key_at, value);
    fields->given |= 1u << field;
    if (field == FIELD_VALUE && json->way == JSON_PLAIN)
        value = json_name_micro_ops(json->arena, value);
    fields->values[field] = value;
    return true;
}

/* `{` and what follows, up to `}`. */
static bool read_fields(struct json_reader *json, struct history_builder *builder,
                        struct event_fields *fields)
{
    json->at++;
    int next = json_reader_next(json);
    if (next == '}') {
        json->at++;
        return true;
    }
    for (;;) {
        if (next == -1)
            return json_reader_fail_ended(json, "the text ends inside an operation");
        if (!read_field(json, builder, fields))
            return false;
        next = json_reader_next(json);
        if (next == -1)
            return json_reader_fail_ended(json, "the text ends inside an operation");
        json->at++;
        if (next == '}')
            return true;
        if (next != ',')
            return json_reader_fail(json, json->at - 1, "expected a comma or a closing brace");
        next = json_reader_next(json);
    }
}

static bool read_operation(struct text_reading *reading, struct json_reader *json, int next)
{
    const char *begin = json->at, *problem = text_expect_operation(reading);
    struct event_fields fields;
    if (problem == NULL && next != '{')
        problem = "expected an operation (an object)";
    if (problem != NULL)
        return json_reader_fail(json, begin, problem);
    history_builder_begin(&reading->builder, &fields);
    if (!read_fields(json, &reading->builder, &fields))
        return false;
    problem = history_builder_add(&reading->builder, &fields);
    return problem == NULL || json_reader_fail(json, begin, problem);
}

static enum text_found read_item(struct text_reading *reading, void *state, const char *text,
                                 size_t length, struct text_place *place)
{
    struct json_reader *json = state;
    json_reader_text(json, text, length);
    int next = json_reader_next(json);
    while (next == ',' && reading->close != 0) {
        json->at++;
        next = json_reader_next(json);
    }
    place->begin = json->at;
    if (next == -1)
        return TEXT_NOTHING;
    bool good = text_take_bracket(reading, next, "[", "]");
    if (good)
        json->at++;
    else
        good = read_operation(reading, json, next);
    place->at = json->at;
    if (!good) {
        place->problem = json->problem;
        place->problem_at = json->problem_at;
        place->ended = json->ended;
    }
    return good ? TEXT_ITEM : TEXT_FAILED;
}

static void open_state(void *state, struct arena *arena, int way)
{
    json_reader_init(state, arena, (enum json_way)way);
}

static void close_state(void *state)
{
    json_reader_free(state);
}

enum err_code history_json_read(struct source *source, enum json_way way, struct history *history,
                                struct history_notes *notes, struct err *err)
{
    const struct text_format format = {.item = read_item,
                                       .state_size = sizeof(struct json_reader),
                                       .open = open_state,
                                       .close = close_state,
                                       .way = (int)way};
    return history_text_read(source, &format, history, notes, err);
}

/* ---- Writing ---- */

enum { FLUSH_BYTES = 1 << 16 };

static void add_name(struct buf *out, const char *key, const char *name)
{
    buf_printf(out, ",\"%s\":", key);
    json_add_text(out, name, strlen(name));
}

/* Whether a key can stand beside the others as its name alone, and come back as it was. */
static bool is_plain_key(struct value key)
{
    const char *name = value_as_text(key);
    size_t length = value_text_length(key);
    return value_kind(key) == VALUE_KEYWORD && name[0] != ':' && name[0] != '#' &&
           strlen(name) == length && event_field_of(name, length) == FIELD_COUNT;
}

static void add_extra_keys(struct value extra, enum json_way way, struct buf *out)
{
    bool plain = true;
    for (size_t i = 0; i < value_count(extra); i += 2)
        plain = plain && is_plain_key(value_at(extra, i));
    if (!plain) {
        buf_add_text(out, ",\"#extra\":");
        json_add_value(out, extra, way);
        return;
    }
    for (size_t i = 0; i < value_count(extra); i += 2) {
        const char *name = value_as_text(value_at(extra, i));
        buf_add_char(out, ',');
        json_add_text(out, name, strlen(name));
        buf_add_char(out, ':');
        json_add_value(out, value_at(extra, i + 1), way);
    }
}

static void add_op(const struct history *history, const struct op *op, enum json_way way,
                   struct buf *out)
{
    buf_printf(out, "{\"index\":%" PRIu32, op->index);
    if (op->time_ns != -1)
        buf_printf(out, ",\"time\":%" PRId64, op->time_ns);
    buf_printf(out, ",\"type\":\"%s\"", op_type_name(op->type));
    if (op->process >= 0)
        buf_printf(out, ",\"process\":%" PRId32, op->process);
    else
        add_name(out, "process", history_process_name(history, op->process));
    add_name(out, "f", history->f_names[op->f]);
    buf_add_text(out, ",\"value\":");
    json_add_value(out, op->value, way);
    if (!value_is_nil(op->error)) {
        buf_add_text(out, ",\"error\":");
        json_add_value(out, op->error, way);
    }
    add_extra_keys(op->extra, way, out);
    buf_add_char(out, '}');
}

enum err_code history_json_write(const struct history *history, enum json_way way, int fd,
                                 const char *name, struct err *err)
{
    struct buf out = BUF_INIT;
    enum err_code code = ERR_NONE;
    bool array = way == JSON_PLAIN;
    if (array)
        buf_add_char(&out, '[');
    for (uint32_t i = 0; i < history->count && code == ERR_NONE; i++) {
        struct op op = history_op(history, i);
        if (array && i > 0)
            buf_add_text(&out, ",\n");
        add_op(history, &op, way, &out);
        if (!array)
            buf_add_char(&out, '\n');
        if (out.length >= FLUSH_BYTES) {
            code = file_write_fd(fd, name, out.data, out.length, err);
            buf_clear(&out);
        }
    }
    if (array)
        buf_add_text(&out, "]\n");
    if (code == ERR_NONE)
        code = file_write_fd(fd, name, buf_text(&out), out.length, err);
    buf_free(&out);
    return code;
}
