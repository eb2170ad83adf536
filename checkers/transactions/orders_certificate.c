/* Orders and refutations as text, and such a text proved: see orders.h. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "checkers/transactions/orders.h"
#include "harness/base/text.h"
#include "harness/histories/edn.h"

enum { STATES_MAX = 1000000 };

static const char *const form_names[] = {"data", "session", "real-time"};

/* ---- Writing ---- */

static void add_head(const struct inference *inference, const struct orders *orders,
                     const char *what, struct buf *out)
{
    const struct registers *registers = inference->state;
    buf_printf(out, CHECKER_CERTIFICATE "transactions\ninitial ");
    value_print(registers->options.initial, out);
    buf_printf(out, "\nevents %" PRIu32 "\n%s %s %s\n", inference->txns->history->count, what,
               orders->snapshots ? "snapshot" : "serial", form_names[orders->form]);
}

static void add_txn(const struct inference *inference, const struct orders *orders, uint32_t i,
                    struct buf *out)
{
    const struct txns *txns = inference->txns;
    if (orders->txn[i] != TXN_NONE)
        buf_printf(out, "%" PRIu32, txns_event(txns, orders->txn[i]));
    else
        buf_printf(out, "k%" PRIu32, orders->keys[orders->writes[orders->write_first[i]]]);
}

void orders_certify(const struct inference *inference, const struct orders *orders,
                    const struct order_found *found, struct buf *out)
{
    add_head(inference, orders, "order", out);
    for (uint32_t place = 0; place < orders->count; place++) {
        add_txn(inference, orders, found->commits[place], out);
        if (orders->snapshots)
            buf_printf(out, " %" PRIu32, found->seen[place]);
        buf_add_char(out, '\n');
    }
}

void orders_certify_none(const struct inference *inference, const struct orders *refuted,
                         struct buf *out)
{
    add_head(inference, refuted, "none", out);
    for (uint32_t i = 0; i < refuted->count; i++) {
        add_txn(inference, refuted, i, out);
        buf_add_char(out, '\n');
    }
}

/* ---- Proving ---- */

struct proving {
    struct inference inference;
    struct txns txns;
    struct found found;
    struct arena arena;
    struct orders *orders;
    const char **lines;
    size_t line_count;
    bool order;                  /* it shows one; else that there is none */
    uint32_t *of_event, *of_key; /* numbers in the problem; TXN_NONE */
};

static const char *after(const char *line, const char *word)
{
    size_t length = strlen(word);
    return strncmp(line, word, length) == 0 ? line + length : NULL;
}

static enum err_code read_head(struct proving *proving, struct register_options *options,
                               struct err *err)
{
    const char *initial, *events;
    char claim[64], wanted[64];
    if (proving->line_count < 4 || (initial = after(proving->lines[1], "initial ")) == NULL ||
        (events = after(proving->lines[2], "events ")) == NULL)
        return err_set(err, ERR_PARSE, "it has no initial value, number of events and claim");
    if (strtoull(events, NULL, 10) != proving->txns.history->count)
        return err_set(err, ERR_PARSE, "it is of a history of %s events, this one has %" PRIu32,
                       events, proving->txns.history->count);
    if (edn_parse_all(&proving->arena, initial, strlen(initial), &options->initial, err) !=
        ERR_NONE)
        return err_wrap(err, "its initial value");
    snprintf(claim, sizeof claim, "%s", proving->lines[3]);
    for (int form = ORDER_DATA; form <= ORDER_REALTIME; form++)
        for (int variant = 0; variant < 4; variant++) {
            snprintf(wanted, sizeof wanted, "%s %s %s", variant & 1 ? "order" : "none",
                     variant & 2 ? "snapshot" : "serial", form_names[form]);
            if (strcmp(claim, wanted) != 0)
                continue;
            proving->order = variant & 1;
            proving->orders->snapshots = variant & 2;
            proving->orders->form = (enum order_form)form;
            return ERR_NONE;
        }
    return err_set(err, ERR_PARSE, "line 4 claims nothing of an order of commits");
}

/* The history as a problem, and the names that certificates have for its transactions. */
static enum err_code read_history(struct proving *proving, size_t memory_max,
                                  const struct register_options *options, struct err *err)
{
    struct txns *txns = &proving->txns;
    struct orders *claimed = proving->orders;
    enum err_code code = txns_decode(txns, 1, memory_max, err);
    if (code != ERR_NONE)
        return code;
    if (txns->appends > 0)
        return err_set(err, ERR_PARSE, "the history is not one of registers");
    code = register_infer(&proving->inference, options, err);
    if (code != ERR_NONE)
        return code;
    if ((found_set(&proving->found) & ORDER_SPOILERS) != 0 && proving->order)
        return err_set(err, ERR_PARSE,
                       "the history has reads that no order explains (G1a, G1b, internal ...)");
    struct orders *orders = orders_make(&proving->inference, &proving->arena);
    orders->snapshots = claimed->snapshots;
    orders->form = claimed->form;
    proving->orders = orders;
    if (orders->form == ORDER_REALTIME && txns->history->unordered)
        return err_set(err, ERR_PARSE, "the history has no real time");
    size_t events = (size_t)txns->history->count + 1, keys = (size_t)txns->key_count + 1;
    proving->of_event = arena_alloc(&proving->arena, events * sizeof(uint32_t));
    proving->of_key = arena_alloc(&proving->arena, keys * sizeof(uint32_t));
    memset(proving->of_event, 0xff, events * sizeof(uint32_t));
    memset(proving->of_key, 0xff, keys * sizeof(uint32_t));
    for (uint32_t i = 0; i < orders->count; i++)
        if (orders->txn[i] != TXN_NONE)
            proving->of_event[txns_event(txns, orders->txn[i])] = i;
        else
            proving->of_key[orders->keys[orders->writes[orders->write_first[i]]]] = i;
    return ERR_NONE;
}

/* The transaction that a line names, or TXN_NONE; *rest is what follows. */
static uint32_t read_txn(const struct proving *proving, const char *line, const char **rest)
{
    bool key = line[0] == 'k';
    char *end;
    unsigned long long number = strtoull(line + key, &end, 10);
    *rest = end;
    if (end == line + key ||
        number >= (key ? proving->txns.key_count : proving->txns.history->count))
        return TXN_NONE;
    return (key ? proving->of_key : proving->of_event)[number];
}

static enum err_code prove_order(struct proving *proving, struct err *err)
{
    const struct orders *orders = proving->orders;
    size_t words = ((size_t)orders->count + 1) * sizeof(uint32_t);
    struct order_found found = {.commits = arena_alloc(&proving->arena, words),
                                .seen = arena_alloc(&proving->arena, words)};
    if (proving->line_count - 4 != orders->count)
        return err_set(err, ERR_PARSE, "it orders %zu transactions, and %" PRIu32 " committed",
                       proving->line_count - 4, orders->count);
    for (uint32_t place = 0; place < orders->count; place++) {
        const char *rest;
        found.commits[place] = read_txn(proving, proving->lines[4 + place], &rest);
        found.seen[place] = orders->snapshots ? (uint32_t)strtoul(rest, NULL, 10) : place;
        if (found.commits[place] == TXN_NONE)
            return err_set(err, ERR_PARSE, "line %" PRIu32 " names no committed transaction",
                           place + 5);
    }
    return orders_replay(orders, &found)
               ? ERR_NONE
               : err_set(err, ERR_PARSE,
                         "replayed, the order does not explain every read, or "
                         "does not keep what it must");
}

static enum err_code prove_none(struct proving *proving, struct err *err)
{
    bool *keep = arena_zalloc(&proving->arena, (size_t)proving->orders->count + 1);
    for (size_t line = 4; line < proving->line_count; line++) {
        const char *rest;
        uint32_t i = read_txn(proving, proving->lines[line], &rest);
        if (i == TXN_NONE)
            return err_set(err, ERR_PARSE, "line %zu names no committed transaction", line + 1);
        keep[i] = true;
    }
    const struct orders *part = orders_part(proving->orders, keep, &proving->arena);
    switch (orders_try_all(part, STATES_MAX)) {
    case ORDER_NO:
        return ERR_NONE;
    case ORDER_YES:
        return err_set(err, ERR_PARSE, "the transactions it names have an order");
    case ORDER_OPEN:
        break;
    }
    return err_set(err, ERR_PARSE, "it names too many transactions for every order to be tried");
}

void orders_prove_certificate(const struct check_input *input, const char *text,
                              struct check_result *result)
{
    struct orders claimed = {.count = 0};
    struct register_options options = {.linearizable = false};
    struct proving proving = {.arena = ARENA_INIT, .orders = &claimed};
    struct err err = ERR_INIT;
    proving.txns.history = input->history;
    proving.txns.arena = &proving.arena;
    proving.inference.txns = &proving.txns;
    proving.inference.found = &proving.found;
    found_init(&proving.found, &proving.txns);
    proving.line_count = text_split(&proving.arena, text, '\n', &proving.lines);
    enum err_code code = read_head(&proving, &options, &err);
    if (code == ERR_NONE)
        code = read_history(&proving, input->limits.memory_bytes, &options, &err);
    if (code == ERR_NONE)
        code = proving.order ? prove_order(&proving, &err) : prove_none(&proving, &err);
    const char *what = claimed.snapshots ? "of snapshots and commits" : "of commits";
    static const char *const kept[] = {"", " and keeps the order of sessions",
                                       " and keeps real time"};
    if (code != ERR_NONE)
        check_verdict(result, VERDICT_UNKNOWN, "not proved: %s", err.message);
    else if (proving.order)
        check_verdict(result, VERDICT_VALID,
                      "replayed, the order %s of %" PRIu32 " transactions explains every read%s",
                      what, proving.orders->count, kept[claimed.form]);
    else
        check_verdict(
            result, VERDICT_INVALID,
            "every order %s of the %zu transactions was tried: none explains their reads%s", what,
            proving.line_count - 4, kept[claimed.form]);
    found_free(&proving.found);
    arena_free(&proving.arena);
}
