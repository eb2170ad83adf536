/* The steps of a small server's life. */
#include "tests/queue/lib/script.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "tests/queue/lib/disk_shim.h"

enum step_kind {
    STEP_META,     /* index: the vote */
    STEP_APPEND,   /* entries up to index */
    STEP_CUT,      /* entries from index on */
    STEP_REPLACE,  /* entries from `from` on by new ones up to index */
    STEP_SNAPSHOT, /* up to index */
    STEP_COMPACT,
    STEP_RECEIVE, /* a snapshot up to index, then the log goes on behind it */
};

struct step {
    enum step_kind kind;
    uint64_t index, term, from;
};

static const struct step steps[] = {
    {STEP_META, 1, 1, 0},      {STEP_APPEND, 3, 1, 0},    {STEP_APPEND, 9, 1, 0},
    {STEP_CUT, 8, 0, 0},       {STEP_META, 2, 2, 0},      {STEP_APPEND, 10, 2, 0},
    {STEP_REPLACE, 12, 3, 10}, {STEP_SNAPSHOT, 6, 1, 0},  {STEP_APPEND, 30, 3, 0},
    {STEP_SNAPSHOT, 20, 3, 0}, {STEP_COMPACT, 6, 0, 0},   {STEP_META, 2, 4, 0},
    {STEP_APPEND, 40, 4, 0},   {STEP_REPLACE, 40, 5, 25}, {STEP_SNAPSHOT, 35, 5, 0},
    {STEP_COMPACT, 20, 0, 0},  {STEP_RECEIVE, 60, 6, 0},  {STEP_APPEND, 66, 6, 0},
    {STEP_CUT, 64, 0, 0},      {STEP_META, 3, 7, 0},      {STEP_APPEND, 70, 7, 0},
    {STEP_RECEIVE, 66, 8, 0},  {STEP_APPEND, 72, 8, 0},   {STEP_SNAPSHOT, 70, 8, 0},
    {STEP_COMPACT, 66, 0, 0},  {STEP_APPEND, 73, 9, 0},   {STEP_APPEND, 100, 9, 0},
};

/* What an entry's bytes are follows from its index and its term. */
static uint32_t payload_length(uint64_t index)
{
    if (index == 73)
        return SCRIPT_SEGMENT_BYTES + 1000;
    return index % 5 == 0 ? 700 : (uint32_t)(index * 37 % 120);
}

static unsigned char payload_byte(uint64_t index, uint64_t term, uint32_t i)
{
    if (i % 600 >= 540) /* long zeros must not look like sectors never written */
        return 0;
    return (unsigned char)(index * 7 + term * 31 + i);
}

static void make_payload(unsigned char *bytes, uint64_t index, uint64_t term)
{
    for (uint32_t i = 0; i < payload_length(index); i++)
        bytes[i] = payload_byte(index, term, i);
}

static void append(struct log *log, uint64_t index, uint64_t term)
{
    static unsigned char bytes[SCRIPT_SEGMENT_BYTES + 2000];
    make_payload(bytes, index, term);
    struct entry entry = {.index = index,
                          .term = term,
                          .type = ENTRY_COMMANDS,
                          .length = payload_length(index),
                          .data = bytes};
    log_append(log, &entry, 1);
}

/* A snapshot's bytes follow from its index. */
struct state {
    uint64_t index;
};

enum { STATE_BYTES = 3000 };

static bool fill_state(void *context, struct snapshot_writer *writer)
{
    struct state *state = context;
    unsigned char bytes[STATE_BYTES];
    for (uint32_t i = 0; i < STATE_BYTES; i++)
        bytes[i] = payload_byte(state->index, 99, i);
    return snapshot_write(writer, bytes, 1000) && snapshot_write(writer, bytes + 1000, 2000);
}

static struct snapshot_header snapshot_header_of(uint64_t index, uint64_t term)
{
    return (struct snapshot_header){
        .index = index, .term = term, .config = "three nodes", .config_bytes = 11};
}

static void on_fatal(void *context, const char *message)
{
    struct script *script = context;
    script->fatal++;
    snprintf(script->message, sizeof script->message, "%s", message);
}

struct storage_options script_options(struct script *script)
{
    return (struct storage_options){
        .node = 7,
        .segment_bytes = SCRIPT_SEGMENT_BYTES,
        .frame_bytes = SCRIPT_FRAME_BYTES,
        .sync = LOG_SYNC,
        .thread = LOG_INLINE,
        .fatal = on_fatal,
        .context = script,
    };
}

/* Steps */

static bool worked(struct script *script, struct storage *storage, uint64_t persisted)
{
    log_mark(storage->log, (uint64_t)script->step + 1);
    log_work(storage->log);
    if ((log_marked(storage->log) == (uint64_t)script->step + 1) != (script->fatal == 0))
        fail_msg("step %d: the mark is at %llu", script->step,
                 (unsigned long long)log_marked(storage->log));
    return script->fatal == 0 && log_persisted(storage->log) == persisted;
}

static void want_entries(struct script_view *wanted, uint64_t from, uint64_t last, uint64_t term)
{
    for (uint64_t index = from; index <= last; index++)
        wanted->terms[index] = term;
    wanted->last = last;
}

static bool do_append(struct script *script, struct storage *storage, const struct step *step,
                      uint64_t from)
{
    script->wanted_last_min = from;
    want_entries(&script->wanted, from, step->index, step->term);
    if (step->kind == STEP_REPLACE)
        log_truncate_suffix(storage->log, from);
    for (uint64_t index = from; index <= step->index; index++)
        append(storage->log, index, step->term);
    return worked(script, storage, step->index);
}

static bool do_meta(struct script *script, struct storage *storage, const struct step *step)
{
    struct meta_state state = storage->meta.state;
    script->wanted.meta_term = state.term = step->term;
    script->wanted.meta_vote = state.vote = step->index;
    return meta_save(&storage->meta, &state, NULL) == DISK_OK;
}

static bool do_snapshot(struct script *script, struct storage *storage, const struct step *step)
{
    struct state state = {.index = step->index};
    struct snapshot_header header = snapshot_header_of(step->index, step->term);
    script->wanted.snapshot = step->index;
    return snapshot_save(storage->disk, &header, fill_state, &state, NULL) == DISK_OK;
}

/* The sender's file is on another disk, which does not fail. */
static bool receive_file(struct storage *storage, const struct step *step, struct snapshot *source)
{
    struct snapshot_receiver receiver;
    unsigned char chunk[700];
    size_t length = 1;
    if (snapshot_receive_begin(&receiver, storage->disk, NULL) != DISK_OK)
        return false;
    while (length > 0) {
        assert_int_equal(
            snapshot_read_chunk(source, receiver.offset, chunk, sizeof chunk, &length, NULL),
            DISK_OK);
        if (snapshot_receive(&receiver, receiver.offset, chunk, length, NULL) != DISK_OK) {
            snapshot_receive_abandon(&receiver);
            return false;
        }
    }
    return snapshot_receive_verify(&receiver, step->index, step->term, NULL) == DISK_OK &&
           snapshot_receive_install(&receiver, NULL) == DISK_OK;
}

static bool do_receive(struct script *script, struct storage *storage, const struct step *step)
{
    struct shim *sender = shim_new();
    struct state state = {.index = step->index};
    struct snapshot_header header = snapshot_header_of(step->index, step->term);
    struct snapshot source;
    assert_int_equal(snapshot_save(shim_disk(sender), &header, fill_state, &state, NULL), DISK_OK);
    assert_int_equal(snapshot_open_newest(&source, shim_disk(sender), NULL, NULL), DISK_OK);
    script->wanted.snapshot = step->index;
    script->wanted.last = script->wanted_last_min = step->index;
    bool done = receive_file(storage, step, &source);
    snapshot_close(&source);
    shim_free(sender);
    if (!done)
        return false;
    log_reset(storage->log, step->index, step->term);
    return worked(script, storage, step->index);
}

static bool do_step(struct script *script, struct storage *storage, const struct step *step)
{
    switch (step->kind) {
    case STEP_META:
        return do_meta(script, storage, step);
    case STEP_APPEND:
        return do_append(script, storage, step, script->acknowledged.last + 1);
    case STEP_REPLACE:
        return do_append(script, storage, step, step->from);
    case STEP_CUT:
        script->wanted.last = script->wanted_last_min = step->index - 1;
        log_truncate_suffix(storage->log, step->index);
        return worked(script, storage, step->index - 1);
    case STEP_SNAPSHOT:
        return do_snapshot(script, storage, step);
    case STEP_COMPACT:
        log_compact_prefix(storage->log, step->index);
        return worked(script, storage, script->wanted.last);
    case STEP_RECEIVE:
        return do_receive(script, storage, step);
    }
    return false;
}

bool script_run(struct script *script, const struct disk *disk)
{
    *script = (struct script){.formatted = false};
    struct storage storage;
    struct storage_options options = script_options(script);
    struct queue_error error = {.message = ""};
    script->opened = storage_open(&storage, disk, &options, &error);
    snprintf(script->message, sizeof script->message, "%s", error.message);
    if (script->opened != DISK_OK)
        return false;
    script->formatted = true;
    memcpy(script->wanted.disk_id, storage.meta.state.disk_id, META_DISK_ID_BYTES);
    script->acknowledged = script->wanted;
    bool done = true;
    int count = sizeof steps / sizeof *steps;
    for (script->step = 0; done && script->step < count; script->step++) {
        script->wanted_last_min = script->wanted.last;
        done = do_step(script, &storage, &steps[script->step]);
        if (done)
            script->acknowledged = script->wanted;
    }
    storage_close(&storage);
    return done;
}

/* Looking */

static void look_at_entries(struct log *log, struct script_view *view)
{
    static unsigned char expected[SCRIPT_SEGMENT_BYTES + 2000];
    view->first = log_first(log);
    view->last = log_last(log);
    assert_int_equal(log_persisted(log), view->last);
    for (uint64_t index = view->first; index <= view->last;) {
        struct log_batch batch;
        assert_int_equal(log_read(log, index, 900, &batch, NULL), DISK_OK);
        assert_true(batch.count > 0);
        for (size_t i = 0; i < batch.count; i++, index++) {
            const struct entry *entry = &batch.entries[i];
            assert_int_equal(entry->index, index);
            assert_int_equal(entry->type, ENTRY_COMMANDS);
            assert_int_equal(entry->length, payload_length(index));
            make_payload(expected, index, entry->term);
            assert_memory_equal(entry->data, expected, entry->length);
            view->terms[index] = entry->term;
        }
        log_batch_free(&batch);
    }
}

static void look_at_snapshot(struct snapshot *snapshot)
{
    unsigned char bytes[STATE_BYTES + 1];
    size_t length, more;
    assert_int_equal(snapshot->header.config_bytes, 11);
    assert_memory_equal(snapshot->header.config, "three nodes", 11);
    assert_int_equal(snapshot_read(snapshot, bytes, sizeof bytes, &length, NULL), DISK_OK);
    assert_int_equal(length, STATE_BYTES);
    assert_int_equal(snapshot_read(snapshot, bytes, sizeof bytes, &more, NULL), DISK_OK);
    assert_int_equal(more, 0);
    for (uint32_t i = 0; i < STATE_BYTES; i++)
        assert_int_equal(bytes[i], payload_byte(snapshot->header.index, 99, i));
}

void script_look(struct storage *storage, struct script_view *view)
{
    *view = (struct script_view){.first = 0};
    look_at_entries(storage->log, view);
    if (storage->has_snapshot) {
        view->snapshot = storage->snapshot.header.index;
        look_at_snapshot(&storage->snapshot);
    }
    view->meta_term = storage->meta.state.term;
    view->meta_vote = storage->meta.state.vote;
    memcpy(view->disk_id, storage->meta.state.disk_id, META_DISK_ID_BYTES);
}

/* Checking */

static bool entries_are(const struct script_view *seen, const struct script_view *model,
                        uint64_t last_min)
{
    if (seen->last > model->last || seen->last < last_min)
        return false;
    for (uint64_t index = seen->first; index <= seen->last; index++)
        if (seen->terms[index] != model->terms[index])
            return false;
    return true;
}

static bool meta_is(const struct script_view *seen, const struct script_view *model)
{
    return seen->meta_term == model->meta_term && seen->meta_vote == model->meta_vote;
}

void script_check(const struct script *script, const struct script_view *seen)
{
    const struct script_view *before = &script->acknowledged, *after = &script->wanted;
    if (!entries_are(seen, before, before->last) &&
        !entries_are(seen, after, script->wanted_last_min))
        fail_msg("step %d: the log has %llu to %llu; acknowledged up to %llu", script->step,
                 (unsigned long long)seen->first, (unsigned long long)seen->last,
                 (unsigned long long)before->last);
    assert_true(meta_is(seen, before) || meta_is(seen, after));
    assert_true(seen->snapshot == before->snapshot || seen->snapshot == after->snapshot ||
                (script->damaged && seen->snapshot < before->snapshot));
    assert_true(seen->first <= seen->snapshot + 1);
    assert_true(seen->last >= seen->snapshot);
    if (script->formatted)
        assert_memory_equal(seen->disk_id, before->disk_id, META_DISK_ID_BYTES);
}

static void append_one(struct storage *storage, uint64_t index)
{
    append(storage->log, index, 50);
    log_work(storage->log);
    assert_int_equal(log_persisted(storage->log), index);
}

static void must_end_with(struct storage *storage, uint64_t index)
{
    struct log_batch batch;
    assert_int_equal(log_last(storage->log), index);
    assert_int_equal(log_read(storage->log, index, 0, &batch, NULL), DISK_OK);
    assert_int_equal(batch.entries[0].term, 50);
    log_batch_free(&batch);
}

enum disk_result script_reopen(struct script *script, const struct disk *disk,
                               struct script_view *view, struct queue_error *error)
{
    struct storage storage;
    struct storage_options options = script_options(script);
    enum disk_result result = storage_open(&storage, disk, &options, error);
    if (result != DISK_OK)
        return result;
    script_look(&storage, view);
    script_check(script, view);
    append_one(&storage, view->last + 1);
    must_end_with(&storage, view->last + 1);
    storage_close(&storage);
    result = storage_open(&storage, disk, &options, error);
    if (result != DISK_OK)
        fail_msg("opened, appended, and not opened again: %s", error->message);
    must_end_with(&storage, view->last + 1);
    storage_close(&storage);
    return DISK_OK;
}

bool script_same(const struct script_view *a, const struct script_view *b)
{
    if (a->last != b->last || !meta_is(a, b) ||
        memcmp(a->disk_id, b->disk_id, META_DISK_ID_BYTES) != 0)
        return false;
    uint64_t first = a->first > b->first ? a->first : b->first;
    for (uint64_t index = first; index <= a->last; index++)
        if (a->terms[index] != b->terms[index])
            return false;
    return true;
}
