/* Disks of the strict file system (strict_fs.h), as disks.c needs them. `backing` is a directory
 * that becomes the file system's own. */
#ifndef ORDEAL_AGENT_DISKS_STRICT_H
#define ORDEAL_AGENT_DISKS_STRICT_H

#include <stdbool.h>

#include "harness/base/err.h"

enum err_code agentd_strict_make(const char *backing, struct err *err);
enum err_code agentd_strict_mount(const char *backing, const char *mount, struct err *err);
/* 1: it hangs, or goes on, as asked; 0: it did so before; -1: cannot. */
int agentd_strict_stall(const char *backing, bool stalled);
enum err_code agentd_strict_cut(const char *backing, struct err *err);
/* With all that is in it; its file system is no longer mounted. */
enum err_code agentd_strict_remove(const char *backing, struct err *err);

#endif
