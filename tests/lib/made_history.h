/* Histories written by hand in tests, in milliseconds, and what a checker says of them. */
#ifndef ORDEAL_TESTS_MADE_HISTORY_H
#define ORDEAL_TESTS_MADE_HISTORY_H

#include "harness/checker.h"
#include "harness/history.h"

/* Appends an event; `error` NULL: none, else it becomes [:<error> "<detail>"]. */
uint32_t made_event(struct history *history, int32_t process, enum op_type type, const char *f,
                    int64_t at_ms, const char *error, const char *detail);
/* An operation of a client, both events; they must follow each other in time. */
void made_operation(struct history *history, int32_t process, const char *f, int64_t from_ms,
                    enum op_type outcome, int64_t to_ms);
/* Half a fault: asked and done (1 ms later) by the nemesis. */
void made_fault(struct history *history, const char *f, int64_t at_ms, const char *error,
                const char *detail);

struct made_result {
    enum verdict verdict;
    char reason[1024];
    struct json *details, *anomalies;
};
/* Pairs the history and runs the checker, with its options at their defaults but for `set`
 * ("crashes.allow=true"; NULL: none). `plan` is the text of a plan.json, or NULL. */
struct made_result made_check(const struct checker *checker, struct history *history,
                              const char *plan, const char *set);
/* The same of a run whose other files are in `directory`. */
struct made_result made_check_stored(const struct checker *checker, struct history *history,
                                     const char *plan, const char *directory);
void made_result_free(struct made_result *result);

#endif
