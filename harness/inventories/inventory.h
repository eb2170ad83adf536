/* Inventories: files that others keep about machines, read for the nodes of a plan.
 *
 * Ansible's, as INI or YAML, and what `ansible-inventory --list` prints; `terraform output -json`;
 * and a JSON list of nodes. What each has to say, and what is not read: ordeal-inventory(5). */
#ifndef ORDEAL_INVENTORY_H
#define ORDEAL_INVENTORY_H

#include <stddef.h>

#include "harness/base/json.h"

enum inventory_format { INVENTORY_INI, INVENTORY_YAML, INVENTORY_JSON };

/* By the name's ending: .json, .yml and .yaml; anything else is INI. */
enum inventory_format inventory_format_of(const char *path);

/* The nodes as a list of objects, as a plan has them ("name", "address", "port", "user", "key",
 * "peer-address", "peer-address6", "jump"); the caller frees. `hosts` says which: groups and hosts
 * with commas between, `*` and `?` as in a shell, and !NAME for those to leave out; of Terraform's
 * outputs the one to take; NULL: all, or the output that can be meant. `text` has a NUL behind its
 * `length` bytes; `name` is the file's. ERR_CONFIG: "hosts.ini:7: what". */
enum err_code inventory_parse(const char *text, size_t length, const char *name,
                              enum inventory_format format, const char *hosts, struct json **nodes,
                              struct err *err);
enum err_code inventory_read(const char *path, const char *hosts, struct json **nodes,
                             struct err *err);

#endif
