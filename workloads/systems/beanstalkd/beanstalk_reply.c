/* The answers of beanstalkd: a line of words, some with as many bytes behind it as the line says.
 * Nothing that the server says is trusted. */
#include <string.h>

#include "workloads/systems/beanstalkd/beanstalkd.h"

enum { LINE_MAX_BYTES = 256, BODY_MAX_BYTES = 1 << 20 };

/* What follows the word. */
enum rest { NOTHING, NUMBER, MAYBE_NUMBER, NUMBER_AND_BODY, BODY, NAME };
static const struct {
    const char *text;
    enum rest rest;
} words[] = {
    [BEANSTALK_INSERTED] = {"INSERTED", NUMBER},
    [BEANSTALK_BURIED] = {"BURIED", MAYBE_NUMBER},
    [BEANSTALK_WATCHING] = {"WATCHING", NUMBER},
    [BEANSTALK_RESERVED] = {"RESERVED", NUMBER_AND_BODY},
    [BEANSTALK_FOUND] = {"FOUND", NUMBER_AND_BODY},
    [BEANSTALK_OK] = {"OK", BODY},
    [BEANSTALK_USING] = {"USING", NAME},
    [BEANSTALK_DELETED] = {"DELETED", NOTHING},
    [BEANSTALK_RELEASED] = {"RELEASED", NOTHING},
    [BEANSTALK_TOUCHED] = {"TOUCHED", NOTHING},
    [BEANSTALK_NOT_FOUND] = {"NOT_FOUND", NOTHING},
    [BEANSTALK_TIMED_OUT] = {"TIMED_OUT", NOTHING},
    [BEANSTALK_DEADLINE_SOON] = {"DEADLINE_SOON", NOTHING},
    [BEANSTALK_NOT_IGNORED] = {"NOT_IGNORED", NOTHING},
    [BEANSTALK_JOB_TOO_BIG] = {"JOB_TOO_BIG", NOTHING},
    [BEANSTALK_EXPECTED_CRLF] = {"EXPECTED_CRLF", NOTHING},
    [BEANSTALK_DRAINING] = {"DRAINING", NOTHING},
    [BEANSTALK_OUT_OF_MEMORY] = {"OUT_OF_MEMORY", NOTHING},
    [BEANSTALK_INTERNAL_ERROR] = {"INTERNAL_ERROR", NOTHING},
    [BEANSTALK_BAD_FORMAT] = {"BAD_FORMAT", NOTHING},
    [BEANSTALK_UNKNOWN_COMMAND] = {"UNKNOWN_COMMAND", NOTHING},
};

const char *beanstalk_word_name(enum beanstalk_word word)
{
    return words[word].text;
}

/* The next word of the line goes to [*from, *to); false: there is none. Words have one blank
 * between them. */
static bool next_word(const char *end, const char **from, const char **to)
{
    if (*to == end || **to != ' ')
        return false;
    *from = *to + 1;
    for (*to = *from; *to < end && **to != ' ';)
        ++*to;
    return *to > *from;
}

static bool next_number(const char *end, const char **from, const char **to, uint64_t *number)
{
    if (!next_word(end, from, to) || *to - *from > 19) /* so that it fits */
        return false;
    *number = 0;
    for (const char *at = *from; at < *to; at++) {
        if (*at < '0' || *at > '9')
            return false;
        *number = *number * 10 + (uint64_t)(*at - '0');
    }
    return true;
}

/* What follows the word, which ends at `to`, and the line, which ends at `end`. */
static enum beanstalk_read read_rest(const char *bytes, size_t length, const char *to,
                                     const char *end, struct beanstalk_reply *reply)
{
    const char *from = to;
    enum rest rest = words[reply->word].rest;
    uint64_t size = 0;
    bool good = true;
    if (rest == NAME) {
        good = next_word(end, &from, &to);
        reply->body = from;
        reply->body_length = (size_t)(to - from);
    }
    if (rest == NUMBER || rest == NUMBER_AND_BODY || (rest == MAYBE_NUMBER && to != end))
        good = next_number(end, &from, &to, &reply->number);
    bool sized = rest == NUMBER_AND_BODY || rest == BODY;
    if (sized)
        good = good && next_number(end, &from, &to, &size) && size <= BODY_MAX_BYTES;
    if (!good || to != end)
        return BEANSTALK_NONSENSE;
    size_t line = (size_t)(end - bytes) + 2;
    reply->length = line;
    if (!sized)
        return BEANSTALK_WHOLE;
    reply->length += size + 2;
    if (length < reply->length)
        return BEANSTALK_MORE;
    reply->body = bytes + line;
    reply->body_length = size;
    return memcmp(reply->body + size, "\r\n", 2) == 0 ? BEANSTALK_WHOLE : BEANSTALK_NONSENSE;
}

enum beanstalk_read beanstalk_reply_read(const char *bytes, size_t length,
                                         struct beanstalk_reply *reply)
{
    *reply = (struct beanstalk_reply){.number = 0};
    size_t seen = length < LINE_MAX_BYTES ? length : LINE_MAX_BYTES;
    const char *end = seen == 0 ? NULL : memchr(bytes, '\n', seen);
    if (end == NULL)
        return length < LINE_MAX_BYTES ? BEANSTALK_MORE : BEANSTALK_NONSENSE;
    if (end == bytes || *--end != '\r')
        return BEANSTALK_NONSENSE;
    const char *to = memchr(bytes, ' ', (size_t)(end - bytes));
    if (to == NULL)
        to = end;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (strlen(words[i].text) != (size_t)(to - bytes) ||
            memcmp(words[i].text, bytes, (size_t)(to - bytes)) != 0)
            continue;
        reply->word = (enum beanstalk_word)i;
        return read_rest(bytes, length, to, end, reply);
    }
    return BEANSTALK_NONSENSE;
}

int64_t beanstalk_stat(const char *stats, size_t length, const char *name)
{
    size_t name_length = strlen(name);
    for (const char *line = stats, *end = stats + length; line < end;) {
        const char *stop = memchr(line, '\n', (size_t)(end - line));
        if (stop == NULL)
            stop = end;
        const char *from = line, *to = line + name_length + 1;
        uint64_t number;
        if ((size_t)(stop - line) > name_length + 1 && memcmp(line, name, name_length) == 0 &&
            line[name_length] == ':' && next_number(stop, &from, &to, &number) && to == stop)
            return (int64_t)(number & INT64_MAX);
        line = stop + 1;
    }
    return -1;
}
