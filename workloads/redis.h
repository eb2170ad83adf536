/* Asking servers that speak the Redis protocol: the one place that meets hiredis.
 *
 * One client is one connection, for one thread; it connects when it is first asked, and again when
 * the connection was lost. Every call ends by its deadline. What matters most is the difference
 * between a request of which no byte left this machine and one that may have arrived. */
#ifndef ORDEAL_WORKLOADS_REDIS_H
#define ORDEAL_WORKLOADS_REDIS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "harness/base/buf.h"
#include "harness/base/err.h"

struct redis_client;
struct redis_value; /* a reply, or a part of one */

enum redis_outcome {
    REDIS_REPLIED,  /* the server answered, perhaps with an error */
    REDIS_NOT_SENT, /* no byte of the request was handed to the network */
    REDIS_LOST,     /* sent, perhaps in part; whether it arrived is unknown */
};

struct redis_reply {
    enum redis_outcome outcome;
    const char *error; /* unless REDIS_REPLIED: a keyword such as "connection-refused", "timeout" */
    char detail[160];  /* and a sentence */
    const struct redis_value *value; /* until the next request of this client */
};

/* Only fails for lack of memory. The host is a name or a numeric address. */
enum err_code redis_open(const char *host, uint16_t port, struct redis_client **client,
                         struct err *err);
void redis_close(struct redis_client *client); /* NULL is allowed */

/* Sends one command and awaits its reply for at most `timeout_ns`, connecting included. After
 * anything but REDIS_REPLIED the connection is closed. */
void redis_ask(struct redis_client *client, const char *const *words, const size_t *lengths,
               size_t count, int64_t timeout_ns, struct redis_reply *reply);

/* Whether there is a connection that looks good, and which one it is: the number changes whenever
 * redis_ask connects anew, so what depends on an earlier request of the same connection (WAIT, who
 * the server said it is) can be told from what went to another one. */
bool redis_is_connected(const struct redis_client *client);
uint64_t redis_connection(const struct redis_client *client);

enum redis_kind { REDIS_NIL, REDIS_INTEGER, REDIS_TEXT, REDIS_STATUS, REDIS_ERROR, REDIS_ARRAY };
enum redis_kind redis_kind(const struct redis_value *value);
int64_t redis_integer(const struct redis_value *value); /* 0 when it is none */
/* The text of texts, statuses and errors, NUL-terminated; "" of anything else. */
const char *redis_text(const struct redis_value *value, size_t *length); /* length may be NULL */
size_t redis_count(const struct redis_value *value);                     /* of arrays; else 0 */
const struct redis_value *redis_at(const struct redis_value *value, size_t index);

/* One question to one server, on a connection of its own. */
struct redis_question {
    const char *host;
    uint16_t port;
    const char *const *words; /* NULL at the end, at most 8 */
    int64_t timeout_ns;
    struct buf answer;  /* texts and numbers, those of arrays as lines */
    struct buf trouble; /* why there is none; empty: there is one */
};
/* Asks them all at once, and returns when all are answered; the caller frees both texts. */
void redis_ask_all(struct redis_question *questions, size_t count);
void redis_questions_free(struct redis_question *questions, size_t count);

/* In a text of lines "name:value", as INFO is: where the value begins, which ends with its line;
 * NULL: there is no such name. And the value as a number; -1 when there is none. */
const char *redis_info_field(const char *info, const char *name);
int64_t redis_info_number(const char *info, const char *name);

#endif
