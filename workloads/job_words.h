/* What clients of servers that speak Disque's commands (ADDJOB, GETJOB, ACKJOB..) have in common:
 * requests of many words, and replies that are jobs. */
#ifndef ORDEAL_WORKLOADS_JOB_WORDS_H
#define ORDEAL_WORKLOADS_JOB_WORDS_H

#include "harness/workload.h"
#include "workloads/redis.h"

enum { JOB_WORDS_MAX = 128 };

/* A request, and the connection that it goes by. Words lie behind each other, each with its NUL. */
struct job_words {
    struct redis_client *redis;
    struct redis_reply reply; /* to the last request */
    struct buf text;
    size_t starts[JOB_WORDS_MAX], lengths[JOB_WORDS_MAX], count;
};
void job_words_free(struct job_words *words); /* closes the connection, too */

void job_begin(struct job_words *words, const char *command);
void job_add(struct job_words *words, const char *word);
void job_add_bytes(struct job_words *words, const char *text, size_t length);
void job_add_number(struct job_words *words, int64_t number);

/* What an error reply means. */
struct job_meaning {
    enum op_type type; /* OP_FAIL: certainly not done and never will be; else OP_INFO */
    const char *error; /* a keyword for the operation's error */
};
typedef struct job_meaning job_meaning_fn(const char *message);

/* Sends the words. NULL when the operation is complete: not done, or not known. What only reads is
 * failed when it is not known. */
enum job_effect { JOB_CHANGES, JOB_READS };
const struct redis_value *job_ask(struct job_words *words, enum job_effect effect,
                                  job_meaning_fn *meaning, int64_t timeout_ns, struct op *op,
                                  struct arena *scratch);
/* Completes with a failure or as not known; an empty detail is none. */
void job_complete(struct op *op, struct arena *scratch, enum op_type type, const char *error,
                  const char *detail);
void job_bad_reply(enum job_effect effect, struct op *op, struct arena *scratch, const char *what);

/* [queue id body counter n ..] of GETJOB; texts are the reply's, with a NUL behind them. */
struct job {
    const char *queue, *id, *body;
    size_t id_length, body_length;
};
bool job_read(const struct redis_value *value, struct job *job);
int64_t job_counter(const struct redis_value *value, const char *name, int64_t otherwise);

#endif
