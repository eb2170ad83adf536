/* The frame of history.ordeal: its first bytes and the heads of its blocks. See history_file.h. */
#include <inttypes.h>
#include <string.h>

#include "harness/base/clock.h"
#include "harness/base/crc32c.h"
#include "harness/base/json.h"
#include "harness/histories/history_file.h"

#ifndef ORDEAL_VERSION
#define ORDEAL_VERSION "0"
#endif

/* The version is the last four bytes. The carriage return shows files that passed through something
 * that changes line ends. */
const unsigned char history_file_magic[HISTORY_MAGIC_BYTES] = {
    'o', 'r', 'd', 'e', 'a', 'l', '-', 'h', 'i', 's', '\r', '\n', HISTORY_VERSION, 0, 0, 0,
};

static const unsigned char block_magic[4] = {0xb1, 'O', 'R', 'D'};

static void put_u32(unsigned char *at, uint32_t number)
{
    for (int i = 0; i < 4; i++)
        at[i] = (unsigned char)(number >> (8 * i));
}

static uint32_t get_u32(const unsigned char *at)
{
    return at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

static uint32_t check_sum(const unsigned char *bytes, const void *payload, size_t length)
{
    return crc32c(crc32c(0, bytes, HISTORY_BLOCK_BYTES - 4), payload, length);
}

void history_block_seal(const struct history_block_head *head, const void *payload,
                        unsigned char bytes[HISTORY_BLOCK_BYTES])
{
    memset(bytes, 0, HISTORY_BLOCK_BYTES);
    memcpy(bytes, block_magic, sizeof block_magic);
    bytes[4] = (unsigned char)head->type;
    put_u32(bytes + 8, head->payload_bytes);
    put_u32(bytes + 12, head->count);
    put_u32(bytes + 16, head->first);
    put_u32(bytes + 20, check_sum(bytes, payload, head->payload_bytes));
}

bool history_block_parse(const unsigned char bytes[HISTORY_BLOCK_BYTES],
                         struct history_block_head *head)
{
    if (memcmp(bytes, block_magic, sizeof block_magic) != 0 || bytes[4] < HISTORY_BLOCK_HEADER ||
        bytes[4] > HISTORY_BLOCK_END || bytes[5] != 0 || bytes[6] != 0 || bytes[7] != 0)
        return false;
    *head = (struct history_block_head){
        .type = (enum history_block)bytes[4],
        .payload_bytes = get_u32(bytes + 8),
        .count = get_u32(bytes + 12),
        .first = get_u32(bytes + 16),
    };
    return true;
}

bool history_block_intact(const unsigned char bytes[HISTORY_BLOCK_BYTES], const void *payload,
                          size_t length)
{
    return get_u32(bytes + 20) == check_sum(bytes, payload, length);
}

void history_header_add(struct buf *out, const char *test, int64_t started_wall_ns, uint64_t seed)
{
    char started[40];
    clock_format_utc(started_wall_ns, started, sizeof started);
    struct json *header = json_object();
    json_set_text(header, "test", test);
    json_set_text(header, "started", started);
    json_set_int(header, "seed", (int64_t)seed);
    json_set_text(header, "version", ORDEAL_VERSION);
    json_print(header, JSON_COMPACT, out);
    json_free(header);
}
