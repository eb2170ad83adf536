/* Transactions on etcd: lists that are appended to, and registers.
 *
 * Key k lives at "ordeal/l/<k>" (a list, its elements as decimal texts between spaces) or
 * "ordeal/w/<k>" (a register). As in Jepsen's test of etcd, a list is appended to by reading all of
 * the transaction's keys at once, and then writing in one etcd transaction that is guarded by the
 * revisions that were read: a guard that does not hold makes it fail, and a lost reply leaves it
 * open. Registers are written blindly, so one etcd transaction reads and writes all of them.
 *
 * etcd takes a key once among the writes of a transaction, so what a transaction does to a key of
 * its own before it ends is worked out here: it sees its own writes, and only the last is sent. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/base/json.h"
#include "workloads/systems/base64.h"
#include "workloads/systems/etcd.h"
#include "workloads/txn.h"
#include "workloads/txn_work.h"

/* As many operations as etcd takes in one transaction. */
_Static_assert(TXN_TOUCHED_MAX == 128, "etcd takes 128");

struct txn_client {
    struct etcd_asker asker;
    int64_t whole_timeout_ns;
    struct buf text, base64;
    int txn_f;            /* -1: the run has no such function */
    struct txn_work work; /* revisions are of the last change; 0: there never was one */
};

/* ---- Requests ---- */

static const char *encode_key(struct txn_client *client, int64_t key)
{
    char text[64];
    int length =
        snprintf(text, sizeof text, "ordeal/%c/%" PRId64, client->work.lists ? 'l' : 'w', key);
    buf_clear(&client->base64);
    base64_add(&client->base64, text, (size_t)length);
    return client->base64.data;
}

static const char *encode_value(struct txn_client *client, struct value value)
{
    buf_clear(&client->text);
    txn_print(value, &client->text);
    buf_clear(&client->base64);
    base64_add(&client->base64, buf_text(&client->text), client->text.length);
    return buf_text(&client->base64);
}

static void add_reads(struct txn_client *client)
{
    bool first = true;
    for (uint32_t i = 0; i < client->work.count; i++) {
        if (!client->work.touched[i].read)
            continue;
        buf_printf(&client->asker.request, "%s{\"requestRange\":{\"key\":\"%s\"%s}}",
                   first ? "" : ",", encode_key(client, client->work.touched[i].key),
                   client->asker.serializable ? ",\"serializable\":true" : "");
        first = false;
    }
}

static void add_writes(struct txn_client *client, bool first)
{
    for (uint32_t i = 0; i < client->work.count; i++) {
        if (!client->work.touched[i].written)
            continue;
        buf_printf(&client->asker.request, "%s{\"requestPut\":{\"key\":\"%s\",", first ? "" : ",",
                   encode_key(client, client->work.touched[i].key));
        buf_printf(&client->asker.request, "\"value\":\"%s\"}}",
                   encode_value(client, client->work.touched[i].now));
        first = false;
    }
}

static void add_guards(struct txn_client *client)
{
    for (uint32_t i = 0; i < client->work.count; i++)
        buf_printf(
            &client->asker.request,
            "%s{\"key\":\"%s\",\"target\":\"MOD\",\"result\":\"EQUAL\",\"modRevision\":\"%" PRId64
            "\"}",
            i == 0 ? "" : ",", encode_key(client, client->work.touched[i].key),
            client->work.touched[i].revision);
}

/* ---- Replies ---- */

/* The gateway of etcd 3.4 writes names as they are in the protocol, others as JSON has them. */
static const struct json *either(const struct json *object, const char *name, const char *camel)
{
    const struct json *member = json_get(object, name);
    return member != NULL ? member : json_get(object, camel);
}

/* What one key held; false when that cannot be read. */
static bool take_range(struct txn_client *client, const struct json *range, struct txn_touched *key,
                       struct arena *scratch)
{
    const struct json *kv = json_first(json_get(range, "kvs"));
    key->revision = 0;
    key->found = txn_nothing(&client->work, scratch);
    if (json_kind(range) != JSON_OBJECT)
        return false;
    if (kv == NULL)
        return true;
    const char *base64 = json_as_text(json_get(kv, "value"), "");
    /* 64-bit integers are texts in protobuf's JSON. */
    key->revision = strtoll(json_as_text(either(kv, "mod_revision", "modRevision"), "0"), NULL, 10);
    buf_clear(&client->text);
    if (key->revision <= 0 || !base64_decode(base64, strlen(base64), &client->text))
        return false;
    key->found = client->work.lists
                     ? txn_parse_list(buf_text(&client->text), scratch)
                     : txn_parse_value(buf_text(&client->text), client->text.length, scratch);
    return true;
}

/* The answers to add_reads, in its order. */
static bool take_reads(struct txn_client *client, const struct json *json, struct arena *scratch)
{
    const struct json *response = json_first(json_get(json, "responses"));
    for (uint32_t i = 0; i < client->work.count; i++) {
        struct txn_touched *key = &client->work.touched[i];
        if (!key->read)
            continue;
        const struct json *range = either(response, "response_range", "responseRange");
        if (!take_range(client, range, key, scratch))
            return false;
        response = json_next(response);
    }
    return true;
}

/* ---- Operations ---- */

/* One etcd transaction without a condition: reads, and for registers writes. */
static bool do_at_once(struct txn_client *client, bool write, struct op *op, struct arena *scratch)
{
    buf_clear(&client->asker.request);
    buf_add_text(&client->asker.request, "{\"success\":[");
    add_reads(client);
    bool reads = buf_text(&client->asker.request)[client->asker.request.length - 1] == '}';
    if (write)
        add_writes(client, !reads);
    buf_add_text(&client->asker.request, "]}");
    struct json *json = etcd_ask(&client->asker, client->asker.txn_url.data,
                                 write ? ETCD_CHANGES : ETCD_READS, op, scratch);
    if (json == NULL)
        return false;
    bool good = take_reads(client, json, scratch);
    json_free(json);
    if (!good && write)
        op_info(op, scratch, "bad-reply", "a read is missing, or is none");
    else if (!good)
        op_fail(op, scratch, "bad-reply", "a read is missing, or is none");
    return good;
}

static void do_registers(struct txn_client *client, struct op *op, struct arena *scratch)
{
    client->asker.timeout_ns = client->whole_timeout_ns;
    /* What is to be written does not depend on what will be found. */
    (void)txn_play(&client->work, txn_of(op->value), scratch);
    if (!do_at_once(client, client->work.writes, op, scratch))
        return;
    op->value = txn_done(op->value, txn_play(&client->work, txn_of(op->value), scratch), scratch);
    op_ok(op);
}

static void do_lists(struct txn_client *client, struct op *op, struct arena *scratch)
{
    client->asker.timeout_ns = client->whole_timeout_ns / (client->work.writes ? 2 : 1);
    if (!do_at_once(client, false, op, scratch))
        return;
    struct value done = txn_play(&client->work, op->value, scratch);
    if (client->work.writes) {
        buf_clear(&client->asker.request);
        buf_add_text(&client->asker.request, "{\"compare\":[");
        add_guards(client);
        buf_add_text(&client->asker.request, "],\"success\":[");
        add_writes(client, true);
        buf_add_text(&client->asker.request, "]}");
        struct json *json =
            etcd_ask(&client->asker, client->asker.txn_url.data, ETCD_CHANGES, op, scratch);
        if (json == NULL)
            return;
        /* The guard is looked at when the transaction is applied, and the gateway leaves out what
         * is false. */
        bool succeeded = json_as_bool(json_get(json, "succeeded"), false);
        json_free(json);
        if (!succeeded) {
            op_fail(op, scratch, "conflict", NULL);
            return;
        }
    }
    op->value = done;
    op_ok(op);
}

static void txn_invoke(void *state, struct test *test, struct op *op, struct arena *scratch)
{
    (void)test;
    struct txn_client *client = state;
    if (op->f != client->txn_f || !txn_survey(&client->work, txn_of(op->value)))
        op_fail(op, scratch, "unsupported",
                client->work.lists ? "etcd takes txn [[:r k nil] [:append k v] ...] of integers"
                                   : "etcd takes txn [[:r k nil] [:w k v] ...] of integers");
    else if (client->work.lists)
        do_lists(client, op, scratch);
    else
        do_registers(client, op, scratch);
}

/* ---- A client ---- */

static enum err_code open_client(struct txn_client *client, struct test *test, uint32_t node,
                                 struct err *err)
{
    enum err_code code = etcd_asker_open(&client->asker, test, node, err);
    client->txn_f = history_find_f(test->history, "txn");
    client->whole_timeout_ns = client->asker.timeout_ns;
    return code;
}

static enum err_code append_open(void *state, struct test *test, uint32_t node, struct err *err)
{
    struct txn_client *client = state;
    client->work.lists = true;
    return open_client(client, test, node, err);
}

static enum err_code register_open(void *state, struct test *test, uint32_t node, struct err *err)
{
    struct txn_client *client = state;
    client->work.lists = false;
    return open_client(client, test, node, err);
}

static void txn_close(void *state)
{
    struct txn_client *client = state;
    etcd_asker_close(&client->asker);
    buf_free(&client->text);
    buf_free(&client->base64);
}

const struct client etcd_append_client = {
    .state_size = sizeof(struct txn_client),
    .open = append_open,
    .invoke = txn_invoke,
    .close = txn_close,
};

const struct client etcd_txn_register_client = {
    .state_size = sizeof(struct txn_client),
    .open = register_open,
    .invoke = txn_invoke,
    .close = txn_close,
};
