/* Pseudo-random numbers: xoshiro256** (Blackman and Vigna, 2018), seeded by splitmix64.
 *
 * Every draw of a run comes from its seed. Each component takes a stream of its own by name, so
 * that one more draw in one place does not change what another place draws. */
#ifndef ORDEAL_BASE_PRNG_H
#define ORDEAL_BASE_PRNG_H

#include <stddef.h>
#include <stdint.h>

struct prng {
    uint64_t s[4];
};

/* The stream called `name` of this seed. */
struct prng prng_stream(uint64_t seed, const char *name);
uint64_t prng_next(struct prng *prng);
/* Uniform in [0, bound), without modulo bias (Lemire, 2019); bound must not be 0. */
uint64_t prng_below(struct prng *prng, uint64_t bound);
/* Uniform in [low, high], both included. */
int64_t prng_between(struct prng *prng, int64_t low, int64_t high);
double prng_unit(struct prng *prng); /* [0, 1) */
/* Exponentially distributed with this mean: the gaps of a Poisson process. */
double prng_exponential(struct prng *prng, double mean);
/* Fisher-Yates over `count` elements of `size` bytes (at most 256). */
void prng_shuffle(struct prng *prng, void *array, size_t count, size_t size);
/* A seed from the system, for runs that were not given one. Below 2^53, so that JSON keeps it. */
uint64_t prng_fresh_seed(void);

#endif
