/* Peers' messages and memberships as bytes. Decoding trusts nothing: every length is checked before
 * it is used, and what it lets through keeps the promises that raft.h makes about messages. */
#include "queue/raft.h"

#include <assert.h>
#include <string.h>

enum {
    WIRE_VERSION = 1,
    HEADER_BYTES = 4 + 2 * 4 + 9 * 8 + 3 * 4,
    ENTRY_HEADER_BYTES = 8 + 4 + 4,
};
_Static_assert((int)HEADER_BYTES <= (int)RAFT_MESSAGE_HEADER_BYTES_MAX - (int)RAFT_CONFIG_BYTES_MAX,
               "the header fits");

static uint8_t *put(uint8_t *at, uint64_t value, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++) {
        at[i] = (uint8_t)(value >> (8 * i));
    }
    return at + bytes;
}

/* What is left to read. A read past the end gives 0 and remembers that it failed. */
struct reader {
    const uint8_t *at;
    size_t left;
    bool failed;
};

static const uint8_t *take(struct reader *reader, size_t bytes)
{
    if (reader->failed || bytes > reader->left) {
        reader->failed = true;
        return NULL;
    }
    const uint8_t *at = reader->at;
    reader->at += bytes;
    reader->left -= bytes;
    return at;
}

static uint64_t get(struct reader *reader, size_t bytes)
{
    const uint8_t *at = take(reader, bytes);
    uint64_t value = 0;
    for (size_t i = 0; at && i < bytes; i++) {
        value |= (uint64_t)at[i] << (8 * i);
    }
    return value;
}

size_t raft_config_encode(const struct raft_config *config, void *bytes)
{
    uint8_t *at = put(bytes, config->count, 1);
    for (uint32_t i = 0; i < config->count; i++) {
        const struct raft_member *member = &config->members[i];
        size_t length = strnlen(member->address, RAFT_ADDRESS_BYTES - 1);
        at = put(at, member->node, 4);
        at = put(at, member->disk, 8);
        at = put(at, member->standing, 1);
        at = put(at, length, 1);
        memcpy(at, member->address, length);
        at += length;
    }
    return (size_t)(at - (uint8_t *)bytes);
}

static bool member_decode(struct reader *reader, struct raft_member *member)
{
    memset(member, 0, sizeof *member);
    member->node = (uint32_t)get(reader, 4);
    member->disk = get(reader, 8);
    uint64_t standing = get(reader, 1);
    size_t length = get(reader, 1);
    if (length >= RAFT_ADDRESS_BYTES) {
        return false;
    }
    const uint8_t *address = take(reader, length);
    if (!address || member->node == 0 || member->disk == 0 || standing < RAFT_VOTER ||
        standing > RAFT_LEARNER || memchr(address, 0, length)) {
        return false;
    }
    member->standing = (enum raft_standing)standing;
    memcpy(member->address, address, length);
    return true;
}

bool raft_config_decode(const void *bytes, size_t length, struct raft_config *config)
{
    struct reader reader = {.at = bytes, .left = length};
    struct raft_config decoded = {.count = (uint32_t)get(&reader, 1)};
    if (decoded.count > RAFT_MEMBERS_MAX) {
        return false;
    }
    for (uint32_t i = 0; i < decoded.count; i++) {
        struct raft_member member;
        if (!member_decode(&reader, &member)) {
            return false;
        }
        for (uint32_t j = 0; j < i; j++) {
            if (decoded.members[j].node == member.node || decoded.members[j].disk == member.disk) {
                return false;
            }
        }
        decoded.members[i] = member;
    }
    if (reader.failed || reader.left > 0 || raft_config_voters(&decoded) == 0) {
        return false;
    }
    *config = decoded;
    return true;
}

const struct raft_member *raft_config_find(const struct raft_config *config, uint32_t node)
{
    for (uint32_t i = 0; i < config->count; i++) {
        if (config->members[i].node == node) {
            return &config->members[i];
        }
    }
    return NULL;
}

uint32_t raft_config_voters(const struct raft_config *config)
{
    uint32_t voters = 0;
    for (uint32_t i = 0; i < config->count; i++) {
        voters += config->members[i].standing == RAFT_VOTER;
    }
    return voters;
}

size_t raft_message_size(const struct raft_message *message)
{
    size_t size = HEADER_BYTES + message->length;
    if (message->config) {
        uint8_t bytes[RAFT_CONFIG_BYTES_MAX];
        size += raft_config_encode(message->config, bytes);
    }
    for (uint32_t i = 0; i < message->entry_count; i++) {
        size += ENTRY_HEADER_BYTES + message->entries[i].length;
    }
    return size;
}

static uint8_t *entries_encode(const struct raft_message *message, uint8_t *at)
{
    for (uint32_t i = 0; i < message->entry_count; i++) {
        const struct entry *entry = &message->entries[i];
        at = put(at, entry->term, 8);
        at = put(at, entry->type, 4);
        at = put(at, entry->length, 4);
        if (entry->length > 0) {
            memcpy(at, entry->data, entry->length);
        }
        at += entry->length;
    }
    return at;
}

void raft_message_encode(const struct raft_message *message, void *bytes)
{
    uint8_t config[RAFT_CONFIG_BYTES_MAX];
    size_t config_length = message->config ? raft_config_encode(message->config, config) : 0;
    uint8_t *at = bytes;
    at = put(at, WIRE_VERSION, 1);
    at = put(at, message->type, 1);
    at = put(at, message->flags, 2);
    at = put(at, message->from, 4);
    at = put(at, message->to, 4);
    const uint64_t words[] = {message->from_disk, message->to_disk,  message->term,
                              message->index,     message->log_term, message->hint,
                              message->commit,    message->round,    message->offset};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        at = put(at, words[i], 8);
    }
    at = put(at, message->entry_count, 4);
    at = put(at, config_length, 4);
    at = put(at, message->length, 4);
    memcpy(at, config, config_length);
    at = entries_encode(message, at + config_length);
    if (message->length > 0) {
        memcpy(at, message->data, message->length);
    }
}

/* Entries of a leader: without gaps by construction, in terms that never fall, nor pass the
 * leader's. */
static const char *entries_decode(struct reader *reader, struct raft_decoded *decoded)
{
    struct raft_message *message = &decoded->message;
    uint64_t term = message->log_term;
    for (uint32_t i = 0; i < message->entry_count; i++) {
        struct entry *entry = &decoded->entries[i];
        *entry = (struct entry){.index = message->index + 1 + i, .term = get(reader, 8)};
        entry->type = (uint32_t)get(reader, 4);
        entry->length = (uint32_t)get(reader, 4);
        entry->data = take(reader, entry->length);
        if (reader->failed) {
            return "entries are cut short";
        }
        if (entry->term == 0 || entry->term < term || entry->term > message->term) {
            return "an entry's term cannot be";
        }
        struct raft_config config;
        if (entry->type < ENTRY_NOOP || entry->type > ENTRY_CONFIG ||
            (entry->type == ENTRY_CONFIG &&
             !raft_config_decode(entry->data, entry->length, &config))) {
            return "an entry is of no known type, or no membership";
        }
        term = entry->term;
    }
    message->entries = decoded->entries;
    return NULL;
}

static const char *body_decode(struct reader *reader, size_t config_length,
                               struct raft_decoded *decoded)
{
    struct raft_message *message = &decoded->message;
    const uint8_t *config = take(reader, config_length);
    if (!config ||
        (config_length > 0 && !raft_config_decode(config, config_length, &decoded->config))) {
        return "the membership cannot be read";
    }
    message->config = config_length > 0 ? &decoded->config : NULL;
    const char *problem = entries_decode(reader, decoded);
    if (problem) {
        return problem;
    }
    message->data = take(reader, message->length);
    if (reader->failed || reader->left > 0) {
        return "its length is not as it says";
    }
    return NULL;
}

static const char *header_check(const struct raft_message *message, size_t config_length)
{
    bool append = message->type == RAFT_MESSAGE_APPEND;
    bool snapshot = message->type == RAFT_MESSAGE_SNAPSHOT;
    if (message->type < RAFT_MESSAGE_PREVOTE || message->type >= RAFT_MESSAGE_TYPES) {
        return "of no known type";
    }
    if (message->from == 0 || message->from_disk == 0) {
        return "from nobody";
    }
    if (message->entry_count > (append ? RAFT_MESSAGE_ENTRIES_MAX : 0)) {
        return "too many entries";
    }
    if ((config_length > 0) != snapshot || (message->length > 0 && !snapshot)) {
        return "parts that its type does not have";
    }
    if (message->log_term > message->term && (append || snapshot)) {
        return "the log is ahead of its leader";
    }
    if (snapshot && (message->index == 0 || message->log_term == 0)) {
        return "a snapshot of nothing";
    }
    const uint64_t far = UINT64_MAX / 2; /* sums of what a message says must not wrap around */
    if (message->index > far || message->term > far || message->offset > far) {
        return "numbers beyond all bounds";
    }
    return NULL;
}

const char *raft_message_decode(const void *bytes, size_t length, struct raft_decoded *decoded)
{
    struct reader reader = {.at = bytes, .left = length};
    if (length < HEADER_BYTES) {
        return "shorter than a header";
    }
    if (get(&reader, 1) != WIRE_VERSION) {
        return "of another version";
    }
    struct raft_message *message = &decoded->message;
    memset(message, 0, sizeof *message);
    message->type = (enum raft_message_type)get(&reader, 1);
    message->flags = (uint32_t)get(&reader, 2);
    message->from = (uint32_t)get(&reader, 4);
    message->to = (uint32_t)get(&reader, 4);
    uint64_t *const words[] = {&message->from_disk, &message->to_disk,  &message->term,
                               &message->index,     &message->log_term, &message->hint,
                               &message->commit,    &message->round,    &message->offset};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        *words[i] = get(&reader, 8);
    }
    message->entry_count = (uint32_t)get(&reader, 4);
    size_t config_length = get(&reader, 4);
    message->length = (uint32_t)get(&reader, 4);
    const char *problem = header_check(message, config_length);
    return problem ? problem : body_decode(&reader, config_length, decoded);
}
