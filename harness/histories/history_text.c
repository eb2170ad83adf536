/* The walk through a text of operations: see history_text.h. */
#include "harness/histories/history_text.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "harness/histories/history_lines.h"

bool text_take_bracket(struct text_reading *reading, int next, const char *open, const char *close)
{
    if (next <= 0)
        return false;
    const char *opens = reading->began ? NULL : strchr(open, next);
    if (opens != NULL) {
        reading->close = close[opens - open];
        return true;
    }
    if (reading->close == 0 || next != reading->close)
        return false;
    reading->close = 0;
    reading->closed = true;
    return true;
}

const char *text_expect_operation(const struct text_reading *reading)
{
    return reading->closed ? "something follows the end of the history" : NULL;
}

static void tell_cut(struct text_reading *reading, size_t at, const char *where)
{
    struct history *history = reading->builder.history;
    uint64_t line, column;
    source_locate(reading->source, at, &line, &column);
    history->cut = arena_printf(
        &history->arena, "the text ends %s (line %" PRIu64 "): read %" PRIu32 " events up to there",
        where, line, history->count);
}

/* `done` bytes of the window are dealt with. */
static enum err_code read_items(struct text_reading *reading, const struct text_format *format,
                                void *state, struct text_workers *workers, size_t done,
                                struct err *err)
{
    struct source *source = reading->source;
    struct text_place place;
    for (;;) {
        const char *text = source->data + done;
        size_t left = source->length - done;
        size_t ahead =
            workers != NULL && reading->began ? text_workers_read(workers, reading, text, left) : 0;
        done += ahead;
        if (ahead > 0)
            continue;
        place = (struct text_place){.begin = text};
        enum text_found found = format->item(reading, state, text, left, &place);
        if (found == TEXT_ITEM) {
            reading->began = true;
            done = (size_t)(place.at - source->data);
            continue;
        }
        if (source->end || (found == TEXT_FAILED && !place.ended))
            break;
        enum err_code code = source_fill(source, done, err);
        if (code != ERR_NONE)
            return code;
        done = 0;
    }
    size_t here = (size_t)(place.begin - source->data);
    if (place.problem != NULL && place.ended)
        tell_cut(reading, here, "in the middle of an operation");
    else if (place.problem != NULL)
        return source_error(source, (size_t)(place.problem_at - source->data), err, place.problem);
    else if (reading->close != 0)
        tell_cut(reading, here, "before the bracket that closes the history");
    return ERR_NONE;
}

enum err_code history_text_read(struct source *source, const struct text_format *format,
                                struct history *history, struct history_notes *notes,
                                struct err *err)
{
    static const char byte_order_mark[] = {'\xef', '\xbb', '\xbf'};
    struct text_reading reading = {.source = source};
    void *state = malloc(format->state_size);
    if (state == NULL)
        return err_set(err, ERR_NOMEM, "%s: out of memory for its reader", source->name);
    format->open(state, &history->arena, format->way);
    struct text_workers *workers = source->end ? text_workers_open(format, source->length) : NULL;
    history_builder_init(&reading.builder, history, notes);
    enum err_code code = ERR_NONE;
    while (code == ERR_NONE && !source->end && source->length < sizeof byte_order_mark)
        code = source_fill(source, 0, err); /* a pipe may give one byte at a time */
    size_t done = 0;
    if (source->length >= sizeof byte_order_mark &&
        memcmp(source->data, byte_order_mark, sizeof byte_order_mark) == 0)
        done = sizeof byte_order_mark;
    if (code == ERR_NONE)
        code = read_items(&reading, format, state, workers, done, err);
    text_workers_close(workers, history);
    history_builder_free(&reading.builder);
    format->close(state);
    free(state);
    return code;
}
