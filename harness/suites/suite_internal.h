/* Shared by suite_read.c (the file) and suite_expand.c (its matrices). */
#ifndef ORDEAL_SUITE_INTERNAL_H
#define ORDEAL_SUITE_INTERNAL_H

#include "harness/suites/suite.h"

/* One combination of a matrix: a value an axis. */
struct suite_choice {
    const struct json *axis;  /* member of the matrix */
    const struct json *value; /* of an array; or the member of an object, whose name is the label */
    const char *label;
};
struct suite_combination {
    const struct suite_choice *choices;
    size_t count;
    const char *label; /* of all: "etcd-register-none"; "" without a matrix */
};

typedef enum err_code
suite_take_combination(void *state, const struct suite_combination *combination, struct err *err);

/* Calls `take` for every combination of `matrix` (NULL: one without choices) that `exclude` does
 * not leave out, the last axis changing fastest. */
enum err_code suite_expand(struct arena *arena, const struct json_source *source,
                           const struct json *matrix, const struct json *exclude,
                           suite_take_combination *take, void *state, struct err *err);

/* Letters that a directory's name may have in every file system; others become '_'. */
const char *suite_plain_name(struct arena *arena, const char *text);

#endif
