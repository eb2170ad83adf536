/* The nodes of a plan, and how to get at them: see reach.h. */
#include "harness/reach.h"

#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "harness/base/clock.h"
#include "harness/base/text.h"
#include "harness/cluster/cluster.h"

enum { PASSWORD_BYTES_MAX = 4096 };

/* That others are at work there is no mistake in the plan: the same command may succeed later. */
static enum err_code claim(struct reach *reach, const char *who, struct err *err)
{
    enum err_code code = cluster_claim(reach->cluster, who, err);
    if (code == ERR_CONFIG)
        err->code = code = ERR_IO;
    return code;
}

static enum err_code raise_or_attach(const struct plan *plan, enum reach_mode mode, const char *who,
                                     struct log *log, struct reach *reach, struct err *err)
{
    if (mode != REACH_RAISE) {
        if (cluster_attach(plan->cluster, &reach->cluster, err) != ERR_NONE)
            return err->code;
        return mode == REACH_HEAL ? ERR_NONE : claim(reach, who, err);
    }
    struct cluster_options options = {
        .name = plan->cluster, .nodes = (int)plan->node_count, .ephemeral = true};
    int64_t began_ns = clock_monotonic_ns();
    if (cluster_up(&options, &reach->cluster, err) != ERR_NONE ||
        claim(reach, who, err) != ERR_NONE)
        return err->code;
    char took[32];
    clock_format_human(clock_monotonic_ns() - began_ns, took, sizeof took);
    if (cluster_was_up(reach->cluster))
        log_line(log, "using local cluster %s: %zu node%s", plan->cluster, plan->node_count,
                 plan->node_count == 1 ? "" : "s");
    else
        log_line(log, "raised local cluster %s: %zu node%s in %s", plan->cluster, plan->node_count,
                 plan->node_count == 1 ? "" : "s", took);
    return ERR_NONE;
}

static enum err_code name_local_nodes(struct reach *reach, struct err *err)
{
    reach->node_count = (uint32_t)cluster_node_count(reach->cluster);
    for (uint32_t i = 0; i < reach->node_count;
         i++) { /* copies: reports name nodes that are gone */
        const char *six = cluster_node_address6(reach->cluster, (int)i);
        reach->nodes[i] = (struct node){
            .index = i,
            .name = arena_strdup(&reach->arena, cluster_node_name(reach->cluster, (int)i)),
            .address = arena_strdup(&reach->arena, cluster_node_address(reach->cluster, (int)i)),
            .peer_address6 = six == NULL ? NULL : arena_strdup(&reach->arena, six),
            .user = "root",
        };
    }
    int previous = -1;
    if (cluster_join(reach->cluster, &previous, err) != ERR_NONE)
        return err->code;
    close(previous); /* this process stays with the cluster until it ends */
    return ERR_NONE;
}

/* Faults cut addresses, so a name becomes those that this machine knows for it. A name that it does
 * not know is for connecting to complain about. */
static void find_peer_addresses(struct arena *arena, struct node *node)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    const char *four = NULL, *six = NULL;
    if (getaddrinfo(node_address(node), NULL, &hints, &found) != 0)
        return;
    for (const struct addrinfo *at = found; at != NULL; at = at->ai_next) {
        char text[NI_MAXHOST];
        const char **place = at->ai_family == AF_INET ? &four : &six;
        if (*place == NULL && getnameinfo(at->ai_addr, at->ai_addrlen, text, sizeof text, NULL, 0,
                                          NI_NUMERICHOST) == 0)
            *place = arena_strdup(arena, text);
    }
    freeaddrinfo(found);
    node->peer_address = four != NULL ? four : six;
    node->peer_address6 = four != NULL ? six : NULL;
}

static bool is_same(const char *one, const char *other)
{
    return one != NULL && other != NULL && strcmp(one, other) == 0;
}

/* A fault between a node and the jump host would cut ordeal off from the node, too. */
static enum err_code check_jump(struct reach *reach, const struct node *node, struct err *err)
{
    struct node jump;
    if (node->jump == NULL)
        return ERR_NONE;
    if (node_parse_jump(&reach->arena, node->jump, &jump, err) != ERR_NONE)
        return err->code;
    find_peer_addresses(&reach->arena, &jump);
    for (uint32_t i = 0; i < reach->node_count; i++) {
        const struct node *other = &reach->nodes[i];
        if (is_same(node_address(&jump), node_address(other)) ||
            is_same(jump.peer_address, other->peer_address) ||
            is_same(jump.peer_address, other->peer_address6) ||
            is_same(jump.peer_address6, other->peer_address6))
            return err_set(err, ERR_CONFIG,
                           "node %s: its jump host '%s' is the node %s: faults between the two "
                           "would cut ordeal off; use a machine that is none of the nodes",
                           node->name, node->jump, other->name);
    }
    return ERR_NONE;
}

static enum err_code name_far_nodes(const struct plan *plan, enum reach_mode mode,
                                    struct reach *reach, struct err *err)
{
    reach->node_count = (uint32_t)plan->node_count;
    for (uint32_t i = 0; i < reach->node_count; i++) {
        struct node *node = &reach->nodes[i];
        *node = plan->nodes[i];
        if (node->jump == NULL)
            node->jump = plan_text(plan, "jump");
        if (node->peer_address == NULL)
            find_peer_addresses(&reach->arena, node);
        if (node->jump != NULL && node->peer_address == NULL)
            return err_set(err, ERR_CONFIG,
                           "node %s: only its jump host may know the address of '%s': give it a "
                           "peer-address, which faults and clients use",
                           node->name, node_address(node));
    }
    for (uint32_t i = 0; mode != REACH_HEAL && i < reach->node_count; i++)
        if (check_jump(reach, &reach->nodes[i], err) != ERR_NONE)
            return err->code;
    return ERR_NONE;
}

/* NULL-terminated list of a comma-separated field, or NULL. */
static const char *const *list_field(const struct plan *plan, struct arena *arena,
                                     const char *field)
{
    const char *text = plan_text(plan, field);
    if (text == NULL)
        return NULL;
    const char **parts;
    size_t count = text_split(arena, text, ',', &parts);
    const char **list = arena_zalloc(arena, (count + 1) * sizeof *list);
    memcpy(list, parts, count * sizeof *list);
    return list;
}

static enum err_code read_password(const char *path, struct reach *reach, struct err *err)
{
    struct buf text = BUF_INIT;
    if (file_read(path, PASSWORD_BYTES_MAX, &text, err) != ERR_NONE) {
        buf_free(&text);
        return err_wrap(err, "ssh-password-file");
    }
    text.data[strcspn(text.data, "\r\n")] = '\0';
    reach->fleet_options.connect.password = arena_strdup(&reach->arena, text.data);
    explicit_bzero(text.data, text.length);
    buf_free(&text);
    return ERR_NONE;
}

static enum err_code set_options(const struct plan *plan, struct reach *reach, struct err *err)
{
    struct remote_options *connect = &reach->fleet_options.connect;
    (void)!clock_parse_duration(plan_text(plan, "connect-timeout"), &connect->connect_timeout_ns,
                                NULL); /* plan_set looked */
    if (reach->cluster != NULL) {
        const char **keys = arena_zalloc(&reach->arena, 2 * sizeof *keys);
        keys[0] = cluster_key_path(reach->cluster);
        connect->key_files = keys;
        connect->known_hosts = cluster_known_hosts_path(reach->cluster);
        connect->no_agent = true;
        return ERR_NONE;
    }
    connect->user = plan_text(plan, "ssh-user");
    connect->key_files = list_field(plan, &reach->arena, "ssh-key");
    connect->known_hosts = plan_text(plan, "known-hosts");
    connect->accept_new_host_keys = strcmp(plan_text(plan, "accept-new-host-keys"), "true") == 0;
    const char *password_file = plan_text(plan, "ssh-password-file");
    return password_file == NULL ? ERR_NONE : read_password(password_file, reach, err);
}

enum err_code reach_open(const struct plan *plan, enum reach_mode mode, const char *who,
                         struct log *log, struct reach *reach, struct err *err)
{
    *reach = (struct reach){.arena = ARENA_INIT};
    enum err_code code = ERR_NONE;
    if (plan->local) {
        code = raise_or_attach(plan, mode, who, log, reach, err);
        if (code == ERR_NONE)
            code = name_local_nodes(reach, err);
    } else {
        code = name_far_nodes(plan, mode, reach, err);
    }
    if (code == ERR_NONE)
        code = set_options(plan, reach, err);
    if (code != ERR_NONE) {
        reach_close(reach);
        return code;
    }
    char host[128] = "somewhere";
    gethostname(host, sizeof host - 1);
    reach->owner = arena_printf(&reach->arena, "%s on %s, pid %ld", who, host, (long)getpid());
    return ERR_NONE;
}

void reach_give_back(struct reach *reach)
{
    cluster_close(reach->cluster);
    reach->cluster = NULL;
}

enum err_code reach_keep(struct reach *reach, struct err *err)
{
    return reach->cluster == NULL ? ERR_NONE : cluster_keep(reach->cluster, err);
}

void reach_close(struct reach *reach)
{
    reach_give_back(reach);
    arena_free(&reach->arena);
}
