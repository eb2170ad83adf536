/* Watching a run for its first certain violation, while it goes on (--stop-on-violation).
 *
 * A thread of its own copies what the history has got since it last looked, a few thousand events
 * at a time under the scheduler's lock, and judges that prefix by the checker `linearizable`: of
 * keyed histories the keys that changed, of others all of it. Linearizability is closed under
 * prefixes, if what is open at the prefix' end may or may not have happened; so a prefix that is
 * invalid makes the whole invalid, whatever comes. Only a verdict that was certified counts. What
 * could not be decided in a little time and memory is no violation, and looked at again when more
 * is known.
 *
 * Or it judges by `transactions`. That checker reads along (struct check_watch): lists of
 * list-append are taken event by event, at a cost that does not grow with the run, and the prefix
 * is judged when something was found, and whenever it has grown by a quarter for what only a whole
 * look finds. Of registers it is always judged whole: an anomaly may span any keys. What it
 * concludes of a prefix stays, too: lists only grow, so an append that no read showed yet comes
 * after all that were read; and an open transaction whose effects were seen counts as committed,
 * which if it fails in the end is an aborted read. (That alone a promise of read uncommitted
 * allows: the final verdict may then say more than the look did.)
 *
 * It costs: the copying, the thread's memory (another history's columns), and at most a tenth of
 * one processor, since after a look that took t it rests for nine times t, and half a second at
 * least. The final verdict is still that of the checkers over the whole history. */
#ifndef ORDEAL_LIVE_H
#define ORDEAL_LIVE_H

#include "harness/checker.h"
#include "harness/scheduler.h"

struct live;

struct live_options {
    struct scheduler *scheduler;
    const char *checker;        /* one of live_checkers */
    const struct json *options; /* of checkers; copied */
    enum keyed keyed;
    int64_t rest_ns; /* between looks, at least; 0: half a second */
    /* Called once, from the thread, with a sentence about the violation. */
    void (*on_violation)(void *state, const char *why);
    void *state;
};

/* Those that can judge a run while it goes on, the one to be preferred first; NULL at the end. */
extern const char *const live_checkers[];

struct live_costs {
    uint32_t looks, judged, undecided; /* judged: looks that judged the whole prefix or its keys */
    uint64_t events;                   /* copied */
    int64_t spent_ns;                  /* of the thread's processor time */
};

enum err_code live_start(const struct live_options *options, struct live **live, struct err *err);
/* Ends the thread, after the look it is at. NULL is fine. `costs` may be NULL. */
void live_stop(struct live *live, struct live_costs *costs);

#endif
