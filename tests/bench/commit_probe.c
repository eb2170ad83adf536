/* The commit path and nothing else: what a replicated queue could at most do on this machine.
 *
 * A leader and two followers. Requests of 100 bytes are gathered per turn of the leader's event
 * loop into a batch with a CRC-32C, which all three write and fdatasync; clients are answered when
 * two of the three have it. No elections, no state, no memory of what was said: an upper bound.
 *
 *   commit_probe follower PORT FILE [nosync]
 *   commit_probe leader PORT FILE FOLLOWER-PORT FOLLOWER-PORT [nosync]
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "queue/crc32c.h"

enum {
    REQUEST = 100,
    REPLY = 4,
    CLIENTS_MAX = 256,
    HEADER = 16, /* number, length, checksum */
    LOG_BYTES = 1 << 30,
    EVENTS = 64,
    READ_BYTES = 1 << 18,
};

struct bytes {
    char *data;
    size_t length, capacity;
};

static void put(struct bytes *bytes, const void *data, size_t length)
{
    if (bytes->length + length > bytes->capacity) {
        bytes->capacity = (bytes->length + length) * 2;
        bytes->data = realloc(bytes->data, bytes->capacity);
        if (bytes->data == NULL)
            abort();
    }
    memcpy(bytes->data + bytes->length, data, length);
    bytes->length += length;
}

static void drop(struct bytes *bytes, size_t length)
{
    bytes->length -= length;
    memmove(bytes->data, bytes->data + length, bytes->length);
}

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static bool syncs = true;

/* A log that begins again at its front when it is full: nothing is ever read. */
static void persist(int file, off_t *at, const char *data, size_t length)
{
    if (*at + (off_t)length > LOG_BYTES)
        *at = 0;
    if (pwrite(file, data, length, *at) != (ssize_t)length)
        die("write");
    *at += (off_t)length;
    if (syncs && fdatasync(file) != 0)
        die("fdatasync");
}

/* Preallocated and zeroed, as the queue's segments are, so that a sync has no metadata to write. */
static int open_log(const char *path)
{
    int file = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (file < 0 || posix_fallocate(file, 0, LOG_BYTES) != 0 || fsync(file) != 0)
        die(path);
    return file;
}

static struct sockaddr_in address_of(const char *port)
{
    return (struct sockaddr_in){.sin_family = AF_INET,
                                .sin_port = htons((uint16_t)atoi(port)),
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

static void no_delay(int socket)
{
    int on = 1;
    setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

static int listen_on(const char *port)
{
    struct sockaddr_in address = address_of(port);
    int file = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
    setsockopt(file, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(file, (struct sockaddr *)&address, sizeof address) != 0 || listen(file, 256) != 0)
        die("listen");
    return file;
}

static void send_all(int socket, const char *data, size_t length)
{
    while (length > 0) {
        ssize_t sent = send(socket, data, length, MSG_NOSIGNAL);
        if (sent <= 0)
            die("send");
        data += sent;
        length -= (size_t)sent;
    }
}

/* Follower: whatever batches have come are one write and one sync. */

static size_t whole_batches(const struct bytes *in, uint64_t *last)
{
    size_t at = 0;
    while (in->length - at >= HEADER) {
        uint32_t length, crc;
        memcpy(&length, in->data + at + 8, 4);
        memcpy(&crc, in->data + at + 12, 4);
        if (in->length - at < HEADER + (size_t)length)
            break;
        if (crc32c(0, in->data + at + HEADER, length) != crc)
            die("checksum");
        memcpy(last, in->data + at, 8);
        at += HEADER + (size_t)length;
    }
    return at;
}

static int follow(char **arguments)
{
    int file = open_log(arguments[3]), listening = listen_on(arguments[2]);
    int leader = accept(listening, NULL, NULL);
    no_delay(leader);
    struct bytes in = {0};
    off_t at = 0;
    static char chunk[4 << 20];
    for (;;) {
        ssize_t got = recv(leader, chunk, sizeof chunk, 0);
        if (got <= 0)
            return 0;
        put(&in, chunk, (size_t)got);
        uint64_t last;
        size_t length = whole_batches(&in, &last);
        if (length == 0)
            continue;
        persist(file, &at, in.data, length);
        drop(&in, length);
        send_all(leader, (char *)&last, sizeof last);
    }
}

/* Leader. */

struct client {
    int socket;
    struct bytes in;
    uint32_t turn; /* requests in the batch being gathered */
};

/* Who is answered, and how often, when a batch is on two disks. */
struct batch {
    uint64_t number;
    uint32_t count;
    struct {
        struct client *client;
        uint32_t replies;
    } asked[CLIENTS_MAX];
    struct batch *next;
};

static struct {
    pthread_mutex_t lock;
    pthread_cond_t wake;
    struct bytes queued;
    uint64_t queued_last, written;
    int file, event;
} writer = {.lock = PTHREAD_MUTEX_INITIALIZER, .wake = PTHREAD_COND_INITIALIZER};

static void *write_log(void *unused)
{
    (void)unused;
    struct bytes mine = {0};
    off_t at = 0;
    for (;;) {
        pthread_mutex_lock(&writer.lock);
        while (writer.queued.length == 0)
            pthread_cond_wait(&writer.wake, &writer.lock);
        struct bytes taken = writer.queued;
        uint64_t last = writer.queued_last;
        mine.length = 0;
        writer.queued = mine;
        pthread_mutex_unlock(&writer.lock);
        persist(writer.file, &at, taken.data, taken.length);
        mine = taken;
        pthread_mutex_lock(&writer.lock);
        writer.written = last;
        pthread_mutex_unlock(&writer.lock);
        eventfd_write(writer.event, 1);
    }
    return NULL;
}

static struct client clients[CLIENTS_MAX];
static uint32_t client_count;
static int followers[2];
static uint64_t matched[2];
static struct batch *waiting, **waiting_end = &waiting;

static int connect_to(const char *port)
{
    struct sockaddr_in address = address_of(port);
    for (int i = 0; i < 200; i++) {
        int file = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (connect(file, (struct sockaddr *)&address, sizeof address) == 0) {
            no_delay(file);
            return file;
        }
        close(file);
        usleep(20000);
    }
    die("connect");
    return -1;
}

static void read_client(struct client *client, struct bytes *batch)
{
    static char chunk[READ_BYTES];
    ssize_t got = recv(client->socket, chunk, sizeof chunk, MSG_DONTWAIT);
    if (got == 0 || (got < 0 && errno != EAGAIN)) {
        close(client->socket);
        client->socket = -1;
        return;
    }
    if (got < 0)
        return;
    put(&client->in, chunk, (size_t)got);
    size_t whole = client->in.length / REQUEST;
    put(batch, client->in.data, whole * REQUEST);
    client->turn += (uint32_t)whole;
    drop(&client->in, whole * REQUEST);
}

/* All that came in this turn. */
static void commit(struct bytes *content, uint64_t number)
{
    struct batch *batch = calloc(1, sizeof *batch);
    batch->number = number;
    for (uint32_t i = 0; i < client_count; i++) {
        if (clients[i].turn == 0)
            continue;
        batch->asked[batch->count].client = &clients[i];
        batch->asked[batch->count++].replies = clients[i].turn;
        clients[i].turn = 0;
    }
    *waiting_end = batch;
    waiting_end = &batch->next;
    uint32_t length = (uint32_t)content->length;
    uint32_t crc = crc32c(0, content->data, length);
    struct bytes framed = {0};
    put(&framed, &number, 8);
    put(&framed, &length, 4);
    put(&framed, &crc, 4);
    put(&framed, content->data, length);
    send_all(followers[0], framed.data, framed.length);
    send_all(followers[1], framed.data, framed.length);
    pthread_mutex_lock(&writer.lock);
    put(&writer.queued, framed.data, framed.length);
    writer.queued_last = number;
    pthread_cond_signal(&writer.wake);
    pthread_mutex_unlock(&writer.lock);
    free(framed.data);
    content->length = 0;
}

static uint64_t on_two_disks(void)
{
    pthread_mutex_lock(&writer.lock);
    uint64_t own = writer.written;
    pthread_mutex_unlock(&writer.lock);
    uint64_t low = matched[0] < matched[1] ? matched[0] : matched[1];
    uint64_t high = matched[0] < matched[1] ? matched[1] : matched[0];
    return own >= high ? high : own > low ? own : low;
}

static void answer(void)
{
    static const char ok[CLIENTS_MAX * REPLY];
    uint64_t committed = on_two_disks();
    while (waiting != NULL && waiting->number <= committed) {
        struct batch *batch = waiting;
        for (uint32_t i = 0; i < batch->count; i++) {
            size_t left = (size_t)batch->asked[i].replies * REPLY;
            while (left > 0 && batch->asked[i].client->socket >= 0) {
                size_t part = left < sizeof ok ? left : sizeof ok;
                send_all(batch->asked[i].client->socket, ok, part);
                left -= part;
            }
        }
        waiting = batch->next;
        if (waiting == NULL)
            waiting_end = &waiting;
        free(batch);
    }
}

static void read_follower(int i)
{
    static struct bytes in[2];
    char chunk[4096];
    ssize_t got = recv(followers[i], chunk, sizeof chunk, MSG_DONTWAIT);
    if (got == 0)
        exit(0);
    if (got < 0)
        return;
    put(&in[i], chunk, (size_t)got);
    size_t whole = in[i].length / 8 * 8;
    if (whole > 0)
        memcpy(&matched[i], in[i].data + whole - 8, 8);
    drop(&in[i], whole);
}

static void watch(int epoll, int file, uint64_t tag)
{
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = tag};
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, file, &event) != 0)
        die("epoll");
}

enum { TAG_LISTEN = CLIENTS_MAX, TAG_WRITER, TAG_FOLLOWER };

static void handle(uint64_t tag, int epoll, int listening, struct bytes *batch)
{
    eventfd_t count;
    if (tag == TAG_WRITER) {
        eventfd_read(writer.event, &count);
    } else if (tag >= TAG_FOLLOWER) {
        read_follower((int)(tag - TAG_FOLLOWER));
    } else if (tag == TAG_LISTEN) {
        uint32_t place = 0;
        while (place < client_count && clients[place].socket >= 0)
            place++;
        if (place == CLIENTS_MAX)
            die("clients");
        client_count += place == client_count;
        clients[place].socket = accept(listening, NULL, NULL);
        clients[place].in.length = 0;
        no_delay(clients[place].socket);
        watch(epoll, clients[place].socket, place);
    } else {
        read_client(&clients[tag], batch);
    }
}

static void lead(char **arguments)
{
    writer.file = open_log(arguments[3]);
    writer.event = eventfd(0, EFD_NONBLOCK);
    int listening = listen_on(arguments[2]), epoll = epoll_create1(0);
    pthread_t thread;
    pthread_create(&thread, NULL, write_log, NULL);
    watch(epoll, listening, TAG_LISTEN);
    watch(epoll, writer.event, TAG_WRITER);
    for (int i = 0; i < 2; i++) {
        followers[i] = connect_to(arguments[4 + i]);
        watch(epoll, followers[i], TAG_FOLLOWER + (uint64_t)i);
    }
    struct bytes batch = {0};
    for (uint64_t number = 1;;) {
        struct epoll_event events[EVENTS];
        int count = epoll_wait(epoll, events, EVENTS, -1);
        for (int i = 0; i < count; i++)
            handle(events[i].data.u64, epoll, listening, &batch);
        if (batch.length > 0)
            commit(&batch, number++);
        answer();
    }
}

int main(int count, char **arguments)
{
    syncs = count < 2 || strcmp(arguments[count - 1], "nosync") != 0;
    if (count >= 4 && strcmp(arguments[1], "follower") == 0)
        return follow(arguments);
    if (count >= 6 && strcmp(arguments[1], "leader") == 0)
        lead(arguments);
    fprintf(stderr, "commit_probe follower PORT FILE [nosync] |\n"
                    "commit_probe leader PORT FILE FOLLOWER-PORT FOLLOWER-PORT [nosync]\n");
    return 254;
}
