/* Chunks, slabs, pieces: see slab.h. */
#include "queue/slab.h"

#include <assert.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "queue/state_base.h"

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25 /* Linux 6.1 */
#endif

enum {
    SLABS = SLAB_CHUNK_BYTES / SLAB_BYTES,
    FINE_BYTES = 8, /* classes are so far apart up to FINE_MAX, then an eighth */
    FINE_MAX = 512,
    FINE_CLASSES = FINE_MAX / FINE_BYTES,
    CLASSES = FINE_CLASSES + 3 * 8,
};

struct piece {
    struct piece *next;
};

struct slab {
    struct slab *next, *previous; /* among those of its class with room */
    struct piece *free;           /* given back */
    uint32_t used, fresh;         /* pieces in use; pieces never taken begin at this one */
    uint32_t size, pieces;        /* size 0: belongs to no class */
};

struct chunk_links {
    struct chunk *next, *previous;
};

enum chunk_list { CHUNKS_ALL, CHUNKS_ROOM, CHUNK_LISTS }; /* ROOM: those with a free slab */

/* At the front of its chunk, at the cost of the first slab. */
struct chunk {
    struct chunk_links links[CHUNK_LISTS];
    uint32_t used; /* slabs that belong to a class */
    struct slab slabs[SLABS];
};

static struct {
    struct slab *room[CLASSES]; /* slabs with a free piece */
    struct chunk *chunks[CHUNK_LISTS];
    uint64_t chunk_count;
    struct chunk *rejoin; /* the next to look at */
} pool;

static uint32_t class_of(size_t size)
{
    if (size <= FINE_MAX)
        return size == 0 ? 0 : (uint32_t)(size - 1) / FINE_BYTES;
    uint32_t octave = 0;
    while (size > (size_t)FINE_MAX << (octave + 1))
        octave++;
    uint32_t step = FINE_MAX / 8 << octave;
    return FINE_CLASSES + octave * 8 + (uint32_t)(size - 1 - ((size_t)FINE_MAX << octave)) / step;
}

static uint32_t size_of(uint32_t class)
{
    if (class < FINE_CLASSES)
        return (class + 1) * FINE_BYTES;
    uint32_t octave = (class - FINE_CLASSES) / 8, step = (class - FINE_CLASSES) % 8 + 1;
    return (FINE_MAX << octave) + (FINE_MAX / 8 << octave) * step;
}

static char *slab_begin(const struct slab *slab)
{
    struct chunk *chunk = (struct chunk *)((uintptr_t)slab & ~(uintptr_t)(SLAB_CHUNK_BYTES - 1));
    size_t place = (size_t)(slab - chunk->slabs);
    size_t head = (sizeof *chunk + 63) / 64 * 64;
    return (char *)chunk + (place == 0 ? head : place * SLAB_BYTES);
}

static struct chunk *chunk_of(const void *within)
{
    return (struct chunk *)((uintptr_t)within & ~(uintptr_t)(SLAB_CHUNK_BYTES - 1));
}

static struct slab *slab_of(const void *piece)
{
    struct chunk *chunk = chunk_of(piece);
    return &chunk->slabs[((uintptr_t)piece - (uintptr_t)chunk) / SLAB_BYTES];
}

static void chunk_add(struct chunk *chunk, enum chunk_list list)
{
    struct chunk *next = pool.chunks[list];
    chunk->links[list] = (struct chunk_links){.next = next};
    if (next)
        next->links[list].previous = chunk;
    pool.chunks[list] = chunk;
}

static void chunk_remove(struct chunk *chunk, enum chunk_list list)
{
    struct chunk_links links = chunk->links[list];
    *(links.previous ? &links.previous->links[list].next : &pool.chunks[list]) = links.next;
    if (links.next)
        links.next->links[list].previous = links.previous;
}

static struct chunk *chunk_make(void)
{
    /* Twice as much, of which the aligned part is kept. */
    char *memory = mmap(NULL, 2 * SLAB_CHUNK_BYTES, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memory_checked(memory == MAP_FAILED ? NULL : memory, SLAB_CHUNK_BYTES);
    size_t before = (size_t)(-(uintptr_t)memory & (uintptr_t)(SLAB_CHUNK_BYTES - 1));
    if (before > 0)
        munmap(memory, before);
    munmap(memory + before + SLAB_CHUNK_BYTES, SLAB_CHUNK_BYTES - before);
    struct chunk *chunk = (struct chunk *)(void *)(memory + before);
    madvise(chunk, SLAB_CHUNK_BYTES, MADV_HUGEPAGE); /* a system without goes on without */
    chunk_add(chunk, CHUNKS_ALL);
    chunk_add(chunk, CHUNKS_ROOM);
    pool.chunk_count++;
    return chunk;
}

static void chunk_free(struct chunk *chunk)
{
    if (pool.rejoin == chunk)
        pool.rejoin = chunk->links[CHUNKS_ALL].next;
    chunk_remove(chunk, CHUNKS_ALL);
    chunk_remove(chunk, CHUNKS_ROOM);
    pool.chunk_count--;
    munmap(chunk, SLAB_CHUNK_BYTES);
}

static void room_add(uint32_t class, struct slab *slab)
{
    slab->previous = NULL;
    slab->next = pool.room[class];
    if (slab->next)
        slab->next->previous = slab;
    pool.room[class] = slab;
}

static void room_remove(uint32_t class, struct slab *slab)
{
    *(slab->previous ? &slab->previous->next : &pool.room[class]) = slab->next;
    if (slab->next)
        slab->next->previous = slab->previous;
}

static struct slab *slab_make(uint32_t class)
{
    struct chunk *chunk = pool.chunks[CHUNKS_ROOM] ? pool.chunks[CHUNKS_ROOM] : chunk_make();
    struct slab *slab = chunk->slabs;
    while (slab->size != 0)
        slab++;
    char *end = (char *)chunk + (slab - chunk->slabs + 1) * SLAB_BYTES;
    uint32_t size = size_of(class);
    *slab =
        (struct slab){.size = size, .pieces = (uint32_t)((size_t)(end - slab_begin(slab)) / size)};
    if (++chunk->used == SLABS)
        chunk_remove(chunk, CHUNKS_ROOM);
    room_add(class, slab);
    return slab;
}

static void slab_release(uint32_t class, struct slab *slab)
{
    struct chunk *chunk = chunk_of(slab);
    room_remove(class, slab);
    slab->size = 0;
    if (chunk->used-- == SLABS)
        chunk_add(chunk, CHUNKS_ROOM);
    /* The last one is kept, so that a queue around zero jobs does not map and unmap. */
    if (chunk->used == 0 && pool.chunk_count > 1)
        chunk_free(chunk);
}

void *slab_take(size_t size)
{
    if (SLAB_NONE || size > SLAB_PIECE_BYTES_MAX)
        return memory_take(size);
    uint32_t class = class_of(size);
    struct slab *slab = pool.room[class] ? pool.room[class] : slab_make(class);
    void *piece;
    if (slab->free) {
        piece = slab->free;
        slab->free = slab->free->next;
    } else {
        piece = slab_begin(slab) + (size_t)slab->fresh++ * slab->size;
    }
    if (++slab->used == slab->pieces)
        room_remove(class, slab);
    return piece;
}

void slab_give(void *piece, size_t size)
{
    if (!piece)
        return;
    if (SLAB_NONE || size > SLAB_PIECE_BYTES_MAX) {
        free(piece);
        return;
    }
    uint32_t class = class_of(size);
    struct slab *slab = slab_of(piece);
    assert(slab->size == size_of(class) && slab->used > 0);
    struct piece *back = piece;
    back->next = slab->free;
    slab->free = back;
    if (slab->used-- == slab->pieces)
        room_add(class, slab);
    if (slab->used == 0)
        slab_release(class, slab);
}

void slab_rejoin_begin(void)
{
    pool.rejoin = pool.chunks[CHUNKS_ALL];
}

bool slab_rejoin(void)
{
    struct chunk *chunk = pool.rejoin;
    if (!chunk)
        return false;
    if (madvise(chunk, SLAB_CHUNK_BYTES, MADV_COLLAPSE) != 0) {
        pool.rejoin = NULL; /* an older kernel, or no huge page free: later forks take longer */
        return false;
    }
    pool.rejoin = chunk->links[CHUNKS_ALL].next;
    return pool.rejoin != NULL;
}

uint64_t slab_bytes(void)
{
    return pool.chunk_count * SLAB_CHUNK_BYTES;
}
