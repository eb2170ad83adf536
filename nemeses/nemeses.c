/* The table of nemeses: see nemeses.h. */
#include "nemeses/nemeses.h"

#include <stddef.h>
#include <string.h>

#define ENTRY(name) &nemesis_##name,
const struct nemesis *const nemeses[] = {NEMESES(ENTRY) NULL};

const struct node_starter node_starters[] = {{"ec2", ec2_start_again}, {.name = NULL}};

const struct nemesis *nemesis_find(const char *name)
{
    for (const struct nemesis *const *entry = nemeses; *entry != NULL; entry++)
        if (strcmp((*entry)->name, name) == 0)
            return *entry;
    return NULL;
}
