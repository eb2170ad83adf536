/* Transactions: Adya's anomalies in histories of transactions, and the isolation levels that they
 * rule out.
 *
 * The parts, in checkers/transactions/: txns and slots (decoding), levels (the lattice), append*
 * (list-append: version orders, direct anomalies, edges), graph (components), paths and cycles (the
 * search), explain (words), draw (pictures), found (what was found), register* (read-write
 * registers), weak (sessions' levels of these, by axioms), orders* (an order of commits of these,
 * by SAT), recency (how old reads were), along and online (while a run goes
 * on). */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "checkers/checkers.h"
#include "checkers/transactions/along.h"
#include "checkers/transactions/aside.h"
#include "checkers/transactions/cycles.h"
#include "checkers/transactions/orders.h"
#include "checkers/transactions/recency.h"
#include "checkers/transactions/weak.h"
#include "harness/base/clock.h"
#include "harness/base/text.h"
#include "harness/histories/edn.h"

enum { STEPS_MAX = 20000000 };

struct session {
    const struct check_input *input;
    struct check_result *result;
    struct arena arena;
    struct txns txns;
    struct found found;
    struct inference inference;
    struct cycle_search search;
    struct recency recency;
    level_set levels;
    anomaly_set prohibited; /* what makes the verdict invalid */
    bool proven;            /* nothing of it can be there, not even unseen */
    bool orders_only_told;  /* what is undecided of orders does not make the verdict unknown */
    struct order_result order;
    const char *kind;
    struct buf promise; /* "strict-serializable", as asked for */
};

/* ---- What is asked ---- */

static bool read_levels(struct session *session, const char *text)
{
    const char **names;
    size_t count = text_split(&session->arena, text, ',', &names);
    for (size_t i = 0; i < count; i++) {
        const char *name = names[i][0] == ':' ? names[i] + 1 : names[i];
        int level = level_find(name);
        if (strcmp(name, "none") == 0)
            continue;
        if (level_undecided(name) != NULL) {
            check_verdict(session->result, VERDICT_UNKNOWN, "transactions.level: %s",
                          level_undecided(name));
            return false;
        }
        if (level < 0) {
            const char *known[64];
            for (int l = 0; l < level_count(); l++)
                known[l] = level_name(l);
            const char *near = text_nearest(name, known, (size_t)level_count());
            check_verdict(session->result, VERDICT_UNKNOWN,
                          "transactions.level: there is no isolation level '%s'%s%s", name,
                          near == NULL ? "" : "; did you mean ", near == NULL ? "" : near);
            return false;
        }
        buf_printf(&session->promise, "%s%s", session->promise.length > 0 ? ", " : "",
                   level_name(level));
        session->levels |= UINT64_C(1) << level;
    }
    return true;
}

static bool read_anomalies(struct session *session, const char *text)
{
    const char **names;
    size_t count = text_split(&session->arena, text, ',', &names);
    anomaly_set asked = 0;
    for (size_t i = 0; i < count; i++) {
        const char *name = names[i][0] == ':' ? names[i] + 1 : names[i];
        int anomaly = anomaly_find(name);
        if (anomaly < 0) {
            check_verdict(session->result, VERDICT_UNKNOWN,
                          "transactions.anomalies: there is no anomaly '%s'", name);
            return false;
        }
        asked |= UINT64_C(1) << anomaly;
        buf_printf(&session->promise, "%sfree of %s", session->promise.length > 0 ? ", " : "",
                   anomaly_name((enum anomaly)anomaly));
    }
    session->prohibited = levels_prohibit(session->levels) | anomaly_implying(asked);
    return true;
}

static bool read_options(struct session *session)
{
    const struct options *options = &session->input->options;
    if (!read_levels(session, option_text(options, "transactions.level")) ||
        !read_anomalies(session, option_text(options, "transactions.anomalies")))
        return false;
    if (session->prohibited != 0)
        return true;
    check_verdict(session->result, VERDICT_UNKNOWN,
                  "transactions.level: nothing is promised, so nothing can be broken");
    return false;
}

/* ---- The result ---- */

static void add_levels(struct json *details, const char *name, level_set set)
{
    struct json *list = json_set(details, name, json_array());
    for (int level = 0; level < level_count(); level++)
        if (set >> level & 1)
            json_add(list, json_text(level_name(level)));
}

static void add_counts(struct session *session)
{
    struct json *details = session->result->details;
    const struct txns *txns = &session->txns;
    json_set_text(details, "kind", session->kind);
    json_set_text(details, "level", buf_text(&session->promise));
    json_set_int(details, "transaction-count", txns->count);
    json_set_int(details, "ok-count", txns->ok_count);
    json_set_int(details, "info-count", txns->unknown_count);
    json_set_int(details, "fail-count", txns->failed_count);
    json_set_int(details, "ignored-count", txns->ignored_count);
    json_set_int(details, "micro-operation-count", txns->mop_count);
    json_set_int(details, "key-count", txns->key_count);
    json_set_int(details, "component-count", session->search.component_count);
    json_set_int(details, "largest-component", session->search.largest);
}

static void find_recency(struct inference *inference, void *state)
{
    struct session *session = state;
    if (inference->txns->history->unordered || inference->txns->predicates > 0)
        return;
    if (inference->why == register_why)
        recency_of_registers(inference, &session->recency);
    else
        recency_of_lists(inference, &session->recency);
}

static void add_recency(struct session *session)
{
    if (session->recency.reads > 0)
        json_set(session->result->details, "recency",
                 recency_json(&session->recency, &session->txns));
}

static void add_found(struct session *session)
{
    const struct found *found = &session->found;
    struct json *details = session->result->details;
    struct json *types = json_set(details, "anomaly-types", json_array());
    struct json *counts = json_set(details, "anomaly-counts", json_object());
    struct json *others = json_set(details, "not-prohibited", json_object());
    for (int i = 0; i < ANOMALY_COUNT; i++) {
        if (found->counts[i] == 0)
            continue;
        bool bad = session->prohibited >> i & 1;
        if (bad)
            json_add(types, json_text(anomaly_name((enum anomaly)i)));
        json_set_int(bad ? counts : others, anomaly_name((enum anomaly)i),
                     (int64_t)found->counts[i]);
    }
    level_set impossible = levels_impossible(found_set(found));
    level_set weakest = levels_weakest(impossible);
    add_levels(details, "not", weakest);
    add_levels(details, "also-not", impossible & ~weakest);
}

static void add_anomaly(struct session *session, const struct finding *finding)
{
    uint32_t events[2 * FOUND_TXNS_MAX], count = 0;
    for (uint32_t i = 0; i < finding->txn_count; i++) {
        uint32_t t = finding->txns[i];
        if (session->txns.invoked[t] != HISTORY_NONE)
            events[count++] = session->txns.invoked[t];
        if (session->txns.completed[t] != HISTORY_NONE)
            events[count++] = session->txns.completed[t];
    }
    for (uint32_t i = 1; i < count; i++) /* ascending; there are few */
        for (uint32_t j = i; j > 0 && events[j - 1] > events[j]; j--) {
            uint32_t swap = events[j];
            events[j] = events[j - 1];
            events[j - 1] = swap;
        }
    struct json *anomaly = check_anomaly(session->result, anomaly_name(finding->anomaly),
                                         finding->title, finding->text, events, count);
    for (const struct json *field = json_first(finding->fields); field != NULL;
         field = json_next(field))
        json_set(anomaly, json_key(field), json_copy(field));
    if (finding->dot != NULL)
        json_set_text(anomaly, "dot", finding->dot);
}

/* Fewest transactions first: what is quickest to understand. */
static int by_size(const void *left, const void *right)
{
    const struct finding *a = left, *b = right;
    if (a->txn_count != b->txn_count)
        return a->txn_count < b->txn_count ? -1 : 1;
    if (a->anomaly != b->anomaly)
        return a->anomaly < b->anomaly ? -1 : 1;
    uint32_t first = a->txn_count == 0 ? 0 : a->txns[0],
             second = b->txn_count == 0 ? 0 : b->txns[0];
    return (first > second) - (first < second);
}

static void report_invalid(struct session *session)
{
    struct buf kinds = BUF_INIT;
    const struct finding *simplest = NULL;
    for (int i = 0; i < ANOMALY_COUNT; i++)
        if (session->found.counts[i] > 0 && session->prohibited >> i & 1)
            buf_printf(&kinds, "%s%s (%" PRIu64 ")", kinds.length > 0 ? ", " : "",
                       anomaly_name((enum anomaly)i), session->found.counts[i]);
    qsort(session->found.list, session->found.count, sizeof *session->found.list, by_size);
    for (uint32_t i = 0; i < session->found.count; i++) {
        const struct finding *finding = &session->found.list[i];
        if ((session->prohibited >> finding->anomaly & 1) == 0)
            continue;
        simplest = simplest == NULL ? finding : simplest;
        add_anomaly(session, finding);
    }
    check_verdict(session->result, VERDICT_INVALID, "not %s: %s. %s: %s",
                  buf_text(&session->promise), buf_text(&kinds), simplest->title, simplest->text);
    buf_free(&kinds);
}

/* What a budget ended matters only where the promise rules out cycles with one anti-dependency but
 * not those with several that are not adjacent: whether any of the latter is there, which a single
 * one is a case of, was decided. */
static void report_given_up(struct session *session)
{
    anomaly_set given_up = session->search.given_up & session->prohibited;
    for (int form = 0; form < 3; form++) {
        if (session->prohibited >> (ANOMALY_G_NONADJACENT_ITEM + form) & 1)
            given_up &= ~(UINT64_C(1) << (ANOMALY_G_SINGLE_ITEM + form));
        if (session->prohibited >> (ANOMALY_G_NONADJACENT + form) & 1)
            given_up &= ~(UINT64_C(1) << (ANOMALY_G_SINGLE + form));
    }
    if (session->search.given_up == 0)
        return;
    struct buf kinds = BUF_INIT;
    struct json *list = json_set(session->result->details, "not-searched", json_array());
    for (int i = 0; i < ANOMALY_COUNT; i++)
        if (session->search.given_up >> i & 1) {
            json_add(list, json_text(anomaly_name((enum anomaly)i)));
            buf_printf(&kinds, "%s%s", kinds.length > 0 ? ", " : "", anomaly_name((enum anomaly)i));
        }
    if (given_up != 0)
        check_verdict(session->result, VERDICT_UNKNOWN,
                      "the search for %s in a component of %" PRIu32
                      " transactions ran out of its budget; everything else that %s rules out was "
                      "looked for",
                      buf_text(&kinds), session->search.given_up_size, buf_text(&session->promise));
    buf_free(&kinds);
}

/* Whether there is an order of commits, where that is not known. */
static void report_undecided(struct session *session)
{
    anomaly_set undecided = session->order.undecided;
    struct buf names = BUF_INIT;
    for (int i = 0; i < ANOMALY_COUNT; i++)
        if (undecided >> i & 1)
            buf_printf(&names, "%s%s", names.length > 0 ? ", " : "", anomaly_name((enum anomaly)i));
    if (undecided != 0 && session->orders_only_told)
        json_set_text(session->result->details, "orders-undecided", session->order.why);
    else if (undecided != 0)
        check_verdict(session->result, VERDICT_UNKNOWN,
                      "whether there is an order of commits that explains every read was not "
                      "decided (%s): %s; what the options promise of keys rules out nothing that "
                      "was seen",
                      buf_text(&names), session->order.why);
    session->search.given_up |= session->orders_only_told ? 0 : undecided;
    buf_free(&names);
}

/* Whether all that must not be is seen in a transaction by itself. */
static bool only_direct(anomaly_set prohibited)
{
    return (prohibited & ~(ANOMALY_BIT(INTERNAL) | ANOMALY_BIT(FUTURE_READ))) == 0;
}

static void report(struct session *session)
{
    const struct txns *txns = &session->txns;
    add_counts(session);
    add_recency(session);
    add_found(session);
    if ((found_set(&session->found) & session->prohibited) != 0)
        report_invalid(session);
    report_undecided(session);
    report_given_up(session);
    if (session->found.unshown > 0)
        check_verdict(session->result, VERDICT_UNKNOWN,
                      "%" PRIu32 " cycles were found whose edges cannot be shown, which is a "
                      "mistake of this checker: please report it with the history",
                      session->found.unshown);
    if (txns->count == 0)
        check_verdict(session->result, VERDICT_UNKNOWN,
                      txns->ignored_count > 0 ? "the history has client operations but no "
                                                "transactions"
                                              : "the history has no client operations");
    else if (session->inference.graph.first[session->inference.graph.count] == 0 &&
             !(txns->reads > 0 && only_direct(session->prohibited)))
        check_verdict(session->result, VERDICT_UNKNOWN,
                      "no transaction observed another, so nothing was tested");
    if (txns->history->unordered && (session->prohibited & ANOMALY_BIT(G2_REALTIME)) != 0)
        check_verdict(session->result, VERDICT_UNKNOWN,
                      "the history came in a format without times, so nothing is known of what %s "
                      "says of real time; ask for strong-session-serializable or weaker",
                      buf_text(&session->promise));
    /* Of registers the order of writes is known in part: what was not found may still be. */
    bool partly = session->inference.why == register_why && !session->proven &&
                  (session->prohibited & (ANOMALY_BIT(G0) | ANOMALY_BIT(G2_ITEM))) != 0;
    check_verdict(session->result, VERDICT_VALID,
                  "%" PRIu32 " transactions (%" PRIu32 " ok, %" PRIu32 " info, %" PRIu32
                  " fail) of %s over %" PRIu32 " keys show nothing that %s rules out%s",
                  txns->count, txns->ok_count, txns->unknown_count, txns->failed_count,
                  session->kind, txns->key_count, buf_text(&session->promise),
                  partly && session->order.undecided != 0
                      ? "; the order of writes is known only in part, and whether there is an "
                        "order of commits was not decided in this search's share of the budget "
                        "(transactions.orders=true demands it), so this is no proof"
                  : partly ? "; the order of writes is known only in part, so this is no proof"
                  : session->proven ? "; an order of commits that explains every read was found"
                                    : "");
}

/* ---- Judging ---- */

/* Where transactions are to be strictly serializable, so are those on one key. */
static bool keys_are_linearizable(const struct session *session)
{
    const char *keys = option_text(&session->input->options, "transactions.linearizable-keys");
    level_set strict = UINT64_C(1) << level_find("strict-serializable");
    return strcmp(keys, "true") == 0 ||
           (strcmp(keys, "promised") == 0 && (session->levels & strict) != 0);
}

static enum err_code infer(struct session *session, struct err *err)
{
    struct txns *txns = &session->txns;
    if (txns->appends > 0 && txns->writes > 0)
        return err_set(err, ERR_PARSE,
                       "the history mixes :append and :w; judge lists and "
                       "registers apart");
    if (txns->predicates > 0) {
        session->kind = "closed-predicate";
        if (txns->appends == 0)
            return predicate_infer(&session->inference, err);
        return err_set(err, ERR_PARSE, "the history mixes :append and predicates");
    }
    bool registers = txns->writes > 0 || (txns->appends == 0 && txns->single_reads > 0);
    session->kind = registers ? "rw-register" : "list-append";
    if (!registers)
        return append_infer(&session->inference, err);
    const struct options *options = &session->input->options;
    struct register_options promised = {
        .writes_follow_reads = option_bool(options, "transactions.wfr-keys"),
        .sequential = option_bool(options, "transactions.sequential-keys"),
        .linearizable = keys_are_linearizable(session),
    };
    const char *initial = option_text(options, "transactions.initial");
    if (edn_parse_all(&session->arena, initial, strlen(initial), &promised.initial, err) !=
        ERR_NONE)
        return err_wrap(err, "transactions.initial");
    return register_infer(&session->inference, &promised, err);
}

/* Of more transactions than these an order of commits is looked for within a share of the budget,
 * and not demanded unless it is asked for. */
enum { ORDERS_DEMANDED_MAX = 20000, ORDERS_SHARE_S = 10 };
#define ORDERS_SHARE_BYTES ((size_t)1 << 30)

/* Registers whose known order of writes convicts nobody: is there an order at all? */
static void find_orders(struct session *session)
{
    const struct check_limits *limits = &session->input->limits;
    const char *asked = option_text(&session->input->options, "transactions.orders");
    anomaly_set found = found_set(&session->found), wanted = session->prohibited & ORDER_ANOMALIES;
    struct order_budget budget = {session->search.budget.deadline_ns, limits->memory_bytes};
    if ((found & session->prohibited) != 0 || strcmp(asked, "false") == 0)
        return;
    if (strcmp(asked, "auto") == 0 && session->txns.count > ORDERS_DEMANDED_MAX) {
        int64_t share = clock_monotonic_ns() + ORDERS_SHARE_S * NS_PER_SECOND;
        session->orders_only_told = true;
        if (budget.deadline_ns > share)
            budget.deadline_ns = share;
        if (budget.memory_bytes == 0 || budget.memory_bytes > ORDERS_SHARE_BYTES)
            budget.memory_bytes = ORDERS_SHARE_BYTES;
    }
    if ((found & ORDER_SPOILERS) != 0) {
        session->order = (struct order_result){
            .undecided = wanted, .why = "not every read is one of a committed version"};
        return;
    }
    session->order = orders_find(&session->inference, wanted, &budget, session->input->certificate);
    session->proven = orders_prove(&session->order, session->prohibited);
    if (session->proven) /* what a budget ended can have missed nothing */
        session->search.given_up = 0;
}

/* Cycles and single reads are their own proof; there is no certificate of them. */
static void end_certificate(const struct session *session)
{
    struct buf *out = session->input->certificate;
    if (out != NULL && out->length == 0)
        buf_add_text(out, CHECKER_CERTIFICATE "transactions\nno order was looked for or found\n");
}

static void judge(struct session *session)
{
    const struct check_input *input = session->input;
    struct err err = ERR_INIT;
    session->txns.history = input->history;
    session->txns.arena = &session->arena;
    found_init(&session->found, &session->txns);
    session->found.draw = option_bool(&input->options, "transactions.dot");
    session->inference.txns = &session->txns;
    session->inference.found = &session->found;
    session->inference.threads = input->limits.threads;
    session->search = (struct cycle_search){
        .inference = &session->inference,
        .wanted = session->prohibited,
        .budget = {.deadline_ns = INT64_MAX, .steps = STEPS_MAX},
    };
    if (input->limits.time_ns > 0)
        session->search.budget.deadline_ns = clock_monotonic_ns() + input->limits.time_ns;
    enum err_code code =
        txns_decode(&session->txns, input->limits.threads, input->limits.memory_bytes, &err);
    if (code == ERR_NONE)
        code = infer(session, &err);
    if (code == ERR_NONE) {
        struct aside aside;
        aside_begin(&aside, &session->inference, find_recency, session);
        cycles_find(&session->search);
        aside_end(&aside, &session->found);
        if (session->inference.why == register_why) {
            session->search.given_up |=
                weak_find(&session->inference, session->prohibited, input->limits.memory_bytes);
            find_orders(session);
        }
        report(session);
        end_certificate(session);
        return;
    }
    check_verdict(session->result, VERDICT_UNKNOWN, "%s", err.message);
    add_found(session); /* what was found before is no less true */
    if ((found_set(&session->found) & session->prohibited) != 0)
        report_invalid(session);
}

static void check(const struct check_input *input, struct check_result *result)
{
    struct session session = {.input = input, .result = result, .arena = ARENA_INIT};
    if (read_options(&session))
        judge(&session);
    found_free(&session.found);
    buf_free(&session.promise);
    arena_free(&session.arena);
}

/* ---- Reading along ---- */

static void *open_watch(const struct options *options, size_t memory_max)
{
    struct check_input input = {.options = *options};
    struct check_result result = {.verdict = VERDICT_VALID, .reason = BUF_INIT};
    struct session session = {.input = &input, .result = &result, .arena = ARENA_INIT};
    bool good = read_options(&session);
    buf_free(&session.promise);
    buf_free(&result.reason);
    arena_free(&session.arena);
    return good ? along_open(session.prohibited, memory_max) : NULL;
}

static enum watch_answer feed_watch(void *state, const struct history *history)
{
    if (along_feed(state, history, history->count))
        return WATCH_FOUND;
    return along_given_up(state) != NULL ? WATCH_LOST : WATCH_CLEAN;
}

static void close_watch(void *state)
{
    along_close(state);
}

static const struct check_watch watching = {
    .open = open_watch, .feed = feed_watch, .close = close_watch};

static const struct option options[] = {
    {"level", OPTION_TEXT, "strict-serializable", NULL,
     "isolation levels that were promised, or none (docs/transactions.md lists them)"},
    {"anomalies", OPTION_TEXT, "", NULL, "anomalies that must not be, beside what the level says"},
    {"wfr-keys", OPTION_BOOL, "false", NULL,
     "registers: what a transaction writes to a key comes after what it read of it"},
    {"sequential-keys", OPTION_BOOL, "false", NULL,
     "registers: each key by itself is sequential: a process sees later and later versions"},
    {"linearizable-keys", OPTION_CHOICE, "false", "false|true|promised",
     "registers: each key by itself is linearizable; promised: if the level is "
     "strict-serializable"},
    {"orders", OPTION_CHOICE, "auto", "auto|true|false",
     "registers: look for an order of commits where the known order of writes convicts nobody; "
     "auto: of more than 20000 transactions only for a while, and what is left open is told and "
     "does not make the verdict unknown"},
    {"initial", OPTION_TEXT, "nil", NULL, "registers: what every key holds at first (EDN)"},
    {"dot", OPTION_BOOL, "false", NULL, "add each cycle as a Graphviz graph"},
    {.name = NULL},
};

const struct checker checker_transactions = {
    .name = "transactions",
    .summary =
        "isolation levels: anomalies of transactions over lists and registers, also by predicate",
    .options = options,
    .sessions_suffice = true,
    .check = check,
    .verify = orders_prove_certificate,
    .watch = &watching,
};
