/* Machines that ordeal has switched off, written down before it is done: no agent is on them that
 * could undo it when ordeal is killed.
 *
 * In the store, STORE/.switched-off/ has one file a machine, by the address that SSH uses; it is
 * there, synced, before the machine is told to go, and goes when the machine was seen to be back.
 * What is in it: {"format": 1, "node", "address", "starter", "how", "owner", "at", and who that
 * was: "boot" (of this machine), "pid-space", "pid", "start-ticks"}. `how` belongs to the starter
 * of that name (nemesis.h), or is {"command": a command that switches the machine on}.
 *
 * No credentials are in it; a command is as the plan has it, and only its owner may read it. */
#ifndef ORDEAL_SWITCHED_OFF_H
#define ORDEAL_SWITCHED_OFF_H

#include "harness/base/json.h"
#include "harness/node.h"

#define SWITCHED_OFF_COMMAND "command" /* the starter that is a command */

/* From one thread at a time for a node. ERR_IO when it cannot be written: leave the machine on. */
enum err_code switched_off_note(const char *store, const struct node *node, const char *starter,
                                const struct json *how, const char *owner, struct err *err);
/* That there is none is no error. */
enum err_code switched_off_forget(const char *store, const struct node *node, struct err *err);

enum switched_off_by {
    SWITCHED_OFF_NOBODY,   /* nothing is written down about this machine */
    SWITCHED_OFF_BY_DEAD,  /* by a process of this machine, since it was booted, that has ended */
    SWITCHED_OFF_BY_ALIVE, /* by one that still runs */
    SWITCHED_OFF_BY_OTHER, /* on another machine, in another container, or before a boot */
};
/* `entry` is the caller's to free, and NULL where there is none. ERR_IO, ERR_PARSE, ERR_CONFIG:
 * there is a file, but it is damaged, or somebody else may have written it. */
enum err_code switched_off_read(const char *store, const struct node *node, struct json **entry,
                                enum switched_off_by *by, struct err *err);

#endif
