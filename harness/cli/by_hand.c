/* What `ordeal nemesis` and `ordeal heal` share: see by_hand.h. */
#include "harness/cli/by_hand.h"

#include <string.h>

const struct cli_option by_hand_where[] = {
    {"nodes", "A,B..", "machines, each [name=][user@]address[:port]; default: the local cluster"},
    {"cluster", "NAME", "name of the local cluster (default: default)"},
    {"ssh-user", "USER", "who logs in where a node names nobody"},
    {"ssh-key", "FILE,FILE..", "private keys to try"},
    {"ssh-password-file", "FILE", "a file that holds the password, tried last"},
    {"known-hosts", "FILE", "host keys; default: ~/.ssh/known_hosts"},
    {"accept-new-host-keys", NULL, "add unknown host keys to that file instead of refusing them"},
    {"connect-timeout", "TIME", "for logging in to a node; default 10s"},
    {"store", "DIR", "remembers which machines are switched off (default: store)"},
    {.name = NULL},
};

static size_t count_options(const struct cli_option *options)
{
    size_t count = 0;
    while (options[count].name != NULL)
        count++;
    return count;
}

const struct cli_option *by_hand_options(struct arena *arena, const struct cli_option *own)
{
    size_t own_count = count_options(own), where_count = count_options(by_hand_where);
    struct cli_option *all = arena_zalloc(arena, (own_count + where_count + 1) * sizeof *all);
    memcpy(all, own, own_count * sizeof *all);
    memcpy(all + own_count, by_hand_where, where_count * sizeof *all);
    return all;
}

enum err_code by_hand_resolve(struct plan *plan, const char *nemesis, struct err *err)
{
    if (plan_set(plan, "system", "noop", "by hand", err) != ERR_NONE ||
        plan_set(plan, "workload", "noop", "by hand", err) != ERR_NONE ||
        plan_set(plan, "nemesis", nemesis == NULL ? "none" : nemesis, "by hand", err) != ERR_NONE)
        return err->code;
    return plan_resolve(plan, err);
}
