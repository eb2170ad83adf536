/* Measured facts: see facts.h. */
#include "checkers/delivery/facts.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- Shares ---- */

void facts_free(struct facts *facts)
{
    free(facts->consumers);
    facts->consumers = NULL;
}

static bool is_free(const struct consumer *consumer)
{
    return consumer->delivered == 0 && consumer->acked == 0;
}

static struct consumer *consumer_find(const struct facts *facts, int32_t process)
{
    uint32_t at = (uint32_t)process * UINT32_C(0x9e3779b1);
    for (;; at++) {
        struct consumer *consumer = &facts->consumers[at & facts->consumer_mask];
        if (is_free(consumer) || consumer->process == process)
            return consumer;
    }
}

static void consumers_grow(struct facts *facts)
{
    struct facts old = *facts;
    uint32_t size = old.consumers == NULL ? 64 : (old.consumer_mask + 1) * 2;
    facts->consumers = calloc(size, sizeof *facts->consumers);
    if (facts->consumers == NULL) {
        fprintf(stderr, "ordeal: out of memory for the consumers of a history\n");
        abort();
    }
    facts->consumer_mask = size - 1;
    for (uint32_t i = 0; old.consumers != NULL && i <= old.consumer_mask; i++)
        if (!is_free(&old.consumers[i]))
            *consumer_find(facts, old.consumers[i].process) = old.consumers[i];
    free(old.consumers);
}

static struct consumer *consumer_get(struct facts *facts, int32_t process)
{
    if (facts->consumers == NULL || facts->consumer_count > facts->consumer_mask / 2)
        consumers_grow(facts);
    struct consumer *consumer = consumer_find(facts, process);
    facts->consumer_count += is_free(consumer);
    consumer->process = process;
    return consumer;
}

void facts_consumed(struct facts *facts, int32_t process)
{
    consumer_get(facts, process)->delivered++;
}

void facts_acked(struct facts *facts, int32_t process)
{
    consumer_get(facts, process)->acked++;
}

static void describe_outcomes(struct json *object, const char *name, const uint64_t counts[4])
{
    static const char *const names[] = {"count", "ok-count", "fail-count", "info-count"};
    if (counts[OP_INVOKE] == 0)
        return;
    struct json *one = json_set(object, name, json_object());
    for (int type = 0; type < 4; type++)
        json_set_int(one, names[type], (int64_t)counts[type]);
}

enum { SHARES_TOLD = 100 };

static int by_process(const void *left, const void *right)
{
    const struct consumer *a = left, *b = right;
    return (a->process > b->process) - (a->process < b->process);
}

/* The first hundred, by process; more are counted only. */
static void list_shares(struct consumer *consumers, uint32_t count, struct json *object)
{
    struct json *shares = json_set(object, "shares", json_array());
    qsort(consumers, count, sizeof *consumers, by_process);
    for (uint32_t i = 0; i < count && i < SHARES_TOLD; i++) {
        struct json *one = json_add(shares, json_object());
        json_set_int(one, "process", consumers[i].process);
        json_set_int(one, "deliveries", (int64_t)consumers[i].delivered);
        json_set_int(one, "acks", (int64_t)consumers[i].acked);
    }
}

static void describe_shares(struct facts *facts, struct json *object)
{
    uint64_t least = UINT64_MAX, most = 0;
    uint32_t count = 0;
    /* The table is not asked any more: its consumers move to its beginning. */
    for (uint32_t i = 0; facts->consumers != NULL && i <= facts->consumer_mask; i++) {
        uint64_t delivered = facts->consumers[i].delivered;
        if (is_free(&facts->consumers[i]))
            continue;
        facts->consumers[count++] = facts->consumers[i];
        least = delivered < least ? delivered : least;
        most = delivered > most ? delivered : most;
    }
    json_set_int(object, "count", facts->consumer_count);
    if (facts->consumer_count == 0)
        return;
    list_shares(facts->consumers, count, object);
    json_set_int(object, "least-deliveries", (int64_t)least);
    json_set_int(object, "most-deliveries", (int64_t)most);
    json_set_real(object, "mean-deliveries",
                  (double)facts->deliveries / (double)facts->consumer_count);
}

void facts_describe(struct facts *facts, struct json *details)
{
    struct json *object = json_set(details, "facts", json_object());
    struct json *operations = json_set(object, "operations", json_object());
    describe_outcomes(operations, "enqueue", facts->enqueues);
    describe_outcomes(operations, "dequeue", facts->dequeues);
    describe_outcomes(operations, "drain", facts->drains);
    describe_outcomes(operations, "ack", facts->acks);
    describe_outcomes(operations, "nack", facts->nacks);
    describe_outcomes(operations, "extend", facts->extends);
    json_set_int(object, "deliveries", (int64_t)facts->deliveries);
    json_set_int(object, "redeliveries", (int64_t)facts->redeliveries);
    json_set_int(object, "drained", (int64_t)facts->drained);
    json_set_int(object, "empty-answers", (int64_t)facts->empties);
    json_set_int(object, "duplicate-keys", (int64_t)facts->duplicates);
    json_set(object, "delivery-latency", durations_json(&facts->latency));
    json_set(object, "delay-lateness", durations_json(&facts->late));
    json_set(object, "redelivery-lateness", durations_json(&facts->redelivery));
    json_set(object, "finish-latency", durations_json(&facts->finish));
    backlog_describe(&facts->backlog, json_set(object, "backlog", json_object()));
    describe_shares(facts, json_set(object, "consumers", json_object()));
}
