/* Packets: a network that is bad rather than cut. Packets come late, get lost, come twice, out of
 * order, damaged, or slowly.
 *
 * Every fault is measured, on every path and before it too, by bursts of datagrams between the
 * nodes' agents; what was not measured as asked, within the tolerances of packets_judge.h, did not
 * happen. */
#include "harness/packets.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/base/clock.h"
#include "harness/base/text.h"
#include "nemeses/cutting.h"
#include "nemeses/grudge.h"
#include "nemeses/nemeses.h"
#include "nemeses/packets_asked.h"
#include "nemeses/packets_judge.h"
#include "nemeses/targets.h"

enum {
    PATHS_MAX = 400,      /* that are measured */
    DATAGRAMS_MAX = 4000, /* of one burst over all paths */
    PER_PATH_MAX = 60,
    PER_PATH_MIN = 20,
    RATE_BURST_BYTES = 1000,
};
static const int64_t verify_timeout_ns = 6 * NS_PER_SECOND; /* for measures to agree */
static const int64_t retry_ns = 50 * NS_PER_MS;
static const int64_t patience_ns = 150 * NS_PER_MS; /* for a path that nothing is wrong with */
static const int64_t rate_burst_ns = 200 * NS_PER_MS;

struct state {
    struct network_shape shape;
    enum shape_means means;
    node_set paths[PLAN_NODES_MAX];
    struct network_path *before, *rates_before;
    size_t count;
};

/* ---- Who ---- */

static bool is_by_map(const struct test *test)
{
    return *option_text(&test->plan->options, "packets.map") != '\0';
}

static enum err_code check_who(const struct test *test, struct err *err)
{
    struct grudge grudge;
    if (!is_by_map(test))
        return targets_check(test, "packets.targets", err);
    if (strcmp(option_text(&test->plan->options, "packets.targets"), "random") != 0)
        return err_set(err, ERR_CONFIG, "packets.map: give it or packets.targets, not both");
    return grudge_parse_map(test, "packets.map", option_text(&test->plan->options, "packets.map"),
                            &grudge, err);
}

/* ---- By which means ---- */

static enum err_code check_means(struct test *test, const char *kind, struct err *err)
{
    bool random = strcmp(kind, "random") == 0;
    enum err_code code = ERR_NONE;
    for (size_t i = 0; code == ERR_NONE && i < (random ? packets_kinds_drawn(test) : 1); i++) {
        struct network_shape shape;
        struct buf words = BUF_INIT;
        enum shape_means means;
        code = packets_shape_of(test, random ? packets_kinds[i] : kind, &shape, err);
        if (code == ERR_NONE)
            code = network_can_shape(test, &shape, packets_means(test), &means, &words, err);
        if (code != ERR_NONE && random && packets_means(test) == SHAPE_MEANS_NETEM)
            err_wrap(err, "packets.means=netem: packets.kind=%s", packets_kinds[i]);
        buf_free(&words);
    }
    return code;
}

static enum err_code check(struct test *test, struct err *err)
{
    struct network_shape shape;
    const char *kind = option_text(&test->plan->options, "packets.kind");
    enum err_code code = ERR_NONE;
    if (test->node_count < 2)
        return err_set(err, ERR_CONFIG, "it needs 2 nodes or more; there is only %u",
                       test->node_count);
    if (strcmp(kind, "random") != 0)
        code = packets_shape_of(test, kind, &shape, err);
    if (code == ERR_NONE)
        code = packets_check_amounts(test, err);
    if (code == ERR_NONE)
        code = check_who(test, err);
    return code == ERR_NONE ? check_means(test, kind, err) : code;
}

/* Both ways is drawn as often as one of them. */
static const char *draw_direction(const struct test *test, struct prng *prng)
{
    static const char *const directions[] = {"both", "both", "to", "from"};
    const char *asked = option_text(&test->plan->options, "packets.direction");
    return strcmp(asked, "random") == 0 ? directions[prng_below(prng, 4)] : asked;
}

/* The paths between the nodes and all others. */
static void paths_of(const struct test *test, node_set nodes, const char *direction,
                     node_set *paths)
{
    bool to = strcmp(direction, "from") != 0, from = strcmp(direction, "to") != 0;
    for (uint32_t i = 0; i < test->node_count; i++) {
        if (to && node_in(nodes, i))
            paths[i] |= test_all_nodes(test);
        if (from)
            paths[i] |= nodes;
        paths[i] &= ~NODE_SET(i);
    }
}

/* ---- As values ---- */

/* {:kind :delay, :shape {:delay-us 50000 ...}, :who {:targets :one, :nodes ["n2"]}, :direction
 * :both}, or in place of the last two :paths {"n1" #{"n2"}}. */
static struct value choose(struct test *test, struct prng *prng, struct arena *arena)
{
    const char *kind = option_text(&test->plan->options, "packets.kind");
    struct network_shape shape;
    struct grudge grudge;
    if (strcmp(kind, "random") == 0)
        kind = packets_kinds[prng_below(prng, packets_kinds_drawn(test))];
    if (packets_shape_of(test, kind, &shape, NULL) != ERR_NONE)
        shape = (struct network_shape){.delay_ns = 0}; /* not checked: begin refuses it */
    struct value items[8] = {value_keyword(arena, "kind"), value_keyword(arena, kind),
                             value_keyword(arena, "shape"), packets_shape_value(&shape, arena)};
    if (is_by_map(test) &&
        grudge_parse_map(test, "packets.map", option_text(&test->plan->options, "packets.map"),
                         &grudge, NULL) == ERR_NONE) {
        items[4] = value_keyword(arena, "paths");
        items[5] = grudge_drops_value(test, &grudge, arena);
        return value_items(arena, VALUE_MAP, items, 6);
    }
    items[4] = value_keyword(arena, "who");
    items[5] = targets_choose(test, "packets.targets", prng, arena);
    items[6] = value_keyword(arena, "direction");
    items[7] = value_keyword(arena, draw_direction(test, prng));
    return value_items(arena, VALUE_MAP, items, 8);
}

static enum err_code resolve(struct test *test, struct value asked, struct state *state,
                             struct err *err)
{
    struct value paths = value_get(asked, "paths");
    struct grudge grudge;
    node_set nodes = 0;
    enum err_code code = packets_read_shape(value_get(asked, "shape"), &state->shape, err);
    if (code != ERR_NONE)
        return code;
    if (!value_is_nil(paths)) {
        code = grudge_read_drops(test, paths, &grudge, err);
        if (code == ERR_NONE)
            memcpy(state->paths, grudge.drops, sizeof state->paths);
        return code;
    }
    code = targets_resolve(test, value_get(asked, "who"), &nodes, err);
    if (code == ERR_NONE)
        paths_of(test, nodes, value_as_text(value_get(asked, "direction")), state->paths);
    return code;
}

/* ---- Measuring ---- */

static size_t paths_max(const struct test *test)
{
    return 2 * (size_t)test->node_count * test->node_count;
}

static struct network_burst burst_for(const struct test *test, const struct network_shape *shape)
{
    uint32_t paths = (uint32_t)paths_max(test);
    uint32_t count = DATAGRAMS_MAX / (paths < PATHS_MAX ? paths : PATHS_MAX);
    int64_t slowest_ns = shape->delay_ns + 5 * shape->jitter_ns + shape->reorder_ns;
    count = count > PER_PATH_MAX ? PER_PATH_MAX : count < PER_PATH_MIN ? PER_PATH_MIN : count;
    return (struct network_burst){.count = count,
                                  .echo = true,
                                  .patience_ns = patience_ns + 2 * slowest_ns,
                                  .to_the_end = shape->duplicate != 0,
                                  .paths_max = PATHS_MAX};
}

/* Large datagrams over the shaped paths alone, as much as takes a while at that rate. */
static struct network_burst rate_burst(const struct state *state)
{
    int64_t count = state->shape.rate_bps / 8 * rate_burst_ns / NS_PER_SECOND / RATE_BURST_BYTES;
    return (struct network_burst){.count = count < 10    ? 10
                                           : count > 400 ? 400
                                                         : (uint32_t)count,
                                  .size = RATE_BURST_BYTES,
                                  .only = state->paths,
                                  .patience_ns = patience_ns + 3 * rate_burst_ns +
                                                 state->shape.delay_ns + 5 * state->shape.jitter_ns,
                                  .paths_max = PATHS_MAX};
}

static int64_t lower(int64_t left, int64_t right)
{
    return left < right ? left : right;
}

/* The first measuring after a while is late, as caches and sleeping machines have it: the quicker
 * of two counts. */
static void keep_quicker(struct network_path *kept, const struct network_path *path)
{
    if (path->echoes == 0)
        return;
    kept->trip_min_ns = lower(kept->trip_min_ns, path->trip_min_ns);
    kept->trip_p10_ns = lower(kept->trip_p10_ns, path->trip_p10_ns);
    kept->trip_median_ns = lower(kept->trip_median_ns, path->trip_median_ns);
    kept->trip_p90_ns = lower(kept->trip_p90_ns, path->trip_p90_ns);
    kept->bad_check_sums = path->bad_check_sums; /* the last count */
}

/* Twice, and nothing may be wrong with any path. */
static enum err_code measure_trips(struct test *test, struct state *state,
                                   struct network_path *room, struct err *err)
{
    static const struct network_shape none;
    struct network_burst burst = burst_for(test, &none);
    enum err_code code = ERR_NONE;
    for (int i = 0; i < 2 && code == ERR_NONE; i++) {
        struct buf line = BUF_INIT;
        struct network_path *paths = i == 0 ? state->before : room;
        code = network_measure(test, &burst, paths, &state->count, err);
        if (code == ERR_NONE)
            code = packets_judge(test, NULL, NULL, NULL, paths, state->count, &line, err);
        buf_free(&line);
    }
    for (size_t i = 0; i < state->count && code == ERR_NONE; i++)
        keep_quicker(&state->before[i], &room[i]);
    return code;
}

static enum err_code measure_before(struct test *test, struct fault *fault, struct err *err)
{
    struct state *state = fault->state;
    size_t bytes = paths_max(test) * sizeof *state->before, count;
    state->before = arena_zalloc(fault->arena, bytes);
    state->rates_before = arena_zalloc(fault->arena, bytes);
    int64_t deadline_ns = test_now_ns(test) + verify_timeout_ns;
    for (;;) {
        enum err_code code = measure_trips(test, state, state->rates_before, err);
        if (code == ERR_NONE && state->shape.rate_bps != 0) {
            struct network_burst burst = rate_burst(state);
            code = network_measure(test, &burst, state->rates_before, &count, err);
        }
        if (code == ERR_NONE || test_now_ns(test) >= deadline_ns || test_cancelled(test))
            return code != ERR_NONE ? err_wrap(err, "packets: before the fault") : code;
        clock_sleep_ns(retry_ns);
    }
}

static enum err_code look(struct test *test, struct state *state, const struct network_shape *shape,
                          struct network_path *paths, struct buf *line, struct err *err)
{
    static const struct network_shape none;
    size_t count = 0;
    struct network_burst burst = burst_for(test, shape != NULL ? shape : &none);
    enum err_code code = network_measure(test, &burst, paths, &count, err);
    if (code == ERR_NONE)
        code = packets_judge(test, shape, state->paths, state->before, paths, count, line, err);
    if (code != ERR_NONE || shape == NULL || shape->rate_bps == 0)
        return code;
    burst = rate_burst(state);
    code = network_measure(test, &burst, paths, &count, err);
    return code == ERR_NONE ? packets_judge_rate(test, shape->rate_bps, state->rates_before, paths,
                                                 count, line, err)
                            : code;
}

/* Looks until what is measured is what `shape` (NULL: nothing) asks for. Beside a busy system it
 * may take several looks; how many is told. */
static enum err_code verify(struct test *test, struct state *state,
                            const struct network_shape *shape, struct buf *evidence,
                            struct err *err)
{
    int64_t deadline_ns = test_now_ns(test) + verify_timeout_ns;
    struct network_path *paths = malloc(paths_max(test) * sizeof *paths);
    if (paths == NULL)
        return err_set(err, ERR_NOMEM, "no memory for %zu paths", paths_max(test));
    enum err_code code;
    for (int looks = 1;; looks++) {
        struct buf line = BUF_INIT;
        code = look(test, state, shape, paths, &line, err);
        if (code == ERR_NONE)
            buf_add_text(evidence, buf_text(&line));
        if (code == ERR_NONE && looks > 1)
            buf_printf(evidence, "; at look %d", looks);
        buf_free(&line);
        if (code == ERR_NONE || test_now_ns(test) >= deadline_ns || test_cancelled(test))
            break;
        clock_sleep_ns(retry_ns);
    }
    free(paths);
    return code;
}

/* ---- Injecting ---- */

static void fault_name(const struct fault *fault, char *name, size_t size)
{
    snprintf(name, size, "packets-%u", fault->id);
}

static node_set nodes_hit(const struct test *test, const struct state *state)
{
    node_set nodes = 0;
    for (uint32_t i = 0; i < test->node_count; i++)
        nodes |= state->paths[i] | (state->paths[i] != 0 ? NODE_SET(i) : 0);
    return nodes;
}

static void tell(struct test *test, struct fault *fault, int64_t in_force_ns,
                 const struct buf *means, const struct buf *measured)
{
    struct state *state = fault->state;
    struct grudge grudge = {.shape = SHAPE_MAP};
    char took[32];
    memcpy(grudge.drops, state->paths, sizeof grudge.drops);
    clock_format_human(in_force_ns, took, sizeof took);
    buf_printf(&fault->begun_evidence, "in force in %s, %s; %s", took, buf_text(means),
               buf_text(measured));
    fault->begun_verified = VERIFIED_YES;
    fault->nodes = nodes_hit(test, state);
    /* A map, and not the pair that tells of a cut: who is shaped may still be in a majority. */
    struct value items[] = {value_keyword(fault->arena, "shaped"),
                            grudge_drops_value(test, &grudge, fault->arena)};
    fault->done = value_items(fault->arena, VALUE_MAP, items, 2);
}

static enum err_code begin_by(struct test *test, struct fault *fault, const struct buf *means,
                              struct err *err)
{
    enum err_code code;
    struct state *state = fault->state;
    char name[32];
    int64_t in_force_ns = 0;
    fault_name(fault, name, sizeof name);
    code = measure_before(test, fault, err);
    if (code != ERR_NONE)
        return code;
    code = network_shape(test, name, state->paths, &state->shape, state->means, &in_force_ns, err);
    if (code != ERR_NONE)
        return err_wrap(err, "packets");
    struct err cause = ERR_INIT;
    struct buf measured = BUF_INIT;
    code = verify(test, state, &state->shape, &measured, &cause);
    if (code == ERR_NONE)
        tell(test, fault, in_force_ns, means, &measured);
    else
        cutting_give_up(test, name, "packets: made but not measured", code, &cause, err);
    buf_free(&measured);
    return code;
}

static enum err_code begin(struct test *test, struct fault *fault, struct err *err)
{
    struct state *state = fault->state;
    struct buf means = BUF_INIT;
    enum err_code code = resolve(test, fault->asked, state, err);
    if (code == ERR_NONE)
        code =
            network_can_shape(test, &state->shape, packets_means(test), &state->means, &means, err);
    code = code != ERR_NONE ? err_wrap(err, "packets") : begin_by(test, fault, &means, err);
    buf_free(&means);
    return code;
}

static enum err_code end(struct test *test, struct fault *fault, struct err *err)
{
    char name[32];
    fault_name(fault, name, sizeof name);
    enum err_code code = cutting_undo(test, name, err);
    if (code != ERR_NONE)
        return err_wrap(err, "letting packets pass");
    code = verify(test, fault->state, NULL, &fault->ended_evidence, err);
    if (code != ERR_NONE)
        return err_wrap(err, "packets are no longer shaped, but the network is not as it was");
    fault->ended_verified = VERIFIED_YES;
    return ERR_NONE;
}

/* The same paths, whoever leads by then. */
static struct value repeat(const struct test *test, struct value asked, struct value done,
                           node_set nodes, struct arena *arena)
{
    (void)test, (void)nodes;
    struct value items[] = {value_keyword(arena, "kind"),  value_get(asked, "kind"),
                            value_keyword(arena, "shape"), value_get(asked, "shape"),
                            value_keyword(arena, "paths"), value_get(done, "shaped")};
    return value_items(arena, VALUE_MAP, items, 6);
}

static const struct option options[] = {
    {"kind", OPTION_TEXT, "random", NULL,
     "delay, loss, duplicate, reorder, corrupt, rate, some of them joined by +, or random: each "
     "time another."},
    {"means", OPTION_CHOICE, "auto", "auto|netem|queue",
     "By the kernel's tc netem (a rate alone by tc tbf) where packets leave, or by queueing them "
     "for the agent where they arrive; auto: by tc where all nodes have it."},
    {"targets", OPTION_TEXT, "random", NULL, TARGETS_HELP},
    {"direction", OPTION_CHOICE, "random", "random|both|to|from",
     "Packets between the targets and all others: both ways, or only those to or from the "
     "targets."},
    {"map", OPTION_TEXT, "", NULL,
     "In place of targets: n1:n2+n3,n4:n5 is what comes to n1 from n2 and n3, and to n4 from n5."},
    {"delay", OPTION_DURATION, "50ms", NULL, "How late packets come."},
    {"jitter", OPTION_DURATION, "10ms", NULL, "How much that varies: see packets.distribution."},
    {"distribution", OPTION_CHOICE, "normal", "uniform|normal|pareto",
     "Of the delay: within jitter to both sides, or with jitter as the standard deviation."},
    {"loss", OPTION_REAL, "0.2", NULL, "The share of packets that is lost."},
    {"duplicate", OPTION_REAL, "0.2", NULL, "The share of packets that comes twice."},
    {"reorder", OPTION_REAL, "0.2", NULL, "The share of packets that is held back and overtaken."},
    {"reorder-by", OPTION_DURATION, "30ms", NULL, "How long those are held back."},
    {"corrupt", OPTION_REAL, "0.1", NULL,
     "The share of packets of which a bit is flipped, as the receiver's check sums notice."},
    {"rate", OPTION_INT, "1000000", NULL, "The bandwidth from each node, in bits a second."},
    {.name = NULL},
};

const struct nemesis nemesis_packets = {
    .name = "packets",
    .summary = "delays, loses, doubles, reorders, damages packets, or narrows the bandwidth",
    .options = options,
    .begin_f = "start-packets",
    .end_f = "stop-packets",
    .fault_state_size = sizeof(struct state),
    .hits = HITS_NETWORK,
    .repeat = repeat,
    .check = check,
    .choose = choose,
    .begin = begin,
    .end = end,
};
