/* Errors: see err.h. */
#include "harness/base/err.h"

#include <stdio.h>
#include <string.h>

static void one_line(char *text)
{
    size_t end = strlen(text);
    while (end > 0 && (text[end - 1] == '\n' || text[end - 1] == '\r' || text[end - 1] == ' '))
        text[--end] = '\0';
    for (size_t i = 0; i < end; i++)
        if ((unsigned char)text[i] < 0x20)
            text[i] = ' ';
}

enum err_code err_set(struct err *err, enum err_code code, const char *format, ...)
{
    if (err == NULL)
        return code;
    va_list arguments;
    va_start(arguments, format);
    char message[ERR_MESSAGE_MAX]; /* `err->message` may be among the arguments */
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    one_line(message);
    memcpy(err->message, message, sizeof message);
    err->code = code;
    return code;
}

enum err_code err_errno(struct err *err, int errno_value, const char *format, ...)
{
    if (err == NULL)
        return ERR_IO;
    va_list arguments;
    va_start(arguments, format);
    char message[ERR_MESSAGE_MAX];
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    return err_set(err, ERR_IO, "%s: %s", message, strerror(errno_value));
}

enum err_code err_wrap(struct err *err, const char *format, ...)
{
    if (err == NULL)
        return ERR_IO;
    va_list arguments;
    va_start(arguments, format);
    char prefix[ERR_MESSAGE_MAX];
    vsnprintf(prefix, sizeof prefix, format, arguments);
    va_end(arguments);
    return err_set(err, err->code, "%s: %s", prefix, err->message);
}

enum err_code err_undone(struct err *err, enum err_code code, const struct err *cause,
                         const struct err *back)
{
    if (back == NULL)
        return err_set(err, code, "%s", cause->message);
    return err_set(err, code, "%s; and undoing that failed too: %s", cause->message, back->message);
}
