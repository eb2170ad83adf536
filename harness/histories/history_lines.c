/* A text read by several threads: see history_lines.h. */
#include "harness/histories/history_lines.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "harness/base/processors.h"

enum {
    WORKERS_MAX = 4,
    CHUNK_BYTES = 1 << 18,
    CHUNKS_MIN = 4,
    CHUNKS_MAX = 64,
    WORTH_BYTES = 1 << 20,
    ITEMS_APART_MAX = 1 << 16,
};

static const double RESERVE = 1.0625;

struct chunk {
    const char *begin, *end;
    uint32_t worker, first, count; /* its events, in the worker's part */
    bool good;
    bool indexed; /* some event gave its index; `ahead` of the part's is what the first said */
    uint64_t ahead;
    struct history_notes notes;
};

/* Reads into a history of its own, from which events are taken in the text's order. */
struct text_worker {
    struct text_workers *all;
    uint32_t number;
    struct history part;
    struct text_reading reading;
    void *state;
    int32_t f_of[HISTORY_F_MAX]; /* its functions in the whole history; -1: not met yet */
    pthread_t thread;
};

struct text_workers {
    const struct text_format *format;
    struct text_worker workers[WORKERS_MAX];
    uint32_t worker_count;
    struct chunk chunks[CHUNKS_MAX];
    uint32_t count, most;  /* most: chunks of the next window */
    uint32_t apart, pause; /* items that the walk reads by itself first; and after a failure */
    bool reserved;         /* room for all that follows was made */
    atomic_uint next;
};

struct text_workers *text_workers_open(const struct text_format *format, size_t length)
{
    uint32_t count = processors_usable(WORKERS_MAX);
    if (count < 2 || length < WORTH_BYTES)
        return NULL;
    struct text_workers *all = calloc(1, sizeof *all);
    if (all == NULL)
        return NULL;
    all->format = format;
    all->most = CHUNKS_MIN;
    all->pause = 1;
    for (; all->worker_count < count; all->worker_count++) {
        struct text_worker *worker = &all->workers[all->worker_count];
        worker->state = malloc(format->state_size);
        if (worker->state == NULL)
            break;
        worker->all = all;
        worker->number = all->worker_count;
        history_init(&worker->part);
        memset(worker->f_of, 0xff, sizeof worker->f_of);
        format->open(worker->state, &worker->part.arena, format->way);
        history_builder_init(&worker->reading.builder, &worker->part, NULL);
        worker->reading.began = true;
    }
    if (all->worker_count > 0)
        return all;
    free(all);
    return NULL;
}

void text_workers_close(struct text_workers *all, struct history *history)
{
    if (all == NULL)
        return;
    for (uint32_t i = 0; i < all->worker_count; i++) {
        struct text_worker *worker = &all->workers[i];
        all->format->close(worker->state);
        free(worker->state);
        history_builder_free(&worker->reading.builder);
        history_free_into(&worker->part, history);
    }
    free(all);
}

/* ---- Reading a chunk ---- */

static void read_chunk(struct text_worker *worker, struct chunk *chunk)
{
    struct text_reading *reading = &worker->reading;
    struct history_builder *builder = &reading->builder;
    const char *at = chunk->begin;
    struct text_place place;
    enum text_found found = TEXT_ITEM;
    chunk->worker = worker->number;
    chunk->first = worker->part.count;
    chunk->notes = (struct history_notes){.format = NULL};
    builder->notes = &chunk->notes;
    builder->index_unknown = true;
    while (found == TEXT_ITEM) {
        place = (struct text_place){.begin = at};
        found = worker->all->format->item(reading, worker->state, at, (size_t)(chunk->end - at),
                                          &place);
        at = place.at;
    }
    chunk->count = worker->part.count - chunk->first;
    chunk->indexed = !builder->index_unknown;
    chunk->ahead = builder->index_ahead;
    chunk->good =
        found == TEXT_NOTHING && chunk->notes.without_process == 0 && chunk->notes.other_keys == 0;
}

static void *work(void *argument)
{
    struct text_worker *worker = argument;
    struct text_workers *all = worker->all;
    for (unsigned i; (i = atomic_fetch_add(&all->next, 1)) < all->count;)
        read_chunk(worker, &all->chunks[i]);
    return NULL;
}

/* ---- A window of chunks ---- */

/* The beginning of the first line behind `at` that looks like that of an operation; `end`. */
static const char *find_line(const char *at, const char *end)
{
    for (;;) {
        at = memchr(at, '\n', (size_t)(end - at));
        if (at == NULL)
            return end;
        const char *line = ++at;
        while (at < end && (*at == ' ' || *at == ','))
            at++;
        if (at < end && (*at == '{' || *at == '#'))
            return line;
    }
}

static void cut(struct text_workers *all, const char *text, size_t length)
{
    const char *end = text + length;
    for (all->count = 0; all->count < all->most && text < end; all->count++) {
        struct chunk *chunk = &all->chunks[all->count];
        chunk->begin = text;
        text = end - text <= CHUNK_BYTES ? end : find_line(text + CHUNK_BYTES, end);
        chunk->end = text;
    }
    atomic_init(&all->next, 0);
}

static void read_all(struct text_workers *all)
{
    uint32_t started = 1;
    while (started < all->worker_count &&
           pthread_create(&all->workers[started].thread, NULL, work, &all->workers[started]) == 0)
        started++;
    work(&all->workers[0]);
    for (uint32_t i = 1; i < started; i++)
        pthread_join(all->workers[i].thread, NULL);
}

/* ---- Taking what was read ---- */

/* Whether the chunk's events can go behind those of the whole. */
static bool fits(const struct chunk *chunk, const struct history *part, const struct history *whole)
{
    return chunk->good && whole->f_count + part->f_count <= HISTORY_F_MAX &&
           whole->process_name_count + part->process_name_count < PROCESS_NAMES_MAX &&
           (!chunk->indexed || chunk->ahead + chunk->first == whole->count);
}

static void add_notes(const struct history_notes *from, struct history_notes *to)
{
    to->without_f += from->without_f;
    to->without_time += from->without_time;
    to->keyed += from->keyed;
    to->renumbered += from->renumbered;
    to->other_lines += from->other_lines;
    for (uint32_t i = 0; i < from->key_count; i++)
        history_notes_key(to, from->keys[i].name, from->keys[i].count);
}

static bool take_chunk(struct text_worker *worker, const struct chunk *chunk, struct history *whole)
{
    const struct history *part = &worker->part;
    uint32_t end = chunk->first + chunk->count;
    enum err_code code = ERR_NONE;
    if (!history_reserve(whole, chunk->count))
        return false;
    for (uint32_t i = chunk->first; i < end && code == ERR_NONE; i++) {
        struct op op = history_op(part, i);
        int32_t *f = &worker->f_of[op.f];
        if (*f < 0)
            *f = history_f(whole, part->f_names[op.f]);
        op.f = (uint16_t)*f;
        if (op.process <= PROCESS_OTHER)
            op.process = history_process_named(whole, history_process_name(part, op.process));
        history_append_own(whole, &op, &code);
    }
    return code == ERR_NONE;
}

/* Room for all events of the text, by how many the first of it held, and a little more: columns
 * that grow are copied, and what is too much is never written to. */
static void reserve_rest(struct history *whole, uint64_t read, uint64_t rest)
{
    double more = (double)whole->count * (double)rest / (double)read * RESERVE;
    if (more < HISTORY_NONE)
        (void)history_reserve(whole, (uint32_t)more);
}

size_t text_workers_read(struct text_workers *all, struct text_reading *reading, const char *text,
                         size_t length)
{
    struct history *whole = reading->builder.history;
    struct history_notes *notes = reading->builder.notes;
    const char *at = text;
    if (length < CHUNK_BYTES || notes->without_process > 0 || reading->closed)
        return 0;
    if (all->apart > 0) {
        all->apart--;
        return 0;
    }
    cut(all, text, length);
    read_all(all);
    uint32_t taken = 0;
    for (; taken < all->count; taken++) {
        struct chunk *chunk = &all->chunks[taken];
        struct text_worker *worker = &all->workers[chunk->worker];
        if (!fits(chunk, &worker->part, whole) || !take_chunk(worker, chunk, whole))
            break;
        add_notes(&chunk->notes, notes);
        at = chunk->end;
    }
    for (uint32_t i = 0; i < all->worker_count; i++)
        all->workers[i].part.count = 0;
    if (!all->reserved && at > text)
        reserve_rest(whole, (uint64_t)(at - text), (uint64_t)(length - (size_t)(at - text)));
    all->reserved |= at > text;
    bool whole_window = taken == all->count;
    all->most = !whole_window ? CHUNKS_MIN : all->most < CHUNKS_MAX ? all->most * 2 : CHUNKS_MAX;
    all->pause = whole_window ? 1 : all->pause < ITEMS_APART_MAX ? all->pause * 2 : ITEMS_APART_MAX;
    all->apart = whole_window ? 0 : all->pause;
    return (size_t)(at - text);
}
