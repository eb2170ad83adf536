/* The parts of a rule: see nftables_rule.h. */
/* Before the kernel's headers, which then leave the same names alone. */
#include <arpa/inet.h>

#include "harness/agent/nftables_rule.h"

#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nf_tables_compat.h>
#include <linux/netfilter/xt_NFQUEUE.h>

#include "harness/agent/netlink.h"
#include "harness/agent/shaper.h"

struct expression {
    size_t element, data;
};

static struct expression expression_begin(struct agentd_rule *rule, const char *name)
{
    struct expression expression = {.element = agentd_netlink_nest(rule->out, NFTA_LIST_ELEM)};
    agentd_netlink_put_text(rule->out, NFTA_EXPR_NAME, name);
    expression.data = agentd_netlink_nest(rule->out, NFTA_EXPR_DATA);
    return expression;
}

static void expression_end(struct agentd_rule *rule, struct expression expression)
{
    agentd_netlink_nest_end(rule->out, expression.data);
    agentd_netlink_nest_end(rule->out, expression.element);
}

void agentd_rule_compare(struct agentd_rule *rule, uint32_t op, const void *value, size_t length)
{
    struct expression expression = expression_begin(rule, "cmp");
    agentd_netlink_put_u32(rule->out, NFTA_CMP_SREG, NFT_REG_1);
    agentd_netlink_put_u32(rule->out, NFTA_CMP_OP, op);
    size_t data = agentd_netlink_nest(rule->out, NFTA_CMP_DATA);
    agentd_netlink_put(rule->out, NFTA_DATA_VALUE, value, length);
    agentd_netlink_nest_end(rule->out, data);
    expression_end(rule, expression);
}

static void load_meta(struct agentd_rule *rule, uint32_t key)
{
    struct expression expression = expression_begin(rule, "meta");
    agentd_netlink_put_u32(rule->out, NFTA_META_DREG, NFT_REG_1);
    agentd_netlink_put_u32(rule->out, NFTA_META_KEY, key);
    expression_end(rule, expression);
}

void agentd_rule_match_meta(struct agentd_rule *rule, uint32_t key, uint8_t value)
{
    load_meta(rule, key);
    agentd_rule_compare(rule, NFT_CMP_EQ, &value, 1);
}

void agentd_rule_match_other_protocol(struct agentd_rule *rule, uint8_t protocol)
{
    load_meta(rule, NFT_META_L4PROTO);
    agentd_rule_compare(rule, NFT_CMP_NEQ, &protocol, 1);
}

void agentd_rule_load_payload(struct agentd_rule *rule, uint32_t base, uint32_t offset,
                              uint32_t length)
{
    struct expression expression = expression_begin(rule, "payload");
    agentd_netlink_put_u32(rule->out, NFTA_PAYLOAD_DREG, NFT_REG_1);
    agentd_netlink_put_u32(rule->out, NFTA_PAYLOAD_BASE, base);
    agentd_netlink_put_u32(rule->out, NFTA_PAYLOAD_OFFSET, offset);
    agentd_netlink_put_u32(rule->out, NFTA_PAYLOAD_LEN, length);
    expression_end(rule, expression);
}

void agentd_rule_match_payload(struct agentd_rule *rule, uint32_t base, uint32_t offset,
                               const void *value, uint32_t length)
{
    agentd_rule_load_payload(rule, base, offset, length);
    agentd_rule_compare(rule, NFT_CMP_EQ, value, length);
}

static void put_data(struct agentd_rule *rule, uint16_t type, const void *value, size_t length)
{
    size_t data = agentd_netlink_nest(rule->out, type);
    agentd_netlink_put(rule->out, NFTA_DATA_VALUE, value, length);
    agentd_netlink_nest_end(rule->out, data);
}

/* Keeps the upper four bits of the byte that was loaded. */
void agentd_rule_mask_upper_half(struct agentd_rule *rule)
{
    static const uint8_t mask = 0xf0, nothing = 0;
    struct expression expression = expression_begin(rule, "bitwise");
    agentd_netlink_put_u32(rule->out, NFTA_BITWISE_SREG, NFT_REG_1);
    agentd_netlink_put_u32(rule->out, NFTA_BITWISE_DREG, NFT_REG_1);
    agentd_netlink_put_u32(rule->out, NFTA_BITWISE_LEN, 1);
    put_data(rule, NFTA_BITWISE_MASK, &mask, 1);
    put_data(rule, NFTA_BITWISE_XOR, &nothing, 1);
    expression_end(rule, expression);
}

void agentd_rule_match_family(struct agentd_rule *rule, int family)
{
    agentd_rule_match_meta(rule, NFT_META_NFPROTO, family == AF_INET ? NFPROTO_IPV4 : NFPROTO_IPV6);
}

void agentd_rule_match_address(struct agentd_rule *rule, enum agentd_side side,
                               const struct agentd_address *address)
{
    if (address->family == AF_INET)
        agentd_rule_match_payload(rule, NFT_PAYLOAD_NETWORK_HEADER, side == AGENTD_SOURCE ? 12 : 16,
                                  address->bytes, 4);
    else
        agentd_rule_match_payload(rule, NFT_PAYLOAD_NETWORK_HEADER, side == AGENTD_SOURCE ? 8 : 24,
                                  address->bytes, 16);
}

void agentd_rule_match_port(struct agentd_rule *rule, enum agentd_side side, uint16_t port)
{
    uint16_t big = htons(port);
    agentd_rule_match_payload(rule, NFT_PAYLOAD_TRANSPORT_HEADER, side == AGENTD_SOURCE ? 0 : 2,
                              &big, 2);
}

void agentd_rule_count(struct agentd_rule *rule)
{
    expression_end(rule, expression_begin(rule, "counter"));
}

void agentd_rule_verdict(struct agentd_rule *rule, uint32_t code)
{
    struct expression expression = expression_begin(rule, "immediate");
    agentd_netlink_put_u32(rule->out, NFTA_IMMEDIATE_DREG, NFT_REG_VERDICT);
    size_t data = agentd_netlink_nest(rule->out, NFTA_IMMEDIATE_DATA);
    size_t inner = agentd_netlink_nest(rule->out, NFTA_DATA_VERDICT);
    agentd_netlink_put_u32(rule->out, NFTA_VERDICT_CODE, code);
    agentd_netlink_nest_end(rule->out, inner);
    agentd_netlink_nest_end(rule->out, data);
    expression_end(rule, expression);
}

void agentd_rule_match_not_ours(struct agentd_rule *rule)
{
    uint32_t mark = AGENTD_SHAPER_MARK;
    load_meta(rule, NFT_META_MARK);
    agentd_rule_compare(rule, NFT_CMP_NEQ, &mark, sizeof mark);
}

/* To who reads the queue, and past it when nobody does. Kernels without the expression may have the
 * target of iptables, which does the same. */
void agentd_rule_queue(struct agentd_rule *rule, bool xt, uint16_t number)
{
    struct expression expression = expression_begin(rule, xt ? "target" : "queue");
    if (xt) {
        struct {
            struct xt_NFQ_info_v3 info;
            uint16_t padding; /* to 8 bytes, as the kernel has it */
        } target = {.info = {number, 1, NFQ_FLAG_BYPASS}};
        agentd_netlink_put_text(rule->out, NFTA_TARGET_NAME, "NFQUEUE");
        agentd_netlink_put_u32(rule->out, NFTA_TARGET_REV, 3);
        agentd_netlink_put(rule->out, NFTA_TARGET_INFO, &target, sizeof target);
    } else {
        agentd_netlink_put_u16(rule->out, NFTA_QUEUE_NUM, number);
        agentd_netlink_put_u16(rule->out, NFTA_QUEUE_TOTAL, 1);
        agentd_netlink_put_u16(rule->out, NFTA_QUEUE_FLAGS, NFT_QUEUE_FLAG_BYPASS);
    }
    expression_end(rule, expression);
}
