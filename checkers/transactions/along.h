/* List-append judged while a run goes on, event by event.
 *
 * Nothing is judged twice: version orders grow with the lists that are read, each edge between
 * transactions is added once, and an order of the transactions that agrees with all edges is kept
 * up (online.h). What it claims, by the levels that were promised:
 *
 * - aborted, intermediate and garbage reads, incompatible orders, duplicate elements, a transaction
 *   that disagrees with itself, two that updated one version;
 * - a cycle of all edges of data where G2-item is ruled out, else of ww and wr where G1c is, else
 * of ww; with processes or real time where that form is ruled out.
 *
 * A read of what nobody had asked to append by then is a garbage read, whatever comes: in a run an
 * invocation is recorded before it is sent.
 *
 * All that, where it does not depend on an append that nobody has read yet. What the levels rule
 * out beyond is for the checker itself to find. One thread at a time. */
#ifndef ORDEAL_TRANSACTIONS_ALONG_H
#define ORDEAL_TRANSACTIONS_ALONG_H

#include "checkers/transactions/levels.h"
#include "harness/history.h"

struct along;

/* `memory_max`: it gives up (along_given_up) rather than use more. 0: no limit. */
struct along *along_open(anomaly_set prohibited, size_t memory_max);
/* Takes the client's events that it has not seen, up to `count`. The history, which need not be
 * paired, must be the same each time, or a longer one; its values must stay. True when something
 * that is ruled out was found, now or before. */
bool along_feed(struct along *along, const struct history *history, uint32_t count);
/* What was found first; what else is for the checker to say. */
anomaly_set along_found(const struct along *along);
/* Why it takes no further events ("it holds registers"); NULL as long as it does. */
const char *along_given_up(const struct along *along);
/* Nodes of the order looked at so far: what keeping it up has cost. */
uint64_t along_steps(const struct along *along);
void along_close(struct along *along);

#endif
