/* The table of anomalies and isolation levels: see levels.h.
 *
 * Sources: Adya, "Weak Consistency" (1999), and Adya, Liskov, O'Neil, "Generalized Isolation Level
 * Definitions" (2000) for PL-1 to PL-3, PL-2+, PL-FCV, PL-SI and the G phenomena; Bailis et al.,
 * "Highly Available Transactions" (2013); Cerone, Bernardi, Gotsman, "A Framework for Transactional
 * Consistency Models with Atomic Visibility" (2015), and Cerone, Gotsman, "Analysing Snapshot
 * Isolation" (2016), by which snapshot isolation rules out every cycle whose anti-dependencies are
 * not adjacent; Daudjee, Salem (2004, 2006) for the strong session levels; Liu et al. (2018) for
 * update atomicity; and Elle (Kingsbury, Alvaro 2020), which put them into one lattice. */
#include "checkers/transactions/levels.h"

#include <pthread.h>
#include <stddef.h>
#include <string.h>

#define NAME_ANOMALY(name, text) text,
static const char *const anomaly_names[] = {ANOMALIES(NAME_ANOMALY)};
#undef NAME_ANOMALY

#define A(name) ANOMALY_BIT(name)

static const struct {
    enum anomaly from;
    anomaly_set to;
} implied[] = {
    {ANOMALY_G0, A(G1C) | A(G0_PROCESS)},
    {ANOMALY_G0_PROCESS, A(G1C_PROCESS) | A(G0_REALTIME)},
    {ANOMALY_G0_REALTIME, A(G1C_REALTIME)},
    {ANOMALY_G1A, A(G1)},
    {ANOMALY_G1B, A(G1)},
    {ANOMALY_G1C, A(G1) | A(G1C_PROCESS)},
    {ANOMALY_G1C_PROCESS, A(G1C_REALTIME) | A(G1_PROCESS)},
    {ANOMALY_G1C_REALTIME, A(G1_REALTIME)},
    {ANOMALY_G1, A(G1_PROCESS)},
    {ANOMALY_G1_PROCESS, A(G1_REALTIME)},
    {ANOMALY_G_SINGLE_ITEM, A(G_SINGLE) | A(G_SINGLE_ITEM_PROCESS) | A(G_NONADJACENT_ITEM)},
    {ANOMALY_G_SINGLE_ITEM_PROCESS,
     A(G_SINGLE_PROCESS) | A(G_SINGLE_ITEM_REALTIME) | A(G_NONADJACENT_ITEM_PROCESS)},
    {ANOMALY_G_SINGLE_ITEM_REALTIME, A(G_SINGLE_REALTIME) | A(G_NONADJACENT_ITEM_REALTIME)},
    {ANOMALY_G_SINGLE, A(G_NONADJACENT) | A(GSIB) | A(G_SINGLE_PROCESS)},
    {ANOMALY_G_SINGLE_PROCESS, A(G_NONADJACENT_PROCESS) | A(G_SINGLE_REALTIME)},
    {ANOMALY_G_SINGLE_REALTIME, A(G_NONADJACENT_REALTIME)},
    {ANOMALY_G_NONADJACENT_ITEM, A(G_NONADJACENT) | A(G2_ITEM) | A(G_NONADJACENT_ITEM_PROCESS)},
    {ANOMALY_G_NONADJACENT_ITEM_PROCESS,
     A(G_NONADJACENT_PROCESS) | A(G2_ITEM_PROCESS) | A(G_NONADJACENT_ITEM_REALTIME)},
    {ANOMALY_G_NONADJACENT_ITEM_REALTIME, A(G2_ITEM_REALTIME) | A(G_NONADJACENT_REALTIME)},
    {ANOMALY_G_NONADJACENT, A(G2) | A(G_NONADJACENT_PROCESS)},
    {ANOMALY_G_NONADJACENT_PROCESS, A(G2_PROCESS) | A(G_NONADJACENT_REALTIME)},
    {ANOMALY_G_NONADJACENT_REALTIME, A(G2_REALTIME)},
    {ANOMALY_G2_ITEM, A(G2) | A(G2_ITEM_PROCESS)},
    {ANOMALY_G2_ITEM_PROCESS, A(G2_PROCESS) | A(G2_ITEM_REALTIME)},
    {ANOMALY_G2_ITEM_REALTIME, A(G2_REALTIME)},
    {ANOMALY_G2, A(G2_PROCESS)},
    {ANOMALY_G2_PROCESS, A(G2_REALTIME)},
    {ANOMALY_GSIA, A(GSI)},
    {ANOMALY_GSIB, A(GSI)},
    {ANOMALY_INCOMPATIBLE_ORDER, A(G1A)},        /* one of the two orders is of something undone */
    {ANOMALY_GARBAGE_READ, A(G1A)},              /* no committed transaction wrote it */
    {ANOMALY_FUTURE_READ, A(G1C) | A(INTERNAL)}, /* it disagrees with itself, backwards */
    {ANOMALY_DIRTY_UPDATE, A(G1A)},
    {ANOMALY_LOST_UPDATE, A(WRITE_SKEW) | A(G2_ITEM)},
    {ANOMALY_WRITE_SKEW, A(G2)},
    /* No order of commits is there: all the less one that keeps more, or one without snapshots. */
    {ANOMALY_NO_SERIAL_ORDER, A(NO_SERIAL_ORDER_PROCESS)},
    {ANOMALY_NO_SERIAL_ORDER_PROCESS, A(NO_SERIAL_ORDER_REALTIME)},
    {ANOMALY_NO_SNAPSHOT_ORDER, A(NO_SNAPSHOT_ORDER_PROCESS) | A(NO_SERIAL_ORDER)},
    {ANOMALY_NO_SNAPSHOT_ORDER_PROCESS, A(NO_SNAPSHOT_ORDER_REALTIME) | A(NO_SERIAL_ORDER_PROCESS)},
    {ANOMALY_NO_SNAPSHOT_ORDER_REALTIME, A(NO_SERIAL_ORDER_REALTIME)},
};

/* A level, the weaker ones that it includes, and what it rules out beyond them. */
static const struct level {
    const char *names[4]; /* the friendly one first */
    const char *includes[8];
    anomaly_set prohibits;
} levels[] = {
    {{"strict-serializable", "PL-SS", "strong-serializable"},
     {"serializable", "strong-session-serializable", "strong-snapshot-isolation", "strong-PL-2",
      "linearizable"},
     A(G1) | A(G1C_REALTIME) | A(G2_REALTIME) | A(NO_SERIAL_ORDER_REALTIME)},
    {{"strong-session-serializable"},
     {"serializable", "strong-session-snapshot-isolation"},
     A(G1_PROCESS) | A(G2_PROCESS) | A(NO_SERIAL_ORDER_PROCESS)},
    {{"serializable", "PL-3", "conflict-serializable"},
     {"repeatable-read", "snapshot-isolation", "update-serializable", "view-serializable"},
     A(INTERNAL) | A(G1) | A(G2) | A(PREDICATE_READ_MISS) | A(NO_SERIAL_ORDER)},
    {{"view-serializable"}, {NULL}, 0},
    {{"strong-snapshot-isolation"},
     {"strong-session-snapshot-isolation", "strong-read-committed"},
     A(INTERNAL) | A(G1_REALTIME) | A(G_NONADJACENT_REALTIME) | A(NO_SNAPSHOT_ORDER_REALTIME)},
    {{"strong-session-snapshot-isolation"},
     {"snapshot-isolation", "strong-session-read-committed", "causal"},
     A(INTERNAL) | A(G1_PROCESS) | A(G_NONADJACENT_PROCESS) | A(NO_SNAPSHOT_ORDER_PROCESS)},
    {{"snapshot-isolation", "PL-SI"},
     {"forward-consistent-view", "monotonic-atomic-view", "monotonic-snapshot-read",
      "parallel-snapshot-isolation", "prefix"},
     A(INTERNAL) | A(G1) | A(GSI) | A(G_NONADJACENT) | A(NO_SNAPSHOT_ORDER)},
    {{"parallel-snapshot-isolation"}, {"causal-cerone", "update-atomic"}, A(INTERNAL) | A(G1A)},
    {{"prefix"}, {"causal-cerone"}, A(INTERNAL) | A(G1A)},
    {{"causal-cerone"}, {"read-atomic"}, A(INTERNAL) | A(G1A)},
    {{"update-atomic"}, {"read-atomic"}, A(LOST_UPDATE)},
    {{"read-atomic"}, {"monotonic-atomic-view"}, A(INTERNAL) | A(G1A) | A(FUTURE_READ)},
    /* With sessions, by Biswas and Enea (2019), as dbcop, Plume and AWDIT check them. */
    {{"causal", "session-causal"}, {"causal-cerone", "session-read-atomic"}, A(CAUSALITY_CYCLE)},
    {{"session-read-atomic"}, {"read-atomic", "session-read-committed"}, A(FRACTURED_READ)},
    {{"session-read-committed"}, {"read-committed"}, A(READ_COMMITTED_CYCLE) | A(FUTURE_READ)},
    {{"update-serializable", "PL-3U"}, {"forward-consistent-view"}, A(G1)},
    {{"forward-consistent-view", "PL-FCV"}, {"consistent-view"}, A(G1) | A(GSIB)},
    {{"consistent-view", "PL-2+"}, {"cursor-stability", "monotonic-view"}, A(G1) | A(G_SINGLE)},
    {{"repeatable-read", "PL-2.99"},
     {"cursor-stability", "monotonic-atomic-view"},
     A(G1) | A(G2_ITEM) | A(LOST_UPDATE)},
    {{"cursor-stability", "PL-CS"}, {"read-committed"}, A(G1) | A(LOST_UPDATE)},
    {{"monotonic-view", "PL-2L"}, {"read-committed"}, A(G1)},
    {{"monotonic-snapshot-read", "PL-MSR"}, {"read-committed"}, A(G1)},
    {{"monotonic-atomic-view"}, {"read-committed"}, 0},
    {{"strong-read-committed", "strong-PL-2"},
     {"strong-session-read-committed", "strong-read-uncommitted"},
     A(G1C_REALTIME)},
    {{"strong-session-read-committed", "strong-session-PL-2"},
     {"read-committed", "strong-session-read-uncommitted"},
     A(G1C_PROCESS)},
    {{"read-committed", "PL-2"}, {"read-uncommitted"}, A(G1)},
    {{"strong-read-uncommitted", "strong-PL-1"},
     {"strong-session-read-uncommitted"},
     A(G0_REALTIME)},
    {{"strong-session-read-uncommitted", "strong-session-PL-1"},
     {"read-uncommitted"},
     A(G0_PROCESS)},
    {{"read-uncommitted", "PL-1"}, {NULL}, A(G0) | A(DUPLICATE_ELEMENTS) | A(CYCLIC_VERSIONS)},
    {{"linearizable"}, {NULL}, 0},
};
enum { LEVELS = sizeof levels / sizeof levels[0] };
_Static_assert(ANOMALY_COUNT <= 64 && LEVELS <= 64, "sets are words");

const char *anomaly_name(enum anomaly anomaly)
{
    return anomaly_names[anomaly];
}

int anomaly_find(const char *name)
{
    for (int i = 0; i < ANOMALY_COUNT; i++)
        if (strcmp(anomaly_names[i], name) == 0)
            return i;
    return -1;
}

anomaly_set anomaly_implied(anomaly_set of)
{
    for (anomaly_set before = 0; before != of;) {
        before = of;
        for (size_t i = 0; i < sizeof implied / sizeof implied[0]; i++)
            if (of >> implied[i].from & 1)
                of |= implied[i].to;
    }
    return of;
}

anomaly_set anomaly_implying(anomaly_set of)
{
    for (anomaly_set before = 0; before != of;) {
        before = of;
        for (size_t i = 0; i < sizeof implied / sizeof implied[0]; i++)
            if ((of & implied[i].to) != 0)
                of |= UINT64_C(1) << implied[i].from;
    }
    return of;
}

int level_find(const char *name)
{
    for (int i = 0; i < LEVELS; i++)
        for (int j = 0; j < 4 && levels[i].names[j] != NULL; j++)
            if (strcmp(levels[i].names[j], name) == 0)
                return i;
    return -1;
}

/* What is known of these lies between two levels that are decided. */
static const struct {
    const char *name, *why;
} undecided[] = {
    {"prefix",
     "prefix consistency is not decided, since no order of commits is looked for in which "
     "updates may be lost: ask for snapshot-isolation, the nearest that is stronger, or "
     "causal, the nearest that is weaker"},
    {"dbcop-repeatable-read",
     "the repeatable read of dbcop is not decided by itself: ask for session-read-atomic, the "
     "nearest that is stronger, or session-read-committed, the nearest that is weaker"},
};

const char *level_undecided(const char *name)
{
    for (size_t i = 0; i < sizeof undecided / sizeof undecided[0]; i++)
        if (strcmp(undecided[i].name, name) == 0)
            return undecided[i].why;
    return NULL;
}

const char *level_name(int level)
{
    return levels[level].names[0];
}

int level_count(void)
{
    return LEVELS;
}

/* The levels that one includes directly, and those that include it: names looked up once. */
static level_set included[LEVELS];
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void look_up(void)
{
    for (int i = 0; i < LEVELS; i++)
        for (int j = 0; j < 8 && levels[i].includes[j] != NULL; j++)
            included[i] |= UINT64_C(1) << level_find(levels[i].includes[j]);
}

static level_set includes(int level)
{
    pthread_once(&once, look_up);
    return included[level];
}

static level_set weaker(level_set set)
{
    for (level_set before = 0; before != set;) {
        before = set;
        for (int i = 0; i < LEVELS; i++)
            if (set >> i & 1)
                set |= includes(i);
    }
    return set;
}

static level_set stronger(level_set set)
{
    for (level_set before = 0; before != set;) {
        before = set;
        for (int i = 0; i < LEVELS; i++)
            if ((includes(i) & set) != 0)
                set |= UINT64_C(1) << i;
    }
    return set;
}

anomaly_set levels_prohibit(level_set set)
{
    anomaly_set prohibited = 0;
    set = weaker(set);
    for (int i = 0; i < LEVELS; i++)
        if (set >> i & 1)
            prohibited |= levels[i].prohibits;
    return anomaly_implying(prohibited);
}

level_set levels_impossible(anomaly_set anomalies)
{
    level_set impossible = 0;
    anomalies = anomaly_implied(anomalies);
    for (int i = 0; i < LEVELS; i++)
        if ((levels[i].prohibits & anomalies) != 0)
            impossible |= UINT64_C(1) << i;
    return stronger(impossible);
}

level_set levels_weakest(level_set set)
{
    level_set weakest = set;
    for (int i = 0; i < LEVELS; i++)
        if (set >> i & 1 && (weaker(UINT64_C(1) << i) & set) != UINT64_C(1) << i)
            weakest &= ~(UINT64_C(1) << i);
    return weakest;
}
