/* The table of sequential models: see models.h. */
#include "checkers/models/models.h"

#include <stddef.h>
#include <string.h>

#define ENTRY(name) &model_##name,
const struct model *const models[] = {MODELS(ENTRY) NULL};

const struct model *model_find(const char *name)
{
    for (const struct model *const *model = models; *model != NULL; model++)
        if (strcmp((*model)->name, name) == 0)
            return *model;
    return NULL;
}
