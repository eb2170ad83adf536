/* Shaping packets and measuring paths through the nodes' agents: see packets.h. */
#include "harness/packets.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/base/clock.h"
#include "harness/control.h"

#define LOOK_NS (20 * NS_PER_MS)
#define WAVE_NS                                                                                    \
    (4 * NS_PER_MS) /* for a burst to be heard and answered: beside others it is late              \
                     */

const char *const spread_names[] = {"uniform", "normal", "pareto", NULL};
const char *const shape_means_names[] = {"auto", "netem", "queue", NULL};

/* ---- Dropping ---- */

enum err_code network_can_block(struct test *test, struct err *err)
{
    struct arena arena = ARENA_INIT;
    enum err_code code = ERR_NONE;
    for (uint32_t i = 0; i < test->node_count && code == ERR_NONE; i++) {
        struct agents *agents = test->control->agents;
        const char *firewall = agents_hello(agents, i, "firewall", &arena);
        const char *reason = agents_hello(agents, i, "reason", &arena);
        if (firewall == NULL || strcmp(firewall, "none") == 0)
            code = err_set(err, ERR_UNSUPPORTED,
                           "%s cannot drop packets: no packet filter works there: %s",
                           test->nodes[i].name, reason != NULL ? reason : "it does not say why");
    }
    arena_free(&arena);
    return code;
}

/* ---- Shaping ---- */

static void add_share(struct buf *request, const char *key, double share)
{
    if (share > 0)
        line_key_int(request, key, (int64_t)(share * 1e6 + 0.5));
}

static void add_shape(struct buf *request, const struct network_shape *shape)
{
    line_key_int(request, "delay_us", shape->delay_ns / NS_PER_US);
    line_key_int(request, "jitter_us", shape->jitter_ns / NS_PER_US);
    line_key(request, "distribution", spread_names[shape->spread]);
    add_share(request, "loss_ppm", shape->loss);
    add_share(request, "duplicate_ppm", shape->duplicate);
    add_share(request, "corrupt_ppm", shape->corrupt);
    add_share(request, "reorder_ppm", shape->reorder);
    line_key_int(request, "reorder_us", shape->reorder_ns / NS_PER_US);
    line_key_int(request, "rate_bps", shape->rate_bps);
}

/* Whether all nodes said yes; else ERR_UNSUPPORTED. */
static enum err_code all_can(const struct test *test, const struct control_calls *calls,
                             const char *means, struct err *err)
{
    for (size_t i = 0; i < calls->count; i++) {
        const char *can = line_get(&calls->items[i].reply.line, means);
        if (can == NULL || strcmp(can, "yes") != 0)
            return err_set(err, ERR_UNSUPPORTED, "%s cannot: %s",
                           test->nodes[calls->items[i].node].name,
                           can != NULL ? can : "it does not say why");
    }
    return ERR_NONE;
}

static bool is_rate_alone(const struct network_shape *shape)
{
    return shape->rate_bps != 0 && shape->delay_ns == 0 && shape->loss == 0 &&
           shape->duplicate == 0 && shape->corrupt == 0 && shape->reorder == 0;
}

/* Of what the nodes can. */
static enum err_code choose_means(const struct test *test, const struct control_calls *calls,
                                  const struct network_shape *shape, enum shape_means asked,
                                  enum shape_means *chosen, struct buf *words, struct err *err)
{
    struct err no_netem = ERR_INIT, no_queue = ERR_INIT;
    enum err_code netem = all_can(test, calls, "netem", &no_netem),
                  queue = all_can(test, calls, "queue", &no_queue);
    if (asked != SHAPE_MEANS_QUEUE && netem == ERR_NONE) {
        *chosen = SHAPE_MEANS_NETEM;
        buf_printf(words, "tc %s where they leave", is_rate_alone(shape) ? "tbf" : "netem");
        return ERR_NONE;
    }
    if (asked == SHAPE_MEANS_NETEM)
        return err_set(err, netem, "%s", no_netem.message);
    if (queue != ERR_NONE)
        return asked == SHAPE_MEANS_QUEUE
                   ? err_set(err, queue, "%s", no_queue.message)
                   : err_set(err, queue, "%s; nor by tc: %s", no_queue.message, no_netem.message);
    *chosen = SHAPE_MEANS_QUEUE;
    buf_add_text(words, "packets queued for the agents (NFQUEUE");
    if (asked == SHAPE_MEANS_AUTO)
        buf_printf(words, "; not tc, for %s", no_netem.message);
    buf_add_char(words, ')');
    return ERR_NONE;
}

enum err_code network_can_shape(struct test *test, const struct network_shape *shape,
                                enum shape_means asked, enum shape_means *chosen, struct buf *words,
                                struct err *err)
{
    struct control_calls calls = {.items = NULL};
    for (uint32_t i = 0; i < test->node_count; i++) {
        struct agent_call *call = control_calls_add(&calls, i, "shape-means");
        line_key(&call->request, "id", "means");
        control_add_addresses(test, call, "to", test_all_nodes(test) & ~NODE_SET(i));
        add_shape(&call->request, shape);
    }
    enum err_code code = control_calls_make(test, &calls, err);
    if (code == ERR_NONE)
        code = choose_means(test, &calls, shape, asked, chosen, words, err);
    control_calls_free(&calls);
    return code;
}

/* The nodes that node i sends shaped packets to. */
static node_set shaped_targets(const struct test *test, const node_set *paths, uint32_t i)
{
    node_set targets = 0;
    for (uint32_t target = 0; target < test->node_count; target++)
        if (node_in(paths[target], i))
            targets |= NODE_SET(target);
    return targets;
}

enum err_code network_shape(struct test *test, const char *id, const node_set *paths,
                            const struct network_shape *shape, enum shape_means means,
                            int64_t *in_force_ns, struct err *err)
{
    struct control_calls calls = {.items = NULL};
    bool out = means == SHAPE_MEANS_NETEM;
    for (uint32_t i = 0; i < test->node_count; i++) {
        node_set others = out ? shaped_targets(test, paths, i) : paths[i];
        if (others == 0)
            continue;
        struct agent_call *call = control_calls_add(&calls, i, "fault-shape");
        line_key(&call->request, "id", id);
        line_key(&call->request, "means", shape_means_names[means]);
        control_add_addresses(test, call, out ? "to" : "from", others);
        add_shape(&call->request, shape);
    }
    return control_calls_inject(test, &calls, id, in_force_ns, err);
}

/* ---- One port ---- */

enum err_code network_block_port(struct test *test, const char *id, const node_set *drops,
                                 const char *protocol, uint16_t port, int64_t *in_force_ns,
                                 struct err *err)
{
    struct control_calls calls = {.items = NULL};
    for (uint32_t i = 0; i < test->node_count; i++) {
        if (drops[i] == 0)
            continue;
        struct agent_call *call = control_calls_add(&calls, i, "fault-block");
        line_key(&call->request, "id", id);
        control_add_addresses(test, call, "from", drops[i]);
        line_key(&call->request, "proto", protocol);
        line_key_int(&call->request, "port", port);
    }
    return control_calls_inject(test, &calls, id, in_force_ns, err);
}

enum err_code network_count_dropped(struct test *test, const char *id, const node_set *drops,
                                    struct network_dropped *dropped, struct err *err)
{
    struct control_calls calls = {.items = NULL};
    *dropped = (struct network_dropped){.packets = 0};
    for (uint32_t i = 0; i < test->node_count; i++)
        if (drops[i] != 0)
            line_key(&control_calls_add(&calls, i, "fault-counters")->request, "id", id);
    enum err_code code = control_calls_make(test, &calls, err);
    for (size_t i = 0; i < calls.count && code == ERR_NONE; i++) {
        uint32_t cursor = 0;
        for (const char *text;
             (text = line_next(&calls.items[i].reply.line, "packets", &cursor));) {
            uint64_t packets = strtoull(text, NULL, 10);
            dropped->packets += packets;
            dropped->links += packets > 0;
            dropped->of_links++;
        }
    }
    control_calls_free(&calls);
    return code;
}

/* ---- Measuring ---- */

/* The bursts of one measuring: that of path i has the number first + i. */
struct runs {
    struct network_path *paths;
    size_t count;
    uint64_t first;
    uint16_t ports[PLAN_NODES_MAX];
};

static size_t list_paths(const struct test *test, const struct network_burst *burst,
                         struct network_path *paths)
{
    size_t count = 0;
    for (uint32_t source = 0; source < test->node_count; source++)
        for (uint32_t target = 0; target < test->node_count; target++)
            for (int six = 0; six < 2; six++) {
                if (source == target ||
                    (burst->only != NULL && !node_in(burst->only[target], source)))
                    continue;
                if (six && (test->nodes[source].peer_address6 == NULL ||
                            test->nodes[target].peer_address6 == NULL))
                    continue;
                paths[count++] =
                    (struct network_path){.source = source, .target = target, .six = six != 0};
            }
    if (burst->paths_max == 0 || count <= burst->paths_max)
        return count;
    for (size_t i = 0; i < burst->paths_max; i++)
        paths[i] = paths[i * count / burst->paths_max];
    return burst->paths_max;
}

static enum err_code listen(struct test *test, uint16_t *ports, struct err *err)
{
    struct control_calls calls = {.items = NULL};
    for (uint32_t i = 0; i < test->node_count; i++)
        control_calls_add(&calls, i, "gauge-listen");
    enum err_code code = control_calls_make(test, &calls, err);
    for (size_t i = 0; i < calls.count && code == ERR_NONE; i++)
        ports[i] = (uint16_t)line_get_int(&calls.items[i].reply.line, "port", 0);
    control_calls_free(&calls);
    return code;
}

/* In which wave a path's burst is sent: each node sends to one other at a time. */
static uint32_t wave_of(const struct test *test, const struct network_path *path)
{
    uint32_t n = test->node_count;
    return 2 * ((path->target + n - path->source) % n) + path->six;
}

static enum err_code send_wave(struct test *test, const struct network_burst *burst, uint32_t wave,
                               struct runs *runs, struct err *err)
{
    struct control_calls calls = {.items = NULL};
    for (size_t i = 0; i < runs->count; i++) {
        const struct network_path *path = &runs->paths[i];
        const struct node *target = &test->nodes[path->target];
        if (wave_of(test, path) != wave)
            continue;
        struct buf *request = &control_calls_add(&calls, path->source, "gauge-send")->request;
        line_key(request, "to", path->six ? target->peer_address6 : node_peer_address(target));
        line_key_int(request, "port", runs->ports[path->target]);
        line_key_int(request, "run", (int64_t)(runs->first + i));
        line_key_int(request, "count", burst->count);
        line_key_int(request, "size", burst->size);
        line_key_int(request, "echo", burst->echo);
    }
    bool any = calls.count > 0;
    enum err_code code = control_calls_make(test, &calls, err);
    for (size_t i = 0, call = 0; i < runs->count && code == ERR_NONE; i++)
        if (wave_of(test, &runs->paths[i]) == wave)
            runs->paths[i].sent =
                (uint32_t)line_get_int(&calls.items[call++].reply.line, "sent", 0);
    control_calls_free(&calls);
    if (any)
        clock_sleep_ns(WAVE_NS);
    return code;
}

static void read_arrivals(const struct line *reply, struct network_path *path)
{
    path->unique = (uint32_t)line_get_int(reply, "unique", 0);
    path->duplicates = (uint32_t)line_get_int(reply, "duplicates", 0);
    path->overtaken = (uint32_t)line_get_int(reply, "overtaken", 0);
    path->bytes = (uint64_t)line_get_int(reply, "bytes", 0);
    path->span_ns = line_get_int(reply, "span_ns", 0);
    path->bad_check_sums = line_get_int(reply, "checksum_errors", 0);
}

static void read_echoes(const struct line *reply, struct network_path *path)
{
    path->echoes = (uint32_t)line_get_int(reply, "echoes", 0);
    path->trip_min_ns = line_get_int(reply, "trip_min_ns", -1);
    path->trip_p10_ns = line_get_int(reply, "trip_p10_ns", -1);
    path->trip_median_ns = line_get_int(reply, "trip_median_ns", -1);
    path->trip_p90_ns = line_get_int(reply, "trip_p90_ns", -1);
}

static enum err_code read_runs(struct test *test, struct runs *runs, struct err *err)
{
    struct network_path *paths = runs->paths;
    size_t count = runs->count;
    struct control_calls calls = {.items = NULL};
    for (size_t i = 0; i < count; i++) {
        line_key_int(&control_calls_add(&calls, paths[i].target, "gauge-read")->request, "run",
                     (int64_t)(runs->first + i));
        line_key_int(&control_calls_add(&calls, paths[i].source, "gauge-read")->request, "run",
                     (int64_t)(runs->first + i));
    }
    enum err_code code = control_calls_make(test, &calls, err);
    for (size_t i = 0; i < count && code == ERR_NONE; i++) {
        read_arrivals(&calls.items[2 * i].reply.line, &paths[i]);
        read_echoes(&calls.items[2 * i + 1].reply.line, &paths[i]);
    }
    control_calls_free(&calls);
    return code;
}

static bool all_are_back(const struct network_burst *burst, const struct runs *runs)
{
    for (size_t i = 0; i < runs->count; i++)
        if (runs->paths[i].unique < runs->paths[i].sent ||
            (burst->echo && runs->paths[i].echoes < runs->paths[i].sent))
            return false;
    return true;
}

enum err_code network_measure(struct test *test, const struct network_burst *burst,
                              struct network_path *paths, size_t *count, struct err *err)
{
    struct runs runs = {.paths = paths, .count = list_paths(test, burst, paths)};
    runs.first = 1 + atomic_fetch_add(&test->control->next_run, (unsigned)runs.count);
    enum err_code code = listen(test, runs.ports, err);
    for (uint32_t wave = 0; wave < 2 * test->node_count && code == ERR_NONE; wave++)
        code = send_wave(test, burst, wave, &runs, err);
    int64_t deadline_ns = clock_monotonic_ns() + burst->patience_ns;
    bool late = false;
    while (code == ERR_NONE) {
        code = read_runs(test, &runs, err);
        if (late || code != ERR_NONE || (!burst->to_the_end && all_are_back(burst, &runs)))
            break;
        clock_sleep_ns(LOOK_NS);
        late = clock_monotonic_ns() >= deadline_ns; /* and one look more */
    }
    *count = runs.count;
    return code;
}
