/* system.json: see own.h. Whoever wrote it is told file, line, place and what was expected. */
#include <limits.h>
#include <regex.h>
#include <stdlib.h>
#include <string.h>

#include "harness/base/clock.h"
#include "harness/base/text.h"
#include "harness/plugin.h"
#include "harness/workload_words.h"
#include "workloads/systems/own.h"

enum { FILE_BYTES_MAX = 1 << 20, NAME_LENGTH_MAX = 32, FORMAT_VERSION = 1 };

struct reading {
    struct own_system *own;
    const char *path; /* of system.json */
    struct json_source source;
    struct err *err;
};

/* The node of a place such as daemons[0].run[2], or the nearest around it. */
static const struct json *node_at(const struct json *node, const char *place)
{
    while (*place != '\0') {
        char name[64];
        size_t length = strcspn(place, ".[");
        const struct json *next = NULL;
        if (*place == '[') {
            next = json_at(node, strtoul(place + 1, NULL, 10));
            length = strcspn(place, "]") + 1;
        } else if (length < sizeof name) {
            memcpy(name, place, length);
            name[length] = '\0';
            next = json_get(node, name);
        }
        if (next == NULL)
            return node;
        node = next;
        place += length;
        place += *place == '.';
    }
    return node;
}

/* "mydb/system.json:12: daemons[0].run: must be .." */
static enum err_code wrong(struct reading *reading, const char *place, const char *what)
{
    int line = json_line_at(&reading->source, node_at(reading->source.root, place));
    return err_set(reading->err, ERR_CONFIG, "%s:%d: %s: %s", reading->path, line < 1 ? 1 : line,
                   place, what);
}

static char *keep(struct reading *reading, const char *text)
{
    return arena_strdup(&reading->own->arena, text);
}

static const char *below(struct reading *reading, const char *place, const char *key)
{
    return arena_printf(&reading->own->arena, "%s.%s", place, key);
}

static enum err_code check_keys(struct reading *reading, const char *place,
                                const struct json *object, const char *const *keys)
{
    size_t count = 0;
    while (keys[count] != NULL)
        count++;
    for (const struct json *one = json_first(object); one != NULL; one = json_next(one)) {
        size_t i = 0;
        while (i < count && strcmp(keys[i], json_key(one)) != 0)
            i++;
        if (i < count)
            continue;
        struct buf what = BUF_INIT;
        const char *near = text_nearest(json_key(one), keys, count);
        buf_add_text(&what, "there is no such member; ");
        if (near != NULL)
            buf_printf(&what, "did you mean \"%s\"?", near);
        for (i = 0; i < count && near == NULL; i++)
            buf_printf(&what, "%s%s", i == 0 ? "it has " : ", ", keys[i]);
        enum err_code code =
            wrong(reading, *place == '\0' ? json_key(one) : below(reading, place, json_key(one)),
                  what.data);
        buf_free(&what);
        return code;
    }
    return ERR_NONE;
}

/* Absent members leave *value alone. */
static enum err_code take_text(struct reading *reading, const char *place,
                               const struct json *object, const char *key, const char **value)
{
    const struct json *member = json_get(object, key);
    if (member == NULL)
        return ERR_NONE;
    if (json_kind(member) != JSON_TEXT || *json_as_text(member, "") == '\0')
        return wrong(reading, *place == '\0' ? key : below(reading, place, key),
                     "must be a text that is not empty");
    *value = keep(reading, json_as_text(member, ""));
    return ERR_NONE;
}

static enum err_code take_template(struct reading *reading, const char *place,
                                   const struct json *object, const char *key, enum own_scope scope,
                                   const char **value)
{
    struct err why = ERR_INIT;
    struct buf unused = BUF_INIT;
    const char *text = NULL;
    enum err_code code = take_text(reading, place, object, key, &text);
    if (code == ERR_NONE && text != NULL &&
        own_fill(reading->own, NULL, NULL, 0, scope, text, &unused, &why) != ERR_NONE)
        code = wrong(reading, *place == '\0' ? key : below(reading, place, key), why.message);
    if (code == ERR_NONE && text != NULL)
        *value = text;
    buf_free(&unused);
    return code;
}

static enum err_code take_list(struct reading *reading, const char *place,
                               const struct json *object, const char *key, enum own_scope scope,
                               const char *const **list)
{
    const struct json *member = json_get(object, key);
    const char *where = *place == '\0' ? key : below(reading, place, key);
    if (member == NULL)
        return ERR_NONE;
    if (json_kind(member) != JSON_ARRAY || json_count(member) == 0)
        return wrong(reading, where, "must be a list of texts that is not empty");
    size_t count = 0;
    const char **texts =
        arena_zalloc(&reading->own->arena, (json_count(member) + 1) * sizeof *texts);
    struct buf unused = BUF_INIT;
    struct err why = ERR_INIT;
    enum err_code code = ERR_NONE;
    for (const struct json *one = json_first(member); one != NULL && code == ERR_NONE;
         one = json_next(one), count++) {
        const char *at = arena_printf(&reading->own->arena, "%s[%zu]", where, count);
        texts[count] = keep(reading, json_as_text(one, ""));
        if (json_kind(one) != JSON_TEXT)
            code = wrong(reading, at, "must be a text");
        else if (own_fill(reading->own, NULL, NULL, 0, scope, texts[count], &unused, &why) !=
                 ERR_NONE)
            code = wrong(reading, at, why.message);
    }
    buf_free(&unused);
    if (code == ERR_NONE)
        *list = texts;
    return code;
}

/* {"NAME": "value"} as "NAME=value" */
static enum err_code take_env(struct reading *reading, const char *place, const struct json *object,
                              enum own_scope scope, const char *const **list)
{
    const struct json *member = json_get(object, "env");
    const char *where = below(reading, place, "env");
    if (member == NULL)
        return ERR_NONE;
    if (json_kind(member) != JSON_OBJECT)
        return wrong(reading, where, "must be an object of texts, {\"NAME\": \"value\"}");
    size_t count = 0;
    const char **texts =
        arena_zalloc(&reading->own->arena, (json_count(member) + 1) * sizeof *texts);
    for (const struct json *one = json_first(member); one != NULL; one = json_next(one)) {
        const char *value = "";
        if (json_kind(one) == JSON_TEXT && *json_as_text(one, "") == '\0')
            value = "";
        else if (take_template(reading, where, member, json_key(one), scope, &value) != ERR_NONE)
            return reading->err->code;
        texts[count++] = arena_printf(&reading->own->arena, "%s=%s", json_key(one), value);
    }
    *list = texts;
    return ERR_NONE;
}

static bool is_name(const char *text)
{
    size_t good = strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789-");
    return text[0] != '\0' && text[0] != '-' && text[good] == '\0' && good <= NAME_LENGTH_MAX;
}

static enum err_code expect_object(struct reading *reading, const char *place,
                                   const struct json *value, const char *what)
{
    return json_kind(value) == JSON_OBJECT ? ERR_NONE : wrong(reading, place, what);
}

/* ---- Options ---- */

static enum option_kind kind_of(const char *name, bool *known)
{
    static const struct {
        const char *name;
        enum option_kind kind;
    } kinds[] = {{"text", OPTION_TEXT},     {"int", OPTION_INT},           {"real", OPTION_REAL},
                 {"bool", OPTION_BOOL},     {"duration", OPTION_DURATION}, {"file", OPTION_TEXT},
                 {"choice", OPTION_CHOICE}, {"pattern", OPTION_PATTERN}};
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if (strcmp(kinds[i].name, name) == 0) {
            *known = true;
            return kinds[i].kind;
        }
    *known = false;
    return OPTION_TEXT;
}

static enum err_code read_option(struct reading *reading, const struct json *member,
                                 struct option *option, bool *required)
{
    static const char *const keys[] = {"default", "help", "kind", "choices", NULL};
    const char *place = below(reading, "options", json_key(member));
    const char *kind = NULL, *help = "";
    bool known = false;
    if (!is_name(json_key(member)) || strcmp(json_key(member), "data-dir") == 0)
        return wrong(reading, place,
                     "an option is called by small letters, digits and '-', and not data-dir, "
                     "which is a member of its own");
    if (expect_object(reading, place, member,
                      "must be an object, {\"default\": .., \"help\": ..}") != ERR_NONE ||
        check_keys(reading, place, member, keys) != ERR_NONE ||
        take_text(reading, place, member, "help", &help) != ERR_NONE ||
        take_text(reading, place, member, "kind", &kind) != ERR_NONE)
        return reading->err->code;
    struct buf choices = BUF_INIT;
    for (const struct json *one = json_first(json_get(member, "choices")); one != NULL;
         one = json_next(one))
        buf_printf(&choices, "%s%s", choices.length > 0 ? "|" : "", json_as_text(one, ""));
    const struct json *fallback = json_get(member, "default");
    const char *text = fallback == NULL ? "" : plan_scalar_text(&reading->own->arena, fallback);
    option->kind = kind_of(kind == NULL ? (choices.length > 0 ? "choice" : "text") : kind, &known);
    option->name = keep(reading, json_key(member));
    option->help = help;
    option->fallback = text == NULL ? NULL : keep(reading, text);
    option->choices = choices.length > 0 ? keep(reading, choices.data) : NULL;
    buf_free(&choices);
    *required = fallback == NULL;
    struct err why = ERR_INIT;
    if (!known)
        return wrong(reading, below(reading, place, "kind"),
                     "must be text, int, real, bool, duration, choice, pattern or file");
    if ((option->kind == OPTION_CHOICE) != (option->choices != NULL))
        return wrong(reading, place, "\"choices\" and kind choice go together");
    if (option->fallback == NULL)
        return wrong(reading, below(reading, place, "default"), "must be a text, number or bool");
    if (!*required &&
        option_check(option, reading->own->system.name, option->fallback, &why) != ERR_NONE)
        return wrong(reading, below(reading, place, "default"), why.message);
    return ERR_NONE;
}

static enum err_code read_options(struct reading *reading, const struct json *root)
{
    struct own_system *own = reading->own;
    const struct json *list = json_get(root, "options");
    const char *data_dir = NULL;
    if (list != NULL &&
        expect_object(reading, "options", list, "must be an object of options") != ERR_NONE)
        return reading->err->code;
    size_t count = 0, required_count = 0;
    struct option *options = arena_zalloc(&own->arena, (json_count(list) + 2) * sizeof *options);
    const char **required = arena_zalloc(&own->arena, (json_count(list) + 1) * sizeof *required);
    for (const struct json *one = json_first(list); one != NULL; one = json_next(one)) {
        bool needed;
        if (read_option(reading, one, &options[count], &needed) != ERR_NONE)
            return reading->err->code;
        if (needed)
            required[required_count++] = options[count].name;
        count++;
    }
    if (take_text(reading, "", root, "data-dir", &data_dir) != ERR_NONE)
        return reading->err->code;
    if (data_dir != NULL) {
        options[count] = (struct option){.name = "data-dir",
                                         .kind = OPTION_TEXT,
                                         .fallback = data_dir,
                                         .help = "where each node keeps its data; removed whole "
                                                 "before a run"};
        own->has_data_dir = true;
        own->system.data_dir_option = arena_printf(&own->arena, "%s.data-dir", own->system.name);
    }
    own->system.options = options;
    own->required = required;
    return ERR_NONE;
}

/* ---- What is on nodes ---- */

static enum err_code read_mode(struct reading *reading, const char *place,
                               const struct json *member, unsigned *mode)
{
    const char *text = "644";
    char *end;
    if (take_text(reading, place, member, "mode", &text) != ERR_NONE)
        return reading->err->code;
    unsigned long value = strtoul(text, &end, 8);
    if (*end != '\0' || value > 07777)
        return wrong(reading, below(reading, place, "mode"), "must be octal, such as \"755\"");
    *mode = (unsigned)value;
    return ERR_NONE;
}

static enum err_code read_files(struct reading *reading, const struct json *root)
{
    static const char *const keys[] = {"local", "content", "path", "mode", "fill", NULL};
    struct own_system *own = reading->own;
    const struct json *list = json_get(root, "files");
    if (list != NULL && json_kind(list) != JSON_ARRAY)
        return wrong(reading, "files", "must be a list of objects, {\"local\": .., \"path\": ..}");
    own->files = arena_zalloc(&own->arena, (json_count(list) + 1) * sizeof *own->files);
    for (const struct json *one = json_first(list); one != NULL; one = json_next(one)) {
        struct own_file *file = &own->files[own->file_count];
        const char *place = arena_printf(&own->arena, "files[%zu]", own->file_count++);
        if (expect_object(reading, place, one,
                          "must be an object, {\"local\": .., \"path\": ..}") != ERR_NONE ||
            check_keys(reading, place, one, keys) != ERR_NONE ||
            take_template(reading, place, one, "local", OWN_HERE, &file->local) != ERR_NONE ||
            take_template(reading, place, one, "content", OWN_ON_NODE, &file->content) !=
                ERR_NONE ||
            take_template(reading, place, one, "path", OWN_ON_NODE, &file->path) != ERR_NONE ||
            read_mode(reading, place, one, &file->mode) != ERR_NONE)
            return reading->err->code;
        const struct json *fill = json_get(one, "fill");
        if (fill != NULL && json_kind(fill) != JSON_BOOL)
            return wrong(reading, below(reading, place, "fill"), "must be true or false");
        file->fill = file->content != NULL || json_as_bool(fill, false);
        if ((file->local == NULL) == (file->content == NULL))
            return wrong(reading, place, "must have \"local\" or \"content\", and not both");
        if (file->path == NULL || (file->path[0] != '/' && file->path[0] != '{'))
            return wrong(reading, below(reading, place, "path"),
                         "must be a full path on the nodes");
    }
    return ERR_NONE;
}

static enum err_code read_daemon(struct reading *reading, const struct json *one, const char *place,
                                 struct own_daemon *daemon)
{
    static const char *const keys[] = {"name", "run", "env", "cwd", "user", "log", NULL};
    struct own_system *own = reading->own;
    daemon->name = own->system.name;
    if (expect_object(reading, place, one, "must be an object, {\"name\": .., \"run\": [..]}") !=
            ERR_NONE ||
        check_keys(reading, place, one, keys) != ERR_NONE ||
        take_text(reading, place, one, "name", &daemon->name) != ERR_NONE ||
        take_list(reading, place, one, "run", OWN_ON_NODE, &daemon->run) != ERR_NONE ||
        take_env(reading, place, one, OWN_ON_NODE, &daemon->env) != ERR_NONE ||
        take_template(reading, place, one, "cwd", OWN_ON_NODE, &daemon->cwd) != ERR_NONE ||
        take_text(reading, place, one, "user", &daemon->user) != ERR_NONE ||
        take_text(reading, place, one, "log", &daemon->log) != ERR_NONE)
        return reading->err->code;
    if (!is_name(daemon->name))
        return wrong(reading, below(reading, place, "name"),
                     "must be at most 32 small letters, digits and '-'");
    if (daemon->run == NULL)
        return wrong(reading, below(reading, place, "run"),
                     "must be there: a list of texts, the program and its arguments");
    if (daemon->log == NULL)
        daemon->log = arena_printf(&own->arena, "/var/log/ordeal/%s.log", daemon->name);
    if (daemon->log[0] != '/')
        return wrong(reading, below(reading, place, "log"), "must be a full path on the nodes");
    return ERR_NONE;
}

static enum err_code read_daemons(struct reading *reading, const struct json *root)
{
    struct own_system *own = reading->own;
    const struct json *list = json_get(root, "daemons"), *logs = json_get(root, "logs");
    const char *const *more_logs = NULL;
    size_t count = json_count(list), log_count = 0;
    if (list == NULL || json_kind(list) != JSON_ARRAY || count == 0)
        return wrong(reading, "daemons",
                     "must be there: a list of objects, {\"name\": .., \"run\": [..]}, of what "
                     "runs on each node (without one nothing can be killed or paused)");
    own->daemons = arena_zalloc(&own->arena, (count + 1) * sizeof *own->daemons);
    const char **names = arena_zalloc(&own->arena, (count + 1) * sizeof *names);
    const char **paths = arena_zalloc(&own->arena, (count + json_count(logs) + 1) * sizeof *paths);
    for (const struct json *one = json_first(list); one != NULL; one = json_next(one)) {
        const char *place = arena_printf(&own->arena, "daemons[%zu]", own->daemon_count);
        struct own_daemon *daemon = &own->daemons[own->daemon_count];
        if (read_daemon(reading, one, place, daemon) != ERR_NONE)
            return reading->err->code;
        for (size_t i = 0; i < own->daemon_count; i++)
            if (strcmp(names[i], daemon->name) == 0)
                return wrong(reading, below(reading, place, "name"),
                             "another daemon is called that already");
        paths[log_count++] = daemon->log;
        names[own->daemon_count++] = daemon->name;
    }
    if (take_list(reading, "", root, "logs", OWN_HERE, &more_logs) != ERR_NONE)
        return reading->err->code;
    for (size_t i = 0; more_logs != NULL && more_logs[i] != NULL; i++)
        paths[log_count++] = more_logs[i];
    own->system.daemons = names;
    own->system.log_paths = paths;
    return ERR_NONE;
}

/* {"KIND": "a regular expression"} */
static enum err_code read_log_marks(struct reading *reading, const struct json *root)
{
    struct own_system *own = reading->own;
    const struct json *object = json_get(root, "log-marks");
    if (object == NULL)
        return ERR_NONE;
    if (json_kind(object) != JSON_OBJECT || json_count(object) == 0)
        return wrong(reading, "log-marks",
                     "must be an object of regular expressions, {\"election\": \"is leader now\"}");
    struct log_mark *marks =
        arena_zalloc(&own->arena, (json_count(object) + 1) * sizeof(struct log_mark));
    size_t count = 0;
    for (const struct json *one = json_first(object); one != NULL; one = json_next(one)) {
        const char *place = below(reading, "log-marks", json_key(one)), *pattern = NULL;
        char why[160];
        regex_t compiled;
        if (take_text(reading, "log-marks", object, json_key(one), &pattern) != ERR_NONE)
            return reading->err->code;
        int problem = regcomp(&compiled, pattern, REG_EXTENDED | REG_NOSUB);
        if (problem != 0) {
            regerror(problem, &compiled, why, sizeof why);
            return wrong(reading, place, why);
        }
        regfree(&compiled);
        marks[count++] = (struct log_mark){keep(reading, json_key(one)), pattern};
    }
    own->system.log_marks = marks;
    return ERR_NONE;
}

static enum err_code read_commands(struct reading *reading, const struct json *root)
{
    struct own_system *own = reading->own;
    const struct {
        const char *key;
        const char **value;
    } commands[] = {{"install", &own->install},
                    {"before-start", &own->before_start},
                    {"after-start", &own->after_start},
                    {"stop", &own->stop},
                    {"wipe", &own->wipe},
                    {"ready", &own->ready},
                    {"primary", &own->primary},
                    {"version", &own->version}};
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        if (take_template(reading, "", root, commands[i].key, OWN_ON_NODE, commands[i].value) !=
            ERR_NONE)
            return reading->err->code;
    }
    return ERR_NONE;
}

/* ---- Clients ---- */

static enum err_code read_client(struct reading *reading, const struct json *root)
{
    static const char *const keys[] = {"run", "processes", "env", NULL};
    struct own_system *own = reading->own;
    const struct json *client = json_get(root, "client");
    const char *processes = "each";
    if (client == NULL)
        return wrong(reading, "client",
                     "must be there: an object, {\"run\": [\"./client.py\"]}, of the program that "
                     "asks the system");
    if (expect_object(reading, "client", client,
                      "must be an object, {\"run\": [\"./client.py\"]}") != ERR_NONE ||
        check_keys(reading, "client", client, keys) != ERR_NONE ||
        take_list(reading, "client", client, "run", OWN_HERE, &own->client_run) != ERR_NONE ||
        take_env(reading, "client", client, OWN_HERE, &own->client_env) != ERR_NONE ||
        take_text(reading, "client", client, "processes", &processes) != ERR_NONE)
        return reading->err->code;
    if (own->client_run == NULL)
        return wrong(reading, "client.run",
                     "must be there: a list of texts, the program and its arguments");
    own->pool.shared = strcmp(processes, "one") == 0;
    if (!own->pool.shared && strcmp(processes, "each") != 0)
        return wrong(reading, "client.processes",
                     "must be \"each\" (a process for every worker) or \"one\" (for all of them)");
    return ERR_NONE;
}

static enum err_code read_operations(struct reading *reading, const char *place,
                                     const struct json *member, struct own_workload *declared)
{
    struct err why = ERR_INIT;
    const struct workload *workload =
        plugin_resolve(workloads, "workload", "workloads", json_key(member), &why);
    if (workload == NULL)
        return wrong(reading, place, why.message);
    if (workload->words == NULL)
        return wrong(reading, place, "this workload has no words for clients from outside");
    declared->name = workload->name;
    size_t count = 0;
    const char **names =
        arena_zalloc(&reading->own->arena, (json_count(member) + 1) * sizeof *names);
    if (json_kind(member) != JSON_ARRAY || json_count(member) == 0)
        return wrong(reading, place, "must be a list of the operations that the client can do");
    for (const struct json *one = json_first(member); one != NULL; one = json_next(one)) {
        const char *f = json_as_text(one, "");
        names[count++] = keep(reading, f);
        if (word_find(workload, f) != NULL)
            continue;
        struct buf what = BUF_INIT;
        buf_printf(&what, "'%s' is no operation of %s:", f, workload->name);
        for (const struct word *word = workload->words; word->f != NULL; word++)
            buf_printf(&what, "%s %s", word == workload->words ? "" : ",", word->f);
        enum err_code code = wrong(reading, place, what.data);
        buf_free(&what);
        return code;
    }
    declared->operations = names;
    return ERR_NONE;
}

static enum err_code read_workloads(struct reading *reading, const struct json *root)
{
    struct own_system *own = reading->own;
    const struct json *list = json_get(root, "workloads");
    if (json_kind(list) != JSON_OBJECT || json_count(list) == 0)
        return wrong(reading, "workloads",
                     "must be there: an object of the workloads that the client can do, each with "
                     "its operations, {\"register\": [\"read\", \"write\", \"cas\"]}");
    own->workloads = arena_zalloc(&own->arena, json_count(list) * sizeof *own->workloads);
    for (const struct json *one = json_first(list); one != NULL; one = json_next(one))
        if (read_operations(reading, below(reading, "workloads", json_key(one)), one,
                            &own->workloads[own->workload_count++]) != ERR_NONE)
            return reading->err->code;
    return ERR_NONE;
}

/* {"register.cas": 0}: options of others, unless the plan says otherwise. */
static enum err_code read_defaults(struct reading *reading, const struct json *root)
{
    struct own_system *own = reading->own;
    const struct json *list = json_get(root, "defaults");
    size_t count = 0;
    if (list != NULL && expect_object(reading, "defaults", list,
                                      "must be an object, {\"register.cas\": 0}") != ERR_NONE)
        return reading->err->code;
    const char **texts = arena_zalloc(&own->arena, (json_count(list) + 1) * sizeof *texts);
    for (const struct json *one = json_first(list); one != NULL; one = json_next(one)) {
        const char *text = plan_scalar_text(&own->arena, one), *dot = strchr(json_key(one), '.');
        if (text == NULL || dot == NULL || strchr(json_key(one), '=') != NULL)
            return wrong(reading, below(reading, "defaults", json_key(one)),
                         "must be OWNER.OPTION and a text, number or bool");
        texts[count++] = arena_printf(&own->arena, "%s=%s", json_key(one), text);
    }
    own->system.defaults = texts;
    return ERR_NONE;
}

/* ---- All of it ---- */

static enum err_code read_name(struct reading *reading, const struct json *root)
{
    struct own_system *own = reading->own;
    const char *slash = strrchr(own->directory, '/');
    own->system.name = keep(reading, slash == NULL ? own->directory : slash + 1);
    own->system.summary = arena_printf(&own->arena, "from %s", own->directory);
    if (json_as_int(json_get(root, "ordeal"), 0) != FORMAT_VERSION)
        return wrong(reading, "ordeal", "must be 1, the version of this format");
    if (take_text(reading, "", root, "name", &own->system.name) != ERR_NONE)
        return reading->err->code;
    if (!is_name(own->system.name))
        return wrong(reading, "name",
                     "must be at most 32 small letters, digits and '-' (left out: that of the "
                     "directory)");
    if (system_find(own->system.name) != NULL)
        return wrong(reading, "name", "ordeal has a system of that name already");
    return take_text(reading, "", root, "summary", &own->system.summary);
}

static enum err_code read_all(struct reading *reading, const struct json *root)
{
    static const char *const keys[] = {
        "ordeal",  "name", "summary", "options",   "data-dir", "files",        "install",
        "daemons", "logs", "ready",   "primary",   "version",  "before-start", "after-start",
        "stop",    "wipe", "client",  "workloads", "defaults", "log-marks",    NULL};
    if (json_kind(root) != JSON_OBJECT)
        return wrong(reading, "the file", "must be a JSON object");
    if (read_name(reading, root) != ERR_NONE || check_keys(reading, "", root, keys) != ERR_NONE ||
        read_options(reading, root) != ERR_NONE || read_files(reading, root) != ERR_NONE ||
        read_daemons(reading, root) != ERR_NONE || read_log_marks(reading, root) != ERR_NONE ||
        read_commands(reading, root) != ERR_NONE || read_client(reading, root) != ERR_NONE ||
        read_workloads(reading, root) != ERR_NONE)
        return reading->err->code;
    return read_defaults(reading, root);
}

static void take_hooks(struct own_system *own)
{
    struct system *system = &own->system;
    system->install = own_hooks.install;
    system->start = own_hooks.start;
    system->ready = own_hooks.ready;
    system->wipe = own_hooks.wipe;
    system->stop = own_hooks.stop;
    system->client_for = own_hooks.client_for;
    system->check = own_check;
    if (own->primary != NULL)
        system->primaries = own_hooks.primaries;
    system->version = own_hooks.version;
}

struct own_system *own_read(const char *directory, const char *reference, struct err *err)
{
    struct buf text = BUF_INIT;
    struct json *root = NULL;
    struct own_system *own = calloc(1, sizeof *own);
    if (own == NULL)
        abort();
    own->arena = ARENA_INIT;
    char *full = realpath(directory, NULL);
    own->directory = arena_strdup(&own->arena, full == NULL ? directory : full);
    own->reference = arena_strdup(&own->arena, reference == NULL ? own->directory : reference);
    free(full);
    struct reading reading = {.own = own,
                              .path = arena_printf(&own->arena, "%s/system.json", directory)};
    reading.err = err;
    enum err_code code = file_read(reading.path, FILE_BYTES_MAX, &text, err);
    if (code == ERR_NONE)
        code = json_parse(buf_text(&text), text.length, reading.path, &root, err);
    reading.source = (struct json_source){reading.path, buf_text(&text), root};
    if (code == ERR_NONE)
        code = read_all(&reading, root);
    json_free(root);
    buf_free(&text);
    if (code != ERR_NONE) {
        err->code = ERR_CONFIG;
        arena_free(&own->arena);
        free(own);
        return NULL;
    }
    take_hooks(own);
    return own;
}
