/* The parts of the strict file system: what requests share. One thread, so that nothing happens at
 * once. Only its own files include this. */
#ifndef ORDEAL_AGENT_STRICT_FS_INTERNAL_H
#define ORDEAL_AGENT_STRICT_FS_INTERNAL_H

#define FUSE_USE_VERSION 35

#include <fuse3/fuse_lowlevel.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#include "harness/agent/strict_faults.h"
#include "harness/agent/strict_undo.h"

/* The kernel asks again after so long; all changes go through it. */
static const double strict_fs_known_s = 3600;

struct strict_fs {
    struct strict_undo undo;
    struct strict_rules rules;
    struct strict_file *root;
    char root_path[PATH_MAX]; /* of BACKING/root */
    bool dead;
};
extern struct strict_fs strict_fs;

static inline struct strict_file *strict_fs_file(fuse_ino_t number)
{
    return number == FUSE_ROOT_ID ? strict_fs.root : (struct strict_file *)(uintptr_t)number;
}

/* Says so to the kernel when there is no power any more. */
static inline bool strict_fs_refuses(fuse_req_t request)
{
    if (strict_fs.dead)
        fuse_reply_err(request, EIO);
    return strict_fs.dead;
}

/* False: no rule means this file, which is none of the data. Else *path is what strict_faults.h
 * says, in `text`. */
bool strict_fs_path(const struct strict_file *file, char text[PATH_MAX], const char **path);

/* ---- Names and attributes (strict_fs_names.c) ---- */
/* What a name leads to, known to the kernel from now on; an errno. */
int strict_fs_look_up(struct strict_file *directory, const char *name,
                      struct fuse_entry_param *entry);
/* A name was made: it belongs to who asked for it, and is remembered. */
void strict_fs_made(fuse_req_t request, struct strict_file *directory, const char *name);
int strict_fs_resize(struct strict_file *file, off_t size);

void strict_fs_lookup(fuse_req_t request, fuse_ino_t parent, const char *name);
void strict_fs_forget(fuse_req_t request, fuse_ino_t number, uint64_t count);
void strict_fs_mknod(fuse_req_t request, fuse_ino_t parent, const char *name, mode_t mode,
                     dev_t device);
void strict_fs_mkdir(fuse_req_t request, fuse_ino_t parent, const char *name, mode_t mode);
void strict_fs_symlink(fuse_req_t request, const char *to, fuse_ino_t parent, const char *name);
void strict_fs_link(fuse_req_t request, fuse_ino_t number, fuse_ino_t parent, const char *name);
void strict_fs_remove(fuse_req_t request, fuse_ino_t parent, const char *name);
void strict_fs_rename(fuse_req_t request, fuse_ino_t from, const char *old_name, fuse_ino_t to,
                      const char *new_name, unsigned flags);
void strict_fs_readlink(fuse_req_t request, fuse_ino_t number);
void strict_fs_getattr(fuse_req_t request, fuse_ino_t number, struct fuse_file_info *info);
void strict_fs_setattr(fuse_req_t request, fuse_ino_t number, struct stat *wanted, int to_set,
                       struct fuse_file_info *info);
void strict_fs_statfs(fuse_req_t request, fuse_ino_t number);

/* ---- Open files and directories (strict_fs_files.c) ---- */
void strict_fs_open(fuse_req_t request, fuse_ino_t number, struct fuse_file_info *info);
void strict_fs_create(fuse_req_t request, fuse_ino_t parent, const char *name, mode_t mode,
                      struct fuse_file_info *info);
void strict_fs_release(fuse_req_t request, fuse_ino_t number, struct fuse_file_info *info);
void strict_fs_read(fuse_req_t request, fuse_ino_t number, size_t size, off_t offset,
                    struct fuse_file_info *info);
void strict_fs_write(fuse_req_t request, fuse_ino_t number, const char *bytes, size_t size,
                     off_t offset, struct fuse_file_info *info);
void strict_fs_fsync(fuse_req_t request, fuse_ino_t number, int data_only,
                     struct fuse_file_info *info);
void strict_fs_fallocate(fuse_req_t request, fuse_ino_t number, int mode, off_t offset,
                         off_t length, struct fuse_file_info *info);
void strict_fs_opendir(fuse_req_t request, fuse_ino_t number, struct fuse_file_info *info);
void strict_fs_readdir(fuse_req_t request, fuse_ino_t number, size_t size, off_t offset,
                       struct fuse_file_info *info);
void strict_fs_releasedir(fuse_req_t request, fuse_ino_t number, struct fuse_file_info *info);
void strict_fs_fsyncdir(fuse_req_t request, fuse_ino_t number, int data_only,
                        struct fuse_file_info *info);

/* ---- Requests that wait (strict_fs_park.c) ---- */
/* Keeps the request, and its memory, for later when a rule slows it; false: it is to be done now.
 */
bool strict_fs_park(struct fuse_buf *request);
/* Does what has waited long enough, or everything when `all`. */
void strict_fs_unpark(struct fuse_session *session, bool all);
/* Until the next one is due, for poll; -1: there is none. */
int strict_fs_parked_ms(void);

#endif
