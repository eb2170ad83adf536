/* The gauge and its verbs: see gauge.h and PROTOCOL.md. */
#include "harness/agent/gauge.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "harness/agent/agentd.h"
#include "harness/agent/process.h"
#include "harness/base/clock.h"

enum { BUFFER_BYTES = 8 << 20 };

static const char magic[8] = "ordeal-g";

enum kind { ASKING = 1, SILENT = 2, ECHO_OF = 3 };

struct datagram {
    char magic[8];
    uint64_t run;      /* what only the sender reads again is in its own byte order; */
    int64_t sent_ns;   /* so is what nodes of one run exchange: they are of one kind */
    uint32_t sequence; /* from 0 */
    uint32_t kind;
};

static struct agentd_gauge_run *run_of(struct agentd_gauge *gauge, uint64_t number)
{
    struct agentd_gauge_run *run = &gauge->runs[number % AGENTD_GAUGE_RUNS];
    if (run->run != number)
        *run = (struct agentd_gauge_run){.run = number};
    return run;
}

/* False when it came before. */
static bool arrived(struct agentd_gauge_run *run, uint32_t sequence, size_t length, int64_t now_ns)
{
    uint8_t *seen = &run->seen[sequence / 8], bit = (uint8_t)(1u << sequence % 8);
    if ((*seen & bit) != 0) {
        run->duplicates++;
        return false;
    }
    *seen |= bit;
    if (run->unique++ == 0)
        run->first_ns = now_ns;
    else
        run->bytes += length;
    run->last_ns = now_ns;
    if (sequence < run->highest)
        run->overtaken++;
    else
        run->highest = sequence;
    return true;
}

static void take(struct agentd_gauge *gauge, struct datagram *in, size_t length,
                 const struct sockaddr_storage *source, socklen_t source_length)
{
    int64_t now_ns = clock_monotonic_ns();
    pthread_mutex_lock(&gauge->lock);
    struct agentd_gauge_run *run = run_of(gauge, in->run);
    bool is_echo = in->kind == ECHO_OF;
    if (is_echo && run->echoes < AGENTD_GAUGE_COUNT_MAX)
        run->trips_ns[run->echoes++] = now_ns - in->sent_ns;
    bool first = !is_echo && arrived(run, in->sequence, length, now_ns);
    pthread_mutex_unlock(&gauge->lock);
    if (!first || in->kind != ASKING)
        return;
    in->kind = ECHO_OF;
    (void)!sendto(gauge->fd, in, sizeof *in, 0, (const struct sockaddr *)source, source_length);
}

static void take_all(struct agentd_gauge *gauge)
{
    for (;;) {
        union {
            struct datagram datagram;
            char bytes[AGENTD_GAUGE_SIZE_MAX + 1];
        } in;
        struct sockaddr_storage source;
        socklen_t source_length = sizeof source;
        ssize_t length =
            recvfrom(gauge->fd, &in, sizeof in, 0, (struct sockaddr *)&source, &source_length);
        if (length < 0 && errno == EAGAIN)
            return;
        if (length >= (ssize_t)sizeof in.datagram && in.datagram.run != 0 &&
            memcmp(in.datagram.magic, magic, sizeof magic) == 0 &&
            in.datagram.sequence < AGENTD_GAUGE_COUNT_MAX)
            take(gauge, &in.datagram, (size_t)length, &source, source_length);
    }
}

static void *listen_on(void *argument)
{
    struct agentd_gauge *gauge = argument;
    struct pollfd fds[2] = {{.fd = gauge->fd, .events = POLLIN},
                            {.fd = gauge->stop_fd, .events = POLLIN}};
    agentd_be_prompt();
    while (fds[1].revents == 0) {
        if (poll(fds, 2, -1) > 0 && fds[0].revents != 0)
            take_all(gauge);
    }
    return NULL;
}

enum err_code agentd_gauge_open(struct agentd_gauge *gauge, struct err *err)
{
    if (gauge->port != 0)
        return ERR_NONE;
    uint16_t port = 0;
    int family, bytes = BUFFER_BYTES;
    int fd = agentd_udp_open(&port, &family, err);
    if (fd < 0)
        return ERR_IO;
    /* A burst from every other node may come at once. */
    setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof bytes);
    setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof bytes);
    gauge->fd = fd;
    gauge->family = family;
    gauge->stop_fd = eventfd(0, EFD_CLOEXEC);
    pthread_mutex_init(&gauge->lock, NULL);
    int failure =
        gauge->stop_fd < 0 ? errno : pthread_create(&gauge->thread, NULL, listen_on, gauge);
    if (failure != 0) {
        close(fd);
        if (gauge->stop_fd >= 0)
            close(gauge->stop_fd);
        return err_errno(err, failure, "cannot start a thread for the gauge");
    }
    gauge->port = port;
    return ERR_NONE;
}

void agentd_gauge_close(struct agentd_gauge *gauge)
{
    if (gauge->port == 0)
        return;
    uint64_t one = 1;
    if (write(gauge->stop_fd, &one, sizeof one) != sizeof one)
        abort(); /* an eventfd has room for one */
    pthread_join(gauge->thread, NULL);
    pthread_mutex_destroy(&gauge->lock);
    close(gauge->fd);
    close(gauge->stop_fd);
    gauge->port = 0;
}

/* ---- Verbs ---- */

void agentd_gauge_listen(struct agentd *agent, const struct agentd_request *request)
{
    struct err err = ERR_INIT;
    if (agentd_gauge_open(&agent->gauge, &err) != ERR_NONE) {
        agentd_reply_err(agent, request->id, &err);
        return;
    }
    struct buf *out = agentd_reply(agent, request->id);
    line_key_int(out, "port", agent->gauge.port);
    line_end(out);
}

void agentd_gauge_send(struct agentd *agent, const struct agentd_request *request)
{
    struct agentd_gauge *gauge = &agent->gauge;
    struct err err = ERR_INIT;
    struct agentd_address target;
    union agentd_socket_address to;
    union {
        struct datagram datagram;
        char bytes[AGENTD_GAUGE_SIZE_MAX];
    } out = {.bytes = {0}};
    if (agentd_address_parse(line_get(request->line, "to"), &target, &err) != ERR_NONE ||
        agentd_gauge_open(gauge, &err) != ERR_NONE) {
        agentd_reply_err(agent, request->id, &err);
        return;
    }
    if (gauge->family == AF_INET && target.family == AF_INET6) {
        agentd_reply_error(agent, request->id, "unsupported", "this node has no IPv6");
        return;
    }
    socklen_t to_length = agentd_udp_target(
        &to, &target, (uint16_t)line_get_int(request->line, "port", 0), gauge->family);
    size_t size = (size_t)line_get_int(request->line, "size", 0);
    uint32_t count = (uint32_t)line_get_int(request->line, "count", 0), sent = 0;
    memcpy(out.datagram.magic, magic, sizeof magic);
    out.datagram.run = (uint64_t)line_get_int(request->line, "run", 0);
    out.datagram.kind = line_get_int(request->line, "echo", 1) != 0 ? ASKING : SILENT;
    for (uint32_t i = 0; i < count; i++) {
        out.datagram.sequence = i;
        out.datagram.sent_ns = clock_monotonic_ns();
        sent += sendto(gauge->fd, &out, size < sizeof out.datagram ? sizeof out.datagram : size, 0,
                       &to.any, to_length) > 0;
    }
    struct buf *reply = agentd_reply(agent, request->id);
    line_key_int(reply, "sent", sent);
    line_end(reply);
}

/* The datagrams of this network namespace whose check sums were wrong, since it began. */
static int64_t checksum_errors(void)
{
    int64_t total = 0;
    char names[2048], values[2048];
    FILE *file = fopen("/proc/self/net/snmp", "re");
    while (file != NULL && fgets(names, sizeof names, file) != NULL) {
        if (strncmp(names, "Udp:", 4) != 0 || fgets(values, sizeof values, file) == NULL)
            continue;
        char *rest = names, *other = values, *name;
        while ((name = strsep(&rest, " \n")) != NULL) {
            const char *value = strsep(&other, " \n");
            if (strcmp(name, "InCsumErrors") == 0 && value != NULL)
                total += strtoll(value, NULL, 10);
        }
    }
    if (file != NULL)
        fclose(file);
    file = fopen("/proc/self/net/snmp6", "re");
    while (file != NULL && fgets(names, sizeof names, file) != NULL)
        if (strncmp(names, "Udp6InCsumErrors", 16) == 0)
            total += strtoll(names + 16, NULL, 10);
    if (file != NULL)
        fclose(file);
    return total;
}

static int by_size(const void *left, const void *right)
{
    int64_t a = *(const int64_t *)left, b = *(const int64_t *)right;
    return a < b ? -1 : a > b;
}

void agentd_gauge_read(struct agentd *agent, const struct agentd_request *request)
{
    struct err err = ERR_INIT;
    if (agentd_gauge_open(&agent->gauge, &err) != ERR_NONE) {
        agentd_reply_err(agent, request->id, &err);
        return;
    }
    struct agentd_gauge_run *run = arena_alloc(&agent->scratch, sizeof *run);
    pthread_mutex_lock(&agent->gauge.lock);
    *run = *run_of(&agent->gauge, (uint64_t)line_get_int(request->line, "run", 0));
    pthread_mutex_unlock(&agent->gauge.lock);
    qsort(run->trips_ns, run->echoes, sizeof *run->trips_ns, by_size);
    struct buf *out = agentd_reply(agent, request->id);
    line_key_int(out, "unique", run->unique);
    line_key_int(out, "duplicates", run->duplicates);
    line_key_int(out, "overtaken", run->overtaken);
    line_key_int(out, "bytes", (int64_t)run->bytes);
    line_key_int(out, "span_ns", run->last_ns - run->first_ns);
    line_key_int(out, "checksum_errors", checksum_errors());
    line_key_int(out, "echoes", run->echoes);
    static const struct {
        const char *key;
        uint32_t percent;
    } quantiles[] = {
        {"trip_min_ns", 0}, {"trip_p10_ns", 10}, {"trip_median_ns", 50}, {"trip_p90_ns", 90}};
    for (size_t i = 0; i < sizeof quantiles / sizeof *quantiles && run->echoes > 0; i++)
        line_key_int(out, quantiles[i].key,
                     run->trips_ns[(run->echoes - 1) * quantiles[i].percent / 100]);
    line_end(out);
}
