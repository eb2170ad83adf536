/* Ansible's inventory as YAML: see ansible.h. The one file that meets libyaml.
 *
 *   all: {hosts: {NAME: {VAR: VALUE}}, vars: {VAR: VALUE}, children: {GROUP: {hosts: ..}}} */
#include <stdio.h>
#include <string.h>
#include <yaml.h>

#include "harness/inventories/ansible.h"

enum { DEPTH_MAX = 64, NODES_MAX = 200000 };

struct reading {
    struct ansible *ansible;
    yaml_document_t document;
    size_t steps; /* aliases may name the same part again and again: past a bound it is refused */
};

static int line_of(const yaml_node_t *node)
{
    return (int)node->start_mark.line + 1;
}

static const char *scalar(const yaml_node_t *node)
{
    if (node == NULL || node->type != YAML_SCALAR_NODE || strcmp((char *)node->tag, "!vault") == 0)
        return NULL;
    return (const char *)node->data.scalar.value;
}

static bool is_nothing(const yaml_node_t *node)
{
    const char *text = scalar(node);
    return text != NULL && node->data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
           (*text == '\0' || strcmp(text, "~") == 0 || strcmp(text, "null") == 0);
}

typedef enum err_code take_pair(struct reading *reading, void *state, const char *key,
                                const yaml_node_t *key_node, const yaml_node_t *value, int depth,
                                struct err *err);

/* Calls `take` for each pair, those that "<<" brings in first, so that later ones replace them. */
static enum err_code each_pair(struct reading *reading, const yaml_node_t *mapping,
                               const char *what, take_pair *take, void *state, int depth,
                               struct err *err)
{
    struct ansible *ansible = reading->ansible;
    if (is_nothing(mapping))
        return ERR_NONE;
    if (mapping->type != YAML_MAPPING_NODE)
        return ansible_refuse(ansible, line_of(mapping), err, "%s must be a mapping", what);
    if (depth > DEPTH_MAX || ++reading->steps > NODES_MAX)
        return ansible_refuse(ansible, line_of(mapping), err, "%s is nested too deeply", what);
    const yaml_node_pair_t *first = mapping->data.mapping.pairs.start;
    const yaml_node_pair_t *end = mapping->data.mapping.pairs.top;
    for (int merged = 1; merged >= 0; merged--)
        for (const yaml_node_pair_t *pair = first; pair < end; pair++) {
            const yaml_node_t *key = yaml_document_get_node(&reading->document, pair->key);
            const yaml_node_t *value = yaml_document_get_node(&reading->document, pair->value);
            const char *text = scalar(key);
            if (text == NULL || value == NULL)
                return ansible_refuse(ansible, line_of(mapping), err,
                                      "%s: a name must be a plain text", what);
            if ((strcmp(text, "<<") == 0) != merged)
                continue;
            enum err_code code = merged
                                     ? each_pair(reading, value, what, take, state, depth + 1, err)
                                     : take(reading, state, text, key, value, depth, err);
            if (code != ERR_NONE)
                return code;
        }
    return ERR_NONE;
}

static enum err_code take_var(struct reading *reading, void *state, const char *key,
                              const yaml_node_t *key_node, const yaml_node_t *value, int depth,
                              struct err *err)
{
    (void)depth, (void)err;
    ansible_set(reading->ansible, state, key, scalar(value), line_of(key_node));
    return ERR_NONE;
}

/* ---- Hosts ---- */

struct host_pair {
    struct reading *reading;
    uint32_t group;
    const yaml_node_t *vars;
    int line, depth;
};

static enum err_code take_host(void *state, const char *name, unsigned port, struct err *err)
{
    struct host_pair *pair = state;
    struct ansible *ansible = pair->reading->ansible;
    uint32_t host;
    if (ansible_host(ansible, name, pair->line, &host, err) != ERR_NONE)
        return ERR_CONFIG;
    ansible_add_host(ansible, pair->group, host);
    if (port != 0) {
        char text[16];
        snprintf(text, sizeof text, "%u", port);
        ansible_set(ansible, &ansible->hosts[host].vars, "ansible_port", text, pair->line);
    }
    return each_pair(pair->reading, pair->vars, name, take_var, &ansible->hosts[host].vars,
                     pair->depth + 1, err);
}

static enum err_code take_host_pair(struct reading *reading, void *state, const char *key,
                                    const yaml_node_t *key_node, const yaml_node_t *value,
                                    int depth, struct err *err)
{
    struct host_pair pair = {reading, *(uint32_t *)state, value, line_of(key_node), depth};
    return ansible_expand(reading->ansible, key, pair.line, take_host, &pair, err);
}

/* ---- Groups ---- */

static enum err_code take_group(struct reading *reading, const char *name,
                                const yaml_node_t *name_node, const yaml_node_t *value, int depth,
                                uint32_t *group, struct err *err);

static enum err_code take_child(struct reading *reading, void *state, const char *key,
                                const yaml_node_t *key_node, const yaml_node_t *value, int depth,
                                struct err *err)
{
    uint32_t parent = *(uint32_t *)state, child;
    if (take_group(reading, key, key_node, value, depth, &child, err) != ERR_NONE)
        return ERR_CONFIG;
    return ansible_add_child(reading->ansible, parent, child, line_of(key_node), err);
}

static enum err_code take_member(struct reading *reading, void *state, const char *key,
                                 const yaml_node_t *key_node, const yaml_node_t *value, int depth,
                                 struct err *err)
{
    struct ansible *ansible = reading->ansible;
    uint32_t *group = state;
    if (strcmp(key, "hosts") == 0)
        return each_pair(reading, value, "hosts", take_host_pair, group, depth + 1, err);
    if (strcmp(key, "children") == 0)
        return each_pair(reading, value, "children", take_child, group, depth + 1, err);
    if (strcmp(key, "vars") == 0)
        return each_pair(reading, value, "vars", take_var, &ansible->groups[*group].vars, depth + 1,
                         err);
    return ansible_refuse(ansible, line_of(key_node), err,
                          "the group %s has '%s'; a group has hosts, vars and children",
                          ansible->groups[*group].name, key);
}

static enum err_code take_group(struct reading *reading, const char *name,
                                const yaml_node_t *name_node, const yaml_node_t *value, int depth,
                                uint32_t *group, struct err *err)
{
    if (ansible_group(reading->ansible, name, line_of(name_node), group, err) != ERR_NONE)
        return ERR_CONFIG;
    return each_pair(reading, value, name, take_member, group, depth + 1, err);
}

static enum err_code take_top(struct reading *reading, void *state, const char *key,
                              const yaml_node_t *key_node, const yaml_node_t *value, int depth,
                              struct err *err)
{
    uint32_t group;
    (void)state;
    return take_group(reading, key, key_node, value, depth, &group, err);
}

static enum err_code read_document(struct reading *reading, struct err *err)
{
    const yaml_node_t *root = yaml_document_get_root_node(&reading->document);
    if (root == NULL)
        return ansible_refuse(reading->ansible, 1, err, "there is nothing in it");
    if (root->type != YAML_MAPPING_NODE)
        return ansible_refuse(reading->ansible, line_of(root), err,
                              "an inventory is a mapping of groups, such as all: {hosts: ..}");
    return each_pair(reading, root, "an inventory", take_top, NULL, 0, err);
}

enum err_code ansible_read_yaml(struct ansible *ansible, const char *text, size_t length,
                                struct err *err)
{
    struct reading reading = {.ansible = ansible};
    yaml_parser_t parser;
    if (!yaml_parser_initialize(&parser))
        return err_set(err, ERR_NOMEM, "out of memory for %s", ansible->file);
    yaml_parser_set_input_string(&parser, (const unsigned char *)text, length);
    enum err_code code;
    if (yaml_parser_load(&parser, &reading.document)) {
        code = read_document(&reading, err);
        yaml_document_delete(&reading.document);
    } else {
        code = ansible_refuse(ansible, (int)parser.problem_mark.line + 1, err, "not YAML: %s",
                              parser.problem == NULL ? "out of memory" : parser.problem);
    }
    yaml_parser_delete(&parser);
    return code;
}
