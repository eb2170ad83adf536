/* Keeps the archive rule simple: shared test helpers that need code live here. */
#include "tests/lib/test.h"
