/* Drives a generator on virtual time, as the scheduler does with real threads, and keeps it to its
 * contract: what breaks it is in result.broken, in words.
 *
 * Threads are asked again only where the contract in harness/generator.h says so (at the time given
 * and at news), so a generator that counts on more shows as a deadlock. Everything, the order of
 * threads that are free at the same time included, follows from the seed. */
#ifndef ORDEAL_TESTS_SIMULATE_H
#define ORDEAL_TESTS_SIMULATE_H

#include "harness/base/clock.h"
#include "harness/generator.h"

struct simulate_event {
    int64_t time_ns;
    int32_t thread; /* GENERATOR_NEMESIS for the nemesis */
    int32_t process;
    enum op_type type;
    uint16_t f;
    struct value value;
};

struct simulate_options {
    uint32_t threads;
    bool nemesis;
    uint64_t seed;
    int64_t latency_ns_min, latency_ns_max; /* uniform; at least 1 ns */
    int64_t nemesis_latency_ns;             /* 0: as the clients' */
    double fail, info;                      /* probabilities of these outcomes; the rest is OK */
    /* Called for each completion, may change `event->type`; NULL: by the probabilities alone. */
    void (*outcome)(void *state, struct simulate_event *event);
    void *outcome_state;
    int64_t end_ns;     /* stop then (0: when all are DONE) */
    uint64_t ops_max;   /* stop after so many completions (0: no bound) */
    bool forget_events; /* do not record events, only count */
};

struct simulate_result {
    struct simulate_event *events; /* in order of time */
    size_t count, capacity;
    uint64_t questions, completions;
    int64_t now_ns;     /* when it ended */
    bool all_done;      /* every thread was told DONE */
    char broken[256];   /* what broke the contract, "" when nothing did */
    struct arena arena; /* of the values of events */
};

/* Runs until all threads are DONE, a bound is met, or the contract is broken. */
void simulate(struct generator *generator, const struct simulate_options *options,
              struct simulate_result *result);
void simulate_free(struct simulate_result *result);

/* How many events of this type there are: of function f (-1: any), from a time to before another.
 */
size_t simulate_count(const struct simulate_result *result, enum op_type type, int f,
                      int64_t from_ns, int64_t to_ns);

/* Passes everything on and sees to it that the contract holds between its parent and `of`: never
 * asked for a thread with an operation out, DONE for good, events only of operations given, each
 * once and in order. The first breach goes to `broken` (256 bytes, shared between probes). */
struct generator *simulate_probe(struct arena *arena, struct generator *of, const char *name,
                                 char *broken);

#endif
