/* Nodes from `terraform output -json`, or from a JSON list or map of nodes by itself. */
#ifndef ORDEAL_INVENTORY_TERRAFORM_H
#define ORDEAL_INVENTORY_TERRAFORM_H

#include "harness/base/json.h"

/* See inventory_parse; `output` names the output, or NULL. */
enum err_code terraform_nodes(const struct json_source *source, const char *output,
                              struct json **nodes, struct err *err);

#endif
