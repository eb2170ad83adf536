/* EDN: any bytes, as a value and as a history. What is read prints, and reads back as the same. */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "harness/histories/edn.h"
#include "harness/histories/history_edn.h"
#include "tests/fuzz/mutate.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* NaN differs from itself, and a record may hold anything as its tag: text decides. */
static void check_round_trip(struct arena *arena, struct value value)
{
    struct buf once = BUF_INIT, twice = BUF_INIT;
    struct value back;
    value_print(value, &once);
    enum err_code code = edn_parse_all(arena, once.data, once.length, &back, NULL);
    assert(code == ERR_NONE);
    value_print(back, &twice);
    assert(once.length == twice.length && memcmp(once.data, twice.data, once.length) == 0);
    assert(value_hash(value) == value_hash(back));
    buf_free(&once);
    buf_free(&twice);
}

static void read_value(const char *text, size_t size)
{
    struct arena arena = ARENA_INIT;
    struct value value;
    struct err err = ERR_INIT;
    size_t consumed;
    if (edn_parse(&arena, text, size, &consumed, &value, &err) == ERR_NONE) {
        assert(consumed <= size);
        check_round_trip(&arena, value);
    } else {
        assert(err.message[0] != '\0');
    }
    arena_free(&arena);
}

static void read_history(const char *text, size_t size)
{
    struct history history;
    struct history_notes notes = {.format = "edn"};
    struct source source;
    struct err err = ERR_INIT;
    history_init(&history);
    source_open_text(&source, "fuzz", text, size);
    if (history_edn_read(&source, &history, &notes, &err) == ERR_NONE) {
        struct buf out = BUF_INIT;
        for (uint32_t i = 0; i < history.count; i++)
            history_print_op(&history, i, &out);
        if (history_pair(&history, &err) == ERR_NONE)
            for (uint32_t i = 0; i < history.count; i++)
                assert(history.partner[i] == HISTORY_NONE ||
                       history.partner[history.partner[i]] == i);
        history_notes_print(&notes, &out);
        buf_free(&out);
    }
    history_free(&history);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    read_value((const char *)data, size);
    read_history((const char *)data, size);
    return 0;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
    static const char *const tokens[] = {":type",
                                         ":invoke",
                                         ":ok",
                                         ":fail",
                                         ":info",
                                         ":process",
                                         ":f",
                                         ":value",
                                         ":time",
                                         ":index",
                                         ":error",
                                         ":key",
                                         ":node",
                                         ":nemesis",
                                         "nil",
                                         "true",
                                         "0",
                                         "-1",
                                         "12N",
                                         "1/3",
                                         "1.5M",
                                         "1.0E10",
                                         "##NaN",
                                         "#{}",
                                         "#{1 1}",
                                         "[]",
                                         "[1 [2 3]]",
                                         "{}",
                                         "{:a 1}",
                                         "()",
                                         "\"x\\n\"",
                                         "\\a",
                                         "#inst \"x\"",
                                         "#_",
                                         "; c\n",
                                         "#x.Y{:f 1}",
                                         "9223372036854775808",
                                         "18446744073709551616N",
                                         "#object[a 0x1 \"b\"]",
                                         "{:type :invoke, :process 0, :f :read, :value nil}\n"};
    return mutate_text(data, size, max_size, seed, tokens, sizeof tokens / sizeof tokens[0]);
}
