/* MariaDB, Debian's mariadb-server: one server, or a Galera cluster of which every node takes
 * writes. */
#include "workloads/systems/mariadb/mariadb.h"

#include <string.h>

#include "workloads/systems/common.h"
#include "workloads/systems/systems.h"

const struct option mariadb_options[] = {
    {.name = "mode",
     .kind = OPTION_CHOICE,
     .fallback = "single",
     .choices = "single|galera",
     .help = "one server on one node, or a Galera cluster"},
    {.name = "isolation",
     .kind = OPTION_CHOICE,
     .fallback = "serializable",
     .choices = "serializable|repeatable-read|read-committed",
     .help = "of each session, which Galera keeps within a node alone; transactions.level says "
             "what they are judged by"},
    {.name = "snapshot-isolation",
     .kind = OPTION_BOOL,
     .fallback = "false",
     .help = "innodb_snapshot_isolation: a write of what changed since the snapshot fails"},
    {.name = "flush-log",
     .kind = OPTION_CHOICE,
     .fallback = "1",
     .choices = "0|1|2",
     .help = "innodb_flush_log_at_trx_commit; 1: to the disk, 2: to the kernel, 0: once a second"},
    {.name = "sync-wait",
     .kind = OPTION_INT,
     .fallback = "0",
     .help = "wsrep_sync_wait: what waits until the node has caught up; 7: reads and writes"},
    {.name = "clients",
     .kind = OPTION_CHOICE,
     .fallback = "own",
     .choices = "own|first",
     .help = "galera: workers talk to their own node, or all of them to the first"},
    {.name = "data-dir",
     .kind = OPTION_TEXT,
     .fallback = "/var/lib/ordeal-mariadb",
     .help = "where each node keeps its data; removed whole before a run"},
    {.name = "password",
     .kind = OPTION_TEXT,
     .fallback = "ordeal",
     .help = "of the user ordeal, which clients use"},
    {.name = "port", .kind = OPTION_INT, .fallback = "3306", .help = "port for clients"},
    {.name = "group-port",
     .kind = OPTION_INT,
     .fallback = "4567",
     .help = "port for members; state is sent to the next one, and to 4444"},
    {.name = NULL},
};

uint16_t mariadb_port(const struct test *test)
{
    return (uint16_t)option_int(&test->plan->options, "mariadb.port");
}

uint16_t mariadb_group_port(const struct test *test)
{
    return (uint16_t)option_int(&test->plan->options, "mariadb.group-port");
}

bool mariadb_is_galera(const struct test *test)
{
    return strcmp(option_text(&test->plan->options, "mariadb.mode"), "galera") == 0;
}

/* ---- Installing ---- */

static enum err_code check_options(const struct test *test, struct err *err)
{
    enum err_code code = sql_check(test, err);
    if (code == ERR_NONE)
        code = system_check_data_dir(test, "mariadb.data-dir", err);
    if (code == ERR_NONE)
        code = system_check_range(test, "mariadb.port", 1, 65535, err);
    if (code == ERR_NONE)
        code = system_check_range(test, "mariadb.group-port", 1, 65534, err);
    if (code == ERR_NONE)
        code = system_check_range(test, "mariadb.sync-wait", 0, 15, err);
    if (code == ERR_NONE && !mariadb_is_galera(test) && test->node_count > 1)
        code = err_set(err, ERR_CONFIG,
                       "mariadb.mode=single takes one node, and there are %u: run it on one, or "
                       "set mariadb.mode=galera (and transactions.level to what you expect of it)",
                       test->node_count);
    return code;
}

static enum err_code install(struct test *test, node_set nodes, struct err *err)
{
    enum err_code code = check_options(test, err);
    const struct system_package single = {
        .system = "mariadb",
        .packages = "mariadb-server",
        .probe = "PATH=$PATH:/usr/sbin; mariadbd --version >/dev/null 2>&1 && command -v "
                 "mariadb-install-db >/dev/null",
    };
    const struct system_package galera = {
        .system = "mariadb's Galera",
        .packages = "mariadb-server galera-4 rsync",
        .probe = "[ -e /usr/lib/galera/libgalera_smm.so ] && command -v rsync >/dev/null",
    };
    if (code == ERR_NONE)
        code = system_install(test, nodes, &single, err);
    if (code == ERR_NONE && mariadb_is_galera(test))
        code = system_install(test, nodes, &galera, err);
    return code;
}

/* ---- The rest ---- */

static enum err_code wipe(struct test *test, node_set nodes, struct err *err)
{
    return system_wipe_data_dir(test, nodes, "mariadb.data-dir", err);
}

static enum err_code open_client(void *state, struct test *test, uint32_t node, struct err *err)
{
    return sql_client_open(state, &mariadb_driver, test, node, err);
}

static const struct client sql_client = {
    .state_size = sizeof(struct sql_client),
    .open = open_client,
    .invoke = sql_client_invoke,
    .close = sql_client_close,
};

static const struct client *client(const char *workload)
{
    return sql_runs(workload) ? &sql_client : NULL;
}

/* What one server with serializable transactions is documented to be; it locks all that is read. */
static const char *const defaults[] = {"transactions.level=serializable",
                                       "transactions.linearizable-keys=promised", NULL};

static const char *const daemons[] = {MARIADB_DAEMON, NULL};
static const char *const log_paths[] = {MARIADB_LOG, NULL};

const struct system system_mariadb = {
    .name = "mariadb",
    .summary = "MariaDB with InnoDB: one server, or a Galera cluster",
    .options = mariadb_options,
    .daemons = daemons,
    .log_paths = log_paths,
    .data_dir_option = "mariadb.data-dir",
    .install = install,
    .start = mariadb_start,
    .ready = mariadb_ready,
    .wipe = wipe,
    .primaries = mariadb_primaries,
    .version = mariadb_version,
    .defaults = defaults,
    .client = client,
};
