/* The local cluster's handle, up and down: see cluster.h. */
#include "harness/cluster/cluster.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "harness/cluster/keeper.h"
#include "harness/cluster/state.h"
#include "harness/cluster/tool.h"

enum { LOCK_WAIT_MS = 120000 };

struct cluster {
    struct place place;
    struct state state; /* as it was when attached; pids are read anew */
    bool was_up;
    bool down_at_close;
    pid_t creator; /* who may take it down at close: not a forked child */
    int claim_fd;
    char key[PLACE_PATH_MAX], known_hosts[PLACE_PATH_MAX];
    struct {
        char name[16], address[48], address6[48];
    } nodes[CLUSTER_NODES_MAX];
};

static enum err_code check_root(const char *verb, struct err *err)
{
    if (geteuid() == 0)
        return ERR_NONE;
    return err_set(err, ERR_UNSUPPORTED,
                   "the local cluster needs root: run as root (sudo ordeal local %s)",
                   verb != NULL ? verb : "...");
}

static enum err_code check_tools(struct err *err)
{
    static const struct {
        const char *program, *package;
    } tools[] = {{"ip", "iproute2"}, {"sshd", "openssh-server"}, {"ssh-keygen", "openssh-client"}};
    char path[256];
    for (size_t i = 0; i < sizeof tools / sizeof *tools; i++)
        if (!tool_find(tools[i].program, path, sizeof path))
            return err_set(err, ERR_UNSUPPORTED,
                           "the local cluster needs %s, which is not installed: apt-get install %s",
                           tools[i].program, tools[i].package);
    return ERR_NONE;
}

static struct cluster *make_handle(const struct place *place, const struct state *state)
{
    struct cluster *cluster = calloc(1, sizeof *cluster);
    if (cluster == NULL)
        return NULL;
    cluster->place = *place;
    cluster->state = *state;
    cluster->claim_fd = -1;
    cluster->creator = getpid();
    place_join(place->state_dir, "key", cluster->key);
    place_join(place->state_dir, "known_hosts", cluster->known_hosts);
    for (int i = 0; i < state->node_count; i++) {
        snprintf(cluster->nodes[i].name, sizeof cluster->nodes[i].name, "n%d", i + 1);
        cluster_format_address(i, cluster->nodes[i].address, sizeof cluster->nodes[i].address);
        cluster_format_address6(i, cluster->nodes[i].address6, sizeof cluster->nodes[i].address6);
    }
    return cluster;
}

static enum err_code attach(const struct place *place, struct cluster **out, struct err *err)
{
    struct state state;
    enum err_code code = state_read(place, &state, err);
    if (code != ERR_NONE)
        return code;
    struct cluster *cluster = make_handle(place, &state);
    if (cluster == NULL)
        return err_set(err, ERR_NOMEM, "cluster %s: out of memory", place->name);
    *out = cluster;
    return ERR_NONE;
}

/* ---- Up ---- */

/* What runs, or what a crash or a reboot left, under this name. The caller holds the lock, so that
 * a keeper that is still building has lost its creator. */
static enum err_code clear_name(const struct place *place, enum place_sweep_mode mode,
                                struct err *err)
{
    struct state state, blank = {.node_count = 0};
    state_init(&blank, 0);
    enum err_code code = ERR_NONE;
    if (state_read(place, &state, NULL) == ERR_NONE && strcmp(blank.boot, state.boot) == 0)
        code = keeper_end(place, &state, err);
    /* One that the state file does not tell of: somebody removed the file, or it came too late. */
    while (code == ERR_NONE && keeper_find(place, &blank.keeper))
        code = keeper_end(place, &blank, err);
    return code == ERR_NONE ? place_sweep(place, mode, err) : code;
}

static enum err_code check_size(const struct place *place, const struct state *state, int wanted,
                                struct err *err)
{
    if (wanted == 0 || wanted == state->node_count)
        return ERR_NONE;
    return err_set(err, ERR_CONFIG,
                   "cluster %s is up with %d nodes, not %d: take it down first (ordeal local down "
                   "--cluster %s), or use another name (--cluster NAME)",
                   place->name, state->node_count, wanted, place->name);
}

static enum err_code build(const struct place *place, const struct cluster_options *options,
                           struct err *err)
{
    const struct keeper_options keeper = {.node_count = options->nodes > 0 ? options->nodes
                                                                           : CLUSTER_NODES_DEFAULT,
                                          .ephemeral = options->ephemeral};
    enum err_code code = clear_name(place, PLACE_KEEP_LOCK, err);
    if (code == ERR_NONE)
        code = place_make_directory(place->disk_parent, 0755, err);
    if (code == ERR_NONE)
        code = place_make_directory(place->disk_dir, 0700, err);
    if (code == ERR_NONE)
        code = keeper_spawn(place, &keeper, err);
    return code;
}

/* With the lock held. */
static enum err_code up_locked(const struct place *place, const struct cluster_options *options,
                               struct cluster **out, struct err *err)
{
    struct state state;
    struct cluster *cluster = NULL;
    bool was_up = state_read(place, &state, NULL) == ERR_NONE && state.ready && state_alive(&state);
    enum err_code code =
        was_up ? check_size(place, &state, options->nodes, err) : build(place, options, err);
    if (code == ERR_NONE)
        code = attach(place, &cluster, err);
    if (code == ERR_NONE) {
        cluster->was_up = was_up;
        cluster->down_at_close = !was_up && options->ephemeral;
        *out = cluster;
    } else if (!was_up) {
        struct err sweep_err = ERR_INIT;
        if (clear_name(place, PLACE_LEAVE_NOTHING, &sweep_err) != ERR_NONE)
            err_set(err, code, "%s; then %s", err->message, sweep_err.message);
    }
    return code;
}

enum err_code cluster_up(const struct cluster_options *options, struct cluster **out,
                         struct err *err)
{
    struct place place;
    enum err_code code = place_init(&place, options->name, err);
    if (code == ERR_NONE && (options->nodes < 0 || options->nodes > CLUSTER_NODES_MAX))
        code = err_set(err, ERR_CONFIG, "%d nodes: a local cluster has 1 to %d", options->nodes,
                       CLUSTER_NODES_MAX);
    if (code == ERR_NONE)
        code = check_root("up", err);
    if (code == ERR_NONE)
        code = check_tools(err);
    int lock;
    if (code == ERR_NONE)
        code = place_lock(&place, LOCK_WAIT_MS, &lock, err);
    if (code != ERR_NONE)
        return code;
    code = up_locked(&place, options, out, err);
    close(lock);
    if (code != ERR_NONE && code != ERR_CONFIG)
        err_wrap(err, "cluster %s", place.name);
    return code;
}

enum err_code cluster_attach(const char *name, struct cluster **out, struct err *err)
{
    struct place place;
    enum err_code code = place_init(&place, name, err);
    if (code == ERR_NONE)
        code = check_root(NULL, err);
    if (code != ERR_NONE)
        return code;
    struct state state;
    if (state_read(&place, &state, NULL) != ERR_NONE || !state.ready || !state_alive(&state))
        return err_set(err, ERR_CONFIG, "no cluster %s is up: ordeal local up%s%s", place.name,
                       name != NULL ? " --cluster " : "", name != NULL ? name : "");
    code = attach(&place, out, err);
    if (code == ERR_NONE)
        (*out)->was_up = true;
    return code;
}

/* ---- Down ---- */

enum err_code cluster_down(const char *name, enum cluster_down_mode mode, struct err *err)
{
    struct place place;
    enum err_code code = place_init(&place, name, err);
    if (code == ERR_NONE)
        code = check_root("down", err);
    if (code != ERR_NONE || !place_exists(&place))
        return code;
    int lock;
    code = place_lock(&place, LOCK_WAIT_MS, &lock, err);
    if (code != ERR_NONE)
        return code;
    char holder[128];
    pid_t holder_pid = 0;
    place_claim_holder(&place, holder, sizeof holder, &holder_pid);
    if (mode == CLUSTER_DOWN_IF_FREE && holder[0] != '\0' && holder_pid != getpid())
        code = err_set(err, ERR_CONFIG, "cluster %s is in use by %s: wait for it, or use --force",
                       place.name, holder);
    if (code == ERR_NONE)
        code = clear_name(&place, PLACE_LEAVE_NOTHING, err);
    close(lock);
    return code;
}

bool cluster_exists(const char *name)
{
    struct place place;
    return place_init(&place, name, NULL) == ERR_NONE && place_exists(&place);
}

void cluster_close(struct cluster *cluster)
{
    if (cluster == NULL)
        return;
    struct err err = ERR_INIT;
    if (cluster->down_at_close && cluster->creator == getpid() &&
        cluster_down(cluster->place.name, CLUSTER_DOWN_FORCE, &err) != ERR_NONE)
        fprintf(stderr, "ordeal: %s\n", err.message);
    if (cluster->claim_fd >= 0)
        close(cluster->claim_fd);
    free(cluster);
}

/* ---- What it looks like ---- */

bool cluster_was_up(const struct cluster *cluster)
{
    return cluster->was_up;
}

const char *cluster_name(const struct cluster *cluster)
{
    return cluster->place.name;
}

int cluster_node_count(const struct cluster *cluster)
{
    return cluster->state.node_count;
}

const char *cluster_node_name(const struct cluster *cluster, int index)
{
    return cluster->nodes[index].name;
}

const char *cluster_node_address(const struct cluster *cluster, int index)
{
    return cluster->nodes[index].address;
}

const char *cluster_node_address6(const struct cluster *cluster, int index)
{
    return cluster->state.ipv6 ? cluster->nodes[index].address6 : NULL;
}

int cluster_node_index(const struct cluster *cluster, const char *node)
{
    for (int i = 0; i < cluster->state.node_count; i++)
        if (strcmp(cluster->nodes[i].name, node) == 0)
            return i;
    return -1;
}

const char *cluster_key_path(const struct cluster *cluster)
{
    return cluster->key;
}

const char *cluster_known_hosts_path(const struct cluster *cluster)
{
    return cluster->known_hosts;
}

pid_t cluster_node_pid(const struct cluster *cluster, int index)
{
    struct state now;
    if (state_read(&cluster->place, &now, NULL) != ERR_NONE || index >= now.node_count ||
        !process_alive(&now.nodes[index]))
        return 0;
    return now.nodes[index].pid;
}

pid_t cluster_keeper_pid(const struct cluster *cluster)
{
    return cluster->state.keeper.pid;
}

/* ---- Use ---- */

enum err_code cluster_join(const struct cluster *cluster, int *previous, struct err *err)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/ns/net", (int)cluster->state.keeper.pid);
    int target = open(path, O_RDONLY | O_CLOEXEC);
    /* Opened first, checked after: the pid cannot have become another's in between. */
    if (target < 0 || !process_alive(&cluster->state.keeper)) {
        if (target >= 0)
            close(target);
        return err_set(err, ERR_IO, "cluster %s has gone down", cluster->place.name);
    }
    int own = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
    bool joined = own >= 0 && setns(target, CLONE_NEWNET) == 0;
    int error = errno;
    close(target);
    if (!joined) {
        if (own >= 0)
            close(own);
        return err_errno(err, error, "cluster %s: enter its network", cluster->place.name);
    }
    *previous = own;
    return ERR_NONE;
}

enum err_code cluster_leave(int previous, struct err *err)
{
    bool left = setns(previous, CLONE_NEWNET) == 0;
    int error = errno;
    close(previous);
    return left ? ERR_NONE : err_errno(err, error, "leave the cluster's network");
}

enum err_code cluster_claim(struct cluster *cluster, const char *who, struct err *err)
{
    if (cluster->claim_fd >= 0)
        return ERR_NONE;
    return place_claim(&cluster->place, who, &cluster->claim_fd, err);
}

enum err_code cluster_keep(struct cluster *cluster, struct err *err)
{
    if (!cluster->down_at_close)
        return ERR_NONE;
    enum err_code code = keeper_request(&cluster->place, "keep", "all", err);
    cluster->down_at_close = code != ERR_NONE;
    return code;
}

enum err_code cluster_stop_node(const struct cluster *cluster, int index, struct err *err)
{
    return keeper_request(&cluster->place, "stop", cluster->nodes[index].name, err);
}

enum err_code cluster_start_node(const struct cluster *cluster, int index, struct err *err)
{
    return keeper_request(&cluster->place, "start", cluster->nodes[index].name, err);
}

enum err_code cluster_hold_off(const struct cluster *cluster, int index, int *hold, struct err *err)
{
    return keeper_hold_off(&cluster->place, cluster->nodes[index].name, hold, err);
}

/* ---- All of them ---- */

static void describe(const struct place *place, struct cluster_info *info)
{
    *info = (struct cluster_info){.alive = false};
    snprintf(info->name, sizeof info->name, "%s", place->name);
    place_claim_holder(place, info->in_use_by, sizeof info->in_use_by, NULL);
    struct state state;
    if (state_read(place, &state, NULL) != ERR_NONE)
        return;
    info->alive = state_alive(&state);
    info->ephemeral = state.ephemeral;
    info->ipv6 = state.ipv6;
    info->node_count = state.node_count;
    info->since_wall_ns = state.since_wall_ns;
    info->keeper_pid = info->alive ? state.keeper.pid : 0;
    for (int i = 0; info->alive && i < state.node_count; i++)
        if (process_alive(&state.nodes[i]))
            info->node_pids[i] = state.nodes[i].pid;
}

static int compare_infos(const void *a, const void *b)
{
    return strcmp(((const struct cluster_info *)a)->name, ((const struct cluster_info *)b)->name);
}

static bool listed(const struct cluster_info *infos, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(infos[i].name, name) == 0)
            return true;
    return false;
}

static enum err_code list_parent(const char *parent, struct cluster_info **infos, size_t *count,
                                 struct err *err)
{
    DIR *directory = opendir(parent);
    if (directory == NULL)
        return errno == ENOENT ? ERR_NONE : err_errno(err, errno, "read %s", parent);
    enum err_code code = ERR_NONE;
    struct dirent *entry;
    while (code == ERR_NONE && (entry = readdir(directory)) != NULL) {
        struct place place;
        if (!place_name_valid(entry->d_name) || listed(*infos, *count, entry->d_name) ||
            place_init(&place, entry->d_name, NULL) != ERR_NONE)
            continue;
        struct cluster_info *grown = realloc(*infos, (*count + 1) * sizeof *grown);
        if (grown == NULL) {
            code = err_set(err, ERR_NOMEM, "list clusters: out of memory");
            break;
        }
        *infos = grown;
        describe(&place, &grown[(*count)++]);
    }
    closedir(directory);
    return code;
}

enum err_code cluster_list(struct cluster_info **out, size_t *out_count, struct err *err)
{
    struct place any;
    struct cluster_info *infos = NULL;
    size_t count = 0;
    enum err_code code = place_init(&any, NULL, err);
    if (code == ERR_NONE)
        code = check_root("status", err);
    if (code == ERR_NONE)
        code = list_parent(any.state_parent, &infos, &count, err);
    if (code == ERR_NONE) /* disks alone are what a reboot leaves */
        code = list_parent(any.disk_parent, &infos, &count, err);
    if (code != ERR_NONE) {
        free(infos);
        return code;
    }
    if (count > 0)
        qsort(infos, count, sizeof *infos, compare_infos);
    *out = infos;
    *out_count = count;
    return ERR_NONE;
}
