/* One test from beginning to end: see run.h.
 *
 * The way down a run is a list of steps, and the way back undoes what was done, however far it got.
 * After the steps that need the nodes come those that need only the history, so that a cluster is
 * given back before its history is judged. */
#include "harness/run.h"

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
#include "harness/control.h"
#include "harness/faults.h"
#include "harness/history_file.h"
#include "harness/history_io.h"
#include "harness/monitor.h"
#include "harness/reach.h"
#include "harness/scheduler.h"
#include "harness/store.h"

enum {
    EDN_EVENTS_MAX = 2000000
}; /* history.edn as well, when the run is small enough to be handy */
#define HANG_GRACE_NS (5 * NS_PER_SECOND)
#define STOP_GRACE_NS (5 * NS_PER_SECOND)
#define READY_POLL_NS (50 * NS_PER_MS)

struct running {
    struct plan *plan;
    struct log *log;
    struct run_outcome *outcome;
    const char *directory, *command;
    struct arena arena;
    struct history history;
    struct test test;
    struct reach reach;
    struct control control;
    bool connected, started;
    struct buf version;
    struct history_writer *writer;
    struct faults *faults;
    struct scheduler *scheduler;
    struct monitor *monitor;
    int64_t started_wall_ns, ended_wall_ns, work_began_ns, work_ended_ns;
    /* the signal thread's */
    pthread_t signals;
    bool has_signals;
    atomic_int interrupts;
    atomic_bool finishing;     /* past healing: an interrupt only hurries the end */
    pthread_mutex_t stop_lock; /* guards scheduler against being closed while it is being stopped */
    bool stop_wanted;
    struct err problem; /* the first one; guarded by stop_lock */
};

int exit_status_of(enum verdict verdict)
{
    static const int statuses[] = {EXIT_VALID, EXIT_UNKNOWN, EXIT_INVALID};
    return statuses[verdict];
}

/* ---- Stopping early ---- */

static void stop(struct running *running)
{
    pthread_mutex_lock(&running->stop_lock);
    running->stop_wanted = true;
    if (running->scheduler != NULL)
        scheduler_stop(running->scheduler);
    pthread_mutex_unlock(&running->stop_lock);
}

/* The harness itself cannot go on: keep the first reason, and end the work. */
static void fail(struct running *running, const char *why)
{
    pthread_mutex_lock(&running->stop_lock);
    bool first = running->problem.code == ERR_NONE;
    if (first)
        err_set(&running->problem, ERR_IO, "%s", why);
    pthread_mutex_unlock(&running->stop_lock);
    if (first && !atomic_load(&running->finishing))
        log_problem(running->log, "%s", why);
    stop(running);
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
        log_problem(running->log, "interrupted: healing, then judging what there is (once more to "
                                  "stop at once)");
        if (!running->started) { /* still setting up: give up waiting for nodes */
            atomic_store(&running->control.cancelled, true);
            pthread_mutex_lock(&running->stop_lock);
            if (running->control.fleet != NULL)
                fleet_interrupt(running->control.fleet);
            pthread_mutex_unlock(&running->stop_lock);
        }
        stop(running);
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
    log_line(running->log, "%s: %s ended unasked: %s %d%s", node, exit->name,
             exit->signal != 0 ? "signal" : "status",
             exit->signal != 0 ? exit->signal : exit->status, exit->oom ? " (out of memory)" : "");
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
    };
    struct op op = {.type = OP_INFO, .process = PROCESS_DAEMON};
    op.value = value_items(&scratch, VALUE_MAP, items, sizeof items / sizeof items[0]);
    pthread_mutex_lock(&running->stop_lock);
    if (running->scheduler != NULL) {
        int f = history_find_f(&running->history, "exit");
        op.f = (uint16_t)f;
        scheduler_record(running->scheduler, &op);
    }
    pthread_mutex_unlock(&running->stop_lock);
    arena_free(&scratch);
}

static void on_agent_lost(void *state, uint32_t node, const char *why)
{
    struct running *running = state;
    char text[ERR_MESSAGE_MAX];
    snprintf(text, sizeof text, "%s: the agent is lost: %.800s", running->test.nodes[node].name,
             why);
    if (!atomic_load(&running->finishing))
        fail(running, text);
}

/* ---- Setting up ---- */

static enum err_code connect_nodes(struct running *running, struct err *err)
{
    struct control control = {.test = &running->test, .log = running->log};
    control.hooks = (struct control_hooks){running, on_daemon_exit, on_agent_lost};
    pthread_mutex_lock(&running->stop_lock);
    running->control = control;
    running->test.control = &running->control;
    pthread_mutex_unlock(&running->stop_lock);
    enum err_code code =
        control_open(&running->control, &running->reach.fleet_options, running->reach.owner, err);
    running->connected = code == ERR_NONE;
    return code;
}

static enum err_code await_ready(struct running *running, struct err *err)
{
    const struct system *system = running->plan->system;
    int64_t deadline_ns = clock_monotonic_ns() + running->plan->ready_timeout_ns;
    struct buf why_not = BUF_INIT;
    enum err_code code = ERR_NONE;
    for (;;) {
        buf_clear(&why_not);
        if (system->ready(&running->test, &why_not))
            break;
        if (test_cancelled(&running->test)) {
            code = err_set(err, ERR_CANCELLED, "interrupted while waiting for %s", system->name);
            break;
        }
        if (clock_monotonic_ns() > deadline_ns) {
            code = err_set(err, ERR_TIMEOUT,
                           "%s does not serve within the ready-timeout of %s: %s (its logs are "
                           "under %s/nodes)",
                           system->name, plan_text(running->plan, "ready-timeout"),
                           buf_text(&why_not), running->directory);
            break;
        }
        clock_sleep_ns(READY_POLL_NS);
    }
    buf_free(&why_not);
    return code;
}

static enum err_code start_system(struct running *running, struct err *err)
{
    const struct system *system = running->plan->system;
    struct test *test = &running->test;
    node_set all = test_all_nodes(test);
    log_line(running->log, "setting up %s on %u nodes", system->name, test->node_count);
    if (system->install(test, all, err) != ERR_NONE)
        return err_wrap(err, "install %s", system->name);
    if (system->wipe(test, all, err) != ERR_NONE)
        return err_wrap(err, "wipe %s", system->name);
    for (size_t i = 0; i < running->plan->nemesis_count; i++)
        if (running->plan->nemeses[i]->check(test, err) != ERR_NONE)
            return err_wrap(err, "nemesis %s", running->plan->nemeses[i]->name);
    running->started = true;
    if (system->start(test, all, err) != ERR_NONE) {
        running->started = true; /* some of it may run: stop it on the way back */
        return err_wrap(err, "start %s", system->name);
    }
    if (await_ready(running, err) != ERR_NONE)
        return err->code;
    if (system->version != NULL && system->version(test, &running->version, err) != ERR_NONE)
        return err_wrap(err, "the version of %s", system->name);
    log_line(running->log, "%s serves",
             running->version.length > 0 ? running->version.data : system->name);
    return ERR_NONE;
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
    fail(state, why);
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
        .client = running->plan->system->client(running->plan->workload->name),
        .concurrency = (uint32_t)running->plan->concurrency,
        .hooks = {running, record, running->plan->nemesis_count > 0 ? do_fault : NULL},
    };
    struct scheduler *scheduler;
    code = scheduler_open(&options, &scheduler, err);
    if (code != ERR_NONE)
        return code;
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
    struct generator *faults = faults_generator(&running->test, arena);
    return generator_split(arena, clients,
                           generator_time_limit(arena, plan->time_limit_ns, faults));
}

static enum err_code run_phase(struct running *running, struct generator *generator,
                               struct err *err)
{
    uint32_t hung = 0;
    enum err_code code = scheduler_run(running->scheduler, generator, HANG_GRACE_NS, &hung, err);
    if (hung > 0)
        log_problem(running->log,
                    "%u clients hung beyond their timeout; their operations count as "
                    "indeterminate",
                    hung);
    return code;
}

/* Heals everything; then lets clients look at what is left, if the workload wants to. */
static enum err_code finish_work(struct running *running, struct err *err)
{
    struct err heal = ERR_INIT, verify = ERR_INIT;
    struct test *test = &running->test;
    bool healed = faults_end_all(running->faults, running->scheduler, &heal) == ERR_NONE;
    if (running->plan->nemesis_count > 0 && healed && running->problem.code == ERR_NONE &&
        test->node_count > 1 && network_verify(test, NULL, NULL, &verify) != ERR_NONE) {
        healed = false;
        err_set(&heal, verify.code, "after healing: %s", verify.message);
    }
    const struct workload *workload = running->plan->workload;
    if (healed && workload->final_generator != NULL && running->problem.code == ERR_NONE &&
        atomic_load(&running->interrupts) < 2)
        return run_phase(running, workload->final_generator(test, &running->arena), err);
    return healed ? ERR_NONE : err_set(err, heal.code, "%s", heal.message);
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
    test->epoch_ns = clock_monotonic_ns();
    enum err_code code = monitor_start(&watching, &running->monitor, err);
    running->work_began_ns = clock_monotonic_ns();
    if (code == ERR_NONE)
        code = run_phase(running, generator, err);
    struct err finish = ERR_INIT;
    if (finish_work(running, &finish) != ERR_NONE && code == ERR_NONE)
        code = err_set(err, finish.code, "%s", finish.message);
    running->work_ended_ns = clock_monotonic_ns();
    monitor_stop(running->monitor);
    running->monitor = NULL;
    return code;
}

/* ---- The way back ---- */

static void fetch_logs(struct running *running)
{
    struct test *test = &running->test;
    const char *const *paths = running->plan->system->log_paths;
    for (uint32_t i = 0; i < test->node_count; i++) {
        struct err err = ERR_INIT;
        const char *directory =
            arena_printf(&running->arena, "%s/nodes/%s", running->directory, test->nodes[i].name);
        if (paths[0] == NULL || file_make_dirs(directory, &err) != ERR_NONE)
            continue;
        for (size_t j = 0; paths[j] != NULL; j++) {
            const char *base = strrchr(paths[j], '/');
            const char *local =
                store_path(&running->arena, directory, base == NULL ? paths[j] : base + 1);
            if (test_fetch_file(test, i, paths[j], local, &err) != ERR_NONE)
                log_line(running->log, "no log %s: %s", paths[j], err.message);
        }
    }
}

static void stop_system(struct running *running)
{
    const struct system *system = running->plan->system;
    struct test *test = &running->test;
    struct err err = ERR_INIT;
    node_set all = test_all_nodes(test);
    enum err_code code = ERR_NONE;
    if (system->stop != NULL) {
        code = system->stop(test, all, &err);
    } else {
        for (size_t i = 0; system->daemons[i] != NULL && code == ERR_NONE; i++)
            code = daemon_stop(test, all, system->daemons[i], STOP_GRACE_NS, &err);
    }
    if (code == ERR_NONE)
        code = system->wipe(test, all, &err);
    if (code != ERR_NONE)
        log_problem(running->log, "cleaning up %s: %s", system->name, err.message);
}

static void give_back_nodes(struct running *running)
{
    atomic_store(&running->finishing, true);
    if (running->started) {
        fetch_logs(running);
        stop_system(running);
    }
    pthread_mutex_lock(&running->stop_lock);
    struct scheduler *scheduler = running->scheduler;
    running->scheduler = NULL;
    pthread_mutex_unlock(&running->stop_lock);
    if (running->connected)
        control_close(&running->control);
    running->connected = false;
    scheduler_close(scheduler);
    reach_give_back(&running->reach);
}

/* ---- Judging and reporting ---- */

static void describe_test(const struct running *running, struct json *test)
{
    const struct plan *plan = running->plan;
    char stamp[40];
    json_set_text(test, "name", plan->name);
    json_set_text(test, "system", plan->system->name);
    if (running->version.length > 0)
        json_set_text(test, "system-version", running->version.data);
    json_set_text(test, "workload", plan->workload->name);
    struct json *list = json_set(test, "nemeses", json_array());
    for (size_t i = 0; i < plan->nemesis_count; i++)
        json_add(list, json_text(plan->nemeses[i]->name));
    list = json_set(test, "nodes", json_array());
    for (uint32_t i = 0; i < running->test.node_count; i++)
        json_add(list, json_text(running->test.nodes[i].name));
    json_set_int(test, "seed", (int64_t)plan->seed);
    json_set_int(test, "concurrency", plan->concurrency);
    clock_format_utc(running->started_wall_ns, stamp, sizeof stamp);
    json_set_text(test, "started", stamp);
    clock_format_utc(running->ended_wall_ns, stamp, sizeof stamp);
    json_set_text(test, "ended", stamp);
    json_set_real(test, "duration-s",
                  (double)(running->work_ended_ns - running->work_began_ns) / 1e9);
    json_set_int(test, "event-count", running->history.count);
    json_set_bool(test, "interrupted", atomic_load(&running->interrupts) > 0);
    json_set_text(test, "ordeal-version", ORDEAL_VERSION);
    json_set_text(test, "command", running->command);
    json_set_text(test, "run-again",
                  arena_printf((struct arena *)&running->arena, "ordeal run %s/plan.json",
                               running->directory));
}

struct json *run_check(const struct history *history, const char *const *names, size_t count,
                       struct check_input *input, enum verdict *verdict)
{
    input->history = history;
    for (size_t i = 0; i < count; i++)
        option_defaults(&input->options, names[i], checker_find(names[i])->options);
    return check_all(names, count, input, verdict);
}

static struct json *judge(struct running *running, enum verdict *verdict)
{
    struct plan *plan = running->plan;
    struct err err = ERR_INIT;
    if (history_pair(&running->history, &err) != ERR_NONE) {
        fail(running, err.message); /* the scheduler's own fault: nothing can be judged */
        *verdict = VERDICT_UNKNOWN;
        struct json *results = json_object();
        json_set(results, "valid", verdict_json(*verdict));
        return results;
    }
    log_status(running->log, "checking ...");
    struct check_input input = {.limits = plan->check_limits,
                                .options = {json_copy(plan->options.values)},
                                .keyed = plan->keyed,
                                .plan = plan->values,
                                .run_directory = running->directory};
    struct json *results =
        run_check(&running->history, plan->checkers, plan->checker_count, &input, verdict);
    json_free(input.options.values);
    log_status(running->log, "");
    return results;
}

static void note_problem(struct running *running, enum err_code code, const struct err *err)
{
    if (code != ERR_NONE)
        fail(running, err->message);
}

static struct json *read_back_schedule(struct running *running)
{
    struct buf text = BUF_INIT;
    struct json *lines = json_array();
    if (file_read(store_path(&running->arena, running->directory, "schedule.jsonl"), 1 << 30, &text,
                  NULL) == ERR_NONE) {
        char *rest = text.data;
        for (char *line; (line = strsep(&rest, "\n")) != NULL;) {
            struct json *object;
            if (*line != '\0' &&
                json_parse(line, strlen(line), "schedule.jsonl", &object, NULL) == ERR_NONE)
                json_add(lines, object);
        }
    }
    buf_free(&text);
    return lines;
}

static void write_results(struct running *running, struct json *results)
{
    struct err err = ERR_INIT;
    describe_test(running, json_set(results, "test", json_object()));
    json_set(results, "faults",
             running->faults == NULL ? json_array() : faults_json(running->faults));
    struct json *problems = json_set(results, "problems", json_array());
    if (running->problem.code != ERR_NONE)
        json_add(problems, json_text(running->problem.message));
    if (store_write_json(running->directory, "results.json", results, &err) != ERR_NONE)
        note_problem(running, err.code, &err);
    if (running->history.count > 0 && running->history.count <= EDN_EVENTS_MAX &&
        history_save(store_path(&running->arena, running->directory, "history.edn"), "edn",
                     &running->history, &err) != ERR_NONE)
        note_problem(running, err.code, &err);
    struct json *schedule = read_back_schedule(running);
    struct run run = {.directory = running->directory,
                      .plan = running->plan->values,
                      .results = results,
                      .history = &running->history,
                      .schedule = schedule};
    if (store_render(&run, &err) != ERR_NONE)
        note_problem(running, err.code, &err);
    json_free(schedule);
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
    catch_signals(running);
    if (connect_nodes(running, err) != ERR_NONE)
        return err->code;
    history_f(&running->history, "exit"); /* of daemons; known before anything writes */
    return start_system(running, err);
}

void run_test(struct plan *plan, struct log *log, const char *command, struct run_outcome *outcome)
{
    static struct running running; /* threads of hung clients may outlive this call */
    memset(&running, 0, sizeof running);
    running.plan = plan;
    running.log = log;
    running.command = command;
    running.outcome = outcome;
    running.arena = ARENA_INIT;
    running.version = BUF_INIT;
    running.started_wall_ns = clock_wall_ns();
    pthread_mutex_init(&running.stop_lock, NULL);
    history_init(&running.history);
    running.test = (struct test){.plan = plan,
                                 .nodes = running.reach.nodes,
                                 .node_count = (uint32_t)plan->node_count,
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
    note_problem(&running, code, &err);
    give_back_nodes(&running);
    err = ERR_INIT;
    note_problem(&running, history_writer_close(running.writer, &err), &err);
    running.ended_wall_ns = clock_wall_ns();
    if (running.directory != NULL) {
        struct json *results = worked ? judge(&running, &outcome->verdict) : json_object();
        if (!worked)
            json_set(results, "valid", verdict_json(VERDICT_UNKNOWN));
        write_results(&running, results);
        outcome->results = results;
    }
    release_signals(&running);
    faults_close(running.faults);
    outcome->failed = running.problem.code != ERR_NONE;
    outcome->problem = running.problem;
    reach_close(&running.reach);
    history_free(&running.history);
    buf_free(&running.version);
    arena_free(&running.arena);
}
