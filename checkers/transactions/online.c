/* An order kept up while edges come: see online.h. */
#include "checkers/transactions/online.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void grow(void *memory, uint32_t *capacity, uint64_t needed, size_t size)
{
    if (needed <= *capacity)
        return;
    uint64_t wanted = *capacity < 64 ? 64 : (uint64_t)*capacity * 2;
    wanted = wanted < needed ? needed : wanted;
    void *grown = wanted >= ONLINE_NONE ? NULL : realloc(*(void **)memory, wanted * size);
    if (grown == NULL) {
        fprintf(stderr, "ordeal: out of memory for the order of %u transactions\n", *capacity);
        abort();
    }
    *(void **)memory = grown;
    *capacity = (uint32_t)wanted;
}

void online_free(struct online *online)
{
    free(online->nodes);
    free(online->links);
    free(online->ahead);
    free(online->behind);
    free(online->places);
    *online = (struct online){.nodes = NULL};
}

size_t online_bytes(const struct online *online)
{
    return (size_t)online->capacity * sizeof *online->nodes +
           (size_t)online->link_capacity * sizeof *online->links;
}

uint32_t online_add(struct online *online)
{
    grow(&online->nodes, &online->capacity, (uint64_t)online->count + 1, sizeof *online->nodes);
    online->nodes[online->count] =
        (struct online_node){.order = online->count, .out = ONLINE_NONE, .in = ONLINE_NONE};
    return online->count++;
}

/* ---- What lies between ---- */

static void push(uint32_t **list, uint32_t *capacity, uint32_t count, uint32_t node)
{
    grow(list, capacity, (uint64_t)count + 1, sizeof **list);
    (*list)[count] = node;
}

/* All that `from` leads to, up to the place of `to` in the order; false when that is among it. */
static bool look_ahead(struct online *online, uint32_t from, uint32_t to, uint32_t *count)
{
    uint32_t last = online->nodes[to].order;
    *count = 0;
    push(&online->ahead, &online->ahead_capacity, (*count)++, from);
    online->nodes[from].mark = online->mark;
    for (uint32_t i = 0; i < *count; i++) {
        online->steps++;
        for (uint32_t l = online->nodes[online->ahead[i]].out; l != ONLINE_NONE;
             l = online->links[l].next) {
            uint32_t next = online->links[l].node;
            if (next == to)
                return false;
            if (online->nodes[next].mark == online->mark || online->nodes[next].order > last)
                continue;
            online->nodes[next].mark = online->mark;
            push(&online->ahead, &online->ahead_capacity, (*count)++, next);
        }
    }
    return true;
}

/* All that leads to `to`, from the place of `from` in the order on. */
static void look_behind(struct online *online, uint32_t from, uint32_t to, uint32_t *count)
{
    uint32_t first = online->nodes[from].order;
    *count = 0;
    push(&online->behind, &online->behind_capacity, (*count)++, to);
    online->nodes[to].mark = online->mark;
    for (uint32_t i = 0; i < *count; i++) {
        online->steps++;
        for (uint32_t l = online->nodes[online->behind[i]].in; l != ONLINE_NONE;
             l = online->links[l].next) {
            uint32_t next = online->links[l].node;
            if (online->nodes[next].mark == online->mark || online->nodes[next].order < first)
                continue;
            online->nodes[next].mark = online->mark;
            push(&online->behind, &online->behind_capacity, (*count)++, next);
        }
    }
}

/* ---- Their new places ---- */

static _Thread_local const struct online *sorting;

static int by_order(const void *left, const void *right)
{
    uint32_t a = sorting->nodes[*(const uint32_t *)left].order,
             b = sorting->nodes[*(const uint32_t *)right].order;
    return (a > b) - (a < b);
}

static int by_number(const void *left, const void *right)
{
    uint32_t a = *(const uint32_t *)left, b = *(const uint32_t *)right;
    return (a > b) - (a < b);
}

/* All that lies behind goes before all that lies ahead, in the places that they have together. */
static void reorder(struct online *online, uint32_t behind, uint32_t ahead)
{
    uint32_t total = behind + ahead;
    sorting = online;
    qsort(online->behind, behind, sizeof *online->behind, by_order);
    qsort(online->ahead, ahead, sizeof *online->ahead, by_order);
    grow(&online->places, &online->places_capacity, total, sizeof *online->places);
    for (uint32_t i = 0; i < total; i++)
        online->places[i] =
            online->nodes[i < behind ? online->behind[i] : online->ahead[i - behind]].order;
    qsort(online->places, total, sizeof *online->places, by_number);
    for (uint32_t i = 0; i < total; i++)
        online->nodes[i < behind ? online->behind[i] : online->ahead[i - behind]].order =
            online->places[i];
}

static void link_to(struct online *online, uint32_t *first, uint32_t node)
{
    grow(&online->links, &online->link_capacity, (uint64_t)online->link_count + 1,
         sizeof *online->links);
    online->links[online->link_count] = (struct online_link){node, *first};
    *first = online->link_count++;
}

bool online_edge(struct online *online, uint32_t from, uint32_t to)
{
    if (from == to)
        return true;
    if (online->nodes[from].order > online->nodes[to].order) {
        uint32_t ahead, behind;
        online->mark++;
        if (!look_ahead(online, to, from, &ahead))
            return false;
        look_behind(online, to, from, &behind);
        reorder(online, behind, ahead);
    }
    link_to(online, &online->nodes[from].out, to);
    link_to(online, &online->nodes[to].in, from);
    return true;
}
