/* Seeing for oneself whether a disk's faults are in force (disks_io.h): operations on a file of the
 * agent's own, through the mount. Each blocks for as long as the disk takes. */
#ifndef ORDEAL_AGENT_DISKS_PROBE_H
#define ORDEAL_AGENT_DISKS_PROBE_H

#include "harness/agent/disks_place.h"
#include "harness/agent/strict_faults.h"

/* Tries until the rule shows, as often as its chance makes it certain; `seen` gets how: "fsync:
 * Input/output error". ERR_REMOTE with what was seen instead. */
enum err_code agentd_disk_probe(const struct agentd_disk *disk, const struct strict_rule *rule,
                                struct buf *seen, struct err *err);
/* Whether reading, writing and syncing work, each in less than `below_ns` (0: whatever it takes).
 */
enum err_code agentd_disk_probe_works(const struct agentd_disk *disk, int64_t below_ns,
                                      struct err *err);

#endif
