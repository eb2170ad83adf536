/* A register client for etcd, through its HTTP JSON gateway.
 *
 * [key value] lives at "ordeal/r/<key>" as decimal text. read is a range of one key, write a put,
 * and cas a transaction that compares the value. A client talks to its own node alone.
 *
 * What matters most here is what failures are taken for. FAIL says that the operation never
 * happens; said wrongly once, it convicts an innocent system. So FAIL needs a reason that holds
 * whatever the cluster went through, and everything else is INFO, save that a read changes nothing
 * and may always be called failed. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/base/json.h"
#include "harness/base/text.h"
#include "workloads/http.h"
#include "workloads/systems/base64.h"
#include "workloads/systems/etcd.h"

/* ---- What error replies mean ---- */

/* The first row whose conditions all hold decides; 0, -1 and NULL are no condition. A text must
 * match whole for FAIL, but only begin so for INFO. */
struct row {
    int http_status, grpc_code;
    const char *text;
    enum op_type type;
    const char *error;
};

enum { GRPC_CANCELLED = 1, GRPC_INVALID = 3, GRPC_DEADLINE = 4, GRPC_UNIMPLEMENTED = 12 };
enum { GRPC_UNAVAILABLE = 14, GRPC_NONE = -2, ANY_CODE = -1, ANY_STATUS = 0 };

static const struct row rows[] = {
    /* The server compares what is committed with what is applied before it proposes anything. */
    {ANY_STATUS, ANY_CODE, "etcdserver: too many requests", OP_FAIL, "too-many-requests"},
    /* The size is looked at before proposing. */
    {ANY_STATUS, ANY_CODE, "etcdserver: request is too large", OP_FAIL, "too-large"},
    /* Both are said by the interceptor, before the request's own handler runs. */
    {ANY_STATUS, ANY_CODE, "etcdserver: not capable", OP_FAIL, "not-capable"},
    {ANY_STATUS, ANY_CODE, "etcdserver: rpc not supported for learner", OP_FAIL, "learner"},
    /* Not a refusal: the put that finds the quota used up is applied, and then reported so. */
    {ANY_STATUS, ANY_CODE, "etcdserver: mvcc: database space exceeded", OP_INFO, "no-space"},
    /* The proposal is in flight, and may yet be committed by this or the next leader; the message
     * goes on with guesses at why (leader failure, connection lost). */
    {ANY_STATUS, ANY_CODE, "etcdserver: request timed out", OP_INFO, "server-timeout"},
    {ANY_STATUS, ANY_CODE, "etcdserver: leader changed", OP_INFO, "leader-changed"},
    /* Said before the handler, but only to those who asked for a leader, which we do not; elsewhere
     * it is said later. */
    {ANY_STATUS, ANY_CODE, "etcdserver: no leader", OP_INFO, "no-leader"},
    /* The member stops while the request waits for its proposal. */
    {ANY_STATUS, ANY_CODE, "etcdserver: server stopped", OP_INFO, "server-stopped"},
    {ANY_STATUS, ANY_CODE, "raft: stopped", OP_INFO, "server-stopped"},
    /* Dropped by this member's raft; whether always before it was forwarded differs by version. */
    {ANY_STATUS, ANY_CODE, "raft proposal dropped", OP_INFO, "proposal-dropped"},
    {ANY_STATUS, ANY_CODE, "etcdserver: corrupt cluster", OP_INFO, "corrupt-cluster"},
    /* The gateway's own deadline or connection to the server: it cannot know either. */
    {ANY_STATUS, GRPC_DEADLINE, NULL, OP_INFO, "server-timeout"},
    {ANY_STATUS, GRPC_CANCELLED, NULL, OP_INFO, "cancelled"},
    {ANY_STATUS, GRPC_UNAVAILABLE, NULL, OP_INFO, "unavailable"},
    /* Requests are checked before they are proposed, and the gateway reads JSON before that. */
    {400, GRPC_INVALID, NULL, OP_FAIL, "bad-request"},
    {400, GRPC_NONE, NULL, OP_FAIL, "bad-request"},
    /* No such method, or no such path: nothing was there to run. */
    {ANY_STATUS, GRPC_UNIMPLEMENTED, NULL, OP_FAIL, "unimplemented"},
    {404, GRPC_NONE, NULL, OP_FAIL, "not-found"},
    {405, GRPC_NONE, NULL, OP_FAIL, "method-not-allowed"},
    {ANY_STATUS, ANY_CODE, NULL, OP_INFO, "unexpected-reply"},
};

static bool row_matches(const struct row *row, int http_status, int grpc_code, const char *message)
{
    if (row->http_status != ANY_STATUS && row->http_status != http_status)
        return false;
    if (row->grpc_code != ANY_CODE && row->grpc_code != grpc_code)
        return false;
    if (row->text == NULL)
        return true;
    return row->type == OP_FAIL ? strcmp(message, row->text) == 0 : text_starts(message, row->text);
}

struct etcd_meaning etcd_error_meaning(int http_status, int grpc_code, const char *message)
{
    const struct row *row = rows;
    while (!row_matches(row, http_status, grpc_code < 0 ? GRPC_NONE : grpc_code, message))
        row++; /* the last row matches everything */
    return (struct etcd_meaning){row->type, row->error};
}

/* ---- A client ---- */

struct etcd_client {
    struct http_client *http;
    struct http_reply reply;
    struct buf request, key, value; /* key and value as base64 */
    struct buf put_url, range_url, txn_url;
    int read_f, write_f, cas_f; /* -1: the run has no such function */
    bool serializable;
    int64_t timeout_ns;
};

static enum err_code client_open(void *state, struct test *test, uint32_t node, struct err *err)
{
    struct etcd_client *client = state;
    enum err_code code = http_open(&client->http, err);
    if (code != ERR_NONE)
        return code;
    const char *address = node_address(&test->nodes[node]);
    uint16_t port = etcd_client_port(test);
    http_add_url(&client->put_url, address, port, "/v3/kv/put");
    http_add_url(&client->range_url, address, port, "/v3/kv/range");
    http_add_url(&client->txn_url, address, port, "/v3/kv/txn");
    client->read_f = history_find_f(test->history, "read");
    client->write_f = history_find_f(test->history, "write");
    client->cas_f = history_find_f(test->history, "cas");
    const char *reads = option_text(&test->plan->options, "etcd.reads");
    client->serializable = strcmp(reads, "serializable") == 0;
    /* A little less than what the harness allows, for what happens around the request. */
    client->timeout_ns = test->plan->op_timeout_ns - test->plan->op_timeout_ns / 50;
    return ERR_NONE;
}

static void client_close(void *state)
{
    struct etcd_client *client = state;
    http_close(client->http);
    http_reply_free(&client->reply);
    struct buf *const bufs[] = {&client->request, &client->key,       &client->value,
                                &client->put_url, &client->range_url, &client->txn_url};
    for (size_t i = 0; i < sizeof bufs / sizeof *bufs; i++)
        buf_free(bufs[i]);
    client->http = NULL;
}

static const char *encode_key(struct etcd_client *client, struct value key)
{
    char text[64];
    int length = snprintf(text, sizeof text, "ordeal/r/%lld", (long long)value_as_int(key));
    buf_clear(&client->key);
    base64_add(&client->key, text, (size_t)length);
    return client->key.data;
}

static const char *encode_value(struct etcd_client *client, struct value value)
{
    char text[32];
    int length = snprintf(text, sizeof text, "%lld", (long long)value_as_int(value));
    buf_clear(&client->value);
    base64_add(&client->value, text, (size_t)length);
    return client->value.data;
}

/* ---- Replies ---- */

enum effect { CHANGES, READS };

static void complete(struct op *op, struct arena *scratch, enum op_type type, const char *error,
                     const char *detail)
{
    detail = detail == NULL || *detail == '\0' ? NULL : detail;
    if (type == OP_FAIL)
        op_fail(op, scratch, error, detail);
    else
        op_info(op, scratch, error, detail);
}

/* Completes the operation from a reply with an error in it. */
static void complete_error(const struct http_reply *reply, enum effect effect, struct op *op,
                           struct arena *scratch)
{
    struct json *json = NULL;
    if (json_parse(buf_text(&reply->body), reply->body.length, "reply", &json, NULL) != ERR_NONE)
        json = NULL;
    const char *message = json_as_text(json_get(json, "error"), "");
    message = json_as_text(json_get(json, "message"), message);
    int grpc_code = (int)json_as_int(json_get(json, "code"), -1);
    struct etcd_meaning meaning = etcd_error_meaning(reply->status, grpc_code, message);
    char status[32];
    snprintf(status, sizeof status, "HTTP status %d", reply->status);
    complete(op, scratch, effect == READS ? OP_FAIL : meaning.type, meaning.error,
             *message != '\0' ? message : status);
    json_free(json);
}

/* Sends the request. The parsed reply, for the caller to free, when it is a success; else NULL and
 * the operation is complete. */
static struct json *ask(struct etcd_client *client, const char *url, enum effect effect,
                        struct op *op, struct arena *scratch)
{
    struct http_reply *reply = &client->reply;
    http_post_json(client->http, url, client->request.data, client->request.length,
                   client->timeout_ns, reply);
    enum op_type unknown = effect == READS ? OP_FAIL : OP_INFO;
    if (reply->outcome != HTTP_REPLIED) {
        complete(op, scratch, reply->outcome == HTTP_NOT_SENT ? OP_FAIL : unknown, reply->error,
                 reply->detail);
        return NULL;
    }
    if (reply->status != 200) {
        complete_error(reply, effect, op, scratch);
        return NULL;
    }
    struct json *json = NULL;
    /* Every success has a header; without it these may be anyone's words. */
    if (json_parse(buf_text(&reply->body), reply->body.length, "reply", &json, NULL) == ERR_NONE &&
        json_kind(json_get(json, "header")) == JSON_OBJECT)
        return json;
    json_free(json);
    complete(op, scratch, unknown, "bad-reply", "status 200, but not a reply of etcd");
    return NULL;
}

/* The value read, in whichever form it is there: what nobody can have written is for the checker to
 * see. */
static struct value parse_value(const char *text, size_t length, struct arena *scratch)
{
    long long integer = strtoll(text, NULL, 10);
    char plain[32]; /* how a client would have written it */
    int plain_length = snprintf(plain, sizeof plain, "%lld", integer);
    if (length == (size_t)plain_length && memcmp(text, plain, length) == 0)
        return value_int(scratch, integer);
    return value_text(scratch, VALUE_STRING, text, length);
}

/* ---- Operations ---- */

static void do_read(struct etcd_client *client, struct op *op, struct arena *scratch)
{
    struct value key = value_at(op->value, 0);
    buf_clear(&client->request);
    buf_printf(&client->request, "{\"key\":\"%s\"%s}", encode_key(client, key),
               client->serializable ? ",\"serializable\":true" : "");
    struct json *json = ask(client, client->range_url.data, READS, op, scratch);
    if (json == NULL)
        return;
    const struct json *kv = json_first(json_get(json, "kvs"));
    const char *base64 = json_as_text(json_get(kv, "value"), "");
    buf_clear(&client->value);
    if (!base64_decode(base64, strlen(base64), &client->value)) {
        op_fail(op, scratch, "bad-reply", "the value is not base64");
    } else {
        struct value value = value_nil();
        if (kv != NULL)
            value = parse_value(buf_text(&client->value), client->value.length, scratch);
        op->value = value_pair(scratch, key, value);
        op_ok(op);
    }
    json_free(json);
}

static void do_write(struct etcd_client *client, struct op *op, struct arena *scratch)
{
    buf_clear(&client->request);
    buf_printf(&client->request, "{\"key\":\"%s\",\"value\":\"%s\"}",
               encode_key(client, value_at(op->value, 0)),
               encode_value(client, value_at(op->value, 1)));
    struct json *json = ask(client, client->put_url.data, CHANGES, op, scratch);
    if (json == NULL)
        return;
    op_ok(op);
    json_free(json);
}

static void do_cas(struct etcd_client *client, struct op *op, struct arena *scratch)
{
    struct value change = value_at(op->value, 1);
    const char *key = encode_key(client, value_at(op->value, 0));
    buf_clear(&client->request);
    buf_printf(&client->request,
               "{\"compare\":[{\"key\":\"%s\",\"target\":\"VALUE\",\"result\":\"EQUAL\","
               "\"value\":\"%s\"}],",
               key, encode_value(client, value_at(change, 0)));
    buf_printf(&client->request,
               "\"success\":[{\"requestPut\":{\"key\":\"%s\",\"value\":\"%s\"}}]}", key,
               encode_value(client, value_at(change, 1)));
    struct json *json = ask(client, client->txn_url.data, CHANGES, op, scratch);
    if (json == NULL)
        return;
    /* The comparison is made when the transaction is applied, and the gateway leaves out what is
     * false. */
    if (json_as_bool(json_get(json, "succeeded"), false))
        op_ok(op);
    else
        op_fail(op, scratch, "cas-mismatch", NULL);
    json_free(json);
}

static void client_invoke(void *state, struct test *test, struct op *op, struct arena *scratch)
{
    (void)test;
    struct etcd_client *client = state;
    struct value value = op->value;
    bool keyed = value_is_pair(value) && value_is_int(value_at(value, 0));
    struct value argument = keyed ? value_at(value, 1) : value_nil();
    if (keyed && op->f == client->read_f)
        do_read(client, op, scratch);
    else if (keyed && op->f == client->write_f && value_is_int(argument))
        do_write(client, op, scratch);
    else if (keyed && op->f == client->cas_f && value_is_pair(argument) &&
             value_is_int(value_at(argument, 0)) && value_is_int(value_at(argument, 1)))
        do_cas(client, op, scratch);
    else
        op_fail(op, scratch, "unsupported",
                "etcd takes read [k nil], write [k v] and cas [k [old new]]");
}

const struct client etcd_register_client = {
    .state_size = sizeof(struct etcd_client),
    .open = client_open,
    .invoke = client_invoke,
    .close = client_close,
};
