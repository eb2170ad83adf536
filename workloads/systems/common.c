/* What systems do alike on their nodes: see common.h. */
#include "workloads/systems/common.h"

#include <string.h>

#include "harness/base/clock.h"
#include "harness/base/text.h"
#include "harness/remote/sha256.h"

enum err_code system_examine(struct test *test, node_set nodes, const char *script,
                             uint32_t *culprit, struct buf *says, struct err *err)
{
    *culprit = SYSTEM_HEALTHY;
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
            test_note_failure(test, i, script, status, buf_text(says));
            while (says->length > 0 && says->data[says->length - 1] == '\n')
                says->data[--says->length] = '\0';
            return ERR_NONE;
        }
    }
    test_note_failure(test, 0, NULL, 0, ""); /* it has come right in between */
    return ERR_NONE;
}

/* ---- Installing ---- */

static const char install_script[] =
    "%s && exit 0\n"
    "command -v apt-get >/dev/null 2>&1 || { echo 'there is no apt-get'; exit 1; }\n"
    "policy=/usr/sbin/policy-rc.d\n" /* the package's service would take the ports */
    "if [ ! -e $policy ]; then\n"
    "  trap 'rm -f $policy' EXIT\n"
    "  printf '#!/bin/sh\\nexit 101\\n' >$policy && chmod 755 $policy || exit 1\n"
    "fi\n"
    "export DEBIAN_FRONTEND=noninteractive\n"
    "install() { apt-get -o DPkg::Lock::Timeout=120 install -y --no-install-recommends %s "
    ">/tmp/ordeal-apt 2>&1; }\n"
    "install || { apt-get update >/dev/null 2>&1; install; } ||\n"
    "  { echo \"apt-get install %s: $(grep -m 1 '^E:' /tmp/ordeal-apt)\"; tail -n 12 "
    "/tmp/ordeal-apt; "
    "exit 1; }\n"
    "%s || { echo 'apt-get install %s went well, and still it is not there'; exit 1; }\n";

enum err_code system_install(struct test *test, node_set nodes,
                             const struct system_package *package, struct err *err)
{
    uint32_t culprit;
    struct buf script = BUF_INIT, says = BUF_INIT;
    if (test->plan->local || test->plan->no_install) /* locally it shares this machine's programs,
                                                        and has no way to the Internet */
        buf_add_text(&script, package->probe);
    else
        buf_printf(&script, install_script, package->probe, package->packages, package->packages,
                   package->probe, package->packages);
    enum err_code code = system_examine(test, nodes, script.data, &culprit, &says, err);
    if (code == ERR_NONE && culprit != SYSTEM_HEALTHY && test->plan->no_install)
        code = err_set(err, ERR_UNSUPPORTED,
                       "%s: %s is not installed, and with --no-install nothing is: install the "
                       "Debian package %s, or leave --no-install out",
                       test->nodes[culprit].name, package->system, package->packages);
    else if (code == ERR_NONE && culprit != SYSTEM_HEALTHY && test->plan->local)
        code = err_set(err, ERR_UNSUPPORTED,
                       "%s: %s is not installed; on this machine, for a local cluster: apt-get "
                       "install %s",
                       test->nodes[culprit].name, package->system, package->packages);
    else if (code == ERR_NONE && culprit != SYSTEM_HEALTHY)
        code = err_set(err, ERR_UNSUPPORTED, "%s: %s is not installed, and could not be: %.*s",
                       test->nodes[culprit].name, package->system,
                       (int)strcspn(buf_text(&says), "\n"), buf_text(&says));
    buf_free(&script);
    buf_free(&says);
    return code;
}

enum err_code system_upload_path(const char *source, const char *program, struct buf *target,
                                 struct err *err)
{
    char hash[2 * SHA256_BYTES + 1];
    enum err_code code = sha256_file(source, hash, err);
    if (code == ERR_NONE)
        buf_printf(target, "/var/lib/ordeal/bin/%s-%.16s/%s", program, hash, program);
    return code;
}

enum err_code system_upload(struct test *test, node_set nodes, const char *source,
                            const char *target, const char *arguments, struct err *err)
{
    struct buf script = BUF_INIT, says = BUF_INIT;
    uint32_t culprit;
    enum err_code code = ERR_NONE;
    if (!test->plan->no_install && test_shell(test, nodes, NULL, "[ -s %s ]", target) != ERR_NONE)
        code = test_upload_file(test, nodes, source, target, 0755, err);
    buf_printf(&script, "%s %s 2>&1", target, arguments);
    if (code == ERR_NONE)
        code = system_examine(test, nodes, script.data, &culprit, &says, err);
    if (code == ERR_NONE && culprit != SYSTEM_HEALTHY)
        code = err_set(err, ERR_UNSUPPORTED, "%s: %s does not run there: %s",
                       test->nodes[culprit].name, source, buf_text(&says));
    buf_free(&script);
    buf_free(&says);
    return code;
}

/* ---- Scripts ---- */

/* Its last lines in one. */
static void add_end(struct buf *out, const char *text, size_t bytes)
{
    size_t length = strlen(text);
    while (length > 0 && text[length - 1] == '\n')
        length--;
    size_t from = length > bytes ? length - bytes : 0;
    if (length == 0)
        buf_add_text(out, "(nothing)");
    for (size_t i = from; i < length; i++)
        if (text[i] != '\n')
            buf_add_char(out, text[i] == '\t' ? ' ' : text[i]);
        else
            buf_add_text(out, " | ");
}

enum err_code system_script(struct test *test, uint32_t node, const char *what, const char *script,
                            const char *log, struct buf *out, struct err *err)
{
    int status = 0;
    enum err_code code = test_shell_output(test, node, out, &status, err, "exec 2>&1\n%s", script);
    if (code != ERR_NONE || status == 0)
        return code;
    struct buf said = BUF_INIT, logged = BUF_INIT, tail = BUF_INIT;
    test_note_failure(test, node, script, status, buf_text(out));
    add_end(&said, buf_text(out), 400);
    if (test_shell_output(test, node, &tail, &status, NULL, "tail -n 4 %s 2>/dev/null", log) !=
        ERR_NONE)
        buf_clear(&tail);
    add_end(&logged, buf_text(&tail), 300);
    code = err_set(err, ERR_REMOTE, "%s: %s failed: %s; its log ends with: %s",
                   test->nodes[node].name, what, said.data, logged.data);
    buf_free(&said);
    buf_free(&logged);
    buf_free(&tail);
    return code;
}

uint32_t system_node_of(const struct test *test, const char *name)
{
    uint32_t sum = 0;
    for (; *name != '\0'; name++)
        sum = sum * 31 + (unsigned char)*name;
    return sum % test->node_count;
}

/* ---- Options ---- */

enum err_code system_check_range(const struct test *test, const char *name, int64_t low,
                                 int64_t high, struct err *err)
{
    int64_t value = option_int(&test->plan->options, name);
    if (value >= low && value <= high)
        return ERR_NONE;
    return err_set(err, ERR_CONFIG, "%s: %lld is not between %lld and %lld", name, (long long)value,
                   (long long)low, (long long)high);
}

enum err_code system_check_data_dir(const struct test *test, const char *name, struct err *err)
{
    const char *path = option_text(&test->plan->options, name);
    const char *second = path[0] == '/' ? strchr(path + 1, '/') : NULL;
    if (second == NULL || second == path + 1 || second[1] == '\0' || second[1] == '/' ||
        strstr(path, "..") != NULL)
        return err_set(err, ERR_CONFIG,
                       "%s: '%s' must be a full path of at least two names, since it is removed "
                       "before a run",
                       name, path);
    return ERR_NONE;
}

enum err_code system_wipe_data_dir(struct test *test, node_set nodes, const char *name,
                                   struct err *err)
{
    enum err_code code = system_check_data_dir(test, name, err);
    if (code != ERR_NONE)
        return code;
    struct buf word = BUF_INIT;
    buf_add_shell_word(&word, option_text(&test->plan->options, name));
    /* A mount point (a disk that a nemesis gave it) can only be emptied. */
    code =
        test_shell(test, nodes, err,
                   "if mountpoint -q %s; then find %s -mindepth 1 -delete; else rm -rf -- %s; fi",
                   word.data, word.data, word.data);
    buf_free(&word);
    return code;
}

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

enum err_code system_check_ports(struct test *test, node_set nodes,
                                 const struct system_ports *ports, struct err *err)
{
    struct buf script = BUF_INIT, says = BUF_INIT;
    uint32_t culprit;
    buf_printf(&script, ports_script, (unsigned)ports->client, (unsigned)ports->peer);
    enum err_code code = system_examine(test, nodes, script.data, &culprit, &says, err);
    if (code == ERR_NONE && culprit != SYSTEM_HEALTHY)
        code = err_set(err, ERR_REMOTE,
                       "%s: %s: stop what listens there, or set %s.client-port and %s.peer-port",
                       test->nodes[culprit].name, buf_text(&says), ports->owner, ports->owner);
    buf_free(&script);
    buf_free(&says);
    return code;
}

static enum err_code exited(struct test *test, uint32_t node, const char *daemon, const char *log,
                            struct err *err)
{
    struct buf last = BUF_INIT;
    int status = 0;
    if (test_shell_output(test, node, &last, &status, err, "tail -n 1 %s", log) != ERR_NONE)
        buf_clear(&last);
    enum err_code code =
        err_set(err, ERR_REMOTE, "%s: %s ended as soon as it was started; its log ends with: %s",
                test->nodes[node].name, daemon, last.length > 0 ? last.data : "(nothing)");
    buf_free(&last);
    return code;
}

enum err_code system_watch(struct test *test, node_set nodes, const char *daemon, const char *log,
                           struct err *err)
{
    int64_t until_ns = clock_monotonic_ns() + 250 * NS_PER_MS;
    do {
        for (uint32_t i = 0; i < test->node_count; i++) {
            enum daemon_state state = DAEMON_RUNNING;
            if (!node_in(nodes, i))
                continue;
            enum err_code code = daemon_status(test, i, daemon, &state, err);
            if (code != ERR_NONE)
                return code;
            if (state == DAEMON_EXITED || state == DAEMON_NONE)
                return exited(test, i, daemon, log, err);
        }
        clock_sleep_ns(50 * NS_PER_MS);
    } while (clock_monotonic_ns() < until_ns);
    return ERR_NONE;
}

enum err_code system_absent(struct test *test, node_set nodes, const char *daemon, node_set *absent,
                            struct err *err)
{
    *absent = 0;
    for (uint32_t i = 0; i < test->node_count; i++) {
        enum daemon_state state = DAEMON_NONE;
        if (!node_in(nodes, i))
            continue;
        enum err_code code = daemon_status(test, i, daemon, &state, err);
        if (code != ERR_NONE)
            return code;
        if (state == DAEMON_NONE || state == DAEMON_EXITED)
            *absent |= NODE_SET(i);
    }
    return ERR_NONE;
}

void system_trouble(const struct test *test, uint32_t node, const char *trouble,
                    struct buf *why_not)
{
    if (why_not->length > 0)
        buf_add_text(why_not, "; ");
    if (node != SYSTEM_ALL_NODES && !text_starts(trouble, test->nodes[node].name))
        buf_printf(why_not, "%s: ", test->nodes[node].name);
    buf_add_text(why_not, trouble);
}
