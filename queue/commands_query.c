/* Commands that read the state. They are answered by the leader, once a majority has said that it
 * still is. */
#include <stdlib.h>
#include <string.h>

#include "queue/commands.h"
#include "queue/server.h"

enum { SCAN_EACH_MAX = 100000 };

static const struct state *state_of(const struct request *request)
{
    return request_server(request)->node.state;
}

static void read_qlen(struct request *request, struct resp_writer *writer,
                      const struct resp_slice *arguments, uint32_t count)
{
    (void)count;
    struct queue_view view;
    bool found = state_queue(state_of(request), slice_bytes(arguments[1]), &view);
    resp_write_integer(writer, found ? (int64_t)view.counters.ready : 0);
}

/* One job as a map. */
static void write_job(struct resp_writer *writer, const struct job_view *job, uint64_t time_ms)
{
    static const char *const states[] = {"none", "ready", "delayed", "leased", "dead"};
    static const char *const deaths[] = {"none", "attempts", "ttl", "nack"};
    char id[COMMANDS_ID_BYTES];
    const struct {
        const char *name;
        uint64_t value;
    } numbers[] = {
        {"priority", job->priority},
        {"retry-ms", job->retry_ms},
        {"attempt", job->attempt},
        {"tries", job->tries},
        {"attempts-max", job->attempts_max},
        {"nacks", job->nacks},
        {"age-ms", time_ms - job->added_ms},
        {"ttl-ms", job->expires_ms > time_ms ? job->expires_ms - time_ms : 0},
        {"due-ms", job->deadline_ms > time_ms ? job->deadline_ms - time_ms : 0},
    };
    size_t count = sizeof numbers / sizeof *numbers;
    commands_print_id(&job->id, id);
    resp_write_map(writer, 6 + count);
    resp_write_text(writer, "id");
    resp_write_text(writer, id);
    resp_write_text(writer, "queue");
    resp_write_bulk(writer, job->queue.data, job->queue.length);
    resp_write_text(writer, "state");
    resp_write_text(writer, states[job->state]);
    resp_write_text(writer, "death");
    resp_write_text(writer, deaths[job->death]);
    resp_write_text(writer, "key");
    resp_write_bulk(writer, job->key.data, job->key.length);
    for (size_t i = 0; i < count; i++) {
        resp_write_text(writer, numbers[i].name);
        resp_write_integer(writer, (int64_t)numbers[i].value);
    }
    resp_write_text(writer, "body");
    resp_write_bulk(writer, job->body.data, job->body.length);
}

static uint64_t state_time(const struct state *state)
{
    struct state_info info;
    state_info(state, &info);
    return info.time_ms;
}

/* A job that has ended is a map of its end; one that is not known is null. */
static void read_show(struct request *request, struct resp_writer *writer,
                      const struct resp_slice *arguments, uint32_t count)
{
    static const char *const ends[] = {"none", "acked", "spent", "expired", "deleted"};
    (void)count;
    struct job_id id;
    struct job_view job;
    enum job_end end;
    uint64_t ended_ms;
    uint32_t attempt;
    const struct state *state = state_of(request);
    if (!commands_parse_id(arguments[1], &id, &attempt)) {
        request_error(request, "BADID not a job's id");
    } else if (state_show(state, &id, &job, &end, &ended_ms)) {
        write_job(writer, &job, state_time(state));
    } else if (end != END_NONE) {
        char text[COMMANDS_ID_BYTES];
        commands_print_id(&id, text);
        resp_write_map(writer, 2);
        resp_write_text(writer, "id");
        resp_write_text(writer, text);
        resp_write_text(writer, "state");
        resp_write_text(writer, ends[end]);
    } else {
        resp_write_null(writer);
    }
}

/* Lists whose length is known only at their end. */
struct listing {
    struct request *request;
    struct resp_buffer bytes;
    struct resp_writer writer;
    uint64_t count, time_ms;
    struct resp_slice queue;
    unsigned states; /* a bit for each that is wanted; 0: all */
    uint64_t length_min, length_max;
    bool whole;
};

static void listing_begin(struct listing *listing, struct request *request)
{
    *listing = (struct listing){.request = request, .time_ms = state_time(state_of(request))};
    listing->writer = (struct resp_writer){&listing->bytes, request->client->version};
}

static void listing_end(struct listing *listing, struct resp_writer *writer)
{
    struct resp_buffer *reply = writer->buffer;
    resp_write_array(writer, listing->count);
    size_t length = reply->length + listing->bytes.length;
    if (length + 1 > reply->capacity) {
        reply->data = disk_allocate(reply->data, length + 1);
        reply->capacity = length + 1;
    }
    if (listing->bytes.length > 0)
        memcpy(reply->data + reply->length, listing->bytes.data, listing->bytes.length);
    reply->length = length;
    resp_buffer_free(&listing->bytes);
}

static void peek_visit(void *context, const struct job_view *job)
{
    struct listing *listing = context;
    char id[COMMANDS_ID_BYTES];
    commands_print_id(&job->id, id);
    resp_write_array(&listing->writer, 3);
    resp_write_bulk(&listing->writer, job->queue.data, job->queue.length);
    resp_write_text(&listing->writer, id);
    resp_write_bulk(&listing->writer, job->body.data, job->body.length);
    listing->count++;
}

/* QPEEK queue count: a negative count begins with the one that is delivered last. */
static void read_qpeek(struct request *request, struct resp_writer *writer,
                       const struct resp_slice *arguments, uint32_t count)
{
    (void)count;
    struct resp_slice number = arguments[2];
    enum state_order order = ORDER_NEXT_FIRST;
    uint64_t jobs;
    if (number.length > 1 && number.data[0] == '-') {
        order = ORDER_NEXT_LAST;
        number = (struct resp_slice){number.data + 1, number.length - 1};
    }
    if (!slice_number(number, COMMAND_TAKE_MAX, &jobs)) {
        commands_syntax(request);
        return;
    }
    struct listing listing;
    listing_begin(&listing, request);
    state_peek(state_of(request), slice_bytes(arguments[1]), jobs, order, peek_visit, &listing);
    listing_end(&listing, writer);
}

static void read_qstat(struct request *request, struct resp_writer *writer,
                       const struct resp_slice *arguments, uint32_t count)
{
    static const char *const pauses[] = {"none", "in", "out", "all"};
    (void)count;
    struct queue_view view;
    if (!state_queue(state_of(request), slice_bytes(arguments[1]), &view)) {
        resp_write_null(writer);
        return;
    }
    const struct {
        const char *name;
        uint64_t value;
    } numbers[] = {
#define X(name) {#name, view.counters.name},
        STATE_COUNTERS(X)
#undef X
            {"keys", view.keys},
        {"length-max", view.length_max},
        {"leased-max", view.leased_max},
    };
    size_t fields = sizeof numbers / sizeof *numbers;
    resp_write_map(writer, fields + 2);
    resp_write_text(writer, "name");
    resp_write_bulk(writer, view.name.data, view.name.length);
    resp_write_text(writer, "pause");
    resp_write_text(writer, pauses[view.pause]);
    for (size_t i = 0; i < fields; i++) {
        resp_write_text(writer, numbers[i].name);
        resp_write_integer(writer, (int64_t)numbers[i].value);
    }
}

/* Scans: cursor [COUNT n] and filters. Disque's words are taken too. */

static bool add_state(struct listing *listing, struct resp_slice word)
{
    static const struct {
        const char *word;
        unsigned states;
    } words[] = {{"ready", 1 << JOB_READY},   {"delayed", 1 << JOB_DELAYED},
                 {"leased", 1 << JOB_LEASED}, {"dead", 1 << JOB_DEAD},
                 {"queued", 1 << JOB_READY},  {"active", 1 << JOB_DELAYED | 1 << JOB_LEASED}};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (!slice_is(word, words[i].word))
            continue;
        listing->states |= words[i].states;
        return true;
    }
    return false;
}

static bool scan_queues_option(struct listing *listing, struct resp_slice name,
                               struct resp_slice value)
{
    uint64_t ignored;
    if (slice_is(name, "MINLEN"))
        return slice_number(value, UINT64_MAX, &listing->length_min);
    if (slice_is(name, "MAXLEN"))
        return slice_number(value, UINT64_MAX, &listing->length_max);
    return slice_is(name, "IMPORTRATE") && slice_number(value, UINT64_MAX, &ignored) &&
           ignored == 0; /* no queue imports anything */
}

static bool scan_jobs_option(struct listing *listing, struct resp_slice name,
                             struct resp_slice value)
{
    if (slice_is(name, "QUEUE")) {
        listing->queue = value;
        return slice_name(value);
    }
    if (slice_is(name, "STATE"))
        return add_state(listing, value);
    if (!slice_is(name, "REPLY"))
        return false;
    listing->whole = slice_is(value, "all");
    return listing->whole || slice_is(value, "id");
}

static bool parse_scan(struct listing *listing, bool queues, const struct resp_slice *arguments,
                       uint32_t count, uint64_t *cursor, uint64_t *each)
{
    *each = 100;
    listing->length_max = UINT64_MAX;
    bool good = slice_number(arguments[1], UINT64_MAX, cursor);
    for (uint32_t i = 2; good && i < count; i++) {
        if (slice_is(arguments[i], "BUSYLOOP")) {
            *each = SCAN_EACH_MAX;
            continue;
        }
        if (++i == count)
            return false;
        struct resp_slice name = arguments[i - 1], value = arguments[i];
        if (slice_is(name, "COUNT"))
            good = slice_number(value, SCAN_EACH_MAX, each) && *each > 0;
        else
            good = queues ? scan_queues_option(listing, name, value)
                          : scan_jobs_option(listing, name, value);
    }
    return good;
}

static void scan_queue(void *context, const struct queue_view *queue)
{
    struct listing *listing = context;
    if (queue->counters.ready < listing->length_min || queue->counters.ready > listing->length_max)
        return;
    resp_write_bulk(&listing->writer, queue->name.data, queue->name.length);
    listing->count++;
}

static void scan_job(void *context, const struct job_view *job)
{
    struct listing *listing = context;
    char id[COMMANDS_ID_BYTES];
    if (listing->queue.length > 0 &&
        (listing->queue.length != job->queue.length ||
         memcmp(listing->queue.data, job->queue.data, job->queue.length) != 0))
        return;
    if (listing->states != 0 && !(listing->states & 1u << job->state))
        return;
    commands_print_id(&job->id, id);
    if (listing->whole)
        write_job(&listing->writer, job, listing->time_ms);
    else
        resp_write_text(&listing->writer, id);
    listing->count++;
}

static void read_scan(struct request *request, struct resp_writer *writer,
                      const struct resp_slice *arguments, uint32_t count)
{
    struct listing listing;
    uint64_t cursor, each;
    bool queues = strcmp(request->entry->name, "QSCAN") == 0;
    listing_begin(&listing, request);
    if (!parse_scan(&listing, queues, arguments, count, &cursor, &each)) {
        commands_syntax(request);
        return;
    }
    if (queues)
        cursor = state_scan_queues(state_of(request), cursor, each, scan_queue, &listing);
    else
        cursor = state_scan_jobs(state_of(request), cursor, each, scan_job, &listing);
    resp_write_array(writer, 2);
    resp_write_format(writer, "%llu", (unsigned long long)cursor);
    listing_end(&listing, writer);
}

#define READ(NAME, USAGE, ARITY, FUNCTION)                                                         \
    {                                                                                              \
        .name = NAME, .usage = USAGE, .arity = ARITY, .flags = COMMAND_READ, .read = FUNCTION      \
    }
const struct command_entry commands_query[] = {
    READ("QLEN", "queue", 2, read_qlen),
    READ("SHOW", "id", 2, read_show),
    READ("QPEEK", "queue count", 3, read_qpeek),
    READ("QSTAT", "queue", 2, read_qstat),
    READ("QSCAN", "cursor [COUNT n | BUSYLOOP] [MINLEN n] [MAXLEN n]", -2, read_scan),
    READ("JSCAN",
         "cursor [COUNT n | BUSYLOOP] [QUEUE q] [STATE ready|delayed|leased|dead ...] "
         "[REPLY all|id]",
         -2, read_scan),
    {.name = NULL},
};
