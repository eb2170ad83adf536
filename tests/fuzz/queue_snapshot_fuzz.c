/* Snapshot files of any content: as they are, or sound ones with bits turned and their end cut.
 * Also as chunks of another server, in any order. What is called whole must read to its end. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "queue/snapshot.h"
#include "tests/queue/lib/disk_shim.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct input {
    const uint8_t *data;
    size_t left;
};

static uint32_t take(struct input *input, int bytes)
{
    uint32_t value = 0;
    for (; bytes > 0; bytes--) {
        value = value << 8 | (input->left > 0 ? *input->data : 0);
        input->data += input->left > 0;
        input->left -= input->left > 0;
    }
    return value;
}

static bool fill(void *context, struct snapshot_writer *writer)
{
    struct input *input = context;
    return snapshot_write(writer, input->data, input->left);
}

static void put(struct disk *disk, const char *name, const void *bytes, size_t length)
{
    int file;
    assert(disk_open_file(disk, name, DISK_OPEN_NEW, &file, NULL) == DISK_OK);
    assert(disk_write(disk, file, name, bytes, length, 0, NULL) == DISK_OK);
    assert(disk_sync(disk, file, name, NULL) == DISK_OK);
    disk_close_file(disk, &file);
    assert(disk->calls->sync_directory(disk->context) == 0);
}

static void read_all(struct snapshot *snapshot)
{
    char bytes[1000];
    size_t length;
    do
        assert(snapshot_read(snapshot, bytes, sizeof bytes, &length, NULL) == DISK_OK);
    while (length > 0);
}

static void receive(struct disk *disk, struct input *input)
{
    struct snapshot_receiver receiver;
    struct queue_error error = {.message = ""};
    assert(snapshot_receive_begin(&receiver, disk, &error) == DISK_OK);
    while (input->left > 0) {
        uint32_t skip = take(input, 1) % 8, length = take(input, 2) % 600;
        uint64_t offset = skip == 0 ? take(input, 1) : receiver.offset;
        length = length < input->left ? length : (uint32_t)input->left;
        assert(snapshot_receive(&receiver, offset, input->data, length, &error) == DISK_OK);
        input->data += length;
        input->left -= length;
    }
    enum disk_result result = snapshot_receive_verify(&receiver, 7, 3, &error);
    /* Refused: whole, but of a format that this server does not know. */
    assert(result == DISK_OK || result == DISK_DAMAGED || result == DISK_REFUSED);
    assert(result == DISK_OK || error.message[0] != '\0');
    if (result == DISK_OK)
        assert(snapshot_receive_install(&receiver, &error) == DISK_OK);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char name[] = "snapshot-0000000000000007-0000000000000003";
    struct input input = {data, size};
    struct shim *shim = shim_new();
    struct disk *disk = shim_disk(shim);
    struct snapshot snapshot;
    struct queue_error passed = {.message = ""}, error = {.message = ""};
    uint32_t how = take(&input, 1) % 3, flips = take(&input, 1) % 4, cut = take(&input, 1);
    if (how == 0) {
        put(disk, name, input.data, input.left);
    } else if (how == 1) {
        receive(disk, &input);
    } else {
        struct snapshot_header header = {
            .index = 7, .term = 3, .config = "members", .config_bytes = 7};
        uint32_t places[4], bits[4];
        for (uint32_t i = 0; i < flips; i++) {
            places[i] = take(&input, 2);
            bits[i] = take(&input, 1);
        }
        assert(snapshot_save(disk, &header, fill, &input, &error) == DISK_OK);
        size_t length;
        assert(shim_length(shim, name, &length));
        for (uint32_t i = 0; i < flips; i++)
            shim_flip(shim, name, places[i] % length, (unsigned char)bits[i]);
        if (cut % 4 == 3)
            shim_cut_file(shim, name, length * (cut / 4) / 64);
    }
    enum disk_result result = snapshot_open_newest(&snapshot, disk, &passed, &error);
    assert(result == DISK_OK || result == DISK_DAMAGED || result == DISK_ABSENT);
    if (result == DISK_OK) {
        assert(snapshot.header.index == 7 && snapshot.header.term == 3);
        read_all(&snapshot);
        snapshot_close(&snapshot);
    }
    shim_free(shim);
    return 0;
}
