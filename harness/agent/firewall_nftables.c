/* Dropping packets with nf_tables, spoken to in raw netlink.
 *
 * Everything is in one table, `inet ordeal`, with the base chains `input` and `output`. One request
 * is one batch, which the kernel commits whole or not at all before sendmsg returns: that is why a
 * fault costs some tens of microseconds, where a command line costs milliseconds.
 *
 * Where the kernel knows it (Linux 5.12), the table is owned by our socket: nobody else can flush
 * it (so a system under test that reloads its firewall cannot heal a fault), and the kernel deletes
 * it when the socket closes, however the agent dies. Each rule carries "ID in|out ADDRESS" as its
 * comment, which `nft list ruleset` shows and which undoing and counting go by. */
/* Before the kernel's headers, which then leave the same names alone. */
#include <arpa/inet.h>

#include <errno.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <netinet/icmp6.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "harness/agent/firewall.h"
#include "harness/agent/netlink.h"
#include "harness/agent/nftables_rule.h"

enum {
    PRIORITY = -300, /* before connection tracking and everybody's filters */
    /* A packet that comes out of a queue goes on behind the chain that queued it: drops come
     * first, or they would be passed by. */
    SHAPE_PRIORITY = PRIORITY + 10,
    SEND_BYTES_MAX = 4 << 20,
    RECEIVE_BYTES_MAX = 4 << 20,
    REPLY_BYTES = 64 << 10,
    ANSWER_SECONDS_MAX = 5,
    DUMP_TRIES = 8,
    COMMENT_TYPE = 0, /* how nft marks a comment in a rule's user data */
};

static const char table_name[] = "ordeal";

/* ---- Batches ---- */

struct batch {
    struct buf messages;
    uint32_t first_sequence, last_sequence;
    size_t last_message;
};

static void batch_begin(struct agentd_firewall *firewall, struct batch *batch)
{
    *batch = (struct batch){.first_sequence = firewall->sequence + 1};
    size_t mark = agentd_netlink_begin(&batch->messages, NFNL_MSG_BATCH_BEGIN, 0, AF_UNSPEC,
                                       ++firewall->sequence);
    agentd_netlink_end(&batch->messages, mark);
}

static void message_begin(struct agentd_firewall *firewall, struct batch *batch, uint16_t type,
                          uint16_t flags)
{
    batch->last_sequence = ++firewall->sequence;
    batch->last_message =
        agentd_netlink_begin(&batch->messages, type, flags, NFPROTO_INET, batch->last_sequence);
}

static void message_end(struct batch *batch)
{
    agentd_netlink_end(&batch->messages, batch->last_message);
}

/* Asks for an answer to the last message, so that silence is not taken for success. */
static void want_answer(struct batch *batch)
{
    struct nlmsghdr header;
    char *at = batch->messages.data + batch->last_message;
    memcpy(&header, at, sizeof header);
    header.nlmsg_flags |= NLM_F_ACK;
    memcpy(at, &header, sizeof header);
}

static int send_bytes(struct agentd_firewall *firewall, const struct buf *bytes)
{
    struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
    ssize_t sent;
    do
        sent = sendto(firewall->netlink_fd, bytes->data, bytes->length, 0,
                      (struct sockaddr *)&kernel, sizeof kernel);
    while (sent < 0 && errno == EINTR);
    return sent < 0 ? errno : 0;
}

static ssize_t receive(struct agentd_firewall *firewall, uint8_t *reply, int flags)
{
    ssize_t length;
    do
        length = recv(firewall->netlink_fd, reply, REPLY_BYTES, flags);
    while (length < 0 && errno == EINTR);
    return length;
}

/* What the kernel says to messages first..last: the first error, else 0 once `last` was answered.
 * The answers are in the socket before sendto returns: there is nothing to wait for. */
static int collect_answers(struct agentd_firewall *firewall, uint32_t first, uint32_t last)
{
    static uint8_t reply[REPLY_BYTES] __attribute__((aligned(NLMSG_ALIGNTO)));
    int failure = 0;
    bool answered = false;
    for (;;) {
        ssize_t length = receive(firewall, reply, MSG_DONTWAIT);
        if (length <= 0) {
            if (length < 0 && errno != EAGAIN)
                return errno;
            return failure != 0 ? failure : answered ? 0 : ENODATA;
        }
        size_t place = 0;
        for (struct nlmsghdr *at;
             (at = agentd_netlink_message(reply, (size_t)length, &place)) != NULL;) {
            if (at->nlmsg_type != NLMSG_ERROR || at->nlmsg_seq - first > last - first)
                continue; /* an answer to something older */
            const struct nlmsgerr *answer = NLMSG_DATA(at);
            answered |= at->nlmsg_seq == last;
            if (answer->error != 0 && failure == 0)
                failure = -answer->error;
        }
    }
}

enum batch_end { BATCH_COMMIT, BATCH_TRY /* the kernel checks it all, then drops it */ };

static int batch_send(struct agentd_firewall *firewall, struct batch *batch, enum batch_end end)
{
    want_answer(batch);
    if (end == BATCH_COMMIT) {
        size_t mark = agentd_netlink_begin(&batch->messages, NFNL_MSG_BATCH_END, 0, AF_UNSPEC,
                                           ++firewall->sequence);
        agentd_netlink_end(&batch->messages, mark);
    }
    int failure = send_bytes(firewall, &batch->messages);
    if (failure == 0)
        failure = collect_answers(firewall, batch->first_sequence, batch->last_sequence);
    buf_free(&batch->messages);
    return failure;
}

/* ---- Expressions ---- */

static struct agentd_rule rule_begin(struct agentd_firewall *firewall, struct batch *batch,
                                     const char *chain)
{
    message_begin(firewall, batch, NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND);
    struct agentd_rule rule = {.out = &batch->messages};
    agentd_netlink_put_text(rule.out, NFTA_RULE_TABLE, table_name);
    agentd_netlink_put_text(rule.out, NFTA_RULE_CHAIN, chain);
    rule.expressions = agentd_netlink_nest(rule.out, NFTA_RULE_EXPRESSIONS);
    return rule;
}

static void rule_end(struct agentd_rule *rule, struct batch *batch, const char *comment)
{
    agentd_netlink_nest_end(rule->out, rule->expressions);
    uint8_t data[2 + AGENTD_COMMENT_SIZE] = {COMMENT_TYPE, (uint8_t)(strlen(comment) + 1)};
    memcpy(data + 2, comment, data[1]);
    agentd_netlink_put(rule->out, NFTA_RULE_USERDATA, data, 2u + data[1]);
    message_end(batch);
}

/* ---- The table ---- */

static void add_chain(struct agentd_firewall *firewall, struct batch *batch, const char *name,
                      uint32_t hook, int priority)
{
    message_begin(firewall, batch, NFT_MSG_NEWCHAIN, NLM_F_CREATE);
    struct buf *out = &batch->messages;
    agentd_netlink_put_text(out, NFTA_CHAIN_TABLE, table_name);
    agentd_netlink_put_text(out, NFTA_CHAIN_NAME, name);
    size_t nest = agentd_netlink_nest(out, NFTA_CHAIN_HOOK);
    agentd_netlink_put_u32(out, NFTA_HOOK_HOOKNUM, hook);
    agentd_netlink_put_u32(out, NFTA_HOOK_PRIORITY, (uint32_t)priority);
    agentd_netlink_nest_end(out, nest);
    agentd_netlink_put_u32(out, NFTA_CHAIN_POLICY, NF_ACCEPT);
    agentd_netlink_put_text(out, NFTA_CHAIN_TYPE, "filter");
    message_end(batch);
}

/* The packets of the connection from its client to its server, or those of the other way. */
static void accept_control(struct agentd_firewall *firewall, struct batch *batch, const char *chain,
                           const struct agentd_connection *control, bool to_server)
{
    struct agentd_rule rule = rule_begin(firewall, batch, chain);
    agentd_rule_match_family(&rule, control->client.family);
    agentd_rule_match_address(&rule, to_server ? AGENTD_SOURCE : AGENTD_DESTINATION,
                              &control->client);
    agentd_rule_match_address(&rule, to_server ? AGENTD_DESTINATION : AGENTD_SOURCE,
                              &control->server);
    agentd_rule_match_meta(&rule, NFT_META_L4PROTO, IPPROTO_TCP);
    agentd_rule_match_port(&rule, to_server ? AGENTD_SOURCE : AGENTD_DESTINATION,
                           control->client_port);
    agentd_rule_match_port(&rule, to_server ? AGENTD_DESTINATION : AGENTD_SOURCE,
                           control->server_port);
    agentd_rule_verdict(&rule, NF_ACCEPT);
    rule_end(&rule, batch, "control connection");
}

/* Neighbour discovery is to IPv6 what ARP, which no rule here sees, is to IPv4: without it a path
 * that is cut one way dies both ways, as the answer to "who has this address?" is lost. */
static void accept_neighbour_discovery(struct agentd_firewall *firewall, struct batch *batch,
                                       const char *chain)
{
    static const uint8_t types[] = {ND_NEIGHBOR_SOLICIT, ND_NEIGHBOR_ADVERT};
    for (size_t i = 0; i < sizeof types; i++) {
        struct agentd_rule rule = rule_begin(firewall, batch, chain);
        agentd_rule_match_family(&rule, AF_INET6);
        agentd_rule_match_meta(&rule, NFT_META_L4PROTO, IPPROTO_ICMPV6);
        agentd_rule_match_payload(&rule, NFT_PAYLOAD_TRANSPORT_HEADER, 0, &types[i], 1);
        agentd_rule_verdict(&rule, NF_ACCEPT);
        rule_end(&rule, batch, "neighbour discovery");
    }
}

/* What no fault touches. */
static void add_passes(struct agentd_firewall *firewall, struct batch *batch, const char *chain,
                       bool out)
{
    accept_neighbour_discovery(firewall, batch, chain);
    for (uint32_t i = 0; i < firewall->control_count; i++) {
        const struct agentd_connection *control = &firewall->control[i];
        accept_control(firewall, batch, chain, control, !out);
        /* The controller is on this very node: both ends pass both chains. */
        if (agentd_address_equal(&control->client, &control->server))
            accept_control(firewall, batch, chain, control, out);
    }
}

static void add_table(struct agentd_firewall *firewall, struct batch *batch)
{
    message_begin(firewall, batch, NFT_MSG_NEWTABLE, NLM_F_CREATE | NLM_F_EXCL);
    agentd_netlink_put_text(&batch->messages, NFTA_TABLE_NAME, table_name);
    if (firewall->owned)
        agentd_netlink_put_u32(&batch->messages, NFTA_TABLE_FLAGS, NFT_TABLE_F_OWNER);
    message_end(batch);
    add_chain(firewall, batch, "input", NF_INET_LOCAL_IN, PRIORITY);
    add_chain(firewall, batch, "output", NF_INET_LOCAL_OUT, PRIORITY);
    add_passes(firewall, batch, "input", false);
    add_passes(firewall, batch, "output", true);
}

static void add_shape_chain(struct agentd_firewall *firewall, struct batch *batch)
{
    add_chain(firewall, batch, "shape", NF_INET_LOCAL_IN, SHAPE_PRIORITY);
    add_passes(firewall, batch, "shape", false);
}

/* TCP packets with a header of so many words, and something behind it. IPv4 tells its whole
 * length, IPv6 what follows its header. */
static void match_tcp_data(struct agentd_rule *rule, int family, uint32_t words)
{
    uint8_t upper = (uint8_t)(words << 4);
    bool is_v4 = family == AF_INET;
    uint16_t headers = htons((uint16_t)((is_v4 ? AGENTD_IPV4_HEADER : 0) + 4 * words));
    agentd_rule_match_meta(rule, NFT_META_L4PROTO, IPPROTO_TCP);
    agentd_rule_load_payload(rule, NFT_PAYLOAD_TRANSPORT_HEADER, 12, 1);
    agentd_rule_mask_upper_half(rule);
    agentd_rule_compare(rule, NFT_CMP_EQ, &upper, 1);
    agentd_rule_load_payload(rule, NFT_PAYLOAD_NETWORK_HEADER, is_v4 ? 2 : 4, 2);
    agentd_rule_compare(rule, NFT_CMP_GT, &headers, 2);
}

/* The packets of one rule: those of the block, of them those that are not TCP, or of them those of
 * TCP with data behind a header of so many words. */
enum { ALL_PACKETS = 0, NO_TCP = 1 };

static void add_rule(struct agentd_firewall *firewall, struct batch *batch,
                     const struct agentd_block *block, const struct agentd_target *target,
                     uint32_t packets, enum agentd_side port_side)
{
    struct agentd_rule rule = rule_begin(firewall, batch,
                                         block->queue != 0 ? "shape"
                                         : target->out     ? "output"
                                                           : "input");
    agentd_rule_match_family(&rule, target->address.family);
    agentd_rule_match_address(&rule, target->out ? AGENTD_DESTINATION : AGENTD_SOURCE,
                              &target->address);
    if (packets == NO_TCP)
        agentd_rule_match_other_protocol(&rule, IPPROTO_TCP);
    else if (packets != ALL_PACKETS)
        match_tcp_data(&rule, target->address.family, packets);
    else if (block->protocol != 0)
        agentd_rule_match_meta(&rule, NFT_META_L4PROTO, block->protocol);
    if (block->port != 0)
        agentd_rule_match_port(&rule, port_side, block->port);
    if (block->queue != 0)
        agentd_rule_match_not_ours(&rule);
    agentd_rule_count(&rule);
    if (block->queue != 0)
        agentd_rule_queue(&rule, firewall->xt_queue, block->queue);
    else
        agentd_rule_verdict(&rule, NF_DROP);
    char comment[AGENTD_COMMENT_SIZE];
    agentd_block_comment(block, target, comment);
    rule_end(&rule, batch, comment);
}

static void add_both_sides(struct agentd_firewall *firewall, struct batch *batch,
                           const struct agentd_block *block, const struct agentd_target *target,
                           uint32_t packets)
{
    add_rule(firewall, batch, block, target, packets, AGENTD_DESTINATION);
    if (block->port != 0)
        add_rule(firewall, batch, block, target, packets, AGENTD_SOURCE);
}

static void add_block(struct agentd_firewall *firewall, struct batch *batch,
                      const struct agentd_block *block)
{
    bool data_only = block->data_only && block->protocol != IPPROTO_UDP;
    for (uint32_t i = 0; i < block->count; i++) {
        const struct agentd_target *target = &block->targets[i];
        if (!data_only || block->protocol == 0)
            add_both_sides(firewall, batch, block, target, data_only ? NO_TCP : ALL_PACKETS);
        for (uint32_t words = AGENTD_TCP_WORDS_MIN; words <= AGENTD_TCP_WORDS_MAX && data_only;
             words++)
            add_both_sides(firewall, batch, block, target, words);
    }
}

/* ---- Asking what is there ---- */

static bool table_exists(struct agentd_firewall *firewall)
{
    struct buf message = BUF_INIT;
    uint32_t sequence = ++firewall->sequence;
    size_t at = agentd_netlink_begin(&message, NFT_MSG_GETTABLE, NLM_F_ACK, NFPROTO_INET, sequence);
    agentd_netlink_put_text(&message, NFTA_TABLE_NAME, table_name);
    agentd_netlink_end(&message, at);
    int failure = send_bytes(firewall, &message);
    if (failure == 0)
        failure = collect_answers(firewall, sequence, sequence);
    buf_free(&message);
    return failure != ENOENT;
}

struct rule_visit {
    const struct agentd_block *block;
    uint64_t *counters;    /* to be added to, or NULL */
    struct batch *removal; /* to be filled with deletions, or NULL */
    uint32_t found;
};

static uint64_t counted_packets(const struct agentd_attribute *expressions)
{
    struct agentd_attribute element;
    size_t at = 0;
    while (agentd_netlink_next(expressions->value, expressions->length, &at, &element)) {
        struct agentd_attribute name =
            agentd_netlink_find(element.value, element.length, NFTA_EXPR_NAME);
        if (name.length != sizeof "counter" || memcmp(name.value, "counter", name.length) != 0)
            continue;
        struct agentd_attribute data =
            agentd_netlink_find(element.value, element.length, NFTA_EXPR_DATA);
        struct agentd_attribute packets =
            agentd_netlink_find(data.value, data.length, NFTA_COUNTER_PACKETS);
        uint64_t big = 0;
        if (packets.length == sizeof big)
            memcpy(&big, packets.value, sizeof big);
        return be64toh(big);
    }
    return 0;
}

static void remove_rule(struct agentd_firewall *firewall, struct batch *batch,
                        const struct agentd_attribute *chain, const struct agentd_attribute *handle)
{
    message_begin(firewall, batch, NFT_MSG_DELRULE, 0);
    agentd_netlink_put_text(&batch->messages, NFTA_RULE_TABLE, table_name);
    agentd_netlink_put(&batch->messages, NFTA_RULE_CHAIN, chain->value, chain->length);
    agentd_netlink_put(&batch->messages, NFTA_RULE_HANDLE, handle->value, handle->length);
    message_end(batch);
}

static void visit_rule(struct agentd_firewall *firewall, const struct nlmsghdr *message,
                       struct rule_visit *visit)
{
    const uint8_t *bytes = (const uint8_t *)NLMSG_DATA(message) + sizeof(struct nfgenmsg);
    size_t length = message->nlmsg_len - NLMSG_LENGTH(sizeof(struct nfgenmsg));
    struct agentd_attribute data = agentd_netlink_find(bytes, length, NFTA_RULE_USERDATA),
                            chain = agentd_netlink_find(bytes, length, NFTA_RULE_CHAIN),
                            handle = agentd_netlink_find(bytes, length, NFTA_RULE_HANDLE),
                            expressions = agentd_netlink_find(bytes, length, NFTA_RULE_EXPRESSIONS);
    char comment[256] = "";
    if (data.length < 2 || data.value[0] != COMMENT_TYPE || data.value[1] > data.length - 2)
        return;
    memcpy(comment, data.value + 2, data.value[1]);
    uint64_t unused[AGENTD_TARGETS_MAX] = {0};
    uint64_t packets = visit->counters != NULL ? counted_packets(&expressions) : 0;
    if (!agentd_block_count(visit->block, comment, packets,
                            visit->counters != NULL ? visit->counters : unused))
        return;
    visit->found++;
    if (visit->removal != NULL)
        remove_rule(firewall, visit->removal, &chain, &handle);
}

/* One dump of our table's rules. EINTR when the rules changed underneath it. */
static int dump_rules(struct agentd_firewall *firewall, struct rule_visit *visit)
{
    static uint8_t reply[REPLY_BYTES] __attribute__((aligned(NLMSG_ALIGNTO)));
    struct buf message = BUF_INIT;
    uint32_t sequence = ++firewall->sequence;
    size_t begun =
        agentd_netlink_begin(&message, NFT_MSG_GETRULE, NLM_F_DUMP, NFPROTO_INET, sequence);
    agentd_netlink_put_text(&message, NFTA_RULE_TABLE, table_name);
    agentd_netlink_end(&message, begun);
    int failure = send_bytes(firewall, &message);
    buf_free(&message);
    bool interrupted = false;
    while (failure == 0) {
        ssize_t length = receive(firewall, reply, 0);
        if (length <= 0)
            return length < 0 ? errno : ENODATA;
        size_t place = 0;
        for (struct nlmsghdr *at;
             (at = agentd_netlink_message(reply, (size_t)length, &place)) != NULL;) {
            if (at->nlmsg_seq != sequence)
                continue;
            interrupted |= (at->nlmsg_flags & NLM_F_DUMP_INTR) != 0;
            if (at->nlmsg_type == NLMSG_DONE)
                return interrupted ? EINTR : 0;
            if (at->nlmsg_type == NLMSG_ERROR)
                return -((const struct nlmsgerr *)NLMSG_DATA(at))->error;
            if (at->nlmsg_type == (NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWRULE))
                visit_rule(firewall, at, visit);
        }
    }
    return failure;
}

/* ---- The back-end ---- */

static enum err_code open_socket(struct agentd_firewall *firewall, struct err *err)
{
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);
    struct sockaddr_nl own = {.nl_family = AF_NETLINK};
    if (fd < 0)
        return err_errno(err, errno, "nftables: cannot open a netlink socket");
    int send_bytes_max = SEND_BYTES_MAX, receive_bytes_max = RECEIVE_BYTES_MAX;
    struct timeval patience = {.tv_sec = ANSWER_SECONDS_MAX};
    setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &send_bytes_max, sizeof send_bytes_max);
    setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &receive_bytes_max, sizeof receive_bytes_max);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    if (bind(fd, (struct sockaddr *)&own, sizeof own) != 0) {
        int failure = errno;
        close(fd);
        return err_errno(err, failure, "nftables: cannot bind a netlink socket");
    }
    firewall->netlink_fd = fd;
    return ERR_NONE;
}

static void nftables_close(struct agentd_firewall *firewall)
{
    if (firewall->netlink_fd >= 0)
        close(firewall->netlink_fd);
    firewall->netlink_fd = -1;
    firewall->prepared = firewall->shape_chain = false;
}

static enum err_code delete_table(struct agentd_firewall *firewall, struct err *err)
{
    struct batch batch;
    batch_begin(firewall, &batch);
    message_begin(firewall, &batch, NFT_MSG_DELTABLE, 0);
    agentd_netlink_put_text(&batch.messages, NFTA_TABLE_NAME, table_name);
    message_end(&batch);
    int failure = batch_send(firewall, &batch, BATCH_COMMIT);
    if (failure != 0 && failure != ENOENT)
        return err_errno(err, failure, "nftables: cannot delete table inet %s%s", table_name,
                         failure == EPERM ? " (another process owns it)" : "");
    firewall->prepared = firewall->shape_chain = false;
    return ERR_NONE;
}

/* Has the kernel check a table with one block of every kind of match we use, and drop it again. */
static int try_everything(struct agentd_firewall *firewall)
{
    struct agentd_target targets[2] = {{.address = {.family = AF_INET, .bytes = {127, 0, 0, 1}}},
                                       {.address = {.family = AF_INET6}, .out = true}};
    struct agentd_block block = {
        .id = "try", .protocol = IPPROTO_TCP, .port = 1, .count = 2, .targets = targets};
    struct batch batch;
    batch_begin(firewall, &batch);
    add_table(firewall, &batch);
    add_block(firewall, &batch, &block);
    return batch_send(firewall, &batch, BATCH_TRY);
}

static enum err_code nftables_open(struct agentd_firewall *firewall, struct err *err)
{
    enum err_code code = open_socket(firewall, err);
    if (code != ERR_NONE)
        return code;
    firewall->owned = true;
    int failure = try_everything(firewall);
    if (failure == EEXIST && delete_table(firewall, err) == ERR_NONE)
        failure = try_everything(firewall); /* left by an agent on a kernel without owned tables */
    if (failure == EINVAL || failure == EOPNOTSUPP) {
        firewall->owned = false;
        failure = try_everything(firewall);
    }
    if (failure == 0)
        return ERR_NONE;
    nftables_close(firewall);
    if (failure == EPERM && geteuid() == 0)
        return err_set(err, ERR_UNSUPPORTED,
                       "nftables: not permitted (no CAP_NET_ADMIN, or another process owns table "
                       "inet %s)",
                       table_name);
    return err_errno(err, failure, "nftables: the kernel refuses a table");
}

static enum err_code nftables_block(struct agentd_firewall *firewall,
                                    const struct agentd_block *block, struct err *err)
{
    struct batch batch;
    batch_begin(firewall, &batch);
    if (!firewall->prepared)
        add_table(firewall, &batch);
    if (block->queue != 0 && !firewall->shape_chain)
        add_shape_chain(firewall, &batch);
    add_block(firewall, &batch, block);
    int failure = batch_send(firewall, &batch, BATCH_COMMIT);
    if (failure != 0)
        return err_errno(err, failure, "nftables: cannot add %u rules%s", block->count,
                         failure == ENOENT ? " (something flushed table inet ordeal)" : "");
    firewall->prepared = true;
    firewall->shape_chain |= block->queue != 0;
    return ERR_NONE;
}

static int try_queue(struct agentd_firewall *firewall, bool xt)
{
    struct agentd_target target = {.address = {.family = AF_INET, .bytes = {127, 0, 0, 1}}};
    struct agentd_block block = {.id = "try", .queue = 1, .count = 1, .targets = &target};
    struct batch batch;
    firewall->xt_queue = xt;
    batch_begin(firewall, &batch);
    if (!firewall->prepared)
        add_table(firewall, &batch);
    if (!firewall->shape_chain)
        add_shape_chain(firewall, &batch);
    add_block(firewall, &batch, &block);
    return batch_send(firewall, &batch, BATCH_TRY);
}

static enum err_code nftables_try_queue(struct agentd_firewall *firewall, struct err *err)
{
    int failure = try_queue(firewall, false);
    if (failure != 0)
        failure = try_queue(firewall, true);
    return failure == 0 ? ERR_NONE
                        : err_set(err, ERR_UNSUPPORTED,
                                  "nftables: the kernel can neither queue packets (nft_queue) nor "
                                  "use the target NFQUEUE (nft_compat, xt_NFQUEUE): %s",
                                  strerror(failure));
}

static enum err_code look(struct agentd_firewall *firewall, struct rule_visit *visit,
                          struct err *err)
{
    int failure = EINTR;
    for (int i = 0; i < DUMP_TRIES && failure == EINTR; i++) {
        visit->found = 0;
        if (visit->counters != NULL)
            memset(visit->counters, 0, visit->block->count * sizeof *visit->counters);
        if (visit->removal != NULL) {
            buf_free(&visit->removal->messages);
            batch_begin(firewall, visit->removal);
        }
        failure = dump_rules(firewall, visit);
    }
    if (failure == 0 || failure == ENOENT) /* no table: no rules */
        return ERR_NONE;
    return err_errno(err, failure, "nftables: cannot list the rules of table inet %s", table_name);
}

static enum err_code nftables_undo(struct agentd_firewall *firewall,
                                   const struct agentd_block *block, struct err *err)
{
    struct batch removal = {.messages = BUF_INIT};
    struct rule_visit visit = {.block = block, .removal = &removal};
    enum err_code code = look(firewall, &visit, err);
    if (code != ERR_NONE || visit.found == 0) {
        buf_free(&removal.messages);
        return code;
    }
    int failure = batch_send(firewall, &removal, BATCH_COMMIT);
    if (failure != 0)
        return err_errno(err, failure, "nftables: cannot remove %u rules", visit.found);
    visit.removal = NULL;
    code = look(firewall, &visit, err);
    if (code == ERR_NONE && visit.found > 0)
        code = err_set(err, ERR_IO, "nftables: %u rules of %s are still there", visit.found,
                       block->id);
    return code;
}

static enum err_code nftables_count(struct agentd_firewall *firewall,
                                    const struct agentd_block *block, uint64_t *counters,
                                    struct err *err)
{
    struct rule_visit visit = {.block = block, .counters = counters};
    enum err_code code = look(firewall, &visit, err);
    if (code == ERR_NONE && visit.found == 0)
        code =
            err_set(err, ERR_IO, "nftables: the rules of %s are gone: something else removed them",
                    block->id);
    return code;
}

static enum err_code nftables_clear(struct agentd_firewall *firewall, struct err *err)
{
    if (firewall->netlink_fd < 0) {
        enum err_code code = open_socket(firewall, err);
        if (code != ERR_NONE)
            return code;
    }
    enum err_code code = delete_table(firewall, err);
    if (code == ERR_NONE && table_exists(firewall))
        code = err_set(err, ERR_IO, "nftables: table inet %s is still there", table_name);
    return code;
}

const struct agentd_firewall_kind agentd_firewall_nftables = {
    .name = "nftables",
    .open = nftables_open,
    .try_queue = nftables_try_queue,
    .block = nftables_block,
    .undo = nftables_undo,
    .count = nftables_count,
    .clear = nftables_clear,
    .close = nftables_close,
};
