/* Users: see user.h. */
#include "harness/agent/user.h"

#include <ctype.h>
#include <errno.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Splits "a:b:c" in place; the number of fields found, at most `max`. */
static int split(char *line, char **fields, int max)
{
    int count = 0;
    line[strcspn(line, "\n")] = '\0';
    for (char *field = strsep(&line, ":"); field != NULL && count < max; field = strsep(&line, ":"))
        fields[count++] = field;
    return count;
}

static bool parse_passwd_line(char *line, const char *name, struct agentd_user *user)
{
    char *fields[7];
    if (split(line, fields, 7) != 7)
        return false;
    bool by_number = isdigit((unsigned char)name[0]) && strcmp(fields[2], name) == 0;
    if (strcmp(fields[0], name) != 0 && !by_number)
        return false;
    user->uid = (uid_t)strtoul(fields[2], NULL, 10);
    user->groups[0] = (gid_t)strtoul(fields[3], NULL, 10);
    user->group_count = 1;
    snprintf(user->name, sizeof user->name, "%s", fields[0]);
    snprintf(user->home, sizeof user->home, "%s", fields[5]);
    return true;
}

static void parse_group_line(char *line, struct agentd_user *user)
{
    char *fields[4];
    if (split(line, fields, 4) != 4 || user->group_count == AGENTD_GROUPS_MAX)
        return;
    gid_t group = (gid_t)strtoul(fields[2], NULL, 10);
    char *members = fields[3];
    for (char *member = strsep(&members, ","); member != NULL; member = strsep(&members, ","))
        if (strcmp(member, user->name) == 0 && group != user->groups[0]) {
            user->groups[user->group_count++] = group;
            return;
        }
}

static void add_groups(struct agentd_user *user)
{
    FILE *file = fopen("/etc/group", "re");
    char *line = NULL;
    size_t size = 0;
    while (file != NULL && getline(&line, &size, file) > 0)
        parse_group_line(line, user);
    free(line);
    if (file != NULL)
        fclose(file);
}

enum err_code agentd_user_find(const char *name, struct agentd_user *user, struct err *err)
{
    FILE *file = fopen("/etc/passwd", "re");
    if (file == NULL)
        return err_errno(err, errno, "user %s: cannot read /etc/passwd", name);
    char *line = NULL;
    size_t size = 0;
    bool found = false;
    while (!found && getline(&line, &size, file) > 0)
        found = parse_passwd_line(line, name, user);
    free(line);
    fclose(file);
    if (!found)
        return err_set(err, ERR_CONFIG, "user: there is no '%s' in /etc/passwd", name);
    add_groups(user);
    return ERR_NONE;
}

bool agentd_user_become(const struct agentd_user *user)
{
    gid_t group = user->groups[0];
    if (geteuid() != 0) /* no privilege to change anything: fine when there is nothing to change */
        return geteuid() == user->uid || (errno = EPERM, false);
    return setgroups((size_t)user->group_count, user->groups) == 0 &&
           setresgid(group, group, group) == 0 && setresuid(user->uid, user->uid, user->uid) == 0;
}
