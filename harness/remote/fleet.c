/* The fleet's I/O thread: mailbox, timers, connections, and the operations on them. See fleet.h. */
#include <assert.h>
#include <errno.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "harness/base/clock.h"
#include "harness/remote/fleet_internal.h"

enum { CHANNELS_MAX = 1000 };
static const int64_t retry_pause_min_ns = 20 * NS_PER_MS;
static const int64_t retry_pause_max_ns = 2 * NS_PER_SECOND;

static void *allocate(size_t count, size_t size)
{
    void *memory = calloc(count > 0 ? count : 1, size);
    if (memory == NULL) {
        fprintf(stderr, "ordeal: out of memory for %zu bytes\n", count * size);
        abort();
    }
    return memory;
}

/* ---- Mailbox and timers ---- */

static void wake(struct fleet *fleet)
{
    uint64_t one = 1;
    while (write(fleet->wake_fd, &one, sizeof one) < 0 && errno == EINTR)
        ;
}

void fleet_post(struct fleet *fleet, struct fleet_task *task)
{
    task->next = NULL;
    pthread_mutex_lock(&fleet->mutex);
    bool first = fleet->first_task == NULL;
    *fleet->last_task = task;
    fleet->last_task = &task->next;
    pthread_mutex_unlock(&fleet->mutex);
    if (first)
        wake(fleet);
}

static _Thread_local const struct fleet *driven_here;

bool fleet_on_io_thread(const struct fleet *fleet)
{
    return driven_here == fleet;
}

/* Runs what was posted; returns false when the fleet is to stop. */
static bool run_tasks(struct fleet *fleet)
{
    pthread_mutex_lock(&fleet->mutex);
    struct fleet_task *task = fleet->first_task;
    fleet->first_task = NULL;
    fleet->last_task = &fleet->first_task;
    bool stopping = fleet->stopping;
    pthread_mutex_unlock(&fleet->mutex);
    while (task != NULL) {
        struct fleet_task *next = task->next; /* the task may be gone after it ran */
        task->run(task);
        task = next;
    }
    return !stopping;
}

void fleet_timer_set(struct fleet *fleet, struct fleet_timer *timer, int64_t at_ns)
{
    fleet_timer_clear(timer);
    timer->at_ns = at_ns;
    struct fleet_timer **place = &fleet->timers;
    while (*place != NULL && (*place)->at_ns <= at_ns)
        place = &(*place)->next;
    timer->next = *place;
    timer->place = place;
    if (timer->next != NULL)
        timer->next->place = &timer->next;
    *place = timer;
}

void fleet_timer_clear(struct fleet_timer *timer)
{
    if (timer->place == NULL)
        return;
    *timer->place = timer->next;
    if (timer->next != NULL)
        timer->next->place = timer->place;
    timer->place = NULL;
}

static void fire_timers(struct fleet *fleet, int64_t now_ns)
{
    while (fleet->timers != NULL && fleet->timers->at_ns <= now_ns) {
        struct fleet_timer *timer = fleet->timers;
        fleet_timer_clear(timer);
        timer->fire(timer);
    }
}

/* ---- Operations ---- */

static void close_session(struct fleet_member *member)
{
    if (member->session != NULL)
        member->fleet->remote->session_close(member->session);
    member->session = NULL;
    member->ready = false;
    member->channels_max = CHANNELS_MAX;
}

void errand_submit(struct errand *errand)
{
    struct fleet *fleet = errand->fleet;
    errand->begun_ns = clock_monotonic_ns();
    errand->deadline_ns =
        errand->timeout_ns > 0 ? errand->begun_ns + errand->timeout_ns : INT64_MAX;
    errand->retry_until_ns =
        errand->begun_ns +
        (errand->kind == ERRAND_CONNECT ? fleet->options.patience_ns : fleet->options.reconnect_ns);
    TAILQ_INSERT_TAIL(&errand->member->queued, errand, entry);
    errand->member->dirty = true;
}

void errand_detach(struct errand *errand)
{
    struct fleet_member *member = errand->member;
    TAILQ_REMOVE(errand->running ? &member->running : &member->queued, errand, entry);
    if (errand->running)
        member->channels--;
    errand->running = false;
    if (errand->channel != NULL) {
        member->fleet->remote->channel_abort(errand->channel);
        errand->channel = NULL;
    }
    member->dirty = true;
}

static void op_complete(struct errand *errand)
{
    struct batch *batch = errand->batch;
    errand->output.duration_ns = clock_monotonic_ns() - errand->begun_ns;
    errand->batch = NULL;
    if (batch != NULL)
        batch_done(batch);
}

void errand_fail(struct errand *errand, enum err_code code, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    char message[ERR_MESSAGE_MAX];
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    const char *name = errand->member->node->name;
    struct err err = ERR_INIT;
    if (errand->kind == ERRAND_CONNECT)
        err_set(&err, code, "%s: %s", name, message);
    else
        err_set(&err, code, "%s: %s: %s", name, errand->label, message);
    errand_detach(errand);
    if (errand->batch == NULL && errand->kind == ERRAND_STREAM) {
        stream_lost(errand->stream, NULL, &err);
    } else { /* `errand->err` belongs to the waiting caller once the batch is done */
        errand->err = err;
        op_complete(errand);
    }
}

void errand_started(struct errand *errand)
{
    if (errand->kind != ERRAND_STREAM || errand->batch == NULL)
        return;
    errand->deadline_ns = INT64_MAX;
    op_complete(errand);
}

static void end_of_command(struct errand *errand, const struct channel_end *end)
{
    struct output *output = &errand->output;
    output->status = end->status;
    snprintf(output->signal_name, sizeof output->signal_name, "%s",
             end->signal_name != NULL ? end->signal_name : "");
    if (errand->sudo)
        sudo_refused(errand->member->node, member_user(errand->fleet, errand->member->node), output,
                     &errand->err);
    op_complete(errand);
}

/* The node allows fewer channels than we have commands (sshd's MaxSessions is 10 by default): the
 * command was not begun, so it waits until another one ends. */
static void wait_for_channel(struct errand *errand, const char *reason)
{
    struct fleet_member *member = errand->member;
    if (member->channels == 0) {
        TAILQ_INSERT_HEAD(&member->queued, errand, entry);
        errand_fail(errand, ERR_REMOTE, "the node opens no session for it: %s", reason);
        return;
    }
    member->channels_max = member->channels;
    TAILQ_INSERT_HEAD(&member->queued, errand, entry);
}

void errand_ended(struct errand *errand, const struct channel_end *end)
{
    struct fleet_member *member = errand->member;
    errand->channel = NULL;
    TAILQ_REMOVE(&member->running, errand, entry);
    errand->running = false;
    member->channels--;
    member->dirty = true;
    if (TAILQ_EMPTY(&member->queued))
        member->channels_max = CHANNELS_MAX; /* ask again: others may have left */
    if (end->result == CHANNEL_REFUSED) {
        wait_for_channel(errand, end->reason);
    } else if (end->result == CHANNEL_DENIED) {
        TAILQ_INSERT_HEAD(&member->queued, errand, entry);
        errand_fail(errand, ERR_REMOTE, "the node refused to run it: %s", end->reason);
    } else if (errand->kind == ERRAND_STREAM && errand->batch == NULL) {
        stream_lost(errand->stream, end, NULL);
    } else {
        end_of_command(errand, end);
    }
}

static void time_out(struct errand *errand)
{
    struct fleet_member *member = errand->member;
    bool began = errand->channel != NULL;
    char limit[32];
    clock_format_human(errand->timeout_ns, limit, sizeof limit);
    if (errand->channel == NULL && !member->ready)
        errand_fail(errand, ERR_TIMEOUT, "not connected within %s%s%s", limit,
                    member->last_failure.code != ERR_NONE ? ": " : "",
                    member->last_failure.message);
    else if (errand->channel == NULL)
        errand_fail(errand, ERR_TIMEOUT,
                    "not begun within %s: the node runs as many commands as it allows", limit);
    else
        errand_fail(
            errand, ERR_TIMEOUT,
            "did not end within %s; it may still run there (a background process that keeps "
            "its output open looks the same: redirect it)",
            limit);
    /* The abandoned channel keeps one of the few that the node allows, maybe for ever. With nobody
     * else on the session a new one is cheaper. */
    if (began && member->ready && TAILQ_EMPTY(&member->running))
        close_session(member);
}

static void expire_list(struct errand_list *list, int64_t now_ns)
{
    struct errand *errand = TAILQ_FIRST(list);
    while (errand != NULL) {
        struct errand *next = TAILQ_NEXT(errand, entry);
        if (errand->deadline_ns <= now_ns)
            time_out(errand);
        errand = next;
    }
}

/* ---- Connections ---- */

/* Fails the operations that waited for a connection and may wait no longer. */
static void fail_queued(struct fleet_member *member, const struct err *err, bool may_retry)
{
    struct errand *errand = TAILQ_FIRST(&member->queued);
    while (errand != NULL) {
        struct errand *next = TAILQ_NEXT(errand, entry);
        if (!may_retry || member->retry_at_ns > errand->retry_until_ns)
            errand_fail(errand, err->code, "%s", err->message);
        errand = next;
    }
}

/* The session is gone. What never reached the node waits for the next connection; what may have
 * run fails, for running it twice is not ours to decide. */
static void lose_session(struct fleet_member *member, const struct err *err)
{
    const struct remote *remote = member->fleet->remote;
    bool was_ready = member->ready;
    bool may_retry = was_ready || remote->session_may_retry(member->session);
    struct errand *errand = TAILQ_LAST(&member->running, errand_list);
    while (errand != NULL) { /* backwards, so that what waits again keeps its order */
        struct errand *previous = TAILQ_PREV(errand, errand_list, entry);
        bool sent = remote->channel_sent(errand->channel);
        errand->channel = NULL; /* goes with the session */
        if (sent) {
            errand_fail(errand, err->code, "connection lost: %s%s", err->message,
                        errand->kind == ERRAND_COMMAND ? "; it may have run" : "");
        } else {
            errand_detach(errand);
            TAILQ_INSERT_HEAD(&member->queued, errand, entry);
        }
        errand = previous;
    }
    close_session(member);
    member->last_failure = *err;
    int64_t pause_ns =
        was_ready ? 0 : retry_pause_min_ns << (member->failures < 10 ? member->failures : 10);
    if (pause_ns > retry_pause_max_ns)
        pause_ns = retry_pause_max_ns;
    member->failures = was_ready ? 0 : member->failures + 1;
    member->retry_at_ns = clock_monotonic_ns() + pause_ns;
    fail_queued(member, err, may_retry);
}

static void connect_member(struct fleet_member *member)
{
    struct fleet *fleet = member->fleet;
    struct err err = ERR_INIT;
    enum err_code code = fleet->remote->session_open(
        member->node, member->address, &fleet->options.connect, &member->session, &err);
    if (code == ERR_NONE)
        return;
    member->session = NULL;
    member->last_failure = err;
    member->retry_at_ns = clock_monotonic_ns() + retry_pause_max_ns;
    fail_queued(member, &err, false);
}

static void finish_connects(struct fleet_member *member)
{
    struct errand *errand = TAILQ_FIRST(&member->queued);
    while (errand != NULL) {
        struct errand *next = TAILQ_NEXT(errand, entry);
        if (errand->kind == ERRAND_CONNECT) {
            errand_detach(errand);
            op_complete(errand);
        }
        errand = next;
    }
}

static void begin_queued(struct fleet_member *member)
{
    while (!TAILQ_EMPTY(&member->queued) && member->channels < member->channels_max) {
        struct errand *errand = TAILQ_FIRST(&member->queued);
        TAILQ_REMOVE(&member->queued, errand, entry);
        TAILQ_INSERT_TAIL(&member->running, errand, entry);
        errand->running = true;
        member->channels++;
        errand->channel = member->fleet->remote->channel_open(
            member->session, buf_text(&errand->line), &errand_events, errand);
        errand_feed(errand);
        member->dirty = true;
    }
}

/* Connects when somebody waits for it, begins what waits, moves what can move. */
static void step_member(struct fleet_member *member, int64_t now_ns)
{
    member->dirty = false;
    if (member->session == NULL) {
        if (TAILQ_EMPTY(&member->queued) || now_ns < member->retry_at_ns)
            return;
        connect_member(member);
        if (member->session == NULL)
            return;
    }
    if (member->ready)
        begin_queued(member);
    member->dirty = false;
    struct err err = ERR_INIT;
    enum remote_state state = member->fleet->remote->session_step(member->session, &err);
    if (state == REMOTE_FAILED) {
        lose_session(member, &err);
    } else if (state == REMOTE_READY && !member->ready) {
        member->ready = true;
        member->failures = 0;
        member->last_failure = ERR_INIT;
        finish_connects(member);
        member->dirty = true;
    }
}

/* ---- The loop ---- */

static int64_t earliest(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t list_deadline(const struct errand_list *list)
{
    int64_t deadline_ns = INT64_MAX;
    const struct errand *errand;
    TAILQ_FOREACH(errand, list, entry)
    deadline_ns = earliest(deadline_ns, errand->deadline_ns);
    return deadline_ns;
}

/* Fills in what to wait for on one node; returns until when. */
static int64_t prepare_poll(struct fleet_member *member, struct pollfd *pollfd)
{
    int64_t deadline_ns = earliest(list_deadline(&member->queued), list_deadline(&member->running));
    *pollfd = (struct pollfd){.fd = -1};
    if (member->session != NULL)
        member->fleet->remote->session_poll(member->session, pollfd, &deadline_ns);
    else if (!TAILQ_EMPTY(&member->queued))
        deadline_ns = earliest(deadline_ns, member->retry_at_ns);
    return member->dirty ? 0 : deadline_ns;
}

static void wait_for_events(struct fleet *fleet)
{
    int64_t until_ns = fleet->timers != NULL ? fleet->timers->at_ns : INT64_MAX;
    for (size_t i = 0; i < fleet->count; i++)
        until_ns = earliest(until_ns, prepare_poll(&fleet->members[i], &fleet->pollfds[i]));
    fleet->pollfds[fleet->count] = (struct pollfd){.fd = fleet->wake_fd, .events = POLLIN};
    struct timespec timeout;
    if (until_ns != INT64_MAX) {
        int64_t now_ns = until_ns > 0 ? clock_monotonic_ns() : 0;
        timeout = clock_timespec(until_ns > now_ns ? until_ns - now_ns : 0);
    }
    int ready =
        ppoll(fleet->pollfds, fleet->count + 1, until_ns != INT64_MAX ? &timeout : NULL, NULL);
    if (ready < 0)
        for (size_t i = 0; i <= fleet->count; i++)
            fleet->pollfds[i].revents = 0;
}

/* One round after a wait. Sessions are stepped when they have something to do, or when their own
 * time may have come: a step without work is one system call. */
static void step_members(struct fleet *fleet)
{
    int64_t now_ns = clock_monotonic_ns();
    for (size_t i = 0; i < fleet->count; i++) {
        struct fleet_member *member = &fleet->members[i];
        int64_t session_ns = INT64_MAX;
        struct pollfd unused;
        if (member->session != NULL)
            fleet->remote->session_poll(member->session, &unused, &session_ns);
        if (fleet->pollfds[i].revents != 0 || member->dirty || session_ns <= now_ns ||
            (member->session == NULL && !TAILQ_EMPTY(&member->queued)))
            step_member(member, now_ns);
    }
    for (size_t i = 0; i < fleet->count; i++) {
        expire_list(&fleet->members[i].queued, now_ns);
        expire_list(&fleet->members[i].running, now_ns);
    }
    fire_timers(fleet, now_ns);
}

static void fail_all(struct fleet *fleet, bool streams_too, const char *reason)
{
    for (size_t i = 0; i < fleet->count; i++)
        for (int pass = 0; pass < 2; pass++) {
            struct errand_list *list =
                pass == 0 ? &fleet->members[i].queued : &fleet->members[i].running;
            struct errand *errand = TAILQ_FIRST(list);
            while (errand != NULL) {
                struct errand *next = TAILQ_NEXT(errand, entry);
                if (streams_too || errand->kind != ERRAND_STREAM || errand->batch != NULL)
                    errand_fail(errand, ERR_CANCELLED, "%s", reason);
                errand = next;
            }
        }
}

static void *io_thread(void *argument)
{
    struct fleet *fleet = argument;
    driven_here = fleet;
    while (run_tasks(fleet)) {
        wait_for_events(fleet);
        if (fleet->pollfds[fleet->count].revents != 0) {
            uint64_t count;
            if (read(fleet->wake_fd, &count, sizeof count) > 0 && !run_tasks(fleet))
                break;
        }
        step_members(fleet);
    }
    run_tasks(fleet); /* what was posted before the stop still runs */
    fail_all(fleet, true, "the connections are being closed");
    for (size_t i = 0; i < fleet->count; i++)
        close_session(&fleet->members[i]);
    return NULL;
}

struct interrupt_task {
    struct fleet_task task;
    struct fleet *fleet;
    struct batch batch;
};

static void interrupt_run(struct fleet_task *task)
{
    struct interrupt_task *interrupt = (struct interrupt_task *)task;
    fail_all(interrupt->fleet, false, "interrupted");
    batch_done(&interrupt->batch);
}

void fleet_interrupt(struct fleet *fleet)
{
    struct interrupt_task interrupt = {.task = {.run = interrupt_run}, .fleet = fleet};
    batch_init(&interrupt.batch, 1);
    fleet_post(fleet, &interrupt.task);
    batch_wait(&interrupt.batch);
}

/* ---- Opening and closing ---- */

size_t fleet_size(const struct fleet *fleet)
{
    return fleet->count;
}

const struct node *fleet_node(const struct fleet *fleet, uint32_t node)
{
    assert(node < fleet->count);
    return fleet->members[node].node;
}

const char *member_user(const struct fleet *fleet, const struct node *node)
{
    return node->user != NULL ? node->user : fleet->options.connect.user;
}

struct resolution {
    const struct remote *remote;
    struct fleet_member *member;
    pthread_t thread;
    bool threaded;
    struct err err;
};

static void *resolve_thread(void *argument)
{
    struct resolution *resolution = argument;
    struct fleet_member *member = resolution->member;
    if (resolution->remote->resolve(member->node, &member->address, &resolution->err) != ERR_NONE)
        err_wrap(&resolution->err, "%s", member->node->name);
    return NULL;
}

/* Names are looked up side by side, as one that no server knows may take many seconds. The threads
 * end before the fleet's own begins. */
static enum err_code resolve_all(struct fleet *fleet, struct err *err)
{
    if (fleet->remote->resolve == NULL)
        return ERR_NONE;
    struct resolution *resolutions = allocate(fleet->count, sizeof *resolutions);
    const struct err **errs = allocate(fleet->count, sizeof *errs);
    for (size_t i = 0; i < fleet->count; i++) {
        struct resolution *resolution = &resolutions[i];
        *resolution = (struct resolution){.remote = fleet->remote, .member = &fleet->members[i]};
        errs[i] = &resolution->err;
        const char *address = node_address(fleet->members[i].node);
        bool numeric = strspn(address, "0123456789.") == strlen(address);
        if (numeric || fleet->count == 1 ||
            pthread_create(&resolution->thread, NULL, resolve_thread, resolution) != 0)
            resolve_thread(resolution);
        else
            resolution->threaded = true;
    }
    for (size_t i = 0; i < fleet->count; i++)
        if (resolutions[i].threaded)
            pthread_join(resolutions[i].thread, NULL);
    enum err_code code = fleet_sum_up(fleet, NULL, errs, fleet->count, err);
    free(errs);
    free(resolutions);
    return code;
}

static void free_fleet(struct fleet *fleet)
{
    for (size_t i = 0; i < fleet->count; i++)
        if (fleet->members[i].address != NULL)
            fleet->remote->address_free(fleet->members[i].address);
    if (fleet->wake_fd >= 0)
        close(fleet->wake_fd);
    pthread_mutex_destroy(&fleet->mutex);
    free(fleet->pollfds);
    free(fleet->members);
    free((char *)fleet->options.connect.user);
    free(fleet);
}

static char *default_user(const struct fleet_options *options)
{
    const char *name = options->connect.user;
    if (name == NULL) {
        const struct passwd *entry = getpwuid(getuid());
        name = entry != NULL ? entry->pw_name : "root";
    }
    char *copy = strdup(name);
    if (copy == NULL)
        abort();
    return copy;
}

static void fill_defaults(struct fleet_options *options)
{
    if (options->command_timeout_ns == 0)
        options->command_timeout_ns = 60 * NS_PER_SECOND;
    if (options->reconnect_ns == 0)
        options->reconnect_ns = 5 * NS_PER_SECOND;
    if (options->connect.connect_timeout_ns == 0)
        options->connect.connect_timeout_ns = 10 * NS_PER_SECOND;
    if (options->connect.keepalive_ns == 0)
        options->connect.keepalive_ns = 5 * NS_PER_SECOND;
    options->connect.user = default_user(options);
}

static struct fleet *new_fleet(const struct node *nodes, size_t count,
                               const struct fleet_options *options)
{
    struct fleet *fleet = allocate(1, sizeof *fleet);
    if (options != NULL)
        fleet->options = *options;
    fill_defaults(&fleet->options);
    fleet->remote = fleet->options.remote != NULL ? fleet->options.remote : &remote_ssh;
    fleet->count = count;
    fleet->members = allocate(count, sizeof *fleet->members);
    fleet->pollfds = allocate(count + 1, sizeof *fleet->pollfds);
    fleet->last_task = &fleet->first_task;
    fleet->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    pthread_mutex_init(&fleet->mutex, NULL);
    for (size_t i = 0; i < count; i++) {
        struct fleet_member *member = &fleet->members[i];
        *member =
            (struct fleet_member){.fleet = fleet, .node = &nodes[i], .channels_max = CHANNELS_MAX};
        TAILQ_INIT(&member->queued);
        TAILQ_INIT(&member->running);
    }
    return fleet;
}

/* With all signals blocked: they are for the threads that know what to do with them. */
static int start_thread(struct fleet *fleet)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int status = pthread_create(&fleet->thread, NULL, io_thread, fleet);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return status;
}

static enum err_code connect_all(struct fleet *fleet, struct err *err)
{
    struct errand **errands = errand_array(fleet->count);
    const struct err **errs = allocate(fleet->count, sizeof *errs);
    for (size_t i = 0; i < fleet->count; i++) {
        errand_init(errands[i], fleet, (uint32_t)i, ERRAND_CONNECT);
        errs[i] = &errands[i]->err;
    }
    errands_run(fleet, errands, fleet->count);
    enum err_code code = fleet_sum_up(fleet, NULL, errs, fleet->count, err);
    free(errs);
    errand_array_free(errands, fleet->count);
    return code;
}

enum err_code fleet_open(const struct node *nodes, size_t count,
                         const struct fleet_options *options, struct fleet **fleet, struct err *err)
{
    for (size_t i = 0; i < count; i++)
        assert(nodes[i].index == i && nodes[i].name != NULL);
    struct fleet *opened = new_fleet(nodes, count, options);
    enum err_code code;
    if (opened->wake_fd < 0) {
        code = err_errno(err, errno, "eventfd for the connections' thread");
        goto fail;
    }
    if (opened->remote->prepare != NULL && (code = opened->remote->prepare(err)) != ERR_NONE)
        goto fail;
    if ((code = resolve_all(opened, err)) != ERR_NONE)
        goto fail;
    int status = start_thread(opened);
    if (status != 0) {
        code = err_errno(err, status, "start the connections' thread");
        goto fail;
    }
    code = connect_all(opened, err);
    if (code != ERR_NONE) {
        fleet_close(opened);
        return code;
    }
    *fleet = opened;
    return ERR_NONE;
fail:
    free_fleet(opened);
    return code;
}

void fleet_close(struct fleet *fleet)
{
    if (fleet == NULL)
        return;
    pthread_mutex_lock(&fleet->mutex);
    fleet->stopping = true;
    pthread_mutex_unlock(&fleet->mutex);
    wake(fleet);
    pthread_join(fleet->thread, NULL);
    free_fleet(fleet);
}
