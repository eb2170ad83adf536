/* A SAT solver: the one file that meets CaDiCaL (MIT; Biere, Fazekas, Fleury, Heisinger 2020). */
#ifndef ORDEAL_TRANSACTIONS_SAT_H
#define ORDEAL_TRANSACTIONS_SAT_H

#include <stdbool.h>
#include <stdint.h>

struct sat;
enum sat_answer { SAT_YES, SAT_NO, SAT_OPEN };

/* Variables are numbers from 1; a negative one is the variable's negation. Each is tried true
 * first. `deadline_ns`: monotonic, INT64_MAX for none. */
struct sat *sat_open(int64_t deadline_ns);
void sat_close(struct sat *sat);
/* A clause, literal by literal, then 0. */
void sat_add(struct sat *sat, int literal);
/* Holds in the next call of sat_solve alone. */
void sat_assume(struct sat *sat, int literal);
/* SAT_OPEN: the deadline passed. More may be added and asked afterwards. */
enum sat_answer sat_solve(struct sat *sat);
/* After SAT_YES. */
bool sat_value(struct sat *sat, int variable);
/* After SAT_NO: whether the assumption was needed for it. */
bool sat_failed(struct sat *sat, int literal);

#endif
