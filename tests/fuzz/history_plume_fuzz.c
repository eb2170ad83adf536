/* Plume's and PolySI's texts of transactions: see txn_format.h. */
#include "tests/fuzz/txn_format.h"

static void write(const struct history *history, struct buf *out)
{
    for (uint32_t i = 1; i < history->count; i += 2)
        for (size_t m = 0; m < value_count(history->value[i]); m++) {
            struct txn_row row = txn_row_of(history->value[i], m);
            buf_printf(out, "%c(%" PRId64 ",%" PRId64 ",%" PRId32 ",%u)\n", row.write ? 'w' : 'r',
                       row.key, row.value, history->process[i], i);
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    txn_format_try("plume", data, size, write);
    return 0;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
    static const char *const tokens[] = {"r(0,1,0,0)\n",
                                         "w(0,1,0,0)\n",
                                         "r(1,0,1,2)\n",
                                         "w(1,0,1,2)\n",
                                         "w(1,2,3)\n",
                                         ")",
                                         "(",
                                         "w(5,6,2147483646,4294967294)\n",
                                         "w(5,6,2147483647,4294967295)\n",
                                         ",",
                                         "-1",
                                         "\r\n",
                                         "9223372036854775807",
                                         "-9223372036854775808",
                                         "99999999999999999999",
                                         "r",
                                         "w",
                                         " "};
    return mutate_text(data, size, max_size, seed, tokens, sizeof tokens / sizeof tokens[0]);
}
