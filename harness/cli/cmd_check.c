/* ordeal check: judge a recorded history. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "harness/base/clock.h"
#include "harness/base/text.h"
#include "harness/cli/cli.h"
#include "harness/histories/history_io.h"
#include "harness/model.h"
#include "harness/model_file.h"
#include "harness/pieces.h"
#include "harness/plan.h"
#include "harness/plugin.h"
#include "harness/run.h"
#include "harness/store.h"

#define CERTIFICATE_MAX ((size_t)1 << 30)

struct request {
    struct arena arena;
    const char *path, *format, *checkers, *model, *map, *certificate, *verify, *dot;
    struct json *set;
    enum keyed keyed;
    bool keyed_given, level_given, json, edn;
    int64_t time_ns, memory_mib;
    int64_t piece_mib; /* 0: auto; -1: never */
};

static const struct cli_option options[] = {
    {"checker", "C,C..",
     "judge by these; default: what the run was judged by, else stats,linearizable"},
    {"model", "M", "the sequential model of `linearizable` (ordeal list models), or a file of one"},
    {"promise", "P,P..", "what the queue is to keep, for `delivery` (ordeal list checkers)"},
    {"level", "L", "the isolation level of `transactions`, and judge by that checker"},
    {"keyed", "guess|yes|no", "whether client values are [key value]; default guess"},
    {"map", "A=B,..", "read the function A as B: --map publish=enqueue,fetch=dequeue"},
    {"from", "FORMAT", "format of the history; default: by its name"},
    {"set", "CHECKER.OPTION=VALUE", "an option of a checker (ordeal list checkers)"},
    {"time", "TIME", "budget of each checker; default 60s"},
    {"memory", "MIB", "budget of each checker's search; default 2048"},
    {"pieces", "auto|MIB|no",
     "judge a keyed history.ordeal in pieces of this size; auto: if it would not fit in memory"},
    {"certificate", "PATH", "write there what proves the verdict (linearizable, transactions)"},
    {"verify", "PATH", "prove the certificate there instead of judging"},
    {"dot", "DIR", "write each cycle of `transactions` there as a Graphviz graph, a file each"},
    {"json", NULL, "print the results as one JSON object, and nothing else, there"},
    {"edn", NULL, "the same as Jepsen's results.edn"},
    {.name = NULL},
};

static enum err_code take_set(struct request *request, const char *value, struct err *err)
{
    const char *equals = strchr(value, '='), *dot = strchr(value, '.');
    if (equals == NULL || dot == NULL || dot > equals)
        return err_set(err, ERR_CONFIG, "--set: '%s' is not CHECKER.OPTION=VALUE", value);
    const char *name = arena_strndup(&request->arena, value, (size_t)(equals - value));
    const char *owner = arena_strndup(&request->arena, value, (size_t)(dot - value));
    const struct checker *checker = plugin_resolve(checkers, "checker", "checkers", owner, err);
    if (checker == NULL)
        return err_wrap(err, "--set");
    for (const struct option *option = checker->options; option != NULL && option->name != NULL;
         option++)
        if (strcmp(option->name, name + strlen(owner) + 1) == 0) {
            json_set_text(request->set, name, equals + 1);
            return option_check(option, owner, equals + 1, err);
        }
    return err_set(err, ERR_CONFIG, "--set: the checker %s has no option '%s'", owner,
                   name + strlen(owner) + 1);
}

static enum err_code take_promise(struct request *request, const char *value, struct err *err)
{
    struct err why = ERR_INIT;
    const char *full = arena_printf(&request->arena, "delivery.promise=%s", value);
    if (take_set(request, full, &why) == ERR_NONE)
        return ERR_NONE;
    const char *message = strstr(why.message, ": ");
    return err_set(err, ERR_CONFIG, "--promise%s", message == NULL ? why.message : message);
}

static enum err_code take(void *state, const char *name, const char *value, struct err *err)
{
    struct request *request = state;
    if (name == NULL) {
        if (request->path != NULL)
            return err_set(err, ERR_CONFIG,
                           "two histories are named, '%s' and '%s'; check takes one", request->path,
                           value);
        request->path = value;
    } else if (strcmp(name, "checker") == 0) {
        request->checkers = value;
    } else if (strcmp(name, "model") == 0) {
        if (model_is_file(value) ? model_open(value, err) == NULL
                                 : plugin_resolve(models, "model", "models", value, err) == NULL)
            return err->code;
        json_set_text(request->set, "linearizable.model", value);
    } else if (strcmp(name, "promise") == 0) {
        return take_promise(request, value, err);
    } else if (strcmp(name, "level") == 0) {
        json_set_text(request->set, "transactions.level", value);
        request->level_given = true;
    } else if (strcmp(name, "keyed") == 0) {
        request->keyed_given = true;
        request->keyed = keyed_of(value);
        if (request->keyed == KEYED_GUESS && strcmp(value, "guess") != 0)
            return err_set(err, ERR_CONFIG, "--keyed: '%s' is none of guess, yes, no", value);
    } else if (strcmp(name, "from") == 0) {
        request->format = value;
    } else if (strcmp(name, "map") == 0) {
        request->map = value;
    } else if (strcmp(name, "set") == 0) {
        return take_set(request, value, err);
    } else if (strcmp(name, "time") == 0) {
        if (clock_parse_duration(value, &request->time_ns, err) != ERR_NONE)
            return err_wrap(err, "--time");
    } else if (strcmp(name, "pieces") == 0) {
        char *end;
        request->piece_mib = strtoll(value, &end, 10);
        bool number = end != value && *end == '\0' && request->piece_mib > 0;
        if (!number && strcmp(value, "auto") != 0 && strcmp(value, "no") != 0)
            return err_set(err, ERR_CONFIG, "--pieces: '%s' is none of auto, no, a number of MiB",
                           value);
        if (!number)
            request->piece_mib = strcmp(value, "no") == 0 ? -1 : 0;
    } else if (strcmp(name, "memory") == 0) {
        char *end;
        request->memory_mib = strtoll(value, &end, 10);
        if (end == value || *end != '\0' || request->memory_mib < 1)
            return err_set(err, ERR_CONFIG, "--memory: '%s' is no number of MiB", value);
    } else if (strcmp(name, "certificate") == 0) {
        request->certificate = value;
    } else if (strcmp(name, "verify") == 0) {
        request->verify = value;
    } else if (strcmp(name, "dot") == 0) {
        request->dot = value;
        json_set_text(request->set, "transactions.dot", "true");
    } else if (strcmp(name, "edn") == 0) {
        request->edn = true;
    } else {
        request->json = true;
    }
    return ERR_NONE;
}

static int print_help(void)
{
    struct buf out = BUF_INIT;
    buf_add_text(&out, "usage: ordeal check FILE|RUN [OPTION..]\n\n"
                       "Judges a recorded history: a file (.ordeal .edn .json .jsonl .log\n"
                       ".jepsen) or the directory of a run (such as store/latest, or one of\n"
                       "Jepsen's store).\n\n");
    cli_print_options(options, &out);
    buf_add_text(&out, "\nExit status: 0 valid, 1 invalid, 2 unknown, 254 bad arguments, 255 the "
                       "history cannot be read.\n");
    int status = cli_output(&out, 0);
    buf_free(&out);
    return status;
}

static bool is_directory(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0 && S_ISDIR(status.st_mode);
}

/* Fills in what the run's own plan says, where the command line says nothing. */
static void follow_plan(struct request *request, const struct json *plan)
{
    if (request->checkers == NULL && request->level_given)
        request->checkers = "stats,transactions";
    if (request->checkers == NULL)
        request->checkers = json_as_text(json_get(plan, "checkers"), NULL);
    if (request->checkers == NULL && request->dot != NULL)
        request->checkers = "stats,transactions";
    const char *keyed = json_as_text(json_get(plan, "keyed"), "guess");
    if (!request->keyed_given)
        request->keyed = keyed_of(keyed);
    for (const struct json *option = json_first(json_get(plan, "set")); option != NULL;
         option = json_next(option))
        if (json_get(request->set, json_key(option)) == NULL && json_kind(option) == JSON_TEXT)
            json_set_text(request->set, json_key(option), json_as_text(option, ""));
}

/* A=B,C=D: every A is read as B. */
static enum err_code map_functions(struct request *request, struct history *history,
                                   struct err *err)
{
    const char **pairs;
    size_t count =
        request->map == NULL ? 0 : text_split(&request->arena, request->map, ',', &pairs);
    for (size_t i = 0; i < count; i++) {
        const char *equals = strchr(pairs[i], '=');
        if (equals == NULL || equals == pairs[i] || equals[1] == '\0')
            return err_set(err, ERR_CONFIG, "--map: '%s' is not A=B", pairs[i]);
        const char *from = arena_strndup(&request->arena, pairs[i], (size_t)(equals - pairs[i]));
        if (!history_rename_f(history, from, equals + 1))
            return err_set(err, ERR_CONFIG, "--map: the history has no function '%s'", from);
    }
    return ERR_NONE;
}

static enum err_code resolve_names(struct request *request, const char ***names, size_t *count,
                                   struct err *err)
{
    *count = text_split(&request->arena,
                        request->checkers == NULL ? "stats,linearizable" : request->checkers, ',',
                        names);
    for (size_t i = 0; i < *count; i++)
        if (plugin_resolve(checkers, "checker", "checkers", (*names)[i], err) == NULL)
            return err->code;
    return *count > 0 ? ERR_NONE : err_set(err, ERR_CONFIG, "--checker names none");
}

static enum err_code write_certificate(const struct request *request, const struct buf *text,
                                       struct err *err)
{
    if (text->length == 0)
        return err_set(
            err, ERR_CONFIG,
            "--certificate: no checker that ran writes one (linearizable, transactions do)");
    return file_write(request->certificate, text->data, text->length, err);
}

/* Writes every graph among the anomalies to a file of its own, numbered as they are told:
 * "DIR/1-G0.dot".
 */
static enum err_code write_graphs(struct request *request, const struct json *results,
                                  struct err *err)
{
    uint32_t written = 0;
    if (mkdir(request->dot, 0777) != 0 && errno != EEXIST)
        return err_errno(err, errno, "--dot: make the directory %s", request->dot);
    for (const struct json *checker = json_first(json_get(results, "checkers")); checker != NULL;
         checker = json_next(checker)) {
        int number = 0;
        for (const struct json *anomaly = json_first(json_get(checker, "anomalies"));
             anomaly != NULL; anomaly = json_next(anomaly)) {
            const char *graph = json_as_text(json_get(anomaly, "dot"), NULL);
            number++;
            if (graph == NULL)
                continue;
            const char *path = arena_printf(&request->arena, "%s/%d-%s.dot", request->dot, number,
                                            json_as_text(json_get(anomaly, "kind"), "anomaly"));
            if (file_write(path, graph, strlen(graph), err) != ERR_NONE)
                return err_wrap(err, "--dot");
            written++;
        }
    }
    fprintf(stderr, "ordeal: note: --dot: %u graphs in %s%s\n", written, request->dot,
            written == 0 ? ": no cycle was found" : "");
    return ERR_NONE;
}

/* The checker that wrote a certificate says so in its first line. */
static const struct checker *find_writer(const char *text)
{
    size_t prefix = strlen(CHECKER_CERTIFICATE);
    for (const struct checker *const *checker = checkers; *checker != NULL; checker++) {
        size_t length = strlen((*checker)->name);
        if ((*checker)->verify != NULL && strncmp(text, CHECKER_CERTIFICATE, prefix) == 0 &&
            strncmp(text + prefix, (*checker)->name, length) == 0 && text[prefix + length] == '\n')
            return *checker;
    }
    return NULL;
}

static int show_proof(const struct request *request, const struct checker *writer,
                      const struct check_result *result, struct err *err)
{
    struct buf out = BUF_INIT;
    int status = exit_status_of(result->verdict);
    struct json *object = json_object(), *proof = json_object();
    json_set(object, "valid", verdict_json(result->verdict));
    json_set(proof, "valid", verdict_json(result->verdict));
    json_set_text(proof, "reason", buf_text(&result->reason));
    if (request->edn) {
        json_set(json_set(object, "checkers", json_object()), writer->name, proof);
        struct run run = {.results = object};
        if (reporter_find("edn")->write(&run, stdout, err) != ERR_NONE)
            status = cli_fail(err);
    } else if (request->json) {
        json_print(proof, JSON_PRETTY, &out);
        json_free(proof);
    } else {
        buf_printf(&out, "%s: %s", verdict_name(result->verdict), buf_text(&result->reason));
        json_free(proof);
    }
    if (!request->edn) {
        buf_add_char(&out, '\n');
        status = cli_output(&out, status);
    }
    json_free(object);
    buf_free(&out);
    return status;
}

static int verify(struct request *request, struct stored_run *stored, struct err *err)
{
    struct buf text = BUF_INIT;
    if (map_functions(request, &stored->history, err) != ERR_NONE ||
        file_read(request->verify, CERTIFICATE_MAX, &text, err) != ERR_NONE)
        return cli_fail(err);
    const struct checker *writer = find_writer(buf_text(&text));
    if (writer == NULL) {
        err_set(err, ERR_PARSE, "%s: no certificate: the first line is not '%sCHECKER'",
                request->verify, CHECKER_CERTIFICATE);
        buf_free(&text);
        return cli_fail(err);
    }
    struct check_input input = {
        .history = &stored->history,
        .limits = {.time_ns = request->time_ns,
                   .memory_bytes = (size_t)request->memory_mib << 20,
                   .threads = 1},
    };
    struct check_result result = {.verdict = VERDICT_VALID, .reason = BUF_INIT};
    writer->verify(&input, buf_text(&text), &result);
    int status = show_proof(request, writer, &result, err);
    buf_free(&result.reason);
    buf_free(&text);
    return status;
}

/* Prints the results, which it frees; the exit status. */
static int show(struct request *request, struct stored_run *stored, struct json *results,
                enum verdict verdict, struct err *err)
{
    struct json *notes = json_set(results, "notes", json_array());
    const char **lines;
    size_t line_count = text_split(&request->arena, buf_text(&stored->notes), '\n', &lines);
    for (size_t i = 0; i < line_count; i++)
        json_add(notes, json_text(lines[i]));
    /* What the run itself knew stays true: faults, what was run. */
    for (const char *const *kept = (const char *const[]){"test", "faults", "problems", NULL};
         *kept != NULL; kept++)
        if (json_get(stored->results, *kept) != NULL)
            json_set(results, *kept, json_copy(json_get(stored->results, *kept)));
    int status = exit_status_of(verdict);
    if (request->json) {
        struct buf out = BUF_INIT;
        json_print(results, JSON_PRETTY, &out);
        buf_add_char(&out, '\n');
        status = cli_output(&out, status);
        buf_free(&out);
    } else {
        for (size_t i = 0; i < line_count; i++)
            fprintf(stderr, "ordeal: note: %s\n", lines[i]);
        struct run run = stored->run;
        run.results = results;
        if (reporter_find(request->edn ? "edn" : "text")->write(&run, stdout, err) != ERR_NONE)
            status = cli_fail(err);
    }
    json_free(results);
    return status;
}

static int judge(struct request *request, struct stored_run *stored, struct err *err)
{
    struct buf certificate = BUF_INIT;
    const char **names;
    size_t count;
    if (resolve_names(request, &names, &count, err) != ERR_NONE ||
        map_functions(request, &stored->history, err) != ERR_NONE)
        return cli_fail(err);
    struct check_input input = {
        .limits = {.time_ns = request->time_ns,
                   .memory_bytes = (size_t)request->memory_mib << 20,
                   .threads = 2},
        .options = {request->set},
        .keyed = request->keyed,
        .plan = stored->plan,
        .run_directory = stored->run.directory,
        .certificate = request->certificate == NULL ? NULL : &certificate,
    };
    enum verdict verdict;
    struct json *results = run_check(&stored->history, names, count, &input, &verdict);
    struct err undrawn = ERR_INIT;
    if (request->dot != NULL)
        (void)!write_graphs(request, results, &undrawn);
    int status = show(request, stored, results, verdict, err);
    if (undrawn.code != ERR_NONE)
        status = cli_fail(&undrawn);
    if (request->certificate != NULL && write_certificate(request, &certificate, err) != ERR_NONE)
        status = cli_fail(err);
    buf_free(&certificate);
    return status;
}

/* A bare file, dressed as a run. */
static enum err_code read_file(const struct request *request, struct stored_run *stored,
                               struct err *err)
{
    store_init(stored);
    enum err_code code = store_read_history(request->path, request->format, stored, err);
    if (code != ERR_NONE)
        store_free(stored);
    return code;
}

/* The history.ordeal of the request, if it is to be judged in pieces; else NULL. */
static const char *path_for_pieces(struct request *request)
{
    const char *path = request->path;
    struct stat status;
    if (request->piece_mib < 0 || strcmp(path, "-") == 0)
        return NULL;
    if (is_directory(path))
        path = store_path(&request->arena, path, "history.ordeal");
    const char *format = request->format == NULL ? history_format_of(path) : request->format;
    if (format == NULL || strcmp(format, "ordeal") != 0 || stat(path, &status) != 0)
        return NULL;
    size_t left = pieces_memory_left();
    if (request->piece_mib == 0 && pieces_memory_needed((size_t)status.st_size) <= left / 2)
        return NULL;
    if (request->piece_mib == 0)
        request->piece_mib = (int64_t)(left / 4 >> 20) + 1;
    return path;
}

/* What the run's plan says of values and models holds in pieces, too; its other checkers do not. */
static enum err_code follow_plan_in_pieces(struct request *request, struct stored_run *stored,
                                           struct err *err)
{
    const char *asked = request->checkers;
    if (asked != NULL && strcmp(asked, "linearizable") != 0)
        return err_set(
            err, ERR_CONFIG,
            "in pieces only `--checker linearizable` can judge (--pieces no: load it all)");
    if (request->map != NULL)
        return err_set(err, ERR_CONFIG, "--map does not go with --pieces");
    if (request->certificate != NULL || request->verify != NULL)
        return err_set(err, ERR_CONFIG, "certificates do not go with --pieces");
    const char *plan = store_path(&request->arena, request->path, "plan.json");
    if (!is_directory(request->path) || access(plan, F_OK) != 0)
        return ERR_NONE;
    if (json_read_file(plan, &stored->plan, err) != ERR_NONE)
        return err->code;
    follow_plan(request, stored->plan);
    return ERR_NONE;
}

/* Judges by `linearizable` alone, and says so. */
static int judge_in_pieces(struct request *request, const char *path, struct stored_run *stored,
                           struct err *err)
{
    if (follow_plan_in_pieces(request, stored, err) != ERR_NONE)
        return cli_fail(err);
    struct pieces_options pieces = {
        .path = path,
        .limits = {.time_ns = request->time_ns,
                   .memory_bytes = (size_t)request->memory_mib << 20,
                   .threads = 1},
        .options = request->set,
        .keyed = request->keyed,
        .piece_bytes = (size_t)request->piece_mib << 20,
    };
    struct json *results;
    enum verdict verdict;
    if (pieces_check(&pieces, &results, &verdict, &stored->notes, err) != ERR_NONE)
        return cli_fail(err);
    buf_printf(&stored->notes, "Judged by linearizable alone, key by key in pieces of %lld MiB.\n",
               (long long)request->piece_mib);
    return show(request, stored, results, verdict, err);
}

/* A model from a file must be loaded, whoever names it. */
static bool is_model_file(const struct json *option)
{
    return strcmp(json_key(option), "linearizable.model") == 0 &&
           model_is_file(json_as_text(option, ""));
}

/* Options that would have no effect beside others. */
static enum err_code refuse_contradictions(const struct request *request, struct err *err)
{
    if (request->json && request->edn)
        return err_set(err, ERR_CONFIG, "--json and --edn: results are printed in one form");
    if (request->verify == NULL)
        return ERR_NONE;
    bool judges = request->certificate != NULL || request->checkers != NULL || request->keyed_given;
    for (const struct json *option = json_first(request->set); option != NULL;
         option = json_next(option))
        judges = judges || !is_model_file(option);
    if (!judges)
        return ERR_NONE;
    return err_set(
        err, ERR_CONFIG,
        "--verify judges nothing, and proves what the certificate says as it says: "
        "--certificate, --checker, --keyed, --level, --model (but a file), --promise and "
        "--set do not go with it");
}

int cmd_check(int argc, char **argv)
{
    struct request request = {
        .arena = ARENA_INIT, .time_ns = 60 * NS_PER_SECOND, .memory_mib = 2048};
    struct err err = ERR_INIT;
    struct stored_run stored;
    bool help;
    int status;
    request.set = json_object();
    enum err_code code = cli_parse(argc, argv, options, take, &request, &help, &err);
    if (code == ERR_NONE && !help && request.path == NULL)
        code = err_set(&err, ERR_CONFIG, "check needs a history: ordeal check FILE|RUN");
    if (code == ERR_NONE && !help)
        code = refuse_contradictions(&request, &err);
    if (help) {
        status = print_help();
    } else if (code != ERR_NONE) {
        status = cli_fail(&err);
    } else if (path_for_pieces(&request) != NULL) {
        store_init(&stored);
        status = judge_in_pieces(&request, path_for_pieces(&request), &stored, &err);
        store_free(&stored);
    } else {
        code = is_directory(request.path) ? store_read(request.path, &stored, &err)
                                          : read_file(&request, &stored, &err);
        bool is_run = code == ERR_NONE &&
                      (!is_directory(request.path) || stored.has_history || stored.plan != NULL);
        if (code == ERR_NONE && !is_run) {
            err_set(&err, ERR_CONFIG,
                    "%s is no run: there is no history in it, and no plan; a run is "
                    "STORE/NAME/TIME, the newest one STORE/latest",
                    request.path);
            store_free(&stored);
        }
        if (!is_run) {
            status = cli_fail(&err);
        } else {
            follow_plan(&request, stored.plan);
            status = request.verify != NULL ? verify(&request, &stored, &err)
                                            : judge(&request, &stored, &err);
            store_free(&stored);
        }
    }
    json_free(request.set);
    arena_free(&request.arena);
    return status;
}
