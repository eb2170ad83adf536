/* The client of systems of one's own: what a worker wants is asked of a program. See own.h.
 *
 * What comes of an operation: the program says ok, fail or info. Where it says nothing in time, has
 * ended, or says what it cannot mean, the operation was sent and may have happened: info. Where it
 * can have seen nothing of it, fail. */
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "harness/base/clock.h"
#include "harness/histories/json_value.h"
#include "harness/workload_words.h"
#include "workloads/systems/own.h"

#define OPEN_NS (4 * NS_PER_SECOND)       /* an interpreter may have to be started */
#define REHEARSAL_NS (20 * NS_PER_SECOND) /* all of them at once */
#define CLOSE_NS (500 * NS_PER_MS)
#define REOPEN_PAUSE_NS (100 * NS_PER_MS)
enum { COMPLAINTS_MAX = 5, REHEARSED_MAX = 64, MARKS_OF_AN_ANSWER_MAX = 20 };

struct own_state {
    struct own_program *program; /* NULL: none */
    struct test *test;
    uint32_t node;
    int64_t number; /* of this client, unique in a process of ordeal's */
    bool late;      /* it owes an answer */
    struct buf line;
};

static atomic_int complaints;

/* In the run's log, but not a thousand times. */
static void complain(struct test *test, const char *what)
{
    int count = atomic_fetch_add(&complaints, 1);
    if (count < COMPLAINTS_MAX)
        test_log(test, "client: %s", what);
    else if (count == COMPLAINTS_MAX)
        test_log(test, "client: no more is said of such things");
}

static struct own_pool *pool_of(const struct test *test)
{
    return (struct own_pool *)&own_of(test->plan)->pool;
}

/* ---- Opening and closing ---- */

static void add_node(struct buf *out, const struct node *node)
{
    buf_add_text(out, "{\"name\":");
    json_add_text(out, node->name, strlen(node->name));
    buf_add_text(out, ",\"address\":");
    json_add_text(out, node_address(node), strlen(node_address(node)));
    buf_add_text(out, "}");
}

static void add_options(struct buf *out, const struct test *test)
{
    const struct own_system *own = own_of(test->plan);
    const char *separator = "";
    buf_add_text(out, ",\"options\":{");
    for (const struct option *option = own->system.options; option->name != NULL; option++) {
        struct buf full = BUF_INIT;
        buf_printf(&full, "%s.%s", own->system.name, option->name);
        const char *value = option_text(&test->plan->options, full.data);
        buf_add_text(out, separator);
        json_add_text(out, option->name, strlen(option->name));
        buf_add_char(out, ':');
        json_add_text(out, value, strlen(value));
        separator = ",";
        buf_free(&full);
    }
    buf_add_char(out, '}');
}

static void add_open(struct own_state *state)
{
    struct test *test = state->test;
    struct buf *out = &state->line;
    buf_clear(out);
    buf_printf(out, "\"ask\":\"open\",\"protocol\":1,\"client\":%lld,\"workload\":",
               (long long)state->number);
    json_add_text(out, test->plan->workload->name, strlen(test->plan->workload->name));
    buf_printf(
        out, ",\"timeout-ms\":%lld,\"node\":", (long long)(test->plan->op_timeout_ns / NS_PER_MS));
    add_node(out, &test->nodes[state->node]);
    buf_add_text(out, ",\"nodes\":[");
    for (uint32_t i = 0; i < test->node_count; i++) {
        buf_add_text(out, i == 0 ? "" : ",");
        add_node(out, &test->nodes[i]);
    }
    buf_add_char(out, ']');
    add_options(out, test);
}

static void let_go(struct own_state *state)
{
    if (state->program != NULL)
        own_program_give_back(pool_of(state->test), state->program);
    state->program = NULL;
}

/* It has a process; asks that to open. */
static enum err_code ask_to_open(struct own_state *state, int64_t patience_ns, struct err *err)
{
    struct arena arena = ARENA_INIT;
    struct value answer = value_nil();
    static atomic_int_fast64_t numbers;
    state->number = (int64_t)atomic_fetch_add(&numbers, 1) + 1;
    state->late = false;
    add_open(state);
    enum own_fate fate = own_program_ask(state->program, state->line.data,
                                         clock_monotonic_ns() + patience_ns, &arena, &answer, err);
    enum err_code code = ERR_NONE;
    if (fate != OWN_ANSWERED) {
        code = err->code;
        own_program_kill(state->program, "it did not answer when it was to open");
    } else if (!value_is_nil(value_get(answer, "error"))) {
        code = err_set(err, ERR_REMOTE, "%s: %s", pool_of(state->test)->name,
                       value_as_text(value_get(answer, "error")));
    }
    if (code != ERR_NONE)
        let_go(state);
    arena_free(&arena);
    return code;
}

static enum err_code open_program(struct own_state *state, struct err *err)
{
    enum err_code code = own_program_take(pool_of(state->test), &state->program, err);
    if (code == ERR_NONE)
        code = ask_to_open(state, OPEN_NS, err);
    if (code != ERR_NONE)
        complain(state->test, err->message);
    return code;
}

static enum err_code client_open(void *memory, struct test *test, uint32_t node, struct err *err)
{
    struct own_state *state = memory;
    *state = (struct own_state){.test = test, .node = node, .line = BUF_INIT};
    enum err_code code = open_program(state, err);
    if (code != ERR_NONE)
        buf_free(&state->line);
    return code;
}

/* A process that serves one worker and owes an answer is not waited for. One that serves many has
 * to say that it has let this one go, or it is no use to the next. */
static void close_program(struct own_state *state)
{
    struct own_pool *pool = pool_of(state->test);
    struct arena arena = ARENA_INIT;
    struct value answer;
    struct err err = ERR_INIT;
    if (state->late && !pool->shared) {
        own_program_kill(state->program, "it did not answer in time");
    } else if (!own_program_is_broken(state->program)) {
        buf_clear(&state->line);
        buf_printf(&state->line, "\"ask\":\"close\",\"client\":%lld", (long long)state->number);
        if (own_program_ask(state->program, state->line.data, clock_monotonic_ns() + CLOSE_NS,
                            &arena, &answer, &err) != OWN_ANSWERED)
            own_program_kill(state->program, "it did not answer when it was to close");
    }
    arena_free(&arena);
    let_go(state);
}

static void client_close(void *memory)
{
    struct own_state *state = memory;
    if (state->program != NULL)
        close_program(state);
    buf_free(&state->line);
}

/* Before the run: as many processes as will be needed are started, at once, and each must open and
 * close. So a client that cannot work is told in one line, and none has to start when the first
 * operation waits for it. */
enum err_code own_rehearse(struct test *test, struct err *err)
{
    size_t count = pool_of(test)->shared ? 1 : (size_t)test->plan->concurrency;
    if (count > REHEARSED_MAX)
        count = REHEARSED_MAX;
    struct own_state *states = calloc(count, sizeof *states);
    enum err_code code = states == NULL ? err_set(err, ERR_NOMEM, "no memory") : ERR_NONE;
    for (size_t i = 0; i < count && code == ERR_NONE; i++) {
        states[i] = (struct own_state){
            .test = test, .node = (uint32_t)i % test->node_count, .line = BUF_INIT};
        code = own_program_take(pool_of(test), &states[i].program, err);
    }
    for (size_t i = 0; i < count && code == ERR_NONE; i++)
        code = ask_to_open(&states[i], REHEARSAL_NS, err);
    for (size_t i = 0; i < count && states != NULL; i++)
        if (states[i].test != NULL)
            client_close(&states[i]);
    free(states);
    return code == ERR_NONE ? code : err_wrap(err, "client");
}

/* ---- Operations ---- */

static void add_invoke(struct own_state *state, const struct op *op)
{
    const char *f = state->test->history->f_names[op->f];
    buf_clear(&state->line);
    buf_printf(&state->line,
               "\"ask\":\"invoke\",\"client\":%lld,\"process\":%d,\"f\":", (long long)state->number,
               (int)op->process);
    json_add_text(&state->line, f, strlen(f));
    buf_add_text(&state->line, ",\"value\":");
    json_add_value(&state->line, op->value, JSON_PLAIN);
}

/* The error's name, if the program gave one that can be one. */
static const char *error_name(struct value error, const char *otherwise)
{
    const char *text = value_as_text(error);
    size_t good = strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789-");
    return *text >= 'a' && *text <= 'z' && text[good] == '\0' ? text : otherwise;
}

static const char *error_detail(struct value answer)
{
    const char *detail = value_as_text(value_get(answer, "detail"));
    const char *text = value_as_text(value_get(answer, "error"));
    if (*detail != '\0')
        return detail;
    return *text != '\0' && strcmp(error_name(value_get(answer, "error"), ""), text) != 0 ? text
                                                                                          : NULL;
}

static void take_ok(struct own_state *state, struct op *op, struct value answer,
                    struct arena *scratch)
{
    const char *f = state->test->history->f_names[op->f];
    const struct word *word = word_find(state->test->plan->workload, f);
    struct value answered = op->value, taken;
    for (size_t i = 0; i + 1 < value_count(answer); i += 2) /* null is a value, too */
        if (strcmp(value_as_text(value_at(answer, i)), "value") == 0)
            answered = value_at(answer, i + 1);
    if (word != NULL && word_take(word->answered, op->value, answered, scratch, &taken)) {
        op->value = taken;
        op_ok(op);
        return;
    }
    struct buf text = BUF_INIT;
    buf_printf(&text, "%s was answered ", f);
    json_add_value(&text, answered, JSON_PLAIN);
    buf_printf(&text, ", which is not %s", word == NULL ? "known" : word->answered);
    complain(state->test, buf_text(&text));
    op_info(op, scratch, "bad-answer", buf_text(&text));
    buf_free(&text);
}

static void take_answer(struct own_state *state, struct op *op, struct value answer,
                        struct arena *scratch)
{
    const char *type = value_as_text(value_get(answer, "type"));
    struct value error = value_get(answer, "error");
    if (strcmp(type, "ok") == 0) {
        take_ok(state, op, answer, scratch);
    } else if (strcmp(type, "fail") == 0) {
        op_fail(op, scratch, error_name(error, "failed"), error_detail(answer));
    } else if (strcmp(type, "info") == 0) {
        op_info(op, scratch, error_name(error, "unknown"), error_detail(answer));
    } else {
        struct buf text = BUF_INIT;
        buf_printf(&text, "the answer's type is '%.40s', not ok, fail or info", type);
        complain(state->test, text.data);
        op_info(op, scratch, "bad-answer", text.data);
        buf_free(&text);
    }
}

/* What the program wants to be seen in the timeline; what is no mark is left out. */
static void take_marks(struct own_state *state, struct value answer)
{
    struct value marks = value_get(answer, "marks");
    if (value_kind(marks) != VALUE_VECTOR)
        return;
    for (size_t i = 0; i < value_count(marks) && i < MARKS_OF_AN_ANSWER_MAX; i++) {
        struct value mark = value_at(marks, i);
        const char *kind = value_as_text(value_get(mark, "kind"));
        const char *text = value_as_text(value_get(mark, "text"));
        int64_t lasted_ms = value_as_int(value_get(mark, "lasted-ms"));
        int64_t now_ns = test_now_ns(state->test), from_ns = -1;
        if (lasted_ms > 0)
            from_ns = lasted_ms > now_ns / NS_PER_MS ? 0 : now_ns - lasted_ms * NS_PER_MS;
        if (*kind == '\0' || *text == '\0')
            complain(state->test, "a mark needs a \"kind\" and a \"text\"");
        else
            test_mark(state->test, kind, NODE_SET(state->node), from_ns, "%s", text);
    }
}

static bool is_declared(const struct test *test, const char *f)
{
    const struct own_system *own = own_of(test->plan);
    for (size_t i = 0; i < own->workload_count; i++)
        if (strcmp(own->workloads[i].name, test->plan->workload->name) == 0)
            for (const char *const *one = own->workloads[i].operations; *one != NULL; one++)
                if (strcmp(*one, f) == 0)
                    return true;
    return false;
}

static void client_invoke(void *memory, struct test *test, struct op *op, struct arena *scratch)
{
    struct own_state *state = memory;
    struct err err = ERR_INIT;
    struct value answer = value_nil();
    int64_t deadline_ns = clock_monotonic_ns() + test->plan->op_timeout_ns;
    if (!is_declared(test, test->history->f_names[op->f])) {
        op_fail(op, scratch, "not-declared",
                "system.json does not have this operation among those of the workload");
        return;
    }
    /* It ended while nothing was asked of it, or when it saw nothing of the last question. */
    if (state->program != NULL && own_program_is_broken(state->program))
        let_go(state);
    if (state->program == NULL && open_program(state, &err) != ERR_NONE) {
        clock_sleep_ns(REOPEN_PAUSE_NS);
        op_fail(op, scratch, "no-client", err.message);
        return;
    }
    add_invoke(state, op);
    switch (
        own_program_ask(state->program, state->line.data, deadline_ns, scratch, &answer, &err)) {
    case OWN_ANSWERED:
        take_marks(state, answer);
        take_answer(state, op, answer, scratch);
        return;
    case OWN_NOT_SENT:
        op_fail(op, scratch, "not-sent", err.message);
        return;
    case OWN_LATE:
        state->late = true;
        op_info(op, scratch, "timeout", err.message);
        return;
    case OWN_BROKEN:
        complain(test, err.message);
        op_info(op, scratch, "client-died", err.message);
        return;
    }
}

const struct client own_client = {
    .state_size = sizeof(struct own_state),
    .open = client_open,
    .invoke = client_invoke,
    .close = client_close,
};
