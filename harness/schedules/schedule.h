/* Schedules: which fault begins when, and how long it lasts.
 *
 * A plan's schedule is a list of steps, and each step works on its own: at a time, once something
 * has happened, or again and again. `--nemesis partition,kill` is one step of the last kind. All of
 * them together are done by the nemesis' one thread, so a fault that is being injected or undone
 * makes others wait; and one begins only when nothing is in force that it must not overlap
 * (nemesis.h: hits). What is drawn is drawn from the seed by each step from a stream of its own, in
 * an order that does not depend on how the run goes: the same seed asks for the same faults. */
#ifndef ORDEAL_SCHEDULE_H
#define ORDEAL_SCHEDULE_H

#include "harness/generator.h"
#include "harness/nemesis.h"
#include "harness/schedules/watch.h"

enum step_kind {
    STEP_OFTEN, /* one of its nemeses every interval or so */
    STEP_AT,    /* once, at a time of the run */
    STEP_WHEN,  /* once something has happened */
};

enum trigger {
    TRIGGER_NEW_PRIMARY, /* a node leads that did not when it was last known who leads */
    TRIGGER_NO_PRIMARY,  /* nobody leads any more */
    TRIGGER_BEGUN,       /* a fault of a nemesis took effect */
    TRIGGER_ENDED,       /* a fault of a nemesis was undone */
};

/* From one value at the beginning of the run to another at its end: "10s..1s". */
struct step_range {
    int64_t first, last;
};

enum { STEP_OVERLAP_MAX = 8 };

struct schedule_step {
    const char *where; /* for messages: "faults.json:3: step 2"; "nemesis" for the flag's */
    enum step_kind kind;
    const struct nemesis *nemeses[PLAN_NEMESES_MAX];
    double weights[PLAN_NEMESES_MAX];
    size_t nemesis_count;   /* 1 but for STEP_OFTEN */
    const struct json *set; /* options of the nemesis for this step alone: {"targets": "n1"} */
    const char *value;      /* EDN of what is asked for; NULL: it is drawn */
    /* Of a fault that is repeated: EDN of what it did, and the names of the nodes it hit. */
    const char *done;
    const char **hit;
    size_t hit_count;
    bool repeats;

    /* STEP_OFTEN */
    bool rounds; /* each nemesis once in every round, in an order drawn anew; else by weight */
    struct step_range interval, duration, overlap;
    int64_t from_ns, until_ns; /* of the run; until 0: to its end */

    /* STEP_AT, STEP_WHEN */
    int64_t at_ns;
    int64_t for_ns; /* -1: until end_ns, and without that to the end of the run */
    int64_t end_ns; /* -1: none */
    enum trigger trigger;
    const struct nemesis *of; /* TRIGGER_BEGUN, TRIGGER_ENDED */
    int64_t delay_ns;
    uint32_t times; /* 0: as often as it happens */
};

/* ---- Of a plan, before there are nodes ---- */

/* Reads the plan's fields into plan->steps, plan->nemeses: from `nemesis`, from `schedule` (a file,
 * or what plan.json has of it), or from `replay` (a schedule.jsonl). ERR_CONFIG names file, line
 * and what to do. Afterwards plan->values keeps the schedule whole, and no file is needed. */
enum err_code schedule_read(struct plan *plan, struct err *err);
/* The text of a file with a schedule in it, for the lines of its steps. */
void schedule_note_lines(struct plan *plan, const char *path, const char *text);
/* A run's schedule.jsonl as the steps that repeat it, to be freed: faults that took effect, at the
 * times at which they were asked for. */
enum err_code schedule_of_run(const char *path, struct json **steps, struct err *err);
/* "nemesis" when it is one, or the nemesis in a file (nemesis_file.h). NULL and an error. */
const struct nemesis *schedule_nemesis(const char *name, const char *where, struct err *err);

/* ---- Of a run ---- */

struct schedule;
/* `watch` may be NULL: then nobody tells who leads. The arena lives as long as the test. */
struct schedule *schedule_open(struct test *test, struct watch *watch, struct arena *arena);
void schedule_close(struct schedule *schedule);

/* Whether every nemesis can work here, and every step can be meant and does not overlap with what
 * it must not: before the run, once the agents are up. */
enum err_code schedule_check(struct schedule *schedule, struct err *err);

/* The operations of the nemesis: a beginning has what is asked for as its value. */
struct generator *schedule_generator(struct schedule *schedule);

/* The operation that the generator gave out last, for the nemesis' thread while it does it. */
struct schedule_now {
    uint32_t step; /* from 1, in the order of the plan */
    const struct schedule_step *of;
    struct test *test; /* with the step's options in its plan */
};
struct schedule_now schedule_now(const struct schedule *schedule);

/* Whether two faults must not be in force at the same time. */
bool schedule_clash(const struct nemesis *a, node_set where_a, const struct nemesis *b,
                    node_set where_b);
/* The nodes that a fault may hit. */
node_set schedule_where(const struct test *test, const struct nemesis *nemesis, struct value asked);
/* The nodes of these names; ERR_CONFIG names `where` and the nearest right name. */
enum err_code schedule_nodes(const struct test *test, const char *where, const char *const *names,
                             size_t count, node_set *nodes, struct err *err);
/* What a step asks for: as written, as it was, or drawn. ERR_CONFIG when that cannot be meant. */
enum err_code schedule_value(struct test *test, const struct schedule_step *step,
                             const struct nemesis *nemesis, struct prng *prng, struct arena *arena,
                             struct value *value, struct err *err);

#endif
