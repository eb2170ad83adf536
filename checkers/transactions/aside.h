/* Work on a history of transactions that needs nobody's results but the version orders, done by a
 * thread of its own beside what comes next. It works on copies of the inference and the columns'
 * heads, with an arena and findings of its own, so that the two share only what both read. */
#ifndef ORDEAL_TRANSACTIONS_ASIDE_H
#define ORDEAL_TRANSACTIONS_ASIDE_H

#include <pthread.h>

#include "checkers/transactions/infer.h"

struct aside {
    struct inference inference;
    struct txns txns;
    struct found found;
    struct arena arena;
    void (*work)(struct inference *inference, void *state);
    void *state;
    pthread_t thread;
    bool running;
};

/* Begins it; where no thread may be used, or it is not worth one, it is done at once. What `work`
 * reads must stay as it is until aside_end. */
void aside_begin(struct aside *aside, const struct inference *inference,
                 void (*work)(struct inference *inference, void *state), void *state);
/* Waits for its end; what it found goes behind what the inference's `found` has by then. */
void aside_end(struct aside *aside, struct found *found);

#endif
