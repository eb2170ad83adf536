/* What all plug-ins have in common: see plugin.h. */
#include "harness/plugin.h"

#include <string.h>

#include "harness/base/text.h"
#include "harness/checker.h"
#include "harness/model.h"
#include "harness/nemesis.h"
#include "harness/reporter.h"
#include "harness/workload.h"

/* The cast in plugin_resolve rests on this. */
#define SAME_BEGINNING(type)                                                                       \
    _Static_assert(offsetof(struct type, name) == offsetof(struct plugin, name) &&                 \
                       offsetof(struct type, summary) == offsetof(struct plugin, summary),         \
                   "struct " #type " must begin as struct plugin does")
SAME_BEGINNING(system);
SAME_BEGINNING(workload);
SAME_BEGINNING(nemesis);
SAME_BEGINNING(checker);
SAME_BEGINNING(model);
SAME_BEGINNING(reporter);

enum { NAMES_MAX = 256 };

const void *plugin_resolve(const void *table, const char *what, const char *list, const char *name,
                           struct err *err)
{
    const char *names[NAMES_MAX];
    size_t count = 0;
    for (const struct plugin *const *entry = table; *entry != NULL; entry++) {
        if (strcmp((*entry)->name, name) == 0)
            return *entry;
        if (count < NAMES_MAX)
            names[count++] = (*entry)->name;
    }
    const char *near = text_nearest(name, names, count);
    if (near != NULL)
        err_set(err, ERR_CONFIG, "there is no %s '%s'; did you mean '%s'? (ordeal list %s)", what,
                name, near, list);
    else
        err_set(err, ERR_CONFIG, "there is no %s '%s' (ordeal list %s shows them)", what, name,
                list);
    return NULL;
}
