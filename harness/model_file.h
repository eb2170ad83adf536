/* Models from outside: `--model ./mine.so`. See docs/extending.md. */
#ifndef ORDEAL_MODEL_FILE_H
#define ORDEAL_MODEL_FILE_H

#include "harness/model.h"

/* A name with a slash in it, or one that ends in ".so", is a file and not one of `models`. */
bool model_is_file(const char *name);
/* Loads the library, which stays loaded to the end of the process, and looks its contract over.
 * NULL: `err` says what is wrong. Any thread; a second time it is the same model. */
const struct model *model_open(const char *path, struct err *err);

#endif
