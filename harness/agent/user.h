/* Users by name, read from /etc/passwd and /etc/group: a static binary has no other way. */
#ifndef ORDEAL_AGENT_USER_H
#define ORDEAL_AGENT_USER_H

#include <stdbool.h>
#include <sys/types.h>

#include "harness/base/err.h"

enum { AGENTD_GROUPS_MAX = 64 };

struct agentd_user {
    uid_t uid;
    gid_t groups[AGENTD_GROUPS_MAX]; /* the first is the user's own */
    int group_count;
    char name[64], home[512];
};

/* By name or by number. */
enum err_code agentd_user_find(const char *name, struct agentd_user *user, struct err *err);
/* Groups, then user, for good. False with errno. */
bool agentd_user_become(const struct agentd_user *user);

#endif
