/* Which nodes a fault hits: the words that plans use, and the draw behind each.
 *
 * What can be drawn is drawn from the seed when the fault is chosen, so that the same seed asks for
 * the same faults; only who leads is asked when the fault begins. */
#ifndef ORDEAL_NEMESES_TARGETS_H
#define ORDEAL_NEMESES_TARGETS_H

#include "harness/system.h"

/* For the declaration of an option "targets". */
#define TARGETS_HELP                                                                               \
    "Which nodes: one, minority, majority, all, primaries, node names joined by +, or random: "    \
    "each "                                                                                        \
    "time another of these; or minority-third, or followers (all that do not lead)."

/* With n nodes: majority is n/2 + 1; minority is (n - 1)/2 but at least one node, since a fault
 * that hits nobody tests nothing (so of one node, or two, it is one); minority-third is the most
 * that stay below a third, as in Byzantine settings, and needs four nodes. */
uint32_t targets_majority(uint32_t node_count);
uint32_t targets_minority(uint32_t node_count);
uint32_t targets_minority_third(uint32_t node_count);

/* A random set of `count` nodes. */
node_set targets_draw(const struct test *test, uint32_t count, struct prng *prng);

/* Finds a node by name. ERR_CONFIG names `where` (an option) and the nearest right name. */
enum err_code targets_find_node(const struct test *test, const char *where, const char *name,
                                uint32_t *node, struct err *err);

/* Whether the value of the option `full_name` can be meant on these nodes: ERR_CONFIG for words
 * that mean nothing, and for what the plan's own system or number of nodes rules out. */
enum err_code targets_check(const struct test *test, const char *full_name, struct err *err);

/* Draws: {:targets :minority, :nodes ["n2" "n5"]}, or {:targets :primaries}, {:targets :followers}.
 * The option was checked. */
struct value targets_choose(const struct test *test, const char *full_name, struct prng *prng,
                            struct arena *arena);

/* The same map with one more entry, for what a fault draws besides. */
struct value targets_add(struct value chosen, const char *key, struct value value,
                         struct arena *arena);

/* The nodes that such a value means now; asks the system for its primaries. ERR_REMOTE when nobody
 * leads: see targets_primaries. */
enum err_code targets_resolve(struct test *test, struct value chosen, node_set *nodes,
                              struct err *err);

/* For nemesis.where and nemesis.repeat, where the value is that of targets_choose, with more, or
 * has it as :who: the
 * nodes it names (all of them when it is about primaries), and the same value about `nodes`. */
node_set targets_where(const struct test *test, struct value asked);
struct value targets_repeat(const struct test *test, struct value asked, struct value done,
                            node_set nodes, struct arena *arena);

/* The nodes that lead now: as system->primaries, but none is an error (ERR_REMOTE). Right after
 * another fault was healed an election may be under way, so it asks again for up to 10 s. */
enum err_code targets_primaries(struct test *test, node_set *nodes, struct err *err);

/* ["n1" "n4"] and back. Reading refuses anything but names of nodes (ERR_CONFIG). */
struct value targets_names(const struct test *test, node_set nodes, struct arena *arena,
                           enum value_kind kind);
enum err_code targets_read_names(const struct test *test, struct value names, node_set *nodes,
                                 struct err *err);

#endif
