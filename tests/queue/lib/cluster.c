/* Starting, killing and asking real servers. */
#include "tests/queue/lib/cluster.h"
#include "tests/queue/lib/network.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

enum { READY_MS_MAX = 20000, PORTS_EACH = 3 };

uint64_t cluster_now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

unsigned cluster_port(const struct cluster *cluster, unsigned node)
{
    return cluster->base_port + node * PORTS_EACH;
}

unsigned cluster_peer_port(const struct cluster *cluster, unsigned node)
{
    return cluster_port(cluster, node) + 1;
}

unsigned cluster_metrics_port(const struct cluster *cluster, unsigned node)
{
    return cluster_port(cluster, node) + 2;
}

void cluster_path(const struct cluster *cluster, unsigned node, char *path, size_t size)
{
    snprintf(path, size, "%s/%u", cluster->directory, node);
}

static bool port_free(unsigned port)
{
    int file = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    setsockopt(file, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    bool good = bind(file, (struct sockaddr *)&address, sizeof address) == 0;
    close(file);
    return good;
}

/* A killed server's ports are free until it is started again: other tests must not take them for
 * theirs. The lock ends with this process. */
static bool reserve(unsigned base)
{
    char path[64];
    mkdir("/tmp/ordeal-queue-ports", 01777);
    snprintf(path, sizeof path, "/tmp/ordeal-queue-ports/%u", base);
    int file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (file >= 0 && flock(file, LOCK_EX | LOCK_NB) == 0)
        return true;
    close(file);
    return false;
}

/* Below the range from which the kernel takes ports for outgoing connections. */
static unsigned find_ports(unsigned count)
{
    static unsigned turn;
    for (int attempt = 0; attempt < 480; attempt++) {
        unsigned base = 20000 + ((unsigned)getpid() * 7 + turn++) % 480 * 20;
        unsigned port = reserve(base) ? base : base + count + 1;
        while (port < base + count && port_free(port))
            port++;
        if (port == base + count)
            return base;
    }
    fail_msg("no free ports");
    return 0;
}

static const char *peer_host(const struct cluster *cluster, unsigned node)
{
    if (cluster->network)
        return network_host(node);
    return cluster->host ? cluster->host : "127.0.0.1";
}

/* The clock is what the file says, each time it is asked; the monotonic one stays true. */
static void fake_clock(const char *file)
{
    setenv("LD_PRELOAD", CLUSTER_FAKETIME, 1);
    setenv("FAKETIME_TIMESTAMP_FILE", file, 1);
    setenv("FAKETIME_NO_CACHE", "1", 1);
    setenv("DONT_FAKE_MONOTONIC", "1", 1);
    setenv("FAKETIME_DONT_FAKE_MONOTONIC", "1", 1);
}

static void add_peers(const struct cluster *cluster, char *peers, size_t size)
{
    size_t length = 0;
    for (unsigned node = 1; node <= cluster->nodes; node++)
        length +=
            (size_t)snprintf(peers + length, size - length, "%s%u=%s:%u", node > 1 ? "," : "", node,
                             peer_host(cluster, node), cluster_peer_port(cluster, node));
}

static void run_server(const struct cluster *cluster, unsigned node)
{
    char program[512], path[300], number[16], port[16], peer_port[16], metrics[16], peers[512];
    char log[320];
    const char *arguments[40] = {program,
                                 "--dir",
                                 path,
                                 "--bind",
                                 cluster->network ? network_host(node) : "127.0.0.1",
                                 "--node",
                                 number,
                                 "--port",
                                 port,
                                 "--peer-port",
                                 peer_port,
                                 "--metrics-port",
                                 metrics,
                                 "--election-timeout",
                                 "300",
                                 "--peers",
                                 peers};
    size_t count = 17;
    const char *build = getenv("ORDEAL_BUILD");
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    snprintf(program, sizeof program, "%s/%s", build ? build : "build/release",
             cluster->program ? cluster->program : "ordeal-queue");
    cluster_path(cluster, node, path, sizeof path);
    snprintf(number, sizeof number, "%u", node);
    snprintf(port, sizeof port, "%u", cluster_port(cluster, node));
    snprintf(peer_port, sizeof peer_port, "%u", cluster_peer_port(cluster, node));
    snprintf(metrics, sizeof metrics, "%u", cluster_metrics_port(cluster, node));
    add_peers(cluster, peers, sizeof peers);
    if (cluster->nodes == 1 || node > cluster->nodes) {
        arguments[count - 2] = "--join";
        count -= node > cluster->nodes ? 1 : 2;
    }
    for (int i = 0; i < CLUSTER_EXTRA_MAX && cluster->extra[i] != NULL; i++)
        arguments[count++] = cluster->extra[i];
    arguments[count] = NULL;
    snprintf(log, sizeof log, "%s.log", path);
    int file = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    dup2(file, STDOUT_FILENO);
    dup2(file, STDERR_FILENO);
    if (cluster->network)
        network_enter(node);
    if (cluster->clock != NULL)
        fake_clock(cluster->clock);
    execv(program, (char **)arguments);
    _exit(127);
}

void cluster_start(struct cluster *cluster, unsigned node)
{
    assert_int_equal(cluster->pids[node], 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        run_server(cluster, node);
    cluster->pids[node] = pid;
}

int cluster_try(struct cluster *cluster, unsigned node, int wait_ms)
{
    cluster_start(cluster, node);
    uint64_t end_ms = cluster_now_ms() + (uint64_t)wait_ms;
    int status;
    while (cluster_now_ms() < end_ms) {
        if (waitpid(cluster->pids[node], &status, WNOHANG) > 0) {
            cluster->pids[node] = 0;
            return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
        }
        usleep(5000);
    }
    return -1;
}

void cluster_signal(struct cluster *cluster, unsigned node, int signal)
{
    assert_int_not_equal(cluster->pids[node], 0);
    assert_int_equal(kill(cluster->pids[node], signal), 0);
}

int cluster_stop(struct cluster *cluster, unsigned node)
{
    int status;
    cluster_signal(cluster, node, SIGTERM);
    waitpid(cluster->pids[node], &status, 0);
    cluster->pids[node] = 0;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static void remove_directory(const char *path)
{
    char name[900];
    DIR *directory = opendir(path);
    if (directory == NULL)
        return;
    for (struct dirent *file = readdir(directory); file != NULL; file = readdir(directory)) {
        snprintf(name, sizeof name, "%s/%s", path, file->d_name);
        if (file->d_name[0] != '.' && unlink(name) != 0)
            remove_directory(name);
    }
    closedir(directory);
    rmdir(path);
}

void cluster_wipe(struct cluster *cluster, unsigned node)
{
    char path[300];
    cluster_path(cluster, node, path, sizeof path);
    remove_directory(path);
}

static void print_logs(struct cluster *cluster)
{
    for (unsigned node = 1; node <= CLUSTER_MAX; node++) {
        char path[320], line[512];
        snprintf(path, sizeof path, "%s/%u.log", cluster->directory, node);
        FILE *file = fopen(path, "re");
        while (file != NULL && fgets(line, sizeof line, file) != NULL)
            fprintf(stderr, "node %u: %s", node, line);
        if (file != NULL)
            fclose(file);
    }
}

/* Whoever is to be killed must have lived until then. */
void cluster_kill(struct cluster *cluster, unsigned node)
{
    int status = 0;
    cluster_signal(cluster, node, SIGKILL);
    waitpid(cluster->pids[node], &status, 0);
    cluster->pids[node] = 0;
    if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL) {
        print_logs(cluster);
        fail_msg("node %u had ended by itself, status %#x", node, (unsigned)status);
    }
}

unsigned cluster_leader(struct cluster *cluster)
{
    uint64_t end_ms = cluster_now_ms() + READY_MS_MAX;
    while (cluster_now_ms() < end_ms) {
        for (unsigned node = 1; node <= CLUSTER_MAX; node++) {
            if (cluster->pids[node] == 0)
                continue;
            struct redis redis;
            redis_open(&redis, cluster_port(cluster, node), 300);
            struct reply *reply = redis_ask(&redis, "CONFIG GET nothing");
            bool alive = reply->type == REPLY_LIST;
            reply_free(reply);
            reply = alive ? redis_ask(&redis, "QLEN none") : NULL;
            bool answers = reply != NULL && reply->type == REPLY_INTEGER;
            if (reply != NULL)
                reply_free(reply);
            reply = answers ? redis_ask(&redis, "CLUSTER LEADER") : NULL;
            unsigned leader = reply != NULL && reply->type == REPLY_LIST
                                  ? (unsigned)reply->elements[0].integer
                                  : 0;
            if (reply != NULL)
                reply_free(reply);
            redis_close(&redis);
            if (leader != 0)
                return leader;
        }
        usleep(10000);
    }
    print_logs(cluster);
    fail_msg("no leader in %d ms", READY_MS_MAX);
    return 0;
}

void cluster_open_quiet(struct cluster *cluster, unsigned nodes)
{
    cluster->nodes = nodes;
    cluster->base_port = find_ports((CLUSTER_MAX + 1) * PORTS_EACH);
    const char *temporary = getenv("TMPDIR");
    snprintf(cluster->directory, sizeof cluster->directory, "%s/queue.XXXXXX",
             temporary ? temporary : "/tmp");
    assert_non_null(mkdtemp(cluster->directory));
    for (unsigned node = 1; node <= nodes; node++)
        cluster_start(cluster, node);
}

void cluster_open(struct cluster *cluster, unsigned nodes)
{
    cluster_open_quiet(cluster, nodes);
    cluster_leader(cluster);
}

void cluster_close(struct cluster *cluster)
{
    char path[320];
    for (unsigned node = 1; node <= CLUSTER_MAX; node++) {
        if (cluster->pids[node] != 0)
            cluster_kill(cluster, node);
        cluster_wipe(cluster, node);
        snprintf(path, sizeof path, "%s/%u.log", cluster->directory, node);
        unlink(path);
    }
    rmdir(cluster->directory);
}

uint64_t cluster_info(struct cluster *cluster, unsigned node, const char *name)
{
    struct redis redis;
    char line[64];
    uint64_t value = 0;
    redis_open(&redis, cluster_port(cluster, node), 1000);
    struct reply *reply = redis_ask(&redis, "INFO");
    snprintf(line, sizeof line, "\n%s:", name);
    const char *found = reply->text != NULL ? strstr(reply->text, line) : NULL;
    if (found != NULL)
        value = strtoull(found + strlen(line), NULL, 10);
    reply_free(reply);
    redis_close(&redis);
    return value;
}

void cluster_wait_info(struct cluster *cluster, unsigned node, const char *name, uint64_t value)
{
    uint64_t end_ms = cluster_now_ms() + READY_MS_MAX, now = 0;
    while (cluster_now_ms() < end_ms) {
        now = cluster_info(cluster, node, name);
        if (now >= value)
            return;
        usleep(10000);
    }
    print_logs(cluster);
    fail_msg("%s of node %u is %llu, not %llu", name, node, (unsigned long long)now,
             (unsigned long long)value);
}
