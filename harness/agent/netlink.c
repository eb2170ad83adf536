/* Netlink messages: see netlink.h. */
#include "harness/agent/netlink.h"

#include <arpa/inet.h>
#include <endian.h>
#include <linux/netfilter/nfnetlink.h>
#include <string.h>

static const char zeros[NLA_ALIGNTO];

size_t agentd_netlink_begin(struct buf *out, uint16_t type, uint16_t flags, uint8_t family,
                            uint32_t sequence)
{
    size_t at = out->length;
    bool is_mark = type == NFNL_MSG_BATCH_BEGIN || type == NFNL_MSG_BATCH_END;
    bool is_whole = is_mark || type >> 8 != 0;
    struct nlmsghdr header = {.nlmsg_type =
                                  is_whole ? type : (uint16_t)(NFNL_SUBSYS_NFTABLES << 8 | type),
                              .nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags),
                              .nlmsg_seq = sequence};
    struct nfgenmsg general = {.nfgen_family = family,
                               .version = NFNETLINK_V0,
                               .res_id = htons(is_mark ? NFNL_SUBSYS_NFTABLES : 0)};
    buf_add(out, &header, sizeof header);
    buf_add(out, &general, sizeof general);
    return at;
}

void agentd_netlink_end(struct buf *out, size_t message)
{
    uint32_t length = (uint32_t)(out->length - message);
    memcpy(out->data + message + offsetof(struct nlmsghdr, nlmsg_len), &length, sizeof length);
}

void agentd_netlink_put(struct buf *out, uint16_t type, const void *value, size_t length)
{
    struct nlattr header = {.nla_type = type, .nla_len = (uint16_t)(sizeof header + length)};
    buf_add(out, &header, sizeof header);
    buf_add(out, value, length);
    buf_add(out, zeros, NLA_ALIGN(length) - length);
}

void agentd_netlink_put_text(struct buf *out, uint16_t type, const char *text)
{
    agentd_netlink_put(out, type, text, strlen(text) + 1);
}

void agentd_netlink_put_u16(struct buf *out, uint16_t type, uint16_t value)
{
    uint16_t big = htobe16(value);
    agentd_netlink_put(out, type, &big, sizeof big);
}

void agentd_netlink_put_u32(struct buf *out, uint16_t type, uint32_t value)
{
    uint32_t big = htobe32(value);
    agentd_netlink_put(out, type, &big, sizeof big);
}

void agentd_netlink_put_u64(struct buf *out, uint16_t type, uint64_t value)
{
    uint64_t big = htobe64(value);
    agentd_netlink_put(out, type, &big, sizeof big);
}

size_t agentd_netlink_nest(struct buf *out, uint16_t type)
{
    size_t at = out->length;
    agentd_netlink_put(out, type | NLA_F_NESTED, NULL, 0);
    return at;
}

void agentd_netlink_nest_end(struct buf *out, size_t nest)
{
    uint16_t length = (uint16_t)(out->length - nest);
    memcpy(out->data + nest + offsetof(struct nlattr, nla_len), &length, sizeof length);
}

struct nlmsghdr *agentd_netlink_message(uint8_t *bytes, size_t length, size_t *at)
{
    if (*at >= length || length - *at < sizeof(struct nlmsghdr))
        return NULL;
    struct nlmsghdr *message = (struct nlmsghdr *)(void *)(bytes + *at);
    if (message->nlmsg_len < sizeof *message || message->nlmsg_len > length - *at)
        return NULL;
    *at += NLMSG_ALIGN(message->nlmsg_len);
    return message;
}

bool agentd_netlink_next(const uint8_t *bytes, size_t length, size_t *at,
                         struct agentd_attribute *attribute)
{
    struct nlattr header;
    if (*at >= length || length - *at < sizeof header)
        return false;
    memcpy(&header, bytes + *at, sizeof header);
    if (header.nla_len < sizeof header || header.nla_len > length - *at)
        return false;
    *attribute = (struct agentd_attribute){.type = header.nla_type & NLA_TYPE_MASK,
                                           .value = bytes + *at + sizeof header,
                                           .length = header.nla_len - sizeof header};
    *at += NLA_ALIGN(header.nla_len);
    return true;
}

struct agentd_attribute agentd_netlink_find(const uint8_t *bytes, size_t length, uint16_t type)
{
    struct agentd_attribute attribute;
    size_t at = 0;
    while (agentd_netlink_next(bytes, length, &at, &attribute))
        if (attribute.type == type)
            return attribute;
    return (struct agentd_attribute){.value = NULL};
}
