/* How the keeper builds its cluster: see keeper_internal.h. */
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "harness/base/text.h"
#include "harness/cluster/init.h"
#include "harness/cluster/keeper_internal.h"
#include "harness/cluster/network.h"
#include "harness/cluster/tool.h"

struct keys {
    struct tool host, user;
};

static enum err_code start_key(const struct place *place, const char *name, struct tool *tool,
                               struct err *err)
{
    char path[PLACE_PATH_MAX], comment[64];
    place_join(place->state_dir, name, path);
    snprintf(comment, sizeof comment, "ordeal cluster %s", place->name);
    const char *const argv[] = {"ssh-keygen", "-q",    "-t", "ed25519", "-N", "",
                                "-C",         comment, "-f", path,      NULL};
    return tool_start(tool, argv, "", err);
}

static enum err_code read_key(const struct place *place, const char *name, struct buf *key,
                              struct err *err)
{
    char path[PLACE_PATH_MAX];
    place_join(place->state_dir, name, path);
    return file_read(path, 1 << 20, key, err);
}

static enum err_code write_known_hosts(const struct keeper *keeper, struct err *err)
{
    struct buf public_key = BUF_INIT, text = BUF_INIT;
    enum err_code code = read_key(keeper->place, "host_key.pub", &public_key, err);
    int length = (int)strcspn(buf_text(&public_key), "\n");
    char path[PLACE_PATH_MAX], address[48], address6[48];
    for (int i = 0; code == ERR_NONE && i < keeper->state.node_count; i++) {
        cluster_format_address(i, address, sizeof address);
        cluster_format_address6(i, address6, sizeof address6);
        buf_printf(&text, "n%d,%s%s%s %.*s\n", i + 1, address, keeper->state.ipv6 ? "," : "",
                   keeper->state.ipv6 ? address6 : "", length, buf_text(&public_key));
    }
    place_join(keeper->place->state_dir, "known_hosts", path);
    if (code == ERR_NONE)
        code = place_write_file(path, buf_text(&text), 0644, err);
    buf_free(&public_key);
    buf_free(&text);
    return code;
}

static enum err_code write_hosts(const struct keeper *keeper, struct err *err)
{
    struct buf text = BUF_INIT;
    char path[PLACE_PATH_MAX], own[256] = "";
    network_format_hosts(&text, keeper->state.node_count, keeper->state.ipv6);
    if (gethostname(own, sizeof own - 1) == 0 && own[0] != '\0')
        buf_printf(&text, "127.0.1.1\t%s\n", own);
    place_join(keeper->place->state_dir, "hosts", path);
    enum err_code code = place_write_file(path, buf_text(&text), 0644, err);
    buf_free(&text);
    place_join(keeper->place->state_dir, "gai.conf", path);
    return code == ERR_NONE ? place_write_file(path, NETWORK_GAI_CONF, 0644, err) : code;
}

/* Of two programs that make a key each, side by side. */
static enum err_code start_keys(const struct place *place, struct keys *keys, struct err *err)
{
    enum err_code code = start_key(place, "host_key", &keys->host, err);
    if (code != ERR_NONE)
        return code;
    code = start_key(place, "key", &keys->user, err);
    enum err_code other = code != ERR_NONE ? tool_finish(&keys->host, NULL) : ERR_NONE;
    (void)other; /* the first failure is the one to tell */
    return code;
}

/* Also when the building has failed: what still writes a key must not outlive the keeper, or it
 * would leave one where everything is being removed. */
static enum err_code await_keys(struct keys *keys, struct err *err)
{
    enum err_code host = tool_finish(&keys->host, err);
    enum err_code user = tool_finish(&keys->user, host == ERR_NONE ? err : NULL);
    return host == ERR_NONE ? user : host;
}

static enum err_code use_keys(struct keeper *keeper, struct err *err)
{
    enum err_code code = read_key(keeper->place, "host_key", &keeper->host_key, err);
    if (code == ERR_NONE)
        code = read_key(keeper->place, "key.pub", &keeper->authorized_keys, err);
    if (code == ERR_NONE)
        code = write_known_hosts(keeper, err);
    if (code == ERR_NONE)
        code = write_hosts(keeper, err);
    return code;
}

static enum err_code clone_nodes(struct keeper *keeper, struct err *err)
{
    for (int i = 0; i < keeper->state.node_count; i++) {
        enum err_code code = init_make_disk(keeper->place, i, err);
        if (code == ERR_NONE)
            code = keeper_clone_node(keeper, i, err);
        if (code != ERR_NONE) {
            err_wrap(err, "n%d", i + 1);
            return code;
        }
    }
    return ERR_NONE;
}

/* Everything slow goes on side by side: the keys are made and the nodes mount their disks while the
 * network is built. */
enum err_code keeper_build(struct keeper *keeper, struct err *err)
{
    struct keys keys;
    pid_t pids[CLUSTER_NODES_MAX];
    enum err_code code = start_keys(keeper->place, &keys, err);
    if (code != ERR_NONE)
        return code;
    if (unshare(CLONE_NEWNET) != 0)
        code = err_set(err, errno == EPERM ? ERR_UNSUPPORTED : ERR_IO,
                       "make the control network: %s; a container needs --privileged",
                       strerror(errno));
    if (code == ERR_NONE)
        code = clone_nodes(keeper, err);
    for (int i = 0; i < keeper->state.node_count; i++)
        pids[i] = keeper->state.nodes[i].pid;
    if (code == ERR_NONE)
        code = network_build(pids, keeper->state.node_count, keeper->state.ipv6, err);
    enum err_code made = await_keys(&keys, code == ERR_NONE ? err : NULL);
    if (code == ERR_NONE)
        code = made;
    if (code == ERR_NONE)
        code = use_keys(keeper, err);
    for (int i = 0; code == ERR_NONE && i < keeper->state.node_count; i++)
        code = keeper_send_go(keeper, i, err);
    if (code == ERR_NONE)
        return keeper_await_nodes(keeper, err);
    return keeper_first_failure(keeper, code, err);
}
