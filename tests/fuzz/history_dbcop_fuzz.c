/* dbcop's and PolySI's binary histories: see txn_format.h. */
#include "tests/fuzz/txn_format.h"

static void put(struct buf *out, uint64_t word, int width)
{
    for (int i = 0; i < width; i++)
        buf_add_char(out, (char)(word >> 8 * i));
}

static void write_transaction(const struct history *history, uint32_t event, struct buf *out)
{
    struct value transaction = history->value[event];
    put(out, value_count(transaction), 8);
    for (size_t m = 0; m < value_count(transaction); m++) {
        struct txn_row row = txn_row_of(transaction, m);
        put(out, row.write, 1);
        put(out, (uint64_t)row.key, 8);
        put(out, (uint64_t)row.value, 8);
        put(out, 1, 1);
    }
    put(out, history->type[event] == OP_OK, 1);
}

/* Its sessions come one after the other. */
static void write(const struct history *history, struct buf *out)
{
    uint32_t sessions =
        history->count == 0 ? 0 : (uint32_t)history->process[history->count - 1] + 1;
    for (int i = 0; i < 8; i++)
        put(out, 0, 8);
    put(out, sessions, 8);
    uint32_t i = 1;
    for (uint32_t session = 0; session < sessions; session++) {
        uint32_t end = i;
        while (end < history->count && history->process[end] == (int32_t)session)
            end += 2;
        put(out, (end - i) / 2, 8);
        for (; i < end; i += 2)
            write_transaction(history, i, out);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    txn_format_try("dbcop", data, size, write);
    return 0;
}
