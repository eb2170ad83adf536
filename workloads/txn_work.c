/* Transactions worked out by their client: see txn_work.h. */
#include "workloads/txn_work.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "workloads/txn.h"

static struct txn_touched *touch(struct txn_work *work, int64_t key)
{
    for (uint32_t i = 0; i < work->count; i++)
        if (work->touched[i].key == key)
            return &work->touched[i];
    work->touched[work->count] = (struct txn_touched){.key = key};
    return &work->touched[work->count++];
}

bool txn_survey(struct txn_work *work, struct value txn)
{
    size_t count = value_kind(txn) == VALUE_VECTOR ? value_count(txn) : 0;
    work->count = 0;
    work->writes = false;
    if (count == 0 || count > TXN_TOUCHED_MAX / 2)
        return false;
    for (size_t i = 0; i < count; i++) {
        struct value micro = value_at(txn, i);
        enum txn_micro kind = txn_micro(work->lists, micro);
        if (kind == TXN_NEITHER)
            return false;
        struct txn_touched *key = touch(work, value_as_int(value_at(micro, 1)));
        /* An append is a read, too, of what it appends to. */
        key->read = key->read || (work->lists || (kind == TXN_READS && !key->written));
        key->written = key->written || kind == TXN_WRITES;
        work->writes = work->writes || kind == TXN_WRITES;
    }
    return true;
}

static struct value append(struct value list, struct value element, struct arena *scratch)
{
    size_t count = value_count(list);
    struct value *items = arena_alloc(scratch, (count + 1) * sizeof *items);
    for (size_t i = 0; i < count; i++)
        items[i] = value_at(list, i);
    items[count] = element;
    return value_items(scratch, VALUE_VECTOR, items, count + 1);
}

struct value txn_play(struct txn_work *work, struct value txn, struct arena *scratch)
{
    size_t count = value_count(txn);
    struct value *done = arena_alloc(scratch, count * sizeof *done);
    for (uint32_t i = 0; i < work->count; i++)
        work->touched[i].now = work->touched[i].found;
    for (size_t i = 0; i < count; i++) {
        done[i] = value_at(txn, i);
        struct txn_touched *key = touch(work, value_as_int(value_at(done[i], 1)));
        struct value argument = value_at(done[i], 2);
        if (txn_micro(work->lists, done[i]) == TXN_READS) {
            const struct value items[3] = {value_at(done[i], 0), value_at(done[i], 1), key->now};
            done[i] = value_items(scratch, VALUE_VECTOR, items, 3);
        } else
            key->now = work->lists ? append(key->now, argument, scratch) : argument;
    }
    return value_items(scratch, VALUE_VECTOR, done, count);
}

/* ---- Texts ---- */

static void print_element(struct value value, struct buf *out)
{
    if (value_is_int(value))
        buf_printf(out, "%" PRId64, value_as_int(value));
    else
        buf_add_text(out, value_as_text(value));
}

void txn_print(struct value value, struct buf *out)
{
    if (value_kind(value) != VALUE_VECTOR) {
        print_element(value, out);
        return;
    }
    for (size_t i = 0; i < value_count(value); i++) {
        if (i > 0)
            buf_add_char(out, ' ');
        print_element(value_at(value, i), out);
    }
}

struct value txn_parse_value(const char *text, size_t length, struct arena *scratch)
{
    long long integer = strtoll(text, NULL, 10);
    char plain[32]; /* how a client would have written it */
    int plain_length = snprintf(plain, sizeof plain, "%lld", integer);
    if (length == (size_t)plain_length && memcmp(text, plain, length) == 0)
        return value_int(scratch, integer);
    return value_text(scratch, VALUE_STRING, text, length);
}

struct value txn_parse_list(const char *text, struct arena *scratch)
{
    struct value *items = arena_alloc(scratch, (strlen(text) + 1) * sizeof *items);
    size_t count = 0;
    while (*text != '\0') {
        size_t length = strcspn(text, " ");
        items[count++] = txn_parse_value(text, length, scratch);
        text += length;
        if (*text == ' ')
            text++;
    }
    return value_items(scratch, VALUE_VECTOR, items, count);
}

struct value txn_nothing(const struct txn_work *work, struct arena *scratch)
{
    return work->lists ? value_items(scratch, VALUE_VECTOR, NULL, 0) : value_nil();
}
