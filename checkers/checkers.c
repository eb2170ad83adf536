/* The table of checkers: see checkers.h. */
#include "checkers/checkers.h"

#include <stddef.h>

#define ENTRY(name) &checker_##name,
const struct checker *const checkers[] = {CHECKERS(ENTRY) NULL};
