/* What `ansible-inventory --list` prints, which has evaluated all that only Ansible can: see
 * ansible.h.
 *
 *   {"_meta": {"hostvars": {NAME: {VAR: VALUE}}}, GROUP: {"hosts": [..], "children": [..]}} */
#include <string.h>

#include "harness/inventories/ansible.h"
#include "harness/plan.h"

static void take_vars(struct ansible *ansible, const struct json_source *source,
                      const struct json *vars, struct ansible_var **to)
{
    for (const struct json *var = json_first(vars); var != NULL; var = json_next(var)) {
        enum json_kind kind = json_kind(var);
        bool plain = kind == JSON_TEXT || kind == JSON_NUMBER || kind == JSON_BOOL;
        ansible_set(ansible, to, json_key(var),
                    plain ? plan_scalar_text(&ansible->arena, var) : NULL,
                    json_line_at(source, var));
    }
}

static enum err_code take_group(struct ansible *ansible, const struct json_source *source,
                                const struct json *group, struct err *err)
{
    uint32_t parent, other;
    int line = json_line_at(source, group);
    if (ansible_group(ansible, json_key(group), line, &parent, err) != ERR_NONE)
        return ERR_CONFIG;
    for (const struct json *one = json_first(json_get(group, "children")); one != NULL;
         one = json_next(one)) {
        if (ansible_group(ansible, json_as_text(one, ""), line, &other, err) != ERR_NONE ||
            ansible_add_child(ansible, parent, other, json_line_at(source, one), err) != ERR_NONE)
            return ERR_CONFIG;
    }
    for (const struct json *one = json_first(json_get(group, "hosts")); one != NULL;
         one = json_next(one)) {
        if (json_kind(one) != JSON_TEXT)
            return ansible_refuse(ansible, json_line_at(source, one), err, "hosts must be names");
        if (ansible_host(ansible, json_as_text(one, ""), line, &other, err) != ERR_NONE)
            return ERR_CONFIG;
        ansible_add_host(ansible, parent, other);
    }
    take_vars(ansible, source, json_get(group, "vars"), &ansible->groups[parent].vars);
    return ERR_NONE;
}

enum err_code ansible_read_list(struct ansible *ansible, const struct json_source *source,
                                struct err *err)
{
    for (const struct json *group = json_first(source->root); group != NULL;
         group = json_next(group))
        if (strcmp(json_key(group), "_meta") != 0 &&
            take_group(ansible, source, group, err) != ERR_NONE)
            return ERR_CONFIG;
    const struct json *hostvars = json_get(json_get(source->root, "_meta"), "hostvars");
    for (const struct json *one = json_first(hostvars); one != NULL; one = json_next(one)) {
        uint32_t host;
        if (ansible_host(ansible, json_key(one), json_line_at(source, one), &host, err) != ERR_NONE)
            return ERR_CONFIG;
        take_vars(ansible, source, one, &ansible->hosts[host].vars);
    }
    return ERR_NONE;
}
