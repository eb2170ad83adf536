/* A Redis as one sees it from outside: whether it serves, who is primary, its version. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/base/clock.h"
#include "harness/base/text.h"
#include "workloads/systems/common.h"
#include "workloads/systems/redis/redis_system.h"

/* ---- Asking every node ---- */

enum whom { SERVERS, SENTINELS };

/* One answer a node, in their order; free_all gives them back. NULL: out of memory. */
static struct redis_question *ask_all(struct test *test, enum whom whom, const char *const *words,
                                      int64_t timeout_ns)
{
    struct redis_question *questions = calloc(test->node_count, sizeof *questions);
    for (uint32_t i = 0; questions != NULL && i < test->node_count; i++)
        questions[i] = (struct redis_question){.host = node_address(&test->nodes[i]),
                                               .port = whom == SERVERS ? redis_server_port(test)
                                                                       : redis_sentinel_port(test),
                                               .words = words,
                                               .timeout_ns = timeout_ns};
    if (questions != NULL)
        redis_ask_all(questions, test->node_count);
    return questions;
}

static void free_all(struct test *test, struct redis_question *questions)
{
    if (questions != NULL)
        redis_questions_free(questions, test->node_count);
    free(questions);
}

static bool field_is(const char *info, const char *name, const char *value)
{
    const char *field = redis_info_field(info, name);
    return field != NULL && strcspn(field, "\r\n") == strlen(value) && text_starts(field, value);
}

static long field_number(const char *info, const char *name)
{
    const char *field = redis_info_field(info, name);
    return field == NULL ? -1 : strtol(field, NULL, 10);
}

/* What an answer of names and values, a line each, says of a name; "" when it says nothing. */
static void value_line(const char *lines, const char *name, char value[64])
{
    value[0] = '\0';
    for (const char *at = lines; *at != '\0';) {
        size_t key = strcspn(at, "\n"), begin = key + (at[key] == '\n');
        size_t length = strcspn(at + begin, "\n");
        if (key == strlen(name) && strncmp(at, name, key) == 0 && length < 64) {
            memcpy(value, at + begin, length);
            value[length] = '\0';
            return;
        }
        at += begin + length + (at[begin + length] == '\n');
    }
}

/* ---- Serving ---- */

static bool wait_for(struct test *test, uint32_t node, struct buf *why_not, const char *what)
{
    system_trouble(test, node, what, why_not);
    return false;
}

static const char *const info_words[] = {"INFO", NULL};
static const char *const sentinel_words[] = {"SENTINEL", "MASTER", REDIS_GROUP, NULL};
static const char *const cluster_words[] = {"CLUSTER", "INFO", NULL};

/* Every server answers, has loaded its data, and follows the primary or is it. */
static bool servers_are_ready(struct test *test, const struct redis_question *info,
                              uint32_t *primaries, struct buf *why_not)
{
    bool ready = true;
    *primaries = 0;
    for (uint32_t i = 0; i < test->node_count; i++) {
        const char *text = buf_text(&info[i].answer);
        if (info[i].trouble.length > 0)
            ready = wait_for(test, i, why_not, buf_text(&info[i].trouble));
        else if (!field_is(text, "loading", "0"))
            ready = wait_for(test, i, why_not, "it loads its data");
        else if (field_is(text, "role", "master"))
            ++*primaries;
        else if (!field_is(text, "master_link_status", "up"))
            ready = wait_for(test, i, why_not, "a replica that is not in touch with its primary");
    }
    return ready;
}

/* All Sentinels know each other and one primary, which is up and says that it is one. */
static bool sentinels_are_ready(struct test *test, const struct redis_question *info,
                                struct buf *why_not)
{
    struct redis_question *sentinels = ask_all(test, SENTINELS, sentinel_words, NS_PER_SECOND);
    bool ready = sentinels != NULL;
    char first[64] = "", ip[64], flags[64], replicas[64], others[64], due[24];
    snprintf(due, sizeof due, "%u", test->node_count - 1);
    for (uint32_t i = 0; sentinels != NULL && i < test->node_count; i++) {
        const char *lines = buf_text(&sentinels[i].answer);
        value_line(lines, "ip", ip);
        value_line(lines, "flags", flags);
        value_line(lines, "num-slaves", replicas);
        value_line(lines, "num-other-sentinels", others);
        if (first[0] == '\0')
            snprintf(first, sizeof first, "%s", ip);
        if (sentinels[i].trouble.length > 0)
            ready = wait_for(test, i, why_not, buf_text(&sentinels[i].trouble));
        else if (strcmp(ip, first) != 0)
            ready = wait_for(test, i, why_not, "its Sentinel names another primary");
        else if (strcmp(flags, "master") != 0)
            ready = wait_for(test, i, why_not, "its Sentinel does not take the primary for good");
        else if (strcmp(replicas, due) != 0 || strcmp(others, due) != 0)
            ready = wait_for(test, i, why_not, "its Sentinel does not know everyone yet");
    }
    uint32_t primary = ready ? redis_node_of_ip(test, first) : UINT32_MAX;
    if (ready &&
        (primary == UINT32_MAX || !field_is(buf_text(&info[primary].answer), "role", "master") ||
         field_number(buf_text(&info[primary].answer), "connected_slaves") !=
             (long)test->node_count - 1))
        ready = wait_for(test, primary == UINT32_MAX ? 0 : primary, why_not,
                         "not all replicas follow the primary that Sentinels name");
    free_all(test, sentinels);
    return ready;
}

static bool cluster_is_ready(struct test *test, struct buf *why_not)
{
    struct redis_question *infos = ask_all(test, SERVERS, cluster_words, NS_PER_SECOND);
    bool ready = infos != NULL;
    for (uint32_t i = 0; infos != NULL && i < test->node_count; i++) {
        const char *text = buf_text(&infos[i].answer);
        if (infos[i].trouble.length > 0)
            ready = wait_for(test, i, why_not, buf_text(&infos[i].trouble));
        else if (!field_is(text, "cluster_state", "ok"))
            ready = wait_for(test, i, why_not, "to it the cluster is down");
        else if (field_number(text, "cluster_slots_ok") != 16384 ||
                 field_number(text, "cluster_known_nodes") != (long)test->node_count)
            ready = wait_for(test, i, why_not, "it does not know all nodes and slots yet");
    }
    free_all(test, infos);
    return ready;
}

bool redis_ready(struct test *test, struct buf *why_not)
{
    uint32_t primaries = 0;
    enum redis_mode mode = redis_mode(test);
    struct redis_question *info = ask_all(test, SERVERS, info_words, NS_PER_SECOND);
    bool ready = info != NULL && servers_are_ready(test, info, &primaries, why_not);
    if (ready && mode != MODE_CLUSTER && primaries != 1)
        ready = wait_for(test, 0, why_not, "there is not one primary");
    if (ready && mode == MODE_SENTINEL)
        ready = sentinels_are_ready(test, info, why_not);
    if (ready && mode == MODE_CLUSTER)
        ready = cluster_is_ready(test, why_not);
    free_all(test, info);
    return ready;
}

long redis_connected_replicas(struct test *test, uint32_t node)
{
    struct redis_question question = {.host = node_address(&test->nodes[node]),
                                      .port = redis_server_port(test),
                                      .words = info_words,
                                      .timeout_ns = 300 * NS_PER_MS};
    redis_ask_all(&question, 1);
    long replicas = field_number(buf_text(&question.answer), "connected_slaves");
    redis_questions_free(&question, 1);
    return replicas;
}

bool redis_is_fresh(struct test *test)
{
    struct redis_question *infos = ask_all(test, SERVERS, cluster_words, NS_PER_SECOND);
    bool fresh = infos != NULL;
    for (uint32_t i = 0; infos != NULL && i < test->node_count; i++)
        fresh = fresh && field_number(buf_text(&infos[i].answer), "cluster_known_nodes") == 1 &&
                field_number(buf_text(&infos[i].answer), "cluster_slots_assigned") == 0;
    free_all(test, infos);
    return fresh;
}

/* ---- Primaries ---- */

/* The one that the Sentinels name which know of the newest promotion. */
static node_set named_primary(struct test *test)
{
    struct redis_question *sentinels = ask_all(test, SENTINELS, sentinel_words, 300 * NS_PER_MS);
    node_set named = 0;
    long newest = -1;
    char ip[64], epoch[64];
    for (uint32_t i = 0; sentinels != NULL && i < test->node_count; i++) {
        value_line(buf_text(&sentinels[i].answer), "ip", ip);
        value_line(buf_text(&sentinels[i].answer), "config-epoch", epoch);
        uint32_t node = *ip == '\0' ? UINT32_MAX : redis_node_of_ip(test, ip);
        long known = *epoch == '\0' ? -1 : strtol(epoch, NULL, 10);
        if (node == UINT32_MAX || known <= newest)
            continue;
        newest = known;
        named = NODE_SET(node);
    }
    free_all(test, sentinels);
    return named;
}

enum err_code redis_primaries(struct test *test, node_set *primaries, struct err *err)
{
    enum redis_mode mode = redis_mode(test);
    struct redis_question *info = ask_all(test, SERVERS, info_words, 300 * NS_PER_MS);
    if (info == NULL)
        return err_set(err, ERR_NOMEM, "out of memory for asking Redis who is primary");
    node_set saying = 0;
    for (uint32_t i = 0; i < test->node_count; i++)
        if (field_is(buf_text(&info[i].answer), "role", "master"))
            saying |= NODE_SET(i);
    free_all(test, info);
    /* Of two that say so one is deposed and does not know. */
    *primaries = mode == MODE_SENTINEL ? saying & named_primary(test) : saying;
    return ERR_NONE;
}

enum err_code redis_version(struct test *test, struct buf *version, struct err *err)
{
    static const char *const modes[] = {", Sentinel", " Cluster", ", one server"};
    struct redis_question *info = ask_all(test, SERVERS, info_words, 2 * NS_PER_SECOND);
    const char *found = NULL;
    for (uint32_t i = 0; info != NULL && i < test->node_count && found == NULL; i++)
        found = redis_info_field(buf_text(&info[i].answer), "redis_version");
    enum err_code code = ERR_NONE;
    if (found != NULL)
        buf_printf(version, "redis %.*s%s", (int)strcspn(found, "\r\n"), found,
                   modes[redis_mode(test)]);
    else
        code = err_set(err, ERR_REMOTE, "no node told its version of Redis");
    free_all(test, info);
    return code;
}
