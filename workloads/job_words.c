/* Disque's commands, sent and answered: see job_words.h. */
#include "workloads/job_words.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void job_words_free(struct job_words *words)
{
    redis_close(words->redis);
    words->redis = NULL;
    buf_free(&words->text);
}

/* ---- Requests ---- */

void job_add_bytes(struct job_words *words, const char *text, size_t length)
{
    if (words->count == JOB_WORDS_MAX)
        abort(); /* no request here is that long */
    words->starts[words->count] = words->text.length;
    words->lengths[words->count++] = length;
    buf_add(&words->text, text, length);
    buf_add_char(&words->text, '\0');
}

void job_begin(struct job_words *words, const char *command)
{
    buf_clear(&words->text);
    words->count = 0;
    job_add(words, command);
}

void job_add(struct job_words *words, const char *word)
{
    job_add_bytes(words, word, strlen(word));
}

void job_add_number(struct job_words *words, int64_t number)
{
    char text[32];
    snprintf(text, sizeof text, "%" PRId64, number);
    job_add(words, text);
}

/* ---- Asking ---- */

void job_complete(struct op *op, struct arena *scratch, enum op_type type, const char *error,
                  const char *detail)
{
    detail = *detail == '\0' ? NULL : detail;
    if (type == OP_FAIL)
        op_fail(op, scratch, error, detail);
    else
        op_info(op, scratch, error, detail);
}

void job_bad_reply(enum job_effect effect, struct op *op, struct arena *scratch, const char *what)
{
    job_complete(op, scratch, effect == JOB_READS ? OP_FAIL : OP_INFO, "bad-reply", what);
}

const struct redis_value *job_ask(struct job_words *words, enum job_effect effect,
                                  job_meaning_fn *meaning, int64_t timeout_ns, struct op *op,
                                  struct arena *scratch)
{
    const char *texts[JOB_WORDS_MAX];
    for (size_t i = 0; i < words->count; i++)
        texts[i] = words->text.data + words->starts[i];
    struct redis_reply *reply = &words->reply;
    redis_ask(words->redis, texts, words->lengths, words->count, timeout_ns, reply);
    enum op_type unknown = effect == JOB_READS ? OP_FAIL : OP_INFO;
    if (reply->outcome != REDIS_REPLIED) {
        job_complete(op, scratch, reply->outcome == REDIS_NOT_SENT ? OP_FAIL : unknown,
                     reply->error, reply->detail);
        return NULL;
    }
    if (redis_kind(reply->value) == REDIS_ERROR) {
        const char *message = redis_text(reply->value, NULL);
        struct job_meaning means = meaning(message);
        job_complete(op, scratch, effect == JOB_READS ? OP_FAIL : means.type, means.error, message);
        return NULL;
    }
    return reply->value;
}

/* ---- Jobs ---- */

bool job_read(const struct redis_value *value, struct job *job)
{
    if (redis_count(value) < 3)
        return false;
    job->queue = redis_text(redis_at(value, 0), NULL);
    job->id = redis_text(redis_at(value, 1), &job->id_length);
    job->body = redis_text(redis_at(value, 2), &job->body_length);
    return true;
}

int64_t job_counter(const struct redis_value *value, const char *name, int64_t otherwise)
{
    for (size_t i = 3; i + 1 < redis_count(value); i += 2)
        if (strcmp(redis_text(redis_at(value, i), NULL), name) == 0)
            return redis_integer(redis_at(value, i + 1));
    return otherwise;
}
