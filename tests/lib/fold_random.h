/* Random histories for checkers that fold, and small ones written by hand. */
#ifndef ORDEAL_TESTS_FOLD_RANDOM_H
#define ORDEAL_TESTS_FOLD_RANDOM_H

#include "harness/base/prng.h"
#include "harness/history.h"

struct fold_client {
    /* What is asked next, and by which function. */
    struct value (*ask)(void *state, struct prng *prng, struct arena *arena, const char **f);
    /* What a successful operation answers. */
    struct value (*answer)(void *state, struct prng *prng, struct arena *arena, const char *f,
                           struct value asked);
    void *state;
    uint32_t clients, ops;
    unsigned info_percent, fail_percent;
};

/* Fills a history: clients at random, one operation at a time each; some stay open at the end. */
void fold_random(struct prng *prng, const struct fold_client *client, struct history *history);

/* One event; `value` is EDN. The index. */
uint32_t fold_event(struct history *history, int32_t process, enum op_type type, const char *f,
                    const char *value);
/* An operation, both events, at the end of the history. */
void fold_op(struct history *history, int32_t process, const char *f, const char *asked,
             enum op_type outcome, const char *answered);

#endif
