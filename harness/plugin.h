/* What all plug-ins have in common: every contract's struct begins with a name and a summary. */
#ifndef ORDEAL_PLUGIN_H
#define ORDEAL_PLUGIN_H

#include "harness/base/err.h"
#include "harness/option.h"

/* The first members of struct system, workload, nemesis, checker, model and reporter. */
struct plugin {
    const char *name, *summary;
};

/* `table` is an array of pointers to plug-ins, NULL at the end, such as `systems`. Finds `name`, or
 * returns NULL and an error that suggests the nearest: "there is no system 'ectd'; did you mean
 * 'etcd'?". `what` is the singular, `list` what `ordeal list` calls them. */
const void *plugin_resolve(const void *table, const char *what, const char *list, const char *name,
                           struct err *err);

#endif
