/* Talking to the node agents: see agent_link.h. All state of calls is the I/O thread's, so there is
 * nothing to lock on the way of a request. */
#include "harness/remote/agent_link.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/base/clock.h"
#include "harness/remote/agent_internal.h"

enum { COMPLAINTS_BYTES = 2000 };
static const int64_t call_timeout_ns = 10 * NS_PER_SECOND;
static const int64_t lease_default_ns = 15 * NS_PER_SECOND;

static const char *node_name(const struct agent *agent)
{
    return fleet_node(agent->agents->fleet, agent->node)->name;
}

/* ---- State that other threads look at ---- */

void agent_set_state(struct agent *agent, enum agent_state state, const struct err *why)
{
    pthread_mutex_lock(&agent->agents->mutex);
    agent->state = state;
    if (why != NULL)
        agent->why = *why;
    pthread_cond_broadcast(&agent->agents->changed);
    pthread_mutex_unlock(&agent->agents->mutex);
}

enum agent_state agent_state_of(struct agent *agent)
{
    pthread_mutex_lock(&agent->agents->mutex);
    enum agent_state state = agent->state;
    pthread_mutex_unlock(&agent->agents->mutex);
    return state;
}

bool agents_ready(struct agents *agents, uint32_t node)
{
    return agent_state_of(&agents->list[node]) == AGENT_READY;
}

const char *agents_hello(struct agents *agents, uint32_t node, const char *key, struct arena *arena)
{
    pthread_mutex_lock(&agents->mutex);
    const struct buf *hello = &agents->list[node].hello;
    struct line line;
    const char *value = NULL;
    if (line_parse(arena, buf_text(hello), hello->length, &line, NULL) == ERR_NONE)
        value = line_get(&line, key);
    pthread_mutex_unlock(&agents->mutex);
    return value;
}

/* ---- Calls, on the I/O thread ---- */

static void complete(struct agent_call *call)
{
    struct batch *batch = call->batch;
    call->batch = NULL;
    if (batch != NULL) {
        batch_done(batch);
        return;
    }
    agent_call_free(call); /* a ping of our own */
    free(call);
}

/* The verb, for errors. */
static void verb_of(const struct agent_call *call, char *verb, size_t size)
{
    const char *text = buf_text(&call->request);
    snprintf(verb, size, "%.*s", (int)strcspn(text, "\t\n"), text);
}

static void fail_call(struct agent *agent, struct agent_call *call, enum err_code code,
                      const char *reason)
{
    char verb[48];
    verb_of(call, verb, sizeof verb);
    err_set(&call->err, code, "%s: %s: %s", node_name(agent), verb, reason);
    complete(call);
}

static void take_pending(struct agent *agent, struct agent_call **place)
{
    struct agent_call *call = *place;
    *place = call->next;
    if (agent->last_pending == &call->next)
        agent->last_pending = place;
}

static void fail_pending(struct agent *agent, const char *reason)
{
    while (agent->pending != NULL) {
        struct agent_call *call = agent->pending;
        take_pending(agent, &agent->pending);
        fail_call(agent, call, ERR_IO, reason);
    }
}

static void send_call(struct agent *agent, struct agent_call *call)
{
    call->id = agent->next_id++;
    call->next = NULL;
    *agent->last_pending = call;
    agent->last_pending = &call->next;
    struct buf line = BUF_INIT;
    buf_reserve(&line, call->request.length + 24);
    buf_printf(&line, "%" PRIu64 "\t", call->id);
    buf_add(&line, call->request.data, call->request.length);
    line_end(&line);
    fleet_stream_write(agent->stream, line.data, line.length);
    buf_free(&line);
}

static void arm_timer(struct agents *agents)
{
    int64_t at_ns = agents->ping_at_ns;
    for (size_t i = 0; i < agents->count; i++)
        for (struct agent_call *call = agents->list[i].pending; call != NULL; call = call->next)
            if (call->deadline_ns < at_ns)
                at_ns = call->deadline_ns;
    fleet_timer_set(agents->fleet, &agents->timer, at_ns);
}

static void begin_call(struct agents *agents, struct agent_call *call)
{
    struct agent *agent = &agents->list[call->node];
    pthread_mutex_lock(&agents->mutex);
    bool ready = agent->state == AGENT_READY;
    char reason[ERR_MESSAGE_MAX];
    snprintf(reason, sizeof reason, "the agent is gone: %.1000s",
             agent->why.code != ERR_NONE ? agent->why.message : "it was not started");
    pthread_mutex_unlock(&agents->mutex);
    if (ready)
        send_call(agent, call);
    else
        fail_call(agent, call, ERR_IO, reason);
}

struct call_task {
    struct fleet_task task;
    struct agents *agents;
    struct agent_call *calls;
    size_t count;
};

static void begin_calls(struct fleet_task *task)
{
    /* The caller, whose stack this lives on, may go on as soon as the last call has ended. */
    struct call_task copy = *(struct call_task *)task;
    int64_t now_ns = clock_monotonic_ns();
    bool sooner = false;
    for (size_t i = 0; i < copy.count; i++) {
        struct agent_call *call = &copy.calls[i];
        call->deadline_ns = now_ns + (call->timeout_ns > 0 ? call->timeout_ns : call_timeout_ns);
        sooner = sooner || call->deadline_ns < copy.agents->timer.at_ns;
    }
    for (size_t i = 0; i < copy.count; i++) /* afterwards the batch may end at any of them */
        begin_call(copy.agents, &copy.calls[i]);
    if (sooner || copy.agents->timer.place == NULL)
        arm_timer(copy.agents);
}

void agent_call_begin(struct agent_call *call, uint32_t node, const char *verb)
{
    *call = (struct agent_call){.node = node, .reply.arena = ARENA_INIT};
    line_field(&call->request, verb);
}

void agent_call_free(struct agent_call *call)
{
    buf_free(&call->request);
    arena_free(&call->reply.arena);
}

static enum err_code sum_up(const struct agents *agents, const struct agent_call *calls,
                            size_t count, struct err *err)
{
    bool failed = false;
    for (size_t i = 0; i < count; i++)
        failed = failed || calls[i].err.code != ERR_NONE;
    if (!failed)
        return ERR_NONE;
    const struct err **errs = calloc(count, sizeof *errs);
    uint32_t *nodes = calloc(count, sizeof *nodes);
    if (errs == NULL || nodes == NULL)
        abort();
    for (size_t i = 0; i < count; i++) {
        errs[i] = &calls[i].err;
        nodes[i] = calls[i].node;
    }
    enum err_code code = fleet_sum_up(agents->fleet, nodes, errs, count, err);
    free(errs);
    free(nodes);
    return code;
}

enum err_code agents_call_many(struct agents *agents, struct agent_call *calls, size_t count,
                               struct err *err)
{
    if (count == 0)
        return ERR_NONE;
    struct batch batch;
    batch_init(&batch, count);
    for (size_t i = 0; i < count; i++)
        calls[i].batch = &batch;
    struct call_task task = {
        .task = {.run = begin_calls}, .agents = agents, .calls = calls, .count = count};
    fleet_post(agents->fleet, &task.task);
    batch_wait(&batch);
    return sum_up(agents, calls, count, err);
}

enum err_code agents_call(struct agents *agents, struct agent_call *call, struct err *err)
{
    return agents_call_many(agents, call, 1, err);
}

/* ---- What the agent says ---- */

static void tell(struct agent *agent, const char *name, const struct line *event)
{
    const struct agents_options *options = &agent->agents->options;
    if (options->on_event != NULL)
        options->on_event(options->context, agent->node, name, event);
}

static void tell_lost(struct agent *agent, const char *reason)
{
    struct buf text = BUF_INIT;
    line_field(&text, "!");
    line_field(&text, "lost");
    line_key(&text, "reason", reason);
    struct arena arena = ARENA_INIT;
    struct line event;
    if (line_parse(&arena, text.data, text.length, &event, NULL) == ERR_NONE)
        tell(agent, "lost", &event);
    arena_free(&arena);
    buf_free(&text);
}

/* The agent is not coming back on this stream. */
static void lose(struct agent *agent, const char *reason)
{
    struct agents *agents = agent->agents;
    struct err why = ERR_INIT;
    err_set(&why, ERR_IO, "%s", reason); /* which makes it one line */
    pthread_mutex_lock(&agents->mutex);
    enum agent_state before = agent->state;
    bool stopping = agents->stopping;
    bool starting = before == AGENT_STARTING || before == AGENT_GREETED;
    if (starting || before == AGENT_READY) { /* else it is known why */
        agent->state = starting ? AGENT_FAILED : AGENT_LOST;
        agent->why = why;
    }
    pthread_cond_broadcast(&agents->changed);
    pthread_mutex_unlock(&agents->mutex);
    char message[ERR_MESSAGE_MAX];
    snprintf(message, sizeof message, "the agent is gone: %.1000s", why.message);
    fail_pending(agent, message);
    if (before == AGENT_READY && !stopping)
        tell_lost(agent, why.message);
}

static void refuse(struct agent *agent, const struct line *event)
{
    const char *owner = line_get(event, "owner"), *since = line_get(event, "since");
    const char *pid = line_get(event, "pid");
    struct err why = ERR_INIT;
    err_set(&why, ERR_REMOTE, "is already used by another ordeal (%s, since %s, agent's pid %s)",
            owner != NULL && *owner != '\0' ? owner : "owner unknown", since != NULL ? since : "?",
            pid != NULL ? pid : "?");
    agent_set_state(agent, AGENT_FAILED, &why);
}

static void take_event(struct agent *agent, const char *bytes, size_t length)
{
    struct arena *arena = &agent->agents->scratch;
    arena_reset(arena);
    struct line event;
    if (line_parse(arena, bytes, length, &event, NULL) != ERR_NONE)
        return;
    const char *name = line_at(&event, 1);
    enum agent_state state = agent_state_of(agent);
    if (state == AGENT_STARTING && strcmp(name, "refused") == 0) {
        refuse(agent, &event);
    } else if (state == AGENT_STARTING && strcmp(name, "hello") == 0) {
        pthread_mutex_lock(&agent->agents->mutex);
        buf_clear(&agent->hello);
        buf_add(&agent->hello, bytes, length);
        pthread_mutex_unlock(&agent->agents->mutex);
        agent_set_state(agent, AGENT_GREETED, NULL);
    }
    tell(agent, name, &event);
}

/* Reads what comes after the ID. */
static void read_reply(struct agent *agent, struct agent_call *call, const char *bytes,
                       size_t length)
{
    struct agent_reply *reply = &call->reply;
    struct err err = ERR_INIT;
    char text[ERR_MESSAGE_MAX];
    if (line_parse(&reply->arena, bytes, length, &reply->line, &err) != ERR_NONE) {
        snprintf(text, sizeof text, "the agent's reply makes no sense: %.900s", err.message);
        fail_call(agent, call, ERR_PARSE, text);
        return;
    }
    if (strcmp(line_at(&reply->line, 1), "ok") == 0) {
        complete(call);
        return;
    }
    snprintf(reply->code, sizeof reply->code, "%s", line_at(&reply->line, 2));
    const char *message = line_at(&reply->line, 3);
    fail_call(agent, call, ERR_REMOTE, *message != '\0' ? message : reply->code);
}

/* Replies to calls that timed out have nobody waiting; anything else that is no line of the
 * protocol comes from a login script that talks, and is passed over. */
static void take_line(struct agent *agent, const char *bytes, size_t length)
{
    if (length >= 2 && bytes[0] == '!' && bytes[1] == '\t') {
        take_event(agent, bytes, length);
        return;
    }
    char *end;
    uint64_t id = strtoull(bytes, &end, 10);
    if (length == 0 || *bytes < '0' || *bytes > '9' || *end != '\t')
        return;
    for (struct agent_call **place = &agent->pending; *place != NULL; place = &(*place)->next) {
        struct agent_call *call = *place;
        if (call->id != id)
            continue;
        take_pending(agent, place);
        read_reply(agent, call, bytes, length);
        return;
    }
}

static void on_stdout(void *context, const char *bytes, size_t length)
{
    struct agent *agent = context;
    agent->heard_ns = clock_monotonic_ns();
    buf_add(&agent->incoming, bytes, length);
    size_t begin = 0;
    char *newline;
    while ((newline = memchr(agent->incoming.data + begin, '\n', agent->incoming.length - begin)) !=
           NULL) {
        size_t end = (size_t)(newline - agent->incoming.data);
        *newline = '\0';
        take_line(agent, agent->incoming.data + begin, end - begin);
        begin = end + 1;
    }
    buf_consume(&agent->incoming, begin);
    if (agent->incoming.length > LINE_BYTES_MAX) /* a flood without a newline is not an agent */
        buf_clear(&agent->incoming);
}

static void on_stderr(void *context, const char *bytes, size_t length)
{
    struct agent *agent = context;
    buf_add(&agent->complaints, bytes, length);
    if (agent->complaints.length > COMPLAINTS_BYTES)
        buf_consume(&agent->complaints, agent->complaints.length - COMPLAINTS_BYTES);
}

static void on_close(void *context, const struct channel_end *end, const struct err *err)
{
    struct agent *agent = context;
    struct buf reason = BUF_INIT;
    if (err != NULL) {
        buf_printf(&reason, "%s: the agent: ", node_name(agent));
        bool repeats = strncmp(err->message, reason.data, reason.length) == 0;
        size_t prefix = repeats ? reason.length : 0; /* those who show the reason say it, too */
        buf_clear(&reason);
        buf_add_text(&reason, err->message + prefix);
    } else if (end->signal_name != NULL) {
        buf_printf(&reason, "it was ended by SIG%s", end->signal_name);
    } else {
        buf_printf(&reason, "it exited with status %d", end->status);
    }
    if (agent->complaints.length > 0)
        buf_printf(&reason, ": %s", agent->complaints.data);
    pthread_mutex_lock(&agent->agents->mutex);
    agent->may_be_missing = end != NULL && (end->status == 126 || end->status == 127);
    pthread_mutex_unlock(&agent->agents->mutex);
    lose(agent, reason.data);
    buf_free(&reason);
}

const struct stream_events agent_stream_events = {
    .on_stdout = on_stdout, .on_stderr = on_stderr, .on_close = on_close};

/* ---- Pings, silences, deadlines ---- */

static void send_ping(struct agent *agent)
{
    struct agent_call *ping = calloc(1, sizeof *ping);
    if (ping == NULL)
        abort();
    agent_call_begin(ping, agent->node, "ping");
    ping->deadline_ns = INT64_MAX; /* silence is judged by what was heard, not by one ping */
    send_call(agent, ping);
}

static void check_agent(struct agent *agent, int64_t now_ns, bool ping)
{
    struct agents *agents = agent->agents;
    for (struct agent_call **place = &agent->pending; *place != NULL;) {
        struct agent_call *call = *place;
        if (call->deadline_ns > now_ns) {
            place = &call->next;
            continue;
        }
        char limit[32], reason[128];
        clock_format_human(call->timeout_ns > 0 ? call->timeout_ns : call_timeout_ns, limit,
                           sizeof limit);
        snprintf(reason, sizeof reason,
                 "the agent did not answer within %s; it may yet do what it was asked", limit);
        take_pending(agent, place);
        fail_call(agent, call, ERR_TIMEOUT, reason);
    }
    if (!ping || agent_state_of(agent) != AGENT_READY)
        return;
    if (now_ns - agent->heard_ns > agents->options.lease_ns) {
        char reason[96], silence[32];
        clock_format_human(now_ns - agent->heard_ns, silence, sizeof silence);
        snprintf(reason, sizeof reason, "it has been silent for %s", silence);
        fleet_stream_finish(agent->stream); /* should it wake up, it undoes its faults and ends */
        lose(agent, reason);
        return;
    }
    send_ping(agent);
}

static void on_timer(struct fleet_timer *timer)
{
    struct agents *agents = (struct agents *)((char *)timer - offsetof(struct agents, timer));
    int64_t now_ns = clock_monotonic_ns();
    bool ping = now_ns >= agents->ping_at_ns;
    if (ping)
        agents->ping_at_ns = now_ns + agents->options.lease_ns / 4;
    for (size_t i = 0; i < agents->count; i++)
        check_agent(&agents->list[i], now_ns, ping);
    arm_timer(agents);
}

struct arm_task {
    struct fleet_task task;
    struct agents *agents;
    bool disarm;
    struct batch batch;
};

static void arm(struct fleet_task *task)
{
    struct arm_task *arming = (struct arm_task *)task;
    struct agents *agents = arming->agents;
    if (arming->disarm) {
        fleet_timer_clear(&agents->timer);
        for (size_t i = 0; i < agents->count; i++)
            fail_pending(&agents->list[i], "the agents are being stopped");
    } else {
        agents->ping_at_ns = clock_monotonic_ns() + agents->options.lease_ns / 4;
        arm_timer(agents);
    }
    batch_done(&arming->batch);
}

static void arm_and_wait(struct agents *agents, bool disarm)
{
    struct arm_task task = {.task = {.run = arm}, .agents = agents, .disarm = disarm};
    batch_init(&task.batch, 1);
    fleet_post(agents->fleet, &task.task);
    batch_wait(&task.batch);
}

/* ---- Starting and stopping ---- */

static void free_agents(struct agents *agents)
{
    arm_and_wait(agents, true);
    for (size_t i = 0; i < agents->count; i++) {
        struct agent *agent = &agents->list[i];
        if (agent->stream != NULL)
            fleet_stream_close(agent->stream);
        buf_free(&agent->hello);
        buf_free(&agent->incoming);
        buf_free(&agent->complaints);
    }
    pthread_cond_destroy(&agents->changed);
    pthread_mutex_destroy(&agents->mutex);
    buf_free(&agents->binary);
    buf_free(&agents->target);
    arena_free(&agents->scratch);
    free(agents->list);
    free(agents);
}

static struct agents *new_agents(struct fleet *fleet, const struct agents_options *options)
{
    struct agents *agents = calloc(1, sizeof *agents);
    size_t count = fleet_size(fleet);
    if (agents == NULL || (agents->list = calloc(count + 1, sizeof *agents->list)) == NULL)
        abort();
    agents->fleet = fleet;
    agents->options = *options;
    agents->count = count;
    agents->timer.fire = on_timer;
    if (agents->options.lease_ns == 0)
        agents->options.lease_ns = lease_default_ns;
    if (agents->options.start_timeout_ns == 0)
        agents->options.start_timeout_ns = 20 * NS_PER_SECOND;
    pthread_mutex_init(&agents->mutex, NULL);
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&agents->changed, &attributes);
    pthread_condattr_destroy(&attributes);
    for (uint32_t i = 0; i < count; i++) {
        agents->list[i] = (struct agent){.agents = agents, .node = i, .next_id = 1};
        agents->list[i].last_pending = &agents->list[i].pending;
    }
    return agents;
}

enum err_code agents_start(struct fleet *fleet, const struct agents_options *options,
                           struct agents **agents, struct err *err)
{
    struct agents *started = new_agents(fleet, options);
    enum err_code code = agents_locate(started, err);
    if (code == ERR_NONE) {
        arm_and_wait(started, false);
        code = agents_start_on(started, NULL, started->count, err);
    }
    if (code != ERR_NONE) {
        pthread_mutex_lock(&started->mutex);
        started->stopping = true;
        pthread_mutex_unlock(&started->mutex);
        free_agents(started);
        return code;
    }
    *agents = started;
    return ERR_NONE;
}

enum err_code agents_restart(struct agents *agents, uint32_t node, struct err *err)
{
    if (agents_ready(agents, node))
        return ERR_NONE;
    return agents_start_on(agents, &node, 1, err);
}

/* An agent that answers may yet have failed to undo something. */
static void check_shutdown(const struct agents *agents, struct agent_call *call)
{
    const char *failed = line_get(&call->reply.line, "failed");
    const char *problem = line_get(&call->reply.line, "problem");
    if (call->err.code != ERR_NONE || failed == NULL || strcmp(failed, "0") == 0)
        return;
    err_set(&call->err, ERR_REMOTE,
            "%s: shutdown: %s faults could not be undone%s%s: see `ordeal heal`",
            fleet_node(agents->fleet, call->node)->name, failed, problem != NULL ? ": " : "",
            problem != NULL ? problem : "");
}

enum err_code agents_stop(struct agents *agents, enum agents_end end, int64_t timeout_ns,
                          struct err *err)
{
    if (agents == NULL)
        return ERR_NONE;
    struct agent_call *calls = calloc(agents->count + 1, sizeof *calls);
    if (calls == NULL)
        abort();
    size_t count = 0;
    pthread_mutex_lock(&agents->mutex);
    agents->stopping = true;
    for (uint32_t i = 0; i < agents->count; i++)
        if (agents->list[i].state == AGENT_READY) {
            agent_call_begin(&calls[count], i, "shutdown");
            if (end == AGENTS_LEAVE_DAEMONS)
                line_key_int(&calls[count].request, "keep_daemons", 1);
            calls[count++].timeout_ns = timeout_ns;
        }
    pthread_mutex_unlock(&agents->mutex);
    agents_call_many(agents, calls, count, err);
    for (size_t i = 0; i < count; i++)
        check_shutdown(agents, &calls[i]);
    enum err_code code = sum_up(agents, calls, count, err);
    for (size_t i = 0; i < count; i++)
        agent_call_free(&calls[i]);
    free(calls);
    free_agents(agents);
    return code;
}
