/* How many processors this process may use: those that are there, and that its affinity allows. */
#ifndef ORDEAL_BASE_PROCESSORS_H
#define ORDEAL_BASE_PROCESSORS_H

#include <stdint.h>

/* At least 1, and at most `most`. */
uint32_t processors_usable(uint32_t most);

#endif
