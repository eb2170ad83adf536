/* Ansible's inventories once they are read: hosts and groups with variables. */
#ifndef ORDEAL_INVENTORY_ANSIBLE_H
#define ORDEAL_INVENTORY_ANSIBLE_H

#include <stdbool.h>

#include "harness/base/arena.h"
#include "harness/inventories/inventory.h"

enum { ANSIBLE_HOSTS_MAX = 5000, ANSIBLE_GROUPS_MAX = 2000 };

struct ansible_var {
    const char *name, *value; /* value NULL: not a scalar */
    int line;
    struct ansible_var *next; /* set before this one */
};

struct ansible_names { /* indices */
    uint32_t *items;
    size_t count, capacity;
};

struct ansible_host {
    const char *name;
    struct ansible_var *vars;
    struct ansible_names groups; /* that name it */
};

struct ansible_group {
    const char *name;
    struct ansible_var *vars;
    struct ansible_names hosts, children, parents;
    int line;    /* where it was first named */
    bool formal; /* it has a section of its own */
};

struct ansible {
    struct arena arena;
    const char *file;
    struct ansible_host *hosts; /* in the order in which they are named */
    size_t host_count, host_capacity;
    struct ansible_group *groups; /* the first is "all" */
    size_t group_count, group_capacity;
};

void ansible_init(struct ansible *ansible, const char *file);
void ansible_free(struct ansible *ansible);

/* Find or add; ERR_CONFIG past what is possible. */
enum err_code ansible_group(struct ansible *ansible, const char *name, int line, uint32_t *group,
                            struct err *err);
enum err_code ansible_host(struct ansible *ansible, const char *name, int line, uint32_t *host,
                           struct err *err);
void ansible_set(struct ansible *ansible, struct ansible_var **vars, const char *name,
                 const char *value, int line);
void ansible_add_host(struct ansible *ansible, uint32_t group, uint32_t host);
enum err_code ansible_add_child(struct ansible *ansible, uint32_t group, uint32_t child, int line,
                                struct err *err);

/* "web[01:03].example.org" names three hosts: calls `take` for each; also "host:2222", whose port
 * is told, or 0. */
typedef enum err_code ansible_take_host(void *state, const char *name, unsigned port,
                                        struct err *err);
enum err_code ansible_expand(struct ansible *ansible, const char *pattern, int line,
                             ansible_take_host *take, void *state, struct err *err);

enum err_code ansible_refuse(const struct ansible *ansible, int line, struct err *err,
                             const char *format, ...) FORMAT(4, 5);

/* The readers. */
enum err_code ansible_read_ini(struct ansible *ansible, const char *text, struct err *err);
enum err_code ansible_read_yaml(struct ansible *ansible, const char *text, size_t length,
                                struct err *err);
enum err_code ansible_read_list(struct ansible *ansible, const struct json_source *source,
                                struct err *err);

/* The nodes of the hosts that are asked for. */
enum err_code ansible_nodes(struct ansible *ansible, const char *hosts, struct json **nodes,
                            struct err *err);

#endif
