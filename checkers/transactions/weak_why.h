/* Cycles of weak isolation, put into words: what each order of two writers rests on. Private to
 * weak.c. */
#ifndef ORDEAL_TRANSACTIONS_WEAK_WHY_H
#define ORDEAL_TRANSACTIONS_WEAK_WHY_H

#include "checkers/transactions/register.h"

/* Tells of a shortest cycle through some node of each component. An edge ww there means that one
 * who knew of the first read what the second wrote, which the first wrote, too; who that was, and
 * how it knew, is told with it. `scratch` need only live until the return. */
void weak_tell_cycles(struct inference *inference, const struct graph *graph,
                      const struct components *components, enum anomaly anomaly,
                      struct arena *scratch);
/* The same of one who read a key's initial value though it knew of a write to it. */
void weak_tell_initial(struct inference *inference, uint32_t reader, uint32_t writer,
                       enum anomaly anomaly, struct arena *scratch);

#endif
