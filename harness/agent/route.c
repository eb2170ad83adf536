/* Asking for a route: see route.h. */
#include "harness/agent/route.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

enum { ANSWER_SECONDS_MAX = 5, ANSWER_BYTES = 4096 };

struct question {
    struct nlmsghdr header;
    struct rtmsg route;
    struct rtattr target;
    uint8_t address[16];
};

/* The errno of what went wrong; else 0, and the device's number. */
static int ask(int fd, const struct agentd_address *target, int *device)
{
    bool six = target->family == AF_INET6;
    size_t length = six ? 16 : 4;
    struct question question = {
        .header = {.nlmsg_type = RTM_GETROUTE, .nlmsg_flags = NLM_F_REQUEST, .nlmsg_seq = 1},
        .route = {.rtm_family = (unsigned char)target->family,
                  .rtm_dst_len = (unsigned char)(8 * length)},
        .target = {.rta_len = (unsigned short)RTA_LENGTH(length), .rta_type = RTA_DST}};
    _Alignas(struct nlmsghdr) char answer[ANSWER_BYTES];
    memcpy(question.address, target->bytes, length);
    question.header.nlmsg_len =
        (uint32_t)(NLMSG_LENGTH(sizeof question.route) + RTA_LENGTH(length));
    if (send(fd, &question, question.header.nlmsg_len, 0) < 0)
        return errno;
    ssize_t got = recv(fd, answer, sizeof answer, 0);
    if (got < 0)
        return errno;
    const struct nlmsghdr *header = (const struct nlmsghdr *)answer;
    if (!NLMSG_OK(header, (size_t)got))
        return EPROTO;
    if (header->nlmsg_type == NLMSG_ERROR)
        return -((const struct nlmsgerr *)NLMSG_DATA(header))->error;
    struct rtmsg *route = NLMSG_DATA(header);
    int left = (int)RTM_PAYLOAD(header);
    for (struct rtattr *one = RTM_RTA(route); RTA_OK(one, left); one = RTA_NEXT(one, left))
        if (one->rta_type == RTA_OIF && RTA_PAYLOAD(one) == sizeof *device) {
            memcpy(device, RTA_DATA(one), sizeof *device);
            return 0;
        }
    return EHOSTUNREACH;
}

enum err_code agentd_route_device(const struct agentd_address *target,
                                  char device[AGENTD_DEVICE_SIZE], struct err *err)
{
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE), number = 0;
    struct timeval patience = {.tv_sec = ANSWER_SECONDS_MAX};
    char name[IF_NAMESIZE];
    if (fd < 0)
        return err_errno(err, errno, "asking for a route");
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    int failure = ask(fd, target, &number);
    close(fd);
    if (failure == 0 && if_indextoname((unsigned)number, name) == NULL)
        failure = errno;
    if (failure != 0)
        return err_set(err, ERR_UNSUPPORTED, "no route leads to %s: %s", target->text,
                       strerror(failure));
    _Static_assert(sizeof name == AGENTD_DEVICE_SIZE, "as the kernel has it");
    memcpy(device, name, sizeof name);
    return ERR_NONE;
}
