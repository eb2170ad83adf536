/* What Redis' replies mean.
 *
 * FAIL says that the command never takes effect; said wrongly once, it convicts an innocent Redis.
 * So FAIL is for errors that Redis gives before it runs a command (in processCommand, or because of
 * a key's type), and everything else is INFO. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/base/text.h"
#include "workloads/systems/redis/redis_system.h"

static const struct {
    const char *text;
    enum op_type type;
    const char *error;
} rows[] = {
    {"READONLY ", OP_FAIL, "read-only"},
    {"LOADING ", OP_FAIL, "loading"},
    {"MASTERDOWN ", OP_FAIL, "primary-down"},
    {"NOREPLICAS ", OP_FAIL, "no-replicas"},
    {"CLUSTERDOWN ", OP_FAIL, "cluster-down"},
    {"MOVED ", OP_FAIL, "moved"},
    {"ASK ", OP_FAIL, "asked-elsewhere"},
    {"TRYAGAIN ", OP_FAIL, "try-again"},
    {"CROSSSLOT ", OP_FAIL, "cross-slot"},
    /* Writes are refused since the disk failed before; the write that found it out is not told. */
    {"MISCONF ", OP_FAIL, "misconfigured"},
    {"OOM ", OP_FAIL, "out-of-memory"},
    {"BUSY ", OP_FAIL, "busy"},
    {"NOAUTH ", OP_FAIL, "not-authenticated"},
    {"NOPERM ", OP_FAIL, "not-permitted"},
    {"WRONGTYPE ", OP_FAIL, "wrong-type"},
    {"ERR unknown command", OP_FAIL, "unsupported"},
    {"ERR wrong number of arguments", OP_FAIL, "bad-request"},
    {"ERR syntax error", OP_FAIL, "bad-request"},
    {"ERR value is not an integer", OP_FAIL, "bad-request"},
    {"ERR increment or decrement would overflow", OP_FAIL, "overflow"},
    {"ERR max number of clients reached", OP_FAIL, "too-many-clients"},
    /* Of a command that waits when its server becomes a replica: it may have been run. */
    {"UNBLOCKED ", OP_INFO, "unblocked"},
};

struct redis_meaning redis_error_meaning(const char *message)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (text_starts(message, rows[i].text))
            return (struct redis_meaning){rows[i].type, rows[i].error};
    return (struct redis_meaning){OP_INFO, "unexpected-reply"};
}

/* CRC16 (CCITT, from 0) of the key, or of what is between its first { and the next }. */
uint16_t redis_slot(const char *key, size_t length)
{
    const char *open = memchr(key, '{', length);
    const char *close =
        open == NULL ? NULL : memchr(open + 1, '}', length - (size_t)(open + 1 - key));
    if (close != NULL && close > open + 1) {
        key = open + 1;
        length = (size_t)(close - key);
    }
    uint16_t crc = 0;
    for (size_t i = 0; i < length; i++) {
        crc ^= (uint16_t)((uint16_t)(unsigned char)key[i] << 8);
        for (int bit = 0; bit < 8; bit++)
            crc = (uint16_t)((crc & 0x8000) != 0 ? (crc << 1) ^ 0x1021 : crc << 1);
    }
    return crc & 16383;
}

bool redis_moved(const char *message, uint16_t *slot, char ip[64], uint16_t *port)
{
    unsigned number, at;
    char where[96];
    if (sscanf(message, "MOVED %u %95s", &number, where) != 2 || number > 16383)
        return false;
    char *colon = strrchr(where, ':'); /* an IPv6 address has colons of its own */
    if (colon == NULL || sscanf(colon + 1, "%u", &at) != 1 || at > UINT16_MAX ||
        colon - where >= 64)
        return false;
    *colon = '\0';
    memcpy(ip, where, (size_t)(colon - where) + 1);
    *slot = (uint16_t)number;
    *port = (uint16_t)at;
    return true;
}

struct value redis_parse_value(const char *text, size_t length, struct arena *scratch)
{
    long long integer = strtoll(text, NULL, 10);
    char plain[32]; /* how a client would have written it */
    int plain_length = snprintf(plain, sizeof plain, "%lld", integer);
    if (length == (size_t)plain_length && memcmp(text, plain, length) == 0)
        return value_int(scratch, integer);
    return value_text(scratch, VALUE_STRING, text, length);
}
