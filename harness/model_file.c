/* Models from outside: see model_file.h. */
#include "harness/model_file.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

#define TEXT_OF_(symbol) #symbol
#define TEXT_OF(symbol) TEXT_OF_(symbol)

bool model_is_file(const char *name)
{
    size_t length = strlen(name);
    return strchr(name, '/') != NULL || (length > 3 && strcmp(name + length - 3, ".so") == 0);
}

static enum err_code look_over(const struct model *model, const char *path, struct err *err)
{
    const char *wrong = NULL;
    if (model->name == NULL || model->summary == NULL || model->functions == NULL)
        wrong = "name, summary and functions must be given";
    else if (model->prepare == NULL || model->init == NULL || model->step == NULL ||
             model->describe == NULL || model->is_pure == NULL)
        wrong = "prepare, init, step, describe and is_pure must be given";
    else if (model->state_size < 1 || model->state_size > MODEL_STATE_MAX)
        wrong = "state_size must be 1 to 256";
    else if ((model->effect != NULL || model->holds_value) && model->state_size != sizeof(int64_t))
        wrong = "with effect or holds_value the state is one int64_t";
    else if ((model->container != MODEL_NO_CONTAINER) != (model->touch != NULL))
        wrong = "container and touch are given together";
    return wrong == NULL ? ERR_NONE : err_set(err, ERR_CONFIG, "model %s: %s", path, wrong);
}

const struct model *model_open(const char *path, struct err *err)
{
    char here[4096];
    if (strchr(path, '/') == NULL) /* dlopen would look in the system's folders */
        snprintf(here, sizeof here, "./%s", path);
    else
        snprintf(here, sizeof here, "%s", path);
    void *library = dlopen(here, RTLD_NOW | RTLD_LOCAL);
    if (library == NULL) {
        (void)err_set(err, ERR_CONFIG, "model %s: %s", path, dlerror());
        return NULL;
    }
    const struct model *model = dlsym(library, TEXT_OF(ORDEAL_MODEL));
    if (model == NULL) {
        (void)err_set(err, ERR_CONFIG,
                      "model %s: it defines no " TEXT_OF(
                          ORDEAL_MODEL) "; compile it against the header of this ordeal, with "
                                        "`const struct model ORDEAL_MODEL = {..};`",
                      path);
        return NULL;
    }
    return look_over(model, path, err) == ERR_NONE ? model : NULL;
}
