/* Time: see clock.h. */
#include "harness/base/clock.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int64_t read_clock(clockid_t id)
{
    struct timespec now;
    clock_gettime(id, &now);
    return (int64_t)now.tv_sec * NS_PER_SECOND + now.tv_nsec;
}

int64_t clock_monotonic_ns(void)
{
    return read_clock(CLOCK_MONOTONIC);
}

int64_t clock_wall_ns(void)
{
    return read_clock(CLOCK_REALTIME);
}

struct timespec clock_timespec(int64_t ns)
{
    return (struct timespec){.tv_sec = ns / NS_PER_SECOND, .tv_nsec = ns % NS_PER_SECOND};
}

static const struct {
    const char *name;
    int64_t ns;
} units[] = {
    {"h", 3600 * NS_PER_SECOND}, {"m", 60 * NS_PER_SECOND}, {"s", NS_PER_SECOND},
    {"ms", NS_PER_MS},           {"us", NS_PER_US},         {"ns", 1},
};

enum err_code clock_parse_duration(const char *text, int64_t *ns, struct err *err)
{
    char *end;
    errno = 0;
    double number = strtod(text, &end);
    bool plain = (text[0] == '.' || (text[0] >= '0' && text[0] <= '9')) && text[1] != 'x' &&
                 text[1] != 'X'; /* strtod reads blanks, signs and hexadecimals, too */
    int64_t unit = *end == '\0' ? NS_PER_SECOND : 0;
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++)
        if (strcmp(end, units[i].name) == 0)
            unit = units[i].ns;
    if (!plain || end == text || unit == 0 || errno != 0 || !(number >= 0) ||
        number * (double)unit > 9e18)
        return err_set(err, ERR_CONFIG,
                       "'%s' is not a duration: write a number and a unit, such as 60s, 200ms, 5m",
                       text);
    *ns = (int64_t)llround(number * (double)unit);
    return ERR_NONE;
}

void clock_format_duration(int64_t ns, char *text, size_t size)
{
    for (size_t i = 2; i < sizeof units / sizeof units[0]; i++)
        if (ns % units[i].ns == 0) {
            snprintf(text, size, "%" PRId64 "%s", ns / units[i].ns, units[i].name);
            return;
        }
}

void clock_format_human(int64_t ns, char *text, size_t size)
{
    double magnitude = fabs((double)ns);
    if (magnitude < 1e3)
        snprintf(text, size, "%" PRId64 " ns", ns);
    else if (magnitude < 1e6)
        snprintf(text, size, "%.3g us", (double)ns / 1e3);
    else if (magnitude < 1e9)
        snprintf(text, size, "%.3g ms", (double)ns / 1e6);
    else
        snprintf(text, size, magnitude < 1e12 ? "%.4g s" : "%.0f s", (double)ns / 1e9);
}

void clock_format_utc(int64_t wall_ns, char *text, size_t size)
{
    time_t seconds = (time_t)(wall_ns / NS_PER_SECOND);
    struct tm utc;
    gmtime_r(&seconds, &utc);
    char stamp[32];
    strftime(stamp, sizeof stamp, "%Y%m%dT%H%M%S", &utc);
    snprintf(text, size, "%s.%03dZ", stamp, (int)(wall_ns % NS_PER_SECOND / NS_PER_MS));
}
