/* Reading history.ordeal, whole or in pieces, damaged or not: see history_file.h. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "harness/histories/history_reader.h"

enum {
    SCAN_BYTES = 8 << 20,     /* how far behind damage whole blocks are looked for */
    SCAN_CANDIDATES_MAX = 64, /* check sums computed on the way */
};

enum err_code history_read_at(const struct history_reader *reader, uint64_t offset, void *bytes,
                              size_t length, size_t *got, struct err *err)
{
    *got = 0;
    while (*got < length) {
        ssize_t now =
            pread(reader->fd, (char *)bytes + *got, length - *got, (off_t)(offset + *got));
        if (now < 0 && errno == EINTR)
            continue;
        if (now < 0)
            return err_errno(err, errno, "read %s", reader->name);
        if (now == 0)
            break;
        *got += (size_t)now;
    }
    return ERR_NONE;
}

static bool reserve_payload(struct history_reader *reader, size_t length)
{
    if (length <= reader->payload_capacity)
        return true;
    unsigned char *payload = realloc(reader->payload, length);
    if (payload == NULL)
        return false;
    reader->payload = payload;
    reader->payload_capacity = length;
    return true;
}

uint64_t history_reader_bytes(const struct history_reader *reader)
{
    struct stat status;
    return fstat(reader->fd, &status) == 0 && status.st_size > 0 ? (uint64_t)status.st_size : 0;
}

enum block_state { BLOCK_WHOLE, BLOCK_NONE, BLOCK_TORN, BLOCK_DAMAGED };

/* Loads the block at reader->offset: its head into *head, its payload into reader->payload. */
static enum err_code load_block(struct history_reader *reader, enum block_state *state,
                                struct history_block_head *head, struct err *err)
{
    unsigned char bytes[HISTORY_BLOCK_BYTES];
    size_t got;
    enum err_code code = history_read_at(reader, reader->offset, bytes, sizeof bytes, &got, err);
    *state = got == 0 ? BLOCK_NONE : BLOCK_TORN;
    if (code != ERR_NONE || got < sizeof bytes)
        return code;
    *state = BLOCK_DAMAGED;
    if (!history_block_parse(bytes, head))
        return ERR_NONE;
    *state = BLOCK_TORN; /* before memory is asked for on the word of a damaged head */
    if (history_reader_bytes(reader) < reader->offset + sizeof bytes + head->payload_bytes)
        return ERR_NONE;
    if (!reserve_payload(reader, head->payload_bytes))
        return err_set(err, ERR_NOMEM, "%s: out of memory for a block of %" PRIu32 " bytes",
                       reader->name, head->payload_bytes);
    code = history_read_at(reader, reader->offset + sizeof bytes, reader->payload,
                           head->payload_bytes, &got, err);
    if (code != ERR_NONE || got < head->payload_bytes)
        return code;
    *state = history_block_intact(bytes, reader->payload, got) ? BLOCK_WHOLE : BLOCK_DAMAGED;
    return ERR_NONE;
}

/* Whether a whole block begins at one of the bytes behind the damaged one. */
static bool block_follows(struct history_reader *reader)
{
    uint64_t from = reader->offset + 1, end = history_reader_bytes(reader);
    unsigned char magic[HISTORY_BLOCK_BYTES];
    history_block_seal(&(struct history_block_head){.type = HISTORY_BLOCK_DATA}, NULL, magic);
    if (end <= from)
        return false;
    size_t got, length = end - from < SCAN_BYTES ? (size_t)(end - from) : SCAN_BYTES;
    unsigned char *window = malloc(length);
    if (window == NULL || history_read_at(reader, from, window, length, &got, NULL) != ERR_NONE)
        got = 0;
    bool found = false;
    int candidates = 0;
    for (size_t at = 0; !found && candidates < SCAN_CANDIDATES_MAX;) {
        unsigned char *next = got > at ? memmem(window + at, got - at, magic, 4) : NULL;
        if (next == NULL)
            break;
        at = (size_t)(next - window) + 1;
        size_t rest = got - (at - 1);
        struct history_block_head head;
        if (rest < HISTORY_BLOCK_BYTES || !history_block_parse(next, &head) ||
            head.payload_bytes > rest - HISTORY_BLOCK_BYTES)
            continue;
        candidates++;
        found = history_block_intact(next, next + HISTORY_BLOCK_BYTES, head.payload_bytes);
    }
    free(window);
    return found;
}

static void cut_start(struct history_reader *reader)
{
    buf_clear(&reader->cut);
}

static void cut_end(struct history_reader *reader)
{
    buf_printf(&reader->cut, ": read %" PRIu64 " events up to there", reader->event_count);
}

static void tell_cut(struct history_reader *reader, enum block_state state)
{
    uint64_t number = reader->block_count + 1;
    cut_start(reader);
    if (state == BLOCK_NONE)
        buf_add_text(&reader->cut, "the file has no end mark (its run was killed, or goes on)");
    else if (block_follows(reader))
        buf_printf(&reader->cut,
                   "block %" PRIu64 " (byte %" PRIu64
                   ") is damaged, and the whole blocks behind it are not used",
                   number, reader->offset);
    else if (state == BLOCK_TORN)
        buf_printf(&reader->cut,
                   "the file ends in the middle of block %" PRIu64 " (byte %" PRIu64 ")", number,
                   reader->offset);
    else
        buf_printf(&reader->cut,
                   "block %" PRIu64 " (byte %" PRIu64 ") is damaged, and no whole block follows",
                   number, reader->offset);
    cut_end(reader);
}

static uint64_t get_u64(const unsigned char *bytes)
{
    uint64_t number = 0;
    for (int i = 7; i >= 0; i--)
        number = number << 8 | bytes[i];
    return number;
}

static void check_end(struct history_reader *reader, const struct history_block_head *head)
{
    reader->ended = true;
    buf_clear(&reader->cut);
    if (head->payload_bytes < 16 || get_u64(reader->payload) != reader->event_count ||
        get_u64(reader->payload + 8) != reader->data_blocks) {
        buf_printf(&reader->cut, "the end mark (byte %" PRIu64 ") counts other events",
                   reader->offset);
        cut_end(reader);
        return;
    }
    uint64_t behind = reader->offset + HISTORY_BLOCK_BYTES + head->payload_bytes;
    if (history_reader_bytes(reader) > behind) {
        buf_printf(&reader->cut, "bytes behind the end mark (byte %" PRIu64 ") are not used",
                   behind);
        cut_end(reader);
    }
}

static void step_over(struct history_reader *reader, const struct history_block_head *head)
{
    reader->offset += HISTORY_BLOCK_BYTES + head->payload_bytes;
    reader->block_count++;
}

static void take_header(struct history_reader *reader, const struct history_block_head *head)
{
    buf_clear(&reader->header);
    buf_add(&reader->header, reader->payload, head->payload_bytes);
    step_over(reader, head);
}

enum err_code history_reader_next(struct history_reader *reader, struct history *history,
                                  bool *more, struct err *err)
{
    *more = false;
    while (!reader->ended) {
        struct history_block_head head;
        enum block_state state;
        enum err_code code = load_block(reader, &state, &head, err);
        if (code != ERR_NONE)
            return code;
        if (state == BLOCK_WHOLE && head.type == HISTORY_BLOCK_HEADER) {
            take_header(reader, &head);
            continue;
        }
        if (state == BLOCK_WHOLE && head.type == HISTORY_BLOCK_END) {
            check_end(reader, &head);
            return ERR_NONE;
        }
        if (state == BLOCK_WHOLE && head.first != (uint32_t)reader->event_count)
            state = BLOCK_DAMAGED; /* a block was lost, or put in from another file */
        if (state == BLOCK_WHOLE && !record_decode(&reader->decoder, reader->payload,
                                                   head.payload_bytes, head.count, history, &code))
            state = BLOCK_DAMAGED;
        if (code != ERR_NONE)
            return err_set(err, code, "%s: out of memory after %" PRIu64 " events", reader->name,
                           reader->event_count);
        if (state != BLOCK_WHOLE) {
            tell_cut(reader, state);
            return ERR_NONE;
        }
        step_over(reader, &head);
        reader->first = reader->event_count;
        reader->event_count += head.count;
        reader->data_blocks++;
        *more = true;
        return ERR_NONE;
    }
    return ERR_NONE;
}

static enum err_code check_magic(struct history_reader *reader, struct err *err)
{
    unsigned char bytes[HISTORY_MAGIC_BYTES];
    size_t got;
    enum err_code code = history_read_at(reader, 0, bytes, sizeof bytes, &got, err);
    if (code != ERR_NONE)
        return code;
    enum { VERSION_AT = HISTORY_MAGIC_BYTES - 4 };
    if (got < sizeof bytes || memcmp(bytes, history_file_magic, VERSION_AT) != 0)
        return err_set(err, ERR_PARSE,
                       "%s is not an ordeal history: its first 16 bytes are others (for EDN or "
                       "JSON say --from edn, jsonl or json)",
                       reader->name);
    if (memcmp(bytes + VERSION_AT, history_file_magic + VERSION_AT, 4) != 0)
        return err_set(err, ERR_UNSUPPORTED,
                       "%s is an ordeal history of another version (%u): this program reads "
                       "version %d",
                       reader->name, bytes[VERSION_AT], HISTORY_VERSION);
    reader->offset = HISTORY_MAGIC_BYTES;
    return ERR_NONE;
}

enum err_code history_reader_open_fd(int fd, const char *name, struct history_reader **reader,
                                     struct err *err)
{
    struct history_reader *made = calloc(1, sizeof *made);
    char *copy = strdup(name);
    if (made == NULL || copy == NULL) {
        free(made);
        free(copy);
        return err_set(err, ERR_NOMEM, "%s: out of memory for its reader", name);
    }
    made->fd = fd;
    made->name = copy;
    record_decoder_init(&made->decoder);
    enum err_code code = check_magic(made, err);
    enum block_state state = BLOCK_NONE;
    struct history_block_head head;
    if (code == ERR_NONE)
        code = load_block(made, &state, &head, err);
    if (code != ERR_NONE) {
        history_reader_close(made);
        return code;
    }
    if (state == BLOCK_WHOLE && head.type == HISTORY_BLOCK_HEADER)
        take_header(made, &head);
    *reader = made;
    return ERR_NONE;
}

enum err_code history_reader_open(const char *path, struct history_reader **reader, struct err *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return err_errno(err, errno, "%s", path);
    enum err_code code = history_reader_open_fd(fd, path, reader, err);
    if (code == ERR_NONE)
        (*reader)->owns_fd = true;
    else
        close(fd);
    return code;
}

const char *history_reader_header(const struct history_reader *reader)
{
    return reader->header.length == 0 ? "{}" : reader->header.data;
}

uint64_t history_reader_first(const struct history_reader *reader)
{
    return reader->first;
}

const char *history_reader_cut(const struct history_reader *reader)
{
    return reader->cut.length == 0 ? NULL : reader->cut.data;
}

void history_reader_close(struct history_reader *reader)
{
    if (reader == NULL)
        return;
    if (reader->owns_fd)
        close(reader->fd);
    record_decoder_free(&reader->decoder);
    free(reader->payload);
    buf_free(&reader->header);
    buf_free(&reader->cut);
    free(reader->name);
    free(reader);
}

static enum err_code read_all(struct history_reader *reader, struct history *history,
                              struct err *err)
{
    enum err_code code = history_reader_rest(reader, history, err);
    if (code == ERR_NONE && history_reader_cut(reader) != NULL)
        history->cut = arena_strdup(&history->arena, history_reader_cut(reader));
    return code;
}

enum err_code history_file_read_fd(int fd, const char *name, struct history *history,
                                   struct err *err)
{
    struct history_reader *reader;
    enum err_code code = history_reader_open_fd(fd, name, &reader, err);
    if (code != ERR_NONE)
        return code;
    code = read_all(reader, history, err);
    history_reader_close(reader);
    return code;
}

enum err_code history_file_read(const char *path, struct history *history, struct err *err)
{
    struct history_reader *reader;
    enum err_code code = history_reader_open(path, &reader, err);
    if (code != ERR_NONE)
        return code;
    code = read_all(reader, history, err);
    history_reader_close(reader);
    return code;
}
