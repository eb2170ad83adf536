/* ordeal nemesis: one fault by hand, until Ctrl-C. */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/base/clock.h"
#include "harness/cli/by_hand.h"
#include "harness/control.h"
#include "harness/nemesis.h"
#include "harness/reach.h"
#include "harness/run.h"
#include "harness/schedules/schedule.h"

struct request {
    struct plan plan;
    const char *nemesis, *argument, *process;
    int64_t for_ns; /* -1: until interrupted */
    bool list;
};

static const struct cli_option own_options[] = {
    {"list", NULL, "tell which nemeses work on these nodes, and why the others do not"},
    {"process", "NAME", "for faults of processes: those of this name"},
    {"for", "TIME", "undo it after this time instead of at Ctrl-C"},
    {"seed", "N", "repeats what was drawn"},
    {"set", "NEMESIS.OPTION=VALUE", "an option of the nemesis (ordeal list nemeses)"},
    {.name = NULL},
};

static enum err_code take(void *state, const char *name, const char *value, struct err *err)
{
    struct request *request = state;
    if (name == NULL) {
        if (request->nemesis == NULL)
            request->nemesis = value;
        else if (request->argument == NULL)
            request->argument = value;
        else
            return err_set(err, ERR_CONFIG, "nemesis takes a name and one argument, not also '%s'",
                           value);
        return ERR_NONE;
    }
    if (strcmp(name, "process") == 0) {
        request->process = value;
        return ERR_NONE;
    }
    if (strcmp(name, "list") == 0) {
        request->list = true;
        return ERR_NONE;
    }
    if (strcmp(name, "for") == 0)
        return clock_parse_duration(value, &request->for_ns, err);
    char where[80];
    snprintf(where, sizeof where, "--%s", name);
    return plan_set(&request->plan, name, value, where, err);
}

static int print_help(void)
{
    struct buf out = BUF_INIT;
    buf_add_text(&out,
                 "usage: ordeal nemesis NAME [ARG] [OPTION..]\n"
                 "       ordeal nemesis --list [OPTION..]\n\n"
                 "Injects one fault, verifies it, holds it until Ctrl-C (or --for), undoes it and\n"
                 "verifies that. If ordeal dies meanwhile, the nodes undo it by themselves.\n\n"
                 "  ordeal nemesis partition halves\n"
                 "  ordeal nemesis pause minority --process etcd\n"
                 "  ordeal nemesis kill n1 --process etcd      (nothing starts it again)\n\n"
                 "ARG is the value of the nemesis' first option. NAME may be the file of one of\n"
                 "your own, such as ./mine.so. The nemeses:\n\n");
    for (const struct nemesis *const *nemesis = nemeses; *nemesis != NULL; nemesis++)
        buf_printf(&out, "  %-12s %s\n", (*nemesis)->name, (*nemesis)->summary);
    buf_add_char(&out, '\n');
    cli_print_options(own_options, &out);
    cli_print_options(by_hand_where, &out);
    int status = cli_output(&out, 0);
    buf_free(&out);
    return status;
}

/* ---- A system that is whatever processes have a name ---- */

static enum err_code cannot_start(struct test *test, node_set nodes, struct err *err)
{
    (void)test, (void)nodes;
    return err_set(err, ERR_UNSUPPORTED, "processes found by name cannot be started again");
}

static enum err_code nothing(struct test *test, node_set nodes, struct err *err)
{
    (void)test, (void)nodes, (void)err;
    return ERR_NONE;
}

static bool ready(struct test *test, struct buf *why_not)
{
    (void)test, (void)why_not;
    return true;
}

static const struct client *no_client(const char *workload)
{
    (void)workload;
    return NULL;
}

/* ---- The fault ---- */

static void await_end(int64_t for_ns)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGHUP);
    if (for_ns < 0) {
        int signal;
        sigwait(&set, &signal);
        return;
    }
    struct timespec time = clock_timespec(for_ns);
    sigtimedwait(&set, NULL, &time);
}

static enum err_code inject(struct request *request, struct test *test, struct err *err)
{
    const struct nemesis *nemesis = request->plan.nemeses[0];
    struct prng prng = prng_stream(request->plan.seed, "nemesis");
    struct fault fault = {.id = 1, .nemesis = nemesis, .arena = test->arena};
    struct log *log = test->control->log;
    if (nemesis->check(test, err) != ERR_NONE) {
        if (err->code == ERR_UNSUPPORTED) /* what was asked for does not fit the nodes */
            err->code = ERR_CONFIG;
        return err_wrap(err, "nemesis %s", nemesis->name);
    }
    fault.asked = nemesis->choose(test, &prng, test->arena);
    fault.state = arena_zalloc(test->arena, nemesis->fault_state_size + 1);
    if (nemesis->begin(test, &fault, err) != ERR_NONE)
        return err->code;
    struct buf nodes = BUF_INIT;
    test_print_nodes(test, fault.nodes, &nodes);
    bool kills = strcmp(nemesis->name, "kill") == 0; /* what is dead cannot be undone by name */
    log_line(log, "%s of %s%s: %s%s", nemesis->name, buf_text(&nodes),
             fault.begun_verified == VERIFIED_YES ? "" : " (NOT verified)",
             buf_text(&fault.begun_evidence), kills ? "" : "; Ctrl-C undoes it");
    buf_free(&nodes);
    enum err_code code = ERR_NONE;
    if (!kills) {
        await_end(request->for_ns);
        code = nemesis->end(test, &fault, err);
        if (code == ERR_NONE)
            log_line(log, "undone%s: %s",
                     fault.ended_verified == VERIFIED_YES ? "" : " (NOT verified)",
                     buf_text(&fault.ended_evidence));
    }
    buf_free(&fault.begun_evidence);
    buf_free(&fault.ended_evidence);
    return code;
}

/* ---- What works here ---- */

static enum err_code tell(struct request *request, struct test *test, struct buf *out)
{
    size_t works = 0, count = 0;
    for (const struct nemesis *const *one = nemeses; *one != NULL; one++, count++) {
        struct err why = ERR_INIT;
        bool fine = (*one)->check(test, &why) == ERR_NONE;
        bool asks = fine && ((*one)->hits & HITS_PROCESSES) != 0 && request->process == NULL;
        works += fine;
        buf_printf(out, "%-13s %s%s%s\n", (*one)->name,
                   fine ? "works" : "does not work: ", fine ? "" : why.message,
                   asks ? ", on processes that --process names" : "");
    }
    buf_printf(out, "%zu of %zu work on these %u nodes by hand\n", works, count, test->node_count);
    return ERR_NONE;
}

static enum err_code list(struct request *request, struct test *test)
{
    struct buf out = BUF_INIT;
    tell(request, test, &out);
    fputs(buf_text(&out), stdout);
    fflush(stdout);
    buf_free(&out);
    return ERR_NONE;
}

static enum err_code with_nodes(struct request *request, struct log *log, struct err *err)
{
    struct reach reach;
    const char *daemons[] = {
        request->list && request->process == NULL ? "PROCESS" : request->process, NULL};
    const char *const none[] = {NULL};
    struct system by_name = {.name = "by hand",
                             .summary = "processes found by name",
                             .daemons = daemons,
                             .log_paths = none,
                             .install = nothing,
                             .start = cannot_start,
                             .ready = ready,
                             .wipe = nothing,
                             .client = no_client};
    request->plan.system = &by_name;
    if (reach_open(&request->plan, REACH_ATTACH, "ordeal nemesis", log, &reach, err) != ERR_NONE)
        return err->code;
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGHUP);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    struct history history;
    history_init(&history);
    struct control control = {.log = log, .by_process_name = true, .cluster = reach.cluster};
    struct test test = {.plan = &request->plan,
                        .nodes = reach.nodes,
                        .node_count = reach.node_count,
                        .history = &history,
                        .arena = &reach.arena,
                        .epoch_ns = clock_monotonic_ns(),
                        .control = &control};
    control.test = &test;
    enum err_code code = control_open(&control, &reach.fleet_options, reach.owner, err);
    if (code == ERR_NONE)
        code = request->list ? list(request, &test) : inject(request, &test, err);
    control_close(&control);
    history_free(&history);
    reach_close(&reach);
    return code;
}

/* The plan with the options of every nemesis, so that each can be checked. */
static enum err_code resolve_all(struct request *request, struct err *err)
{
    struct buf names = BUF_INIT;
    for (const struct nemesis *const *one = nemeses; *one != NULL; one++)
        buf_printf(&names, "%s%s", names.length > 0 ? "," : "", (*one)->name);
    enum err_code code = by_hand_resolve(&request->plan, buf_text(&names), err);
    buf_free(&names);
    return code;
}

static enum err_code prepare(struct request *request, struct err *err)
{
    if (request->list) {
        if (request->nemesis != NULL)
            return err_set(err, ERR_CONFIG, "--list tells of all nemeses; leave '%s' out",
                           request->nemesis);
        return resolve_all(request, err);
    }
    if (request->nemesis == NULL)
        return err_set(err, ERR_CONFIG, "nemesis needs a name: ordeal nemesis partition halves");
    const struct nemesis *nemesis = schedule_nemesis(request->nemesis, "", err);
    if (nemesis == NULL)
        return err->code;
    if (request->argument != NULL) {
        if (nemesis->options == NULL || nemesis->options[0].name == NULL)
            return err_set(err, ERR_CONFIG, "the nemesis %s takes no argument", nemesis->name);
        const char *set = arena_printf(&request->plan.arena, "%s.%s=%s", nemesis->name,
                                       nemesis->options[0].name, request->argument);
        if (plan_set(&request->plan, "set", set, "nemesis", err) != ERR_NONE)
            return err->code;
    }
    if ((nemesis->hits & HITS_PROCESSES) != 0 && request->process == NULL)
        return err_set(err, ERR_CONFIG, "%s needs --process NAME: which processes?", nemesis->name);
    return by_hand_resolve(&request->plan, request->nemesis, err);
}

int cmd_nemesis(int argc, char **argv)
{
    struct request request = {.for_ns = -1};
    struct arena arena = ARENA_INIT;
    struct err err = ERR_INIT;
    bool help;
    plan_init(&request.plan);
    enum err_code code =
        cli_parse(argc, argv, by_hand_options(&arena, own_options), take, &request, &help, &err);
    if (code == ERR_NONE && !help)
        code = prepare(&request, &err);
    if (code == ERR_NONE && !help) {
        struct log *log = log_open(LOG_TALK);
        code = with_nodes(&request, log, &err);
        log_close(log);
    }
    plan_free(&request.plan);
    arena_free(&arena);
    if (help)
        return print_help();
    return code == ERR_NONE ? 0 : cli_fail(&err);
}
