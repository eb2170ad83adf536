/* Where the parts of a directory's own disk are (disks.h), and which file system is on it. */
#ifndef ORDEAL_AGENT_DISKS_PLACE_H
#define ORDEAL_AGENT_DISKS_PLACE_H

#include "harness/agent/disks.h"

#define AGENTD_DISKS "/var/lib/ordeal/disks" /* there while there is any */

enum { AGENTD_DISK_PATH_MAX = 80, AGENTD_DISK_WHOLE_MAX = 160 };

struct agentd_disk {
    char path[AGENTD_DISK_PATH_MAX + 1];
    char id[AGENTD_DISK_PATH_MAX + 16], stall_id[AGENTD_DISK_PATH_MAX + 16];
    enum agentd_file_system file_system; /* what is there; ext4 when nothing is */
    char image[AGENTD_DISK_WHOLE_MAX];   /* of one that is real */
    char backing[AGENTD_DISK_WHOLE_MAX]; /* of a strict one */
    char mount[AGENTD_DISK_WHOLE_MAX];
    /* On it: what the daemon sees, files of the agent's, and what makes it full. */
    char data[AGENTD_DISK_WHOLE_MAX], marker[AGENTD_DISK_WHOLE_MAX], probe[AGENTD_DISK_WHOLE_MAX];
    char fault_probe[AGENTD_DISK_WHOLE_MAX], fill[AGENTD_DISK_WHOLE_MAX];
};

/* Whether it has a disk or not. ERR_CONFIG for a path that cannot have one. */
enum err_code agentd_disk_locate(struct agentd_disk *disk, const char *path, struct err *err);
/* ERR_CONFIG when it has none. */
enum err_code agentd_disk_locate_given(const struct agentd_faults *faults, const char *path,
                                       struct agentd_disk *disk, struct err *err);

#endif
