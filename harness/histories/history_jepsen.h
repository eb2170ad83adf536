/* Jepsen's binary store, test.jepsen: reading the history out of it.
 *
 * The file is blocks with a check sum each; an index block tells where the others are, the root
 * block is the test, and its history a vector in chunks, one block each. Only whole blocks are
 * believed. Where the index, the test or a chunk is missing or damaged, as when the test's process
 * was killed, the chunks that are whole are read in their order in the file up to the first gap,
 * and the history's `cut` says so. */
#ifndef ORDEAL_HISTORY_JEPSEN_H
#define ORDEAL_HISTORY_JEPSEN_H

#include <stddef.h>

#include "harness/histories/history_build.h"

/* Adds all operations of a file's bytes to an empty history. ERR_PARSE when it is no such file, or
 * when an operation makes no sense. */
enum err_code history_jepsen_read(const void *bytes, size_t length, const char *name,
                                  struct history *history, struct history_notes *notes,
                                  struct err *err);

#endif
