/* A run, digested: what every report tells, gathered in one pass over the history and the results,
 * tolerant of whatever parts are missing. All lives in the digest's arena, but for what it points
 * to in the run. */
#ifndef ORDEAL_REPORTS_DIGEST_H
#define ORDEAL_REPORTS_DIGEST_H

#include "harness/base/arena.h"
#include "harness/checker.h"
#include "harness/reporter.h"
#include "reports/latency.h"

/* Arrays by outcome: [OP_OK], [OP_FAIL], [OP_INFO]; [OP_INVOKE] is all. */
enum { DIGEST_OUTCOMES = OP_INFO + 1 };

struct digest_checker {
    const char *name;
    enum verdict verdict;
    const char *reason; /* without the first anomaly's text, should it repeat that */
    const struct json *json, *anomalies;
};

struct digest_function {
    const char *name;
    uint64_t count[DIGEST_OUTCOMES];
    struct latency latency[DIGEST_OUTCOMES]; /* none under [OP_INVOKE] */
};

struct digest_error {
    const char *class; /* the error's keyword, or the whole of it */
    uint64_t count[DIGEST_OUTCOMES];
    uint32_t example; /* a completion */
    uint32_t place;   /* while they are counted */
};

/* Times are -1 where they are not known. */
struct digest_phase {
    int64_t asked_ns, done_ns;
    bool present, verified;
    const char *evidence;
};
struct digest_fault {
    int64_t id;
    const char *nemesis, *asked, *done, *nodes, *error; /* "" when absent */
    const char *primaries; /* who led when it began; "" when not known */
    int64_t in_flight;     /* operations of clients when it began; -1 */
    struct digest_phase begin, end;
    bool failed;            /* it never came about */
    int64_t from_ns, to_ns; /* when it may have been in force; to the run's end when not undone */
};

/* What somebody wants to be seen (harness/marks.h), and what daemons did unasked. */
struct digest_mark {
    const char *kind, *text, *where; /* "" for nobody in particular */
    int64_t from_ns, to_ns;
};

struct digest {
    struct arena arena;
    const struct run *run;
    enum verdict verdict;
    const char *headline; /* the verdict's reason in one line: "key 3 is not linearizable" */
    struct digest_checker *checkers; /* the worst first */
    size_t checker_count;
    size_t anomaly_count;
    struct digest_function *functions; /* of clients, the most used first */
    size_t function_count;
    uint16_t *function_of; /* by history.f: into functions */
    uint64_t total[DIGEST_OUTCOMES];
    uint32_t process_count;      /* of clients */
    struct digest_error *errors; /* of clients, the most frequent first */
    size_t error_count;
    bool errors_lumped; /* there were so many that some were put together */
    uint32_t *class_of; /* by history.error: into errors, + 1; 0: no client came back with it */
    struct digest_fault *faults;
    size_t fault_count;
    bool faults_guessed;       /* from the history alone: nothing is known of their verification */
    struct digest_mark *marks; /* those of the history, by their beginning */
    size_t mark_count;
    const char **problems;
    size_t problem_count;
    bool timed; /* the history has times */
    int64_t begin_ns, end_ns;
};

void digest_make(const struct run *run, struct digest *digest);
void digest_free(struct digest *digest);

/* The place among errors of what a client's event came back with; -1: it did not, or is none. */
int digest_error_class(const struct digest *digest, uint32_t event);

/* Fills faults from the results, else the schedule, else the history's nemesis events. */
void digest_faults(struct digest *digest);

/* Fills marks from the history. */
void digest_marks(struct digest *digest);
/* Takes more marks: all are copied, and sorted with those that are there. */
void digest_marks_add(struct digest *digest, const struct digest_mark *marks, size_t count);

/* The first nemesis of the coverage (json_next has the others), NULL when there is none; and what
 * is to be said of one: "kill: in force 3 of 3 times, on n1 (2), n3 (1); ...". */
const struct json *digest_coverage(const struct digest *digest);
void digest_coverage_line(const struct json *one, struct buf *out);

/* What was run, by the results or else the plan: NULL when neither knows. */
const char *digest_test_text(const struct digest *digest, const char *key);
/* Who was hit, by name; "all 5" when a test's nodes are all of them. */
const char *digest_where(struct digest *digest, const struct json *nodes);
/* One line: "register on etcd 3.4, 5 nodes, partition, 60 s, seed 42"; "" when nothing is known. */
const char *digest_setting(struct digest *digest);
/* The command that runs it again; NULL when not known. */
const char *digest_run_again(const struct digest *digest);

/* "a, b, c" of an array of texts. */
const char *digest_join(struct arena *arena, const struct json *array);
/* An event's value or error as EDN, made visible, cut to about `columns` with "..." at its end. */
void digest_value(struct buf *out, struct value value, size_t columns);
/* "12.345 s"; "-" for a time that is not known. */
void digest_time(struct buf *out, int64_t ns);
/* "12.345678 s": where microseconds decide what came first. */
void digest_exact_time(struct buf *out, int64_t ns);
/* EDN as a person would say it: {:shape :halves, :nodes ["n1"]} is "shape halves, nodes [n1]"; ""
 * for nil. */
void digest_plain(struct buf *out, const char *edn);
/* "1.25 ms" for people; "-" when negative. */
void digest_duration(struct buf *out, int64_t ns);
/* "1 234 567" */
void digest_number(struct buf *out, uint64_t number);

/* The operation that an event belongs to. */
struct digest_operation {
    uint32_t invocation, completion; /* HISTORY_NONE where there is none */
    int32_t process;
    const char *f;
    enum op_type outcome;
    struct value value; /* the completion's when it tells one, else the invocation's */
    int64_t from_ns, to_ns;
};
struct digest_operation digest_operation(const struct history *history, uint32_t event);
/* The distinct operations among an anomaly's events, in order, at most `most`; returns how many it
 * wrote. Indices outside the history are left out; *total counts all. */
size_t digest_operations(const struct digest *digest, const struct json *anomaly,
                         struct digest_operation *operations, size_t most, size_t *total);

/* The key that an anomaly is about, as text; NULL when it names none. */
const char *digest_key(struct digest *digest, const struct json *anomaly);

/* Whether a daemon's event is one that somebody asked for. */
bool digest_exit_asked(const struct history *history, uint32_t event);

#endif
