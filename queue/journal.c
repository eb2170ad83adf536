/* One write a line, so that threads and processes do not mix theirs. */
#include "queue/journal.h"

#include <stdarg.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

static enum journal_level lowest = JOURNAL_INFO;
static const char *const names[] = {"debug", "info", "warning", "error"};

void journal_level_set(enum journal_level level)
{
    lowest = level;
}

enum journal_level journal_level(void)
{
    return lowest;
}

const char *journal_level_name(enum journal_level level)
{
    return names[level];
}

void journal_write(enum journal_level level, const char *event, const char *format, ...)
{
    if (level < lowest)
        return;
    char line[1024];
    struct timespec now; /* for people only: nothing in the queue depends on it */
    struct tm day;
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &day);
    size_t length = strftime(line, sizeof line, "%Y-%m-%dT%H:%M:%S", &day);
    length += (size_t)snprintf(line + length, sizeof line - length, ".%03ldZ %s %s ",
                               now.tv_nsec / 1000000, names[level], event);
    va_list arguments;
    va_start(arguments, format);
    int added = vsnprintf(line + length, sizeof line - length - 1, format, arguments);
    va_end(arguments);
    length += added > 0 ? (size_t)added : 0;
    if (length > sizeof line - 2)
        length = sizeof line - 2;
    for (size_t i = 0; i < length; i++)
        line[i] = line[i] == '\n' || line[i] == '\r' ? ' ' : line[i];
    line[length++] = '\n';
    (void)!write(STDERR_FILENO, line, length);
}
