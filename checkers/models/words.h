/* States that are words, as most models' are. */
#ifndef ORDEAL_MODELS_WORDS_H
#define ORDEAL_MODELS_WORDS_H

#include <string.h>

#include "harness/model.h"

static inline int64_t word_at(const void *state, size_t index)
{
    int64_t word;
    memcpy(&word, (const char *)state + index * sizeof word, sizeof word);
    return word;
}

static inline void word_put(void *state, size_t index, int64_t word)
{
    memcpy((char *)state + index * sizeof word, &word, sizeof word);
}

/* For models whose only word is a sequence: the splice as a step. */
static inline bool word_splice(struct model_space *space, void *next, int64_t number, size_t at,
                               size_t removed, const int64_t *items, size_t count)
{
    int64_t spliced = model_spliced(space, number, at, removed, items, count);
    if (spliced == MODEL_FULL)
        return false;
    word_put(next, 0, spliced);
    return true;
}

/* An answered length; -2, which no length is and which is not MODEL_ANY, when it is negative. */
static inline int64_t words_count(struct value length)
{
    return value_as_int(length) < 0 ? -2 : value_as_int(length);
}

/* The values of a list as a sequence of their numbers. */
int64_t words_of_list(struct model_space *space, struct value list);
/* The same, ascending. */
int64_t words_of_bag(struct model_space *space, struct value list);
bool words_is_list(struct value value); /* a vector, a list or a set */
/* "[1 2 3]" of values' numbers, of which `count` are there and at most WORDS_SHOWN are given:
 * "[1 2 3 ... of 1000]". */
enum { WORDS_SHOWN = 16 };
void words_print_some(const struct model_space *space, const int64_t *items, size_t count,
                      struct buf *out);
/* "the value of a read is a list, not 5". False, for prepare to return. */
bool words_refuse(struct buf *problem, const char *wanted, struct value got);

/* Sequences of (key, value) pairs, ascending by key. */
bool words_find(const struct model_space *space, int64_t map, int64_t key, int64_t *value);
/* With `value` under `key`; MODEL_ANY: with nothing there. MODEL_FULL when memory is refused. */
int64_t words_set(struct model_space *space, int64_t map, int64_t key, int64_t value);

/* Who holds a lock: what the operation says (its value, or :client or :owner in it), else its
 * process, as a negative number. An operation whose outcome is not known may have been somebody
 * whom only its answer would have named, so a process may be any named owner. */
int64_t words_owner(const struct model_op *op, struct model_space *space);
static inline bool words_same_owner(int64_t one, int64_t other)
{
    return one == other || (one < 0) != (other < 0);
}
void words_print_owner(int64_t owner, const struct model_space *space, struct buf *out);

#endif
