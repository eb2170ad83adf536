/* What folding checkers share: see fold.h. */
#include "checkers/folding/fold.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SOME_MAX = 8, RANGES_BYTES_MAX = 1 << 16, DIRECT_FACTOR = 4, DIRECT_MIN = 4096 };

/* Of the array by integer: most of it would stay untouched, and memory costs time to clear. */
enum { PIECE_BITS = 12, PIECE_SIZE = 1 << PIECE_BITS };

int fold_f(const struct check_input *input, const char *name)
{
    return history_find_f(input->history, name);
}

static bool is_known(const char *name, const char *const *known)
{
    for (; *known != NULL; known++)
        if (strcmp(*known, name) == 0)
            return true;
    return false;
}

bool fold_understands(const struct check_input *input, struct check_result *result,
                      const char *const *known)
{
    const struct history *history = input->history;
    bool strange[HISTORY_F_MAX];
    bool any = false;
    for (uint32_t f = 0; f < history->f_count; f++)
        any |= strange[f] = !is_known(history->f_names[f], known);
    for (uint32_t i = 0; any && i < history->count; i++) {
        if (!strange[history->f[i]] || history->type[i] != OP_INVOKE ||
            !history_is_client(history, i) || history_outcome(history, i) == OP_FAIL)
            continue;
        check_verdict(result, VERDICT_UNKNOWN,
                      "event %" PRIu32 ": process %" PRId32 " did %s, and what that does here is "
                      "not known (--map %s=NAME says what it is)",
                      i, history->process[i], history_f_name(history, i),
                      history_f_name(history, i));
        return false;
    }
    return true;
}

/* ---- Elements ---- */

void elements_init(struct elements *elements, struct arena *arena, uint32_t expected)
{
    *elements = (struct elements){.arena = arena};
    int64_t pieces = ((int64_t)expected * DIRECT_FACTOR + DIRECT_MIN) >> PIECE_BITS;
    elements->direct_size = pieces << PIECE_BITS;
    elements->direct = arena_zalloc(arena, (size_t)pieces * sizeof *elements->direct);
    elements->capacity = expected < 16 ? 16 : expected;
    elements->values = arena_alloc(arena, elements->capacity * sizeof *elements->values);
    value_table_init(&elements->others, arena);
}

static uint32_t new_element(struct elements *elements, struct value value)
{
    if (elements->count == elements->capacity) {
        uint32_t capacity = elements->capacity * 2;
        struct value *values = arena_alloc(elements->arena, capacity * sizeof *values);
        memcpy(values, elements->values, elements->count * sizeof *values);
        elements->values = values;
        elements->capacity = capacity;
    }
    elements->values[elements->count] = value;
    return elements->count++;
}

/* Whether the array by integer is for this value. */
static inline bool is_direct(const struct elements *elements, struct value value)
{
    return value_is_small(value) && value_as_small(value) >= 0 &&
           value_as_small(value) < elements->direct_size;
}

/* The value's entry, NULL when its piece of the array is not there. */
static inline uint32_t *direct_entry(const struct elements *elements, struct value value)
{
    uint32_t *piece = elements->direct[value_as_small(value) >> PIECE_BITS];
    return piece == NULL ? NULL : &piece[value_as_small(value) % PIECE_SIZE];
}

static uint32_t *make_direct_entry(struct elements *elements, struct value value)
{
    elements->direct[value_as_small(value) >> PIECE_BITS] =
        arena_zalloc(elements->arena, PIECE_SIZE * sizeof(uint32_t));
    return direct_entry(elements, value);
}

static uint32_t *other_entry(struct elements *elements, uint32_t number)
{
    if (number >= elements->other_capacity) {
        uint32_t capacity = number < 32 ? 64 : number * 2;
        uint32_t *ids = arena_zalloc(elements->arena, capacity * sizeof *ids);
        if (elements->other_capacity > 0)
            memcpy(ids, elements->other_ids, elements->other_capacity * sizeof *ids);
        elements->other_ids = ids;
        elements->other_capacity = capacity;
    }
    return &elements->other_ids[number];
}

uint32_t elements_add(struct elements *elements, struct value value)
{
    bool direct = is_direct(elements, value);
    uint32_t *entry = direct ? direct_entry(elements, value)
                             : other_entry(elements, value_table_id(&elements->others, value));
    if (entry == NULL)
        entry = make_direct_entry(elements, value);
    if (*entry == 0)
        *entry = new_element(elements, value) + 1;
    return *entry - 1;
}

uint32_t elements_find(const struct elements *elements, struct value value)
{
    if (is_direct(elements, value)) {
        const uint32_t *entry = direct_entry(elements, value);
        return entry == NULL ? ELEMENT_NONE : *entry - 1; /* 0 becomes ELEMENT_NONE */
    }
    uint32_t number = value_table_find(&elements->others, value);
    return number < elements->other_capacity ? elements->other_ids[number] - 1 : ELEMENT_NONE;
}

bool fold_is_collection(struct value value)
{
    enum value_kind kind = value_kind(value);
    return kind == VALUE_VECTOR || kind == VALUE_LIST || kind == VALUE_SET;
}

/* ---- Results ---- */

void fold_list_add(struct fold_list *list, struct value value, bool all)
{
    list->count++;
    if (list->kept >= FOLD_LIST_MAX && !all)
        return;
    if (list->kept == list->capacity) {
        uint32_t capacity = list->capacity == 0 ? 64 : list->capacity * 2;
        struct value *values = realloc(list->values, capacity * sizeof *values);
        if (values == NULL) {
            fprintf(stderr, "ordeal: out of memory for a list of %u values\n", capacity);
            abort();
        }
        list->values = values;
        list->capacity = capacity;
    }
    list->values[list->kept++] = value;
}

void fold_list_free(struct fold_list *list)
{
    free(list->values);
    *list = (struct fold_list){.values = NULL};
}

struct json *fold_json(struct value value)
{
    int64_t integer = value_as_int(value);
    if (value_is_int(value) && integer < INT64_C(1) << 53 && integer > -(INT64_C(1) << 53))
        return json_int(integer);
    if (value_is_nil(value))
        return json_null();
    struct buf text = BUF_INIT;
    value_print(value, &text);
    struct json *json = json_text(buf_text(&text));
    buf_free(&text);
    return json;
}

static int by_value(const void *left, const void *right)
{
    const struct value *a = left, *b = right;
    bool a_int = value_is_int(*a), b_int = value_is_int(*b);
    if (a_int != b_int)
        return a_int ? -1 : 1;
    if (a_int) {
        int64_t x = value_as_int(*a), y = value_as_int(*b);
        return (x > y) - (x < y);
    }
    struct buf one = BUF_INIT, other = BUF_INIT;
    value_print(*a, &one);
    value_print(*b, &other);
    int order = strcmp(buf_text(&one), buf_text(&other));
    buf_free(&one);
    buf_free(&other);
    return order;
}

static int by_integer(const void *left, const void *right)
{
    int64_t a = value_as_small(*(const struct value *)left);
    int64_t b = value_as_small(*(const struct value *)right);
    return (a > b) - (a < b);
}

/* Elements tend to come in order, and to be small integers. */
void fold_sort(struct value *values, size_t count)
{
    size_t small = 0, sorted = 1;
    while (small < count && value_is_small(values[small]))
        small++;
    while (small == count && sorted < count &&
           by_integer(&values[sorted - 1], &values[sorted]) <= 0)
        sorted++;
    if (small == count && sorted >= count)
        return;
    if (small == count)
        qsort(values, count, sizeof *values, by_integer);
    else if (count > 1)
        qsort(values, count, sizeof *values, by_value);
}

static void set_count(struct json *details, const char *key, uint64_t count)
{
    char name[64];
    snprintf(name, sizeof name, "%s-count", key);
    json_set_int(details, name, (int64_t)count);
}

void fold_set_list(struct json *details, const char *key, struct fold_list *list)
{
    fold_sort(list->values, list->kept);
    struct json *array = json_set(details, key, json_array());
    for (uint32_t i = 0; i < list->kept; i++)
        json_add(array, fold_json(list->values[i]));
    set_count(details, key, list->count);
}

/* One range of integers that follow each other; how many of the values it takes. */
static uint32_t add_range(const struct value *values, uint32_t count, struct buf *out)
{
    uint32_t length = 1;
    while (length < count && value_is_int(values[0]) && value_is_int(values[length]) &&
           value_as_int(values[length]) == value_as_int(values[length - 1]) + 1)
        length++;
    value_print(values[0], out);
    if (length > 1) {
        buf_add_text(out, length == 2 ? " " : "..");
        value_print(values[length - 1], out);
    }
    return length;
}

void fold_set_ranges(struct json *details, const char *key, struct fold_list *list)
{
    fold_sort(list->values, list->kept);
    struct buf text = BUF_INIT;
    buf_add_text(&text, "#{");
    for (uint32_t i = 0; i < list->kept;) {
        if (i > 0)
            buf_add_char(&text, ' ');
        if (text.length > RANGES_BYTES_MAX) {
            buf_add_text(&text, "...");
            break;
        }
        i += add_range(list->values + i, list->kept - i, &text);
    }
    buf_add_char(&text, '}');
    json_set_text(details, key, buf_text(&text));
    buf_free(&text);
    set_count(details, key, list->count);
}

void fold_add_some(const struct fold_list *list, struct buf *out)
{
    buf_printf(out, "%" PRIu64 " element%s: ", list->count, list->count == 1 ? "" : "s");
    for (uint32_t i = 0; i < list->kept && i < SOME_MAX; i++) {
        buf_add_text(out, i > 0 ? " " : "");
        value_print(list->values[i], out);
    }
    if (list->count > SOME_MAX)
        buf_add_text(out, " ...");
}
