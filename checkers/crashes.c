/* Daemons that died though nobody asked them to.
 *
 * A death that the program brought about itself (a crash signal, or an exit with an error, as a
 * panic is) is INVALID. One that may be the machine's or a stranger's doing (no memory left,
 * SIGKILL or SIGTERM from outside), and an orderly exit that nobody asked for, is UNKNOWN: the
 * system was not all there, and why is for a person to find out. That ordeal had hurt the daemon
 * before does not excuse it.
 *
 * One that dies while ordeal withholds memory, file descriptors or a disk that works from it, or
 * has damaged its files (`:under` in its event), was made to: killed for want of memory, or giving
 * up with an error or abort(), it has died of the fault. A crash of another kind meanwhile (a NULL
 * that nobody looked at) is UNKNOWN. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "checkers/checkers.h"

enum { ANOMALIES_MAX = 100 }; /* a daemon that restarts and dies all day needs no page each time */

enum death {
    DEATH_ASKED,
    DEATH_LIMIT,    /* of a limit that ordeal had set */
    DEATH_STRAINED, /* a crash, under such a limit */
    DEATH_CRASH,
    DEATH_EXIT,
    DEATH_MEMORY,
    DEATH_OUTSIDE,
    DEATH_OBSCURE
};

static const char *const death_names[] = {"asked", "limit",  "crash-under-limit", "crash",
                                          "exit",  "memory", "outside",           "obscure"};

static bool is_crash_signal(int64_t number)
{
    switch (number) {
    case SIGSEGV:
    case SIGABRT:
    case SIGBUS:
    case SIGILL:
    case SIGFPE:
    case SIGTRAP:
    case SIGSYS:
        return true;
    default:
        return false;
    }
}

/* DEATH_OBSCURE: it was under no limit that could be why. */
static enum death death_under_limit(struct value exit)
{
    const char *under = value_as_text(value_get(exit, "under"));
    struct value number = value_get(exit, "signal"), status = value_get(exit, "status");
    bool disk = strcmp(under, "disk") == 0, damage = strcmp(under, "damage") == 0;
    bool withheld = strcmp(under, "memory") == 0 || strcmp(under, "files") == 0 || disk || damage;
    bool of_memory = strcmp(under, "memory") == 0 || strcmp(under, "memory-hog") == 0;
    if (of_memory && value_as_bool(value_get(exit, "oom")))
        return DEATH_LIMIT;
    if (!withheld)
        return DEATH_OBSCURE;
    int64_t signal = value_is_int(number) ? value_as_int(number) : 0;
    /* SIGBUS: a mapped file that cannot be read. */
    if (signal == SIGABRT || (disk && signal == SIGBUS))
        return DEATH_LIMIT;
    if (signal != 0) /* what is in a file, however wrong, excuses no other crash */
        return is_crash_signal(signal) && !damage ? DEATH_STRAINED : DEATH_OBSCURE;
    return value_is_int(status) && value_as_int(status) != 0 ? DEATH_LIMIT : DEATH_OBSCURE;
}

static enum death death_of(struct value exit)
{
    struct value number = value_get(exit, "signal"), status = value_get(exit, "status");
    if (value_as_bool(value_get(exit, "asked")))
        return DEATH_ASKED;
    enum death of_limit = death_under_limit(exit);
    if (of_limit != DEATH_OBSCURE)
        return of_limit;
    if (value_as_bool(value_get(exit, "oom")))
        return DEATH_MEMORY;
    if (value_is_int(number))
        return is_crash_signal(value_as_int(number)) ? DEATH_CRASH : DEATH_OUTSIDE;
    if (value_is_int(status))
        return value_as_int(status) == 0 ? DEATH_EXIT : DEATH_CRASH;
    return DEATH_OBSCURE;
}

/* "was killed by SIGSEGV", "exited with status 2". */
static void print_how(struct value exit, enum death death, struct buf *out)
{
    struct value number = value_get(exit, "signal"), status = value_get(exit, "status");
    if (death == DEATH_MEMORY)
        buf_add_text(out, "was killed because its node had no memory left");
    else if (value_is_int(number)) {
        int64_t n = value_as_int(number);
        const char *name = n > 0 && n < NSIG ? sigabbrev_np((int)n) : NULL;
        if (name != NULL)
            buf_printf(out, "was killed by SIG%s", name);
        else
            buf_printf(out, "was killed by signal %lld", (long long)n);
    } else if (value_is_int(status))
        buf_printf(out, "exited with status %lld", (long long)value_as_int(status));
    else
        buf_add_text(out, "died, and how was not recorded");
}

static const char *text_or(struct value value, const char *absent)
{
    const char *text = value_as_text(value);
    return *text != '\0' ? text : absent;
}

/* One death nobody asked for: what people are told. */
static void print_death(const struct history *history, uint32_t event, enum death death,
                        struct buf *out)
{
    struct value exit = history->value[event];
    const char *name = text_or(value_get(exit, "name"), "a daemon");
    buf_printf(out, "%s on %s ", name, text_or(value_get(exit, "node"), "an unnamed node"));
    print_how(exit, death, out);
    if (history->time_ns[event] >= 0)
        buf_printf(out, " at %.3f s", (double)history->time_ns[event] / 1e9);
    if (death == DEATH_STRAINED)
        buf_printf(out, ", while ordeal withheld %s from it",
                   text_or(value_get(exit, "under"), "something"));
    else
        buf_add_text(out, ", and nobody had asked it to");
}

static void add_anomaly(const struct history *history, uint32_t event, enum death death,
                        const char *text, struct check_result *result)
{
    struct value exit = history->value[event];
    const char *name = text_or(value_get(exit, "name"), "a daemon");
    const char *node = text_or(value_get(exit, "node"), "an unnamed node");
    struct buf title = BUF_INIT, whole = BUF_INIT;
    buf_printf(&title, "%s died on %s", name, node);
    buf_printf(&whole,
               "%s. Its log, %s.log of %s (under nodes/%s in the run's directory), may say why.",
               text, name, node, node);
    struct json *anomaly = check_anomaly(result, death == DEATH_CRASH ? "crash" : "unasked-exit",
                                         title.data, whole.data, &event, 1);
    json_set_text(anomaly, "node", node);
    json_set_text(anomaly, "daemon", name);
    buf_free(&title);
    buf_free(&whole);
}

/* Crashes and orderly exits may be how a system is meant to behave; the rest is never its own. */
static enum verdict verdict_of(enum death death, bool allowed)
{
    if (death == DEATH_CRASH)
        return allowed ? VERDICT_VALID : VERDICT_INVALID;
    return death == DEATH_EXIT && allowed ? VERDICT_VALID : VERDICT_UNKNOWN;
}

static void check(const struct check_input *input, struct check_result *result)
{
    const struct history *history = input->history;
    bool allowed = option_bool(&input->options, "crashes.allow");
    uint32_t counts[DEATH_OBSCURE + 1] = {0}, unasked = 0;
    int exit_f = history_find_f(history, "exit");
    for (uint32_t i = 0; i < history->count; i++) {
        if (history->process[i] != PROCESS_DAEMON || history->f[i] != exit_f)
            continue;
        enum death death = death_of(history->value[i]);
        counts[death]++;
        if (death == DEATH_ASKED || death == DEATH_LIMIT)
            continue;
        struct buf text = BUF_INIT;
        print_death(history, i, death, &text);
        enum verdict verdict = verdict_of(death, allowed);
        if (verdict != VERDICT_VALID)
            check_verdict(result, verdict, "%s", text.data);
        if (unasked++ < ANOMALIES_MAX)
            add_anomaly(history, i, death, text.data, result);
        buf_free(&text);
    }
    struct json *by_cause = json_set(result->details, "by-cause", json_object());
    for (int death = 0; death <= DEATH_OBSCURE; death++)
        if (counts[death] > 0)
            json_set_int(by_cause, death_names[death], counts[death]);
    json_set_int(result->details, "unasked-count", unasked);
    if (unasked == 0)
        check_verdict(result, VERDICT_VALID, "no daemon died unasked%s",
                      counts[DEATH_LIMIT] > 0 ? ", but for those that limits of ordeal's killed"
                                              : "");
    else
        check_verdict(result, VERDICT_VALID,
                      "%u %s that nobody asked for, as crashes.allow permits", unasked,
                      unasked == 1 ? "death" : "deaths");
}

static const struct option options[] = {
    {"allow", OPTION_BOOL, "false", NULL,
     "Whether daemons may die of themselves; they are then only counted."},
    {.name = NULL},
};

const struct checker checker_crashes = {
    .name = "crashes",
    .summary = "daemons that died though nobody asked them to",
    .options = options,
    .check = check,
};
