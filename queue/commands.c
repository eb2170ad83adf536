/* Finding a command, where it is to be carried out, and the node's answers. */
#include "queue/commands.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "queue/server.h"

static const struct command_entry *const groups[] = {
    commands_job, commands_get, commands_query, commands_cluster, commands_admin, commands_spool};

const struct command_entry *commands_at(uint32_t index)
{
    for (size_t i = 0; i < sizeof groups / sizeof *groups; i++) {
        for (const struct command_entry *entry = groups[i]; entry->name != NULL; entry++) {
            if (index-- == 0)
                return entry;
        }
    }
    return NULL;
}

bool slice_is(struct resp_slice slice, const char *word)
{
    return strlen(word) == slice.length && strncasecmp(slice.data, word, slice.length) == 0;
}

static const struct command_entry *find(struct resp_slice name)
{
    for (size_t i = 0; i < sizeof groups / sizeof *groups; i++) {
        for (const struct command_entry *entry = groups[i]; entry->name != NULL; entry++) {
            if (slice_is(name, entry->name))
                return entry;
        }
    }
    return NULL;
}

bool slice_number(struct resp_slice slice, uint64_t maximum, uint64_t *value)
{
    uint64_t number = 0;
    if (slice.length == 0 || slice.length > 20)
        return false;
    for (size_t i = 0; i < slice.length; i++) {
        uint64_t digit = (uint64_t)(unsigned char)slice.data[i] - '0';
        if (digit > 9 || number > (UINT64_MAX - digit) / 10)
            return false;
        number = number * 10 + digit;
    }
    *value = number;
    return number <= maximum;
}

bool slice_seconds_ms(struct resp_slice slice, uint64_t *value_ms)
{
    const char *dot = slice.length > 0 ? memchr(slice.data, '.', slice.length) : NULL;
    struct resp_slice whole = {slice.data, dot ? (size_t)(dot - slice.data) : slice.length};
    uint64_t seconds, fraction = 0;
    if (!slice_number(whole, COMMAND_DURATION_MS_MAX / 1000 - 1, &seconds))
        return false;
    if (dot != NULL) {
        struct resp_slice rest = {dot + 1, slice.length - whole.length - 1};
        if (rest.length > 3 || !slice_number(rest, 999, &fraction))
            return false;
        for (size_t i = rest.length; i < 3; i++)
            fraction *= 10;
    }
    *value_ms = seconds * 1000 + fraction;
    return true;
}

struct command_bytes slice_bytes(struct resp_slice slice)
{
    return (struct command_bytes){slice.data, (uint32_t)slice.length};
}

bool slice_name(struct resp_slice slice)
{
    return slice.length > 0 && slice.length <= COMMAND_NAME_BYTES_MAX;
}

/* Four bytes as eight digits, all at once: each half byte goes to a byte of its own, which becomes
 * a digit by '0', and by what is between '9' and 'a' where it is more than nine. */
static inline void print_hex(const uint8_t *bytes, char *text)
{
    uint32_t number;
    memcpy(&number, bytes, sizeof number);
    uint64_t spread = le32toh(number);
    spread = (spread & 0xffff) | (spread & 0xffff0000) << 16;
    spread = (spread & 0x000000ff000000ff) | (spread & 0x0000ff000000ff00) << 8;
    spread = (spread & 0x00f000f000f000f0) >> 4 | (spread & 0x000f000f000f000f) << 8;
    uint64_t letters = (spread + 0x0606060606060606) >> 4 & 0x0101010101010101;
    spread = htole64(spread + 0x3030303030303030 + letters * ('a' - '9' - 1));
    memcpy(text, &spread, sizeof spread);
}

void commands_print_id(const struct job_id *id, char text[COMMANDS_ID_BYTES])
{
    memcpy(text, "D-", 2);
    print_hex(id->bytes, text + 2);
    print_hex(id->bytes + 4, text + 10);
    text[18] = '-';
    print_hex(id->bytes + 8, text + 19);
    print_hex(id->bytes + 12, text + 27);
    text[COMMANDS_ID_BYTES - 1] = '\0';
}

static int hex_digit(char character)
{
    if (character >= '0' && character <= '9')
        return character - '0';
    return character >= 'a' && character <= 'f' ? character - 'a' + 10 : -1;
}

bool commands_parse_id(struct resp_slice text, struct job_id *id, uint32_t *attempt)
{
    enum { LENGTH = COMMANDS_ID_BYTES - 1, SECOND = 18 };
    *attempt = 0;
    if (text.length < LENGTH || text.data[0] != 'D' || text.data[1] != '-' ||
        text.data[SECOND] != '-')
        return false;
    for (int i = 0; i < 16; i++) {
        const char *at = text.data + 2 + i * 2 + (i >= 8);
        int high = hex_digit(at[0]), low = hex_digit(at[1]);
        if (high < 0 || low < 0)
            return false;
        id->bytes[i] = (uint8_t)(high << 4 | low);
    }
    struct resp_slice rest = {text.data + LENGTH, text.length - LENGTH};
    if (rest.length == 0 || rest.data[0] == ' ')
        return true;
    uint64_t value;
    rest.data++;
    rest.length--;
    bool good = rest.data[-1] == ':' && slice_number(rest, UINT32_MAX, &value) && value > 0;
    *attempt = good ? (uint32_t)value : 0;
    return good;
}

void commands_syntax(struct request *request)
{
    request_error(request, "ERR syntax: %s%s%s", request->entry->name,
                  request->entry->usage[0] ? " " : "", request->entry->usage);
}

bool commands_submit(struct request *request, const struct command *command)
{
    struct queue_error error;
    if (!node_submit(&request_server(request)->node, command, request, &error)) {
        request_error(request, "ERR %s", error.message);
        return false;
    }
    request->tags++;
    request->phase = REQUEST_PROPOSED;
    return true;
}

void commands_refuse(struct request *request, const struct state_result *result)
{
    static const char *const states[] = {"gone", "ready", "delayed", "leased", "dead"};
    switch (result->status) {
    case STATE_NOTFOUND:
        request_error(request, "NOJOB no such job%s",
                      result->end == END_ACKED     ? ": it was acknowledged"
                      : result->end == END_EXPIRED ? ": it has expired"
                      : result->end == END_DELETED ? ": it was deleted"
                      : result->end == END_SPENT   ? ": it was delivered, at most once"
                                                   : "");
        break;
    case STATE_STALE:
        request_error(request, "STALE the attempt is not the latest (%u), or its lease has ended",
                      result->attempt);
        break;
    case STATE_PAUSED:
        request_error(request, "PAUSED the queue is paused");
        break;
    case STATE_FULL:
        request_error(request, "MAXLEN the queue is full");
        break;
    case STATE_WRONG:
        request_error(request, "WRONGSTATE the job is %s", states[result->job]);
        break;
    case STATE_EXPIRED:
        request_error(request, "EXPIRED the job's time to live has passed");
        break;
    default:
        request_error(request, "ERR a value is out of range");
    }
}

/* Starting. */

static bool refuse_early(struct request *request, struct resp_slice name, uint32_t count)
{
    const struct command_entry *entry = request->entry;
    if (entry == NULL || ((entry->flags & COMMAND_INTERNAL) && request->client->watch.file >= 0)) {
        request_error(request, "ERR unknown command '%.*s'",
                      (int)(name.length < 64 ? name.length : 64), name.data);
        return true;
    }
    if (!request->client->authenticated && !(entry->flags & COMMAND_OPEN)) {
        request_error(request, "NOAUTH Authentication required.");
        return true;
    }
    if ((entry->arity > 0 && count != (uint32_t)entry->arity) || (int)count < -entry->arity) {
        request_error(request, "ERR wrong number of arguments for '%s' command", entry->name);
        return true;
    }
    return false;
}

static bool start_here(struct request *request, const struct resp_slice *arguments, uint32_t count)
{
    struct server *server = request_server(request);
    if (!(request->entry->flags & COMMAND_READ)) {
        if (node_backlog_bytes(&server->node) < SERVER_BACKLOG_BYTES_MAX)
            return request->entry->start(request, arguments, count);
        request_error(request, "BUSY too much waits for the disk or the other nodes; try again");
        return true;
    }
    request_keep(request, arguments, count);
    request->phase = REQUEST_READING;
    request->tags++;
    request_barrier(request);
    node_read(&server->node, request);
    return true;
}

static bool start_elsewhere(struct request *request, const struct resp_slice *arguments,
                            uint32_t count)
{
    struct server *server = request_server(request);
    struct peer *leader = peers_find(&server->peers, server->node.leader);
    if (server->node.role == RAFT_LEADER)
        return false; /* soon */
    if (client_is_session(request->client)) {
        request_again(request);
        return true;
    }
    /* Its time begins now, whether or not there is a leader. */
    if (request->entry->prepare != NULL && !request->prepared &&
        !request->entry->prepare(request, arguments, count))
        return true;
    request->prepared = true;
    if (leader == NULL || leader->link == NULL)
        return false;
    if (request->client->redirect) {
        char host[RAFT_ADDRESS_BYTES] = "";
        uint32_t port;
        config_split_address(leader->address, host, sizeof host, &port);
        request_error(request, "MOVED %s:%u", host, leader->client_port);
        return true;
    }
    return session_forward(request, leader, arguments, count);
}

bool commands_start(struct request *request, const struct resp_slice *arguments, uint32_t count)
{
    struct client *client = request->client;
    if (request->entry == NULL) {
        request->entry = find(arguments[0]);
        if (refuse_early(request, arguments[0], count))
            return true;
    }
    const struct command_entry *entry = request->entry;
    if (client->barriers > 0)
        return false;
    /* What comes before a change of the protocol is answered in the old one. */
    if ((entry->flags & COMMAND_LOCAL) && (entry->flags & COMMAND_ALONE) &&
        client->first != request)
        return false;
    if ((entry->flags & COMMAND_LOCAL) || (entry->local && entry->local(arguments, count)))
        return entry->start(request, arguments, count);
    if (!client->server->node.leading)
        return start_elsewhere(request, arguments, count);
    if ((entry->flags & (COMMAND_ALONE | COMMAND_READ)) && client->first != request)
        return false;
    return start_here(request, arguments, count);
}

/* The node's answers. */

static void on_result(void *context, void *tag, const struct state_result *result)
{
    struct request *request = tag;
    if (request->client != NULL && request->phase != REQUEST_DONE)
        request->entry->result(request, result);
    else
        commands_abandoned(context, request, result);
    request_untag(request);
}

static void on_proposed(void *context, void *tag)
{
    (void)context;
    struct request *request = tag;
    if (!request->async || request->client == NULL || request->phase != REQUEST_PROPOSED)
        return;
    char id[COMMANDS_ID_BYTES];
    commands_print_id(&request->id, id);
    struct resp_writer writer = request_writer(request);
    char text[COMMANDS_ID_BYTES + 8];
    snprintf(text, sizeof text, "%s async", id);
    resp_write_status(&writer, text);
    request_finish(request);
}

static void on_lost(void *context, void *tag)
{
    (void)context;
    struct request *request = tag;
    if (request->client != NULL && request->phase == REQUEST_PROPOSED) {
        commands_unpark(request_server(request), request);
        request_unknown(request);
    }
    request_untag(request);
}

static void on_refused(void *context, void *tag, enum raft_reason reason)
{
    (void)context;
    struct request *request = tag;
    if (request->client != NULL && request->phase == REQUEST_PROPOSED) {
        commands_unpark(request_server(request), request);
        if (reason != RAFT_NOT_LEADER)
            request_error(request, "BUSY %s; nothing was done", raft_reason_text(reason));
        else if (request->arguments != NULL)
            request_again(request);
        else
            request_error(request, "NOLEADER this node does not lead any more; nothing was done");
    }
    request_untag(request);
}

static size_t on_read(void *context, void *tag, bool good)
{
    (void)context;
    struct request *request = tag;
    size_t length = 0;
    if (request->client != NULL && request->phase == REQUEST_READING) {
        struct resp_writer writer = request_writer(request);
        if (good) {
            request->entry->read(request, &writer, request->arguments, request->argument_count);
            length = request->reply.length;
            if (request->phase != REQUEST_DONE)
                request_finish(request);
        } else {
            if (request->barrier)
                request->client->barriers--;
            request->barrier = false;
            request_again(request);
        }
    }
    request_untag(request);
    return length;
}

static void on_changed(void *context, void *tag, enum raft_reason reason)
{
    (void)context;
    struct request *request = tag;
    if (request->client != NULL && request->phase == REQUEST_PROPOSED) {
        struct resp_writer writer = request_writer(request);
        if (reason == RAFT_OK) {
            resp_write_status(&writer, "OK");
            request_finish(request);
        } else if (reason == RAFT_BUSY) {
            request_unknown(request);
        } else {
            request_error(request, "%s %s",
                          reason == RAFT_CHANGE_PENDING || reason == RAFT_NOT_LEADER ? "BUSY"
                                                                                     : "ERR",
                          raft_reason_text(reason));
        }
    }
    request_untag(request);
}

static void on_ready(void *context, struct command_bytes queue)
{
    struct server *server = context;
    waiters_mark(&server->waiters, queue);
}

static void on_role(void *context)
{
    struct server *server = context;
    if (!server->node.leading)
        commands_unpark_all(server);
    if (server->node.leader != 0)
        session_leader_changed(server, server->node.leader);
    for (struct request *request = server->waiting; request; request = request->waiting_next) {
        if (request->phase == REQUEST_QUEUED)
            client_schedule(request->client);
    }
}

static void on_send(void *context, const struct raft_message *message)
{
    struct server *server = context;
    struct peer *peer = peers_find(&server->peers, message->to);
    if (peer == NULL || peer->link == NULL)
        return;
    size_t size = raft_message_size(message);
    char *bytes = peer_frame(peer, size);
    if (bytes == NULL)
        return;
    raft_message_encode(message, bytes);
    peer_frame_written(peer, PEER_RAFT, size);
}

static void on_members(void *context, const struct raft_config *members)
{
    struct server *server = context;
    if (server->peers.config == NULL || members->count == 0)
        return; /* the peers are not open yet: they will be told */
    for (uint32_t i = 0; i < server->peers.count; i++) {
        struct peer *peer = &server->peers.list[i];
        if (peer->node != 0 && raft_config_find(members, peer->node) == NULL)
            peers_forget(&server->peers, peer->node);
    }
    for (uint32_t i = 0; i < members->count; i++) {
        const struct raft_member *member = &members->members[i];
        if (member->node != server->config.node)
            peers_want(&server->peers, member->node, member->address);
    }
}

const struct node_listener commands_listener = {.result = on_result,
                                                .proposed = on_proposed,
                                                .lost = on_lost,
                                                .refused = on_refused,
                                                .read = on_read,
                                                .changed = on_changed,
                                                .ready = on_ready,
                                                .role = on_role,
                                                .send = on_send,
                                                .applied = commands_defect_applied,
                                                .members = on_members};
