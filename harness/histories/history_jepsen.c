/* Reading test.jepsen: see history_jepsen.h. */
#include "harness/histories/history_jepsen.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "harness/histories/fressian.h"

enum {
    HEADER_BYTES = 18, /* magic, version, where the index is */
    MAGIC_BYTES = 6,
    BLOCK_BYTES = 28, /* length, check sum, type; 14 of them are never used */
    NESTING_MAX = 8,  /* vectors of vectors of chunks */
};

enum block_type {
    BLOCK_INDEX = 1,
    BLOCK_FRESSIAN = 2,
    BLOCK_PARTIAL_MAP = 3,
    BLOCK_STREAM = 4,
    BLOCK_VECTOR = 5,
};

struct block {
    enum block_type type;
    const uint8_t *data;
    size_t length;
    size_t end; /* where the next one begins */
};

struct reading {
    const uint8_t *bytes;
    size_t length;
    const char *name;
    uint32_t crc_table[256];
    struct history_builder builder;
    struct history *history;
    struct err *err;
    struct block index;
    uint64_t chunks;
    bool damaged; /* something was missing: `why` */
    char why[160];
    enum err_code code; /* what was wrong with an operation */
};

static uint64_t big_endian(const uint8_t *bytes, unsigned count)
{
    uint64_t number = 0;
    for (unsigned i = 0; i < count; i++)
        number = number << 8 | bytes[i];
    return number;
}

/* The CRC-32 of zip files. */
static void crc32_prepare(uint32_t table[256])
{
    for (uint32_t i = 0; i < 256; i++) {
        table[i] = i;
        for (int bit = 0; bit < 8; bit++)
            table[i] = table[i] >> 1 ^ (table[i] & 1 ? UINT32_C(0xedb88320) : 0);
    }
}

static uint32_t crc32_add(const uint32_t table[256], uint32_t crc, const uint8_t *bytes,
                          size_t length)
{
    for (size_t i = 0; i < length; i++)
        crc = crc >> 8 ^ table[(crc ^ bytes[i]) & 0xff];
    return crc;
}

/* A whole block at an offset; false when there is none. */
static bool find_block(const struct reading *reading, uint64_t offset, struct block *block)
{
    if (offset < HEADER_BYTES || offset > reading->length || reading->length - offset < BLOCK_BYTES)
        return false;
    const uint8_t *head = reading->bytes + offset;
    uint64_t length = big_endian(head, 8);
    if (length < BLOCK_BYTES || length > reading->length - offset)
        return false;
    block->type = (enum block_type)big_endian(head + 12, 2);
    block->data = head + BLOCK_BYTES;
    block->length = (size_t)length - BLOCK_BYTES;
    block->end = (size_t)(offset + length);
    uint8_t bare[BLOCK_BYTES] = {0}; /* the sum is over the data, then the head without it */
    memcpy(bare, head, 8);
    memcpy(bare + 12, head + 12, 2);
    uint32_t crc = crc32_add(reading->crc_table, UINT32_MAX, block->data, block->length);
    return ~crc32_add(reading->crc_table, crc, bare, sizeof bare) ==
           (uint32_t)big_endian(head + 8, 4);
}

/* By its number in the index, whose entries are of 12 bytes behind the root's number; the last
 * entry of a number counts. */
static bool find_by_id(const struct reading *reading, uint64_t id, struct block *block)
{
    for (size_t at = reading->index.length; at >= 4 + 12; at -= 12) {
        const uint8_t *entry = reading->index.data + at - 12;
        if (big_endian(entry, 4) == id)
            return find_block(reading, big_endian(entry + 4, 8), block);
    }
    return false;
}

static bool missing(struct reading *reading, const char *what)
{
    if (!reading->damaged)
        snprintf(reading->why, sizeof reading->why, "%s", what);
    reading->damaged = true;
    return false;
}

/* ---- Operations ---- */

/* A map, or a record of any class. False: it makes no sense, and the reading ends. */
static bool add_operation(struct reading *reading, struct value op)
{
    struct event_fields fields;
    const char *problem = NULL;
    if (value_kind(op) == VALUE_TAGGED)
        op = value_at(op, 1);
    if (value_kind(op) != VALUE_MAP)
        problem = "expected an operation (a map)";
    history_builder_begin(&reading->builder, &fields);
    for (size_t i = 0; problem == NULL && i < value_count(op); i += 2) {
        struct value key = value_at(op, i), value = value_at(op, i + 1);
        enum event_field field = value_kind(key) == VALUE_KEYWORD
                                     ? event_field_of(value_as_text(key), value_text_length(key))
                                     : FIELD_COUNT;
        if (field != FIELD_COUNT) {
            fields.given |= 1u << field;
            fields.values[field] = value;
        } else if (!history_builder_extra(&reading->builder, key, value)) {
            problem = "out of memory";
        }
    }
    if (problem == NULL)
        problem = history_builder_add(&reading->builder, &fields);
    if (problem != NULL)
        reading->code = err_set(reading->err, ERR_PARSE, "%s: operation %" PRIu32 ": %s",
                                reading->name, reading->history->count, problem);
    return problem == NULL;
}

/* Values one after another. */
static bool read_stream(struct reading *reading, const struct block *block)
{
    struct fressian fressian;
    bool good = true;
    fressian_init(&fressian, &reading->history->arena, block->data, block->length);
    reading->chunks++;
    while (good && fressian.at < fressian.end) {
        struct value value;
        good = fressian_read(&fressian, &value);
        if (!good) {
            char what[120];
            snprintf(what, sizeof what, "a chunk of the history is no Fressian (%s)",
                     fressian.problem);
            missing(reading, what);
        } else {
            good = add_operation(reading, value);
        }
    }
    fressian_free(&fressian);
    return good;
}

static bool read_vector(struct reading *reading, const struct block *block, unsigned nesting);

/* A block that holds (part of) a history. */
static bool read_part(struct reading *reading, const struct block *block, unsigned nesting)
{
    if (block->type == BLOCK_STREAM)
        return read_stream(reading, block);
    if (block->type == BLOCK_VECTOR && nesting < NESTING_MAX)
        return read_vector(reading, block, nesting + 1);
    if (block->type != BLOCK_FRESSIAN)
        return missing(reading, "the history is in a block of another type");
    struct fressian fressian;
    struct value whole;
    fressian_init(&fressian, &reading->history->arena, block->data, block->length);
    bool good =
        fressian_read(&fressian, &whole) || missing(reading, "the history's block is no Fressian");
    for (size_t i = 0; good && i < value_count(whole); i++)
        good = add_operation(reading, value_at(whole, i));
    fressian_free(&fressian);
    return good;
}

/* How many there are, and for each chunk its first index and its block. */
static bool read_vector(struct reading *reading, const struct block *block, unsigned nesting)
{
    for (size_t at = 8; at + 12 <= block->length; at += 12) {
        struct block part;
        if (!find_by_id(reading, big_endian(block->data + at + 8, 4), &part))
            return missing(reading, "a chunk of the history is missing or damaged");
        if (!read_part(reading, &part, nesting))
            return false;
    }
    return true;
}

/* ---- The test ---- */

/* The test's history: where it is, or itself. nil when the map does not have it. */
static struct value history_of(struct reading *reading, const uint8_t *data, size_t length)
{
    struct fressian fressian;
    struct value test, history = value_nil();
    fressian_init(&fressian, &reading->history->arena, data, length);
    if (fressian_read(&fressian, &test))
        history = value_get(test, "history");
    fressian_free(&fressian);
    return history;
}

static bool read_test(struct reading *reading)
{
    struct block block;
    uint64_t id = big_endian(reading->index.data, 4);
    struct value history = value_nil();
    for (unsigned i = 0; value_is_nil(history) && i < NESTING_MAX; i++) {
        if (id == 0 || !find_by_id(reading, id, &block))
            return missing(reading, "the test's block is missing or damaged");
        bool partial = block.type == BLOCK_PARTIAL_MAP && block.length >= 4;
        id = partial ? big_endian(block.data, 4) : 0; /* the rest of the map */
        history =
            history_of(reading, block.data + (partial ? 4 : 0), block.length - (partial ? 4 : 0));
        if (id == 0)
            break;
    }
    if (value_kind(history) == VALUE_TAGGED &&
        strcmp(value_as_text(value_at(history, 0)), "block-ref") == 0) {
        if (!find_by_id(reading, (uint64_t)value_as_int(value_at(history, 1)), &block))
            return missing(reading, "the history's block is missing or damaged");
        return read_part(reading, &block, 0);
    }
    if (value_kind(history) != VALUE_VECTOR)
        return missing(reading, "the test has no history");
    for (size_t i = 0; i < value_count(history); i++)
        if (!add_operation(reading, value_at(history, i)))
            return false;
    return true;
}

/* Chunks in the order of the file, up to what is no whole block. */
static void read_what_is_whole(struct reading *reading)
{
    struct block block;
    char why[sizeof reading->why];
    memcpy(why, reading->why, sizeof why);
    for (uint64_t at = HEADER_BYTES; find_block(reading, at, &block); at = block.end)
        if (block.type == BLOCK_STREAM && !read_stream(reading, &block))
            break;
    reading->history->cut =
        arena_printf(&reading->history->arena,
                     "%s: read %" PRIu32 " events from the %" PRIu64 " chunks that are whole", why,
                     reading->history->count, reading->chunks);
}

/* What was read before the damage was found is read again from the chunks themselves. */
static void start_over(struct reading *reading, struct history_notes *notes)
{
    const char *format = notes->format;
    history_builder_free(&reading->builder);
    *notes = (struct history_notes){.format = format};
    reading->history->count = 0;
    reading->chunks = 0;
    history_builder_init(&reading->builder, reading->history, notes);
}

enum err_code history_jepsen_read(const void *bytes, size_t length, const char *name,
                                  struct history *history, struct history_notes *notes,
                                  struct err *err)
{
    struct reading reading = {
        .bytes = bytes, .length = length, .name = name, .history = history, .err = err};
    if (length < HEADER_BYTES || memcmp(bytes, "JEPSEN", MAGIC_BYTES) != 0)
        return err_set(err, ERR_PARSE,
                       "%s is no test.jepsen: it does not begin with JEPSEN (for EDN or JSON say "
                       "--from edn, jsonl or json)",
                       name);
    uint64_t version = big_endian(reading.bytes + MAGIC_BYTES, 4);
    if (version > 1)
        return err_set(err, ERR_UNSUPPORTED,
                       "%s: version %" PRIu64 " of Jepsen's format; versions 0 and 1 are known",
                       name, version);
    crc32_prepare(reading.crc_table);
    history_builder_init(&reading.builder, history, notes);
    uint64_t at = big_endian(reading.bytes + MAGIC_BYTES + 4, 8);
    bool good = at != 0 && find_block(&reading, at, &reading.index) &&
                reading.index.type == BLOCK_INDEX && reading.index.length >= 4;
    if (!good)
        missing(&reading, at == 0 ? "the file has no index yet (its test was killed, or goes on)"
                                  : "the index is missing or damaged");
    else
        good = read_test(&reading);
    if (!good && reading.damaged && reading.code == ERR_NONE) {
        start_over(&reading, notes);
        read_what_is_whole(&reading);
    }
    history_builder_free(&reading.builder);
    return reading.code;
}
