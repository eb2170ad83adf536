/* What the files of the system mariadb share, and its tests see. */
#ifndef ORDEAL_SYSTEMS_MARIADB_H
#define ORDEAL_SYSTEMS_MARIADB_H

#include "harness/system.h"
#include "workloads/sql.h"

#define MARIADB_DAEMON "mariadbd"
#define MARIADB_LOG "/var/log/ordeal/mariadbd.log"
#define MARIADB_USER "ordeal" /* who owns the database of that name */

extern const struct option mariadb_options[];
uint16_t mariadb_port(const struct test *test);
uint16_t mariadb_group_port(const struct test *test);
bool mariadb_is_galera(const struct test *test);

/* ---- mariadb_driver.c: meets libmariadb ---- */

extern const struct sql_driver mariadb_driver;
/* To this very node; NULL, and the reply tells why. */
void *mariadb_connect_to(const struct test *test, uint32_t node, int64_t deadline_ns,
                         struct sql_reply *reply);

/* ---- mariadb_meaning.c ---- */

/* What an error means as the answer to COMMIT, by the server's number for it. */
struct sql_meaning mariadb_meaning(const struct sql_reply *reply);
/* Whether the connection is of no use after it. */
bool mariadb_error_ends(int number);

/* ---- mariadb_nodes.c: scripts on nodes ---- */

/* What a node has to begin with. */
struct mariadb_place {
    bool has_data;
    int64_t committed; /* Galera: the last transaction in its data; -1: it does not tell */
};
enum err_code mariadb_look(struct test *test, uint32_t node, struct mariadb_place *place,
                           struct err *err);
enum mariadb_birth { MARIADB_JOINS, MARIADB_FOUNDS };
/* The command line of a node's server, NULL at the end. MARIADB_FOUNDS: of a new cluster, by what
 * this node has. */
const char *const *mariadb_arguments(const struct test *test, uint32_t node,
                                     enum mariadb_birth birth, struct arena *arena);
/* Makes a new data directory; it does not run yet. */
enum err_code mariadb_found(struct test *test, uint32_t node, struct err *err);
/* Makes the user, the database and the tables on a server that has just been started. */
enum err_code mariadb_fill(struct test *test, uint32_t node, struct err *err);
/* Waits until a server that has just been started serves. */
enum err_code mariadb_await(struct test *test, uint32_t node, struct err *err);

/* ---- Hooks of `struct system` ---- */

enum err_code mariadb_start(struct test *test, node_set nodes, struct err *err);
bool mariadb_ready(struct test *test, struct buf *why_not);
enum err_code mariadb_primaries(struct test *test, node_set *primaries, struct err *err);
enum err_code mariadb_version(struct test *test, struct buf *version, struct err *err);

#endif
