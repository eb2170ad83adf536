/* Histories as JSON: see history_json.h. */
#include "harness/histories/history_json.h"

#include <inttypes.h>
#include <string.h>

#include "harness/base/text.h"

/* ---- Reading ---- */

struct reading {
    struct source *source;
    struct json_reader json;
    struct history_builder builder;
    bool open;   /* inside the array around all operations */
    bool closed; /* behind it */
    bool began;
    size_t done; /* bytes of the window that are dealt with */
    size_t here; /* where in it the operation being read begins */
};

enum step { STEP_ON, STEP_MORE, STEP_END, STEP_FAILED };

/* "key": value, with json->at at the key. */
static bool read_field(struct reading *reading, struct event_fields *fields)
{
    struct json_reader *json = &reading->json;
    const char *key, *key_at = json->at;
    size_t length;
    if (*json->at != '"')
        return json_reader_fail(json, json->at, "expected a key in quotes");
    if (!json_reader_read_text(json, &key, &length))
        return false;
    size_t colon = length > 0 && key[0] == ':';
    enum event_field field = event_field_of(key + colon, length - colon);
    if (field == FIELD_COUNT)
        event_ignore(fields, reading->builder.notes, key + colon, length - colon);
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
        return true;
    fields->given |= 1u << field;
    if (field == FIELD_VALUE && json->way == JSON_PLAIN)
        value = json_name_micro_ops(json->arena, value);
    fields->values[field] = value;
    return true;
}

/* `{` and what follows, up to `}`. */
static bool read_fields(struct reading *reading, struct event_fields *fields)
{
    struct json_reader *json = &reading->json;
    json->at++;
    int next = json_reader_next(json);
    if (next == '}') {
        json->at++;
        return true;
    }
    for (;;) {
        if (next == -1)
            return json_reader_fail_ended(json, "the text ends inside an operation");
        if (!read_field(reading, fields))
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

static bool read_operation(struct reading *reading)
{
    struct json_reader *json = &reading->json;
    const char *begin = json->at;
    struct history_notes *notes = reading->builder.notes;
    uint32_t keys_before = notes->key_count;
    struct event_fields fields;
    fields.given = fields.ignored_count = fields.ignored_others = 0;
    memset(fields.values, 0, sizeof fields.values);
    if (!read_fields(reading, &fields)) {
        notes->key_count = keys_before;
        return false;
    }
    const char *problem = history_builder_add(&reading->builder, &fields);
    return problem == NULL || json_reader_fail(json, begin, problem);
}

static bool read_part(struct reading *reading, int next)
{
    struct json_reader *json = &reading->json;
    if (!reading->began && next == '[') {
        reading->open = true;
        json->at++;
        return true;
    }
    if (reading->open && next == ']') {
        reading->open = false;
        reading->closed = true;
        json->at++;
        return true;
    }
    if (reading->closed)
        return json_reader_fail(json, json->at, "something follows the end of the history");
    if (next == ',' && reading->open) {
        json->at++;
        return true;
    }
    if (next != '{')
        return json_reader_fail(json, json->at, "expected an operation (an object)");
    return read_operation(reading);
}

static enum step read_step(struct reading *reading)
{
    struct json_reader *json = &reading->json;
    struct source *source = reading->source;
    json_reader_text(json, source->data + reading->done, source->length - reading->done);
    int next = json_reader_next(json);
    reading->here = (size_t)(json->at - source->data);
    if (next == -1)
        return source->end ? STEP_END : STEP_MORE;
    if (!read_part(reading, next))
        return json->ended && !source->end ? STEP_MORE : STEP_FAILED;
    reading->began = true;
    reading->done = (size_t)(json->at - source->data);
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

enum err_code history_json_read(struct source *source, enum json_way way, struct history *history,
                                struct history_notes *notes, struct err *err)
{
    struct reading reading = {.source = source};
    json_reader_init(&reading.json, &history->arena, way);
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
    if (step == STEP_FAILED && reading.json.ended)
        tell_cut(&reading, "in the middle of an operation");
    else if (step == STEP_FAILED)
        code = source_error(source, (size_t)(reading.json.problem_at - source->data), err,
                            reading.json.problem);
    else if (code == ERR_NONE && reading.open)
        tell_cut(&reading, "before the bracket that closes the history");
    history_builder_free(&reading.builder);
    json_reader_free(&reading.json);
    return code;
}

/* ---- Writing ---- */

enum { FLUSH_BYTES = 1 << 16 };

static void add_name(struct buf *out, const char *key, const char *name)
{
    buf_printf(out, ",\"%s\":", key);
    json_add_text(out, name, strlen(name));
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
