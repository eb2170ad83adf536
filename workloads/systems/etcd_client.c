/* A register client for etcd, through its HTTP JSON gateway.
 *
 * [key value] lives at "ordeal/r/<key>" as decimal text. read is a range of one key, write a put,
 * and cas a transaction that compares the value. A client talks to its own node alone.
 * What failures are taken for is in etcd_ask.c. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/base/json.h"
#include "harness/base/text.h"
#include "workloads/http.h"
#include "workloads/systems/base64.h"
#include "workloads/systems/etcd.h"
#include "workloads/txn_work.h"

/* ---- A client ---- */

struct etcd_client {
    struct etcd_asker asker;
    struct buf key, value;      /* as base64 */
    int read_f, write_f, cas_f; /* -1: the run has no such function */
};

static enum err_code client_open(void *state, struct test *test, uint32_t node, struct err *err)
{
    struct etcd_client *client = state;
    client->read_f = history_find_f(test->history, "read");
    client->write_f = history_find_f(test->history, "write");
    client->cas_f = history_find_f(test->history, "cas");
    return etcd_asker_open(&client->asker, test, node, err);
}

static void client_close(void *state)
{
    struct etcd_client *client = state;
    etcd_asker_close(&client->asker);
    buf_free(&client->key);
    buf_free(&client->value);
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

/* ---- Operations ---- */

static void do_read(struct etcd_client *client, struct op *op, struct arena *scratch)
{
    struct value key = value_at(op->value, 0);
    buf_clear(&client->asker.request);
    buf_printf(&client->asker.request, "{\"key\":\"%s\"%s}", encode_key(client, key),
               client->asker.serializable ? ",\"serializable\":true" : "");
    struct json *json =
        etcd_ask(&client->asker, client->asker.range_url.data, ETCD_READS, op, scratch);
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
            value = txn_parse_value(buf_text(&client->value), client->value.length, scratch);
        op->value = value_pair(scratch, key, value);
        op_ok(op);
    }
    json_free(json);
}

static void do_write(struct etcd_client *client, struct op *op, struct arena *scratch)
{
    buf_clear(&client->asker.request);
    buf_printf(&client->asker.request, "{\"key\":\"%s\",\"value\":\"%s\"}",
               encode_key(client, value_at(op->value, 0)),
               encode_value(client, value_at(op->value, 1)));
    struct json *json =
        etcd_ask(&client->asker, client->asker.put_url.data, ETCD_CHANGES, op, scratch);
    if (json == NULL)
        return;
    op_ok(op);
    json_free(json);
}

static void do_cas(struct etcd_client *client, struct op *op, struct arena *scratch)
{
    struct value change = value_at(op->value, 1);
    const char *key = encode_key(client, value_at(op->value, 0));
    buf_clear(&client->asker.request);
    buf_printf(&client->asker.request,
               "{\"compare\":[{\"key\":\"%s\",\"target\":\"VALUE\",\"result\":\"EQUAL\","
               "\"value\":\"%s\"}],",
               key, encode_value(client, value_at(change, 0)));
    buf_printf(&client->asker.request,
               "\"success\":[{\"requestPut\":{\"key\":\"%s\",\"value\":\"%s\"}}]}", key,
               encode_value(client, value_at(change, 1)));
    struct json *json =
        etcd_ask(&client->asker, client->asker.txn_url.data, ETCD_CHANGES, op, scratch);
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
