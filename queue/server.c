/* The server's life: opening, turning, founding a cluster, ending. */
#include "queue/server.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "queue/bytes.h"
#include "queue/commands.h"
#include "queue/tls.h"

enum { STOP_MS_MAX = 3000, EXPIRE_EVERY_MS = 20 };

static volatile sig_atomic_t told_to_stop;

static void on_signal(int signal_number)
{
    (void)signal_number;
    told_to_stop = 1;
}

void server_make_id(struct server *server, struct job_id *id)
{
    uint64_t creator = htobe64(server->id_creator), sequence = htobe64(++server->id_sequence);
    memcpy(id->bytes, &creator, sizeof creator);
    memcpy(id->bytes + 8, &sequence, sizeof sequence);
}

/* Founding. The smallest node of a new cluster asks all others for their disks; when it knows them
 * all, and none has been part of a cluster, it writes the first entry and hands it out. Whoever has
 * it hands it on to a founder that has not. A disk formatted later has another id, is in nobody's
 * first entry, and so cannot found anything again. */

static bool on_formed(void *context)
{
    return node_formed(&((struct server *)context)->node);
}

static const char *own_address(const struct server *server)
{
    static char address[RAFT_ADDRESS_BYTES];
    for (uint32_t i = 0; i < server->config.peer_count; i++) {
        if (server->config.peers[i].node == server->config.node)
            return server->config.peers[i].address;
    }
    snprintf(address, sizeof address, "%s:%u",
             strcmp(server->config.bind, "0.0.0.0") == 0 ? "127.0.0.1" : server->config.bind,
             server->config.peer_port);
    return address;
}

static bool gather_founders(struct server *server, struct raft_config *members)
{
    const struct config *config = &server->config;
    *members = (struct raft_config){.count = config->peer_count};
    for (uint32_t i = 0; i < config->peer_count; i++) {
        struct raft_member *member = &members->members[i];
        const struct config_peer *founder = &config->peers[i];
        *member = (struct raft_member){.node = founder->node, .standing = RAFT_VOTER};
        snprintf(member->address, sizeof member->address, "%s", founder->address);
        if (founder->node < config->node)
            return false; /* it is for the smallest to do */
        member->disk = server->node.disk_id;
        if (founder->node == config->node)
            continue;
        const struct peer *peer = peers_find(&server->peers, founder->node);
        if (peer == NULL || peer->link == NULL || !peer->status_known || peer->formed)
            return false;
        member->disk = peer->disk;
    }
    return true;
}

static void hand_founding(struct server *server, struct peer *peer)
{
    struct raft_status status;
    raft_status(server->node.raft, &status);
    const struct entry *founding = node_founding(&server->node);
    const struct raft_member *member = raft_config_find(status.config, peer->node);
    if (founding == NULL || member == NULL || member->disk != peer->disk || peer->formed ||
        !peer->status_known)
        return;
    peer_send(&server->peers, peer, PEER_FOUND, founding->data, founding->length, NULL, 0);
}

static void consider_founding(struct server *server)
{
    struct raft_config members;
    char bytes[RAFT_CONFIG_BYTES_MAX];
    if (node_formed(&server->node) || server->config.join)
        return;
    if (server->config.peer_count == 0) {
        members = (struct raft_config){.count = 1};
        members.members[0] = (struct raft_member){
            .node = server->config.node, .disk = server->node.disk_id, .standing = RAFT_VOTER};
        snprintf(members.members[0].address, RAFT_ADDRESS_BYTES, "%s", own_address(server));
    } else if (!gather_founders(server, &members)) {
        return;
    }
    if (!node_form(&server->node, bytes, raft_config_encode(&members, bytes)))
        return;
    for (uint32_t i = 0; i < server->peers.count; i++)
        hand_founding(server, &server->peers.list[i]);
}

static void on_founding(struct server *server, struct peer *peer, const char *bytes, size_t length)
{
    struct raft_config members;
    if (node_formed(&server->node) || length > RAFT_CONFIG_BYTES_MAX ||
        !raft_config_decode(bytes, length, &members))
        return;
    /* From a disk that has been replaced since it would be an older cluster's. */
    const struct raft_member *member = raft_config_find(&members, peer->node);
    if (member != NULL && member->disk == peer->disk)
        node_form(&server->node, bytes, length);
}

/* Peers. */

static void on_up(void *context, struct peer *peer)
{
    (void)context;
    (void)peer;
}

static void on_down(void *context, struct peer *peer)
{
    session_peer_down(context, peer);
}

static void on_status(void *context, struct peer *peer)
{
    struct server *server = context;
    if (node_formed(&server->node))
        hand_founding(server, peer);
    else
        consider_founding(server);
}

static void on_raft(struct server *server, struct peer *peer, const char *bytes, size_t length)
{
    static struct raft_decoded decoded;
    const char *wrong = raft_message_decode(bytes, length, &decoded);
    if (wrong != NULL)
        journal_write(JOURNAL_WARNING, "message", "node=%u %s", peer->node, wrong);
    else if (decoded.message.from == peer->node)
        node_message(&server->node, &decoded.message);
}

static void on_frame(void *context, struct peer *peer, enum peer_frame type, const char *bytes,
                     size_t length)
{
    struct server *server = context;
    switch (type) {
    case PEER_RAFT:
        on_raft(server, peer, bytes, length);
        break;
    case PEER_FOUND:
        on_founding(server, peer, bytes, length);
        break;
    case PEER_FORWARD:
        session_take(server, peer, bytes, length);
        break;
    case PEER_REPLY:
        session_on_reply(server, bytes, length);
        break;
    case PEER_GONE:
        session_on_gone(server, peer, bytes, length);
        break;
    default:
        break; /* of a later version */
    }
}

/* Doors. */

static void door_ready(struct watch *watch, uint32_t events)
{
    (void)events;
    struct server *server = (struct server *)((char *)watch - offsetof(struct server, door));
    for (int i = 0; i < 256; i++) {
        int file = loop_accept(watch->file);
        if (file < 0)
            return;
        if (server->client_count < server->config.clients_max) {
            client_open(server, file);
            continue;
        }
        static const char full[] = "-ERR max number of clients reached\r\n";
        (void)!write(file, full, sizeof full - 1);
        close(file);
        server->counters.refused_connections++;
    }
}

static void log_ready(struct watch *watch, uint32_t events)
{
    (void)events;
    struct server *server = (struct server *)((char *)watch - offsetof(struct server, log_watch));
    node_persisted(&server->node);
}

static const struct peers_listener *peers_listener(struct server *server)
{
    static struct peers_listener listener;
    listener = (struct peers_listener){.context = server,
                                       .formed = on_formed,
                                       .up = on_up,
                                       .down = on_down,
                                       .status = on_status,
                                       .frame = on_frame};
    return &listener;
}

static bool open_doors(struct server *server, struct queue_error *error)
{
    const struct config *config = &server->config;
    server->door =
        (struct watch){.file = loop_listen(config->bind, config->port, error), .ready = door_ready};
    server->log_watch =
        (struct watch){.file = log_event(server->node.storage.log), .ready = log_ready};
    if (server->door.file < 0 ||
        !peers_open(&server->peers, config, &server->loop, server->node.disk_id,
                    peers_listener(server), error) ||
        !metrics_open(&server->metrics, server, error))
        return false;
    loop_add(&server->loop, &server->door, EPOLLIN);
    loop_add(&server->loop, &server->log_watch, EPOLLIN);
    for (uint32_t i = 0; i < config->peer_count; i++) {
        if (config->peers[i].node != config->node)
            peers_want(&server->peers, config->peers[i].node, config->peers[i].address);
    }
    struct raft_status status;
    raft_status(server->node.raft, &status);
    commands_listener.members(server, status.config);
    return true;
}

static bool open_tls(struct server *server, struct queue_error *error)
{
    const struct config *config = &server->config;
    if (config->tls != CONFIG_TLS_NO)
        server->tls = tls_context_open(
            config, config->tls_client_certs ? TLS_ASK_CERTIFICATE : TLS_TRUST_ANYBODY, error);
    return config->tls == CONFIG_TLS_NO || server->tls != NULL;
}

static bool server_open(struct server *server, struct queue_error *error)
{
    static struct node_listener listener;
    listener = commands_listener;
    listener.context = server;
    server->resume_end = &server->resume;
    server->started_ms = node_clock_ms();
    /* No two processes ever share it, whatever became of the disk between them. */
    server->id_creator = (node_random() & UINT64_MAX >> 16) | (uint64_t)server->config.node << 48;
    if (!loop_open(&server->loop, error) || !open_tls(server, error))
        return false;
    if (!node_open(&server->node, &server->config, &listener, error))
        return false;
    if (!drain_open(&server->drain, server, error))
        return false;
    if (!open_doors(server, error))
        return false;
    consider_founding(server);
    return true;
}

/* Turns. */

static void expire(struct server *server, uint64_t now_ms)
{
    for (struct request *request = server->waiting, *next; request != NULL; request = next) {
        next = request->waiting_next;
        if (request->phase == REQUEST_QUEUED)
            client_schedule(request->client);
        if (request->deadline_ms != 0 && request->deadline_ms <= now_ms)
            request_expire(request);
    }
}

static void end_slow_handshakes(struct server *server, uint64_t now_ms)
{
    if (server->tls == NULL || now_ms < server->slow_at_ms)
        return;
    server->slow_at_ms = now_ms + 1000;
    for (struct client *client = server->clients, *next; client != NULL; client = next) {
        next = client->next;
        if (client->tls != NULL && !tls_ready(client->tls) &&
            now_ms > client->opened_ms + SERVER_HANDSHAKE_MS_MAX)
            client_close(client);
    }
}

static void tick(struct server *server)
{
    uint64_t now_ms = node_clock_ms();
    if (now_ms < server->tick_at_ms)
        return;
    server->tick_at_ms = now_ms + SERVER_TICK_MS;
    node_tick(&server->node);
    peers_tick(&server->peers, now_ms);
    metrics_tick(&server->metrics, now_ms);
    expire(server, now_ms);
    end_slow_handshakes(server, now_ms);
}

static void resume_clients(struct server *server)
{
    struct client *client = server->resume;
    server->resume = NULL;
    server->resume_end = &server->resume;
    while (client != NULL) {
        struct client *next = client->resume_next;
        client->resuming = false;
        client_resume(client);
        client = next;
    }
}

static void flush_clients(struct server *server)
{
    while (server->flush != NULL) {
        struct client *client = server->flush;
        server->flush = client->flush_next;
        client->flushing = false;
        client_flush(client);
    }
}

static int wait_ms(struct server *server)
{
    uint64_t now_ms = node_clock_ms();
    if (server->resume != NULL || node_has_reads(&server->node))
        return 0;
    return server->tick_at_ms > now_ms ? (int)(server->tick_at_ms - now_ms) : 0;
}

static void turn(struct server *server)
{
    server->handshakes = 0;
    loop_turn(&server->loop, wait_ms(server));
    tick(server);
    resume_clients(server);
    commands_serve_waiters(server);
    drain_turn(&server->drain, node_clock_ms());
    node_turn(&server->node);
    peers_flush(&server->peers); /* first: their disks work while clients get their replies */
    flush_clients(server);
    peers_flush(&server->peers);
    client_free_dead(server);
}

/* The end. */

void server_stop(struct server *server)
{
    if (server->stopping)
        return;
    server->stopping = true;
    server->stop_at_ms = node_clock_ms() + STOP_MS_MAX;
    journal_write(JOURNAL_INFO, "stopping", "node=%u", server->config.node);
}

static bool alone(const struct server *server)
{
    struct raft_status status;
    raft_status(server->node.raft, &status);
    return raft_config_voters(status.config) < 2;
}

/* Whoever is most likely to be up to date will do: the core waits for it. */
static void hand_over(struct server *server)
{
    struct raft_status status;
    raft_status(server->node.raft, &status);
    for (uint32_t i = 0; i < status.config->count; i++) {
        const struct raft_member *member = &status.config->members[i];
        const struct peer *peer = peers_find(&server->peers, member->node);
        if (member->standing == RAFT_VOTER && peer != NULL && peer->link != NULL) {
            node_transfer(&server->node, member->node);
            return;
        }
    }
}

static bool may_end(struct server *server, uint64_t *hand_at_ms)
{
    uint64_t now_ms = node_clock_ms();
    if (now_ms >= server->stop_at_ms)
        return true;
    if (drain_busy(&server->drain))
        return false;
    if (server->node.role != RAFT_LEADER || alone(server))
        return node_backlog_bytes(&server->node) == 0;
    if (now_ms >= *hand_at_ms) {
        hand_over(server);
        *hand_at_ms = now_ms + 500;
    }
    return false;
}

static void server_close(struct server *server)
{
    flush_clients(server);
    while (server->clients != NULL)
        client_close(server->clients);
    for (uint32_t i = 0; i < SERVER_HASH; i++) {
        while (server->sessions[i] != NULL)
            client_close(server->sessions[i]);
    }
    drain_close(&server->drain);
    resume_clients(server);
    flush_clients(server);
    client_free_dead(server);
    metrics_close(&server->metrics);
    peers_close(&server->peers);
    close(server->door.file);
    node_close(&server->node);
    tls_context_close(server->tls);
    waiters_free(&server->waiters);
    loop_close(&server->loop);
}

static void raise_files(uint32_t clients)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return;
    rlim_t wanted = clients + 256, most = limit.rlim_max;
    if (limit.rlim_cur >= wanted)
        return;
    limit.rlim_cur = limit.rlim_max = wanted;
    if (setrlimit(RLIMIT_NOFILE, &limit) == 0)
        return;
    limit.rlim_cur = limit.rlim_max = most;
    setrlimit(RLIMIT_NOFILE, &limit);
    if (most < wanted)
        journal_write(JOURNAL_WARNING, "limits", "only %llu files may be open",
                      (unsigned long long)most);
}

int server_run(const struct config *config)
{
    static struct server server;
    struct queue_error error;
    uint64_t hand_at_ms = 0;
    server.config = *config;
    journal_level_set(config->level);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGTERM, on_signal);
    signal(SIGINT, on_signal);
    raise_files(config->clients_max);
    if (!server_open(&server, &error)) {
        journal_write(JOURNAL_ERROR, "start", "%s", error.message);
        return 1;
    }
    journal_write(JOURNAL_INFO, "started", "node=%u port=%u peer-port=%u disk=%016llx version=%s",
                  config->node, config->port, config->peer_port,
                  (unsigned long long)server.node.disk_id, ORDEAL_VERSION);
    while (!server.stopping || !may_end(&server, &hand_at_ms)) {
        turn(&server);
        if (told_to_stop)
            server_stop(&server);
    }
    server_close(&server);
    journal_write(JOURNAL_INFO, "stopped", "node=%u", config->node);
    return 0;
}
