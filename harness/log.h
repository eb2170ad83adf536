/* The log of a run: lines for people on standard error and, with times, in ordeal.log; and on a
 * terminal one live line at the bottom. Thread-safe. */
#ifndef ORDEAL_LOG_H
#define ORDEAL_LOG_H

#include <stdbool.h>

#include "harness/base/err.h"

struct log;

enum log_quiet { LOG_TALK, LOG_QUIET }; /* quiet: standard error gets only problems */

struct log *log_open(enum log_quiet quiet);
/* From now on lines go to this file too, those so far included. */
enum err_code log_to_file(struct log *log, const char *path, struct err *err);
void log_close(struct log *log);

void log_line(struct log *log, const char *format, ...) FORMAT(2, 3);
void log_vline(struct log *log, const char *format, va_list arguments);
/* As log_line, and also when quiet. */
void log_problem(struct log *log, const char *format, ...) FORMAT(2, 3);
/* Replaces the live line, where there is a terminal; "" removes it. */
void log_status(struct log *log, const char *text);
bool log_is_live(const struct log *log);

#endif
