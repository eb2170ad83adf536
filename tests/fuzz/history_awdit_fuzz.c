/* AWDIT's texts of transactions: see txn_format.h. */
#include "tests/fuzz/txn_format.h"

static void write(const struct history *history, struct buf *out)
{
    int32_t session = 0;
    for (uint32_t i = 1; i < history->count; i += 2) {
        for (; session < history->process[i]; session++)
            buf_add_text(out, "=====\n");
        for (size_t m = 0; m < value_count(history->value[i]); m++) {
            struct txn_row row = txn_row_of(history->value[i], m);
            buf_printf(out, "%c %" PRId64 " %" PRId64 "\n", row.write ? 'w' : 'r', row.key,
                       row.value);
        }
        buf_add_text(out, "-----\n");
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    txn_format_try("awdit", data, size, write);
    return 0;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
    static const char *const tokens[] = {"r 0 1\n",
                                         "w 0 1\n",
                                         "r 1 0\n",
                                         "w 1 0\n",
                                         "-----\n",
                                         "=====\n",
                                         "-\n",
                                         "=\n",
                                         "\r\n",
                                         "\n",
                                         "r",
                                         "w",
                                         "0",
                                         "-1",
                                         " ",
                                         "w 1 2 3\n",
                                         "9223372036854775807",
                                         "-9223372036854775808",
                                         "99999999999999999999"};
    return mutate_text(data, size, max_size, seed, tokens, sizeof tokens / sizeof tokens[0]);
}
