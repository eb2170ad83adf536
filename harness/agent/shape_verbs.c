/* The verbs of shapes: see PROTOCOL.md. */
#include "harness/agent/agentd.h"
#include "harness/base/clock.h"

void agentd_shape_means(struct agentd *agent, const struct agentd_request *request)
{
    struct err err = ERR_INIT;
    enum err_code code = agentd_faults_can_shape(&agent->faults, &err);
    struct buf *out = agentd_reply(agent, request->id);
    line_key(out, "means", code == ERR_NONE ? "queue" : "none");
    if (code != ERR_NONE)
        line_key(out, "reason", err.message);
    line_end(out);
}

void agentd_fault_shape(struct agentd *agent, const struct agentd_request *request)
{
    struct agentd_block block;
    struct agentd_shape shape;
    struct err err = ERR_INIT;
    const char *id = line_get(request->line, "id");
    if (agentd_faults_find(&agent->faults, id) != NULL) {
        agentd_reply_error(agent, request->id, "exists", "fault %s is in force already", id);
        return;
    }
    if (agentd_block_parse(&agent->scratch, request->line, &block, &err) != ERR_NONE ||
        agentd_shape_parse(request->line, &shape, &err) != ERR_NONE ||
        agentd_faults_shape(&agent->faults, &block, &shape, &err) != ERR_NONE) {
        agentd_reply_err(agent, request->id, &err);
        return;
    }
    struct buf *out = agentd_reply(agent, request->id);
    line_key(out, "means", "queue");
    line_key_int(out, "elapsed_ns", clock_monotonic_ns() - request->arrived_ns);
    line_end(out);
}
