/* From events to columns of transactions: see txns.h. */
#include "checkers/transactions/txns.h"

#include <inttypes.h>
#include <string.h>

#include "checkers/transactions/txns_range.h"

/* Epochs: one pass over the events, which number transactions as they come. */
static void order_events(struct txns *txns, const struct history *history, struct arena *scratch)
{
    uint32_t *of_event = arena_alloc(scratch, ((size_t)history->count + 1) * sizeof(uint32_t));
    memset(of_event, 0xff, history->count * sizeof *of_event);
    for (uint32_t t = 0; t < txns->count; t++) {
        txns->begin_epoch[t] = 0;
        txns->end_epoch[t] = TXN_NONE;
        if (txns->invoked[t] != HISTORY_NONE)
            of_event[txns->invoked[t]] = t;
        if (txns->completed[t] != HISTORY_NONE)
            of_event[txns->completed[t]] = t;
    }
    uint32_t epoch = 0;
    bool ended = false;
    txns->epoch_first[0] = 0;
    for (uint32_t event = 0; event < history->count && !history->unordered; event++) {
        uint32_t t = of_event[event];
        if (t == TXN_NONE)
            continue;
        bool invokes = event == txns->invoked[t];
        if (invokes && ended) {
            txns->epoch_first[++epoch] = t;
            ended = false;
        }
        /* One whose invocation is not known may have begun at the very beginning. */
        if (invokes)
            txns->begin_epoch[t] = epoch;
        else if (txns->state[t] == TXN_OK) {
            txns->end_epoch[t] = epoch;
            ended = true;
        }
    }
    txns->epoch_count = epoch + 1;
    txns->epoch_first[epoch + 1] = txns->count;
}

/* The last ok transaction of each process: open addressing, never more than half full. */
struct lasts {
    struct last {
        int32_t process;
        uint32_t txn; /* + 1; 0: free */
    } * slots;
    uint32_t mask, used;
};

static struct last *find_last(const struct lasts *lasts, int32_t process)
{
    uint32_t at = (uint32_t)process * UINT32_C(2654435769) & lasts->mask;
    while (lasts->slots[at].txn != 0 && lasts->slots[at].process != process)
        at = (at + 1) & lasts->mask;
    return &lasts->slots[at];
}

static void grow_lasts(struct lasts *lasts, struct arena *arena)
{
    struct lasts grown = {.mask = lasts->mask * 2 + 1, .used = lasts->used};
    grown.slots = arena_zalloc(arena, ((size_t)grown.mask + 1) * sizeof *grown.slots);
    for (uint32_t i = 0; lasts->used > 0 && i <= lasts->mask; i++)
        if (lasts->slots[i].txn != 0)
            *find_last(&grown, lasts->slots[i].process) = lasts->slots[i];
    *lasts = grown;
}

/* Each transaction's predecessor in its process. Only one that is known to have ended, before this
 * one began, comes before it: histories from elsewhere have processes that do several at once. */
static void order_processes(struct txns *txns, const struct history *history, struct arena *scratch)
{
    struct lasts lasts = {.mask = 511};
    grow_lasts(&lasts, scratch);
    for (uint32_t t = 0; t < txns->count; t++) {
        int32_t process = history->process[txns_event(txns, t)];
        struct last *last = find_last(&lasts, process);
        uint32_t before = last->txn == 0 ? TXN_NONE : last->txn - 1;
        bool precedes = before != TXN_NONE && (history->unordered || txns_before(txns, before, t));
        txns->previous[t] = precedes ? before : TXN_NONE;
        if (txns->state[t] != TXN_OK)
            continue;
        lasts.used += last->txn == 0;
        *last = (struct last){process, t + 1};
        if (lasts.used > lasts.mask / 2)
            grow_lasts(&lasts, scratch);
    }
}

/* Needs only which events the transactions are. */
static void *order(void *argument)
{
    struct txns *txns = argument;
    struct arena scratch = ARENA_INIT;
    order_events(txns, txns->history, &scratch);
    order_processes(txns, txns->history, &scratch);
    arena_free(&scratch);
    return NULL;
}

/* ---- Ranges of events, a thread each ---- */

enum { RANGES_MAX = 8, WORTH_EVENTS = 20000 };

struct job {
    void (*work)(struct txns_range *range);
    struct txns_range *range;
};

static void *run(void *argument)
{
    const struct job *job = argument;
    job->work(job->range);
    return NULL;
}

/* All ranges but the first `skipped`, the first of them by this thread. */
static void in_ranges(struct txns_range *ranges, uint32_t count, uint32_t skipped,
                      void (*work)(struct txns_range *range))
{
    struct job jobs[RANGES_MAX];
    for (uint32_t i = skipped + 1; i < count; i++) {
        jobs[i] = (struct job){work, &ranges[i]};
        ranges[i].running = pthread_create(&ranges[i].thread, NULL, run, &jobs[i]) == 0;
    }
    if (skipped < count)
        work(&ranges[skipped]);
    for (uint32_t i = skipped + 1; i < count; i++) {
        if (ranges[i].running)
            pthread_join(ranges[i].thread, NULL);
        else
            work(&ranges[i]);
    }
}

/* The first failure in the order of events, whichever was met first. */
static enum err_code first_failure(const struct txns_range *ranges, uint32_t count, struct err *err)
{
    for (uint32_t i = 0; i < count; i++)
        if (ranges[i].code != ERR_NONE) {
            *err = ranges[i].err;
            return ranges[i].code;
        }
    return ERR_NONE;
}

static uint32_t make_ranges(const struct txns *txns, int threads, struct txns_range *ranges)
{
    const struct history *history = txns->history;
    uint32_t count = threads < 2 || history->count < WORTH_EVENTS ? 1
                     : threads < RANGES_MAX                       ? (uint32_t)threads
                                                                  : RANGES_MAX;
    int f_init = history_find_f(history, "init");
    if (f_init >= 0 && !txns_have_predicates(history))
        f_init = -1;
    for (uint32_t i = 0; i < count; i++)
        ranges[i] = (struct txns_range){
            .history = history,
            .from = (uint32_t)((uint64_t)history->count * i / count),
            .until = (uint32_t)((uint64_t)history->count * (i + 1) / count),
            .f_txn = history_find_f(history, "txn"),
            .f_init = f_init,
            .err = ERR_INIT,
            .arena = ARENA_INIT,
        };
    return count;
}

static void make_columns(struct txns *txns, size_t txn_count, size_t mop_count)
{
    struct arena *arena = txns->arena;
    size_t n = txn_count + 1;
    txns->invoked = arena_alloc(arena, n * sizeof *txns->invoked);
    txns->completed = arena_alloc(arena, n * sizeof *txns->completed);
    txns->first = arena_alloc(arena, n * sizeof *txns->first);
    txns->state = arena_alloc(arena, n);
    txns->committed = arena_alloc(arena, n * sizeof *txns->committed);
    txns->mops = arena_alloc(arena, (mop_count + 1) * sizeof *txns->mops);
    txns->begin_epoch = arena_alloc(arena, n * sizeof *txns->begin_epoch);
    txns->end_epoch = arena_alloc(arena, n * sizeof *txns->end_epoch);
    txns->epoch_first = arena_alloc(arena, (n + 1) * sizeof *txns->epoch_first);
    txns->previous = arena_alloc(arena, n * sizeof *txns->previous);
}

/* Tells each range where its part of the columns begins. */
static void give_places(const struct txns *txns, struct txns_range *ranges, uint32_t count)
{
    uint32_t next_txn = 0, next_mop = 0;
    for (uint32_t i = 0; i < count; i++) {
        ranges[i].txns = *txns;
        ranges[i].txns.count = next_txn;
        ranges[i].txns.mop_count = next_mop;
        if (i > 0)
            ranges[i].txns.arena = &ranges[i].arena;
        next_txn += ranges[i].txn_count;
        next_mop += (uint32_t)ranges[i].mop_count;
    }
}

/* ---- One whole of them ---- */

static void add_counts(struct txns *txns, const struct txns *part)
{
    txns->reads += part->reads;
    txns->appends += part->appends;
    txns->writes += part->writes;
    txns->predicates += part->predicates;
    if (txns->init_count == 0)
        txns->init = part->init;
    txns->init_count += part->init_count;
    txns->list_reads += part->list_reads;
    txns->single_reads += part->single_reads;
    txns->ok_count += part->ok_count;
    txns->unknown_count += part->unknown_count;
    txns->failed_count += part->failed_count;
}

static void add_seen(struct key_seen *seen, const struct key_seen *later)
{
    seen->min = later->min < seen->min ? later->min : seen->min;
    seen->max = later->max > seen->max ? later->max : seen->max;
    seen->writes += later->writes;
    seen->sparse = seen->sparse || later->sparse;
    if (later->length > seen->length) { /* else the first read that gave it is the earlier one */
        seen->length = later->length;
        seen->longest = later->longest;
        seen->txn = later->txn;
    }
}

/* The keys that a later range met, in its order: the first range comes to know them all. */
static void add_keys(struct txns_range *first, struct txns_range *later)
{
    const struct txns *part = &later->txns;
    later->number =
        arena_alloc(&later->arena, ((size_t)part->key_count + 1) * sizeof *later->number);
    for (uint32_t k = 0; k < part->key_count; k++) {
        later->number[k] = txns_range_key(first, part->keys[k]);
        add_seen(&first->txns.seen[later->number[k]], &part->seen[k]);
    }
}

static void unite(struct txns *txns, struct txns_range *ranges, uint32_t count)
{
    txns->count = ranges[count - 1].txns.count;
    txns->mop_count = ranges[count - 1].txns.mop_count;
    txns->first[txns->count] = txns->mop_count;
    for (uint32_t i = 0; i < count; i++) {
        add_counts(txns, &ranges[i].txns);
        if (i > 0)
            add_keys(&ranges[0], &ranges[i]);
    }
    txns->keys = ranges[0].txns.keys;
    txns->seen = ranges[0].txns.seen;
    txns->key_count = ranges[0].txns.key_count;
}

/* Numbers the elements beside telling the order, since neither needs the other. */
static void number_and_order(struct txns *txns, struct txns_range *ranges, uint32_t count)
{
    struct txns ordered = *txns; /* the same columns, but counts that nobody writes */
    pthread_t thread;
    bool beside = count > 1 && pthread_create(&thread, NULL, order, &ordered) == 0;
    in_ranges(ranges, count, 1, txns_range_renumber);
    txns_number_slots(txns);
    if (beside)
        pthread_join(thread, NULL);
    else
        order(&ordered);
    txns->epoch_count = ordered.epoch_count;
}

static enum err_code decode(struct txns *txns, size_t memory_max, struct txns_range *ranges,
                            uint32_t count, struct err *err)
{
    in_ranges(ranges, count, 0, txns_range_measure);
    if (first_failure(ranges, count, err) != ERR_NONE)
        return err->code;
    uint64_t txn_count = 0, mop_count = 0;
    for (uint32_t i = 0; i < count; i++) {
        txn_count += ranges[i].txn_count;
        mop_count += ranges[i].mop_count;
        txns->ignored_count += ranges[i].ignored_count;
    }
    /* Columns here, and about as much again for edges and searches. */
    uint64_t bytes = txn_count * 80 + mop_count * 48 + (uint64_t)txns->history->count * 12;
    if ((memory_max != 0 && bytes > memory_max) || mop_count >= TXN_NONE)
        return err_set(err, ERR_NOMEM,
                       "%" PRIu64 " transactions with %" PRIu64
                       " micro-operations need about %" PRIu64 " MiB, more than is allowed",
                       txn_count, mop_count, bytes >> 20);
    make_columns(txns, (size_t)txn_count, (size_t)mop_count);
    give_places(txns, ranges, count);
    in_ranges(ranges, count, 0, txns_range_fill);
    if (first_failure(ranges, count, err) != ERR_NONE)
        return err->code;
    unite(txns, ranges, count);
    number_and_order(txns, ranges, count);
    return ERR_NONE;
}

enum err_code txns_decode(struct txns *txns, int threads, size_t memory_max, struct err *err)
{
    struct txns_range ranges[RANGES_MAX];
    uint32_t count = make_ranges(txns, threads, ranges);
    txns->init = TXN_NONE;
    enum err_code code = decode(txns, memory_max, ranges, count, err);
    for (uint32_t i = 0; i < count; i++)
        arena_free(&ranges[i].arena);
    return code;
}
