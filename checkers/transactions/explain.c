/* Cycles in words and in data: see cycles.h.
 *
 * The words are Elle's: each transaction gets a name, each edge says why one must come before the
 * other, and the last one is the contradiction. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "checkers/transactions/cycles.h"
#include "harness/base/clock.h"

enum { NAME_MAX_BYTES = 16, WORDS_MAX = 40 };

static const char *const type_names[EDGE_TYPES] = {
    "ww", "wr", "rw", "wwp", "wrp", "rwp", "process", "realtime", "free", "chain",
};

static bool why_process(const struct txns *txns, uint32_t from, uint32_t to, const char *from_name,
                        const char *to_name, struct buf *out, struct json *fields)
{
    if (txns->previous[to] != from)
        return false;
    buf_add_text(out, "process ");
    history_print_process(txns->history, txns->history->process[txns_event(txns, from)], out);
    buf_printf(out, " did %s before %s", from_name, to_name);
    json_set_int(fields, "process", txns->history->process[txns_event(txns, from)]);
    return true;
}

static bool why_realtime(const struct txns *txns, uint32_t from, uint32_t to, const char *from_name,
                         const char *to_name, struct buf *out, struct json *fields)
{
    const struct history *history = txns->history;
    if (!txns_before(txns, from, to) || txns->invoked[to] == HISTORY_NONE)
        return false;
    uint32_t ended = txns->completed[from], began = txns->invoked[to];
    int64_t ended_ns = history->time_ns[ended], began_ns = history->time_ns[began];
    buf_printf(out, "%s completed at event %" PRIu32 ", ", from_name, ended);
    if (ended_ns >= 0 && began_ns > ended_ns) {
        char gap[32];
        clock_format_human(began_ns - ended_ns, gap, sizeof gap);
        buf_printf(out, "%s ", gap);
    }
    buf_printf(out, "before the invocation of %s at event %" PRIu32, to_name, began);
    json_set_int(fields, "completed", ended);
    json_set_int(fields, "invoked", began);
    return true;
}

const char *edge_name(enum edge_type type)
{
    return type_names[type];
}

bool cycle_why(const struct inference *inference, const struct cycle *cycle, uint32_t i,
               struct buf *out, struct json *fields)
{
    uint32_t from = cycle->txns[i], next = (i + 1) % cycle->length, to = cycle->txns[next];
    enum edge_type type = (enum edge_type)cycle->types[i];
    char from_name[NAME_MAX_BYTES], to_name[NAME_MAX_BYTES];
    snprintf(from_name, sizeof from_name, "T%" PRIu32, i + 1);
    snprintf(to_name, sizeof to_name, "T%" PRIu32, next + 1);
    json_set_text(fields, "type", type_names[type]);
    json_set_text(fields, "from", from_name);
    json_set_text(fields, "to", to_name);
    if (type == EDGE_PROCESS)
        return why_process(inference->txns, from, to, from_name, to_name, out, fields);
    if (type == EDGE_REALTIME)
        return why_realtime(inference->txns, from, to, from_name, to_name, out, fields);
    return inference->why(inference, from, to, type, from_name, to_name, out, fields);
}

/* ---- What it is called ---- */

/* Well-known shapes among the kinds. */
static const char *special(const struct cycle *cycle)
{
    const uint8_t *types = cycle->types;
    uint32_t n = cycle->length, rw = 0, wr = 0;
    for (uint32_t i = 0; i < n; i++) {
        rw += types[i] == EDGE_RW || types[i] == EDGE_RWP;
        wr += types[i] == EDGE_WR || types[i] == EDGE_WRP;
    }
    if (n == 2 && rw == 2)
        return "write skew";
    if (n == 2 && rw == 1 && wr == 1)
        return "fractured or skewed read";
    if (n == 2 && rw == 1 && types[0] + types[1] == EDGE_WW + EDGE_RW)
        return "lost update";
    if (n == 4 && rw == 2 && wr == 2 && edge_is_rw(types[0]) == edge_is_rw(types[2]))
        return "long fork";
    return NULL;
}

static const char *in_words(enum anomaly anomaly)
{
    if (anomaly <= ANOMALY_G0_REALTIME)
        return "a cycle of overwrites";
    if (anomaly <= ANOMALY_G1C_REALTIME)
        return "a circle of information";
    if (anomaly <= ANOMALY_G_SINGLE_REALTIME)
        return "a cycle with one anti-dependency";
    if (anomaly <= ANOMALY_G_NONADJACENT_REALTIME)
        return "a cycle whose anti-dependencies are not adjacent";
    if (anomaly <= ANOMALY_G2_REALTIME)
        return "a cycle of anti-dependencies";
    return "a cycle in every order of commits";
}

/* ---- Telling ---- */

void transactions_tell(const struct txns *txns, const uint32_t *which, uint32_t count,
                       struct buf *text, struct json *fields)
{
    struct json *list = json_set(fields, "transactions", json_array());
    buf_add_text(text, "Let:");
    for (uint32_t i = 0; i < count && i < WORDS_MAX; i++) {
        uint32_t t = which[i];
        buf_printf(text, "\n  T%" PRIu32 " = ", i + 1);
        found_print_txn(txns, t, text);
        struct json *object = json_add(list, json_object());
        char name[NAME_MAX_BYTES];
        snprintf(name, sizeof name, "T%" PRIu32, i + 1);
        json_set_text(object, "name", name);
        json_set_int(object, "process", txns->history->process[txns_event(txns, t)]);
        if (txns->invoked[t] != HISTORY_NONE) {
            json_set_int(object, "invoked", txns->invoked[t]);
            json_set_int(object, "invoked-ns", txns->history->time_ns[txns->invoked[t]]);
        }
        if (txns->completed[t] != HISTORY_NONE) {
            json_set_int(object, "completed", txns->completed[t]);
            json_set_int(object, "completed-ns", txns->history->time_ns[txns->completed[t]]);
        }
        struct buf value = BUF_INIT;
        value_print(txns->history->value[txns_event(txns, t)], &value);
        json_set_text(object, "value", buf_text(&value));
        buf_free(&value);
    }
    if (count > WORDS_MAX)
        buf_printf(text, "\n  ... and %" PRIu32 " more", count - WORDS_MAX);
}

/* Adds every step; false when one of them does not hold. */
static bool add_steps(const struct inference *inference, const struct cycle *cycle,
                      struct buf *text, struct json *fields)
{
    struct json *steps = json_set(fields, "steps", json_array());
    struct buf ignored = BUF_INIT;
    bool good = true;
    buf_add_text(text, "\nThen:");
    for (uint32_t i = 0; good && i < cycle->length; i++) {
        bool last = i + 1 == cycle->length, told = i < WORDS_MAX || last;
        struct buf reason = BUF_INIT;
        struct json *step = json_object();
        good = cycle_why(inference, cycle, i, &reason, step);
        if (told) {
            buf_printf(text, "\n  - %sT%" PRIu32 " < T%" PRIu32 ", because %s%s",
                       last ? "However, " : "", i + 1, (i + 1) % cycle->length + 1,
                       buf_text(&reason), last ? ": a contradiction!" : ".");
            json_set_text(step, "text", buf_text(&reason));
            json_add(steps, step);
        } else {
            json_free(step);
        }
        buf_free(&reason);
    }
    buf_free(&ignored);
    return good;
}

bool cycle_tell(const struct inference *inference, const struct cycle *cycle)
{
    return cycle_tell_as(inference, cycle, cycle_kind(cycle));
}

bool cycle_tell_as(const struct inference *inference, const struct cycle *cycle,
                   enum anomaly anomaly)
{
    struct found *found = inference->found;
    struct buf text = BUF_INIT, title = BUF_INIT;
    struct json *fields = json_object();
    if (found->counts[anomaly] >= FOUND_KEPT_MAX) {
        found_count(found, anomaly);
        json_free(fields);
        return true;
    }
    uint32_t all = cycle->length + cycle->also;
    transactions_tell(inference->txns, cycle->txns, all, &text, fields);
    if (!add_steps(inference, cycle, &text, fields)) {
        found->unshown++;
        buf_free(&text);
        json_free(fields);
        return false;
    }
    found_count(found, anomaly);
    const char *shape = anomaly <= ANOMALY_G2_REALTIME ? special(cycle) : NULL;
    buf_printf(&title, "%s: %s of %" PRIu32 " transactions", anomaly_name(anomaly),
               in_words(anomaly), cycle->length);
    if (shape != NULL)
        buf_printf(&title, " (%s)", shape);
    struct finding *finding = found_tell(found, anomaly, buf_text(&title), &text, cycle->txns,
                                         all < FOUND_TXNS_MAX ? all : FOUND_TXNS_MAX);
    json_free(finding->fields);
    finding->fields = fields;
    if (shape != NULL)
        json_set_text(fields, "special-case", shape);
    if (found->draw)
        finding->dot = cycle_draw(inference, cycle, anomaly);
    buf_free(&title);
    return true;
}
