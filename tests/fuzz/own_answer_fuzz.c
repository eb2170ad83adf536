/* What a client of somebody's own says: any bytes are an answer with a number, or none; and
 * whatever the answer's value is, it fits a shape or does not. */
#include <assert.h>
#include <stdint.h>

#include "harness/workload_words.h"
#include "workloads/systems/own_program.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const shapes[] = {"[same int?]", "same",
                                         "[([:append same same] | [:r same [int*]?])..]",
                                         "{:message int}? | [{:message int}*] | :empty", "any"};
    struct arena arena = ARENA_INIT;
    struct buf line = BUF_INIT;
    struct value answer, taken;
    int64_t id = 0;
    buf_add(&line, data, size);
    buf_add_char(&line, '\0'); /* lines have a NUL behind them, which is not theirs */
    if (own_read_answer(line.data, size, &arena, &answer, &id)) {
        assert(value_kind(answer) == VALUE_MAP);
        assert(value_as_int(value_get(answer, "id")) == id);
        struct value value = value_get(answer, "value"), asked = value_get(answer, "asked");
        for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++)
            if (word_take(shapes[i], asked, value, &arena, &taken) && i == 4)
                assert(value_equal(taken, value));
    }
    buf_free(&line);
    arena_free(&arena);
    return 0;
}
