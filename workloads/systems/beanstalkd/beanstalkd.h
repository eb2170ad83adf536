/* What the files of the system beanstalkd share, and its tests see. */
#ifndef ORDEAL_SYSTEMS_BEANSTALKD_H
#define ORDEAL_SYSTEMS_BEANSTALKD_H

#include "harness/option.h"
#include "harness/workload.h"
#include "workloads/stream.h"

#define BEANSTALKD_DAEMON "beanstalkd"

extern const struct option beanstalkd_options[];
uint16_t beanstalkd_client_port(const struct test *test);
/* The command line of a server, NULL at the end. */
const char *const *beanstalkd_arguments(const struct test *test, uint32_t node,
                                        struct arena *arena);

/* ---- beanstalk_reply.c: the protocol's answers ---- */

enum beanstalk_word {
    BEANSTALK_INSERTED, /* these three carry a number, */
    BEANSTALK_BURIED,   /* this one sometimes (else 0), */
    BEANSTALK_WATCHING,
    BEANSTALK_RESERVED, /* these two a job's number and body, */
    BEANSTALK_FOUND,
    BEANSTALK_OK,    /* this one a body, */
    BEANSTALK_USING, /* and this one a name, as its body */
    BEANSTALK_DELETED,
    BEANSTALK_RELEASED,
    BEANSTALK_TOUCHED,
    BEANSTALK_NOT_FOUND,
    BEANSTALK_TIMED_OUT,
    BEANSTALK_DEADLINE_SOON,
    BEANSTALK_NOT_IGNORED,
    BEANSTALK_JOB_TOO_BIG,
    BEANSTALK_EXPECTED_CRLF,
    BEANSTALK_DRAINING,
    BEANSTALK_OUT_OF_MEMORY,
    BEANSTALK_INTERNAL_ERROR,
    BEANSTALK_BAD_FORMAT,
    BEANSTALK_UNKNOWN_COMMAND,
};
struct beanstalk_reply {
    enum beanstalk_word word;
    uint64_t number;
    const char *body; /* of the bytes that were read; NULL: it has none */
    size_t body_length;
    size_t length; /* of all of it */
};
enum beanstalk_read { BEANSTALK_WHOLE, BEANSTALK_MORE, BEANSTALK_NONSENSE };
/* Reads the first answer of what was received; MORE: it is not all there yet. */
enum beanstalk_read beanstalk_reply_read(const char *bytes, size_t length,
                                         struct beanstalk_reply *reply);
/* "INSERTED" */
const char *beanstalk_word_name(enum beanstalk_word word);
/* The number of a line "name: 12" of what `stats` says; -1: it has none. */
int64_t beanstalk_stat(const char *stats, size_t length, const char *name);

/* ---- beanstalk_link.c: one connection, for one tube, and what becomes of requests ---- */

struct beanstalk_link {
    struct stream stream;
    char tube[64];   /* "": the default tube */
    uint64_t number; /* of the connection, unique in this process; what it reserved is its own */
    size_t answered; /* bytes of the last answer, which the stream still holds */
};
enum beanstalk_outcome { BEANSTALK_REPLIED, BEANSTALK_UNSENT, BEANSTALK_LOST };
struct beanstalk_answer {
    enum beanstalk_outcome outcome;
    struct beanstalk_reply reply;  /* of BEANSTALK_REPLIED; its body until the next request */
    struct stream_trouble trouble; /* of the others */
};
void beanstalk_link_init(struct beanstalk_link *link, const char *host, uint16_t port,
                         const char *tube);
void beanstalk_link_close(struct beanstalk_link *link);
/* Whether it is the connection of this number, and looks good. */
bool beanstalk_link_is(const struct beanstalk_link *link, uint64_t number);
/* Sends one request and awaits its answer; connects where there is no connection, and then uses and
 * watches the tube, and nothing else. Unless the outcome is BEANSTALK_REPLIED it is aborted. */
void beanstalk_ask(struct beanstalk_link *link, const char *request, size_t length,
                   int64_t deadline_ns, struct beanstalk_answer *answer);

/* ---- beanstalkd_client.c ---- */

/* What a reply means for an operation that it does not complete as done. */
enum beanstalkd_deed { BEANSTALKD_PUT, BEANSTALKD_TAKE, BEANSTALKD_SETTLE, BEANSTALKD_LOOK };
struct beanstalkd_meaning {
    enum op_type type; /* OP_FAIL: certainly not done and never will be; else OP_INFO */
    const char *error; /* a keyword for the operation's error */
};
struct beanstalkd_meaning beanstalkd_meaning(enum beanstalkd_deed deed,
                                             const struct beanstalk_answer *answer);

extern const struct client beanstalkd_queue_client;

#endif
