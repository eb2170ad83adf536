/* Events as bytes: what a data block of history.ordeal holds. Private to the writer and the reader;
 * docs/history-format.md describes every byte.
 *
 * Names are defined by records of their own before their first use, keywords inside values where
 * they first appear, so encoder and decoder must see the same blocks in the same order. */
#ifndef ORDEAL_HISTORY_RECORD_H
#define ORDEAL_HISTORY_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "harness/histories/value_lists.h"
#include "harness/histories/value_recent.h"
#include "harness/history.h"

enum {
    RECORD_DEPTH_MAX = 512,     /* collections within collections */
    RECORD_IDS_MAX = 1024,      /* keywords, and errors, that get a number; the rest stand inline */
    RECORD_ID_BYTES_MAX = 4096, /* a longer error always stands inline */
    RECORD_PROCESSES_MAX = 4096,
    RECORD_LIST_MAX = 4096, /* items of a list whose bytes are remembered at once */
};
/* A value larger than this is refused by the encoder. */
#define RECORD_BYTES_MAX ((size_t)1 << 30)

/* Growing bytes. Unlike struct buf they report that memory ended: a run must be able to stop. */
struct record_bytes {
    unsigned char *data;
    size_t length, capacity;
};
bool record_reserve(struct record_bytes *bytes, size_t more);

/* Distinct values and their numbers, in order of first use. */
struct record_ids {
    struct value *values;
    uint64_t *hashes;
    uint16_t *slots; /* number + 1; 0 is free */
    uint32_t count;
};

struct record_encoder {
    const struct history *names;
    uint32_t f_defined, process_defined;
    struct record_ids keywords, errors;
    struct arena arena;
    int64_t time_before_ns;
};
/* `names` is where op.f and negative processes are looked up at the time of each call. */
void record_encoder_init(struct record_encoder *encoder, const struct history *names);
void record_encoder_free(struct record_encoder *encoder);
/* A new block begins: times start over from 0. */
void record_encoder_block(struct record_encoder *encoder);
/* Adds one event and the definitions it needs. On failure (memory ended, the value is too large or
 * too deep) `out` holds what it held, and the encoder can no longer be used. */
enum err_code record_encode(struct record_encoder *encoder, struct record_bytes *out,
                            const struct op *op, struct err *err);

struct record_decoder {
    struct arena arena;
    const char **f_names, **process_names;
    int32_t *f_here, *process_here; /* the same in the history being filled */
    struct value *keywords, *keyword_here;
    uint8_t micro[16]; /* enum value_micro_op: what the first keywords name */
    struct value_recent vectors_here;
    struct value_lists lists_here;
    uint32_t ends[RECORD_LIST_MAX]; /* of a list's items, while it is read */
    struct value *errors;
    uint32_t f_count, process_count, keyword_count, error_count;
    bool follows;    /* another one's tables */
    bool same_arena; /* all blocks' values go to one, so that later ones may share earlier ones */
    struct value *stack;
    size_t stack_count, stack_capacity;
};
void record_decoder_init(struct record_decoder *decoder);
void record_decoder_free(struct record_decoder *decoder);
/* Makes `decoder` know what `from` knows, as it is now, and defines nothing itself: blocks that
 * define something it refuses. `from` must not change while it is used. */
void record_decoder_follow(struct record_decoder *decoder, const struct record_decoder *from);
/* Gives all names defined so far their numbers in the history. */
void record_decoder_resolve(const struct record_decoder *decoder, struct history *history);
/* Appends a block's events to `history`. False when the bytes do not make sense or `count` is not
 * the number of events; the history then holds what it held. ERR_NOMEM in *code when memory ended.
 */
bool record_decode(struct record_decoder *decoder, const unsigned char *payload, size_t length,
                   uint32_t count, struct history *history, enum err_code *code);

#endif
