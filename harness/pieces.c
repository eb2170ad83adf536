/* Judging histories larger than memory: see pieces.h. */
#include "harness/pieces.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "harness/histories/history_file.h"
#include "harness/histories/value_table.h"

enum {
    EVENT_BYTES = 160,      /* of an event in a piece, its values and what the search makes of it */
    FILE_BYTES_FACTOR = 16, /* the same for a byte of history.ordeal */
    PIECE_EVENTS_MIN = 1000,
};

struct key {
    uint64_t events;
    uint32_t piece;
};

struct pieces {
    const struct pieces_options *options;
    struct arena arena;
    struct value_table keys; /* [key]: nil is a key like others */
    struct key *by_key;
    uint32_t key_capacity;
    struct value_table processes;
    uint32_t *open_key; /* by process: the key of its open operation */
    uint32_t process_capacity;
    uint64_t operations, guessed_pairs;
    uint32_t piece_count, current;
    /* of the piece being judged */
    struct history piece;
    uint32_t *numbers; /* by event of the piece: its number in the file */
    uint32_t number_capacity;
};

/* ---- Keys ---- */

static bool grow(void *array, uint32_t *capacity, uint32_t wanted, size_t size)
{
    if (wanted < *capacity)
        return true;
    uint32_t larger = wanted < 512 ? 1024 : wanted * 2;
    void *grown = realloc(*(void **)array, larger * size);
    if (grown == NULL)
        return false;
    memset((char *)grown + *capacity * size, 0, (larger - *capacity) * size);
    *(void **)array = grown;
    *capacity = larger;
    return true;
}

/* The number of a key; values of the file's blocks do not last, so a new one is copied. */
static uint32_t key_number(struct pieces *pieces, struct value key)
{
    uint32_t number = value_table_find(&pieces->keys, key);
    return number != UINT32_MAX ? number
                                : value_table_id(&pieces->keys, value_copy(&pieces->arena, key));
}

/* The key of a client's event, HISTORY_NONE when memory ended. Completions have that of what their
 * process invoked last. */
static uint32_t key_of_event(struct pieces *pieces, const struct history *block, uint32_t i)
{
    uint32_t process = value_table_id(&pieces->processes, value_int(NULL, block->process[i]));
    if (!grow(&pieces->open_key, &pieces->process_capacity, process, sizeof *pieces->open_key))
        return HISTORY_NONE;
    if (block->type[i] == OP_INVOKE)
        pieces->open_key[process] = key_number(pieces, value_at(block->value[i], 0));
    return pieces->open_key[process];
}

static enum err_code check_pair(const struct pieces *pieces, const struct history *block,
                                uint32_t i, uint64_t number, struct err *err)
{
    if (block->type[i] != OP_INVOKE || value_is_pair(block->value[i]))
        return ERR_NONE;
    struct buf text = BUF_INIT;
    value_print(block->value[i], &text);
    err_set(err, ERR_UNSUPPORTED,
            "%s: event %" PRIu64 " has the value %.60s, which is not [key value]: a history larger "
            "than memory is judged key by key, or not at all",
            pieces->options->path, number, buf_text(&text));
    buf_free(&text);
    return ERR_UNSUPPORTED;
}

/* ---- Passes ---- */

typedef enum err_code event_fn(struct pieces *pieces, const struct history *block, uint32_t i,
                               uint64_t number, struct err *err);

/* Every client event of the file, in order. */
static enum err_code for_each_event(struct pieces *pieces, event_fn *event, struct buf *notes,
                                    struct err *err)
{
    struct history_reader *reader;
    enum err_code code = history_reader_open(pieces->options->path, &reader, err);
    if (code != ERR_NONE)
        return code;
    for (bool more = true; code == ERR_NONE && more;) {
        struct history block;
        history_init(&block);
        code = history_reader_next(reader, &block, &more, err);
        uint64_t first = history_reader_first(reader);
        for (uint32_t i = 0; code == ERR_NONE && i < block.count; i++)
            if (history_is_client(&block, i))
                code = event(pieces, &block, i, first + i, err);
        history_free(&block);
    }
    const char *cut = history_reader_cut(reader);
    if (code == ERR_NONE && cut != NULL && notes != NULL)
        buf_printf(notes, "%s\n", cut);
    history_reader_close(reader);
    return code;
}

static enum err_code count_event(struct pieces *pieces, const struct history *block, uint32_t i,
                                 uint64_t number, struct err *err)
{
    enum err_code code = check_pair(pieces, block, i, number, err);
    if (code != ERR_NONE)
        return code;
    uint32_t key = key_of_event(pieces, block, i);
    if (key == HISTORY_NONE ||
        !grow(&pieces->by_key, &pieces->key_capacity, key, sizeof *pieces->by_key))
        return err_set(err, ERR_NOMEM, "%s: out of memory for %u keys", pieces->options->path,
                       pieces->keys.count);
    pieces->by_key[key].events++;
    pieces->operations += block->type[i] == OP_INVOKE;
    return ERR_NONE;
}

/* As many keys in a row as fit. */
static void make_pieces(struct pieces *pieces)
{
    uint64_t room = pieces->options->piece_bytes / EVENT_BYTES, filled = 0;
    room = room < PIECE_EVENTS_MIN ? PIECE_EVENTS_MIN : room;
    for (uint32_t key = 0; key < pieces->keys.count && key < pieces->key_capacity; key++) {
        if (filled > 0 && filled + pieces->by_key[key].events > room) {
            pieces->piece_count++;
            filled = 0;
        }
        pieces->by_key[key].piece = pieces->piece_count;
        filled += pieces->by_key[key].events;
    }
    pieces->piece_count += filled > 0;
}

static enum err_code take_event(struct pieces *pieces, const struct history *block, uint32_t i,
                                uint64_t number, struct err *err)
{
    uint32_t key = key_of_event(pieces, block, i);
    if (key == HISTORY_NONE || pieces->by_key[key].piece != pieces->current)
        return ERR_NONE;
    enum err_code code;
    struct op op = history_op(block, i);
    op.f = history_f(&pieces->piece, history_f_name(block, i));
    op.error = op.extra = value_nil();
    uint32_t at = history_append(&pieces->piece, &op, &code);
    if (code != ERR_NONE ||
        !grow(&pieces->numbers, &pieces->number_capacity, at, sizeof *pieces->numbers))
        return err_set(err, ERR_NOMEM, "%s: out of memory for a piece of %u events",
                       pieces->options->path, at);
    pieces->numbers[at] = (uint32_t)number;
    return ERR_NONE;
}

/* ---- Putting results together ---- */

static struct json *renumbered(const struct pieces *pieces, const struct json *json, bool numbers);

static void add_renumbered(const struct pieces *pieces, struct json *into, const struct json *child)
{
    const char *key = json_key(child);
    bool numbers = key != NULL && (strcmp(key, "events") == 0 || strcmp(key, "minimal") == 0);
    struct json *copy = renumbered(pieces, child, numbers);
    if (json_kind(into) == JSON_OBJECT)
        json_set(into, key, copy);
    else
        json_add(into, copy);
}

/* A copy in which lists of events have the file's numbers; `numbers`: this is such a list. */
static struct json *renumbered(const struct pieces *pieces, const struct json *json, bool numbers)
{
    if (json_kind(json) != JSON_ARRAY && json_kind(json) != JSON_OBJECT)
        return json_copy(json);
    struct json *copy = json_kind(json) == JSON_ARRAY ? json_array() : json_object();
    for (const struct json *child = json_first(json); child != NULL; child = json_next(child)) {
        int64_t at = json_as_int(child, -1);
        if (numbers && json_kind(child) == JSON_NUMBER && at >= 0 &&
            at < (int64_t)pieces->piece.count)
            json_add(copy, json_int(pieces->numbers[at]));
        else
            add_renumbered(pieces, copy, child);
    }
    return copy;
}

static void move_anomalies(const struct pieces *pieces, struct json *into, const struct json *from)
{
    struct json *list = json_get(into, "anomalies");
    for (const struct json *anomaly = json_first(json_get(from, "anomalies")); anomaly != NULL;
         anomaly = json_next(anomaly))
        json_add(list, renumbered(pieces, anomaly, false));
}

static void add_int(struct json *into, const struct json *from, const char *key)
{
    int64_t sum = json_as_int(json_get(into, key), 0) + json_as_int(json_get(from, key), 0);
    json_remove(into, key);
    json_set_int(into, key, sum);
}

static void move_items(struct json *into, const struct json *from, const char *key)
{
    struct json *list = json_get(into, key);
    if (json_get(from, key) == NULL)
        return;
    if (list == NULL)
        list = json_set(into, key, json_array());
    for (const struct json *item = json_first(json_get(from, key)); item != NULL;
         item = json_next(item))
        json_add(list, json_copy(item));
}

static void merge(const struct pieces *pieces, struct json *into, const struct json *from)
{
    static const char *const sums[] = {"operation-count", "ok-count",      "key-count",
                                       "keys-valid",      "keys-invalid",  "keys-unknown",
                                       "keys-certified",  "configurations"};
    for (size_t i = 0; i < sizeof sums / sizeof sums[0]; i++)
        add_int(into, from, sums[i]);
    bool certified = json_as_bool(json_get(into, "certified"), true) &&
                     json_as_bool(json_get(from, "certified"), false);
    json_remove(into, "certified");
    json_set_bool(into, "certified", certified);
    move_anomalies(pieces, into, from);
    move_items(into, from, "unknown");
    const struct json *worst = json_get(into, "worst-key"), *other = json_get(from, "worst-key");
    if (other != NULL && json_as_real(json_get(other, "seconds"), 0) >
                             json_as_real(json_get(worst, "seconds"), -1)) {
        json_remove(into, "worst-key");
        json_set(into, "worst-key", json_copy(other));
    }
}

static enum verdict judge_piece(struct pieces *pieces, struct json *result, struct buf *reason,
                                struct err *err)
{
    enum verdict verdict = VERDICT_UNKNOWN;
    uint32_t left_open;
    if (history_pair_found(&pieces->piece, &left_open, err) != ERR_NONE) {
        buf_printf(reason, "a piece of the history: %s", err->message);
        return verdict;
    }
    struct check_input input = {.history = &pieces->piece,
                                .limits = pieces->options->limits,
                                .options = {json_copy(pieces->options->options)},
                                .keyed = KEYED_YES};
    option_defaults(&input.options, "linearizable", checker_find("linearizable")->options);
    struct json *results = check_all((const char *const[]){"linearizable"}, 1, &input, &verdict);
    struct json *of = json_get(json_get(results, "checkers"), "linearizable");
    merge(pieces, result, of);
    buf_add_text(reason, json_as_text(json_get(of, "reason"), ""));
    json_set_text(result, "model", json_as_text(json_get(of, "model"), ""));
    json_free(results);
    json_free(input.options.values);
    return verdict;
}

static void add_reason(struct json *result, const struct pieces *pieces, enum verdict verdict,
                       const struct buf *worst)
{
    struct buf reason = BUF_INIT;
    if (pieces->operations == 0)
        buf_add_text(&reason, "the history has no client operations");
    else if (verdict == VERDICT_VALID)
        buf_printf(&reason, "%" PRId64 " keys, %" PRIu64 " operations, in %u pieces",
                   json_as_int(json_get(result, "key-count"), 0), pieces->operations,
                   pieces->piece_count);
    else
        buf_printf(&reason, "of one of %u pieces: %s", pieces->piece_count, buf_text(worst));
    json_set_text(result, "reason", buf_text(&reason));
    buf_free(&reason);
}

static enum err_code judge_all(struct pieces *pieces, struct json *result, enum verdict *verdict,
                               struct err *err)
{
    struct buf worst = BUF_INIT;
    enum err_code code = ERR_NONE;
    *verdict = pieces->piece_count == 0 ? VERDICT_UNKNOWN : VERDICT_VALID;
    for (uint32_t i = 0; i < pieces->piece_count && code == ERR_NONE; i++) {
        struct buf reason = BUF_INIT;
        history_init(&pieces->piece);
        pieces->current = i;
        code = for_each_event(pieces, take_event, NULL, err);
        if (code == ERR_NONE) {
            enum verdict one = judge_piece(pieces, result, &reason, err);
            if (one > *verdict || worst.length == 0) {
                buf_clear(&worst);
                buf_add_text(&worst, buf_text(&reason));
            }
            *verdict = verdict_worse(*verdict, one);
        }
        history_free(&pieces->piece);
        buf_free(&reason);
    }
    if (code == ERR_NONE)
        add_reason(result, pieces, *verdict, &worst);
    buf_free(&worst);
    return code;
}

enum err_code pieces_check(const struct pieces_options *options, struct json **results,
                           enum verdict *verdict, struct buf *notes, struct err *err)
{
    struct pieces pieces = {.options = options};
    if (options->keyed == KEYED_NO)
        return err_set(err, ERR_UNSUPPORTED,
                       "%s: a history larger than memory is judged key by key, or not at all",
                       options->path);
    value_table_init(&pieces.keys, &pieces.arena);
    value_table_init(&pieces.processes, &pieces.arena);
    struct json *all = json_object(), *result = json_object();
    json_set(all, "valid", json_null());
    json_set(json_set(all, "checkers", json_object()), "linearizable", result);
    json_set(result, "valid", json_null());
    json_set_bool(result, "keyed", true);
    json_set_text(result, "keyed-why",
                  options->keyed == KEYED_YES ? "as asked" : "guessed: all values are [key value]");
    json_set(result, "anomalies", json_array());
    enum err_code code = for_each_event(&pieces, count_event, notes, err);
    if (code == ERR_NONE) {
        make_pieces(&pieces);
        code = judge_all(&pieces, result, verdict, err);
    }
    if (code == ERR_NONE) {
        json_set_int(result, "pieces", pieces.piece_count);
        json_set(all, "valid", verdict_json(*verdict));
        json_set(result, "valid", verdict_json(*verdict));
        *results = all;
    } else {
        json_free(all);
    }
    free(pieces.by_key);
    free(pieces.open_key);
    free(pieces.numbers);
    arena_free(&pieces.arena);
    return code;
}

/* ---- How much memory there is ---- */

static size_t machine_bytes_left(void)
{
    size_t kib = SIZE_MAX >> 10;
    char line[128];
    FILE *file = fopen("/proc/meminfo", "re");
    if (file == NULL)
        return SIZE_MAX;
    while (fgets(line, sizeof line, file) != NULL)
        if (sscanf(line, "MemAvailable: %zu kB", &kib) == 1)
            break;
    fclose(file);
    return kib << 10;
}

size_t pieces_memory_left(void)
{
    size_t left = machine_bytes_left();
    static const int kinds[] = {RLIMIT_AS, RLIMIT_DATA};
    for (size_t i = 0; i < 2; i++) {
        struct rlimit limit;
        if (getrlimit((__rlimit_resource_t)kinds[i], &limit) == 0 &&
            limit.rlim_cur != RLIM_INFINITY && limit.rlim_cur < left)
            left = (size_t)limit.rlim_cur;
    }
    return left;
}

size_t pieces_memory_needed(size_t file_bytes)
{
    return file_bytes * FILE_BYTES_FACTOR;
}
