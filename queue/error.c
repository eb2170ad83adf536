/* See error.h. */
#include "queue/error.h"

#include <stdarg.h>
#include <stdio.h>

bool queue_error_set(struct queue_error *error, const char *format, ...)
{
    if (error) {
        va_list arguments;
        va_start(arguments, format);
        vsnprintf(error->message, sizeof error->message, format, arguments);
        va_end(arguments);
    }
    return false;
}
