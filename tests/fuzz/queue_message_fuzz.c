/* Peers' raft messages and memberships: decoding never crashes, and what it lets through is what
 * encoding it again gives. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "queue/raft.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void try_config(const uint8_t *data, size_t size)
{
    struct raft_config config, again;
    char bytes[RAFT_CONFIG_BYTES_MAX];
    if (!raft_config_decode(data, size, &config))
        return;
    assert(raft_config_voters(&config) > 0 && config.count <= RAFT_MEMBERS_MAX);
    size_t length = raft_config_encode(&config, bytes);
    assert(length == size && memcmp(bytes, data, size) == 0);
    assert(raft_config_decode(bytes, length, &again));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct raft_decoded decoded, again;
    try_config(data, size);
    const char *wrong = raft_message_decode(data, size, &decoded);
    if (wrong != NULL) {
        assert(wrong[0] != '\0');
        return 0;
    }
    size_t length = raft_message_size(&decoded.message);
    char *bytes = malloc(length + 1);
    assert(bytes != NULL);
    raft_message_encode(&decoded.message, bytes);
    assert(raft_message_decode(bytes, length, &again) == NULL);
    assert(again.message.type == decoded.message.type &&
           again.message.from == decoded.message.from);
    assert(again.message.entry_count == decoded.message.entry_count);
    assert(again.message.length == decoded.message.length);
    for (uint32_t i = 0; i < again.message.entry_count; i++) {
        assert(again.entries[i].index == decoded.entries[i].index);
        assert(again.entries[i].length == decoded.entries[i].length);
        assert(again.entries[i].length == 0 ||
               memcmp(again.entries[i].data, decoded.entries[i].data, again.entries[i].length) ==
                   0);
    }
    free(bytes);
    return 0;
}
