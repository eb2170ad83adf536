/* Who belongs to an etcd cluster, and changes of that. Members are told by the address that their
 * peers use: one that was added and has not started yet has no name. */
#include <stdio.h>
#include <string.h>

#include "harness/base/clock.h"
#include "harness/base/json.h"
#include "workloads/systems/etcd.h"

static const int64_t ask_ns = NS_PER_SECOND, change_ns = 5 * NS_PER_SECOND;

static void peer_url(const struct test *test, uint32_t node, struct buf *out)
{
    http_add_url(out, node_peer_address(&test->nodes[node]), etcd_peer_port(test), "");
}

/* The node of one entry of the list; -1: none of ours. */
static int node_of(const struct test *test, const struct json *member)
{
    const char *url = json_as_text(json_at(json_get(member, "peerURLs"), 0), "");
    for (uint32_t i = 0; i < test->node_count; i++) {
        struct buf own = BUF_INIT;
        peer_url(test, i, &own);
        bool same = strcmp(own.data, url) == 0;
        buf_free(&own);
        if (same)
            return (int)i;
    }
    return -1;
}

static enum err_code list(struct test *test, uint32_t node, struct json **answer, struct err *err)
{
    return etcd_ask_node(test, node, "/v3/cluster/member/list", "{}", ask_ns, answer, err);
}

/* Who was added and has not started yet is no member as far as faults go. */
enum err_code etcd_members(struct test *test, uint32_t node, node_set *members, struct err *err)
{
    struct json *answer = NULL;
    enum err_code code = list(test, node, &answer, err);
    const struct json *entries = json_get(answer, "members");
    node_set set = 0;
    for (size_t i = 0; i < json_count(entries) && code == ERR_NONE; i++) {
        const struct json *entry = json_at(entries, i);
        int who = node_of(test, entry);
        if (who < 0)
            code = err_set(err, ERR_REMOTE, "%s tells of a member that is no node: %s",
                           test->nodes[node].name, json_as_text(json_get(entry, "name"), "?"));
        else if (*json_as_text(json_get(entry, "name"), "") != '\0')
            set |= NODE_SET(who);
    }
    json_free(answer);
    if (code == ERR_NONE)
        *members = set;
    return code;
}

/* Its number, as text; ERR_CONFIG when it is no member. */
static enum err_code find_id(struct test *test, uint32_t node, uint32_t via, char id[32],
                             struct err *err)
{
    struct json *answer = NULL;
    enum err_code code = list(test, via, &answer, err);
    const struct json *entries = json_get(answer, "members");
    id[0] = '\0';
    for (size_t i = 0; i < json_count(entries); i++)
        if (node_of(test, json_at(entries, i)) == (int)node)
            snprintf(id, 32, "%s", json_as_text(json_get(json_at(entries, i), "ID"), ""));
    json_free(answer);
    if (code == ERR_NONE && id[0] == '\0')
        code = err_set(err, ERR_CONFIG, "%s is no member of etcd", test->nodes[node].name);
    return code;
}

enum err_code etcd_remove(struct test *test, uint32_t node, uint32_t via, struct err *err)
{
    char id[32], body[64];
    struct json *answer = NULL;
    struct err absent = ERR_INIT;
    enum err_code code = find_id(test, node, via, id, &absent);
    if (code == ERR_CONFIG) /* an earlier try was heard after all */
        return ERR_NONE;
    if (code != ERR_NONE)
        return err_set(err, code, "%s", absent.message);
    snprintf(body, sizeof body, "{\"ID\":\"%s\"}", id);
    code = etcd_ask_node(test, via, "/v3/cluster/member/remove", body, change_ns, &answer, err);
    json_free(answer);
    return code;
}

enum err_code etcd_add(struct test *test, uint32_t node, uint32_t via, node_set members,
                       struct err *err)
{
    char id[32];
    struct buf body = BUF_INIT;
    struct json *answer = NULL;
    enum err_code code = find_id(test, node, via, id, err);
    if (code == ERR_CONFIG) { /* else an earlier try was heard */
        buf_add_text(&body, "{\"peerURLs\":[\"");
        peer_url(test, node, &body);
        buf_add_text(&body, "\"]}");
        code =
            etcd_ask_node(test, via, "/v3/cluster/member/add", body.data, change_ns, &answer, err);
        json_free(answer);
    }
    buf_free(&body);
    return code == ERR_NONE ? etcd_start_joining(test, node, members | NODE_SET(node), err) : code;
}
