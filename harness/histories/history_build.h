/* From the fields of one operation, as EDN and JSON histories give them, to an event: names,
 * defaults, and what the reader should hear about. Private to the readers of such files.
 *
 * Defaults: no :time is -1; no :f is "txn" (histories made for Elle leave it out); no :error is
 * nil. No :process is an error, unless no operation of the file has one: then a completion goes to
 * the oldest open invocation of its function that it can be the completion of (its value equal, but
 * for parts that were nil), else to the oldest of its function, and each invocation to a process
 * that has none open. A :key beside the :value (as in Porcupine's histories of maps) joins it:
 * [key value]. */
#ifndef ORDEAL_HISTORY_BUILD_H
#define ORDEAL_HISTORY_BUILD_H

#include <stdbool.h>
#include <stdint.h>

#include "harness/history.h"

enum { NOTES_KEYS_MAX = 32, NOTES_KEY_BYTES = 48, PROCESS_NAMES_MAX = 4096 };

/* What a reader did with a file that its user should know. */
struct history_notes {
    const char *format; /* "edn" and so on; set by history_load */
    uint64_t without_f, without_process, without_time;
    uint64_t keyed;      /* events whose :key joined their value */
    uint64_t renumbered; /* events whose :index was not their position */
    struct history_note_key {
        char name[NOTES_KEY_BYTES];
        uint64_t count;
    } keys[NOTES_KEYS_MAX]; /* other keys, which the events keep */
    uint32_t key_count;
    uint64_t other_lines; /* of a log, that are no operations */
    uint64_t other_keys;  /* beyond the first NOTES_KEYS_MAX names */
};

/* Adds one line a note: "other keys, kept: :node (12), :link (3)". Nothing when there is none. */
void history_notes_print(const struct history_notes *notes, struct buf *out);
/* Events had this other key, so many more times. */
void history_notes_key(struct history_notes *notes, const char *name, uint64_t count);

enum event_field {
    FIELD_TYPE,
    FIELD_PROCESS,
    FIELD_F,
    FIELD_VALUE,
    FIELD_TIME,
    FIELD_INDEX,
    FIELD_ERROR,
    FIELD_KEY,
    FIELD_COUNT,
};

/* The field of a key without its colon; FIELD_COUNT when it is none. */
enum event_field event_field_of(const char *key, size_t length);

/* One operation while it is read. Values live in the history's arena. */
struct event_fields {
    uint32_t given; /* bits by enum event_field */
    struct value values[FIELD_COUNT];
};

struct history_builder {
    struct history *history;
    struct history_notes *notes;
    /* Of a part of a history, which does not know how many events are ahead of its own: set by the
     * caller, and false again once an event gave its index; that many are ahead then. */
    bool index_unknown;
    uint64_t index_ahead;
    /* private */
    struct builder_open {
        uint32_t index;
        int32_t process;
    } * open;
    uint32_t open_count, open_capacity;
    int32_t processes; /* given out so far */
    /* by the bits of values that readers make once and use again */
    struct builder_f {
        uint64_t bits;
        uint16_t f;
    } f_cache[64];
    struct builder_type {
        uint64_t bits;
        enum op_type type;
    } type_cache[16];
    struct value *extra; /* other keys and their values of the event being read */
    uint32_t extra_count, extra_capacity;
    char problem[160];
};

void history_builder_init(struct history_builder *builder, struct history *history,
                          struct history_notes *notes);
void history_builder_free(struct history_builder *builder);
/* Begins an event: nothing is given yet. */
void history_builder_begin(struct history_builder *builder, struct event_fields *fields);
/* Another key of the event than those of enum event_field, to be kept with it; made in the
 * history's arena. False when memory ended. */
bool history_builder_extra(struct history_builder *builder, struct value key, struct value value);
/* Adds the event. NULL, or what is wrong with it (lives until the next call). */
const char *history_builder_add(struct history_builder *builder, const struct event_fields *fields);

#endif
