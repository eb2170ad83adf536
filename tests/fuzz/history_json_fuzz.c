/* JSON histories, both ways of values: the first byte chooses. Exact values survive a round trip.
 */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "harness/histories/history_json.h"
#include "tests/fuzz/mutate.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_round_trip(struct arena *arena, struct value value)
{
    struct buf once = BUF_INIT, twice = BUF_INIT;
    struct json_reader reader;
    struct value back;
    json_add_value(&once, value, JSON_EXACT);
    buf_add_char(&once, '\n');
    json_reader_init(&reader, arena, JSON_EXACT);
    json_reader_text(&reader, once.data, once.length);
    bool good = json_reader_read(&reader, &back);
    assert(good);
    json_add_value(&twice, back, JSON_EXACT);
    buf_add_char(&twice, '\n');
    assert(once.length == twice.length && memcmp(once.data, twice.data, once.length) == 0);
    json_reader_free(&reader);
    buf_free(&once);
    buf_free(&twice);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    struct history history;
    struct history_notes notes = {.format = "jsonl"};
    struct source source;
    struct err err = ERR_INIT;
    enum json_way way = data[0] == 'p' ? JSON_PLAIN : JSON_EXACT;
    history_init(&history);
    source_open_text(&source, "fuzz", (const char *)data + 1, size - 1);
    if (history_json_read(&source, way, &history, &notes, &err) == ERR_NONE) {
        for (uint32_t i = 0; i < history.count; i++)
            check_round_trip(&history.arena, history_op(&history, i).value);
        struct buf plain = BUF_INIT;
        for (uint32_t i = 0; i < history.count; i++)
            json_add_value(&plain, history_op(&history, i).value, JSON_PLAIN);
        buf_free(&plain);
    } else {
        assert(err.message[0] != '\0');
    }
    history_free(&history);
    return 0;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
    static const char *const tokens[] = {
        "\"type\":",
        "\"invoke\"",
        "\"ok\"",
        "\"process\":",
        "\"f\":",
        "\"value\":",
        "\"time\":",
        "\"index\":",
        "\"error\":",
        "\"#extra\":",
        "\"node\":",
        "\":a\"",
        "\"\\\\:a\"",
        "null",
        "true",
        "0",
        "-1",
        "1.5e3",
        "[]",
        "{}",
        "[1,[2,3]]",
        "{\"#set\":[1,1]}",
        "{\"#map\":[[1,2]]}",
        "{\"#tag\":\"inst\",\"value\":1}",
        "{\"#number\":\"1/3\"}",
        "{\"#list\":[]}",
        "{\"#double\":\"##NaN\"}",
        "\"\\ud83d\\ude00\"",
        "9223372036854775808",
        "{\"type\":\"invoke\",\"process\":0,\"f\":\"read\",\"value\":null}\n"};
    return mutate_text(data, size, max_size, seed, tokens, sizeof tokens / sizeof tokens[0]);
}
