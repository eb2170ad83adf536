/* The queue as a cluster: command lines, who leads, whether it serves. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/base/clock.h"
#include "harness/base/text.h"
#include "workloads/at_once.h"
#include "workloads/systems/queue.h"

const struct option queue_options[] = {
    {.name = "binary",
     .kind = OPTION_TEXT,
     .fallback = "",
     .help = "the server to upload; default: ordeal-queue beside ordeal"},
    {.name = "defect",
     .kind = OPTION_TEXT,
     .fallback = "",
     .help = "plant this defect, with ordeal-queue-defective (its --help lists them)"},
    {.name = "fsync",
     .kind = OPTION_BOOL,
     .fallback = "true",
     .help = "sync to disk before saying committed; without, a power loss may lose jobs"},
    {.name = "async",
     .kind = OPTION_BOOL,
     .fallback = "false",
     .help = "add with ASYNC: a receipt before anything is replicated, lost with the leader"},
    {.name = "fenced",
     .kind = OPTION_BOOL,
     .fallback = "true",
     .help = "acknowledge by id and attempt; without, a late consumer speaks for its successor"},
    {.name = "wait",
     .kind = OPTION_DURATION,
     .fallback = "100ms",
     .help = "how long a dequeue waits for a job; 0s: it does not"},
    {.name = "key-ttl",
     .kind = OPTION_DURATION,
     .fallback = "1h",
     .help = "how long a key outlives its job"},
    {.name = "body-size", .kind = OPTION_INT, .fallback = "100", .help = "bytes of a body"},
    {.name = "election-ms",
     .kind = OPTION_INT,
     .fallback = "500",
     .help = "a leader silent for so long is replaced"},
    {.name = "snapshot-entries",
     .kind = OPTION_INT,
     .fallback = "5000",
     .help = "a snapshot after so many entries of the log"},
    {.name = "data-dir",
     .kind = OPTION_TEXT,
     .fallback = "/var/lib/ordeal-queue",
     .help = "where each node keeps its data; removed whole before a run"},
    {.name = "client-port", .kind = OPTION_INT, .fallback = "7711", .help = "port for clients"},
    {.name = "peer-port", .kind = OPTION_INT, .fallback = "7712", .help = "port for peers"},
    {.name = NULL},
};

uint16_t queue_client_port(const struct test *test)
{
    return (uint16_t)option_int(&test->plan->options, "queue.client-port");
}

uint16_t queue_peer_port(const struct test *test)
{
    return (uint16_t)option_int(&test->plan->options, "queue.peer-port");
}

/* ---- The command line ---- */

static const char *peers(const struct test *test, struct arena *arena)
{
    struct buf text = BUF_INIT;
    for (uint32_t i = 0; i < test->node_count; i++)
        buf_printf(&text, "%s%u=%s:%u", i == 0 ? "" : ",", i + 1,
                   node_peer_address(&test->nodes[i]), (unsigned)queue_peer_port(test));
    const char *copy = arena_strdup(arena, buf_text(&text));
    buf_free(&text);
    return copy;
}

const char *const *queue_arguments(const struct test *test, uint32_t node, const char *program,
                                   enum queue_birth birth, struct arena *arena)
{
    const struct options *options = &test->plan->options;
    const char *defect = option_text(options, "queue.defect");
    bool several = test->node_count > 1, joins = birth == QUEUE_JOINS;
    const char *const arguments[] = {
        program,
        "--dir",
        option_text(options, "queue.data-dir"),
        "--node",
        arena_printf(arena, "%u", node + 1),
        "--port",
        option_text(options, "queue.client-port"),
        "--peer-port",
        option_text(options, "queue.peer-port"),
        "--fsync",
        option_bool(options, "queue.fsync") ? "yes" : "no",
        "--election-timeout",
        option_text(options, "queue.election-ms"),
        "--snapshot-entries",
        option_text(options, "queue.snapshot-entries"),
        joins     ? "--join"
        : several ? "--peers"
                  : NULL,
        joins ? NULL : peers(test, arena),
        NULL,
        NULL,
        NULL,
    };
    size_t count = sizeof arguments / sizeof *arguments;
    const char **copy = arena_alloc(arena, sizeof arguments);
    memcpy(copy, arguments, sizeof arguments);
    if (*defect != '\0') {
        size_t end = 0;
        while (end < count - 3 && copy[end] != NULL)
            end++;
        copy[end] = "--defect";
        copy[end + 1] = defect;
        copy[end + 2] = NULL;
    }
    return copy;
}

/* ---- Asking all nodes at once ---- */

struct question {
    struct test *test;
    uint32_t node;
    const char *const *words; /* NULL at the end */
    int64_t timeout_ns;
    struct buf answer;  /* the text of a reply that is no error */
    struct buf trouble; /* why there is none; empty: there is one */
};

static void *ask(void *state)
{
    struct question *question = state;
    const struct node *node = &question->test->nodes[question->node];
    struct redis_client *client;
    struct err err = ERR_INIT;
    if (redis_open(node_address(node), queue_client_port(question->test), &client, &err) !=
        ERR_NONE) {
        buf_add_text(&question->trouble, err.message);
        return NULL;
    }
    size_t lengths[8], count = 0;
    for (; question->words[count] != NULL; count++)
        lengths[count] = strlen(question->words[count]);
    struct redis_reply reply;
    redis_ask(client, question->words, lengths, count, question->timeout_ns, &reply);
    if (reply.outcome != REDIS_REPLIED)
        buf_add_text(&question->trouble, reply.detail);
    else if (redis_kind(reply.value) == REDIS_ERROR)
        buf_add_text(&question->trouble, redis_text(reply.value, NULL));
    else
        buf_add_text(&question->answer, redis_text(reply.value, NULL));
    redis_close(client);
    return NULL;
}

/* One answer a node, in their order; questions_free gives them back. */
static struct question *ask_all(struct test *test, const char *const *words, int64_t timeout_ns)
{
    struct question *questions = calloc(test->node_count, sizeof *questions);
    for (uint32_t i = 0; questions != NULL && i < test->node_count; i++) {
        questions[i].test = test;
        questions[i].node = i;
        questions[i].words = words;
        questions[i].timeout_ns = timeout_ns;
    }
    if (questions != NULL)
        at_once(questions, sizeof *questions, test->node_count, ask);
    return questions;
}

static void questions_free(struct question *questions, uint32_t count)
{
    for (uint32_t i = 0; questions != NULL && i < count; i++) {
        buf_free(&questions[i].answer);
        buf_free(&questions[i].trouble);
    }
    free(questions);
}

enum err_code queue_ask(struct test *test, uint32_t node, const char *const *words,
                        int64_t timeout_ns, struct buf *answer, struct err *err)
{
    struct question question = {
        .test = test, .node = node, .words = words, .timeout_ns = timeout_ns};
    ask(&question);
    bool good = question.trouble.length == 0;
    if (good)
        buf_add(answer, buf_text(&question.answer), question.answer.length);
    else
        err_set(err, ERR_REMOTE, "%s: %s", test->nodes[node].name, question.trouble.data);
    buf_free(&question.answer);
    buf_free(&question.trouble);
    return good ? ERR_NONE : ERR_REMOTE;
}

/* ---- Hooks ---- */

bool queue_ready(struct test *test, struct buf *why_not)
{
    /* A linearizable read through each node: there is a leader, and all of them reach it. */
    static const char *const words[] = {"QLEN", "ordeal-ready", NULL};
    struct question *questions = ask_all(test, words, NS_PER_SECOND);
    bool ready = questions != NULL;
    for (uint32_t i = 0; questions != NULL && i < test->node_count; i++) {
        if (questions[i].trouble.length == 0)
            continue;
        buf_printf(why_not, "%s%s: %s", ready ? "" : "; ", test->nodes[i].name,
                   questions[i].trouble.data);
        ready = false;
    }
    questions_free(questions, test->node_count);
    return ready;
}

static const char *const info_words[] = {"INFO", NULL};

enum err_code queue_primaries(struct test *test, node_set *primaries, struct err *err)
{
    struct question *questions = ask_all(test, info_words, 300 * NS_PER_MS);
    if (questions == NULL)
        return err_set(err, ERR_NOMEM, "out of memory for asking the queue who leads");
    node_set leaders = 0;
    int64_t newest_term = 0;
    for (uint32_t i = 0; i < test->node_count; i++) {
        const char *info = buf_text(&questions[i].answer);
        int64_t term = redis_info_number(info, "term");
        /* A deposed leader that does not know yet claims an older term. */
        if (redis_info_number(info, "leading") != 1 || term < newest_term)
            continue;
        leaders = NODE_SET(i) | (term == newest_term ? leaders : 0);
        newest_term = term;
    }
    questions_free(questions, test->node_count);
    *primaries = leaders;
    return ERR_NONE;
}

enum err_code queue_version(struct test *test, struct buf *version, struct err *err)
{
    struct question *questions = ask_all(test, info_words, 2 * NS_PER_SECOND);
    const char *found = NULL;
    for (uint32_t i = 0; questions != NULL && i < test->node_count && found == NULL; i++)
        found = redis_info_field(buf_text(&questions[i].answer), "ordeal_queue_version");
    enum err_code code = ERR_NONE;
    const char *defect = option_text(&test->plan->options, "queue.defect");
    if (found != NULL)
        buf_printf(version, "ordeal-queue %.*s%s%s", (int)strcspn(found, "\r\n"), found,
                   *defect == '\0' ? "" : " with the defect ", defect);
    else
        code = err_set(err, ERR_REMOTE, "no node told its version of the queue");
    questions_free(questions, test->node_count);
    return code;
}

/* ---- Members anew ---- */

/* The line of that node in what CLUSTER NODES says; "" when there is none. */
static void member_line(const char *nodes, uint32_t node, struct buf *line)
{
    char head[32];
    snprintf(head, sizeof head, "%u ", node + 1);
    for (const char *at = nodes; *at != '\0';) {
        size_t length = strcspn(at, "\n");
        if (text_starts(at, head))
            buf_add(line, at, length);
        at += length + (at[length] == '\n');
    }
}

static enum err_code replace_one(struct test *test, uint32_t node, uint32_t leader,
                                 const char *nodes, struct err *err)
{
    struct buf line = BUF_INIT;
    const char *name = test->nodes[node].name;
    member_line(nodes, node, &line);
    const char *text = buf_text(&line);
    enum err_code code = ERR_NONE;
    if (strstr(text, "another-disk") != NULL) {
        char number[16];
        snprintf(number, sizeof number, "%u", node + 1);
        const char *const words[] = {"CLUSTER", "REPLACE", number, NULL};
        struct question question = {
            .test = test, .node = leader, .words = words, .timeout_ns = 3 * NS_PER_SECOND};
        ask(&question);
        code = err_set(err, ERR_TIMEOUT, "%s is being replaced%s%s", name,
                       question.trouble.length > 0 ? ": " : "", buf_text(&question.trouble));
        buf_free(&question.answer);
        buf_free(&question.trouble);
    } else if (strstr(text, " voter ") == NULL || strstr(text, " connected") == NULL) {
        code = err_set(err, ERR_TIMEOUT, "%s is no connected voter yet: %s", name, text);
    }
    buf_free(&line);
    return code;
}

enum err_code queue_replace(struct test *test, node_set nodes, struct err *err)
{
    static const char *const words[] = {"CLUSTER", "NODES", NULL};
    node_set leaders = 0;
    enum err_code code = queue_primaries(test, &leaders, err);
    if (code != ERR_NONE)
        return code;
    if (leaders == 0)
        return err_set(err, ERR_TIMEOUT, "no node of the queue leads");
    uint32_t leader = (uint32_t)__builtin_ctzll(leaders);
    struct question question = {
        .test = test, .node = leader, .words = words, .timeout_ns = NS_PER_SECOND};
    ask(&question);
    if (question.trouble.length > 0)
        code = err_set(err, ERR_TIMEOUT, "%s: %s", test->nodes[leader].name, question.trouble.data);
    for (uint32_t i = 0; i < test->node_count && code == ERR_NONE; i++)
        if (node_in(nodes, i))
            code = replace_one(test, i, leader, buf_text(&question.answer), err);
    buf_free(&question.answer);
    buf_free(&question.trouble);
    return code;
}
