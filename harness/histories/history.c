/* A history: see history.h. */
#include "harness/history.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "harness/histories/edn.h"

enum { CAPACITY_MIN = 1024, HUGE_PAGE = 2 << 20 };

void history_init(struct history *history)
{
    *history = (struct history){.arena = ARENA_INIT};
    history->errors = malloc(sizeof *history->errors);
    if (history->errors == NULL)
        abort();
    history->errors[0] = value_nil();
    history->error_count = 1;
}

void history_free(struct history *history)
{
    free(history->type);
    free(history->f);
    free(history->process);
    free(history->value);
    free(history->time_ns);
    free(history->error);
    free(history->extra);
    free(history->f_names);
    free(history->errors);
    free(history->process_names);
    free(history->partner);
    free(history->supplied);
    arena_free(&history->arena);
    *history = (struct history){.arena = ARENA_INIT};
}

void history_free_into(struct history *history, struct history *keeper)
{
    if (history->arena.blocks != NULL)
        *arena_child(&keeper->arena) = history->arena;
    history->arena = ARENA_INIT;
    history_free(history);
}

/* Tables are small and grow rarely: one realloc a new entry. */
static void *grow_table(void *table, uint32_t count, size_t size)
{
    void *grown = realloc(table, (count + 1) * size);
    if (grown == NULL) {
        fprintf(stderr, "ordeal: out of memory for the names of a history\n");
        abort();
    }
    return grown;
}

int history_find_f(const struct history *history, const char *name)
{
    for (uint32_t i = 0; i < history->f_count; i++)
        if (strcmp(history->f_names[i], name) == 0)
            return (int)i;
    return -1;
}

uint16_t history_f(struct history *history, const char *name)
{
    int known = history_find_f(history, name);
    if (known >= 0)
        return (uint16_t)known;
    if (history->f_count >= HISTORY_F_MAX) {
        fprintf(stderr, "ordeal: more than %d function names in one history\n", HISTORY_F_MAX);
        abort();
    }
    history->f_names = grow_table(history->f_names, history->f_count, sizeof *history->f_names);
    history->f_names[history->f_count] = arena_strdup(&history->arena, name);
    return (uint16_t)history->f_count++;
}

bool history_rename_f(struct history *history, const char *from, const char *to)
{
    int old = history_find_f(history, from), new = history_find_f(history, to);
    if (old < 0)
        return false;
    if (new < 0) {
        history->f_names[old] = arena_strdup(&history->arena, to);
        return true;
    }
    for (uint32_t i = 0; i < history->count; i++)
        if (history->f[i] == old)
            history->f[i] = (uint16_t) new;
    return true;
}

int32_t history_process_named(struct history *history, const char *keyword)
{
    if (strcmp(keyword, "nemesis") == 0)
        return PROCESS_NEMESIS;
    if (strcmp(keyword, "daemon") == 0)
        return PROCESS_DAEMON;
    uint32_t i = 0;
    while (i < history->process_name_count && strcmp(history->process_names[i], keyword) != 0)
        i++;
    if (i == history->process_name_count) {
        history->process_names = grow_table(history->process_names, history->process_name_count,
                                            sizeof *history->process_names);
        history->process_names[history->process_name_count++] =
            arena_strdup(&history->arena, keyword);
    }
    return PROCESS_OTHER - (int32_t)i;
}

const char *history_process_name(const struct history *history, int32_t process)
{
    if (process == PROCESS_NEMESIS)
        return "nemesis";
    if (process == PROCESS_DAEMON)
        return "daemon";
    uint32_t i = (uint32_t)(PROCESS_OTHER - process);
    return process <= PROCESS_OTHER && i < history->process_name_count ? history->process_names[i]
                                                                       : "unknown";
}

/* Of whole huge pages, where there are any, and before it is written to: a page fault every 4 KiB
 * would cost more than to copy what a column held before. */
static void *huge_column(void *old, size_t old_bytes, size_t bytes)
{
    size_t whole = (bytes + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE;
    void *grown = aligned_alloc(HUGE_PAGE, whole);
    if (grown == NULL)
        return NULL;
    madvise(grown, whole, MADV_HUGEPAGE);
    if (old != NULL)
        memcpy(grown, old, old_bytes < bytes ? old_bytes : bytes);
    free(old);
    return grown;
}

/* `filled`: how many entries of it are worth keeping. */
static bool grow_column(void *column, uint32_t filled, uint32_t capacity, size_t size)
{
    size_t bytes = (size_t)capacity * size;
    void **memory = column;
    void *grown = bytes >= HUGE_PAGE ? huge_column(*memory, (size_t)filled * size, bytes)
                                     : realloc(*memory, bytes);
    if (grown == NULL)
        return false;
    *memory = grown;
    return true;
}

static bool grow_to(struct history *history, uint32_t capacity)
{
    uint32_t count = history->count;
    if (capacity == history->capacity || !grow_column(&history->type, count, capacity, 1) ||
        !grow_column(&history->f, count, capacity, sizeof *history->f) ||
        !grow_column(&history->process, count, capacity, sizeof *history->process) ||
        !grow_column(&history->value, count, capacity, sizeof *history->value) ||
        !grow_column(&history->time_ns, count, capacity, sizeof *history->time_ns) ||
        !grow_column(&history->error, count, capacity, sizeof *history->error) ||
        (history->extra != NULL &&
         !grow_column(&history->extra, count, capacity, sizeof *history->extra)))
        return false;
    history->capacity = capacity;
    return true;
}

static bool grow(struct history *history)
{
    uint64_t wanted = history->capacity == 0 ? CAPACITY_MIN : (uint64_t)history->capacity * 2;
    return grow_to(history, wanted >= HISTORY_NONE ? HISTORY_NONE - 1 : (uint32_t)wanted);
}

bool history_reserve(struct history *history, uint32_t more)
{
    uint64_t needed = (uint64_t)history->count + more, doubled = (uint64_t)history->capacity * 2;
    if (needed >= HISTORY_NONE)
        return false;
    if (needed <= history->capacity)
        return true;
    uint64_t capacity = needed > doubled ? needed : doubled;
    return grow_to(history, capacity >= HISTORY_NONE ? HISTORY_NONE - 1 : (uint32_t)capacity);
}

/* Errors repeat: the newest few are looked at first, and there are never many kinds that matter. */
uint32_t history_error(struct history *history, struct value error)
{
    if (value_is_nil(error))
        return 0;
    uint32_t oldest = history->error_count > 64 ? history->error_count - 64 : 1;
    for (uint32_t i = history->error_count; i-- > oldest;)
        if (value_equal(history->errors[i], error))
            return i;
    history->errors = grow_table(history->errors, history->error_count, sizeof *history->errors);
    history->errors[history->error_count] = value_copy(&history->arena, error);
    return history->error_count++;
}

/* Few histories have extra keys, so their column comes with the first. */
static bool put_extra(struct history *history, uint32_t index, struct value extra)
{
    if (history->extra == NULL && value_is_nil(extra))
        return true;
    if (history->extra == NULL) {
        history->extra = malloc((size_t)history->capacity * sizeof *history->extra);
        if (history->extra == NULL)
            return false;
        for (uint32_t i = 0; i < index; i++)
            history->extra[i] = value_nil();
    }
    history->extra[index] = extra;
    return true;
}

uint32_t history_append_own(struct history *history, const struct op *op, enum err_code *code)
{
    if (history->count == history->capacity && !grow(history)) {
        *code = ERR_NOMEM;
        return HISTORY_NONE;
    }
    uint32_t index = history->count;
    if (!put_extra(history, index, op->extra)) {
        *code = ERR_NOMEM;
        return HISTORY_NONE;
    }
    history->count++;
    history->type[index] = (uint8_t)op->type;
    history->f[index] = op->f;
    history->process[index] = op->process;
    history->value[index] = op->value;
    history->time_ns[index] = op->time_ns;
    history->error[index] = history_error(history, op->error);
    *code = ERR_NONE;
    return index;
}

uint32_t history_append(struct history *history, const struct op *op, enum err_code *code)
{
    uint32_t index = history_append_own(history, op, code);
    if (index == HISTORY_NONE)
        return index;
    history->value[index] = value_copy(&history->arena, op->value);
    if (history->extra != NULL)
        history->extra[index] = value_copy(&history->arena, op->extra);
    return index;
}

struct op history_op(const struct history *history, uint32_t index)
{
    assert(index < history->count);
    return (struct op){.index = index,
                       .type = (enum op_type)history->type[index],
                       .process = history->process[index],
                       .f = history->f[index],
                       .value = history->value[index],
                       .error = history->errors[history->error[index]],
                       .extra = history->extra == NULL ? value_nil() : history->extra[index],
                       .time_ns = history->time_ns[index]};
}

const char *history_f_name(const struct history *history, uint32_t index)
{
    return history->f_names[history->f[index]];
}

/* Open invocations by process (clients) and by process and function (others): an open-addressing
 * table, since process numbers grow without bound as indeterminate ones are retired. */
struct open_table {
    struct open_slot {
        uint64_t key; /* 0: free */
        uint32_t index;
    } * slots;
    uint32_t mask, used;
};

static uint64_t open_key(const struct history *history, uint32_t index)
{
    uint64_t process = (uint32_t)history->process[index];
    uint64_t f = history->process[index] >= 0 ? 0 : history->f[index] + UINT64_C(1);
    return (process << 16 | f) + 1;
}

static struct open_slot *open_find(struct open_table *table, uint64_t key)
{
    uint64_t at = (key * UINT64_C(0x9e3779b97f4a7c15)) >> 32;
    while (table->slots[at & table->mask].key != 0 && table->slots[at & table->mask].key != key)
        at++;
    return &table->slots[at & table->mask];
}

static bool open_reserve(struct open_table *table)
{
    if (table->slots != NULL && table->used * 2 < table->mask)
        return true;
    struct open_table grown = {.mask = table->slots == NULL ? 255 : table->mask * 2 + 1};
    grown.slots = calloc((size_t)grown.mask + 1, sizeof *grown.slots);
    if (grown.slots == NULL)
        return false;
    for (uint32_t i = 0; table->slots != NULL && i <= table->mask; i++)
        if (table->slots[i].key != 0) {
            *open_find(&grown, table->slots[i].key) = table->slots[i];
            grown.used++;
        }
    free(table->slots);
    *table = grown;
    return true;
}

/* Operations of other people's processes that were still open when their process invoked another
 * one: by event, the open one below it. Made when there is a first. */
struct left_open {
    uint32_t *below; /* HISTORY_NONE at the bottom */
    bool *left;
    uint32_t count;
};

static bool leave_open(const struct history *h, struct left_open *open, uint32_t below, uint32_t i)
{
    if (open->below == NULL) {
        open->below = malloc(((size_t)h->count + 1) * sizeof *open->below);
        open->left = calloc((size_t)h->count + 1, sizeof *open->left);
        if (open->below == NULL || open->left == NULL)
            return false;
        memset(open->below, 0xff, ((size_t)h->count + 1) * sizeof *open->below);
    }
    open->below[i] = below;
    open->count += !open->left[below];
    open->left[below] = true;
    return true;
}

/* Which of a process' open operations (`top` the newest) a completion is of: one of its function,
 * best one with its value. Takes it off and returns it, leaving *top the newest that is left;
 * HISTORY_NONE when there is none. */
static uint32_t take_open(const struct history *h, struct left_open *open, uint32_t *top,
                          uint32_t completion)
{
    uint32_t found = HISTORY_NONE, above = HISTORY_NONE;
    if (open->below == NULL) {
        found = h->f[*top] == h->f[completion] ? *top : HISTORY_NONE;
        *top = found == HISTORY_NONE ? *top : HISTORY_NONE;
        return found;
    }
    for (uint32_t at = *top, before = HISTORY_NONE; at != HISTORY_NONE;
         before = at, at = open->below[at]) {
        if (h->f[at] != h->f[completion])
            continue;
        bool same = value_equal(h->value[at], h->value[completion]);
        if (found == HISTORY_NONE || same) {
            found = at;
            above = before;
        }
        if (same)
            break;
    }
    if (found == HISTORY_NONE)
        return found;
    if (above == HISTORY_NONE)
        *top = open->below[found];
    else
        open->below[above] = open->below[found];
    open->count -= open->left[found];
    return found;
}

/* `left` NULL: nothing may be left open. */
static enum err_code pair_event(struct history *h, struct open_table *table, uint32_t i,
                                struct left_open *left, struct err *err)
{
    h->partner[i] = HISTORY_NONE;
    if (h->process[i] == PROCESS_DAEMON)
        return ERR_NONE; /* single events */
    if (!open_reserve(table))
        return err_set(err, ERR_NOMEM, "pairing the history's operations: out of memory");
    struct open_slot *slot = open_find(table, open_key(h, i));
    bool known = slot->key != 0;
    bool open = known && slot->index != HISTORY_NONE;
    bool invokes = h->process[i] >= 0 ? h->type[i] == OP_INVOKE : !open;
    if (!known) {
        slot->key = open_key(h, i);
        table->used++;
    }
    if (invokes) {
        if (open && left == NULL)
            return err_set(err, ERR_PARSE,
                           "event %u: process %d invokes %s while its %s of event %u is still open",
                           i, h->process[i], history_f_name(h, i), history_f_name(h, slot->index),
                           slot->index);
        if (open && !leave_open(h, left, slot->index, i))
            return err_set(err, ERR_NOMEM, "pairing the history's operations: out of memory");
        slot->index = i;
        return ERR_NONE;
    }
    if (!open)
        return err_set(err, ERR_PARSE, "event %u: process %d completes a %s that it never invoked",
                       i, h->process[i], history_f_name(h, i));
    struct left_open none = {.below = NULL};
    uint32_t newest = slot->index;
    uint32_t invocation = take_open(h, left == NULL ? &none : left, &slot->index, i);
    if (invocation == HISTORY_NONE)
        return err_set(err, ERR_PARSE, "event %u: process %d completes %s but had invoked %s", i,
                       h->process[i], history_f_name(h, i), history_f_name(h, newest));
    h->partner[i] = invocation;
    h->partner[invocation] = i;
    return ERR_NONE;
}

static enum err_code pair_all(struct history *history, struct left_open *left, struct err *err)
{
    if (!grow_column(&history->partner, 0, history->count + 1, sizeof *history->partner))
        return err_set(err, ERR_NOMEM, "pairing %u events: out of memory", history->count);
    struct open_table table = {.slots = NULL};
    enum err_code code = ERR_NONE;
    for (uint32_t i = 0; i < history->count && code == ERR_NONE; i++)
        code = pair_event(history, &table, i, left, err);
    free(table.slots);
    return code;
}

enum err_code history_pair(struct history *history, struct err *err)
{
    return pair_all(history, NULL, err);
}

enum err_code history_pair_found(struct history *history, uint32_t *left_open, struct err *err)
{
    struct left_open left = {.below = NULL};
    enum err_code code = pair_all(history, &left, err);
    *left_open = left.count;
    free(left.below);
    free(left.left);
    return code;
}

const char *op_type_name(enum op_type type)
{
    static const char *const names[] = {"invoke", "ok", "fail", "info"};
    return names[type];
}

static void print_text(const char *name, struct buf *out)
{
    struct arena scratch = ARENA_INIT;
    value_print(value_string(&scratch, name), out);
    arena_free(&scratch);
}

/* A function may be any value in other people's histories ([:foo :start]); its name is then the
 * printed value, which goes out again as it came in. */
static bool prints_as_value(const char *name)
{
    struct arena scratch = ARENA_INIT;
    struct value value;
    bool good = strchr("[({#", name[0]) != NULL && name[0] != '\0' &&
                edn_parse_all(&scratch, name, strlen(name), &value, NULL) == ERR_NONE &&
                value_kind(value) != VALUE_SYMBOL;
    arena_free(&scratch);
    return good;
}

void history_print_f(const char *name, struct buf *out)
{
    if (edn_is_name(name, strlen(name)) && name[0] != '#') {
        buf_add_char(out, ':');
        buf_add_text(out, name);
    } else if (prints_as_value(name)) {
        buf_add_text(out, name);
    } else {
        print_text(name, out);
    }
}

void history_print_process(const struct history *history, int32_t process, struct buf *out)
{
    if (process >= 0) {
        buf_printf(out, "%" PRId32, process);
        return;
    }
    const char *name = history_process_name(history, process);
    if (edn_is_name(name, strlen(name))) {
        buf_add_char(out, ':');
        buf_add_text(out, name);
    } else {
        print_text(name, out);
    }
}

void history_print_extra(struct value extra, struct buf *out)
{
    for (size_t i = 0; i + 1 < value_count(extra); i += 2) {
        buf_add_text(out, ", ");
        value_print(value_at(extra, i), out);
        buf_add_char(out, ' ');
        value_print(value_at(extra, i + 1), out);
    }
}

void history_print_op(const struct history *history, uint32_t index, struct buf *out)
{
    struct op op = history_op(history, index);
    buf_printf(out, "{:index %u, :time %" PRId64 ", :type :%s, :process ", index, op.time_ns,
               op_type_name(op.type));
    history_print_process(history, op.process, out);
    buf_add_text(out, ", :f ");
    history_print_f(history->f_names[op.f], out);
    buf_add_text(out, ", :value ");
    value_print(op.value, out);
    if (!value_is_nil(op.error)) {
        buf_add_text(out, ", :error ");
        value_print(op.error, out);
    }
    history_print_extra(op.extra, out);
    buf_add_char(out, '}');
}
