/* The values of docs/delivery.md, as clients of queues read and make them: see queue_body.h. */
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "workloads/queue_body.h"

int64_t queue_number(struct value map, const char *name, int64_t otherwise)
{
    struct value value = value_get(map, name);
    return value_is_int(value) ? value_as_int(value) : otherwise;
}

const char *queue_named(struct value map)
{
    const char *name = value_as_text(value_get(map, "queue"));
    size_t length = strlen(name);
    return length == 0 || length >= 64 || strpbrk(name, " \t\r\n") != NULL ? NULL : name;
}

struct value queue_extended(struct arena *scratch, struct value map, const struct value *more,
                            size_t count)
{
    size_t had = value_count(map);
    struct value *items = arena_alloc(scratch, (had + count) * sizeof *items);
    for (size_t i = 0; i < had; i++)
        items[i] = value_at(map, i);
    memcpy(items + had, more, count * sizeof *more);
    return value_items(scratch, VALUE_MAP, items, had + count);
}

void queue_body_of(struct value enqueue, size_t size, struct buf *out)
{
    struct queue_body body = {.message = queue_number(enqueue, "message", 0),
                              .producer = queue_number(enqueue, "producer", -1),
                              .sequence = queue_number(enqueue, "sequence", -1),
                              .retry_ms = queue_number(enqueue, "retry", -1)};
    const char *queue = queue_named(enqueue);
    snprintf(body.queue, sizeof body.queue, "%s", queue == NULL ? "?" : queue);
    queue_body_write(&body, size, out);
}

struct value queue_delivery_value(const struct queue_delivery *delivery, struct arena *scratch)
{
    struct queue_body body;
    bool whole = queue_body_read(delivery->text, delivery->length, &body);
    struct value items[] = {
        value_keyword(scratch, "message"),
        whole ? value_int(scratch, body.message)
              : value_text(scratch, VALUE_STRING, delivery->text, delivery->length),
        value_keyword(scratch, "queue"),
        value_string(scratch, delivery->queue),
        value_keyword(scratch, "id"),
        value_string(scratch, delivery->id),
        value_keyword(scratch, "delivery"),
        value_int(scratch, delivery->delivery),
        value_keyword(scratch, "count"),
        delivery->count > 0 ? value_int(scratch, delivery->count) : value_nil(),
        value_keyword(scratch, "retry"),
        whole && body.retry_ms >= 0 ? value_int(scratch, body.retry_ms) : value_nil(),
    };
    return value_items(scratch, VALUE_MAP, items, sizeof items / sizeof *items);
}

int64_t queue_next_delivery(void)
{
    static atomic_llong deliveries;
    return atomic_fetch_add(&deliveries, 1) + 1;
}

void queue_taken_add(struct queue_taken *taken, struct value value, struct arena *scratch)
{
    if (taken->count == taken->capacity) {
        size_t capacity = taken->capacity == 0 ? 16 : 2 * taken->capacity;
        struct value *values = arena_alloc(scratch, capacity * sizeof *values);
        if (taken->count > 0)
            memcpy(values, taken->values, taken->count * sizeof *values);
        taken->values = values;
        taken->capacity = capacity;
    }
    taken->values[taken->count++] = value;
}

struct value queue_length_value(struct value map, int64_t length, struct arena *scratch)
{
    struct value items[] = {
        value_keyword(scratch, "queue"),
        value_get(map, "queue"),
        value_keyword(scratch, "length"),
        value_int(scratch, length),
    };
    return value_items(scratch, VALUE_MAP, items, 4);
}
