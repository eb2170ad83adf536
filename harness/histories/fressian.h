/* Fressian (https://github.com/Datomic/fressian/wiki), the binary form in which Jepsen stores
 * tests: reading only, of everything its writer and Jepsen's write.
 *
 * What EDN has comes out as the same value; UUIDs and instants as the tagged literals that Clojure
 * prints; arrays as vectors; objects of unknown tags as tagged values, with their one field, or a
 * vector of their fields. Map entries are vectors of two, multisets sets with elements more than
 * once. Fressian shares values by reference: what would be too large or too deep when it is written
 * out is refused. */
#ifndef ORDEAL_FRESSIAN_H
#define ORDEAL_FRESSIAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "harness/value.h"

enum { FRESSIAN_DEPTH_MAX = 512, FRESSIAN_ITEMS_MAX = 1 << 26 };

struct fressian {
    const uint8_t *at, *end;
    struct arena *arena;
    const char *problem; /* after a failure */
    bool ended;          /* after a failure: the bytes end too early */
    /* private */
    unsigned depth;
    uint64_t items;
    struct value *cache;
    uint32_t cache_count, cache_capacity;
    struct fressian_struct {
        struct value tag;
        uint32_t fields;
    } * structs;
    uint32_t struct_count, struct_capacity;
    struct value *stack;
    size_t stack_count, stack_capacity;
};

/* The bytes must stay where they are while they are read. */
void fressian_init(struct fressian *fressian, struct arena *arena, const void *bytes,
                   size_t length);
void fressian_free(struct fressian *fressian);
/* The next value; false on failure, also at the end of the bytes. */
bool fressian_read(struct fressian *fressian, struct value *value);

#endif
