/* The anomalies found: see found.h. */
#include "checkers/transactions/found.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TXN_TEXT_MAX = 4000 };

void found_init(struct found *found, const struct txns *txns)
{
    *found = (struct found){.txns = txns};
}

static void free_finding(struct finding *finding)
{
    free(finding->title);
    free(finding->text);
    free(finding->dot);
    free(finding->txns);
    json_free(finding->fields);
}

void found_free(struct found *found)
{
    for (uint32_t i = 0; i < found->count; i++)
        free_finding(&found->list[i]);
    free(found->list);
}

bool found_count(struct found *found, enum anomaly anomaly)
{
    return ++found->counts[anomaly] <= FOUND_KEPT_MAX;
}

static void *or_end(void *memory)
{
    if (memory == NULL) {
        fprintf(stderr, "ordeal: out of memory for an anomaly\n");
        abort();
    }
    return memory;
}

static struct finding *add_one(struct found *found)
{
    if (found->count == found->capacity) {
        found->capacity = found->capacity == 0 ? 16 : found->capacity * 2;
        found->list = or_end(realloc(found->list, found->capacity * sizeof *found->list));
    }
    return &found->list[found->count++];
}

struct finding *found_tell(struct found *found, enum anomaly anomaly, const char *title,
                           struct buf *text, const uint32_t *txns, uint32_t txn_count)
{
    struct finding *finding = add_one(found);
    *finding = (struct finding){.anomaly = anomaly, .txn_count = txn_count};
    finding->title = or_end(strdup(title));
    finding->text = or_end(strdup(buf_text(text)));
    finding->fields = json_object();
    finding->txns = or_end(malloc((txn_count + 1) * sizeof *txns));
    if (txn_count > 0)
        memcpy(finding->txns, txns, txn_count * sizeof *txns);
    buf_free(text);
    return finding;
}

anomaly_set found_set(const struct found *found)
{
    anomaly_set set = 0;
    for (int i = 0; i < ANOMALY_COUNT; i++)
        if (found->counts[i] > 0)
            set |= UINT64_C(1) << i;
    return set;
}

void found_print_txn(const struct txns *txns, uint32_t t, struct buf *out)
{
    size_t from = out->length;
    history_print_op(txns->history, txns_event(txns, t), out);
    if (out->length - from > TXN_TEXT_MAX) {
        size_t cut = from + TXN_TEXT_MAX;
        while (cut > from && ((unsigned char)out->data[cut] & 0xc0) == 0x80)
            cut--; /* not in the middle of a character */
        out->length = cut;
        out->data[cut] = '\0';
        buf_add_text(out, " ...");
    }
}

void found_print_mop(const struct txns *txns, const struct mop *mop, struct buf *out)
{
    static const char *const names[] = {"r", "append", "w"};
    buf_printf(out, "[:%s ", names[mop->kind]);
    value_print(txns->keys[mop->key], out);
    buf_add_char(out, ' ');
    value_print(mop->value, out);
    buf_add_char(out, ']');
}

void found_merge(struct found *found, struct found *from)
{
    uint64_t kept[ANOMALY_COUNT];
    memcpy(kept, found->counts, sizeof kept);
    for (uint32_t i = 0; i < from->count; i++) {
        if (kept[from->list[i].anomaly]++ < FOUND_KEPT_MAX)
            *add_one(found) = from->list[i];
        else
            free_finding(&from->list[i]);
    }
    for (int i = 0; i < ANOMALY_COUNT; i++)
        found->counts[i] += from->counts[i];
    found->unshown += from->unshown;
    free(from->list);
    *from = (struct found){.txns = from->txns};
}
