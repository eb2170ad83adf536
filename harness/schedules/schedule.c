/* What is due when: see schedule.h. */
#include "harness/schedules/schedule_internal.h"

#include <stdio.h>
#include <string.h>

/* ---- Draws ---- */

/* A quarter more or less, so that faults do not keep step with what the system does periodically.
 */
static int64_t about(struct prng *prng, int64_t ns)
{
    return prng_between(prng, ns - ns / 4, ns + ns / 4);
}

static int64_t range_at(const struct lane *lane, struct step_range range, int64_t now_ns)
{
    int64_t from_ns = lane->step->from_ns;
    int64_t to_ns = lane->step->until_ns > 0 ? lane->step->until_ns : lane->plan.time_limit_ns;
    if (range.first == range.last || to_ns <= from_ns || now_ns <= from_ns)
        return range.first;
    double progress = now_ns >= to_ns ? 1 : (double)(now_ns - from_ns) / (double)(to_ns - from_ns);
    return range.first + (int64_t)((double)(range.last - range.first) * progress + 0.5);
}

static size_t draw_by_weight(struct lane *lane)
{
    double sum = 0;
    for (size_t i = 0; i < lane->step->nemesis_count; i++)
        sum += lane->step->weights[i];
    double point = prng_unit(&lane->prng) * sum;
    size_t which = 0;
    while (which + 1 < lane->step->nemesis_count && point >= lane->step->weights[which])
        point -= lane->step->weights[which++];
    return which;
}

static void draw_nemesis(struct lane *lane)
{
    size_t count = lane->step->nemesis_count;
    if (!lane->step->rounds) {
        lane->which = count == 1 ? 0 : draw_by_weight(lane);
        return;
    }
    if (lane->turn % count == 0)
        prng_shuffle(&lane->prng, lane->order, count, sizeof lane->order[0]);
    lane->which = lane->order[lane->turn % count];
}

/* What the lane asks for next. That a written value can be meant was checked before the run. */
static void draw_fault(struct schedule *schedule, struct lane *lane)
{
    struct test *test = lane_test(schedule, lane);
    arena_reset(&lane->values);
    draw_nemesis(lane);
    if (schedule_value(test, lane->step, lane_nemesis(lane), &lane->prng, &lane->values,
                       &lane->asked, NULL) != ERR_NONE)
        lane->asked = value_nil();
    lane->where = schedule_where(test, lane_nemesis(lane), lane->asked);
}

/* ---- Lanes ---- */

struct test *lane_test(struct schedule *schedule, struct lane *lane)
{
    if (lane->step->set == NULL)
        return schedule->test;
    lane->test = *schedule->test;
    lane->test.plan = &lane->plan;
    return &lane->test;
}

/* A schedule that grows: when enough may be in force for this lane, too; it shrinks likewise. */
static bool is_wanted(struct lane *lane, int64_t *at_ns)
{
    const struct schedule_step *step = lane->step;
    int64_t to_ns = step->until_ns > 0 ? step->until_ns : lane->plan.time_limit_ns;
    if (step->until_ns > 0 && *at_ns >= step->until_ns)
        return false;
    while (range_at(lane, step->overlap, *at_ns) <= lane->place) {
        if (step->overlap.last <= lane->place || *at_ns >= to_ns)
            return false;
        *at_ns += (to_ns - step->from_ns) / 200 + 1;
    }
    return true;
}

static void plan_next(struct schedule *schedule, struct lane *lane, int64_t now_ns)
{
    const struct schedule_step *step = lane->step;
    int64_t base_ns = now_ns > step->from_ns ? now_ns : step->from_ns;
    int64_t pause_ns =
        range_at(lane, step->interval, base_ns) - range_at(lane, step->duration, base_ns);
    lane->next_ns = base_ns + about(&lane->prng, pause_ns < 0 ? 0 : pause_ns);
    lane->state = is_wanted(lane, &lane->next_ns) ? LANE_WAITING : LANE_OVER;
    if (lane->state == LANE_WAITING)
        draw_fault(schedule, lane);
}

static void begin_lane(struct schedule *schedule, struct lane *lane, int64_t now_ns)
{
    if (lane->step->kind == STEP_OFTEN) {
        plan_next(schedule, lane, now_ns);
        return;
    }
    lane->next_ns = lane->step->at_ns;
    lane->state = LANE_WAITING;
    draw_fault(schedule, lane);
}

static size_t place_of(const struct schedule *schedule, const struct nemesis *nemesis)
{
    size_t place = 0;
    while (schedule->test->plan->nemeses[place] != nemesis)
        place++;
    return place;
}

/* How often what the lane waits for has happened, and when last. */
static uint64_t heard_of(const struct schedule *schedule, const struct lane *lane,
                         const struct watch_sight *sight, int64_t *at_ns)
{
    size_t place = lane->step->of == NULL ? 0 : place_of(schedule, lane->step->of);
    switch (lane->step->trigger) {
    case TRIGGER_NEW_PRIMARY:
        *at_ns = sight->elected_ns;
        return sight->elections;
    case TRIGGER_NO_PRIMARY:
        *at_ns = sight->lost_ns;
        return sight->losses;
    case TRIGGER_BEGUN:
        *at_ns = schedule->begun_ns[place];
        return schedule->begun[place];
    default:
        *at_ns = schedule->ended_ns[place];
        return schedule->ended[place];
    }
}

/* Looks whether lanes have something to do, now. */
static void wake(struct schedule *schedule, int64_t now_ns)
{
    struct watch_sight sight = watch_sight(schedule->watch);
    for (size_t i = 0; i < schedule->lane_count; i++) {
        struct lane *lane = &schedule->lanes[i];
        int64_t at_ns = 0;
        if (lane->step->kind != STEP_WHEN && !lane->begun_once) {
            lane->begun_once = true;
            begin_lane(schedule, lane, now_ns);
        } else if (lane->state == LANE_ASLEEP && lane->step->kind == STEP_WHEN) {
            uint64_t heard = heard_of(schedule, lane, &sight, &at_ns);
            if (heard == lane->heard)
                continue;
            lane->heard = heard;
            lane->next_ns = at_ns + lane->step->delay_ns;
            lane->state = LANE_WAITING;
            draw_fault(schedule, lane);
        }
    }
}

/* ---- What must not be in force together ---- */

node_set schedule_where(const struct test *test, const struct nemesis *nemesis, struct value asked)
{
    return nemesis->where == NULL ? test_all_nodes(test) : nemesis->where(test, asked);
}

bool schedule_clash(const struct nemesis *a, node_set where_a, const struct nemesis *b,
                    node_set where_b)
{
    if (a == b || a->hits == 0 || b->hits == 0)
        return true;
    unsigned both = a->hits & b->hits & ~(unsigned)HITS_NOTHING;
    if ((both & ~(unsigned)HITS_PROCESSES) != 0)
        return true;
    return both != 0 && (where_a & where_b) != 0;
}

/* Nothing in force clashes with it, nor does anything that was due before and still waits: or what
 * wants to be alone would wait for ever while others take turns. */
static bool must_wait(const struct schedule *schedule, const struct lane *lane, int64_t now_ns)
{
    for (size_t i = 0; i < schedule->holding_count; i++) {
        const struct lane *other = schedule->holding[i];
        if (schedule_clash(lane_nemesis(lane), lane->where, lane_nemesis(other), other->where))
            return true;
    }
    for (size_t i = 0; i < schedule->lane_count && lane->next_ns <= now_ns; i++) {
        const struct lane *other = &schedule->lanes[i];
        bool sooner =
            other->next_ns < lane->next_ns || (other->next_ns == lane->next_ns && other < lane);
        if (other->state == LANE_WAITING && sooner &&
            schedule_clash(lane_nemesis(lane), lane->where, lane_nemesis(other), other->where))
            return true;
    }
    return false;
}

/* ---- The generator ---- */

/* The lane with something to do soonest; of several at the same time one that ends a fault. */
static struct lane *soonest(struct schedule *schedule, int64_t now_ns)
{
    struct lane *best = NULL;
    for (size_t i = 0; i < schedule->lane_count; i++) {
        struct lane *lane = &schedule->lanes[i];
        bool ends = lane->state == LANE_HOLDING;
        if (!ends && (lane->state != LANE_WAITING || must_wait(schedule, lane, now_ns)))
            continue;
        if (best == NULL || lane->next_ns < best->next_ns ||
            (lane->next_ns == best->next_ns && ends && best->state != LANE_HOLDING))
            best = lane;
    }
    return best;
}

static bool is_over(const struct schedule *schedule)
{
    for (size_t i = 0; i < schedule->lane_count; i++)
        if (schedule->lanes[i].state != LANE_OVER)
            return false;
    return true;
}

static enum generator_answer next(struct generator *generator,
                                  const struct generator_context *context, struct generator_op *op)
{
    struct schedule *schedule = (struct schedule *)generator;
    if (context->thread != GENERATOR_NEMESIS || schedule->lane_count == 0)
        return GENERATOR_DONE;
    op->not_before_ns = GENERATOR_NEVER;
    if (schedule->given != NULL)
        return GENERATOR_PENDING;
    wake(schedule, context->now_ns);
    struct lane *lane = soonest(schedule, context->now_ns);
    if (lane == NULL)
        return is_over(schedule) ? GENERATOR_DONE : GENERATOR_PENDING;
    if (lane->next_ns > context->now_ns) { /* something else may happen sooner */
        op->not_before_ns = lane->next_ns;
        return GENERATOR_PENDING;
    }
    bool ends = lane->state == LANE_HOLDING;
    const struct nemesis *nemesis = lane_nemesis(lane);
    op->f = history_f(schedule->test->history, ends ? nemesis->end_f : nemesis->begin_f);
    op->value = ends ? value_nil() : lane->asked;
    op->not_before_ns = context->now_ns;
    lane->state = ends ? LANE_ENDING : LANE_BEGINNING;
    schedule->given = lane;
    schedule->now = lane;
    return GENERATOR_OP;
}

/* It took effect: until when it stays. */
static void hold(struct schedule *schedule, struct lane *lane, int64_t now_ns)
{
    const struct schedule_step *step = lane->step;
    size_t place = place_of(schedule, lane_nemesis(lane));
    schedule->begun[place]++;
    schedule->begun_ns[place] = now_ns;
    lane->fired++;
    lane->state = LANE_HOLDING;
    schedule->holding[schedule->holding_count++] = lane;
    if (step->kind == STEP_OFTEN)
        lane->next_ns = now_ns + about(&lane->prng, range_at(lane, step->duration, now_ns));
    else if (step->for_ns >= 0)
        lane->next_ns = now_ns + step->for_ns;
    else
        lane->next_ns = step->end_ns >= 0 ? step->end_ns : GENERATOR_NEVER;
}

/* It is over, or never was. */
static void go_on(struct schedule *schedule, struct lane *lane, int64_t now_ns)
{
    const struct schedule_step *step = lane->step;
    if (lane->state == LANE_ENDING) {
        size_t place = place_of(schedule, lane_nemesis(lane));
        schedule->ended[place]++;
        schedule->ended_ns[place] = now_ns;
        size_t held = 0;
        while (schedule->holding[held] != lane)
            held++;
        schedule->holding[held] = schedule->holding[--schedule->holding_count];
    }
    if (step->kind == STEP_OFTEN) {
        lane->turn++;
        plan_next(schedule, lane, now_ns);
        return;
    }
    bool again = step->kind == STEP_WHEN && (step->times == 0 || lane->fired < step->times);
    lane->state = again ? LANE_ASLEEP : LANE_OVER;
    if (!again)
        return;
    struct watch_sight sight = watch_sight(schedule->watch);
    int64_t at_ns;
    lane->heard = heard_of(schedule, lane, &sight, &at_ns); /* what it caused itself, too */
}

static void update(struct generator *generator, const struct generator_context *context,
                   const struct op *event)
{
    struct schedule *schedule = (struct schedule *)generator;
    struct lane *lane = schedule->given;
    if (context->thread != GENERATOR_NEMESIS || lane == NULL)
        return;
    /* Two events an operation, both INFO: first the asking, then what came of it. */
    schedule->asked = !schedule->asked;
    if (schedule->asked)
        return;
    schedule->given = NULL;
    bool failed = value_is_pair(event->error) &&
                  strcmp(value_as_text(value_at(event->error, 0)), "failed") == 0;
    if (lane->state == LANE_BEGINNING && !failed)
        hold(schedule, lane, event->time_ns);
    else
        go_on(schedule, lane, event->time_ns);
}

static const struct generator_class class = {
    .name = "fault-schedule",
    .next = next,
    .update = update,
};

struct generator *schedule_generator(struct schedule *schedule)
{
    return &schedule->generator;
}

struct schedule_now schedule_now(const struct schedule *schedule)
{
    struct lane *lane = (struct lane *)schedule->now;
    return (struct schedule_now){.step = lane->number,
                                 .of = lane->step,
                                 .test = lane_test((struct schedule *)schedule, lane)};
}

/* ---- Making ---- */

/* The plan with the step's options instead of its own. */
static void set_options(struct schedule *schedule, struct lane *lane, struct arena *arena)
{
    lane->plan = *schedule->test->plan;
    if (lane->step->set == NULL)
        return;
    const char *owner = lane->step->nemeses[0]->name;
    lane->plan.options.values = json_copy(schedule->test->plan->options.values);
    for (const struct json *one = json_first(lane->step->set); one != NULL; one = json_next(one))
        json_set_text(lane->plan.options.values, arena_printf(arena, "%s.%s", owner, json_key(one)),
                      plan_scalar_text(arena, one));
}

static void open_lane(struct schedule *schedule, uint32_t number, uint32_t place,
                      struct arena *arena)
{
    struct lane *lane = &schedule->lanes[schedule->lane_count++];
    const struct schedule_step *step = &schedule->test->plan->steps[number - 1];
    char stream[48] = "nemesis"; /* of the first lane of the first step */
    if (number > 1 || place > 0)
        snprintf(stream, sizeof stream, "nemesis.%u.%u", number, place);
    *lane = (struct lane){.step = step, .number = number, .place = place, .next_ns = -1};
    lane->prng = prng_stream(schedule->test->plan->seed, stream);
    lane->values = ARENA_INIT;
    set_options(schedule, lane, arena);
    for (size_t i = 0; i < step->nemesis_count; i++)
        lane->order[i] = i;
}

struct schedule *schedule_open(struct test *test, struct watch *watch, struct arena *arena)
{
    const struct plan *plan = test->plan;
    struct schedule *schedule = arena_zalloc(arena, sizeof *schedule);
    schedule->generator.class = &class;
    schedule->test = test;
    schedule->watch = watch;
    size_t count = 0;
    for (size_t i = 0; i < plan->step_count; i++)
        count += plan->steps[i].kind == STEP_OFTEN ? STEP_OVERLAP_MAX : 1;
    schedule->lanes = arena_zalloc(arena, (count + 1) * sizeof *schedule->lanes);
    for (uint32_t i = 0; i < plan->step_count; i++) {
        const struct schedule_step *step = &plan->steps[i];
        int64_t most =
            step->overlap.first > step->overlap.last ? step->overlap.first : step->overlap.last;
        for (uint32_t j = 0; j < (step->kind == STEP_OFTEN ? most : 1); j++)
            open_lane(schedule, i + 1, j, arena);
    }
    for (size_t i = 0; i < plan->nemesis_count; i++) {
        history_f(test->history, plan->nemeses[i]->begin_f); /* known before anything writes */
        history_f(test->history, plan->nemeses[i]->end_f);
    }
    return schedule;
}

void schedule_close(struct schedule *schedule)
{
    for (size_t i = 0; schedule != NULL && i < schedule->lane_count; i++) {
        struct lane *lane = &schedule->lanes[i];
        arena_free(&lane->values);
        if (lane->step->set != NULL)
            json_free(lane->plan.options.values);
    }
}
