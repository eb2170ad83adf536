/* The log's next file, made ahead: see ahead.h. */
#include "queue/ahead.h"

#include "queue/clock.h"

enum { PIECE = 1 << 20 };

static bool stopping(struct ahead *ahead)
{
    pthread_mutex_lock(&ahead->lock);
    bool stop = ahead->stopping;
    pthread_mutex_unlock(&ahead->lock);
    return stop;
}

static void rest(uint64_t worked_us)
{
    uint64_t us = 2 * worked_us;
    struct timespec time = {.tv_sec = (time_t)(us / 1000000),
                            .tv_nsec = (long)(us % 1000000 * 1000)};
    nanosleep(&time, NULL);
}

static bool fill_pieces(struct ahead *ahead, int file, int direct)
{
    static const char zeros[PIECE] __attribute__((aligned(DISK_DIRECT_ALIGNMENT)));
    const struct disk *disk = ahead->disk;
    for (uint64_t at = 0; at < ahead->bytes && !stopping(ahead); at += PIECE) {
        uint64_t began = clock_us();
        size_t length = ahead->bytes - at < PIECE ? (size_t)(ahead->bytes - at) : PIECE;
        if (disk_write(disk, direct >= 0 ? direct : file, AHEAD_NAME, zeros, length, at, NULL) !=
            DISK_OK)
            return false;
        if (direct < 0)
            disk_settle(disk, file, at, length);
        rest(clock_us() - began);
    }
    return true;
}

static bool fill(struct ahead *ahead, int file)
{
    const struct disk *disk = ahead->disk;
    if (disk->calls->allocate(disk->context, file, ahead->bytes) != 0)
        return false;
    int direct = disk_direct(disk, AHEAD_NAME);
    bool filled = fill_pieces(ahead, file, direct);
    disk_close_file(disk, &direct);
    return filled && !stopping(ahead) && disk->calls->sync(disk->context, file) == 0;
}

static int make(struct ahead *ahead)
{
    const struct disk *disk = ahead->disk;
    int file;
    if (disk_open_file(disk, AHEAD_NAME, DISK_OPEN_NEW, &file, NULL) != DISK_OK)
        return -1;
    if (!fill(ahead, file)) {
        disk_close_file(disk, &file);
        disk->calls->unlink(disk->context, AHEAD_NAME);
    }
    return file;
}

static void *run(void *context)
{
    struct ahead *ahead = context;
    pthread_mutex_lock(&ahead->lock);
    while (!ahead->stopping) {
        if (!ahead->wanted) {
            pthread_cond_wait(&ahead->wake, &ahead->lock);
            continue;
        }
        pthread_mutex_unlock(&ahead->lock);
        int file = make(ahead);
        pthread_mutex_lock(&ahead->lock);
        ahead->file = file;
        ahead->wanted = false;
    }
    pthread_mutex_unlock(&ahead->lock);
    return NULL;
}

bool ahead_start(struct ahead *ahead, const struct disk *disk, uint64_t bytes)
{
    *ahead = (struct ahead){.disk = disk, .bytes = bytes, .file = -1};
    pthread_mutex_init(&ahead->lock, NULL);
    pthread_cond_init(&ahead->wake, NULL);
    ahead->running = pthread_create(&ahead->thread, NULL, run, ahead) == 0;
    return ahead->running;
}

void ahead_stop(struct ahead *ahead)
{
    if (!ahead->running)
        return;
    pthread_mutex_lock(&ahead->lock);
    ahead->stopping = true;
    pthread_cond_signal(&ahead->wake);
    pthread_mutex_unlock(&ahead->lock);
    pthread_join(ahead->thread, NULL);
    if (ahead->file >= 0) {
        disk_close_file(ahead->disk, &ahead->file);
        ahead->disk->calls->unlink(ahead->disk->context, AHEAD_NAME);
    }
    pthread_cond_destroy(&ahead->wake);
    pthread_mutex_destroy(&ahead->lock);
    ahead->running = false;
}

void ahead_want(struct ahead *ahead)
{
    if (!ahead->running)
        return;
    pthread_mutex_lock(&ahead->lock);
    ahead->wanted = ahead->file < 0;
    pthread_cond_signal(&ahead->wake);
    pthread_mutex_unlock(&ahead->lock);
}

int ahead_take(struct ahead *ahead)
{
    if (!ahead->running)
        return -1;
    pthread_mutex_lock(&ahead->lock);
    int file = ahead->file;
    ahead->file = -1;
    pthread_mutex_unlock(&ahead->lock);
    return file;
}
