/* Lines of waiters, by queue. */
#include "queue/waiters.h"

#include <stdlib.h>
#include <string.h>

#include "queue/crc32c.h"
#include "queue/disk.h"

static void grow(struct waiters *waiters)
{
    uint32_t count = waiters->bucket_count ? waiters->bucket_count * 2 : 64;
    struct waiter_queue **buckets = disk_allocate(NULL, count * sizeof(void *));
    memset(buckets, 0, count * sizeof(void *));
    for (uint32_t i = 0; i < waiters->bucket_count; i++) {
        for (struct waiter_queue *queue = waiters->buckets[i], *next; queue; queue = next) {
            next = queue->next;
            queue->next = buckets[queue->hash % count];
            buckets[queue->hash % count] = queue;
        }
    }
    free(waiters->buckets);
    waiters->buckets = buckets;
    waiters->bucket_count = count;
}

struct waiter_queue *waiters_find(struct waiters *waiters, struct command_bytes name)
{
    if (waiters->queue_count == 0)
        return NULL;
    uint32_t hash = crc32c(0, name.data, name.length);
    struct waiter_queue *queue = waiters->buckets[hash % waiters->bucket_count];
    while (queue != NULL &&
           (queue->length != name.length || memcmp(queue->name, name.data, name.length) != 0))
        queue = queue->next;
    return queue;
}

struct waiter_queue *waiters_make(struct waiters *waiters, struct command_bytes name)
{
    struct waiter_queue *queue = waiters_find(waiters, name);
    if (queue != NULL)
        return queue;
    if (waiters->queue_count >= waiters->bucket_count)
        grow(waiters);
    queue = disk_allocate(NULL, sizeof *queue);
    *queue =
        (struct waiter_queue){.hash = crc32c(0, name.data, name.length), .length = name.length};
    memcpy(queue->name, name.data, name.length);
    struct waiter_queue **bucket = &waiters->buckets[queue->hash % waiters->bucket_count];
    queue->next = *bucket;
    *bucket = queue;
    waiters->queue_count++;
    return queue;
}

void waiters_tidy(struct waiters *waiters, struct waiter_queue *queue)
{
    if (queue->first != NULL || queue->taking > 0 || queue->dirty)
        return;
    struct waiter_queue **at = &waiters->buckets[queue->hash % waiters->bucket_count];
    while (*at != queue)
        at = &(*at)->next;
    *at = queue->next;
    waiters->queue_count--;
    free(queue);
}

void waiters_add(struct waiters *waiters, struct waiter *waiter, struct command_bytes name,
                 bool in_front)
{
    struct waiter_queue *queue = waiters_make(waiters, name);
    waiter->queue = queue;
    waiter->previous = in_front ? NULL : queue->last;
    waiter->next = in_front ? queue->first : NULL;
    *(waiter->previous ? &waiter->previous->next : &queue->first) = waiter;
    *(waiter->next ? &waiter->next->previous : &queue->last) = waiter;
}

void waiters_remove(struct waiters *waiters, struct waiter *waiter)
{
    struct waiter_queue *queue = waiter->queue;
    if (queue == NULL)
        return;
    *(waiter->previous ? &waiter->previous->next : &queue->first) = waiter->next;
    *(waiter->next ? &waiter->next->previous : &queue->last) = waiter->previous;
    waiter->queue = NULL;
    waiters_tidy(waiters, queue);
}

void waiters_mark(struct waiters *waiters, struct command_bytes name)
{
    struct waiter_queue *queue = waiters_find(waiters, name);
    if (queue == NULL || queue->dirty || queue->first == NULL)
        return;
    queue->dirty = true;
    queue->dirty_next = waiters->dirty;
    waiters->dirty = queue;
}

struct waiter_queue *waiters_next_dirty(struct waiters *waiters)
{
    struct waiter_queue *queue = waiters->dirty;
    if (queue != NULL) {
        waiters->dirty = queue->dirty_next;
        queue->dirty = false;
    }
    return queue;
}

void waiters_free(struct waiters *waiters)
{
    for (uint32_t i = 0; i < waiters->bucket_count; i++) {
        for (struct waiter_queue *queue = waiters->buckets[i], *next; queue; queue = next) {
            next = queue->next;
            free(queue);
        }
    }
    free(waiters->buckets);
    *waiters = (struct waiters){0};
}
