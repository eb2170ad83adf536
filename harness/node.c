/* Nodes: see node.h. */
#include "harness/node.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/base/json.h"
#include "harness/base/text.h"

const char *node_address(const struct node *node)
{
    return node->address != NULL ? node->address : node->name;
}

const char *node_peer_address(const struct node *node)
{
    return node->peer_address != NULL ? node->peer_address : node_address(node);
}

uint16_t node_port(const struct node *node)
{
    return node->port != 0 ? node->port : 22;
}

static enum err_code parse_port(const char *text, const char *whole, uint16_t *port,
                                struct err *err)
{
    char *end;
    errno = 0;
    unsigned long number = strtoul(text, &end, 10);
    if (*text < '0' || *text > '9' || *end != '\0' || errno != 0 || number == 0 || number > 65535)
        return err_set(err, ERR_CONFIG, "node '%s': '%s' is not a port: write 1 to 65535", whole,
                       text);
    *port = (uint16_t)number;
    return ERR_NONE;
}

/* Splits "address", "address:port", "[v6]", "[v6]:port"; a bare v6 address has several colons and
 * so no port. */
static enum err_code parse_address(char *text, const char *whole, struct node *node,
                                   struct err *err)
{
    char *port = NULL;
    if (*text == '[') {
        char *end = strchr(text, ']');
        if (end == NULL || (end[1] != '\0' && end[1] != ':'))
            return err_set(err, ERR_CONFIG, "node '%s': write an IPv6 address as [address]:port",
                           whole);
        port = end[1] == ':' ? end + 2 : NULL;
        *end = '\0';
        text++;
    } else {
        char *colon = strchr(text, ':');
        if (colon != NULL && strchr(colon + 1, ':') == NULL) {
            *colon = '\0';
            port = colon + 1;
        }
    }
    if (*text == '\0' || *text == '-' || strpbrk(text, " \t/'\"\\") != NULL)
        return err_set(err, ERR_CONFIG, "node '%s': there is no address in it", whole);
    node->address = text;
    return port == NULL ? ERR_NONE : parse_port(port, whole, &node->port, err);
}

enum err_code node_parse(struct arena *arena, const char *text, uint32_t index, struct node *node,
                         struct err *err)
{
    struct node parsed = {.index = index};
    char *rest = arena_strdup(arena, text);
    char *equals = strchr(rest, '=');
    if (equals != NULL) {
        *equals = '\0';
        parsed.name = rest;
        rest = equals + 1;
    }
    char *at = strrchr(rest, '@');
    if (at != NULL) {
        *at = '\0';
        parsed.user = rest;
        rest = at + 1;
    }
    enum err_code code = parse_address(rest, text, &parsed, err);
    if (code != ERR_NONE)
        return code;
    if ((parsed.name != NULL && *parsed.name == '\0') ||
        (parsed.user != NULL && *parsed.user == '\0'))
        return err_set(err, ERR_CONFIG, "node '%s': write it as [name=][user@]address[:port]",
                       text);
    if (parsed.name == NULL)
        parsed.name = parsed.address;
    *node = parsed;
    return ERR_NONE;
}

/* ---- Nodes as objects ---- */

static enum err_code take_member(struct arena *arena, const struct json *member, struct node *node,
                                 char *why, size_t size)
{
    static const char *const names[] = {"name", "address",      "port",          "user",
                                        "key",  "peer-address", "peer-address6", "jump"};
    const char **places[] = {&node->name,          &node->address, NULL,
                             &node->user,          NULL,           &node->peer_address,
                             &node->peer_address6, &node->jump};
    char number[32];
    const char *key = json_key(member), *text = json_as_text(member, NULL);
    if (json_kind(member) == JSON_NUMBER) {
        snprintf(number, sizeof number, "%lld", (long long)json_as_int(member, -1));
        text = number;
    }
    size_t which = 0, count = sizeof names / sizeof *names;
    while (which < count && strcmp(names[which], key) != 0)
        which++;
    const char *near = which < count ? NULL : text_nearest(key, names, count);
    if (which == count) {
        snprintf(why, size, "it has no '%s'%s%s%s", key, near == NULL ? "" : "; did you mean '",
                 near == NULL ? "" : near, near == NULL ? "" : "'?");
        return ERR_CONFIG;
    }
    if (text == NULL || *text == '\0') {
        snprintf(why, size, "%s must be a text", key);
        return ERR_CONFIG;
    }
    text = arena_strdup(arena, text);
    if (places[which] != NULL)
        *places[which] = text;
    if (strcmp(key, "key") == 0) {
        const char **parts;
        size_t keys = text_split(arena, text, ',', &parts);
        const char **list = arena_zalloc(arena, (keys + 1) * sizeof *list);
        memcpy(list, parts, keys * sizeof *list);
        node->key_files = list;
    }
    return strcmp(key, "port") == 0 ? parse_port(text, "port", &node->port, NULL) : ERR_NONE;
}

static bool is_plain(const char *text)
{
    return text == NULL || (*text != '-' && strpbrk(text, " \t\r\n/'\"\\") == NULL);
}

static bool is_address(const char *text, int family)
{
    unsigned char bytes[sizeof(struct in6_addr)];
    return inet_pton(family, text, bytes) == 1;
}

static enum err_code check_object(struct arena *arena, const struct node *node, char *why,
                                  size_t size)
{
    struct node jump;
    struct err err = ERR_INIT;
    const char *peer = node->peer_address;
    *why = '\0';
    if (node->name == NULL)
        snprintf(why, size, "it has neither name nor address");
    else if (!is_plain(node->name) || !is_plain(node->address) || !is_plain(node->user))
        snprintf(why, size, "name, address and user may hold no blanks, quotes or slashes");
    else if (peer != NULL && !is_address(peer, AF_INET) && !is_address(peer, AF_INET6))
        snprintf(why, size, "peer-address: '%s' is no IP address, which faults need", peer);
    else if (node->peer_address6 != NULL && !is_address(node->peer_address6, AF_INET6))
        snprintf(why, size, "peer-address6: '%s' is no IPv6 address", node->peer_address6);
    else if (node->jump != NULL && node_parse_jump(arena, node->jump, &jump, &err) != ERR_NONE)
        snprintf(why, size, "%s", err.message);
    return *why == '\0' ? ERR_NONE : ERR_CONFIG;
}

enum err_code node_from_json(struct arena *arena, const struct json *object, uint32_t index,
                             struct node *node, struct err *err)
{
    struct node made = {.index = index};
    char why[ERR_MESSAGE_MAX] = "";
    enum err_code code = ERR_NONE;
    for (const struct json *member = json_first(object); member != NULL && code == ERR_NONE;
         member = json_next(member))
        code = take_member(arena, member, &made, why, sizeof why);
    if (code != ERR_NONE && *why == '\0')
        snprintf(why, sizeof why, "port must be 1 to 65535");
    if (made.name == NULL)
        made.name = made.address;
    if (code == ERR_NONE)
        code = check_object(arena, &made, why, sizeof why);
    if (code == ERR_NONE) {
        *node = made;
        return ERR_NONE;
    }
    if (made.name != NULL)
        return err_set(err, ERR_CONFIG, "node '%s': %s", made.name, why);
    return err_set(err, ERR_CONFIG, "node %u: %s", index + 1, why);
}

enum err_code node_parse_jump(struct arena *arena, const char *text, struct node *jump,
                              struct err *err)
{
    struct err why = ERR_INIT;
    if (strchr(text, ',') != NULL)
        return err_set(err, ERR_CONFIG,
                       "jump '%s': one jump host is possible, not one behind another", text);
    if (strchr(text, '=') != NULL || node_parse(arena, text, 0, jump, &why) != ERR_NONE)
        return err_set(err, ERR_CONFIG, "jump '%s': write it as [user@]host[:port]", text);
    return ERR_NONE;
}
