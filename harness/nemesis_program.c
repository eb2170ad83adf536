/* A nemesis that is a program of its own: see nemesis_program.h. */
#include "harness/nemesis_program.h"

const struct nemesis *nemesis_program(const char *path, const char *name, struct err *err)
{
    (void)err_set(err, ERR_UNSUPPORTED, "nemesis %s: %s is no shared object", path, name);
    return NULL;
}
