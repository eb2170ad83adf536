/* The parts of a rule of nf_tables: each adds one expression, or a few, to a rule whose message is
 * being built. */
#ifndef ORDEAL_AGENT_NFTABLES_RULE_H
#define ORDEAL_AGENT_NFTABLES_RULE_H

#include "harness/agent/firewall.h"
#include "harness/base/buf.h"

struct agentd_rule {
    struct buf *out;
    size_t expressions; /* for netlink_nest_end */
};

enum agentd_side { AGENTD_SOURCE, AGENTD_DESTINATION };

void agentd_rule_match_meta(struct agentd_rule *rule, uint32_t key, uint8_t value);
void agentd_rule_match_other_protocol(struct agentd_rule *rule, uint8_t protocol);
void agentd_rule_match_payload(struct agentd_rule *rule, uint32_t base, uint32_t offset,
                               const void *value, uint32_t length);
/* Keeps the upper four bits of the byte that was loaded. */
void agentd_rule_mask_upper_half(struct agentd_rule *rule);
void agentd_rule_match_family(struct agentd_rule *rule, int family);
void agentd_rule_match_address(struct agentd_rule *rule, enum agentd_side side,
                               const struct agentd_address *address);
void agentd_rule_match_port(struct agentd_rule *rule, enum agentd_side side, uint16_t port);
void agentd_rule_count(struct agentd_rule *rule);
void agentd_rule_verdict(struct agentd_rule *rule, uint32_t code);
/* All but what a shaper sent. */
void agentd_rule_match_not_ours(struct agentd_rule *rule);
/* To who reads the queue, by the target of iptables when `xt`; past it when nobody does. */
void agentd_rule_queue(struct agentd_rule *rule, bool xt, uint16_t number);
/* Loads bytes of the packet; compares what was loaded last (NFT_CMP_EQ ...). */
void agentd_rule_load_payload(struct agentd_rule *rule, uint32_t base, uint32_t offset,
                              uint32_t length);
void agentd_rule_compare(struct agentd_rule *rule, uint32_t op, const void *value, size_t length);

#endif
