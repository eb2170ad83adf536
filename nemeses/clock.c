/* Makes wall clocks wrong: set off by a step, jumping to and fro, or running fast or slow.
 *
 * By what means is up to the nodes. A machine of its own has its clock set (and its NTP daemons
 * paused). Nodes of a local cluster, containers and whoever else shares a kernel share its clock,
 * too, and nobody's real clock is to be touched: there the daemons are told another time, through
 * their vDSO while they run, or by libfaketime that they are started with. Only CLOCK_REALTIME is
 * changed, as when an administrator sets it; the monotonic clock goes on. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/base/clock.h"
#include "nemeses/daemons.h"
#include "nemeses/nemeses.h"
#include "nemeses/targets.h"

enum { RATE_PPM_MIN = -900000, RATE_PPM_MAX = 9000000 };
static const int64_t offset_max_ns = INT64_C(20) * 365 * 86400 * NS_PER_SECOND;

struct state {
    struct clock_target targets[DAEMONS_MAX + 1];
};

/* What check found for the nodes of this run. */
static enum clock_means means_found;

static const char *const means_words[] = {"vdso", "faketime", "settime"};

/* ---- Before the run: which means ---- */

static const char find_script[] =
    "for l in /usr/lib/*/faketime/libfaketimeMT.so.1 /usr/lib/faketime/libfaketimeMT.so.1 "
    "/usr/lib64/faketime/libfaketimeMT.so.1; do [ -e $l ] && { echo $l; exit 0; }; done; exit 1";

static enum err_code find_library(struct test *test, struct buf *path, struct err *err)
{
    for (uint32_t i = 0; i < test->node_count; i++) {
        int status = 0;
        struct buf here = BUF_INIT;
        enum err_code code = test_shell_output(test, i, &here, &status, err, "%s", find_script);
        while (here.length > 0 && here.data[here.length - 1] == '\n')
            here.data[--here.length] = '\0';
        if (code == ERR_NONE && status != 0)
            code = err_set(err, ERR_UNSUPPORTED,
                           "%s: it needs libfaketime there (Debian: libfaketime)",
                           test->nodes[i].name);
        else if (code == ERR_NONE && i > 0 && strcmp(buf_text(path), buf_text(&here)) != 0)
            code = err_set(err, ERR_UNSUPPORTED, "%s: libfaketime is at another place than on %s",
                           test->nodes[i].name, test->nodes[0].name);
        if (code == ERR_NONE && i == 0)
            buf_add_text(path, buf_text(&here));
        buf_free(&here);
        if (code != ERR_NONE)
            return code;
    }
    return ERR_NONE;
}

/* The settings that keep waits honest: the file is read at every call, so that a change is seen at
 * once, and the monotonic clock, which waits are measured by, is left alone. */
static enum err_code prepare_faketime(struct test *test, struct err *err)
{
    struct buf library = BUF_INIT;
    enum err_code code = find_library(test, &library, err);
    if (code == ERR_NONE)
        code = test_shell(test, test_all_nodes(test), err,
                          "mkdir -p /run/ordeal && echo +0 >" CLOCK_FAKETIME_FILE);
    if (code == ERR_NONE) {
        daemon_environment(test, arena_printf(test->arena, "LD_PRELOAD=%s", library.data));
        daemon_environment(test, "FAKETIME_TIMESTAMP_FILE=" CLOCK_FAKETIME_FILE);
        daemon_environment(test, "FAKETIME_NO_CACHE=1");
        daemon_environment(test, "FAKETIME_DONT_FAKE_MONOTONIC=1");
        daemon_environment(test, "DONT_FAKE_MONOTONIC=1"); /* its name in older versions */
    }
    buf_free(&library);
    return code;
}

/* The machine's own clock where there is one; else what needs no preparation. */
static enum err_code choose_means(struct test *test, struct err *err)
{
    const char *wanted = option_text(&test->plan->options, "clock.means");
    struct err machine = ERR_INIT, vdso = ERR_INIT;
    for (int i = 0; i < 3; i++)
        if (strcmp(wanted, means_words[i]) == 0) {
            means_found = (enum clock_means)i;
            return clock_possible(test, means_found, err);
        }
    means_found = CLOCK_MEANS_MACHINE;
    if (clock_possible(test, means_found, &machine) == ERR_NONE)
        return ERR_NONE;
    means_found = CLOCK_MEANS_VDSO;
    if (clock_possible(test, means_found, &vdso) == ERR_NONE) {
        test_log(test, "clock: through the daemons' vDSO (%s)", machine.message);
        return ERR_NONE;
    }
    means_found = CLOCK_MEANS_FAKETIME;
    test_log(test, "clock: with libfaketime (%s; %s)", machine.message, vdso.message);
    return ERR_NONE;
}

/* ---- What is asked ---- */

static enum err_code parse_offset(const char *text, int64_t *offset_ns, struct err *err)
{
    bool back = text[0] == '-';
    if ((text[0] != '+' && !back) || clock_parse_duration(text + 1, offset_ns, NULL) != ERR_NONE ||
        *offset_ns > offset_max_ns)
        return err_set(err, ERR_CONFIG,
                       "clock.offset: '%s' is neither random nor a duration with + or -", text);
    *offset_ns = back ? -*offset_ns : *offset_ns;
    return ERR_NONE;
}

static enum err_code parse_rate(const char *text, int64_t *rate_ppm, struct err *err)
{
    char *end;
    double rate = strtod(text, &end);
    *rate_ppm = (int64_t)((rate - 1) * 1e6 + (rate < 1 ? -0.5 : 0.5));
    if (end == text || *end != '\0' || !(rate >= 0.1 && rate <= 10) || *rate_ppm == 0)
        return err_set(err, ERR_CONFIG,
                       "clock.rate: '%s' is neither random nor a rate from 0.1 to 10 such as 1.05",
                       text);
    return ERR_NONE;
}

static bool is_given(const char *text)
{
    return strcmp(text, "random") != 0;
}

static enum err_code check_sizes(const struct test *test, struct err *err)
{
    const char *offset = option_text(&test->plan->options, "clock.offset");
    const char *rate = option_text(&test->plan->options, "clock.rate");
    int64_t offset_ns, rate_ppm = 0;
    if (is_given(offset) && parse_offset(offset, &offset_ns, err) != ERR_NONE)
        return err->code;
    if (is_given(rate) && parse_rate(rate, &rate_ppm, err) != ERR_NONE)
        return err->code;
    if (means_found == CLOCK_MEANS_MACHINE && llabs(rate_ppm) > 100000)
        return err_set(err, ERR_CONFIG, "clock.rate: a machine's clock runs at 0.9 to 1.1 only");
    return ERR_NONE;
}

static enum err_code check(struct test *test, struct err *err)
{
    enum err_code code = daemons_check(test, err);
    if (code == ERR_NONE)
        code = targets_check(test, "clock.targets", err);
    if (code == ERR_NONE)
        code = choose_means(test, err);
    if (code == ERR_NONE)
        code = check_sizes(test, err);
    if (code == ERR_NONE && means_found == CLOCK_MEANS_FAKETIME)
        code = prepare_faketime(test, err);
    return code;
}

/* From `least` to more than 2^doublings of it, each doubling as likely as another; of either sign.
 */
static int64_t draw_size(struct prng *prng, int64_t least, uint32_t doublings)
{
    int64_t size = least << prng_below(prng, doublings + 1);
    size += (int64_t)prng_below(prng, (uint64_t)size);
    return prng_below(prng, 2) == 0 ? size : -size;
}

enum shape { SHAPE_BUMP, SHAPE_STROBE, SHAPE_DRIFT };
static const char *const shape_words[] = {"bump", "strobe", "drift"};

static enum shape draw_shape(const struct test *test, struct prng *prng)
{
    const char *word = option_text(&test->plan->options, "clock.shape");
    enum shape drawn = (enum shape)prng_below(prng, 3);
    for (int i = 0; i < 3; i++)
        if (strcmp(word, shape_words[i]) == 0)
            return (enum shape)i;
    if (is_given(option_text(&test->plan->options, "clock.rate")))
        return SHAPE_DRIFT;
    return is_given(option_text(&test->plan->options, "clock.offset")) ? SHAPE_BUMP : drawn;
}

/* {:targets :minority, :nodes ["n2"], :shape :bump, :offset-ms -1200} */
static struct value choose(struct test *test, struct prng *prng, struct arena *arena)
{
    const char *offset = option_text(&test->plan->options, "clock.offset");
    const char *rate = option_text(&test->plan->options, "clock.rate");
    struct value chosen = targets_choose(test, "clock.targets", prng, arena);
    enum shape shape = draw_shape(test, prng);
    /* All are drawn, whatever is used, so that an option changes nothing else. */
    int64_t offset_ns = draw_size(prng, 100, 20) * NS_PER_MS; /* to two days */
    int64_t rate_ppm = draw_size(prng, 1000, 5);
    int64_t strobe_ms = llabs(draw_size(prng, 10, 6));
    if (is_given(offset) && parse_offset(offset, &offset_ns, NULL) != ERR_NONE)
        offset_ns = 0;
    if (is_given(rate) && parse_rate(rate, &rate_ppm, NULL) != ERR_NONE)
        rate_ppm = 0;
    chosen = targets_add(chosen, "shape", value_keyword(arena, shape_words[shape]), arena);
    if (shape == SHAPE_DRIFT)
        return targets_add(chosen, "rate-ppm", value_int(arena, rate_ppm), arena);
    chosen = targets_add(chosen, "offset-ms", value_int(arena, offset_ns / NS_PER_MS), arena);
    return shape == SHAPE_STROBE
               ? targets_add(chosen, "every-ms", value_int(arena, strobe_ms), arena)
               : chosen;
}

static int64_t asked_int(const struct fault *fault, const char *key)
{
    struct value value = value_get(fault->asked, key);
    return value_is_nil(value) ? 0 : value_as_int(value);
}

/* ---- The fault ---- */

static const char *fault_name(const struct fault *fault, char *text, size_t size)
{
    snprintf(text, size, "clock:%u", fault->id);
    return text;
}

static enum err_code begin(struct test *test, struct fault *fault, struct err *err)
{
    struct state *state = fault->state;
    node_set asked = 0, hit = 0;
    if (targets_resolve(test, fault->asked, &asked, err) != ERR_NONE)
        return err_wrap(err, "clock");
    /* Nobody looks before who runs: the agents know, and say it in their answer. */
    const char *const *names = test->plan->system->daemons;
    for (int d = 0; names[d] != NULL; d++)
        state->targets[d] = (struct clock_target){names[d], asked};
    struct clock_skew skew = {.means = means_found,
                              .offset_ns = asked_int(fault, "offset-ms") * NS_PER_MS,
                              .rate_ppm = asked_int(fault, "rate-ppm"),
                              .strobe_ns = asked_int(fault, "every-ms") * NS_PER_MS};
    char name[32];
    if (clock_skew(test, fault_name(fault, name, sizeof name), state->targets, &skew,
                   &fault->begun_evidence, err) != ERR_NONE) {
        buf_clear(&fault->begun_evidence);
        return err_wrap(err, "clock");
    }
    for (int d = 0; names[d] != NULL; d++)
        hit |= state->targets[d].nodes;
    fault->done = targets_add(fault->asked, "means",
                              value_keyword(fault->arena, means_words[means_found]), fault->arena);
    fault->nodes = hit;
    fault->begun_verified = VERIFIED_YES;
    return ERR_NONE;
}

/* With a few tries: a clock that stays wrong would spoil the rest of the run. */
static enum err_code end(struct test *test, struct fault *fault, struct err *err)
{
    enum { TRIES = 3 };
    struct state *state = fault->state;
    char name[32];
    enum err_code code = ERR_NONE;
    for (int i = 0; i < TRIES; i++) {
        if (i > 0)
            clock_sleep_ns(100 * NS_PER_MS);
        buf_clear(&fault->ended_evidence);
        code = clock_skew_end(test, fault_name(fault, name, sizeof name), state->targets,
                              &fault->ended_evidence, err);
        if (code == ERR_NONE || code == ERR_CANCELLED)
            break;
    }
    if (code != ERR_NONE)
        return err_wrap(err, "setting clocks right");
    fault->ended_verified = VERIFIED_YES;
    return ERR_NONE;
}

static const struct option options[] = {
    {"targets", OPTION_TEXT, "random", NULL, TARGETS_HELP},
    {"shape", OPTION_CHOICE, "random", "random|bump|strobe|drift",
     "one step, steps to and fro, or running fast or slow; random: a bump where an offset is "
     "given, "
     "a drift where a rate is"},
    {"offset", OPTION_TEXT, "random", NULL,
     "by how much the clock is set forward (+10s) or back (-1h)"},
    {"rate", OPTION_TEXT, "random", NULL, "how fast it runs when it drifts: 1.05, 0.95"},
    {"means", OPTION_CHOICE, "auto", "auto|vdso|faketime|settime",
     "settime sets the nodes' own clocks, where they are machines of their own; vdso and faketime "
     "lie to the daemons"},
    {.name = NULL},
};

const struct nemesis nemesis_clock = {
    .name = "clock",
    .summary = "makes wall clocks wrong: steps, strobes, drifts",
    .options = options,
    .begin_f = "set-clock",
    .end_f = "reset-clock",
    .fault_state_size = sizeof(struct state),
    .hits = HITS_CLOCKS | HITS_PROCESSES,
    .where = targets_where,
    .repeat = targets_repeat,
    .check = check,
    .choose = choose,
    .begin = begin,
    .end = end,
};
