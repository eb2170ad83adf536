/* A client of etcd's locks (the lock and lease services), through its HTTP JSON gateway.
 *
 *   acquire [k nil] -> [k {:fence r}]    release [k nil]
 *
 * A client has a session, as etcd's own clients do: a lease that a thread beside it keeps alive.
 * The lock "ordeal/lock/<k>" is waited for as long as the operation may take; then the session is
 * given up, and once its lease is known to be revoked the lock was certainly never held.
 *
 * The fence is the revision that made the lock's key: keys are granted in the order in which they
 * were made, each when all older ones are gone, so that a holder's is greater than those of all who
 * held the lock before. (The revision of the answer would not do. It is that at which etcd looked,
 * and two whose predecessors were gone by the same look, one of them having lost its own key, are
 * told the same.) A key that is gone when it is looked at, though etcd says that the lock was
 * granted, makes the acquisition indeterminate. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/base/clock.h"
#include "harness/base/json.h"
#include "workloads/systems/base64.h"
#include "workloads/systems/etcd.h"

/* What is left of an operation for giving the session up. */
static const int64_t withdraw_ns = 300 * NS_PER_MS;

struct session {
    char lease[32]; /* "" when there is none */
    struct buf url; /* of keeping it alive */
    int64_t every_ns;
    atomic_bool ended; /* etcd does not know it any more */
    bool stop;         /* guarded */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    pthread_t thread;
};

struct lock_client {
    struct etcd_asker asker;
    struct buf grant_url, revoke_url, lock_url, unlock_url, range_url;
    struct buf name, held; /* base64: of the lock that is asked for, and the key of what is held */
    struct session session;
    int64_t ttl_s, deadline_ns;
    int acquire_f, release_f;
};

/* ---- The session ---- */

static void keep_alive(struct session *session, struct http_client *http, struct http_reply *reply)
{
    struct json *json = NULL;
    char body[64];
    int length = snprintf(body, sizeof body, "{\"ID\":\"%s\"}", session->lease);
    http_post_json(http, session->url.data, body, (size_t)length, session->every_ns, reply);
    if (reply->outcome != HTTP_REPLIED || reply->status != 200 ||
        json_parse(buf_text(&reply->body), reply->body.length, "reply", &json, NULL) != ERR_NONE)
        return;
    /* Of a lease that is no more the time to live is 0, which the gateway leaves out. */
    const struct json *result = json_get(json, "result");
    if (json_kind(result) == JSON_OBJECT && json_get(result, "TTL") == NULL)
        atomic_store(&session->ended, true);
    json_free(json);
}

static void *keep(void *state)
{
    struct session *session = state;
    struct http_client *http = NULL;
    struct http_reply reply = {.outcome = HTTP_NOT_SENT};
    if (http_open(&http, NULL) != ERR_NONE)
        return NULL; /* the lease ends by itself */
    pthread_mutex_lock(&session->lock);
    while (!session->stop) {
        struct timespec until = clock_timespec(clock_monotonic_ns() + session->every_ns);
        if (pthread_cond_timedwait(&session->changed, &session->lock, &until) == 0)
            continue;
        pthread_mutex_unlock(&session->lock);
        keep_alive(session, http, &reply);
        pthread_mutex_lock(&session->lock);
    }
    pthread_mutex_unlock(&session->lock);
    http_reply_free(&reply);
    http_close(http);
    return NULL;
}

static void session_end(struct session *session)
{
    if (*session->lease == '\0')
        return;
    pthread_mutex_lock(&session->lock);
    session->stop = true;
    pthread_cond_signal(&session->changed);
    pthread_mutex_unlock(&session->lock);
    pthread_join(session->thread, NULL);
    *session->lease = '\0';
}

static int64_t left_ns(const struct lock_client *client)
{
    int64_t left = client->deadline_ns - clock_monotonic_ns();
    return left < NS_PER_MS ? NS_PER_MS : left;
}

/* False, and the operation has failed, when there is no session to be had. */
static bool session_begin(struct lock_client *client, struct op *op, struct arena *scratch)
{
    struct session *session = &client->session;
    if (atomic_load(&session->ended))
        session_end(session);
    if (*session->lease != '\0')
        return true;
    buf_clear(&client->asker.request);
    buf_printf(&client->asker.request, "{\"TTL\":\"%lld\"}", (long long)client->ttl_s);
    client->asker.timeout_ns = left_ns(client);
    struct json *json = etcd_ask(&client->asker, client->grant_url.data, ETCD_READS, op, scratch);
    const char *id = json_as_text(json_get(json, "ID"), "");
    bool begun = json != NULL && *id != '\0' && strlen(id) < sizeof session->lease;
    if (json != NULL && !begun)
        op_fail(op, scratch, "bad-reply", "no lease in it");
    session->stop = false;
    atomic_store(&session->ended, false);
    if (begun)
        snprintf(session->lease, sizeof session->lease, "%s", id);
    if (begun && pthread_create(&session->thread, NULL, keep, session) != 0) {
        *session->lease = '\0';
        op_fail(op, scratch, "no-thread", NULL);
        begun = false;
    }
    json_free(json);
    return begun;
}

/* Ends the lease, and with it whatever is or would be locked by it. True when that is certain. */
static bool withdraw(struct lock_client *client, int64_t patience_ns)
{
    struct http_reply *reply = &client->asker.reply;
    char body[64];
    int length = snprintf(body, sizeof body, "{\"ID\":\"%s\"}", client->session.lease);
    http_post_json(client->asker.http, client->revoke_url.data, body, (size_t)length, patience_ns,
                   reply);
    bool gone = reply->outcome == HTTP_REPLIED &&
                (reply->status == 200 ||
                 strstr(buf_text(&reply->body), "requested lease not found") != NULL);
    session_end(&client->session);
    return gone;
}

/* ---- Opening and closing ---- */

static enum err_code client_open(void *state, struct test *test, uint32_t node, struct err *err)
{
    struct lock_client *client = state;
    const char *address = node_address(&test->nodes[node]);
    uint16_t port = etcd_client_port(test);
    client->acquire_f = history_find_f(test->history, "acquire");
    client->release_f = history_find_f(test->history, "release");
    client->ttl_s = option_int(&test->plan->options, "etcd.lock-ttl");
    http_add_url(&client->grant_url, address, port, "/v3/lease/grant");
    http_add_url(&client->revoke_url, address, port, "/v3/lease/revoke");
    http_add_url(&client->lock_url, address, port, "/v3/lock/lock");
    http_add_url(&client->unlock_url, address, port, "/v3/lock/unlock");
    http_add_url(&client->range_url, address, port, "/v3/kv/range");
    struct session *session = &client->session;
    http_add_url(&session->url, address, port, "/v3/lease/keepalive");
    session->every_ns = client->ttl_s * NS_PER_SECOND / 3;
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&session->changed, &monotonic);
    pthread_condattr_destroy(&monotonic);
    pthread_mutex_init(&session->lock, NULL);
    return etcd_asker_open(&client->asker, test, node, err);
}

static void client_close(void *state)
{
    struct lock_client *client = state;
    /* What it holds at the end it has not released: it is held until the lease runs out, which is
     * later than any operation that is under way now. */
    if (client->held.length > 0)
        session_end(&client->session);
    else if (*client->session.lease != '\0')
        withdraw(client, withdraw_ns);
    etcd_asker_close(&client->asker);
    struct buf *const bufs[] = {&client->grant_url,  &client->revoke_url, &client->lock_url,
                                &client->unlock_url, &client->range_url,  &client->name,
                                &client->held,       &client->session.url};
    for (size_t i = 0; i < sizeof bufs / sizeof *bufs; i++)
        buf_free(bufs[i]);
    pthread_cond_destroy(&client->session.changed);
    pthread_mutex_destroy(&client->session.lock);
}

/* ---- Operations ---- */

static void name_lock(struct lock_client *client, struct value key)
{
    char text[64];
    int length = snprintf(text, sizeof text, "ordeal/lock/%lld", (long long)value_as_int(key));
    buf_clear(&client->name);
    base64_add(&client->name, text, (size_t)length);
}

static bool timed_out(const struct http_reply *reply)
{
    return reply->outcome == HTTP_UNKNOWN && strcmp(reply->error, "timeout") == 0;
}

/* Of the key that is held, to the value of op; else the operation is indeterminate. */
static void show_fence(struct lock_client *client, struct value lock, struct op *op,
                       struct arena *scratch)
{
    buf_clear(&client->asker.request);
    buf_printf(&client->asker.request, "{\"key\":\"%s\"}", client->held.data);
    client->asker.timeout_ns = left_ns(client);
    struct json *json = etcd_ask(&client->asker, client->range_url.data, ETCD_READS, op, scratch);
    const struct json *key = json_at(json_get(json, "kvs"), 0);
    const char *revision = json_as_text(json_get(key, "create_revision"), "");
    if (json == NULL) {
        op->type = OP_INFO; /* it is held, and nobody knows by which fence */
    } else if (*revision == '\0') {
        op_info(op, scratch, "lock-lost", "granted, and its key is no more");
    } else {
        struct value fence[] = {value_keyword(scratch, "fence"),
                                value_int(scratch, strtoll(revision, NULL, 10))};
        op->value = value_pair(scratch, lock, value_items(scratch, VALUE_MAP, fence, 2));
        op_ok(op);
    }
    json_free(json);
}

static void do_acquire(struct lock_client *client, struct op *op, struct arena *scratch)
{
    struct value lock = value_at(op->value, 0);
    name_lock(client, lock);
    if (!session_begin(client, op, scratch))
        return;
    buf_clear(&client->asker.request);
    buf_printf(&client->asker.request, "{\"name\":\"%s\",\"lease\":\"%s\"}", client->name.data,
               client->session.lease);
    client->asker.timeout_ns = left_ns(client) - withdraw_ns;
    struct json *json = etcd_ask(&client->asker, client->lock_url.data, ETCD_CHANGES, op, scratch);
    if (json == NULL) {
        bool busy = timed_out(&client->asker.reply);
        if (op->type == OP_INFO && withdraw(client, left_ns(client)))
            op_fail(op, scratch, busy ? "busy" : "withdrawn", NULL);
        else if (client->asker.reply.outcome == HTTP_REPLIED)
            atomic_store(&client->session.ended, true); /* it may be what was refused */
        return;
    }
    const char *key = json_as_text(json_get(json, "key"), "");
    buf_clear(&client->held);
    buf_add_text(&client->held, key);
    json_free(json);
    if (client->held.length == 0)
        op_info(op, scratch, "bad-reply", "no key in it");
    else
        show_fence(client, lock, op, scratch);
}

/* A release that etcd did not hear of will happen nevertheless, once the lease has run out: it is
 * never failed. */
static void do_release(struct lock_client *client, struct op *op, struct arena *scratch)
{
    if (client->held.length == 0) {
        op_info(op, scratch, "not-held", NULL);
        return;
    }
    buf_clear(&client->asker.request);
    buf_printf(&client->asker.request, "{\"key\":\"%s\"}", client->held.data);
    buf_clear(&client->held);
    client->asker.timeout_ns = left_ns(client);
    struct json *json =
        etcd_ask(&client->asker, client->unlock_url.data, ETCD_CHANGES, op, scratch);
    if (json != NULL)
        op_ok(op);
    else
        op->type = OP_INFO;
    json_free(json);
}

static void client_invoke(void *state, struct test *test, struct op *op, struct arena *scratch)
{
    struct lock_client *client = state;
    bool keyed = value_is_pair(op->value) && value_is_int(value_at(op->value, 0));
    int64_t timeout_ns = test->plan->op_timeout_ns - test->plan->op_timeout_ns / 50;
    client->deadline_ns = clock_monotonic_ns() + timeout_ns;
    if (keyed && op->f == client->acquire_f)
        do_acquire(client, op, scratch);
    else if (keyed && op->f == client->release_f)
        do_release(client, op, scratch);
    else
        op_fail(op, scratch, "unsupported", "etcd takes acquire [k nil] and release [k nil]");
}

const struct client etcd_lock_client = {
    .state_size = sizeof(struct lock_client),
    .open = client_open,
    .invoke = client_invoke,
    .close = client_close,
};
