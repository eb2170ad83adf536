/* What is done to PostgreSQL on its nodes: scripts, as an operator would type them. */
#include <stdio.h>
#include <string.h>

#include "workloads/systems/common.h"
#include "workloads/systems/postgres/postgres.h"

/* ---- Scripts ---- */

/* Begins every script: $P are the server's programs, $D is its data, `as` is the user postgres. */
static void begin_script(const struct test *test, struct buf *script)
{
    const struct options *options = &test->plan->options;
    buf_add_text(script, "set -e; cd /; P=");
    buf_add_shell_word(script, option_text(options, "postgres.bin-dir"));
    buf_add_text(script, "; D=");
    buf_add_shell_word(script, option_text(options, "postgres.data-dir"));
    buf_printf(script,
               "/data\n"
               "[ -n \"$P\" ] || P=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | "
               "tail -n 1)\n"
               "as() { setpriv --reuid=postgres --regid=postgres --init-groups \"$@\"; }\n"
               "run() { as \"$@\" 2>&1 || { s=$?; echo \"'$(basename \"$1\")' ended with status "
               "$s\"; return $s; }; }\n"
               "sql() { as \"$P/psql\" -X -q -v ON_ERROR_STOP=1 -h /run/ordeal-postgres -p %u "
               "\"$@\" 2>&1; }\n",
               (unsigned)postgres_port(test));
}

static enum err_code end_script(struct test *test, uint32_t node, const char *what,
                                struct buf *script, struct buf *out, struct err *err)
{
    struct buf says = BUF_INIT;
    enum err_code code =
        system_script(test, node, what, script->data, POSTGRES_LOG, out == NULL ? &says : out, err);
    buf_free(script);
    buf_free(&says);
    return code;
}

/* ---- Looking ---- */

enum err_code postgres_look(struct test *test, uint32_t node, enum postgres_place *place,
                            struct err *err)
{
    struct buf script = BUF_INIT, says = BUF_INIT;
    begin_script(test, &script);
    buf_add_text(&script,
                 "if [ ! -e $D/PG_VERSION ]; then echo empty\n"
                 "elif [ -e $D/standby.signal ]; then echo standby; else echo primary; fi");
    enum err_code code = end_script(test, node, "looking at the data", &script, &says, err);
    if (code == ERR_NONE)
        *place = strncmp(buf_text(&says), "standby", 7) == 0   ? POSTGRES_STANDBY
                 : strncmp(buf_text(&says), "primary", 7) == 0 ? POSTGRES_PRIMARY
                                                               : POSTGRES_EMPTY;
    buf_free(&says);
    return code;
}

/* ---- The command line ---- */

/* What is set here counts more than any file, whoever copied that from where. */
const char *const *postgres_arguments(const struct test *test, struct arena *arena)
{
    const struct options *options = &test->plan->options;
    struct buf script = BUF_INIT, names = BUF_INIT, commit = BUF_INIT;
    int64_t synchronous = option_int(options, "postgres.synchronous-standbys");
    begin_script(test, &script);
    /* /run is new after a reboot; and what an earlier server left behind ends within moments. */
    buf_add_text(&script,
                 "install -d -o postgres -g postgres -m 755 /run/ordeal-postgres\n"
                 "exec setpriv --reuid=postgres --regid=postgres --init-groups \"$P/postgres\" "
                 "-D \"$D\" \"$@\"");
    if (synchronous > 0)
        buf_printf(&names, "ANY %lld (*)", (long long)synchronous);
    buf_add_text(&commit, option_text(options, "postgres.synchronous-commit"));
    for (size_t i = 0; i < commit.length; i++)
        if (commit.data[i] == '-')
            commit.data[i] = '_';
    const char *const settings[] = {
        "listen_addresses=*",
        arena_printf(arena, "port=%u", (unsigned)postgres_port(test)),
        "unix_socket_directories=/run/ordeal-postgres",
        "hot_standby=on",
        "wal_level=replica",
        "max_connections=300",
        "max_wal_senders=20",
        "wal_keep_size=256MB",
        "max_wal_size=256MB",
        "shared_buffers=32MB",
        /* Replication that a fault broke is to be noticed, and tried again, within seconds. */
        "wal_sender_timeout=5s",
        "wal_receiver_timeout=5s",
        "wal_retrieve_retry_interval=500ms",
        "deadlock_timeout=100ms", /* operations have about a second */
        arena_printf(arena, "fsync=%s", option_bool(options, "postgres.fsync") ? "on" : "off"),
        arena_printf(arena, "synchronous_commit=%s", buf_text(&commit)),
        arena_printf(arena, "synchronous_standby_names=%s", buf_text(&names)),
    };
    enum { SETTINGS = sizeof settings / sizeof *settings };
    const char **words = arena_alloc(arena, (2 * SETTINGS + 5) * sizeof *words);
    size_t count = 0;
    words[count++] = "sh";
    words[count++] = "-c";
    words[count++] = arena_strdup(arena, script.data);
    words[count++] = "postgres";
    for (size_t i = 0; i < SETTINGS; i++) {
        words[count++] = "-c";
        words[count++] = settings[i];
    }
    words[count] = NULL;
    buf_free(&script);
    buf_free(&names);
    buf_free(&commit);
    return words;
}

/* ---- A new cluster ---- */

enum err_code postgres_found(struct test *test, uint32_t node, struct err *err)
{
    struct buf script = BUF_INIT;
    begin_script(test, &script);
    buf_add_text(&script,
                 "install -d -o postgres -g postgres -m 755 \"${D%/data}\"\n"
                 "run \"$P/initdb\" -D \"$D\" -E UTF8 --locale=C -A peer >/tmp/ordeal-initdb || "
                 "{ tail -n 5 /tmp/ordeal-initdb; exit 1; }\n"
                 "as tee \"$D/pg_hba.conf\" >/dev/null <<'END'\n"
                 "local all postgres peer\n"
                 "host all " POSTGRES_ROLE " all scram-sha-256\n"
                 "host replication " POSTGRES_ROLE " all scram-sha-256\n"
                 "END\n");
    return end_script(test, node, "making a database cluster", &script, NULL, err);
}

static void add_literal(struct buf *out, const char *text)
{
    buf_add_char(out, '\'');
    for (; *text != '\0'; text++) {
        if (*text == '\'')
            buf_add_char(out, '\'');
        buf_add_char(out, *text);
    }
    buf_add_char(out, '\'');
}

enum err_code postgres_fill(struct test *test, uint32_t node, struct err *err)
{
    struct buf script = BUF_INIT, statements = BUF_INIT;
    buf_add_text(&statements, "CREATE ROLE " POSTGRES_ROLE " LOGIN REPLICATION PASSWORD ");
    add_literal(&statements, option_text(&test->plan->options, "postgres.password"));
    buf_add_text(&statements,
                 ";\nGRANT pg_monitor TO " POSTGRES_ROLE ";\n"
                 "CREATE DATABASE " POSTGRES_ROLE " OWNER " POSTGRES_ROLE ";\n"
                 "\\c " POSTGRES_ROLE "\nSET ROLE " POSTGRES_ROLE
                 ";\nSET search_path = public;\nRESET ROLE;\n"
                 "ALTER SCHEMA public OWNER TO " POSTGRES_ROLE ";\nSET ROLE " POSTGRES_ROLE ";\n");
    sql_schema(test, &statements);
    begin_script(test, &script);
    /* It has only just been started. No standby is there yet to wait for. */
    buf_add_text(&script, "export PGOPTIONS='-c synchronous_commit=local'\n"
                          "for i in $(seq 200); do sql -d postgres -c 'SELECT 1' >/dev/null && "
                          "break; sleep 0.05; done\n"
                          "sql -d postgres -f - <<'END_OF_SQL' || exit 1\n");
    buf_add(&script, statements.data, statements.length);
    buf_add_text(&script, "END_OF_SQL\n");
    buf_free(&statements);
    return end_script(test, node, "making the tables", &script, NULL, err);
}

/* ---- Replication ---- */

/* As libpq reads it: words of key='value'. */
static void add_conninfo(const struct test *test, uint32_t node, uint32_t primary, struct buf *out)
{
    buf_printf(out, "host=%s port=%u user=" POSTGRES_ROLE " application_name=%s password='",
               node_peer_address(&test->nodes[primary]), (unsigned)postgres_port(test),
               test->nodes[node].name);
    for (const char *c = option_text(&test->plan->options, "postgres.password"); *c != '\0'; c++) {
        if (*c == '\'' || *c == '\\')
            buf_add_char(out, '\\');
        buf_add_char(out, *c);
    }
    buf_add_text(out, "' sslmode=disable connect_timeout=5");
}

enum err_code postgres_copy(struct test *test, uint32_t node, uint32_t primary, struct err *err)
{
    struct buf script = BUF_INIT, conninfo = BUF_INIT;
    add_conninfo(test, node, primary, &conninfo);
    begin_script(test, &script);
    buf_add_text(&script, "rm -rf \"$D\"\n"
                          "install -d -o postgres -g postgres -m 755 \"${D%/data}\"\n"
                          "run \"$P/pg_basebackup\" -D \"$D\" -R -X stream -c fast -d ");
    buf_add_shell_word(&script, conninfo.data);
    buf_free(&conninfo);
    return end_script(test, node, "copying the primary", &script, NULL, err);
}

enum err_code postgres_promote(struct test *test, uint32_t node, struct err *err)
{
    struct buf script = BUF_INIT;
    begin_script(test, &script);
    buf_add_text(&script, "run \"$P/pg_ctl\" promote -D \"$D\" -w -t 10");
    return end_script(test, node, "promoting the standby", &script, NULL, err);
}

enum err_code postgres_follow(struct test *test, uint32_t node, uint32_t primary, struct err *err)
{
    struct buf script = BUF_INIT, conninfo = BUF_INIT;
    add_conninfo(test, node, primary, &conninfo);
    begin_script(test, &script);
    buf_add_text(&script, "sql -d postgres -f - <<'END_OF_SQL' || exit 1\n"
                          "ALTER SYSTEM SET primary_conninfo = ");
    add_literal(&script, conninfo.data);
    buf_add_text(&script, ";\nSELECT pg_reload_conf();\nEND_OF_SQL\n");
    buf_free(&conninfo);
    return end_script(test, node, "following the new primary", &script, NULL, err);
}
