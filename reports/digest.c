/* A run, digested: see digest.h. Faults are in digest_faults.c, small things in digest_text.c. */
#include "reports/digest.h"

#include <stdlib.h>
#include <string.h>

enum { ERROR_CLASSES_MAX = 64, CLASS_COLUMNS = 80 };

/* ---- Verdict ---- */

/* A reason often repeats the first anomaly, which stands below in full. */
static const char *short_reason(struct arena *arena, const struct json *checker)
{
    const char *reason = json_as_text(json_get(checker, "reason"), "no reason is given");
    const struct json *anomaly = json_first(json_get(checker, "anomalies"));
    const char *text = json_as_text(json_get(anomaly, "text"), "");
    const char *repeated = *text == '\0' ? NULL : strstr(reason, text);
    if (repeated == NULL)
        return reason;
    size_t length = (size_t)(repeated - reason);
    while (length > 0 && strchr(": ", reason[length - 1]) != NULL)
        length--;
    return length > 0 ? arena_strndup(arena, reason, length)
                      : json_as_text(json_get(anomaly, "title"), reason);
}

/* By severity; the order of the results within one. */
static void sort_checkers(struct digest *digest)
{
    for (size_t i = 1; i < digest->checker_count; i++) {
        struct digest_checker checker = digest->checkers[i];
        size_t j = i;
        for (; j > 0 && digest->checkers[j - 1].verdict < checker.verdict; j--)
            digest->checkers[j] = digest->checkers[j - 1];
        digest->checkers[j] = checker;
    }
}

static void take_checkers(struct digest *digest)
{
    const struct json *list = json_get(digest->run->results, "checkers");
    digest->checkers =
        arena_zalloc(&digest->arena, (json_count(list) + 1) * sizeof(struct digest_checker));
    for (const struct json *one = json_first(list); one != NULL; one = json_next(one)) {
        const char *name = json_key(one);
        digest->checkers[digest->checker_count++] = (struct digest_checker){
            .name = name != NULL ? name : "unnamed",
            .verdict = verdict_from_json(json_get(one, "valid")),
            .reason = short_reason(&digest->arena, one),
            .json = one,
            .anomalies = json_get(one, "anomalies"),
        };
        digest->anomaly_count += json_count(json_get(one, "anomalies"));
    }
    sort_checkers(digest);
}

static void take_problems(struct digest *digest)
{
    const struct json *list = json_get(digest->run->results, "problems");
    digest->problems = arena_zalloc(&digest->arena, (json_count(list) + 1) * sizeof(char *));
    for (const struct json *one = json_first(list); one != NULL; one = json_next(one))
        digest->problems[digest->problem_count++] = json_as_text(one, "a problem without words");
}

/* The worst checker's reason, and who else is as bad. */
static const char *worst_reason(struct digest *digest)
{
    const struct digest_checker *worst = digest->checkers;
    size_t as_bad = 0;
    for (size_t i = 1; i < digest->checker_count; i++)
        as_bad += digest->checkers[i].verdict == worst->verdict;
    if (as_bad == 0)
        return worst->reason;
    if (as_bad == 1)
        return arena_printf(&digest->arena, "%s; %s is %s as well", worst->reason,
                            digest->checkers[1].name, verdict_name(worst->verdict));
    return arena_printf(&digest->arena, "%s; %zu other checkers are %s as well", worst->reason,
                        as_bad, verdict_name(worst->verdict));
}

static void take_verdict(struct digest *digest)
{
    const struct digest_checker *worst = digest->checkers;
    digest->verdict = verdict_from_json(json_get(digest->run->results, "valid"));
    if (digest->run->results == NULL)
        digest->headline = "nothing was judged: there are no results";
    else if (digest->checker_count > 0 && worst->verdict >= digest->verdict &&
             digest->verdict != VERDICT_VALID)
        digest->headline = worst_reason(digest);
    else if (digest->verdict != VERDICT_VALID && digest->problem_count > 0)
        digest->headline = digest->problems[0];
    else if (digest->checker_count == 0)
        digest->headline = "no checker judged";
    else if (digest->verdict != VERDICT_VALID)
        digest->headline = "the results do not say why";
    else if (digest->checker_count == 1)
        digest->headline = worst->reason;
    else
        digest->headline =
            arena_printf(&digest->arena, "all %zu checkers are satisfied", digest->checker_count);
}

/* ---- Counting ---- */

/* What an error is counted under: its keyword, [:keyword ...]'s, or all of it. */
static const char *class_of(struct arena *arena, struct value error)
{
    struct buf text = BUF_INIT;
    bool listed = value_kind(error) == VALUE_VECTOR || value_kind(error) == VALUE_LIST;
    if (listed && value_count(error) > 0 && value_kind(value_at(error, 0)) == VALUE_KEYWORD)
        error = value_at(error, 0);
    else if (value_kind(error) == VALUE_MAP &&
             value_kind(value_get(error, "type")) == VALUE_KEYWORD)
        error = value_get(error, "type");
    digest_value(&text, error, CLASS_COLUMNS);
    const char *name = arena_strdup(arena, buf_text(&text));
    buf_free(&text);
    return name;
}

/* The class's place, made when new; the last place takes all that are too many. */
static uint32_t place_error(struct digest *digest, struct value error)
{
    const char *class = class_of(&digest->arena, error);
    for (size_t i = 0; i < digest->error_count; i++)
        if (strcmp(digest->errors[i].class, class) == 0)
            return (uint32_t)i;
    if (digest->error_count == ERROR_CLASSES_MAX) {
        digest->errors[ERROR_CLASSES_MAX - 1].class = "(others)";
        digest->errors_lumped = true;
        return ERROR_CLASSES_MAX - 1;
    }
    digest->errors[digest->error_count] = (struct digest_error){
        .class = class, .example = HISTORY_NONE, .place = (uint32_t)digest->error_count};
    return (uint32_t)digest->error_count++;
}

struct counting {
    struct digest *digest;
    unsigned char *process_seen;
    size_t process_bytes;
};

static void count_process(struct counting *counting, int32_t process)
{
    size_t byte = (size_t)process / 8;
    if (byte >= counting->process_bytes)
        return;
    unsigned bit = 1u << process % 8;
    counting->digest->process_count += (counting->process_seen[byte] & bit) == 0;
    counting->process_seen[byte] |= (unsigned char)bit;
}

static void count_error(struct counting *counting, uint32_t completion, enum op_type outcome)
{
    struct digest *digest = counting->digest;
    const struct history *history = digest->run->history;
    uint32_t id = history->error[completion];
    if (digest->class_of[id] == 0)
        digest->class_of[id] = place_error(digest, history->errors[id]) + 1;
    struct digest_error *error = &digest->errors[digest->class_of[id] - 1];
    error->count[OP_INVOKE]++;
    error->count[outcome]++;
    if (error->example == HISTORY_NONE)
        error->example = completion;
}

static void count_operation(struct counting *counting, uint32_t invocation)
{
    struct digest *digest = counting->digest;
    const struct history *history = digest->run->history;
    uint32_t completion = history->partner == NULL ? HISTORY_NONE : history->partner[invocation];
    enum op_type outcome =
        completion == HISTORY_NONE ? OP_INFO : (enum op_type)history->type[completion];
    struct digest_function *function =
        &digest->functions[digest->function_of[history->f[invocation]]];
    function->count[OP_INVOKE]++;
    function->count[outcome]++;
    digest->total[OP_INVOKE]++;
    digest->total[outcome]++;
    count_process(counting, history->process[invocation]);
    if (completion == HISTORY_NONE)
        return;
    int64_t from_ns = history->time_ns[invocation], to_ns = history->time_ns[completion];
    if (from_ns >= 0 && to_ns >= from_ns)
        latency_add(&function->latency[outcome], to_ns - from_ns);
    if (history->error[completion] != 0)
        count_error(counting, completion, outcome);
}

static void note_time(struct digest *digest, int64_t ns)
{
    if (ns < 0)
        return;
    digest->begin_ns = !digest->timed || ns < digest->begin_ns ? ns : digest->begin_ns;
    digest->end_ns = !digest->timed || ns > digest->end_ns ? ns : digest->end_ns;
    digest->timed = true;
}

static void count_all(struct digest *digest)
{
    const struct history *history = digest->run->history;
    struct counting counting = {.digest = digest};
    int32_t most = 0;
    for (uint32_t i = 0; i < history->count; i++)
        most = history->process[i] > most ? history->process[i] : most;
    counting.process_bytes = (size_t)most / 8 + 1;
    if (counting.process_bytes > (size_t)history->count + 64) /* numbers far apart: do not count */
        counting.process_bytes = 0;
    counting.process_seen = arena_zalloc(&digest->arena, counting.process_bytes + 1);
    digest->class_of =
        arena_zalloc(&digest->arena, ((size_t)history->error_count + 1) * sizeof *digest->class_of);
    for (uint32_t i = 0; i < history->count; i++) {
        note_time(digest, history->time_ns[i]);
        if (history_is_client(history, i) && history->type[i] == OP_INVOKE)
            count_operation(&counting, i);
    }
    if (digest->begin_ns < (digest->end_ns - digest->begin_ns) / 10)
        digest->begin_ns = 0; /* the run began at 0, and nothing happened at once */
}

/* ---- Order ---- */

static int by_use(const void *a, const void *b)
{
    const struct digest_function *x = a, *y = b;
    if (x->count[OP_INVOKE] != y->count[OP_INVOKE])
        return x->count[OP_INVOKE] < y->count[OP_INVOKE] ? 1 : -1;
    return strcmp(x->name, y->name);
}

static int by_frequency(const void *a, const void *b)
{
    const struct digest_error *x = a, *y = b;
    if (x->count[OP_INVOKE] != y->count[OP_INVOKE])
        return x->count[OP_INVOKE] < y->count[OP_INVOKE] ? 1 : -1;
    return (x->example > y->example) - (x->example < y->example);
}

/* Most used first; those that only nemeses use are left out. */
static void sort_functions(struct digest *digest)
{
    const struct history *history = digest->run->history;
    qsort(digest->functions, history->f_count, sizeof *digest->functions, by_use);
    for (uint32_t i = 0; i < history->f_count; i++) {
        digest->function_count += digest->functions[i].count[OP_INVOKE] > 0;
        int f = history_find_f(history, digest->functions[i].name);
        if (f >= 0)
            digest->function_of[f] = (uint16_t)i;
    }
}

static void sort_errors(struct digest *digest)
{
    uint32_t now[ERROR_CLASSES_MAX];
    if (digest->error_count == 0)
        return;
    qsort(digest->errors, digest->error_count, sizeof *digest->errors, by_frequency);
    for (uint32_t i = 0; i < digest->error_count; i++)
        now[digest->errors[i].place] = i;
    for (uint32_t id = 0; id <= digest->run->history->error_count; id++)
        if (digest->class_of[id] != 0)
            digest->class_of[id] = now[digest->class_of[id] - 1] + 1;
}

int digest_error_class(const struct digest *digest, uint32_t event)
{
    const struct history *history = digest->run->history;
    if (!history_is_client(history, event) || history->type[event] == OP_INVOKE ||
        history->error[event] == 0)
        return -1;
    return (int)digest->class_of[history->error[event]] - 1;
}

static const struct history *no_history(void)
{
    static struct history none;
    return &none;
}

void digest_make(const struct run *run, struct digest *digest)
{
    *digest = (struct digest){.arena = ARENA_INIT};
    struct run *own = arena_zalloc(&digest->arena, sizeof *own);
    *own = *run;
    if (own->history == NULL)
        own->history = no_history();
    digest->run = own;
    take_checkers(digest);
    take_problems(digest);
    take_verdict(digest);
    const struct history *history = own->history;
    digest->functions =
        arena_zalloc(&digest->arena, ((size_t)history->f_count + 1) * sizeof *digest->functions);
    digest->function_of =
        arena_zalloc(&digest->arena, ((size_t)history->f_count + 1) * sizeof *digest->function_of);
    digest->errors = arena_zalloc(&digest->arena, ERROR_CLASSES_MAX * sizeof *digest->errors);
    for (uint32_t f = 0; f < history->f_count; f++) {
        digest->functions[f].name = history->f_names[f];
        digest->function_of[f] = (uint16_t)f;
    }
    count_all(digest);
    sort_functions(digest);
    sort_errors(digest);
    digest_faults(digest);
    digest_marks(digest);
}

void digest_free(struct digest *digest)
{
    for (uint32_t f = 0; f < digest->run->history->f_count; f++)
        for (int outcome = 0; outcome < DIGEST_OUTCOMES; outcome++)
            latency_free(&digest->functions[f].latency[outcome]);
    arena_free(&digest->arena);
}
