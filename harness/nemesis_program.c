/* A nemesis that is a program of its own: see nemesis_program.h.
 *
 * One line each way: {"ask": "hello" | "check" | "begin" | "end", ...} and an object in answer. In
 * between the program may have commands run on nodes, {"run": "..", "nodes": [..]}, which is
 * answered by what they said. A program that crashes or is late in begin may have done anything:
 * the fault counts as begun and not verified, and a new process is told to end it. */
#include "harness/nemesis_program.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "harness/base/clock.h"
#include "harness/histories/edn.h"
#include "harness/histories/json_value.h"
#include "harness/program_pipe.h"

enum { PROGRAMS_MAX = 8 };
#define HELLO_NS (5 * NS_PER_SECOND)
#define ANSWER_NS (30 * NS_PER_SECOND)
#define STOP_NS (2 * NS_PER_SECOND)

struct program {
    struct nemesis nemesis; /* first: what the harness knows of it */
    struct pipe_program pipe;
    struct json *values; /* what hello offers to draw among; NULL: nothing */
    pthread_mutex_t lock;
};
static struct program programs[PROGRAMS_MAX];
static size_t program_count;

/* ---- Asking ---- */

static void add_nodes(const struct test *test, struct json *line)
{
    struct json *list = json_set(line, "nodes", json_array());
    for (uint32_t i = 0; test != NULL && i < test->node_count; i++) {
        struct json *node = json_add(list, json_object());
        json_set_text(node, "name", test->nodes[i].name);
        json_set_text(node, "address", node_peer_address(&test->nodes[i]));
    }
}

static enum err_code say(struct program *program, const struct json *line, int64_t deadline_ns,
                         struct err *err)
{
    struct buf text = BUF_INIT;
    json_print(line, JSON_COMPACT, &text);
    enum err_code code = pipe_say(&program->pipe, buf_text(&text), deadline_ns, err);
    buf_free(&text);
    return code;
}

/* The nodes of a list of names; all when there is none. ERR_PARSE names one that is not there. */
static enum err_code named_nodes(const struct test *test, const struct json *names, node_set *nodes,
                                 struct err *err)
{
    *nodes = names == NULL ? test_all_nodes(test) : 0;
    for (const struct json *name = json_first(names); name != NULL; name = json_next(name)) {
        uint32_t i = 0;
        while (i < test->node_count && strcmp(test->nodes[i].name, json_as_text(name, "")) != 0)
            i++;
        if (i == test->node_count)
            return err_set(err, ERR_PARSE, "it speaks of a node '%s', which there is not",
                           json_as_text(name, ""));
        *nodes |= NODE_SET(i);
    }
    return ERR_NONE;
}

/* Runs what the program asks to, and tells it what came of it. */
static enum err_code run_for(struct program *program, struct test *test, const struct json *wish,
                             int64_t deadline_ns, struct err *err)
{
    node_set nodes;
    const char *command = json_as_text(json_get(wish, "run"), NULL);
    if (test == NULL || command == NULL)
        return err_set(err, ERR_PARSE,
                       "it wants something run, but no text, or before there are "
                       "nodes");
    if (named_nodes(test, json_get(wish, "nodes"), &nodes, err) != ERR_NONE)
        return err->code;
    struct json *answer = json_object(), *ran = json_set(answer, "ran", json_object());
    for (uint32_t i = 0; i < test->node_count; i++) {
        if (!node_in(nodes, i))
            continue;
        struct buf out = BUF_INIT;
        struct err why = ERR_INIT;
        int status = -1;
        enum err_code code = test_shell_output(test, i, &out, &status, &why, "%s", command);
        struct json *one = json_set(ran, test->nodes[i].name, json_object());
        json_set_int(one, "status", code == ERR_NONE ? status : -1);
        json_set_text(one, "out", code == ERR_NONE ? buf_text(&out) : why.message);
        buf_free(&out);
    }
    enum err_code code = say(program, answer, deadline_ns, err);
    json_free(answer);
    return code;
}

/* Asks one question; *answer is to be freed. ERR_REMOTE is the program's own word that it failed;
 * after any other failure it does not run any more. */
static enum err_code ask(struct program *program, struct test *test, struct json *question,
                         int64_t patience_ns, struct json **answer, struct err *err)
{
    int64_t deadline_ns = clock_monotonic_ns() + patience_ns;
    enum err_code code = say(program, question, deadline_ns, err);
    while (code == ERR_NONE) {
        struct json *said = NULL;
        code = pipe_hear(&program->pipe, deadline_ns, &said, err);
        if (code != ERR_NONE)
            break;
        if (json_get(said, "run") != NULL) {
            code = run_for(program, test, said, deadline_ns, err);
            json_free(said);
            continue;
        }
        const char *error = json_as_text(json_get(said, "error"), NULL);
        if (error == NULL) {
            *answer = said;
            return ERR_NONE;
        }
        code = err_set(err, ERR_REMOTE, "%s", error);
        json_free(said);
        return code;
    }
    if (program->pipe.pid != 0)
        pipe_stop(&program->pipe, 0);
    return code;
}

static struct json *question_of(const char *what)
{
    struct json *question = json_object();
    json_set_text(question, "ask", what);
    return question;
}

/* Starts the program if it does not run, and has it say hello. */
static enum err_code greet(struct program *program, struct json **hello, struct err *err)
{
    *hello = NULL;
    if (program->pipe.pid != 0)
        return ERR_NONE;
    if (pipe_start(&program->pipe, err) != ERR_NONE)
        return err->code;
    struct json *question = question_of("hello");
    json_set_int(question, "protocol", 1);
    enum err_code code = ask(program, NULL, question, HELLO_NS, hello, err);
    json_free(question);
    if (code == ERR_NONE && json_as_int(json_get(*hello, "protocol"), 0) != 1) {
        code = err_set(err, ERR_CONFIG, "%s does not say {\"protocol\": 1} to hello",
                       program->pipe.path);
        pipe_stop(&program->pipe, 0);
        json_free(*hello);
        *hello = NULL;
    }
    return code;
}

static enum err_code converse(struct program *program, struct test *test, struct json *question,
                              struct json **answer, struct err *err)
{
    struct json *hello;
    pthread_mutex_lock(&program->lock);
    enum err_code code = greet(program, &hello, err);
    json_free(hello);
    if (code == ERR_NONE)
        code = ask(program, test, question, ANSWER_NS, answer, err);
    pthread_mutex_unlock(&program->lock);
    return code;
}

/* ---- Values ---- */

static void add_value(struct json *line, const char *name, struct value value)
{
    struct buf text = BUF_INIT;
    struct json *json = NULL;
    json_add_value(&text, value, JSON_EXACT);
    if (json_parse(buf_text(&text), text.length, name, &json, NULL) == ERR_NONE)
        json_set(line, name, json);
    buf_free(&text);
}

static struct value value_of(const struct json *json, struct arena *arena)
{
    struct buf text = BUF_INIT;
    struct json_reader reader;
    struct value value;
    if (json == NULL)
        return value_nil();
    json_print(json, JSON_COMPACT, &text);
    buf_add_char(&text, ' ');
    json_reader_init(&reader, arena, JSON_EXACT);
    json_reader_text(&reader, text.data, text.length);
    if (!json_reader_read(&reader, &value))
        value = value_nil();
    json_reader_free(&reader);
    buf_free(&text);
    return value;
}

/* ---- The hooks ---- */

static enum err_code program_check(struct program *program, struct test *test, struct err *err)
{
    struct json *question = question_of("check"), *answer = NULL;
    add_nodes(test, question);
    json_set_text(question, "system", test->plan->system->name);
    enum err_code code = converse(program, test, question, &answer, err);
    json_free(question);
    json_free(answer);
    return code == ERR_REMOTE ? (err->code = ERR_UNSUPPORTED) : code;
}

/* The program is not asked: choosing must not wait for anybody. */
static struct value program_choose(struct program *program, struct prng *prng, struct arena *arena)
{
    size_t count = json_count(program->values);
    size_t which = count == 0 ? 0 : (size_t)prng_below(prng, count);
    struct value items[] = {
        value_keyword(arena, "value"), value_of(json_at(program->values, which), arena),
        value_keyword(arena, "draw"), value_int(arena, (int64_t)prng_below(prng, 1u << 30))};
    return value_items(arena, VALUE_MAP, items, 4);
}

static struct json *about_fault(const char *what, struct test *test, const struct fault *fault)
{
    struct json *question = question_of(what);
    json_set_int(question, "fault", fault->id);
    add_value(question, "value", value_get(fault->asked, "value"));
    add_value(question, "draw", value_get(fault->asked, "draw"));
    add_nodes(test, question);
    return question;
}

static enum err_code take_begun(struct test *test, struct fault *fault, const struct json *answer,
                                struct err *err)
{
    const struct json *nodes = json_get(answer, "nodes");
    fault->done = value_of(json_get(answer, "done"), fault->arena);
    buf_add_text(&fault->begun_evidence, json_as_text(json_get(answer, "evidence"), ""));
    if (json_as_bool(json_get(answer, "verified"), false) && fault->begun_evidence.length > 0)
        fault->begun_verified = VERIFIED_YES;
    if (fault->begun_evidence.length == 0)
        buf_add_text(&fault->begun_evidence, "the nemesis gave no evidence");
    return nodes == NULL ? ERR_NONE : named_nodes(test, nodes, &fault->nodes, err);
}

static enum err_code begin(struct test *test, struct fault *fault, struct err *err)
{
    struct program *program = (struct program *)fault->nemesis;
    struct json *question = about_fault("begin", test, fault), *answer = NULL;
    struct value repeat = value_get(fault->asked, "repeat");
    struct err why = ERR_INIT;
    if (!value_is_nil(repeat))
        add_value(question, "repeat", repeat);
    enum err_code code = converse(program, test, question, &answer, &why);
    json_free(question);
    if (code == ERR_REMOTE) /* it says itself that nothing is in force */
        return err_set(err, code, "%s: %s", fault->nemesis->name, why.message);
    if (code == ERR_NONE)
        code = take_begun(test, fault, answer, &why);
    if (code != ERR_NONE) {
        fault->begun_verified = VERIFIED_NO;
        buf_clear(&fault->begun_evidence);
        buf_printf(&fault->begun_evidence, "what it did is not known: %s", why.message);
    }
    json_free(answer);
    return ERR_NONE;
}

static enum err_code end(struct test *test, struct fault *fault, struct err *err)
{
    struct program *program = (struct program *)fault->nemesis;
    struct json *question = about_fault("end", test, fault), *answer = NULL;
    struct err why = ERR_INIT;
    add_value(question, "done", fault->done);
    enum err_code code = converse(program, test, question, &answer, &why);
    if (code != ERR_NONE && code != ERR_REMOTE) /* a new process may know what to do */
        code = converse(program, test, question, &answer, &why);
    json_free(question);
    if (code != ERR_NONE)
        return err_set(err, code, "%s: %s", fault->nemesis->name, why.message);
    const char *evidence = json_as_text(json_get(answer, "evidence"), "");
    buf_add_text(&fault->ended_evidence,
                 *evidence == '\0' ? "the nemesis gave no evidence" : evidence);
    if (json_as_bool(json_get(answer, "verified"), false) && *evidence != '\0')
        fault->ended_verified = VERIFIED_YES;
    json_free(answer);
    return ERR_NONE;
}

static struct value repeat(const struct test *test, struct value asked, struct value done,
                           node_set nodes, struct arena *arena)
{
    (void)test, (void)nodes;
    struct value items[] = {value_keyword(arena, "value"),  value_get(asked, "value"),
                            value_keyword(arena, "draw"),   value_get(asked, "draw"),
                            value_keyword(arena, "repeat"), done};
    return value_items(arena, VALUE_MAP, items, 6);
}

/* Hooks that are not told whose they are: one pair a program. */
#define SLOTS(X) X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7)
#define HOOKS(n)                                                                                   \
    static enum err_code check_##n(struct test *test, struct err *err)                             \
    {                                                                                              \
        return program_check(&programs[n], test, err);                                             \
    }                                                                                              \
    static struct value choose_##n(struct test *test, struct prng *prng, struct arena *arena)      \
    {                                                                                              \
        (void)test;                                                                                \
        return program_choose(&programs[n], prng, arena);                                          \
    }
SLOTS(HOOKS)
#define ENTRY(n) {check_##n, choose_##n},
static const struct {
    enum err_code (*check)(struct test *test, struct err *err);
    struct value (*choose)(struct test *test, struct prng *prng, struct arena *arena);
} hooks[PROGRAMS_MAX] = {SLOTS(ENTRY)};

/* ---- Hello ---- */

static char *joined(const char *before, const char *after)
{
    size_t size = strlen(before) + strlen(after) + 1;
    char *text = malloc(size);
    if (text == NULL)
        abort();
    memcpy(text, before, strlen(before));
    memcpy(text + strlen(before), after, strlen(after) + 1);
    return text;
}

static enum err_code read_hits(const struct json *list, unsigned *hits, struct err *err)
{
    static const char *const names[] = {"network", "processes", "disks", "clocks", "nothing"};
    *hits = 0;
    for (const struct json *one = json_first(list); one != NULL; one = json_next(one)) {
        unsigned i = 0;
        while (i < 5 && strcmp(names[i], json_as_text(one, "")) != 0)
            i++;
        if (i == 5)
            return err_set(err, ERR_CONFIG,
                           "hits: '%s' is none of network, processes, disks, clocks, nothing",
                           json_as_text(one, ""));
        *hits |= 1u << i;
    }
    return ERR_NONE;
}

static enum err_code introduce(struct program *program, const char *name, const struct json *hello,
                               struct err *err)
{
    unsigned hits;
    size_t slot = (size_t)(program - programs);
    if (read_hits(json_get(hello, "hits"), &hits, err) != ERR_NONE)
        return err->code;
    const struct json *values = json_get(hello, "values");
    program->values = values == NULL ? NULL : json_copy(values);
    program->nemesis = (struct nemesis){
        .name = joined(name, ""),
        .summary = joined(json_as_text(json_get(hello, "summary"), "a program of one's own"), ""),
        .begin_f = joined("start-", name),
        .end_f = joined("stop-", name),
        .hits = hits,
        .check = hooks[slot].check,
        .choose = hooks[slot].choose,
        .repeat = repeat,
        .begin = begin,
        .end = end,
    };
    return ERR_NONE;
}

static void stop_programs(void)
{
    for (size_t i = 0; i < program_count; i++)
        pipe_stop(&programs[i].pipe, STOP_NS);
}

const struct nemesis *nemesis_program(const char *path, const char *name, struct err *err)
{
    struct json *hello = NULL;
    struct err why = ERR_INIT;
    if (program_count == PROGRAMS_MAX) {
        (void)err_set(err, ERR_CONFIG, "nemesis %s: more than %d programs", path, PROGRAMS_MAX);
        return NULL;
    }
    struct program *program = &programs[program_count];
    *program = (struct program){.pipe = {.path = joined(path, ""), .unread = BUF_INIT}};
    pthread_mutex_init(&program->lock, NULL);
    enum err_code code = greet(program, &hello, &why);
    if (code == ERR_NONE)
        code = introduce(program, name, hello, &why);
    json_free(hello);
    /* The one that will work is started when there are nodes, in their network. */
    pipe_stop(&program->pipe, STOP_NS);
    if (code != ERR_NONE) {
        (void)err_set(err, ERR_CONFIG, "nemesis %s: %s", path, why.message);
        free((char *)program->pipe.path);
        pthread_mutex_destroy(&program->lock);
        return NULL;
    }
    if (program_count++ == 0)
        (void)!atexit(stop_programs);
    return &program->nemesis;
}
