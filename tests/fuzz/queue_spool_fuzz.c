/* A spool whose log holds what the input says: batches with any bytes, sound frames, bits turned.
 * Opening must answer, never crash; whatever it calls sound is sent to its end, each job readable.
 */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "queue/spool.h"
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

static void fatal(void *context, const char *message)
{
    (void)context;
    (void)message;
    assert(!"a disk that never fails");
}

/* Jobs as the server writes them, and records that it never would. */
static void fill(struct spool *spool, struct input *input)
{
    while (input->left > 0) {
        uint32_t length = take(input, 1);
        length = length < input->left ? length : (uint32_t)input->left;
        struct command add = {.type = COMMAND_ADD, .queue = {"q", 1}};
        add.add.body = (struct command_bytes){input->data, length};
        struct entry entry = {.index = spool->last + 1,
                              .term = 1,
                              .type = ENTRY_COMMANDS,
                              .length = length,
                              .data = input->data};
        if (length % 8 == 7) {
            log_append(spool->storage.log, &entry, 1);
            spool->last++;
        } else {
            assert(spool_add(spool, &add, NULL) == spool->last);
        }
        input->data += length;
        input->left -= length;
        uint32_t what = take(input, 1);
        if (what % 4 == 0)
            while (log_work(spool->storage.log))
                ;
        if (what % 16 == 1)
            spool_decide(spool, spool->decided + what / 16);
        if (what % 16 == 2)
            spool_tidy(spool);
    }
    while (log_work(spool->storage.log))
        ;
}

static void send_all(struct spool *spool)
{
    while (spool->decided < spool->last) {
        struct log_batch batch;
        uint64_t before = spool->decided;
        assert(spool_next(spool, 300, &batch, NULL) == DISK_OK && batch.count > 0);
        for (size_t i = 0; i < batch.count; i++)
            assert(command_batch_check(batch.entries[i].data, batch.entries[i].length, NULL));
        spool_decide(spool, before + batch.count);
        assert(spool->decided == before + batch.count);
        log_batch_free(&batch);
    }
    assert(spool->bytes == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input input = {data, size};
    struct shim *shim = shim_new();
    struct spool spool;
    struct queue_error error = {.message = ""};
    struct spool_options options = {
        .node = 1, .segment_bytes = 8 * 512, .thread = LOG_INLINE, .fatal = fatal};
    uint32_t flips = take(&input, 1) % 4, places[4], bits[4];
    for (uint32_t i = 0; i < flips; i++) {
        places[i] = take(&input, 2);
        bits[i] = take(&input, 1);
    }
    assert(spool_open(&spool, shim_disk(shim), &options, &error) == DISK_OK);
    fill(&spool, &input);
    spool_close(&spool);
    char names[512][64];
    size_t files = shim_names(shim, names, 512), length;
    for (uint32_t i = 0; i < flips; i++) {
        const char *name = names[bits[i] % files];
        if (shim_length(shim, name, &length) && length > 0)
            shim_flip(shim, name, places[i] % length, (unsigned char)(1 << bits[i] % 8));
    }
    enum disk_result result = spool_open(&spool, shim_disk(shim), &options, &error);
    assert(result == DISK_OK || result == DISK_DAMAGED || result == DISK_REFUSED);
    assert(result == DISK_OK || error.message[0] != '\0');
    if (result == DISK_OK) {
        send_all(&spool);
        spool_close(&spool);
    }
    shim_free(shim);
    return 0;
}
