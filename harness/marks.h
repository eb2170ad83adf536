/* Marks: what somebody wants to be seen at its place in the time of a run, such as who leads now.
 * Systems, workloads and clients set them with test_mark (test.h); the report's timeline shows
 * them.
 *
 * In a history a mark is one INFO event of the process named "mark" and the function "mark". Its
 * value is a map: :kind and :text (strings), :nodes (a vector of names) where it is about some, and
 * :from (nanoseconds) where it lasted, from then to the time of the event. No checker looks at it.
 */
#ifndef ORDEAL_MARKS_H
#define ORDEAL_MARKS_H

#include "harness/history.h"

struct test;

#define MARK_PROCESS "mark"
#define MARK_FUNCTION "mark"
enum {
    MARKS_MAX = 20000, /* of a run; the log says when there were more */
    MARK_TEXT_MAX = 400,
};

struct mark {
    const char *kind, *text;
    struct value nodes;     /* names; nil: about none in particular */
    int64_t from_ns, to_ns; /* the same for a point */
};

/* Makes the names that marks need known to a history, before anything is written. */
void marks_prepare(struct history *history);
/* The process number of a history's marks; 0 when it has none. */
int32_t marks_process(const struct history *history);
/* Reads a mark of the process above, tolerant of what histories from elsewhere hold. Texts are the
 * history's. */
struct mark mark_of_event(const struct history *history, uint32_t event);

#endif
