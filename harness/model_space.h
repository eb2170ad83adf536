/* What the states of models may refer to: values as numbers, and sequences of numbers as numbers.
 *
 * Searches copy, compare and hash states as bytes, so a state is a few words, and what grows (the
 * elements of a queue, the keys of a store) is kept here once and referred to by its number: equal
 * sequences have equal numbers, so equal states have equal bytes. Nothing here is ever changed or
 * forgotten before the end of the arena.
 *
 * One space for all operations on one object. One thread at a time. */
#ifndef ORDEAL_MODEL_SPACE_H
#define ORDEAL_MODEL_SPACE_H

#include "harness/histories/value_table.h"

struct model_sequence {
    const int64_t *items;
    uint32_t count;
    uint32_t hash;
};

struct model_space {
    struct value_table values; /* nil is 0 */
    struct arena *arena;
    struct model_sequence *sequences; /* [0] is the empty one */
    uint32_t sequence_count, sequence_capacity;
    uint32_t *slots; /* open addressing: number + 1, 0 is free; twice the capacity */
    int64_t *scratch;
    size_t scratch_count;
    size_t used_bytes; /* by sequences, for budgets */
    /* Asked before memory is taken for sequences; NULL: there is always more. */
    bool (*charge)(void *purse, size_t bytes);
    void *purse;
    bool full; /* memory was refused: steps that said no since then mean nothing */
};

void model_space_init(struct model_space *space, struct arena *arena);

/* The number of the sequence of these items; MODEL_FULL when memory is refused. */
int64_t model_sequence(struct model_space *space, const int64_t *items, size_t count);
#define MODEL_FULL INT64_C(-1)
struct model_sequence model_sequence_of(const struct model_space *space, int64_t number);
/* The number of the sequence that comes of taking `removed` items away at `at` and putting `count`
 * items there; MODEL_FULL when memory is refused. */
int64_t model_spliced(struct model_space *space, int64_t number, size_t at, size_t removed,
                      const int64_t *items, size_t count);
/* Where in an ascending sequence whose entries are `width` items wide, compared by their first, the
 * first entry is that is not less than `item`: an index of entries. */
size_t model_sequence_search(struct model_sequence sequence, size_t width, int64_t item);

/* The number of a value that a step made; it is copied into the arena when it is new. */
int64_t model_value(struct model_space *space, struct value value);
/* Adds "[1 2 3]", the values that a sequence of their numbers stands for. */
void model_print_values(const struct model_space *space, int64_t number, struct buf *out);

#endif
