/* Closed predicates, as Elle has them: what a predicate read did not show tells, too.
 *
 * The keys are all known: those that :init made, and those that transactions write. Each key has
 * two versions at most: what :init made of it, or unborn; and what one transaction made of it (a
 * value, or dead). A predicate read chose a version of every key (Adya's version set): those that
 * it shows; of a key that it does not show one that does not match, so that where just one of the
 * two does not, it is that one. Unborn and dead ones match no predicate. */
#ifndef ORDEAL_TRANSACTIONS_PREDICATE_H
#define ORDEAL_TRANSACTIONS_PREDICATE_H

#include "checkers/transactions/infer.h"

enum predicate_version {
    VERSION_UNKNOWN = -2, /* cannot be told, or is none */
    VERSION_BEFORE,       /* what was there before :init made the key: nobody may see it */
    VERSION_FIRST,        /* of :init, or unborn */
    VERSION_SECOND,
};

struct predicates {
    struct txns *txns;
    uint32_t *made, *written; /* by key: the slots of its two versions; TXN_NONE: unborn, none */
    struct value *values;     /* by key: of its second version; nil: dead */
    struct value *firsts;     /* by key: of its first version; nil: unborn */
};

/* What one read of a transaction says: that it saw this version of the key. */
struct predicate_view {
    uint32_t mop, key;
    enum predicate_version version;
    bool predicate;
};
/* Calls `visit` for each; stops when it returns false. */
void predicate_views(const struct predicates *predicates, uint32_t t,
                     bool (*visit)(void *context, const struct predicate_view *view),
                     void *context);

/* Whether the version matches the predicate of the micro-operation. */
bool predicate_matches(const struct predicates *predicates, const struct mop *mop, uint32_t key,
                       enum predicate_version version);
/* Who made the version; TXN_NONE: nobody known. */
uint32_t predicate_writer(const struct predicates *predicates, uint32_t key,
                          enum predicate_version version);
/* Whether a value satisfies a predicate (:true, [:= v], [:mod m n]); false in *known: it is none of
 * these. */
bool predicate_holds(struct value predicate, struct value value, bool *known);

bool predicate_why(const struct inference *inference, uint32_t from, uint32_t to,
                   enum edge_type type, const char *from_name, const char *to_name, struct buf *out,
                   struct json *fields);

#endif
