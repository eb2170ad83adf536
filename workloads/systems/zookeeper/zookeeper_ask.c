/* Asking a ZooKeeper server: the one file that meets libzookeeper, and what becomes of requests.
 *
 * Only asynchronous calls are used, since the library's others wait for as long as a session lasts.
 * The library sends nothing twice by itself; it connects again to the one server that it knows,
 * with the same session.
 *
 * What matters most is what failures are taken for: "certainly not done", said wrongly once,
 * convicts an innocent cluster. Whoever leads prepares each request, and refuses it then or never;
 * what was lost on the way may have been prepared. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zookeeper/zookeeper.h>

#include "harness/base/clock.h"
#include "workloads/systems/zookeeper/zookeeper_system.h"

static const struct {
    int code;
    struct zookeeper_meaning meaning;
} meanings[] = {
    {ZOK, {ZOOKEEPER_DONE, NULL}},
    {ZNONODE, {ZOOKEEPER_NO_NODE, "no-node"}},
    {ZNODEEXISTS, {ZOOKEEPER_NODE_EXISTS, "node-exists"}},
    {ZBADVERSION, {ZOOKEEPER_BAD_VERSION, "conflict"}},
    /* Said while the request is prepared: a transaction that changes nothing takes its place. */
    {ZNOTEMPTY, {ZOOKEEPER_REFUSED, "not-empty"}},
    {ZNOCHILDRENFOREPHEMERALS, {ZOOKEEPER_REFUSED, "no-children"}},
    {ZNOAUTH, {ZOOKEEPER_REFUSED, "not-allowed"}},
    {ZINVALIDACL, {ZOOKEEPER_REFUSED, "bad-acl"}},
    {ZSESSIONMOVED, {ZOOKEEPER_REFUSED, "session-moved"}},
    /* Said by the server before it passes anything on. */
    {ZNOTREADONLY, {ZOOKEEPER_REFUSED, "read-only"}},
    {ZTHROTTLEDOP, {ZOOKEEPER_REFUSED, "throttled"}},
    /* Not refusals: the library says the last of these of requests that it may have sent. */
    {ZCONNECTIONLOSS, {ZOOKEEPER_UNKNOWN, "connection-lost"}},
    {ZOPERATIONTIMEOUT, {ZOOKEEPER_UNKNOWN, "timeout"}},
    {ZCLOSING, {ZOOKEEPER_UNKNOWN, "timeout"}},
    {ZSESSIONEXPIRED, {ZOOKEEPER_UNKNOWN, "session-expired"}},
};

struct zookeeper_meaning zookeeper_meaning(int code)
{
    for (size_t i = 0; i < sizeof meanings / sizeof *meanings; i++)
        if (meanings[i].code == code)
            return meanings[i].meaning;
    return (struct zookeeper_meaning){ZOOKEEPER_UNKNOWN, "error-reply"};
}

static void set_error(struct zookeeper_asker *asker, const char *error, const char *detail)
{
    asker->error = error;
    snprintf(asker->detail, sizeof asker->detail, "%.150s", detail);
}

/* ---- A session ---- */

static void be_silent(void)
{
    zoo_set_debug_level((ZooLogLevel)0); /* it would write to standard error */
}

void zookeeper_asker_init(struct zookeeper_asker *asker, const struct test *test, uint32_t node)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    const struct options *options = &test->plan->options;
    const char *reads = option_text(options, "zookeeper.reads");
    pthread_condattr_t monotonic;
    pthread_once(&once, be_silent);
    *asker = (struct zookeeper_asker){
        .session_ms = (int)option_int(options, "zookeeper.session-ms"),
        .reads = *reads == 'l'   ? ZOOKEEPER_LOCAL
                 : *reads == 's' ? ZOOKEEPER_SYNC
                                 : ZOOKEEPER_QUORUM,
        /* A little less than what the harness allows, for what happens around the requests. */
        .timeout_ns = test->plan->op_timeout_ns - test->plan->op_timeout_ns / 50,
        .data = BUF_INIT,
        .path = BUF_INIT,
        .names = BUF_INIT,
    };
    /* The library takes what is behind the last colon for the port, also in an IPv6 address. */
    snprintf(asker->server, sizeof asker->server, "%s:%u", node_address(&test->nodes[node]),
             (unsigned)zookeeper_client_port(test));
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&asker->changed, &monotonic);
    pthread_condattr_destroy(&monotonic);
    pthread_mutex_init(&asker->lock, NULL);
}

/* When this returns, the library has called back for whatever was under way. */
static void give_up(struct zookeeper_asker *asker)
{
    if (asker->library != NULL)
        zookeeper_close(asker->library);
    asker->library = NULL;
    free(asker->results);
    asker->results = NULL;
}

void zookeeper_asker_close(struct zookeeper_asker *asker)
{
    give_up(asker);
    buf_free(&asker->data);
    buf_free(&asker->path);
    buf_free(&asker->names);
    pthread_cond_destroy(&asker->changed);
    pthread_mutex_destroy(&asker->lock);
}

void zookeeper_asker_abandon(struct zookeeper_asker *asker)
{
    /* Another server than the one it is connected to (the library compares addresses, not ports)
     * makes it drop that connection, and who has none tells nobody that the session ends. */
    if (asker->library != NULL)
        zoo_set_servers(asker->library, "127.255.255.254:9");
    zookeeper_asker_close(asker);
}

void zookeeper_begin(struct zookeeper_asker *asker)
{
    asker->deadline_ns = clock_monotonic_ns() + asker->timeout_ns;
}

/* Called by the library's thread, of sessions and of watches. */
static void watch(zhandle_t *library, int type, int state, const char *path, void *context)
{
    (void)library, (void)state, (void)path;
    struct zookeeper_asker *asker = context;
    pthread_mutex_lock(&asker->lock);
    if (type != ZOO_SESSION_EVENT)
        asker->fired = true;
    pthread_cond_broadcast(&asker->changed);
    pthread_mutex_unlock(&asker->lock);
}

/* Whether the session can go on, now or later. */
static bool is_lasting(struct zookeeper_asker *asker)
{
    return asker->library != NULL && !is_unrecoverable(asker->library);
}

/* Half of the time at most, so that some is left to ask. */
static bool is_connected(struct zookeeper_asker *asker)
{
    int64_t now_ns = clock_monotonic_ns();
    struct timespec until = clock_timespec(now_ns + (asker->deadline_ns - now_ns) / 2);
    if (!is_lasting(asker))
        give_up(asker);
    if (asker->library == NULL)
        asker->library = zookeeper_init(asker->server, watch, asker->session_ms, NULL, asker, 0);
    if (asker->library == NULL) {
        set_error(asker, "no-connection", "libzookeeper makes no session");
        return false;
    }
    bool in_time = true;
    pthread_mutex_lock(&asker->lock);
    while (in_time && is_lasting(asker) && zoo_state(asker->library) != ZOO_CONNECTED_STATE)
        in_time = pthread_cond_timedwait(&asker->changed, &asker->lock, &until) == 0;
    pthread_mutex_unlock(&asker->lock);
    if (zoo_state(asker->library) == ZOO_CONNECTED_STATE)
        return true;
    set_error(asker, "no-connection", asker->server);
    return false;
}

/* ---- One request ---- */

/* Called by the library's thread, or by the worker's while it gives up. */
static void finish(struct zookeeper_asker *asker, int code, const struct Stat *stat)
{
    asker->code = code;
    if (stat != NULL) {
        asker->version = stat->version;
        asker->created = stat->czxid;
    }
    asker->done = true;
    pthread_cond_broadcast(&asker->changed);
    pthread_mutex_unlock(&asker->lock);
}

static struct zookeeper_asker *locked(const void *context)
{
    struct zookeeper_asker *asker = (void *)context;
    pthread_mutex_lock(&asker->lock);
    return asker;
}

static void on_end(int code, const void *context)
{
    finish(locked(context), code, NULL);
}

static void on_stat(int code, const struct Stat *stat, const void *context)
{
    finish(locked(context), code, stat);
}

static void on_data(int code, const char *data, int length, const struct Stat *stat,
                    const void *context)
{
    struct zookeeper_asker *asker = locked(context);
    buf_clear(&asker->data);
    asker->there = data != NULL && length >= 0;
    if (asker->there)
        buf_add(&asker->data, data, (size_t)length);
    finish(asker, code, stat);
}

static void on_path(int code, const char *path, const struct Stat *stat, const void *context)
{
    struct zookeeper_asker *asker = locked(context);
    buf_clear(&asker->path);
    if (path != NULL)
        buf_add_text(&asker->path, path);
    finish(asker, code, stat);
}

static void on_sync(int code, const char *path, const void *context)
{
    (void)path;
    finish(locked(context), code, NULL);
}

static void on_names(int code, const struct String_vector *names, const void *context)
{
    struct zookeeper_asker *asker = locked(context);
    buf_clear(&asker->names);
    asker->name_count = names != NULL && code == ZOK ? (size_t)names->count : 0;
    for (size_t i = 0; i < asker->name_count; i++)
        buf_add(&asker->names, names->data[i], strlen(names->data[i]) + 1);
    finish(asker, code, NULL);
}

/* False: there is no connection. */
static bool prepare(struct zookeeper_asker *asker)
{
    if (!is_connected(asker))
        return false;
    pthread_mutex_lock(&asker->lock);
    asker->done = false;
    pthread_mutex_unlock(&asker->lock);
    return true;
}

static bool wait_until(struct zookeeper_asker *asker, const bool *what, int64_t until_ns)
{
    struct timespec until = clock_timespec(until_ns);
    bool in_time = true;
    pthread_mutex_lock(&asker->lock);
    while (in_time && !*what && (what == &asker->done || is_lasting(asker)))
        in_time = pthread_cond_timedwait(&asker->changed, &asker->lock, &until) == 0;
    bool is_so = *what;
    pthread_mutex_unlock(&asker->lock);
    return is_so;
}

/* `submitted` is what the library's call said: it calls back only where that was ZOK. */
static enum zookeeper_outcome await(struct zookeeper_asker *asker, int submitted)
{
    if (submitted == ZINVALIDSTATE || submitted == ZBADARGUMENTS) {
        set_error(asker, "not-sent", zerror(submitted));
        return ZOOKEEPER_NOT_SENT;
    }
    if (submitted != ZOK || !wait_until(asker, &asker->done, asker->deadline_ns)) {
        give_up(asker);
        set_error(asker, submitted != ZOK ? "not-sent" : "timeout",
                  submitted != ZOK ? zerror(submitted) : "no answer in time");
        return ZOOKEEPER_UNKNOWN;
    }
    struct zookeeper_meaning meaning = zookeeper_meaning(asker->code);
    set_error(asker, meaning.error, asker->code == ZOK ? "" : zerror(asker->code));
    return meaning.outcome;
}

/* ---- Requests ---- */

enum zookeeper_outcome zookeeper_get(struct zookeeper_asker *asker, const char *path)
{
    if (!prepare(asker))
        return ZOOKEEPER_NOT_SENT;
    return await(asker, zoo_aget(asker->library, path, 0, on_data, asker));
}

enum zookeeper_outcome zookeeper_children(struct zookeeper_asker *asker, const char *path)
{
    if (!prepare(asker))
        return ZOOKEEPER_NOT_SENT;
    return await(asker, zoo_aget_children(asker->library, path, 0, on_names, asker));
}

enum zookeeper_outcome zookeeper_set(struct zookeeper_asker *asker, const char *path,
                                     const char *data, int32_t version)
{
    if (!prepare(asker))
        return ZOOKEEPER_NOT_SENT;
    return await(asker,
                 zoo_aset(asker->library, path, data, (int)strlen(data), version, on_stat, asker));
}

enum zookeeper_outcome zookeeper_create(struct zookeeper_asker *asker, const char *path,
                                        const char *data, enum zookeeper_kind kind)
{
    int mode = kind == ZOOKEEPER_LASTING ? ZOO_PERSISTENT : ZOO_EPHEMERAL_SEQUENTIAL;
    if (!prepare(asker))
        return ZOOKEEPER_NOT_SENT;
    return await(asker, zoo_acreate2(asker->library, path, data, (int)strlen(data),
                                     &ZOO_OPEN_ACL_UNSAFE, mode, on_path, asker));
}

enum zookeeper_outcome zookeeper_delete(struct zookeeper_asker *asker, const char *path)
{
    if (!prepare(asker))
        return ZOOKEEPER_NOT_SENT;
    return await(asker, zoo_adelete(asker->library, path, ZOOKEEPER_ANY_VERSION, on_end, asker));
}

enum zookeeper_outcome zookeeper_await(struct zookeeper_asker *asker, const char *path,
                                       int64_t until_ns)
{
    if (!prepare(asker))
        return ZOOKEEPER_NOT_SENT;
    pthread_mutex_lock(&asker->lock);
    asker->fired = false;
    pthread_mutex_unlock(&asker->lock);
    enum zookeeper_outcome outcome =
        await(asker, zoo_awexists(asker->library, path, watch, asker, on_stat, asker));
    if (outcome == ZOOKEEPER_DONE)
        (void)wait_until(asker, &asker->fired, until_ns);
    return outcome;
}

enum zookeeper_outcome zookeeper_change(struct zookeeper_asker *asker,
                                        const struct zookeeper_change *changes, size_t count)
{
    if (!prepare(asker))
        return ZOOKEEPER_NOT_SENT;
    zoo_op_t *ops = calloc(count, sizeof *ops);
    /* The library fills these in as late as it is given up. */
    zoo_op_result_t *results = calloc(count, sizeof *results);
    free(asker->results);
    asker->results = results;
    if (ops == NULL || results == NULL) {
        free(ops);
        set_error(asker, "no-memory", "for a transaction");
        return ZOOKEEPER_NOT_SENT;
    }
    for (size_t i = 0; i < count; i++) {
        const struct zookeeper_change *change = &changes[i];
        if (change->data == NULL)
            zoo_check_op_init(&ops[i], change->path, change->version);
        else
            zoo_set_op_init(&ops[i], change->path, change->data, (int)strlen(change->data),
                            change->version, NULL);
    }
    int submitted = zoo_amulti(asker->library, (int)count, ops, results, on_end, asker);
    free(ops);
    return await(asker, submitted);
}

/* `sync` waits until the server has what whoever leads has; but that asks nobody whether it still
 * leads. A transaction that changes nothing goes to a majority like any other, and what the same
 * session reads after it is no older. */
enum zookeeper_outcome zookeeper_freshen(struct zookeeper_asker *asker)
{
    static const struct zookeeper_change nothing = {ZOOKEEPER_ROOT, NULL, ZOOKEEPER_ANY_VERSION};
    if (asker->reads == ZOOKEEPER_LOCAL)
        return ZOOKEEPER_DONE;
    if (asker->reads == ZOOKEEPER_QUORUM)
        return zookeeper_change(asker, &nothing, 1);
    if (!prepare(asker))
        return ZOOKEEPER_NOT_SENT;
    return await(asker, zoo_async(asker->library, ZOOKEEPER_ROOT, on_sync, asker));
}

void zookeeper_complete(const struct zookeeper_asker *asker, enum zookeeper_outcome outcome,
                        enum zookeeper_effect effect, struct op *op, struct arena *scratch)
{
    const char *detail = *asker->detail == '\0' ? NULL : asker->detail;
    if (outcome == ZOOKEEPER_UNKNOWN && effect == ZOOKEEPER_CHANGES)
        op_info(op, scratch, asker->error, detail);
    else
        op_fail(op, scratch, asker->error, detail);
}
