/* Watching a run for its first certain violation: see live.h. */
#include "harness/live.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "harness/base/clock.h"
#include "harness/base/rests.h"
#include "harness/histories/value_table.h"

enum {
    COPY_EVENTS = 4096, /* at a time under the lock: tens of microseconds */
    REST_FACTOR = 9,
    LOOK_SECONDS = 10,
    LOOK_MIB = 512,
};

const char *const live_checkers[] = {"linearizable", "transactions", NULL};

struct live {
    struct live_options options;
    struct json *values; /* options of checkers */
    struct history prefix;
    uint32_t judged;  /* events of the prefix that the last look saw */
    bool known_keyed; /* the last look took the values for [key value] */
    const struct check_watch *watch;
    void *watching; /* NULL: it does not, or no longer */
    struct live_costs costs;
    pthread_t thread;
    struct rests rests;
};

static void copy_prefix(struct live *live)
{
    while (scheduler_copy(live->options.scheduler, &live->prefix, COPY_EVENTS) == COPY_EVENTS)
        continue;
}

/* The key of a client's operation, by its invocation. */
static bool key_of(const struct history *history, uint32_t event, struct value *key)
{
    uint32_t asked = history->type[event] == OP_INVOKE ? event : history->partner[event];
    if (asked == HISTORY_NONE || !value_is_pair(history->value[asked]))
        return false;
    *key = value_at(history->value[asked], 0);
    return true;
}

/* Every event of the keys that have news. False: some operation has no key, so all is to be judged.
 */
static bool take_changed(const struct live *live, struct history *part)
{
    const struct history *prefix = &live->prefix;
    struct arena arena = ARENA_INIT;
    struct value_table changed;
    struct value key;
    bool keyed = true;
    value_table_init(&changed, &arena);
    for (uint32_t i = live->judged; keyed && i < prefix->count; i++) {
        if (!history_is_client(prefix, i))
            continue;
        keyed = key_of(prefix, i, &key);
        if (keyed)
            value_table_id(&changed, key);
    }
    for (uint32_t f = 0; f < prefix->f_count; f++)
        history_f(part, prefix->f_names[f]);
    for (uint32_t i = 0; keyed && i < prefix->count; i++) {
        if (!history_is_client(prefix, i) || !key_of(prefix, i, &key) || value_is_nil(key) ||
            value_table_find(&changed, key) == UINT32_MAX)
            continue;
        enum err_code code;
        struct op op = history_op(prefix, i);
        history_append_own(part, &op, &code);
        keyed = code == ERR_NONE;
    }
    arena_free(&arena);
    return keyed;
}

/* Judges one history; true, with the reason, when it is certainly invalid. */
static bool is_violated(struct live *live, struct history *history, enum keyed keyed,
                        struct buf *why)
{
    struct err err = ERR_INIT;
    enum verdict verdict;
    if (history_pair(history, &err) != ERR_NONE)
        return false; /* the whole will not be judged either, and says why */
    struct check_input input = {.history = history,
                                .limits = {.time_ns = LOOK_SECONDS * NS_PER_SECOND,
                                           .memory_bytes = (size_t)LOOK_MIB << 20,
                                           .threads = 1},
                                .options = {json_copy(live->values)},
                                .keyed = keyed};
    const char *name = live->options.checker;
    option_defaults(&input.options, name, checker_find(name)->options);
    struct json *results = check_all(&name, 1, &input, &verdict);
    const struct json *result = json_get(json_get(results, "checkers"), name);
    live->known_keyed = json_as_bool(json_get(result, "keyed"), false);
    bool linearizable = strcmp(name, "linearizable") == 0;
    bool certified = !linearizable || json_as_bool(json_get(result, "certified"), false);
    bool violated = verdict == VERDICT_INVALID && certified;
    live->costs.undecided += verdict != VERDICT_VALID && !violated;
    const char *reason = json_as_text(json_get(result, "reason"), name);
    /* Of transactions the names of what was found are enough: the rest takes many lines. */
    const char *end = linearizable ? NULL : strstr(reason, ". ");
    if (violated)
        buf_add(why, reason, end == NULL ? strlen(reason) : (size_t)(end - reason));
    json_free(results);
    json_free(input.options.values);
    return violated;
}

/* Whether the whole prefix is to be judged now. Where somebody reads along that is when something
 * was found, and at times for what it does not look for: whenever a quarter more is there. */
static bool is_due(struct live *live)
{
    if (live->watching == NULL)
        return true;
    enum watch_answer answer = live->watch->feed(live->watching, &live->prefix);
    if (answer == WATCH_CLEAN)
        return live->prefix.count / 5 >= live->judged / 4;
    live->watch->close(live->watching);
    live->watching = NULL;
    return true;
}

static bool look(struct live *live, struct buf *why)
{
    copy_prefix(live);
    if (live->prefix.count == live->costs.events)
        return false;
    live->costs.looks++;
    live->costs.events = live->prefix.count;
    if (!is_due(live))
        return false;
    live->costs.judged++;
    struct err err = ERR_INIT;
    struct history part;
    history_init(&part);
    bool violated = false;
    bool changed = live->known_keyed && history_pair(&live->prefix, &err) == ERR_NONE &&
                   take_changed(live, &part);
    if (changed)
        violated = is_violated(live, &part, live->options.keyed, why);
    if (violated && !live->known_keyed)
        buf_clear(why); /* a part that does not look keyed by itself says nothing */
    if (!changed || !live->known_keyed)
        violated = is_violated(live, &live->prefix, live->options.keyed, why);
    live->judged = live->prefix.count;
    history_free(&part);
    return violated;
}

static int64_t spent_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (int64_t)now.tv_sec * NS_PER_SECOND + now.tv_nsec;
}

static void *watch(void *argument)
{
    struct live *live = argument;
    int64_t rest_ns = live->options.rest_ns;
    while (rests_for(&live->rests, rest_ns)) {
        struct buf why = BUF_INIT;
        int64_t began_ns = clock_monotonic_ns();
        bool violated = look(live, &why);
        int64_t took_ns = clock_monotonic_ns() - began_ns;
        if (violated)
            live->options.on_violation(live->options.state, buf_text(&why));
        buf_free(&why);
        if (violated)
            break;
        rest_ns = took_ns * REST_FACTOR;
        if (rest_ns < live->options.rest_ns)
            rest_ns = live->options.rest_ns;
    }
    live->costs.spent_ns = spent_ns();
    return NULL;
}

static void open_watch(struct live *live)
{
    const struct checker *checker = checker_find(live->options.checker);
    live->watch = checker->watch;
    if (live->watch == NULL)
        return;
    struct options options = {json_copy(live->values)};
    option_defaults(&options, checker->name, checker->options);
    live->watching = live->watch->open(&options, (size_t)LOOK_MIB << 20);
    json_free(options.values);
}

static void free_live(struct live *live)
{
    if (live->watching != NULL)
        live->watch->close(live->watching);
    history_free(&live->prefix);
    json_free(live->values);
    rests_free(&live->rests);
    free(live);
}

enum err_code live_start(const struct live_options *options, struct live **out, struct err *err)
{
    struct live *live = calloc(1, sizeof *live);
    if (live == NULL)
        return err_set(err, ERR_NOMEM, "out of memory for watching the run");
    live->options = *options;
    if (live->options.rest_ns == 0)
        live->options.rest_ns = NS_PER_SECOND / 2;
    live->values = options->options == NULL ? json_object() : json_copy(options->options);
    history_init(&live->prefix);
    open_watch(live);
    rests_init(&live->rests);
    int problem = pthread_create(&live->thread, NULL, watch, live);
    if (problem != 0) {
        free_live(live);
        return err_errno(err, problem, "start the thread that watches the run");
    }
    *out = live;
    return ERR_NONE;
}

void live_stop(struct live *live, struct live_costs *costs)
{
    if (live == NULL)
        return;
    rests_end(&live->rests);
    pthread_join(live->thread, NULL);
    if (costs != NULL)
        *costs = live->costs;
    free_live(live);
}
