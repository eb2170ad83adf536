/* Inventories: any bytes are nodes, or are refused in one line. The first byte chooses the format.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "harness/inventories/inventory.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0 || size > 65536)
        return 0;
    char *text = malloc(size);
    struct json *nodes = NULL;
    struct err err = ERR_INIT;
    memcpy(text, data + 1, size - 1);
    text[size - 1] = '\0';
    enum inventory_format format = (enum inventory_format)(data[0] % 3);
    enum err_code code = inventory_parse(text, size - 1, "f", format, NULL, &nodes, &err);
    assert(code == ERR_NONE || code == ERR_CONFIG);
    if (code == ERR_NONE)
        for (const struct json *node = json_first(nodes); node != NULL; node = json_next(node))
            assert(json_get(node, "name") != NULL || json_get(node, "address") != NULL);
    else
        assert(err.message[0] != '\0' && nodes == NULL);
    json_free(nodes);
    free(text);
    return 0;
}
