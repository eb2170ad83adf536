/* Suites from texts: see suite_helpers.h. */
#include "tests/lib/suite_helpers.h"

#include <string.h>

#include "harness/base/text.h"

enum err_code suite_of(const char *text, const struct suite_options *options, struct suite *suite,
                       struct err *err)
{
    static const struct suite_options none = {.fresh_seed = 77};
    struct buf file = BUF_INIT;
    for (; *text != '\0'; text++)
        buf_add_char(&file, *text == '\'' ? '"' : *text);
    *suite = (struct suite){.arena = ARENA_INIT};
    enum err_code code = file_write("suite.json", file.data, file.length, err);
    buf_free(&file);
    return code != ERR_NONE
               ? code
               : suite_read("suite.json", options != NULL ? options : &none, suite, err);
}
