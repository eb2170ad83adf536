/* A run while it goes on: shared by run.c (doing it) and run_results.c (judging and reporting it).
 */
#ifndef ORDEAL_RUN_INTERNAL_H
#define ORDEAL_RUN_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "harness/clock_watch.h"
#include "harness/control.h"
#include "harness/faults.h"
#include "harness/histories/history_file.h"
#include "harness/live.h"
#include "harness/monitor.h"
#include "harness/reach.h"
#include "harness/run.h"
#include "harness/scheduler.h"

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
    bool captures;        /* packets are being captured */
    bool started;         /* some of the system may run, and has to be stopped */
    const char *recovery; /* whether it served again after all faults; NULL: not looked at */
    bool recovered;
    uint32_t hung; /* clients that never came back */
    struct buf version;
    struct history_writer *writer;
    struct faults *faults;
    struct watch *watch;
    struct schedule *schedule;
    struct scheduler *scheduler;
    struct monitor *monitor;
    struct live *live;
    struct clock_watch *clocks; /* NULL: no nemesis touches them */
    struct arena live_arena;    /* the watching thread's */
    const char *violation; /* seen while the run went on, which ended it; guarded by stop_lock */
    struct live_costs live_costs;
    int64_t started_wall_ns, ended_wall_ns, work_began_ns, work_ended_ns;
    int64_t zero_wall_ns; /* the wall clock at the history's time 0; 0: no client ever began */
    /* the signal thread's */
    pthread_t signals;
    bool has_signals;
    atomic_int interrupts;
    atomic_bool working;       /* set up: an interrupt no longer cancels waiting for nodes */
    atomic_bool finishing;     /* healed: what happens to agents now is our own doing */
    pthread_mutex_t stop_lock; /* guards scheduler against being closed while it is being stopped */
    bool stop_wanted;
    _Atomic node_set lost;      /* their agents are: nothing can be asked of them any more */
    pthread_mutex_t fleet_lock; /* guards the fleet against being closed while it is interrupted */
    struct err problem;         /* the first one; guarded by stop_lock */
};

/* The harness itself cannot go on: keeps the first reason, and ends the work. From any thread. */
void run_fail(struct running *running, enum err_code code, const char *why);

/* Tells people and the log why the system could not be set up, as far as its nodes know. */
void run_tell_trouble(struct running *running, const char *problem);

/* Captures packets on every node, where the plan says so: whether that can be; from now on; and
 * fetches them, and ends it. */
enum err_code run_capture_check(struct running *running, struct err *err);
enum err_code run_capture_start(struct running *running, struct err *err);
void run_capture_fetch(struct running *running);

/* Fetches the system's logs, and what the plan names besides, from the nodes that are there. */
void run_fetch_logs(struct running *running);

/* Judges the history if the work had begun, writes results.json, history.edn and every report. */
void run_conclude(struct running *running, bool worked);

#endif
