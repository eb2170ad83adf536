/* The table of systems under test: see systems.h. */
#include "workloads/systems/systems.h"

#include <stddef.h>
#include <string.h>

#define ENTRY(name) &system_##name,
const struct system *const systems[] = {SYSTEMS(ENTRY) NULL};

const struct system *system_find(const char *name)
{
    for (const struct system *const *entry = systems; *entry != NULL; entry++)
        if (strcmp((*entry)->name, name) == 0)
            return *entry;
    return NULL;
}
