/* Files of a store, for a browser: no path outside the store can be had.
 *
 * A path is walked name by name without following any link, so neither "..", an absolute path nor a
 * link that somebody (a system under test, say) left in a run leads out. */
#ifndef ORDEAL_REPORTS_SERVE_FILES_H
#define ORDEAL_REPORTS_SERVE_FILES_H

#include <sys/types.h>

#include "harness/base/arena.h"
#include "harness/base/json.h"

struct file_entry {
    const char *path; /* below the directory it was listed for */
    off_t bytes;
};

/* Opens a regular file "a/b/c" below the store for reading. -1: there is none. */
int files_open(const char *store, const char *path, off_t *bytes);
/* Opens and reads one that holds JSON. *root, which the caller frees, is NULL where it is damaged
 * or too large to be worth it (64 MiB). False: there is none. */
bool files_read_json(const char *store, const char *path, struct json **root);
/* Opens a directory likewise. */
int files_open_directory(const char *store, const char *path);
/* The regular files below `path`, sorted, at most `limit`; the arena owns them. */
size_t files_list(const char *store, const char *path, size_t limit, struct arena *arena,
                  struct file_entry **files);

/* What a browser is told the file is, from its name; text that could be run is plain text. */
const char *files_content_type(const char *path);

/* Starts writing a gzipped tar of the directory into a pipe, whose reading end is returned (-1: it
 * could not be). A thread of its own writes, and ends early when nobody reads. */
int files_archive(const char *store, const char *path);

#endif
