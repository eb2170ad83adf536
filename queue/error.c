/* One line about what failed. */
#include "queue/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void queue_error_set(struct queue_error *error, const char *format, ...)
{
    if (error == NULL)
        return;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(error->message, sizeof error->message, format, arguments);
    va_end(arguments);
}

void queue_error_wrap(struct queue_error *error, const char *format, ...)
{
    if (error == NULL)
        return;
    char inner[sizeof error->message];
    memcpy(inner, error->message, sizeof inner);
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(error->message, sizeof error->message, format, arguments);
    va_end(arguments);
    if (length >= 0 && (size_t)length < sizeof error->message)
        snprintf(error->message + length, sizeof error->message - (size_t)length, ": %s", inner);
}
