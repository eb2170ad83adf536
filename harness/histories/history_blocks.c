/* Reading many blocks of history.ordeal at once: see history_reader.h.
 *
 * A window of blocks is found by their heads, which say how many events each holds, so that each
 * block's events have their place before any is decoded. Workers then decode them in any order,
 * each with a copy of the decoder as it was before the window and an arena of its own. A block that
 * is not plain (it names something, its events have extra keys, it is damaged) ends the window: it
 * and what follows are read again, that one block by history_reader_next. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "harness/base/processors.h"
#include "harness/histories/history_reader.h"

enum { WINDOW_MIN = 8, WINDOW_MAX = 128, WORKERS_MAX = 4, SERIAL_MAX = 64 };

/* Blocks differ: how much more room is made than the first of them would have it. */
static const double RESERVE = 1.0625;

struct piece {
    uint64_t offset;
    uint32_t payload_bytes, count, base; /* base: index of its first event in the history */
    uint32_t worker;
    bool good;
};

struct window {
    const struct history_reader *reader;
    struct piece pieces[WINDOW_MAX];
    uint32_t count, events;
    atomic_uint next;
};

/* Decodes into the columns of the whole history, and into an arena of its own. */
struct worker {
    struct window *window;
    const struct history *whole;
    uint32_t number;
    struct history part;
    struct record_decoder decoder;
    unsigned char *bytes;
    size_t capacity;
    pthread_t thread;
};

/* ---- One block ---- */

static void aim(struct worker *worker, uint32_t base, uint32_t count)
{
    const struct history *whole = worker->whole;
    struct history *part = &worker->part;
    part->type = whole->type + base;
    part->f = whole->f + base;
    part->process = whole->process + base;
    part->value = whole->value + base;
    part->time_ns = whole->time_ns + base;
    part->error = whole->error + base;
    part->count = 0;
    part->capacity = count;
}

static bool load(struct worker *worker, const struct piece *piece)
{
    size_t length = HISTORY_BLOCK_BYTES + (size_t)piece->payload_bytes, got;
    if (length > worker->capacity) {
        free(worker->bytes);
        worker->bytes = malloc(length);
        worker->capacity = worker->bytes == NULL ? 0 : length;
    }
    return worker->bytes != NULL &&
           history_read_at(worker->window->reader, piece->offset, worker->bytes, length, &got,
                           NULL) == ERR_NONE &&
           got == length &&
           history_block_intact(worker->bytes, worker->bytes + HISTORY_BLOCK_BYTES,
                                piece->payload_bytes);
}

static void decode(struct worker *worker, struct piece *piece)
{
    enum err_code code;
    if (!load(worker, piece))
        return;
    aim(worker, piece->base, piece->count);
    piece->worker = worker->number;
    piece->good = record_decode(&worker->decoder, worker->bytes + HISTORY_BLOCK_BYTES,
                                piece->payload_bytes, piece->count, &worker->part, &code) &&
                  worker->part.extra == NULL;
    free(worker->part.extra);
    worker->part.extra = NULL;
}

static void *work(void *argument)
{
    struct worker *worker = argument;
    struct window *window = worker->window;
    for (unsigned i; (i = atomic_fetch_add(&window->next, 1)) < window->count;)
        decode(worker, &window->pieces[i]);
    return NULL;
}

/* ---- A window of them ---- */

static void find_window(const struct history_reader *reader, uint32_t most, uint32_t base,
                        struct window *window)
{
    uint64_t offset = reader->offset, end = history_reader_bytes(reader);
    window->reader = reader;
    window->count = window->events = 0;
    atomic_init(&window->next, 0);
    while (window->count < most) {
        unsigned char bytes[HISTORY_BLOCK_BYTES];
        struct history_block_head head;
        size_t got;
        if (history_read_at(reader, offset, bytes, sizeof bytes, &got, NULL) != ERR_NONE ||
            got < sizeof bytes || !history_block_parse(bytes, &head) ||
            head.type != HISTORY_BLOCK_DATA || head.count > head.payload_bytes ||
            head.payload_bytes > end - offset ||
            head.first != (uint32_t)(reader->event_count + window->events))
            return;
        window->pieces[window->count++] = (struct piece){.offset = offset,
                                                         .payload_bytes = head.payload_bytes,
                                                         .count = head.count,
                                                         .base = base + window->events};
        window->events += head.count;
        offset += HISTORY_BLOCK_BYTES + head.payload_bytes;
    }
}

/* Names get their numbers in the order in which they were defined, as they would one by one. */
static void share_tables(struct worker *worker, const struct history_reader *reader,
                         const struct history *whole)
{
    record_decoder_follow(&worker->decoder, &reader->decoder);
    worker->part.f_names = whole->f_names;
    worker->part.f_count = whole->f_count;
    worker->part.process_names = whole->process_names;
    worker->part.process_name_count = whole->process_name_count;
    worker->whole = whole;
}

/* A worker's errors have numbers of its own: to those of the history. */
static void take_errors(const struct worker *worker, const struct piece *piece,
                        struct history *whole)
{
    for (uint32_t i = piece->base; worker->part.error_count > 1 && i < piece->base + piece->count;
         i++)
        if (whole->error[i] != 0) {
            uint32_t known = whole->error[i];
            whole->error[i] = history_error(whole, worker->part.errors[known]);
        }
}

/* The number of blocks that were read, from the window's first on. */
static uint32_t read_window(struct history_reader *reader, struct history *whole,
                            struct window *window, struct worker *workers, uint32_t worker_count)
{
    record_decoder_resolve(&reader->decoder, whole);
    for (uint32_t i = 0; i < worker_count; i++) {
        workers[i].window = window;
        share_tables(&workers[i], reader, whole);
    }
    uint32_t started = 1;
    while (started < worker_count &&
           pthread_create(&workers[started].thread, NULL, work, &workers[started]) == 0)
        started++;
    work(&workers[0]);
    for (uint32_t i = 1; i < started; i++)
        pthread_join(workers[i].thread, NULL);
    uint32_t read = 0;
    for (; read < window->count && window->pieces[read].good; read++) {
        const struct piece *piece = &window->pieces[read];
        take_errors(&workers[piece->worker], piece, whole);
        whole->count += piece->count;
        reader->first = reader->event_count;
        reader->event_count += piece->count;
        reader->offset += HISTORY_BLOCK_BYTES + piece->payload_bytes;
        reader->block_count++;
        reader->data_blocks++;
    }
    return read;
}

static void open_worker(struct worker *worker, uint32_t number)
{
    *worker = (struct worker){.number = number};
    history_init(&worker->part);
    record_decoder_init(&worker->decoder);
    worker->decoder.same_arena = true;
}

/* Its values stay, in an arena that ends with the history's. */
static void close_worker(struct worker *worker, struct history *whole)
{
    struct history *part = &worker->part;
    if (part->arena.blocks != NULL)
        *arena_child(&whole->arena) = part->arena;
    free(part->errors);
    record_decoder_free(&worker->decoder);
    free(worker->bytes);
}

/* Room for all events of the file at once, by how many there were in what was read: columns that
 * grow are copied, and what they left is mapped anew. Too little grows as ever, and what is too
 * much is never written to. */
static void reserve_rest(const struct history_reader *reader, struct history *whole)
{
    uint64_t rest = history_reader_bytes(reader) - reader->offset;
    double more = (double)reader->event_count * (double)rest / (double)reader->offset * RESERVE;
    if (more > 0 && more < HISTORY_NONE)
        (void)history_reserve(whole, (uint32_t)more);
}

/* `serial`: how many blocks are next read one by one. After a window that ended early their number
 * doubles, so that a file of which every block is special costs little more than without windows.
 */
static enum err_code read_windows(struct history_reader *reader, struct history *whole,
                                  struct worker *workers, uint32_t worker_count, struct err *err)
{
    struct window *window = malloc(sizeof *window);
    uint32_t most = WINDOW_MIN, serial = 1, wait = 1;
    bool more = true, reserved = false;
    enum err_code code = ERR_NONE;
    while (more && code == ERR_NONE) {
        bool plain = window != NULL && serial == 0 && whole->extra == NULL;
        if (plain)
            find_window(reader, most, whole->count, window);
        if (plain && window->count > 1 && history_reserve(whole, window->events)) {
            uint32_t read = read_window(reader, whole, window, workers, worker_count);
            if (!reserved && read > 0)
                reserve_rest(reader, whole);
            reserved = true;
            bool all = read == window->count;
            most = !all ? WINDOW_MIN : most < WINDOW_MAX ? most * 2 : WINDOW_MAX;
            wait = all ? 1 : wait < SERIAL_MAX ? wait * 2 : SERIAL_MAX;
            serial = all ? 0 : wait;
            continue;
        }
        code = history_reader_next(reader, whole, &more, err);
        serial -= serial > 0;
    }
    free(window);
    return code;
}

enum err_code history_reader_rest(struct history_reader *reader, struct history *history,
                                  struct err *err)
{
    struct worker workers[WORKERS_MAX];
    uint32_t count = processors_usable(WORKERS_MAX);
    for (uint32_t i = 0; i < count; i++)
        open_worker(&workers[i], i);
    enum err_code code = read_windows(reader, history, workers, count, err);
    for (uint32_t i = 0; i < count; i++)
        close_worker(&workers[i], history);
    return code;
}
