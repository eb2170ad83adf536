/* One node's connection, and the errands that wait for it or run over it. See fleet_internal.h. All
 * of it is on the I/O thread. */
#include <stdio.h>
#include <string.h>

#include "harness/base/clock.h"
#include "harness/remote/fleet_internal.h"

static const int64_t retry_pause_min_ns = 20 * NS_PER_MS;
static const int64_t retry_pause_max_ns = 2 * NS_PER_SECOND;

/* ---- Errands ---- */

void member_disconnect(struct fleet_member *member)
{
    if (member->session != NULL)
        member->fleet->remote->session_close(member->session);
    member->session = NULL;
    member->ready = false;
    member->channels_max = FLEET_CHANNELS_MAX;
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

static void errand_complete(struct errand *errand)
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
        errand_complete(errand);
    }
}

void errand_started(struct errand *errand)
{
    if (errand->kind != ERRAND_STREAM || errand->batch == NULL)
        return;
    errand->deadline_ns = INT64_MAX;
    errand_complete(errand);
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
    errand_complete(errand);
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
        member->channels_max = FLEET_CHANNELS_MAX; /* ask again: others may have left */
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
        member_disconnect(member);
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

/* Fails the errands that waited for a connection and may wait no longer. */
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
    member_disconnect(member);
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
            errand_complete(errand);
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
void member_step(struct fleet_member *member, int64_t now_ns)
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
int64_t member_poll(struct fleet_member *member, struct pollfd *pollfd)
{
    int64_t deadline_ns = earliest(list_deadline(&member->queued), list_deadline(&member->running));
    *pollfd = (struct pollfd){.fd = -1};
    if (member->session != NULL)
        member->fleet->remote->session_poll(member->session, pollfd, &deadline_ns);
    else if (!TAILQ_EMPTY(&member->queued))
        deadline_ns = earliest(deadline_ns, member->retry_at_ns);
    return member->dirty ? 0 : deadline_ns;
}

void member_expire(struct fleet_member *member, int64_t now_ns)
{
    expire_list(&member->queued, now_ns);
    expire_list(&member->running, now_ns);
}

static void fail_list(struct errand_list *list, bool streams_too, const char *reason)
{
    struct errand *errand = TAILQ_FIRST(list);
    while (errand != NULL) {
        struct errand *next = TAILQ_NEXT(errand, entry);
        if (streams_too || errand->kind != ERRAND_STREAM || errand->batch != NULL)
            errand_fail(errand, ERR_CANCELLED, "%s", reason);
        errand = next;
    }
}

void member_fail(struct fleet_member *member, bool streams_too, const char *reason)
{
    fail_list(&member->queued, streams_too, reason);
    fail_list(&member->running, streams_too, reason);
}
