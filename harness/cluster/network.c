/* The cluster's network: see network.h. Interfaces are made by ip(8) in one batch; addresses are
 * set by ioctl, which spares a process per node. */
#include "harness/cluster/network.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/ipv6.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "harness/cluster/cluster.h"
#include "harness/cluster/tool.h"

void cluster_format_address(int index, char *text, size_t size)
{
    snprintf(text, size, "10.77.0.%d", 11 + index);
}

/* The digits are those of the IPv4 address, read as hexadecimal: easier on the eye in logs. */
void cluster_format_address6(int index, char *text, size_t size)
{
    snprintf(text, size, "fd77::%d", 11 + index);
}

bool network_has_ipv6(void)
{
    int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return false;
    close(fd);
    return access("/proc/sys/net/ipv6", F_OK) == 0;
}

/* ---- One interface, in the namespace of the caller ---- */

/* Of the namespace of whoever opens it; absent settings belong to absent features. */
static void set_setting(const char *part, const char *interface, const char *setting,
                        const char *value)
{
    char path[128];
    snprintf(path, sizeof path, "/proc/sys/net/%s/%s/%s", part, interface, setting);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    if (write(fd, value, strlen(value)) < 0)
        errno = 0;
    close(fd);
}

/* Without this, an IPv6 address serves nobody for its first second or two, while the kernel looks
 * for a second owner; and hosts that switch IPv6 off by default would switch it off here too. */
static void prepare_ipv6(const char *interface)
{
    set_setting("ipv6/conf", interface, "disable_ipv6", "0");
    set_setting("ipv6/conf", interface, "accept_dad", "0");
    set_setting("ipv6/conf", interface, "accept_ra", "0");
}

static enum err_code set_up(int fd, const char *interface, struct err *err)
{
    struct ifreq request = {.ifr_flags = 0};
    snprintf(request.ifr_name, sizeof request.ifr_name, "%s", interface);
    if (ioctl(fd, SIOCGIFFLAGS, &request) == 0) {
        request.ifr_flags |= IFF_UP;
        if (ioctl(fd, SIOCSIFFLAGS, &request) == 0)
            return ERR_NONE;
    }
    return err_errno(err, errno, "set interface %s up", interface);
}

static enum err_code set_address(int fd, const char *interface, const char *address,
                                 struct err *err)
{
    struct ifreq request = {.ifr_flags = 0};
    snprintf(request.ifr_name, sizeof request.ifr_name, "%s", interface);
    struct sockaddr_in in = {.sin_family = AF_INET};
    inet_pton(AF_INET, address, &in.sin_addr);
    memcpy(&request.ifr_addr, &in, sizeof in);
    if (ioctl(fd, SIOCSIFADDR, &request) != 0)
        return err_errno(err, errno, "set address %s on %s", address, interface);
    inet_pton(AF_INET, "255.255.255.0", &in.sin_addr);
    memcpy(&request.ifr_netmask, &in, sizeof in);
    if (ioctl(fd, SIOCSIFNETMASK, &request) != 0)
        return err_errno(err, errno, "set the netmask of %s", interface);
    return ERR_NONE;
}

static enum err_code set_address6(const char *interface, const char *address, struct err *err)
{
    int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return err_errno(err, errno, "open an IPv6 socket");
    struct in6_ifreq request = {.ifr6_prefixlen = 64,
                                .ifr6_ifindex = (int)if_nametoindex(interface)};
    inet_pton(AF_INET6, address, &request.ifr6_addr);
    bool set = ioctl(fd, SIOCSIFADDR, &request) == 0 || errno == EEXIST;
    int error = errno;
    close(fd);
    return set ? ERR_NONE : err_errno(err, error, "set address %s on %s", address, interface);
}

/* Raises lo and `interface`, which gets the addresses; address6 may be NULL. */
static enum err_code configure(const char *interface, const char *address, const char *address6,
                               struct err *err)
{
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return err_errno(err, errno, "open a socket");
    if (address6 != NULL) {
        prepare_ipv6("all");
        prepare_ipv6("default");
        prepare_ipv6("lo");
        prepare_ipv6(interface);
    }
    enum err_code code = set_up(fd, "lo", err);
    if (code == ERR_NONE)
        code = set_address(fd, interface, address, err);
    if (code == ERR_NONE)
        code = set_up(fd, interface, err);
    close(fd);
    if (code == ERR_NONE && address6 != NULL)
        code = set_address6(interface, address6, err);
    return code;
}

/* ---- Interfaces ---- */

static void format_link(struct buf *batch, int index, pid_t process)
{
    int number = index + 1;
    buf_printf(batch,
               "link add v%d index %d address 02:4f:52:01:00:%02x type veth peer name eth0 address "
               "02:4f:52:00:00:%02x netns /proc/%d/ns/net\n"
               "link set v%d master br0 up\n",
               number, 100 + number, (unsigned)number, (unsigned)number, (int)process, number);
}

static enum err_code run_batch(struct buf *batch, struct err *err)
{
    const char *const argv[] = {"ip", "-batch", "-", NULL};
    enum err_code code = tool_run(argv, buf_text(batch), err);
    buf_free(batch);
    if (code != ERR_NONE)
        err_wrap(err, "make the cluster's network (the kernel needs bridge and veth)");
    return code;
}

enum err_code network_build(const pid_t *processes, int count, bool ipv6, struct err *err)
{
    struct buf batch = BUF_INIT;
    /* A bridge without an address of its own would take, and change, its ports' addresses. */
    buf_add_text(&batch, "link add br0 address 02:4f:52:02:00:01 type bridge mcast_snooping 0\n");
    for (int i = 0; i < count; i++)
        format_link(&batch, i, processes[i]);
    enum err_code code = run_batch(&batch, err);
    if (code == ERR_NONE)
        code =
            configure("br0", NETWORK_CONTROL_ADDRESS, ipv6 ? NETWORK_CONTROL_ADDRESS6 : NULL, err);
    return code;
}

enum err_code network_add_node(int index, pid_t process, struct err *err)
{
    struct buf batch = BUF_INIT;
    format_link(&batch, index, process);
    return run_batch(&batch, err);
}

void network_set_impatient(bool impatient)
{
    set_setting("ipv4/neigh", "br0", "retrans_time_ms", impatient ? "10" : "1000");
}

void network_remove_node(int index)
{
    char name[16], batch[32];
    snprintf(name, sizeof name, "v%d", index + 1);
    if (if_nametoindex(name) == 0)
        return;
    snprintf(batch, sizeof batch, "link del %s\n", name);
    const char *const argv[] = {"ip", "-batch", "-", NULL};
    if (tool_run(argv, batch, NULL) != ERR_NONE)
        errno = 0; /* the kernel was quicker */
}

void network_format_hosts(struct buf *out, int node_count, bool ipv6)
{
    char address[48];
    buf_add_text(out, "127.0.0.1\tlocalhost\n" NETWORK_CONTROL_ADDRESS "\tcontrol\n");
    for (int i = 0; i < node_count; i++) {
        cluster_format_address(i, address, sizeof address);
        buf_printf(out, "%s\tn%d\n", address, i + 1);
    }
    if (!ipv6)
        return;
    buf_add_text(out, "::1\tlocalhost ip6-localhost ip6-loopback\n" NETWORK_CONTROL_ADDRESS6
                      "\tcontrol\n");
    for (int i = 0; i < node_count; i++) {
        cluster_format_address6(i, address, sizeof address);
        buf_printf(out, "%s\tn%d\n", address, i + 1);
    }
}

/* ---- In a node ---- */

/* All namespaces of a kernel share one table of neighbours, of 1024 by default, and every node
 * knows every peer twice: thirty nodes overflow it, and packets are then lost that no fault has
 * dropped. Entries that are permanent are not counted. Small clusters learn their neighbours as
 * machines do. */
enum { LEARNING_NODES_MAX = 16 };

static void add_neighbour(struct buf *batch, const char *address, int peer)
{
    buf_printf(batch, "neigh replace %s lladdr 02:4f:52:00:00:%02x dev eth0 nud permanent\n",
               address, (unsigned)peer + 1);
}

static enum err_code know_neighbours(int index, int count, bool ipv6, struct err *err)
{
    struct buf batch = BUF_INIT;
    for (int peer = 0; peer < count; peer++) {
        char address[48], address6[48];
        if (peer == index)
            continue;
        cluster_format_address(peer, address, sizeof address);
        cluster_format_address6(peer, address6, sizeof address6);
        add_neighbour(&batch, address, peer);
        if (ipv6)
            add_neighbour(&batch, address6, peer);
    }
    return run_batch(&batch, err);
}

enum err_code network_configure_node(int index, int count, bool ipv6, struct err *err)
{
    char address[48], address6[48];
    cluster_format_address(index, address, sizeof address);
    cluster_format_address6(index, address6, sizeof address6);
    enum err_code code = configure("eth0", address, ipv6 ? address6 : NULL, err);
    if (code == ERR_NONE && count > LEARNING_NODES_MAX)
        code = know_neighbours(index, count, ipv6, err);
    return code;
}
