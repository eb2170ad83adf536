/* How long it takes to inject faults into five nodes of a local cluster on which ordeal-queue runs:
 * over SSH, by the agents, until all nodes have said that it is in force. Root only.
 *
 * For a partition and packets, in force is when every agent's rules are; probing and measuring all
 * paths comes on top, and is told beside it. Kills, pauses and steps of clocks are verified by the
 * agents before they answer, so these are whole faults as a run has them, with choosing on whom
 * and looking who runs. Exits with 1 when a median is not what is promised. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness/base/clock.h"
#include "harness/control.h"
#include "harness/log.h"
#include "harness/nemesis.h"
#include "harness/plan.h"
#include "harness/reach.h"

enum { NODES = 5, TIMES_MAX = 1000, READY_SECONDS = 30 };

static const struct kind {
    const char *nemesis, *name;
    int64_t promised_ns;
    const char *set[3];
    bool in_force; /* the evidence says how long; else it is the whole fault that is timed */
    bool starts;   /* daemons are started again, which is not what is measured */
} kinds[] = {
    {.nemesis = "partition",
     .name = "partition",
     .promised_ns = 5 * NS_PER_MS,
     .set = {"partition.shape=halves"},
     .in_force = true},
    {.nemesis = "kill",
     .name = "kill",
     .promised_ns = 5 * NS_PER_MS,
     .set = {"kill.targets=all"},
     .starts = true},
    {.nemesis = "pause",
     .name = "pause",
     .promised_ns = 5 * NS_PER_MS,
     .set = {"pause.targets=all"}},
    {.nemesis = "clock",
     .name = "clock step",
     .promised_ns = 5 * NS_PER_MS,
     .set = {"clock.targets=all", "clock.offset=+60s"}},
    {.nemesis = "packets",
     .name = "packets: delay, queued",
     .promised_ns = 20 * NS_PER_MS,
     .set = {"packets.kind=delay", "packets.targets=all", "packets.means=queue"},
     .in_force = true},
    {.nemesis = "packets",
     .name = "packets: rate, by tc",
     .promised_ns = 20 * NS_PER_MS,
     .set = {"packets.kind=rate", "packets.targets=all", "packets.means=netem"},
     .in_force = true},
};
enum { KINDS = sizeof kinds / sizeof *kinds };

struct bench {
    struct plan plan;
    struct reach reach;
    struct control control;
    struct test test;
    struct history history;
};

/* ---- Five nodes with a system ---- */

static enum err_code await_ready(struct test *test, struct err *err)
{
    int64_t deadline_ns = clock_monotonic_ns() + READY_SECONDS * NS_PER_SECOND;
    struct buf why = BUF_INIT;
    for (;;) {
        buf_clear(&why);
        if (test->plan->system->ready(test, &why))
            break;
        if (clock_monotonic_ns() > deadline_ns) {
            enum err_code code = err_set(err, ERR_TIMEOUT, "%s", buf_text(&why));
            buf_free(&why);
            return code;
        }
        clock_sleep_ns(20 * NS_PER_MS);
    }
    buf_free(&why);
    return ERR_NONE;
}

static enum err_code set_up(struct bench *bench, const char *build, const char *nemesis,
                            const char *const *set, struct log *log, struct err *err)
{
    struct plan *plan = &bench->plan;
    char nodes[16], cluster[64], binary[4200];
    snprintf(nodes, sizeof nodes, "%d", NODES);
    snprintf(cluster, sizeof cluster, "bench-faults-%d", (int)getpid());
    snprintf(binary, sizeof binary, "queue.binary=%s/ordeal-queue", build);
    plan_init(plan);
    const struct {
        const char *name, *value;
    } fields[] = {{"system", "queue"},  {"workload", "queue"}, {"local", nodes},
                  {"cluster", cluster}, {"nemesis", nemesis},  {"seed", "1"},
                  {"set", binary}};
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        if (plan_set(plan, fields[i].name, fields[i].value, "bench", err) != ERR_NONE)
            return err->code;
    for (size_t i = 0; i < 3 && set[i] != NULL; i++)
        if (plan_set(plan, "set", set[i], "bench", err) != ERR_NONE)
            return err->code;
    if (plan_resolve(plan, err) != ERR_NONE)
        return err->code;
    if (reach_open(plan, REACH_RAISE, "make bench-faults", log, &bench->reach, err) != ERR_NONE)
        return err->code;
    history_init(&bench->history);
    bench->control = (struct control){.log = log, .cluster = bench->reach.cluster};
    bench->test = (struct test){.plan = plan,
                                .nodes = bench->reach.nodes,
                                .node_count = bench->reach.node_count,
                                .history = &bench->history,
                                .arena = &bench->reach.arena,
                                .epoch_ns = clock_monotonic_ns(),
                                .control = &bench->control};
    bench->control.test = &bench->test;
    struct test *test = &bench->test;
    const struct system *system = plan->system;
    enum err_code code =
        control_open(&bench->control, &bench->reach.fleet_options, bench->reach.owner, err);
    if (code == ERR_NONE)
        code = system->install(test, test_all_nodes(test), err);
    if (code == ERR_NONE)
        code = system->wipe(test, test_all_nodes(test), err);
    if (code == ERR_NONE)
        code = plan->nemeses[0]->check(test, err);
    if (code == ERR_NONE)
        code = system->start(test, test_all_nodes(test), err);
    return code == ERR_NONE ? await_ready(test, err) : code;
}

static void tear_down(struct bench *bench)
{
    control_close(&bench->control);
    history_free(&bench->history);
    reach_close(&bench->reach);
    plan_free(&bench->plan);
}

/* ---- Measuring ---- */

static int by_size(const void *left, const void *right)
{
    double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

/* "in force in 4.1 ms, ..." */
static double in_force_ms(const char *evidence)
{
    double number = 0;
    char unit[8] = "";
    const char *at = strstr(evidence, "in force in ");
    if (at == NULL || sscanf(at, "in force in %lf %7[a-z]", &number, unit) != 2)
        return NAN;
    return strcmp(unit, "us") == 0 ? number / 1e3 : strcmp(unit, "s") == 0 ? number * 1e3 : number;
}

static enum err_code inject(struct bench *bench, const struct kind *kind, uint32_t number,
                            double *measured_ms, double *whole_ms, struct err *err)
{
    struct test *test = &bench->test;
    const struct nemesis *nemesis = test->plan->nemeses[0];
    struct prng prng = prng_stream(number, "bench");
    struct fault fault = {.id = number, .nemesis = nemesis, .arena = test->arena};
    fault.asked = nemesis->choose(test, &prng, test->arena);
    fault.state = arena_zalloc(test->arena, nemesis->fault_state_size + 1);
    int64_t began_ns = clock_monotonic_ns();
    enum err_code code = nemesis->begin(test, &fault, err);
    *whole_ms = (double)(clock_monotonic_ns() - began_ns) / 1e6;
    *measured_ms = kind->in_force ? in_force_ms(buf_text(&fault.begun_evidence)) : *whole_ms;
    if (code == ERR_NONE && fault.begun_verified != VERIFIED_YES)
        code = err_set(err, ERR_REMOTE, "%s was not verified", kind->name);
    if (code == ERR_NONE && kind->starts) {
        code = test->plan->system->start(test, test_all_nodes(test), err);
        if (code == ERR_NONE)
            code = await_ready(test, err);
    } else if (code == ERR_NONE) {
        code = nemesis->end(test, &fault, err);
    }
    if (getenv("TELL"))
        fprintf(stderr, "%.2f ms: %s\n", *whole_ms, buf_text(&fault.begun_evidence));
    buf_free(&fault.begun_evidence);
    buf_free(&fault.ended_evidence);
    return code;
}

/* False when it is slower than promised, or did not work. */
static bool measure(const struct kind *kind, const char *build, uint32_t times, struct log *log)
{
    struct bench bench = {.test = {.node_count = 0}};
    struct err err = ERR_INIT;
    double measured[TIMES_MAX], whole[TIMES_MAX];
    enum err_code code = set_up(&bench, build, kind->nemesis, kind->set, log, &err);
    for (uint32_t i = 0; i < times && code == ERR_NONE; i++)
        code = inject(&bench, kind, i + 1, &measured[i], &whole[i], &err);
    tear_down(&bench);
    if (code != ERR_NONE) {
        printf("| %-24s | did not work: %s\n", kind->name, err.message);
        return false;
    }
    qsort(measured, times, sizeof *measured, by_size);
    qsort(whole, times, sizeof *whole, by_size);
    double median = measured[times / 2], promised = (double)kind->promised_ns / 1e6;
    bool met = median <= promised;
    printf("| %-24s | %6.2f ms | %6.2f ms | %7.1f ms | %2.0f ms%-10s | %u |\n", kind->name, median,
           measured[times * 95 / 100], whole[times / 2], promised, met ? "" : " NOT MET", times);
    fflush(stdout);
    return met;
}

/* In a process of its own: who has raised a cluster stays in its network. */
static bool measure_apart(const struct kind *kind, const char *build, uint32_t times,
                          struct log *log)
{
    int status = 0;
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0)
        exit(measure(kind, build, times, log) ? 0 : 1);
    return pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status) &&
           WEXITSTATUS(status) == 0;
}

int main(int argc, char **argv)
{
    long times = argc > 2 ? strtol(argv[2], NULL, 10) : 40;
    const char *only = argc > 3 ? argv[3] : "";
    char agent[4200];
    bool all = true;
    if (geteuid() != 0 || argc < 2 || times < 1 || times > TIMES_MAX) {
        fprintf(stderr,
                "usage: faults BUILD [TIMES [NEMESIS]], as root: it raises local clusters\n");
        return 1;
    }
    snprintf(agent, sizeof agent, "%s/ordeal-agent", argv[1]);
    setenv("ORDEAL_AGENT", agent, 1);
    double load[1] = {NAN};
    (void)!getloadavg(load, 1);
    printf("%ld processors, load before %.2f; %d nodes of a local cluster, over SSH\n\n",
           sysconf(_SC_NPROCESSORS_ONLN), load[0], NODES);
    printf("| %-24s | %-9s | %-9s | %-10s | %-15s | times |\n", "injected", "median", "p95",
           "verified", "promised");
    struct log *log = log_open(LOG_QUIET);
    for (size_t i = 0; i < KINDS; i++)
        if (*only == '\0' || strcmp(only, kinds[i].nemesis) == 0)
            all = measure_apart(&kinds[i], argv[1], (uint32_t)times, log) && all;
    log_close(log);
    return all ? 0 : 1;
}
