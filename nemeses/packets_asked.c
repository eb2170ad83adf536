/* What is asked of a bad network: see packets_asked.h. */
#include "nemeses/packets_asked.h"

#include <stdio.h>
#include <string.h>

#include "harness/base/clock.h"
#include "harness/base/text.h"

const char *const packets_kinds[] = {
    "delay", "loss", "duplicate", "reorder", "corrupt", "rate", "delay+loss+duplicate+reorder"};
enum { KINDS = sizeof packets_kinds / sizeof *packets_kinds, SINGLE_KINDS = KINDS - 1 };

/* ---- What is asked for ---- */

static double share_option(const struct test *test, const char *name)
{
    char full_name[64];
    snprintf(full_name, sizeof full_name, "packets.%s", name);
    return option_real(&test->plan->options, full_name);
}

static enum spread spread_option(const struct test *test)
{
    const char *name = option_text(&test->plan->options, "packets.distribution");
    enum spread spread = SPREAD_UNIFORM;
    while (spread < SPREAD_PARETO && strcmp(spread_names[spread], name) != 0)
        spread++;
    return spread;
}

/* Adds one kind with what the options say of it; false when there is none of that name. */
static bool add_kind(const struct test *test, const char *kind, struct network_shape *shape)
{
    const struct options *options = &test->plan->options;
    if (strcmp(kind, "delay") == 0) {
        shape->delay_ns = option_duration_ns(options, "packets.delay");
        shape->jitter_ns = option_duration_ns(options, "packets.jitter");
        shape->spread = spread_option(test);
    } else if (strcmp(kind, "loss") == 0) {
        shape->loss = share_option(test, kind);
    } else if (strcmp(kind, "duplicate") == 0) {
        shape->duplicate = share_option(test, kind);
    } else if (strcmp(kind, "corrupt") == 0) {
        shape->corrupt = share_option(test, kind);
    } else if (strcmp(kind, "rate") == 0) {
        shape->rate_bps = option_int(options, "packets.rate");
    } else if (strcmp(kind, "reorder") == 0) {
        shape->reorder = share_option(test, kind);
        shape->reorder_ns = option_duration_ns(options, "packets.reorder-by");
    } else {
        return false;
    }
    return true;
}

enum err_code packets_shape_of(const struct test *test, const char *text,
                               struct network_shape *shape, struct err *err)
{
    struct arena scratch = ARENA_INIT;
    const char **kinds;
    size_t count = text_split(&scratch, text, '+', &kinds);
    enum err_code code = ERR_NONE;
    *shape = (struct network_shape){.delay_ns = 0};
    if (count == 0)
        code = err_set(err, ERR_CONFIG, "packets.kind: it is empty; write e.g. delay+loss");
    for (size_t i = 0; i < count && code == ERR_NONE; i++)
        if (!add_kind(test, kinds[i], shape)) {
            const char *nearest = text_nearest(kinds[i], packets_kinds, SINGLE_KINDS);
            code = err_set(err, ERR_CONFIG,
                           "packets.kind: '%s' is not random or some of delay, loss, duplicate, "
                           "reorder, corrupt and rate joined by +%s%s%s",
                           kinds[i], nearest != NULL ? "; did you mean " : "",
                           nearest != NULL ? nearest : "", nearest != NULL ? "?" : "");
        }
    arena_free(&scratch);
    return code;
}

enum err_code packets_check_amounts(const struct test *test, struct err *err)
{
    static const struct {
        const char *name;
        double most;
    } shares[] = {{"loss", 1}, {"duplicate", 1}, {"corrupt", 1}, {"reorder", 0.4}};
    static const char *const durations[] = {"packets.delay", "packets.reorder-by"};
    const struct options *options = &test->plan->options;
    for (size_t i = 0; i < sizeof shares / sizeof *shares; i++) {
        double share = share_option(test, shares[i].name);
        if (!(share > 0) || share > shares[i].most)
            return err_set(err, ERR_CONFIG, "packets.%s: %g is not a share above 0 and up to %g",
                           shares[i].name, share, shares[i].most);
    }
    for (size_t i = 0; i < sizeof durations / sizeof *durations; i++) {
        int64_t ns = option_duration_ns(options, durations[i]);
        if (ns < 10 * NS_PER_MS || ns > 2 * NS_PER_SECOND)
            return err_set(err, ERR_CONFIG, "%s: %s is not a time from 10ms to 2s", durations[i],
                           option_text(options, durations[i]));
    }
    if (option_duration_ns(options, "packets.jitter") >
        option_duration_ns(options, "packets.delay"))
        return err_set(err, ERR_CONFIG, "packets.jitter: it is more than packets.delay");
    int64_t rate = option_int(options, "packets.rate");
    if (rate < 100000 || rate > 1000000000)
        return err_set(err, ERR_CONFIG,
                       "packets.rate: %lld is not from 100000 to 1000000000 bits a second",
                       (long long)rate);
    return ERR_NONE;
}

enum shape_means packets_means(const struct test *test)
{
    const char *name = option_text(&test->plan->options, "packets.means");
    enum shape_means means = SHAPE_MEANS_AUTO;
    while (means < SHAPE_MEANS_QUEUE && strcmp(shape_means_names[means], name) != 0)
        means++;
    return means;
}

/* Of packets_kinds those that random means, the first ones: netem makes no twins of what it also
 * loses, and holds nothing back beside a delay. */
size_t packets_kinds_drawn(const struct test *test)
{
    return packets_means(test) == SHAPE_MEANS_NETEM ? SINGLE_KINDS : KINDS;
}

/* ---- As values ---- */

struct value packets_shape_value(const struct network_shape *shape, struct arena *arena)
{
    struct value items[20];
    size_t count = 0;
    const struct {
        const char *name;
        struct value value;
        bool given;
    } fields[] = {
        {"delay-us", value_int(arena, shape->delay_ns / NS_PER_US), shape->delay_ns != 0},
        {"jitter-us", value_int(arena, shape->jitter_ns / NS_PER_US), shape->jitter_ns != 0},
        {"distribution", value_keyword(arena, spread_names[shape->spread]), shape->jitter_ns != 0},
        {"loss", value_double(arena, shape->loss), shape->loss != 0},
        {"duplicate", value_double(arena, shape->duplicate), shape->duplicate != 0},
        {"reorder", value_double(arena, shape->reorder), shape->reorder != 0},
        {"reorder-us", value_int(arena, shape->reorder_ns / NS_PER_US), shape->reorder != 0},
        {"corrupt", value_double(arena, shape->corrupt), shape->corrupt != 0},
        {"rate-bps", value_int(arena, shape->rate_bps), shape->rate_bps != 0},
    };
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        if (!fields[i].given)
            continue;
        items[count++] = value_keyword(arena, fields[i].name);
        items[count++] = fields[i].value;
    }
    return value_items(arena, VALUE_MAP, items, count);
}

static double share_at(struct value value, const char *key)
{
    return value_as_double(value_get(value, key));
}

enum err_code packets_read_shape(struct value value, struct network_shape *shape, struct err *err)
{
    const char *spread = value_as_text(value_get(value, "distribution"));
    *shape = (struct network_shape){
        .delay_ns = value_as_int(value_get(value, "delay-us")) * NS_PER_US,
        .jitter_ns = value_as_int(value_get(value, "jitter-us")) * NS_PER_US,
        .loss = share_at(value, "loss"),
        .duplicate = share_at(value, "duplicate"),
        .reorder = share_at(value, "reorder"),
        .reorder_ns = value_as_int(value_get(value, "reorder-us")) * NS_PER_US,
        .corrupt = share_at(value, "corrupt"),
        .rate_bps = value_as_int(value_get(value, "rate-bps")),
    };
    while (*spread != '\0' && strcmp(spread_names[shape->spread], spread) != 0)
        if (spread_names[++shape->spread] == NULL)
            return err_set(err, ERR_CONFIG, "the fault has no distribution that is known: '%s'",
                           spread);
    if (value_count(value) == 0)
        return err_set(err, ERR_CONFIG, "the fault does not say what is done to packets");
    return ERR_NONE;
}
