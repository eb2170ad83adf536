/* Commands that change jobs: add, acknowledge, refuse, extend, move, delete, kick. */
#include <stdio.h>
#include <string.h>

#include "queue/commands.h"
#include "queue/server.h"

enum { RETRY_MS_DEFAULT = 300000 };

/* ADDJOB. */

struct added {
    struct command command;
    uint64_t timeout_ms;
    bool async, retry_given, spool;
};

static bool set_number(struct resp_slice value, uint64_t maximum, uint32_t *out)
{
    uint64_t number;
    if (!slice_number(value, maximum, &number))
        return false;
    *out = (uint32_t)number;
    return true;
}

static bool add_option(struct request *request, struct added *added, struct resp_slice name,
                       struct resp_slice value)
{
    struct command_add *add = &added->command.add;
    uint64_t number;
    uint32_t attempt;
    if (slice_is(name, "REPLICATE")) /* the log's majority is what there is */
        return slice_number(value, UINT32_MAX, &number);
    if (slice_is(name, "DELAY"))
        return slice_seconds_ms(value, &add->delay_ms);
    if (slice_is(name, "RETRY")) {
        added->retry_given = true;
        bool good = slice_seconds_ms(value, &number) && number <= UINT32_MAX;
        add->retry_ms = good ? (uint32_t)number : 0;
        return good;
    }
    if (slice_is(name, "TTL"))
        return slice_seconds_ms(value, &add->ttl_ms);
    if (slice_is(name, "PRI"))
        return set_number(value, COMMAND_PRIORITY_MAX, &add->priority);
    if (slice_is(name, "MAXTRY"))
        return set_number(value, UINT16_MAX, &add->attempts_max);
    if (slice_is(name, "MAXLEN"))
        return set_number(value, UINT32_MAX, &add->length_max);
    if (slice_is(name, "KEYTTL"))
        return slice_seconds_ms(value, &add->key_ttl_ms);
    if (slice_is(name, "KEY")) {
        added->command.key = slice_bytes(value);
        return slice_name(value);
    }
    if (slice_is(name, "ID")) {
        static const struct job_id nobody;
        request->has_id = commands_parse_id(value, &request->id, &attempt) &&
                          memcmp(&request->id, &nobody, sizeof nobody) != 0;
        return request->has_id;
    }
    return false;
}

static bool add_flag(struct added *added, struct resp_slice name)
{
    if (slice_is(name, "ASYNC"))
        added->async = true;
    else if (slice_is(name, "DROP"))
        added->command.add.flags |= ADD_DROP_EXPIRED;
    else if (slice_is(name, "SPOOL"))
        added->spool = true;
    else
        return false;
    return true;
}

static bool parse_add(struct request *request, const struct resp_slice *arguments, uint32_t count,
                      struct added *added)
{
    *added = (struct added){.command = {.type = COMMAND_ADD, .queue = slice_bytes(arguments[1])}};
    added->command.add.body = slice_bytes(arguments[2]);
    const struct command_add *add = &added->command.add;
    bool good = slice_number(arguments[3], COMMAND_DURATION_MS_MAX, &added->timeout_ms);
    for (uint32_t i = 4; good && i < count; i++) {
        if (add_flag(added, arguments[i]))
            continue;
        good = i + 1 < count && add_option(request, added, arguments[i], arguments[i + 1]);
        i++;
    }
    if (!good) {
        commands_syntax(request);
    } else if (!slice_name(arguments[1])) {
        request_error(request, "ERR a queue's name has 1 to %u bytes", COMMAND_NAME_BYTES_MAX);
    } else if (arguments[2].length > COMMAND_BODY_BYTES_MAX) {
        request_error(request, "ERR a job's body has at most %u bytes", COMMAND_BODY_BYTES_MAX);
    } else if (added->spool && added->async) {
        request_error(request, "ERR SPOOL and ASYNC exclude each other");
    } else if (add->ttl_ms > 0 && add->delay_ms >= add->ttl_ms) {
        request_error(request, "ERR the job's time to live would end before its delay");
    } else {
        if (!added->retry_given)
            added->command.add.retry_ms = RETRY_MS_DEFAULT;
        return true;
    }
    return false;
}

static bool add_begin(struct request *request, const struct resp_slice *arguments, uint32_t count,
                      struct added *added)
{
    if (!parse_add(request, arguments, count, added))
        return false;
    if (!request->has_id)
        server_make_id(request_server(request), &request->id);
    request->has_id = true;
    if (added->timeout_ms > 0 && !request->prepared)
        request->deadline_ms = node_clock_ms() + added->timeout_ms;
    return true;
}

static bool add_prepare(struct request *request, const struct resp_slice *arguments, uint32_t count)
{
    struct added added;
    return add_begin(request, arguments, count, &added);
}

bool commands_memory_full(struct server *server, size_t more)
{
    struct state_info info;
    if (server->config.memory_bytes_max == 0)
        return false;
    state_info(server->node.state, &info);
    return info.bytes + node_backlog_bytes(&server->node) + more > server->config.memory_bytes_max;
}

static bool add_start(struct request *request, const struct resp_slice *arguments, uint32_t count)
{
    struct server *server = request_server(request);
    struct added added;
    if (!add_begin(request, arguments, count, &added))
        return true;
    added.command.id = request->id;
    if (added.spool) {
        drain_add(&server->drain, request, &added.command, added.timeout_ms);
        return true;
    }
    if (commands_memory_full(server, arguments[2].length)) {
        request_error(request, "OOM the queued jobs have reached max-memory; nothing was added");
        return true;
    }
    request->async = added.async;
    commands_submit(request, &added.command);
    return true;
}

/* A node takes a job into its own spool whoever leads. */
static bool add_local(const struct resp_slice *arguments, uint32_t count)
{
    for (uint32_t i = 4; i < count; i++) {
        if (slice_is(arguments[i], "SPOOL"))
            return true;
        if (!slice_is(arguments[i], "ASYNC") && !slice_is(arguments[i], "DROP"))
            i++; /* an option with a value */
    }
    return false;
}

static void add_result(struct request *request, const struct state_result *result)
{
    if (result->status != STATE_OK && result->status != STATE_DUPLICATE) {
        commands_refuse(request, result);
        return;
    }
    static const char strength[] = " committed";
    char text[COMMANDS_ID_BYTES + sizeof strength];
    commands_print_id(&result->id, text);
    memcpy(text + COMMANDS_ID_BYTES - 1, strength, sizeof strength);
    struct resp_writer writer = request_writer(request);
    resp_write_line(&writer, text, COMMANDS_ID_BYTES - 1 + sizeof strength - 1);
    request_finish(request);
}

/* Commands on ids. */

static bool bad_id(struct request *request)
{
    request_error(request, "BADID not a job's id: they look like D-0123456789abcdef-"
                           "0123456789abcdef, with :attempt where it matters");
    return false;
}

static bool id_prepare(struct request *request, const struct resp_slice *arguments, uint32_t count)
{
    (void)count;
    uint32_t attempt;
    request->has_id = commands_parse_id(arguments[1], &request->id, &attempt);
    return request->has_id || bad_id(request);
}

/* The same command for each of the ids, of which none may be bad. */
static bool submit_ids(struct request *request, const struct resp_slice *ids, uint32_t count,
                       const struct command *template)
{
    struct command command = *template;
    for (uint32_t i = 0; i < count; i++) {
        if (!commands_parse_id(ids[i], &command.id, &command.attempt)) {
            bad_id(request);
            return true;
        }
        if (i == 0)
            request->id = command.id;
    }
    request->has_id = true;
    request->results = count;
    for (uint32_t i = 0; i < count; i++) {
        commands_parse_id(ids[i], &command.id, &command.attempt);
        if (!commands_submit(request, &command))
            return true;
    }
    return true;
}

/* The reply is how many were accepted; an error when there was but one, and it was stale. */
static void ids_result(struct request *request, const struct state_result *result)
{
    request->accepted += result->status == STATE_OK;
    request->stale += result->status == STATE_STALE;
    if (--request->results > 0)
        return;
    if (request->stale > 0 && request->accepted == 0) {
        struct state_result stale = *result;
        stale.status = STATE_STALE;
        commands_refuse(request, &stale);
        return;
    }
    struct resp_writer writer = request_writer(request);
    resp_write_integer(&writer, request->accepted);
    request_finish(request);
}

static bool ids_start(struct request *request, const struct resp_slice *arguments, uint32_t count)
{
    static const struct {
        const char *name;
        enum command_type type;
    } types[] = {{"ACKJOB", COMMAND_ACK},      {"FASTACK", COMMAND_FASTACK},
                 {"ENQUEUE", COMMAND_ENQUEUE}, {"DEQUEUE", COMMAND_DEQUEUE},
                 {"DELJOB", COMMAND_DELETE},   {"KICK", COMMAND_KICK}};
    struct command command = {.type = COMMAND_TICK};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        if (strcmp(types[i].name, request->entry->name) == 0)
            command.type = types[i].type;
    }
    return submit_ids(request, arguments + 1, count - 1, &command);
}

/* NACK id ... [DELAY seconds | BACKOFF | DEAD] */
static bool nack_start(struct request *request, const struct resp_slice *arguments, uint32_t count)
{
    struct command command = {.type = COMMAND_NACK, .mode = NACK_DELAY};
    uint32_t ids = count - 1;
    if (count >= 4 && slice_is(arguments[count - 2], "DELAY")) {
        ids -= 2;
        if (!slice_seconds_ms(arguments[count - 1], &command.duration_ms)) {
            commands_syntax(request);
            return true;
        }
    } else if (count >= 3 && slice_is(arguments[count - 1], "BACKOFF")) {
        command.mode = NACK_BACKOFF;
        ids--;
    } else if (count >= 3 && slice_is(arguments[count - 1], "DEAD")) {
        command.mode = NACK_DEAD;
        ids--;
    }
    return submit_ids(request, arguments + 1, ids, &command);
}

/* WORKING id [seconds] */
static bool working_start(struct request *request, const struct resp_slice *arguments,
                          uint32_t count)
{
    struct command command = {.type = COMMAND_EXTEND};
    if (count > 3 || (count == 3 && !slice_seconds_ms(arguments[2], &command.duration_ms))) {
        commands_syntax(request);
        return true;
    }
    return submit_ids(request, arguments + 1, 1, &command);
}

static void working_result(struct request *request, const struct state_result *result)
{
    if (result->status != STATE_OK) {
        commands_refuse(request, result);
        return;
    }
    struct server *server = request_server(request);
    struct state_info info;
    state_info(server->node.state, &info);
    struct resp_writer writer = request_writer(request);
    resp_write_integer(&writer, (int64_t)((result->value - info.time_ms + 999) / 1000));
    request_finish(request);
}

/* Commands on queues. */

static void plain_result(struct request *request, const struct state_result *result)
{
    struct resp_writer writer = request_writer(request);
    if (result->status != STATE_OK) {
        commands_refuse(request, result);
        return;
    }
    if (result->type == COMMAND_KICK_QUEUE)
        resp_write_integer(&writer, (int64_t)result->value);
    else
        resp_write_status(&writer, "OK");
    request_finish(request);
}

static bool kick_start(struct request *request, const struct resp_slice *arguments, uint32_t count)
{
    if (!slice_is(arguments[1], "QUEUE"))
        return ids_start(request, arguments, count);
    uint64_t number = UINT32_MAX;
    if ((count != 3 && count != 4) || !slice_name(arguments[2]) ||
        (count == 4 && !slice_number(arguments[3], UINT32_MAX, &number))) {
        commands_syntax(request);
        return true;
    }
    struct command command = {
        .type = COMMAND_KICK_QUEUE, .queue = slice_bytes(arguments[2]), .count = (uint32_t)number};
    commands_submit(request, &command);
    return true;
}

static void kick_result(struct request *request, const struct state_result *result)
{
    if (result->type == COMMAND_KICK_QUEUE)
        plain_result(request, result);
    else
        ids_result(request, result);
}

static bool kick_prepare(struct request *request, const struct resp_slice *arguments,
                         uint32_t count)
{
    return slice_is(arguments[1], "QUEUE") || id_prepare(request, arguments, count);
}

static bool pause_start(struct request *request, const struct resp_slice *arguments, uint32_t count)
{
    static const char *const modes[] = {"NONE", "IN", "OUT", "ALL"};
    struct command command = {.type = COMMAND_PAUSE, .queue = slice_bytes(arguments[1])};
    bool good = slice_name(arguments[1]) && count == 3;
    command.mode = UINT32_MAX;
    for (uint32_t i = 0; good && i < 4; i++) {
        if (slice_is(arguments[2], modes[i]))
            command.mode = i;
    }
    if (!good || command.mode == UINT32_MAX)
        commands_syntax(request);
    else
        commands_submit(request, &command);
    return true;
}

static bool limit_start(struct request *request, const struct resp_slice *arguments, uint32_t count)
{
    (void)count;
    struct command command = {.type = COMMAND_LIMIT, .queue = slice_bytes(arguments[1])};
    if (!slice_name(arguments[1]) ||
        !slice_number(arguments[2], UINT32_MAX, &command.limit.length_max) ||
        !slice_number(arguments[3], UINT32_MAX, &command.limit.leased_max))
        commands_syntax(request);
    else
        commands_submit(request, &command);
    return true;
}

static bool keydrop_start(struct request *request, const struct resp_slice *arguments,
                          uint32_t count)
{
    (void)count;
    struct command command = {.type = COMMAND_KEYDROP,
                              .queue = slice_bytes(arguments[1]),
                              .key = slice_bytes(arguments[2])};
    if (!slice_name(arguments[1]) || !slice_name(arguments[2]))
        commands_syntax(request);
    else
        commands_submit(request, &command);
    return true;
}

#define IDS(NAME)                                                                                  \
    {                                                                                              \
        .name = NAME, .usage = "id [id ...]", .arity = -2, .flags = COMMAND_WRITE,                 \
        .start = ids_start, .result = ids_result, .prepare = id_prepare                            \
    }
const struct command_entry commands_job[] = {
    {.name = "ADDJOB",
     .usage =
         "queue body timeout-ms [DELAY s] [RETRY s] [TTL s] [DROP] [PRI 0-9] [MAXTRY n] [KEY k] "
         "[KEYTTL s] [MAXLEN n] [ID id] [ASYNC | SPOOL]",
     .arity = -4,
     .flags = COMMAND_WRITE,
     .start = add_start,
     .result = add_result,
     .prepare = add_prepare,
     .local = add_local},
    IDS("ACKJOB"),
    IDS("FASTACK"),
    {.name = "NACK",
     .usage = "id[:attempt] [id ...] [DELAY s | BACKOFF | DEAD]",
     .arity = -2,
     .flags = COMMAND_WRITE,
     .start = nack_start,
     .result = ids_result,
     .prepare = id_prepare},
    {.name = "WORKING",
     .usage = "id[:attempt] [seconds]",
     .arity = -2,
     .flags = COMMAND_WRITE,
     .start = working_start,
     .result = working_result,
     .prepare = id_prepare},
    IDS("ENQUEUE"),
    IDS("DEQUEUE"),
    IDS("DELJOB"),
    {.name = "KICK",
     .usage = "id [id ...] | QUEUE queue [count]",
     .arity = -2,
     .flags = COMMAND_WRITE,
     .start = kick_start,
     .result = kick_result,
     .prepare = kick_prepare},
    {.name = "PAUSE",
     .usage = "queue none|in|out|all",
     .arity = 3,
     .flags = COMMAND_WRITE,
     .start = pause_start,
     .result = plain_result},
    {.name = "LIMIT",
     .usage = "queue length-max leased-max",
     .arity = 4,
     .flags = COMMAND_WRITE,
     .start = limit_start,
     .result = plain_result},
    {.name = "KEYDROP",
     .usage = "queue key",
     .arity = 3,
     .flags = COMMAND_WRITE,
     .start = keydrop_start,
     .result = plain_result},
    {.name = NULL},
};
