/* Packets of every node, captured by tcpdump while the system runs, and fetched when it is over
 * (--pcap). See run_internal.h.
 *
 * tcpdump's output goes to a process of the agent's (harness/agent/capture.h), which keeps the
 * newest in files without names: the capture ends, and is gone, with the agent, however that ends.
 * ordeal's own connections to the nodes are left out. */
#include <stdio.h>
#include <string.h>

#include "harness/agent/capture.h"
#include "harness/base/clock.h"
#include "harness/base/text.h"
#include "harness/run_internal.h"
#include "harness/store.h"

static const char daemon_name[] = "ordeal-capture";
enum { WAIT_TENTHS = 50 };

/* What is captured on a node: not ordeal itself; and of the rest what was asked for. */
static const char *filter_for(struct running *running, uint32_t node)
{
    struct arena *arena = &running->arena;
    const char *wanted = plan_text(running->plan, "pcap-filter");
    const char *controller = agents_hello(running->control.agents, node, "controller", arena);
    struct buf filter = BUF_INIT;
    if (controller != NULL && *controller != '\0')
        buf_printf(&filter, "not (host %s and tcp port %u)", controller,
                   (unsigned)node_port(&running->test.nodes[node]));
    if (wanted != NULL && *wanted != '\0')
        buf_printf(&filter, "%s(%s)", filter.length > 0 ? " and " : "", wanted);
    const char *copy = arena_strdup(arena, buf_text(&filter));
    buf_free(&filter);
    return copy;
}

/* Whether it can be: refused before anything is installed. */
static enum err_code check_node(struct running *running, uint32_t node, struct err *err)
{
    struct test *test = &running->test;
    struct buf out = BUF_INIT, word = BUF_INIT;
    int status = 0;
    buf_add_shell_word(&word, filter_for(running, node));
    enum err_code code = test_shell_output(
        test, node, &out, &status, err,
        "command -v tcpdump >/dev/null || exit 9; tcpdump -i any -d %s 2>&1 >/dev/null", word.data);
    if (code == ERR_NONE && status == 9)
        code = err_set(err, ERR_UNSUPPORTED,
                       "%s: --pcap needs tcpdump there: install the Debian package tcpdump (for a "
                       "local cluster on this machine), or leave --pcap out",
                       test->nodes[node].name);
    else if (code == ERR_NONE && status != 0)
        code = err_set(err, ERR_CONFIG, "pcap-filter: tcpdump on %s says: %.300s",
                       test->nodes[node].name, buf_text(&out));
    buf_free(&out);
    buf_free(&word);
    return code;
}

enum err_code run_capture_check(struct running *running, struct err *err)
{
    for (uint32_t i = 0; running->plan->pcap && i < running->test.node_count; i++)
        if (check_node(running, i, err) != ERR_NONE)
            return err->code;
    return ERR_NONE;
}

/* Waits on the node until the process has something open at that number, of at least so much. */
static enum err_code await_file(struct running *running, uint32_t node, int fd, int bytes,
                                long long *pid, struct err *err)
{
    struct agent_call call;
    struct buf out = BUF_INIT;
    int status = 0;
    agent_call_begin(&call, node, "daemon-status");
    line_key(&call.request, "name", daemon_name);
    enum err_code code = agents_call(running->control.agents, &call, err);
    *pid = code == ERR_NONE ? (long long)line_get_int(&call.reply.line, "pid", 0) : 0;
    agent_call_free(&call);
    if (code != ERR_NONE)
        return code;
    code = test_shell_output(&running->test, node, &out, &status, err,
                             "for i in $(seq %d); do [ -d /proc/%lld ] || exit 1\n"
                             "[ \"$(stat -Lc %%s /proc/%lld/fd/%d 2>/dev/null || echo 0)\" -ge %d "
                             "] && exit 0; sleep 0.1; done; exit 1",
                             WAIT_TENTHS, *pid, *pid, fd, bytes);
    buf_free(&out);
    if (code == ERR_NONE && status != 0)
        code = err_set(err, ERR_REMOTE, "%s: the capture has ended, or does not answer",
                       running->test.nodes[node].name);
    return code;
}

static enum err_code start_on(struct running *running, uint32_t node, struct err *err)
{
    char bytes[32];
    long long pid;
    snprintf(bytes, sizeof bytes, "%lld", (long long)running->plan->pcap_mib << 20);
    const char *const argv[] = {
        "/proc/self/exe",          "capture", bytes, "tcpdump", "-i", "any", "-n", "-U", "-w", "-",
        filter_for(running, node), NULL}; /* it is the agent that starts it */
    const struct daemon_spec spec = {.name = daemon_name, .argv = argv, .log = "/dev/null"};
    enum err_code code = daemon_start(&running->test, node, &spec, err);
    return code == ERR_NONE ? await_file(running, node, CAPTURE_FD, 24, &pid, err) : code;
}

enum err_code run_capture_start(struct running *running, struct err *err)
{
    for (uint32_t i = 0; running->plan->pcap && i < running->test.node_count; i++)
        if (start_on(running, i, err) != ERR_NONE)
            return err_wrap(err, "pcap");
    running->captures = running->plan->pcap;
    return ERR_NONE;
}

static enum err_code fetch_from(struct running *running, uint32_t node, struct err *err)
{
    struct test *test = &running->test;
    const char *directory =
        arena_printf(&running->arena, "%s/nodes/%s", running->directory, test->nodes[node].name);
    char source[64];
    long long pid;
    if (file_make_dirs(directory, err) != ERR_NONE ||
        daemon_signal(test, NODE_SET(node), daemon_name, "USR1", NULL, err) != ERR_NONE ||
        await_file(running, node, CAPTURE_DONE_FD, 24, &pid, err) != ERR_NONE)
        return err->code;
    snprintf(source, sizeof source, "/proc/%lld/fd/%d", pid, CAPTURE_DONE_FD);
    return test_fetch_file(test, node, source,
                           store_path(&running->arena, directory, "capture.pcap"), err);
}

void run_capture_fetch(struct running *running)
{
    struct test *test = &running->test;
    node_set gone = atomic_load(&running->lost) | atomic_load(&running->control.away);
    if (!running->captures)
        return;
    for (uint32_t i = 0; i < test->node_count; i++) {
        struct err err = ERR_INIT;
        if (node_in(gone, i) || fetch_from(running, i, &err) != ERR_NONE)
            log_problem(running->log, "no capture of %s: %s", test->nodes[i].name,
                        node_in(gone, i) ? "it is not there" : err.message);
        if (!node_in(gone, i))
            (void)!daemon_stop(test, NODE_SET(i), daemon_name, NS_PER_SECOND, NULL);
    }
}
