/* Partitions: nodes that no longer hear each other. Who is cut from whom: grudge.h. */
#include <stdio.h>
#include <string.h>

#include "harness/base/clock.h"
#include "nemeses/cutting.h"
#include "nemeses/grudge.h"
#include "nemeses/nemeses.h"
#include "nemeses/targets.h"

static const char option_shape[] = "partition.shape", option_map[] = "partition.map",
                  option_packets[] = "partition.packets";

/* SHAPE_COUNT: random. */
static enum shape wanted_shape(const struct test *test)
{
    const char *name = option_text(&test->plan->options, option_shape);
    enum shape shape = 0;
    while (shape < SHAPE_COUNT && strcmp(shape_name(shape), name) != 0)
        shape++;
    return shape;
}

static bool fits(const struct test *test, enum shape shape)
{
    if (shape_is_of_primaries(shape) && test->plan->system->primaries == NULL)
        return false;
    return shape != SHAPE_MAP && test->node_count >= shape_nodes_min(shape);
}

static enum err_code check_map(struct test *test, enum shape shape, struct err *err)
{
    const char *map = option_text(&test->plan->options, option_map);
    struct grudge grudge;
    if (shape == SHAPE_MAP)
        return grudge_parse_map(test, option_map, map, &grudge, err);
    if (*map != '\0')
        return err_set(err, ERR_CONFIG, "%s is given but %s is %s; set it to map", option_map,
                       option_shape, option_text(&test->plan->options, option_shape));
    return ERR_NONE;
}

static enum err_code check(struct test *test, struct err *err)
{
    if (cutting_check(test, 2, err) != ERR_NONE)
        return err->code;
    enum shape shape = wanted_shape(test);
    if (shape < SHAPE_COUNT && shape_is_of_primaries(shape) &&
        test->plan->system->primaries == NULL)
        return err_set(err, ERR_CONFIG,
                       "%s=%s: the system %s cannot tell which nodes lead; choose another shape",
                       option_shape, shape_name(shape), test->plan->system->name);
    if (shape != SHAPE_COUNT && test->node_count < shape_nodes_min(shape))
        return err_set(err, ERR_CONFIG, "%s=%s needs %u nodes or more; there are %u", option_shape,
                       shape_name(shape), shape_nodes_min(shape), test->node_count);
    return check_map(test, shape, err);
}

static enum shape draw_shape(const struct test *test, struct prng *prng)
{
    enum shape fitting[SHAPE_COUNT];
    uint32_t count = 0;
    for (enum shape shape = 0; shape < SHAPE_COUNT; shape++)
        if (fits(test, shape))
            fitting[count++] = shape;
    return fitting[prng_below(prng, count)];
}

static struct value choose(struct test *test, struct prng *prng, struct arena *arena)
{
    enum shape shape = wanted_shape(test);
    struct grudge grudge = {.shape = SHAPE_MAP};
    if (shape == SHAPE_COUNT)
        shape = draw_shape(test, prng);
    if (shape != SHAPE_MAP)
        grudge_draw(test, shape, prng, &grudge);
    else if (grudge_parse_map(test, option_map, option_text(&test->plan->options, option_map),
                              &grudge, NULL) != ERR_NONE)
        grudge = (struct grudge){.shape = SHAPE_MAP}; /* not checked: begin refuses it */
    if (strcmp(option_text(&test->plan->options, option_packets), "data") == 0)
        grudge.packets = PACKETS_DATA;
    return grudge_value(test, &grudge, arena);
}

static void fault_name(const struct fault *fault, char *name, size_t size)
{
    snprintf(name, size, "partition-%u", fault->id);
}

static enum err_code resolve(struct test *test, const struct fault *fault, struct grudge *grudge,
                             struct err *err)
{
    enum err_code code = grudge_read(test, fault->asked, grudge, err);
    if (code != ERR_NONE || !shape_is_of_primaries(grudge->shape) || grudge->parts[0] != 0)
        return code;
    node_set primaries;
    code = targets_primaries(test, &primaries, err);
    return code != ERR_NONE ? code : grudge_isolate(test, primaries, grudge, err);
}

static enum err_code begin(struct test *test, struct fault *fault, struct err *err)
{
    struct grudge grudge;
    char name[32], took[32];
    int64_t in_force_ns = 0;
    fault_name(fault, name, sizeof name);
    enum err_code code = resolve(test, fault, &grudge, err);
    if (code == ERR_NONE)
        code = network_block(test, name, grudge.drops, grudge.packets, &in_force_ns, err);
    if (code != ERR_NONE)
        return err_wrap(err, "partition");
    struct err cause = ERR_INIT;
    struct buf probes = BUF_INIT;
    code = cutting_verify(test, grudge.drops, CUTTING_BEGIN_NS, &probes, &cause);
    if (code == ERR_NONE) {
        clock_format_human(in_force_ns, took, sizeof took);
        buf_printf(&fault->begun_evidence, "in force in %s; %s", took, buf_text(&probes));
        fault->begun_verified = VERIFIED_YES;
        fault->nodes = cutting_nodes_hit(test, grudge.drops);
        fault->done = value_pair(fault->arena, value_keyword(fault->arena, "isolated"),
                                 grudge_drops_value(test, &grudge, fault->arena));
    } else {
        cutting_give_up(test, name, "partition: made but not in force", code, &cause, err);
    }
    buf_free(&probes);
    return code;
}

static enum err_code end(struct test *test, struct fault *fault, struct err *err)
{
    char name[32];
    fault_name(fault, name, sizeof name);
    return cutting_end(test, fault, name, "healing the network",
                       "the partition was undone, but the network is not whole", err);
}

/* The same drops, whoever leads by then. */
static struct value repeat(const struct test *test, struct value asked, struct value done,
                           node_set nodes, struct arena *arena)
{
    (void)test, (void)nodes;
    struct value items[] = {value_keyword(arena, "shape"),   value_keyword(arena, "map"),
                            value_keyword(arena, "drops"),   value_at(done, 1),
                            value_keyword(arena, "packets"), value_get(asked, "packets")};
    return value_items(arena, VALUE_MAP, items, value_is_nil(items[5]) ? 4 : 6);
}

static const struct option options[] = {
    {"shape", OPTION_CHOICE, "random",
     "random|halves|random-halves|one|majorities-ring|bridge|minority-third|one-way|primaries|deaf-"
     "primaries|"
     "map",
     "Who is cut from whom; random: each time another of those that fit, but for map."},
    {"map", OPTION_TEXT, "", NULL,
     "With shape=map: n1:n2+n3,n4:n5 is n1 dropping packets from n2 and n3, and n4 from n5."},
    {"packets", OPTION_CHOICE, "all", "all|data",
     "data: only those that carry data; TCP's connections live on, and no message arrives."},
    {.name = NULL},
};

const struct nemesis nemesis_partition = {
    .name = "partition",
    .summary = "cuts the network between nodes, one way or both",
    .options = options,
    .begin_f = "start-partition",
    .end_f = "stop-partition",
    .hits = HITS_NETWORK,
    .repeat = repeat,
    .check = check,
    .choose = choose,
    .begin = begin,
    .end = end,
};
