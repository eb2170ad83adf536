/* Pseudo-random numbers: see prng.h. */
#include "harness/base/prng.h"

#include <assert.h>
#include <math.h>
#include <string.h>
#include <sys/random.h>

#include "harness/base/clock.h"

static uint64_t splitmix64(uint64_t *state)
{
    uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

struct prng prng_stream(uint64_t seed, const char *name)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325); /* FNV-1a of the name, then mixed with the seed */
    for (; *name != '\0'; name++)
        hash = (hash ^ (unsigned char)*name) * UINT64_C(0x100000001b3);
    uint64_t state = seed;
    state = splitmix64(&state) ^ hash;
    struct prng prng;
    for (int i = 0; i < 4; i++)
        prng.s[i] = splitmix64(&state);
    return prng;
}

static uint64_t rotate_left(uint64_t x, int bits)
{
    return (x << bits) | (x >> (64 - bits));
}

uint64_t prng_next(struct prng *prng)
{
    uint64_t *s = prng->s;
    uint64_t result = rotate_left(s[1] * 5, 7) * 9;
    uint64_t t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotate_left(s[3], 45);
    return result;
}

uint64_t prng_below(struct prng *prng, uint64_t bound)
{
    assert(bound > 0);
    unsigned __int128 product = (unsigned __int128)prng_next(prng) * bound;
    if ((uint64_t)product < bound) {
        uint64_t threshold = -bound % bound;
        while ((uint64_t)product < threshold)
            product = (unsigned __int128)prng_next(prng) * bound;
    }
    return (uint64_t)(product >> 64);
}

int64_t prng_between(struct prng *prng, int64_t low, int64_t high)
{
    uint64_t width = (uint64_t)high - (uint64_t)low + 1;
    return (int64_t)((uint64_t)low + (width == 0 ? prng_next(prng) : prng_below(prng, width)));
}

double prng_unit(struct prng *prng)
{
    return (double)(prng_next(prng) >> 11) * 0x1.0p-53;
}

double prng_exponential(struct prng *prng, double mean)
{
    return -mean * log1p(-prng_unit(prng));
}

void prng_shuffle(struct prng *prng, void *array, size_t count, size_t size)
{
    unsigned char *bytes = array, held[256];
    assert(size <= sizeof held);
    for (size_t i = count; i > 1; i--) {
        size_t j = prng_below(prng, i);
        memcpy(held, bytes + (i - 1) * size, size);
        memmove(bytes + (i - 1) * size, bytes + j * size, size);
        memcpy(bytes + j * size, held, size);
    }
}

uint64_t prng_fresh_seed(void)
{
    uint64_t seed;
    if (getrandom(&seed, sizeof seed, 0) != (ssize_t)sizeof seed)
        seed = (uint64_t)clock_wall_ns() ^ (uint64_t)clock_monotonic_ns();
    return seed >> 32; /* short enough to read aloud */
}
