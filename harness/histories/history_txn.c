/* Transactions over registers, from other checkers' formats: see history_txn.h. */
#include "harness/histories/history_txn.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct row {
    int64_t key, value;
    uint32_t session, txn;
    bool write, failed;
};

struct rows {
    struct row *list;
    size_t count, capacity;
};

static enum err_code add_row(struct rows *rows, struct row row, struct err *err)
{
    if (rows->count == rows->capacity) {
        size_t capacity = rows->capacity == 0 ? 1024 : rows->capacity * 2;
        struct row *grown = realloc(rows->list, capacity * sizeof *grown);
        if (grown == NULL)
            return err_set(err, ERR_NOMEM, "%zu reads and writes: out of memory", rows->count);
        rows->list = grown;
        rows->capacity = capacity;
    }
    rows->list[rows->count++] = row;
    return ERR_NONE;
}

/* ---- Texts ---- */

/* NULL, or what is wrong with the line (NUL-terminated, without its newline). */
static const char *awdit_line(const char *line, struct row *next, bool *is_row)
{
    char f, rest;
    *is_row = false;
    if (line[0] == '\0')
        return NULL;
    if (strspn(line, "-") == strlen(line)) {
        next->txn++;
        return NULL;
    }
    if (strspn(line, "=") == strlen(line)) {
        next->txn++;
        next->session++;
        return NULL;
    }
    if (sscanf(line, "%c %" SCNd64 " %" SCNd64 " %c", &f, &next->key, &next->value, &rest) != 3 ||
        (f != 'r' && f != 'w'))
        return "is none of 'r KEY VALUE', 'w KEY VALUE', ----- and =====";
    next->write = f == 'w';
    *is_row = true;
    return NULL;
}

static const char *plume_line(const char *line, struct row *next, bool *is_row)
{
    char f, rest;
    int64_t session, txn;
    *is_row = line[0] != '\0';
    if (line[0] == '\0')
        return NULL;
    if (sscanf(line, "%c(%" SCNd64 ",%" SCNd64 ",%" SCNd64 ",%" SCNd64 ") %c", &f, &next->key,
               &next->value, &session, &txn, &rest) != 5 ||
        (f != 'r' && f != 'w') || strchr(line, ')') == NULL)
        return "is none of r(KEY,VALUE,SESSION,TRANSACTION) and w(..)";
    if (session < 0 || session >= INT32_MAX || txn < 0 || txn >= UINT32_MAX)
        return "has a session or transaction number out of range";
    next->session = (uint32_t)session;
    next->txn = (uint32_t)txn;
    next->write = f == 'w';
    return NULL;
}

static enum err_code read_lines(struct source *source, const char *format, struct rows *rows,
                                struct err *err)
{
    struct row next = {.key = 0};
    bool awdit = strcmp(format, "awdit") == 0;
    for (size_t at = 0; at < source->length;) {
        char line[256];
        const char *end = memchr(source->data + at, '\n', source->length - at);
        size_t length = (end == NULL ? source->data + source->length : end) - (source->data + at);
        size_t kept = length < sizeof line ? length : sizeof line - 1;
        memcpy(line, source->data + at, kept);
        while (kept > 0 && (line[kept - 1] == '\r' || line[kept - 1] == ' '))
            kept--;
        line[kept] = '\0';
        bool is_row;
        const char *problem = length >= sizeof line || memchr(line, '\0', kept) != NULL
                                  ? "is no line of this format"
                                  : (awdit ? awdit_line : plume_line)(line, &next, &is_row);
        if (problem != NULL)
            return source_error(source, at, err, problem);
        if (is_row && add_row(rows, next, err) != ERR_NONE)
            return err->code;
        at += length + (end != NULL);
    }
    return ERR_NONE;
}

/* ---- bincode: little-endian words, lengths before texts and lists ---- */

struct bytes {
    const unsigned char *at, *end;
    bool short_of; /* more was asked for than there is */
};

static uint64_t take(struct bytes *bytes, size_t width)
{
    uint64_t word = 0;
    if ((size_t)(bytes->end - bytes->at) < width) {
        bytes->short_of = true;
        return 0;
    }
    for (size_t i = width; i-- > 0;)
        word = word << 8 | bytes->at[i];
    bytes->at += width;
    return word;
}

static void skip_text(struct bytes *bytes)
{
    uint64_t length = take(bytes, 8);
    if (length > (uint64_t)(bytes->end - bytes->at))
        bytes->short_of = true;
    else
        bytes->at += length;
}

static enum err_code read_transaction(struct bytes *bytes, struct rows *rows, struct row *next,
                                      struct err *err)
{
    uint64_t events = take(bytes, 8);
    size_t first = rows->count;
    enum err_code code = ERR_NONE;
    next->txn++;
    for (uint64_t e = 0; e < events && !bytes->short_of && code == ERR_NONE; e++) {
        next->write = take(bytes, 1) != 0;
        next->key = (int64_t)take(bytes, 8);
        next->value = (int64_t)take(bytes, 8);
        bool good = take(bytes, 1) != 0;
        if (good && !bytes->short_of)
            code = add_row(rows, *next, err);
    }
    bool committed = take(bytes, 1) != 0;
    for (size_t i = first; i < rows->count; i++)
        rows->list[i].failed = !committed;
    return code;
}

static enum err_code read_bincode(struct source *source, struct rows *rows, struct err *err)
{
    struct bytes bytes = {(const unsigned char *)source->data,
                          (const unsigned char *)source->data + source->length, false};
    struct row next = {.key = 0};
    for (int i = 0; i < 5; i++)
        take(&bytes, 8); /* identifier, sessions, keys, transactions, events a transaction */
    for (int i = 0; i < 3; i++)
        skip_text(&bytes); /* what it is of, when it began and ended */
    uint64_t sessions = take(&bytes, 8);
    enum err_code code = ERR_NONE;
    for (uint64_t s = 0; s < sessions && !bytes.short_of && code == ERR_NONE; s++) {
        uint64_t count = take(&bytes, 8);
        for (uint64_t t = 0; t < count && !bytes.short_of && code == ERR_NONE; t++)
            code = read_transaction(&bytes, rows, &next, err);
        next.session++;
    }
    if (code == ERR_NONE && bytes.short_of)
        return source_error(source, source->length, err,
                            "the file ends in the middle: it is no whole bincode history");
    return code;
}

/* ---- As events ---- */

static int by_key(const void *left, const void *right)
{
    const int64_t *a = left, *b = right;
    return (*a > *b) - (*a < *b);
}

/* The keys to which somebody wrote 0, sorted: there a read of 0 is one of that write. */
static int64_t *zero_keys(const struct rows *rows, size_t *count)
{
    int64_t *keys = malloc((rows->count + 1) * sizeof *keys);
    *count = 0;
    for (size_t i = 0; keys != NULL && i < rows->count; i++)
        if (rows->list[i].write && rows->list[i].value == 0)
            keys[(*count)++] = rows->list[i].key;
    if (keys != NULL)
        qsort(keys, *count, sizeof *keys, by_key);
    return keys;
}

static struct value micro_op(struct history *history, const struct row *row, bool completed,
                             bool zero_written)
{
    struct arena *arena = &history->arena;
    bool initial = row->value == 0 && !zero_written;
    struct value value =
        !row->write && (!completed || initial) ? value_nil() : value_int(arena, row->value);
    struct value parts[] = {value_keyword(arena, row->write ? "w" : "r"),
                            value_int(arena, row->key), value};
    return value_items(arena, VALUE_VECTOR, parts, 3);
}

static enum err_code add_events(struct history *history, const struct row *rows, size_t count,
                                const int64_t *zeros, size_t zero_count, struct value *scratch)
{
    struct op op = {
        .process = (int32_t)rows[0].session, .f = history_f(history, "txn"), .time_ns = -1};
    enum err_code code = ERR_NONE;
    for (int completed = 0; completed < 2 && code == ERR_NONE; completed++) {
        op.type = completed == 0 ? OP_INVOKE : rows[0].failed ? OP_FAIL : OP_OK;
        for (size_t i = 0; i < count; i++) {
            bool zero = zero_count > 0 &&
                        bsearch(&rows[i].key, zeros, zero_count, sizeof *zeros, by_key) != NULL;
            scratch[i] = micro_op(history, &rows[i], completed != 0, zero);
        }
        op.value = value_items(&history->arena, VALUE_VECTOR, scratch, count);
        history_append_own(history, &op, &code);
    }
    return code;
}

static enum err_code add_all(struct history *history, const struct rows *rows, struct err *err)
{
    size_t zero_count;
    int64_t *zeros = zero_keys(rows, &zero_count);
    struct value *scratch = malloc((rows->count + 1) * sizeof *scratch);
    enum err_code code = zeros == NULL || scratch == NULL ? ERR_NOMEM : ERR_NONE;
    for (size_t i = 0, end; i < rows->count && code == ERR_NONE; i = end) {
        for (end = i + 1; end < rows->count && rows->list[end].txn == rows->list[i].txn &&
                          rows->list[end].session == rows->list[i].session;)
            end++;
        code = add_events(history, rows->list + i, end - i, zeros, zero_count, scratch);
    }
    free(zeros);
    free(scratch);
    return code == ERR_NONE
               ? code
               : err_set(err, code, "%zu reads and writes: out of memory", rows->count);
}

enum err_code history_txn_read(struct source *source, const char *format, struct history *history,
                               struct err *err)
{
    struct rows rows = {.list = NULL};
    enum err_code code = ERR_NONE;
    while (!source->end && code == ERR_NONE)
        code = source_fill(source, 0, err);
    if (code == ERR_NONE)
        code = strcmp(format, "dbcop") == 0 ? read_bincode(source, &rows, err)
                                            : read_lines(source, format, &rows, err);
    if (code == ERR_NONE)
        code = add_all(history, &rows, err);
    history->unordered = true;
    free(rows.list);
    return code;
}
