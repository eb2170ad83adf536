/* Random values of every kind, for laws and round trips. */
#ifndef ORDEAL_TESTS_RANDOM_VALUE_H
#define ORDEAL_TESTS_RANDOM_VALUE_H

#include "harness/base/prng.h"
#include "harness/history.h"
#include "harness/value.h"

/* Collections at most `depth` deep; what is printed reads back as the same value. */
struct value random_value(struct prng *prng, struct arena *arena, unsigned depth);
/* The same, but no doubles, whose text may be another one of the same number. */
struct value random_exact_value(struct prng *prng, struct arena *arena, unsigned depth);
/* Fills a history with `count` events of a few processes, functions, errors and values. */
void random_history(struct prng *prng, struct history *history, uint32_t count);
/* Whether two histories hold the same events from 0 to `count`, by names. */
bool history_same(const struct history *a, const struct history *b, uint32_t count);

#endif
