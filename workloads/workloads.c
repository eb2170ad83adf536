/* The table of workloads: see workloads.h. */
#include "workloads/workloads.h"

#include <stddef.h>
#include <string.h>

#define ENTRY(name) &workload_##name,
const struct workload *const workloads[] = {WORKLOADS(ENTRY) NULL};

const struct workload *workload_find(const char *name)
{
    for (const struct workload *const *entry = workloads; *entry != NULL; entry++)
        if (strcmp((*entry)->name, name) == 0)
            return *entry;
    return NULL;
}
