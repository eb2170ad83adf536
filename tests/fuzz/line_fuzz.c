/* Lines of fields between controller and agent: any bytes; what is read is written and read again
 * as the same. */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "harness/base/line.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool has_nul(const struct line *line)
{
    for (uint32_t i = 0; i < line->count; i++)
        if (strlen(line->fields[i].text) != line->fields[i].length)
            return true;
    return false;
}

static void check_round_trip(struct arena *arena, const struct line *line)
{
    struct buf out = BUF_INIT;
    struct line back;
    /* line_field writes C text; an empty first field cannot be told from none yet */
    for (uint32_t i = 0; i < line->count; i++) {
        line_field(&out, line->fields[i].text);
        if (i == 0 && out.length == 0)
            buf_add_char(&out, '\t');
    }
    line_end(&out);
    enum err_code code = line_parse(arena, out.data, out.length - 1, &back, NULL);
    if (line->fields[0].length > 0) {
        assert(code == ERR_NONE && back.count == line->count);
        for (uint32_t i = 0; i < line->count; i++)
            assert(strcmp(back.fields[i].text, line->fields[i].text) == 0);
    }
    buf_free(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena = ARENA_INIT;
    struct line line;
    struct err err = ERR_INIT;
    if (line_parse(&arena, (const char *)data, size, &line, &err) == ERR_NONE) {
        assert(line.count > 0);
        uint32_t cursor = 0;
        while (line_next(&line, "arg", &cursor) != NULL)
            assert(cursor <= line.count);
        line_get_int(&line, "limit", 0);
        line_at(&line, line.count);
        if (!has_nul(&line))
            check_round_trip(&arena, &line);
    } else {
        assert(err.message[0] != '\0');
    }
    arena_free(&arena);
    return 0;
}
