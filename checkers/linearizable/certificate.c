/* Certificates, written and proved: see certificate.h. */
#include "checkers/linearizable/certificate.h"

#include <stdlib.h>
#include <string.h>

#include "checkers/linearizable/left_out.h"
#include "harness/histories/edn.h"

enum { PER_LINE = 16 };

/* ---- Writing ---- */

void lin_certificate_begin(const struct lin_statement *statement, struct buf *out)
{
    buf_printf(out,
               "ordeal certificate 1: linearizable\nmodel %s\ninitial %s\nnil-reads %s\nkeyed %s\n"
               "events %u\n",
               statement->model->name, statement->initial,
               statement->nil_is_unknown ? "unknown" : "value",
               statement->keys->keyed ? "yes" : "no", statement->history->count);
}

static void add_key(struct value key, struct buf *out)
{
    buf_add_text(out, " key ");
    value_print(key, out);
    buf_add_char(out, '\n');
}

static void add_number(uint32_t number, bool optional, uint32_t count, struct buf *out)
{
    if (count > 0)
        buf_add_char(out, count % PER_LINE == 0 ? '\n' : ' ');
    buf_printf(out, "%u%s", number, optional ? "?" : "");
}

/* By value: the event of the insertion that put it in; values of these histories are distinct. */
static uint32_t *inserted_by(const struct lin_problem *problem, struct arena *arena)
{
    uint32_t values = problem->space->values.count;
    uint32_t *events = arena_alloc(arena, ((size_t)values + 1) * sizeof *events);
    memset(events, 0xff, ((size_t)values + 1) * sizeof *events);
    for (uint32_t i = 0; i < problem->op_count; i++) {
        struct model_touch touch = problem->model->touch(&problem->ops[i].op);
        if (touch.act == MODEL_INSERT)
            events[touch.value] = problem->ops[i].op.event;
    }
    return events;
}

void lin_certificate_order(const struct lin_problem *problem, struct value key,
                           const struct lin_order *order, struct buf *out)
{
    struct arena arena = ARENA_INIT;
    uint32_t *inserted = order->took == NULL ? NULL : inserted_by(problem, &arena);
    buf_printf(out, "valid %u", order->count);
    add_key(key, out);
    for (uint32_t i = 0; i < order->count; i++) {
        add_number(problem->ops[order->ops[i]].op.event, false, i, out);
        if (order->took != NULL && order->took[i] != MODEL_ANY)
            buf_printf(out, "<%u", inserted[order->took[i]]);
    }
    if (order->count > 0)
        buf_add_char(out, '\n');
    arena_free(&arena);
}

static uint32_t event_at(const struct lin_problem *problem, uint32_t position)
{
    const struct lin_op *op = &problem->ops[LIN_EVENT_OP(problem->events[position])];
    return LIN_EVENT_RETURNS(problem->events[position]) ? op->completion : op->op.event;
}

void lin_certificate_heart(const struct lin_problem *problem, struct value key,
                           const struct lin_heart *heart, struct buf *out)
{
    struct buf list = BUF_INIT;
    uint32_t count = 0;
    for (uint32_t i = 0; !heart->whole && i < heart->problem.op_count; i++) {
        const struct lin_op *op = &heart->problem.ops[i];
        add_number(op->op.event, !op->op.known, count++, &list);
    }
    for (uint32_t i = 0; heart->whole && i < problem->op_count; i++) {
        const struct lin_op *op = &problem->ops[i];
        bool known = op->op.known && op->returned <= heart->until && op->invoked >= heart->begin;
        if (op->invoked <= heart->until && (known || !op->pure))
            add_number(op->op.event, !known, count++, &list);
    }
    buf_printf(out, "invalid %u from %u until %u by %s", count, event_at(problem, heart->begin),
               event_at(problem, heart->until), lin_mode_name(heart->mode));
    add_key(key, out);
    buf_add(out, list.data, list.length);
    buf_add_char(out, '\n');
    buf_free(&list);
}

void lin_certificate_unknown(struct value key, struct buf *out)
{
    buf_add_text(out, "unknown 0");
    add_key(key, out);
}

/* ---- Reading ---- */

struct reader {
    const char *at;
    uint32_t line;
    struct buf *trouble;
    struct arena arena;
    const struct history *history;
    const struct model *model;
    struct lin_reading reading;
    struct lin_keys keys;
    struct lin_budget *budget;
};

static bool refuse(struct reader *r, const char *what)
{
    if (r->trouble->length == 0)
        buf_printf(r->trouble, "line %u of the certificate: %s", r->line, what);
    return false;
}

/* "NAME rest": the rest of the line; NULL when the line is another. */
static const char *take_line(struct reader *r, const char *name)
{
    size_t length = strlen(name), line = strcspn(r->at, "\n");
    r->line++;
    if (strncmp(r->at, name, length) != 0 || r->at[line] == '\0')
        return NULL;
    const char *rest = arena_strndup(&r->arena, r->at + length, line - length);
    r->at += line + 1;
    return rest;
}

static bool take_number(const char **at, uint32_t *number)
{
    char *end;
    if (**at < '0' || **at > '9')
        return false;
    unsigned long long value = strtoull(*at, &end, 10);
    *at = end;
    *number = (uint32_t)value;
    return value < UINT32_MAX;
}

static bool take_word(const char **at, const char *word)
{
    size_t length = strlen(word);
    if (strncmp(*at, word, length) != 0)
        return false;
    *at += length;
    return true;
}

static bool read_header(struct reader *r)
{
    struct err err = ERR_INIT;
    const char *line;
    if (take_line(r, "ordeal certificate 1: linearizable") == NULL)
        return refuse(r, "not 'ordeal certificate 1: linearizable'");
    if ((line = take_line(r, "model ")) == NULL || (r->model = model_find(line)) == NULL)
        return refuse(r, "no model that is known here");
    if ((line = take_line(r, "initial ")) == NULL ||
        edn_parse_all(&r->arena, line, strlen(line), &r->reading.initial, &err) != ERR_NONE)
        return refuse(r, "no initial value");
    if ((line = take_line(r, "nil-reads ")) == NULL)
        return refuse(r, "not 'nil-reads value' or 'nil-reads unknown'");
    r->reading.nil_is_unknown = strcmp(line, "unknown") == 0;
    if ((line = take_line(r, "keyed ")) == NULL)
        return refuse(r, "not 'keyed yes' or 'keyed no'");
    lin_keys_split(&r->keys, r->history, strcmp(line, "yes") == 0 ? KEYED_YES : KEYED_NO,
                   &r->arena);
    if (r->keys.trouble.length > 0)
        return refuse(r, buf_text(&r->keys.trouble));
    uint32_t events = 0;
    if ((line = take_line(r, "events ")) == NULL || !take_number(&line, &events) ||
        events != r->history->count)
        return refuse(r, "the history has another number of events");
    return true;
}

/* ---- Proving one key ---- */

struct claim {
    enum verdict verdict;
    uint32_t count, from, until;
    int mode;
    const char *key;
    uint32_t *ops; /* numbers of operations */
    bool *optional;
    int64_t *took; /* see struct lin_order */
};

static bool read_claim(struct reader *r, struct claim *claim)
{
    static const char *const names[] = {
        [VERDICT_VALID] = "valid ", [VERDICT_UNKNOWN] = "unknown ", [VERDICT_INVALID] = "invalid "};
    const char *line = NULL;
    *claim = (struct claim){.verdict = VERDICT_VALID, .mode = -1};
    for (int i = 0; i < 3 && line == NULL; i++) {
        claim->verdict = (enum verdict)i;
        line = take_line(r, names[i]);
        r->line -= line == NULL && i < 2;
    }
    if (line == NULL || !take_number(&line, &claim->count) || claim->count > r->history->count)
        return refuse(r, "not 'valid', 'invalid' or 'unknown' and a number of operations");
    const char *key = strstr(line, " key ");
    if (key == NULL)
        return refuse(r, "names no key");
    claim->key = key + strlen(" key ");
    if (claim->verdict != VERDICT_INVALID)
        return true;
    bool good = take_word(&line, " from ") && take_number(&line, &claim->from) &&
                take_word(&line, " until ") && take_number(&line, &claim->until) &&
                take_word(&line, " by ");
    if (good && key >= line)
        claim->mode = lin_mode_of(arena_strndup(&r->arena, line, (size_t)(key - line)));
    return claim->mode >= 0 || refuse(r, "not 'invalid COUNT from EVENT until EVENT by SEARCH'");
}

/* The operation invoked at an event; LIN_NEVER: there is none. */
static uint32_t op_invoked_at(const struct lin_problem *problem, uint32_t event)
{
    uint32_t at = lin_problem_from_event(problem, event);
    return at < problem->op_count && problem->ops[at].op.event == event ? at : LIN_NEVER;
}

/* "<EVENT": what a removal whose outcome is not known took, by its insertion. */
static bool read_took(struct reader *r, const struct lin_problem *problem, int64_t *took)
{
    uint32_t event, op;
    *took = MODEL_ANY;
    if (!take_word(&r->at, "<"))
        return true;
    if (!take_number(&r->at, &event) || problem->model->container == MODEL_NO_CONTAINER ||
        (op = op_invoked_at(problem, event)) == LIN_NEVER)
        return refuse(r, "not '<' and the event of an insertion");
    struct model_touch touch = problem->model->touch(&problem->ops[op].op);
    *took = touch.value;
    return touch.act == MODEL_INSERT || refuse(r, "'<' names no insertion");
}

static bool read_ops(struct reader *r, const struct lin_problem *problem, struct claim *claim)
{
    claim->took = arena_alloc(&r->arena, ((size_t)claim->count + 1) * sizeof *claim->took);
    claim->ops = arena_alloc(&r->arena, ((size_t)claim->count + 1) * sizeof *claim->ops);
    claim->optional = arena_zalloc(&r->arena, (size_t)claim->count + 1);
    r->line += claim->count > 0;
    for (uint32_t i = 0; i < claim->count; i++) {
        uint32_t event = 0;
        if (!take_number(&r->at, &event))
            return refuse(r, "fewer operations than it says");
        claim->ops[i] = op_invoked_at(problem, event);
        if (claim->ops[i] == LIN_NEVER)
            return refuse(r, "an event that invokes no operation of this key which counts");
        claim->optional[i] = take_word(&r->at, "?");
        if (!read_took(r, problem, &claim->took[i]))
            return false;
        if (*r->at != (i + 1 == claim->count ? '\n' : ' ') && *r->at != '\n')
            return refuse(r, "not event numbers and blanks");
        r->line += *r->at++ == '\n' && i + 1 < claim->count;
    }
    return true;
}

static bool position_of(const struct lin_problem *problem, uint32_t event, uint32_t *position)
{
    for (uint32_t i = 0; i < problem->event_count; i++) {
        *position = i;
        if (event_at(problem, i) == event)
            return true;
    }
    return false;
}

/* May what is not shown be left out, once what is pure and what lies outside is? */
static bool may_leave_out(struct reader *r, const struct lin_problem *problem,
                          const uint8_t *choice, uint32_t until)
{
    struct lin_left_out left = {.problem = problem, .choice = choice, .until = until};
    if (problem->model->effect != NULL)
        return lin_left_out_of_register(&left, &r->arena) ||
               refuse(r, "leaves out an operation that may have changed something");
    if (problem->model->container != MODEL_NO_CONTAINER)
        return lin_left_out_of_container(&left, &r->arena) ||
               refuse(r, "leaves out some but not all that touches a value");
    return refuse(r, "leaves out an operation that may have changed something");
}

/* The operations that are shown and nothing else, as a weaker problem; and may the others be left
 * out? */
static bool weaken(struct reader *r, const struct lin_problem *problem, const struct claim *claim,
                   struct lin_problem *weaker)
{
    struct lin_weakening weakening = {.begin = 0};
    if (!position_of(problem, claim->from, &weakening.begin) ||
        !position_of(problem, claim->until, &weakening.until) ||
        (weakening.begin > 0 && problem->model->effect == NULL))
        return refuse(r, "from and until are no events of this key, or of no use for this model");
    uint8_t *choice = arena_alloc(&r->arena, (size_t)problem->op_count + 1);
    memset(choice, LIN_DROP, (size_t)problem->op_count + 1);
    for (uint32_t i = 0; i < claim->count; i++)
        choice[claim->ops[i]] = claim->optional[i] ? LIN_OPTIONAL : LIN_KEEP;
    bool complete = true;
    for (uint32_t i = 0; i < problem->op_count && complete; i++) {
        const struct lin_op *op = &problem->ops[i];
        bool outside =
            op->invoked > weakening.until || (op->op.known && op->returned < weakening.begin);
        complete = choice[i] != LIN_DROP || op->pure || outside;
    }
    if (!complete && weakening.begin > 0)
        return refuse(r, "leaves out an operation that may have changed something");
    if (!complete && !may_leave_out(r, problem, choice, weakening.until))
        return false;
    weakening.choice = choice;
    lin_problem_weaken(problem, &weakening, &r->arena, weaker);
    return true;
}

static bool prove(struct reader *r, const struct lin_problem *problem, const struct claim *claim)
{
    if (claim->verdict == VERDICT_VALID)
        return lin_verify_order(problem,
                                &(struct lin_order){claim->ops, claim->took, claim->count}) ||
               refuse(r, "the order is none that the model and real time allow");
    struct lin_problem weaker;
    if (!weaken(r, problem, claim, &weaker))
        return false;
    if (((unsigned)claim->mode & (LIN_WGL_FREE | LIN_WGL_BRIEF)) != 0 &&
        problem->model->effect == NULL)
        return refuse(r, "a search that is not for this model");
    struct lin_answer answer;
    lin_wgl(&weaker, (unsigned)claim->mode, r->budget, &answer);
    free(answer.order);
    if (answer.verdict == VERDICT_UNKNOWN)
        return refuse(r, "the budget does not suffice to search these operations");
    return answer.verdict == VERDICT_INVALID || refuse(r, "these operations do have an order");
}

/* The key that is named and not yet proved. */
static bool find_key(struct reader *r, const char *name, bool *done, uint32_t *key)
{
    struct buf text = BUF_INIT;
    for (*key = 0; *key < r->keys.count; ++*key) {
        buf_clear(&text);
        value_print(r->keys.keys[*key], &text);
        if (!done[*key] && strcmp(buf_text(&text), name) == 0)
            break;
    }
    buf_free(&text);
    if (*key == r->keys.count)
        return refuse(r, "a key that the history has not, or named twice");
    done[*key] = true;
    return true;
}

static bool prove_key(struct reader *r, bool *done, uint32_t counts[3])
{
    struct claim claim;
    struct lin_problem problem;
    uint32_t key;
    if (!read_claim(r, &claim) || !find_key(r, claim.key, done, &key))
        return false;
    counts[claim.verdict]++;
    if (claim.verdict == VERDICT_UNKNOWN)
        return true;
    uint32_t first = r->keys.first[key], end = r->keys.first[key + 1];
    if (!lin_problem_build(&problem, &r->arena, r->model, r->history, r->keys.events + first,
                           end - first, r->keys.keyed, &r->reading, r->trouble))
        return false;
    return read_ops(r, &problem, &claim) && prove(r, &problem, &claim);
}

bool lin_certificate_verify(const struct history *history, const char *text,
                            struct lin_budget *budget, uint32_t counts[3], struct buf *trouble)
{
    struct reader r = {
        .at = text, .trouble = trouble, .arena = ARENA_INIT, .history = history, .budget = budget};
    bool good = read_header(&r);
    counts[0] = counts[1] = counts[2] = 0;
    bool *done = good ? arena_zalloc(&r.arena, (size_t)r.keys.count + 1) : NULL;
    for (uint32_t i = 0; good && i < r.keys.count; i++)
        good = prove_key(&r, done, counts);
    if (good && *r.at != '\0')
        good = refuse(&r, "more than the keys of the history");
    lin_keys_free(&r.keys);
    arena_free(&r.arena);
    return good;
}
