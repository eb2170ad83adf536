/* What the files of the system zookeeper share, and its tests see. */
#ifndef ORDEAL_SYSTEMS_ZOOKEEPER_H
#define ORDEAL_SYSTEMS_ZOOKEEPER_H

#include <pthread.h>

#include "harness/option.h"
#include "harness/workload.h"

#define ZOOKEEPER_DAEMON "zookeeper"
#define ZOOKEEPER_ROOT "/ordeal" /* the znode that all others are under */

extern const struct option zookeeper_options[];
uint16_t zookeeper_client_port(const struct test *test);
uint16_t zookeeper_peer_port(const struct test *test);
void zookeeper_config(const struct test *test, uint32_t node, struct buf *text);

/* ---- zookeeper_ask.c: one session with one server, and what becomes of requests ---- */

/* What an answer means for a request. All but the last two say that nothing was changed and nothing
 * will be; of a request that only reads, ZOOKEEPER_UNKNOWN says no more than that either. */
enum zookeeper_outcome {
    ZOOKEEPER_DONE,
    ZOOKEEPER_NO_NODE,
    ZOOKEEPER_NODE_EXISTS,
    ZOOKEEPER_BAD_VERSION,
    ZOOKEEPER_REFUSED,
    ZOOKEEPER_NOT_SENT,
    ZOOKEEPER_UNKNOWN, /* it may have happened, and may yet happen */
};
struct zookeeper_meaning {
    enum zookeeper_outcome outcome;
    const char *error; /* a keyword for the operation's error; NULL when it is done */
};
/* `code` is one of libzookeeper's. */
struct zookeeper_meaning zookeeper_meaning(int code);

enum zookeeper_reads { ZOOKEEPER_LOCAL, ZOOKEEPER_SYNC, ZOOKEEPER_QUORUM };

/* One worker's session. Requests are made one after the other, by one thread; the library's own
 * threads fill in what is guarded. It must stay where it is until it is closed. */
struct zookeeper_asker {
    void *library; /* libzookeeper's zhandle_t; NULL: there is no session */
    char server[320];
    int session_ms;
    enum zookeeper_reads reads;
    int64_t timeout_ns;  /* of one operation */
    int64_t deadline_ns; /* of the requests that follow: zookeeper_begin */
    void *results;       /* libzookeeper's, of the last transaction */

    pthread_mutex_t lock; /* of all that follows */
    pthread_cond_t changed;
    bool done;  /* the request is over */
    bool fired; /* the watch that was set last */
    int code;
    int32_t version;       /* of the node that was read or set */
    int64_t created;       /* the zxid of the transaction that created the node */
    bool there;            /* it has data: NULL is not "" */
    struct buf data, path; /* of a get; of a create */
    struct buf names;      /* of children, each with a NUL after it */
    size_t name_count;

    const char *error; /* what went wrong last: a keyword, and more of it */
    char detail[160];
};
void zookeeper_asker_init(struct zookeeper_asker *asker, const struct test *test, uint32_t node);
/* Ends the session, if the server can be told so; else it expires. */
void zookeeper_asker_close(struct zookeeper_asker *asker);
/* The same without a word to the server: the session, and what is ephemeral, lasts until it
 * expires. */
void zookeeper_asker_abandon(struct zookeeper_asker *asker);
/* The requests that follow are of one operation, which began now. */
void zookeeper_begin(struct zookeeper_asker *asker);

/* Requests; each ends by asker->deadline_ns. Nothing is sent twice. After a time-out the session is
 * given up, so that no late answer is taken for another request's. */
enum zookeeper_outcome zookeeper_get(struct zookeeper_asker *asker, const char *path);
enum zookeeper_outcome zookeeper_children(struct zookeeper_asker *asker, const char *path);
/* Makes sure that what is read next is as new as asker->reads says. */
enum zookeeper_outcome zookeeper_freshen(struct zookeeper_asker *asker);
#define ZOOKEEPER_ANY_VERSION (-1)
enum zookeeper_outcome zookeeper_set(struct zookeeper_asker *asker, const char *path,
                                     const char *data, int32_t version);
enum zookeeper_kind { ZOOKEEPER_LASTING, ZOOKEEPER_EPHEMERAL_SEQUENCE };
enum zookeeper_outcome zookeeper_create(struct zookeeper_asker *asker, const char *path,
                                        const char *data, enum zookeeper_kind kind);
enum zookeeper_outcome zookeeper_delete(struct zookeeper_asker *asker, const char *path);
/* Waits until the node is gone, something has happened to it, the session has expired, or
 * `until_ns`; which, the caller has to look. */
enum zookeeper_outcome zookeeper_await(struct zookeeper_asker *asker, const char *path,
                                       int64_t until_ns);

/* Several at once or none: nodes whose version must be the one given, and are set where there is
 * data. */
struct zookeeper_change {
    const char *path, *data; /* NULL: only its version is checked */
    int32_t version;
};
enum zookeeper_outcome zookeeper_change(struct zookeeper_asker *asker,
                                        const struct zookeeper_change *changes, size_t count);

/* Completes the operation by an outcome that is not ZOOKEEPER_DONE, of a request that changes
 * something or only reads. */
enum zookeeper_effect { ZOOKEEPER_CHANGES, ZOOKEEPER_READS };
void zookeeper_complete(const struct zookeeper_asker *asker, enum zookeeper_outcome outcome,
                        enum zookeeper_effect effect, struct op *op, struct arena *scratch);

/* ---- zookeeper_client.c, zookeeper_lock.c, zookeeper_txn.c ---- */

extern const struct client zookeeper_register_client, zookeeper_set_client,
    zookeeper_counter_client, zookeeper_ids_client, zookeeper_monotonic_client,
    zookeeper_lock_client, zookeeper_append_client, zookeeper_txn_register_client;

/* ---- zookeeper_cluster.c: hooks of `struct system` ---- */

bool zookeeper_ready(struct test *test, struct buf *why_not);
enum err_code zookeeper_primaries(struct test *test, node_set *primaries, struct err *err);
enum err_code zookeeper_version(struct test *test, struct buf *version, struct err *err);

/* What a server says of itself to "srvr": whether it leads, follows or stands alone. */
enum zookeeper_mode { ZOOKEEPER_SILENT, ZOOKEEPER_LEADS, ZOOKEEPER_FOLLOWS, ZOOKEEPER_ALONE };
enum zookeeper_mode zookeeper_mode_of(const char *srvr);
/* "3.8.0" of what it says; adds nothing when it does not tell. */
void zookeeper_version_of(const char *srvr, struct buf *version);

#endif
