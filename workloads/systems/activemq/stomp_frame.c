/* Frames of STOMP 1.2: a command, headers, an empty line, a body, a NUL; line ends between frames.
 * Nothing that the broker says is trusted. */
#include <string.h>

#include "workloads/systems/activemq/activemq.h"

enum { HEAD_MAX = 1 << 14, BODY_MAX = 1 << 20 };

/* The next line's end from here, which is where its line end begins; NULL: it has none yet. */
static const char *line_end(const char *at, const char *end, const char **next)
{
    const char *newline = at == end ? NULL : memchr(at, '\n', (size_t)(end - at));
    if (newline == NULL)
        return NULL;
    *next = newline + 1;
    return newline > at && newline[-1] == '\r' ? newline - 1 : newline;
}

/* content-length; false: it is none. */
static bool body_length(const struct stomp_frame *frame, bool *given, size_t *length)
{
    struct stomp_text text = stomp_header(frame, "content-length");
    *length = 0;
    *given = text.at != NULL;
    if (*given && (text.length == 0 || text.length > 7))
        return false;
    for (size_t i = 0; i < text.length; i++) {
        if (text.at[i] < '0' || text.at[i] > '9')
            return false;
        *length = *length * 10 + (size_t)(text.at[i] - '0');
    }
    return *length <= BODY_MAX;
}

/* The body begins at `at`. */
static enum stomp_read read_body(const char *bytes, const char *at, const char *end,
                                 struct stomp_frame *frame)
{
    bool given;
    size_t length, left = (size_t)(end - at);
    if (!body_length(frame, &given, &length))
        return STOMP_NONSENSE;
    if (!given) {
        const char *nul = left == 0 ? NULL : memchr(at, '\0', left);
        if (nul == NULL)
            return left > BODY_MAX ? STOMP_NONSENSE : STOMP_MORE;
        length = (size_t)(nul - at);
    }
    if (left <= length)
        return STOMP_MORE;
    frame->body = (struct stomp_text){at, length};
    frame->length = (size_t)(at + length + 1 - bytes);
    return at[length] == '\0' ? STOMP_WHOLE : STOMP_NONSENSE;
}

enum stomp_read stomp_frame_read(const char *bytes, size_t length, struct stomp_frame *frame)
{
    const char *end = bytes + length, *at = bytes, *next = NULL;
    *frame = (struct stomp_frame){.length = 0};
    while (at < end && (*at == '\n' || *at == '\r'))
        at++;
    const char *begin = at, *stop = line_end(at, end, &next);
    for (bool first = true; stop != NULL && stop > at; first = false) {
        if (memchr(at, '\0', (size_t)(stop - at)) != NULL)
            return STOMP_NONSENSE;
        if (first)
            frame->command = (struct stomp_text){at, (size_t)(stop - at)};
        else if (memchr(at, ':', (size_t)(stop - at)) == NULL)
            return STOMP_NONSENSE;
        at = next;
        if (first)
            frame->headers.at = at;
        stop = line_end(at, end, &next);
    }
    if (stop == NULL)
        return (size_t)(end - begin) > HEAD_MAX ? STOMP_NONSENSE : STOMP_MORE;
    frame->headers.length = (size_t)(at - frame->headers.at);
    return read_body(bytes, next, end, frame);
}

bool stomp_is(const struct stomp_frame *frame, const char *command)
{
    return frame->command.length == strlen(command) &&
           memcmp(frame->command.at, command, frame->command.length) == 0;
}

struct stomp_text stomp_header(const struct stomp_frame *frame, const char *name)
{
    size_t length = strlen(name);
    const char *at = frame->headers.at, *end = at + frame->headers.length, *next = NULL;
    for (const char *stop; at < end && (stop = line_end(at, end, &next)) != NULL; at = next)
        if ((size_t)(stop - at) > length && memcmp(at, name, length) == 0 && at[length] == ':')
            return (struct stomp_text){at + length + 1, (size_t)(stop - at) - length - 1};
    return (struct stomp_text){NULL, 0};
}

bool stomp_header_is(const struct stomp_frame *frame, const char *name, const char *value)
{
    struct stomp_text text = stomp_header(frame, name);
    return text.at != NULL && text.length == strlen(value) &&
           memcmp(text.at, value, text.length) == 0;
}
