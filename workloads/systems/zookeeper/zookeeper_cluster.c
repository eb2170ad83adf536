/* A ZooKeeper ensemble as one sees it from outside: its options and configuration, whether it
 * serves, who leads, its version. Servers tell by "srvr", one of the four-letter words. */
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "harness/base/clock.h"
#include "harness/base/text.h"
#include "workloads/at_once.h"
#include "workloads/systems/common.h"
#include "workloads/systems/zookeeper/zookeeper_system.h"

const struct option zookeeper_options[] = {
    {.name = "reads",
     .kind = OPTION_CHOICE,
     .fallback = "quorum",
     .choices = "quorum|sync|local",
     .help = "quorum: after a transaction that changes nothing; sync: after a sync, which asks "
             "whoever leads, and nobody else; local: what the worker's server has, however old"},
    {.name = "force-sync",
     .kind = OPTION_BOOL,
     .fallback = "true",
     .help = "sync the log of transactions before answering (zookeeper.forceSync)"},
    {.name = "session-ms",
     .kind = OPTION_INT,
     .fallback = "4000",
     .help = "time-out of sessions, after which their locks go to others; between 2 and 20 ticks"},
    {.name = "tick-ms",
     .kind = OPTION_INT,
     .fallback = "500",
     .help = "tickTime; ZooKeeper's example has 2000, with which it notices faults later"},
    {.name = "init-limit",
     .kind = OPTION_INT,
     .fallback = "20",
     .help = "ticks that a server may take to follow whoever leads (initLimit)"},
    {.name = "sync-limit",
     .kind = OPTION_INT,
     .fallback = "4",
     .help = "ticks of silence after which a server is not followed any more (syncLimit)"},
    {.name = "heap-mb", .kind = OPTION_INT, .fallback = "256", .help = "memory of each server"},
    {.name = "class-path",
     .kind = OPTION_TEXT,
     .fallback = "/usr/share/java/zookeeper.jar:/usr/share/java/slf4j-simple.jar",
     .help = "where Java finds ZooKeeper on the nodes, and one logger of slf4j"},
    {.name = "data-dir",
     .kind = OPTION_TEXT,
     .fallback = "/var/lib/ordeal-zookeeper",
     .help = "where each node keeps its data; removed whole before a run"},
    {.name = "client-port", .kind = OPTION_INT, .fallback = "2181", .help = "port for clients"},
    {.name = "peer-port",
     .kind = OPTION_INT,
     .fallback = "2888",
     .help = "port for servers; elections are held 1000 above"},
    {.name = NULL},
};

static uint16_t port_of(const struct test *test, const char *name)
{
    return (uint16_t)option_int(&test->plan->options, name);
}

uint16_t zookeeper_client_port(const struct test *test)
{
    return port_of(test, "zookeeper.client-port");
}

uint16_t zookeeper_peer_port(const struct test *test)
{
    return port_of(test, "zookeeper.peer-port");
}

/* A server of one node stands alone, as ZooKeeper has it. */
void zookeeper_config(const struct test *test, uint32_t node, struct buf *text)
{
    const struct options *options = &test->plan->options;
    unsigned peer_port = zookeeper_peer_port(test);
    (void)node;
    buf_printf(text, "tickTime=%lld\ninitLimit=%lld\nsyncLimit=%lld\n",
               (long long)option_int(options, "zookeeper.tick-ms"),
               (long long)option_int(options, "zookeeper.init-limit"),
               (long long)option_int(options, "zookeeper.sync-limit"));
    buf_printf(text, "dataDir=%s\nclientPort=%u\n", option_text(options, "zookeeper.data-dir"),
               (unsigned)zookeeper_client_port(test));
    buf_add_text(text, "maxClientCnxns=0\nadmin.enableServer=false\n"
                       "4lw.commands.whitelist=srvr,ruok\n");
    for (uint32_t i = 0; i < test->node_count && test->node_count > 1; i++) {
        const char *peer = node_peer_address(&test->nodes[i]);
        bool ipv6 = strchr(peer, ':') != NULL;
        buf_printf(text, "server.%u=%s%s%s:%u:%u\n", (unsigned)i + 1, ipv6 ? "[" : "", peer,
                   ipv6 ? "]" : "", peer_port, peer_port + 1000);
    }
}

/* ---- Four-letter words ---- */

struct question {
    const struct test *test;
    uint32_t node;
    int64_t timeout_ns;
    struct buf answer; /* "" and trouble: none came */
    const char *trouble;
};

/* Waits for the socket; false: not before the deadline. */
static bool is_ready(int fd, short events, int64_t deadline_ns)
{
    struct pollfd poll_fd = {.fd = fd, .events = events};
    int64_t left_ms = (deadline_ns - clock_monotonic_ns()) / NS_PER_MS;
    return poll(&poll_fd, 1, left_ms < 0 ? 0 : (int)left_ms) == 1;
}

static const char *talk(int fd, const struct addrinfo *to, int64_t deadline_ns, struct buf *answer)
{
    int failure = 0;
    socklen_t size = sizeof failure;
    char part[512];
    if (connect(fd, to->ai_addr, to->ai_addrlen) != 0 && errno != EINPROGRESS)
        return strerror(errno);
    if (!is_ready(fd, POLLOUT, deadline_ns))
        return "no connection in time";
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &failure, &size) != 0 || failure != 0)
        return strerror(failure);
    if (send(fd, "srvr", 4, MSG_NOSIGNAL) != 4)
        return "srvr cannot be sent";
    for (;;) { /* the server closes the connection */
        if (!is_ready(fd, POLLIN, deadline_ns))
            return "no answer in time";
        ssize_t length = recv(fd, part, sizeof part, 0);
        if (length <= 0)
            return answer->length > 0 ? NULL : "the connection ended without an answer";
        buf_add(answer, part, (size_t)length);
    }
}

static void *ask(void *state)
{
    struct question *question = state;
    struct addrinfo *found = NULL, hints = {.ai_socktype = SOCK_STREAM};
    char port[8];
    snprintf(port, sizeof port, "%u", (unsigned)zookeeper_client_port(question->test));
    const char *host = node_address(&question->test->nodes[question->node]);
    question->trouble = "its address is not known";
    if (getaddrinfo(host, port, &hints, &found) != 0)
        return NULL;
    int fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    question->trouble =
        fd < 0 ? strerror(errno)
               : talk(fd, found, clock_monotonic_ns() + question->timeout_ns, &question->answer);
    if (fd >= 0)
        close(fd);
    freeaddrinfo(found);
    return NULL;
}

/* Of all nodes, at once; `questions` has room for them, and is freed by forget(). */
static void ask_all(const struct test *test, int64_t timeout_ns, struct question *questions)
{
    for (uint32_t i = 0; i < test->node_count; i++)
        questions[i] = (struct question){
            .test = test, .node = i, .timeout_ns = timeout_ns, .answer = BUF_INIT};
    at_once(questions, sizeof *questions, test->node_count, ask);
}

static void forget(struct question *questions, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        buf_free(&questions[i].answer);
}

/* The rest of the line that begins so; NULL: there is none. */
static const char *line_after(const char *text, const char *beginning)
{
    for (; text != NULL; text = strchr(text, '\n')) {
        text += *text == '\n';
        if (text_starts(text, beginning))
            return text + strlen(beginning);
    }
    return NULL;
}

enum zookeeper_mode zookeeper_mode_of(const char *srvr)
{
    const char *mode = line_after(srvr, "Mode: ");
    if (mode == NULL)
        return ZOOKEEPER_SILENT;
    return text_starts(mode, "leader")       ? ZOOKEEPER_LEADS
           : text_starts(mode, "follower")   ? ZOOKEEPER_FOLLOWS
           : text_starts(mode, "standalone") ? ZOOKEEPER_ALONE
                                             : ZOOKEEPER_SILENT;
}

void zookeeper_version_of(const char *srvr, struct buf *version)
{
    const char *found = line_after(srvr, "Zookeeper version: ");
    if (found != NULL)
        buf_add(version, found, strspn(found, "0123456789."));
}

/* ---- Whether it serves ---- */

/* As an application does when it comes up. */
static bool make_root(struct test *test, struct buf *why_not)
{
    struct zookeeper_asker asker;
    zookeeper_asker_init(&asker, test, 0);
    asker.deadline_ns = clock_monotonic_ns() + 4 * NS_PER_SECOND;
    enum zookeeper_outcome outcome =
        zookeeper_create(&asker, ZOOKEEPER_ROOT, "", ZOOKEEPER_LASTING);
    bool made = outcome == ZOOKEEPER_DONE || outcome == ZOOKEEPER_NODE_EXISTS;
    if (!made) {
        buf_printf(why_not, "%s: " ZOOKEEPER_ROOT " cannot be made: %s %s", test->nodes[0].name,
                   asker.error, asker.detail);
    }
    zookeeper_asker_close(&asker);
    return made;
}

bool zookeeper_ready(struct test *test, struct buf *why_not)
{
    struct question questions[PLAN_NODES_MAX];
    uint32_t leaders = 0, serving = 0;
    ask_all(test, NS_PER_SECOND, questions);
    for (uint32_t i = 0; i < test->node_count; i++) {
        enum zookeeper_mode mode = zookeeper_mode_of(buf_text(&questions[i].answer));
        leaders += mode == ZOOKEEPER_LEADS || mode == ZOOKEEPER_ALONE;
        serving += mode != ZOOKEEPER_SILENT;
        if (mode == ZOOKEEPER_SILENT)
            system_trouble(test, i,
                           questions[i].trouble != NULL ? questions[i].trouble
                                                        : "it neither leads nor follows",
                           why_not);
    }
    forget(questions, test->node_count);
    if (serving == test->node_count && leaders != 1)
        system_trouble(test, SYSTEM_ALL_NODES,
                       leaders == 0 ? "none of them leads" : "more than one leads", why_not);
    return serving == test->node_count && leaders == 1 && make_root(test, why_not);
}

enum err_code zookeeper_primaries(struct test *test, node_set *primaries, struct err *err)
{
    (void)err;
    struct question questions[PLAN_NODES_MAX];
    *primaries = 0;
    ask_all(test, 300 * NS_PER_MS, questions);
    for (uint32_t i = 0; i < test->node_count; i++) {
        enum zookeeper_mode mode = zookeeper_mode_of(buf_text(&questions[i].answer));
        if (mode == ZOOKEEPER_LEADS || mode == ZOOKEEPER_ALONE)
            *primaries |= NODE_SET(i);
    }
    forget(questions, test->node_count);
    return ERR_NONE;
}

enum err_code zookeeper_version(struct test *test, struct buf *version, struct err *err)
{
    struct question question = {
        .test = test, .node = 0, .timeout_ns = 2 * NS_PER_SECOND, .answer = BUF_INIT};
    struct buf found = BUF_INIT;
    ask(&question);
    zookeeper_version_of(buf_text(&question.answer), &found);
    enum err_code code = ERR_NONE;
    const struct options *options = &test->plan->options;
    if (found.length == 0)
        code = err_set(err, ERR_REMOTE, "%s does not tell its version: %s", test->nodes[0].name,
                       question.trouble != NULL ? question.trouble : buf_text(&question.answer));
    else
        buf_printf(version, "ZooKeeper %s, %s reads%s", buf_text(&found),
                   option_text(options, "zookeeper.reads"),
                   option_bool(options, "zookeeper.force-sync") ? "" : ", forceSync=no");
    buf_free(&found);
    buf_free(&question.answer);
    return code;
}
