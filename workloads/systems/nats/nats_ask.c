/* Asking a NATS server: the one file that meets libnats, and what becomes of requests.
 *
 * The library is kept from doing anything by itself: it knows one server, does not connect again,
 * does not follow servers that it is told of, and each request has an inbox of its own, so that a
 * late answer is dropped. JetStream acknowledges what is published as an answer to a request. */
#include <nats/nats.h>
#include <stdio.h>
#include <string.h>

#include "harness/base/clock.h"
#include "workloads/systems/nats/nats_system.h"

/* FAIL says that a message will never be in the stream; said wrongly once, it convicts an innocent
 * JetStream of a phantom. The leader looks at these before it proposes anything. */
static const struct {
    int64_t err_code;
    const char *error;
} refusals[] = {
    {10054, "too-large"},       /* message size exceeds maximum allowed */
    {10060, "another-stream"},  /* expected stream does not match */
    {10071, "wrong-sequence"},  /* wrong last sequence */
    {10076, "not-enabled"},     /* JetStream is not enabled on that server */
    {10039, "not-for-account"}, /* nor for the account */
};

struct nats_meaning nats_error_meaning(int64_t err_code)
{
    if (err_code == 0)
        return (struct nats_meaning){OP_OK, NULL};
    for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++)
        if (refusals[i].err_code == err_code)
            return (struct nats_meaning){OP_FAIL, refusals[i].error};
    /* A leader that steps down, a store that failed, a full disk: it may have been proposed. */
    return (struct nats_meaning){OP_INFO, err_code < 0 ? "bad-reply" : "error-reply"};
}

int64_t nats_error_code(const struct json *json)
{
    const struct json *error = json_get(json, "error");
    if (json_kind(json) != JSON_OBJECT)
        return -1;
    return json_kind(error) == JSON_OBJECT ? json_as_int(json_get(error, "err_code"), -1) : 0;
}

void nats_asker_init(struct nats_asker *asker, const struct test *test, uint32_t node)
{
    const char *address = node_address(&test->nodes[node]);
    bool ipv6 = strchr(address, ':') != NULL;
    *asker = (struct nats_asker){.connection = NULL};
    snprintf(asker->url, sizeof asker->url, "nats://%s%s%s:%u", ipv6 ? "[" : "", address,
             ipv6 ? "]" : "", (unsigned)nats_client_port(test));
}

void nats_asker_close(struct nats_asker *asker)
{
    if (asker->connection != NULL)
        natsConnection_Destroy(asker->connection);
    asker->connection = NULL;
}

static void give_up(struct nats_reply *reply, enum nats_outcome outcome, const char *error,
                    const char *detail)
{
    reply->outcome = outcome;
    reply->error = error;
    snprintf(reply->detail, sizeof reply->detail, "%s", detail);
}

static natsStatus set_options(natsOptions *options, const char *url, int64_t timeout_ms)
{
    natsStatus status = natsOptions_SetURL(options, url);
    if (status == NATS_OK)
        status = natsOptions_SetAllowReconnect(options, false);
    if (status == NATS_OK)
        status = natsOptions_SetIgnoreDiscoveredServers(options, true);
    if (status == NATS_OK)
        status = natsOptions_SetFailRequestsOnDisconnect(options, true);
    if (status == NATS_OK)
        status = natsOptions_SetTimeout(options, timeout_ms);
    if (status == NATS_OK)
        status = natsOptions_SetWriteDeadline(options, timeout_ms);
    return status == NATS_OK ? natsOptions_SetSendAsap(options, true) : status;
}

/* Half of the time at most, so that some is left to ask. */
static bool connect_by(struct nats_asker *asker, int64_t timeout_ns, struct nats_reply *reply)
{
    natsOptions *options = NULL;
    natsConnection *connection = NULL;
    int64_t timeout_ms = timeout_ns / 2 / NS_PER_MS;
    natsStatus status = natsOptions_Create(&options);
    if (status == NATS_OK)
        status = set_options(options, asker->url, timeout_ms < 1 ? 1 : timeout_ms);
    if (status == NATS_OK)
        status = natsConnection_Connect(&connection, options);
    natsOptions_Destroy(options);
    asker->connection = connection;
    if (status == NATS_OK)
        return true;
    give_up(reply, NATS_NOT_SENT,
            status == NATS_TIMEOUT     ? "connect-timeout"
            : status == NATS_NO_SERVER ? "no-connection"
                                       : "connect-failed",
            natsStatus_GetText(status));
    return false;
}

static void take_failure(struct nats_asker *asker, natsStatus status, struct nats_reply *reply)
{
    const char *text = natsStatus_GetText(status);
    switch (status) {
    case NATS_NO_RESPONDERS:
        /* The server knew nobody to give it to, here or on another server, and dropped it. */
        give_up(reply, NATS_NOT_SENT, "no-responders", text);
        return; /* the connection is good */
    case NATS_MAX_PAYLOAD:
    case NATS_INVALID_ARG:
    case NATS_INVALID_SUBJECT:
    case NATS_INVALID_TIMEOUT:
        give_up(reply, NATS_NOT_SENT, "not-sent", text);
        return;
    case NATS_TIMEOUT:
        give_up(reply, NATS_LOST, "timeout", text);
        break;
    default:
        give_up(reply, NATS_LOST, "connection-lost", text);
        break;
    }
    nats_asker_close(asker);
}

void nats_ask(struct nats_asker *asker, const char *subject, const char *data, int64_t timeout_ns,
              struct nats_reply *reply)
{
    int64_t deadline_ns = clock_monotonic_ns() + timeout_ns;
    *reply = (struct nats_reply){.outcome = NATS_REPLIED};
    if (asker->connection != NULL &&
        natsConnection_Status(asker->connection) != NATS_CONN_STATUS_CONNECTED)
        nats_asker_close(asker);
    if (asker->connection == NULL && !connect_by(asker, timeout_ns, reply))
        return;
    int64_t left_ms = (deadline_ns - clock_monotonic_ns()) / NS_PER_MS;
    if (left_ms < 1) {
        give_up(reply, NATS_NOT_SENT, "timeout", "no time was left to ask");
        return;
    }
    natsMsg *answer = NULL;
    natsStatus status = natsConnection_Request(&answer, asker->connection, subject, data,
                                               (int)strlen(data), left_ms);
    if (status != NATS_OK) {
        take_failure(asker, status, reply);
        return;
    }
    struct buf text = BUF_INIT;
    buf_add(&text, natsMsg_GetData(answer), (size_t)natsMsg_GetDataLength(answer));
    if (json_parse(buf_text(&text), text.length, "answer", &reply->json, NULL) != ERR_NONE)
        reply->json = NULL;
    buf_free(&text);
    natsMsg_Destroy(answer);
}
