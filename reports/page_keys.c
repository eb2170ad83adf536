/* The keys of operations: see page_keys.h. */
#include "reports/page_keys.h"

#include <string.h>

#include "reports/visible.h"

enum { LOOKED_AT = 2000, KEY_COLUMNS = 48 };

static bool is_micro(struct value value)
{
    return value_is_micro_op(value) ||
           (value_count(value) == 3 && (value_kind(value) == VALUE_VECTOR) &&
            (value_kind(value_at(value, 0)) == VALUE_KEYWORD ||
             value_kind(value_at(value, 0)) == VALUE_STRING));
}

static bool is_transaction(struct value value)
{
    return value_kind(value) == VALUE_VECTOR && value_count(value) > 0 &&
           is_micro(value_at(value, 0));
}

static bool is_keyed_pair(struct value value)
{
    return value_is_pair(value) && value_kind(value_at(value, 0)) < VALUE_VECTOR &&
           !value_is_nil(value_at(value, 0));
}

/* By the first invocations: what all of them look like. */
static enum page_keyed guess(const struct history *history)
{
    uint32_t looked = 0, pairs = 0, transactions = 0;
    for (uint32_t i = 0; i < history->count && looked < LOOKED_AT; i++) {
        if (history->type[i] != OP_INVOKE || !history_is_client(history, i))
            continue;
        looked++;
        pairs += is_keyed_pair(history->value[i]);
        transactions += is_transaction(history->value[i]);
    }
    return looked == 0              ? PAGE_KEYED_NOT
           : transactions == looked ? PAGE_KEYED_TRANSACTIONS
           : pairs == looked        ? PAGE_KEYED_PAIRS
                                    : PAGE_KEYED_NOT;
}

/* A checker that found out knows better. */
static bool denied(const struct digest *digest)
{
    for (size_t i = 0; i < digest->checker_count; i++) {
        const struct json *keyed = json_get(digest->checkers[i].json, "keyed");
        if (json_kind(keyed) == JSON_BOOL && !json_as_bool(keyed, true))
            return true;
    }
    return false;
}

void page_keys_init(const struct digest *digest, struct page_keys *keys)
{
    *keys = (struct page_keys){.arena = ARENA_INIT};
    value_table_init(&keys->table, &keys->arena);
    keys->keyed = guess(digest->run->history);
    if (keys->keyed == PAGE_KEYED_PAIRS && denied(digest))
        keys->keyed = PAGE_KEYED_NOT;
}

void page_keys_free(struct page_keys *keys)
{
    arena_free(&keys->arena);
}

static uint32_t id_of(struct page_keys *keys, struct value key)
{
    uint32_t id = keys->table.count < PAGE_KEYS_MAX ? value_table_id(&keys->table, key)
                                                    : value_table_find(&keys->table, key);
    keys->too_many = keys->too_many || id == UINT32_MAX;
    return id == UINT32_MAX ? 0 : id;
}

static size_t add_distinct(uint32_t *ids, size_t count, uint32_t id)
{
    for (size_t i = 0; i < count; i++)
        if (ids[i] == id)
            return count;
    if (count == PAGE_KEYS_OF_ONE)
        return count;
    ids[count] = id;
    return count + 1;
}

size_t page_keys_of(struct page_keys *keys, struct value value, uint32_t ids[PAGE_KEYS_OF_ONE])
{
    if (keys->keyed == PAGE_KEYED_PAIRS && is_keyed_pair(value)) {
        ids[0] = id_of(keys, value_at(value, 0));
        return 1;
    }
    size_t count = 0;
    if (keys->keyed == PAGE_KEYED_TRANSACTIONS && value_kind(value) == VALUE_VECTOR)
        for (size_t i = 0; i < value_count(value); i++)
            if (is_micro(value_at(value, i)))
                count = add_distinct(ids, count, id_of(keys, value_at(value_at(value, i), 1)));
    return count;
}

struct json *page_keys_json(const struct page_keys *keys)
{
    struct json *texts = json_array();
    for (uint32_t id = 1; id < keys->table.count; id++) {
        struct buf text = BUF_INIT;
        struct value key = value_table_value(&keys->table, id);
        if (value_kind(key) == VALUE_STRING)
            visible_add_cut(&text, value_as_text(key), value_text_length(key), KEY_COLUMNS);
        else
            digest_value(&text, key, KEY_COLUMNS);
        json_add(texts, json_text(buf_text(&text)));
        buf_free(&text);
    }
    return texts;
}
