/* The commands: a table of names, and what each does when it is started, applied or read. */
#ifndef ORDEAL_QUEUE_COMMANDS_H
#define ORDEAL_QUEUE_COMMANDS_H

#include "queue/client.h"
#include "queue/node.h"

enum command_flag {
    COMMAND_LOCAL = 1,     /* any node answers by itself */
    COMMAND_READ = 2,      /* by the leader, from its state, once it is sure to lead: see `read` */
    COMMAND_WRITE = 4,     /* by the leader, through the log */
    COMMAND_ALONE = 8,     /* only when all before it are answered */
    COMMAND_OPEN = 16,     /* without the password */
    COMMAND_BLOCKS = 32,   /* may wait as long as its client likes */
    COMMAND_INTERNAL = 64, /* from servers only */
};

struct command_entry {
    const char *name, *usage;
    int arity; /* with the name; negative: at least so many */
    uint32_t flags;
    /* Begins: finishes the request, or hands commands to the node. False: not yet, try again. On
     * the leader only, but for LOCAL. NULL for READ. */
    bool (*start)(struct request *request, const struct resp_slice *arguments, uint32_t count);
    /* Once for each command submitted, when applied. The request still wants it. */
    void (*result)(struct request *request, const struct state_result *result);
    /* READ: writes the reply. */
    void (*read)(struct request *request, struct resp_writer *writer,
                 const struct resp_slice *arguments, uint32_t count);
    /* Not at the leader, once: finds the id and the deadline, or finishes with an error and returns
     * false. May be NULL. */
    bool (*prepare)(struct request *request, const struct resp_slice *arguments, uint32_t count);
    /* Of commands with subcommands: whether this one is LOCAL. */
    bool (*local)(const struct resp_slice *arguments, uint32_t count);
};

/* All of them, in groups by file; each ends with a NULL name. */
extern const struct command_entry commands_job[], commands_get[], commands_query[],
    commands_cluster[], commands_admin[], commands_spool[];
const struct command_entry *commands_at(uint32_t index); /* NULL behind the last */

bool commands_start(struct request *request, const struct resp_slice *arguments, uint32_t count);

/* The node's answers, for any request. */
extern const struct node_listener commands_listener;

/* Takes (commands_get.c). */
void commands_unpark(struct server *server, struct request *request);
void commands_free_get(struct request *request);
void commands_end_get(struct request *request); /* its time is over: no jobs */
void commands_serve_waiters(struct server *server);
void commands_unpark_all(struct server *server); /* does not lead any more */
void commands_abandoned(struct server *server, struct request *request,
                        const struct state_result *result);

/* Ids: D-<16 hex>-<16 hex>. Parsing takes id, id:attempt, and what a receipt adds behind a space.
 */
enum { COMMANDS_ID_BYTES = 36 };
void commands_print_id(const struct job_id *id, char text[COMMANDS_ID_BYTES]);
bool commands_parse_id(struct resp_slice text, struct job_id *id, uint32_t *attempt);

/* Helpers. */
bool slice_is(struct resp_slice slice, const char *word); /* whatever its case */
bool slice_number(struct resp_slice slice, uint64_t maximum, uint64_t *value);
bool slice_seconds_ms(struct resp_slice slice, uint64_t *value_ms); /* "1.5" is 1500 */
struct command_bytes slice_bytes(struct resp_slice slice);
bool slice_name(struct resp_slice slice); /* can be a queue or a key */
/* "ERR syntax: <usage>" */
void commands_syntax(struct request *request);
/* Submits; on refusal finishes the request and returns false. */
bool commands_submit(struct request *request, const struct command *command);
/* The refusal of a status as an error; the request is finished. */
void commands_refuse(struct request *request, const struct state_result *result);
/* Its time is over before it began: the error that says why. */
void commands_never_begun(struct request *request);
bool commands_memory_full(struct server *server, size_t more);

/* Planted defects (commands_defect.c); in a normal build there is nothing to call. */
#ifdef ORDEAL_QUEUE_DEFECTS
void commands_defect_applied(const struct state_result *result);
bool commands_defect_replay(struct request *request, struct command_bytes queue);
bool commands_defect_local(struct request *request, struct command_bytes queue, uint32_t count);
#else
#define commands_defect_applied NULL
static inline bool commands_defect_replay(struct request *request, struct command_bytes queue)
{
    (void)request;
    (void)queue;
    return false;
}
static inline bool commands_defect_local(struct request *request, struct command_bytes queue,
                                         uint32_t count)
{
    (void)request;
    (void)queue;
    (void)count;
    return false;
}
#endif

#endif
