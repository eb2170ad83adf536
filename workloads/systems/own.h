/* Systems of one's own: a directory with a system.json, read into a struct system like any other.
 * docs/own-systems.md says what is in it. */
#ifndef ORDEAL_SYSTEMS_OWN_H
#define ORDEAL_SYSTEMS_OWN_H

#include "harness/system.h"
#include "harness/workload.h"
#include "workloads/systems/own_program.h"

/* Texts are as they stand in the file, templates not yet filled in; NULL: not given. */
struct own_file {
    const char *local, *content; /* one of the two */
    const char *path;
    unsigned mode;
    bool fill; /* what is in it is a template, too */
};
struct own_daemon {
    const char *name;
    const char *const *run; /* NULL at the end */
    const char *const *env; /* "NAME=value", NULL at the end */
    const char *cwd, *user, *log;
};
struct own_workload {
    const char *name;
    const char *const *operations; /* NULL at the end */
};

struct own_system {
    struct system system;  /* first: what the harness knows of it */
    const char *directory; /* absolute */
    const char *reference; /* how the plan names it */
    struct own_file *files;
    size_t file_count;
    struct own_daemon *daemons;
    size_t daemon_count;
    struct own_workload *workloads;
    size_t workload_count;
    const char *const *required; /* names of options without a default, NULL at the end */
    const char *install, *before_start, *after_start, *stop, *wipe, *ready, *primary, *version;
    bool has_data_dir;
    const char *const *client_run;
    const char *const *client_env;
    struct own_pool pool; /* argv is set when the plan is checked */
    struct arena arena;
};

/* Reads directory/system.json. `err` says file, line, place and what was expected. The result stays
 * to the end of the process. */
struct own_system *own_read(const char *directory, const char *reference, struct err *err);

/* The system that hooks get of the plan. */
const struct own_system *own_of(const struct plan *plan);
/* The hooks on nodes, and what is looked at before the run. */
extern const struct system own_hooks;
enum err_code own_check(const struct plan *plan, struct err *err);
/* A local file: as it is, or below the system's directory, or below where ordeal was started. NULL:
 * it is nowhere. */
const char *own_local_path(const struct own_system *own, const char *path, struct arena *arena);

/* The client, which speaks to the program. */
extern const struct client own_client;
/* Whether its programs start, open and close; those that do stay, for the run. */
enum err_code own_rehearse(struct test *test, struct err *err);

/* ---- Templates ---- */

enum own_scope { OWN_ON_NODE, OWN_HERE }; /* HERE: there is no {{node}} */

/* Adds `text` with everything in {{..}} filled in. `test` NULL: only looks whether that could be
 * done. ERR_CONFIG names what is not known. */
enum err_code own_fill(const struct own_system *own, const struct plan *plan,
                       const struct test *test, uint32_t node, enum own_scope scope,
                       const char *text, struct buf *out, struct err *err);

#endif
