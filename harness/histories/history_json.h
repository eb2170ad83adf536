/* Histories as JSON: our JSON lines (one object an operation, values exact) and elle-cli's arrays
 * (values plain). Either container is read in either way; see json_value.h for the ways and
 * docs/history-format.md for the keys. */
#ifndef ORDEAL_HISTORY_JSON_H
#define ORDEAL_HISTORY_JSON_H

#include "harness/histories/history_build.h"
#include "harness/histories/json_value.h"
#include "harness/histories/source.h"
#include "harness/history.h"

/* As history_edn_read. */
enum err_code history_json_read(struct source *source, enum json_way way, struct history *history,
                                struct history_notes *notes, struct err *err);

/* EXACT: lines. PLAIN: an array, one operation a line. */
enum err_code history_json_write(const struct history *history, enum json_way way, int fd,
                                 const char *name, struct err *err);

#endif
