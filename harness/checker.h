/* Checkers: judge a history, offline, from the history alone.
 *
 * Verdicts compose by maximum: valid < unknown < invalid. A checker that cannot decide says UNKNOWN
 * and why; one that has nothing to judge says UNKNOWN too, never VALID. A checker never writes
 * files and never changes the history. Checkers may run at the same time on different threads. */
#ifndef ORDEAL_CHECKER_H
#define ORDEAL_CHECKER_H

#include "harness/base/json.h"
#include "harness/history.h"
#include "harness/option.h"

enum verdict { VERDICT_VALID, VERDICT_UNKNOWN, VERDICT_INVALID };

static inline enum verdict verdict_worse(enum verdict a, enum verdict b)
{
    return a > b ? a : b;
}
const char *verdict_name(enum verdict verdict);           /* "valid", "unknown", "invalid" */
struct json *verdict_json(enum verdict verdict);          /* true, "unknown", false */
enum verdict verdict_from_json(const struct json *valid); /* anything else is unknown */

/* Verdicts of several runs of one thing, counted. */
struct verdict_tally {
    size_t valid, unknown, invalid;
    size_t other; /* runs without a verdict */
};
void verdict_tally_add(struct verdict_tally *tally, enum verdict verdict);
/* How many of the runs that were judged were not valid, from 0 to 1; -1 when none was. */
double verdict_tally_rate(const struct verdict_tally *tally);

/* Why the verdict of results.json is what it is, in the words of the first checker that has it; "".
 */
const char *verdict_reason(const struct json *results, enum verdict verdict);

struct check_limits {
    int64_t time_ns;     /* of one checker, wall clock; 0: no limit */
    size_t memory_bytes; /* of one checker's search; 0: no limit */
    int threads;         /* at most this many at once, at least 1 */
};

/* How the values of a history are to be read. */
enum keyed {
    KEYED_GUESS, /* by a heuristic that the result names */
    KEYED_YES,   /* client values are [key value] */
    KEYED_NO,
};

/* "yes", "no"; anything else is to be guessed. */
enum keyed keyed_of(const char *text);

struct check_input {
    const struct history *history; /* paired */
    struct check_limits limits;
    struct options options; /* of checkers, e.g. "linearizable.model"; defaults filled in */
    enum keyed keyed;
    /* Of a stored run; NULL when only a history is given. */
    const struct json *plan; /* plan.json */
    const char *run_directory;
    struct buf *certificate; /* where a checker writes what proves its verdict; NULL: nowhere */
};

/* What a checker found. `details` is the JSON object that appears under the checker's name in
 * results.json; "valid", "reason" and "anomalies" are written from the fields below. */
struct check_result {
    enum verdict verdict;
    struct buf reason; /* one or two sentences; always given, for valid ones too ("42 keys, 9 123
                          operations") */
    struct json *details;
    struct json *anomalies; /* array of check_anomaly's objects */
};

/* Reading along while a run goes on, without judging anything twice. What it says is not the
 * verdict, but when to ask for one. */
enum watch_answer {
    WATCH_CLEAN, /* nothing yet of what it looks for */
    WATCH_FOUND, /* the events so far are certainly invalid: judging them will say what is wrong */
    WATCH_LOST,  /* it cannot follow this history */
};
struct check_watch {
    /* NULL when there is nothing that it could look for. */
    void *(*open)(const struct options *options, size_t memory_max);
    /* Takes what the history, each time the same or a longer one, has got since. After another
     * answer than WATCH_CLEAN only `close` may follow. */
    enum watch_answer (*feed)(void *state, const struct history *history);
    void (*close)(void *state);
};

struct checker {
    const char *name, *summary;
    const struct option *options; /* NULL: none */
    /* It can judge histories of which only the order within each process is known
     * (history.unordered); for others those are UNKNOWN without being asked. */
    bool sessions_suffice;
    /* Fills a result whose verdict is VALID and whose members are empty. Cannot fail: what it could
     * not do is UNKNOWN with the reason. */
    void (*check)(const struct check_input *input, struct check_result *result);
    /* Optional: says what a certificate that `check` wrote proves of the history, by itself;
     * UNKNOWN and why when it does not. The text begins with CHECKER_CERTIFICATE and the name. */
    void (*verify)(const struct check_input *input, const char *text, struct check_result *result);
    const struct check_watch *watch; /* optional */
};
#define CHECKER_CERTIFICATE "ordeal certificate 1: "

/* Every checker, in the order of the list; NULL at the end. */
extern const struct checker *const checkers[];
const struct checker *checker_find(const char *name);

/* Raises the verdict to at least `verdict` and sets the reason if this is what decided it. */
void check_verdict(struct check_result *result, enum verdict verdict, const char *format, ...)
    FORMAT(3, 4);
/* Adds an anomaly: a kind ("nonlinearizable"), a title of a few words, the explanation in whole
 * sentences, and the events (indices into the history, ascending) that show it. Returns the object,
 * to which the checker may add ("key", ...). Does not change the verdict. */
struct json *check_anomaly(struct check_result *result, const char *kind, const char *title,
                           const char *text, const uint32_t *events, size_t event_count);

/* Runs the named checkers and composes: {"valid": ..., "checkers": {name: {...}}}. The caller
 * frees. A checker's result that breaks the contract (invalid without a reason, say) is an
 * assertion failure. */
struct json *check_all(const char *const *names, size_t count, const struct check_input *input,
                       enum verdict *verdict);

#endif
