/* The keys that operations are about, as far as their values tell: [key value], or a transaction's
 * micro-operations [f key value]. */
#ifndef ORDEAL_REPORTS_PAGE_KEYS_H
#define ORDEAL_REPORTS_PAGE_KEYS_H

#include "harness/base/json.h"
#include "harness/histories/value_table.h"
#include "reports/digest.h"

enum page_keyed { PAGE_KEYED_NOT, PAGE_KEYED_PAIRS, PAGE_KEYED_TRANSACTIONS };

struct page_keys {
    enum page_keyed keyed;
    bool too_many; /* past PAGE_KEYS_MAX they are not told apart */
    struct value_table table;
    struct arena arena;
};
enum { PAGE_KEYS_MAX = 20000, PAGE_KEYS_OF_ONE = 64 };

void page_keys_init(const struct digest *digest, struct page_keys *keys);
void page_keys_free(struct page_keys *keys);
/* The distinct keys of a value, from 1; 0 stands for what are too many. Returns how many. */
size_t page_keys_of(struct page_keys *keys, struct value value, uint32_t ids[PAGE_KEYS_OF_ONE]);
/* Their texts, in the order of their numbers. */
struct json *page_keys_json(const struct page_keys *keys);

#endif
