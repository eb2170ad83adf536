/* Systems of one's own on nodes: files put, commands run, daemons started. See own.h.
 *
 * A command is a shell script of the user's, filled in for each node and run on all nodes at once.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "harness/base/clock.h"
#include "harness/base/text.h"
#include "workloads/at_once.h"
#include "workloads/systems/common.h"
#include "workloads/systems/own.h"

enum { FILE_BYTES_MAX = 1 << 20, PATIENCE_S = 5 }; /* for what is asked again and again */
#define CLIENT_PATIENCE_NS (500 * NS_PER_MS)

const struct own_system *own_of(const struct plan *plan)
{
    return (const struct own_system *)plan->system;
}

/* ---- Commands ---- */

struct errand {
    struct test *test;
    uint32_t node;
    const char *what, *template;
    bool quick;  /* a hanging one is ended */
    int *status; /* NULL: a status other than 0 is an error */
    struct buf out;
    struct buf script; /* filled in */
    struct err err;
    enum err_code code;
};

static void *run_errand(void *argument)
{
    struct errand *errand = argument;
    if (errand->test == NULL) /* a node that nothing is to be done on */
        return NULL;
    struct buf command = BUF_INIT;
    const struct own_system *own = own_of(errand->test->plan);
    errand->code = own_fill(own, errand->test->plan, errand->test, errand->node, OWN_ON_NODE,
                            errand->template, &errand->script, &errand->err);
    if (errand->quick) {
        buf_printf(&command, "timeout -k 1 %d sh -c ", PATIENCE_S);
        buf_add_shell_word(&command, buf_text(&errand->script));
        buf_add_text(&command, " 2>&1");
    } else {
        buf_add_text(&command, buf_text(&errand->script));
    }
    if (errand->code == ERR_NONE)
        errand->code = test_shell_output(errand->test, errand->node, &errand->out, errand->status,
                                         &errand->err, "%s", command.data);
    buf_free(&command);
    return NULL;
}

/* One for each of these nodes, at once; errands_free gives them back. */
static struct errand *run_on(struct test *test, node_set nodes, const char *what,
                             const char *template, bool quick, int *statuses)
{
    struct errand *errands = calloc(test->node_count, sizeof *errands);
    if (errands == NULL)
        abort();
    for (uint32_t i = 0; i < test->node_count; i++) {
        if (!node_in(nodes, i))
            continue;
        errands[i] = (struct errand){.test = test,
                                     .node = i,
                                     .what = what,
                                     .template = template,
                                     .quick = quick,
                                     .status = statuses == NULL ? NULL : &statuses[i],
                                     .out = BUF_INIT};
    }
    at_once(errands, sizeof *errands, test->node_count, run_errand);
    return errands;
}

static void errands_free(struct errand *errands, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        buf_free(&errands[i].out);
        buf_free(&errands[i].script);
    }
    free(errands);
}

static enum err_code run_command(struct test *test, node_set nodes, const char *what,
                                 const char *template, struct err *err)
{
    enum err_code code = ERR_NONE;
    if (template == NULL)
        return ERR_NONE;
    struct errand *errands = run_on(test, nodes, what, template, false, NULL);
    for (uint32_t i = 0; i < test->node_count && code == ERR_NONE; i++)
        if (node_in(nodes, i) && errands[i].code != ERR_NONE)
            code = err_set(err, errands[i].code, "\"%s\": %s", what, errands[i].err.message);
    errands_free(errands, test->node_count);
    return code;
}

/* ---- Before the run ---- */

const char *own_local_path(const struct own_system *own, const char *path, struct arena *arena)
{
    struct stat status;
    const char *beside = arena_printf(arena, "%s/%s", own->directory, path);
    if (path[0] != '/' && stat(beside, &status) == 0)
        return beside;
    return stat(path, &status) == 0 ? path : NULL;
}

static const char *filled_here(const struct own_system *own, const struct plan *plan,
                               const char *text, struct arena *arena, struct err *err)
{
    struct buf out = BUF_INIT;
    const char *copy = NULL;
    if (own_fill(own, plan, NULL, 0, OWN_HERE, text, &out, err) == ERR_NONE)
        copy = arena_strdup(arena, buf_text(&out));
    buf_free(&out);
    return copy;
}

static bool runs(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0 && S_ISREG(status.st_mode) && access(path, X_OK) == 0;
}

static bool in_search_path(const char *name, struct arena *arena)
{
    const char **parts;
    const char *path = getenv("PATH");
    size_t count = text_split(arena, path == NULL ? "/usr/bin:/bin" : path, ':', &parts);
    for (size_t i = 0; i < count; i++)
        if (runs(arena_printf(arena, "%s/%s", parts[i], name)))
            return true;
    return false;
}

/* Whether the client's program is there, and how it is started. */
static enum err_code prepare_client(struct own_system *own, const struct plan *plan,
                                    struct err *err)
{
    struct arena *arena = &own->arena;
    size_t count = 0, env_count = 0, at = 0;
    while (own->client_run[count] != NULL)
        count++;
    while (own->client_env != NULL && own->client_env[env_count] != NULL)
        env_count++;
    const char **argv = arena_zalloc(arena, (count + env_count + 2) * sizeof *argv);
    if (env_count > 0)
        argv[at++] = "env";
    for (size_t i = 0; i < env_count; i++)
        if ((argv[at++] = filled_here(own, plan, own->client_env[i], arena, err)) == NULL)
            return err->code;
    const char *program = NULL;
    for (size_t i = 0; i < count; i++) {
        if ((argv[at] = filled_here(own, plan, own->client_run[i], arena, err)) == NULL)
            return err->code;
        program = i == 0 ? argv[at] : program;
        at++;
    }
    const char *where = own->directory;
    if (strchr(program, '/') == NULL && !in_search_path(program, arena))
        return err_set(err, ERR_CONFIG,
                       "%s/system.json: client.run: there is no program %s in PATH; a file beside "
                       "system.json is ./%s",
                       where, program, program);
    const char *file = program[0] == '/'
                           ? program
                           : arena_printf(arena, "%s/%s", where,
                                          text_starts(program, "./") ? program + 2 : program);
    if (strchr(program, '/') != NULL && access(file, F_OK) != 0)
        return err_set(err, ERR_CONFIG, "%s/system.json: client.run: there is no file %s", where,
                       file);
    if (strchr(program, '/') != NULL && !runs(file))
        return err_set(err, ERR_CONFIG,
                       "%s/system.json: client.run: %s is not executable (chmod +x)", where, file);
    own->pool.name = program;
    own->pool.argv = argv;
    own->pool.cwd = own->directory;
    return ERR_NONE;
}

static enum err_code check_file(const struct own_system *own, const struct plan *plan, size_t index,
                                struct err *err)
{
    struct arena arena = ARENA_INIT;
    struct stat status;
    struct buf text = BUF_INIT, unused = BUF_INIT;
    struct err why = ERR_INIT;
    const struct own_file *file = &own->files[index];
    enum err_code code = ERR_NONE;
    const char *local = filled_here(own, plan, file->local, &arena, err);
    const char *found = local == NULL ? NULL : own_local_path(own, local, &arena);
    if (local == NULL)
        code = err->code;
    else if (found == NULL || stat(found, &status) != 0 || !S_ISREG(status.st_mode))
        code = err_set(err, ERR_CONFIG,
                       "%s/system.json: files[%zu].local: there is no file '%s' in that directory, "
                       "nor in the current one",
                       own->directory, index, local);
    else if (file->fill && (file_read(found, FILE_BYTES_MAX, &text, &why) != ERR_NONE ||
                            own_fill(own, NULL, NULL, 0, OWN_ON_NODE, buf_text(&text), &unused,
                                     &why) != ERR_NONE))
        code = err_set(err, ERR_CONFIG, "%s: %s", found, why.message);
    buf_free(&text);
    buf_free(&unused);
    arena_free(&arena);
    return code;
}

enum err_code own_check(const struct plan *plan, struct err *err)
{
    struct own_system *own = (struct own_system *)own_of(plan);
    for (const char *const *name = own->required; *name != NULL; name++) {
        const char *full = arena_printf(&own->arena, "%s.%s", own->system.name, *name);
        const struct option *option = own->system.options;
        while (strcmp(option->name, *name) != 0)
            option++;
        if (*option_text(&plan->options, full) == '\0')
            return err_set(err, ERR_CONFIG, "set: %s must be given (--set %s=..): %s", full, full,
                           option->help);
    }
    for (size_t i = 0; i < own->file_count; i++)
        if (own->files[i].local != NULL && check_file(own, plan, i, err) != ERR_NONE)
            return err->code;
    return prepare_client(own, plan, err);
}

/* ---- Files ---- */

static enum err_code write_filled(struct test *test, node_set nodes, const struct own_file *file,
                                  const char *text, struct err *err)
{
    const struct own_system *own = own_of(test->plan);
    enum err_code code = ERR_NONE;
    for (uint32_t i = 0; i < test->node_count && code == ERR_NONE; i++) {
        struct buf path = BUF_INIT, content = BUF_INIT;
        if (!node_in(nodes, i))
            continue;
        code = own_fill(own, test->plan, test, i, OWN_ON_NODE, file->path, &path, err);
        if (code == ERR_NONE)
            code = own_fill(own, test->plan, test, i, OWN_ON_NODE, text, &content, err);
        if (code == ERR_NONE)
            code = test_write_file(test, i, path.data, buf_text(&content), file->mode, err);
        buf_free(&path);
        buf_free(&content);
    }
    return code;
}

static enum err_code upload_as_is(struct test *test, node_set nodes, const struct own_file *file,
                                  const char *local, struct err *err)
{
    const struct own_system *own = own_of(test->plan);
    enum err_code code = ERR_NONE;
    if (strstr(file->path, "{{") == NULL)
        return test_upload_file(test, nodes, local, file->path, file->mode, err);
    for (uint32_t i = 0; i < test->node_count && code == ERR_NONE; i++) {
        struct buf path = BUF_INIT;
        if (!node_in(nodes, i))
            continue;
        code = own_fill(own, test->plan, test, i, OWN_ON_NODE, file->path, &path, err);
        if (code == ERR_NONE)
            code = test_upload_file(test, NODE_SET(i), local, path.data, file->mode, err);
        buf_free(&path);
    }
    return code;
}

static enum err_code put_file(struct test *test, node_set nodes, const struct own_file *file,
                              struct err *err)
{
    const struct own_system *own = own_of(test->plan);
    if (file->content != NULL)
        return write_filled(test, nodes, file, file->content, err);
    struct arena arena = ARENA_INIT;
    struct buf text = BUF_INIT;
    enum err_code code = ERR_NONE;
    const char *local = filled_here(own, test->plan, file->local, &arena, err);
    local = local == NULL ? NULL : own_local_path(own, local, &arena);
    if (local == NULL)
        code = err_set(err, ERR_CONFIG, "there is no file %s any more", file->local);
    else if (!file->fill)
        code = upload_as_is(test, nodes, file, local, err);
    else if ((code = file_read(local, FILE_BYTES_MAX, &text, err)) == ERR_NONE)
        code = write_filled(test, nodes, file, buf_text(&text), err);
    buf_free(&text);
    arena_free(&arena);
    return code;
}

/* ---- Hooks ---- */

static enum err_code install(struct test *test, node_set nodes, struct err *err)
{
    const struct own_system *own = own_of(test->plan);
    if (own->has_data_dir &&
        system_check_data_dir(test, own->system.data_dir_option, err) != ERR_NONE)
        return err->code;
    for (size_t i = 0; i < own->file_count; i++) {
        const struct own_file *file = &own->files[i];
        bool made = file->content != NULL || file->fill; /* for this run and node */
        if ((made || !test->plan->no_install) && put_file(test, nodes, file, err) != ERR_NONE)
            return err_wrap(err, "files[%zu]", i);
    }
    if (test->plan->no_install)
        return ERR_NONE;
    return run_command(test, nodes, "install", own->install, err);
}

static const char *const *fill_list(struct test *test, uint32_t node, const char *const *list,
                                    struct arena *arena, struct err *err)
{
    size_t count = 0;
    while (list[count] != NULL)
        count++;
    const char **filled = arena_zalloc(arena, (count + 1) * sizeof *filled);
    for (size_t i = 0; i < count; i++) {
        struct buf text = BUF_INIT;
        enum err_code code =
            own_fill(own_of(test->plan), test->plan, test, node, OWN_ON_NODE, list[i], &text, err);
        filled[i] = arena_strdup(arena, buf_text(&text));
        buf_free(&text);
        if (code != ERR_NONE)
            return NULL;
    }
    return filled;
}

static enum err_code start_one(struct test *test, uint32_t node, const struct own_daemon *daemon,
                               struct err *err)
{
    struct arena arena = ARENA_INIT;
    static const char *const none[] = {NULL};
    const char *const cwd_list[] = {daemon->cwd, NULL};
    const char *const *argv = fill_list(test, node, daemon->run, &arena, err);
    const char *const *env =
        fill_list(test, node, daemon->env == NULL ? none : daemon->env, &arena, err);
    const char *const *cwd = fill_list(test, node, cwd_list, &arena, err);
    enum err_code code = ERR_CONFIG;
    if (argv != NULL && env != NULL && cwd != NULL) {
        const struct daemon_spec spec = {.name = daemon->name,
                                         .argv = argv,
                                         .env = env,
                                         .cwd = cwd[0],
                                         .user = daemon->user,
                                         .log = daemon->log};
        code = daemon_start(test, node, &spec, err);
    }
    arena_free(&arena);
    return code == ERR_NONE ? code : err_wrap(err, "start %s", daemon->name);
}

static enum err_code start_daemon(struct test *test, node_set nodes,
                                  const struct own_daemon *daemon, struct err *err)
{
    node_set absent;
    enum err_code code = system_absent(test, nodes, daemon->name, &absent, err);
    for (uint32_t i = 0; i < test->node_count && code == ERR_NONE; i++)
        if (node_in(absent, i))
            code = start_one(test, i, daemon, err);
    return code == ERR_NONE && absent != 0
               ? system_watch(test, absent, daemon->name, daemon->log, err)
               : code;
}

static enum err_code start(struct test *test, node_set nodes, struct err *err)
{
    const struct own_system *own = own_of(test->plan);
    node_set any = 0;
    for (size_t i = 0; i < own->daemon_count; i++) {
        node_set absent;
        if (system_absent(test, nodes, own->daemons[i].name, &absent, err) != ERR_NONE)
            return err->code;
        any |= absent;
    }
    if (any == 0)
        return ERR_NONE;
    if (own->has_data_dir) {
        struct buf word = BUF_INIT;
        buf_add_shell_word(&word, option_text(&test->plan->options, own->system.data_dir_option));
        enum err_code code = test_shell(test, any, err, "mkdir -p -- %s", word.data);
        buf_free(&word);
        if (code != ERR_NONE)
            return code;
    }
    if (run_command(test, any, "before-start", own->before_start, err) != ERR_NONE)
        return err->code;
    for (size_t i = 0; i < own->daemon_count; i++)
        if (start_daemon(test, any, &own->daemons[i], err) != ERR_NONE)
            return err->code;
    return run_command(test, any, "after-start", own->after_start, err);
}

/* Daemons that run on all nodes; and the command says so, if there is one. */
static bool ready(struct test *test, struct buf *why_not)
{
    const struct own_system *own = own_of(test->plan);
    struct err err = ERR_INIT;
    for (size_t i = 0; i < own->daemon_count; i++) {
        node_set absent;
        if (system_absent(test, test_all_nodes(test), own->daemons[i].name, &absent, &err) !=
            ERR_NONE) {
            buf_add_text(why_not, err.message);
            return false;
        }
        if (absent == 0)
            continue;
        buf_printf(why_not, "%s does not run on ", own->daemons[i].name);
        test_print_nodes(test, absent, why_not);
        return false;
    }
    if (own->ready == NULL)
        return true;
    int statuses[PLAN_NODES_MAX];
    bool good = true;
    struct errand *errands =
        run_on(test, test_all_nodes(test), "ready", own->ready, true, statuses);
    for (uint32_t i = 0; i < test->node_count && good; i++) {
        if (errands[i].code == ERR_NONE && statuses[i] == 0)
            continue;
        good = false;
        if (errands[i].code == ERR_NONE)
            test_note_failure(test, i, buf_text(&errands[i].script), statuses[i],
                              buf_text(&errands[i].out));
        buf_printf(why_not, "%s: ", test->nodes[i].name);
        if (errands[i].code != ERR_NONE)
            buf_add_text(why_not, errands[i].err.message);
        else
            buf_printf(why_not, "\"ready\" ended with status %d: %.200s", statuses[i],
                       errands[i].out.length == 0 ? "(it said nothing)" : errands[i].out.data);
    }
    errands_free(errands, test->node_count);
    return good;
}

static enum err_code primaries(struct test *test, node_set *nodes, struct err *err)
{
    int statuses[PLAN_NODES_MAX];
    (void)err;
    *nodes = 0;
    struct errand *errands =
        run_on(test, test_all_nodes(test), "primary", own_of(test->plan)->primary, true, statuses);
    for (uint32_t i = 0; i < test->node_count; i++)
        if (errands[i].code == ERR_NONE && statuses[i] == 0)
            *nodes |= NODE_SET(i);
    errands_free(errands, test->node_count);
    return ERR_NONE;
}

/* Asked once, when the system serves: the moment to see whether its client works, too. */
static enum err_code version(struct test *test, struct buf *out, struct err *err)
{
    const struct own_system *own = own_of(test->plan);
    if (own_rehearse(test, err) != ERR_NONE || own->version == NULL)
        return err->code;
    struct errand errand = {.test = test, .template = own->version, .quick = true};
    run_errand(&errand);
    size_t length = strcspn(buf_text(&errand.out), "\r\n");
    if (errand.code == ERR_NONE && length > 0)
        buf_add(out, errand.out.data, length < 120 ? length : 120);
    else if (errand.code == ERR_NONE)
        errand.code = err_set(err, ERR_REMOTE, "\"version\" said nothing");
    else
        err_set(err, errand.code, "%s", errand.err.message);
    buf_free(&errand.out);
    buf_free(&errand.script);
    return errand.code;
}

static enum err_code stop(struct test *test, node_set nodes, struct err *err)
{
    const struct own_system *own = own_of(test->plan);
    own_pool_stop((struct own_pool *)&own->pool, CLIENT_PATIENCE_NS);
    enum err_code code = run_command(test, nodes, "stop", own->stop, err);
    for (size_t i = own->daemon_count; i-- > 0;) {
        struct err one = ERR_INIT;
        if (daemon_stop(test, nodes, own->daemons[i].name, 5 * NS_PER_SECOND, &one) != ERR_NONE &&
            code == ERR_NONE)
            code = err_set(err, one.code, "%s", one.message);
    }
    return code;
}

static enum err_code wipe(struct test *test, node_set nodes, struct err *err)
{
    const struct own_system *own = own_of(test->plan);
    enum err_code code = ERR_NONE;
    if (own->has_data_dir)
        code = system_wipe_data_dir(test, nodes, own->system.data_dir_option, err);
    return code == ERR_NONE ? run_command(test, nodes, "wipe", own->wipe, err) : code;
}

static const struct client *client_for(const struct system *self, const char *workload)
{
    const struct own_system *own = (const struct own_system *)self;
    for (size_t i = 0; i < own->workload_count; i++)
        if (strcmp(own->workloads[i].name, workload) == 0)
            return &own_client;
    return NULL;
}

const struct system own_hooks = {
    .install = install,
    .start = start,
    .ready = ready,
    .wipe = wipe,
    .stop = stop,
    .primaries = primaries,
    .version = version,
    .client_for = client_for,
};
