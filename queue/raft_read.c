/* Reads by ReadIndex (thesis §6.4): a leader may have been replaced without knowing it, so before
 * it lets its machine answer, a majority must say that it still is the leader, in answer to
 * something that it sent after it was asked. */
#include "queue/raft_internal.h"

static void read_failed(struct raft *raft, uint64_t id)
{
    raft_effect(raft, RAFT_EFFECT_READ_FAILED)->read.id = id;
}

static bool has_acked(const struct raft *raft, const struct peer *peer, uint64_t round)
{
    (void)raft;
    return peer->acked_round >= round;
}

static bool first_committed(const struct raft *raft)
{
    return raft->commit >= raft->term_start;
}

void raft_read(struct raft *raft, uint64_t id)
{
    if (raft->role != RAFT_LEADER || raft->read_count == RAFT_READS_MAX) {
        read_failed(raft, id);
        return;
    }
    raft->round++;
    /* Until the first entry of this term is committed, what earlier leaders had committed is not
     * known. */
    raft->reads[raft->read_count++] = (struct read_request){
        .id = id, .round = raft->round, .index = first_committed(raft) ? raft->commit : 0};
    raft_heartbeat_all(raft);
    raft_reads_confirm(raft);
}

void raft_reads_confirm(struct raft *raft)
{
    uint32_t kept = 0;
    bool confirmed = true; /* rounds rise: behind the first unconfirmed all are */
    for (uint32_t i = 0; i < raft->read_count; i++) {
        struct read_request *read = &raft->reads[i];
        confirmed = confirmed && read->index > 0 &&
                    raft_quorum(raft, &raft->config, true, has_acked, read->round);
        if (!confirmed) {
            raft->reads[kept++] = *read;
            continue;
        }
        struct raft_effect *effect = raft_effect(raft, RAFT_EFFECT_READ_READY);
        effect->read.id = read->id;
        effect->read.index = read->index;
    }
    raft->read_count = kept;
}

void raft_reads_committed(struct raft *raft)
{
    if (raft->read_count == 0 || !first_committed(raft)) {
        return;
    }
    for (uint32_t i = 0; i < raft->read_count; i++) {
        if (raft->reads[i].index == 0) {
            raft->reads[i].index = raft->commit;
        }
    }
    raft_reads_confirm(raft);
}

void raft_reads_fail(struct raft *raft)
{
    for (uint32_t i = 0; i < raft->read_count; i++) {
        read_failed(raft, raft->reads[i].id);
    }
    raft->read_count = 0;
}
