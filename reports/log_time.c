/* Times in logs: see log_time.h. */
#include "reports/log_time.h"

#include <string.h>

#include "harness/base/clock.h"

struct text {
    const char *at, *end;
};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Exactly so many digits. */
static bool take_digits(struct text *text, int count, int *number)
{
    int sum = 0;
    if (text->end - text->at < count)
        return false;
    for (int i = 0; i < count; i++) {
        if (!is_digit(text->at[i]))
            return false;
        sum = sum * 10 + (text->at[i] - '0');
    }
    text->at += count;
    *number = sum;
    return true;
}

static bool take_char(struct text *text, const char *any)
{
    if (text->at == text->end || *text->at == '\0' || strchr(any, *text->at) == NULL)
        return false;
    text->at++;
    return true;
}

/* ---- The day ---- */

struct day {
    int year, month, day;
};

/* 2026-11-30, 2026/11/30, 20261130 */
static bool take_numbers(struct text *text, struct day *day)
{
    struct text at = *text;
    if (!take_digits(&at, 4, &day->year))
        return false;
    const char *between = at.at < at.end && *at.at == '-' ? "-" : "/";
    bool plain = at.at < at.end && is_digit(*at.at);
    if ((!plain && !take_char(&at, between)) || !take_digits(&at, 2, &day->month) ||
        (!plain && !take_char(&at, between)) || !take_digits(&at, 2, &day->day))
        return false;
    *text = at;
    return true;
}

/* 30 Nov 2026 */
static bool take_words(struct text *text, struct day *day)
{
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    struct text at = *text;
    char name[4] = "";
    if (!take_digits(&at, 2, &day->day) || !take_char(&at, " ") || at.end - at.at < 3)
        return false;
    memcpy(name, at.at, 3);
    const char *found = strstr(months, name);
    if (strlen(name) != 3 || found == NULL || (found - months) % 3 != 0)
        return false;
    at.at += 3;
    day->month = (int)((found - months) / 3) + 1;
    if (!take_char(&at, " ") || !take_digits(&at, 4, &day->year))
        return false;
    *text = at;
    return true;
}

/* Days since 1970-01-01 of the Gregorian calendar. Years are counted from March, so that the leap
 * day ends them. */
static int64_t days_since_1970(const struct day *day)
{
    int64_t year = day->year - (day->month <= 2);
    int64_t month = day->month + (day->month > 2 ? -3 : 9);
    int64_t of_year = (153 * month + 2) / 5 + day->day - 1;
    return year * 365 + year / 4 - year / 100 + year / 400 + of_year - 719468;
}

/* ---- The time of day, and the zone ---- */

static bool take_clock(struct text *text, int64_t *ns)
{
    struct text at = *text;
    int hours, minutes, seconds;
    if (!take_char(&at, "T ") && !is_digit(at.at < at.end ? *at.at : 'x'))
        return false;
    bool blank = take_char(&at, " "); /* " 9:14:00" */
    if (!take_digits(&at, blank ? 1 : 2, &hours))
        return false;
    bool plain = at.at < at.end && is_digit(*at.at);
    if ((!plain && !take_char(&at, ":")) || !take_digits(&at, 2, &minutes) ||
        (!plain && !take_char(&at, ":")) || !take_digits(&at, 2, &seconds) || hours > 23 ||
        minutes > 59 || seconds > 60)
        return false;
    *ns = ((int64_t)hours * 3600 + minutes * 60 + seconds) * NS_PER_SECOND;
    if (at.end - at.at > 1 && (*at.at == '.' || *at.at == ',') && is_digit(at.at[1])) {
        int64_t unit = NS_PER_SECOND / 10;
        for (at.at++; at.at < at.end && is_digit(*at.at); at.at++, unit /= 10)
            *ns += (*at.at - '0') * unit;
    }
    *text = at;
    return true;
}

/* Z, UTC, +01:00, +0100, +01 */
static bool take_zone(struct text *text, int64_t *east_ns)
{
    struct text at = *text;
    int hours, minutes = 0;
    *east_ns = 0;
    if (take_char(&at, "Z"))
        return true;
    if (at.end - at.at >= 4 && memcmp(at.at, " UTC", 4) == 0)
        return true;
    if (at.end - at.at >= 4 && memcmp(at.at, " GMT", 4) == 0)
        return true;
    if (at.at == at.end || (*at.at != '+' && *at.at != '-'))
        return false;
    int sign = *at.at == '+' ? 1 : -1;
    at.at++;
    if (!take_digits(&at, 2, &hours))
        return false;
    struct text more = at;
    (void)take_char(&more, ":");
    (void)take_digits(&more, 2, &minutes);
    *east_ns = sign * ((int64_t)hours * 60 + minutes) * 60 * NS_PER_SECOND;
    return hours <= 14 && minutes < 60;
}

static bool take_time(struct text *text, struct log_time *time)
{
    struct day day = {0};
    int64_t of_day_ns, east_ns;
    if (!take_numbers(text, &day) && !take_words(text, &day))
        return false;
    if (day.year < 1970 || day.year > 2200 || day.month < 1 || day.month > 12 || day.day < 1 ||
        day.day > 31 || !take_clock(text, &of_day_ns))
        return false;
    time->zoned = take_zone(text, &east_ns);
    time->ns = days_since_1970(&day) * 86400 * NS_PER_SECOND + of_day_ns - east_ns;
    return true;
}

bool log_time_read(const char *line, size_t length, struct log_time *time)
{
    size_t within = length < LOG_TIME_WITHIN ? length : LOG_TIME_WITHIN;
    for (size_t i = 0; i < within; i++) {
        if (!is_digit(line[i]) || (i > 0 && is_digit(line[i - 1])))
            continue;
        struct text text = {line + i, line + length};
        if (take_time(&text, time))
            return true;
    }
    return false;
}
