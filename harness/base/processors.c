/* Processors: see processors.h. */
#include "harness/base/processors.h"

#include <sched.h>

uint32_t processors_usable(uint32_t most)
{
    cpu_set_t allowed;
    CPU_ZERO(&allowed);
    int count = sched_getaffinity(0, sizeof allowed, &allowed) == 0 ? CPU_COUNT(&allowed) : 1;
    uint32_t usable = count < 1 ? 1 : (uint32_t)count;
    return usable < most ? usable : most;
}
