/* Mutations that keep what is changed a text of values: brackets stay in pairs, tokens are replaced
 * by tokens, operations are doubled, dropped, swapped and cut. Included by fuzz targets; libFuzzer
 * calls their LLVMFuzzerCustomMutator. Plain mutations of bytes go on beside these. */
#ifndef ORDEAL_TESTS_FUZZ_MUTATE_H
#define ORDEAL_TESTS_FUZZ_MUTATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* libFuzzer's own; absent where files are only replayed. */
__attribute__((weak)) size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed);

static inline uint32_t mutate_draw(uint32_t *seed, uint32_t below)
{
    *seed = *seed * UINT32_C(1664525) + UINT32_C(1013904223);
    return below == 0 ? 0 : (*seed >> 8) % below;
}

/* Replaces [from, to) by `length` bytes; the new size. */
static inline size_t mutate_splice(uint8_t *data, size_t size, size_t max_size, size_t from,
                                   size_t to, const uint8_t *bytes, size_t length)
{
    if (size - (to - from) + length > max_size)
        return size;
    memmove(data + from + length, data + to, size - to);
    if (length > 0)
        memcpy(data + from, bytes, length);
    return size - (to - from) + length;
}

/* A span that is a value: a bracket and all up to its partner, or a token. */
static inline void mutate_find_span(const uint8_t *data, size_t size, uint32_t *seed, size_t *from,
                                    size_t *to)
{
    size_t at = mutate_draw(seed, (uint32_t)size);
    while (at > 0 && strchr(" ,:\n\t", data[at]) == NULL && strchr("[{(", data[at]) == NULL)
        at--;
    if (at < size && data[at] != 0 && strchr(" ,\n\t", data[at]) != NULL && at + 1 < size)
        at++;
    *from = at;
    bool bracket = data[at] != 0 && strchr("[{(", data[at]) != NULL;
    unsigned depth = 0;
    for (*to = at; *to < size; ++*to) {
        uint8_t c = data[*to];
        depth += c == '[' || c == '{' || c == '(';
        bool closes = c == ']' || c == '}' || c == ')';
        if (closes && depth == 0)
            break;
        depth -= closes;
        if (bracket && closes && depth == 0) {
            ++*to;
            break;
        }
        if (!bracket && (c == ' ' || c == ',' || c == '\n'))
            break;
    }
}

static inline size_t mutate_text(uint8_t *data, size_t size, size_t max_size, unsigned seed,
                                 const char *const *tokens, size_t token_count)
{
    uint32_t state = seed * UINT32_C(2654435761) + 1;
    if (size == 0 || (LLVMFuzzerMutate != NULL && mutate_draw(&state, 3) == 0))
        return LLVMFuzzerMutate == NULL ? size : LLVMFuzzerMutate(data, size, max_size);
    size_t from, to, other_from, other_to;
    mutate_find_span(data, size, &state, &from, &to);
    mutate_find_span(data, size, &state, &other_from, &other_to);
    const char *token = tokens[mutate_draw(&state, (uint32_t)token_count)];
    size_t copied = other_to - other_from;
    uint8_t *copy = malloc(copied + 1);
    if (copy == NULL)
        abort();
    memcpy(copy, data + other_from, copied);
    switch (mutate_draw(&state, 5)) {
    case 0: /* another token */
        size = mutate_splice(data, size, max_size, from, to, (const uint8_t *)token, strlen(token));
        break;
    case 1: /* a value from elsewhere in its place */
        size = mutate_splice(data, size, max_size, from, to, copy, copied);
        break;
    case 2: /* and beside it */
        size = mutate_splice(data, size, max_size, from, from, copy, copied);
        break;
    case 3: /* none */
        size = mutate_splice(data, size, max_size, from, to, NULL, 0);
        break;
    default: /* cut there */
        size = from;
        break;
    }
    free(copy);
    return size;
}

#endif
