/* Settings files of any content: read or refused with a reason, and what was read shows as it can
 * be read again. */
#include <assert.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "queue/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must_show(const struct config *config)
{
    uint32_t count;
    const struct config_setting *settings = config_settings(&count);
    for (uint32_t i = 0; i < count; i++) {
        struct config again;
        char text[8192], shown[8192];
        struct queue_error error = {.message = ""};
        config_default(&again);
        config_text(config, settings[i].name, text, sizeof text);
        if (strcmp(text, "***") == 0 || text[0] == '\0')
            continue;
        assert(config_set(&again, settings[i].name, text, &error));
        config_text(&again, settings[i].name, shown, sizeof shown);
        assert(strcmp(text, shown) == 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static int file = -1;
    static char path[64];
    struct config config;
    struct queue_error error = {.message = ""};
    if (file < 0) {
        file = memfd_create("settings", MFD_CLOEXEC);
        snprintf(path, sizeof path, "/proc/self/fd/%d", file);
    }
    assert(file >= 0 && ftruncate(file, 0) == 0);
    assert(pwrite(file, data, size, 0) == (ssize_t)size);
    config_default(&config);
    if (!config_read(&config, path, &error)) {
        assert(error.message[0] != '\0');
        return 0;
    }
    must_show(&config);
    if (!config_check(&config, &error))
        assert(error.message[0] != '\0');
    return 0;
}
