/* The end of this machine, at once: a reboot by the kernel that stops no service first. */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/reboot.h>
#include <unistd.h>

#include <linux/capability.h>

#include "harness/agent/agentd.h"
#include "harness/base/clock.h"

#define REPLY_NS (50 * NS_PER_MS) /* for the reply to reach the controller */

static bool may_reboot(struct err *err)
{
    if (geteuid() == 0 && prctl(PR_CAPBSET_READ, CAP_SYS_BOOT) == 1)
        return true;
    err_set(err, ERR_UNSUPPORTED, "the agent may not reboot this node (CAP_SYS_BOOT)");
    return false;
}

/* `reboot -f`: what was written is written to the disks first. Cold: it is not, as when the power
 * goes. In a container the kernel ends the container instead. */
static void reboot_soon(bool cold)
{
    if (fork() != 0)
        return;
    clock_sleep_ns(REPLY_NS);
    if (!cold)
        sync();
    reboot(RB_AUTOBOOT);
    _exit(errno);
}

void agentd_node_reboot(struct agentd *agent, const struct agentd_request *request)
{
    const char *how = line_get(request->line, "how");
    struct err err = ERR_INIT;
    bool check = strcmp(how, "check") == 0, cold = strcmp(how, "cold") == 0;
    if (!check && !cold && strcmp(how, "force") != 0) {
        agentd_reply_error(agent, request->id, "bad-request",
                           "how: '%.32s' is not force, cold or check", how);
        return;
    }
    if (!may_reboot(&err)) {
        agentd_reply_err(agent, request->id, &err);
        return;
    }
    if (!check)
        reboot_soon(cold);
    line_end(agentd_reply(agent, request->id));
}
