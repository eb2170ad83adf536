/* Asking several servers at once: see redis.h. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "workloads/at_once.h"
#include "workloads/redis.h"

enum { WORDS_MAX = 8 };

static void add_answer(const struct redis_value *value, struct buf *out)
{
    enum redis_kind kind = redis_kind(value);
    if (kind == REDIS_INTEGER)
        buf_printf(out, "%" PRId64, redis_integer(value));
    else if (kind == REDIS_TEXT || kind == REDIS_STATUS)
        buf_add_text(out, redis_text(value, NULL));
    for (size_t i = 0; i < redis_count(value); i++) {
        add_answer(redis_at(value, i), out);
        buf_add_char(out, '\n');
    }
}

static void *ask(void *state)
{
    struct redis_question *question = state;
    struct redis_client *client;
    struct err err = ERR_INIT;
    if (redis_open(question->host, question->port, &client, &err) != ERR_NONE) {
        buf_add_text(&question->trouble, err.message);
        return NULL;
    }
    size_t lengths[WORDS_MAX], count = 0;
    for (; count < WORDS_MAX && question->words[count] != NULL; count++)
        lengths[count] = strlen(question->words[count]);
    struct redis_reply reply;
    redis_ask(client, question->words, lengths, count, question->timeout_ns, &reply);
    if (reply.outcome != REDIS_REPLIED)
        buf_add_text(&question->trouble, reply.detail);
    else if (redis_kind(reply.value) == REDIS_ERROR)
        buf_add_text(&question->trouble, redis_text(reply.value, NULL));
    else
        add_answer(reply.value, &question->answer);
    redis_close(client);
    return NULL;
}

void redis_ask_all(struct redis_question *questions, size_t count)
{
    at_once(questions, sizeof *questions, count, ask);
}

void redis_questions_free(struct redis_question *questions, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        buf_free(&questions[i].answer);
        buf_free(&questions[i].trouble);
    }
}

const char *redis_info_field(const char *info, const char *name)
{
    size_t length = strlen(name);
    for (const char *line = info; line != NULL; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, name, length) == 0 && line[length] == ':')
            return line + length + 1;
    }
    return NULL;
}

int64_t redis_info_number(const char *info, const char *name)
{
    const char *field = redis_info_field(info, name);
    return field == NULL || *field < '0' || *field > '9' ? -1 : strtoll(field, NULL, 10);
}
