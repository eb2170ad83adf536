/* Who leads, as seen from outside through the run: asked again and again, by a thread of its own.
 *
 * Only for systems that can tell (system->primaries). What is known is as old as `seen_ns` says,
 * and a leader that comes and goes between two looks is not seen. */
#ifndef ORDEAL_WATCH_H
#define ORDEAL_WATCH_H

#include "harness/system.h"

struct watch;

struct watch_sight {
    bool known;         /* it was ever seen who leads */
    node_set primaries; /* at the last look that was answered */
    int64_t seen_ns;    /* when that was; since the run began */
    uint64_t elections; /* so often a node led that did not before */
    int64_t elected_ns; /* when that was seen last */
    uint64_t losses;    /* so often nobody led any more */
    int64_t lost_ns;
};

/* `on_news` (may be NULL) is called, from the thread, whenever elections or losses grow. */
enum err_code watch_open(struct test *test, void (*on_news)(void *state), void *state,
                         struct watch **watch, struct err *err);
/* Begins to look, every `pause_ns`; without it only watch_tell tells. */
enum err_code watch_start(struct watch *watch, int64_t pause_ns, struct err *err);
void watch_stop(struct watch *watch); /* its thread; NULL is fine */
void watch_close(struct watch *watch);

struct watch_sight watch_sight(struct watch *watch); /* from any thread; NULL: nothing is known */
/* What a look found at a time of the run. */
void watch_tell(struct watch *watch, node_set primaries, int64_t now_ns);

#endif
