/* Where a cluster keeps its things, and who may touch them.
 *
 * /run/ordeal/clusters/NAME/ holds the state (keys, control socket, log); the nodes' disks are in
 * /var/lib/ordeal/clusters/NAME/. ORDEAL_STATE_DIR and ORDEAL_DISK_DIR replace the parents. */
#ifndef ORDEAL_CLUSTER_PLACE_H
#define ORDEAL_CLUSTER_PLACE_H

#include <stdbool.h>
#include <stddef.h>

#include "harness/cluster/cluster.h"

enum { PLACE_PATH_MAX = 1024 };

struct place {
    char name[CLUSTER_NAME_MAX + 1];
    char state_parent[PLACE_PATH_MAX / 2], disk_parent[PLACE_PATH_MAX / 2];
    char state_dir[PLACE_PATH_MAX], disk_dir[PLACE_PATH_MAX];
};

bool place_name_valid(const char *name);
/* NULL is "default". ERR_CONFIG for a bad name or directory. Touches nothing. */
enum err_code place_init(struct place *place, const char *name, struct err *err) MUST_CHECK;
/* Joins a directory and a file name into `path`, which holds PLACE_PATH_MAX bytes (both parts are
 * far shorter). */
void place_join(const char *directory, const char *file, char *path);
bool place_exists(const struct place *place);

/* Makes the state directory (0700) and takes the lock that up and down hold while they work,
 * waiting for it until the deadline. The lock goes with the descriptor. */
enum err_code place_lock(const struct place *place, int wait_ms, int *lock_fd,
                         struct err *err) MUST_CHECK;
/* Removes the disks and the state; with PLACE_KEEP_LOCK the directory and its lock stay. The caller
 * holds the lock. Goes on after a failure and returns the first. */
enum place_sweep_mode { PLACE_KEEP_LOCK, PLACE_LEAVE_NOTHING };
enum err_code place_sweep(const struct place *place, enum place_sweep_mode mode,
                          struct err *err) MUST_CHECK;

/* Makes a directory and its parents; one that is there already is left as it is. */
enum err_code place_make_directory(const char *path, unsigned mode, struct err *err) MUST_CHECK;
/* Makes or replaces a file, whole or not at all; not synced, as nothing here outlives a reboot. */
enum err_code place_write_file(const char *path, const char *text, unsigned mode,
                               struct err *err) MUST_CHECK;
/* Removes a directory with all in it, never following links. No error when there is none. */
enum err_code place_remove_tree(const char *path, struct err *err) MUST_CHECK;

/* ---- The claim ---- */
/* Fills `holder` ("pid 123 (ordeal run, since 10:31:02)") with who has claimed the cluster, ""
 * when nobody has. *pid may be NULL. */
void place_claim_holder(const struct place *place, char *holder, size_t size, pid_t *pid);
enum err_code place_claim(const struct place *place, const char *who, int *fd,
                          struct err *err) MUST_CHECK;

#endif
