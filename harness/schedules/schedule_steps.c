/* A plan's schedule, read: see schedule.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/base/clock.h"
#include "harness/base/text.h"
#include "harness/nemesis_file.h"
#include "harness/plugin.h"
#include "harness/schedules/schedule.h"

enum { STEPS_MAX = 20000, LINES_MAX = 1000 };

const struct nemesis *schedule_nemesis(const char *name, const char *where, struct err *err)
{
    const struct nemesis *nemesis = nemesis_is_file(name)
                                        ? nemesis_open(name, err)
                                        : plugin_resolve(nemeses, "nemesis", "nemeses", name, err);
    if (nemesis == NULL && *where != '\0')
        err_wrap(err, "%s", where);
    return nemesis;
}

/* ---- Words ---- */

static enum err_code parse_number(const char *text, int64_t *number, struct err *err)
{
    char *end;
    long long read = strtoll(text, &end, 10);
    if (end == text || *end != '\0' || read < 1 || read > STEP_OVERLAP_MAX)
        return err_set(err, ERR_CONFIG, "'%s' is not 1 to %d", text, STEP_OVERLAP_MAX);
    *number = read;
    return ERR_NONE;
}

typedef enum err_code parse_fn(const char *text, int64_t *number, struct err *err);

/* "10s", or "10s..1s". */
static enum err_code parse_range(struct arena *arena, const char *where, const char *name,
                                 const char *text, parse_fn *parse, struct step_range *range,
                                 struct err *err)
{
    const char *dots = strstr(text, "..");
    const char *first = dots == NULL ? text : arena_strndup(arena, text, (size_t)(dots - text));
    struct err why = ERR_INIT;
    enum err_code code = parse(first, &range->first, &why);
    range->last = range->first;
    if (code == ERR_NONE && dots != NULL)
        code = parse(dots + 2, &range->last, &why);
    return code == ERR_NONE ? code : err_set(err, code, "%s: %s: %s", where, name, why.message);
}

/* "partition=3,kill": names with weights. */
static enum err_code parse_nemeses(struct plan *plan, const char *text, struct schedule_step *step,
                                   bool *weighted, struct err *err)
{
    const char **names;
    size_t count = text_split(&plan->arena, text, ',', &names);
    *weighted = false;
    if (count > PLAN_NEMESES_MAX)
        return err_set(err, ERR_CONFIG, "%s: more than %d nemeses", step->where, PLAN_NEMESES_MAX);
    for (size_t i = 0; i < count; i++) {
        const char *equals = strchr(names[i], '='), *name = names[i];
        double weight = 1;
        if (equals != NULL) {
            char *end;
            name = arena_strndup(&plan->arena, names[i], (size_t)(equals - names[i]));
            weight = strtod(equals + 1, &end);
            *weighted = true;
            if (end == equals + 1 || *end != '\0' || !(weight > 0) || weight > 1e6)
                return err_set(err, ERR_CONFIG,
                               "%s: the weight of %s is not a number above 0: write %s=3",
                               step->where, name, name);
        }
        const struct nemesis *nemesis = schedule_nemesis(name, "", err);
        if (nemesis == NULL)
            return err->code;
        for (size_t j = 0; j < step->nemesis_count; j++)
            if (step->nemeses[j] == nemesis)
                return err_set(err, ERR_CONFIG, "the nemesis %s is named twice", name);
        step->weights[step->nemesis_count] = weight;
        step->nemeses[step->nemesis_count++] = nemesis;
    }
    return ERR_NONE;
}

static enum err_code add_nemeses(struct plan *plan, const struct schedule_step *step,
                                 struct err *err)
{
    for (size_t i = 0; i < step->nemesis_count; i++) {
        size_t known = 0;
        while (known < plan->nemesis_count && plan->nemeses[known] != step->nemeses[i])
            known++;
        if (known == PLAN_NEMESES_MAX)
            return err_set(err, ERR_CONFIG, "%s: more than %d nemeses", step->where,
                           PLAN_NEMESES_MAX);
        plan->nemeses[known] = step->nemeses[i];
        plan->nemesis_count += known == plan->nemesis_count;
    }
    return ERR_NONE;
}

/* ---- Again and again ---- */

static enum err_code read_pace(struct plan *plan, const char *interval, const char *duration,
                               const char *overlap, const char *order, bool weighted,
                               struct schedule_step *step, struct err *err)
{
    bool flag = strcmp(step->where, "nemesis") == 0;
    const char *prefix = flag ? "nemesis-" : "";
    const char *where = flag ? "plan" : step->where;
    struct arena *arena = &plan->arena;
    if (parse_range(arena, where, arena_printf(arena, "%sinterval", prefix), interval,
                    clock_parse_duration, &step->interval, err) != ERR_NONE ||
        parse_range(arena, where, arena_printf(arena, "%sduration", prefix), duration,
                    clock_parse_duration, &step->duration, err) != ERR_NONE ||
        parse_range(arena, where, arena_printf(arena, "%soverlap", prefix), overlap, parse_number,
                    &step->overlap, err) != ERR_NONE)
        return err->code;
    if (step->nemesis_count > 0 &&
        (step->duration.first > step->interval.first || step->duration.last > step->interval.last))
        return err_set(err, ERR_CONFIG,
                       "%s%snemesis-duration: %s is longer than the "
                       "nemesis-interval of %s",
                       flag ? "" : where, flag ? "" : ": ", duration, interval);
    if (order != NULL && strcmp(order, "rounds") != 0 && strcmp(order, "random") != 0)
        return err_set(err, ERR_CONFIG, "%s: %sorder: '%s' is none of rounds|random", where, prefix,
                       order);
    step->rounds = order == NULL ? !weighted : strcmp(order, "rounds") == 0;
    if (step->rounds && weighted)
        return err_set(err, ERR_CONFIG,
                       "%s: weights are for %sorder=random: in rounds each comes once", where,
                       prefix);
    return ERR_NONE;
}

static enum err_code read_flags(struct plan *plan, struct err *err)
{
    struct schedule_step *step = arena_zalloc(&plan->arena, sizeof *step);
    const char *text = plan_text(plan, "nemesis");
    bool weighted = false;
    step->where = "nemesis";
    step->kind = STEP_OFTEN;
    if (strcmp(text, "none") != 0 && parse_nemeses(plan, text, step, &weighted, err) != ERR_NONE)
        return err->code;
    if (read_pace(plan, plan_text(plan, "nemesis-interval"), plan_text(plan, "nemesis-duration"),
                  plan_text(plan, "nemesis-overlap"), plan_text(plan, "nemesis-order"), weighted,
                  step, err) != ERR_NONE)
        return err->code;
    plan->steps = step;
    plan->step_count = step->nemesis_count > 0;
    return add_nemeses(plan, step, err);
}

/* ---- A step of a file ---- */

static const char *const members[] = {
    "at",    "when", "of",  "delay",    "times",    "nemesis", "for",   "until", "set",
    "value", "done", "hit", "interval", "duration", "overlap", "order", "from",  NULL};

static enum err_code check_members(const struct json *object, const char *where, struct err *err)
{
    for (const struct json *member = json_first(object); member != NULL;
         member = json_next(member)) {
        size_t count = 0;
        bool known = false;
        for (; members[count] != NULL; count++)
            known = known || strcmp(members[count], json_key(member)) == 0;
        const char *near = known ? NULL : text_nearest(json_key(member), members, count);
        if (!known)
            return err_set(err, ERR_CONFIG, "%s: a step has no member '%s'%s%s%s", where,
                           json_key(member), near == NULL ? "" : "; did you mean '",
                           near == NULL ? "" : near, near == NULL ? "" : "'?");
    }
    return ERR_NONE;
}

static const char *member_text(struct plan *plan, const struct json *object, const char *name)
{
    const struct json *member = json_get(object, name);
    return member == NULL ? NULL : plan_scalar_text(&plan->arena, member);
}

static enum err_code member_duration(struct plan *plan, const struct json *object,
                                     const char *where, const char *name, int64_t *ns,
                                     struct err *err)
{
    const char *text = member_text(plan, object, name);
    struct err why = ERR_INIT;
    if (text == NULL || clock_parse_duration(text, ns, &why) == ERR_NONE)
        return ERR_NONE;
    return err_set(err, ERR_CONFIG, "%s: %s: %s", where, name, why.message);
}

static enum err_code read_when(struct plan *plan, const struct json *object,
                               struct schedule_step *step, struct err *err)
{
    static const char *const names[] = {"new-primary", "no-primary", "begun", "ended"};
    const char *when = member_text(plan, object, "when"), *of = member_text(plan, object, "of");
    const char *times = member_text(plan, object, "times");
    size_t trigger = 0;
    while (trigger < 4 && strcmp(names[trigger], when) != 0)
        trigger++;
    if (trigger == 4)
        return err_set(err, ERR_CONFIG,
                       "%s: when: '%s' is none of new-primary|no-primary|begun|ended", step->where,
                       when);
    step->trigger = (enum trigger)trigger;
    bool about_faults = trigger >= TRIGGER_BEGUN;
    if (about_faults != (of != NULL))
        return err_set(err, ERR_CONFIG,
                       about_faults ? "%s: when %s: say of which nemesis, {\"of\": \"kill\"}"
                                    : "%s: when %s: it is of no nemesis; leave 'of' out",
                       step->where, when);
    if (about_faults && (step->of = schedule_nemesis(of, step->where, err)) == NULL)
        return err->code;
    if (!about_faults && plan->system->primaries == NULL)
        return err_set(err, ERR_CONFIG,
                       "%s: when %s: the system %s cannot tell which nodes lead; use at, begun or "
                       "ended",
                       step->where, when, plan->system->name);
    char *end = NULL;
    long number = times == NULL ? 1 : strtol(times, &end, 10);
    if (times != NULL && (end == times || *end != '\0' || number < 0 || number > 1000000))
        return err_set(err, ERR_CONFIG, "%s: times: '%s' is not a number of times (0: every time)",
                       step->where, times);
    step->times = (uint32_t)number;
    return member_duration(plan, object, step->where, "delay", &step->delay_ns, err);
}

static enum err_code read_set(struct plan *plan, const struct json *object,
                              struct schedule_step *step, struct err *err)
{
    const struct json *set = json_get(object, "set");
    if (set == NULL)
        return ERR_NONE;
    if (json_kind(set) != JSON_OBJECT || step->nemesis_count != 1)
        return err_set(err, ERR_CONFIG,
                       "%s: set: options of the step's one nemesis, as in {\"targets\": \"n1\"}",
                       step->where);
    for (const struct json *one = json_first(set); one != NULL; one = json_next(one)) {
        const struct option *option = step->nemeses[0]->options;
        while (option != NULL && option->name != NULL && strcmp(option->name, json_key(one)) != 0)
            option++;
        if (option == NULL || option->name == NULL)
            return err_set(err, ERR_CONFIG,
                           "%s: set: the nemesis %s has no option '%s' (ordeal list nemeses)",
                           step->where, step->nemeses[0]->name, json_key(one));
        const char *value = plan_scalar_text(&plan->arena, one);
        if (value == NULL || option_check(option, step->nemeses[0]->name, value, err) != ERR_NONE)
            return value != NULL ? err_wrap(err, "%s: set", step->where)
                                 : err_set(err, ERR_CONFIG,
                                           "%s: set: %s must be a text, a number "
                                           "or a boolean",
                                           step->where, json_key(one));
    }
    step->set = set;
    return ERR_NONE;
}

/* What a repeated fault did and hit. */
static enum err_code read_past(struct plan *plan, const struct json *object,
                               struct schedule_step *step, struct err *err)
{
    const struct json *hit = json_get(object, "hit");
    step->value = member_text(plan, object, "value");
    step->done = member_text(plan, object, "done");
    step->repeats = step->done != NULL || hit != NULL;
    step->hit = arena_zalloc(&plan->arena, (json_count(hit) + 1) * sizeof *step->hit);
    for (const struct json *name = json_first(hit); name != NULL; name = json_next(name))
        step->hit[step->hit_count++] = json_as_text(name, "");
    if (step->repeats && (step->value == NULL || step->done == NULL || hit == NULL))
        return err_set(err, ERR_CONFIG,
                       "%s: a fault that is repeated has value, done and hit, as --replay makes "
                       "them",
                       step->where);
    if (step->value != NULL && step->kind == STEP_OFTEN)
        return err_set(err, ERR_CONFIG,
                       "%s: a value is for one fault: add at or when, or use set instead",
                       step->where);
    return ERR_NONE;
}

static enum err_code read_times(struct plan *plan, const struct json *object,
                                struct schedule_step *step, struct err *err)
{
    const char *where = step->where;
    bool lasts = json_get(object, "for") != NULL, until = json_get(object, "until") != NULL;
    step->for_ns = step->end_ns = -1;
    if (step->kind == STEP_OFTEN) {
        if (lasts)
            return err_set(err, ERR_CONFIG,
                           "%s: a step without at or when goes on by itself: say duration, not for",
                           where);
        enum err_code code = member_duration(plan, object, where, "from", &step->from_ns, err);
        return code != ERR_NONE
                   ? code
                   : member_duration(plan, object, where, "until", &step->until_ns, err);
    }
    if (lasts && until)
        return err_set(err, ERR_CONFIG, "%s: say for or until, not both", where);
    if (member_duration(plan, object, where, "at", &step->at_ns, err) != ERR_NONE ||
        member_duration(plan, object, where, "for", &step->for_ns, err) != ERR_NONE ||
        member_duration(plan, object, where, "until", &step->end_ns, err) != ERR_NONE)
        return err->code;
    if (step->kind == STEP_AT && step->at_ns >= plan->time_limit_ns)
        return err_set(err, ERR_CONFIG,
                       "%s: at %s: the run has only a time-limit of %s; make that longer", where,
                       member_text(plan, object, "at"), plan_text(plan, "time-limit"));
    if (step->kind == STEP_AT && until && step->end_ns <= step->at_ns)
        return err_set(err, ERR_CONFIG, "%s: until %s is not after at %s", where,
                       member_text(plan, object, "until"), member_text(plan, object, "at"));
    return ERR_NONE;
}

static const char *or_field(struct plan *plan, const struct json *object, const char *name)
{
    const char *text = member_text(plan, object, name);
    return text != NULL ? text : plan_text(plan, arena_printf(&plan->arena, "nemesis-%s", name));
}

static enum err_code read_step(struct plan *plan, const struct json *object,
                               struct schedule_step *step, struct err *err)
{
    bool weighted = false;
    if (json_kind(object) != JSON_OBJECT)
        return err_set(err, ERR_CONFIG,
                       "%s: a step is an object such as {\"at\": \"5s\", \"nemesis\": \"kill\", "
                       "\"for\": \"2s\"}",
                       step->where);
    if (check_members(object, step->where, err) != ERR_NONE)
        return err->code;
    bool at = json_get(object, "at") != NULL, when = json_get(object, "when") != NULL;
    if (at && when)
        return err_set(err, ERR_CONFIG, "%s: say at or when, not both", step->where);
    step->kind = at ? STEP_AT : when ? STEP_WHEN : STEP_OFTEN;
    const char *names = member_text(plan, object, "nemesis");
    if (names == NULL || *names == '\0')
        return err_set(err, ERR_CONFIG, "%s: it names no nemesis (ordeal list nemeses)",
                       step->where);
    if (parse_nemeses(plan, names, step, &weighted, err) != ERR_NONE)
        return strncmp(err->message, step->where, strlen(step->where)) == 0
                   ? err->code
                   : err_wrap(err, "%s", step->where);
    if (step->kind != STEP_OFTEN && (step->nemesis_count != 1 || weighted))
        return err_set(err, ERR_CONFIG, "%s: with at or when it is one nemesis", step->where);
    if (read_times(plan, object, step, err) != ERR_NONE ||
        read_set(plan, object, step, err) != ERR_NONE ||
        read_past(plan, object, step, err) != ERR_NONE ||
        (when && read_when(plan, object, step, err) != ERR_NONE))
        return err->code;
    if (step->kind == STEP_OFTEN)
        return read_pace(plan, or_field(plan, object, "interval"),
                         or_field(plan, object, "duration"), or_field(plan, object, "overlap"),
                         or_field(plan, object, "order"), weighted, step, err);
    return ERR_NONE;
}

/* ---- The file ---- */

/* The line of each object directly in the first array of the text, from `from` on. */
static void find_lines(const char *text, const char *from, int *lines, size_t count)
{
    int line = 1, depth = 0;
    size_t found = 0;
    for (const char *c = text; *c != '\0' && found < count; c++) {
        line += *c == '\n';
        if (c < from)
            continue;
        if (*c == '"') {
            for (c++; *c != '\0' && *c != '"'; c++)
                c += *c == '\\' && c[1] != '\0';
            if (*c == '\0')
                return;
            continue;
        }
        if (depth == 1 && (*c == '{' || *c == '['))
            lines[found++] = line;
        depth += (*c == '{' || *c == '[') - (*c == '}' || *c == ']');
        if (depth <= 0 && found > 0)
            return;
    }
}

void schedule_note_lines(struct plan *plan, const char *path, const char *text)
{
    const char *from = strstr(text, "\"schedule\"");
    const char *array = from == NULL ? text : strchr(from, '[');
    plan->schedule_file = arena_strdup(&plan->arena, path);
    plan->schedule_lines = arena_zalloc(&plan->arena, LINES_MAX * sizeof(int));
    find_lines(text, array == NULL ? text : array, plan->schedule_lines, LINES_MAX);
}

static enum err_code load(struct plan *plan, const char *path, struct err *err)
{
    struct buf text = BUF_INIT;
    struct json *root = NULL;
    enum err_code code = file_read(path, 64 << 20, &text, err);
    if (code == ERR_NONE)
        code = json_parse(text.data, text.length, path, &root, err);
    if (code == ERR_NONE && json_kind(root) != JSON_ARRAY)
        code = err_set(err, ERR_CONFIG,
                       "%s:1: a schedule is a JSON array of steps; for a schedule.jsonl of a run "
                       "use --replay",
                       path);
    if (code == ERR_NONE) {
        plan->schedule_file = NULL;
        schedule_note_lines(plan, path, buf_text(&text));
        json_set(plan->values, "schedule", root);
    } else {
        json_free(root);
        err->code = ERR_CONFIG;
    }
    buf_free(&text);
    return code == ERR_NONE ? code : ERR_CONFIG;
}

static enum err_code read_steps(struct plan *plan, struct err *err)
{
    const struct json *list = json_get(plan->values, "schedule");
    size_t count = json_count(list);
    if (count == 0 || count > STEPS_MAX)
        return err_set(err, ERR_CONFIG, "schedule: it has %zu steps; 1 to %d are possible", count,
                       STEPS_MAX);
    plan->steps = arena_zalloc(&plan->arena, count * sizeof *plan->steps);
    for (const struct json *one = json_first(list); one != NULL; one = json_next(one)) {
        struct schedule_step *step = &plan->steps[plan->step_count++];
        size_t number = plan->step_count;
        int line = plan->schedule_lines == NULL || number > LINES_MAX
                       ? 0
                       : plan->schedule_lines[number - 1];
        step->where = line > 0 ? arena_printf(&plan->arena, "%s:%d: step %zu", plan->schedule_file,
                                              line, number)
                               : arena_printf(&plan->arena, "schedule: step %zu", number);
        if (read_step(plan, one, step, err) != ERR_NONE || add_nemeses(plan, step, err) != ERR_NONE)
            return err->code;
    }
    return ERR_NONE;
}

enum err_code schedule_read(struct plan *plan, struct err *err)
{
    const char *replay = plan_text(plan, "replay"), *path = plan_text(plan, "schedule");
    plan->step_count = plan->nemesis_count = 0;
    if (replay != NULL) {
        struct json *steps;
        if (schedule_of_run(replay, &steps, err) != ERR_NONE)
            return err->code;
        json_set(plan->values, "schedule", steps);
        json_remove(plan->values, "replay");
        plan->schedule_lines = NULL;
    } else if (path != NULL && load(plan, path, err) != ERR_NONE) {
        return err->code;
    }
    if (json_get(plan->values, "schedule") == NULL)
        return read_flags(plan, err);
    return read_steps(plan, err);
}
