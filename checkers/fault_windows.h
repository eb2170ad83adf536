/* The faults of a history: what was tried, what took effect, from when to when.
 *
 * Found by the names that the table of nemeses gives to beginnings and ends. An end belongs to the
 * newest fault of its nemesis that is not healed yet; when an end fails and a later one heals, the
 * later one counts. */
#ifndef ORDEAL_CHECKERS_FAULT_WINDOWS_H
#define ORDEAL_CHECKERS_FAULT_WINDOWS_H

#include "harness/history.h"
#include "harness/nemesis.h"

enum fault_effect {
    FAULT_IN_FORCE,   /* seen to be */
    FAULT_UNVERIFIED, /* done, but not seen to be in force */
    FAULT_FAILED,     /* did not happen */
    FAULT_PENDING,    /* the history ends before the outcome */
};

struct fault_window {
    uint32_t number; /* 1, 2, ... of all that were tried */
    const struct nemesis *nemesis;
    enum fault_effect effect;
    bool healed;         /* its end was verified */
    uint64_t operations; /* of clients, in flight at some time while it was in force */
    /* Events; HISTORY_NONE where there is none. */
    uint32_t begin_asked, begin_done, end_asked, end_done;
    uint64_t closed_before; /* client operations that were over when its beginning was done */
};

struct fault_windows {
    struct fault_window *items; /* in the order of their beginnings */
    size_t count;
    uint32_t
        foreign; /* an event of the nemesis by a name that no nemesis here has; or HISTORY_NONE */
};

/* ERR_NOMEM is the only failure. The history must be paired. */
enum err_code fault_windows_find(const struct history *history, struct fault_windows *windows);
void fault_windows_free(struct fault_windows *windows);

/* Whether it may have been in force at all. */
bool fault_happened(const struct fault_window *window);
/* In force from when its beginning was done until its end was asked for; without an end, until the
 * history ends. -1 where the history has no times. */
int64_t fault_from_ns(const struct history *history, const struct fault_window *window);
int64_t fault_to_ns(const struct history *history, const struct fault_window *window);
/* The text of an event's error: of [:failed "no route"] just "no route"; "" when there is none. */
void fault_error(const struct history *history, uint32_t event, struct buf *out);
/* Adds "fault 3 (kill, 10.1-15.0 s)". */
void fault_print(const struct history *history, const struct fault_window *window, struct buf *out);

#endif
