/* What was asked of paths beside what was measured: see packets_judge.h. */
#include "nemeses/packets_judge.h"

#include <math.h>

#include "harness/base/clock.h"

#define SIGMAS 4.5

static const struct network_shape no_shape;

struct judged {
    const struct test *test;
    const struct network_shape *shape;
    const node_set *shaped;
    struct buf *evidence;
    struct err *err;
};

/* Whether packets from `source` to `target` are shaped. */
static bool is_shaped(const struct judged *judged, uint32_t source, uint32_t target)
{
    return judged->shape != &no_shape && node_in(judged->shaped[target], source);
}

static const struct network_shape *shape_of(const struct judged *judged, uint32_t source,
                                            uint32_t target)
{
    return is_shaped(judged, source, target) ? judged->shape : &no_shape;
}

static enum err_code refuse(const struct judged *judged, const struct network_path *path,
                            const char *what, double measured, double asked, const char *unit)
{
    return err_set(judged->err, ERR_REMOTE,
                   "packets from %s to %s over IPv%d: %s %.4g%s, not %.4g%s",
                   judged->test->nodes[path->source].name, judged->test->nodes[path->target].name,
                   path->six ? 6 : 4, what, measured, unit, asked, unit);
}

/* ---- Shares ---- */

/* Of `count`, `part` had it happen to them, each with probability `asked`. */
static bool is_share(double part, double count, double asked)
{
    return fabs(part / count - asked) <=
           SIGMAS * sqrt(asked * (1 - asked) / count) + PACKETS_SHARE_SLACK;
}

struct share {
    const char *what;
    double part, whole, asked; /* `asked`: the expected part */
};

enum { LOST, TWICE, OVERTAKEN, SHARES };

/* A corrupt datagram is dropped for its check sum, unless its twin, which is not corrupt, makes up
 * for it. */
static void expect(const struct network_shape *shape, const struct network_path *path,
                   struct share *shares)
{
    double passes = (1 - shape->loss) * (1 - shape->corrupt * (1 - shape->duplicate)),
           twice = (1 - shape->loss) * shape->duplicate * (1 - shape->corrupt);
    double sent = path->sent, came = path->unique;
    shares[LOST] = (struct share){"lost", sent - came, sent, 1 - passes};
    shares[TWICE] = (struct share){"twice", path->duplicates, sent, twice};
    shares[OVERTAKEN] = (struct share){"overtaken", path->overtaken, came, shape->reorder};
}

/* With jitter packets overtake each other anyhow; and a limited line drops what does not fit, also
 * for others' sake. */
static bool is_judged(const struct network_shape *shape, int share)
{
    return (share != OVERTAKEN || (shape->jitter_ns == 0 && shape->duplicate == 0)) &&
           shape->rate_bps == 0;
}

static enum err_code judge_shares(const struct judged *judged, const struct network_path *path,
                                  struct share *total)
{
    const struct network_shape *shape = shape_of(judged, path->source, path->target);
    struct share shares[SHARES];
    expect(shape, path, shares);
    for (int i = 0; i < SHARES; i++) {
        const struct share *share = &shares[i];
        if (share->whole == 0 || !is_judged(shape, i))
            continue;
        if (!is_share(share->part, share->whole, share->asked))
            return refuse(judged, path, share->what, 100 * share->part / share->whole,
                          100 * share->asked, " %");
        if (shape == &no_shape)
            continue;
        total[i].what = share->what;
        total[i].part += share->part;
        total[i].whole += share->whole;
        total[i].asked = share->asked;
    }
    return ERR_NONE;
}

static enum err_code judge_totals(const struct judged *judged, const struct share *total)
{
    for (int i = 0; i < SHARES; i++) {
        if (total[i].whole == 0 || total[i].asked == 0)
            continue;
        double measured = total[i].part / total[i].whole;
        if (!is_share(total[i].part, total[i].whole, total[i].asked))
            return err_set(judged->err, ERR_REMOTE, "%.1f %% of all packets are %s, not %.1f %%",
                           100 * measured, total[i].what, 100 * total[i].asked);
        buf_printf(judged->evidence, "; %s %.1f %% of %.0f (asked %.1f %%)", total[i].what,
                   100 * measured, total[i].whole, 100 * total[i].asked);
    }
    return ERR_NONE;
}

/* ---- Round trips ---- */

struct trips {
    double growth_ns, asked_ns;
    uint32_t count;
};

static enum err_code judge_trip(const struct judged *judged, const struct network_path *before,
                                const struct network_path *now, struct trips *trips)
{
    const struct network_shape *there = shape_of(judged, now->source, now->target),
                               *back = shape_of(judged, now->target, now->source);
    const struct network_shape *shape = judged->shape;
    if (now->echoes == 0 || before->echoes == 0)
        return ERR_NONE;
    int ways = (there != &no_shape) + (back != &no_shape);
    double delay_ns = (double)shape->delay_ns * ways;
    /* Few packets' median is off by a part of the jitter; twins come in pairs, of which the earlier
     * is looked at. */
    double jitter_ns = (double)shape->jitter_ns * ways * (0.35 + 1.2 * shape->duplicate);
    /* Without jitter the quickest is looked at, since a busy machine makes others late; and of
     * those that are held back, many are. */
    bool quick = ways == 0 || shape->jitter_ns == 0 || shape->reorder > 0;
    if (quick)
        jitter_ns = (double)shape->jitter_ns * ways * 3.5;
    double trip_ns = (double)(quick ? now->trip_min_ns : now->trip_median_ns),
           before_ns = (double)(quick ? before->trip_min_ns : before->trip_median_ns);
    double low_ns = (double)before->trip_min_ns + (1 - PACKETS_TRIP_SLACK) * delay_ns - jitter_ns -
                    (double)PACKETS_TRIP_SLACK_NS,
           high_ns = before_ns + (1 + PACKETS_TRIP_SLACK) * delay_ns + jitter_ns +
                     (double)PACKETS_TRIP_SLACK_NS;
    if (delay_ns > 0 && trip_ns < low_ns)
        return refuse(judged, now, "a round trip takes", trip_ns / 1e6, low_ns / 1e6,
                      " ms or more");
    if ((ways == 0 || shape->rate_bps == 0) && trip_ns > high_ns)
        return refuse(judged, now, "a round trip takes", trip_ns / 1e6, high_ns / 1e6,
                      " ms or less");
    if (delay_ns > 0) {
        trips->growth_ns += trip_ns - before_ns;
        trips->asked_ns += delay_ns;
        trips->count++;
    }
    return ERR_NONE;
}

/* From the tenth to the ninetieth percent of the spreads, in jitters: of one way, and of the sum of
 * two. */
static const double widths[][2] = {{1.6, 2.21}, {2.56, 3.62}, {1.29, 2.0}};

static enum err_code judge_jitter(const struct judged *judged, const struct network_path *now,
                                  struct trips *widths_seen)
{
    const struct network_shape *shape = judged->shape;
    int ways =
        is_shaped(judged, now->source, now->target) + is_shaped(judged, now->target, now->source);
    if (ways == 0 || shape->jitter_ns == 0 || shape->reorder > 0 || shape->duplicate > 0 ||
        shape->rate_bps != 0 || now->echoes < 20)
        return ERR_NONE;
    double asked_ns = widths[shape->spread][ways - 1] * (double)shape->jitter_ns,
           width_ns = (double)(now->trip_p90_ns - now->trip_p10_ns);
    if (width_ns < 0.5 * asked_ns || width_ns > 1.6 * asked_ns + 2 * PACKETS_TRIP_SLACK_NS)
        return refuse(judged, now, "round trips spread over", width_ns / 1e6, asked_ns / 1e6,
                      " ms");
    widths_seen->growth_ns += width_ns;
    widths_seen->asked_ns += asked_ns;
    widths_seen->count++;
    return ERR_NONE;
}

static void tell_trips(const struct judged *judged, const struct trips *trips, const char *what)
{
    if (trips->count > 0)
        buf_printf(judged->evidence, "; %s %.1f ms (asked %.1f ms)", what,
                   trips->growth_ns / trips->count / 1e6, trips->asked_ns / trips->count / 1e6);
}

/* ---- Corruption ---- */

/* The receivers' own count of bad check sums: loss alone would look like it otherwise. */
static enum err_code judge_check_sums(const struct judged *judged,
                                      const struct network_path *before,
                                      const struct network_path *now, size_t count)
{
    double asked[PLAN_NODES_MAX] = {0}, seen[PLAN_NODES_MAX] = {0}, all_asked = 0, all_seen = 0;
    if (judged->shape->corrupt == 0 || before == NULL)
        return ERR_NONE;
    for (size_t i = 0; i < count; i++) {
        if (is_shaped(judged, now[i].source, now[i].target))
            asked[now[i].target] +=
                now[i].sent * (1 - judged->shape->loss) * judged->shape->corrupt;
        /* The node's count, which was read with each of its paths. */
        seen[now[i].target] =
            fmax(seen[now[i].target], (double)(now[i].bad_check_sums - before[i].bad_check_sums));
    }
    for (uint32_t i = 0; i < judged->test->node_count; i++) {
        if (seen[i] < 0.4 * asked[i] - SIGMAS)
            return err_set(judged->err, ERR_REMOTE,
                           "%s saw %.0f bad check sums, not about %.0f or more",
                           judged->test->nodes[i].name, seen[i], asked[i]);
        all_asked += asked[i];
        all_seen += asked[i] > 0 ? seen[i] : 0;
    }
    buf_printf(judged->evidence, "; %.0f bad check sums (asked about %.0f or more)", all_seen,
               all_asked);
    return ERR_NONE;
}

/* ---- Together ---- */

enum err_code packets_judge(const struct test *test, const struct network_shape *shape,
                            const node_set *shaped, const struct network_path *before,
                            const struct network_path *now, size_t count, struct buf *evidence,
                            struct err *err)
{
    struct judged judged = {test, shape == NULL ? &no_shape : shape, shaped, evidence, err};
    struct share total[SHARES] = {{.what = NULL}};
    struct trips trips = {.count = 0}, spreads = {.count = 0};
    size_t hit = 0;
    enum err_code code = ERR_NONE;
    for (size_t i = 0; i < count && code == ERR_NONE; i++) {
        hit += is_shaped(&judged, now[i].source, now[i].target);
        code = judge_shares(&judged, &now[i], total);
        if (code == ERR_NONE && before != NULL)
            code = judge_trip(&judged, &before[i], &now[i], &trips);
        if (code == ERR_NONE)
            code = judge_jitter(&judged, &now[i], &spreads);
    }
    if (code != ERR_NONE)
        return code;
    buf_printf(evidence, "%zu paths measured: %zu shaped, %zu as before", count, hit, count - hit);
    if (judged.shape->rate_bps == 0)
        tell_trips(&judged, &trips,
                   judged.shape->jitter_ns != 0 && judged.shape->reorder == 0
                       ? "round trips longer by"
                       : "the quickest round trips longer by");
    tell_trips(&judged, &spreads, "80 % of them within");
    code = judge_totals(&judged, total);
    return code == ERR_NONE ? judge_check_sums(&judged, before, now, count) : code;
}

double packets_rate_bps(const struct network_path *path)
{
    enum { UDP_HEADER = 8, IPV4_HEADER = 20, IPV6_HEADER = 40 };
    if (path->unique < 2 || path->span_ns <= 0)
        return 0;
    uint64_t headers =
        (uint64_t)(path->unique - 1) * (UDP_HEADER + (path->six ? IPV6_HEADER : IPV4_HEADER));
    return (double)(path->bytes + headers) * 8e9 / (double)path->span_ns;
}

enum err_code packets_judge_rate(const struct test *test, int64_t rate_bps,
                                 const struct network_path *before, const struct network_path *now,
                                 size_t count, struct buf *evidence, struct err *err)
{
    struct judged judged = {.test = test, .evidence = evidence, .err = err};
    double most = 0, least_before = 0, asked = (double)rate_bps;
    for (size_t i = 0; i < count; i++) {
        double rate = packets_rate_bps(&now[i]), earlier = packets_rate_bps(&before[i]);
        if (rate == 0)
            return refuse(&judged, &now[i], "arrived", now[i].unique, now[i].sent, "");
        if (rate > asked * (1 + PACKETS_RATE_SLACK))
            return refuse(&judged, &now[i], "they get", rate / 1e6, asked / 1e6, " Mbit/s or less");
        if (earlier != 0 && earlier < 2 * asked)
            return refuse(&judged, &now[i], "before the fault they got", earlier / 1e6,
                          2 * asked / 1e6, " Mbit/s or more");
        most = rate > most ? rate : most;
        least_before = i == 0 || earlier < least_before ? earlier : least_before;
    }
    buf_printf(evidence, "; at most %.3g Mbit/s (asked %.3g Mbit/s; before at least %.3g Mbit/s)",
               most / 1e6, asked / 1e6, least_before / 1e6);
    return ERR_NONE;
}
