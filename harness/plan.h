/* The plan: everything a run was asked to do, with every default filled in.
 *
 * What a flag says a plan file can say, under the same name: `--time-limit 60s` is
 * {"time-limit": "60s"}. plan.json in the run directory is the whole plan, and running it repeats
 * the test. Bad plans are refused with file, line and field. */
#ifndef ORDEAL_PLAN_H
#define ORDEAL_PLAN_H

#include "harness/base/arena.h"
#include "harness/checker.h"
#include "harness/option.h"

struct json_source;
struct system;
struct workload;
struct nemesis;
struct node;
struct schedule_step;

enum { PLAN_NODES_MAX = 64, PLAN_NEMESES_MAX = 48 };

struct plan {
    struct arena arena;
    struct json *values;    /* the plan as JSON, as plan.json will have it */
    struct options options; /* "owner.name" of system, workload, nemeses and checkers */

    const char *name;
    const struct system *system;
    const struct workload *workload;
    const struct nemesis *nemeses[PLAN_NEMESES_MAX];
    size_t nemesis_count;        /* of all steps, each once */
    struct schedule_step *steps; /* when they act: schedules/schedule.h */
    size_t step_count;
    const char *schedule_file;   /* where the schedule was read, for messages; NULL: from nowhere */
    int *schedule_lines;         /* of its steps */
    const char *const *checkers; /* names; the workload's own unless the plan says others */
    size_t checker_count;

    struct node *nodes; /* as the plan has them; NULL for a local cluster */
    size_t node_count;  /* of either */
    bool local;
    const char *cluster; /* name of the local cluster */

    int64_t time_limit_ns;
    double rate; /* operations a second over all workers; 0: as fast as they can */
    int concurrency;
    uint64_t seed;
    int64_t op_timeout_ns;
    int64_t ready_timeout_ns;
    struct check_limits check_limits;
    enum keyed keyed;
    bool stop_on_violation;
    bool no_install;    /* what is missing on nodes is told, not put there */
    bool leave_running; /* the system and the local cluster, in the end */
    bool pcap;          /* packets are captured, at most so many MiB of a node */
    int64_t pcap_mib;
    const char **log_globs; /* to fetch besides the system's logs */
    size_t log_glob_count;
    const char *store;
};

/* One field, for help texts and for checking. */
struct plan_field {
    const char *name;
    enum option_kind kind;
    const char *fallback; /* NULL: none, or worked out */
    const char *metavar;
    const char *group; /* heading in the help */
    const char *help;
};
extern const struct plan_field plan_fields[]; /* ends with .name == NULL */

void plan_init(struct plan *plan);
void plan_free(struct plan *plan);
/* Sets one field from text, as a flag does; `where` names the source ("--rate", "plan.json:3"). A
 * later setting replaces an earlier one; "set" adds owner.name=value. */
enum err_code plan_set(struct plan *plan, const char *field, const char *value, const char *where,
                       struct err *err);
enum err_code plan_read_file(struct plan *plan, const char *path, struct err *err);
/* Sets one field from what a plan file says of it. */
enum err_code plan_set_json(struct plan *plan, const char *field, const struct json *value,
                            const char *where, struct err *err);
/* The members of an object that is a plan, or a part of one, within a document. */
enum err_code plan_read_object(struct plan *plan, const struct json *object,
                               const struct json_source *source, struct err *err);
/* Fills in the defaults, resolves names, checks that all fits together. After it `values` is
 * complete. */
enum err_code plan_resolve(struct plan *plan, struct err *err);

/* Which of the plan's checkers can judge the run while it goes on; NULL: none. */
const char *plan_watcher(const struct plan *plan);

const char *plan_text(const struct plan *plan, const char *field); /* NULL when absent */

/* The text of a JSON scalar, or of an array of texts joined by commas; NULL for anything else. */
const char *plan_scalar_text(struct arena *arena, const struct json *node);

#endif
