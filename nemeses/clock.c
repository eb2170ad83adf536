/* Sets the wall clock of the system's daemons forward or back, while they run.
 *
 * Nodes of a local cluster share one kernel and so one clock, and nobody's real clock is to be
 * touched: the daemons are started with libfaketime preloaded, which reads from a file by how much
 * to lie. Only the wall clock (CLOCK_REALTIME) is changed, as when an administrator sets it; the
 * monotonic clock goes on. It reaches programs that ask the C library for the time, which
 * statically linked ones do not: those are refused. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "harness/base/clock.h"
#include "nemeses/daemons.h"
#include "nemeses/nemeses.h"
#include "nemeses/targets.h"

#define OFFSET_FILE "/run/ordeal/wall-clock-offset"

struct state {
    node_set nodes;
};

/* ---- Before the run ---- */

static enum err_code write_offset(struct test *test, node_set nodes, int64_t offset_ms,
                                  struct err *err)
{
    /* Aside and renamed, so that nobody reads half a number. */
    return test_shell(test, nodes, err,
                      "mkdir -p /run/ordeal && echo '%c%" PRId64 ".%03d' >" OFFSET_FILE
                      ".new && mv " OFFSET_FILE ".new " OFFSET_FILE,
                      offset_ms < 0 ? '-' : '+', (offset_ms < 0 ? -offset_ms : offset_ms) / 1000,
                      (int)((offset_ms < 0 ? -offset_ms : offset_ms) % 1000));
}

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

/* Random draws from these; the last is beyond what most systems let things live. */
static const int64_t offsets_ms[] = {-3600000, -10000, -500, 500, 10000, 3600000, 172800000};

static enum err_code parse_offset(const char *text, int64_t *offset_ms, struct err *err)
{
    int64_t ns = 0;
    bool back = text[0] == '-';
    if ((text[0] != '+' && !back) || clock_parse_duration(text + 1, &ns, NULL) != ERR_NONE)
        return err_set(err, ERR_CONFIG,
                       "clock.offset: '%s' is neither random nor a duration with + or -", text);
    *offset_ms = (back ? -ns : ns) / NS_PER_MS;
    return ERR_NONE;
}

static enum err_code check(struct test *test, struct err *err)
{
    int64_t offset_ms;
    const char *offset = option_text(&test->plan->options, "clock.offset");
    enum err_code code = daemons_check(test, err);
    if (code == ERR_NONE)
        code = targets_check(test, "clock.targets", err);
    if (code == ERR_NONE && strcmp(offset, "random") != 0)
        code = parse_offset(offset, &offset_ms, err);
    if (code == ERR_NONE)
        code = write_offset(test, test_all_nodes(test), 0, err);
    struct buf library = BUF_INIT;
    if (code == ERR_NONE)
        code = find_library(test, &library, err);
    if (code == ERR_NONE) {
        daemon_environment(test, arena_printf(test->arena, "LD_PRELOAD=%s", library.data));
        daemon_environment(test, "FAKETIME_TIMESTAMP_FILE=" OFFSET_FILE);
        daemon_environment(test, "FAKETIME_NO_CACHE=1");
        daemon_environment(test, "FAKETIME_DONT_FAKE_MONOTONIC=1");
        daemon_environment(test, "DONT_FAKE_MONOTONIC=1"); /* its name in older versions */
    }
    buf_free(&library);
    return code;
}

static struct value choose(struct test *test, struct prng *prng, struct arena *arena)
{
    const char *offset = option_text(&test->plan->options, "clock.offset");
    int64_t offset_ms = offsets_ms[prng_below(prng, sizeof offsets_ms / sizeof *offsets_ms)];
    if (strcmp(offset, "random") != 0 && parse_offset(offset, &offset_ms, NULL) != ERR_NONE)
        offset_ms = 0;
    struct value chosen = targets_choose(test, "clock.targets", prng, arena), items[8];
    size_t count = value_count(chosen);
    for (size_t i = 0; i < count; i++)
        items[i] = value_at(chosen, i);
    items[count++] = value_keyword(arena, "offset-ms");
    items[count++] = value_int(arena, offset_ms);
    return value_items(arena, VALUE_MAP, items, count);
}

/* ---- The fault ---- */

/* The daemon has the library mapped, and a program that is started with the same environment on the
 * same node reads the time that it should. */
static const char verify_script[] =
    "loaded=\n"
    "for p in /proc/[0-9]*; do\n"
    "  [ \"$(cat $p/comm 2>/dev/null)\" = %s ] && loaded=$(sed -n "
    "'s|.* \\(/.*libfaketime[^ ]*\\)$|\\1|p' $p/maps 2>/dev/null | head -n 1) && [ -n \"$loaded\" "
    "] "
    "&& break\n"
    "done\n"
    "[ -n \"$loaded\" ] || { echo '%s has not loaded libfaketime (is it statically linked?)'; exit "
    "1; }\n"
    "before=$(date +%%s%%3N)\n"
    "told=$(LD_PRELOAD=$loaded FAKETIME_TIMESTAMP_FILE=" OFFSET_FILE " date +%%s%%3N)\n"
    "after=$(date +%%s%%3N)\n"
    "echo $((told - after)) $((told - before))\n"; /* the truth was between the two */

static enum err_code verify(struct test *test, node_set nodes, int64_t offset_ms,
                            struct buf *evidence, struct err *err)
{
    const char *daemon = test->plan->system->daemons[0];
    for (uint32_t i = 0; i < test->node_count; i++) {
        int status = 0;
        long long least_ms = 0, most_ms = 0;
        struct buf says = BUF_INIT;
        if (!node_in(nodes, i))
            continue;
        enum err_code code =
            test_shell_output(test, i, &says, &status, err, verify_script, daemon, daemon);
        bool read = sscanf(buf_text(&says), "%lld %lld", &least_ms, &most_ms) == 2;
        if (code == ERR_NONE && (status != 0 || !read))
            code = err_set(err, ERR_REMOTE, "%s: %.300s", test->nodes[i].name, buf_text(&says));
        else if (code == ERR_NONE && (offset_ms < least_ms - 1 || offset_ms > most_ms + 1))
            code = err_set(err, ERR_REMOTE, "%s: the clock is off by %lld to %lld ms, not by %lld",
                           test->nodes[i].name, least_ms, most_ms, (long long)offset_ms);
        if (code == ERR_NONE)
            buf_printf(evidence, "%s%s: %s has the library loaded, the clock is off by %lld ms",
                       evidence->length > 0 ? "; " : "", test->nodes[i].name, daemon,
                       (long long)offset_ms);
        buf_free(&says);
        if (code != ERR_NONE)
            return code;
    }
    return ERR_NONE;
}

static enum err_code begin(struct test *test, struct fault *fault, struct err *err)
{
    struct state *state = fault->state;
    int64_t offset_ms = value_as_int(value_get(fault->asked, "offset-ms"));
    node_set hit = 0;
    enum err_code code = targets_resolve(test, fault->asked, &hit, err);
    if (code == ERR_NONE)
        code = write_offset(test, hit, offset_ms, err);
    if (code == ERR_NONE && verify(test, hit, offset_ms, &fault->begun_evidence, err) != ERR_NONE) {
        code = err->code;
        buf_clear(&fault->begun_evidence);
        if (write_offset(test, hit, 0, NULL) != ERR_NONE)
            err_wrap(err, "and undoing it failed too");
    }
    if (code != ERR_NONE)
        return err_wrap(err, "clock");
    state->nodes = fault->nodes = hit;
    fault->done = value_copy(fault->arena, fault->asked);
    fault->begun_verified = VERIFIED_YES;
    return ERR_NONE;
}

static enum err_code end(struct test *test, struct fault *fault, struct err *err)
{
    struct state *state = fault->state;
    enum err_code code = write_offset(test, state->nodes, 0, err);
    if (code == ERR_NONE)
        code = verify(test, state->nodes, 0, &fault->ended_evidence, err);
    if (code != ERR_NONE)
        return code;
    fault->ended_verified = VERIFIED_YES;
    return ERR_NONE;
}

static const struct option options[] = {
    {"targets", OPTION_TEXT, "random", NULL, TARGETS_HELP},
    {"offset", OPTION_TEXT, "random", NULL,
     "by how much the clock is set forward (+10s) or back (-1h)"},
    {.name = NULL},
};

const struct nemesis nemesis_clock = {
    .name = "clock",
    .summary = "sets the wall clock of the system's daemons forward or back",
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
