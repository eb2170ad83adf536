/* `ordeal local`: see cmd_local.h and the help text below. */
#include "harness/cli/cmd_local.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "harness/base/buf.h"
#include "harness/base/clock.h"
#include "harness/base/json.h"
#include "harness/base/text.h"
#include "harness/cluster/cluster.h"

enum { EXIT_ARGUMENTS = 254, EXIT_HARNESS = 255 };

static const char overview[] =
    "usage: ordeal local VERB [ARGUMENT..] [--cluster NAME]\n"
    "\n"
    "A cluster on this machine: nodes n1, n2, .. with their own network, processes, disk and "
    "sshd,\n"
    "made of Linux namespaces in well under a second. What is installed here is installed there.\n"
    "Needs root; leaves this machine's own network and files alone.\n"
    "\n"
    "  up [--nodes N]          build it (5 nodes unless told otherwise), or say that it is up\n"
    "  down [--all] [--force]  take it away, leaving nothing\n"
    "  status [--json]         every cluster here: nodes, addresses, who uses it\n"
    "  ssh NODE [CMD..]        log in, or run a command, over ssh\n"
    "  exec NODE -- CMD..      run a command on a node, without ssh\n"
    "  exec -- CMD..           run a command here that reaches the nodes by name\n"
    "  stop NODE               cut its power; its disk stays\n"
    "  start NODE              boot it again\n"
    "\n"
    "`ordeal local VERB --help` says more. Several clusters can be up at once, each with a "
    "--cluster\n"
    "NAME of its own (default: default); all have the same addresses and none sees another.\n"
    "Exit status: 0, 254 bad arguments, 255 failure; ssh and exec pass on the command's.\n";

struct options {
    const char *cluster;
    int nodes; /* 0: not given */
    bool all, force, json, help;
    const char *node;
    char **command; /* NULL-terminated; NULL: none given */
};

struct verb {
    const char *name;
    const char *flags; /* letters of those it takes: n nodes, a all, f force, j json */
    int (*run)(const struct options *options);
    const char *help;
};

static int verb_up(const struct options *options);
static int verb_down(const struct options *options);
static int verb_status(const struct options *options);
static int verb_ssh(const struct options *options);
static int verb_exec(const struct options *options);
static int verb_stop(const struct options *options);
static int verb_start(const struct options *options);

static const struct verb verbs[] = {
    {"up", "n", verb_up,
     "usage: ordeal local up [--nodes N] [--cluster NAME]\n\n"
     "Builds a cluster of N nodes (1 to 64; 5 when not given) and returns when sshd answers on\n"
     "all of them. One that is up already with that size is left as it is. Whatever a crash left\n"
     "under the name is cleared away first.\n"},
    {"down", "af", verb_down,
     "usage: ordeal local down [--cluster NAME | --all] [--force]\n\n"
     "Ends the cluster's processes and removes its disks, keys and network. --all does so for "
     "every\n"
     "cluster here. --force also takes one down that somebody is using.\n"},
    {"status", "j", verb_status,
     "usage: ordeal local status [--json] [--cluster NAME]\n\n"
     "Lists the clusters on this machine, or the one named: its nodes with their addresses and "
     "the\n"
     "pid of each node's process 1, and who is using it.\n"},
    {"ssh", "", verb_ssh,
     "usage: ordeal local ssh NODE [CMD..] [with --cluster NAME before NODE]\n\n"
     "Becomes the ssh client, as root on the node, with the cluster's key and host keys. What\n"
     "follows NODE is the command. The exit status is ssh's.\n"},
    {"exec", "", verb_exec,
     "usage: ordeal local exec [--cluster NAME] NODE -- CMD [ARGUMENT..]\n"
     "       ordeal local exec [--cluster NAME] -- CMD [ARGUMENT..]\n\n"
     "With a node: runs the command in the node, without ssh, as root with a clean environment.\n"
     "Without: runs it on this machine's files but in the cluster's network, where n1, n2, ..\n"
     "resolve and answer. The exit status is the command's.\n"},
    {"stop", "", verb_stop,
     "usage: ordeal local stop NODE [--cluster NAME]\n\n"
     "Kills everything on the node at once, as a power cut would. Its disk stays.\n"},
    {"start", "", verb_start,
     "usage: ordeal local start NODE [--cluster NAME]\n\n"
     "Boots a stopped node from its disk, with its addresses; returns when its sshd answers.\n"},
};
enum { VERB_COUNT = sizeof verbs / sizeof *verbs };

/* ---- Arguments ---- */

static int refuse_verb(const char *name)
{
    const char *names[VERB_COUNT];
    for (size_t i = 0; i < VERB_COUNT; i++)
        names[i] = verbs[i].name;
    const char *nearest = text_nearest(name, names, VERB_COUNT);
    fprintf(stderr, "ordeal local: no verb '%s'; ", name);
    if (nearest != NULL)
        fprintf(stderr, "did you mean %s?\n", nearest);
    else
        fprintf(stderr, "there are up, down, status, ssh, exec, stop, start\n");
    return EXIT_ARGUMENTS;
}

static enum err_code parse_nodes(const char *text, int *nodes, struct err *err)
{
    char *end;
    long number = strtol(text, &end, 10);
    if (*text == '\0' || *end != '\0' || number < 1 || number > CLUSTER_NODES_MAX)
        return err_set(err, ERR_CONFIG, "--nodes %s: give a number from 1 to %d", text,
                       CLUSTER_NODES_MAX);
    *nodes = (int)number;
    return ERR_NONE;
}

/* One flag, "--name", "--name value" or "--name=value"; *at moves over what it took. */
static enum err_code parse_flag(const struct verb *verb, int argc, char **argv, int *at,
                                struct options *options, struct err *err)
{
    const char *flag = argv[*at] + 2, *value = strchr(flag, '=');
    size_t length = value != NULL ? (size_t)(value - flag) : strlen(flag);
    bool *plain = NULL;
    if (strncmp(flag, "help", length) == 0 && length == 4)
        plain = &options->help;
    else if (strncmp(flag, "all", length) == 0 && length == 3 && strchr(verb->flags, 'a'))
        plain = &options->all;
    else if (strncmp(flag, "force", length) == 0 && length == 5 && strchr(verb->flags, 'f'))
        plain = &options->force;
    else if (strncmp(flag, "json", length) == 0 && length == 4 && strchr(verb->flags, 'j'))
        plain = &options->json;
    if (plain != NULL && value == NULL) {
        *plain = true;
        return ERR_NONE;
    }
    bool is_nodes = strncmp(flag, "nodes", length) == 0 && length == 5 && strchr(verb->flags, 'n');
    bool is_cluster = strncmp(flag, "cluster", length) == 0 && length == 7;
    if (!is_nodes && !is_cluster)
        return err_set(err, ERR_CONFIG, "ordeal local %s takes no %s; see ordeal local %s --help",
                       verb->name, argv[*at], verb->name);
    if (value != NULL)
        value++;
    else if (++*at < argc)
        value = argv[*at];
    else
        return err_set(err, ERR_CONFIG, "--%s needs a value", flag);
    if (is_nodes)
        return parse_nodes(value, &options->nodes, err);
    options->cluster = value;
    return ERR_NONE;
}

/* `ssh NODE CMD..` takes everything after the node as the command, `exec` what follows "--". */
static enum err_code parse(const struct verb *verb, int argc, char **argv, struct options *options,
                           struct err *err)
{
    bool takes_node = verb->run == verb_ssh || verb->run == verb_exec || verb->run == verb_stop ||
                      verb->run == verb_start;
    for (int i = 2; i < argc; i++) {
        enum err_code code = ERR_NONE;
        if (strcmp(argv[i], "--") == 0 && verb->run == verb_exec) {
            options->command = argv + i + 1;
            return ERR_NONE;
        }
        if (strcmp(argv[i], "-h") == 0)
            options->help = true;
        else if (strncmp(argv[i], "--", 2) == 0)
            code = parse_flag(verb, argc, argv, &i, options, err);
        else if (takes_node && options->node == NULL)
            options->node = argv[i];
        else
            code = err_set(err, ERR_CONFIG, "unexpected argument '%s'; see ordeal local %s --help",
                           argv[i], verb->name);
        if (code != ERR_NONE)
            return code;
        if (verb->run == verb_ssh && options->node != NULL && i + 1 < argc) {
            options->command = argv + i + 1 + (strcmp(argv[i + 1], "--") == 0);
            return ERR_NONE;
        }
    }
    return ERR_NONE;
}

static int failure(const struct err *err)
{
    fprintf(stderr, "ordeal local: %s\n", err->message);
    return err->code == ERR_CONFIG ? EXIT_ARGUMENTS : EXIT_HARNESS;
}

int cmd_local(int argc, char **argv)
{
    if (argc < 2) {
        fputs(overview, stderr);
        return EXIT_ARGUMENTS;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 ||
        strcmp(argv[1], "help") == 0) {
        fputs(overview, stdout);
        return 0;
    }
    for (size_t i = 0; i < VERB_COUNT; i++) {
        if (strcmp(argv[1], verbs[i].name) != 0)
            continue;
        struct options options = {.cluster = NULL};
        struct err err = ERR_INIT;
        if (parse(&verbs[i], argc, argv, &options, &err) != ERR_NONE)
            return failure(&err);
        if (options.help) {
            fputs(verbs[i].help, stdout);
            return 0;
        }
        return verbs[i].run(&options);
    }
    return refuse_verb(argv[1]);
}

/* ---- up and down ---- */

static int verb_up(const struct options *options)
{
    const struct cluster_options wanted = {.name = options->cluster, .nodes = options->nodes};
    struct cluster *cluster;
    struct err err = ERR_INIT;
    int64_t started_ns = clock_monotonic_ns();
    if (cluster_up(&wanted, &cluster, &err) != ERR_NONE)
        return failure(&err);
    char took[32];
    clock_format_human(clock_monotonic_ns() - started_ns, took, sizeof took);
    int last = cluster_node_count(cluster) - 1;
    const char *name = cluster_name(cluster);
    bool other = options->cluster != NULL;
    if (cluster_was_up(cluster))
        printf("cluster %s is up already: %d nodes, n1 (%s) to n%d (%s)\n", name, last + 1,
               cluster_node_address(cluster, 0), last + 1, cluster_node_address(cluster, last));
    else
        printf("cluster %s is up in %s: %d nodes, n1 (%s) to n%d (%s); log in with: ordeal local "
               "ssh %s%s%sn1\n",
               name, took, last + 1, cluster_node_address(cluster, 0), last + 1,
               cluster_node_address(cluster, last), other ? "--cluster " : "", other ? name : "",
               other ? " " : "");
    cluster_close(cluster);
    return 0;
}

static int take_down(const char *name, const struct options *options)
{
    struct err err = ERR_INIT;
    int64_t started_ns = clock_monotonic_ns();
    bool exists = cluster_exists(name);
    if (cluster_down(name, options->force ? CLUSTER_DOWN_FORCE : CLUSTER_DOWN_IF_FREE, &err) !=
        ERR_NONE)
        return failure(&err);
    char took[32];
    clock_format_human(clock_monotonic_ns() - started_ns, took, sizeof took);
    if (exists)
        printf("cluster %s is down (%s)\n", name, took);
    else
        printf("no cluster %s is up\n", name);
    return 0;
}

static int take_all_down(const struct options *options)
{
    struct err err = ERR_INIT;
    struct cluster_info *infos;
    size_t count;
    if (cluster_list(&infos, &count, &err) != ERR_NONE)
        return failure(&err);
    if (count == 0)
        printf("no cluster is up\n");
    int worst = 0;
    for (size_t i = 0; i < count; i++) {
        int status = take_down(infos[i].name, options);
        worst = status > worst ? status : worst;
    }
    free(infos);
    return worst;
}

static int verb_down(const struct options *options)
{
    struct err err = ERR_INIT;
    if (!options->all)
        return take_down(options->cluster != NULL ? options->cluster : "default", options);
    if (options->cluster == NULL)
        return take_all_down(options);
    err_set(&err, ERR_CONFIG, "give --cluster or --all, not both");
    return failure(&err);
}

/* ---- status ---- */

static void print_cluster(const struct cluster_info *info)
{
    if (!info->alive) {
        printf("%s: dead, its keeper is gone; clear it with: ordeal local down --cluster %s\n",
               info->name, info->name);
        return;
    }
    char since[32];
    time_t seconds = (time_t)(info->since_wall_ns / NS_PER_SECOND);
    struct tm local;
    strftime(since, sizeof since, "%Y-%m-%d %H:%M:%S", localtime_r(&seconds, &local));
    printf("%s: %d nodes since %s%s; ", info->name, info->node_count, since,
           info->ephemeral ? ", for as long as its creator runs" : "");
    printf("%s%s\n", info->in_use_by[0] != '\0' ? "in use by " : "free", info->in_use_by);
    for (int i = 0; i < info->node_count; i++) {
        char address[48], address6[48], name[16], pid[24] = "stopped";
        cluster_format_address(i, address, sizeof address);
        cluster_format_address6(i, address6, sizeof address6);
        snprintf(name, sizeof name, "n%d", i + 1);
        if (info->node_pids[i] != 0)
            snprintf(pid, sizeof pid, "pid %d", (int)info->node_pids[i]);
        printf("  %-4s %-12s %-10s %s\n", name, address, info->ipv6 ? address6 : "-", pid);
    }
}

static struct json *json_of_node(const struct cluster_info *info, int index)
{
    char name[16], address[48];
    struct json *node = json_object();
    snprintf(name, sizeof name, "n%d", index + 1);
    json_set_text(node, "name", name);
    cluster_format_address(index, address, sizeof address);
    json_set_text(node, "address", address);
    cluster_format_address6(index, address, sizeof address);
    if (info->ipv6)
        json_set_text(node, "address6", address);
    json_set_bool(node, "running", info->node_pids[index] != 0);
    if (info->node_pids[index] != 0)
        json_set_int(node, "pid", info->node_pids[index]);
    return node;
}

static struct json *json_of_cluster(const struct cluster_info *info)
{
    struct json *cluster = json_object();
    json_set_text(cluster, "name", info->name);
    json_set_bool(cluster, "up", info->alive);
    json_set_bool(cluster, "ephemeral", info->ephemeral);
    json_set_int(cluster, "keeper_pid", info->keeper_pid);
    json_set_real(cluster, "since", (double)(info->since_wall_ns / NS_PER_MS) / 1e3);
    json_set(cluster, "in_use_by",
             info->in_use_by[0] != '\0' ? json_text(info->in_use_by) : json_null());
    struct json *nodes = json_set(cluster, "nodes", json_array());
    for (int i = 0; info->alive && i < info->node_count; i++)
        json_add(nodes, json_of_node(info, i));
    return cluster;
}

static void print_json(const struct cluster_info *infos, size_t count, const char *only)
{
    struct buf out = BUF_INIT;
    struct json *root = json_object(), *clusters = json_set(root, "clusters", json_array());
    for (size_t i = 0; i < count; i++)
        if (only == NULL || strcmp(only, infos[i].name) == 0)
            json_add(clusters, json_of_cluster(&infos[i]));
    json_print(root, JSON_COMPACT, &out);
    printf("%s\n", buf_text(&out));
    buf_free(&out);
    json_free(root);
}

static bool find_info(const struct cluster_info *infos, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(infos[i].name, name) == 0)
            return true;
    return false;
}

static int verb_status(const struct options *options)
{
    struct err err = ERR_INIT;
    struct cluster_info *infos;
    size_t count;
    if (cluster_list(&infos, &count, &err) != ERR_NONE)
        return failure(&err);
    if (options->json) {
        print_json(infos, count, options->cluster);
    } else if (options->cluster != NULL && !find_info(infos, count, options->cluster)) {
        printf("no cluster %s is up\n", options->cluster);
    } else {
        if (count == 0)
            printf("no cluster is up; build one with: ordeal local up\n");
        for (size_t i = 0; i < count; i++)
            if (options->cluster == NULL || strcmp(options->cluster, infos[i].name) == 0)
                print_cluster(&infos[i]);
    }
    free(infos);
    return 0;
}

/* ---- What needs a cluster that is up ---- */

/* Attaches and, when a node is named, finds it. */
static enum err_code attach(const struct options *options, struct cluster **out, int *index,
                            struct err *err)
{
    struct cluster *cluster;
    enum err_code code = cluster_attach(options->cluster, &cluster, err);
    if (code != ERR_NONE)
        return code;
    if (options->node != NULL) {
        *index = cluster_node_index(cluster, options->node);
        if (*index < 0) {
            code = err_set(err, ERR_CONFIG, "cluster %s has no node '%s': it has n1 to n%d",
                           cluster_name(cluster), options->node, cluster_node_count(cluster));
            cluster_close(cluster);
            return code;
        }
    }
    *out = cluster;
    return ERR_NONE;
}

static enum err_code need_node(const struct options *options, const char *verb, struct err *err)
{
    if (options->node != NULL)
        return ERR_NONE;
    return err_set(err, ERR_CONFIG, "which node? ordeal local %s n1", verb);
}

static int verb_ssh(const struct options *options)
{
    struct err err = ERR_INIT;
    struct cluster *cluster;
    char *nothing[] = {NULL};
    int index = 0;
    enum err_code code = need_node(options, "ssh", &err);
    if (code == ERR_NONE)
        code = attach(options, &cluster, &index, &err);
    if (code != ERR_NONE)
        return failure(&err);
    code = cluster_exec_ssh(cluster, index, options->command != NULL ? options->command : nothing,
                            &err);
    cluster_close(cluster);
    return code == ERR_NONE ? 0 : failure(&err);
}

static int verb_exec(const struct options *options)
{
    struct err err = ERR_INIT;
    struct cluster *cluster;
    int index = 0, status = 0;
    enum err_code code = ERR_NONE;
    if (options->command == NULL || options->command[0] == NULL)
        code = err_set(&err, ERR_CONFIG, "which command? ordeal local exec n1 -- CMD");
    if (code == ERR_NONE)
        code = attach(options, &cluster, &index, &err);
    if (code != ERR_NONE)
        return failure(&err);
    code = options->node != NULL
               ? cluster_run_on_node(cluster, index, options->command, &status, &err)
               : cluster_exec_on_control(cluster, options->command, &err);
    cluster_close(cluster);
    return code == ERR_NONE ? status : failure(&err);
}

static int change_power(const struct options *options, const char *verb, const char *now,
                        enum err_code (*change)(const struct cluster *, int, struct err *))
{
    struct err err = ERR_INIT;
    struct cluster *cluster;
    int index = 0;
    enum err_code code = need_node(options, verb, &err);
    if (code == ERR_NONE)
        code = attach(options, &cluster, &index, &err);
    if (code != ERR_NONE)
        return failure(&err);
    int64_t started_ns = clock_monotonic_ns();
    code = change(cluster, index, &err);
    char took[32];
    clock_format_human(clock_monotonic_ns() - started_ns, took, sizeof took);
    cluster_close(cluster);
    if (code != ERR_NONE)
        return failure(&err);
    printf("%s is %s (%s)\n", options->node, now, took);
    return 0;
}

static int verb_stop(const struct options *options)
{
    return change_power(options, "stop", "stopped", cluster_stop_node);
}

static int verb_start(const struct options *options)
{
    return change_power(options, "start", "running", cluster_start_node);
}
