/* An arena: memory handed out by moving a pointer, given back all at once.
 *
 * One arena per history, per plan, per checker partition; who passes an arena owns what comes out
 * of it. Not thread-safe: one arena, one thread at a time. Blocks grow up to 1 MiB, so that a small
 * arena costs little and a large one few calls. */
#ifndef ORDEAL_BASE_ARENA_H
#define ORDEAL_BASE_ARENA_H

#include <stddef.h>

#include "harness/base/err.h"

struct arena_block;
struct arena_child;
struct arena {
    struct arena_block *blocks;   /* newest first */
    struct arena_child *children; /* freed with this one */
    char *next, *end;
    size_t used_bytes; /* handed out since the last reset, for budgets */
};

#define ARENA_INIT ((struct arena){.blocks = NULL})

/* 16-byte aligned, not zeroed; never NULL (out of memory ends the process with a message). */
void *arena_alloc(struct arena *arena, size_t size);
void *arena_zalloc(struct arena *arena, size_t size);
char *arena_strdup(struct arena *arena, const char *text);
char *arena_strndup(struct arena *arena, const char *text, size_t length);
char *arena_printf(struct arena *arena, const char *format, ...) FORMAT(2, 3);
/* An arena of its own that lives in `parent` and ends with it, at the parent's reset or free: for
 * state inside a long-lived arena that is made anew again and again. Reset it as any other; never
 * free it. Its bytes are not counted in the parent's used_bytes. */
struct arena *arena_child(struct arena *parent);
/* Forgets everything handed out; keeps the newest block for what comes next. */
void arena_reset(struct arena *arena);
void arena_free(struct arena *arena);

#endif
