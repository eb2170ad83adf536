/* The verbs of shapes: see PROTOCOL.md. */
#include <string.h>

#include "harness/agent/agentd.h"
#include "harness/agent/netem.h"
#include "harness/base/clock.h"

/* Packets are shaped where they arrive, or where they leave: a queue is told whom they come from,
 * netem whom they go to. */
static enum err_code check_targets(const struct agentd_block *block, bool out, struct err *err)
{
    for (uint32_t i = 0; i < block->count; i++)
        if (block->targets[i].out != out)
            return err_set(err, ERR_CONFIG, "%s: means=%s shapes packets %s addresses: give %s",
                           out ? "from" : "to", out ? "netem" : "queue", out ? "to" : "from",
                           out ? "to=" : "from=");
    if (out && (block->protocol != 0 || block->port != 0))
        return err_set(err, ERR_CONFIG, "proto: means=netem shapes packets of all protocols");
    return ERR_NONE;
}

static enum err_code netem_can(struct agentd *agent, const struct agentd_request *request,
                               struct err *err)
{
    struct agentd_block block;
    struct agentd_shape shape;
    enum err_code code = agentd_block_parse(&agent->scratch, request->line, &block, err);
    if (code == ERR_NONE)
        code = check_targets(&block, true, err);
    if (code == ERR_NONE)
        code = agentd_shape_parse(request->line, &shape, err);
    return code == ERR_NONE ? agentd_netem_can(&block, &shape, err) : code;
}

void agentd_shape_means(struct agentd *agent, const struct agentd_request *request)
{
    struct err queue_err = ERR_INIT, netem_err = ERR_INIT;
    enum err_code queue = agentd_faults_can_shape(&agent->faults, &queue_err), netem = ERR_CONFIG;
    bool asked = line_get(request->line, "to") != NULL;
    if (asked)
        netem = netem_can(agent, request, &netem_err);
    if (asked && netem == ERR_CONFIG) {
        agentd_reply_err(agent, request->id, &netem_err);
        return;
    }
    struct buf *out = agentd_reply(agent, request->id);
    line_key(out, "queue", queue == ERR_NONE ? "yes" : queue_err.message);
    if (asked)
        line_key(out, "netem", netem == ERR_NONE ? "yes" : netem_err.message);
    line_end(out);
}

void agentd_fault_shape(struct agentd *agent, const struct agentd_request *request)
{
    struct agentd_block block;
    struct agentd_shape shape;
    struct err err = ERR_INIT;
    const char *id = line_get(request->line, "id"), *means = line_get(request->line, "means");
    bool netem = means != NULL && strcmp(means, "netem") == 0;
    if (means != NULL && !netem && strcmp(means, "queue") != 0) {
        agentd_reply_error(agent, request->id, "bad-request", "means: '%s' is not queue or netem",
                           means);
        return;
    }
    if (agentd_faults_find(&agent->faults, id) != NULL) {
        agentd_reply_error(agent, request->id, "exists", "fault %s is in force already", id);
        return;
    }
    if (agentd_block_parse(&agent->scratch, request->line, &block, &err) != ERR_NONE ||
        check_targets(&block, netem, &err) != ERR_NONE ||
        agentd_shape_parse(request->line, &shape, &err) != ERR_NONE ||
        (netem ? agentd_netem_begin(&agent->faults, &block, &shape, &err)
               : agentd_faults_shape(&agent->faults, &block, &shape, &err)) != ERR_NONE) {
        agentd_reply_err(agent, request->id, &err);
        return;
    }
    struct buf *out = agentd_reply(agent, request->id);
    line_key(out, "means", netem ? agentd_netem_leaf(&shape) : "queue");
    line_key_int(out, "elapsed_ns", clock_monotonic_ns() - request->arrived_ns);
    line_end(out);
}
