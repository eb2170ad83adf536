/* What systems do alike on their nodes: looking, checking options, starting with care. */
#ifndef ORDEAL_SYSTEMS_COMMON_H
#define ORDEAL_SYSTEMS_COMMON_H

#include "harness/system.h"

/* What a system is installed from: Debian packages, and a command that succeeds where they are. */
struct system_package {
    const char *system, *packages, *probe;
};
/* Makes sure of it: by apt-get where nodes are machines, without starting the packages' services.
 * Local nodes share this machine's programs. */
enum err_code system_install(struct test *test, node_set nodes,
                             const struct system_package *package, struct err *err);

/* Where a program of this machine's is put on nodes: "/var/lib/ordeal/bin/PROGRAM-<hash>/PROGRAM",
 * named by what it holds, so that another build never runs under an old one's name. */
enum err_code system_upload_path(const char *source, const char *program, struct buf *target,
                                 struct err *err);
/* Puts it there on nodes that lack it. Then it must run, with these arguments: what a node lacks
 * for it is told here. */
enum err_code system_upload(struct test *test, node_set nodes, const char *source,
                            const char *target, const char *arguments, struct err *err);

/* Runs a script on one node; its output and errors go to `out`. When its status is not 0,
 * ERR_REMOTE says `what` failed ("making the tables"), with the end of its output and of the
 * system's log. */
enum err_code system_script(struct test *test, uint32_t node, const char *what, const char *script,
                            const char *log, struct buf *out, struct err *err);

/* Runs the script on all these nodes at once. When it ends with a status other than 0 somewhere,
 * the first such node goes to *culprit and what it wrote to `says`; SYSTEM_HEALTHY is "nowhere". */
enum { SYSTEM_HEALTHY = UINT32_MAX };
enum err_code system_examine(struct test *test, node_set nodes, const char *script,
                             uint32_t *culprit, struct buf *says, struct err *err);

/* Of servers that know nothing of each other: which node's has the queue of this name. "q0", "q1",
 * .. are on nodes beside each other. */
uint32_t system_node_of(const struct test *test, const char *name);

/* `name` is an option, "etcd.client-port". */
enum err_code system_check_range(const struct test *test, const char *name, int64_t low,
                                 int64_t high, struct err *err);
/* A data directory is removed whole: it must be one that nothing else can be in. */
enum err_code system_check_data_dir(const struct test *test, const char *name, struct err *err);
enum err_code system_wipe_data_dir(struct test *test, node_set nodes, const char *name,
                                   struct err *err);

/* Names who listens on one of the ports already, if anybody does. */
struct system_ports {
    const char *owner; /* of the options client-port and peer-port */
    uint16_t client, peer;
};
enum err_code system_check_ports(struct test *test, node_set nodes,
                                 const struct system_ports *ports, struct err *err);

/* One more reason why a cluster does not serve yet, "; " between them: of a node, or of all. */
#define SYSTEM_ALL_NODES UINT32_MAX
void system_trouble(const struct test *test, uint32_t node, const char *trouble,
                    struct buf *why_not);

/* The nodes on which the daemon does not run. */
enum err_code system_absent(struct test *test, node_set nodes, const char *daemon, node_set *absent,
                            struct err *err);
/* A wrong flag or a data directory that it cannot use ends a daemon within milliseconds: looks for
 * a moment whether it stays, and tells the end of its log if not. */
enum err_code system_watch(struct test *test, node_set nodes, const char *daemon, const char *log,
                           struct err *err);

#endif
