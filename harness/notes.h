/* What was done to the nodes while a system was set up, for who has to tell why that failed: the
 * commands that failed, and how each daemon was started. From any thread. */
#ifndef ORDEAL_NOTES_H
#define ORDEAL_NOTES_H

#include "harness/test.h"

struct notes;

struct notes *notes_open(void);
void notes_close(struct notes *notes); /* NULL is allowed */
/* A new step begins: what failed before it was got over. */
void notes_clear_commands(struct notes *notes);
void notes_command(struct notes *notes, uint32_t node, const char *command, int status,
                   const char *said);
void notes_daemon(struct notes *notes, uint32_t node, const struct daemon_spec *spec,
                  const char *log);

/* The last command that failed on a node, or NULL when none did. `said` is the end of what it
 * wrote. Both live until the next note. */
const char *notes_failed(const struct notes *notes, uint32_t node, int *status, const char **said);
/* The command line by which this daemon was started last on a node and where its log is, or NULL:
 * it never was. */
const char *notes_started(const struct notes *notes, uint32_t node, const char *name,
                          const char **log);

#endif
