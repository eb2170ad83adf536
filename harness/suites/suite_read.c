/* Reading a suite: see suite.h. */
#include <fnmatch.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/base/crc32c.h"
#include "harness/base/text.h"
#include "harness/suites/suite_internal.h"
#include "harness/system.h"
#include "harness/workload.h"

enum { FILE_BYTES_MAX = 16 << 20, NAMES_SHOWN = 8 };
#define SEED_MAX INT64_C(9007199254740992) /* what JSON holds exactly */

static const char *const suite_members[] = {"name",       "about",   "plan",   "matrix",
                                            "exclude",    "cells",   "runs",   "seeds",
                                            "first-seed", "retries", "expect", "reference"};
static const char *const cell_members[] = {"name", "about", "plan",       "matrix", "exclude",
                                           "runs", "seeds", "first-seed", "expect", "reference"};
#define COUNT_OF(list) (sizeof(list) / sizeof *(list))

struct taken {
    const char *name, *where;
    struct taken *next;
};

struct reading {
    struct suite *suite;
    const struct suite_options *options;
    struct json_source source;
    const struct json *group; /* the suite itself, or one of its cells */
    size_t seen;              /* cells that the pattern leaves, of all shards */
    size_t all;               /* cells of the file */
    struct taken *taken;      /* their names */
    struct buf names;         /* of some, for a pattern that leaves none */
};

/* ---- Members ---- */

static enum err_code check_members(struct reading *reading, const struct json *object,
                                   const char *what, const char *const *known, size_t count,
                                   struct err *err)
{
    for (const struct json *one = json_first(object); one != NULL; one = json_next(one)) {
        bool found = false;
        for (size_t i = 0; i < count; i++)
            found = found || strcmp(known[i], json_key(one)) == 0;
        const char *near = found ? NULL : text_nearest(json_key(one), known, count);
        if (!found)
            return json_refuse(&reading->source, one, err, "%s has no member '%s'%s%s%s", what,
                               json_key(one), near == NULL ? "" : "; did you mean '",
                               near == NULL ? "" : near, near == NULL ? "" : "'?");
    }
    return ERR_NONE;
}

/* Of the group, or else of the suite; an explicit null is none. */
static const struct json *inherited(const struct reading *reading, const char *name)
{
    const struct json *own = json_get(reading->group, name);
    if (own == NULL)
        own = json_get(reading->source.root, name);
    return json_kind(own) == JSON_NULL ? NULL : own;
}

static enum err_code text_member(struct reading *reading, const struct json *object,
                                 const char *name, const char **text, struct err *err)
{
    const struct json *member = json_get(object, name);
    if (member == NULL)
        return ERR_NONE;
    if (json_kind(member) != JSON_TEXT || *json_as_text(member, "") == '\0')
        return json_refuse(&reading->source, member, err, "%s must be a text", name);
    *text = arena_strdup(&reading->suite->arena, json_as_text(member, ""));
    return ERR_NONE;
}

static enum err_code number_member(struct reading *reading, const struct json *member,
                                   const char *name, int64_t least, int64_t most, int64_t *number,
                                   struct err *err)
{
    if (member == NULL)
        return ERR_NONE;
    double real = json_as_real(member, -1);
    int64_t value = json_as_int(member, -1);
    if (json_kind(member) != JSON_NUMBER || (double)value != real || value < least || value > most)
        return json_refuse(&reading->source, member, err,
                           "%s must be a whole number from %" PRId64 " to %" PRId64, name, least,
                           most);
    *number = value;
    return ERR_NONE;
}

/* ---- Seeds ---- */

static enum err_code take_seed_list(struct reading *reading, const struct json *list,
                                    struct suite_cell *cell, struct err *err)
{
    size_t count = json_count(list);
    if (json_kind(list) != JSON_ARRAY || count == 0 || count > SUITE_RUNS_MAX)
        return json_refuse(&reading->source, list, err, "seeds must be a list of 1 to %d numbers",
                           SUITE_RUNS_MAX);
    uint64_t *seeds = arena_alloc(&reading->suite->arena, count * sizeof *seeds);
    for (const struct json *one = json_first(list); one != NULL; one = json_next(one)) {
        int64_t seed = 0;
        if (number_member(reading, one, "seeds: each", 0, SEED_MAX, &seed, err) != ERR_NONE)
            return err->code;
        for (uint32_t i = 0; i < cell->run_count; i++)
            if (seeds[i] == (uint64_t)seed)
                return json_refuse(&reading->source, one, err, "seeds: %" PRId64 " is there twice",
                                   seed);
        seeds[cell->run_count++] = (uint64_t)seed;
    }
    cell->seeds = seeds;
    return ERR_NONE;
}

static const struct suite_override *override_of(const struct suite_options *options,
                                                const char *field)
{
    for (size_t i = options->override_count; i > 0; i--)
        if (strcmp(options->overrides[i - 1].field, field) == 0)
            return &options->overrides[i - 1];
    return NULL;
}

static enum err_code read_seeds(struct reading *reading, struct suite_cell *cell, struct err *err)
{
    const struct json *group = reading->group;
    const struct json *own_runs = json_get(group, "runs"),
                      *own_first = json_get(group, "first-seed");
    const struct json *list = json_get(group, "seeds");
    if (list != NULL && (own_runs != NULL || own_first != NULL))
        return json_refuse(&reading->source, list, err,
                           "seeds names every run; it does not go with runs or first-seed");
    if (list == NULL && own_runs == NULL && own_first == NULL)
        list = json_get(reading->source.root, "seeds");
    if (list != NULL)
        return take_seed_list(reading, list, cell, err);
    const struct json *first = inherited(reading, "first-seed");
    int64_t runs = 1, from = 1;
    bool fresh = strcmp(json_as_text(first, ""), "fresh") == 0;
    if (json_kind(first) == JSON_TEXT && !fresh)
        return json_refuse(&reading->source, first, err,
                           "first-seed must be a whole number, or \"fresh\"");
    if (number_member(reading, inherited(reading, "runs"), "runs", 1, SUITE_RUNS_MAX, &runs, err) !=
            ERR_NONE ||
        number_member(reading, fresh ? NULL : first, "first-seed", 0, SEED_MAX - SUITE_RUNS_MAX,
                      &from, err) != ERR_NONE)
        return err->code;
    uint64_t *seeds = arena_alloc(&reading->suite->arena, (size_t)runs * sizeof *seeds);
    for (int64_t i = 0; i < runs; i++)
        seeds[i] = (fresh ? reading->options->fresh_seed : (uint64_t)from) + (uint64_t)i;
    cell->seeds = seeds;
    cell->run_count = (uint32_t)runs;
    return ERR_NONE;
}

/* --seed: that one run of each cell, as it is done to look at it again. */
static void take_seed_override(struct reading *reading, struct suite_cell *cell)
{
    const struct suite_override *one = override_of(reading->options, "seed");
    if (one == NULL)
        return;
    uint64_t *seed = arena_alloc(&reading->suite->arena, sizeof *seed);
    *seed = strtoull(one->value, NULL, 10);
    cell->seeds = seed;
    cell->run_count = 1;
    if (cell->expect.at_least > 1)
        cell->expect.at_least = 1;
}

/* ---- What is expected ---- */

static enum err_code read_expect(struct reading *reading, struct suite_cell *cell, struct err *err)
{
    static const char *const members[] = {"verdict", "checker", "promise", "anomaly", "at-least"};
    const struct json *expect = inherited(reading, "expect");
    struct suite_expect *to = &cell->expect;
    const char *verdict = NULL;
    if (expect == NULL)
        return ERR_NONE;
    if (json_kind(expect) != JSON_OBJECT)
        return json_refuse(&reading->source, expect, err,
                           "expect must be an object: {\"verdict\": \"invalid\", ..}");
    if (check_members(reading, expect, "expect", members, COUNT_OF(members), err) != ERR_NONE ||
        text_member(reading, expect, "verdict", &verdict, err) != ERR_NONE ||
        text_member(reading, expect, "checker", &to->checker, err) != ERR_NONE ||
        text_member(reading, expect, "promise", &to->promise, err) != ERR_NONE ||
        text_member(reading, expect, "anomaly", &to->anomaly, err) != ERR_NONE)
        return err->code;
    to->given = true;
    to->verdict = VERDICT_VALID;
    while (verdict != NULL && to->verdict <= VERDICT_INVALID &&
           strcmp(verdict_name(to->verdict), verdict) != 0)
        if (to->verdict++ == VERDICT_INVALID)
            verdict = NULL;
    if (verdict == NULL)
        return json_refuse(&reading->source, expect, err,
                           "expect: verdict must be valid, unknown or invalid");
    bool broken = to->promise != NULL || to->anomaly != NULL;
    const struct json *at_least = json_get(expect, "at-least");
    if (to->verdict != VERDICT_INVALID && broken)
        return json_refuse(&reading->source, expect, err,
                           "expect: a promise or an anomaly is found by an invalid run only");
    if (to->verdict == VERDICT_VALID && at_least != NULL)
        return json_refuse(&reading->source, at_least, err,
                           "expect: at-least: what is expected to hold must hold in every run");
    if (to->promise != NULL && to->checker == NULL)
        return json_refuse(&reading->source, json_get(expect, "promise"), err,
                           "expect: a promise needs the checker that judges it, such as "
                           "\"checker\": \"delivery\"");
    int64_t least = 1;
    if (number_member(reading, at_least, "expect: at-least", 1, cell->run_count, &least, err) !=
        ERR_NONE)
        return err->code;
    to->at_least = (uint32_t)least;
    return ERR_NONE;
}

static enum err_code check_expect(struct reading *reading, const struct suite_cell *cell,
                                  const struct plan *plan, struct err *err)
{
    const char *checker = cell->expect.checker;
    bool there = checker == NULL || strcmp(checker, "recovery") == 0;
    for (size_t i = 0; i < plan->checker_count; i++)
        there = there || strcmp(plan->checkers[i], checker) == 0;
    if (there)
        return ERR_NONE;
    return json_refuse(&reading->source, json_get(inherited(reading, "expect"), "checker"), err,
                       "expect: the checker %s is not among those of the cell %s: %s", checker,
                       cell->name, plan_text(plan, "checkers"));
}

static enum err_code read_reference(struct reading *reading, struct suite_cell *cell,
                                    struct err *err)
{
    static const char *const members[] = {"text", "url"};
    const struct json *reference = inherited(reading, "reference");
    if (reference == NULL)
        return ERR_NONE;
    if (json_kind(reference) == JSON_TEXT) {
        cell->reference_text = arena_strdup(&reading->suite->arena, json_as_text(reference, ""));
        return ERR_NONE;
    }
    if (json_kind(reference) != JSON_OBJECT)
        return json_refuse(&reading->source, reference, err,
                           "reference must be a text, or {\"text\": .., \"url\": ..}");
    if (check_members(reading, reference, "reference", members, 2, err) != ERR_NONE ||
        text_member(reading, reference, "text", &cell->reference_text, err) != ERR_NONE ||
        text_member(reading, reference, "url", &cell->reference_url, err) != ERR_NONE)
        return err->code;
    const char *url = cell->reference_url; /* pages make a link of it */
    if (url != NULL && !text_starts(url, "https://") && !text_starts(url, "http://"))
        return json_refuse(&reading->source, json_get(reference, "url"), err,
                           "reference: url must begin with https:// or http://");
    if (cell->reference_text == NULL)
        cell->reference_text = url;
    return ERR_NONE;
}

/* ---- A cell's plan ---- */

static enum err_code check_field(struct reading *reading, const struct json *node, const char *name,
                                 struct err *err)
{
    if (strcmp(name, "seed") == 0)
        return json_refuse(&reading->source, node, err,
                           "seed: a suite has seeds, or runs and first-seed, beside its plan");
    if (strcmp(name, "name") == 0)
        return json_refuse(&reading->source, node, err,
                           "name: the name of the cell, beside its plan, says where its runs are "
                           "kept");
    if (strcmp(name, "store") == 0)
        return json_refuse(&reading->source, node, err,
                           "store: one store has all runs of a suite: use --store");
    return ERR_NONE;
}

static enum err_code take_layer(struct reading *reading, struct plan *plan,
                                const struct json *layer, const char *what, struct err *err)
{
    if (layer == NULL)
        return ERR_NONE;
    if (json_kind(layer) != JSON_OBJECT)
        return json_refuse(&reading->source, layer, err, "%s must be an object of a plan's fields",
                           what);
    for (const struct json *one = json_first(layer); one != NULL; one = json_next(one))
        if (check_field(reading, one, json_key(one), err) != ERR_NONE)
            return err->code;
    return plan_read_object(plan, layer, &reading->source, err);
}

static enum err_code take_choice(struct reading *reading, struct plan *plan,
                                 const struct suite_choice *choice, struct err *err)
{
    const char *axis = json_key(choice->axis);
    char where[512];
    if (json_kind(choice->axis) == JSON_OBJECT)
        return take_layer(reading, plan, choice->value, axis, err);
    if (check_field(reading, choice->axis, axis, err) != ERR_NONE)
        return err->code;
    json_where(&reading->source, choice->value, where, sizeof where);
    return plan_set_json(plan, axis, choice->value, where, err);
}

static enum err_code take_overrides(struct reading *reading, struct plan *plan, struct err *err)
{
    const struct suite_options *options = reading->options;
    for (size_t i = 0; i < options->override_count; i++) {
        const struct suite_override *one = &options->overrides[i];
        if (strcmp(one->field, "name") == 0)
            return err_set(err, ERR_CONFIG,
                           "%s: a suite names its runs itself: <suite>-<cell>; its own name is in "
                           "its file",
                           one->where);
        if (plan_set(plan, one->field, one->value, one->where, err) != ERR_NONE)
            return err->code;
    }
    json_remove(plan->values, "seed"); /* they are looked at and used elsewhere */
    json_remove(plan->values, "store");
    return ERR_NONE;
}

static enum err_code build_plan(struct reading *reading, const struct suite_combination *choices,
                                struct plan *plan, struct err *err)
{
    const struct json *root = reading->source.root, *group = reading->group;
    if (take_layer(reading, plan, json_get(root, "plan"), "plan", err) != ERR_NONE)
        return err->code;
    if (group != root &&
        take_layer(reading, plan, json_get(group, "plan"), "plan", err) != ERR_NONE)
        return err->code;
    for (size_t i = 0; i < choices->count; i++)
        if (take_choice(reading, plan, &choices->choices[i], err) != ERR_NONE)
            return err->code;
    return take_overrides(reading, plan, err);
}

static const char *cell_name(struct reading *reading, const char *own,
                             const struct suite_combination *choices, const struct plan *plan)
{
    struct arena *arena = &reading->suite->arena;
    if (own != NULL && *choices->label != '\0')
        return suite_plain_name(arena, arena_printf(arena, "%s-%s", own, choices->label));
    if (own != NULL || *choices->label != '\0')
        return suite_plain_name(arena, own != NULL ? own : choices->label);
    return suite_plain_name(arena,
                            arena_printf(arena, "%s-%s", plan->system->name, plan->workload->name));
}

static void wrap_resolving(const char *own, const struct suite_combination *choices,
                           const struct suite_cell *cell, struct err *err)
{
    const char *name = cell->name != NULL ? cell->name : own;
    if (name != NULL || *choices->label != '\0')
        err_wrap(err, "cell %s", name != NULL ? name : choices->label);
    err_wrap(err, "%s", cell->where);
}

/* Resolves a copy: what is kept says no more than the suite does, so that the plan of a run is
 * filled in by the ordeal that runs it. */
static enum err_code settle_plan(struct reading *reading, const char *own,
                                 const struct suite_combination *choices, struct plan *plan,
                                 struct suite_cell *cell, struct err *err)
{
    struct suite *suite = reading->suite;
    struct json *kept = json_copy(plan->values);
    enum err_code code = plan_resolve(plan, err);
    if (code == ERR_NONE) {
        cell->name = cell_name(reading, own, choices, plan);
        json_set_text(kept, "name", arena_printf(&suite->arena, "%s-%s", suite->name, cell->name));
        json_remove(plan->values, "name");
        json_set_text(plan->values, "name", json_as_text(json_get(kept, "name"), ""));
        code = plan_resolve(plan, err); /* looks at that name, too */
    }
    if (code == ERR_NONE)
        code = check_expect(reading, cell, plan, err);
    else
        wrap_resolving(own, choices, cell, err);
    if (code != ERR_NONE) {
        json_free(kept);
        return code;
    }
    const char *nemesis = plan_text(plan, "nemesis");
    cell->system = plan->system->name;
    cell->workload = plan->workload->name;
    cell->nemesis = nemesis == NULL ? NULL : arena_strdup(&suite->arena, nemesis);
    struct buf text = BUF_INIT;
    json_print(kept, JSON_COMPACT, &text);
    cell->digest = crc32c(0, text.data, text.length);
    buf_free(&text);
    cell->plan = kept;
    return ERR_NONE;
}

/* ---- Cells ---- */

static enum err_code keep(struct reading *reading, struct suite_cell *cell, struct err *err)
{
    struct suite *suite = reading->suite;
    const struct suite_options *options = reading->options;
    reading->all++;
    if (reading->all <= NAMES_SHOWN)
        buf_printf(&reading->names, "%s%s", reading->all > 1 ? ", " : "", cell->name);
    bool wanted = options->cells == NULL || fnmatch(options->cells, cell->name, 0) == 0;
    if (wanted && options->shard_count > 0)
        wanted = reading->seen % options->shard_count == options->shard - 1;
    reading->seen += options->cells == NULL || fnmatch(options->cells, cell->name, 0) == 0;
    if (!wanted) {
        json_free(cell->plan);
        return ERR_NONE;
    }
    if (suite->cell_count == SUITE_CELLS_MAX) {
        json_free(cell->plan);
        return err_set(err, ERR_CONFIG, "%s: the suite has more than %d cells", suite->file,
                       SUITE_CELLS_MAX);
    }
    if ((suite->cell_count & (suite->cell_count + 1)) == 0) { /* room is doubled */
        struct suite_cell *more =
            arena_alloc(&suite->arena, (suite->cell_count + 1) * 2 * sizeof *more);
        if (suite->cell_count > 0)
            memcpy(more, suite->cells, suite->cell_count * sizeof *more);
        suite->cells = more;
    }
    suite->cells[suite->cell_count++] = *cell;
    return ERR_NONE;
}

static enum err_code check_unique(struct reading *reading, const struct suite_cell *cell,
                                  struct err *err)
{
    for (const struct taken *one = reading->taken; one != NULL; one = one->next)
        if (strcmp(one->name, cell->name) == 0)
            return err_set(err, ERR_CONFIG,
                           "%s: another cell, at %s, is called '%s', too: give one of them a name",
                           cell->where, one->where, cell->name);
    struct taken *one = arena_alloc(&reading->suite->arena, sizeof *one);
    *one = (struct taken){cell->name, cell->where, reading->taken};
    reading->taken = one;
    return ERR_NONE;
}

static enum err_code take_cell(void *state, const struct suite_combination *choices,
                               struct err *err)
{
    struct reading *reading = state;
    struct arena *arena = &reading->suite->arena;
    struct suite_cell cell = {.name = NULL};
    const char *own = NULL;
    char where[512];
    json_where(&reading->source, reading->group, where, sizeof where);
    cell.where = arena_strdup(arena, where);
    if (text_member(reading, reading->group, "about", &cell.about, err) != ERR_NONE ||
        (reading->group != reading->source.root &&
         text_member(reading, reading->group, "name", &own, err) != ERR_NONE) ||
        read_seeds(reading, &cell, err) != ERR_NONE ||
        read_expect(reading, &cell, err) != ERR_NONE ||
        read_reference(reading, &cell, err) != ERR_NONE)
        return err->code;
    take_seed_override(reading, &cell);
    struct plan plan;
    plan_init(&plan);
    enum err_code code = build_plan(reading, choices, &plan, err);
    if (code == ERR_NONE)
        code = settle_plan(reading, own, choices, &plan, &cell, err);
    plan_free(&plan);
    if (code == ERR_NONE && (code = check_unique(reading, &cell, err)) != ERR_NONE)
        json_free(cell.plan);
    return code != ERR_NONE ? code : keep(reading, &cell, err);
}

static enum err_code take_group(struct reading *reading, const struct json *group, struct err *err)
{
    reading->group = group;
    return suite_expand(&reading->suite->arena, &reading->source, json_get(group, "matrix"),
                        json_get(group, "exclude"), take_cell, reading, err);
}

static enum err_code take_groups(struct reading *reading, struct err *err)
{
    const struct json *root = reading->source.root, *cells = json_get(root, "cells");
    if (cells != NULL && (json_kind(cells) != JSON_ARRAY || json_count(cells) == 0))
        return json_refuse(&reading->source, cells, err,
                           "cells must be a list of objects, with one at least");
    if ((cells == NULL || json_get(root, "matrix") != NULL) &&
        take_group(reading, root, err) != ERR_NONE)
        return err->code;
    for (const struct json *one = json_first(cells); one != NULL; one = json_next(one)) {
        if (json_kind(one) != JSON_OBJECT)
            return json_refuse(&reading->source, one, err, "a cell must be an object");
        if (check_members(reading, one, "a cell", cell_members, COUNT_OF(cell_members), err) !=
                ERR_NONE ||
            take_group(reading, one, err) != ERR_NONE)
            return err->code;
    }
    return ERR_NONE;
}

/* ---- The file ---- */

/* "tests/findings/etcd.json" is called etcd. */
static const char *name_of_file(struct arena *arena, const char *path)
{
    const char *slash = strrchr(path, '/'), *base = slash == NULL ? path : slash + 1;
    const char *dot = strrchr(base, '.');
    size_t length = dot == NULL || dot == base ? strlen(base) : (size_t)(dot - base);
    return suite_plain_name(arena, arena_strndup(arena, base, length));
}

static enum err_code read_head(struct reading *reading, struct err *err)
{
    struct suite *suite = reading->suite;
    const struct json *root = reading->source.root;
    int64_t retries = 1;
    if (json_kind(root) != JSON_OBJECT)
        return err_set(err, ERR_CONFIG, "%s:1: a suite is a JSON object", suite->file);
    if (check_members(reading, root, "a suite", suite_members, COUNT_OF(suite_members), err) !=
            ERR_NONE ||
        text_member(reading, root, "name", &suite->name, err) != ERR_NONE ||
        text_member(reading, root, "about", &suite->about, err) != ERR_NONE ||
        number_member(reading, json_get(root, "retries"), "retries", 0, SUITE_RETRIES_MAX, &retries,
                      err) != ERR_NONE)
        return err->code;
    if (suite->name == NULL)
        suite->name = name_of_file(&suite->arena, suite->file);
    if (strcmp(suite_plain_name(&suite->arena, suite->name), suite->name) != 0 ||
        strlen(suite->name) > 64)
        return json_refuse(&reading->source, json_get(root, "name"), err,
                           "name: '%s' cannot name a directory: use at most 64 letters, digits, "
                           "'-' and '_'",
                           suite->name);
    suite->retries = (uint32_t)retries;
    return ERR_NONE;
}

static enum err_code check_left(struct reading *reading, struct err *err)
{
    const struct suite_options *options = reading->options;
    if (reading->suite->cell_count > 0)
        return ERR_NONE;
    if (reading->all == 0)
        return err_set(err, ERR_CONFIG, "%s: exclude leaves no cell of the matrix",
                       reading->suite->file);
    if (reading->seen == 0)
        return err_set(err, ERR_CONFIG, "--cell: no cell is called like '%s'; there are %s%s",
                       options->cells, buf_text(&reading->names),
                       reading->all > NAMES_SHOWN ? ", .." : "");
    return err_set(err, ERR_CONFIG, "--shard %u/%u: there are only %zu cells, so it would be empty",
                   options->shard, options->shard_count, reading->seen);
}

enum err_code suite_read(const char *path, const struct suite_options *options, struct suite *suite,
                         struct err *err)
{
    *suite = (struct suite){.arena = ARENA_INIT};
    suite->file = arena_strdup(&suite->arena, path);
    struct reading reading = {.suite = suite, .options = options};
    struct buf text = BUF_INIT;
    struct json *root = NULL;
    enum err_code code = file_read(path, FILE_BYTES_MAX, &text, err);
    if (code == ERR_NONE)
        code = json_parse(text.data, text.length, path, &root, err);
    if (code != ERR_NONE)
        err->code = code = ERR_CONFIG;
    reading.source = (struct json_source){suite->file, text.data, root};
    if (code == ERR_NONE)
        code = read_head(&reading, err);
    if (code == ERR_NONE)
        code = take_groups(&reading, err);
    if (code == ERR_NONE)
        code = check_left(&reading, err);
    buf_free(&reading.names);
    json_free(root);
    buf_free(&text);
    return code;
}

void suite_free(struct suite *suite)
{
    for (size_t i = 0; i < suite->cell_count; i++)
        json_free(suite->cells[i].plan);
    arena_free(&suite->arena);
    *suite = (struct suite){.arena = ARENA_INIT};
}

enum err_code suite_parse_shard(const char *text, struct suite_options *options, struct err *err)
{
    unsigned shard, count;
    int end = 0;
    if (*text < '0' || *text > '9' || sscanf(text, "%u/%u%n", &shard, &count, &end) != 2 ||
        text[end] != '\0' || shard < 1 || shard > count || count > SUITE_CELLS_MAX)
        return err_set(err, ERR_CONFIG,
                       "--shard: '%s' is not I/N, the I-th of N parts, such as 2/5", text);
    options->shard = shard;
    options->shard_count = count;
    return ERR_NONE;
}
