/* What a file system must undo when its power goes: everything that nobody asked it to make
 * durable.
 *
 * Files change in place, below a directory of their own; before a change, what it overwrites is
 * kept here. A sync of a file drops what is kept of its bytes and its length; a sync of a directory
 * what is kept of its names. `strict_revert` takes back the rest, newest first. So a file that was
 * synced in a directory that was not is gone, as POSIX allows and the journals of real file systems
 * seldom show.
 *
 * Names that are taken away go to a directory beside, for as long as their coming back is possible.
 * A rename is durable when either directory was synced: it is one step, as in every file system
 * with a journal.
 *
 * Not thread-safe. Errors are errno values, 0: none. Running out of memory ends the process. */
#ifndef ORDEAL_AGENT_STRICT_UNDO_H
#define ORDEAL_AGENT_STRICT_UNDO_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct strict_old_bytes {
    struct strict_old_bytes *older;
    off_t offset, size; /* the file's size then */
    size_t length;
    unsigned char bytes[];
};

/* A file or a directory, for as long as anybody knows it. */
struct strict_file {
    struct strict_file *next; /* in its slot of the table */
    dev_t device;
    ino_t inode;
    int path_fd;                    /* O_PATH */
    uint64_t references;            /* lookups, and names that are kept of it */
    struct strict_old_bytes *bytes; /* newest first */
};

enum { STRICT_SLOTS = 4096 };

struct strict_undo {
    int trash_fd;
    uint64_t trash_last;
    struct strict_name *names; /* newest first */
    struct strict_file *files[STRICT_SLOTS];
};

void strict_open(struct strict_undo *undo, int trash_fd);
/* Closes what it holds, and forgets it all without undoing it. */
void strict_close(struct strict_undo *undo);

/* The file that an O_PATH descriptor leads to; takes the descriptor, one reference more. */
struct strict_file *strict_file_get(struct strict_undo *undo, int path_fd);
void strict_file_release(struct strict_undo *undo, struct strict_file *file, uint64_t count);
/* A path that leads to it whatever its name. */
enum { STRICT_PATH_BYTES = 32 };
void strict_file_path(const struct strict_file *file, char path[STRICT_PATH_BYTES]);
/* Opens it anew, for reading and writing as `flags` says; -1 with errno. */
int strict_file_open(const struct strict_file *file, int flags);

/* Before `length` bytes at `offset` are written, or the file gets the length `size`. `fd` can read.
 */
int strict_before_write(struct strict_file *file, int fd, off_t offset, size_t length);
int strict_before_resize(struct strict_file *file, int fd, off_t size);
/* After a name was made. */
void strict_made(struct strict_undo *undo, struct strict_file *directory, const char *name);
/* Instead of unlink and rmdir, and rename. */
int strict_remove(struct strict_undo *undo, struct strict_file *directory, const char *name);
int strict_rename(struct strict_undo *undo, struct strict_file *from, const char *old_name,
                  struct strict_file *to, const char *new_name, bool replace);

void strict_sync_file(struct strict_file *file);
void strict_sync_directory(struct strict_undo *undo, const struct strict_file *directory);

/* The power goes. Counts what was lost. */
struct strict_lost {
    uint64_t writes, names;
};
int strict_revert(struct strict_undo *undo, struct strict_lost *lost);

#endif
