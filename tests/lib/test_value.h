/* Values compared by how they are written. */
#ifndef ORDEAL_TESTS_TEST_VALUE_H
#define ORDEAL_TESTS_TEST_VALUE_H

#include "harness/value.h"
#include "tests/lib/test.h"

static inline void assert_value(struct value value, const char *expected)
{
    struct buf out = BUF_INIT;
    value_print(value, &out);
    assert_string_equal(buf_text(&out), expected);
    buf_free(&out);
}

#endif
