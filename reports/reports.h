/* The list of report formats. A new one is its file, one line here, and its test. */
#ifndef ORDEAL_REPORTERS_H
#define ORDEAL_REPORTERS_H

#include "harness/reporter.h"

#define REPORTERS(X) X(json) X(edn) X(text) X(html) X(junit)

#define DECLARE(name) extern const struct reporter reporter_##name;
REPORTERS(DECLARE)
#undef DECLARE

#endif
