/* EDN, read as it is found in the wild (https://github.com/edn-format/edn, and what Clojure's
 * printer writes besides).
 *
 * Tolerant where nothing can be misread: unknown tags and records are kept as TAGGED values, sets
 * may hold an element twice, unreadable objects (#<...>) become symbols. Strict where guessing
 * could turn into a wrong verdict: a number that is not one, a map whose last key has no value.
 *
 * Integers that fit 64 bits are INT, also when written 12N (Clojure's = does not tell them apart);
 * wider ones, ratios and decimals (1.5M) stay text. */
#ifndef ORDEAL_EDN_H
#define ORDEAL_EDN_H

#include <stdbool.h>
#include <stddef.h>

#include "harness/value.h"

enum { EDN_DEPTH_MAX = 512 };

/* Reads the first value of a text into the arena; `consumed` (may be NULL) is how many bytes it and
 * what stood before it took. Errors (ERR_PARSE) begin with "line:column: ". */
enum err_code edn_parse(struct arena *arena, const char *text, size_t length, size_t *consumed,
                        struct value *value, struct err *err);
/* The same for a text that must hold one value and nothing else. */
enum err_code edn_parse_all(struct arena *arena, const char *text, size_t length,
                            struct value *value, struct err *err);

/* ---- For readers of many values: histories ---- */

struct edn_names; /* texts already made, so that :append is one box in a history, not a million */

struct edn_reader {
    const char *at, *end; /* what is left of the text */
    struct arena *arena;
    const char *problem; /* after a failure: what is wrong */
    const char *problem_at;
    bool ended; /* after a failure: only that the text ends too early */
    /* private */
    const char *last; /* the text's last byte that is no digit */
    unsigned depth, skipping;
    struct value *stack;
    size_t stack_count, stack_capacity;
    struct edn_names *names;
};

void edn_reader_init(struct edn_reader *reader, struct arena *arena);
void edn_reader_free(struct edn_reader *reader);
/* Begins a text (or a piece of one). It must stay where it is while it is read. */
void edn_reader_text(struct edn_reader *reader, const char *text, size_t length);

/* Steps over blanks, commas, comments and discarded values. The next byte, or -1 at the end of the
 * text, or -2 on failure. */
int edn_next(struct edn_reader *reader);
/* These answer false on failure. A value that touches the end of the text counts as whole. */
bool edn_read(struct edn_reader *reader, struct value *value);
bool edn_skip(struct edn_reader *reader); /* one value, making nothing */
/* For those who parse maps themselves: reads a bare keyword or symbol without making it. */
bool edn_read_token(struct edn_reader *reader, const char **text, size_t *length);
/* Fail, with a problem at `at`, or with the text's early end. */
bool edn_fail(struct edn_reader *reader, const char *at, const char *problem);
bool edn_fail_ended(struct edn_reader *reader, const char *problem);

/* Whether `:text` reads back as a keyword, and `text` as a symbol or keyword name. */
bool edn_is_name(const char *text, size_t length);

#endif
