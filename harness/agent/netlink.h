/* Just enough netlink to speak to netfilter: messages built into a buffer, attributes nested by
 * offset, replies walked one by one. */
#ifndef ORDEAL_AGENT_NETLINK_H
#define ORDEAL_AGENT_NETLINK_H

#include <linux/netlink.h>
#include <stdint.h>

#include "harness/base/buf.h"

/* Begins a message of the nf_tables subsystem (of nfnetlink itself when `type` is a batch mark, of
 * another subsystem when `type` has one) and returns its place, for netlink_end. */
size_t agentd_netlink_begin(struct buf *out, uint16_t type, uint16_t flags, uint8_t family,
                            uint32_t sequence);
void agentd_netlink_end(struct buf *out, size_t message);

void agentd_netlink_put(struct buf *out, uint16_t type, const void *value, size_t length);
void agentd_netlink_put_text(struct buf *out, uint16_t type, const char *text); /* with its NUL */
void agentd_netlink_put_u16(struct buf *out, uint16_t type, uint16_t value);    /* big endian */
void agentd_netlink_put_u32(struct buf *out, uint16_t type, uint32_t value);    /* big endian */
void agentd_netlink_put_u64(struct buf *out, uint16_t type, uint64_t value);
size_t agentd_netlink_nest(struct buf *out, uint16_t type);
void agentd_netlink_nest_end(struct buf *out, size_t nest);

/* Steps through the messages of a reply (aligned, `length` bytes long); start with *at = 0. NULL at
 * the end, and at damage. Unlike NLMSG_NEXT it does not run on behind a last message whose length
 * is not aligned. */
struct nlmsghdr *agentd_netlink_message(uint8_t *bytes, size_t length, size_t *at);

/* Attributes of a reply: `bytes` must be aligned and `length` bytes long. */
struct agentd_attribute {
    uint16_t type;
    const uint8_t *value;
    size_t length;
};
/* Steps through; start with *at = 0. False at the end, and at damage. */
bool agentd_netlink_next(const uint8_t *bytes, size_t length, size_t *at,
                         struct agentd_attribute *attribute);
/* The first attribute of this type; value NULL when there is none. */
struct agentd_attribute agentd_netlink_find(const uint8_t *bytes, size_t length, uint16_t type);

#endif
