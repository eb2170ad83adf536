/* A cluster in memory: see fake_control.h. */
#include "tests/lib/fake_control.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/base/clock.h"
#include "harness/packets.h"
#include "tests/lib/test.h"

static const char *const daemon_names[FAKE_DAEMONS + 1] = {"db", "proxy", NULL};

static struct fake_control *fake_of(const struct test *test)
{
    return (struct fake_control *)test->control;
}

/* Writes a call down; ERR_REMOTE when the script wants it to fail. */
static enum err_code called(struct fake_control *fake, const char *function, node_set nodes,
                            const char *what, struct err *err)
{
    fake->call_count++;
    buf_printf(&fake->calls, "%s", function);
    if (*what != '\0')
        buf_printf(&fake->calls, " %s", what);
    if (nodes != 0) {
        buf_add_char(&fake->calls, ' ');
        test_print_nodes(&fake->test, nodes, &fake->calls);
    }
    buf_add_char(&fake->calls, '\n');
    bool fails = fake->call_count == fake->fail_at ||
                 (fake->fail_always != NULL && strcmp(fake->fail_always, function) == 0);
    return fails ? err_set(err, ERR_REMOTE, "scripted failure of %s", function) : ERR_NONE;
}

/* On which of the nodes a call acts, given how it ends. */
static node_set reach(const struct fake_control *fake, node_set nodes, enum err_code code)
{
    if (code == ERR_NONE)
        return nodes;
    return fake->fail_halfway ? nodes & -nodes : 0;
}

static int daemon_index(const char *name)
{
    for (int d = 0; d < FAKE_DAEMONS; d++)
        if (strcmp(daemon_names[d], name) == 0)
            return d;
    return -1;
}

/* The cluster whose clock a sleep moves. */
static struct fake_control *newest;

void clock_sleep_ns(int64_t duration_ns)
{
    newest->now_ns += duration_ns;
}

/* ---- harness/test.h ---- */

int64_t test_now_ns(const struct test *test)
{
    return fake_of(test)->now_ns;
}

void test_print_nodes(const struct test *test, node_set set, struct buf *out)
{
    const char *before = "";
    for (uint32_t i = 0; i < test->node_count; i++)
        if (node_in(set, i)) {
            buf_printf(out, "%s%s", before, test->nodes[i].name);
            before = ", ";
        }
}

void test_note_failure(struct test *test, uint32_t node, const char *command, int status,
                       const char *said)
{
    (void)test, (void)node, (void)command, (void)status, (void)said;
}

void test_log(const struct test *test, const char *format, ...)
{
    (void)test, (void)format;
}

bool test_cancelled(const struct test *test)
{
    return fake_of(test)->cancelled;
}

enum err_code test_shell(struct test *test, node_set nodes, struct err *err, const char *format,
                         ...)
{
    return called(fake_of(test), "test_shell", nodes, format, err);
}

enum err_code test_shell_output(struct test *test, uint32_t node, struct buf *out, int *status,
                                struct err *err, const char *format, ...)
{
    buf_add_text(out, fake_of(test)->output);
    enum err_code code = called(fake_of(test), "test_shell_output", NODE_SET(node), format, err);
    if (code == ERR_NONE && status != NULL)
        *status = 0;
    return code;
}

enum err_code test_write_file(struct test *test, uint32_t node, const char *path, const char *text,
                              unsigned mode, struct err *err)
{
    (void)text, (void)mode;
    return called(fake_of(test), "test_write_file", NODE_SET(node), path, err);
}

enum err_code test_upload_file(struct test *test, node_set nodes, const char *local_path,
                               const char *path, unsigned mode, struct err *err)
{
    (void)local_path, (void)mode;
    return called(fake_of(test), "test_upload_file", nodes, path, err);
}

enum err_code test_fetch_file(struct test *test, uint32_t node, const char *remote_path,
                              const char *local_path, struct err *err)
{
    (void)local_path;
    return called(fake_of(test), "test_fetch_file", NODE_SET(node), remote_path, err);
}

enum err_code daemon_start(struct test *test, uint32_t node, const struct daemon_spec *spec,
                           struct err *err)
{
    struct fake_control *fake = fake_of(test);
    enum daemon_state *state = &fake->daemons[node][daemon_index(spec->name)];
    enum err_code code = called(fake, "daemon_start", NODE_SET(node), spec->name, err);
    if (code == ERR_NONE && node_in(fake->away, node))
        code = err_set(err, ERR_REMOTE, "%s is down", test->nodes[node].name);
    if (code != ERR_NONE)
        return code;
    if (node_in(fake->dark | fake->hanging, node))
        return err_set(err, ERR_REMOTE, "%s: its disk does not work", test->nodes[node].name);
    if (*state == DAEMON_RUNNING || *state == DAEMON_PAUSED)
        return err_set(err, ERR_REMOTE, "%s: %s runs already", test->nodes[node].name, spec->name);
    *state = DAEMON_RUNNING;
    fake->looks = 0;
    return ERR_NONE;
}

void daemon_environment(struct test *test, const char *pair)
{
    called(fake_of(test), "daemon_environment", 0, pair, NULL);
}

enum err_code daemon_stop(struct test *test, node_set nodes, const char *name, int64_t grace_ns,
                          struct err *err)
{
    (void)grace_ns;
    struct fake_control *fake = fake_of(test);
    enum err_code code = called(fake, "daemon_stop", nodes, name, err);
    node_set reached = reach(fake, nodes, code);
    for (uint32_t i = 0; i < test->node_count; i++)
        if (node_in(reached, i))
            fake->daemons[i][daemon_index(name)] = DAEMON_EXITED;
    return code;
}

enum err_code daemon_end(struct test *test, node_set nodes, const char *name, int64_t grace_ns,
                         struct buf *evidence, struct err *err)
{
    struct fake_control *fake = fake_of(test);
    enum err_code code = called(fake, "daemon_end", nodes, name, err);
    node_set reached = reach(fake, nodes, code);
    if (grace_ns <= 0 || (code == ERR_NONE && nodes == 0))
        return err_set(err, ERR_CONFIG, "the script gives no grace, or hits nobody");
    for (uint32_t i = 0; i < test->node_count; i++)
        if (node_in(reached, i)) {
            fake->daemons[i][daemon_index(name)] = DAEMON_EXITED;
            buf_printf(evidence, "%s: %s ended\n", test->nodes[i].name, name);
        }
    return code;
}

enum err_code daemon_states(struct test *test, node_set nodes, const char *name,
                            enum daemon_state *states, struct err *err)
{
    struct fake_control *fake = fake_of(test);
    enum err_code code = called(fake, "daemon_states", nodes, name, err);
    for (uint32_t i = 0; i < test->node_count && code == ERR_NONE; i++) {
        if (!node_in(nodes, i))
            continue;
        enum daemon_state *now = &fake->daemons[i][daemon_index(name)];
        if (fake->exit_after != 0 && *now == DAEMON_RUNNING && ++fake->looks >= fake->exit_after)
            *now = DAEMON_EXITED;
        states[i] = fake->by_process_name ? DAEMON_NONE : *now;
    }
    return code;
}

enum err_code daemon_status(struct test *test, uint32_t node, const char *name,
                            enum daemon_state *state, struct err *err)
{
    enum daemon_state states[PLAN_NODES_MAX];
    enum err_code code = daemon_states(test, NODE_SET(node), name, states, err);
    if (code == ERR_NONE)
        *state = states[node];
    return code;
}

/* A signal to a daemon that is not there is refused, as by the kernel. */
static enum err_code signal_one(struct fake_control *fake, uint32_t node, int daemon,
                                const char *signal, struct err *err)
{
    enum daemon_state *state = &fake->daemons[node][daemon];
    if (*state != DAEMON_RUNNING && *state != DAEMON_PAUSED)
        return err_set(err, ERR_REMOTE, "%s: %s does not run", fake->nodes[node].name,
                       daemon_names[daemon]);
    if (strcmp(signal, "KILL") == 0)
        *state = DAEMON_EXITED;
    else
        *state = strcmp(signal, "STOP") == 0 ? DAEMON_PAUSED : DAEMON_RUNNING;
    return ERR_NONE;
}

enum err_code daemon_signal(struct test *test, node_set nodes, const char *name, const char *signal,
                            struct buf *evidence, struct err *err)
{
    struct fake_control *fake = fake_of(test);
    char what[64];
    snprintf(what, sizeof what, "%s %s", signal, name);
    enum err_code code = called(fake, "daemon_signal", nodes, what, err);
    node_set reached = reach(fake, nodes, code);
    for (uint32_t i = 0; i < test->node_count; i++) {
        if (!node_in(reached, i))
            continue;
        enum err_code one =
            signal_one(fake, i, daemon_index(name), signal, code == ERR_NONE ? err : NULL);
        code = code == ERR_NONE ? one : code;
        if (evidence != NULL)
            buf_printf(evidence, "%s: %s has got SIG%s\n", test->nodes[i].name, name, signal);
    }
    return code;
}

enum err_code disk_give(struct test *test, node_set nodes, const char *path,
                        const char *file_system, struct err *err)
{
    if (strcmp(file_system, "ext4") != 0 && strcmp(file_system, "xfs") != 0 &&
        strcmp(file_system, "strict") != 0)
        return err_set(err, ERR_CONFIG, "there is no file system %s", file_system);
    return called(fake_of(test), "disk_give", nodes, path, err);
}

/* The last one that begins is the one that all have. */
enum err_code disk_fault_begin(struct test *test, node_set nodes, const char *path, const char *id,
                               const struct disk_fault *fault, struct buf *evidence,
                               struct err *err)
{
    (void)path;
    char what[64];
    struct fake_control *fake = fake_of(test);
    snprintf(what, sizeof what, "%s %s", id, fault->io);
    enum err_code code = called(fake, "disk_fault_begin", nodes, what, err);
    fake->failing |= reach(fake, nodes, code);
    if (code == ERR_NONE)
        buf_printf(evidence, "%s was seen", fault->io);
    return code;
}

enum err_code disk_fault_end(struct test *test, node_set nodes, const char *id,
                             struct buf *evidence, struct err *err)
{
    struct fake_control *fake = fake_of(test);
    enum err_code code = called(fake, "disk_fault_end", nodes, id, err);
    fake->failing &= ~reach(fake, nodes, code);
    buf_add_text(evidence, "they work again");
    return code;
}

enum err_code disk_remember(struct test *test, node_set nodes, const char *path, const char *files,
                            const char *id, struct err *err)
{
    (void)path, (void)files;
    return called(fake_of(test), "disk_remember", nodes, id, err);
}

enum err_code disk_damage(struct test *test, node_set nodes, const char *path, const char *id,
                          const struct disk_damage *damage, struct buf *evidence, struct err *err)
{
    (void)path, (void)id;
    buf_add_text(evidence, "it is damaged");
    return called(fake_of(test), "disk_damage", nodes, damage->kind, err);
}

enum err_code disk_damage_forget(struct test *test, node_set nodes, const char *id, struct err *err)
{
    return called(fake_of(test), "disk_damage_forget", nodes, id, err);
}

enum err_code disk_stall(struct test *test, node_set nodes, const char *path, struct err *err)
{
    struct fake_control *fake = fake_of(test);
    enum err_code code = called(fake, "disk_stall", nodes, path, err);
    if (code == ERR_NONE)
        fake->hanging |= nodes; /* else none does, as the contract has it */
    return code;
}

enum err_code disk_go_on(struct test *test, node_set nodes, const char *path, struct err *err)
{
    struct fake_control *fake = fake_of(test);
    enum err_code code = called(fake, "disk_go_on", nodes, path, err);
    fake->hanging &= ~reach(fake, nodes, code);
    return code;
}

enum err_code disk_cut(struct test *test, node_set nodes, const char *path,
                       const char *const *daemons, const node_set *on, int64_t *elapsed_ns,
                       struct err *err)
{
    struct fake_control *fake = fake_of(test);
    enum err_code code = called(fake, "disk_cut", nodes, path, err);
    node_set hit = reach(fake, nodes, code);
    *elapsed_ns = NS_PER_MS;
    fake->dark |= hit;
    fake->hanging &= ~hit;
    for (size_t d = 0; daemons[d] != NULL; d++)
        for (uint32_t i = 0; i < test->node_count; i++) {
            enum daemon_state *state = &fake->daemons[i][daemon_index(daemons[d])];
            if (!node_in(hit & on[d], i))
                continue;
            if (*state == DAEMON_NONE && code == ERR_NONE) /* as the agent says */
                code = err_set(err, ERR_REMOTE, "%s: there is no daemon '%s'", test->nodes[i].name,
                               daemons[d]);
            *state = DAEMON_EXITED;
        }
    return code;
}

enum err_code disk_back(struct test *test, node_set nodes, const char *path, struct buf *evidence,
                        struct err *err)
{
    struct fake_control *fake = fake_of(test);
    enum err_code code = called(fake, "disk_back", nodes, path, err);
    fake->dark &= ~reach(fake, nodes, code);
    buf_add_text(evidence, "mounted again");
    return code;
}

enum err_code network_can_block(struct test *test, struct err *err)
{
    const char *fails = fake_of(test)->fail_always;
    return fails != NULL && strcmp(fails, "network_can_block") == 0
               ? err_set(err, ERR_UNSUPPORTED, "n2 cannot drop packets: scripted")
               : ERR_NONE;
}

enum err_code limit_check(struct test *test, node_set nodes, const struct limit *limit,
                          struct err *err)
{
    return called(fake_of(test), "limit_check", nodes, limit->what, err);
}

static node_set *limited(struct fake_control *fake, const char *daemon)
{
    return &fake->limited[daemon == NULL ? FAKE_DAEMONS : daemon_index(daemon)];
}

enum err_code limit_begin(struct test *test, node_set nodes, const char *daemon,
                          const struct limit *limit, struct buf *evidence, struct err *err)
{
    struct fake_control *fake = fake_of(test);
    char what[64];
    snprintf(what, sizeof what, "%s=%d %s", limit->what, (int)limit->value,
             daemon == NULL ? "" : daemon);
    enum err_code code = called(fake, "limit_begin", nodes, what, err);
    if (code != ERR_NONE)
        return code;
    *limited(fake, daemon) |= nodes;
    for (uint32_t i = 0; i < test->node_count && fake->limits_kill && daemon != NULL; i++)
        if (node_in(nodes, i))
            fake->daemons[i][daemon_index(daemon)] = DAEMON_EXITED;
    buf_add_text(evidence, "limited");
    return ERR_NONE;
}

enum err_code limit_end(struct test *test, node_set nodes, const char *daemon,
                        const struct limit *limit, struct buf *evidence, struct err *err)
{
    struct fake_control *fake = fake_of(test);
    enum err_code code = called(fake, "limit_end", nodes, limit->what, err);
    *limited(fake, daemon) &= ~reach(fake, nodes, code);
    buf_add_text(evidence, "throttled");
    return code;
}

enum err_code clock_possible(struct test *test, enum clock_means means, struct err *err)
{
    struct fake_control *fake = fake_of(test);
    enum err_code code = called(fake, "clock_possible", 0, "", err);
    if (code == ERR_NONE && means == CLOCK_MEANS_MACHINE && !fake->own_clocks)
        return err_set(err, ERR_UNSUPPORTED, "n1: it shares its kernel");
    if (code == ERR_NONE && means == CLOCK_MEANS_VDSO && fake->no_vdso)
        return err_set(err, ERR_UNSUPPORTED, "n1: it has no vDSO");
    return code;
}

enum err_code clock_skew(struct test *test, const char *id, struct clock_target *targets,
                         const struct clock_skew *skew, struct buf *evidence, struct err *err)
{
    struct fake_control *fake = fake_of(test);
    node_set nodes = 0, asked = 0;
    for (; targets->daemon != NULL; targets++) {
        asked |= targets->nodes;
        targets->nodes &= fake_running(fake, (uint32_t)daemon_index(targets->daemon));
        nodes |= targets->nodes;
    }
    fake->skew = *skew;
    enum err_code code = called(fake, "clock_skew", asked, id, err);
    if (code == ERR_NONE && nodes == 0)
        code = err_set(err, ERR_REMOTE, "no daemon runs there whose clock could be set");
    if (code != ERR_NONE)
        return code; /* undone, as the contract has it */
    fake->skewed |= nodes;
    buf_add_text(evidence, "skewed");
    return ERR_NONE;
}

enum err_code clock_skew_end(struct test *test, const char *id, const struct clock_target *targets,
                             struct buf *evidence, struct err *err)
{
    struct fake_control *fake = fake_of(test);
    node_set nodes = 0;
    for (; targets->daemon != NULL; targets++)
        nodes |= targets->nodes;
    enum err_code code = called(fake, "clock_skew_end", nodes, id, err);
    fake->skewed &= ~reach(fake, nodes, code);
    if (code == ERR_NONE)
        buf_add_text(evidence, "right again");
    return code;
}

enum err_code clock_offsets(struct test *test, const char *const *daemons, int64_t *offset_ns,
                            node_set *seen, struct err *err)
{
    struct fake_control *fake = fake_of(test);
    enum err_code code = called(fake, "clock_offsets", 0, daemons[0], err);
    *seen = code == ERR_NONE ? test_all_nodes(test) : 0;
    for (uint32_t i = 0; i < test->node_count; i++)
        offset_ns[i] = node_in(fake->skewed, i) ? fake->skew.offset_ns : 0;
    return code;
}

enum err_code node_down_check(struct test *test, node_set nodes, const struct node_power *power,
                              struct err *err)
{
    (void)power;
    return called(fake_of(test), "node_down_check", nodes, "", err);
}

enum err_code node_note_off(struct test *test, uint32_t node, const char *starter,
                            const struct json *how, struct err *err)
{
    struct buf what = BUF_INIT;
    buf_printf(&what, "%s ", starter);
    json_print(how, JSON_COMPACT, &what);
    enum err_code code =
        called(fake_of(test), "node_note_off", NODE_SET(node), buf_text(&what), err);
    buf_free(&what);
    return code;
}

enum err_code node_down(struct test *test, node_set nodes, const struct node_power *power,
                        struct buf *evidence, struct err *err)
{
    static const char *const hows[] = {"reboot", "cold", "off"};
    struct fake_control *fake = fake_of(test);
    enum err_code code = called(fake, "node_down", nodes, hows[power->how], err);
    if (code == ERR_NONE && power->off != NULL)
        code = power->off(power->context, err);
    node_set hit = reach(fake, nodes, code);
    fake->away |= hit;
    for (uint32_t i = 0; i < test->node_count; i++)
        for (int d = 0; d < FAKE_DAEMONS && node_in(hit, i); d++)
            fake->daemons[i][d] = DAEMON_NONE;
    buf_add_text(evidence, "gone");
    return code;
}

enum err_code node_up(struct test *test, node_set nodes, const struct node_power *power,
                      int64_t timeout_ns, struct buf *evidence, struct err *err)
{
    struct fake_control *fake = fake_of(test);
    enum err_code code = called(fake, "node_up", nodes, "", err);
    if (code == ERR_NONE && power->on != NULL)
        code = power->on(power->context, err);
    if (timeout_ns <= 0)
        return err_set(err, ERR_CONFIG, "the script gives no time");
    fake->away &= ~reach(fake, nodes, code);
    buf_add_text(evidence, "booted");
    return code;
}

enum err_code network_block(struct test *test, const char *id, const node_set *drops,
                            enum packets packets, int64_t *in_force_ns, struct err *err)
{
    struct fake_control *fake = fake_of(test);
    fake->packets = packets;
    enum err_code code = called(fake, "network_block", 0, id, err);
    if (code != ERR_NONE)
        return code;
    for (uint32_t i = 0; i < FAKE_CUTS; i++) {
        struct fake_cut *cut = &fake->cuts[i];
        if (cut->id[0] != '\0')
            continue;
        snprintf(cut->id, sizeof cut->id, "%s", id);
        memset(cut->drops, 0, sizeof cut->drops);
        if (!fake->cuts_do_nothing)
            memcpy(cut->drops, drops, test->node_count * sizeof *drops);
        if (in_force_ns != NULL)
            *in_force_ns = 3 * NS_PER_MS;
        return ERR_NONE;
    }
    return err_set(err, ERR_REMOTE, "more than %d cuts at once", FAKE_CUTS);
}

enum err_code network_undo(struct test *test, const char *id, struct err *err)
{
    struct fake_control *fake = fake_of(test);
    enum err_code code = called(fake, "network_undo", 0, id, err);
    if (code != ERR_NONE)
        return code;
    for (uint32_t i = 0; i < FAKE_CUTS; i++)
        if (strcmp(fake->cuts[i].id, id) == 0) {
            fake->cuts[i].id[0] = '\0';
            return ERR_NONE;
        }
    if (strncmp(id, "port", 4) == 0) {
        fake->port = 0;
        return ERR_NONE;
    }
    if (strncmp(id, "clients", 7) == 0) {
        fake->no_clients = 0;
        return ERR_NONE;
    }
    if (strcmp(fake->shape.id, id) == 0) {
        fake->shape.id[0] = '\0';
        return ERR_NONE;
    }
    return err_set(err, ERR_REMOTE, "there is no fault %s to undo", id);
}

enum err_code network_verify(struct test *test, const node_set *drops, struct buf *evidence,
                             struct err *err)
{
    struct fake_control *fake = fake_of(test);
    enum err_code code = called(fake, "network_verify", 0, drops == NULL ? "whole" : "cut", err);
    uint32_t cut = 0;
    for (uint32_t i = 0; i < test->node_count && code == ERR_NONE; i++) {
        node_set now = fake_drops(fake, i);
        cut += node_set_count(now);
        if (now != (drops == NULL ? 0 : drops[i]))
            code = err_set(err, ERR_REMOTE, "packets to %s do not arrive as they should",
                           test->nodes[i].name);
    }
    if (code == ERR_NONE && evidence != NULL)
        buf_printf(evidence, "%u pairs probed: %u cut, %u open",
                   test->node_count * (test->node_count - 1), cut,
                   test->node_count * (test->node_count - 1) - cut);
    return code;
}

/* ---- harness/packets.h ---- */

const char *const spread_names[] = {"uniform", "normal", "pareto", NULL};

const char *const shape_means_names[] = {"auto", "netem", "queue", NULL};

enum err_code network_can_shape(struct test *test, const struct network_shape *shape,
                                enum shape_means asked, enum shape_means *chosen, struct buf *words,
                                struct err *err)
{
    struct fake_control *fake = fake_of(test);
    enum err_code code = called(fake, "network_can_shape", 0, shape_means_names[asked], err);
    if (code != ERR_NONE)
        return code;
    if (fake->cannot_shape)
        return err_set(err, ERR_UNSUPPORTED, "n2 cannot: it has no queues");
    bool netem = fake->has_netem && asked != SHAPE_MEANS_QUEUE && shape->reorder == 0;
    if (asked == SHAPE_MEANS_NETEM && !netem)
        return err_set(err, ERR_UNSUPPORTED, "n3 cannot: it has no netem");
    *chosen = netem ? SHAPE_MEANS_NETEM : SHAPE_MEANS_QUEUE;
    buf_add_text(words, netem ? "by netem's decree" : "by decree");
    return ERR_NONE;
}

enum err_code network_shape(struct test *test, const char *id, const node_set *paths,
                            const struct network_shape *shape, enum shape_means means,
                            int64_t *in_force_ns, struct err *err)
{
    struct fake_control *fake = fake_of(test);
    char said[64];
    snprintf(said, sizeof said, "%s %s", id, shape_means_names[means]);
    enum err_code code = called(fake, "network_shape", 0, said, err);
    if (code != ERR_NONE)
        return code;
    snprintf(fake->shape.id, sizeof fake->shape.id, "%s", id);
    memset(fake->shape.paths, 0, sizeof fake->shape.paths);
    if (!fake->cuts_do_nothing)
        memcpy(fake->shape.paths, paths, test->node_count * sizeof *paths);
    fake->shape.shape = *shape;
    *in_force_ns = 7 * NS_PER_MS;
    return ERR_NONE;
}

/* What is shaped now, from `source` to `target`. */
static struct network_shape shape_between(const struct fake_control *fake, uint32_t source,
                                          uint32_t target)
{
    static const struct network_shape none;
    bool shaped = fake->shape.id[0] != '\0' && node_in(fake->shape.paths[target], source);
    return shaped ? fake->shape.shape : none;
}

static void measure_path(const struct fake_control *fake, const struct network_burst *burst,
                         struct network_path *path)
{
    struct network_shape there = shape_between(fake, path->source, path->target),
                         back = shape_between(fake, path->target, path->source);
    double passes = (1 - there.loss) * (1 - there.corrupt * (1 - there.duplicate));
    int ways = (there.jitter_ns != 0) + (back.jitter_ns != 0);
    int64_t trip_ns = NS_PER_MS / 4 + there.delay_ns + back.delay_ns;
    int64_t jitter_ns = there.jitter_ns + back.jitter_ns;
    double half_width = ways == 2 ? 1.81 / 2 : 1.28; /* of a normal spread */
    path->sent = burst->count;
    path->unique = (uint32_t)(burst->count * passes + 0.5);
    path->duplicates =
        (uint32_t)(burst->count * (1 - there.loss) * there.duplicate * (1 - there.corrupt) + 0.5);
    path->overtaken = (uint32_t)(path->unique * there.reorder + 0.5);
    path->echoes = burst->echo ? path->unique : 0;
    path->trip_min_ns = trip_ns - 2 * jitter_ns;
    path->trip_p10_ns = trip_ns - (int64_t)(half_width * (double)jitter_ns);
    path->trip_median_ns = trip_ns;
    path->trip_p90_ns = trip_ns + (int64_t)(half_width * (double)jitter_ns);
    path->bytes = (uint64_t)(path->unique - 1) * (burst->size + 28);
    path->span_ns = there.rate_bps == 0
                        ? NS_PER_MS
                        : (int64_t)((double)path->bytes * 8e9 / (double)there.rate_bps);
    path->bytes -= (uint64_t)(path->unique - 1) * 28;
    path->bad_check_sums = there.corrupt > 0 ? 1000 : 0;
}

enum err_code network_measure(struct test *test, const struct network_burst *burst,
                              struct network_path *paths, size_t *count, struct err *err)
{
    struct fake_control *fake = fake_of(test);
    enum err_code code =
        called(fake, "network_measure", 0, burst->size == 0 ? "trips" : "rates", err);
    *count = 0;
    for (uint32_t source = 0; source < test->node_count; source++)
        for (uint32_t target = 0; target < test->node_count; target++) {
            if (source == target || (burst->only != NULL && !node_in(burst->only[target], source)))
                continue;
            paths[*count] = (struct network_path){.source = source, .target = target};
            measure_path(fake, burst, &paths[(*count)++]);
        }
    return code;
}

enum err_code network_reset(struct test *test, const char *id, node_set nodes,
                            enum network_peers peers, enum reset_means means,
                            struct network_reset *reset, struct err *err)
{
    struct fake_control *fake = fake_of(test);
    (void)id;
    *reset = fake->reset;
    return called(fake, "network_reset", nodes,
                  peers == PEERS_CLIENTS  ? "clients"
                  : means == RESET_SILENT ? "silent"
                                          : "told",
                  err);
}

enum err_code network_block_port(struct test *test, const char *id, const node_set *drops,
                                 const char *protocol, uint16_t port, int64_t *in_force_ns,
                                 struct err *err)
{
    struct fake_control *fake = fake_of(test);
    (void)drops, (void)protocol;
    enum err_code code = called(fake, "network_block_port", 0, id, err);
    *in_force_ns = 3 * NS_PER_MS;
    if (code == ERR_NONE)
        fake->port = port;
    return code;
}

enum err_code network_count_dropped(struct test *test, const char *id, const node_set *drops,
                                    struct network_dropped *dropped, struct err *err)
{
    struct fake_control *fake = fake_of(test);
    (void)drops;
    *dropped = (struct network_dropped){fake->dropped, fake->dropped > 0, 8};
    return called(fake, "network_count_dropped", 0, id, err);
}

enum err_code network_block_clients(struct test *test, const char *id, node_set nodes,
                                    int64_t *in_force_ns, struct err *err)
{
    struct fake_control *fake = fake_of(test);
    enum err_code code = called(fake, "network_block_clients", nodes, id, err);
    *in_force_ns = 3 * NS_PER_MS;
    if (code == ERR_NONE && !fake->cuts_do_nothing)
        fake->no_clients = nodes;
    return code;
}

enum err_code network_verify_clients(struct test *test, node_set cut, struct buf *evidence,
                                     struct err *err)
{
    struct fake_control *fake = fake_of(test);
    enum err_code code = called(fake, "network_verify_clients", cut, "", err);
    if (code == ERR_NONE && cut != fake->no_clients)
        code = err_set(err, ERR_REMOTE, "a node answers that should not, or does not");
    if (code == ERR_NONE && evidence != NULL)
        buf_printf(evidence, "%u nodes do not answer", node_set_count(cut));
    return code;
}

/* ---- The system that runs on it ---- */

static enum err_code start(struct test *test, node_set nodes, struct err *err)
{
    for (uint32_t i = 0; i < test->node_count; i++)
        for (int d = 0; d < FAKE_DAEMONS && node_in(nodes, i); d++) {
            struct daemon_spec spec = {.name = daemon_names[d]};
            enum err_code code = daemon_start(test, i, &spec, err);
            if (code != ERR_NONE)
                return code;
        }
    return ERR_NONE;
}

static enum err_code primaries(struct test *test, node_set *set, struct err *err)
{
    struct fake_control *fake = fake_of(test);
    enum err_code code = called(fake, "primaries", 0, "", err);
    if (code == ERR_NONE)
        *set = fake->now_ns >= fake->elected_ns ? fake->primaries : 0;
    return code;
}

/* ---- For tests ---- */

struct fake_control *fake_new(uint32_t node_count)
{
    struct fake_control *fake = calloc(1, sizeof *fake);
    if (fake == NULL)
        abort();
    newest = fake;
    fake->arena = ARENA_INIT;
    fake->system = (struct system){.name = "fake", .daemons = daemon_names, .start = start};
    fake->plan.system = &fake->system;
    fake->plan.options.values = json_object();
    fake->output = "done";
    for (const struct nemesis *const *nemesis = nemeses; *nemesis != NULL; nemesis++)
        option_defaults(&fake->plan.options, (*nemesis)->name, (*nemesis)->options);
    for (uint32_t i = 0; i < node_count; i++) {
        snprintf(fake->node_names[i], sizeof fake->node_names[i], "n%u", i + 1);
        fake->nodes[i] = (struct node){.index = i, .name = fake->node_names[i]};
        for (int d = 0; d < FAKE_DAEMONS; d++)
            fake->daemons[i][d] = DAEMON_RUNNING;
    }
    fake->test = (struct test){.plan = &fake->plan,
                               .nodes = fake->nodes,
                               .node_count = node_count,
                               .arena = &fake->arena,
                               .control = (struct control *)fake};
    return fake;
}

void fake_free(struct fake_control *fake)
{
    json_free(fake->plan.options.values);
    buf_free(&fake->calls);
    arena_free(&fake->arena);
    newest = NULL;
    free(fake);
}

void fake_set(struct fake_control *fake, const char *option, const char *value)
{
    json_set_text(fake->plan.options.values, option, value);
}

/* Only who runs tells. */
static enum err_code members(struct test *test, uint32_t node, node_set *set, struct err *err)
{
    struct fake_control *fake = fake_of(test);
    enum err_code code = called(fake, "members", NODE_SET(node), "", err);
    if (code == ERR_NONE && fake->daemons[node][0] != DAEMON_RUNNING)
        code = err_set(err, ERR_REMOTE, "%s: connection refused", test->nodes[node].name);
    if (code == ERR_NONE)
        *set = node_in(fake->stale_views, node) ? test_all_nodes(test) : fake->members;
    return code;
}

static enum err_code remove_member(struct test *test, uint32_t node, uint32_t via, struct err *err)
{
    struct fake_control *fake = fake_of(test);
    enum err_code code = called(fake, "remove", NODE_SET(node), test->nodes[via].name, err);
    if (code == ERR_NONE && fake->daemons[node][0] == DAEMON_RUNNING)
        code = err_set(err, ERR_CONFIG, "%s still runs", test->nodes[node].name);
    if (code == ERR_NONE && fake->daemons[via][0] != DAEMON_RUNNING)
        code = err_set(err, ERR_REMOTE, "%s: connection refused", test->nodes[via].name);
    if (code == ERR_NONE || fake->fail_halfway)
        fake->members &= ~NODE_SET(node);
    return code;
}

static enum err_code add_member(struct test *test, uint32_t node, uint32_t via, node_set others,
                                struct err *err)
{
    struct fake_control *fake = fake_of(test);
    enum err_code code = called(fake, "add", NODE_SET(node), test->nodes[via].name, err);
    if (code == ERR_NONE && (others != fake->members || node_in(others, node)))
        code = err_set(err, ERR_CONFIG, "others belong to it");
    if (code != ERR_NONE)
        return code;
    for (int d = 0; d < FAKE_DAEMONS; d++)
        fake->daemons[node][d] = DAEMON_RUNNING;
    fake->members |= NODE_SET(node);
    return ERR_NONE;
}

static enum err_code wipe_data(struct test *test, node_set nodes, struct err *err)
{
    struct fake_control *fake = fake_of(test);
    enum err_code code = called(fake, "wipe", nodes, "", err);
    for (uint32_t i = 0; i < test->node_count; i++)
        if (node_in(nodes, i) && fake->daemons[i][0] == DAEMON_RUNNING)
            code = err_set(err, ERR_CONFIG, "%s still runs", test->nodes[i].name);
    return code;
}

void fake_has_members(struct fake_control *fake)
{
    fake->system.members = members;
    fake->system.remove = remove_member;
    fake->system.add = add_member;
    fake->system.wipe = wipe_data;
    fake->members = test_all_nodes(&fake->test);
}

void fake_has_primaries(struct fake_control *fake)
{
    fake->system.primaries = primaries;
}

static enum err_code replace(struct test *test, node_set nodes, struct err *err)
{
    return called(fake_of(test), "replace", nodes, "", err);
}

void fake_has_disks(struct fake_control *fake)
{
    fake->system.data_dir_option = "fake.data-dir";
    fake->system.replace = replace;
    fake_set(fake, "fake.data-dir", "/var/lib/fake");
}

node_set fake_drops(const struct fake_control *fake, uint32_t node)
{
    node_set drops = 0;
    for (uint32_t i = 0; i < FAKE_CUTS; i++)
        if (fake->cuts[i].id[0] != '\0')
            drops |= fake->cuts[i].drops[node];
    return drops;
}

node_set fake_running(const struct fake_control *fake, uint32_t daemon)
{
    node_set running = 0;
    for (uint32_t i = 0; i < fake->test.node_count; i++)
        if (fake->daemons[i][daemon] == DAEMON_RUNNING)
            running |= NODE_SET(i);
    return running;
}

bool fake_is_whole(const struct fake_control *fake)
{
    for (uint32_t i = 0; i < FAKE_CUTS; i++)
        if (fake->cuts[i].id[0] != '\0')
            return false;
    if (fake->shape.id[0] != '\0' || fake->no_clients != 0 || fake->port != 0)
        return false;
    for (uint32_t d = 0; d < FAKE_DAEMONS; d++)
        if (fake_running(fake, d) != test_all_nodes(&fake->test))
            return false;
    for (uint32_t d = 0; d <= FAKE_DAEMONS; d++)
        if (fake->limited[d] != 0)
            return false;
    if (fake->system.members != NULL && fake->members != test_all_nodes(&fake->test))
        return false;
    return fake->dark == 0 && fake->hanging == 0 && fake->failing == 0 && fake->skewed == 0 &&
           fake->away == 0;
}

/* ---- Faults ---- */

struct fault fake_fault(struct fake_control *fake, const struct nemesis *nemesis, uint64_t seed)
{
    struct prng prng = prng_stream(seed, nemesis->name);
    return (struct fault){.id = 1,
                          .nemesis = nemesis,
                          .asked = nemesis->choose(&fake->test, &prng, &fake->arena),
                          .state = arena_zalloc(&fake->arena, nemesis->fault_state_size + 1),
                          .arena = &fake->arena};
}

void fake_fault_free(struct fault *fault)
{
    buf_free(&fault->begun_evidence);
    buf_free(&fault->ended_evidence);
}
