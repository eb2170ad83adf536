/* The table of engines: see engine.h. */
#include "checkers/linearizable/engine.h"

#include <stdlib.h>
#include <string.h>

const struct lin_engine *const lin_engines[] = {&lin_engine_hiding, &lin_engine_frontier,
                                                &lin_engine_appends, &lin_engine_wgl, NULL};

const struct lin_engine *lin_engine_find(const char *name, const struct model *model)
{
    for (const struct lin_engine *const *engine = lin_engines; *engine != NULL; engine++)
        if ((strcmp(name, "auto") == 0 || strcmp((*engine)->name, name) == 0) &&
            (*engine)->suits(model))
            return *engine;
    return NULL;
}

void lin_answer_free(struct lin_answer *answer)
{
    free(answer->order);
    free(answer->took);
    free(answer->kept);
    answer->order = NULL;
    answer->took = NULL;
    answer->kept = NULL;
}

const char *lin_limit_name(enum lin_limit limit)
{
    static const char *const names[] = {"nothing", "the time limit", "the memory limit",
                                        "the width of its search"};
    return names[limit];
}
