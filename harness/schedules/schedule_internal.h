/* A schedule at work: shared by schedule.c (what is due) and schedule_check.c (whether it can be).
 */
#ifndef ORDEAL_SCHEDULE_INTERNAL_H
#define ORDEAL_SCHEDULE_INTERNAL_H

#include "harness/schedules/schedule.h"

enum lane_state {
    LANE_ASLEEP,    /* until its trigger */
    LANE_WAITING,   /* knows what it will ask for, at next_ns */
    LANE_BEGINNING, /* has asked for it */
    LANE_HOLDING,   /* in force until next_ns */
    LANE_ENDING,
    LANE_OVER,
};

/* One fault after the other. A step is one lane; with an overlap, as many as that. */
struct lane {
    const struct schedule_step *step;
    uint32_t number; /* of the step, from 1 */
    uint32_t place;  /* among the lanes of its step, from 0 */
    struct prng prng;
    struct test test; /* with the options of the step */
    struct plan plan;
    enum lane_state state;
    bool begun_once;                      /* it was looked at for the first time */
    int64_t next_ns;                      /* -1 at first */
    uint64_t heard;                       /* triggers up to this one are dealt with */
    uint32_t fired;                       /* faults that took effect */
    size_t order[PLAN_NEMESES_MAX], turn; /* of STEP_OFTEN: the round */
    /* The next fault, or the one that is in force. */
    size_t which; /* of the step's nemeses */
    struct arena values;
    struct value asked;
    node_set where;
};

struct schedule {
    struct generator generator;
    struct test *test;
    struct watch *watch;
    struct lane *lanes;
    size_t lane_count;
    struct lane *given; /* whose operation is out; NULL: none */
    const struct lane *now;
    struct lane *holding[PLAN_NEMESES_MAX]; /* faults in force: one of a nemesis at most */
    size_t holding_count;
    bool asked; /* of the two events of an operation the first was heard */
    uint64_t begun[PLAN_NEMESES_MAX], ended[PLAN_NEMESES_MAX]; /* by place in plan->nemeses */
    int64_t begun_ns[PLAN_NEMESES_MAX], ended_ns[PLAN_NEMESES_MAX];
};

static inline const struct nemesis *lane_nemesis(const struct lane *lane)
{
    return lane->step->nemeses[lane->which];
}

/* The run's test as it is now, with the step's own options. */
struct test *lane_test(struct schedule *schedule, struct lane *lane);

#endif
