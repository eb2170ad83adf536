/* Clients of memcached, one for each workload that it runs; the one file that meets libmemcached.
 *
 *   register    "r:K"  get, set, and a gets with a cas of what it saw
 *   counter     "c:K"  incr, decr, get; a counter that is not there is added first, as 0
 *   unique-ids  "ids"  incr
 *
 * Keys are spread over the servers of all nodes by the library's consistent hashing. It is kept
 * from putting keys elsewhere when a server fails (auto-eject), and after any failure it is made
 * anew, so that no late answer is taken for another's.
 *
 * The library says MEMCACHED_CONNECTION_FAILURE both where it could not connect and where the
 * connection was lost after the command went out. So before a change goes to a server that nothing
 * was heard of since the library was made, the same key is looked for: when that fails the change
 * was never sent, and what fails after that is not known. */
#include <inttypes.h>
#include <libmemcached/memcached.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/base/clock.h"
#include "workloads/systems/memcached/memcached_system.h"

struct memcached_worker {
    memcached_st *library; /* NULL: to be made */
    const struct test *test;
    bool heard[PLAN_NODES_MAX];        /* by server: it answered on its present connection */
    int read_f, write_f, cas_f, add_f; /* -1: not in this run */
};

/* ---- The library ---- */

/* An operation is at most four exchanges (a look, an increment, an add, an increment), each of
 * which may have to wait for its connection and its answer. */
static memcached_st *make_library(const struct test *test, uint32_t first, uint32_t count,
                                  int64_t timeout_ns)
{
    memcached_st *library = memcached_create(NULL);
    int64_t patience_ms = timeout_ns / NS_PER_MS / 5;
    if (library == NULL)
        return NULL;
    uint64_t ms = patience_ms < 1 ? 1 : (uint64_t)patience_ms;
    const struct {
        memcached_behavior_t behavior;
        uint64_t value;
    } settings[] = {
        {MEMCACHED_BEHAVIOR_DISTRIBUTION, MEMCACHED_DISTRIBUTION_CONSISTENT_KETAMA},
        {MEMCACHED_BEHAVIOR_AUTO_EJECT_HOSTS, 0},
        {MEMCACHED_BEHAVIOR_TCP_NODELAY, 1},
        {MEMCACHED_BEHAVIOR_SUPPORT_CAS, 1},
        {MEMCACHED_BEHAVIOR_CONNECT_TIMEOUT, ms},
        {MEMCACHED_BEHAVIOR_POLL_TIMEOUT, ms},
        {MEMCACHED_BEHAVIOR_SND_TIMEOUT, ms * 1000},
        {MEMCACHED_BEHAVIOR_RCV_TIMEOUT, ms * 1000},
    };
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++)
        memcached_behavior_set(library, settings[i].behavior, settings[i].value);
    for (uint32_t i = first; i < first + count; i++)
        memcached_server_add(library, node_address(&test->nodes[i]), memcached_client_port(test));
    return library;
}

static void forget(struct memcached_worker *worker)
{
    if (worker->library != NULL)
        memcached_free(worker->library);
    worker->library = NULL;
    memset(worker->heard, 0, sizeof worker->heard);
}

static enum err_code client_open(void *state, struct test *test, uint32_t node, struct err *err)
{
    (void)node, (void)err;
    struct memcached_worker *worker = state;
    worker->test = test;
    worker->read_f = history_find_f(test->history, "read");
    worker->write_f = history_find_f(test->history, "write");
    worker->cas_f = history_find_f(test->history, "cas");
    worker->add_f = history_find_f(test->history, "add");
    return ERR_NONE;
}

static void client_close(void *state)
{
    forget(state);
}

/* ---- Failures ---- */

static const char *keyword_of(memcached_return_t status)
{
    switch (status) {
    case MEMCACHED_TIMEOUT:
        return "timeout";
    case MEMCACHED_CONNECTION_FAILURE:
    case MEMCACHED_READ_FAILURE:
    case MEMCACHED_WRITE_FAILURE:
        return "connection-lost";
    case MEMCACHED_SERVER_TEMPORARILY_DISABLED:
    case MEMCACHED_SERVER_MARKED_DEAD:
        return "server-given-up";
    case MEMCACHED_SERVER_MEMORY_ALLOCATION_FAILURE:
        return "out-of-memory";
    default:
        return "error-reply";
    }
}

/* Nothing of a failed exchange may be left on the connection. */
static void fail_unsent(struct memcached_worker *worker, memcached_return_t status, struct op *op,
                        struct arena *scratch)
{
    op_fail(op, scratch, status == MEMCACHED_TIMEOUT ? "timeout" : "no-connection",
            memcached_strerror(worker->library, status));
    forget(worker);
}

static void not_known(struct memcached_worker *worker, memcached_return_t status, struct op *op,
                      struct arena *scratch)
{
    op_info(op, scratch, keyword_of(status), memcached_strerror(worker->library, status));
    forget(worker);
}

/* Whether a change of this key can be sent; else the operation is complete. */
static bool is_reachable(struct memcached_worker *worker, const char *key, struct op *op,
                         struct arena *scratch)
{
    if (worker->library == NULL)
        worker->library = make_library(worker->test, 0, worker->test->node_count,
                                       worker->test->plan->op_timeout_ns);
    if (worker->library == NULL) {
        op_fail(op, scratch, "out-of-memory", NULL);
        return false;
    }
    uint32_t server = memcached_generate_hash(worker->library, key, strlen(key));
    if (server < PLAN_NODES_MAX && worker->heard[server])
        return true;
    memcached_return_t status;
    size_t length;
    uint32_t flags;
    free(memcached_get(worker->library, key, strlen(key), &length, &flags, &status));
    if (status != MEMCACHED_SUCCESS && status != MEMCACHED_NOTFOUND) {
        fail_unsent(worker, status, op, scratch);
        return false;
    }
    if (server < PLAN_NODES_MAX)
        worker->heard[server] = true;
    return true;
}

/* ---- Reading ---- */

/* What nobody can have written is for the checker to see. Counters may have blanks behind them. */
static struct value parse_value(const char *text, size_t length, struct arena *scratch)
{
    while (length > 0 && text[length - 1] == ' ')
        length--;
    char copy[24], plain[32];
    if (length >= sizeof copy)
        return value_text(scratch, VALUE_STRING, text, length);
    memcpy(copy, text, length);
    copy[length] = '\0';
    long long integer = strtoll(copy, NULL, 10);
    snprintf(plain, sizeof plain, "%lld", integer);
    return strcmp(copy, plain) == 0 ? value_int(scratch, integer)
                                    : value_text(scratch, VALUE_STRING, text, length);
}

/* The value under a key with its unique number; `otherwise` when there is none. False: op is
 * complete. */
static bool look(struct memcached_worker *worker, const char *key, struct value otherwise,
                 struct value *value, uint64_t *unique, struct op *op, struct arena *scratch)
{
    const char *const keys[] = {key};
    const size_t lengths[] = {strlen(key)};
    if (!is_reachable(worker, key, op, scratch))
        return false;
    memcached_return_t status = memcached_mget(worker->library, keys, lengths, 1);
    memcached_result_st *result = NULL;
    if (status == MEMCACHED_SUCCESS)
        result = memcached_fetch_result(worker->library, NULL, &status);
    if (result == NULL && status != MEMCACHED_NOTFOUND && status != MEMCACHED_END) {
        op_fail(op, scratch, keyword_of(status), memcached_strerror(worker->library, status));
        forget(worker);
        return false;
    }
    *value = result == NULL ? otherwise
                            : parse_value(memcached_result_value(result),
                                          memcached_result_length(result), scratch);
    *unique = result == NULL ? 0 : memcached_result_cas(result);
    if (result == NULL)
        return true;
    memcached_result_free(result);
    result = memcached_fetch_result(worker->library, NULL, &status); /* the end of the answer */
    if (result == NULL)
        return true;
    op_fail(op, scratch, "bad-reply", "two values of one key");
    forget(worker);
    return false;
}

/* ---- Registers ---- */

static void print_number(char text[24], struct value number)
{
    snprintf(text, 24, "%" PRId64, value_as_int(number));
}

static void do_write(struct memcached_worker *worker, const char *key, struct op *op,
                     struct arena *scratch)
{
    char text[24];
    print_number(text, value_at(op->value, 1));
    if (!is_reachable(worker, key, op, scratch))
        return;
    memcached_return_t status =
        memcached_set(worker->library, key, strlen(key), text, strlen(text), 0, 0);
    if (status == MEMCACHED_SUCCESS)
        op_ok(op);
    else
        not_known(worker, status, op, scratch);
}

static void do_cas(struct memcached_worker *worker, const char *key, struct op *op,
                   struct arena *scratch)
{
    struct value change = value_at(op->value, 1), now;
    uint64_t unique;
    char text[24];
    print_number(text, value_at(change, 1));
    if (!look(worker, key, value_nil(), &now, &unique, op, scratch))
        return;
    if (!value_equal(now, value_at(change, 0))) {
        op_fail(op, scratch, "cas-mismatch", NULL);
        return;
    }
    memcached_return_t status =
        memcached_cas(worker->library, key, strlen(key), text, strlen(text), 0, 0, unique);
    if (status == MEMCACHED_SUCCESS)
        op_ok(op);
    else if (status == MEMCACHED_DATA_EXISTS || status == MEMCACHED_NOTFOUND)
        op_fail(op, scratch, "cas-mismatch", "it was changed meanwhile");
    else
        not_known(worker, status, op, scratch);
}

static void register_invoke(void *state, struct test *test, struct op *op, struct arena *scratch)
{
    (void)test;
    struct memcached_worker *worker = state;
    struct value value = op->value, now;
    bool keyed = value_is_pair(value) && value_is_int(value_at(value, 0));
    struct value argument = keyed ? value_at(value, 1) : value_nil();
    uint64_t unique;
    char key[48];
    snprintf(key, sizeof key, "r:%" PRId64, keyed ? value_as_int(value_at(value, 0)) : 0);
    if (keyed && op->f == worker->read_f) {
        if (!look(worker, key, value_nil(), &now, &unique, op, scratch))
            return;
        op->value = value_pair(scratch, value_at(value, 0), now);
        op_ok(op);
    } else if (keyed && op->f == worker->write_f && value_is_int(argument)) {
        do_write(worker, key, op, scratch);
    } else if (keyed && op->f == worker->cas_f && value_is_pair(argument) &&
               value_is_int(value_at(argument, 0)) && value_is_int(value_at(argument, 1))) {
        do_cas(worker, key, op, scratch);
    } else {
        op_fail(op, scratch, "unsupported",
                "memcached takes read [k nil], write [k v] and cas [k [old new]]");
    }
}

/* ---- Counters and identifiers ---- */

static memcached_return_t change_number(struct memcached_worker *worker, const char *key,
                                        int64_t by, uint64_t *sum)
{
    return by < 0 ? memcached_decrement(worker->library, key, strlen(key), (uint32_t)-by, sum)
                  : memcached_increment(worker->library, key, strlen(key), (uint32_t)by, sum);
}

/* False: the operation is complete. */
static bool add_number(struct memcached_worker *worker, const char *key, int64_t by, uint64_t *sum,
                       struct op *op, struct arena *scratch)
{
    if (!is_reachable(worker, key, op, scratch))
        return false;
    memcached_return_t status = change_number(worker, key, by, sum);
    if (status == MEMCACHED_NOTFOUND) {
        status = memcached_add(worker->library, key, strlen(key), "0", 1, 0, 0);
        if (status == MEMCACHED_SUCCESS || status == MEMCACHED_NOTSTORED ||
            status == MEMCACHED_DATA_EXISTS)
            status = change_number(worker, key, by, sum);
    }
    if (status == MEMCACHED_SUCCESS)
        return true;
    if (status == MEMCACHED_NOTFOUND)
        op_fail(op, scratch, "not-found", "it is gone as soon as it was added");
    else
        not_known(worker, status, op, scratch);
    return false;
}

static void counter_invoke(void *state, struct test *test, struct op *op, struct arena *scratch)
{
    (void)test;
    struct memcached_worker *worker = state;
    bool keyed = value_is_pair(op->value) && value_is_int(value_at(op->value, 0));
    struct value counter = keyed ? value_at(op->value, 0) : value_nil(), now;
    int64_t by = keyed ? value_as_int(value_at(op->value, 1)) : 0;
    uint64_t sum;
    char key[48];
    snprintf(key, sizeof key, "c:%" PRId64, value_as_int(counter));
    if (keyed && op->f == worker->read_f) {
        if (!look(worker, key, value_int(scratch, 0), &now, &sum, op, scratch))
            return;
        op->value = value_pair(scratch, counter, now);
        op_ok(op);
    } else if (keyed && op->f == worker->add_f && by > 0 && by <= UINT32_MAX) {
        if (add_number(worker, key, by, &sum, op, scratch))
            op_ok(op);
    } else {
        /* decr stops at 0, so that what it did depends on what was there. */
        op_fail(op, scratch, "unsupported",
                "memcached takes add [counter n], n above 0, and read [counter nil]");
    }
}

static void ids_invoke(void *state, struct test *test, struct op *op, struct arena *scratch)
{
    (void)test;
    uint64_t id;
    if (!add_number(state, "ids", 1, &id, op, scratch))
        return;
    op->value = value_int(scratch, (int64_t)id);
    op_ok(op);
}

/* ---- Asking a server ---- */

enum err_code memcached_ask_version(const struct test *test, uint32_t node, int64_t timeout_ns,
                                    struct buf *version, struct err *err)
{
    memcached_st *library = make_library(test, node, 1, timeout_ns);
    const char *name = test->nodes[node].name;
    if (library == NULL)
        return err_set(err, ERR_NOMEM, "%s: no memory for a client", name);
    enum err_code code = ERR_NONE;
    memcached_return_t status = memcached_version(library);
    const memcached_instance_st *server = memcached_server_instance_by_position(library, 0);
    if (status == MEMCACHED_SUCCESS && server != NULL)
        buf_printf(version, "memcached %u.%u.%u", (unsigned)memcached_server_major_version(server),
                   (unsigned)memcached_server_minor_version(server),
                   (unsigned)memcached_server_micro_version(server));
    else
        code = err_set(err, ERR_REMOTE, "%s: %s", name, memcached_strerror(library, status));
    memcached_free(library);
    return code;
}

#define CLIENT(name, does)                                                                         \
    const struct client name = {.state_size = sizeof(struct memcached_worker),                     \
                                .open = client_open,                                               \
                                .invoke = does,                                                    \
                                .close = client_close}
CLIENT(memcached_register_client, register_invoke);
CLIENT(memcached_counter_client, counter_invoke);
CLIENT(memcached_ids_client, ids_invoke);
