/* Starting a program as a daemon: own session, own limits, own user, and the truth about exec. */
#ifndef ORDEAL_AGENT_SPAWN_H
#define ORDEAL_AGENT_SPAWN_H

#include <stdint.h>
#include <sys/types.h>

#include "harness/base/line.h"

struct agentd_spawn {
    const char *const *arguments; /* NULL-terminated */
    const char *const *environment;
    const char *directory;     /* NULL: / */
    const char *user;          /* NULL: the agent's */
    const char *log;           /* NULL: dropped */
    const struct line *limits; /* its limit=NAME:N fields */
};

/* From arg=, env=, cwd=, user=, log=, limit= of a request. Lives in the arena. */
enum err_code agentd_spawn_parse(struct arena *arena, const struct line *line,
                                 struct agentd_spawn *spawn, struct err *err);

/* Called with the pid before the program runs; when it fails the program never does. */
typedef enum err_code agentd_spawn_ready(void *context, pid_t pid, struct err *err);

/* Returns once the program is running (its exec succeeded) or certainly is not. */
enum err_code agentd_spawn(const struct agentd_spawn *spawn, agentd_spawn_ready *ready,
                           void *context, pid_t *pid, struct err *err);

#endif
