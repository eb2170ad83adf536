/* From clients to the spool, and from the spool to the leader. */
#include "queue/drain.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "queue/commands.h"
#include "queue/defect.h"
#include "queue/server.h"

enum {
    SEND_BYTES = 1 << 20,
    SEND_JOBS_MAX = 4096,
    PENDING_BYTES_MAX = 64 << 20, /* not yet written by the disk */
    AGAIN_MS = 200,               /* after a refusal */
    TIDY_MS = 2000,
};

/* Receipts. */

static void receipt(struct request *request, const char *strength)
{
    char id[COMMANDS_ID_BYTES], text[COMMANDS_ID_BYTES + 16];
    commands_print_id(&request->id, id);
    snprintf(text, sizeof text, "%s %s", id, strength);
    struct resp_writer writer = request_writer(request);
    resp_write_status(&writer, text);
    request_finish(request);
}

static void push(struct drain *drain, uint64_t number, struct request *request)
{
    if (drain->last == drain->capacity && drain->first > 0) {
        drain->last -= drain->first;
        memmove(drain->receipts, drain->receipts + drain->first,
                drain->last * sizeof *drain->receipts);
        drain->first = 0;
    }
    if (drain->last == drain->capacity) {
        drain->capacity = drain->capacity * 2 + 64;
        drain->receipts = disk_allocate(drain->receipts, drain->capacity * sizeof *drain->receipts);
    }
    drain->receipts[drain->last++] = (struct drain_receipt){number, request};
}

static bool waits(const struct request *request)
{
    return request->client != NULL && request->phase == REQUEST_SPOOLED;
}

static bool may_commit(const struct server *server)
{
    return server->node.leading || server->node.leader != 0;
}

/* Whoever waits no longer than for the disk, or for a leader that there is not, has its receipt
 * now. With a key the job may turn out to be another one, so more than "spooled" is never said. */
static void give_receipts(struct drain *drain)
{
    uint64_t stored = spool_persisted(&drain->spool);
    bool hope = may_commit(drain->server);
    for (uint32_t i = drain->first; i < drain->last; i++) {
        struct drain_receipt *waiting = &drain->receipts[i];
        if (waiting->number > stored)
            break;
        if (waits(waiting->request) && (waiting->request->deadline_ms == 0 || !hope))
            receipt(waiting->request, "spooled");
    }
    while (drain->first < drain->last) {
        struct request *request = drain->receipts[drain->first].request;
        if (waits(request))
            break;
        drain->first++;
        request_untag(request);
    }
}

static void give_committed(struct drain *drain)
{
    while (drain->first < drain->last &&
           drain->receipts[drain->first].number <= drain->spool.decided) {
        struct request *request = drain->receipts[drain->first++].request;
        if (waits(request))
            receipt(request, "committed");
        request_untag(request);
    }
}

void drain_expire(struct request *request)
{
    give_receipts(&request_server(request)->drain);
}

/* Into the spool. */

static const char *refusal(struct drain *drain)
{
    uint64_t most = drain->server->config.spool_bytes_max;
    if (!drain->open || drain->stale)
        return "ERR the spool of this node cannot be used (see its log); nothing was added";
    if (most != 0 && drain->spool.bytes >= most)
        return "OOM the spool has reached spool-max; nothing was added";
    if (log_pending_bytes(drain->spool.storage.log) >= PENDING_BYTES_MAX)
        return "BUSY too much waits for the disk; try again";
    if (drain->server->stopping)
        return "BUSY this node is being stopped; nothing was added";
    return NULL;
}

void drain_add(struct drain *drain, struct request *request, const struct command *add,
               uint64_t timeout_ms)
{
    struct queue_error error;
    const char *refused = refusal(drain);
    if (refused != NULL) {
        request_error(request, "%s", refused);
        return;
    }
    uint64_t number = spool_add(&drain->spool, add, &error);
    if (number == 0) {
        request_error(request, "ERR %s", error.message);
        return;
    }
    drain->spooled++;
    request->phase = REQUEST_SPOOLED;
    request->tags++;
    request->deadline_ms =
        timeout_ms == 0 || add->key.length > 0 ? 0 : node_clock_ms() + timeout_ms;
    push(drain, number, request);
}

/* Out of it. */

/* The cluster has decided numbers that this spool has not given yet: jobs that get them now would
 * be taken for those. */
static void found_stale(struct drain *drain, uint64_t decided)
{
    drain->stale = true;
    journal_write(
        JOURNAL_ERROR, "spool-stale",
        "it ends at %llu, but the cluster has had %llu of it: an older copy was put back; "
        "nothing more is sent or taken until %.200s/spool is moved away",
        (unsigned long long)drain->spool.last, (unsigned long long)decided,
        drain->server->config.directory);
    while (drain->first < drain->last) {
        struct request *request = drain->receipts[drain->first++].request;
        if (waits(request))
            request_unknown(request);
        request_untag(request);
    }
}

static void on_reply(struct client *client, struct request *request)
{
    struct drain *drain = &client->server->drain;
    const char *reply = request->reply.data;
    drain->sending = false;
    drain->again_at_ms = node_clock_ms() + AGAIN_MS;
    if (request->not_done || request->reply.length < 2 || reply[0] != ':')
        return;
    uint64_t decided = strtoull(reply + 1, NULL, 10), before = drain->spool.decided;
    if (decided > drain->spool.last) {
        found_stale(drain, decided);
        return;
    }
    spool_decide(&drain->spool, decided);
    drain->handed_on += drain->spool.decided - before;
    if (drain->spool.decided >= drain->sent_to)
        drain->again_at_ms = 0;
    give_committed(drain);
}

static void send_batch(struct drain *drain, const struct log_batch *batch)
{
    char origin[32], first[32];
    size_t jobs = batch->count < SEND_JOBS_MAX ? batch->count : SEND_JOBS_MAX, count = jobs + 3;
    struct resp_slice *arguments = disk_allocate(NULL, count * sizeof *arguments);
    snprintf(origin, sizeof origin, "%llu", (unsigned long long)drain->spool.origin);
    snprintf(first, sizeof first, "%llu", (unsigned long long)batch->entries[0].index);
    arguments[0] = (struct resp_slice){"SPOOLED", 7};
    arguments[1] = (struct resp_slice){origin, strlen(origin)};
    arguments[2] = (struct resp_slice){first, strlen(first)};
    for (size_t i = 0; i < jobs; i++)
        arguments[i + 3] = (struct resp_slice){batch->entries[i].data, batch->entries[i].length};
    drain->sending = true;
    drain->sent_to = batch->entries[0].index + jobs - 1;
    client_inject(drain->client, arguments, (uint32_t)count);
    free(arguments);
    if (queue_defect(DEFECT_SPOOL_DELETED_EARLY)) {
        spool_decide(&drain->spool, drain->sent_to);
        spool_tidy(&drain->spool);
    }
}

static void tidy(struct drain *drain, uint64_t now_ms)
{
    if (drain_jobs(drain) > 0)
        drain->tidy_at_ms = now_ms + TIDY_MS;
    else if (now_ms >= drain->tidy_at_ms)
        spool_tidy(&drain->spool);
}

void drain_turn(struct drain *drain, uint64_t now_ms)
{
    if (!drain->open || drain->stale)
        return;
    if (drain->first < drain->last && !may_commit(drain->server))
        give_receipts(drain);
    if (drain->sending || drain->spool.decided == drain->spool.last) {
        tidy(drain, now_ms);
        return;
    }
    if (now_ms < drain->again_at_ms ||
        (!may_commit(drain->server) && !queue_defect(DEFECT_SPOOL_DELETED_EARLY)))
        return;
    struct log_batch batch;
    struct queue_error error;
    enum disk_result result = spool_next(&drain->spool, SEND_BYTES, &batch, &error);
    if (result == DISK_OK) {
        send_batch(drain, &batch);
    } else if (result != DISK_ABSENT) {
        journal_write(JOURNAL_ERROR, "spool", "%s", error.message);
        drain->again_at_ms = now_ms + 60000;
    }
    log_batch_free(&batch);
}

bool drain_busy(const struct drain *drain)
{
    return drain->open && drain->first < drain->last;
}

uint64_t drain_jobs(const struct drain *drain)
{
    return drain->spool.last - drain->spool.decided;
}

/* The leader's side: SPOOLED origin first job ... */

static bool parse_job(struct resp_slice bytes, struct command_reader *reader,
                      struct command *command)
{
    return command_reader_begin(reader, bytes.data, bytes.length, NULL) && reader->count == 1 &&
           command_reader_next(reader, command, NULL) == 1 && command->type == COMMAND_ADD;
}

static bool spooled_start(struct request *request, const struct resp_slice *arguments,
                          uint32_t count)
{
    struct command_reader reader;
    struct command command;
    uint64_t origin, first;
    size_t bytes = 0;
    bool good = slice_number(arguments[1], UINT64_MAX, &origin) &&
                slice_number(arguments[2], UINT64_MAX - count, &first) && first > 0;
    for (uint32_t i = 3; good && i < count; i++) {
        good = parse_job(arguments[i], &reader, &command);
        bytes += arguments[i].length;
    }
    if (!good) {
        commands_syntax(request);
        return true;
    }
    if (commands_memory_full(request_server(request), bytes)) {
        request_error(request, "OOM the queued jobs have reached max-memory; nothing was added");
        return true;
    }
    request->results = count - 3;
    request->decided = 0;
    for (uint32_t i = 3; i < count; i++) {
        parse_job(arguments[i], &reader, &command);
        command.add.origin = origin;
        command.add.origin_sequence = first + i - 3;
        if (!commands_submit(request, &command))
            break;
    }
    return true;
}

static void spooled_result(struct request *request, const struct state_result *result)
{
    if (result->value > request->decided)
        request->decided = result->value;
    if (result->status == STATE_INVALID)
        journal_write(JOURNAL_ERROR, "spool", "a spooled job was refused as invalid: number %llu",
                      (unsigned long long)result->value);
    if (--request->results > 0)
        return;
    struct resp_writer writer = request_writer(request);
    resp_write_integer(&writer, (int64_t)request->decided);
    request_finish(request);
}

const struct command_entry commands_spool[] = {
    {.name = "SPOOLED",
     .usage = "",
     .arity = -4,
     .flags = COMMAND_WRITE | COMMAND_INTERNAL,
     .start = spooled_start,
     .result = spooled_result},
    {.name = NULL},
};

/* Life. */

static void on_fatal(void *context, const char *message)
{
    (void)context;
    struct queue_error error;
    queue_error_set(&error, "%s", message);
    node_die("spool", &error);
}

static void stored(struct watch *watch, uint32_t events)
{
    (void)events;
    struct drain *drain = (struct drain *)((char *)watch - offsetof(struct drain, watch));
    log_persisted_event(drain->spool.storage.log);
    give_receipts(drain);
}

static bool open_spool(struct drain *drain, struct queue_error *error)
{
    char path[600];
    struct spool_options options = {
        .node = drain->server->config.node, .thread = LOG_THREAD, .fatal = on_fatal};
    snprintf(path, sizeof path, "%s/spool", drain->server->config.directory);
    if (disk_open(&drain->disk, path, error) != DISK_OK)
        return false;
    enum disk_result result = spool_open(&drain->spool, &drain->disk, &options, error);
    if (result == DISK_OK) {
        drain->open = true;
        return true;
    }
    disk_close(&drain->disk);
    if (result != DISK_DAMAGED)
        return false;
    journal_write(JOURNAL_ERROR, "spool-damaged",
                  "%s; what %s holds is not sent, and SPOOL is refused, until it is moved away",
                  error->message, path);
    return true;
}

bool drain_open(struct drain *drain, struct server *server, struct queue_error *error)
{
    *drain = (struct drain){.server = server};
    if (!open_spool(drain, error))
        return false;
    if (!drain->open)
        return true;
    drain->client = client_open(server, -1);
    drain->client->take = on_reply;
    drain->watch = (struct watch){.file = log_event(drain->spool.storage.log), .ready = stored};
    loop_add(&server->loop, &drain->watch, EPOLLIN);
    if (drain_jobs(drain) > 0)
        journal_write(JOURNAL_INFO, "spool", "jobs=%llu", (unsigned long long)drain_jobs(drain));
    return true;
}

void drain_close(struct drain *drain)
{
    if (!drain->open)
        return;
    while (drain->first < drain->last)
        request_untag(drain->receipts[drain->first++].request);
    free(drain->receipts);
    client_close(drain->client);
    spool_close(&drain->spool);
    disk_close(&drain->disk);
    drain->open = false;
}
