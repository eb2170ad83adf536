/* etcd, Debian's etcd-server (3.4 or newer), one member on each node. */
#include "workloads/systems/etcd.h"

#include <stdlib.h>
#include <string.h>

#include "harness/base/clock.h"
#include "workloads/systems/systems.h"

#define LOG_PATH "/var/log/ordeal/etcd.log"

/* ---- Asking nodes ---- */

/* Runs the script on all these nodes at once. When it ends with a status other than 0 somewhere,
 * the first such node goes to *culprit and what it wrote to `says`; HEALTHY is "nowhere". */
enum { HEALTHY = UINT32_MAX };
static enum err_code examine(struct test *test, node_set nodes, const char *script,
                             uint32_t *culprit, struct buf *says, struct err *err)
{
    *culprit = HEALTHY;
    if (test_shell(test, nodes, err, "%s", script) == ERR_NONE)
        return ERR_NONE;
    for (uint32_t i = 0; i < test->node_count; i++) {
        if (!node_in(nodes, i))
            continue;
        int status = 0;
        buf_clear(says);
        enum err_code code = test_shell_output(test, i, says, &status, err, "%s", script);
        if (code != ERR_NONE)
            return code;
        if (status != 0) {
            *culprit = i;
            while (says->length > 0 && says->data[says->length - 1] == '\n')
                says->data[--says->length] = '\0';
            return ERR_NONE;
        }
    }
    return ERR_NONE; /* it has come right in between */
}

/* ---- Installing ---- */

static enum err_code check_range(const struct test *test, const char *name, int64_t low,
                                 int64_t high, struct err *err)
{
    int64_t value = option_int(&test->plan->options, name);
    if (value >= low && value <= high)
        return ERR_NONE;
    return err_set(err, ERR_CONFIG, "%s: %lld is not between %lld and %lld", name, (long long)value,
                   (long long)low, (long long)high);
}

/* The data directory is removed whole: it must be one that nothing else can be in. */
static enum err_code check_data_dir(const char *path, struct err *err)
{
    const char *second = path[0] == '/' ? strchr(path + 1, '/') : NULL;
    if (second == NULL || second == path + 1 || second[1] == '\0' || second[1] == '/' ||
        strstr(path, "..") != NULL)
        return err_set(err, ERR_CONFIG,
                       "etcd.data-dir: '%s' must be a full path of at least two names, since it "
                       "is removed before a run",
                       path);
    return ERR_NONE;
}

static enum err_code check_options(const struct test *test, struct err *err)
{
    enum err_code code = check_data_dir(option_text(&test->plan->options, "etcd.data-dir"), err);
    if (code == ERR_NONE)
        code = check_range(test, "etcd.client-port", 1, 65535, err);
    if (code == ERR_NONE)
        code = check_range(test, "etcd.peer-port", 1, 65535, err);
    if (code == ERR_NONE)
        code = check_range(test, "etcd.heartbeat-ms", 1, 10000, err);
    if (code == ERR_NONE)
        code = check_range(test, "etcd.snapshot-count", 1, INT32_MAX, err);
    if (code != ERR_NONE)
        return code;
    /* etcd itself refuses less than five heartbeats and more than 50 s. */
    int64_t heartbeat_ms = option_int(&test->plan->options, "etcd.heartbeat-ms");
    return check_range(test, "etcd.election-ms", 5 * heartbeat_ms, 50000, err);
}

/* The package's service must not start: it would take the ports and the name. */
static const char install_script[] =
    "etcd --version >/dev/null 2>&1 && exit 0\n"
    "command -v apt-get >/dev/null 2>&1 || { echo 'there is no apt-get'; exit 1; }\n"
    "policy=/usr/sbin/policy-rc.d\n"
    "if [ ! -e $policy ]; then\n"
    "  trap 'rm -f $policy' EXIT\n"
    "  printf '#!/bin/sh\\nexit 101\\n' >$policy && chmod 755 $policy || exit 1\n"
    "fi\n"
    "export DEBIAN_FRONTEND=noninteractive\n"
    "install() { apt-get install -y --no-install-recommends etcd-server >/dev/null 2>&1; }\n"
    "install || { apt-get update >/dev/null 2>&1; install; }\n"
    "etcd --version >/dev/null 2>&1 || { echo 'apt-get failed'; exit 1; }\n";

static enum err_code not_installed(const struct test *test, uint32_t node, const char *why,
                                   struct err *err)
{
    const char *name = test->nodes[node].name;
    if (test->plan->local)
        return err_set(err, ERR_UNSUPPORTED,
                       "%s: etcd is not installed; install the Debian package etcd-server (on this "
                       "machine for a local cluster: apt-get install etcd-server)",
                       name);
    return err_set(err, ERR_UNSUPPORTED,
                   "%s: etcd is not installed, and could not be (%s); install the Debian package "
                   "etcd-server",
                   name, why);
}

static enum err_code install(struct test *test, node_set nodes, struct err *err)
{
    uint32_t culprit;
    struct buf says = BUF_INIT;
    enum err_code code = check_options(test, err);
    /* A local node shares this machine's programs and has no way to the Internet. */
    const char *script = test->plan->local ? "etcd --version >/dev/null 2>&1" : install_script;
    if (code == ERR_NONE)
        code = examine(test, nodes, script, &culprit, &says, err);
    if (code == ERR_NONE && culprit != HEALTHY)
        code = not_installed(test, culprit, buf_text(&says), err);
    buf_free(&says);
    return code;
}

/* ---- Starting ---- */

/* Names the first of the two ports that something listens on. ss may be missing; /proc is not. */
static const char ports_script[] =
    "for port in %u %u; do\n"
    "  hex=$(printf '%%04X' $port)\n"
    "  cat /proc/net/tcp /proc/net/tcp6 2>/dev/null | awk -v port=\":$hex\" '$4 == \"0A\" && "
    "substr($2, length($2) - 4) == port { found = 1 } END { exit !found }' || continue\n"
    "  who=$(ss -Hltnp \"sport = :$port\" 2>/dev/null |"
    " sed -n 's/.*((\"\\([^\"]*\\)\",pid=\\([0-9]*\\).*/ by \\1 (pid \\2)/p' | head -n 1)\n"
    "  echo \"port $port is taken$who\"; exit 1\n"
    "done\n";

static enum err_code check_ports(struct test *test, node_set nodes, struct err *err)
{
    struct buf script = BUF_INIT, says = BUF_INIT;
    uint32_t culprit;
    buf_printf(&script, ports_script, (unsigned)etcd_client_port(test),
               (unsigned)etcd_peer_port(test));
    enum err_code code = examine(test, nodes, script.data, &culprit, &says, err);
    if (code == ERR_NONE && culprit != HEALTHY)
        code = err_set(err, ERR_REMOTE,
                       "%s: %s: stop what listens there, or set etcd.client-port and "
                       "etcd.peer-port",
                       test->nodes[culprit].name, buf_text(&says));
    buf_free(&script);
    buf_free(&says);
    return code;
}

static enum err_code start_one(struct test *test, uint32_t node, struct err *err)
{
    struct arena arena = ARENA_INIT;
    /* etcd 3.4 wants to be told that one knows what one does on such a machine; elsewhere it is
     * not looked at. */
    static const char *const environment[] = {"ETCD_UNSUPPORTED_ARCH=arm64", NULL};
    const struct daemon_spec spec = {
        .name = "etcd",
        .argv = etcd_arguments(test, node, &arena),
        .env = environment,
        .log = LOG_PATH,
    };
    enum err_code code = daemon_start(test, node, &spec, err);
    if (code != ERR_NONE)
        code = err_wrap(err, "start etcd");
    arena_free(&arena);
    return code;
}

static enum err_code exited(struct test *test, uint32_t node, struct err *err)
{
    struct buf last = BUF_INIT;
    int status = 0;
    if (test_shell_output(test, node, &last, &status, err, "tail -n 1 " LOG_PATH) != ERR_NONE)
        buf_clear(&last);
    enum err_code code =
        err_set(err, ERR_REMOTE, "%s: etcd ended as soon as it was started; its log ends with: %s",
                test->nodes[node].name, last.length > 0 ? last.data : "(nothing)");
    buf_free(&last);
    return code;
}

/* A wrong flag or a data directory that it cannot use ends etcd within milliseconds. */
static enum err_code watch_for_a_moment(struct test *test, node_set nodes, struct err *err)
{
    int64_t until_ns = clock_monotonic_ns() + 250 * NS_PER_MS;
    do {
        for (uint32_t i = 0; i < test->node_count; i++) {
            enum daemon_state state = DAEMON_RUNNING;
            if (!node_in(nodes, i))
                continue;
            enum err_code code = daemon_status(test, i, "etcd", &state, err);
            if (code != ERR_NONE)
                return code;
            if (state == DAEMON_EXITED || state == DAEMON_NONE)
                return exited(test, i, err);
        }
        clock_sleep_ns(50 * NS_PER_MS);
    } while (clock_monotonic_ns() < until_ns);
    return ERR_NONE;
}

static enum err_code start(struct test *test, node_set nodes, struct err *err)
{
    node_set absent = 0;
    for (uint32_t i = 0; i < test->node_count; i++) {
        enum daemon_state state = DAEMON_NONE;
        if (!node_in(nodes, i))
            continue;
        enum err_code code = daemon_status(test, i, "etcd", &state, err);
        if (code != ERR_NONE)
            return code;
        if (state == DAEMON_NONE || state == DAEMON_EXITED)
            absent |= NODE_SET(i);
    }
    if (absent == 0)
        return ERR_NONE;
    enum err_code code = check_ports(test, absent, err);
    for (uint32_t i = 0; i < test->node_count && code == ERR_NONE; i++)
        if (node_in(absent, i))
            code = start_one(test, i, err);
    return code == ERR_NONE ? watch_for_a_moment(test, absent, err) : code;
}

/* ---- The rest ---- */

static enum err_code wipe(struct test *test, node_set nodes, struct err *err)
{
    const char *path = option_text(&test->plan->options, "etcd.data-dir");
    enum err_code code = check_data_dir(path, err);
    if (code != ERR_NONE)
        return code;
    struct buf word = BUF_INIT;
    buf_add_shell_word(&word, path);
    code = test_shell(test, nodes, err, "rm -rf -- %s", word.data);
    buf_free(&word);
    return code;
}

static const struct client *client(const char *workload)
{
    return strcmp(workload, "register") == 0 ? &etcd_register_client : NULL;
}

static const char *const daemons[] = {"etcd", NULL};
static const char *const log_paths[] = {LOG_PATH, NULL};

const struct system system_etcd = {
    .name = "etcd",
    .summary = "etcd, a consistent key-value store (Debian's etcd-server)",
    .options = etcd_options,
    .daemons = daemons,
    .log_paths = log_paths,
    .install = install,
    .start = start,
    .ready = etcd_ready,
    .wipe = wipe,
    .primaries = etcd_primaries,
    .version = etcd_version,
    .client = client,
};
