/* Histories in Jepsen's logs: see history_log.h. */
#include "harness/histories/history_log.h"

#include <ctype.h>
#include <inttypes.h>
#include <string.h>

#include "harness/base/text.h"
#include "harness/histories/edn.h"

enum { PARTS_MAX = 5 }; /* process, type, function, value, error */

struct part {
    const char *text;
    size_t length;
};

static bool is_type(struct part part)
{
    static const char *const types[] = {":invoke", ":ok", ":fail", ":info"};
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        if (part.length == strlen(types[i]) && memcmp(part.text, types[i], part.length) == 0)
            return true;
    return false;
}

static bool is_process(struct part part)
{
    if (part.length > 1 && part.text[0] == ':')
        return true;
    for (size_t i = 0; i < part.length; i++)
        if (!isdigit((unsigned char)part.text[i]))
            return false;
    return part.length > 0;
}

static bool is_operation(const struct part *parts)
{
    return is_process(parts[0]) && is_type(parts[1]) && parts[2].length > 1 &&
           parts[2].text[0] == ':';
}

/* The next word between blanks; of length 0 at the end. */
static struct part next_word(const char **at, const char *end)
{
    while (*at < end && **at == ' ')
        ++*at;
    struct part word = {*at, 0};
    while (*at < end && **at != ' ')
        ++*at;
    word.length = (size_t)(*at - word.text);
    return word;
}

/* A log whose tabs became blanks on their way (an editor, a mail): the type is the first word that
 * is one, with the process before it. The value is one form of EDN and may hold blanks. */
static bool cut_at_blanks(const char *line, size_t length, struct part parts[PARTS_MAX],
                          size_t *count)
{
    const char *end = line + length, *at = line;
    parts[0] = (struct part){line, 0};
    parts[1] = next_word(&at, end);
    while (parts[1].length > 0 && !is_type(parts[1])) {
        parts[0] = parts[1];
        parts[1] = next_word(&at, end);
    }
    parts[2] = next_word(&at, end);
    if (!is_operation(parts))
        return false;
    struct arena scratch = ARENA_INIT;
    struct value value;
    struct err err = ERR_INIT;
    size_t used = 0;
    *count = 3;
    for (struct part rest = next_word(&at, end); rest.length > 0 && *count < PARTS_MAX;
         rest = next_word(&at, end)) {
        /* What cannot be read is the rest of the line: whoever reads it next says what is wrong. */
        size_t left = (size_t)(end - rest.text);
        if (*count + 1 == PARTS_MAX ||
            edn_parse(&scratch, rest.text, left, &used, &value, &err) != ERR_NONE)
            used = left;
        parts[(*count)++] = (struct part){rest.text, used};
        at = rest.text + used;
    }
    arena_free(&scratch);
    return true;
}

/* Cuts the line at its tabs; of what stands before the first only the last word counts. False when
 * it is no operation. */
static bool cut_line(const char *line, size_t length, struct part parts[PARTS_MAX], size_t *count)
{
    if (memchr(line, '\t', length) == NULL)
        return cut_at_blanks(line, length, parts, count);
    const char *end = line + length, *next = line;
    for (*count = 0; next != NULL && *count < PARTS_MAX; (*count)++) {
        const char *tab = *count + 1 < PARTS_MAX ? memchr(next, '\t', (size_t)(end - next)) : NULL;
        parts[*count] = (struct part){next, (size_t)((tab == NULL ? end : tab) - next)};
        next = tab == NULL ? NULL : tab + 1;
    }
    if (*count < 3)
        return false;
    struct part *process = &parts[0];
    size_t word = process->length;
    while (word > 0 && process->text[word - 1] != ' ')
        word--;
    *process = (struct part){process->text + word, process->length - word};
    return is_operation(parts);
}

/* NULL, or what is wrong with the operation. */
static const char *add_line(struct history_builder *builder, const struct part *parts, size_t count,
                            struct err *err)
{
    static const enum event_field fields_of[PARTS_MAX] = {FIELD_PROCESS, FIELD_TYPE, FIELD_F,
                                                          FIELD_VALUE, FIELD_ERROR};
    struct event_fields fields;
    history_builder_begin(builder, &fields);
    for (size_t i = 0; i < count; i++) {
        if (parts[i].length == 0)
            continue;
        if (edn_parse_all(&builder->history->arena, parts[i].text, parts[i].length,
                          &fields.values[fields_of[i]], err) != ERR_NONE)
            return err->message;
        fields.given |= 1U << fields_of[i];
    }
    return history_builder_add(builder, &fields);
}

enum err_code history_log_read(struct source *source, struct history *history,
                               struct history_notes *notes, struct err *err)
{
    struct history_builder builder;
    history_builder_init(&builder, history, notes);
    enum err_code code = source_fill(source, 0, err);
    size_t at = 0;
    while (code == ERR_NONE) {
        const char *line = source->data + at;
        const char *newline = memchr(line, '\n', source->length - at);
        if (newline == NULL && !source->end) {
            code = source_fill(source, at, err);
            at = 0;
            continue;
        }
        size_t length = newline == NULL ? source->length - at : (size_t)(newline - line);
        if (newline == NULL && length == 0)
            break;
        struct part parts[PARTS_MAX];
        size_t count;
        size_t trimmed = length > 0 && line[length - 1] == '\r' ? length - 1 : length;
        bool operation = cut_line(line, trimmed, parts, &count);
        struct err why = ERR_INIT;
        const char *problem = operation ? add_line(&builder, parts, count, &why) : NULL;
        notes->other_lines += !operation;
        if (problem != NULL && newline == NULL) {
            history->cut = arena_printf(&history->arena,
                                        "the text ends in the middle of a line: read %" PRIu32
                                        " events up to there",
                                        history->count);
            break;
        }
        if (problem != NULL)
            code = source_error(source, at, err, problem);
        if (newline == NULL)
            break;
        at += length + 1;
    }
    history_builder_free(&builder);
    return code;
}

enum { FLUSH_BYTES = 1 << 16 };

enum err_code history_log_write(const struct history *history, int fd, const char *name,
                                struct err *err)
{
    struct buf out = BUF_INIT;
    enum err_code code = ERR_NONE;
    for (uint32_t i = 0; i < history->count && code == ERR_NONE; i++) {
        struct op op = history_op(history, i);
        history_print_process(history, op.process, &out);
        buf_printf(&out, "\t:%s\t", op_type_name(op.type));
        history_print_f(history->f_names[op.f], &out);
        buf_add_char(&out, '\t');
        value_print(op.value, &out);
        if (!value_is_nil(op.error)) {
            buf_add_char(&out, '\t');
            value_print(op.error, &out);
        }
        buf_add_char(&out, '\n');
        if (out.length >= FLUSH_BYTES || i + 1 == history->count) {
            code = file_write_fd(fd, name, out.data, out.length, err);
            buf_clear(&out);
        }
    }
    buf_free(&out);
    return code;
}
