/* CRC-32C: the vectors of RFC 3720, in one go and in pieces. */
#include <string.h>

#include "harness/base/crc32c.h"
#include "harness/base/prng.h"
#include "tests/lib/test.h"

static void published_vectors_come_out(void **state)
{
    (void)state;
    unsigned char bytes[32];
    assert_int_equal(crc32c(0, "", 0), 0);
    assert_int_equal(crc32c(0, "123456789", 9), 0xe3069283);
    memset(bytes, 0, sizeof bytes);
    assert_int_equal(crc32c(0, bytes, sizeof bytes), 0x8a9136aa);
    memset(bytes, 0xff, sizeof bytes);
    assert_int_equal(crc32c(0, bytes, sizeof bytes), 0x62a8ab43);
    for (unsigned i = 0; i < sizeof bytes; i++)
        bytes[i] = (unsigned char)i;
    assert_int_equal(crc32c(0, bytes, sizeof bytes), 0x46dd794e);
    for (unsigned i = 0; i < sizeof bytes; i++)
        bytes[i] = (unsigned char)(31 - i);
    assert_int_equal(crc32c(0, bytes, sizeof bytes), 0x113fdb5c);
}

/* Bit by bit, as the polynomial is defined. */
static uint32_t plain(const unsigned char *bytes, size_t length)
{
    uint32_t crc = UINT32_MAX;
    for (size_t i = 0; i < length; i++) {
        crc ^= bytes[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc & 1 ? (crc >> 1) ^ UINT32_C(0x82f63b78) : crc >> 1;
    }
    return ~crc;
}

static void pieces_and_misaligned_bytes_give_the_same(void **state)
{
    (void)state;
    struct prng prng = prng_stream(1, "crc");
    unsigned char bytes[300];
    for (int round = 0; round < 500; round++) {
        for (size_t i = 0; i < sizeof bytes; i++)
            bytes[i] = (unsigned char)prng_next(&prng);
        size_t from = prng_below(&prng, 16), length = prng_below(&prng, sizeof bytes - from);
        size_t split = prng_below(&prng, length + 1);
        uint32_t whole = crc32c(0, bytes + from, length);
        assert_int_equal(whole, plain(bytes + from, length));
        uint32_t part = crc32c(0, bytes + from, split);
        assert_int_equal(crc32c(part, bytes + from + split, length - split), whole);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(published_vectors_come_out),
        cmocka_unit_test(pieces_and_misaligned_bytes_give_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
