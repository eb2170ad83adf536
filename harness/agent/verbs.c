/* The short verbs: faults of the network, probes, healing, looking around. See PROTOCOL.md. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "harness/agent/agentd.h"
#include "harness/base/clock.h"

enum { READ_BYTES_MAX = 256 << 10, PROBE_TIMEOUT_MS_DEFAULT = 1000 };

void agentd_ping(struct agentd *agent, const struct agentd_request *request)
{
    line_end(agentd_reply(agent, request->id));
}

void agentd_clock(struct agentd *agent, const struct agentd_request *request)
{
    struct buf *out = agentd_reply(agent, request->id);
    line_key_int(out, "wall_ns", clock_wall_ns());
    line_key_int(out, "monotonic_ns", clock_monotonic_ns());
    line_end(out);
}

/* ---- Faults of the network ---- */

void agentd_fault_block(struct agentd *agent, const struct agentd_request *request)
{
    struct agentd_block block;
    struct err err = ERR_INIT;
    const char *id = line_get(request->line, "id");
    if (agentd_faults_find(&agent->faults, id) != NULL) {
        agentd_reply_error(agent, request->id, "exists", "fault %s is in force already", id);
        return;
    }
    if (agentd_block_parse(&agent->scratch, request->line, &block, &err) != ERR_NONE ||
        agentd_faults_block(&agent->faults, &block, &err) != ERR_NONE) {
        agentd_reply_err(agent, request->id, &err);
        return;
    }
    struct buf *out = agentd_reply(agent, request->id);
    line_key_int(out, "elapsed_ns", clock_monotonic_ns() - request->arrived_ns);
    line_end(out);
}

static bool is_known(struct agentd *agent, const struct agentd_request *request)
{
    const char *id = line_get(request->line, "id");
    if (agentd_faults_find(&agent->faults, id) != NULL)
        return true;
    agentd_reply_error(agent, request->id, "not-found", "there is no fault %s in force", id);
    return false;
}

void agentd_fault_undo(struct agentd *agent, const struct agentd_request *request)
{
    struct err err = ERR_INIT;
    if (!is_known(agent, request))
        return;
    if (agentd_faults_undo(&agent->faults, line_get(request->line, "id"), &err) != ERR_NONE) {
        agentd_reply_err(agent, request->id, &err);
        return;
    }
    struct buf *out = agentd_reply(agent, request->id);
    line_key_int(out, "elapsed_ns", clock_monotonic_ns() - request->arrived_ns);
    line_end(out);
}

void agentd_fault_list(struct agentd *agent, const struct agentd_request *request)
{
    struct buf *out = agentd_reply(agent, request->id);
    for (uint32_t i = 0; i < agent->faults.count; i++) {
        line_key(out, "id", agent->faults.items[i].id);
        line_key(out, "kind", agent->faults.items[i].kind);
    }
    line_end(out);
}

void agentd_fault_counters(struct agentd *agent, const struct agentd_request *request)
{
    struct agentd_block block;
    struct err err = ERR_INIT;
    uint64_t counters[AGENTD_TARGETS_MAX];
    if (!is_known(agent, request))
        return;
    if (agentd_faults_count(&agent->faults, line_get(request->line, "id"), &agent->scratch, &block,
                            counters, &err) != ERR_NONE) {
        agentd_reply_err(agent, request->id, &err);
        return;
    }
    struct buf *out = agentd_reply(agent, request->id);
    for (uint32_t i = 0; i < block.count; i++) {
        line_key(out, "addr", block.targets[i].address.text);
        line_key(out, "direction", block.targets[i].out ? "to" : "from");
        line_key_int(out, "packets", (int64_t)counters[i]);
    }
    line_end(out);
}

void agentd_heal(struct agentd *agent, const struct agentd_request *request)
{
    struct agentd_healed healed = {.undone = 0};
    agentd_faults_heal(&agent->faults, &healed);
    struct buf *out = agentd_reply(agent, request->id);
    line_key_int(out, "undone", healed.undone);
    line_key_int(out, "failed", healed.failed);
    char *rest = healed.problems.length > 0 ? healed.problems.data : NULL;
    for (char *problem = strsep(&rest, "\n"); problem != NULL; problem = strsep(&rest, "\n"))
        if (*problem != '\0')
            line_key(out, "problem", problem);
    line_end(out);
    agentd_healed_free(&healed);
}

/* ---- Probes ---- */

void agentd_probe_listen(struct agentd *agent, const struct agentd_request *request)
{
    struct err err = ERR_INIT;
    uint16_t port = (uint16_t)line_get_int(request->line, "port", 0);
    if (agentd_probe_open(&agent->probe, port, &err) != ERR_NONE) {
        agentd_reply_err(agent, request->id, &err);
        return;
    }
    struct buf *out = agentd_reply(agent, request->id);
    line_key_int(out, "port", agent->probe.port);
    line_end(out);
}

void agentd_probe_send(struct agentd *agent, const struct agentd_request *request)
{
    struct err err = ERR_INIT;
    struct agentd_address target;
    uint32_t refused = 0, count = (uint32_t)line_get_int(request->line, "count", 1);
    if (agentd_address_parse(line_get(request->line, "to"), &target, &err) != ERR_NONE) {
        err_wrap(&err, "to");
        agentd_reply_err(agent, request->id, &err);
        return;
    }
    if (agentd_probe_transmit(
            &agent->probe, &target, (uint16_t)line_get_int(request->line, "port", 0),
            line_get(request->line, "nonce"), count, &refused, &err) != ERR_NONE) {
        agentd_reply_err(agent, request->id, &err);
        return;
    }
    struct buf *out = agentd_reply(agent, request->id);
    line_key_int(out, "sent", count - refused);
    line_key_int(out, "refused", refused);
    line_end(out);
}

struct probing {
    char nonce[AGENTD_NONCE_MAX + 1];
    struct agentd_address source;
    bool from_anywhere;
};

static bool step_probe(struct agentd *agent, struct agentd_wait *wait, bool expired)
{
    const struct probing *probing = wait->state;
    const struct agentd_probe_seen *seen = agentd_probe_find(
        &agent->probe, probing->nonce, probing->from_anywhere ? NULL : &probing->source);
    if (seen == NULL && !expired)
        return false;
    struct buf *out = agentd_reply(agent, wait->request_id);
    line_key_int(out, "seen", seen != NULL);
    if (seen != NULL)
        line_key(out, "from", seen->source.text);
    line_key_int(out, "elapsed_ns", clock_monotonic_ns() - wait->arrived_ns);
    line_end(out);
    return true;
}

void agentd_probe_wait(struct agentd *agent, const struct agentd_request *request)
{
    struct err err = ERR_INIT;
    struct agentd_address source;
    const char *from = line_get(request->line, "from");
    int64_t timeout_ns =
        line_get_int(request->line, "timeout_ms", PROBE_TIMEOUT_MS_DEFAULT) * NS_PER_MS;
    if (from != NULL && agentd_address_parse(from, &source, &err) != ERR_NONE) {
        err_wrap(&err, "from");
        agentd_reply_err(agent, request->id, &err);
        return;
    }
    if (agent->probe.fd < 0) {
        agentd_reply_error(agent, request->id, "not-running",
                           "nothing listens for probes: probe-listen comes first");
        return;
    }
    struct agentd_wait *wait = agentd_wait_add(
        agent, request, step_probe, request->arrived_ns + timeout_ns, sizeof(struct probing));
    if (wait == NULL)
        return;
    wait->event_driven = true;
    struct probing *probing = wait->state;
    probing->from_anywhere = from == NULL;
    if (from != NULL)
        probing->source = source;
    snprintf(probing->nonce, sizeof probing->nonce, "%s", line_get(request->line, "nonce"));
}

/* ---- Files ---- */

/* Reads up to READ_BYTES_MAX from the offset; the number of bytes, or -1 with errno. */
static ssize_t read_at(int fd, off_t offset, char *bytes, size_t size)
{
    size_t total = 0;
    if (offset > 0 && lseek(fd, offset, SEEK_SET) < 0)
        return -1;
    while (total < size) {
        ssize_t step = read(fd, bytes + total, size - total);
        if (step < 0 && errno == EINTR)
            continue;
        if (step < 0)
            return -1;
        if (step == 0)
            break;
        total += (size_t)step;
    }
    return (ssize_t)total;
}

void agentd_read_file(struct agentd *agent, const struct agentd_request *request)
{
    const char *path = line_get(request->line, "path");
    int64_t tail = line_get_int(request->line, "tail", 0);
    struct stat status = {.st_size = 0};
    /* Not blocking: opening a pipe that nobody writes would hang the agent. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0 || fstat(fd, &status) != 0) {
        agentd_reply_error(agent, request->id, errno == ENOENT ? "not-found" : "failed",
                           "cannot read %s: %s", path, strerror(errno));
    } else if (!S_ISREG(status.st_mode)) {
        agentd_reply_error(agent, request->id, "failed", "cannot read %s: it is not a file", path);
    } else {
        size_t want = tail > 0 && tail < READ_BYTES_MAX ? (size_t)tail : READ_BYTES_MAX;
        off_t offset = tail > 0 && status.st_size > (off_t)want ? status.st_size - (off_t)want : 0;
        char *bytes = arena_alloc(&agent->scratch, want);
        ssize_t length = read_at(fd, offset, bytes, want);
        if (length < 0) {
            agentd_reply_error(agent, request->id, "failed", "cannot read %s: %s", path,
                               strerror(errno));
        } else {
            struct buf *out = agentd_reply(agent, request->id);
            line_key_int(out, "size", status.st_size);
            line_key_int(out, "offset", offset);
            line_key_bytes(out, "data", bytes, (size_t)length);
            line_end(out);
        }
    }
    if (fd >= 0)
        close(fd);
}
