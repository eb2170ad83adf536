/* Nodes from Terraform's outputs: see terraform.h.
 *
 *   {"nodes": {"sensitive": false, "type": .., "value": VALUE}, ..}    terraform output -json
 *   VALUE                                                              terraform output -json nodes
 *
 * VALUE is a list or a map of addresses, or of objects. */
#include "harness/inventories/terraform.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "harness/plan.h"

/* A node's fields, and what providers call them. */
static const struct {
    const char *field, *names[8];
} fields[] = {
    {"name", {"name", "hostname"}},
    {"address", {"address", "public_ip", "public_ip_address", "ipv4_address", "public_dns"}},
    {"port", {"port", "ssh_port"}},
    {"user", {"user", "ssh_user"}},
    {"key", {"key", "private_key_file"}},
    {"peer-address",
     {"peer-address", "peer_address", "private_ip", "private_ip_address", "ipv4_address_private"}},
    {"peer-address6", {"peer-address6", "peer_address6", "ipv6_address_private"}},
    {"jump", {"jump", "bastion"}},
};
enum { FIELD_COUNT = sizeof fields / sizeof *fields };

/* ---- One node ---- */

static enum err_code take_object(const struct json_source *source, const struct json *value,
                                 struct json *node, struct err *err)
{
    struct arena arena = ARENA_INIT;
    enum err_code code = ERR_NONE;
    for (size_t i = 0; i < FIELD_COUNT && code == ERR_NONE; i++)
        for (const char *const *name = fields[i].names; *name != NULL && code == ERR_NONE; name++) {
            const struct json *member = json_get(value, *name);
            enum json_kind kind = json_kind(member);
            if (member == NULL || kind == JSON_NULL)
                continue;
            if (kind != JSON_TEXT && kind != JSON_NUMBER)
                code = json_refuse(source, member, err, "%s must be a text or a number", *name);
            else if (*json_as_text(member, "x") != '\0')
                json_set_text(node, fields[i].field, plan_scalar_text(&arena, member));
            if (json_get(node, fields[i].field) != NULL && i > 0)
                break;
        }
    arena_free(&arena);
    return code;
}

static enum err_code take_node(const struct json_source *source, const struct json *value,
                               const char *key, struct json *nodes, struct err *err)
{
    struct json *node = json_add(nodes, json_object());
    if (key != NULL)
        json_set_text(node, "name", key);
    if (json_kind(value) == JSON_TEXT && *json_as_text(value, "") != '\0')
        json_set_text(node, "address", json_as_text(value, ""));
    else if (json_kind(value) != JSON_OBJECT)
        return json_refuse(source, value, err, "a node must be an address, or an object with one");
    else if (take_object(source, value, node, err) != ERR_NONE)
        return ERR_CONFIG;
    if (json_get(node, "address") == NULL && (json_get(node, "name") == NULL || key != NULL))
        return json_refuse(
            source, value, err,
            "a node needs an address (or public_ip, public_ip_address, ipv4_address, "
            "public_dns)");
    return ERR_NONE;
}

static enum err_code take_value(const struct json_source *source, const struct json *value,
                                struct json **nodes, struct err *err)
{
    enum json_kind kind = json_kind(value);
    if (kind != JSON_ARRAY && kind != JSON_OBJECT)
        return json_refuse(source, value, err,
                           "nodes must be a list or a map of addresses, or of objects");
    struct json *list = json_array();
    for (const struct json *one = json_first(value); one != NULL; one = json_next(one))
        if (take_node(source, one, kind == JSON_OBJECT ? json_key(one) : NULL, list, err) !=
            ERR_NONE) {
            json_free(list);
            return ERR_CONFIG;
        }
    *nodes = list;
    return ERR_NONE;
}

/* ---- Which output ---- */

static bool is_output(const struct json *member)
{
    return json_kind(member) == JSON_OBJECT && json_get(member, "value") != NULL &&
           json_get(member, "sensitive") != NULL;
}

static bool are_outputs(const struct json *root)
{
    bool all = json_kind(root) == JSON_OBJECT && json_count(root) > 0;
    for (const struct json *one = all ? json_first(root) : NULL; one != NULL; one = json_next(one))
        all = all && is_output(one);
    return all;
}

static enum err_code choose(const struct json_source *source, const char *output,
                            const struct json **chosen, struct err *err)
{
    static const char *const usual[] = {"ordeal_nodes", "nodes"};
    struct buf names = BUF_INIT;
    *chosen = output != NULL ? json_get(source->root, output) : NULL;
    for (size_t i = 0; i < 2 && output == NULL && *chosen == NULL; i++)
        *chosen = json_get(source->root, usual[i]);
    if (output == NULL && *chosen == NULL && json_count(source->root) == 1)
        *chosen = json_first(source->root);
    if (*chosen != NULL)
        return ERR_NONE;
    for (const struct json *one = json_first(source->root); one != NULL; one = json_next(one))
        buf_printf(&names, "%s%s", names.length > 0 ? ", " : "", json_key(one));
    if (output != NULL)
        err_set(err, ERR_CONFIG, "%s: it has no output '%s'; there are %s", source->name, output,
                buf_text(&names));
    else
        err_set(err, ERR_CONFIG,
                "%s: no output is called nodes: say which has them with --inventory-hosts: %s",
                source->name, buf_text(&names));
    buf_free(&names);
    return ERR_CONFIG;
}

enum err_code terraform_nodes(const struct json_source *source, const char *output,
                              struct json **nodes, struct err *err)
{
    const struct json *chosen;
    if (are_outputs(source->root)) {
        if (choose(source, output, &chosen, err) != ERR_NONE)
            return ERR_CONFIG;
        return take_value(source, json_get(chosen, "value"), nodes, err);
    }
    if (output != NULL)
        return err_set(err, ERR_CONFIG,
                       "%s: it is the value of one output, so --inventory-hosts cannot choose one",
                       source->name);
    return take_value(source, source->root, nodes, err);
}
