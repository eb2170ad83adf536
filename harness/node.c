/* Nodes: see node.h. */
#include "harness/node.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

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
