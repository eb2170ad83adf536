/* An arena: see arena.h. */
#include "harness/base/arena.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { ALIGNMENT = 16, BLOCK_MIN = 4096, BLOCK_MAX = 1 << 20 };

/* An arena that holds much (a history of millions) gets large blocks of huge pages: a page fault
 * every 4 KiB was a third of the time it took to read one. */
enum { HUGE_PAGE = 2 << 20, HUGE_BLOCK = 16 << 20, HUGE_FROM = 4 << 20 };

struct arena_block {
    struct arena_block *older;
    size_t size; /* of the bytes after this header */
};

static char *block_bytes(struct arena_block *block)
{
    return (char *)block + ((sizeof *block + ALIGNMENT - 1) / ALIGNMENT) * ALIGNMENT;
}

/* Raises *size to what fills whole pages. */
static struct arena_block *huge_block(size_t *size)
{
    size_t header = sizeof(struct arena_block) + ALIGNMENT, least = HUGE_BLOCK - header;
    size_t whole = ((*size < least ? least : *size) + header + HUGE_PAGE - 1) / HUGE_PAGE;
    struct arena_block *block = aligned_alloc(HUGE_PAGE, whole * HUGE_PAGE);
    if (block == NULL)
        return NULL;
    *size = whole * HUGE_PAGE - header;
    madvise(block, whole * HUGE_PAGE, MADV_HUGEPAGE); /* where there are none, small ones do */
    return block;
}

static void new_block(struct arena *arena, size_t needed)
{
    size_t size = arena->blocks == NULL ? BLOCK_MIN : arena->blocks->size * 2;
    if (size > BLOCK_MAX)
        size = BLOCK_MAX;
    if (size < needed)
        size = needed;
    bool huge = size >= 2 * HUGE_PAGE || arena->used_bytes >= HUGE_FROM;
    struct arena_block *block = huge ? huge_block(&size) : malloc(size + sizeof *block + ALIGNMENT);
    if (block == NULL) {
        fprintf(stderr, "ordeal: out of memory (%zu bytes more than the %zu of this arena)\n", size,
                arena->used_bytes);
        abort();
    }
    block->older = arena->blocks;
    block->size = size;
    arena->blocks = block;
    arena->next = block_bytes(block);
    arena->end = arena->next + size;
}

void *arena_alloc(struct arena *arena, size_t size)
{
    size = (size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    if ((size_t)(arena->end - arena->next) < size || arena->blocks == NULL)
        new_block(arena, size);
    void *memory = arena->next;
    arena->next += size;
    arena->used_bytes += size;
    return memory;
}

void *arena_zalloc(struct arena *arena, size_t size)
{
    return memset(arena_alloc(arena, size), 0, size);
}

char *arena_strndup(struct arena *arena, const char *text, size_t length)
{
    char *copy = arena_alloc(arena, length + 1);
    memcpy(copy, text, length);
    copy[length] = '\0';
    return copy;
}

char *arena_strdup(struct arena *arena, const char *text)
{
    return arena_strndup(arena, text, strlen(text));
}

char *arena_printf(struct arena *arena, const char *format, ...)
{
    va_list arguments, again;
    va_start(arguments, format);
    va_copy(again, arguments);
    int length = vsnprintf(NULL, 0, format, arguments);
    char *text = arena_alloc(arena, (size_t)(length < 0 ? 0 : length) + 1);
    text[0] = '\0';
    if (length >= 0)
        vsnprintf(text, (size_t)length + 1, format, again);
    va_end(again);
    va_end(arguments);
    return text;
}

struct arena_child {
    struct arena arena;
    struct arena_child *sibling;
};

struct arena *arena_child(struct arena *parent)
{
    struct arena_child *child = arena_zalloc(parent, sizeof *child);
    child->sibling = parent->children;
    parent->children = child;
    return &child->arena;
}

/* Before the blocks, since the children's own structs are in them. */
static void free_children(struct arena *arena)
{
    for (struct arena_child *child = arena->children; child != NULL; child = child->sibling)
        arena_free(&child->arena);
    arena->children = NULL;
}

void arena_reset(struct arena *arena)
{
    free_children(arena);
    struct arena_block *newest = arena->blocks;
    arena->used_bytes = 0;
    if (newest == NULL)
        return;
    for (struct arena_block *block = newest->older; block != NULL;) {
        struct arena_block *older = block->older;
        free(block);
        block = older;
    }
    newest->older = NULL;
    arena->next = block_bytes(newest);
    arena->end = arena->next + newest->size;
}

void arena_free(struct arena *arena)
{
    free_children(arena);
    for (struct arena_block *block = arena->blocks; block != NULL;) {
        struct arena_block *older = block->older;
        free(block);
        block = older;
    }
    *arena = ARENA_INIT;
}
