/* The faults of a run: see faults.h. */
#include "harness/faults.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/base/clock.h"
#include "harness/nemesis_file.h"
#include "harness/scheduler.h"

struct entry {
    struct fault fault;
    struct test *test; /* with the options of its step */
    uint32_t step;
    struct watch_sight sight; /* who led before it began */
    int64_t in_flight;        /* operations of clients when it was in force; -1: not known */
    struct arena arena;
    bool in_force;
    bool ended;
    int64_t begin_asked_ns, begin_done_ns, end_asked_ns, end_done_ns;
    struct err error; /* of the beginning, or else of the end */
};

struct faults {
    struct test *test;
    struct faults_context context;
    FILE *schedule;
    pthread_mutex_t lock; /* for readers; one thread at a time does faults */
    struct entry **entries;
    uint32_t count;
};

enum err_code faults_open(struct test *test, const char *path, struct faults **out, struct err *err)
{
    struct faults *faults = calloc(1, sizeof *faults);
    if (faults == NULL)
        return err_set(err, ERR_NOMEM, "no memory for faults");
    faults->test = test;
    faults->schedule = fopen(path, "we");
    if (faults->schedule == NULL) {
        free(faults);
        return err_errno(err, errno, "create %s", path);
    }
    pthread_mutex_init(&faults->lock, NULL);
    *out = faults;
    return ERR_NONE;
}

void faults_follow(struct faults *faults, const struct faults_context *context)
{
    faults->context = *context;
}

void faults_close(struct faults *faults)
{
    if (faults == NULL)
        return;
    for (uint32_t i = 0; i < faults->count; i++) {
        struct entry *entry = faults->entries[i];
        buf_free(&entry->fault.begun_evidence);
        buf_free(&entry->fault.ended_evidence);
        free(entry->fault.state);
        arena_free(&entry->arena);
        free(entry);
    }
    free(faults->entries);
    fclose(faults->schedule);
    pthread_mutex_destroy(&faults->lock);
    free(faults);
}

/* ---- Writing down ---- */

static struct json *value_text_json(struct value value)
{
    struct buf text = BUF_INIT;
    value_print(value, &text);
    struct json *json = json_text(buf_text(&text));
    buf_free(&text);
    return json;
}

static struct json *nodes_json(const struct test *test, node_set nodes)
{
    struct json *list = json_array();
    for (uint32_t i = 0; i < test->node_count; i++)
        if (node_in(nodes, i))
            json_add(list, json_text(test->nodes[i].name));
    return list;
}

static struct json *phase_json(const struct entry *entry, bool begin)
{
    const struct fault *fault = &entry->fault;
    struct json *phase = json_object();
    json_set_int(phase, "asked-ns", begin ? entry->begin_asked_ns : entry->end_asked_ns);
    json_set_int(phase, "done-ns", begin ? entry->begin_done_ns : entry->end_done_ns);
    json_set_bool(phase, "verified",
                  (begin ? fault->begun_verified : fault->ended_verified) == VERIFIED_YES);
    json_set_text(phase, "evidence",
                  buf_text(begin ? &fault->begun_evidence : &fault->ended_evidence));
    return phase;
}

/* In what state the cluster was when it began, so far as that was seen. */
static struct json *state_json(const struct test *test, const struct entry *entry)
{
    const struct watch_sight *sight = &entry->sight;
    struct json *state = json_object();
    if (sight->known) {
        json_set(state, "primaries", nodes_json(test, sight->primaries));
        json_set_bool(state, "primary-hit", (sight->primaries & entry->fault.nodes) != 0);
        json_set_int(state, "seen-before-ns", entry->begin_asked_ns - sight->seen_ns);
    }
    if (entry->in_flight >= 0)
        json_set_int(state, "in-flight", entry->in_flight);
    return state;
}

static void write_line(struct faults *faults, const struct entry *entry, bool begin)
{
    const struct fault *fault = &entry->fault;
    struct json *line = phase_json(entry, begin);
    json_set_int(line, "fault", fault->id);
    json_set_text(line, "phase", begin ? "begin" : "end");
    json_set_text(line, "nemesis", fault->nemesis->name);
    if (nemesis_path(fault->nemesis) != NULL) /* by which it can be repeated */
        json_set_text(line, "file", nemesis_path(fault->nemesis));
    json_set_text(line, "f", begin ? fault->nemesis->begin_f : fault->nemesis->end_f);
    json_set(line, "asked", value_text_json(fault->asked));
    json_set(line, "value", value_text_json(fault->done));
    json_set(line, "nodes", nodes_json(faults->test, fault->nodes));
    json_set_int(line, "step", entry->step);
    if (begin)
        json_set(line, "state", state_json(faults->test, entry));
    if (entry->error.code != ERR_NONE)
        json_set_text(line, "error", entry->error.message);
    struct buf text = BUF_INIT;
    json_print(line, JSON_COMPACT, &text);
    fprintf(faults->schedule, "%s\n", text.data);
    fflush(faults->schedule);
    buf_free(&text);
    json_free(line);
}

struct json *faults_json(struct faults *faults)
{
    struct json *list = json_array();
    pthread_mutex_lock(&faults->lock);
    for (uint32_t i = 0; i < faults->count; i++) {
        const struct entry *entry = faults->entries[i];
        struct json *object = json_add(list, json_object());
        json_set_int(object, "id", entry->fault.id);
        json_set_text(object, "nemesis", entry->fault.nemesis->name);
        json_set(object, "asked", value_text_json(entry->fault.asked));
        json_set(object, "done", value_text_json(entry->fault.done));
        json_set(object, "nodes", nodes_json(faults->test, entry->fault.nodes));
        json_set_int(object, "step", entry->step);
        json_set(object, "state", state_json(faults->test, entry));
        json_set(object, "begin", phase_json(entry, true));
        if (entry->ended)
            json_set(object, "end", phase_json(entry, false));
        if (entry->error.code != ERR_NONE)
            json_set_text(object, "error", entry->error.message);
    }
    pthread_mutex_unlock(&faults->lock);
    return list;
}

void faults_print_in_force(struct faults *faults, struct buf *out)
{
    pthread_mutex_lock(&faults->lock);
    for (uint32_t i = 0; i < faults->count; i++) {
        const struct entry *entry = faults->entries[i];
        if (!entry->in_force)
            continue;
        buf_printf(out, "%s%s of ", out->length > 0 ? ", " : "", entry->fault.nemesis->name);
        test_print_nodes(faults->test, entry->fault.nodes, out);
    }
    pthread_mutex_unlock(&faults->lock);
}

/* ---- Doing ---- */

static int64_t in_flight(const struct faults *faults)
{
    if (faults->context.scheduler == NULL)
        return -1;
    struct scheduler_counts counts = scheduler_counts(faults->context.scheduler);
    return (int64_t)(counts.invoked - counts.ok - counts.fail - counts.info);
}

/* A repeated fault that hit others than it did then is not the same fault. */
static void check_repeat(const struct faults *faults, struct entry *entry,
                         const struct schedule_step *step)
{
    node_set then = 0;
    struct fault *fault = &entry->fault;
    if (step == NULL || !step->repeats ||
        (schedule_nodes(faults->test, step->where, step->hit, step->hit_count, &then, NULL) ==
             ERR_NONE &&
         then == fault->nodes))
        return;
    fault->begun_verified = VERIFIED_NO;
    buf_add_text(&fault->begun_evidence, "; but not the same as then, which hit ");
    test_print_nodes(faults->test, then, &fault->begun_evidence);
}

static struct entry *entry_new(struct faults *faults, const struct nemesis *nemesis,
                               struct value asked)
{
    struct entry *entry = calloc(1, sizeof *entry);
    struct entry **entries = realloc(faults->entries, (faults->count + 1) * sizeof *entries);
    if (entry == NULL || entries == NULL)
        abort();
    entry->arena = ARENA_INIT;
    entry->fault = (struct fault){.id = faults->count + 1, .nemesis = nemesis};
    entry->test = faults->test;
    entry->in_flight = -1;
    entry->fault.arena = &entry->arena;
    entry->fault.asked = value_copy(&entry->arena, asked);
    entry->fault.state = calloc(1, nemesis->fault_state_size + 1);
    if (entry->fault.state == NULL)
        abort();
    pthread_mutex_lock(&faults->lock);
    faults->entries = entries;
    faults->entries[faults->count++] = entry;
    pthread_mutex_unlock(&faults->lock);
    return entry;
}

static void set_error(struct op *op, struct arena *arena, const char *keyword, const char *why)
{
    op->error = value_pair(arena, value_keyword(arena, keyword), value_string(arena, why));
}

static void begin_fault(struct faults *faults, const struct nemesis *nemesis, struct op *op)
{
    struct entry *entry = entry_new(faults, nemesis, op->value);
    struct schedule_now now = {.of = NULL};
    if (faults->context.schedule != NULL) {
        now = schedule_now(faults->context.schedule);
        entry->test = now.test;
        entry->step = now.step;
    }
    entry->sight = watch_sight(faults->context.watch);
    entry->begin_asked_ns = test_now_ns(faults->test);
    struct err err = ERR_INIT;
    enum err_code code = nemesis->begin(entry->test, &entry->fault, &err);
    if (code == ERR_NONE)
        check_repeat(faults, entry, now.of);
    entry->in_flight = code == ERR_NONE ? in_flight(faults) : -1;
    pthread_mutex_lock(&faults->lock);
    entry->begin_done_ns = test_now_ns(faults->test);
    entry->error = err;
    entry->in_force = code == ERR_NONE;
    pthread_mutex_unlock(&faults->lock);
    op->value = entry->fault.done;
    if (code != ERR_NONE)
        set_error(op, &entry->arena, "failed", err.message);
    else if (entry->fault.begun_verified != VERIFIED_YES)
        set_error(op, &entry->arena, "not-verified", buf_text(&entry->fault.begun_evidence));
    write_line(faults, entry, true);
    struct buf text = BUF_INIT;
    test_print_nodes(faults->test, entry->fault.nodes, &text);
    if (code != ERR_NONE)
        test_log(faults->test, "fault %u: %s failed: %s", entry->fault.id, nemesis->name,
                 err.message);
    else
        test_log(faults->test, "fault %u: %s of %s: %s", entry->fault.id, nemesis->name,
                 buf_text(&text), buf_text(&entry->fault.begun_evidence));
    buf_free(&text);
}

static enum err_code end_fault(struct faults *faults, struct entry *entry, struct op *op,
                               struct err *err)
{
    const struct nemesis *nemesis = entry->fault.nemesis;
    struct err why = ERR_INIT;
    entry->end_asked_ns = test_now_ns(faults->test);
    struct value begun = entry->fault.done;
    enum err_code code = nemesis->end(entry->test, &entry->fault, &why);
    struct value ended = entry->fault.done; /* some say what the undoing did */
    entry->fault.done = begun;
    pthread_mutex_lock(&faults->lock);
    entry->end_done_ns = test_now_ns(faults->test);
    entry->in_force = false;
    entry->ended = true;
    if (code != ERR_NONE)
        entry->error = why;
    pthread_mutex_unlock(&faults->lock);
    op->value = !value_equal(ended, begun) && code == ERR_NONE
                    ? ended
                    : value_keyword(&entry->arena, code == ERR_NONE ? "healed" : "not-healed");
    if (code != ERR_NONE)
        set_error(op, &entry->arena, "failed", why.message);
    else if (entry->fault.ended_verified != VERIFIED_YES)
        set_error(op, &entry->arena, "not-verified", buf_text(&entry->fault.ended_evidence));
    write_line(faults, entry, false);
    if (code != ERR_NONE) {
        test_log(faults->test, "fault %u: undoing %s failed: %s", entry->fault.id, nemesis->name,
                 why.message);
        return err_set(err, code, "undo fault %u (%s): %s", entry->fault.id, nemesis->name,
                       why.message);
    }
    test_log(faults->test, "fault %u: %s undone: %s", entry->fault.id, nemesis->name,
             buf_text(&entry->fault.ended_evidence));
    return ERR_NONE;
}

void faults_do(struct faults *faults, struct op *op)
{
    const struct plan *plan = faults->test->plan;
    const char *f = faults->test->history->f_names[op->f];
    for (size_t i = 0; i < plan->nemesis_count; i++) {
        const struct nemesis *nemesis = plan->nemeses[i];
        if (strcmp(nemesis->begin_f, f) == 0) {
            begin_fault(faults, nemesis, op);
            return;
        }
        if (strcmp(nemesis->end_f, f) != 0)
            continue;
        op->value = value_nil();
        for (uint32_t j = faults->count; j-- > 0;)
            if (faults->entries[j]->in_force && faults->entries[j]->fault.nemesis == nemesis)
                (void)!end_fault(faults, faults->entries[j], op, NULL);
        return;
    }
    abort(); /* only the schedule makes such operations */
}

enum err_code faults_end_all(struct faults *faults, struct scheduler *scheduler, struct err *err)
{
    enum err_code first = ERR_NONE;
    for (uint32_t i = faults->count; i-- > 0;) {
        struct entry *entry = faults->entries[i];
        if (!entry->in_force)
            continue;
        struct op op = {.type = OP_INFO, .process = PROCESS_NEMESIS};
        op.f = history_f(faults->test->history, entry->fault.nemesis->end_f);
        scheduler_record(scheduler, &op);
        enum err_code code = end_fault(faults, entry, &op, first == ERR_NONE ? err : NULL);
        op.type = OP_INFO;
        scheduler_record(scheduler, &op);
        if (first == ERR_NONE)
            first = code;
    }
    return first;
}
