/* Files of a store, for a browser: see files.h. */
#include "reports/serve/files.h"

#include <archive.h>
#include <archive_entry.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "harness/base/text.h"

enum {
    DEPTH_MAX = 16,
    COPY_BYTES = 64 * 1024,
    ARCHIVE_FILES_MAX = 1000000,
    JSON_BYTES_MAX = 64 << 20
};

/* ---- Finding ---- */

static bool is_plain_name(const char *name, size_t length)
{
    return length > 0 && length < 256 && !(length == 1 && name[0] == '.') &&
           !(length == 2 && name[0] == '.' && name[1] == '.');
}

/* Walks all of the path; the last name is opened with `flags`. */
static int walk(const char *store, const char *path, int flags)
{
    int at = open(store, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    while (at >= 0) {
        size_t length = strcspn(path, "/");
        char name[256];
        bool last = path[length] == '\0';
        int next = -1;
        if (is_plain_name(path, length)) {
            memcpy(name, path, length);
            name[length] = '\0';
            next =
                openat(at, name, O_NOFOLLOW | O_CLOEXEC | (last ? flags : O_RDONLY | O_DIRECTORY));
        }
        close(at);
        at = next;
        if (last)
            break;
        path += length + 1;
    }
    return at;
}

int files_open(const char *store, const char *path, off_t *bytes)
{
    /* A pipe somebody put there must not hold us up. */
    int fd = walk(store, path, O_RDONLY | O_NONBLOCK);
    struct stat status;
    if (fd >= 0 && (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode))) {
        close(fd);
        return -1;
    }
    if (fd >= 0)
        *bytes = status.st_size;
    return fd;
}

bool files_read_json(const char *store, const char *path, struct json **root)
{
    struct buf text = BUF_INIT;
    off_t bytes;
    ssize_t got = 1;
    int fd = files_open(store, path, &bytes);
    *root = NULL;
    if (fd < 0)
        return false;
    for (char block[COPY_BYTES]; bytes <= JSON_BYTES_MAX && got > 0;) {
        got = read(fd, block, sizeof block);
        if (got > 0)
            buf_add(&text, block, (size_t)got);
    }
    if (text.length > 0 && json_parse(text.data, text.length, path, root, NULL) != ERR_NONE)
        *root = NULL;
    buf_free(&text);
    close(fd);
    return true;
}

int files_open_directory(const char *store, const char *path)
{
    return walk(store, path, O_RDONLY | O_DIRECTORY);
}

/* ---- Listing ---- */

struct listing {
    struct arena *arena;
    struct file_entry *items;
    size_t count, capacity, limit;
};

static void add_file(struct listing *listing, const char *path, off_t bytes)
{
    if (listing->count == listing->capacity) {
        size_t capacity = listing->capacity * 2 + 32;
        struct file_entry *items = arena_alloc(listing->arena, capacity * sizeof *items);
        if (listing->count > 0)
            memcpy(items, listing->items, listing->count * sizeof *items);
        listing->items = items;
        listing->capacity = capacity;
    }
    listing->items[listing->count++] = (struct file_entry){path, bytes};
}

/* Takes the descriptor. */
static void list_below(struct listing *listing, int fd, const char *prefix, int depth)
{
    DIR *directory = fdopendir(fd);
    if (directory == NULL) {
        close(fd);
        return;
    }
    const struct dirent *item;
    while (listing->count < listing->limit && (item = readdir(directory)) != NULL) {
        struct stat status;
        if (!is_plain_name(item->d_name, strlen(item->d_name)) ||
            fstatat(fd, item->d_name, &status, AT_SYMLINK_NOFOLLOW) != 0)
            continue;
        const char *path = arena_printf(listing->arena, "%s%s", prefix, item->d_name);
        if (S_ISREG(status.st_mode)) {
            add_file(listing, path, status.st_size);
        } else if (S_ISDIR(status.st_mode) && depth < DEPTH_MAX) {
            int below = openat(fd, item->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
            if (below >= 0)
                list_below(listing, below, arena_printf(listing->arena, "%s/", path), depth + 1);
        }
    }
    closedir(directory);
}

static int by_path(const void *a, const void *b)
{
    const struct file_entry *left = a, *right = b;
    return strcmp(left->path, right->path);
}

size_t files_list(const char *store, const char *path, size_t limit, struct arena *arena,
                  struct file_entry **files)
{
    struct listing listing = {.arena = arena, .limit = limit};
    int fd = files_open_directory(store, path);
    if (fd >= 0)
        list_below(&listing, fd, "", 0);
    if (listing.count > 0)
        qsort(listing.items, listing.count, sizeof *listing.items, by_path);
    *files = listing.items;
    return listing.count;
}

const char *files_content_type(const char *path)
{
    static const struct {
        const char *suffix, *type;
    } types[] = {
        {"/report.html", "text/html; charset=utf-8"},
        {".json", "application/json; charset=utf-8"},
        {".ordeal", "application/octet-stream"},
        {".pcap", "application/octet-stream"},
        {".gz", "application/gzip"},
    };
    size_t length = strlen(path);
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        size_t suffix = strlen(types[i].suffix);
        if (length >= suffix && strcmp(path + length - suffix, types[i].suffix) == 0)
            return types[i].type;
    }
    return "text/plain; charset=utf-8";
}

/* ---- Archives ---- */

struct packing {
    struct arena arena;
    char *store, *path;
    int output;
};

/* A file that grows meanwhile is packed as long as it was; one that shrinks is filled with zeros by
 * the library. */
static bool pack_file(struct archive *archive, const struct packing *packing, const char *top,
                      const struct file_entry *file)
{
    struct buf name = BUF_INIT;
    buf_printf(&name, "%s/%s", packing->path, file->path);
    off_t bytes;
    int fd = files_open(packing->store, buf_text(&name), &bytes);
    struct stat status;
    if (fd < 0 || fstat(fd, &status) != 0) {
        if (fd >= 0)
            close(fd);
        buf_free(&name);
        return true; /* gone meanwhile */
    }
    buf_clear(&name);
    buf_printf(&name, "%s/%s", top, file->path);
    struct archive_entry *entry = archive_entry_new();
    archive_entry_set_pathname(entry, buf_text(&name));
    archive_entry_set_filetype(entry, AE_IFREG);
    archive_entry_set_perm(entry, 0644);
    archive_entry_set_size(entry, status.st_size);
    archive_entry_set_mtime(entry, status.st_mtim.tv_sec, 0);
    bool fine = archive_write_header(archive, entry) == ARCHIVE_OK;
    char block[COPY_BYTES];
    for (off_t left = status.st_size; fine && left > 0;) {
        ssize_t got = read(fd, block, left < COPY_BYTES ? (size_t)left : COPY_BYTES);
        if (got <= 0)
            break;
        fine = archive_write_data(archive, block, (size_t)got) >= 0;
        left -= got;
    }
    archive_entry_free(entry);
    close(fd);
    buf_free(&name);
    return fine;
}

static void *pack(void *argument)
{
    struct packing *packing = argument;
    sigset_t quiet; /* a reader that is gone is an error of write here, no signal */
    sigemptyset(&quiet);
    sigaddset(&quiet, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &quiet, NULL);
    struct file_entry *files;
    size_t count =
        files_list(packing->store, packing->path, ARCHIVE_FILES_MAX, &packing->arena, &files);
    const char *slash = strrchr(packing->path, '/');
    const char *top = slash == NULL ? packing->path : slash + 1;
    struct archive *archive = archive_write_new();
    archive_write_add_filter_gzip(archive);
    archive_write_set_format_pax_restricted(archive);
    bool fine = archive_write_open_fd(archive, packing->output) == ARCHIVE_OK;
    for (size_t i = 0; fine && i < count; i++)
        fine = pack_file(archive, packing, top, &files[i]);
    archive_write_free(archive); /* closes the archive, not the pipe */
    close(packing->output);
    arena_free(&packing->arena);
    free(packing->store);
    free(packing->path);
    free(packing);
    return NULL;
}

int files_archive(const char *store, const char *path)
{
    int ends[2];
    int directory = files_open_directory(store, path);
    if (directory < 0)
        return -1;
    close(directory);
    if (pipe2(ends, O_CLOEXEC) != 0)
        return -1;
    struct packing *packing = calloc(1, sizeof *packing);
    if (packing == NULL)
        abort();
    packing->arena = ARENA_INIT;
    packing->store = strdup(store);
    packing->path = strdup(path);
    packing->output = ends[1];
    pthread_t thread;
    if (packing->store == NULL || packing->path == NULL ||
        pthread_create(&thread, NULL, pack, packing) != 0) {
        close(ends[0]);
        close(ends[1]);
        free(packing->store);
        free(packing->path);
        free(packing);
        return -1;
    }
    pthread_detach(thread);
    return ends[0];
}
