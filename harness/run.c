/* One test from beginning to end: see run.h.
 *
 * The way down a run is a list of steps, and the way back undoes what was done, however far it got.
 * After the steps that need the nodes come those that need only the history, so that a cluster is
 * given back before its history is judged. */
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "harness/base/clock.h"
#include "harness/base/text.h"
#include "harness/marks.h"
#include "harness/notes.h"
#include "harness/run_internal.h"
#include "harness/store.h"
#include "harness/switch_on.h"
#include "harness/switched_off.h"

#define HANG_GRACE_NS (5 * NS_PER_SECOND)
#define STOP_GRACE_NS (5 * NS_PER_SECOND)
#define HURRIED_RECOVERY_NS (5 * NS_PER_SECOND) /* somebody pressed Ctrl-C */
#define CLOCK_LOOK_NS (500 * NS_PER_MS)
#define READY_POLL_NS (50 * NS_PER_MS)
#define WATCH_PAUSE_NS (100 * NS_PER_MS)
#define WATCH_CLOSELY_NS (10 * NS_PER_MS) /* when faults wait for it */

/* ---- Stopping early ---- */

static void stop(struct running *running)
{
    pthread_mutex_lock(&running->stop_lock);
    running->stop_wanted = true;
    if (!atomic_load(&running->working)) /* whoever waits for nodes or the system gives up */
        atomic_store(&running->control.cancelled, true);
    if (running->scheduler != NULL)
        scheduler_stop(running->scheduler);
    pthread_mutex_unlock(&running->stop_lock);
}

/* While the run is set up the command's last line tells it; later it is told at once, too. */
void run_fail(struct running *running, enum err_code code, const char *why)
{
    pthread_mutex_lock(&running->stop_lock);
    bool first = running->problem.code == ERR_NONE;
    if (first)
        err_set(&running->problem, code, "%s", why);
    pthread_mutex_unlock(&running->stop_lock);
    if (first && atomic_load(&running->working))
        log_problem(running->log, "%s", why);
    stop(running);
}

/* Not under the stop lock: the I/O thread, which is waited for here, takes that to tell of daemons
 * and agents. */
static void interrupt_set_up(struct running *running)
{
    pthread_mutex_lock(&running->fleet_lock);
    if (!atomic_load(&running->working) && !atomic_load(&running->finishing)) {
        if (running->control.fleet == NULL) { /* machines may take their time to answer */
            log_problem(running->log, "ordeal: interrupted before the nodes were reached");
            _exit(EXIT_HARNESS_FAILED); /* nothing was done to them */
        }
        fleet_interrupt(running->control.fleet);
    }
    pthread_mutex_unlock(&running->fleet_lock);
}

static void *handle_signals(void *argument)
{
    struct running *running = argument;
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGHUP);
    sigaddset(&set, SIGUSR2); /* ours: the run is over */
    for (int signal; sigwait(&set, &signal) == 0 && signal != SIGUSR2;) {
        int count = atomic_fetch_add(&running->interrupts, 1) + 1;
        if (count >= 2) {
            log_problem(running->log, "interrupted again: stopping at once; the nodes' agents undo "
                                      "every fault by themselves");
            _exit(EXIT_HARNESS_FAILED); /* their input closes with us */
        }
        log_problem(running->log, "interrupted: %s (once more to stop at once)",
                    atomic_load(&running->working) ? "healing, then judging what there is"
                                                   : "cleaning up what was set up");
        stop(running);
        interrupt_set_up(running);
    }
    return NULL;
}

static void catch_signals(struct running *running)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGHUP);
    sigaddset(&set, SIGUSR2);
    pthread_sigmask(SIG_BLOCK, &set, NULL); /* threads made from here on inherit it */
    signal(SIGPIPE, SIG_IGN);
    running->has_signals = pthread_create(&running->signals, NULL, handle_signals, running) == 0;
}

static void release_signals(struct running *running)
{
    if (!running->has_signals)
        return;
    pthread_kill(running->signals, SIGUSR2);
    pthread_join(running->signals, NULL);
    running->has_signals = false;
}

/* A violation was seen: the run has shown what it was made for. */
static void on_violation(void *state, const char *why)
{
    struct running *running = state;
    pthread_mutex_lock(&running->stop_lock);
    running->violation = arena_strdup(&running->live_arena, why);
    pthread_mutex_unlock(&running->stop_lock);
    log_problem(running->log, "a violation was seen: healing, then judging what there is: %s", why);
    stop(running);
}

static enum err_code start_watching(struct running *running, struct err *err)
{
    const struct plan *plan = running->plan;
    if (!plan->stop_on_violation) /* the plan was refused if no checker of it can watch */
        return ERR_NONE;
    struct live_options options = {.scheduler = running->scheduler,
                                   .checker = plan_watcher(plan),
                                   .options = plan->options.values,
                                   .keyed = plan->keyed,
                                   .on_violation = on_violation,
                                   .state = running};
    return live_start(&options, &running->live, err);
}

/* Half a second tells steps and drifts apart, and costs the nodes a thousandth of their time. */
static enum err_code watch_clocks(struct running *running, struct err *err)
{
    for (size_t i = 0; i < running->plan->nemesis_count; i++)
        if (strcmp(running->plan->nemeses[i]->name, "clock") == 0)
            return clock_watch_start(&running->test, CLOCK_LOOK_NS, &running->clocks, err);
    return ERR_NONE;
}

static void stop_watching(struct running *running)
{
    live_stop(running->live, &running->live_costs);
    running->live = NULL;
}

/* ---- What comes from the nodes ---- */

static struct value keyword(struct arena *arena, const char *name)
{
    return value_keyword(arena, name);
}

static void on_daemon_exit(void *state, const struct daemon_exit *exit)
{
    struct running *running = state;
    const char *node = running->test.nodes[exit->node].name;
    if (exit->asked)
        return;
    log_line(running->log, "%s: %s ended unasked: %s %d%s%s%s", node, exit->name,
             exit->signal != 0 ? "signal" : "status",
             exit->signal != 0 ? exit->signal : exit->status, exit->oom ? " (out of memory)" : "",
             exit->under != NULL ? ", while it was short of " : "",
             exit->under != NULL ? exit->under : "");
    struct arena scratch = ARENA_INIT;
    struct value items[] = {
        keyword(&scratch, "node"),
        value_string(&scratch, node),
        keyword(&scratch, "name"),
        value_string(&scratch, exit->name),
        keyword(&scratch, exit->signal != 0 ? "signal" : "status"),
        value_int(NULL, exit->signal != 0 ? exit->signal : exit->status),
        keyword(&scratch, "asked"),
        value_bool(exit->asked),
        keyword(&scratch, "oom"),
        value_bool(exit->oom),
        keyword(&scratch, "core"),
        value_bool(exit->core),
        keyword(&scratch, "under"),
        exit->under != NULL ? keyword(&scratch, exit->under) : value_nil(),
    };
    struct op op = {.type = OP_INFO, .process = PROCESS_DAEMON};
    /* `under` comes last and only where there is one. */
    size_t count = sizeof items / sizeof items[0] - (exit->under == NULL ? 2 : 0);
    op.value = value_items(&scratch, VALUE_MAP, items, count);
    pthread_mutex_lock(&running->stop_lock);
    if (running->scheduler != NULL) {
        int f = history_find_f(&running->history, "exit");
        op.f = (uint16_t)f;
        scheduler_record(running->scheduler, &op);
    }
    pthread_mutex_unlock(&running->stop_lock);
    arena_free(&scratch);
}

static void on_mark(void *state, struct op *op)
{
    struct running *running = state;
    pthread_mutex_lock(&running->stop_lock);
    if (running->scheduler != NULL) {
        op->process = marks_process(&running->history);
        op->f = (uint16_t)history_find_f(&running->history, MARK_FUNCTION);
        scheduler_record(running->scheduler, op);
    }
    pthread_mutex_unlock(&running->stop_lock);
}

static void on_agent_lost(void *state, uint32_t node, const char *why)
{
    struct running *running = state;
    char text[ERR_MESSAGE_MAX];
    snprintf(text, sizeof text, "%s: the agent is lost: %.800s", running->test.nodes[node].name,
             why);
    atomic_fetch_or(&running->lost, NODE_SET(node));
    if (!atomic_load(&running->finishing))
        run_fail(running, ERR_REMOTE, text);
}

/* ---- Setting up ---- */

static void say_switched_on(void *state, const struct node *node, const char *line)
{
    struct running *running = state;
    log_line(running->log, "%s: %s", node->name, line);
}

/* What an ordeal that was killed has left off. */
static enum err_code switch_nodes_on(struct running *running, struct err *err)
{
    const struct switch_on options = {.store = running->plan->store,
                                      .nodes = running->reach.nodes,
                                      .node_count = running->reach.node_count,
                                      .fleet_options = &running->reach.fleet_options,
                                      .which = SWITCH_ON_LEFT,
                                      .say = say_switched_on,
                                      .state = running};
    return running->plan->local ? ERR_NONE : switch_on(&options, err);
}

/* That they answer says that they are on, whoever did it. */
static enum err_code forget_switched_off(struct running *running, struct err *err)
{
    enum err_code code = ERR_NONE;
    for (uint32_t i = 0; i < running->reach.node_count && code == ERR_NONE; i++)
        code = running->plan->local
                   ? ERR_NONE
                   : switched_off_forget(running->plan->store, &running->reach.nodes[i], err);
    return code;
}

static enum err_code connect_nodes(struct running *running, struct err *err)
{
    struct control control = {
        .test = &running->test, .log = running->log, .cluster = running->reach.cluster};
    control.hooks = (struct control_hooks){running, on_daemon_exit, on_agent_lost, on_mark};
    pthread_mutex_lock(&running->stop_lock);
    atomic_init(&control.cancelled, running->stop_wanted);
    running->control = control;
    running->test.control = &running->control;
    pthread_mutex_unlock(&running->stop_lock);
    if (switch_nodes_on(running, err) != ERR_NONE)
        return err->code;
    enum err_code code =
        control_open(&running->control, &running->reach.fleet_options, running->reach.owner, err);
    return code == ERR_NONE ? forget_switched_off(running, err) : code;
}

/* Polls the system until it serves. `why_not` says what it waited for last. */
static enum err_code poll_ready(struct running *running, int64_t patience_ns, struct buf *why_not)
{
    int64_t deadline_ns = clock_monotonic_ns() + patience_ns;
    for (;;) {
        buf_clear(why_not);
        if (running->control.notes != NULL)
            notes_clear_commands(running->control.notes);
        if (running->plan->system->ready(&running->test, why_not))
            return ERR_NONE;
        if (test_cancelled(&running->test))
            return ERR_CANCELLED;
        if (clock_monotonic_ns() > deadline_ns)
            return ERR_TIMEOUT;
        clock_sleep_ns(READY_POLL_NS);
    }
}

static enum err_code await_ready(struct running *running, struct err *err)
{
    const char *name = running->plan->system->name;
    struct buf why_not = BUF_INIT;
    enum err_code code = poll_ready(running, running->plan->ready_timeout_ns, &why_not);
    if (code == ERR_CANCELLED)
        err_set(err, code, "interrupted while waiting for %s", name);
    else if (code != ERR_NONE)
        err_set(err, code,
                "%s does not serve within the ready-timeout of %s: %s (its logs are under "
                "%s/nodes)",
                name, plan_text(running->plan, "ready-timeout"), buf_text(&why_not),
                running->directory);
    buf_free(&why_not);
    return code;
}

/* Who leads has changed, which a fault may wait for, and readers want to see. */
static void on_leaders(void *state)
{
    struct running *running = state;
    node_set primaries = watch_sight(running->watch).primaries;
    struct buf who = BUF_INIT;
    test_print_nodes(&running->test, primaries, &who);
    test_mark(&running->test, "leader", primaries, -1, "%s",
              primaries == 0 ? "nobody leads" : buf_text(&who));
    buf_free(&who);
    pthread_mutex_lock(&running->stop_lock);
    if (running->scheduler != NULL)
        scheduler_news(running->scheduler);
    pthread_mutex_unlock(&running->stop_lock);
}

static enum err_code prepare_faults(struct running *running, struct err *err)
{
    struct test *test = &running->test;
    if (watch_open(test, on_leaders, running, &running->watch, err) != ERR_NONE)
        return err->code;
    running->schedule = schedule_open(test, running->watch, &running->arena);
    if (schedule_check(running->schedule, err) != ERR_NONE)
        return err->code;
    if (running->plan->leave_running && running->control.disks[0].path != NULL)
        return err_set(err, ERR_CONFIG,
                       "leave-running: a nemesis of this run keeps %s on a disk of ordeal's, which "
                       "is taken away in the end: leave that nemesis out, or --leave-running",
                       running->control.disks[0].path);
    return ERR_NONE;
}

typedef enum err_code node_fn(struct test *test, node_set nodes, struct err *err);

/* One step of setting up: what failed in an earlier one was got over. */
static enum err_code step(struct running *running, node_fn *hook, struct err *err)
{
    notes_clear_commands(running->control.notes);
    return hook(&running->test, test_all_nodes(&running->test), err);
}

static enum err_code start_system(struct running *running, struct err *err)
{
    const struct system *system = running->plan->system;
    struct test *test = &running->test;
    log_line(running->log, "setting up %s on %u node%s", system->name, test->node_count,
             test->node_count == 1 ? "" : "s");
    if (run_capture_check(running, err) != ERR_NONE)
        return err->code;
    if (step(running, system->install, err) != ERR_NONE)
        return err_wrap(err, "install %s", system->name);
    if (step(running, system->wipe, err) != ERR_NONE)
        return err_wrap(err, "wipe %s", system->name);
    if (prepare_faults(running, err) != ERR_NONE)
        return err->code;
    if (run_capture_start(running, err) != ERR_NONE)
        return err->code;
    running->started = true;
    if (step(running, system->start, err) != ERR_NONE)
        return err_wrap(err, "start %s", system->name);
    if (await_ready(running, err) != ERR_NONE)
        return err->code;
    notes_clear_commands(running->control.notes);
    if (system->version != NULL && system->version(test, &running->version, err) != ERR_NONE)
        return err_wrap(err, "%s serves, but", system->name);
    log_line(running->log, "%s serves",
             running->version.length > 0 ? running->version.data : system->name);
    return ERR_NONE;
}

static enum err_code set_up_system(struct running *running, struct err *err)
{
    struct notes *notes = running->control.notes = notes_open();
    enum err_code code = start_system(running, err);
    if (code != ERR_NONE && code != ERR_CONFIG && code != ERR_CANCELLED)
        run_tell_trouble(running, err->message);
    running->control.notes = NULL; /* commands of the work are nobody's trouble */
    notes_close(notes);
    return code;
}

/* ---- The work ---- */

static void record(void *state, const struct op *op)
{
    history_writer_append(((struct running *)state)->writer, op);
}

static void do_fault(void *state, struct op *op)
{
    faults_do(((struct running *)state)->faults, op);
}

static void on_writer_problem(void *state, const char *why)
{
    run_fail(state, ERR_IO, why);
}

static enum err_code open_recording(struct running *running, struct err *err)
{
    struct buf header = BUF_INIT;
    history_header_add(&header, running->plan->name, running->started_wall_ns, running->plan->seed);
    enum err_code code =
        history_writer_open(store_path(&running->arena, running->directory, "history.ordeal"),
                            &running->history, buf_text(&header), &running->writer, err);
    buf_free(&header);
    if (code == ERR_NONE)
        code = faults_open(&running->test,
                           store_path(&running->arena, running->directory, "schedule.jsonl"),
                           &running->faults, err);
    if (code != ERR_NONE)
        return code;
    struct scheduler_options options = {
        .test = &running->test,
        .client = system_client(running->plan->system, running->plan->workload->name),
        .concurrency = (uint32_t)running->plan->concurrency,
        .hooks = {running, record, running->plan->nemesis_count > 0 ? do_fault : NULL},
    };
    struct scheduler *scheduler;
    code = scheduler_open(&options, &scheduler, err);
    if (code != ERR_NONE)
        return code;
    struct faults_context context = {running->schedule, running->watch, scheduler};
    faults_follow(running->faults, &context);
    pthread_mutex_lock(&running->stop_lock);
    running->scheduler = scheduler;
    bool stop_wanted = running->stop_wanted;
    pthread_mutex_unlock(&running->stop_lock);
    if (stop_wanted)
        scheduler_stop(scheduler);
    return ERR_NONE;
}

static struct generator *main_generator(struct running *running)
{
    struct plan *plan = running->plan;
    struct arena *arena = &running->arena;
    struct generator *clients = plan->workload->generator(&running->test, arena);
    if (plan->rate > 0)
        clients = generator_rate(arena, plan->rate, PACE_POISSON, clients,
                                 prng_stream(plan->seed, "rate"));
    clients = generator_time_limit(arena, plan->time_limit_ns, clients);
    if (plan->nemesis_count == 0)
        return clients;
    struct generator *faults = schedule_generator(running->schedule);
    return generator_split(arena, clients,
                           generator_time_limit(arena, plan->time_limit_ns, faults));
}

/* Faults that wait for an election want to hear of it soon. */
static enum err_code watch_leaders(struct running *running, struct err *err)
{
    const struct plan *plan = running->plan;
    int64_t pause_ns = WATCH_PAUSE_NS;
    for (size_t i = 0; i < plan->step_count; i++)
        if (plan->steps[i].kind == STEP_WHEN && plan->steps[i].of == NULL)
            pause_ns = WATCH_CLOSELY_NS;
    return plan->nemesis_count == 0 ? ERR_NONE : watch_start(running->watch, pause_ns, err);
}

static enum err_code run_phase(struct running *running, struct generator *generator,
                               struct err *err)
{
    uint32_t hung = 0;
    enum err_code code = scheduler_run(running->scheduler, generator, HANG_GRACE_NS, &hung, err);
    running->hung += hung;
    if (hung > 0)
        log_problem(running->log,
                    "%u clients hung beyond their timeout; their operations count as "
                    "indeterminate",
                    hung);
    return code;
}

/* Whether the system serves again now that every fault is undone: a fact about it, not about the
 * harness. */
static void await_recovery(struct running *running)
{
    const struct plan *plan = running->plan;
    if (plan->nemesis_count == 0 || running->problem.code != ERR_NONE)
        return;
    bool hurried = atomic_load(&running->interrupts) > 0 || running->violation != NULL;
    int64_t began_ns = clock_monotonic_ns();
    struct buf why_not = BUF_INIT;
    enum err_code code =
        poll_ready(running, hurried ? HURRIED_RECOVERY_NS : plan->ready_timeout_ns, &why_not);
    char took[32];
    clock_format_human(clock_monotonic_ns() - began_ns, took, sizeof took);
    running->recovery = arena_printf(
        &running->arena,
        code == ERR_NONE ? "%s served %s after the last fault was undone%s%s"
                         : "%s did not serve within %s of the last fault's undoing%s%s",
        plan->system->name, took, code == ERR_NONE ? "" : ": ",
        code == ERR_NONE ? "" : buf_text(&why_not));
    running->recovered = code == ERR_NONE;
    log_line(running->log, "%s", running->recovery);
    buf_free(&why_not);
}

/* Heals everything (each nemesis sees to it that it is); then lets clients look at what is left, if
 * the workload wants to. */
static enum err_code finish_work(struct running *running, struct err *err)
{
    if (faults_end_all(running->faults, running->scheduler, err) != ERR_NONE)
        return err->code;
    await_recovery(running);
    const struct workload *workload = running->plan->workload;
    if (workload->final_generator == NULL || running->problem.code != ERR_NONE)
        return ERR_NONE;
    return run_phase(running, workload->final_generator(&running->test, &running->arena), err);
}

static enum err_code work(struct running *running, struct err *err)
{
    struct test *test = &running->test;
    if (open_recording(running, err) != ERR_NONE)
        return err->code;
    struct generator *generator = main_generator(running);
    struct monitor_options watching = {.test = test,
                                       .log = running->log,
                                       .scheduler = running->scheduler,
                                       .faults = running->faults,
                                       .writer = running->writer,
                                       .on_problem = on_writer_problem,
                                       .state = running};
    char limit[32];
    clock_format_duration(running->plan->time_limit_ns, limit, sizeof limit);
    log_line(running->log, "running %s for %s with %d workers, seed %" PRIu64 ", into %s",
             running->plan->name, limit, running->plan->concurrency, running->plan->seed,
             running->directory);
    running->zero_wall_ns = clock_wall_ns();
    test->epoch_ns = clock_monotonic_ns();
    enum err_code code = monitor_start(&watching, &running->monitor, err);
    running->work_began_ns = clock_monotonic_ns();
    atomic_store(&running->working, true);
    if (code == ERR_NONE)
        code = start_watching(running, err);
    if (code == ERR_NONE)
        code = watch_clocks(running, err);
    if (code == ERR_NONE)
        code = watch_leaders(running, err);
    if (code == ERR_NONE)
        code = run_phase(running, generator, err);
    watch_stop(running->watch);
    stop_watching(running);
    struct err finish = ERR_INIT;
    if (finish_work(running, &finish) != ERR_NONE && code == ERR_NONE)
        code = err_set(err, finish.code, "%s", finish.message);
    running->work_ended_ns = clock_monotonic_ns();
    clock_watch_stop(running->clocks);
    monitor_stop(running->monitor);
    running->monitor = NULL;
    return code;
}

/* ---- The way back ---- */

static void stop_system(struct running *running)
{
    const struct system *system = running->plan->system;
    struct test *test = &running->test;
    struct err err = ERR_INIT;
    node_set there = test_all_nodes(test) & ~atomic_load(&running->lost) &
                     ~atomic_load(&running->control.away); /* terminated, or not back */
    enum err_code code = ERR_NONE;
    if (there == 0)
        return;
    if (system->stop != NULL) {
        code = system->stop(test, there, &err);
    } else {
        for (size_t i = 0; system->daemons[i] != NULL && code == ERR_NONE; i++)
            code = daemon_stop(test, there, system->daemons[i], STOP_GRACE_NS, &err);
    }
    if (code == ERR_NONE)
        code = system->wipe(test, there, &err);
    if (code != ERR_NONE)
        log_problem(running->log, "cleaning up %s: %s", system->name, err.message);
}

/* What was asked to stay, and how to get at it and to be rid of it. */
static void leave_running(struct running *running)
{
    const struct plan *plan = running->plan;
    struct test *test = &running->test;
    struct err err = ERR_INIT;
    running->control.leave_daemons = true;
    if (plan->local && reach_keep(&running->reach, &err) != ERR_NONE)
        log_problem(running->log, "the cluster goes all the same: %s", err.message);
    else if (plan->local)
        log_line(running->log,
                 "left running: %s on the local cluster %s; get at it by: ordeal local ssh "
                 "--cluster %s %s; take it down by: ordeal local down --cluster %s",
                 plan->system->name, plan->cluster, plan->cluster, test->nodes[0].name,
                 plan->cluster);
    else
        log_line(running->log,
                 "left running: %s on %u machine%s; end it by ordeal heal with the same --nodes or "
                 "--inventory; its data stay until the next run",
                 plan->system->name, test->node_count, test->node_count == 1 ? "" : "s");
}

static void give_back_nodes(struct running *running)
{
    pthread_mutex_lock(&running->fleet_lock); /* from here on nobody interrupts it, so it can go */
    atomic_store(&running->finishing, true);
    pthread_mutex_unlock(&running->fleet_lock);
    bool leave = running->plan->leave_running && running->started;
    run_capture_fetch(running);
    if (running->started)
        run_fetch_logs(running);
    if (running->started && !leave)
        stop_system(running);
    pthread_mutex_lock(&running->stop_lock);
    struct scheduler *scheduler = running->scheduler;
    running->scheduler = NULL;
    pthread_mutex_unlock(&running->stop_lock);
    if (leave)
        leave_running(running);
    control_close(&running->control);
    scheduler_close(scheduler);
    reach_give_back(&running->reach);
}

/* ---- The run ---- */

static enum err_code set_up(struct running *running, struct err *err)
{
    struct plan *plan = running->plan;
    if (store_create(plan->store, plan->name, &plan->arena, &running->directory, err) != ERR_NONE)
        return err->code;
    running->outcome->directory = running->directory;
    if (log_to_file(running->log, store_path(&running->arena, running->directory, "ordeal.log"),
                    err) != ERR_NONE ||
        store_write_json(running->directory, "plan.json", plan->values, err) != ERR_NONE)
        return err->code;
    if (reach_open(plan, REACH_RAISE, "ordeal run", running->log, &running->reach, err) != ERR_NONE)
        return err->code;
    running->test.node_count = running->reach.node_count; /* before, they have no names */
    catch_signals(running);
    if (connect_nodes(running, err) != ERR_NONE)
        return err->code;
    history_f(&running->history, "exit"); /* of daemons; known before anything writes */
    marks_prepare(&running->history);
    return set_up_system(running, err);
}

void run_test(struct plan *plan, struct log *log, const char *command, struct run_outcome *outcome)
{
    static struct running running; /* threads of hung clients may outlive this call */
    memset(&running, 0, sizeof running);
    running.plan = plan;
    running.log = log;
    running.command = command;
    running.outcome = outcome;
    running.arena = running.live_arena = ARENA_INIT;
    running.version = BUF_INIT;
    running.started_wall_ns = clock_wall_ns();
    pthread_mutex_init(&running.stop_lock, NULL);
    pthread_mutex_init(&running.fleet_lock, NULL);
    history_init(&running.history);
    running.test = (struct test){.plan = plan,
                                 .nodes = running.reach.nodes,
                                 .history = &running.history,
                                 .arena = &running.arena,
                                 .epoch_ns = clock_monotonic_ns(),
                                 .control = &running.control};
    *outcome = (struct run_outcome){.verdict = VERDICT_UNKNOWN};

    struct err err = ERR_INIT;
    enum err_code code = set_up(&running, &err);
    bool worked = code == ERR_NONE && !test_cancelled(&running.test);
    if (worked)
        code = work(&running, &err);
    else if (code == ERR_NONE)
        code = err_set(&err, ERR_CANCELLED, "interrupted before any client had begun");
    if (code != ERR_NONE)
        run_fail(&running, err.code, err.message);
    give_back_nodes(&running);
    if (history_writer_close(running.writer, &err) != ERR_NONE)
        run_fail(&running, err.code, err.message);
    running.ended_wall_ns = clock_wall_ns();
    if (running.directory != NULL)
        run_conclude(&running, worked);
    release_signals(&running);
    outcome->failed = running.problem.code != ERR_NONE;
    outcome->problem = running.problem;
    outcome->hung = running.hung;
    if (running.hung > 0)
        return; /* threads that may come back still use what is below */
    faults_close(running.faults);
    clock_watch_free(running.clocks);
    schedule_close(running.schedule);
    watch_close(running.watch);
    reach_close(&running.reach);
    history_free(&running.history);
    buf_free(&running.version);
    arena_free(&running.live_arena);
    arena_free(&running.arena);
}
