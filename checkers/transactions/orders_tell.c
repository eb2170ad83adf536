/* A refutation in words, data and as a picture: see orders.h. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "checkers/transactions/cycles.h"
#include "checkers/transactions/orders_proof.h"

struct teller {
    const struct inference *inference;
    const struct txns *txns;
    const struct registers *registers;
    const struct orders *orders;
    struct buf *out;
};

/* ---- Values ---- */

static struct value key_of(const struct teller *teller, uint32_t key)
{
    return teller->txns->keys[teller->orders->keys[key]];
}

/* What transaction i left the key at. */
static struct value written(const struct teller *teller, uint32_t i, uint32_t key)
{
    const struct txns *txns = teller->txns;
    uint32_t t = teller->orders->txn[i], original = teller->orders->keys[key];
    if (t == TXN_NONE)
        return teller->registers->unwritten[original];
    struct value value = value_nil();
    for (uint32_t m = txns->first[t]; m < txns->first[t + 1]; m++)
        if (txns->mops[m].kind == MOP_WRITE && txns->mops[m].key == original)
            value = txns->mops[m].value;
    return value;
}

static void add_write(const struct teller *teller, uint32_t i, uint32_t key)
{
    buf_printf(teller->out, "T%" PRIu32 "'s write of ", i + 1);
    value_print(written(teller, i, key), teller->out);
}

static void add_of_key(const struct teller *teller, const char *before, uint32_t key)
{
    buf_printf(teller->out, "%skey ", before);
    value_print(key_of(teller, key), teller->out);
}

/* ---- Edges ---- */

static void add_moment(const struct teller *teller, uint32_t i, bool commit)
{
    buf_printf(teller->out, "T%" PRIu32 "%s", i + 1,
               !teller->orders->snapshots ? ""
               : commit                   ? "'s commit"
                                          : "'s snapshot");
}

static void add_reason(const struct teller *teller, const struct proof_edge *edge)
{
    struct buf *out = teller->out;
    const struct txns *txns = teller->txns;
    uint32_t from = teller->orders->txn[edge->from], to = teller->orders->txn[edge->to];
    switch (edge->why) {
    case WHY_READ:
        buf_printf(out, "T%" PRIu32 " read ", edge->to + 1);
        add_write(teller, edge->from, edge->key);
        add_of_key(teller, " to ", edge->key);
        break;
    case WHY_SESSION:
        buf_add_text(out, "process ");
        history_print_process(txns->history, txns->history->process[txns_event(txns, from)], out);
        buf_add_text(out, " did them in this order");
        break;
    case WHY_REALTIME:
        buf_printf(out,
                   "T%" PRIu32 " had completed (event %" PRIu32 ") before T%" PRIu32
                   " was invoked (event %" PRIu32 ")",
                   edge->from + 1, txns->completed[from], edge->to + 1, txns->invoked[to]);
        break;
    case WHY_INITIAL:
        buf_printf(out, "T%" PRIu32 " read the initial value of", edge->from + 1);
        add_of_key(teller, " ", edge->key);
        buf_printf(out, ", which T%" PRIu32 " wrote", edge->to + 1);
        break;
    case WHY_WRITES:
        add_write(teller, edge->from, edge->key);
        add_of_key(teller, " to ", edge->key);
        buf_add_text(out, " is before ");
        add_write(teller, edge->to, edge->key);
        break;
    case WHY_MISSED:
        buf_printf(out, "T%" PRIu32 " read ", edge->from + 1);
        add_write(teller, edge->writer, edge->key);
        add_of_key(teller, " to ", edge->key);
        buf_add_text(out, ", which is before ");
        add_write(teller, edge->to, edge->key);
        break;
    case WHY_ITSELF:
    case WHY_NOT:
        buf_add_text(out, "that is before it commits");
        break;
    }
}

/* "T1 < T2 (because ...), T2 < T1 (...)" */
static void add_circle(const struct teller *teller, const struct proof_step *step)
{
    bool first = true;
    for (uint32_t i = 0; i < step->circle_length; i++) {
        const struct proof_edge *edge = &step->circle[i];
        if (edge->why == WHY_ITSELF)
            continue;
        buf_add_text(teller->out, first ? "" : ", ");
        first = false;
        add_moment(teller, edge->from, edge->from_commit);
        buf_add_text(teller->out, " < ");
        add_moment(teller, edge->to, edge->to_commit);
        buf_add_text(teller->out, " (");
        add_reason(teller, edge);
        buf_add_char(teller->out, ')');
    }
}

/* ---- Steps ---- */

static void add_order(const struct teller *teller, uint32_t key, uint32_t a, uint32_t b)
{
    add_of_key(teller, "of ", key);
    buf_add_text(teller->out, ", ");
    add_write(teller, a, key);
    buf_add_text(teller->out, " comes before ");
    add_write(teller, b, key);
}

static void add_step(const struct teller *teller, const struct proof_step *step)
{
    struct buf *out = teller->out;
    switch (step->kind) {
    case PROOF_FORCED:
        add_order(teller, step->key, step->a, step->b);
        buf_add_text(out, ", for otherwise ");
        add_circle(teller, step);
        break;
    case PROOF_SUPPOSE:
        buf_add_text(out, "nothing says which came first. Suppose that ");
        add_order(teller, step->key, step->a, step->b);
        break;
    case PROOF_SO:
        buf_add_text(out, "so ");
        add_order(teller, step->key, step->b, step->a);
        break;
    case PROOF_CIRCLE:
        buf_add_text(out, "but then ");
        add_circle(teller, step);
        buf_add_text(out, ": a contradiction!");
        break;
    case PROOF_GIVEN_UP:
        buf_add_text(out, "every order of these was tried, and none explains what they read");
        break;
    }
}

static const char *kind_name(enum proof_kind kind)
{
    static const char *const names[] = {"forced", "suppose", "so", "contradiction", "tried"};
    return names[kind];
}

static void add_steps(struct teller *teller, const struct proof *proof, struct buf *text,
                      struct json *fields)
{
    struct json *list = json_set(fields, "steps", json_array());
    buf_printf(text, "\nNo order of %s explains what they read:",
               teller->orders->snapshots ? "snapshots and commits" : "these");
    for (uint32_t s = 0; s < proof->count; s++) {
        const struct proof_step *step = &proof->steps[s];
        if (!step->needed)
            continue;
        struct buf line = BUF_INIT;
        teller->out = &line;
        add_step(teller, step);
        buf_printf(text, "\n  %*s- %s", (int)step->depth * 2, "", buf_text(&line));
        struct json *object = json_add(list, json_object());
        json_set_text(object, "type", kind_name(step->kind));
        json_set_int(object, "depth", step->depth);
        json_set_text(object, "text", buf_text(&line));
        buf_free(&line);
    }
}

/* ---- Drawing ---- */

static enum edge_type look_of(enum proof_why why)
{
    static const enum edge_type types[] = {
        [WHY_READ] = EDGE_WR,        [WHY_SESSION] = EDGE_PROCESS, [WHY_REALTIME] = EDGE_REALTIME,
        [WHY_INITIAL] = EDGE_RW,     [WHY_WRITES] = EDGE_WW,       [WHY_MISSED] = EDGE_RW,
        [WHY_ITSELF] = EDGE_PROCESS,
    };
    return types[why];
}

/* Every edge of the proof once; what rests on a step is true of some orders only, and says so. */
static char *draw(struct teller *teller, const struct proof *proof, enum anomaly anomaly)
{
    struct buf out = BUF_INIT;
    uint32_t n = teller->orders->count;
    bool *drawn = arena_zalloc(teller->txns->arena, (size_t)n * n * EDGE_TYPES + 1);
    draw_begin(anomaly_name(anomaly), &out);
    for (uint32_t i = 0; i < n; i++)
        if (teller->orders->txn[i] != TXN_NONE)
            draw_txn(teller->txns, teller->orders->txn[i], i, &out);
    for (uint32_t s = 0; s < proof->count; s++)
        for (uint32_t e = 0; proof->steps[s].needed && e < proof->steps[s].circle_length; e++) {
            const struct proof_edge *edge = &proof->steps[s].circle[e];
            enum edge_type type = look_of(edge->why);
            bool *seen = &drawn[(edge->from * n + edge->to) * EDGE_TYPES + type];
            if (edge->why == WHY_ITSELF || *seen)
                continue;
            *seen = true;
            struct buf reason = BUF_INIT;
            teller->out = &reason;
            buf_add_text(&reason, edge->step == PROOF_GIVEN ? "" : "then: ");
            add_reason(teller, edge);
            draw_edge(edge->from, edge->to, type, buf_text(&reason), &out);
            buf_free(&reason);
        }
    buf_add_text(&out, "}\n");
    return buf_take(&out);
}

/* ---- The finding ---- */

static const char *in_words(const struct orders *orders)
{
    static const char *const serial[] = {"no serial order", "no serial order that keeps sessions",
                                         "no serial order in real time"};
    static const char *const snapshots[] = {"no order of snapshots",
                                            "no order of snapshots that keeps sessions",
                                            "no order of snapshots in real time"};
    return (orders->snapshots ? snapshots : serial)[orders->form];
}

static void add_unwritten(const struct teller *teller, struct buf *text)
{
    for (uint32_t i = 0; i < teller->orders->count; i++)
        if (teller->orders->txn[i] == TXN_NONE) {
            uint32_t key = teller->orders->writes[teller->orders->write_first[i]];
            buf_printf(text, "\n  T%" PRIu32 " = a write of ", i + 1);
            value_print(written(teller, i, key), text);
            buf_add_text(text, " to key ");
            value_print(key_of(teller, key), text);
            buf_add_text(text, " that the history does not show");
        }
}

void orders_tell(const struct inference *inference, const struct orders *orders,
                 enum anomaly anomaly)
{
    struct found *found = inference->found;
    struct arena arena = ARENA_INIT;
    struct teller teller = {inference, inference->txns, inference->state, orders, NULL};
    struct buf text = BUF_INIT, title = BUF_INIT;
    struct json *fields = json_object();
    struct proof proof;
    uint32_t real = 0; /* the others, which nobody did, come last */
    while (real < orders->count && orders->txn[real] != TXN_NONE)
        real++;
    if (!found_count(found, anomaly)) {
        json_free(fields);
        return;
    }
    proof_make(orders, &arena, &proof);
    transactions_tell(inference->txns, orders->txn, real, &text, fields);
    add_unwritten(&teller, &text);
    add_steps(&teller, &proof, &text, fields);
    buf_printf(&title, "%s: %s of these %" PRIu32 " transactions", anomaly_name(anomaly),
               in_words(orders), real);
    struct finding *finding = found_tell(found, anomaly, buf_text(&title), &text, orders->txn,
                                         real < FOUND_TXNS_MAX ? real : FOUND_TXNS_MAX);
    json_free(finding->fields);
    finding->fields = fields;
    if (found->draw)
        finding->dot = draw(&teller, &proof, anomaly);
    buf_free(&title);
    arena_free(&arena);
}
