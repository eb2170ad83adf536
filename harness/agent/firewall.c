/* What both back-ends share: addresses, blocks, the choice. See firewall.h. */
#include "harness/agent/firewall.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum err_code agentd_address_parse(const char *text, struct agentd_address *address,
                                   struct err *err)
{
    char bare[INET6_ADDRSTRLEN + 1];
    size_t length = strcspn(text, "%");
    struct agentd_address parsed = {.family = AF_INET6};
    if (length >= sizeof bare)
        length = sizeof bare - 1;
    memcpy(bare, text, length);
    bare[length] = '\0';
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    if (inet_pton(AF_INET, bare, parsed.bytes) == 1) {
        parsed.family = AF_INET;
    } else if (inet_pton(AF_INET6, bare, parsed.bytes) != 1) {
        return err_set(err, ERR_CONFIG, "'%s' is not an IPv4 or IPv6 address", text);
    } else if (memcmp(parsed.bytes, mapped, sizeof mapped) == 0) {
        memmove(parsed.bytes, parsed.bytes + sizeof mapped, 4);
        memset(parsed.bytes + 4, 0, 12);
        parsed.family = AF_INET;
    }
    inet_ntop(parsed.family, parsed.bytes, parsed.text, sizeof parsed.text);
    *address = parsed;
    return ERR_NONE;
}

bool agentd_address_equal(const struct agentd_address *left, const struct agentd_address *right)
{
    return left->family == right->family && memcmp(left->bytes, right->bytes, 16) == 0;
}

static bool parse_port(const char *text, uint16_t *port)
{
    char *end;
    long number = strtol(text, &end, 10);
    if (end == text || *end != '\0' || number < 1 || number > 65535)
        return false;
    *port = (uint16_t)number;
    return true;
}

static enum err_code add_targets(const struct line *line, bool out, struct agentd_block *block,
                                 struct err *err)
{
    const char *key = out ? "to" : "from";
    uint32_t cursor = 0;
    const char *text;
    while ((text = line_next(line, key, &cursor)) != NULL) {
        if (block->count == AGENTD_TARGETS_MAX)
            return err_set(err, ERR_CONFIG, "%s: more than %d addresses in one fault", key,
                           AGENTD_TARGETS_MAX);
        struct agentd_target *target = &block->targets[block->count];
        target->out = out;
        if (agentd_address_parse(text, &target->address, err) != ERR_NONE)
            return err_wrap(err, "%s", key);
        block->count++;
    }
    return ERR_NONE;
}

static enum err_code parse_service(const struct line *line, struct agentd_block *block,
                                   struct err *err)
{
    const char *protocol = line_get(line, "proto"), *port = line_get(line, "port");
    if (protocol != NULL) {
        if (strcmp(protocol, "tcp") == 0)
            block->protocol = IPPROTO_TCP;
        else if (strcmp(protocol, "udp") == 0)
            block->protocol = IPPROTO_UDP;
        else
            return err_set(err, ERR_CONFIG, "proto: '%s' is neither tcp nor udp", protocol);
    }
    const char *packets = line_get(line, "packets");
    if (packets != NULL && strcmp(packets, "data") != 0 && strcmp(packets, "all") != 0)
        return err_set(err, ERR_CONFIG, "packets: '%s' is neither all nor data", packets);
    block->data_only = packets != NULL && strcmp(packets, "data") == 0;
    if (port == NULL)
        return ERR_NONE;
    if (!parse_port(port, &block->port))
        return err_set(err, ERR_CONFIG, "port: '%s' is not a port (1 to 65535)", port);
    if (block->protocol == 0)
        return err_set(err, ERR_CONFIG, "proto: a port needs proto=tcp or proto=udp");
    return ERR_NONE;
}

enum err_code agentd_block_parse(struct arena *arena, const struct line *line,
                                 struct agentd_block *block, struct err *err)
{
    struct agentd_block parsed = {
        .targets = arena_zalloc(arena, AGENTD_TARGETS_MAX * sizeof *parsed.targets)};
    const char *id = line_get(line, "id");
    if (id == NULL || *id == '\0' || strlen(id) > AGENTD_TEXT_ID_MAX ||
        strpbrk(id, " \"*/") != NULL)
        return err_set(err, ERR_CONFIG, "id: it must be 1 to %d letters, digits or . _ : -",
                       AGENTD_TEXT_ID_MAX);
    strcpy(parsed.id, id);
    enum err_code code = parse_service(line, &parsed, err);
    if (code == ERR_NONE)
        code = add_targets(line, false, &parsed, err);
    if (code == ERR_NONE)
        code = add_targets(line, true, &parsed, err);
    if (code == ERR_NONE && parsed.count == 0)
        code = err_set(err, ERR_CONFIG, "from: at least one from= or to= address is needed");
    if (code == ERR_NONE)
        *block = parsed;
    return code;
}

void agentd_block_comment(const struct agentd_block *block, const struct agentd_target *target,
                          char *text)
{
    snprintf(text, AGENTD_COMMENT_SIZE, "%s %s %s", block->id, target->out ? "out" : "in",
             target->address.text);
}

bool agentd_block_count(const struct agentd_block *block, const char *comment, uint64_t packets,
                        uint64_t *counters)
{
    for (uint32_t i = 0; i < block->count; i++) {
        char own[AGENTD_COMMENT_SIZE];
        agentd_block_comment(block, &block->targets[i], own);
        if (strcmp(own, comment) == 0) {
            counters[i] += packets;
            return true;
        }
    }
    return false;
}

enum err_code agentd_connection_parse(const char *text, struct agentd_connection *connection,
                                      struct err *err)
{
    char client[64], server[64], client_port[8], server_port[8], rest[2];
    struct agentd_connection parsed;
    if (sscanf(text, "%63s %7s %63s %7s %1s", client, client_port, server, server_port, rest) !=
            4 ||
        !parse_port(client_port, &parsed.client_port) ||
        !parse_port(server_port, &parsed.server_port))
        return err_set(err, ERR_CONFIG,
                       "--ssh '%s': write 'CLIENT_ADDRESS PORT SERVER_ADDRESS PORT', as in "
                       "$SSH_CONNECTION",
                       text);
    if (agentd_address_parse(client, &parsed.client, err) != ERR_NONE ||
        agentd_address_parse(server, &parsed.server, err) != ERR_NONE)
        return err_wrap(err, "--ssh");
    if (parsed.client.family != parsed.server.family)
        return err_set(err, ERR_CONFIG, "--ssh '%s': one end is IPv4, the other IPv6", text);
    *connection = parsed;
    return ERR_NONE;
}

const struct agentd_firewall_kind *agentd_firewall_kind_named(const char *name)
{
    if (strcmp(name, agentd_firewall_nftables.name) == 0)
        return &agentd_firewall_nftables;
    if (strcmp(name, agentd_firewall_iptables.name) == 0)
        return &agentd_firewall_iptables;
    return NULL;
}

static bool try_kind(struct agentd_firewall *firewall, const struct agentd_firewall_kind *kind)
{
    struct err err = ERR_INIT;
    size_t used = strlen(firewall->reason);
    if (kind->open(firewall, &err) == ERR_NONE) {
        firewall->kind = kind;
        return true;
    }
    snprintf(firewall->reason + used, sizeof firewall->reason - used, "%s%.*s",
             used > 0 ? "; " : "", 240, err.message);
    return false;
}

void agentd_firewall_open(struct agentd_firewall *firewall, enum agentd_firewall_choice choice)
{
    firewall->kind = NULL;
    firewall->netlink_fd = -1;
    firewall->prepared = false;
    firewall->reason[0] = '\0';
    if (choice == AGENTD_FIREWALL_NONE) {
        strcpy(firewall->reason, "--firewall none");
        return;
    }
    if (choice != AGENTD_FIREWALL_IPTABLES && try_kind(firewall, &agentd_firewall_nftables))
        return;
    if (choice != AGENTD_FIREWALL_NFTABLES)
        try_kind(firewall, &agentd_firewall_iptables);
}

void agentd_firewall_close(struct agentd_firewall *firewall)
{
    if (firewall->kind != NULL)
        firewall->kind->close(firewall);
    firewall->kind = NULL;
}
