/* Settings: one table of names, one function that sets, one that shows. */
#include "queue/config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct config_setting settings[] = {
    {"dir", "DIR", "where the log and the snapshots are kept", false, false},
    {"bind", "ADDRESS", "listen on this address (0.0.0.0)", false, false},
    {"port", "PORT", "for clients (7711)", false, false},
    {"peer-port", "PORT", "for the other nodes (7712)", false, false},
    {"node", "N", "this node's number, from 1 (1)", false, false},
    {"peers", "1=HOST:PORT,2=...", "all nodes of a new cluster, the same on each", false, false},
    {"join", NULL, "wait to be added to a cluster by CLUSTER ADD or REPLACE", true, false},
    {"fsync", "yes|no", "sync before saying committed (yes)", false, false},
    {"password", "TEXT", "what clients must say by AUTH", false, true},
    {"peer-secret", "TEXT", "what the nodes prove to each other that they know", false, false},
    {"tls", "no|optional|required", "TLS for clients, on the same port (no)", false, false},
    {"tls-peers", "no|optional|required", "between nodes; optional takes both, dials plain (no)",
     false, false},
    {"tls-cert", "FILE", "this server's certificate and those that signed it, PEM", false, false},
    {"tls-key", "FILE", "its key, PEM", false, false},
    {"tls-ca", "FILE", "who signs the nodes' and the clients' certificates, PEM", false, false},
    {"tls-client-certs", "yes|no", "clients must show a certificate that tls-ca signed (no)", false,
     false},
    {"metrics-port", "PORT", "Prometheus metrics over HTTP (none)", false, false},
    {"max-memory", "BYTES", "refuse to add jobs above it; k, m and g are understood", false, true},
    {"election-timeout", "MS", "a leader silent for so long is replaced (1000)", false, false},
    {"snapshot-entries", "N", "write a snapshot after so many entries (100000)", false, true},
    {"snapshot-bytes", "BYTES", "or after so much log (268435456)", false, true},
    {"spool-max", "BYTES", "refuse SPOOL when so much waits for the cluster (1g)", false, true},
    {"max-clients", "N", "further connections are refused (20000)", false, true},
    {"log-level", "LEVEL", "debug, info, warning or error (info)", false, true},
};

const struct config_setting *config_settings(uint32_t *count)
{
    *count = sizeof settings / sizeof *settings;
    return settings;
}

void config_default(struct config *config)
{
    *config = (struct config){.bind = "0.0.0.0",
                              .node = 1,
                              .port = 7711,
                              .peer_port = 7712,
                              .sync = true,
                              .election_timeout_ms = 1000,
                              .snapshot_entries = 100000,
                              .snapshot_bytes = 256 << 20,
                              .clients_max = 20000,
                              .spool_bytes_max = 1 << 30,
                              .level = JOURNAL_INFO};
}

static bool read_number(const char *text, uint64_t minimum, uint64_t maximum, uint64_t *value)
{
    char *end;
    errno = 0;
    if (text[0] < '0' || text[0] > '9')
        return false;
    uint64_t number = strtoull(text, &end, 10);
    uint64_t unit = *end == 'k' ? 1 << 10 : *end == 'm' ? 1 << 20 : *end == 'g' ? 1 << 30 : 1;
    end += unit > 1;
    if (errno != 0 || *end != '\0' || number > maximum / unit || number * unit < minimum)
        return false;
    *value = number * unit;
    return true;
}

static bool set_small(uint32_t *out, const char *text, uint64_t minimum, uint64_t maximum)
{
    uint64_t value;
    if (!read_number(text, minimum, maximum, &value))
        return false;
    *out = (uint32_t)value;
    return true;
}

static bool set_text(char *out, size_t size, const char *text)
{
    if (strlen(text) >= size)
        return false;
    memcpy(out, text, strlen(text) + 1);
    return true;
}

bool config_split_address(const char *address, char *host, uint32_t size, uint32_t *port)
{
    const char *colon = strrchr(address, ':');
    if (colon == NULL || colon == address || (size_t)(colon - address) >= size)
        return false;
    memcpy(host, address, (size_t)(colon - address));
    host[colon - address] = '\0';
    return set_small(port, colon + 1, 1, 65535);
}

static bool set_peer(struct config *config, char *text)
{
    struct config_peer *peer = &config->peers[config->peer_count];
    char *equals = strchr(text, '='), host[RAFT_ADDRESS_BYTES];
    uint32_t port;
    if (config->peer_count == RAFT_MEMBERS_MAX || equals == NULL)
        return false;
    *equals = '\0';
    if (!set_small(&peer->node, text, 1, UINT16_MAX) ||
        !config_split_address(equals + 1, host, sizeof host, &port) ||
        !set_text(peer->address, sizeof peer->address, equals + 1))
        return false;
    for (uint32_t i = 0; i < config->peer_count; i++) {
        if (config->peers[i].node == peer->node)
            return false;
    }
    config->peer_count++;
    return true;
}

static bool set_peers(struct config *config, const char *value)
{
    char text[4096], *rest = text;
    if (!set_text(text, sizeof text, value))
        return false;
    config->peer_count = 0;
    for (char *part = strsep(&rest, ","); part != NULL; part = strsep(&rest, ",")) {
        if (!set_peer(config, part))
            return false;
    }
    return true;
}

static bool set_switch(bool *out, const char *value)
{
    *out = strcmp(value, "yes") == 0;
    return *out || strcmp(value, "no") == 0;
}

static bool set_level(struct config *config, const char *value)
{
    for (int level = JOURNAL_DEBUG; level <= JOURNAL_ERROR; level++) {
        if (strcmp(value, journal_level_name((enum journal_level)level)) == 0) {
            config->level = (enum journal_level)level;
            return true;
        }
    }
    return false;
}

static const char *const tls_words[] = {"no", "optional", "required"};

static bool set_tls(enum config_tls *out, const char *value)
{
    for (int word = CONFIG_TLS_NO; word <= CONFIG_TLS_REQUIRED; word++) {
        if (strcmp(value, tls_words[word]) == 0) {
            *out = (enum config_tls)word;
            return true;
        }
    }
    return false;
}

static bool set_security(struct config *config, const char *name, const char *value, bool *known)
{
    *known = true;
    if (strcmp(name, "password") == 0)
        return set_text(config->password, sizeof config->password, value);
    if (strcmp(name, "peer-secret") == 0)
        return set_text(config->peer_secret, sizeof config->peer_secret, value);
    if (strcmp(name, "tls") == 0)
        return set_tls(&config->tls, value);
    if (strcmp(name, "tls-peers") == 0)
        return set_tls(&config->tls_peers, value);
    if (strcmp(name, "tls-cert") == 0)
        return set_text(config->tls_cert, sizeof config->tls_cert, value);
    if (strcmp(name, "tls-key") == 0)
        return set_text(config->tls_key, sizeof config->tls_key, value);
    if (strcmp(name, "tls-ca") == 0)
        return set_text(config->tls_ca, sizeof config->tls_ca, value);
    if (strcmp(name, "tls-client-certs") == 0)
        return set_switch(&config->tls_client_certs, value);
    *known = false;
    return false;
}

static bool set_identity(struct config *config, const char *name, const char *value, bool *known)
{
    *known = true;
    if (strcmp(name, "dir") == 0)
        return set_text(config->directory, sizeof config->directory, value);
    if (strcmp(name, "bind") == 0)
        return set_text(config->bind, sizeof config->bind, value);
    if (strcmp(name, "port") == 0)
        return set_small(&config->port, value, 1, 65535);
    if (strcmp(name, "peer-port") == 0)
        return set_small(&config->peer_port, value, 1, 65535);
    if (strcmp(name, "metrics-port") == 0)
        return set_small(&config->metrics_port, value, 0, 65535);
    if (strcmp(name, "node") == 0)
        return set_small(&config->node, value, 1, UINT16_MAX);
    if (strcmp(name, "peers") == 0)
        return set_peers(config, value);
    if (strcmp(name, "join") == 0)
        return set_switch(&config->join, value);
    *known = false;
    return false;
}

static bool set_behaviour(struct config *config, const char *name, const char *value, bool *known)
{
    *known = true;
    if (strcmp(name, "fsync") == 0)
        return set_switch(&config->sync, value);
    if (strcmp(name, "max-memory") == 0)
        return read_number(value, 0, UINT64_MAX, &config->memory_bytes_max);
    if (strcmp(name, "election-timeout") == 0)
        return set_small(&config->election_timeout_ms, value, 50, 60000);
    if (strcmp(name, "snapshot-entries") == 0)
        return read_number(value, 1, UINT64_MAX, &config->snapshot_entries);
    if (strcmp(name, "snapshot-bytes") == 0)
        return read_number(value, 1 << 10, UINT64_MAX, &config->snapshot_bytes);
    if (strcmp(name, "spool-max") == 0)
        return read_number(value, 0, UINT64_MAX, &config->spool_bytes_max);
    if (strcmp(name, "max-clients") == 0)
        return set_small(&config->clients_max, value, 1, 1 << 20);
    if (strcmp(name, "log-level") == 0)
        return set_level(config, value);
    *known = false;
    return false;
}

bool config_set(struct config *config, const char *name, const char *value,
                struct queue_error *error)
{
    bool known;
    bool done = set_identity(config, name, value, &known);
    if (!known)
        done = set_security(config, name, value, &known);
    if (!known)
        done = set_behaviour(config, name, value, &known);
    if (!known)
        queue_error_set(error, "there is no setting %.60s; --help lists them", name);
    else if (!done)
        queue_error_set(error, "%.60s cannot be \"%.100s\"; --help says what it takes", name,
                        strstr(name, "secret") || strstr(name, "password") ? "***" : value);
    return done;
}

static const char *tls_lacks(const struct config *config)
{
    bool peers = config->tls_peers != CONFIG_TLS_NO;
    if (config->tls == CONFIG_TLS_NO && !peers)
        return NULL;
    if (config->tls_cert[0] == '\0' || config->tls_key[0] == '\0')
        return "TLS needs --tls-cert and --tls-key";
    if (config->tls_ca[0] == '\0' && (peers || config->tls_client_certs))
        return "who may show which certificate? give --tls-ca";
    return NULL;
}

bool config_check(const struct config *config, struct queue_error *error)
{
    bool among = config->peer_count == 0;
    for (uint32_t i = 0; i < config->peer_count; i++)
        among = among || config->peers[i].node == config->node;
    if (config->directory[0] == '\0')
        queue_error_set(error, "no data directory: give --dir");
    else if (!among)
        queue_error_set(error,
                        "node %u is not among the --peers: they must be all nodes, this one "
                        "too",
                        config->node);
    else if (config->join && config->peer_count > 0)
        queue_error_set(error, "--join and --peers exclude each other: a new cluster has --peers, "
                               "a node for an old one --join");
    else if (tls_lacks(config) != NULL)
        queue_error_set(error, "%s", tls_lacks(config));
    else
        return true;
    return false;
}

bool config_read(struct config *config, const char *path, struct queue_error *error)
{
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        queue_error_set(error, "open %.120s: %s", path, strerror(errno));
        return false;
    }
    char line[4608];
    bool good = true;
    for (uint32_t number = 1; good && fgets(line, sizeof line, file) != NULL; number++) {
        line[strcspn(line, "#\r\n")] = '\0';
        char *rest = line + strspn(line, " \t");
        char *name = strsep(&rest, " \t=");
        if (name[0] == '\0')
            continue;
        char *value = rest == NULL ? line + strlen(line) : rest + strspn(rest, " \t=");
        for (size_t length = strlen(value); length > 0 && strchr(" \t", value[length - 1]);)
            value[--length] = '\0';
        good = config_set(config, name, value, error);
        if (!good)
            queue_error_wrap(error, "%.100s line %u", path, number);
    }
    fclose(file);
    return good;
}

static void peers_text(const struct config *config, char *text, uint32_t size)
{
    size_t length = 0;
    text[0] = '\0';
    for (uint32_t i = 0; i < config->peer_count && length < size; i++)
        length += (size_t)snprintf(text + length, size - length, "%s%u=%s", i > 0 ? "," : "",
                                   config->peers[i].node, config->peers[i].address);
}

void config_text(const struct config *config, const char *name, char *text, uint32_t size)
{
    const struct {
        const char *name;
        uint64_t value;
    } numbers[] = {
        {"port", config->port},
        {"peer-port", config->peer_port},
        {"metrics-port", config->metrics_port},
        {"node", config->node},
        {"max-memory", config->memory_bytes_max},
        {"election-timeout", config->election_timeout_ms},
        {"snapshot-entries", config->snapshot_entries},
        {"snapshot-bytes", config->snapshot_bytes},
        {"spool-max", config->spool_bytes_max},
        {"max-clients", config->clients_max},
    };
    const struct {
        const char *name, *value;
    } texts[] = {
        {"dir", config->directory},
        {"bind", config->bind},
        {"join", config->join ? "yes" : "no"},
        {"fsync", config->sync ? "yes" : "no"},
        {"password", config->password[0] ? "***" : ""},
        {"peer-secret", config->peer_secret[0] ? "***" : ""},
        {"tls", tls_words[config->tls]},
        {"tls-peers", tls_words[config->tls_peers]},
        {"tls-cert", config->tls_cert},
        {"tls-key", config->tls_key},
        {"tls-ca", config->tls_ca},
        {"tls-client-certs", config->tls_client_certs ? "yes" : "no"},
        {"log-level", journal_level_name(config->level)},
    };
    text[0] = '\0';
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        if (strcmp(numbers[i].name, name) == 0)
            snprintf(text, size, "%llu", (unsigned long long)numbers[i].value);
    }
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        if (strcmp(texts[i].name, name) == 0)
            snprintf(text, size, "%s", texts[i].value);
    }
    if (strcmp(name, "peers") == 0)
        peers_text(config, text, size);
}
