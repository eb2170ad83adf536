/* What the register workload asks, for its test: the choice of one operation on one key. */
#ifndef ORDEAL_WORKLOADS_REGISTER_H
#define ORDEAL_WORKLOADS_REGISTER_H

#include "harness/generator.h"
#include "harness/plan.h"

struct register_mix {
    uint16_t read_f, write_f, cas_f;
    int64_t values;            /* values are 0 .. values - 1 */
    double read, write, total; /* weights; what is left of the total is cas */
};

/* From the options in force; nonsense in them is brought to the nearest sense. */
void register_mix_init(struct register_mix *mix, const struct options *options,
                       struct history *history);
generator_fill register_fill; /* its state is a struct register_mix */

/* How many threads share a key, by the option of that name: what it says, or 0: as many as there
 * are nodes, at least 2; never more than the run has. */
struct test;
uint32_t register_threads(const struct test *test, const char *option);

#endif
