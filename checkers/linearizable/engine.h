/* Engines: searches for a linearization. A new one is its file and a line in engines.c.
 *
 * An engine answers VALID with an order, INVALID with the operation at whose return no order is
 * left, or UNKNOWN with what it ran out of and where. Nothing is believed on its word: orders are
 * replayed by verify.h, refutations are repeated by the plain search on a weaker problem. */
#ifndef ORDEAL_LINEARIZABLE_ENGINE_H
#define ORDEAL_LINEARIZABLE_ENGINE_H

#include "checkers/linearizable/budget.h"
#include "checkers/linearizable/problem.h"
#include "harness/checker.h"

enum lin_limit { LIN_LIMIT_NONE, LIN_LIMIT_TIME, LIN_LIMIT_MEMORY, LIN_LIMIT_BEAM };

struct lin_answer {
    enum verdict verdict;
    uint32_t at; /* INVALID: the operation that cannot return; UNKNOWN: the furthest one reached;
                    LIN_NEVER when there is none */
    enum lin_limit limit; /* UNKNOWN: what ended the search */
    uint32_t *order;      /* VALID: operations in order, the caller frees; or NULL */
    uint32_t order_count; /* optional operations that are not in it did not happen */
    int64_t *took;        /* of a monitor, VALID: see struct lin_order; the caller frees; or NULL */
    uint8_t *kept;        /* of a monitor, INVALID: see monitor.h; the caller frees; or NULL */
    uint32_t begin;       /* INVALID: the piece from here to the return of `at` has no order under
                             free supply from any state, see window.h; LIN_NEVER: not known */
    uint64_t explored;    /* configurations looked at */
    uint32_t widest;      /* most configurations held at one event; 0 when the engine has none */
    const char *decided_by; /* the engine's stage, for the details */
};

struct lin_engine {
    const char *name, *summary;
    bool (*suits)(const struct model *model);
    void (*search)(const struct lin_problem *problem, struct lin_budget *budget,
                   struct lin_answer *answer);
};

extern const struct lin_engine lin_engine_hiding, lin_engine_frontier, lin_engine_appends,
    lin_engine_wgl;
/* In the order of preference; NULL at the end. */
extern const struct lin_engine *const lin_engines[];
/* "auto": the first that suits the model. NULL when there is none of the name that suits. */
const struct lin_engine *lin_engine_find(const char *name, const struct model *model);
/* Frees what the caller of a search owns. */
void lin_answer_free(struct lin_answer *answer);

/* The plain search, also for weaker problems; the other modes only for models with an effect. They
 * combine. */
enum lin_wgl_mode {
    LIN_WGL_PLAIN = 0,
    /* An optional operation may be repeated at will once it was invoked. That allows every order of
     * the problem and more, so INVALID is certain, and VALID (which then comes without an order)
     * means nothing. */
    LIN_WGL_FREE = 1,
    LIN_WGL_BRIEF = 2, /* with three rules that save work: see wgl.c */
};
void lin_wgl(const struct lin_problem *problem, unsigned mode, struct lin_budget *budget,
             struct lin_answer *answer);

/* The search with hiding: see hiding.c. Only for models with an effect. Each rule that may be left
 * out without losing an answer can be, and defects that once looked like rules can be planted, to
 * try the tests: nothing but tests passes either. */
enum lin_hiding_rule {
    LIN_RULE_DOMINANCE = 1, /* better configurations push out worse ones */
    LIN_RULE_DEAD = 2,      /* states that nobody will ask for are one */
    LIN_RULE_TWINS = 4,     /* of compare-and-sets that do the same the sooner return goes first */
    LIN_RULE_TOKENS = 8,    /* no more places for a value than there are needs */
};
enum lin_hiding_defect {
    LIN_DEFECT_TOKEN_CAP = 1,     /* a place counts by its own needs alone */
    LIN_DEFECT_HAND_OVER = 2,     /* the better takes over what the worse has used */
    LIN_DEFECT_FREE_IS_EARLY = 4, /* places are left out for supply that came after them */
};
struct lin_hiding_options {
    bool is_free;     /* optional operations without limit once invoked: INVALID is certain */
    uint32_t width;   /* most configurations kept after a return, at first; 0: all */
    unsigned without; /* rules */
    unsigned defects;
};
void lin_hiding(const struct lin_problem *problem, const struct lin_hiding_options *options,
                struct lin_budget *budget, struct lin_answer *answer);

/* The frontier search. See frontier.c for the modes. */
enum lin_supply { LIN_SUPPLY_EXACT, LIN_SUPPLY_FREE };
struct lin_frontier_options {
    enum lin_supply supply;
    uint32_t beam; /* configurations kept at most after each event; 0: all */
    /* When not NULL: filled with the states that any configuration was in at or after position
     * `watch_from`; one byte per state, the last (state_count) for "anything else". */
    uint8_t *watched;
    uint32_t watch_from;
};
void lin_frontier(const struct lin_problem *problem, const struct lin_frontier_options *options,
                  struct lin_budget *budget, struct lin_answer *answer);

/* "the time limit", for messages. */
const char *lin_limit_name(enum lin_limit limit);

#endif
