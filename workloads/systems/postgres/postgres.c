/* PostgreSQL, Debian's postgresql: the first node is the primary, the others follow it by streaming
 * replication. */
#include "workloads/systems/postgres/postgres.h"

#include <string.h>

#include "workloads/systems/common.h"
#include "workloads/systems/systems.h"

const struct option postgres_options[] = {
    {.name = "isolation",
     .kind = OPTION_CHOICE,
     .fallback = "serializable",
     .choices = "serializable|repeatable-read|read-committed",
     .help = "how transactions are begun; transactions.level says what they are judged by"},
    {.name = "reads",
     .kind = OPTION_CHOICE,
     .fallback = "primary",
     .choices = "primary|replica",
     .help = "replica: what only reads is asked of the worker's own node, with a snapshot there"},
    {.name = "synchronous-commit",
     .kind = OPTION_CHOICE,
     .fallback = "on",
     .choices = "on|off|local|remote-write|remote-apply",
     .help = "what a commit waits for; off: not even for the primary's own disk"},
    {.name = "synchronous-standbys",
     .kind = OPTION_INT,
     .fallback = "0",
     .help = "how many standbys a commit waits for; 0: replication is asynchronous"},
    {.name = "failover",
     .kind = OPTION_CHOICE,
     .fallback = "none",
     .choices = "none|promote",
     .help = "promote: a primary that was killed becomes a copy of the standby that got furthest"},
    {.name = "fsync",
     .kind = OPTION_BOOL,
     .fallback = "true",
     .help = "without, a power loss may lose or corrupt anything"},
    {.name = "data-dir",
     .kind = OPTION_TEXT,
     .fallback = "/var/lib/ordeal-postgres",
     .help = "where each node keeps its data; removed whole before a run"},
    {.name = "bin-dir",
     .kind = OPTION_TEXT,
     .fallback = "",
     .help = "where the server's programs are; default: the newest /usr/lib/postgresql/*/bin"},
    {.name = "password",
     .kind = OPTION_TEXT,
     .fallback = "ordeal",
     .help = "of the role ordeal, which clients and standbys use"},
    {.name = "port", .kind = OPTION_INT, .fallback = "5432", .help = "port of the servers"},
    {.name = NULL},
};

uint16_t postgres_port(const struct test *test)
{
    return (uint16_t)option_int(&test->plan->options, "postgres.port");
}

/* ---- Installing ---- */

static enum err_code check_options(const struct test *test, struct err *err)
{
    enum err_code code = sql_check(test, err);
    if (code == ERR_NONE)
        code = system_check_data_dir(test, "postgres.data-dir", err);
    if (code == ERR_NONE)
        code = system_check_range(test, "postgres.port", 1, 65535, err);
    if (code == ERR_NONE)
        code =
            system_check_range(test, "postgres.synchronous-standbys", 0, test->node_count - 1, err);
    if (code == ERR_NONE && test->node_count == 1 &&
        strcmp(option_text(&test->plan->options, "postgres.failover"), "promote") == 0)
        code = err_set(err, ERR_CONFIG,
                       "postgres.failover=promote: there is no standby on one node; add nodes");
    return code;
}

static enum err_code install(struct test *test, node_set nodes, struct err *err)
{
    enum err_code code = check_options(test, err);
    const struct system_package package = {
        .system = "postgres",
        .packages = "postgresql",
        .probe = "ls -d /usr/lib/postgresql/*/bin/postgres >/dev/null 2>&1",
    };
    if (code == ERR_NONE && *option_text(&test->plan->options, "postgres.bin-dir") == '\0')
        code = system_install(test, nodes, &package, err);
    return code;
}

/* ---- The rest ---- */

static enum err_code wipe(struct test *test, node_set nodes, struct err *err)
{
    return system_wipe_data_dir(test, nodes, "postgres.data-dir", err);
}

static enum err_code open_client(void *state, struct test *test, uint32_t node, struct err *err)
{
    return sql_client_open(state, &postgres_driver, test, node, err);
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

/* Serializability is what is documented, and nothing of real time. */
static const char *const defaults[] = {"transactions.level=serializable",
                                       "transactions.linearizable-keys=promised", NULL};

static const char *const daemons[] = {POSTGRES_DAEMON, NULL};
static const char *const log_paths[] = {POSTGRES_LOG, NULL};

const struct system system_postgres = {
    .name = "postgres",
    .summary = "PostgreSQL, alone or with standbys that follow the first node",
    .options = postgres_options,
    .daemons = daemons,
    .log_paths = log_paths,
    .data_dir_option = "postgres.data-dir",
    .install = install,
    .start = postgres_start,
    .ready = postgres_ready,
    .wipe = wipe,
    .primaries = postgres_primaries,
    .version = postgres_version,
    .defaults = defaults,
    .client = client,
};
