/* Taking a run's events as they come: see along.h. */
#include "checkers/transactions/along_lists.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PROCESSES_MAX = 1 << 26 };

void along_grow(struct along *along, void *array, uint32_t *capacity, uint64_t needed, size_t size)
{
    if (needed <= *capacity)
        return;
    uint64_t wanted = *capacity < 4 ? 4 : (uint64_t)*capacity * 2;
    wanted = wanted < needed ? needed : wanted;
    void *grown = wanted >= ALONG_NONE ? NULL : realloc(*(void **)array, wanted * size);
    if (grown == NULL) {
        fprintf(stderr, "ordeal: out of memory for watching transactions\n");
        abort();
    }
    along->bytes += (wanted - *capacity) * size;
    *(void **)array = grown;
    *capacity = (uint32_t)wanted;
}

void along_find(struct along *along, anomaly_set anomaly)
{
    along->found |= anomaly & along->prohibited;
}

/* ---- The order ---- */

void along_edge(struct along *along, uint32_t from, uint32_t to)
{
    uint32_t source = along_node(along, from), target = along_node(along, to);
    if (!online_edge(&along->online, source, target))
        along_find(along, along->cycle);
}

uint32_t along_node(struct along *along, uint32_t txn)
{
    struct along_txn *it = &along->txns[txn];
    if (it->node != ALONG_NONE)
        return it->node;
    it->node = online_add(&along->online);
    if (along->real_time && !online_edge(&along->online, it->begin, it->node))
        along_find(along, along->cycle);
    return it->node;
}

/* An invocation that follows completions begins an epoch: all those came before all from now on. */
static void begin_epoch(struct along *along)
{
    if (along->ended_count == 0 || !along->real_time)
        return;
    uint32_t epoch = online_add(&along->online);
    bool good = online_edge(&along->online, along->epoch, epoch);
    for (uint32_t i = 0; i < along->ended_count; i++)
        good = online_edge(&along->online, along_node(along, along->ended[i]), epoch) && good;
    if (!good)
        along_find(along, along->cycle);
    along->epoch = epoch;
    along->ended_count = 0;
}

static void end(struct along *along, uint32_t txn, int32_t process)
{
    if (along->processes) {
        if (along->last[process] != ALONG_NONE)
            along_edge(along, along->last[process], txn);
        along->last[process] = txn;
    }
    if (!along->real_time)
        return;
    along_grow(along, &along->ended, &along->ended_capacity, (uint64_t)along->ended_count + 1,
               sizeof *along->ended);
    along->ended[along->ended_count++] = txn;
}

/* ---- Micro-operations ---- */

struct part {
    enum value_micro_op f;
    struct value key, value;
};

static bool take_part(struct value mop, struct part *part)
{
    static const char *const names[] = {"r", "append", "w"};
    enum value_kind kind = value_kind(mop);
    size_t count = kind == VALUE_VECTOR || kind == VALUE_LIST ? value_count(mop) : 0;
    if (count < 2 || count > 3)
        return false;
    struct value name = value_at(mop, 0);
    part->f = VALUE_MICRO_NONE;
    for (unsigned f = 0; f < VALUE_MICRO_NONE; f++)
        if ((value_kind(name) == VALUE_KEYWORD || value_kind(name) == VALUE_STRING) &&
            strcmp(value_as_text(name), names[f]) == 0)
            part->f = (enum value_micro_op)f;
    part->key = value_at(mop, 1);
    part->value = count == 3 ? value_at(mop, 2) : value_nil();
    return part->f != VALUE_MICRO_NONE && (count == 3 || part->f == VALUE_MICRO_R);
}

static bool is_transaction(const struct along *along, const struct history *history, uint32_t event)
{
    struct value value = history->value[event];
    enum value_kind kind = value_kind(value);
    struct part part;
    if ((int)history->f[event] == along->f_txn)
        return kind == VALUE_VECTOR || kind == VALUE_LIST;
    return (kind == VALUE_VECTOR || kind == VALUE_LIST) && value_count(value) > 0 &&
           take_part(value_at(value, 0), &part);
}

static bool take(struct along *along, struct value mop, struct part *part)
{
    if (!take_part(mop, part))
        along->given_up = "an operation is none of [:r key value] and [:append key value]";
    else if (part->f == VALUE_MICRO_W)
        along->given_up = "it holds registers";
    return along->given_up == NULL;
}

/* ---- Events ---- */

static void reserve_process(struct along *along, int32_t process)
{
    uint32_t had = along->process_capacity, also = had;
    if (process >= PROCESSES_MAX) {
        along->given_up = "process numbers are too large";
        return;
    }
    along_grow(along, &along->open, &along->process_capacity, (uint64_t)process + 1,
               sizeof *along->open);
    along_grow(along, &along->last, &also, along->process_capacity, sizeof *along->last);
    for (uint32_t p = had; p < along->process_capacity; p++)
        along->open[p] = along->last[p] = ALONG_NONE;
}

static void invoke(struct along *along, const struct history *history, uint32_t event)
{
    int32_t process = history->process[event];
    along->open[process] = ALONG_NONE;
    if (!is_transaction(along, history, event))
        return;
    begin_epoch(along);
    along_grow(along, &along->txns, &along->txn_capacity, (uint64_t)along->txn_count + 1,
               sizeof *along->txns);
    uint32_t txn = along->txn_count++;
    along->txns[txn] =
        (struct along_txn){.node = ALONG_NONE, .begin = along->epoch, .invoked = event};
    along->open[process] = txn;
    struct value mops = history->value[event];
    struct part part;
    for (size_t i = 0; i < value_count(mops) && take(along, value_at(mops, i), &part); i++)
        if (part.f == VALUE_MICRO_APPEND)
            along_expect(along, txn, part.key, part.value);
}

static void take_ok(struct along *along, const struct history *history, uint32_t txn,
                    uint32_t event)
{
    struct value told = history->value[event];
    struct value mops = value_is_nil(told) ? history->value[along->txns[txn].invoked] : told;
    along_grow(along, &along->before, &along->before_capacity, value_count(mops),
               sizeof *along->before);
    struct part part;
    for (uint32_t i = 0; i < value_count(mops) && take(along, value_at(mops, i), &part); i++) {
        enum value_kind kind = value_kind(part.value);
        if (part.f == VALUE_MICRO_APPEND) {
            along_expect(along, txn, part.key, part.value); /* should it not have been asked */
            along_append(along, txn, i, part.key, part.value);
        } else if (kind != VALUE_VECTOR && kind != VALUE_LIST && kind != VALUE_NIL) {
            along->given_up = "it holds registers";
        } else if (!value_is_nil(told)) {
            along_read(along, txn, mops, part.key, part.value);
        }
    }
}

static void take_failed(struct along *along, const struct history *history, uint32_t txn)
{
    struct value mops = history->value[along->txns[txn].invoked];
    struct part part;
    for (size_t i = 0; i < value_count(mops); i++)
        if (take_part(value_at(mops, i), &part) && part.f == VALUE_MICRO_APPEND)
            along_take_back(along, part.key, part.value);
}

static void complete(struct along *along, const struct history *history, uint32_t event)
{
    int32_t process = history->process[event];
    uint32_t txn = along->open[process];
    along->open[process] = ALONG_NONE;
    if (txn == ALONG_NONE)
        return;
    switch ((enum op_type)history->type[event]) {
    case OP_OK:
        along->txns[txn].state = ALONG_OK;
        take_ok(along, history, txn, event);
        end(along, txn, process);
        break;
    case OP_FAIL:
        along->txns[txn].state = ALONG_FAILED;
        take_failed(along, history, txn);
        break;
    default:
        along->txns[txn].state = ALONG_UNKNOWN;
        break;
    }
}

bool along_feed(struct along *along, const struct history *history, uint32_t count)
{
    along->f_txn = history_find_f(history, "txn");
    for (; along->seen < count && along->given_up == NULL; along->seen++) {
        uint32_t event = along->seen;
        if (!history_is_client(history, event))
            continue;
        reserve_process(along, history->process[event]);
        if (along->given_up != NULL)
            break;
        if (history->type[event] == OP_INVOKE)
            invoke(along, history, event);
        else
            complete(along, history, event);
        if (along->memory_max != 0 &&
            along->bytes + along->arena.used_bytes + online_bytes(&along->online) >
                along->memory_max)
            along->given_up = "it needs more memory than is allowed";
    }
    return along->found != 0;
}

/* ---- From beginning to end ---- */

/* Of a kind of cycle in its three forms, which follow each other: the weakest promise is first. */
static bool choose_edges(struct along *along, enum anomaly kind)
{
    anomaly_set forms = along->prohibited >> kind & 7;
    along->real_time = (forms & 4) != 0;
    along->processes = (forms & 2) != 0 && !along->real_time;
    along->cycle = UINT64_C(1) << (kind + (along->real_time ? 2 : along->processes ? 1 : 0));
    return forms != 0;
}

struct along *along_open(anomaly_set prohibited, size_t memory_max)
{
    struct along *along = calloc(1, sizeof *along);
    if (along == NULL) {
        fprintf(stderr, "ordeal: out of memory for watching transactions\n");
        abort();
    }
    along->prohibited = prohibited;
    along->memory_max = memory_max;
    along->rw = choose_edges(along, ANOMALY_G2_ITEM);
    along->wr = along->rw || choose_edges(along, ANOMALY_G1C);
    if (!along->wr)
        choose_edges(along, ANOMALY_G0);
    value_table_init(&along->key_table, &along->arena);
    along->epoch = online_add(&along->online);
    return along;
}

anomaly_set along_found(const struct along *along)
{
    return along->found;
}

const char *along_given_up(const struct along *along)
{
    return along->given_up;
}

uint64_t along_steps(const struct along *along)
{
    return along->online.steps;
}

void along_close(struct along *along)
{
    if (along == NULL)
        return;
    for (uint32_t k = 0; k < along->key_capacity; k++) {
        free(along->keys[k].list);
        free(along->keys[k].updaters);
        free(along->keys[k].waiting);
    }
    online_free(&along->online);
    free(along->keys);
    free(along->elements);
    free(along->slots);
    free(along->txns);
    free(along->open);
    free(along->last);
    free(along->ended);
    free(along->before);
    arena_free(&along->arena);
    free(along);
}
