/* Judging one key: search, certify, and for an invalid one explain. */
#ifndef ORDEAL_LINEARIZABLE_JUDGE_H
#define ORDEAL_LINEARIZABLE_JUDGE_H

#include "checkers/linearizable/explain.h"
#include "checkers/linearizable/keys.h"

struct lin_verdict {
    enum verdict verdict;
    bool out_of_budget; /* UNKNOWN, and more time or memory could help */
    bool certified;     /* by something that shares no rule with the engine */
    bool explained;     /* `explanation` is filled */
    struct buf reason;  /* UNKNOWN: why */
    struct buf proof;   /* the key's part of a certificate, when it is wanted */
    struct lin_explanation explanation;
    const char *decided_by;
    uint32_t ops, ops_known, ops_observing; /* decoded; OK; OK and saying what the state was */
    uint64_t explored;
    uint32_t widest;
    int64_t spent_ns;
};

struct lin_task {
    const struct history *history;
    const struct model *model;
    const struct lin_engine *engine;
    const struct lin_keys *keys;
    uint32_t key;
    const struct lin_reading *reading;
    bool explain;  /* with a heart and words, when invalid */
    bool monitors; /* try a monitor first, if one suits */
    bool prove;    /* with its part of a certificate */
};

/* `verdict` is overwritten. Any thread. */
void lin_judge(const struct lin_task *task, struct lin_budget *budget, struct lin_verdict *verdict);
void lin_verdict_free(struct lin_verdict *verdict);

#endif
