/* Histories written as text, for tests of the linearizable checker.
 *
 *     "w1 [1,4]; r1 [2,5]; c1>2 [3,8]?; k7:p0:w3 [6,9]!; w4 [7,-]"
 *
 * One operation per part: r read, w write, c old>new compare-and-set, a acquire, l release ("let
 * go"), with small integers, or n for nil. Then the times of invocation and completion, all
 * different; "-" for no completion. "!" after them: it failed; "?": indeterminate. "k7:" gives the
 * key 7 and makes the value [7 value]; "p0:" the process, else each operation has one of its own.
 * Times are milliseconds. */
#ifndef ORDEAL_TESTS_LIN_TEXT_H
#define ORDEAL_TESTS_LIN_TEXT_H

#include "harness/history.h"

enum { LIN_TEXT_NIL = -1, LIN_TEXT_NO_KEY = -1, LIN_TEXT_NO_TIME = -1 };

struct lin_text_op {
    char f;   /* r w c a l */
    int a, b; /* read and written value; cas: a > b */
    int key, process;
    int invoked, completed; /* LIN_TEXT_NO_TIME */
    enum op_type outcome;   /* OK, FAIL or INFO */
};

enum { LIN_TEXT_OPS_MAX = 4096 };
/* Ends the test on text that it cannot read. */
size_t lin_text_parse(const char *text, struct lin_text_op *ops, size_t capacity);
/* Builds and pairs the history; the caller frees it. */
void lin_text_history(const struct lin_text_op *ops, size_t count, struct history *history);
/* The two in one. */
void lin_text(const char *text, struct history *history);
/* The reverse of parsing, for messages. */
void lin_text_print(const struct lin_text_op *ops, size_t count, struct buf *out);

#endif
