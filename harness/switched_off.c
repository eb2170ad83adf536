/* Machines that were switched off, written down: see switched_off.h. */
#include "harness/switched_off.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "harness/base/clock.h"
#include "harness/base/text.h"
#include "harness/cluster/process.h"

enum { FORMAT_NUMBER = 1, FILE_BYTES_MAX = 1 << 16 };

/* ---- Where ---- */

static void add_directory(const char *store, struct buf *path)
{
    buf_printf(path, "%s/.switched-off", store);
}

/* Addresses may hold ':' and, being anybody's words, '/'. */
static void add_file(const char *store, const struct node *node, struct buf *path)
{
    add_directory(store, path);
    buf_add_char(path, '/');
    for (const char *c = node_address(node); *c != '\0'; c++)
        if (isalnum((unsigned char)*c) || *c == '-' || (*c == '.' && c != node_address(node)))
            buf_add_char(path, *c);
        else
            buf_printf(path, "%%%02x", (unsigned)(unsigned char)*c);
    buf_printf(path, "-%u.json", (unsigned)node_port(node));
}

/* A new name is only sure to be there after a loss of power when its directory was synced. */
static enum err_code sync_directory(const char *path, struct err *err)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return err_errno(err, errno, "open %s", path);
    int problem = fsync(fd) == 0 || errno == EINVAL ? 0 : errno;
    close(fd);
    return problem == 0 ? ERR_NONE : err_errno(err, problem, "sync %s", path);
}

static enum err_code make_directory(const char *store, struct err *err)
{
    struct buf path = BUF_INIT;
    enum err_code code = file_make_dirs(store, err);
    add_directory(store, &path);
    if (code == ERR_NONE && mkdir(path.data, 0700) != 0 && errno != EEXIST)
        code = err_errno(err, errno, "make directory %s", path.data);
    if (code == ERR_NONE)
        code = sync_directory(store, err);
    buf_free(&path);
    return code;
}

/* ---- Who ---- */

static void add_boot(struct buf *boot)
{
    if (file_read("/proc/sys/kernel/random/boot_id", 64, boot, NULL) == ERR_NONE)
        while (boot->length > 0 && boot->data[boot->length - 1] == '\n')
            boot->data[--boot->length] = '\0';
}

/* Pids of another container mean nothing here. */
static void read_pid_space(char *text, size_t size)
{
    ssize_t length = readlink("/proc/self/ns/pid", text, size - 1);
    text[length < 0 ? 0 : length] = '\0';
}

static void add_self(struct json *entry)
{
    struct buf boot = BUF_INIT;
    struct process_id self = {.pid = 0};
    char space[64], ticks[32];
    add_boot(&boot);
    read_pid_space(space, sizeof space);
    (void)!process_identify(getpid(), &self, NULL);
    snprintf(ticks, sizeof ticks, "%" PRIu64, self.start_ticks);
    json_set_text(entry, "boot", buf_text(&boot));
    json_set_text(entry, "pid-space", space);
    json_set_int(entry, "pid", self.pid);
    json_set_text(entry, "start-ticks", ticks);
    buf_free(&boot);
}

static enum switched_off_by who_of(const struct json *entry)
{
    struct buf boot = BUF_INIT;
    char space[64];
    add_boot(&boot);
    read_pid_space(space, sizeof space);
    const struct process_id process = {
        .pid = (pid_t)json_as_int(json_get(entry, "pid"), 0),
        .start_ticks = strtoull(json_as_text(json_get(entry, "start-ticks"), "0"), NULL, 10)};
    bool ours = boot.length > 0 && space[0] != '\0' &&
                strcmp(json_as_text(json_get(entry, "boot"), ""), boot.data) == 0 &&
                strcmp(json_as_text(json_get(entry, "pid-space"), ""), space) == 0;
    buf_free(&boot);
    return !ours                     ? SWITCHED_OFF_BY_OTHER
           : process_alive(&process) ? SWITCHED_OFF_BY_ALIVE
                                     : SWITCHED_OFF_BY_DEAD;
}

/* ---- Writing ---- */

enum err_code switched_off_note(const char *store, const struct node *node, const char *starter,
                                const struct json *how, const char *owner, struct err *err)
{
    struct buf path = BUF_INIT, directory = BUF_INIT, text = BUF_INIT;
    struct json *entry = json_object();
    char at[40];
    clock_format_utc(clock_wall_ns(), at, sizeof at);
    json_set_int(entry, "format", FORMAT_NUMBER);
    json_set_text(entry, "node", node->name);
    json_set_text(entry, "address", node_address(node));
    json_set_text(entry, "starter", starter);
    json_set(entry, "how", json_copy(how));
    json_set_text(entry, "owner", owner);
    json_set_text(entry, "at", at);
    add_self(entry);
    json_print(entry, JSON_PRETTY, &text);
    buf_add_char(&text, '\n');
    add_file(store, node, &path);
    add_directory(store, &directory);
    enum err_code code = make_directory(store, err);
    if (code == ERR_NONE)
        code = file_write(path.data, text.data, text.length, err);
    if (code == ERR_NONE)
        code = sync_directory(directory.data, err);
    if (code != ERR_NONE)
        err_wrap(err, "%s is not switched off, since that cannot be written down", node->name);
    json_free(entry);
    buf_free(&path);
    buf_free(&directory);
    buf_free(&text);
    return code;
}

enum err_code switched_off_forget(const char *store, const struct node *node, struct err *err)
{
    struct buf path = BUF_INIT;
    add_file(store, node, &path);
    enum err_code code = ERR_NONE;
    if (unlink(path.data) != 0 && errno != ENOENT && errno != ENOTDIR)
        code = err_errno(err, errno, "remove %s", path.data);
    buf_free(&path);
    return code;
}

/* ---- Reading ---- */

/* What is in it is done: nobody else may have written it, as in a store from somewhere else. */
static enum err_code check_owner(const char *path, struct err *err)
{
    struct stat status;
    if (lstat(path, &status) != 0)
        return err_errno(err, errno, "%s", path);
    if (!S_ISREG(status.st_mode) || status.st_uid != geteuid() || (status.st_mode & 022) != 0)
        return err_set(err, ERR_CONFIG,
                       "%s is not believed: it is not a file that you alone may write; look at it, "
                       "switch the machine on by hand, and remove it",
                       path);
    return ERR_NONE;
}

static enum err_code check_entry(const char *path, const struct json *entry, struct err *err)
{
    if (json_as_int(json_get(entry, "format"), 0) != FORMAT_NUMBER ||
        json_kind(json_get(entry, "starter")) != JSON_TEXT ||
        json_kind(json_get(entry, "how")) != JSON_OBJECT)
        return err_set(err, ERR_PARSE,
                       "%s does not say how to switch the machine on; do it by hand, and remove "
                       "that file",
                       path);
    return ERR_NONE;
}

enum err_code switched_off_read(const char *store, const struct node *node, struct json **entry,
                                enum switched_off_by *by, struct err *err)
{
    struct buf path = BUF_INIT, text = BUF_INIT;
    enum err_code code = ERR_NONE;
    *entry = NULL;
    *by = SWITCHED_OFF_NOBODY;
    add_file(store, node, &path);
    if (access(path.data, F_OK) == 0) {
        code = check_owner(path.data, err);
        if (code == ERR_NONE)
            code = file_read(path.data, FILE_BYTES_MAX, &text, err);
        if (code == ERR_NONE)
            code = json_parse(buf_text(&text), text.length, path.data, entry, err);
        if (code == ERR_NONE)
            code = check_entry(path.data, *entry, err);
        if (code == ERR_NONE)
            *by = who_of(*entry);
    }
    if (code != ERR_NONE) {
        json_free(*entry);
        *entry = NULL;
    }
    buf_free(&text);
    buf_free(&path);
    return code;
}
