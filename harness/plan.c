/* The plan: see plan.h. */
#include "harness/plan.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "harness/base/clock.h"
#include "harness/base/text.h"
#include "harness/inventories/inventory.h"
#include "harness/live.h"
#include "harness/nemesis.h"
#include "harness/node.h"
#include "harness/plugin.h"
#include "harness/schedules/schedule.h"
#include "harness/system.h"
#include "harness/workload.h"

void plan_init(struct plan *plan)
{
    *plan = (struct plan){.arena = ARENA_INIT};
    plan->values = json_object();
}

void plan_free(struct plan *plan)
{
    json_free(plan->values);
    json_free(plan->options.values);
    arena_free(&plan->arena);
    *plan = (struct plan){.arena = ARENA_INIT};
}

const char *plan_text(const struct plan *plan, const char *field)
{
    return json_as_text(json_get(plan->values, field), NULL);
}

static const struct plan_field *field_find(const char *name)
{
    const struct plan_field *field = plan_fields;
    while (field->name != NULL && strcmp(field->name, name) != 0)
        field++;
    return field->name == NULL ? NULL : field;
}

static enum err_code unknown_field(const char *name, const char *where, struct err *err)
{
    const char *names[64];
    size_t count = 0;
    for (const struct plan_field *field = plan_fields; field->name != NULL; field++)
        names[count++] = field->name;
    const char *near = text_nearest(name, names, count);
    return err_set(err, ERR_CONFIG, "%s: a plan has no field '%s'%s%s%s", where, name,
                   near == NULL ? "" : "; did you mean '", near == NULL ? "" : near,
                   near == NULL ? "" : "'?");
}

/* {"set": {"owner.name": "value"}} from "owner.name=value" */
static enum err_code set_option(struct plan *plan, const char *text, const char *where,
                                struct err *err)
{
    const char *equals = strchr(text, '=');
    const char *dot = strchr(text, '.');
    if (equals == NULL || dot == NULL || dot > equals || dot == text || equals == dot + 1)
        return err_set(err, ERR_CONFIG,
                       "%s: '%s' is not OWNER.OPTION=VALUE, such as etcd.reads=serializable", where,
                       text);
    struct json *set = json_get(plan->values, "set");
    if (set == NULL)
        set = json_set(plan->values, "set", json_object());
    json_set_text(set, arena_strndup(&plan->arena, text, (size_t)(equals - text)), equals + 1);
    return ERR_NONE;
}

static enum err_code check_kind(const struct plan_field *field, const char *value,
                                const char *where, struct err *err)
{
    struct option as_option = {.name = field->name, .kind = field->kind, .choices = field->metavar};
    struct err why = ERR_INIT;
    if (option_check(&as_option, "plan", value, &why) == ERR_NONE)
        return ERR_NONE;
    const char *message = strstr(why.message, ": "); /* without "plan.<field>" */
    if (strncmp(where, "--", 2) == 0)                /* the flag is the field */
        return err_set(err, ERR_CONFIG, "%s%s", where, message == NULL ? why.message : message);
    return err_set(err, ERR_CONFIG, "%s: %s%s", where, field->name,
                   message == NULL ? why.message : message);
}

static void keep_one(struct plan *plan, const char *name, const char *const *names)
{
    bool among = false;
    for (const char *const *one = names; *one != NULL; one++)
        among = among || strcmp(name, *one) == 0;
    for (; among && *names != NULL; names++)
        if (strcmp(name, *names) != 0)
            json_remove(plan->values, *names);
}

/* The latest of those that say the same wins, so that a flag can replace what a plan file says. */
static void keep_latest(struct plan *plan, const char *name)
{
    static const char *const faults[] = {"nemesis", "schedule", "replay", NULL};
    static const char *const machines[] = {"nodes", "local", "inventory", NULL};
    keep_one(plan, name, faults);
    keep_one(plan, name, machines);
}

enum err_code plan_set(struct plan *plan, const char *name, const char *value, const char *where,
                       struct err *err)
{
    const struct plan_field *field = field_find(name);
    if (field == NULL)
        return unknown_field(name, where, err);
    if (strcmp(name, "set") == 0)
        return set_option(plan, value, where, err);
    if (check_kind(field, value, where, err) != ERR_NONE)
        return err->code;
    json_set_text(plan->values, name, value);
    keep_latest(plan, name);
    return ERR_NONE;
}

const char *plan_scalar_text(struct arena *arena, const struct json *node)
{
    struct buf text = BUF_INIT;
    switch (json_kind(node)) {
    case JSON_TEXT:
        return json_as_text(node, "");
    case JSON_NUMBER:
    case JSON_BOOL:
        json_print(node, JSON_COMPACT, &text);
        break;
    case JSON_ARRAY:
        for (const struct json *item = json_first(node); item != NULL; item = json_next(item)) {
            if (json_kind(item) != JSON_TEXT) {
                buf_free(&text);
                return NULL;
            }
            buf_printf(&text, "%s%s", text.length > 0 ? "," : "", json_as_text(item, ""));
        }
        break;
    default:
        return NULL;
    }
    const char *copy = arena_strdup(arena, buf_text(&text));
    buf_free(&text);
    return copy;
}

enum err_code plan_set_json(struct plan *plan, const char *name, const struct json *member,
                            const char *where, struct err *err)
{
    if (strcmp(name, "set") == 0 && json_kind(member) == JSON_OBJECT) {
        for (const struct json *option = json_first(member); option != NULL;
             option = json_next(option)) {
            const char *value = plan_scalar_text(&plan->arena, option);
            if (value == NULL)
                return err_set(err, ERR_CONFIG, "%s: set: %s must be a text, a number or a boolean",
                               where, json_key(option));
            if (set_option(plan, arena_printf(&plan->arena, "%s=%s", json_key(option), value),
                           where, err) != ERR_NONE)
                return err->code;
        }
        return ERR_NONE;
    }
    if (json_kind(member) == JSON_NULL && field_find(name) != NULL)
        return ERR_NONE;
    bool objects = json_kind(member) == JSON_ARRAY && json_kind(json_first(member)) == JSON_OBJECT;
    if (json_kind(member) == JSON_ARRAY &&
        (strcmp(name, "schedule") == 0 || (strcmp(name, "nodes") == 0 && objects))) {
        json_set(plan->values, name, json_copy(member));
        keep_latest(plan, name);
        return ERR_NONE;
    }
    const char *value = plan_scalar_text(&plan->arena, member);
    if (value == NULL && field_find(name) != NULL)
        return err_set(err, ERR_CONFIG,
                       "%s: %s must be a text, a number, a boolean or a list of texts", where,
                       name);
    return plan_set(plan, name, value == NULL ? "" : value, where, err);
}

enum err_code plan_read_object(struct plan *plan, const struct json *object,
                               const struct json_source *source, struct err *err)
{
    for (const struct json *member = json_first(object); member != NULL;
         member = json_next(member)) {
        char where[512];
        json_where(source, member, where, sizeof where);
        if (plan_set_json(plan, json_key(member), member, where, err) != ERR_NONE)
            return err->code;
    }
    return ERR_NONE;
}

enum err_code plan_read_file(struct plan *plan, const char *path, struct err *err)
{
    struct buf text = BUF_INIT;
    struct json *root = NULL;
    enum err_code code = file_read(path, 1 << 20, &text, err);
    if (code != ERR_NONE)
        code = err_set(err, ERR_CONFIG, "%s", err->message);
    if (code == ERR_NONE)
        code = json_parse(text.data, text.length, path, &root, err);
    if (code == ERR_NONE && json_kind(root) != JSON_OBJECT)
        code = err_set(err, ERR_CONFIG, "%s:1: a plan is a JSON object", path);
    if (code == ERR_NONE && json_get(root, "schedule") != NULL)
        schedule_note_lines(plan, path, text.data);
    struct json_source source = {path, text.data, root};
    if (code == ERR_NONE)
        code = plan_read_object(plan, root, &source, err);
    if (code == ERR_PARSE)
        err->code = code = ERR_CONFIG;
    json_free(root);
    buf_free(&text);
    return code;
}

/* ---- Resolving ---- */

enum { NAMES_MAX = 64 };

static void fill_default(struct plan *plan, const char *name, const char *value)
{
    if (json_get(plan->values, name) == NULL)
        json_set_text(plan->values, name, value);
}

/* Says so where a system is known, but not in this build. */
static enum err_code left_out(const char *name, struct err *err)
{
    for (const struct system_left_out *entry = systems_left_out; entry->name != NULL; entry++)
        if (strcmp(entry->name, name) == 0)
            return err_set(err, ERR_CONFIG,
                           "the system %s is not in this build, for its client library was not "
                           "there: install %s and run make again",
                           name, entry->package);
    return err->code;
}

static enum err_code no_client(const struct plan *plan, struct err *err)
{
    struct buf names = BUF_INIT;
    for (size_t i = 0; workloads[i] != NULL; i++)
        if (system_client(plan->system, workloads[i]->name) != NULL)
            buf_printf(&names, "%s%s", names.length == 0 ? "" : ", ", workloads[i]->name);
    enum err_code code = err_set(
        err, ERR_CONFIG, "the system %s has no client for the workload %s; it has for: %s",
        plan->system->name, plan->workload->name, names.length == 0 ? "none" : buf_text(&names));
    buf_free(&names);
    return code;
}

static enum err_code resolve_names(struct plan *plan, struct err *err)
{
    plan->system = system_named(plan_text(plan, "system"), err);
    if (plan->system == NULL)
        return left_out(plan_text(plan, "system"), err);
    json_set_text(plan->values, "system", system_reference(plan->system));
    plan->workload =
        plugin_resolve(workloads, "workload", "workloads", plan_text(plan, "workload"), err);
    if (plan->workload == NULL)
        return err->code;
    const char *keyed = plan_text(plan, "keyed");
    if (plan->workload->keyed && (keyed == NULL || strcmp(keyed, "guess") == 0))
        json_set_text(plan->values, "keyed", "yes");
    if (system_client(plan->system, plan->workload->name) == NULL)
        return no_client(plan, err);
    if (json_get(plan->values, "schedule") == NULL && plan_text(plan, "replay") == NULL)
        fill_default(plan, "nemesis",
                     plan->system->daemons[0] != NULL ? "partition,kill,pause" : "none");
    return ERR_NONE;
}

/* The workload's, and where something is broken also whether it was: a run whose faults never took
 * effect must not be called valid. */
static const char *const *default_checkers(struct plan *plan)
{
    static const char faults[] = "faults";
    const char *const *own = plan->workload->checkers;
    size_t count = 0;
    bool there = plan->nemesis_count == 0;
    for (; own[count] != NULL; count++)
        there = there || strcmp(own[count], faults) == 0;
    const char **names = arena_zalloc(&plan->arena, (count + 2) * sizeof *names);
    memcpy(names, own, count * sizeof *names);
    if (!there)
        names[count] = faults;
    return names;
}

static enum err_code resolve_checkers(struct plan *plan, struct err *err)
{
    const char *wanted = plan_text(plan, "checkers");
    if (wanted != NULL) {
        const char **names;
        plan->checker_count = text_split(&plan->arena, wanted, ',', &names);
        plan->checkers = names;
    } else {
        plan->checkers = default_checkers(plan);
        while (plan->checkers[plan->checker_count] != NULL)
            plan->checker_count++;
    }
    struct buf joined = BUF_INIT;
    for (size_t i = 0; i < plan->checker_count; i++) {
        const struct checker *checker =
            plugin_resolve(checkers, "checker", "checkers", plan->checkers[i], err);
        if (checker == NULL) {
            buf_free(&joined);
            return err->code;
        }
        buf_printf(&joined, "%s%s", i > 0 ? "," : "", checker->name);
    }
    json_set_text(plan->values, "checkers", buf_text(&joined));
    buf_free(&joined);
    return ERR_NONE;
}

/* An inventory becomes the nodes that it names, so that plan.json says where the run was. */
static enum err_code take_inventory(struct plan *plan, struct err *err)
{
    const char *path = plan_text(plan, "inventory"), *hosts = plan_text(plan, "inventory-hosts");
    struct json *nodes;
    if (path == NULL && hosts != NULL)
        return err_set(err, ERR_CONFIG, "inventory-hosts: it chooses from an inventory: name one");
    if (path == NULL)
        return ERR_NONE;
    if (inventory_read(path, hosts, &nodes, err) != ERR_NONE)
        return err->code;
    json_set(plan->values, "nodes", nodes);
    json_remove(plan->values, "inventory");
    json_remove(plan->values, "inventory-hosts");
    return ERR_NONE;
}

static enum err_code take_nodes(struct plan *plan, const struct json *list, struct err *err)
{
    const char **texts = NULL;
    bool objects = json_kind(list) == JSON_ARRAY;
    size_t count =
        objects ? json_count(list) : text_split(&plan->arena, json_as_text(list, ""), ',', &texts);
    if (count == 0 || count > PLAN_NODES_MAX)
        return err_set(err, ERR_CONFIG, "nodes: %zu are named; 1 to %d are possible", count,
                       PLAN_NODES_MAX);
    plan->nodes = arena_zalloc(&plan->arena, count * sizeof *plan->nodes);
    plan->node_count = count;
    const struct json *object = objects ? json_first(list) : NULL;
    for (uint32_t i = 0; i < count; i++) {
        struct node *node = &plan->nodes[i];
        enum err_code code = objects ? node_from_json(&plan->arena, object, i, node, err)
                                     : node_parse(&plan->arena, texts[i], i, node, err);
        if (code != ERR_NONE)
            return code;
        for (uint32_t j = 0; j < i; j++)
            if (strcmp(plan->nodes[j].name, node->name) == 0)
                return err_set(err, ERR_CONFIG, "nodes: %s is named twice", node->name);
        object = objects ? json_next(object) : NULL;
    }
    return ERR_NONE;
}

static enum err_code resolve_nodes(struct plan *plan, struct err *err)
{
    const char *jump = plan_text(plan, "jump");
    struct node parsed;
    plan->nodes = NULL;
    plan->local = false;
    if (take_inventory(plan, err) != ERR_NONE ||
        (jump != NULL && node_parse_jump(&plan->arena, jump, &parsed, err) != ERR_NONE))
        return err->code;
    const struct json *nodes = json_get(plan->values, "nodes");
    if (nodes != NULL)
        return take_nodes(plan, nodes, err);
    if (jump != NULL)
        return err_set(err, ERR_CONFIG, "jump: a local cluster is reached without one");
    fill_default(plan, "local", "5");
    long count = strtol(plan_text(plan, "local"), NULL, 10);
    if (count < 1 || count > PLAN_NODES_MAX)
        return err_set(err, ERR_CONFIG, "local: %ld nodes; 1 to %d are possible", count,
                       PLAN_NODES_MAX);
    plan->local = true;
    plan->node_count = (size_t)count;
    return ERR_NONE;
}

/* "10", or "2n" for two workers a node. */
static enum err_code resolve_concurrency(struct plan *plan, struct err *err)
{
    const char *text = plan_text(plan, "concurrency");
    char *end;
    long number = strtol(text, &end, 10);
    if (end != text && strcmp(end, "n") == 0)
        number *= (long)plan->node_count;
    else if (end == text || *end != '\0')
        number = 0;
    if (number < 1 || number > 4096)
        return err_set(err, ERR_CONFIG,
                       "concurrency: '%s' is not 1 to 4096 workers, nor a multiple such as 2n",
                       text);
    plan->concurrency = (int)number;
    return ERR_NONE;
}

static int64_t duration_field(const struct plan *plan, const char *name)
{
    int64_t ns = 0;
    (void)!clock_parse_duration(plan_text(plan, name), &ns, NULL); /* plan_set looked */
    return ns;
}

static enum err_code resolve_numbers(struct plan *plan, struct err *err)
{
    plan->op_timeout_ns = duration_field(plan, "op-timeout");
    plan->ready_timeout_ns = duration_field(plan, "ready-timeout");
    plan->rate = strtod(plan_text(plan, "rate"), NULL);
    if (plan->rate < 0 || plan->rate > 1e9)
        return err_set(err, ERR_CONFIG, "rate: %s is not between 0 and 1e9",
                       plan_text(plan, "rate"));
    if (plan->op_timeout_ns < NS_PER_MS)
        return err_set(err, ERR_CONFIG, "op-timeout: %s is less than 1ms",
                       plan_text(plan, "op-timeout"));
    if (plan_text(plan, "seed") == NULL) {
        char seed[32];
        snprintf(seed, sizeof seed, "%llu", (unsigned long long)prng_fresh_seed());
        json_set_text(plan->values, "seed", seed);
    }
    plan->seed = strtoull(plan_text(plan, "seed"), NULL, 10);
    const char *keyed = plan_text(plan, "keyed");
    plan->keyed = keyed_of(keyed);
    plan->stop_on_violation = strcmp(plan_text(plan, "stop-on-violation"), "true") == 0;
    plan->pcap = strcmp(plan_text(plan, "pcap"), "true") == 0;
    plan->pcap_mib = strtoll(plan_text(plan, "pcap-size"), NULL, 10);
    if (plan->pcap_mib < 1 || plan->pcap_mib > 4096)
        return err_set(err, ERR_CONFIG, "pcap-size: %s is not between 1 and 4096",
                       plan_text(plan, "pcap-size"));
    plan->no_install = strcmp(plan_text(plan, "no-install"), "true") == 0;
    plan->leave_running = strcmp(plan_text(plan, "leave-running"), "true") == 0;
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    plan->check_limits = (struct check_limits){
        .time_ns = duration_field(plan, "check-time"),
        .memory_bytes = (size_t)strtoull(plan_text(plan, "check-memory"), NULL, 10) << 20,
        .threads = processors < 1 ? 1 : (int)processors,
    };
    return ERR_NONE;
}

/* Who may own options in this plan. */
struct owner {
    const char *name;
    const struct option *declared;
};

static size_t owners_of(const struct plan *plan, struct owner *owners)
{
    size_t count = 0;
    owners[count++] = (struct owner){plan->system->name, plan->system->options};
    owners[count++] = (struct owner){plan->workload->name, plan->workload->options};
    for (size_t i = 0; i < plan->nemesis_count; i++)
        owners[count++] = (struct owner){plan->nemeses[i]->name, plan->nemeses[i]->options};
    for (size_t i = 0; i < plan->checker_count && count < NAMES_MAX; i++)
        owners[count++] =
            (struct owner){plan->checkers[i], checker_find(plan->checkers[i])->options};
    return count;
}

static enum err_code check_option(const struct owner *owners, size_t count, const char *name,
                                  const char *value, struct err *err)
{
    const char *dot = strchr(name, '.');
    const char *known[NAMES_MAX * 4];
    size_t known_count = 0;
    bool owned = false;
    for (size_t i = 0; i < count; i++) {
        if (strlen(owners[i].name) != (size_t)(dot - name) ||
            strncmp(owners[i].name, name, (size_t)(dot - name)) != 0)
            continue;
        owned = true;
        for (const struct option *option = owners[i].declared;
             option != NULL && option->name != NULL; option++) {
            if (strcmp(option->name, dot + 1) == 0)
                return option_check(option, owners[i].name, value, err);
            if (known_count < NAMES_MAX * 4)
                known[known_count++] = option->name;
        }
    }
    if (!owned)
        return err_set(err, ERR_CONFIG,
                       "set: %s: '%.*s' is no system, workload, nemesis or checker of this plan",
                       name, (int)(dot - name), name);
    const char *near = text_nearest(dot + 1, known, known_count);
    return err_set(err, ERR_CONFIG, "set: '%.*s' has no option '%s'%s%s%s", (int)(dot - name), name,
                   dot + 1, near == NULL ? "" : "; did you mean '", near == NULL ? "" : near,
                   near == NULL ? "" : "'?");
}

/* `promise` is the checker's option under the name that people use. */
static enum err_code take_promise(struct plan *plan, struct json *set, struct err *err)
{
    const char *promise = plan_text(plan, "promise");
    bool judged = false;
    for (size_t i = 0; i < plan->checker_count; i++)
        judged = judged || strcmp(plan->checkers[i], "delivery") == 0;
    if (promise == NULL)
        return ERR_NONE;
    if (!judged)
        return err_set(err, ERR_CONFIG,
                       "promise: the checker delivery, which judges it, is not among the checkers");
    json_set_text(set, "delivery.promise", promise);
    return ERR_NONE;
}

const char *plan_watcher(const struct plan *plan)
{
    for (const char *const *name = live_checkers; *name != NULL; name++)
        for (size_t i = 0; i < plan->checker_count; i++)
            if (strcmp(plan->checkers[i], *name) == 0)
                return *name;
    return NULL;
}

/* Watching for nothing would look like watching. */
static enum err_code check_stop(const struct plan *plan, struct err *err)
{
    if (!plan->stop_on_violation)
        return ERR_NONE;
    if (plan_watcher(plan) != NULL)
        return ERR_NONE;
    return err_set(err, ERR_CONFIG,
                   "stop-on-violation: only the checkers linearizable and transactions can judge a "
                   "run while it goes on, and neither is among the checkers: add one to checkers, "
                   "or leave this out");
}

/* What the system or the workload makes of others' options, where nobody has said anything yet. */
static enum err_code take_defaults(struct plan *plan, const char *const *defaults,
                                   const char *whose, struct json *set, const struct owner *owners,
                                   size_t count, struct err *err)
{
    for (const char *const *one = defaults; one != NULL && *one != NULL; one++) {
        const char *equals = strchr(*one, '='), *dot = strchr(*one, '.');
        const char *name = arena_strndup(&plan->arena, *one, (size_t)(equals - *one));
        bool there = false;
        for (size_t i = 0; i < count; i++)
            there = there || (strlen(owners[i].name) == (size_t)(dot - *one) &&
                              strncmp(owners[i].name, *one, (size_t)(dot - *one)) == 0);
        if (!there || json_get(set, name) != NULL)
            continue;
        if (check_option(owners, count, name, equals + 1, err) != ERR_NONE)
            return err_wrap(err, "%s", whose);
        json_set_text(set, name, equals + 1);
    }
    return ERR_NONE;
}

/* A plan whose faults are replaced by a schedule's may have options of nemeses that this does not
 * use. */
static void drop_unused(const struct plan *plan, struct json *set)
{
    for (const struct nemesis *const *nemesis = nemeses; *nemesis != NULL; nemesis++) {
        bool used = json_get(plan->values, "schedule") == NULL;
        for (size_t i = 0; i < plan->nemesis_count; i++)
            used = used || plan->nemeses[i] == *nemesis;
        const struct json *next;
        for (const struct json *one = json_first(set); one != NULL && !used; one = next) {
            next = json_next(one);
            size_t length = strlen((*nemesis)->name);
            if (strncmp(json_key(one), (*nemesis)->name, length) == 0 &&
                json_key(one)[length] == '.')
                json_remove(set, json_key(one));
        }
    }
}

static enum err_code resolve_options(struct plan *plan, struct err *err)
{
    struct owner owners[NAMES_MAX + PLAN_NEMESES_MAX + 2];
    size_t count = owners_of(plan, owners);
    struct json *set = json_get(plan->values, "set");
    if (set == NULL)
        set = json_set(plan->values, "set", json_object());
    if (take_promise(plan, set, err) != ERR_NONE ||
        take_defaults(plan, plan->system->defaults, plan->system->name, set, owners, count, err) !=
            ERR_NONE ||
        take_defaults(plan, plan->workload->defaults, plan->workload->name, set, owners, count,
                      err) != ERR_NONE)
        return err->code;
    drop_unused(plan, set);
    for (const struct json *option = json_first(set); option != NULL; option = json_next(option))
        if (check_option(owners, count, json_key(option), json_as_text(option, ""), err) !=
            ERR_NONE)
            return err->code;
    json_free(plan->options.values);
    plan->options.values = json_copy(set);
    for (size_t i = 0; i < count; i++)
        option_defaults(&plan->options, owners[i].name, owners[i].declared);
    json_set(plan->values, "set", json_copy(plan->options.values));
    return ERR_NONE;
}

static enum err_code check_name(const char *name, struct err *err)
{
    bool good = name[0] != '\0' && name[0] != '.' && strlen(name) <= 128;
    for (const char *c = name; *c != '\0'; c++)
        good = good && *c != '/' && (unsigned char)*c > ' ' && *c != 0x7f;
    if (good)
        return ERR_NONE;
    return err_set(err, ERR_CONFIG,
                   "name: '%s' cannot name a directory: use letters, digits, '-' and '_'", name);
}

/* They go into a shell as they are, so that it finds what matches. */
static enum err_code resolve_log_files(struct plan *plan, struct err *err)
{
    static const char good[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                               "-_./*?[]!+@:=%";
    const char *text = plan_text(plan, "log-files");
    if (text == NULL)
        return ERR_NONE;
    plan->log_glob_count = text_split(&plan->arena, text, ',', &plan->log_globs);
    for (size_t i = 0; i < plan->log_glob_count; i++) {
        const char *glob = plan->log_globs[i];
        if (glob[0] != '/' || glob[strspn(glob, good)] != '\0')
            return err_set(err, ERR_CONFIG,
                           "log-files: '%s' is no full path of letters, digits, -_./*?[]!+@:=%%",
                           glob);
    }
    return ERR_NONE;
}

enum err_code plan_resolve(struct plan *plan, struct err *err)
{
    for (const struct plan_field *field = plan_fields; field->name != NULL; field++)
        if (field->fallback != NULL)
            fill_default(plan, field->name, field->fallback);
    plan->checker_count = 0;
    if (resolve_names(plan, err) != ERR_NONE)
        return err->code;
    plan->time_limit_ns = duration_field(plan, "time-limit");
    if (schedule_read(plan, err) != ERR_NONE || resolve_checkers(plan, err) != ERR_NONE ||
        resolve_nodes(plan, err) != ERR_NONE || resolve_concurrency(plan, err) != ERR_NONE ||
        resolve_numbers(plan, err) != ERR_NONE || check_stop(plan, err) != ERR_NONE ||
        resolve_log_files(plan, err) != ERR_NONE || resolve_options(plan, err) != ERR_NONE)
        return err->code;
    fill_default(plan, "name",
                 arena_printf(&plan->arena, "%s-%s", plan->system->name, plan->workload->name));
    plan->name = plan_text(plan, "name");
    plan->cluster = plan_text(plan, "cluster");
    plan->store = plan_text(plan, "store");
    if (check_name(plan->name, err) != ERR_NONE)
        return err->code;
    return plan->system->check != NULL ? plan->system->check(plan, err) : ERR_NONE;
}
