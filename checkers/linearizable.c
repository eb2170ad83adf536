/* Linearizability (Herlihy and Wing, 1990): each operation seems to happen at one moment between
 * its invocation and its return. Judged key by key, each within a share of the time; what could not
 * be decided is tried once more with what is left.
 *
 * The parts, in checkers/linearizable/: keys (splitting), problem (decoding), engine (searches:
 * wgl, frontier), verify and shrink (certificates), explain (words), judge (one key), budget. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "checkers/checkers.h"
#include "checkers/linearizable/certificate.h"
#include "checkers/linearizable/judge.h"
#include "harness/base/clock.h"
#include "harness/base/text.h"
#include "harness/histories/edn.h"
#include "harness/model_file.h"

enum { ANOMALIES_MAX = 20, THREADS_MAX = 64 };

struct session {
    const struct check_input *input;
    struct check_result *result;
    const struct model *model;
    struct lin_reading reading;
    const struct lin_engine *engine;
    bool monitors; /* the engine was left to us */
    struct lin_keys keys;
    struct lin_verdict *verdicts;
    struct lin_memory memory;
    struct lin_budget budget;
    atomic_uint next_key, invalid_count;
};

static void judge_key(struct session *session, uint32_t key, struct lin_budget budget)
{
    struct lin_task task = {.history = session->input->history,
                            .reading = &session->reading,
                            .model = session->model,
                            .engine = session->engine,
                            .keys = &session->keys,
                            .key = key,
                            .monitors = session->monitors,
                            .prove = session->input->certificate != NULL,
                            .explain = atomic_load(&session->invalid_count) < ANOMALIES_MAX};
    lin_judge(&task, &budget, &session->verdicts[key]);
    if (session->verdicts[key].verdict == VERDICT_INVALID)
        atomic_fetch_add(&session->invalid_count, 1);
}

/* A thread's work: keys while there are any. A quarter of the time left for each, so that a few
 * hard keys cannot starve the many easy ones. */
static void *work(void *argument)
{
    struct session *session = argument;
    for (;;) {
        uint32_t key = atomic_fetch_add(&session->next_key, 1);
        if (key >= session->keys.count)
            return NULL;
        struct lin_budget budget = session->budget;
        if (budget.deadline_ns != INT64_MAX && session->keys.count > 1)
            budget = lin_share(&budget, 4, 0);
        judge_key(session, key, budget);
    }
}

static void judge_all(struct session *session)
{
    pthread_t threads[THREADS_MAX];
    int wanted = session->input->limits.threads, started = 0;
    wanted = wanted > THREADS_MAX ? THREADS_MAX : wanted;
    wanted = (int64_t)session->keys.count < wanted ? (int)session->keys.count : wanted;
    while (started < wanted - 1 && pthread_create(&threads[started], NULL, work, session) == 0)
        started++;
    work(session); /* this thread too, so that one that cannot be started is no harm */
    while (started > 0)
        pthread_join(threads[--started], NULL);
}

/* What ran out of its share gets equal parts of what is left, and all the memory. */
static void judge_again(struct session *session)
{
    uint32_t left = 0;
    for (uint32_t key = 0; key < session->keys.count; key++)
        left += session->verdicts[key].out_of_budget;
    if (session->keys.count == 1)
        return; /* it had everything */
    for (uint32_t key = 0; key < session->keys.count; key++) {
        if (!session->verdicts[key].out_of_budget)
            continue;
        if (!lin_late(&session->budget)) {
            struct lin_budget budget = session->budget;
            if (budget.deadline_ns != INT64_MAX)
                budget = lin_share(&budget, left, 0);
            lin_verdict_free(&session->verdicts[key]);
            judge_key(session, key, budget);
        }
        left--;
    }
}

/* ---- The result ---- */

static void add_key(const struct session *session, uint32_t key, struct buf *out)
{
    if (session->keys.keyed)
        value_print(session->keys.keys[key], out);
    else
        buf_add_text(out, "(whole history)");
}

static void add_anomaly(struct session *session, uint32_t key)
{
    struct lin_explanation *explanation = &session->verdicts[key].explanation;
    struct json *anomaly =
        check_anomaly(session->result, "nonlinearizable", explanation->title, explanation->text,
                      explanation->events, explanation->event_count);
    for (const struct json *field = json_first(explanation->fields); field != NULL;
         field = json_next(field))
        json_set(anomaly, json_key(field), json_copy(field));
}

static void report_invalid(struct session *session, const uint32_t counts[3])
{
    bool said = false;
    for (uint32_t key = 0; key < session->keys.count; key++) {
        const struct lin_verdict *verdict = &session->verdicts[key];
        if (verdict->verdict != VERDICT_INVALID || !verdict->explained)
            continue;
        add_anomaly(session, key);
        if (!said && session->keys.keyed)
            check_verdict(session->result, VERDICT_INVALID,
                          "%u of %u keys are not linearizable: %s", counts[VERDICT_INVALID],
                          session->keys.count, verdict->explanation.text);
        else if (!said)
            check_verdict(session->result, VERDICT_INVALID, "not linearizable: %s",
                          verdict->explanation.text);
        said = true;
    }
    if (!said)
        check_verdict(session->result, VERDICT_INVALID, "%u of %u keys are not linearizable",
                      counts[VERDICT_INVALID], session->keys.count);
}

static void report_unknown(struct session *session, const uint32_t counts[3])
{
    struct json *list = json_set(session->result->details, "unknown", json_array());
    uint32_t listed = 0;
    for (uint32_t key = 0; key < session->keys.count; key++) {
        const struct lin_verdict *verdict = &session->verdicts[key];
        if (verdict->verdict != VERDICT_UNKNOWN)
            continue;
        struct buf name = BUF_INIT;
        add_key(session, key, &name);
        if (listed == 0 && session->keys.keyed)
            check_verdict(session->result, VERDICT_UNKNOWN, "%u of %u keys: key %s: %s",
                          counts[VERDICT_UNKNOWN], session->keys.count, buf_text(&name),
                          buf_text(&verdict->reason));
        else if (listed == 0)
            check_verdict(session->result, VERDICT_UNKNOWN, "%s", buf_text(&verdict->reason));
        if (listed++ < ANOMALIES_MAX) {
            struct json *entry = json_add(list, json_object());
            json_set_text(entry, "key", buf_text(&name));
            json_set_text(entry, "reason", buf_text(&verdict->reason));
        }
        buf_free(&name);
    }
}

/* How many keys each engine decided. */
static void report_deciders(const struct session *session, struct json *deciders)
{
    for (uint32_t key = 0; key < session->keys.count; key++) {
        const char *name = session->verdicts[key].decided_by;
        json_set_int(deciders, name, json_as_int(json_get(deciders, name), 0) + 1);
    }
}

/* Sums and the key that took longest. */
static void report_details(struct session *session, uint32_t counts[3], uint64_t *observing)
{
    struct json *details = session->result->details;
    uint64_t explored = 0, certified = 0, known = 0;
    uint32_t worst = 0;
    for (uint32_t key = 0; key < session->keys.count; key++) {
        const struct lin_verdict *verdict = &session->verdicts[key];
        counts[verdict->verdict]++;
        explored += verdict->explored;
        certified += verdict->certified;
        known += verdict->ops_known;
        *observing += verdict->ops_observing;
        if (verdict->spent_ns > session->verdicts[worst].spent_ns)
            worst = key;
    }
    json_set_text(details, "model", session->model->name);
    json_set_text(details, "engine", session->engine->name);
    report_deciders(session, json_set(details, "decided-by", json_object()));
    json_set_bool(details, "keyed", session->keys.keyed);
    json_set_text(details, "keyed-why", buf_text(&session->keys.why));
    json_set_int(details, "operation-count", (int64_t)session->keys.operation_count);
    json_set_int(details, "ok-count", (int64_t)known);
    json_set_int(details, "key-count", session->keys.count);
    json_set_int(details, "keys-valid", counts[VERDICT_VALID]);
    json_set_int(details, "keys-invalid", counts[VERDICT_INVALID]);
    json_set_int(details, "keys-unknown", counts[VERDICT_UNKNOWN]);
    json_set_int(details, "keys-certified", (int64_t)certified);
    json_set_bool(details, "certified",
                  certified == counts[VERDICT_VALID] + counts[VERDICT_INVALID]);
    json_set_int(details, "configurations", (int64_t)explored);
    json_set_int(details, "memory-peak-bytes", (int64_t)atomic_load(&session->memory.peak_bytes));
    if (session->keys.count == 0)
        return;
    const struct lin_verdict *verdict = &session->verdicts[worst];
    struct json *entry = json_set(details, "worst-key", json_object());
    struct buf name = BUF_INIT;
    add_key(session, worst, &name);
    json_set_text(entry, "key", buf_text(&name));
    json_set_real(entry, "seconds", (double)verdict->spent_ns / 1e9);
    json_set_int(entry, "operations", verdict->ops);
    json_set_text(entry, "decided-by", verdict->decided_by);
    json_set_int(entry, "widest-frontier", verdict->widest);
    buf_free(&name);
}

static void report(struct session *session)
{
    uint32_t counts[3] = {0, 0, 0};
    uint64_t observing = 0;
    report_details(session, counts, &observing);
    if (counts[VERDICT_INVALID] > 0)
        report_invalid(session, counts);
    if (counts[VERDICT_UNKNOWN] > 0)
        report_unknown(session, counts);
    if (session->keys.operation_count == 0)
        check_verdict(session->result, VERDICT_UNKNOWN, "the history has no client operations");
    else if (counts[VERDICT_UNKNOWN] == 0 && observing == 0)
        check_verdict(session->result, VERDICT_UNKNOWN,
                      "none of %llu operations both succeeded and tells what the state was, so "
                      "nothing was tested",
                      (unsigned long long)session->keys.operation_count);
    if (session->keys.keyed)
        check_verdict(session->result, VERDICT_VALID, "%u keys, %llu operations, model %s",
                      session->keys.count, (unsigned long long)session->keys.operation_count,
                      session->model->name);
    else
        check_verdict(session->result, VERDICT_VALID, "%llu operations on one object, model %s",
                      (unsigned long long)session->keys.operation_count, session->model->name);
}

/* ---- Certificates ---- */

static void write_certificate(const struct session *session)
{
    const struct lin_statement statement = {
        .history = session->input->history,
        .model = session->model,
        .initial = option_text(&session->input->options, "linearizable.initial"),
        .nil_is_unknown = session->reading.nil_is_unknown,
        .keys = &session->keys};
    struct buf *out = session->input->certificate;
    lin_certificate_begin(&statement, out);
    for (uint32_t key = 0; key < session->keys.count; key++)
        if (session->verdicts[key].proof.length > 0)
            buf_add(out, session->verdicts[key].proof.data, session->verdicts[key].proof.length);
        else
            lin_certificate_unknown(session->keys.keys[key], out);
}

static void verify(const struct check_input *input, const char *text, struct check_result *result)
{
    struct lin_memory memory;
    lin_memory_init(&memory, input->limits.memory_bytes);
    struct lin_budget budget = {.memory = &memory, .deadline_ns = INT64_MAX};
    if (input->limits.time_ns > 0)
        budget = lin_slice(&budget, input->limits.time_ns);
    uint32_t counts[3];
    struct buf trouble = BUF_INIT;
    if (!lin_certificate_verify(input->history, text, &budget, counts, &trouble))
        check_verdict(result, VERDICT_UNKNOWN, "not proved: %s", buf_text(&trouble));
    else
        for (int verdict = VERDICT_INVALID; verdict >= VERDICT_VALID; verdict--)
            if (counts[verdict] > 0 || verdict == VERDICT_VALID)
                check_verdict(result, (enum verdict)verdict,
                              "the certificate proves %u keys valid and %u invalid; it leaves %u "
                              "open",
                              counts[VERDICT_VALID], counts[VERDICT_INVALID],
                              counts[VERDICT_UNKNOWN]);
    buf_free(&trouble);
}

/* ---- The checker ---- */

static const struct model *find_model(struct check_result *result, const char *name)
{
    struct err err = ERR_INIT;
    const struct model *model = model_is_file(name) ? model_open(name, &err) : model_find(name);
    if (model != NULL)
        return model;
    if (model_is_file(name)) {
        check_verdict(result, VERDICT_UNKNOWN, "linearizable.model: %s", err.message);
        return NULL;
    }
    const char *names[64];
    size_t count = 0;
    while (models[count] != NULL && count < 64) {
        names[count] = models[count]->name;
        count++;
    }
    const char *near = text_nearest(name, names, count);
    check_verdict(result, VERDICT_UNKNOWN, "linearizable.model: there is no model '%s'%s%s%s", name,
                  near == NULL ? "" : "; did you mean '", near == NULL ? "" : near,
                  near == NULL ? "" : "'?");
    return NULL;
}

static bool read_initial(struct session *session, const char *text, struct arena *arena)
{
    struct err err = ERR_INIT;
    size_t length = strlen(text);
    if (edn_parse_all(arena, text, length, &session->reading.initial, &err) != ERR_NONE) {
        check_verdict(session->result, VERDICT_UNKNOWN, "linearizable.initial: %s", err.message);
        return false;
    }
    const char *nil = option_text(&session->input->options, "linearizable.nil-reads");
    session->reading.nil_is_unknown =
        session->model->holds_value &&
        (strcmp(nil, "unknown") == 0 ||
         (strcmp(nil, "auto") == 0 && !value_is_nil(session->reading.initial)));
    if (session->reading.nil_is_unknown)
        json_set_text(session->result->details, "nil-reads", "taken as unknown");
    if (value_is_nil(session->reading.initial) || session->model->holds_value ||
        session->model->start != NULL)
        return true;
    check_verdict(session->result, VERDICT_UNKNOWN,
                  "linearizable.initial: the model %s begins as it does", session->model->name);
    return false;
}

static void check(const struct check_input *input, struct check_result *result)
{
    const char *engine = option_text(&input->options, "linearizable.engine");
    struct session session = {.input = input, .result = result};
    session.model = find_model(result, option_text(&input->options, "linearizable.model"));
    if (session.model == NULL)
        return;
    session.engine = lin_engine_find(engine, session.model);
    if (session.engine == NULL) {
        check_verdict(result, VERDICT_UNKNOWN,
                      "linearizable.engine: '%s' cannot search the model %s; 'auto' can", engine,
                      session.model->name);
        return;
    }
    session.monitors = strcmp(engine, "auto") == 0;
    struct arena arena = ARENA_INIT;
    if (!read_initial(&session, option_text(&input->options, "linearizable.initial"), &arena)) {
        arena_free(&arena);
        return;
    }
    lin_memory_init(&session.memory, input->limits.memory_bytes);
    session.budget = (struct lin_budget){.memory = &session.memory, .deadline_ns = INT64_MAX};
    if (input->limits.time_ns > 0)
        session.budget = lin_slice(&session.budget, input->limits.time_ns);
    enum keyed keyed = input->keyed;
    if (keyed == KEYED_GUESS && session.model->keys == MODEL_KEYS_NONE)
        keyed = KEYED_NO;
    if (session.model->keys == MODEL_KEYS_INSIDE && strcmp(engine, "auto") == 0)
        keyed = KEYED_YES; /* the model says itself that its keys are objects of their own */
    lin_keys_split(&session.keys, input->history, keyed, &arena);
    if (session.keys.trouble.length > 0)
        check_verdict(result, VERDICT_UNKNOWN, "%s", buf_text(&session.keys.trouble));
    session.verdicts =
        arena_zalloc(&arena, ((size_t)session.keys.count + 1) * sizeof *session.verdicts);
    judge_all(&session);
    judge_again(&session);
    report(&session);
    if (input->certificate != NULL)
        write_certificate(&session);
    for (uint32_t key = 0; key < session.keys.count; key++)
        lin_verdict_free(&session.verdicts[key]);
    lin_keys_free(&session.keys);
    arena_free(&arena);
}

static const struct option options[] = {
    {.name = "model",
     .kind = OPTION_TEXT,
     .fallback = "cas-register",
     .help = "The sequential model that operations must follow; see `ordeal list models`; or the "
             "file of one."},
    {.name = "engine",
     .kind = OPTION_CHOICE,
     .fallback = "auto",
     .choices = "auto|hiding|frontier|appends|wgl",
     .help = "The search; auto takes the quickest that suits the model."},
    {.name = "initial",
     .kind = OPTION_TEXT,
     .fallback = "nil",
     .help = "What the object holds at first, in EDN: 0, \"A\", [1 2]; nil: the model's own."},
    {.name = "nil-reads",
     .kind = OPTION_CHOICE,
     .fallback = "auto",
     .choices = "auto|value|unknown",
     .help = "What a read of nil says: that the value is nil, or nothing, as Knossos takes it; "
             "auto: nothing if the first value is another."},
    {.name = NULL},
};

const struct checker checker_linearizable = {
    .name = "linearizable",
    .summary = "each operation seems to happen at one moment; per key, any model, explained",
    .options = options,
    .check = check,
    .verify = verify,
};
