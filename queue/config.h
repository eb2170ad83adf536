/* What one server is told: flags, and a file of the same names. */
#ifndef ORDEAL_QUEUE_CONFIG_H
#define ORDEAL_QUEUE_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include "queue/error.h"
#include "queue/journal.h"
#include "queue/raft.h"

struct config_peer {
    uint32_t node;
    char address[RAFT_ADDRESS_BYTES]; /* host:port, of its peer port */
};

enum config_tls { CONFIG_TLS_NO, CONFIG_TLS_OPTIONAL, CONFIG_TLS_REQUIRED };

struct config {
    char directory[512];
    char bind[64];
    uint32_t node;
    uint32_t port, peer_port, metrics_port; /* metrics_port 0: none */
    struct config_peer peers[RAFT_MEMBERS_MAX];
    uint32_t peer_count;
    bool join; /* wait to be added to a cluster */
    bool sync;
    char password[256], peer_secret[256]; /* "": none */
    uint64_t memory_bytes_max;            /* 0: no bound */
    uint32_t election_timeout_ms;
    uint64_t snapshot_entries, snapshot_bytes; /* a snapshot is due after so much log */
    uint32_t clients_max;
    uint64_t spool_bytes_max; /* 0: no bound */
    char tls_cert[512], tls_key[512], tls_ca[512];
    enum config_tls tls, tls_peers;
    bool tls_client_certs;
    enum journal_level level;
};

void config_default(struct config *config);

/* One setting by its name without dashes. False for an unknown name or a value out of range. */
bool config_set(struct config *config, const char *name, const char *value,
                struct queue_error *error);
/* False when the whole is not possible: no directory, peers without this node, ... */
bool config_check(const struct config *config, struct queue_error *error);
/* Lines of `name value`; # begins a comment. */
bool config_read(struct config *config, const char *path, struct queue_error *error);

/* The settings' names and, as text, their values (a password as ***), for CONFIG GET and --help. */
struct config_setting {
    const char *name, *argument, *summary;
    bool flag;    /* given without a value on the command line */
    bool running; /* may be changed by CONFIG SET */
};
const struct config_setting *config_settings(uint32_t *count);
void config_text(const struct config *config, const char *name, char *text, uint32_t size);

/* Splits host:port in place of `host`; false when there is no port. */
bool config_split_address(const char *address, char *host, uint32_t size, uint32_t *port);

#endif
