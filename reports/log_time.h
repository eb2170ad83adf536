/* When a line of some program's log was written, by what the line itself says.
 *
 * Every program has a format of its own; read are those that name the day: 2026-11-30 (or with
 * slashes, or without anything between), or 30 Nov 2026, followed by the time of day with as many
 * digits of a fraction as there are, and perhaps a zone. */
#ifndef ORDEAL_REPORTS_LOG_TIME_H
#define ORDEAL_REPORTS_LOG_TIME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct log_time {
    int64_t ns; /* since 1970; by the zone that is given, else as if it were UTC */
    bool zoned; /* a zone is given */
};

/* Looks within the first so many bytes. False: the line tells no time. */
enum { LOG_TIME_WITHIN = 120 };
bool log_time_read(const char *line, size_t length, struct log_time *time);

#endif
