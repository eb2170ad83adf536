/* The list of systems under test. A new one is its file, one line here, and its test. */
#ifndef ORDEAL_SYSTEMS_H
#define ORDEAL_SYSTEMS_H

#include "harness/system.h"

#define SYSTEMS(X) X(noop) X(etcd) X(queue)

#define DECLARE(name) extern const struct system system_##name;
SYSTEMS(DECLARE)
#undef DECLARE

#endif
