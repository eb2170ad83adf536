/* By which device packets leave to an address, as the kernel's routes say. */
#ifndef ORDEAL_AGENT_ROUTE_H
#define ORDEAL_AGENT_ROUTE_H

#include "harness/agent/firewall.h"

enum { AGENTD_DEVICE_SIZE = 16 };

/* ERR_UNSUPPORTED when no route leads there. */
enum err_code agentd_route_device(const struct agentd_address *target,
                                  char device[AGENTD_DEVICE_SIZE], struct err *err);

#endif
