/* ordeal heal: undo every fault on every node, also after a crash. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness/cli/by_hand.h"
#include "harness/cluster/cluster.h"
#include "harness/reach.h"
#include "harness/remote/fleet.h"
#include "harness/run.h"
#include "harness/switch_on.h"

/* Any version of the agent can replay a journal; the newest one that is there does. An agent that
 * still runs is told to undo its faults and end. */
static const char heal_command[] =
    "found=; for agent in $(ls -t /var/lib/ordeal/bin/ordeal-agent-* 2>/dev/null); do "
    "[ -x \"$agent\" ] || continue; found=1; \"$agent\" heal && exit 0; done; "
    "[ -n \"$found\" ] || { echo 'nothing of ordeal was ever here'; exit 0; }; exit 1";

struct request {
    struct plan plan;
    bool all;
};

static const struct cli_option own_options[] = {
    {"all", NULL, "every local cluster of this machine"},
    {.name = NULL},
};

static enum err_code take(void *state, const char *name, const char *value, struct err *err)
{
    if (name == NULL)
        return err_set(err, ERR_CONFIG, "heal takes no argument '%s'; --nodes says where", value);
    struct request *request = state;
    char where[80];
    if (strcmp(name, "all") == 0) {
        request->all = true;
        return ERR_NONE;
    }
    snprintf(where, sizeof where, "--%s", name);
    return plan_set(&request->plan, name, value, where, err);
}

static int print_help(void)
{
    struct buf out = BUF_INIT;
    buf_add_text(
        &out,
        "usage: ordeal heal [OPTION..]\n\n"
        "Undoes every fault of ordeal on every node: firewall rules, stopped processes, and\n"
        "whatever else a journal on the node still holds. Machines that ordeal had switched off,\n"
        "as the store remembers, are switched on. Ends an agent that still runs there, and with\n"
        "it the run that uses it. Safe to repeat.\n\n");
    cli_print_options(own_options, &out);
    cli_print_options(by_hand_where, &out);
    int status = cli_output(&out, 0);
    buf_free(&out);
    return status;
}

static void say(void *state, const struct node *node, const char *line)
{
    (void)state;
    printf("%s: %s\n", node->name, line);
    fflush(stdout); /* it may take minutes to be there */
}

/* Machines that are off have to be on before anything on them can be undone. */
static enum err_code switch_nodes_on(const struct plan *plan, const struct reach *reach,
                                     struct err *err)
{
    const struct switch_on options = {.store = plan->store,
                                      .nodes = reach->nodes,
                                      .node_count = reach->node_count,
                                      .fleet_options = &reach->fleet_options,
                                      .which = SWITCH_ON_ALL,
                                      .say = say};
    return plan->local ? ERR_NONE : switch_on(&options, err);
}

static enum err_code heal(const struct reach *reach, struct err *err)
{
    struct fleet *fleet;
    struct output outputs[PLAN_NODES_MAX] = {{.status = 0}};
    if (fleet_open(reach->nodes, reach->node_count, &reach->fleet_options, &fleet, err) != ERR_NONE)
        return err->code;
    struct command command = {.text = heal_command, .as_root = true};
    enum err_code code = fleet_run_all(fleet, NULL, reach->node_count, &command, outputs, err);
    for (uint32_t i = 0; i < reach->node_count; i++) {
        char *rest = outputs[i].out.data;
        for (char *line; (line = strsep(&rest, "\n")) != NULL;)
            if (*line != '\0')
                printf("%s: %s\n", reach->nodes[i].name, line);
        if (code == ERR_NONE && outputs[i].status != 0)
            code = err_set(err, ERR_REMOTE, "%s: not everything could be undone: %.300s",
                           reach->nodes[i].name, buf_text(&outputs[i].err));
        output_free(&outputs[i]);
    }
    fleet_close(fleet);
    return code;
}

static enum err_code heal_plan(struct plan *plan, struct err *err)
{
    struct reach reach;
    enum err_code code = by_hand_resolve(plan, NULL, err);
    if (code != ERR_NONE)
        return code;
    struct log *log = log_open(LOG_TALK);
    code = reach_open(plan, REACH_HEAL, "ordeal heal", log, &reach, err);
    if (code == ERR_NONE) {
        code = switch_nodes_on(plan, &reach, err);
        if (code == ERR_NONE)
            code = heal(&reach, err);
        reach_close(&reach);
    }
    log_close(log);
    return code;
}

/* One cluster, in a process of its own: each has a network of its own, which is entered. */
static int heal_one(struct plan *plan, const char *cluster)
{
    struct err err = ERR_INIT;
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        enum err_code code = plan_set(plan, "cluster", cluster, "--all", &err);
        if (code == ERR_NONE)
            code = heal_plan(plan, &err);
        fflush(stdout);
        _exit(code == ERR_NONE ? 0 : cli_fail(&err));
    }
    int status = 0;
    if (child < 0 || waitpid(child, &status, 0) != child || !WIFEXITED(status)) {
        err_set(&err, ERR_IO, "cluster %s: it could not be healed", cluster);
        return cli_fail(&err);
    }
    return WEXITSTATUS(status);
}

static int heal_all(struct plan *plan)
{
    struct cluster_info *infos = NULL;
    size_t count = 0;
    int worst = 0;
    struct err err = ERR_INIT;
    if (plan_text(plan, "nodes") != NULL || plan_text(plan, "cluster") != NULL)
        err_set(&err, ERR_CONFIG, "--all is every local cluster; leave --nodes and --cluster out");
    else
        (void)!cluster_list(&infos, &count, &err);
    if (err.code != ERR_NONE)
        return cli_fail(&err);
    for (size_t i = 0; i < count; i++) {
        if (!infos[i].alive)
            continue;
        printf("cluster %s\n", infos[i].name);
        int status = heal_one(plan, infos[i].name);
        worst = status > worst ? status : worst;
    }
    if (count == 0)
        printf("no local cluster is up\n");
    free(infos);
    return worst;
}

int cmd_heal(int argc, char **argv)
{
    struct request request = {.all = false};
    struct arena arena = ARENA_INIT;
    struct err err = ERR_INIT;
    bool help;
    plan_init(&request.plan);
    int status = 0;
    enum err_code code =
        cli_parse(argc, argv, by_hand_options(&arena, own_options), take, &request, &help, &err);
    if (code == ERR_NONE && !help && request.all)
        status = heal_all(&request.plan);
    else if (code == ERR_NONE && !help)
        code = heal_plan(&request.plan, &err);
    plan_free(&request.plan);
    arena_free(&arena);
    if (help)
        return print_help();
    return code == ERR_NONE ? status : cli_fail(&err);
}
