/* What is done to MariaDB on its nodes: scripts, as an operator would type them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "workloads/systems/common.h"
#include "workloads/systems/mariadb/mariadb.h"

/* ---- Scripts ---- */

/* Begins every script: $D is the server's data, $R where its socket is. */
static void begin_script(const struct test *test, struct buf *script)
{
    buf_add_text(script, "set -e; cd /; PATH=$PATH:/usr/sbin; R=/run/ordeal-mariadb; D=");
    buf_add_shell_word(script, option_text(&test->plan->options, "mariadb.data-dir"));
    buf_add_text(script, "/data\n"
                         "sql() { mariadb --no-defaults -u root -S $R/mysqld.sock \"$@\" 2>&1; }\n"
                         "await() { for i in $(seq 400); do sql -e 'SELECT 1' >/dev/null && return "
                         "0; sleep 0.05; done; sql -e 'SELECT 1'; }\n");
}

static enum err_code end_script(struct test *test, uint32_t node, const char *what,
                                struct buf *script, struct buf *out, struct err *err)
{
    struct buf says = BUF_INIT;
    enum err_code code =
        system_script(test, node, what, script->data, MARIADB_LOG, out == NULL ? &says : out, err);
    buf_free(script);
    buf_free(&says);
    return code;
}

/* ---- Looking ---- */

/* A server that was killed has to be asked how far it got: the file says -1 then. */
enum err_code mariadb_look(struct test *test, uint32_t node, struct mariadb_place *place,
                           struct err *err)
{
    struct buf script = BUF_INIT, says = BUF_INIT;
    begin_script(test, &script);
    buf_add_text(&script, "[ -d $D/mysql ] || { echo none; exit 0; }\n");
    if (mariadb_is_galera(test))
        buf_add_text(
            &script,
            "s=$(sed -n 's/^seqno: *//p' $D/grastate.dat 2>/dev/null || true)\n"
            "if [ \"${s:--1}\" = -1 ]; then\n"
            "  mariadbd --no-defaults --user=mysql --datadir=$D --wsrep-on=ON "
            "--wsrep-provider=/usr/lib/galera/libgalera_smm.so "
            "--wsrep-cluster-address=gcomm:// --wsrep-recover >/tmp/ordeal-recover 2>&1 || "
            "true\n"
            "  s=$(sed -n 's/.*WSREP: Recovered position: *[-0-9a-f]*:\\(-*[0-9]*\\).*/"
            "\\1/p' /tmp/ordeal-recover | tail -n 1)\n"
            "fi\n"
            "echo \"at ${s:--1}\"\n");
    else
        buf_add_text(&script, "echo 'at 0'\n");
    enum err_code code = end_script(test, node, "looking at the data", &script, &says, err);
    if (code == ERR_NONE) {
        const char *at = strstr(buf_text(&says), "at ");
        place->has_data = at != NULL;
        place->committed = at == NULL ? -1 : strtoll(at + 3, NULL, 10);
    }
    buf_free(&says);
    return code;
}

/* ---- Configuration ---- */

static void add_settings(const struct test *test, uint32_t node, struct buf *out)
{
    const struct options *options = &test->plan->options;
    bool snapshots = option_bool(options, "mariadb.snapshot-isolation");
    buf_printf(out,
               "[mysqld]\nuser=mysql\ndatadir=$D\nsocket=$R/mysqld.sock\npid-file=$R/pid\n"
               "port=%u\nbind-address=*\nskip-name-resolve\nmax_connections=300\n"
               "binlog_format=ROW\ndefault_storage_engine=InnoDB\ninnodb_autoinc_lock_mode=2\n"
               "innodb_buffer_pool_size=64M\ninnodb_log_file_size=16M\n"
               /* One that waits does not see that its client is gone, and keeps what it locked. */
               "innodb_lock_wait_timeout=1\n"
               "innodb_flush_log_at_trx_commit=%s\nloose-innodb_snapshot_isolation=%s\n",
               (unsigned)mariadb_port(test), option_text(options, "mariadb.flush-log"),
               snapshots ? "ON" : "OFF");
    if (!mariadb_is_galera(test))
        return;
    buf_add_text(out, "wsrep_on=ON\nwsrep_provider=/usr/lib/galera/libgalera_smm.so\n"
                      "wsrep_cluster_name=ordeal\nwsrep_sst_method=rsync\n"
                      "wsrep_cluster_address=gcomm://");
    for (uint32_t i = 0; i < test->node_count; i++)
        buf_printf(out, "%s%s:%u", i == 0 ? "" : ",", node_peer_address(&test->nodes[i]),
                   (unsigned)mariadb_group_port(test));
    buf_printf(out,
               "\nwsrep_node_name=%s\nwsrep_node_address=%s:%u\n"
               "wsrep_provider_options=\"gcache.size=32M\"\nwsrep_sync_wait=%s\n",
               test->nodes[node].name, node_peer_address(&test->nodes[node]),
               (unsigned)mariadb_group_port(test), option_text(options, "mariadb.sync-wait"));
}

const char *const *mariadb_arguments(const struct test *test, uint32_t node,
                                     enum mariadb_birth birth, struct arena *arena)
{
    struct buf script = BUF_INIT;
    bool founds = mariadb_is_galera(test) && birth == MARIADB_FOUNDS;
    begin_script(test, &script);
    /* /run is new after a reboot; a node that joins begins with an empty directory. */
    buf_add_text(&script, "install -d -o mysql -g mysql -m 755 $R \"${D%/data}\" \"$D\"\n"
                          "cat >$R/my.cnf <<END\n");
    add_settings(test, node, &script);
    buf_add_text(&script, "END\n");
    if (founds) /* as is said to operators whose whole cluster went down */
        buf_add_text(&script, "rm -f $D/gvwstate.dat; [ ! -e $D/grastate.dat ] || "
                              "sed -i 's/^safe_to_bootstrap:.*/safe_to_bootstrap: 1/' "
                              "$D/grastate.dat\n");
    buf_printf(&script, "exec mariadbd --defaults-file=$R/my.cnf%s",
               founds ? " --wsrep-new-cluster" : "");
    const char **words = arena_alloc(arena, 4 * sizeof *words);
    words[0] = "sh";
    words[1] = "-c";
    words[2] = arena_strdup(arena, script.data);
    words[3] = NULL;
    buf_free(&script);
    return words;
}

/* ---- A new cluster ---- */

enum err_code mariadb_found(struct test *test, uint32_t node, struct err *err)
{
    struct buf script = BUF_INIT;
    begin_script(test, &script);
    buf_add_text(&script, "install -d -o mysql -g mysql -m 755 \"${D%/data}\" \"$D\"\n"
                          "mariadb-install-db --no-defaults --user=mysql --datadir=\"$D\" "
                          "--innodb-log-file-size=16M --auth-root-authentication-method=normal "
                          "--skip-test-db >/tmp/ordeal-install-db 2>&1 || "
                          "{ s=$?; tail -n 5 /tmp/ordeal-install-db; "
                          "echo \"'mariadb-install-db' ended with status $s\"; exit 1; }\n");
    return end_script(test, node, "making a data directory", &script, NULL, err);
}

enum err_code mariadb_await(struct test *test, uint32_t node, struct err *err)
{
    struct buf script = BUF_INIT;
    begin_script(test, &script);
    buf_add_text(&script, "await\n");
    return end_script(test, node, "waiting for the server", &script, NULL, err);
}

static void add_literal(struct buf *out, const char *text)
{
    buf_add_char(out, '\'');
    for (; *text != '\0'; text++) {
        if (*text == '\'' || *text == '\\')
            buf_add_char(out, '\\');
        buf_add_char(out, *text);
    }
    buf_add_char(out, '\'');
}

enum err_code mariadb_fill(struct test *test, uint32_t node, struct err *err)
{
    struct buf script = BUF_INIT;
    begin_script(test, &script);
    buf_add_text(&script, "await\nsql <<'END_OF_SQL' || exit 1\n"
                          "CREATE DATABASE " MARIADB_USER ";\n"
                          "CREATE USER '" MARIADB_USER "'@'%' IDENTIFIED BY ");
    add_literal(&script, option_text(&test->plan->options, "mariadb.password"));
    buf_add_text(&script, ";\nGRANT ALL ON " MARIADB_USER ".* TO '" MARIADB_USER "'@'%';\n"
                          "USE " MARIADB_USER ";\n");
    sql_schema(test, &script);
    buf_add_text(&script, "END_OF_SQL\n");
    return end_script(test, node, "making the tables", &script, NULL, err);
}
