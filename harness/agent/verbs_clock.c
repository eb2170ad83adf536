/* The verbs of the machine's clock, and what means there are here. See PROTOCOL.md. */
#include <stdio.h>
#include <string.h>

#include "harness/agent/agentd.h"
#include "harness/agent/machine.h"
#include "harness/base/clock.h"

void agentd_clock_means(struct agentd *agent, const struct agentd_request *request)
{
    char reason[256] = "";
    const char *vdso = agentd_vdso_image()->reason;
    agentd_machine_backend->refusal(line_get(request->line, "controller_boot"), reason,
                                    sizeof reason);
    struct buf *out = agentd_reply(agent, request->id);
    line_key(out, "vdso", vdso[0] == '\0' ? "yes" : vdso);
    line_key(out, "machine", reason[0] == '\0' ? "yes" : reason);
    line_end(out);
}

void agentd_clock_set(struct agentd *agent, const struct agentd_request *request)
{
    struct err err = ERR_INIT;
    const struct line *line = request->line;
    if (agentd_machine_set(&agent->machine, &agent->faults, line_get(line, "id"),
                           line_get(line, "controller_boot"), line_get_int(line, "offset_ns", 0),
                           line_get_int(line, "rate_ppm", 0),
                           line_get_int(line, "strobe_ms", 0) * NS_PER_MS, &err) != ERR_NONE) {
        agentd_reply_err(agent, request->id, &err);
        return;
    }
    struct buf *out = agentd_reply(agent, request->id);
    line_key_int(out, "offset_ns", agentd_machine_offset_ns(&agent->machine));
    line_key_int(out, "elapsed_ns", clock_monotonic_ns() - request->arrived_ns);
    line_key_int(out, "verified", 1);
    line_end(out);
}
