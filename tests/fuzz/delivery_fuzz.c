/* Histories of queues out of bytes, so that what is changed is an operation, its window or what it
 * says; given to `delivery`, `total-queue` and `queue`. The first byte chooses one of three ways:
 *
 * a case       a small history in the full vocabulary, in which brute force must agree
 * plain        Jepsen's shape; where the three checkers judge the same, their verdicts must fit
 * odd          any event with any value: nothing need be right, and nothing may crash
 *
 * In the first two a byte is a token: 0xxxxxxx invokes, 10xxxxxx lets the x-th pending operation
 * return, 110xxxxx lets it fail, 111xxxxx lets time pass. Most take a second byte for what they
 * say. */
#include <assert.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "checkers/checkers.h"
#include "harness/base/clock.h"
#include "harness/histories/history_supply.h"
#include "tests/lib/delivery_compare.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct bytes {
    const uint8_t *at, *end;
};

static uint8_t take(struct bytes *bytes)
{
    return bytes->at < bytes->end ? *bytes->at++ : 0;
}

/* What must hold whatever the history is, said loudly. */
static void must(bool holds, const char *what, const struct history *history)
{
    if (holds)
        return;
    fprintf(stderr, "%s\n", what);
    compare_print(&(struct oracle_case){.settle = ORACLE_NONE}, history);
    abort();
}

/* ---- Cases for brute force ---- */

enum { CASE_OPS = 9, CASE_MESSAGES = 4, CASE_INFOS = 3, PROCESSES = 4, STEPS_MAX = 10000 };

struct maker {
    struct oracle_case one;
    int pending[CASE_OPS], pending_count;
    int deliveries[CASE_OPS], delivery_count; /* that are over and brought something */
    int messages, tokens, tick;
    bool busy[PROCESSES];
};

static int choose(int bits, int low, int high)
{
    return (bits & 3) < 2 ? ORACLE_NONE : (bits & 1) ? high : low;
}

static void say_enqueue(struct maker *maker, struct oracle_op *op, uint8_t said)
{
    static const int leases[] = {5, 0, ORACLE_NONE, 11};
    op->message = maker->messages++;
    op->retry = leases[said & 3];
    op->delay = choose(said >> 2, 3, 8);
    op->ttl = choose(said >> 4, 4, 10);
    op->key = said & 0x40 ? 0 : ORACLE_NONE;
    op->producer = said >> 7;
}

static void say_settling(struct maker *maker, struct oracle_op *op, uint8_t said)
{
    static const int durations[] = {0, 2, 6, 11};
    const struct oracle_op *delivery =
        &maker->one.ops[maker->deliveries[(said & 7) % maker->delivery_count]];
    op->message = delivery->message;
    op->token = delivery->token;
    int ms = durations[said >> 3 & 3];
    op->delay = op->f == ORACLE_NACK && said & 0x20 ? ms : ORACLE_NONE;
    op->retry = op->f == ORACLE_EXTEND ? ms : ORACLE_NONE;
}

static enum oracle_f function_of(uint8_t token)
{
    static const enum oracle_f functions[] = {ORACLE_ENQUEUE, ORACLE_ENQUEUE, ORACLE_DEQUEUE,
                                              ORACLE_DEQUEUE, ORACLE_DEQUEUE};
    static const enum oracle_f settling[] = {ORACLE_ACK, ORACLE_NACK, ORACLE_EXTEND, ORACLE_DEAD};
    int kind = token & 7;
    return kind < 5 ? functions[kind] : kind == 5 ? ORACLE_DRAIN : settling[token >> 3 & 3];
}

static void invoke(struct maker *maker, uint8_t token, uint8_t said)
{
    enum oracle_f f = function_of(token);
    bool settles = f != ORACLE_ENQUEUE && f != ORACLE_DEQUEUE && f != ORACLE_DRAIN;
    if (maker->one.op_count == CASE_OPS ||
        (f == ORACLE_ENQUEUE && maker->messages == CASE_MESSAGES) ||
        (settles && maker->delivery_count == 0))
        return;
    int number = maker->one.op_count++, process = token >> 5 & 3;
    struct oracle_op *op = &maker->one.ops[number];
    *op = oracle_op_of(f);
    op->process = maker->busy[process] ? 10 + number : process;
    op->outcome = OP_INFO;
    op->from = ++maker->tick;
    maker->busy[process] = true;
    if (f == ORACLE_ENQUEUE)
        say_enqueue(maker, op, said);
    else if (settles)
        say_settling(maker, op, said);
    maker->pending[maker->pending_count++] = number;
}

static void bring(struct maker *maker, int number, uint8_t said)
{
    struct oracle_op *op = &maker->one.ops[number];
    if (op->f == ORACLE_DRAIN) {
        for (int message = 0; message < CASE_MESSAGES; message++)
            if (said >> message & 1)
                op->batch[op->batch_count++] = message;
        if (said & 0x80 && op->batch_count > 0)
            op->batch[op->batch_count++] = op->batch[0];
    } else if (said % 8 < CASE_MESSAGES) {
        op->message = said % 8;
        op->count = said >> 3 & 3 ? said >> 3 & 3 : ORACLE_NONE;
        op->token =
            said & 0x80 && maker->tokens > 0 ? (said >> 5 & 3) % maker->tokens : maker->tokens++;
        maker->deliveries[maker->delivery_count++] = number;
    }
}

static void end(struct maker *maker, uint8_t which, bool good, struct bytes *bytes)
{
    if (maker->pending_count == 0)
        return;
    int *at = &maker->pending[which % maker->pending_count], number = *at;
    struct oracle_op *op = &maker->one.ops[number];
    op->outcome = good ? OP_OK : OP_FAIL;
    op->to = ++maker->tick;
    if (op->process < PROCESSES)
        maker->busy[op->process] = false;
    if (good && (op->f == ORACLE_DEQUEUE || op->f == ORACLE_DRAIN))
        bring(maker, number, take(bytes));
    memmove(at, at + 1, (size_t)(maker->pending + --maker->pending_count - at) * sizeof *at);
}

/* What is left open is of unknown outcome: not drains, which brute force leaves out, and no more
 * than it can try. */
static void end_all(struct maker *maker)
{
    int infos = 0;
    for (int i = 0; i < maker->one.op_count; i++) {
        struct oracle_op *op = &maker->one.ops[i];
        if (op->outcome != OP_INFO || (op->f != ORACLE_DRAIN && ++infos <= CASE_INFOS))
            continue;
        op->outcome = OP_FAIL;
        op->to = ++maker->tick;
    }
    maker->one.end = maker->tick + 1;
}

static void make_case(struct maker *maker, struct bytes *bytes)
{
    uint8_t limits = take(bytes);
    *maker = (struct maker){.tick = 0};
    maker->one.settle = limits & 0x80 ? (limits >> 4 & 7) * 2 : ORACLE_NONE;
    maker->one.stuck = 1 + (limits & 7);
    while (bytes->at < bytes->end) {
        uint8_t token = take(bytes);
        if (token < 0x80)
            invoke(maker, token, take(bytes));
        else if (token < 0xe0)
            end(maker, token & 0x1f, token < 0xc0, bytes);
        else if (maker->tick < 40)
            maker->tick += token & 7;
    }
    end_all(maker);
}

static void compare_case(struct bytes *bytes)
{
    struct maker maker;
    struct history history;
    uint64_t problems;
    make_case(&maker, bytes);
    maker.one.steps_max = STEPS_MAX;
    oracle_history(&maker.one, &history);
    uint32_t kinds = compare_judge(&maker.one, &history, &problems);
    for (int promise = 0; promise < ORACLE_PROMISES && problems == 0; promise++) {
        bool ours = (kinds & compared[promise].kinds) != 0;
        long steps = 0;
        bool theirs = oracle_broken(&maker.one, (enum oracle_promise)promise, &steps);
        if (steps >= STEPS_MAX ||
            compare_agrees(&maker.one, (enum oracle_promise)promise, ours, theirs))
            continue;
        compare_print(&maker.one, &history);
        fprintf(stderr, "%s is %s by the checker, %s by brute force\n",
                oracle_promise_names[promise], ours ? "broken" : "kept",
                theirs ? "broken" : "kept");
        abort();
    }
    history_free(&history);
}

/* ---- Running the checkers ---- */

struct verdicts {
    struct json *results;
    const struct json *delivery, *total;
    enum verdict queue;
};

static void judge(const struct history *history, struct json *options, struct verdicts *verdicts)
{
    static const char *const names[] = {"delivery", "total-queue", "queue"};
    struct options all = {options};
    enum verdict verdict;
    option_defaults(&all, "delivery", checker_delivery.options);
    struct check_input input = {
        .history = history, .limits = {.threads = 1}, .options = all, .keyed = KEYED_NO};
    verdicts->results = check_all(names, 3, &input, &verdict);
    const struct json *each = json_get(verdicts->results, "checkers");
    verdicts->delivery = json_get(each, "delivery");
    verdicts->total = json_get(each, "total-queue");
    verdicts->queue = verdict_from_json(json_get(json_get(each, "queue"), "valid"));
}

static enum verdict verdict_of(const struct json *result)
{
    return verdict_from_json(json_get(result, "valid"));
}

/* The verdict is the worst of what is promised, and what cannot be read is never valid. */
static void fits(const struct history *history, const struct verdicts *verdicts)
{
    enum verdict verdict = verdict_of(verdicts->delivery);
    bool broken = false;
    for (const struct json *one = json_first(json_get(verdicts->delivery, "promises")); one != NULL;
         one = json_next(one))
        broken |=
            json_as_bool(json_get(one, "promised"), false) && verdict_of(one) == VERDICT_INVALID;
    must(broken == (verdict == VERDICT_INVALID), "invalid means that a promise is broken", history);
    if (json_as_int(json_get(verdicts->delivery, "problem-count"), 0) > 0)
        must(verdict != VERDICT_VALID, "what cannot be read is valid", history);
}

static void append(struct history *history, int32_t process, enum op_type type, const char *f,
                   struct value value, int64_t at_ns)
{
    enum err_code code = ERR_NONE;
    struct op op = {.type = type,
                    .process = process,
                    .f = history_f(history, f),
                    .value = value,
                    .time_ns = at_ns};
    history_append_own(history, &op, &code);
    assert(code == ERR_NONE);
}

/* ---- Plain histories ---- */

enum { PLAIN_OPS = 64 };

struct plain {
    struct history history;
    struct {
        const char *f;
        int32_t process;
        struct value asked;
    } pending[PLAIN_OPS];
    int pending_count, op_count;
};

static struct value some_messages(struct history *history, uint8_t bits)
{
    struct value items[8];
    size_t count = 0;
    for (int i = 0; i < 8; i++)
        if (bits >> i & 1)
            items[count++] = value_small(i);
    return value_items(&history->arena, VALUE_VECTOR, items, count);
}

static void end_plain(struct plain *plain, uint8_t token, struct bytes *bytes)
{
    if (plain->pending_count == 0)
        return;
    int at = (token & 0x1f) % plain->pending_count;
    enum op_type type = token < 0xc0 ? OP_OK : token & 0x20 ? OP_INFO : OP_FAIL;
    const char *f = plain->pending[at].f;
    struct value value = plain->pending[at].asked;
    if (type == OP_OK && strcmp(f, "dequeue") == 0)
        value = value_small(take(bytes) % 8);
    else if (type == OP_OK && strcmp(f, "drain") == 0)
        value = some_messages(&plain->history, take(bytes));
    append(&plain->history, plain->pending[at].process, type, f, value,
           plain->history.count * NS_PER_MS);
    plain->pending[at] = plain->pending[--plain->pending_count];
}

static void make_plain(struct plain *plain, struct bytes *bytes)
{
    static const char *const functions[] = {"enqueue", "enqueue", "dequeue", "drain"};
    plain->pending_count = plain->op_count = 0;
    history_init(&plain->history);
    while (bytes->at < bytes->end) {
        uint8_t token = take(bytes);
        if (token >= 0x80) {
            end_plain(plain, token, bytes);
        } else if (plain->op_count < PLAIN_OPS) {
            const char *f = functions[token & 3];
            struct value asked = token & 2 ? value_nil() : value_small(token >> 2 & 7);
            int32_t process = plain->op_count++; /* each its own: none is ever busy */
            append(&plain->history, process, OP_INVOKE, f, asked, plain->history.count * NS_PER_MS);
            plain->pending[plain->pending_count].f = f;
            plain->pending[plain->pending_count].process = process;
            plain->pending[plain->pending_count++].asked = asked;
        }
    }
}

static bool is_broken(const struct verdicts *verdicts, const char *promise)
{
    return verdict_of(json_get(json_get(verdicts->delivery, "promises"), promise)) ==
           VERDICT_INVALID;
}

static int64_t count_of(const struct json *result, const char *name)
{
    return json_as_int(json_get(result, name), 0);
}

/* What Jepsen's checkers convict and `delivery` promises as well, and the reverse. */
static void compare_plain(struct bytes *bytes)
{
    struct plain plain;
    struct verdicts verdicts;
    struct err err = ERR_INIT;
    make_plain(&plain, bytes);
    assert(history_pair(&plain.history, &err) == ERR_NONE);
    struct json *options = json_object();
    json_set_text(options, "delivery.promise", "all");
    judge(&plain.history, options, &verdicts);
    fits(&plain.history, &verdicts);
    bool read = count_of(verdicts.delivery, "problem-count") == 0;
    if (count_of(verdicts.total, "unexpected-count") > 0)
        must(is_broken(&verdicts, "no-phantom"), "unexpected, and no phantom", &plain.history);
    if (is_broken(&verdicts, "no-loss"))
        must(verdict_of(verdicts.total) != VERDICT_VALID, "lost, and not missed", &plain.history);
    if (verdicts.queue == VERDICT_INVALID && read)
        must(is_broken(&verdicts, "no-phantom") || is_broken(&verdicts, "at-most-once"),
             "taken from nowhere, and nothing is broken", &plain.history);
    if (count_of(verdicts.total, "duplicated-count") > 0 && read)
        must(is_broken(&verdicts, "no-phantom") || is_broken(&verdicts, "at-most-once") ||
                 is_broken(&verdicts, "no-redelivery-after-ack"),
             "duplicated, and nothing is broken", &plain.history);
    json_free(verdicts.results);
    json_free(options);
    history_free(&plain.history);
}

/* ---- Anything ---- */

static const char *const words[] = {
    "message", "queue", "producer", "key",  "body", "delivery", "id",     "count",     "priority",
    "delay",   "ttl",   "retry",    "dead", "q",    "empty",    "length", "exhausted", "duplicate"};
enum { WORDS = sizeof words / sizeof *words };

static struct value odd_value(struct arena *arena, struct bytes *bytes, int depth)
{
    static const double reals[] = {0.5, -1.0, 1e300, 0.0 / 1.0, 2.5e9};
    static const int64_t integers[] = {-1, INT64_MIN, INT64_MAX, 65535, 65536, INT64_C(1) << 40};
    static const enum value_kind kinds[] = {VALUE_MAP, VALUE_VECTOR, VALUE_LIST, VALUE_SET};
    struct value items[16];
    uint8_t byte = take(bytes);
    int low = byte & 15, high = byte >> 4;
    if (high < 6)
        return value_small(low % 6);
    if (high == 6)
        return value_nil();
    if (high == 7)
        return value_int(arena, integers[low % 6]);
    if (high == 8)
        return low < 4 ? value_bool(low & 1) : value_double(arena, reals[low % 5]);
    if (high == 9)
        return value_keyword(arena, words[take(bytes) % WORDS]);
    if (high == 10 || depth == 0)
        return value_string(arena, words[take(bytes) % WORDS]);
    enum value_kind kind = high == 15 ? kinds[1 + low % 3] : high < 14 ? VALUE_MAP : VALUE_VECTOR;
    size_t count = (size_t)low % 6;
    for (size_t i = 0; i < (kind == VALUE_MAP ? 2 * count : count); i++)
        items[i] = kind == VALUE_MAP && i % 2 == 0
                       ? value_keyword(arena, words[take(bytes) % WORDS])
                       : odd_value(arena, bytes, depth - 1);
    return value_items(arena, kind, items, kind == VALUE_MAP ? 2 * count : count);
}

static void make_odd(struct history *history, struct bytes *bytes)
{
    static const char *const functions[] = {"enqueue", "dequeue", "ack",    "drain",   "nack",
                                            "extend",  "peek",    "length", "enqueue", "dequeue"};
    int64_t at_ns = 0;
    history_init(history);
    while (bytes->at < bytes->end && history->count < 400) {
        uint8_t what = take(bytes), who = take(bytes);
        at_ns += (who >> 3) * NS_PER_MS * 10;
        append(history, who & 7, (enum op_type)(what >> 4 & 3), functions[(what & 15) % 10],
               odd_value(&history->arena, bytes, 3), what & 0x80 && who == 0xff ? -1 : at_ns);
    }
}

static void judge_odd(struct bytes *bytes)
{
    static const char *const promises[] = {"all", "no-loss,order", "declared", "none"};
    struct history history;
    struct verdicts verdicts;
    struct err err = ERR_INIT;
    uint32_t supplied, left_open;
    uint8_t how = take(bytes);
    make_odd(&history, bytes);
    assert(history_supply_invocations(&history, &supplied, &err) == ERR_NONE);
    if (history_pair_found(&history, &left_open, &err) != ERR_NONE) { /* as by `ordeal check` */
        must(strncmp(err.message, "event ", 6) == 0, "an error names no event", &history);
        history_free(&history);
        return;
    }
    struct json *options = json_object();
    json_set_text(options, "delivery.promise", promises[how & 3]);
    json_set_text(options, "delivery.settle", how & 4 ? "20ms" : "never");
    json_set_text(options, "delivery.retry", how & 8 ? "30ms" : how & 16 ? "0ms" : "unknown");
    json_set_text(options, "delivery.dead-letter", how & 32 ? "q" : "none");
    json_set_text(options, "delivery.stuck-after", how & 64 ? "50ms" : "10s");
    judge(&history, options, &verdicts);
    fits(&history, &verdicts);
    json_free(verdicts.results);
    json_free(options);
    history_free(&history);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes bytes = {data, data + size};
    uint8_t way = take(&bytes) & 3;
    if (way < 2)
        compare_case(&bytes);
    else if (way == 2)
        compare_plain(&bytes);
    else
        judge_odd(&bytes);
    return 0;
}
