/* Inventories by their format: see inventory.h. */
#include "harness/inventories/inventory.h"

#include <string.h>
#include <strings.h>

#include "harness/base/text.h"
#include "harness/inventories/ansible.h"
#include "harness/inventories/terraform.h"

enum { FILE_BYTES_MAX = 16 << 20 };

enum inventory_format inventory_format_of(const char *path)
{
    const char *dot = strrchr(path, '.');
    if (dot == NULL)
        return INVENTORY_INI;
    if (strcasecmp(dot, ".json") == 0)
        return INVENTORY_JSON;
    return strcasecmp(dot, ".yml") == 0 || strcasecmp(dot, ".yaml") == 0 ? INVENTORY_YAML
                                                                         : INVENTORY_INI;
}

/* What `ansible-inventory --list` prints. */
static bool is_ansible_list(const struct json *root)
{
    return json_kind(json_get(json_get(root, "_meta"), "hostvars")) == JSON_OBJECT;
}

static enum err_code parse_json(const char *text, size_t length, const char *name,
                                const char *hosts, struct json **nodes, struct err *err)
{
    struct json *root;
    enum err_code code = json_parse(text, length, name, &root, err);
    if (code != ERR_NONE) {
        if (err != NULL)
            err->code = ERR_CONFIG;
        return ERR_CONFIG;
    }
    struct json_source source = {name, text, root};
    if (is_ansible_list(root)) {
        struct ansible ansible;
        ansible_init(&ansible, name);
        code = ansible_read_list(&ansible, &source, err);
        if (code == ERR_NONE)
            code = ansible_nodes(&ansible, hosts, nodes, err);
        ansible_free(&ansible);
    } else {
        code = terraform_nodes(&source, hosts, nodes, err);
    }
    json_free(root);
    return code;
}

enum err_code inventory_parse(const char *text, size_t length, const char *name,
                              enum inventory_format format, const char *hosts, struct json **nodes,
                              struct err *err)
{
    if (format == INVENTORY_JSON)
        return parse_json(text, length, name, hosts, nodes, err);
    struct ansible ansible;
    ansible_init(&ansible, name);
    enum err_code code = format == INVENTORY_YAML ? ansible_read_yaml(&ansible, text, length, err)
                                                  : ansible_read_ini(&ansible, text, err);
    if (code == ERR_NONE)
        code = ansible_nodes(&ansible, hosts, nodes, err);
    ansible_free(&ansible);
    return code;
}

enum err_code inventory_read(const char *path, const char *hosts, struct json **nodes,
                             struct err *err)
{
    struct buf text = BUF_INIT;
    enum err_code code = file_read(path, FILE_BYTES_MAX, &text, err);
    if (code != ERR_NONE)
        err->code = code = ERR_CONFIG;
    else
        code = inventory_parse(buf_text(&text), text.length, path, inventory_format_of(path), hosts,
                               nodes, err);
    buf_free(&text);
    return code;
}
