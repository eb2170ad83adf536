/* A closed loop against a queue: so many connections, each with so many requests outstanding,
 * bodies of 100 bytes. One thread, one epoll. Prints one line: operations a second, and the time
 * that one took in microseconds at the 50th, 99th and 99.9th percentile and at most.
 *
 *   queue_bench PROTOCOL PORT add|get CONNECTIONS PIPELINE SECONDS [QUEUE]
 *   queue_bench touch GIGABYTES
 *
 * `get` takes a job and acknowledges it, as one operation, of jobs that it has added before. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "tests/bench/queue_client.h"

enum { CONNECTIONS_MAX = 256, PIPELINE_MAX = 64, SAMPLES_MAX = 8 << 20, READ_BYTES = 1 << 18 };

static const uint64_t SILENCE_NS = 500000000, STUCK_NS = 10000000000;

enum kind { ADD, TAKE, ACKNOWLEDGE };

struct slot {
    uint64_t begun_ns;
    enum kind kind;
};

struct loop {
    struct bench_connection connection;
    struct slot slots[PIPELINE_MAX]; /* a ring, oldest first */
    uint32_t first, count;
};

static const struct bench_protocol *protocols[] = {&bench_queue, &bench_stream, &bench_beanstalk,
                                                   &bench_nats,  &bench_amqp,   &bench_probe};

static const struct bench_protocol *protocol;
static const char *queue;
static char body[BENCH_BODY + 1];
static struct loop loops[CONNECTIONS_MAX];
static uint32_t *samples, sample_count;
static uint64_t done, until_ns;
static bool measuring, dry;

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static void die(const char *what, const char *why)
{
    fprintf(stderr, "queue_bench: %s: %s\n", what, why);
    exit(1);
}

void bench_put(struct bench_bytes *bytes, const void *data, size_t length)
{
    if (bytes->end + length > bytes->capacity) {
        memmove(bytes->data, bytes->data + bytes->start, bytes->end - bytes->start);
        bytes->end -= bytes->start;
        bytes->start = 0;
        if (bytes->end + length > bytes->capacity / 2) {
            bytes->capacity = (bytes->end + length) * 2 + 4096;
            bytes->data = realloc(bytes->data, bytes->capacity);
            if (bytes->data == NULL)
                abort();
        }
    }
    memcpy(bytes->data + bytes->end, data, length);
    bytes->end += length;
}

void bench_print(struct bench_bytes *bytes, const char *format, ...)
{
    char text[1024];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    bench_put(bytes, text, (size_t)length);
}

static void send_out(struct bench_connection *connection, int flags)
{
    struct bench_bytes *out = &connection->out;
    while (out->start < out->end) {
        ssize_t sent = send(connection->socket, out->data + out->start, out->end - out->start,
                            MSG_NOSIGNAL | flags);
        if (sent < 0 && errno == EAGAIN)
            return;
        if (sent <= 0)
            die("send", strerror(errno));
        out->start += (size_t)sent;
    }
    out->start = out->end = 0;
}

static bool receive(struct bench_connection *connection, int flags)
{
    static char chunk[READ_BYTES];
    ssize_t got = recv(connection->socket, chunk, sizeof chunk, flags);
    if (got < 0 && errno == EAGAIN)
        return false;
    if (got <= 0)
        die("receive", got == 0 ? "the server closed the connection" : strerror(errno));
    bench_put(&connection->in, chunk, (size_t)got);
    return true;
}

void bench_flush(struct bench_connection *connection)
{
    send_out(connection, 0);
}

void bench_fill(struct bench_connection *connection)
{
    receive(connection, 0);
}

static void open_connection(struct bench_connection *connection, int number, int port, bool takes,
                            uint32_t pipeline)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int on = 1;
    connection->number = number;
    connection->socket = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connect(connection->socket, (struct sockaddr *)&address, sizeof address) != 0)
        die("connect", strerror(errno));
    setsockopt(connection->socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (protocol->open != NULL)
        protocol->open(connection, queue, takes, pipeline);
}

/* What the client does is taken from the processors that the servers need: little. */
static void add(struct bench_connection *connection)
{
    if (connection->request_length > 0) {
        bench_put(&connection->out, connection->request, connection->request_length);
        return;
    }
    protocol->add(connection, queue, body);
    size_t length = connection->out.end - connection->out.start;
    if (!protocol->adds_alike || length > sizeof connection->request)
        return;
    memcpy(connection->request, connection->out.data + connection->out.start, length);
    connection->request_length = length;
}

static void ask(struct loop *loop, enum kind kind, uint64_t begun_ns)
{
    struct bench_connection *connection = &loop->connection;
    loop->slots[(loop->first + loop->count++) % PIPELINE_MAX] = (struct slot){begun_ns, kind};
    if (kind == ADD)
        add(connection);
    else
        protocol->take(connection, queue);
}

static void operation_done(uint64_t begun_ns, uint64_t end_ns)
{
    done++;
    if (measuring && sample_count < SAMPLES_MAX)
        samples[sample_count++] = (uint32_t)((end_ns - begun_ns) / 1000);
}

/* One reply: the slot's next request, or the next operation while there is time. */
static void advance(struct loop *loop, enum bench_reply reply, uint64_t end_ns)
{
    struct bench_connection *connection = &loop->connection;
    struct slot slot = loop->slots[loop->first];
    loop->first = (loop->first + 1) % PIPELINE_MAX;
    loop->count--;
    if (reply == BENCH_ERROR)
        die("reply", connection->id);
    if (reply == BENCH_JOB) {
        if (protocol->acknowledge(connection, queue, connection->id)) {
            slot.kind = ACKNOWLEDGE;
            loop->slots[(loop->first + loop->count++) % PIPELINE_MAX] = slot;
            return;
        }
    }
    if (reply == BENCH_EMPTY) {
        dry = true;
        return;
    }
    operation_done(slot.begun_ns, end_ns);
    if (end_ns < until_ns && !dry)
        ask(loop, slot.kind == ADD ? ADD : TAKE, end_ns);
}

static void take_replies(struct loop *loop)
{
    uint64_t end_ns = now_ns();
    while (loop->count > 0) {
        enum bench_reply reply = protocol->reply(&loop->connection, queue);
        if (reply == BENCH_MORE)
            return;
        advance(loop, reply, end_ns);
    }
}

/* Runs until the time is over, or nothing is left to take, and all is answered; the seconds. */
static double run(enum kind kind, int port, uint32_t connections, uint32_t pipeline, double seconds)
{
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    uint32_t busy = connections;
    bool silent_end = protocol->pushes && kind == TAKE;
    dry = false;
    done = 0;
    for (uint32_t i = 0; i < connections; i++) {
        loops[i].count = 0;
        loops[i].connection = (struct bench_connection){.socket = -1};
        open_connection(&loops[i].connection, (int)i, port, kind == TAKE, pipeline);
        struct epoll_event event = {.events = EPOLLIN, .data.u32 = i};
        epoll_ctl(epoll, EPOLL_CTL_ADD, loops[i].connection.socket, &event);
    }
    uint64_t begun_ns = now_ns(), last_ns = begun_ns;
    until_ns = begun_ns + (uint64_t)(seconds * 1e9);
    for (uint32_t i = 0; i < connections; i++) {
        for (uint32_t k = 0; k < pipeline; k++)
            ask(&loops[i], kind, begun_ns);
        send_out(&loops[i].connection, 0);
    }
    while (busy > 0) {
        struct epoll_event events[64];
        int count = epoll_wait(epoll, events, 64, 100);
        if (now_ns() - last_ns > (silent_end ? SILENCE_NS : STUCK_NS)) {
            if (silent_end)
                break;
            die("reply", "none in ten seconds");
        }
        for (int i = 0; i < count; i++) {
            struct loop *loop = &loops[events[i].data.u32];
            bool was = loop->count > 0;
            uint64_t before = done;
            if (receive(&loop->connection, MSG_DONTWAIT) && was)
                take_replies(loop);
            else if (!was)
                loop->connection.in.start = loop->connection.in.end; /* pushed all the same */
            send_out(&loop->connection, 0);
            busy -= was && loop->count == 0;
            if (done > before || !silent_end)
                last_ns = now_ns();
        }
    }
    double took = (double)(last_ns - begun_ns) / 1e9;
    for (uint32_t i = 0; i < connections; i++) {
        close(loops[i].connection.socket);
        free(loops[i].connection.in.data);
        free(loops[i].connection.out.data);
    }
    close(epoll);
    return took;
}

static int ascending(const void *left, const void *right)
{
    uint32_t a = *(const uint32_t *)left, b = *(const uint32_t *)right;
    return a < b ? -1 : a > b;
}

static uint32_t percentile(double part)
{
    return sample_count == 0 ? 0 : samples[(uint32_t)((double)(sample_count - 1) * part)];
}

/* A virtual machine may get memory from its host only when it is first touched, at a twentieth of
 * the speed, and give it back soon after it is free. Figures are to be read with this one. */
static int touch(double gigabytes)
{
    size_t length = (size_t)(gigabytes * (1 << 30));
    char *memory = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        die("memory", strerror(errno));
    madvise(memory, length, MADV_HUGEPAGE);
    uint64_t begun_ns = now_ns();
    for (size_t i = 0; i < length; i += 4096)
        memory[i] = 1;
    printf("%.1f GB/s\n", (double)length / (double)(now_ns() - begun_ns));
    return 0;
}

int main(int count, char **arguments)
{
    char name[BENCH_NAME_MAX];
    if (count == 3 && strcmp(arguments[1], "touch") == 0)
        return touch(atof(arguments[2]));
    if (count < 7) {
        fprintf(stderr, "queue_bench PROTOCOL PORT add|get CONNECTIONS PIPELINE SECONDS [QUEUE]\n");
        return 254;
    }
    for (size_t i = 0; i < sizeof protocols / sizeof *protocols; i++) {
        if (strcmp(protocols[i]->name, arguments[1]) == 0)
            protocol = protocols[i];
    }
    if (protocol == NULL)
        die(arguments[1], "no such protocol");
    int port = atoi(arguments[2]);
    bool gets = strcmp(arguments[3], "get") == 0;
    uint32_t connections = (uint32_t)atoi(arguments[4]), pipeline = (uint32_t)atoi(arguments[5]);
    double seconds = atof(arguments[6]);
    if (connections < 1 || connections > CONNECTIONS_MAX || pipeline < 1 || pipeline > PIPELINE_MAX)
        die("connections or pipeline", "out of range");
    snprintf(name, sizeof name, "bench%d", (int)getpid());
    queue = count > 7 ? arguments[7] : name;
    memset(body, 'x', BENCH_BODY);
    samples = malloc(SAMPLES_MAX * sizeof *samples);
    if (samples == NULL)
        abort();
    if (gets)
        run(ADD, port, 16, 32, seconds);
    measuring = true;
    double took = run(gets ? TAKE : ADD, port, connections, pipeline, seconds);
    qsort(samples, sample_count, sizeof *samples, ascending);
    printf("%.0f %u %u %u %u\n", (double)done / took, percentile(0.5), percentile(0.99),
           percentile(0.999), percentile(1));
    return 0;
}
