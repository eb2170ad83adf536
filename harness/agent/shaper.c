/* Holding packets in a queue of netfilter's: see shaper.h. */
/* Before the kernel's headers, which then leave the same names alone. */
#include <arpa/inet.h>

#include "harness/agent/shaper.h"

#include <errno.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_queue.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <unistd.h>

#include "harness/agent/netlink.h"
#include "harness/agent/process.h"
#include "harness/base/clock.h"

enum {
    QUEUE_FIRST = 53200, /* any number that nobody else reads */
    QUEUES_TRIED = 64,
    QUEUE_PACKETS_MAX = 20000, /* held at once; what comes beyond is dropped */
    RECEIVE_BYTES = 80 << 10,
    RECEIVE_BUFFER_BYTES = 16 << 20,
    PACKET_BYTES_MAX = 0xffff,
    HEADER_BYTES = 64, /* enough of a packet to see whose it is */
    SOURCES_MAX = 256,
    RECEIVES_AT_ONCE = 64, /* then those are looked at whose time has come */
    ANSWER_SECONDS_MAX = 5,
};

/* Where a packet came from: each source has a line of its own. */
struct source {
    uint8_t address[16];
    struct agentd_pace pace;
};

struct held {
    int64_t due_ns;
    uint64_t order; /* those that are due at the same time leave as they came */
    uint32_t id;    /* the kernel's name for the packet */
    uint32_t length;
    uint8_t *packet; /* its new content, or a twin's; NULL: as it is */
    bool twin;       /* the kernel knows nothing of it */
};

struct agentd_shaper {
    struct agentd_shape shape;
    struct prng prng;
    uint16_t queue;
    int fd, stop_fd, raw_fds[2]; /* raw: IPv4, IPv6; -1: none */
    pthread_t thread;
    struct held *heap; /* a binary heap, the next due first */
    size_t held_count, capacity;
    uint64_t order;
    struct source sources[SOURCES_MAX];
    uint32_t source_count;
    struct {
        atomic_uint_least64_t packets, lost, duplicated, corrupted, reordered, overflowed, bytes;
    } counts;
};

static void count(atomic_uint_least64_t *counter, uint64_t by)
{
    atomic_fetch_add_explicit(counter, by, memory_order_relaxed);
}

/* ---- What is held ---- */

static bool before(const struct held *left, const struct held *right)
{
    return left->due_ns != right->due_ns ? left->due_ns < right->due_ns
                                         : left->order < right->order;
}

static void push(struct agentd_shaper *shaper, struct held held)
{
    if (shaper->held_count == shaper->capacity) {
        shaper->capacity = shaper->capacity == 0 ? 1024 : 2 * shaper->capacity;
        shaper->heap = realloc(shaper->heap, shaper->capacity * sizeof *shaper->heap);
        if (shaper->heap == NULL)
            abort(); /* and everything is undone by who watches us */
    }
    held.order = shaper->order++;
    size_t at = shaper->held_count++;
    for (; at > 0 && before(&held, &shaper->heap[(at - 1) / 2]); at = (at - 1) / 2)
        shaper->heap[at] = shaper->heap[(at - 1) / 2];
    shaper->heap[at] = held;
}

static struct held pop(struct agentd_shaper *shaper)
{
    struct held first = shaper->heap[0], last = shaper->heap[--shaper->held_count];
    size_t at = 0;
    for (;;) {
        size_t child = 2 * at + 1;
        if (child + 1 < shaper->held_count &&
            before(&shaper->heap[child + 1], &shaper->heap[child]))
            child++;
        if (child >= shaper->held_count || !before(&shaper->heap[child], &last))
            break;
        shaper->heap[at] = shaper->heap[child];
        at = child;
    }
    shaper->heap[at] = last;
    return first;
}

/* ---- Talking to the kernel ---- */

static void send_verdict(struct agentd_shaper *shaper, uint32_t id, uint32_t verdict,
                         const uint8_t *packet, uint32_t length)
{
    static const uint8_t zeros[NLA_ALIGNTO];
    struct {
        struct nlmsghdr message;
        struct nfgenmsg general;
        struct nlattr verdict_header;
        struct nfqnl_msg_verdict_hdr verdict;
        struct nlattr payload_header;
    } head = {.message = {.nlmsg_type = NFNL_SUBSYS_QUEUE << 8 | NFQNL_MSG_VERDICT,
                          .nlmsg_flags = NLM_F_REQUEST},
              .general = {.version = NFNETLINK_V0, .res_id = htons(shaper->queue)},
              .verdict_header = {.nla_len = sizeof head.verdict_header + sizeof head.verdict,
                                 .nla_type = NFQA_VERDICT_HDR},
              .verdict = {.verdict = htonl(verdict), .id = htonl(id)},
              .payload_header = {.nla_len = (uint16_t)(sizeof head.payload_header + length),
                                 .nla_type = NFQA_PAYLOAD}};
    size_t head_length = packet != NULL ? sizeof head : offsetof(typeof(head), payload_header);
    struct iovec parts[3] = {
        {.iov_base = &head, .iov_len = head_length},
        {.iov_base = (void *)(uintptr_t)packet, .iov_len = length},
        {.iov_base = (void *)(uintptr_t)zeros, .iov_len = NLA_ALIGN(length) - length}};
    head.message.nlmsg_len =
        (uint32_t)(head_length + (packet != NULL ? NLA_ALIGN((size_t)length) : 0));
    struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
    struct msghdr message = {.msg_name = &kernel,
                             .msg_namelen = sizeof kernel,
                             .msg_iov = parts,
                             .msg_iovlen = packet != NULL ? 3 : 1};
    while (sendmsg(shaper->fd, &message, 0) < 0 && errno == EINTR)
        ;
}

/* A twin comes in by the loopback device, with the addresses of the original: the kernel does not
 * look for a route a second time. */
static void send_twin(struct agentd_shaper *shaper, const uint8_t *packet, uint32_t length)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
    if (packet[0] >> 4 == 4) {
        memcpy(&v4.sin_addr, packet + 16, 4);
        (void)!sendto(shaper->raw_fds[0], packet, length, MSG_DONTWAIT, (struct sockaddr *)&v4,
                      sizeof v4);
    } else {
        memcpy(&v6.sin6_addr, packet + 24, 16);
        (void)!sendto(shaper->raw_fds[1], packet, length, MSG_DONTWAIT, (struct sockaddr *)&v6,
                      sizeof v6);
    }
}

static void let_go(struct agentd_shaper *shaper, const struct held *held)
{
    if (held->twin)
        send_twin(shaper, held->packet, held->length);
    else
        send_verdict(shaper, held->id, NF_ACCEPT, held->packet, held->length);
    free(held->packet);
}

/* ---- What comes ---- */

static bool wants_bytes(const struct agentd_shape *shape)
{
    return shape->duplicate_ppm != 0 || shape->corrupt_ppm != 0;
}

static struct agentd_pace *pace_of(struct agentd_shaper *shaper, const uint8_t *packet,
                                   size_t length)
{
    uint8_t address[16] = {0};
    if (length >= 40 && packet[0] >> 4 == 6)
        memcpy(address, packet + 8, 16);
    else if (length >= 20)
        memcpy(address, packet + 12, 4);
    for (uint32_t i = 0; i < shaper->source_count; i++)
        if (memcmp(shaper->sources[i].address, address, sizeof address) == 0)
            return &shaper->sources[i].pace;
    if (shaper->source_count == SOURCES_MAX) /* as many as a rule can name */
        return &shaper->sources[0].pace;
    struct source *source = &shaper->sources[shaper->source_count++];
    memcpy(source->address, address, sizeof address);
    return &source->pace;
}

static uint8_t *copy(const uint8_t *packet, size_t length)
{
    uint8_t *bytes = malloc(length + 1);
    if (bytes == NULL)
        abort();
    memcpy(bytes, packet, length);
    return bytes;
}

static void take(struct agentd_shaper *shaper, uint32_t id, const uint8_t *packet, size_t length,
                 size_t whole_length, int64_t now_ns)
{
    const struct agentd_shape *shape = &shaper->shape;
    struct agentd_fate fate = agentd_shape_decide(shape, &shaper->prng);
    int64_t leave_ns = now_ns;
    count(&shaper->counts.packets, 1);
    if (!fate.lost && shape->rate_bps != 0)
        leave_ns = agentd_pace_leave_ns(pace_of(shaper, packet, length), shape->rate_bps,
                                        whole_length, now_ns);
    if (fate.lost || leave_ns < 0) {
        count(fate.lost ? &shaper->counts.lost : &shaper->counts.overflowed, 1);
        send_verdict(shaper, id, NF_DROP, NULL, 0);
        return;
    }
    count(&shaper->counts.bytes, whole_length);
    struct held held = {.due_ns = leave_ns + fate.hold_ns, .id = id};
    if (fate.corrupted) {
        held.packet = copy(packet, length);
        held.length = (uint32_t)length;
        if (agentd_shape_corrupt(held.packet, length, &shaper->prng))
            count(&shaper->counts.corrupted, 1);
    }
    count(&shaper->counts.reordered, fate.late);
    push(shaper, held);
    if (!fate.duplicated || length == 0)
        return;
    count(&shaper->counts.duplicated, 1);
    push(shaper, (struct held){.due_ns = leave_ns + fate.twin_hold_ns,
                               .packet = copy(packet, length),
                               .length = (uint32_t)length,
                               .twin = true});
}

static void take_message(struct agentd_shaper *shaper, const struct nlmsghdr *message,
                         int64_t now_ns)
{
    if (message->nlmsg_type != (NFNL_SUBSYS_QUEUE << 8 | NFQNL_MSG_PACKET) ||
        message->nlmsg_len < NLMSG_LENGTH(sizeof(struct nfgenmsg)))
        return;
    const uint8_t *bytes = (const uint8_t *)NLMSG_DATA(message) + sizeof(struct nfgenmsg);
    size_t length = message->nlmsg_len - NLMSG_LENGTH(sizeof(struct nfgenmsg));
    struct agentd_attribute header = agentd_netlink_find(bytes, length, NFQA_PACKET_HDR),
                            payload = agentd_netlink_find(bytes, length, NFQA_PAYLOAD),
                            whole = agentd_netlink_find(bytes, length, NFQA_CAP_LEN);
    struct nfqnl_msg_packet_hdr packet;
    uint32_t whole_length = htonl((uint32_t)payload.length);
    if (header.value == NULL || header.length < sizeof packet)
        return;
    memcpy(&packet, header.value, sizeof packet);
    if (whole.value != NULL && whole.length == sizeof whole_length)
        memcpy(&whole_length, whole.value, sizeof whole_length);
    take(shaper, ntohl(packet.packet_id), payload.value, payload.value != NULL ? payload.length : 0,
         ntohl(whole_length), now_ns);
}

static void take_some(struct agentd_shaper *shaper, uint8_t *bytes)
{
    for (int i = 0; i < RECEIVES_AT_ONCE; i++) {
        ssize_t length = recv(shaper->fd, bytes, RECEIVE_BYTES, MSG_DONTWAIT);
        if (length < 0 && errno == EINTR)
            continue;
        if (length <= 0)
            return;
        int64_t now_ns = clock_monotonic_ns();
        size_t place = 0;
        for (struct nlmsghdr *at;
             (at = agentd_netlink_message(bytes, (size_t)length, &place)) != NULL;)
            take_message(shaper, at, now_ns);
    }
}

/* ---- The thread ---- */

static void *run(void *argument)
{
    struct agentd_shaper *shaper = argument;
    uint8_t *bytes = malloc(RECEIVE_BYTES);
    if (bytes == NULL)
        abort();
    agentd_be_prompt(); /* or a busy machine would add delays of its own */
    for (;;) {
        int64_t now_ns = clock_monotonic_ns();
        while (shaper->held_count > 0 && shaper->heap[0].due_ns <= now_ns) {
            struct held held = pop(shaper);
            let_go(shaper, &held);
        }
        struct pollfd fds[2] = {{.fd = shaper->fd, .events = POLLIN},
                                {.fd = shaper->stop_fd, .events = POLLIN}};
        struct timespec timeout = clock_timespec(
            shaper->held_count == 0 ? 3600 * NS_PER_SECOND : shaper->heap[0].due_ns - now_ns);
        if (ppoll(fds, 2, &timeout, NULL) < 0)
            continue;
        if (fds[0].revents != 0)
            take_some(shaper, bytes);
        if (fds[1].revents != 0)
            break;
    }
    take_some(shaper, bytes);
    while (shaper->held_count > 0) {
        struct held held = pop(shaper);
        let_go(shaper, &held);
    }
    free(bytes);
    return NULL;
}

/* ---- Opening and closing ---- */

static int configure(struct agentd_shaper *shaper, uint16_t attribute, const void *value,
                     size_t length)
{
    static _Atomic uint32_t sequence;
    struct buf message = BUF_INIT;
    struct {
        struct nlmsghdr header;
        struct nlmsgerr error;
        char rest[512];
    } reply;
    size_t at = agentd_netlink_begin(&message, NFNL_SUBSYS_QUEUE << 8 | NFQNL_MSG_CONFIG, NLM_F_ACK,
                                     AF_UNSPEC, atomic_fetch_add(&sequence, 1) + 1);
    uint16_t queue = htons(shaper->queue);
    memcpy(message.data + at + sizeof(struct nlmsghdr) + offsetof(struct nfgenmsg, res_id), &queue,
           sizeof queue);
    agentd_netlink_put(&message, attribute, value, length);
    if (attribute == NFQA_CFG_FLAGS)
        agentd_netlink_put(&message, NFQA_CFG_MASK, value, length);
    agentd_netlink_end(&message, at);
    ssize_t sent = send(shaper->fd, message.data, message.length, 0), got = -1;
    int failure = sent < 0 ? errno : 0;
    buf_free(&message);
    while (failure == 0) { /* packets may come before the answer: the last thing set tells none */
        got = recv(shaper->fd, &reply, sizeof reply, 0);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return errno;
        if (got >= (ssize_t)NLMSG_LENGTH(sizeof(struct nlmsgerr)) &&
            reply.header.nlmsg_type == NLMSG_ERROR)
            return -reply.error.error;
    }
    return failure;
}

/* Takes the first queue that nobody reads. */
static int bind_queue(struct agentd_shaper *shaper)
{
    struct nfqnl_msg_config_cmd command = {.command = NFQNL_CFG_CMD_BIND, .pf = htons(AF_INET)};
    int failure = 0;
    for (uint16_t i = 0; i < QUEUES_TRIED; i++) {
        shaper->queue = (uint16_t)(QUEUE_FIRST + i);
        failure = configure(shaper, NFQA_CFG_CMD, &command, sizeof command);
        if (failure != EBUSY && failure != EPERM)
            return failure;
    }
    return failure;
}

/* As few bytes of each packet as will do. Where only its time matters, what the kernel has merged
 * may come in one piece. */
static int choose_mode(struct agentd_shaper *shaper)
{
    const struct agentd_shape *shape = &shaper->shape;
    struct nfqnl_msg_config_params mode = {.copy_mode = NFQNL_COPY_META};
    uint32_t most = htonl(QUEUE_PACKETS_MAX), merged = htonl(NFQA_CFG_F_GSO);
    if (wants_bytes(shape) || shape->rate_bps != 0) {
        mode.copy_mode = NFQNL_COPY_PACKET;
        mode.copy_range = htonl(wants_bytes(shape) ? PACKET_BYTES_MAX : HEADER_BYTES);
    }
    bool whole_pieces =
        !wants_bytes(shape) && shape->loss_ppm == 0 && shape->reorder_ppm == 0 && !shape->rate_bps;
    int failure = configure(shaper, NFQA_CFG_QUEUE_MAXLEN, &most, sizeof most);
    if (failure == 0 && whole_pieces)
        (void)!configure(shaper, NFQA_CFG_FLAGS, &merged, sizeof merged); /* Linux 3.10; quicker */
    return failure != 0 ? failure : configure(shaper, NFQA_CFG_PARAMS, &mode, sizeof mode);
}

static int open_raw(struct agentd_shaper *shaper)
{
    static const int families[] = {AF_INET, AF_INET6};
    uint32_t mark = AGENTD_SHAPER_MARK;
    for (size_t i = 0; i < 2; i++) {
        int fd = socket(families[i], SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW);
        if (fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_MARK, &mark, sizeof mark) != 0) {
            int failure = errno;
            close(fd);
            return failure;
        }
        if (fd < 0 && (families[i] == AF_INET || errno != EAFNOSUPPORT))
            return errno;
        shaper->raw_fds[i] = fd;
    }
    return 0;
}

static int open_queue(struct agentd_shaper *shaper)
{
    int bytes = RECEIVE_BUFFER_BYTES, on = 1;
    struct timeval patience = {.tv_sec = ANSWER_SECONDS_MAX};
    struct sockaddr_nl own = {.nl_family = AF_NETLINK};
    shaper->fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);
    if (shaper->fd < 0 || bind(shaper->fd, (struct sockaddr *)&own, sizeof own) != 0)
        return errno;
    setsockopt(shaper->fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof bytes);
    setsockopt(shaper->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setsockopt(shaper->fd, SOL_NETLINK, NETLINK_NO_ENOBUFS, &on, sizeof on);
    int failure = bind_queue(shaper);
    if (failure == 0)
        failure = choose_mode(shaper);
    return failure;
}

static void close_all(struct agentd_shaper *shaper)
{
    int fds[] = {shaper->fd, shaper->stop_fd, shaper->raw_fds[0], shaper->raw_fds[1]};
    for (size_t i = 0; i < sizeof fds / sizeof *fds; i++)
        if (fds[i] >= 0)
            close(fds[i]);
    for (size_t i = 0; i < shaper->held_count; i++)
        free(shaper->heap[i].packet);
    free(shaper->heap);
    free(shaper);
}

static enum err_code say_why(int failure, struct err *err)
{
    return err_set(err, failure == EPERM || failure == EINVAL ? ERR_UNSUPPORTED : ERR_IO,
                   "cannot have packets queued (nfnetlink_queue): %s", strerror(failure));
}

enum err_code agentd_shaper_open(const struct agentd_shape *shape, uint64_t seed, uint16_t *queue,
                                 struct agentd_shaper **out, struct err *err)
{
    struct agentd_shaper *shaper = calloc(1, sizeof *shaper);
    if (shaper == NULL)
        return err_set(err, ERR_NOMEM, "no memory for a shaper");
    *shaper = (struct agentd_shaper){
        .shape = *shape, .prng = prng_stream(seed, "shaper"), .fd = -1, .raw_fds = {-1, -1}};
    shaper->stop_fd = eventfd(0, EFD_CLOEXEC);
    int failure = shaper->stop_fd < 0 ? errno : open_queue(shaper);
    if (failure == 0 && shape->duplicate_ppm != 0)
        failure = open_raw(shaper);
    if (failure == 0)
        failure = pthread_create(&shaper->thread, NULL, run, shaper);
    if (failure != 0) {
        close_all(shaper);
        return say_why(failure, err);
    }
    *queue = shaper->queue;
    *out = shaper;
    return ERR_NONE;
}

void agentd_shaper_count(struct agentd_shaper *shaper, struct agentd_shaped *counts)
{
    *counts = (struct agentd_shaped){.packets = shaper->counts.packets,
                                     .lost = shaper->counts.lost,
                                     .duplicated = shaper->counts.duplicated,
                                     .corrupted = shaper->counts.corrupted,
                                     .reordered = shaper->counts.reordered,
                                     .overflowed = shaper->counts.overflowed,
                                     .bytes = shaper->counts.bytes};
}

void agentd_shaper_close(struct agentd_shaper *shaper)
{
    if (shaper == NULL)
        return;
    uint64_t one = 1;
    if (write(shaper->stop_fd, &one, sizeof one) != sizeof one)
        abort(); /* an eventfd has room for one */
    pthread_join(shaper->thread, NULL);
    close_all(shaper);
}

enum err_code agentd_shaper_try(struct err *err)
{
    struct agentd_shape shape = {.delay_ns = 1};
    struct agentd_shaper *shaper;
    uint16_t queue;
    enum err_code code = agentd_shaper_open(&shape, 0, &queue, &shaper, err);
    if (code == ERR_NONE)
        agentd_shaper_close(shaper);
    return code;
}
