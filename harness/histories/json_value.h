/* Values as JSON, in two ways:
 *
 * EXACT, for JSON lines: what goes out comes back as the same value. A keyword is ":name"; a string
 * that would read as one has a backslash before it; what JSON lacks is an object with one "#..."
 * key. docs/history-format.md has the table.
 *
 * PLAIN, as elle-cli reads and writes it: keywords are plain strings, sets and lists arrays. Coming
 * back, object keys become keywords (integers where they look like ones) and the names of
 * micro-operations ([["append", 1, 2], ...]) keywords; other strings stay strings.
 *
 * Not by way of base/json.h, whose numbers are exact only up to 2^53. */
#ifndef ORDEAL_JSON_VALUE_H
#define ORDEAL_JSON_VALUE_H

#include <stdbool.h>
#include <stddef.h>

#include "harness/value.h"

enum json_way { JSON_EXACT, JSON_PLAIN };
enum { JSON_VALUE_DEPTH_MAX = 512 };

struct json_reader {
    const char *at, *end;
    struct arena *arena;
    enum json_way way;
    const char *problem; /* after a failure, where and what */
    const char *problem_at;
    bool ended; /* after a failure: only that the text ends too early */
    /* private */
    unsigned depth;
    struct value *stack;
    size_t stack_count, stack_capacity;
    struct buf text;
};

void json_reader_init(struct json_reader *reader, struct arena *arena, enum json_way way);
void json_reader_free(struct json_reader *reader);
void json_reader_text(struct json_reader *reader, const char *text, size_t length);

/* Steps over blanks: the next byte, or -1 at the end of the text. */
int json_reader_next(struct json_reader *reader);
/* These answer false on failure. A number that touches the end of the text counts as half of one:
 * in histories a bracket always follows. */
bool json_reader_read(struct json_reader *reader, struct value *value);
/* A string's text as it is; lives until the next call of the reader. */
bool json_reader_read_text(struct json_reader *reader, const char **text, size_t *length);
bool json_reader_fail(struct json_reader *reader, const char *at, const char *problem);
bool json_reader_fail_ended(struct json_reader *reader, const char *problem);

/* For PLAIN: micro-operations' names become keywords where `value` is a vector of them. */
struct value json_name_micro_ops(struct arena *arena, struct value value);

void json_add_value(struct buf *out, struct value value, enum json_way way);
/* Adds text in quotes; bytes that are no UTF-8 become U+FFFD. */
void json_add_text(struct buf *out, const char *text, size_t length);

#endif
