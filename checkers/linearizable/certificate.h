/* Certificates: what proves a verdict, as text that anybody can check against the history.
 *
 *     ordeal certificate 1: linearizable
 *     model cas-register
 *     initial nil
 *     nil-reads value
 *     keyed no
 *     events 12
 *     valid 3 key nil
 *     0 4 2
 *     invalid 4 from 0 until 11 by wgl key 7
 *     0 2? 6 8
 *
 * Numbers are events of the history. A valid key shows all its operations, by their invocations, in
 * an order that the model allows and real time too; indeterminate ones that are not in it did not
 * happen; "12<5" says of a removal whose outcome is not known that it took what event 5 put in. An
 * invalid key shows operations that have no order: those with "?" may or may not have happened, and
 * what is not shown is left out. Only reads may be; what returned before `from` (then the object
 * may hold anything at first) or was invoked after `until`; and, when `from` is the first event,
 * all operations on some values together (see left_out.h); "free supply" in `by`
 * means that an operation with "?" may happen any number of times. The plain search says so. What
 * could not be proved is listed as "unknown". */
#ifndef ORDEAL_LINEARIZABLE_CERTIFICATE_H
#define ORDEAL_LINEARIZABLE_CERTIFICATE_H

#include "checkers/linearizable/keys.h"
#include "checkers/linearizable/shrink.h"
#include "checkers/linearizable/verify.h"

struct lin_statement {
    const struct history *history;
    const struct model *model;
    const char *initial; /* EDN */
    bool nil_is_unknown;
    const struct lin_keys *keys;
};
/* All but the keys. */
void lin_certificate_begin(const struct lin_statement *statement, struct buf *out);
/* One key each. */
void lin_certificate_order(const struct lin_problem *problem, struct value key,
                           const struct lin_order *order, struct buf *out);
void lin_certificate_heart(const struct lin_problem *problem, struct value key,
                           const struct lin_heart *heart, struct buf *out);
void lin_certificate_unknown(struct value key, struct buf *out);

/* What a certificate claims, proved: the worst verdict of its keys, with the number of each. False:
 * it is none, or does not prove what it claims; `trouble` says which line and why. `text` ends in
 * '\0'. */
bool lin_certificate_verify(const struct history *history, const char *text,
                            struct lin_budget *budget, uint32_t counts[3], struct buf *trouble);

#endif
