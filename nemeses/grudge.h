/* Grudges: who drops whose packets in a partition.
 *
 *   halves           the first n/2 nodes against the rest, always the same
 *   random-halves    n/2 nodes against the rest
 *   one              a node against the rest
 *   majorities-ring  every node sees a majority, and no two see the same one (3 nodes or more)
 *   bridge           two halves, and one node that sees both (3 or more)
 *   minority-third   the most nodes that stay below a third against the rest (4 or more)
 *   one-way          two parts of which one hears the other but not the reverse
 *   primaries        those who lead, together, against the rest; known only when it begins
 *   deaf-primaries   those who lead do not hear the rest, who go on hearing them
 *   map              as written: "n1:n2+n3,n4:n5" is n1 dropping from n2 and n3, and n4 from n5
 *
 * All but one-way, deaf-primaries and map are symmetric. A node never drops its own packets. */
#ifndef ORDEAL_NEMESES_GRUDGE_H
#define ORDEAL_NEMESES_GRUDGE_H

#include "harness/test.h"

enum shape {
    SHAPE_HALVES,
    SHAPE_RANDOM_HALVES,
    SHAPE_ONE,
    SHAPE_MAJORITIES_RING,
    SHAPE_BRIDGE,
    SHAPE_MINORITY_THIRD,
    SHAPE_ONE_WAY,
    SHAPE_PRIMARIES,
    SHAPE_DEAF_PRIMARIES,
    SHAPE_MAP,
    SHAPE_COUNT,
};

struct grudge {
    enum shape shape;
    enum packets packets; /* which of them are dropped */
    /* Of shapes in two parts, else 0. One-way: packets from the first do not reach the second.
     * Deaf primaries: from the second not the first. */
    node_set parts[2];
    node_set bridge;                /* the node that sees both parts, else 0 */
    node_set drops[PLAN_NODES_MAX]; /* as network_block takes them; all 0 while not resolved */
};

const char *shape_name(enum shape shape);
/* The fewest nodes on which the shape cuts anything. */
uint32_t shape_nodes_min(enum shape shape);

/* Draws a grudge of any shape but map; primaries are left to be resolved. The test must have
 * shape_nodes_min(shape) nodes. */
void grudge_draw(const struct test *test, enum shape shape, struct prng *prng,
                 struct grudge *grudge);
/* Reads what a map says; `where` names it in errors (ERR_CONFIG). */
enum err_code grudge_parse_map(const struct test *test, const char *where, const char *text,
                               struct grudge *grudge, struct err *err);
/* Primaries, who are known only when the fault begins. */
bool shape_is_of_primaries(enum shape shape);
/* Cuts `nodes` from the others: how primaries are resolved. ERR_REMOTE when there are no others. */
enum err_code grudge_isolate(const struct test *test, node_set nodes, struct grudge *grudge,
                             struct err *err);

/* For people and for replaying: {:shape :bridge, :parts [["n1" "n4"] ["n2" "n5"]], :bridge "n3"};
 * rings and maps say {:shape :map, :drops {"n1" #{"n2" "n3"}}}; ":packets :data" is added. Reading
 * refuses what it cannot mean (ERR_CONFIG). */
struct value grudge_value(const struct test *test, const struct grudge *grudge,
                          struct arena *arena);
enum err_code grudge_read(const struct test *test, struct value value, struct grudge *grudge,
                          struct err *err);
/* {"n1" #{"n2" "n3"}, ...}: each node that drops anything; and back, as a map. */
struct value grudge_drops_value(const struct test *test, const struct grudge *grudge,
                                struct arena *arena);
enum err_code grudge_read_drops(const struct test *test, struct value drops, struct grudge *grudge,
                                struct err *err);

#endif
