/* Watches a run: see monitor.h. */
#include "harness/monitor.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>

#include "harness/base/clock.h"
#include "harness/base/rests.h"

#define LIVE_EVERY_NS (NS_PER_SECOND / 4)
#define LINE_EVERY_NS (10 * NS_PER_SECOND)

struct monitor {
    struct monitor_options options;
    pthread_t thread;
    struct rests rests;
    bool problem_told;
    struct scheduler_counts before;
    int64_t before_ns;
    double per_second;
};

static void describe(struct monitor *monitor, int64_t now_ns, struct buf *out)
{
    struct scheduler_counts counts = scheduler_counts(monitor->options.scheduler);
    uint64_t done = counts.ok + counts.fail + counts.info;
    uint64_t before = monitor->before.ok + monitor->before.fail + monitor->before.info;
    if (now_ns - monitor->before_ns >= NS_PER_SECOND || monitor->before_ns == 0) {
        if (monitor->before_ns != 0)
            monitor->per_second =
                (double)(done - before) * 1e9 / (double)(now_ns - monitor->before_ns);
        monitor->before = counts;
        monitor->before_ns = now_ns;
    }
    int64_t now_in_run_ns = test_now_ns(monitor->options.test);
    char limit[32];
    clock_format_duration(monitor->options.test->plan->time_limit_ns, limit, sizeof limit);
    if (now_in_run_ns < monitor->options.test->plan->time_limit_ns + NS_PER_SECOND)
        buf_printf(out, "%" PRId64 "s of %s", now_in_run_ns / NS_PER_SECOND, limit);
    else
        buf_printf(out, "%" PRId64 "s, healing", now_in_run_ns / NS_PER_SECOND);
    buf_printf(out, ": %.0f op/s, %" PRIu64 " ok, %" PRIu64 " fail, %" PRIu64 " info",
               monitor->per_second, counts.ok, counts.fail, counts.info);
    struct buf faults = BUF_INIT;
    faults_print_in_force(monitor->options.faults, &faults);
    if (faults.length > 0)
        buf_printf(out, " | %s", faults.data);
    buf_free(&faults);
}

static void *watch(void *argument)
{
    struct monitor *monitor = argument;
    bool live = log_is_live(monitor->options.log);
    int64_t next_line_ns = clock_monotonic_ns() + LINE_EVERY_NS;
    while (rests_for(&monitor->rests, LIVE_EVERY_NS)) {
        int64_t now_ns = clock_monotonic_ns();
        struct buf text = BUF_INIT;
        describe(monitor, now_ns, &text);
        if (live)
            log_status(monitor->options.log, text.data);
        else if (now_ns >= next_line_ns) {
            log_line(monitor->options.log, "%s", text.data);
            next_line_ns += LINE_EVERY_NS;
        }
        buf_free(&text);
        struct err err = ERR_INIT;
        if (!monitor->problem_told &&
            history_writer_problem(monitor->options.writer, &err) != ERR_NONE) {
            monitor->problem_told = true;
            monitor->options.on_problem(monitor->options.state, err.message);
        }
    }
    return NULL;
}

enum err_code monitor_start(const struct monitor_options *options, struct monitor **out,
                            struct err *err)
{
    struct monitor *monitor = calloc(1, sizeof *monitor);
    if (monitor == NULL)
        return err_set(err, ERR_NOMEM, "no memory for the monitor");
    monitor->options = *options;
    rests_init(&monitor->rests);
    int problem = pthread_create(&monitor->thread, NULL, watch, monitor);
    if (problem != 0) {
        rests_free(&monitor->rests);
        free(monitor);
        return err_errno(err, problem, "start the monitor");
    }
    *out = monitor;
    return ERR_NONE;
}

void monitor_stop(struct monitor *monitor)
{
    if (monitor == NULL)
        return;
    rests_end(&monitor->rests);
    pthread_join(monitor->thread, NULL);
    log_status(monitor->options.log, "");
    rests_free(&monitor->rests);
    free(monitor);
}
