/* Weak isolation of register histories, directly: without an order of versions, by the axioms of
 * Biswas and Enea ("On the Complexity of Checking Transactional Consistency", 2019).
 *
 * A history is consistent when a commit order exists that keeps sessions and what was read, and in
 * which, whenever T3 read a key from T1 and T2 wrote that key, T2 comes before T1 if T3 knew of T2:
 *   read committed  T3 had read from T2 before that read
 *   read atomic     T3 read from T2, or T2 is earlier in its session
 *   causal          T2 comes before T3 by any chain of reads and sessions
 * Each is decided by finding the edges that follow and looking for a cycle, in the time of AWDIT
 * (PLDI 2025): n sqrt(n), n sqrt(n), and n k log n for k sessions. */
#ifndef ORDEAL_TRANSACTIONS_WEAK_H
#define ORDEAL_TRANSACTIONS_WEAK_H

#include "checkers/transactions/register.h"

/* After register_infer: adds what is found of READ_COMMITTED_CYCLE, FRACTURED_READ and
 * CAUSALITY_CYCLE, those wanted. Returns those that memory did not allow to be looked for. */
anomaly_set weak_find(struct inference *inference, anomaly_set wanted, size_t memory_max);

#endif
