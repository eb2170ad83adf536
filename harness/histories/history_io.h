/* Histories in any format, by the file's name or by the format's. */
#ifndef ORDEAL_HISTORY_IO_H
#define ORDEAL_HISTORY_IO_H

#include "harness/histories/history_build.h"
#include "harness/history.h"

/* "ordeal", "edn", "jsonl" (JSON lines, exact), "json" (elle-cli's array), "log" (Jepsen's logs and
 * history.txt), "jepsen" (Jepsen's binary test.jepsen, only read); NULL at the end. */
extern const char *const history_formats[];

/* The format that a file's name tells, or NULL. */
const char *history_format_of(const char *path);

/* Reads a history. `path` is a file, "-" (standard input, with a format), or a run directory, whose
 * history.ordeal is read, else its history.edn, else Jepsen's test.jepsen. `format` is one of
 * history_formats, or NULL to go by the name. `history` need not be initialised; on success the
 * caller frees it, on failure there is nothing to free. `notes` may be NULL. history->cut tells
 * when the file ended early. */
enum err_code history_load(const char *path, const char *format, struct history *history,
                           struct history_notes *notes, struct err *err);

/* Writes a history aside and renames it into place; "-" is standard output, with a format. */
enum err_code history_save(const char *path, const char *format, const struct history *history,
                           struct err *err);

#endif
