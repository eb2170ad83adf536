/* What the fuzz targets of the formats of transactions share: any bytes are read or refused with a
 * reason; what is read pairs, is written, and what was written is read as the same; and the checker
 * says something of it. */
#ifndef ORDEAL_TESTS_FUZZ_TXN_FORMAT_H
#define ORDEAL_TESTS_FUZZ_TXN_FORMAT_H

#include <assert.h>
#include <inttypes.h>
#include <string.h>

#include "harness/checker.h"
#include "harness/histories/history_txn.h"
#include "tests/fuzz/mutate.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct txn_row {
    bool write;
    int64_t key, value; /* nil: 0 */
};

static inline struct txn_row txn_row_of(struct value transaction, size_t at)
{
    struct value mop = value_at(transaction, at);
    assert(value_count(mop) == 3 && value_kind(value_at(mop, 0)) == VALUE_KEYWORD);
    bool write = strcmp(value_as_text(value_at(mop, 0)), "w") == 0;
    assert(write || strcmp(value_as_text(value_at(mop, 0)), "r") == 0);
    struct value key = value_at(mop, 1), value = value_at(mop, 2);
    assert(value_is_int(key) && (value_is_int(value) || (!write && value_is_nil(value))));
    return (struct txn_row){write, value_as_int(key), value_as_int(value)};
}

/* False where it was refused. */
static inline bool txn_format_read(const char *format, const void *data, size_t size,
                                   struct history *history)
{
    struct source source;
    struct err err = ERR_INIT;
    history_init(history);
    source_open_text(&source, "fuzz", data, size);
    enum err_code code = history_txn_read(&source, format, history, &err);
    assert((code == ERR_NONE) == (err.message[0] == '\0'));
    source_close(&source);
    if (code != ERR_NONE) {
        history_free(history);
        return false;
    }
    code = history_pair(history, &err);
    assert(code == ERR_NONE && history->unordered && history->count % 2 == 0);
    for (uint32_t i = 0; i < history->count; i += 2)
        assert(history->partner[i] == i + 1 && history->process[i] >= 0);
    return true;
}

static inline void txn_format_judge(const struct history *history)
{
    const struct checker *checker = checker_find("transactions");
    struct check_input input = {.history = history,
                                .limits = {.time_ns = 1000000000, .threads = 1}};
    input.options.values = json_object();
    json_set_text(input.options.values, "transactions.level", "causal");
    option_defaults(&input.options, checker->name, checker->options);
    struct check_result result = {.details = json_object(), .anomalies = json_array()};
    checker->check(&input, &result);
    assert(result.reason.length > 0 || history->count == 0);
    json_free(result.details);
    json_free(result.anomalies);
    buf_free(&result.reason);
    json_free(input.options.values);
}

/* `write` adds a whole history in the format. */
static inline void txn_format_try(const char *format, const uint8_t *data, size_t size,
                                  void (*write)(const struct history *, struct buf *))
{
    struct history history, again;
    struct buf text = BUF_INIT;
    if (!txn_format_read(format, data, size, &history))
        return;
    write(&history, &text);
    bool good = txn_format_read(format, text.length == 0 ? "" : text.data, text.length, &again);
    assert(good && again.count == history.count);
    for (uint32_t i = 0; i < again.count; i++)
        assert(again.type[i] == history.type[i] && again.process[i] == history.process[i] &&
               value_equal(again.value[i], history.value[i]));
    txn_format_judge(&history);
    history_free(&again);
    history_free(&history);
    buf_free(&text);
}

#endif
