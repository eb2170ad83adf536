/* The table of report formats: see reports.h. */
#include "reports/reports.h"

#include <stddef.h>
#include <string.h>

#define ENTRY(name) &reporter_##name,
const struct reporter *const reporters[] = {REPORTERS(ENTRY) NULL};

const struct reporter *reporter_find(const char *name)
{
    for (const struct reporter *const *entry = reporters; *entry != NULL; entry++)
        if (strcmp((*entry)->name, name) == 0)
            return *entry;
    return NULL;
}

enum err_code report_put(struct buf *text, const char *what, FILE *out, struct err *err)
{
    bool ok = fwrite(text->data, 1, text->length, out) == text->length;
    buf_free(text);
    return ok ? ERR_NONE : err_set(err, ERR_IO, "write %s: the output is full or closed", what);
}
