/* Jepsen's histories: EDN, one map an operation. Read as they are found (one operation a line, one
 * over several, all in one vector or list, records, extra keys), written so that Knossos and Elle
 * read them. */
#ifndef ORDEAL_HISTORY_EDN_H
#define ORDEAL_HISTORY_EDN_H

#include "harness/histories/history_build.h"
#include "harness/histories/source.h"
#include "harness/history.h"

/* Adds all operations of a text to an empty history. ERR_PARSE names line and column; a text that
 * ends inside an operation is no error: the history's `cut` says so. */
enum err_code history_edn_read(struct source *source, struct history *history,
                               struct history_notes *notes, struct err *err);

/* One map a line; :time is left out where it is -1. A failed operation repeats its invocation's
 * value, which Knossos insists on; if its own was another (not nil) and it has no error, that
 * becomes its :error. */
enum err_code history_edn_write(const struct history *history, int fd, const char *name,
                                struct err *err);

#endif
