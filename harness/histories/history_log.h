/* Histories in Jepsen's logs: jepsen.log and history.txt, where an operation is a line whose end is
 * process, type, function, value and perhaps an error, with tabs between them:
 *
 *     INFO  jepsen.util - 3	:invoke	:write	4
 *
 * A line without any tab is cut at its blanks instead: some logs lost their tabs on their way.
 * Lines of other forms are passed over and counted. Times are not read. A last line without its
 * newline may be cut short: it is left out, and history->cut says so. */
#ifndef ORDEAL_HISTORY_LOG_H
#define ORDEAL_HISTORY_LOG_H

#include "harness/histories/history_build.h"
#include "harness/histories/source.h"

enum err_code history_log_read(struct source *source, struct history *history,
                               struct history_notes *notes, struct err *err);

/* As Jepsen's history.txt: no times, no other keys. */
enum err_code history_log_write(const struct history *history, int fd, const char *name,
                                struct err *err);

#endif
