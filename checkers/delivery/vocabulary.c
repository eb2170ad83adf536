/* Reading the operations of queues: see vocabulary.h. */
#include "checkers/delivery/vocabulary.h"

#include <math.h>
#include <string.h>

#include "harness/base/clock.h"

/* A lease of a century is one that never ends; beyond, sums would not fit. */
#define DURATION_MS_MAX INT64_C(3155760000000)

enum queue_f queue_f_of(const char *name)
{
    static const char *const names[] = {
        [QUEUE_ENQUEUE] = "enqueue", [QUEUE_DEQUEUE] = "dequeue", [QUEUE_DRAIN] = "drain",
        [QUEUE_ACK] = "ack",         [QUEUE_NACK] = "nack",       [QUEUE_EXTEND] = "extend",
        [QUEUE_PEEK] = "peek",       [QUEUE_LENGTH] = "length",
    };
    for (int f = QUEUE_ENQUEUE; f <= QUEUE_LENGTH; f++)
        if (strcmp(names[f], name) == 0)
            return (enum queue_f)f;
    return QUEUE_OTHER;
}

/* Milliseconds, whole or not; DURATION_NONE for what is no duration. */
static int64_t duration_ns(struct value value)
{
    if (value_is_int(value)) {
        int64_t ms = value_as_int(value);
        ms = ms > DURATION_MS_MAX ? DURATION_MS_MAX : ms;
        return ms < 0 ? DURATION_NONE : ms * NS_PER_MS;
    }
    double ms = value_kind(value) == VALUE_DOUBLE ? value_as_double(value) : -1;
    if (!(ms >= 0))
        return DURATION_NONE;
    return ms > (double)DURATION_MS_MAX ? DURATION_MS_MAX * NS_PER_MS
                                        : (int64_t)floor(ms * (double)NS_PER_MS);
}

static int64_t number(struct value value)
{
    int64_t integer = value_is_int(value) ? value_as_int(value) : -1;
    return integer < 0 ? -1 : integer;
}

static void read_duration(struct item *item, struct value value, int64_t *ns)
{
    *ns = duration_ns(value);
    if (*ns == DURATION_NONE && !value_is_nil(value))
        item->problem = "its :delay, :ttl or :retry is no number of milliseconds";
}

static bool is(const char *text, size_t length, const char *name, size_t name_length)
{
    return length == name_length && memcmp(text, name, length) == 0;
}
#define IS(name) is(text, length, name, sizeof(name) - 1)

static void read_entry(struct item *item, const char *text, size_t length, struct value value)
{
    switch (length) {
    case 2:
        if (IS("id"))
            item->id = value;
        break;
    case 3:
        if (IS("ttl"))
            read_duration(item, value, &item->ttl_ns);
        else if (IS("key"))
            item->key = value;
        break;
    case 4:
        if (IS("body"))
            item->body = value;
        else if (IS("dead"))
            item->dead = value_as_bool(value);
        break;
    case 5:
        if (IS("queue"))
            item->queue = value;
        else if (IS("count"))
            item->count = number(value);
        else if (IS("delay"))
            read_duration(item, value, &item->delay_ns);
        else if (IS("retry"))
            read_duration(item, value, &item->retry_ns);
        break;
    case 7:
        if (IS("message"))
            item->message = value;
        break;
    case 8:
        if (IS("producer"))
            item->producer = value;
        else if (IS("delivery"))
            item->delivery = value;
        else if (IS("priority"))
            item->priority = number(value);
        break;
    case 9:
        if (IS("duplicate"))
            item->duplicate = value_as_bool(value);
        break;
    default:
        break;
    }
}

static void read_map(struct item *item, struct value map)
{
    size_t count = value_count(map);
    for (size_t i = 0; i + 1 < count; i += 2) {
        struct value key = value_at(map, i);
        enum value_kind kind = value_kind(key);
        if (kind == VALUE_KEYWORD || kind == VALUE_STRING)
            read_entry(item, value_as_text(key), value_text_length(key), value_at(map, i + 1));
    }
    if (value_is_nil(item->message))
        item->problem = "it is a map without a :message";
}

void item_fill(struct item *item, struct value value)
{
    static const struct item blank = {.count = -1,
                                      .priority = -1,
                                      .delay_ns = DURATION_NONE,
                                      .ttl_ns = DURATION_NONE,
                                      .retry_ns = DURATION_NONE};
    *item = blank;
    if (value_kind(value) == VALUE_MAP) {
        read_map(item, value);
    } else {
        item->plain = true;
        item->message = value;
        if (value_is_nil(value))
            item->problem = "it names no message";
    }
}

static bool means_empty(struct value value)
{
    if (value_is_pair(value))
        value = value_at(value, 0); /* [:empty "..."], as errors are written */
    enum value_kind kind = value_kind(value);
    if (kind != VALUE_KEYWORD && kind != VALUE_STRING)
        return false;
    const char *text = value_as_text(value);
    return strcmp(text, "empty") == 0 || strcmp(text, "exhausted") == 0;
}

static bool is_sequence(struct value value)
{
    enum value_kind kind = value_kind(value);
    return kind == VALUE_VECTOR || kind == VALUE_LIST || kind == VALUE_SET;
}

static bool is_list(struct value value, bool vectors)
{
    if (!is_sequence(value))
        return false;
    if (!vectors || value_count(value) == 0)
        return true;
    struct value first = value_at(value, 0);
    return is_sequence(first) || value_kind(first) == VALUE_MAP;
}

size_t items_count_list(struct value value, bool vectors)
{
    if (value_is_nil(value) || (value_kind(value) == VALUE_KEYWORD && means_empty(value)))
        return 0;
    return is_list(value, vectors) ? value_count(value) : 1;
}

struct value items_at(struct value value, bool vectors, size_t index)
{
    return is_list(value, vectors) ? value_at(value, index) : value;
}

bool says_empty(const struct history *history, uint32_t completion, bool vectors)
{
    struct value value = history->value[completion];
    if (history->type[completion] == OP_OK)
        return items_count(value, vectors) == 0;
    return history->type[completion] == OP_FAIL &&
           (means_empty(value) || means_empty(history->errors[history->error[completion]]));
}

int64_t item_number(struct value map, const char *name)
{
    return number(value_get(map, name));
}
