/* Cycles as Graphviz graphs: see cycles.h. A node is a transaction with who did it, when and what;
 * an edge is labelled with its type and its evidence. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "checkers/transactions/cycles.h"
#include "harness/base/clock.h"

enum { NODE_COLUMNS = 60, EDGE_COLUMNS = 36, TEXT_MAX = 2000 };

/* How each type looks: what was seen of values stands out, mere order is dashed. */
static const char *const looks[EDGE_TYPES] = {
    [EDGE_WW] = "color=\"#1f4e99\", fontcolor=\"#1f4e99\"",
    [EDGE_WWP] = "color=\"#1f4e99\", fontcolor=\"#1f4e99\"",
    [EDGE_WR] = "color=\"#1b7837\", fontcolor=\"#1b7837\"",
    [EDGE_WRP] = "color=\"#1b7837\", fontcolor=\"#1b7837\"",
    [EDGE_RW] = "color=\"#b2182b\", fontcolor=\"#b2182b\"",
    [EDGE_RWP] = "color=\"#b2182b\", fontcolor=\"#b2182b\"",
    [EDGE_PROCESS] = "color=\"#666666\", fontcolor=\"#666666\", style=dashed",
    [EDGE_REALTIME] = "color=\"#666666\", fontcolor=\"#666666\", style=dashed",
};

/* Adds text for a quoted label, broken between words at about so many columns. What is too long is
 * cut: a picture is for looking at, the results have all of it. */
static void add_label(const char *text, size_t columns, struct buf *out)
{
    size_t column = 0, length = strlen(text), end = length < TEXT_MAX ? length : TEXT_MAX;
    while (end > 0 && ((unsigned char)text[end] & 0xc0) == 0x80)
        end--; /* not in the middle of a character */
    for (size_t i = 0; i < end; i++, column++) {
        unsigned char c = (unsigned char)text[i];
        if (c == ' ' && column >= columns) {
            buf_add_text(out, "\\l");
            column = 0;
        } else if (c == '"' || c == '\\') {
            buf_add_char(out, '\\');
            buf_add_char(out, (char)c);
        } else {
            buf_add_char(out, c < ' ' || c == 0x7f ? ' ' : (char)c);
        }
    }
    buf_printf(out, "%s\\l", end < length ? " ..." : "");
}

static void add_time(const struct history *history, uint32_t event, struct buf *out)
{
    if (event == HISTORY_NONE || history->time_ns[event] < 0)
        buf_add_text(out, "?");
    else
        buf_printf(out, "%.6f s", (double)history->time_ns[event] / NS_PER_SECOND);
}

void draw_begin(const char *name, struct buf *out)
{
    buf_printf(out,
               "digraph \"%s\" {\n  rankdir=LR;\n  node [shape=box, fontname=\"monospace\"];\n"
               "  edge [fontname=\"sans-serif\", fontsize=11];\n",
               name);
}

void draw_txn(const struct txns *txns, uint32_t t, uint32_t i, struct buf *out)
{
    const struct history *history = txns->history;
    uint32_t event = txns_event(txns, t);
    struct buf text = BUF_INIT;
    buf_printf(out, "  T%" PRIu32 " [label=\"T%" PRIu32 "\\l", i + 1, i + 1);
    buf_add_text(&text, "process ");
    history_print_process(history, history->process[event], &text);
    if (!history->unordered) {
        buf_add_text(&text, ", ");
        add_time(history, txns->invoked[t], &text);
        buf_add_text(&text, " to ");
        add_time(history, txns->completed[t], &text);
    }
    add_label(buf_text(&text), NODE_COLUMNS, out);
    buf_clear(&text);
    value_print(history->value[event], &text);
    add_label(buf_text(&text), NODE_COLUMNS, out);
    buf_add_text(out, "\"];\n");
    buf_free(&text);
}

void draw_edge(uint32_t from, uint32_t to, enum edge_type type, const char *reason, struct buf *out)
{
    buf_printf(out, "  T%" PRIu32 " -> T%" PRIu32 " [label=\"%s\\l", from + 1, to + 1,
               edge_name(type));
    add_label(reason, EDGE_COLUMNS, out);
    buf_printf(out, "\"%s%s];\n", looks[type] == NULL ? "" : ", ",
               looks[type] == NULL ? "" : looks[type]);
}

char *cycle_draw(const struct inference *inference, const struct cycle *cycle, enum anomaly anomaly)
{
    struct buf out = BUF_INIT;
    draw_begin(anomaly_name(anomaly), &out);
    for (uint32_t i = 0; i < cycle->length; i++)
        draw_txn(inference->txns, cycle->txns[i], i, &out);
    for (uint32_t i = 0; i < cycle->length; i++) {
        struct buf reason = BUF_INIT;
        struct json *ignored = json_object();
        cycle_why(inference, cycle, i, &reason, ignored);
        draw_edge(i, (i + 1) % cycle->length, (enum edge_type)cycle->types[i], buf_text(&reason),
                  &out);
        json_free(ignored);
        buf_free(&reason);
    }
    buf_add_text(&out, "}\n");
    return buf_take(&out);
}
