/* The disk that loses power. */
#include "tests/queue/lib/disk_shim.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { FILES_MAX = 1024, NAMES_MAX = 512, OPEN_MAX = 512, SECTOR = 512 };

struct bytes {
    unsigned char *data;
    size_t length;
};

struct piece { /* within one sector, or a new length (data NULL) */
    uint64_t offset;
    size_t length;
    unsigned char *data;
};

struct file {
    bool used;
    struct bytes now, durable;
    struct piece *pieces;
    size_t piece_count, piece_capacity;
};

struct name {
    char text[64];
    int file;
};

enum change_kind { CHANGE_LINK, CHANGE_UNLINK, CHANGE_RENAME };
struct change {
    enum change_kind kind;
    char source[64], target[64];
    int file;
};

struct names {
    struct name items[NAMES_MAX];
    size_t count;
};

struct shim {
    struct disk disk;
    struct file files[FILES_MAX];
    int file_count;
    struct names now, durable;
    struct change changes[NAMES_MAX * 4];
    size_t change_count;
    int open[OPEN_MAX]; /* file + 1 */
    uint64_t crash_in, fail_in, random, syncs_after_failure;
    int fail_code;
    bool crashed, failed;
};

static uint64_t next_random(uint64_t *state)
{
    *state += 0x9e3779b97f4a7c15u;
    uint64_t mixed = *state;
    mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9u;
    mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111ebu;
    return mixed ^ (mixed >> 31);
}

/* Bytes and names */

static void resize(struct bytes *bytes, size_t length)
{
    unsigned char *data = realloc(bytes->data, length + 1);
    assert(data != NULL);
    if (length > bytes->length)
        memset(data + bytes->length, 0, length - bytes->length);
    *bytes = (struct bytes){.data = data, .length = length};
}

static void put(struct bytes *bytes, uint64_t offset, const unsigned char *data, size_t length)
{
    if (offset + length > bytes->length)
        resize(bytes, offset + length);
    if (data != NULL && length > 0)
        memcpy(bytes->data + offset, data, length);
}

static struct name *find(struct names *names, const char *text)
{
    for (size_t i = 0; i < names->count; i++)
        if (strcmp(names->items[i].text, text) == 0)
            return &names->items[i];
    return NULL;
}

static void unlink_name(struct names *names, const char *text)
{
    struct name *name = find(names, text);
    if (name != NULL)
        *name = names->items[--names->count];
}

static void link_name(struct names *names, const char *text, int file)
{
    unlink_name(names, text);
    assert(names->count < NAMES_MAX && strlen(text) < sizeof names->items[0].text);
    struct name *name = &names->items[names->count++];
    strcpy(name->text, text);
    name->file = file;
}

static void apply(struct names *names, const struct change *change)
{
    if (change->kind != CHANGE_LINK)
        unlink_name(names, change->source);
    if (change->kind != CHANGE_UNLINK)
        link_name(names, change->target, change->file);
}

static void add_change(struct shim *shim, enum change_kind kind, const char *source,
                       const char *target, int file)
{
    assert(shim->change_count < sizeof shim->changes / sizeof *shim->changes);
    struct change *change = &shim->changes[shim->change_count++];
    *change = (struct change){.kind = kind, .file = file};
    strcpy(change->source, source);
    strcpy(change->target, target);
    apply(&shim->now, change);
}

static void add_piece(struct file *file, uint64_t offset, const void *data, size_t length)
{
    if (file->piece_count == file->piece_capacity) {
        file->piece_capacity = file->piece_capacity == 0 ? 16 : file->piece_capacity * 2;
        file->pieces = realloc(file->pieces, file->piece_capacity * sizeof *file->pieces);
        assert(file->pieces != NULL);
    }
    struct piece *piece = &file->pieces[file->piece_count++];
    *piece = (struct piece){.offset = offset, .length = length};
    if (data != NULL) {
        piece->data = malloc(length + 1);
        assert(piece->data != NULL);
        memcpy(piece->data, data, length);
    }
}

static void drop_pieces(struct file *file)
{
    for (size_t i = 0; i < file->piece_count; i++)
        free(file->pieces[i].data);
    file->piece_count = 0;
}

/* Calls */

/* Whether the call is to fail now. `changes`: it counts for the crash. */
static bool interrupted(struct shim *shim, bool changes, bool *last)
{
    *last = false;
    if (shim->crashed) {
        errno = EIO;
        return true;
    }
    if (changes && shim->crash_in > 0 && --shim->crash_in == 0)
        *last = shim->crashed = true;
    if (shim->fail_in > 0 && --shim->fail_in == 0) {
        shim->failed = true;
        errno = shim->fail_code;
        return true;
    }
    return false;
}

static struct file *file_of(struct shim *shim, int handle)
{
    assert(handle >= 0 && handle < OPEN_MAX && shim->open[handle] > 0);
    return &shim->files[shim->open[handle] - 1];
}

static int result_of(bool crashed)
{
    if (crashed)
        errno = EIO;
    return crashed ? -1 : 0;
}

static int shim_open(void *context, const char *name, enum disk_open how)
{
    struct shim *shim = context;
    bool last;
    if (interrupted(shim, how == DISK_OPEN_NEW, &last))
        return -1;
    struct name *found = find(&shim->now, name);
    int file = found == NULL ? -1 : found->file;
    if (how == DISK_OPEN_NEW) {
        /* An old file of the name is replaced rather than emptied: nobody here relies on either. */
        file = shim->file_count++;
        assert(file < FILES_MAX);
        shim->files[file] = (struct file){.used = true};
        add_change(shim, CHANGE_LINK, "", name, file);
    } else if (file < 0) {
        errno = ENOENT;
        return -1;
    }
    if (last)
        return result_of(true);
    for (int handle = 0; handle < OPEN_MAX; handle++)
        if (shim->open[handle] == 0) {
            shim->open[handle] = file + 1;
            return handle;
        }
    assert(!"too many open files: some are leaked");
    return -1;
}

static int shim_close(void *context, int handle)
{
    struct shim *shim = context;
    file_of(shim, handle);
    shim->open[handle] = 0;
    return 0;
}

static ssize_t shim_read(void *context, int handle, void *bytes, size_t length, uint64_t offset)
{
    struct shim *shim = context;
    bool last;
    if (interrupted(shim, false, &last))
        return -1;
    const struct bytes *now = &file_of(shim, handle)->now;
    if (offset >= now->length)
        return 0;
    if (length > now->length - offset)
        length = now->length - offset;
    memcpy(bytes, now->data + offset, length);
    return (ssize_t)length;
}

static ssize_t shim_write(void *context, int handle, const void *bytes, size_t length,
                          uint64_t offset)
{
    struct shim *shim = context;
    bool last, failed = interrupted(shim, true, &last);
    if (failed && shim->crashed)
        return -1;
    struct file *file = file_of(shim, handle);
    const unsigned char *from = bytes;
    size_t wanted = failed ? length / 2 : length;
    for (size_t done = 0, take; done < wanted; done += take) {
        take = SECTOR - (offset + done) % SECTOR;
        if (take > wanted - done)
            take = wanted - done;
        add_piece(file, offset + done, from + done, take);
    }
    put(&file->now, offset, from, wanted);
    if (failed)
        errno = shim->fail_code;
    return failed || last ? -1 : (ssize_t)length;
}

static int shim_allocate(void *context, int handle, uint64_t length)
{
    struct shim *shim = context;
    bool last;
    if (interrupted(shim, true, &last))
        return -1;
    struct file *file = file_of(shim, handle);
    add_piece(file, length, NULL, 0);
    put(&file->now, length, NULL, 0);
    return result_of(last);
}

static int64_t shim_size(void *context, int handle)
{
    struct shim *shim = context;
    bool last;
    if (interrupted(shim, false, &last))
        return -1;
    return (int64_t)file_of(shim, handle)->now.length;
}

static int shim_sync(void *context, int handle)
{
    struct shim *shim = context;
    bool last, failed = interrupted(shim, true, &last);
    struct file *file = file_of(shim, handle);
    shim->syncs_after_failure += shim->failed && !failed;
    if (shim->crashed)
        return result_of(true);
    for (size_t i = 0; i < file->piece_count; i++) {
        const struct piece *piece = &file->pieces[i];
        if (!failed || next_random(&shim->random) % 2 == 0)
            put(&file->durable, piece->offset, piece->data, piece->length);
    }
    drop_pieces(file);
    if (failed)
        errno = shim->fail_code;
    return failed ? -1 : 0;
}

static int shim_sync_directory(void *context)
{
    struct shim *shim = context;
    bool last;
    if (interrupted(shim, true, &last))
        return -1;
    if (last)
        return result_of(true);
    shim->durable = shim->now;
    shim->change_count = 0;
    return 0;
}

static int shim_rename(void *context, const char *source, const char *target)
{
    struct shim *shim = context;
    bool last;
    if (interrupted(shim, true, &last))
        return -1;
    struct name *found = find(&shim->now, source);
    if (found == NULL) {
        errno = ENOENT;
        return -1;
    }
    add_change(shim, CHANGE_RENAME, source, target, found->file);
    return result_of(last);
}

static int shim_unlink(void *context, const char *name)
{
    struct shim *shim = context;
    bool last;
    if (interrupted(shim, true, &last))
        return -1;
    if (find(&shim->now, name) == NULL) {
        errno = ENOENT;
        return -1;
    }
    add_change(shim, CHANGE_UNLINK, name, "", -1);
    return result_of(last);
}

static int shim_list(void *context, void (*found)(void *argument, const char *name), void *argument)
{
    struct shim *shim = context;
    bool last;
    if (interrupted(shim, false, &last))
        return -1;
    for (size_t i = 0; i < shim->now.count; i++)
        found(argument, shim->now.items[i].text);
    return 0;
}

static int shim_lock(void *context, const char *name)
{
    (void)context;
    (void)name;
    return 0;
}

static int shim_random(void *context, void *bytes, size_t length)
{
    struct shim *shim = context;
    for (size_t i = 0; i < length; i++)
        ((unsigned char *)bytes)[i] = (unsigned char)next_random(&shim->random);
    return 0;
}

static const struct disk_calls shim_calls = {
    .open = shim_open,
    .close = shim_close,
    .read = shim_read,
    .write = shim_write,
    .allocate = shim_allocate,
    .size = shim_size,
    .sync = shim_sync,
    .sync_directory = shim_sync_directory,
    .rename = shim_rename,
    .unlink = shim_unlink,
    .list = shim_list,
    .lock = shim_lock,
    .random = shim_random,
};

/* What tests do to it */

struct shim *shim_new(void)
{
    struct shim *shim = calloc(1, sizeof *shim);
    assert(shim != NULL);
    shim->disk = (struct disk){.calls = &shim_calls, .context = shim, .directory = -1, .lock = -1};
    shim->random = 1;
    return shim;
}

static void copy_bytes(struct bytes *target, const struct bytes *source)
{
    *target = (struct bytes){.data = NULL};
    put(target, 0, source->data, source->length);
}

struct shim *shim_copy(const struct shim *shim)
{
    struct shim *copy = shim_new();
    struct disk disk = copy->disk;
    *copy = *shim;
    copy->disk = disk;
    for (int i = 0; i < copy->file_count; i++) {
        const struct file *source = &shim->files[i];
        struct file *target = &copy->files[i];
        *target = (struct file){.used = source->used};
        copy_bytes(&target->now, &source->now);
        copy_bytes(&target->durable, &source->durable);
        for (size_t p = 0; p < source->piece_count; p++)
            add_piece(target, source->pieces[p].offset, source->pieces[p].data,
                      source->pieces[p].length);
    }
    shim_kill(copy);
    return copy;
}

void shim_free(struct shim *shim)
{
    for (int i = 0; i < shim->file_count; i++) {
        drop_pieces(&shim->files[i]);
        free(shim->files[i].pieces);
        free(shim->files[i].now.data);
        free(shim->files[i].durable.data);
    }
    free(shim);
}

struct disk *shim_disk(struct shim *shim)
{
    return &shim->disk;
}

void shim_kill(struct shim *shim)
{
    memset(shim->open, 0, sizeof shim->open);
    shim->crash_in = shim->fail_in = 0;
    shim->crashed = shim->failed = false;
}

/* How much of the i-th of `count` unsynced pieces, of `length` bytes, is kept. */
static size_t kept(enum shim_cut how, uint64_t *random, size_t i, size_t count, size_t point,
                   size_t length, bool is_name)
{
    switch (how) {
    case SHIM_ALL:
        return length;
    case SHIM_RANDOM:
        return next_random(random) % 2 == 0 ? length : 0;
    case SHIM_FRONT:
        if (i < point)
            return length;
        return i == point && !is_name ? next_random(random) % (length / 4 + 1) * 4 : 0;
    case SHIM_BACK:
        return i >= point || i + 1 == count ? length : 0;
    case SHIM_TORN:
        return is_name ? length : next_random(random) % (length / 4 + 1) * 4;
    case SHIM_NAMES:
        return is_name ? length : 0;
    case SHIM_BYTES:
        return is_name ? 0 : length;
    default:
        return 0;
    }
}

static void cut_file(struct file *file, enum shim_cut how, uint64_t *random)
{
    size_t point = file->piece_count == 0 ? 0 : next_random(random) % file->piece_count;
    for (size_t i = 0; i < file->piece_count; i++) {
        const struct piece *piece = &file->pieces[i];
        size_t length = piece->data == NULL ? 1 : piece->length;
        size_t keep = kept(how, random, i, file->piece_count, point, length, false);
        if (keep > 0 && piece->data == NULL)
            put(&file->durable, piece->offset, NULL, 0);
        else if (keep > 0)
            put(&file->durable, piece->offset, piece->data, keep < length ? keep : length);
    }
    drop_pieces(file);
    free(file->now.data);
    copy_bytes(&file->now, &file->durable);
}

void shim_power_cut(struct shim *shim, enum shim_cut how, uint64_t seed)
{
    uint64_t random = seed;
    for (int i = 0; i < shim->file_count; i++)
        cut_file(&shim->files[i], how, &random);
    size_t point = shim->change_count == 0 ? 0 : next_random(&random) % shim->change_count;
    for (size_t i = 0; i < shim->change_count; i++)
        if (kept(how, &random, i, shim->change_count, point, 1, true) > 0)
            apply(&shim->durable, &shim->changes[i]);
    shim->now = shim->durable;
    shim->change_count = 0;
    shim_kill(shim);
}

void shim_crash_at(struct shim *shim, uint64_t n)
{
    shim->crash_in = n;
}

bool shim_crashed(const struct shim *shim)
{
    return shim->crashed;
}

void shim_fail_at(struct shim *shim, uint64_t n, int code)
{
    shim->fail_in = n;
    shim->fail_code = code;
    shim->syncs_after_failure = 0;
}

bool shim_failed(const struct shim *shim)
{
    return shim->failed;
}

uint64_t shim_syncs_after_failure(const struct shim *shim)
{
    return shim->syncs_after_failure;
}

bool shim_length(struct shim *shim, const char *name, size_t *length)
{
    struct name *found = find(&shim->now, name);
    if (found != NULL)
        *length = shim->files[found->file].now.length;
    return found != NULL;
}

void shim_flip(struct shim *shim, const char *name, size_t at, unsigned char bits)
{
    struct name *found = find(&shim->now, name);
    assert(found != NULL);
    struct file *file = &shim->files[found->file];
    assert(at < file->now.length);
    file->now.data[at] ^= bits;
    if (at < file->durable.length)
        file->durable.data[at] ^= bits;
}

void shim_zero(struct shim *shim, const char *name, size_t at, size_t length)
{
    size_t end;
    assert(shim_length(shim, name, &end) && at + length <= end);
    for (size_t i = at; i < at + length; i++)
        shim_flip(shim, name, i, shim->files[find(&shim->now, name)->file].now.data[i]);
}

void shim_cut_file(struct shim *shim, const char *name, size_t length)
{
    struct name *found = find(&shim->now, name);
    assert(found != NULL);
    struct file *file = &shim->files[found->file];
    assert(length <= file->now.length);
    file->now.length = length;
    if (length < file->durable.length)
        file->durable.length = length;
}

void shim_remove(struct shim *shim, const char *name)
{
    unlink_name(&shim->now, name);
    unlink_name(&shim->durable, name);
}

size_t shim_names(struct shim *shim, char names[][64], size_t max)
{
    size_t count = 0;
    for (size_t i = 0; i < shim->now.count && count < max; i++)
        strcpy(names[count++], shim->now.items[i].text);
    return count;
}
