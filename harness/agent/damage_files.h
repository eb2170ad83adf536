/* Finding, copying and changing files, for damage.h. */
#ifndef ORDEAL_AGENT_DAMAGE_FILES_H
#define ORDEAL_AGENT_DAMAGE_FILES_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "harness/base/buf.h"

enum { DAMAGE_BLOCK = 4096, DAMAGE_KEPT_BYTES_MAX = 128 << 20 };

/* The newest regular file below `path` that matches and holds a byte; its path goes to `found`. */
bool agentd_files_newest(const char *path, const char *files, char found[4096]);
/* Calls back for each that matches; stops at the first false, and returns it. */
bool agentd_files_each(const char *path, const char *files,
                       bool (*each)(void *state, const char *file), void *state);

/* Reads [offset, offset + length) whole; ERR_IO when there is less. */
enum err_code agentd_files_read(const char *file, off_t offset, void *bytes, size_t length,
                                struct err *err);
/* Writes durably, into a file that is there. */
enum err_code agentd_files_write(const char *file, off_t offset, const void *bytes, size_t length,
                                 struct err *err);
/* Copies from `offset` to the end, at the same offsets, holes for zeroes, and gives it the length.
 * The target is made; what is before in it is dropped when `anew`. */
enum err_code agentd_files_copy(const char *source, off_t offset, const char *target, bool anew,
                                struct err *err);
/* Makes the names in the directory of `file` durable. */
enum err_code agentd_files_sync_names(const char *file, struct err *err);
/* Behind the last byte that is not 0; -1 with errno. */
off_t agentd_files_end(const char *file);
/* The byte that is not 0, so many thousandths through those that are not; -1: there is none. */
off_t agentd_files_place(const char *file, int64_t place);

#endif
