/* Grudges: see grudge.h. */
#include "nemeses/grudge.h"

#include <assert.h>
#include <string.h>

#include "harness/base/text.h"
#include "nemeses/targets.h"

static const struct {
    const char *name;
    uint32_t nodes_min;
} shapes[SHAPE_COUNT] = {
    [SHAPE_HALVES] = {"halves", 2},
    [SHAPE_RANDOM_HALVES] = {"random-halves", 2},
    [SHAPE_ONE] = {"one", 2},
    [SHAPE_MAJORITIES_RING] = {"majorities-ring", 3},
    [SHAPE_BRIDGE] = {"bridge", 3},
    [SHAPE_MINORITY_THIRD] = {"minority-third", 4},
    [SHAPE_ONE_WAY] = {"one-way", 2},
    [SHAPE_PRIMARIES] = {"primaries", 2},
    [SHAPE_DEAF_PRIMARIES] = {"deaf-primaries", 2},
    [SHAPE_MAP] = {"map", 2},
};

const char *shape_name(enum shape shape)
{
    return shapes[shape].name;
}

uint32_t shape_nodes_min(enum shape shape)
{
    return shapes[shape].nodes_min;
}

bool shape_is_of_primaries(enum shape shape)
{
    return shape == SHAPE_PRIMARIES || shape == SHAPE_DEAF_PRIMARIES;
}

/* ---- From parts to drops ---- */

static void drop_from(const struct test *test, struct grudge *grudge, node_set hearers,
                      node_set unheard)
{
    for (uint32_t i = 0; i < test->node_count; i++)
        if (node_in(hearers, i))
            grudge->drops[i] |= unheard;
}

static void divide(const struct test *test, struct grudge *grudge)
{
    if (grudge->shape != SHAPE_DEAF_PRIMARIES)
        drop_from(test, grudge, grudge->parts[1], grudge->parts[0]);
    if (grudge->shape != SHAPE_ONE_WAY)
        drop_from(test, grudge, grudge->parts[0], grudge->parts[1]);
}

/* ---- Rings of majorities ---- */

/* A ring in progress: sees[i] includes i and is symmetric. */
struct ring {
    uint32_t count;
    node_set sees[PLAN_NODES_MAX];
};

static void ring_connect(struct ring *ring, uint32_t a, uint32_t b)
{
    ring->sees[a] |= NODE_SET(b);
    ring->sees[b] |= NODE_SET(a);
}

static bool ring_views_differ(const struct ring *ring)
{
    for (uint32_t i = 0; i < ring->count; i++)
        for (uint32_t j = 0; j < i; j++)
            if (ring->sees[i] == ring->sees[j])
                return false;
    return true;
}

/* Every place linked with as many places on either side as make a majority. Views are arcs of an
 * odd number of places, so they differ as long as they are not the whole circle: from 4 nodes on.
 */
static void ring_circle(struct ring *ring)
{
    uint32_t reach = targets_majority(ring->count) / 2;
    for (uint32_t i = 0; i < ring->count; i++)
        for (uint32_t k = 1; k <= reach; k++)
            ring_connect(ring, i, (i + k) % ring->count);
}

/* The node outside `excluded` with the fewest links. */
static uint32_t ring_loneliest(const struct ring *ring, node_set excluded)
{
    uint32_t best = UINT32_MAX;
    for (uint32_t i = 0; i < ring->count; i++)
        if (!node_in(excluded, i) && (best == UINT32_MAX || node_set_count(ring->sees[i]) <
                                                                node_set_count(ring->sees[best])))
            best = i;
    return best;
}

/* Links the loneliest node with another that lacks links, until everyone sees a majority: a random
 * one if the draw finds such a one, or the same few rings would come out every time. */
static void ring_grow(struct ring *ring, struct prng *prng)
{
    uint32_t majority = targets_majority(ring->count);
    for (;;) {
        uint32_t a = ring_loneliest(ring, 0);
        if (node_set_count(ring->sees[a]) >= majority)
            return;
        uint32_t b = ring_loneliest(ring, ring->sees[a]);
        uint32_t other = (uint32_t)prng_below(prng, ring->count);
        if (!node_in(ring->sees[a], other) && node_set_count(ring->sees[other]) < majority)
            b = other;
        ring_connect(ring, a, b);
    }
}

static void ring_reset(struct ring *ring)
{
    for (uint32_t i = 0; i < ring->count; i++)
        ring->sees[i] = NODE_SET(i);
}

/* Up to five nodes have a perfect ring: everyone sees a majority exactly, or, of three, where two
 * views of two nodes cannot be all, one node in the middle sees everyone. Above, rings are grown at
 * random until one has views that all differ, which nearly all have. */
static void ring_build(struct ring *ring, struct prng *prng)
{
    enum { TRIES = 64 };
    ring_reset(ring);
    if (ring->count == 3) {
        ring_connect(ring, 0, 1);
        ring_connect(ring, 1, 2);
        return;
    }
    if (ring->count <= 5) {
        ring_circle(ring);
        return;
    }
    for (int i = 0; i < TRIES; i++) {
        ring_reset(ring);
        ring_grow(ring, prng);
        if (ring_views_differ(ring))
            return;
    }
    ring_reset(ring);
    ring_circle(ring);
}

static void draw_ring(const struct test *test, struct prng *prng, struct grudge *grudge)
{
    uint8_t order[PLAN_NODES_MAX];
    for (uint32_t i = 0; i < test->node_count; i++)
        order[i] = (uint8_t)i;
    prng_shuffle(prng, order, test->node_count, sizeof *order);
    struct ring ring = {.count = test->node_count};
    ring_build(&ring, prng);
    for (uint32_t i = 0; i < ring.count; i++)
        for (uint32_t j = 0; j < ring.count; j++)
            if (!node_in(ring.sees[i], j))
                grudge->drops[order[i]] |= NODE_SET(order[j]);
}

/* ---- Drawing ---- */

static void draw_parts(const struct test *test, struct prng *prng, uint32_t count,
                       struct grudge *grudge)
{
    grudge->parts[0] = targets_draw(test, count, prng);
    grudge->parts[1] = test_all_nodes(test) & ~grudge->parts[0];
}

/* One of the second half becomes the bridge: it has one node more when their number is odd. */
static void draw_bridge(const struct test *test, struct prng *prng, struct grudge *grudge)
{
    draw_parts(test, prng, test->node_count / 2, grudge);
    uint64_t steps = prng_below(prng, node_set_count(grudge->parts[1]));
    node_set left = grudge->parts[1];
    while (steps-- > 0)
        left &= left - 1;
    grudge->bridge = left & -left;
    grudge->parts[1] &= ~grudge->bridge;
}

/* A node or a half, unheard by the others or not hearing them. */
static void draw_one_way(const struct test *test, struct prng *prng, struct grudge *grudge)
{
    uint32_t count = prng_below(prng, 2) == 0 ? 1 : test->node_count / 2;
    draw_parts(test, prng, count, grudge);
    if (prng_below(prng, 2) == 0) {
        node_set first = grudge->parts[0];
        grudge->parts[0] = grudge->parts[1];
        grudge->parts[1] = first;
    }
}

void grudge_draw(const struct test *test, enum shape shape, struct prng *prng,
                 struct grudge *grudge)
{
    assert(shape != SHAPE_MAP && test->node_count >= shape_nodes_min(shape));
    *grudge = (struct grudge){.shape = shape};
    uint32_t half = test->node_count / 2;
    switch (shape) {
    case SHAPE_HALVES:
        grudge->parts[0] = NODE_SET(half) - 1;
        grudge->parts[1] = test_all_nodes(test) & ~grudge->parts[0];
        break;
    case SHAPE_RANDOM_HALVES:
        draw_parts(test, prng, half, grudge);
        break;
    case SHAPE_ONE:
        draw_parts(test, prng, 1, grudge);
        break;
    case SHAPE_MINORITY_THIRD:
        draw_parts(test, prng, targets_minority_third(test->node_count), grudge);
        break;
    case SHAPE_BRIDGE:
        draw_bridge(test, prng, grudge);
        break;
    case SHAPE_ONE_WAY:
        draw_one_way(test, prng, grudge);
        break;
    case SHAPE_MAJORITIES_RING:
        draw_ring(test, prng, grudge);
        break;
    default:
        break;
    }
    divide(test, grudge);
}

enum err_code grudge_isolate(const struct test *test, node_set nodes, struct grudge *grudge,
                             struct err *err)
{
    node_set others = test_all_nodes(test) & ~nodes;
    if (nodes == 0 || others == 0)
        return err_set(err, ERR_REMOTE, "there is nothing to cut: all %u nodes are on one side",
                       test->node_count);
    grudge->parts[0] = nodes;
    grudge->parts[1] = others;
    divide(test, grudge);
    return ERR_NONE;
}

/* ---- Maps as written ---- */

/* Adds "n2+n3" to what `node` drops. */
static enum err_code parse_sources(const struct test *test, const char *where, const char *text,
                                   uint32_t node, struct grudge *grudge, struct err *err)
{
    struct arena scratch = ARENA_INIT;
    const char **sources;
    size_t count = text_split(&scratch, text, '+', &sources);
    enum err_code code = ERR_NONE;
    if (count == 0)
        code = err_set(err, ERR_CONFIG, "%s: it does not say whose packets %s drops", where,
                       test->nodes[node].name);
    for (size_t i = 0; i < count && code == ERR_NONE; i++) {
        uint32_t source = 0;
        code = targets_find_node(test, where, sources[i], &source, err);
        if (code == ERR_NONE && source == node)
            code =
                err_set(err, ERR_CONFIG, "%s: %s cannot drop its own packets", where, sources[i]);
        if (code == ERR_NONE)
            grudge->drops[node] |= NODE_SET(source);
    }
    arena_free(&scratch);
    return code;
}

/* "n1:n2+n3". Names may hold colons (they may be IPv6 addresses): the node is the shortest text
 * before a colon that is one. */
static enum err_code parse_entry(const struct test *test, const char *where, char *entry,
                                 struct grudge *grudge, struct err *err)
{
    char *first = strchr(entry, ':');
    if (first == NULL)
        return err_set(err, ERR_CONFIG,
                       "%s: '%s' is not of the form n1:n2+n3, which is n1 dropping from n2 and n3",
                       where, entry);
    uint32_t node = 0;
    for (char *colon = first; colon != NULL; colon = strchr(colon + 1, ':')) {
        *colon = '\0';
        if (targets_find_node(test, where, entry, &node, NULL) == ERR_NONE)
            return parse_sources(test, where, colon + 1, node, grudge, err);
        *colon = ':';
    }
    *first = '\0';
    return targets_find_node(test, where, entry, &node, err);
}

enum err_code grudge_parse_map(const struct test *test, const char *where, const char *text,
                               struct grudge *grudge, struct err *err)
{
    struct grudge parsed = {.shape = SHAPE_MAP};
    struct arena scratch = ARENA_INIT;
    const char **entries;
    size_t count = text_split(&scratch, text, ',', &entries);
    enum err_code code = ERR_NONE;
    if (count == 0)
        code = err_set(err, ERR_CONFIG, "%s: it is empty; write e.g. n1:n2+n3,n4:n5", where);
    for (size_t i = 0; i < count && code == ERR_NONE; i++)
        code = parse_entry(test, where, arena_strdup(&scratch, entries[i]), &parsed, err);
    arena_free(&scratch);
    if (code == ERR_NONE)
        *grudge = parsed;
    return code;
}

/* ---- As values ---- */

struct value grudge_drops_value(const struct test *test, const struct grudge *grudge,
                                struct arena *arena)
{
    struct value items[2 * PLAN_NODES_MAX];
    size_t count = 0;
    for (uint32_t i = 0; i < test->node_count; i++) {
        if (grudge->drops[i] == 0)
            continue;
        items[count++] = value_string(arena, test->nodes[i].name);
        items[count++] = targets_names(test, grudge->drops[i], arena, VALUE_SET);
    }
    return value_items(arena, VALUE_MAP, items, count);
}

struct value grudge_value(const struct test *test, const struct grudge *grudge, struct arena *arena)
{
    struct value items[8];
    size_t count = 0;
    items[count++] = value_keyword(arena, "shape");
    items[count++] = value_keyword(arena, shape_name(grudge->shape));
    if (grudge->parts[0] != 0) {
        items[count++] = value_keyword(arena, "parts");
        items[count++] =
            value_pair(arena, targets_names(test, grudge->parts[0], arena, VALUE_VECTOR),
                       targets_names(test, grudge->parts[1], arena, VALUE_VECTOR));
    } else if (!shape_is_of_primaries(grudge->shape)) {
        items[count++] = value_keyword(arena, "drops");
        items[count++] = grudge_drops_value(test, grudge, arena);
    }
    if (grudge->bridge != 0) {
        uint32_t bridge = (uint32_t)__builtin_ctzll(grudge->bridge);
        items[count++] = value_keyword(arena, "bridge");
        items[count++] = value_string(arena, test->nodes[bridge].name);
    }
    if (grudge->packets == PACKETS_DATA) {
        items[count++] = value_keyword(arena, "packets");
        items[count++] = value_keyword(arena, "data");
    }
    return value_items(arena, VALUE_MAP, items, count);
}

static enum err_code read_parts(const struct test *test, struct value parts, struct grudge *grudge,
                                struct err *err)
{
    for (size_t i = 0; i < 2; i++) {
        enum err_code code = targets_read_names(test, value_at(parts, i), &grudge->parts[i], err);
        if (code != ERR_NONE)
            return code;
    }
    if ((grudge->parts[0] & grudge->parts[1]) != 0)
        return err_set(err, ERR_CONFIG, "the fault has a node on both sides of its cut");
    divide(test, grudge);
    return ERR_NONE;
}

enum err_code grudge_read_drops(const struct test *test, struct value drops, struct grudge *grudge,
                                struct err *err)
{
    *grudge = (struct grudge){.shape = SHAPE_MAP};
    if (value_kind(drops) != VALUE_MAP || value_count(drops) == 0)
        return err_set(err, ERR_CONFIG, "the fault does not say who drops whose packets");
    for (size_t i = 0; i < value_count(drops); i += 2) {
        uint32_t node = 0;
        enum err_code code =
            targets_find_node(test, "the fault", value_as_text(value_at(drops, i)), &node, err);
        if (code == ERR_NONE)
            code = targets_read_names(test, value_at(drops, i + 1), &grudge->drops[node], err);
        if (code != ERR_NONE)
            return code;
        if (node_in(grudge->drops[node], node))
            return err_set(err, ERR_CONFIG, "the fault has %s drop its own packets",
                           test->nodes[node].name);
    }
    return ERR_NONE;
}

enum err_code grudge_read(const struct test *test, struct value value, struct grudge *grudge,
                          struct err *err)
{
    struct grudge read = {.shape = SHAPE_COUNT};
    const char *name = value_as_text(value_get(value, "shape"));
    for (enum shape shape = 0; shape < SHAPE_COUNT; shape++)
        if (strcmp(shape_name(shape), name) == 0)
            read.shape = shape;
    if (read.shape == SHAPE_COUNT)
        return err_set(err, ERR_CONFIG, "the fault has no shape that is known: '%s'", name);
    struct value parts = value_get(value, "parts"), bridge = value_get(value, "bridge");
    enum err_code code = ERR_NONE;
    enum shape shape = read.shape;
    uint32_t node = 0;
    if (value_is_pair(parts))
        code = read_parts(test, parts, &read, err);
    else if (!shape_is_of_primaries(read.shape))
        code = grudge_read_drops(test, value_get(value, "drops"), &read, err);
    read.shape = shape;
    if (code == ERR_NONE && !value_is_nil(bridge))
        code = targets_find_node(test, "the fault's bridge", value_as_text(bridge), &node, err);
    const char *packets = value_as_text(value_get(value, "packets"));
    if (code == ERR_NONE && *packets != '\0' && strcmp(packets, "data") != 0)
        code =
            err_set(err, ERR_CONFIG, "the fault drops packets that are not known: '%s'", packets);
    if (code != ERR_NONE)
        return code;
    read.packets = *packets != '\0' ? PACKETS_DATA : PACKETS_ALL;
    read.bridge = value_is_nil(bridge) ? 0 : NODE_SET(node);
    *grudge = read;
    return ERR_NONE;
}
