/* Small things about text and files: see text.h. */
#include "harness/base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { NAME_MAX_LENGTH = 63 };

/* Optimal string alignment distance; names longer than NAME_MAX_LENGTH are never near anything. */
static size_t distance(const char *a, const char *b)
{
    size_t m = strlen(a), n = strlen(b);
    if (m > NAME_MAX_LENGTH || n > NAME_MAX_LENGTH)
        return NAME_MAX_LENGTH;
    size_t d[NAME_MAX_LENGTH + 1][NAME_MAX_LENGTH + 1];
    for (size_t i = 0; i <= m; i++)
        d[i][0] = i;
    for (size_t j = 0; j <= n; j++)
        d[0][j] = j;
    for (size_t i = 1; i <= m; i++)
        for (size_t j = 1; j <= n; j++) {
            size_t best = d[i - 1][j - 1] + (a[i - 1] != b[j - 1]);
            if (d[i - 1][j] + 1 < best)
                best = d[i - 1][j] + 1;
            if (d[i][j - 1] + 1 < best)
                best = d[i][j - 1] + 1;
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
                d[i - 2][j - 2] + 1 < best)
                best = d[i - 2][j - 2] + 1;
            d[i][j] = best;
        }
    return d[m][n];
}

const char *text_nearest(const char *name, const char *const *candidates, size_t count)
{
    const char *nearest = NULL;
    size_t limit = strlen(name) / 2 < 3 ? strlen(name) / 2 + 1 : 4; /* farther is no help */
    for (size_t i = 0; i < count; i++) {
        size_t d = distance(name, candidates[i]);
        if (d < limit) {
            limit = d;
            nearest = candidates[i];
        }
    }
    return nearest;
}

size_t text_split(struct arena *arena, const char *text, char separator, const char ***parts)
{
    size_t most = 1;
    for (const char *c = text; *c != '\0'; c++)
        most += *c == separator;
    *parts = arena_alloc(arena, most * sizeof **parts);
    size_t count = 0;
    for (const char *part = text; part != NULL;) {
        const char *end = strchr(part, separator);
        const char *next = end == NULL ? NULL : end + 1;
        size_t length = end == NULL ? strlen(part) : (size_t)(end - part);
        while (length > 0 && (*part == ' ' || *part == '\t')) {
            part++;
            length--;
        }
        while (length > 0 && (part[length - 1] == ' ' || part[length - 1] == '\t'))
            length--;
        if (length > 0)
            (*parts)[count++] = arena_strndup(arena, part, length);
        part = next;
    }
    return count;
}

bool text_starts(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

size_t text_utf8(const char *text, size_t length)
{
    const unsigned char *s = (const unsigned char *)text;
    if (length == 0)
        return 0;
    if (s[0] < 0x80)
        return 1;
    size_t size = s[0] < 0xc2 ? 0 : s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : s[0] < 0xf5 ? 4 : 0;
    if (size == 0 || size > length)
        return 0;
    for (size_t i = 1; i < size; i++)
        if ((s[i] & 0xc0) != 0x80)
            return 0;
    bool overlong = (s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xf0 && s[1] < 0x90);
    bool surrogate = s[0] == 0xed && s[1] >= 0xa0;
    bool beyond = s[0] == 0xf4 && s[1] >= 0x90;
    return overlong || surrogate || beyond ? 0 : size;
}

enum err_code file_read(const char *path, size_t limit, struct buf *out, struct err *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return err_errno(err, errno, "%s", path);
    size_t before = out->length;
    enum err_code code = ERR_NONE;
    for (;;) {
        buf_reserve(out, 65536);
        ssize_t got = read(fd, out->data + out->length, 65536);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            code = err_errno(err, errno, "%s", path);
        if (got <= 0)
            break;
        out->length += (size_t)got;
        if (out->length - before > limit) {
            code = err_set(err, ERR_CONFIG, "%s: more than %zu bytes", path, limit);
            break;
        }
    }
    buf_reserve(out, 0);
    if (code != ERR_NONE)
        out->length = before;
    out->data[out->length] = '\0';
    close(fd);
    return code;
}

static int write_all(int fd, const char *data, size_t length)
{
    while (length > 0) {
        ssize_t wrote = write(fd, data, length);
        if (wrote < 0 && errno == EINTR)
            continue;
        if (wrote < 0)
            return errno;
        data += wrote;
        length -= (size_t)wrote;
    }
    return 0;
}

enum err_code file_write_fd(int fd, const char *name, const void *data, size_t length,
                            struct err *err)
{
    int problem = write_all(fd, data, length);
    return problem == 0 ? ERR_NONE : err_errno(err, problem, "write %s", name);
}

enum err_code file_write(const char *path, const void *data, size_t length, struct err *err)
{
    struct buf aside = BUF_INIT;
    buf_printf(&aside, "%s.%ld.tmp", path, (long)getpid());
    int problem = 0;
    int fd = open(aside.data, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0)
        problem = errno;
    if (problem == 0)
        problem = write_all(fd, data, length);
    if (problem == 0 && fsync(fd) != 0 && errno != EINVAL && errno != EROFS)
        problem = errno;
    if (fd >= 0 && close(fd) != 0 && problem == 0)
        problem = errno;
    if (problem == 0 && rename(aside.data, path) != 0)
        problem = errno;
    if (problem != 0 && fd >= 0)
        unlink(aside.data);
    buf_free(&aside);
    return problem == 0 ? ERR_NONE : err_errno(err, problem, "write %s", path);
}

enum err_code file_make_dirs(const char *path, struct err *err)
{
    struct buf part = BUF_INIT;
    buf_add_text(&part, path);
    int problem = 0;
    for (size_t i = 1; i <= part.length && problem == 0; i++) {
        if (part.data[i] != '/' && part.data[i] != '\0')
            continue;
        char held = part.data[i];
        part.data[i] = '\0';
        if (mkdir(part.data, 0755) != 0 && errno != EEXIST)
            problem = errno;
        part.data[i] = held;
    }
    struct stat status;
    if (problem == 0 && (stat(path, &status) != 0 || !S_ISDIR(status.st_mode)))
        problem = ENOTDIR;
    buf_free(&part);
    return problem == 0 ? ERR_NONE : err_errno(err, problem, "make directory %s", path);
}
