/* Meta files of any content, with sound checksums or without. Opening must answer, never crash;
 * what it takes it must keep. */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "queue/bytes.h"
#include "queue/crc32c.h"
#include "queue/meta.h"
#include "tests/queue/lib/disk_shim.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { SPACING = 4096, SLOT = 128 };

static void put_slot(unsigned char *file, int place, const uint8_t *data, size_t size, bool sound)
{
    unsigned char *slot = file + place * SPACING;
    memcpy(slot, data, size < SLOT ? size : SLOT);
    if (!sound)
        return;
    memcpy(slot, "oq-meta", 8);
    bytes_put32(slot + 12, slot[12] % 4 == 0 ? bytes_get32(slot + 12) : META_FORMAT);
    bytes_put32(slot + 8, crc32c(0, slot + 12, SLOT - 12));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static unsigned char bytes[SPACING + SLOT];
    if (size < 2)
        return 0;
    uint8_t how = data[0];
    size_t half = (size - 2) / 2, length = how & 4 ? data[1] * 17u : sizeof bytes;
    memset(bytes, 0, sizeof bytes);
    put_slot(bytes, 0, data + 2, half, how & 1);
    put_slot(bytes, 1, how & 8 ? data + 2 : data + 2 + half, half, how & 2);
    struct shim *shim = shim_new();
    struct disk *disk = shim_disk(shim);
    struct meta meta;
    struct queue_error error = {.message = ""};
    int file;
    assert(disk_open_file(disk, "meta", DISK_OPEN_NEW, &file, NULL) == DISK_OK);
    length = length < sizeof bytes ? length : sizeof bytes;
    assert(length == 0 || disk_write(disk, file, "meta", bytes, length, 0, NULL) == DISK_OK);
    disk_close_file(disk, &file);
    enum disk_result result = meta_open(&meta, disk, how & 16 ? 1 : 0, &error);
    assert(result == DISK_OK || result == DISK_DAMAGED || result == DISK_REFUSED);
    assert(result == DISK_OK || error.message[0] != '\0');
    if (result == DISK_OK) {
        struct meta_state state = meta.state;
        meta_close(&meta);
        assert(meta_open(&meta, disk, 0, &error) == DISK_OK);
        assert(memcmp(&meta.state.disk_id, &state.disk_id, sizeof state.disk_id) == 0);
        assert(meta.state.term == state.term && meta.state.vote == state.vote);
        state.term++;
        assert(meta_save(&meta, &state, &error) == DISK_OK);
        meta_close(&meta);
        assert(meta_open(&meta, disk, 0, &error) == DISK_OK && meta.state.term == state.term);
        meta_close(&meta);
    }
    shim_free(shim);
    return 0;
}
