/* The table of systems under test: see systems.h. */
#include "workloads/systems/systems.h"

#include <stddef.h>
#include <string.h>

#define ENTRY(name) &system_##name,
#define NO_ENTRY(name, package)
const struct system *const systems[] = {SYSTEMS(ENTRY, NO_ENTRY) NULL};

#define BUILT(name)
#define LEFT_OUT(name, package) {#name, package},
const struct system_left_out systems_left_out[] = {SYSTEMS(BUILT, LEFT_OUT){NULL, NULL}};

const struct system *system_find(const char *name)
{
    for (const struct system *const *entry = systems; *entry != NULL; entry++)
        if (strcmp((*entry)->name, name) == 0)
            return *entry;
    return NULL;
}
