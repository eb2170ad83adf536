/* An imaginary queue with producers and consumers, in virtual time: slow clients, crashed ones,
 * answers that are lost, requests that arrive late. The broker keeps every promise, or breaks one.
 */
#ifndef ORDEAL_TESTS_DELIVERY_BROKER_H
#define ORDEAL_TESTS_DELIVERY_BROKER_H

#include "harness/base/prng.h"
#include "harness/history.h"

enum broker_defect {
    BROKER_RIGHT,
    BROKER_LOSES,       /* forgets messages that it accepted */
    BROKER_PHANTOMS,    /* keeps messages that it refused */
    BROKER_TWICE,       /* does not forget at-most-once messages at once */
    BROKER_AFTER_ACK,   /* forgets acknowledgements */
    BROKER_SHORT_LEASE, /* ends leases early */
    BROKER_SHARED,      /* answers two consumers with one delivery */
    BROKER_DELAY,       /* forgets delays */
    BROKER_TTL,         /* does not expire */
    BROKER_TTL_EARLY,   /* expires at once */
    BROKER_COUNT,       /* does not count */
    BROKER_LAST_FIRST,  /* hands out the newest first */
    BROKER_STUCK,       /* never ends a lease */
    BROKER_DEAD_AGAIN,  /* delivers the dead */
    BROKER_UNFENCED,    /* accepts what superseded consumers say */
    BROKER_KEYS,        /* forgets keys */
    BROKER_NACK_NOW,    /* forgets the delay of a nack */
    BROKER_DEFECTS,
};

enum { BROKER_LATE_MS = 150, BROKER_REACTION_MS = 400 }; /* settle and stuck-after that suit it */

/* Makes a history of some hundred operations, paired. */
void broker_history(enum broker_defect defect, uint64_t seed, struct history *history);

#endif
