/* Putting the agent on the nodes and starting it: see agent_link.h. */
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "harness/base/clock.h"
#include "harness/remote/agent_internal.h"
#include "harness/remote/fleet_internal.h"
#include "harness/remote/sha256.h"

#ifndef ORDEAL_LIBEXEC
#define ORDEAL_LIBEXEC "/usr/local/libexec/ordeal"
#endif

/* ---- The binary ---- */

static void beside_program(struct buf *path)
{
    char program[PATH_MAX];
    ssize_t length = readlink("/proc/self/exe", program, sizeof program - 1);
    if (length <= 0)
        return;
    program[length] = '\0';
    char *slash = strrchr(program, '/');
    *slash = '\0';
    buf_printf(path, "%s/ordeal-agent", program);
}

enum err_code agents_find_binary(struct buf *path, struct err *err)
{
    const char *named = getenv("ORDEAL_AGENT");
    if (named != NULL && *named != '\0') {
        if (access(named, R_OK) != 0)
            return err_errno(err, errno, "the agent's binary at $ORDEAL_AGENT, %s", named);
        buf_add_text(path, named);
        return ERR_NONE;
    }
    struct buf beside = BUF_INIT;
    beside_program(&beside);
    const char *places[] = {buf_text(&beside), ORDEAL_LIBEXEC "/ordeal-agent"};
    enum err_code code = ERR_NONE;
    if (access(places[0], R_OK) == 0)
        buf_add_text(path, places[0]);
    else if (access(places[1], R_OK) == 0)
        buf_add_text(path, places[1]);
    else
        code = err_set(err, ERR_UNSUPPORTED,
                       "the agent's binary is neither at %s nor at %s: install it, or name it in "
                       "$ORDEAL_AGENT",
                       places[0], places[1]);
    buf_free(&beside);
    return code;
}

enum err_code agents_locate(struct agents *agents, struct err *err)
{
    const struct agents_options *options = &agents->options;
    enum err_code code = ERR_NONE;
    if (options->binary != NULL)
        buf_add_text(&agents->binary, options->binary);
    else
        code = agents_find_binary(&agents->binary, err);
    char hash[2 * SHA256_BYTES + 1];
    if (code == ERR_NONE)
        code = sha256_file(agents->binary.data, hash, err);
    if (code != ERR_NONE)
        return code;
    buf_printf(&agents->target, "%s/ordeal-agent-%.16s",
               options->directory != NULL ? options->directory : "/var/lib/ordeal/bin", hash);
    return ERR_NONE;
}

/* ---- One attempt ---- */

/* A word of the command, with the node's name for "{node}". */
static void add_argument(const char *text, const char *name, struct buf *script)
{
    struct buf word = BUF_INIT;
    const char *place;
    while ((place = strstr(text, "{node}")) != NULL) {
        buf_add(&word, text, (size_t)(place - text));
        buf_add_text(&word, name);
        text = place + 6;
    }
    buf_add_text(&word, text);
    buf_add_shell_word(script, word.data);
    buf_free(&word);
}

/* An empty file is what a crashed node may have of an upload whose name, but not whose data,
 * reached its disk. */
static void start_script(const struct agents *agents, const char *name, struct buf *script)
{
    buf_add_text(script, "p=");
    buf_add_shell_word(script, agents->target.data);
    buf_add_text(script, "\n[ -s \"$p\" ] || { echo 'the agent is not there' >&2; exit 127; }\n"
                         "exec \"$p\" serve --owner ");
    buf_add_shell_word(script, agents->options.owner != NULL ? agents->options.owner : "");
    buf_printf(script, " --lease-ms %" PRId64 " --ssh \"$SSH_CONNECTION\"",
               agents->options.lease_ns / NS_PER_MS);
    for (const char *const *extra = agents->options.arguments; extra != NULL && *extra != NULL;
         extra++) {
        buf_add_char(script, ' ');
        add_argument(*extra, name, script);
    }
}

static void reset_agent(struct agent *agent)
{
    struct stream *stream = agent->stream; /* only its starter, which is us, changes it */
    if (stream != NULL)
        fleet_stream_close(stream);
    buf_clear(&agent->incoming);
    buf_clear(&agent->complaints);
    agent->heard_ns = clock_monotonic_ns();
    pthread_mutex_lock(&agent->agents->mutex);
    agent->stream = NULL;
    agent->may_be_missing = false;
    agent->why = ERR_INIT;
    agent->state = AGENT_STARTING;
    pthread_mutex_unlock(&agent->agents->mutex);
}

static void open_streams(struct agents *agents, const uint32_t *nodes, size_t count)
{
    static const char *const keep[] = {"SSH_CONNECTION", NULL};
    struct fleet_stream_job *jobs = calloc(count + 1, sizeof *jobs);
    struct buf *scripts = calloc(count + 1, sizeof *scripts);
    if (jobs == NULL || scripts == NULL)
        abort();
    for (size_t i = 0; i < count; i++) {
        struct agent *agent = &agents->list[nodes[i]];
        reset_agent(agent);
        start_script(agents, fleet_node(agents->fleet, nodes[i])->name, &scripts[i]);
        jobs[i] = (struct fleet_stream_job){.node = nodes[i],
                                            .command = {.text = scripts[i].data,
                                                        .label = "the agent",
                                                        .keep_env = keep,
                                                        .as_root = true},
                                            .events = &agent_stream_events,
                                            .context = agent};
    }
    fleet_stream_open_all(agents->fleet, jobs, count, NULL);
    for (size_t i = 0; i < count; i++) {
        struct agent *agent = &agents->list[nodes[i]];
        pthread_mutex_lock(&agents->mutex);
        agent->stream = jobs[i].stream;
        pthread_mutex_unlock(&agents->mutex);
        if (jobs[i].stream == NULL)
            agent_set_state(agent, AGENT_FAILED, &jobs[i].err);
    }
    for (size_t i = 0; i < count; i++)
        buf_free(&scripts[i]);
    free(scripts);
    free(jobs);
}

static bool all_decided(const struct agents *agents, const uint32_t *nodes, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (agents->list[nodes[i]].state == AGENT_STARTING)
            return false;
    return true;
}

static void await_hellos(struct agents *agents, const uint32_t *nodes, size_t count)
{
    struct timespec until = clock_timespec(clock_monotonic_ns() + agents->options.start_timeout_ns);
    pthread_mutex_lock(&agents->mutex);
    int status = 0;
    while (!all_decided(agents, nodes, count) && status == 0)
        status = pthread_cond_timedwait(&agents->changed, &agents->mutex, &until);
    for (size_t i = 0; i < count; i++) {
        struct agent *agent = &agents->list[nodes[i]];
        if (agent->state == AGENT_GREETED) {
            agent->state = AGENT_READY;
        } else if (agent->state == AGENT_STARTING) {
            agent->state = AGENT_FAILED;
            err_set(&agent->why, ERR_TIMEOUT, "it said no hello in time");
        }
    }
    pthread_mutex_unlock(&agents->mutex);
}

static void try_start(struct agents *agents, const uint32_t *nodes, size_t count)
{
    open_streams(agents, nodes, count);
    await_hellos(agents, nodes, count);
}

/* ---- Uploading where it is missing ---- */

/* Reduces `nodes` to those whose agent an upload may help. */
static size_t select_missing(struct agents *agents, const uint32_t *nodes, size_t count,
                             uint32_t *missing)
{
    size_t found = 0;
    pthread_mutex_lock(&agents->mutex);
    for (size_t i = 0; i < count; i++) {
        const struct agent *agent = &agents->list[nodes[i]];
        if (agent->state == AGENT_FAILED && agent->may_be_missing)
            missing[found++] = nodes[i];
    }
    pthread_mutex_unlock(&agents->mutex);
    return found;
}

static enum err_code upload_agent(struct agents *agents, const uint32_t *nodes, size_t count,
                                  struct err *err)
{
    struct fleet_upload *uploads = calloc(count + 1, sizeof *uploads);
    if (uploads == NULL)
        abort();
    for (size_t i = 0; i < count; i++)
        uploads[i] = (struct fleet_upload){.node = nodes[i],
                                           .source = agents->binary.data,
                                           .target = agents->target.data,
                                           .mode = 0755,
                                           .make_parents = true,
                                           .as_root = true};
    enum err_code code = fleet_upload(agents->fleet, uploads, count, err);
    free(uploads);
    return code;
}

/* Turns the reasons why exec fails into what to do about them. */
static void explain(struct agents *agents, struct agent *agent, struct err *err)
{
    const struct node *node = fleet_node(agents->fleet, agent->node);
    const char *name = node->name, *why = agent->why.message;
    const char *sudo = strstr(why, "sudo: ");
    struct output said = {.err = {.data = (char *)sudo}, .status = 1};
    if (sudo != NULL && sudo_refused(node, member_user(agents->fleet, node), &said, err))
        return;
    if (strstr(why, "Exec format error") != NULL)
        err_set(err, ERR_REMOTE,
                "%s: the agent at %s was built for another processor than the node's: build it for "
                "that one and name it in $ORDEAL_AGENT",
                name, agents->binary.data);
    else if (agent->may_be_missing && strstr(why, "Permission denied") != NULL)
        err_set(err, ERR_REMOTE,
                "%s: %s may not be run there: is its file system mounted noexec? (%s)", name,
                agents->target.data, why);
    else if (strncmp(why, name, strlen(name)) == 0)
        err_set(err, agent->why.code, "%s", why);
    else if (strncmp(why, "is already used", 15) == 0)
        err_set(err, agent->why.code, "%s %s", name, why);
    else
        err_set(err, agent->why.code, "%s: the agent does not start: %s", name, why);
}

static enum err_code sum_up(struct agents *agents, const uint32_t *nodes, size_t count,
                            struct err *err)
{
    struct err *own = calloc(count + 1, sizeof *own);
    const struct err **errs = calloc(count + 1, sizeof *errs);
    if (own == NULL || errs == NULL)
        abort();
    pthread_mutex_lock(&agents->mutex);
    for (size_t i = 0; i < count; i++) {
        struct agent *agent = &agents->list[nodes[i]];
        if (agent->state != AGENT_READY)
            explain(agents, agent, &own[i]);
        errs[i] = &own[i];
    }
    pthread_mutex_unlock(&agents->mutex);
    enum err_code code = fleet_sum_up(agents->fleet, nodes, errs, count, err);
    free(errs);
    free(own);
    return code;
}

enum err_code agents_start_on(struct agents *agents, const uint32_t *nodes, size_t count,
                              struct err *err)
{
    uint32_t *all = calloc(count + 1, sizeof *all), *missing = calloc(count + 1, sizeof *missing);
    if (all == NULL || missing == NULL)
        abort();
    for (size_t i = 0; i < count; i++)
        all[i] = nodes != NULL ? nodes[i] : (uint32_t)i;
    try_start(agents, all, count);
    size_t missing_count = select_missing(agents, all, count, missing);
    enum err_code code = ERR_NONE;
    if (missing_count > 0) {
        code = upload_agent(agents, missing, missing_count, err);
        if (code == ERR_NONE)
            try_start(agents, missing, missing_count);
    }
    if (code == ERR_NONE)
        code = sum_up(agents, all, count, err);
    free(all);
    free(missing);
    return code;
}
