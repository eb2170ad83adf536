/* What the files of the system postgres share, and its tests see. */
#ifndef ORDEAL_SYSTEMS_POSTGRES_H
#define ORDEAL_SYSTEMS_POSTGRES_H

#include "harness/system.h"
#include "workloads/sql.h"

#define POSTGRES_DAEMON "postgres"
#define POSTGRES_LOG "/var/log/ordeal/postgres.log"
#define POSTGRES_ROLE "ordeal" /* who owns the database of that name, and replicates */

extern const struct option postgres_options[];
uint16_t postgres_port(const struct test *test);

/* ---- postgres_driver.c: meets libpq ---- */

extern const struct sql_driver postgres_driver;
/* To this very node, whatever it is; NULL, and the reply tells why. */
void *postgres_connect_to(const struct test *test, uint32_t node, int64_t deadline_ns,
                          struct sql_reply *reply);
/* Whether the server says that it follows another one. */
bool postgres_is_standby(void *connection);

/* ---- postgres_meaning.c ---- */

/* What an error means as the answer to COMMIT, by its SQLSTATE. */
struct sql_meaning postgres_meaning(const struct sql_reply *reply);

/* ---- postgres_nodes.c: scripts on nodes ---- */

enum postgres_place { POSTGRES_EMPTY, POSTGRES_PRIMARY, POSTGRES_STANDBY };
/* What a node's data directory says that it is. */
enum err_code postgres_look(struct test *test, uint32_t node, enum postgres_place *place,
                            struct err *err);
/* The command line of a node's server, NULL at the end. */
const char *const *postgres_arguments(const struct test *test, struct arena *arena);
/* Makes a new database cluster; it does not run yet. */
enum err_code postgres_found(struct test *test, uint32_t node, struct err *err);
/* Makes the role, the database and the tables on a server that runs. */
enum err_code postgres_fill(struct test *test, uint32_t node, struct err *err);
/* Makes a node, which does not run, a copy of the primary that follows it. */
enum err_code postgres_copy(struct test *test, uint32_t node, uint32_t primary, struct err *err);
enum err_code postgres_promote(struct test *test, uint32_t node, struct err *err);
/* Has a standby that runs follow another primary. */
enum err_code postgres_follow(struct test *test, uint32_t node, uint32_t primary, struct err *err);

/* ---- Hooks of `struct system` ---- */

enum err_code postgres_start(struct test *test, node_set nodes, struct err *err);
bool postgres_ready(struct test *test, struct buf *why_not);
enum err_code postgres_primaries(struct test *test, node_set *primaries, struct err *err);
enum err_code postgres_version(struct test *test, struct buf *version, struct err *err);

#endif
