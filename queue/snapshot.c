/* Writing snapshots: here, in a child, or from chunks that another server sends. */
#include "queue/snapshot.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/ioprio.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "queue/bytes.h"
#include "queue/clock.h"
#include "queue/crc32c.h"
#include "queue/defect.h"
#include "queue/snapshot_internal.h"

struct snapshot_writer {
    const struct disk *disk;
    int file;
    const char *name;
    uint64_t nonce, offset, settled;
    uint32_t block, length;
    char *bytes; /* a block's header and its bytes so far */
    enum disk_result result;
    struct queue_error *error;
};

/* The log's syncs wait for what is dirty, also of this file: never much. */
enum { SETTLE_BYTES = 256 << 10 };

uint32_t snapshot_salt(uint64_t nonce, uint32_t block, uint32_t length)
{
    unsigned char bytes[16];
    bytes_put64(bytes, nonce);
    bytes_put32(bytes + 8, block);
    bytes_put32(bytes + 12, length);
    return crc32c(0, bytes, sizeof bytes);
}

void snapshot_make_name(char name[SNAPSHOT_NAME_BYTES], uint64_t index, uint64_t term)
{
    snprintf(name, SNAPSHOT_NAME_BYTES, SNAPSHOT_PREFIX "%016llx-%016llx",
             (unsigned long long)index, (unsigned long long)term);
}

bool snapshot_parse_name(const char *name, uint64_t *index, uint64_t *term)
{
    enum { DIGITS = 16, PREFIX = sizeof SNAPSHOT_PREFIX - 1 };
    static const char hex[] = "0123456789abcdef";
    if (strncmp(name, SNAPSHOT_PREFIX, PREFIX) != 0 || strlen(name) != PREFIX + 2 * DIGITS + 1)
        return false;
    const char *first = name + PREFIX, *second = first + DIGITS + 1;
    if (strspn(first, hex) != DIGITS || first[DIGITS] != '-' || strspn(second, hex) != DIGITS)
        return false;
    *index = strtoull(first, NULL, 16);
    *term = strtoull(second, NULL, 16);
    return true;
}

/* The writer */

/* What was written leaves memory, and then the disk is left to others for twice as long as that
 * took: the log's syncs are waited for, a snapshot is not. */
static void settle(struct snapshot_writer *writer)
{
    uint64_t begun_us = clock_us();
    disk_settle(writer->disk, writer->file, writer->settled, writer->offset - writer->settled);
    writer->settled = writer->offset;
    uint64_t rest_us = 2 * (clock_us() - begun_us);
    struct timespec rest = {.tv_sec = (time_t)(rest_us / 1000000),
                            .tv_nsec = (long)(rest_us % 1000000) * 1000};
    nanosleep(&rest, NULL);
}

static void write_block(struct snapshot_writer *writer)
{
    uint32_t crc = snapshot_salt(writer->nonce, writer->block, writer->length);
    bytes_put32(writer->bytes, writer->length);
    bytes_put32(writer->bytes + 4,
                crc32c(crc, writer->bytes + SNAPSHOT_BLOCK_HEADER, writer->length));
    size_t length = SNAPSHOT_BLOCK_HEADER + (size_t)writer->length;
    writer->result = disk_write(writer->disk, writer->file, writer->name, writer->bytes, length,
                                writer->offset, writer->error);
    writer->offset += length;
    writer->block++;
    writer->length = 0;
    if (writer->offset - writer->settled >= SETTLE_BYTES)
        settle(writer);
}

bool snapshot_write(struct snapshot_writer *writer, const void *bytes, size_t length)
{
    const char *from = bytes;
    while (writer->result == DISK_OK && length > 0) {
        size_t room = SNAPSHOT_BLOCK - writer->length, take = length < room ? length : room;
        memcpy(writer->bytes + SNAPSHOT_BLOCK_HEADER + writer->length, from, take);
        writer->length += (uint32_t)take;
        from += take;
        length -= take;
        if (writer->length == SNAPSHOT_BLOCK)
            write_block(writer);
    }
    return writer->result == DISK_OK;
}

static void write_header(struct snapshot_writer *writer, const struct snapshot_header *header)
{
    char bytes[SNAPSHOT_HEADER] = {0};
    if (writer->disk->calls->random(writer->disk->context, &writer->nonce, sizeof writer->nonce) !=
        0) {
        queue_error_set(writer->error, "no random bytes for %s", writer->name);
        writer->result = DISK_FAILED;
        return;
    }
    memcpy(bytes + SNAPSHOT_AT_MAGIC, SNAPSHOT_MAGIC, sizeof SNAPSHOT_MAGIC);
    bytes_put32(bytes + SNAPSHOT_AT_FORMAT, SNAPSHOT_FORMAT);
    bytes_put64(bytes + SNAPSHOT_AT_NONCE, writer->nonce);
    bytes_put64(bytes + SNAPSHOT_AT_INDEX, header->index);
    bytes_put64(bytes + SNAPSHOT_AT_TERM, header->term);
    bytes_put32(bytes + SNAPSHOT_AT_CONFIG_BYTES, header->config_bytes);
    bytes_put32(bytes + SNAPSHOT_AT_CRC,
                crc32c(0, bytes + SNAPSHOT_AT_FORMAT, SNAPSHOT_HEADER - SNAPSHOT_AT_FORMAT));
    writer->result =
        disk_write(writer->disk, writer->file, writer->name, bytes, sizeof bytes, 0, writer->error);
    writer->offset = sizeof bytes;
}

static enum disk_result fill_file(struct snapshot_writer *writer,
                                  const struct snapshot_header *header, snapshot_fill *fill,
                                  void *context)
{
    write_header(writer, header);
    snapshot_write(writer, header->config, header->config_bytes);
    if (writer->result == DISK_OK && !fill(context, writer) && writer->result == DISK_OK) {
        queue_error_set(writer->error, "%s: the state could not be written out", writer->name);
        writer->result = DISK_FAILED;
    }
    if (writer->result == DISK_OK && writer->length > 0)
        write_block(writer);
    if (writer->result == DISK_OK)
        write_block(writer); /* the one without bytes ends the file */
    if (writer->result == DISK_OK)
        writer->result = disk_sync(writer->disk, writer->file, writer->name, writer->error);
    return writer->result;
}

static enum disk_result write_aside(const struct disk *disk, const char *aside,
                                    const struct snapshot_header *header, snapshot_fill *fill,
                                    void *context, struct queue_error *error)
{
    struct snapshot_writer writer = {.disk = disk, .name = aside, .error = error};
    enum disk_result result = disk_open_file(disk, aside, DISK_OPEN_NEW, &writer.file, error);
    if (result != DISK_OK)
        return result;
    writer.bytes = disk_allocate(NULL, SNAPSHOT_BLOCK_HEADER + SNAPSHOT_BLOCK);
    result = fill_file(&writer, header, fill, context);
    free(writer.bytes);
    disk_close_file(disk, &writer.file);
    return result;
}

static void make_aside(char aside[SNAPSHOT_NAME_BYTES], uint64_t index, uint64_t term)
{
    snapshot_make_name(aside, index, term);
    strcat(aside, DISK_ASIDE);
}

/* A name is on the disk before anybody relies on it. */
static enum disk_result change_name(const struct disk *disk, const char *old, const char *new,
                                    struct queue_error *error)
{
    if (!queue_defect(DEFECT_SNAPSHOT_NO_DIRSYNC))
        return new != NULL ? disk_rename(disk, old, new, error) : disk_unlink(disk, old, error);
    int failed = new != NULL ? disk->calls->rename(disk->context, old, new)
                             : disk->calls->unlink(disk->context, old);
    queue_error_set(error, "rename or unlink %.64s: %s", old, strerror(errno));
    return failed ? DISK_FAILED : DISK_OK;
}

/* A snapshot is complete: gives it its name, and makes room. */
static enum disk_result publish(const struct disk *disk, const char *aside, uint64_t index,
                                uint64_t term, struct queue_error *error)
{
    char name[SNAPSHOT_NAME_BYTES];
    snapshot_make_name(name, index, term);
    enum disk_result result = change_name(disk, aside, name, error);
    return result == DISK_OK ? snapshot_prune(disk, UINT64_MAX, error) : result;
}

enum disk_result snapshot_save(const struct disk *disk, const struct snapshot_header *header,
                               snapshot_fill *fill, void *context, struct queue_error *error)
{
    char aside[SNAPSHOT_NAME_BYTES];
    make_aside(aside, header->index, header->term);
    enum disk_result result = write_aside(disk, aside, header, fill, context, error);
    return result == DISK_OK ? publish(disk, aside, header->index, header->term, error) : result;
}

enum disk_result snapshot_prune(const struct disk *disk, uint64_t newest, struct queue_error *error)
{
    struct disk_names names;
    enum disk_result result = disk_list(disk, SNAPSHOT_PREFIX, &names, error);
    size_t kept = 0;
    /* Names sort as indices do. */
    for (size_t i = names.count; result == DISK_OK && i > 0; i--) {
        uint64_t index, term;
        if (!snapshot_parse_name(names.names[i - 1], &index, &term))
            continue;
        if (index <= newest && kept < SNAPSHOT_KEEP)
            kept++;
        else
            result = change_name(disk, names.names[i - 1], NULL, error);
    }
    disk_free_names(&names);
    return result;
}

/* The child */

static void run_child(const struct disk *disk, const char *aside, int out, int parent,
                      const struct snapshot_header *header, snapshot_fill *fill, void *context)
{
    struct queue_error error = {.message = ""};
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(1);
    disk_keep_only(disk, out);
    /* Whoever serves clients goes first. */
    setpriority(PRIO_PROCESS, 0, 19);
    syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0, IOPRIO_CLASS_IDLE << IOPRIO_CLASS_SHIFT);
    enum disk_result result = write_aside(disk, aside, header, fill, context, &error);
    if (result == DISK_OK)
        result = publish(disk, aside, header->index, header->term, &error);
    if (result != DISK_OK)
        (void)!write(out, error.message, strlen(error.message));
    _exit(result == DISK_OK ? 0 : 1);
}

enum disk_result snapshot_begin_child(const struct disk *disk, struct snapshot_child *child,
                                      const struct snapshot_header *header, snapshot_fill *fill,
                                      void *context, struct queue_error *error)
{
    *child = (struct snapshot_child){.index = header->index, .term = header->term};
    make_aside(child->aside, header->index, header->term);
    int ends[2], parent = getpid();
    if (pipe2(ends, O_CLOEXEC) != 0) {
        queue_error_set(error, "make a pipe for the snapshot: %s", strerror(errno));
        return DISK_FAILED;
    }
    child->pid = fork();
    if (child->pid == 0)
        run_child(disk, child->aside, ends[1], parent, header, fill, context);
    int code = errno;
    close(ends[1]);
    if (child->pid < 0) {
        close(ends[0]);
        queue_error_set(error, "fork to write the snapshot: %s", strerror(code));
        return DISK_FAILED;
    }
    child->pipe = ends[0];
    return DISK_OK;
}

enum disk_result snapshot_finish_child(struct snapshot_child *child, struct queue_error *error)
{
    char message[sizeof error->message] = "";
    size_t length = 0;
    for (ssize_t got = 1; got > 0 && length<sizeof message - 1; length += got> 0 ? (size_t)got : 0)
        got = read(child->pipe, message + length, sizeof message - 1 - length);
    close(child->pipe);
    int status = 0;
    pid_t waited;
    do
        waited = waitpid(child->pid, &status, 0);
    while (waited < 0 && errno == EINTR);
    if (waited == child->pid && WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return DISK_OK;
    if (length > 0)
        queue_error_set(error, "%s", message);
    else if (waited == child->pid && WIFSIGNALED(status))
        queue_error_set(error, "the child that wrote %.64s was ended by signal %d", child->aside,
                        WTERMSIG(status));
    else
        queue_error_set(error, "the child that wrote %.64s did not say how it ended", child->aside);
    return DISK_FAILED;
}

/* Receiving */

enum disk_result snapshot_receive_begin(struct snapshot_receiver *receiver, const struct disk *disk,
                                        struct queue_error *error)
{
    *receiver = (struct snapshot_receiver){.disk = disk, .file = -1};
    snprintf(receiver->aside, sizeof receiver->aside, SNAPSHOT_PREFIX "received" DISK_ASIDE);
    return disk_open_file(disk, receiver->aside, DISK_OPEN_NEW, &receiver->file, error);
}

enum disk_result snapshot_receive(struct snapshot_receiver *receiver, uint64_t offset,
                                  const void *bytes, size_t length, struct queue_error *error)
{
    if (offset != receiver->offset)
        return DISK_OK;
    enum disk_result result =
        disk_write(receiver->disk, receiver->file, receiver->aside, bytes, length, offset, error);
    if (result == DISK_OK)
        receiver->offset += length;
    return result;
}

static enum disk_result check_received(const struct snapshot_receiver *receiver, uint64_t index,
                                       uint64_t term, struct queue_error *error)
{
    struct snapshot snapshot;
    enum disk_result result = snapshot_open(&snapshot, receiver->disk, receiver->aside, error);
    if (result != DISK_OK)
        return result;
    result = snapshot_check(&snapshot, error);
    if (result == DISK_OK && (snapshot.header.index != index || snapshot.header.term != term)) {
        queue_error_set(error, "the snapshot received ends at entry %llu, not at %llu",
                        (unsigned long long)snapshot.header.index, (unsigned long long)index);
        result = DISK_DAMAGED;
    }
    snapshot_close(&snapshot);
    return result;
}

enum disk_result snapshot_receive_verify(struct snapshot_receiver *receiver, uint64_t index,
                                         uint64_t term, struct queue_error *error)
{
    enum disk_result result = disk_sync(receiver->disk, receiver->file, receiver->aside, error);
    disk_close_file(receiver->disk, &receiver->file);
    if (result == DISK_OK)
        result = check_received(receiver, index, term, error);
    if (result == DISK_DAMAGED && disk_unlink(receiver->disk, receiver->aside, NULL) != DISK_OK)
        return DISK_FAILED;
    receiver->index = index;
    receiver->term = term;
    return result;
}

enum disk_result snapshot_receive_install(struct snapshot_receiver *receiver,
                                          struct queue_error *error)
{
    return publish(receiver->disk, receiver->aside, receiver->index, receiver->term, error);
}

void snapshot_receive_abandon(struct snapshot_receiver *receiver)
{
    struct queue_error ignored; /* opening removes it, if this cannot */
    disk_close_file(receiver->disk, &receiver->file);
    disk_unlink(receiver->disk, receiver->aside, &ignored);
}
