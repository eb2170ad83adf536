/* What each operation means for the messages it names. Private to the checker `delivery`. */
#ifndef ORDEAL_DELIVERY_RULES_H
#define ORDEAL_DELIVERY_RULES_H

#include "checkers/delivery/judge.h"

/* An operation that brought the message is invoked; `ends` when it also acknowledges it. */
void rule_asked(struct judge *judge, uint32_t number, uint32_t invocation, bool ends);
/* It completes: the message was delivered somewhere between the two events. */
void rule_delivered(struct judge *judge, const struct item *item, uint32_t invocation,
                    uint32_t completion, bool drain);
/* The message was seen without being taken. */
void rule_peeked(struct judge *judge, const struct item *item, uint32_t completion);
/* An accepted enqueue with a key. */
void rule_key(struct judge *judge, const struct item *item, uint32_t invocation,
              uint32_t completion);
/* An acknowledgement, return or extension. */
void rule_settle_invoked(struct judge *judge, enum queue_f f, uint32_t invocation);
void rule_settle_completed(struct judge *judge, enum queue_f f, uint32_t completion);

/* Whether it came out of the queue of the dead. */
bool rule_from_dead_letters(const struct judge *judge, const struct item *item);
/* It was certainly dead by this event. */
void rule_dead(struct judge *judge, struct message *message, uint32_t completion);

/* ---- Between delivery and its settling ---- */

/* The item of this message within a completed operation; a problem when it has none. */
struct item rule_item_of(const struct judge *judge, uint32_t completion, struct value name);
/* The lease of the latest delivery ended between these times, if nothing ended the message. */
struct lease {
    int64_t floor_ns, ceiling_ns; /* INT64_MIN, INT64_MAX: no telling */
    uint32_t floor_from;
    bool by_nack, returned; /* see struct hold */
    uint32_t open_until;    /* the last event at which a nack or extension may have set it; 0 */
};
struct lease rule_lease(const struct judge *judge, const struct message *message);
/* A new delivery begins a new lease, which operations that are still open may shorten. */
void rule_leased_anew(struct judge *judge, struct message *message, uint32_t completion);
/* How many dequeues of unknown outcome may have held messages of the queue at this time, invoked
 * before this event; CAPACITY_UNBOUNDED is possible. `since_ns` INT64_MIN: at any time. */
int64_t rule_takers(const struct judge *judge, uint32_t queue, int64_t since_ns, uint32_t before);

#endif
