/* Asking an etcd through its HTTP JSON gateway, and what its answers mean.
 *
 * What matters most here is what failures are taken for. FAIL says that the operation never
 * happens; said wrongly once, it convicts an innocent system. So FAIL needs a reason that holds
 * whatever the cluster went through, and everything else is INFO, save that a read changes nothing
 * and may always be called failed. */
#include <stdio.h>
#include <string.h>

#include "harness/base/json.h"
#include "harness/base/text.h"
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
    /* A lock's key is put with its lease, and never is where that is gone; and who finds it gone
     * afterwards says so instead of answering. */
    {ANY_STATUS, ANY_CODE, "etcdserver: requested lease not found", OP_FAIL, "lease-not-found"},
    {ANY_STATUS, ANY_CODE, "mutex: session is expired", OP_FAIL, "session-expired"},
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

/* ---- Asking ---- */

enum err_code etcd_asker_open(struct etcd_asker *asker, const struct test *test, uint32_t node,
                              struct err *err)
{
    enum err_code code = http_open(&asker->http, err);
    if (code != ERR_NONE)
        return code;
    const char *address = node_address(&test->nodes[node]);
    uint16_t port = etcd_client_port(test);
    http_add_url(&asker->put_url, address, port, "/v3/kv/put");
    http_add_url(&asker->range_url, address, port, "/v3/kv/range");
    http_add_url(&asker->txn_url, address, port, "/v3/kv/txn");
    const char *reads = option_text(&test->plan->options, "etcd.reads");
    asker->serializable = strcmp(reads, "serializable") == 0;
    /* A little less than what the harness allows, for what happens around the request. */
    asker->timeout_ns = test->plan->op_timeout_ns - test->plan->op_timeout_ns / 50;
    return ERR_NONE;
}

void etcd_asker_close(struct etcd_asker *asker)
{
    http_close(asker->http);
    http_reply_free(&asker->reply);
    struct buf *const bufs[] = {&asker->request, &asker->put_url, &asker->range_url,
                                &asker->txn_url};
    for (size_t i = 0; i < sizeof bufs / sizeof *bufs; i++)
        buf_free(bufs[i]);
    asker->http = NULL;
}

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
static void complete_error(const struct http_reply *reply, enum etcd_effect effect, struct op *op,
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
    complete(op, scratch, effect == ETCD_READS ? OP_FAIL : meaning.type, meaning.error,
             *message != '\0' ? message : status);
    json_free(json);
}

struct json *etcd_ask(struct etcd_asker *asker, const char *url, enum etcd_effect effect,
                      struct op *op, struct arena *scratch)
{
    struct http_reply *reply = &asker->reply;
    http_post_json(asker->http, url, asker->request.data, asker->request.length, asker->timeout_ns,
                   reply);
    enum op_type unknown = effect == ETCD_READS ? OP_FAIL : OP_INFO;
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
