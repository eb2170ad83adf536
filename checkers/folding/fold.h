/* What the checkers that fold over a history share: which functions they know, elements as small
 * numbers, and lists of them in results.
 *
 * Time is the order of events: of two operations the one comes first that completed before the
 * other was invoked. Clocks are used for figures only. */
#ifndef ORDEAL_FOLDING_FOLD_H
#define ORDEAL_FOLDING_FOLD_H

#include "harness/checker.h"
#include "harness/histories/value_table.h"

/* The number of a function's name; -1 when the history does not have it. */
int fold_f(const struct check_input *input, const char *name);

/* Sees to it that the client operations that did or may have happened are among `known` (NULL at
 * the end). Else the result becomes UNKNOWN, with the first stranger named, and false is returned:
 * what such an operation does to the object nobody told. */
bool fold_understands(const struct check_input *input, struct check_result *result,
                      const char *const *known);

static inline bool fold_is(const struct history *history, uint32_t event, enum op_type type, int f)
{
    return history->f[event] == f && history->type[event] == type && history->process[event] >= 0;
}

/* ---- Elements ---- */

/* Distinct values by number, from 0 in the order of first use. Integers that are not far apart from
 * how many there are cost one look into an array. */
struct elements {
    struct arena *arena;
    struct value *values;
    uint32_t count, capacity;
    uint32_t **direct; /* by integer, in pieces made on demand: number + 1 */
    int64_t direct_size;
    struct value_table others;
    uint32_t *other_ids; /* by number in `others` */
    uint32_t other_capacity;
};
#define ELEMENT_NONE UINT32_MAX

/* `expected`: how many there may be. */
void elements_init(struct elements *elements, struct arena *arena, uint32_t expected);
uint32_t elements_add(struct elements *elements, struct value value);
/* ELEMENT_NONE when it was never added. */
uint32_t elements_find(const struct elements *elements, struct value value);

/* Whether a value can be read as the contents of a set: vector, list or set. */
bool fold_is_collection(struct value value);

/* ---- Results ---- */

/* A growing list of values. */
struct fold_list {
    struct value *values;
    uint64_t count;
    uint32_t kept, capacity;
};
enum { FOLD_LIST_MAX = 1000 };
/* Counts every one, keeps the first FOLD_LIST_MAX unless `all`. */
void fold_list_add(struct fold_list *list, struct value value, bool all);
void fold_list_free(struct fold_list *list);

/* An integer as a number, anything else as EDN text. */
struct json *fold_json(struct value value);
/* `key` is the array of the values, in their order (integers first, ascending), `key`-count how
 * many there were. */
void fold_set_list(struct json *details, const char *key, struct fold_list *list);
/* `key` is a text such as "#{1..3 7}", `key`-count how many; `all` must have been given. */
void fold_set_ranges(struct json *details, const char *key, struct fold_list *list);
/* "3 elements: 1 2 7", at most a few. */
void fold_add_some(const struct fold_list *list, struct buf *out);
/* The values in their order. */
void fold_sort(struct value *values, size_t count);

#endif
