/* Disque's nodes as one sees them from outside: whether they know each other, their version. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/base/clock.h"
#include "workloads/systems/common.h"
#include "workloads/systems/disque/disque.h"

/* One answer a node, in their order; free_answers gives them back. */
static struct redis_question *ask_all(struct test *test, const char *const *words)
{
    struct redis_question *questions = calloc(test->node_count, sizeof *questions);
    for (uint32_t i = 0; questions != NULL && i < test->node_count; i++)
        questions[i] = (struct redis_question){.host = node_address(&test->nodes[i]),
                                               .port = disque_client_port(test),
                                               .words = words,
                                               .timeout_ns = NS_PER_SECOND};
    if (questions != NULL)
        redis_ask_all(questions, test->node_count);
    return questions;
}

static void free_answers(struct test *test, struct redis_question *questions)
{
    if (questions != NULL)
        redis_questions_free(questions, test->node_count);
    free(questions);
}

/* The first node is told of this one; from then on they tell each other. */
static void introduce(struct test *test, uint32_t node)
{
    char port[16];
    snprintf(port, sizeof port, "%u", (unsigned)disque_client_port(test));
    const char *const words[] = {"CLUSTER", "MEET", node_peer_address(&test->nodes[node]), port,
                                 NULL};
    struct redis_question question = {.host = node_address(&test->nodes[0]),
                                      .port = disque_client_port(test),
                                      .words = words,
                                      .timeout_ns = NS_PER_SECOND};
    redis_ask_all(&question, 1);
    redis_questions_free(&question, 1);
}

bool disque_ready(struct test *test, struct buf *why_not)
{
    static const char *const words[] = {"CLUSTER", "INFO", NULL};
    struct redis_question *answers = ask_all(test, words);
    bool ready = answers != NULL, strangers = false;
    for (uint32_t i = 0; answers != NULL && i < test->node_count; i++) {
        const char *info = buf_text(&answers[i].answer);
        char trouble[128];
        int64_t known = redis_info_number(info, "cluster_known_nodes"),
                reached = redis_info_number(info, "cluster_reachable_nodes");
        snprintf(trouble, sizeof trouble, "it knows %lld nodes and reaches %lld", (long long)known,
                 (long long)reached);
        bool well = answers[i].trouble.length == 0 && known >= test->node_count &&
                    reached >= (int64_t)test->node_count - 1;
        if (!well)
            system_trouble(test, i,
                           answers[i].trouble.length > 0 ? answers[i].trouble.data : trouble,
                           why_not);
        strangers = strangers || (answers[i].trouble.length == 0 && known < test->node_count);
        ready = ready && well;
    }
    for (uint32_t i = 1; strangers && i < test->node_count; i++)
        introduce(test, i);
    free_answers(test, answers);
    return ready;
}

enum err_code disque_version(struct test *test, struct buf *version, struct err *err)
{
    static const char *const words[] = {"INFO", "server", NULL};
    const struct options *options = &test->plan->options;
    struct redis_question *answers = ask_all(test, words);
    const char *found = NULL;
    for (uint32_t i = 0; answers != NULL && i < test->node_count && found == NULL; i++)
        found = redis_info_field(buf_text(&answers[i].answer), "disque_version");
    enum err_code code = ERR_NONE;
    if (found != NULL)
        buf_printf(version, "Disque %.*s, %u copies%s%s", (int)strcspn(found, "\r\n"), found,
                   disque_replicas(test),
                   option_bool(options, "disque.appendonly") ? ", appendfsync " : ", in memory",
                   option_bool(options, "disque.appendonly")
                       ? option_text(options, "disque.appendfsync")
                       : "");
    else
        code = err_set(err, ERR_REMOTE, "no node told its version of Disque");
    free_answers(test, answers);
    return code;
}
