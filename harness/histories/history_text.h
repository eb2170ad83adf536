/* What all text formats of histories share: the walk through a source, one operation at a time; the
 * byte order mark; the bracket that may stand around all operations; and what is made of a text
 * that ends too early (read up to there, and told) or that is wrong (an error with its place). */
#ifndef ORDEAL_HISTORY_TEXT_H
#define ORDEAL_HISTORY_TEXT_H

#include "harness/histories/history_build.h"
#include "harness/histories/source.h"

struct text_reading {
    struct history_builder builder;
    /* private */
    struct source *source;
    char close; /* the bracket that is still to come; 0: none */
    bool began, closed;
};

enum text_found {
    TEXT_ITEM,    /* an operation or a bracket was read */
    TEXT_NOTHING, /* nothing but blanks is left */
    TEXT_FAILED,
};

/* Where a reader stands in the text it was given. */
struct text_place {
    const char *begin;      /* the item it read, or failed at */
    const char *at;         /* behind it */
    const char *problem_at; /* after a failure */
    const char *problem;
    bool ended; /* after a failure: the text may only be cut */
};

/* Reads the next item of `text`, which may end anywhere. When it ends too early the same item is
 * asked for again with more. */
typedef enum text_found text_item_fn(struct text_reading *reading, void *state, const char *text,
                                     size_t length, struct text_place *place);

/* For a reader that finds the byte `next` between operations: whether it opens or closes the
 * history as a whole. `open` and `close` are pairs in order, "[(" and "])". */
bool text_take_bracket(struct text_reading *reading, int next, const char *open, const char *close);
/* NULL, or what is wrong with an operation here. */
const char *text_expect_operation(const struct text_reading *reading);

/* How a format reads its items. A text that is in memory as a whole is read by several threads. */
struct text_format {
    text_item_fn *item;
    size_t state_size; /* of what one reader remembers */
    void (*open)(void *state, struct arena *arena, int way);
    void (*close)(void *state);
    int way; /* handed to `open` */
};

enum err_code history_text_read(struct source *source, const struct text_format *format,
                                struct history *history, struct history_notes *notes,
                                struct err *err);

#endif
