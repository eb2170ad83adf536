/* Whether a schedule can be done: see schedule.h. */
#include <string.h>

#include "harness/base/clock.h"
#include "harness/base/text.h"
#include "harness/histories/edn.h"
#include "harness/schedules/schedule_internal.h"

/* ---- Values ---- */

enum err_code schedule_nodes(const struct test *test, const char *where, const char *const *names,
                             size_t count, node_set *nodes, struct err *err)
{
    const char *known[PLAN_NODES_MAX];
    *nodes = 0;
    for (uint32_t i = 0; i < test->node_count; i++)
        known[i] = test->nodes[i].name;
    for (size_t i = 0; i < count; i++) {
        uint32_t node = 0;
        while (node < test->node_count && strcmp(known[node], names[i]) != 0)
            node++;
        const char *near = text_nearest(names[i], known, test->node_count);
        if (node == test->node_count)
            return err_set(err, ERR_CONFIG,
                           "%s: the cluster has no node '%s'%s%s%s; rename it, or take a cluster "
                           "that has it",
                           where, names[i], near == NULL ? "" : " (did you mean ",
                           near == NULL ? "" : near, near == NULL ? "" : "?)");
        *nodes |= NODE_SET(node);
    }
    return ERR_NONE;
}

static enum err_code parse(struct arena *arena, const struct schedule_step *step, const char *name,
                           const char *text, struct value *value, struct err *err)
{
    struct err why = ERR_INIT;
    if (edn_parse_all(arena, text, strlen(text), value, &why) == ERR_NONE)
        return ERR_NONE;
    return err_set(err, ERR_CONFIG, "%s: %s: not EDN: %s", step->where, name, why.message);
}

/* Every name of a node in a value: by the words that nemeses use for them. */
static enum err_code check_names(const struct test *test, const struct schedule_step *step,
                                 struct value value, struct err *err)
{
    node_set nodes;
    if (value_kind(value) == VALUE_STRING) {
        const char *name = value_as_text(value);
        return schedule_nodes(test, step->where, &name, 1, &nodes, err);
    }
    if (value_kind(value) < VALUE_VECTOR || value_kind(value) > VALUE_MAP)
        return ERR_NONE;
    enum err_code code = ERR_NONE;
    for (size_t i = 0; i < value_count(value) && code == ERR_NONE; i++)
        code = check_names(test, step, value_at(value, i), err);
    return code;
}

static enum err_code check_value(const struct test *test, const struct schedule_step *step,
                                 struct value value, struct err *err)
{
    static const char *const about_nodes[] = {"nodes", "parts", "bridge", "drops", "behind"};
    enum err_code code = ERR_NONE;
    if (value_kind(value) == VALUE_MAP)
        for (size_t i = 0; i < sizeof about_nodes / sizeof *about_nodes && code == ERR_NONE; i++)
            code = check_names(test, step, value_get(value, about_nodes[i]), err);
    return code;
}

enum err_code schedule_value(struct test *test, const struct schedule_step *step,
                             const struct nemesis *nemesis, struct prng *prng, struct arena *arena,
                             struct value *value, struct err *err)
{
    struct value done;
    node_set hit;
    if (step->value == NULL) {
        *value = nemesis->choose(test, prng, arena);
        return ERR_NONE;
    }
    if (parse(arena, step, "value", step->value, value, err) != ERR_NONE ||
        check_value(test, step, *value, err) != ERR_NONE)
        return err == NULL ? ERR_CONFIG : err->code;
    if (!step->repeats)
        return ERR_NONE;
    if (parse(arena, step, "done", step->done, &done, err) != ERR_NONE ||
        schedule_nodes(test, step->where, step->hit, step->hit_count, &hit, err) != ERR_NONE)
        return err == NULL ? ERR_CONFIG : err->code;
    if (nemesis->repeat != NULL)
        *value = nemesis->repeat(test, *value, done, hit, arena);
    return ERR_NONE;
}

/* ---- Before the run ---- */

/* A nemesis is checked once for each set of options that it is to have. */
static enum err_code check_nemeses(struct schedule *schedule, struct err *err)
{
    const struct plan *plan = schedule->test->plan;
    bool checked[PLAN_NEMESES_MAX] = {false};
    for (size_t i = 0; i < schedule->lane_count; i++) {
        struct lane *lane = &schedule->lanes[i];
        for (size_t j = 0; j < lane->step->nemesis_count && lane->place == 0; j++) {
            const struct nemesis *nemesis = lane->step->nemeses[j];
            size_t place = 0;
            while (plan->nemeses[place] != nemesis)
                place++;
            if (lane->step->set == NULL && checked[place])
                continue;
            checked[place] = checked[place] || lane->step->set == NULL;
            if (nemesis->check(lane_test(schedule, lane), err) == ERR_NONE)
                continue;
            if (err != NULL &&
                err->code == ERR_UNSUPPORTED) /* a plan that does not fit the nodes */
                err->code = ERR_CONFIG;
            return plan->schedule_file == NULL && json_get(plan->values, "schedule") == NULL
                       ? err_wrap(err, "nemesis %s", nemesis->name)
                       : err_wrap(err, "%s: nemesis %s", lane->step->where, nemesis->name);
        }
    }
    return ERR_NONE;
}

/* What the lane will ask for first, drawn ahead from a copy of its stream. */
static enum err_code foresee(struct schedule *schedule, struct lane *lane, node_set *where,
                             struct err *err)
{
    struct arena arena = ARENA_INIT;
    struct prng prng = lane->prng;
    struct value value;
    struct test *test = lane_test(schedule, lane);
    enum err_code code =
        schedule_value(test, lane->step, lane->step->nemeses[0], &prng, &arena, &value, err);
    if (code == ERR_NONE)
        *where = schedule_where(test, lane->step->nemeses[0], value);
    arena_free(&arena);
    return code;
}

static int64_t end_of(const struct schedule_step *step)
{
    return step->for_ns >= 0   ? step->at_ns + step->for_ns
           : step->end_ns >= 0 ? step->end_ns
                               : INT64_MAX;
}

static enum err_code refuse(const struct schedule_step *a, const struct schedule_step *b,
                            struct err *err)
{
    bool same = a->nemeses[0] == b->nemeses[0];
    return err_set(err, ERR_CONFIG,
                   "%s: %s overlaps with %s of %s, and %s; move one of them, or make the first "
                   "shorter",
                   b->where, b->nemeses[0]->name, a->nemeses[0]->name, a->where,
                   same ? "a nemesis is not in force twice at a time"
                        : "both lay hands on the same thing");
}

static enum err_code check_overlaps(struct schedule *schedule, struct err *err)
{
    struct arena arena = ARENA_INIT;
    node_set *where = arena_zalloc(&arena, (schedule->lane_count + 1) * sizeof *where);
    enum err_code code = ERR_NONE;
    for (size_t i = 0; i < schedule->lane_count && code == ERR_NONE; i++)
        if (schedule->lanes[i].step->kind != STEP_OFTEN)
            code = foresee(schedule, &schedule->lanes[i], &where[i], err);
    for (size_t i = 0; i < schedule->lane_count; i++)
        for (size_t j = 0; j < i && code == ERR_NONE; j++) {
            const struct schedule_step *a = schedule->lanes[j].step, *b = schedule->lanes[i].step;
            if (a->kind == STEP_AT && b->kind == STEP_AT && a->at_ns < end_of(b) &&
                b->at_ns < end_of(a) &&
                schedule_clash(a->nemeses[0], where[j], b->nemeses[0], where[i]))
                code = refuse(a, b, err);
        }
    arena_free(&arena);
    return code;
}

enum err_code schedule_check(struct schedule *schedule, struct err *err)
{
    enum err_code code = check_nemeses(schedule, err);
    return code == ERR_NONE ? check_overlaps(schedule, err) : code;
}
