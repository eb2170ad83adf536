/* Clients' bytes: what comes of them must not depend on the pieces in which they came, and what was
 * understood, written out again, must be understood as the same. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "queue/resp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct resp_limits limits = {
    .arguments_max = 64, .bulk_bytes_max = 4096, .request_bytes_max = 8192, .line_bytes_max = 2048};

static void check_round_trip(const struct resp_request *request)
{
    struct resp_buffer out = {.data = NULL};
    struct resp_writer writer = {.buffer = &out, .version = RESP_2};
    struct resp_parser parser;
    struct resp_request back;
    resp_write_array(&writer, request->count);
    for (uint32_t i = 0; i < request->count; i++)
        resp_write_bulk(&writer, request->arguments[i].data, request->arguments[i].length);
    resp_parser_init(&parser, &resp_limits_default);
    assert(resp_parse(&parser, out.data, out.length, &back) == RESP_REQUEST);
    assert(back.count == request->count && back.consumed == out.length);
    for (uint32_t i = 0; i < back.count; i++) {
        assert(back.arguments[i].length == request->arguments[i].length);
        assert(back.arguments[i].length == 0 ||
               memcmp(back.arguments[i].data, request->arguments[i].data,
                      back.arguments[i].length) == 0);
    }
    resp_parser_free(&parser);
    resp_buffer_free(&out);
}

/* The requests in `data`, given `step` more bytes at each call; their number, and how it ended. */
static uint32_t parse_all(const char *data, size_t size, size_t step, enum resp_status *status,
                          uint64_t *digest)
{
    struct resp_parser parser;
    struct resp_request request;
    uint32_t count = 0;
    size_t begin = 0, given = 0;
    resp_parser_init(&parser, &limits);
    *status = RESP_MORE;
    while (*status != RESP_ERROR && given < size) {
        given = size - given < step ? size : given + step;
        while ((*status = resp_parse(&parser, data + begin, given - begin, &request)) ==
               RESP_REQUEST) {
            assert(request.consumed > 0 && request.consumed <= given - begin);
            assert(request.count <= limits.arguments_max);
            for (uint32_t i = 0; i < request.count; i++)
                for (size_t c = 0; c < request.arguments[i].length; c++)
                    *digest = *digest * 31 + (unsigned char)request.arguments[i].data[c] + 1;
            *digest = *digest * 31 + request.count;
            if (step == size)
                check_round_trip(&request);
            begin += request.consumed;
            count++;
        }
        assert(*status == RESP_ERROR || resp_wanted(&parser) > given - begin);
    }
    assert(*status != RESP_ERROR || strncmp(request.error, "Protocol error: ", 16) == 0);
    resp_parser_free(&parser);
    return count;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    enum resp_status whole, pieces, bytes;
    uint64_t digests[3] = {0};
    const char *text = (const char *)data;
    uint32_t count = parse_all(text, size, size, &whole, &digests[0]);
    assert(parse_all(text, size, 1, &bytes, &digests[1]) == count);
    assert(parse_all(text, size, data[0] % 7 + 2u, &pieces, &digests[2]) == count);
    assert(whole == bytes && whole == pieces);
    assert(digests[0] == digests[1] && digests[0] == digests[2]);
    return 0;
}
