/* What every test includes: cmocka and a few helpers. Tests are static functions in a table per
 * file. */
#ifndef ORDEAL_TESTS_TEST_H
#define ORDEAL_TESTS_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "harness/base/err.h"

/* Passes when `call` (which takes a `struct err *err` in scope) gave ERR_NONE; else shows the
 * message. */
#define assert_ok(call)                                                                            \
    do {                                                                                           \
        enum err_code assert_ok_code = (call);                                                     \
        if (assert_ok_code != ERR_NONE)                                                            \
            fail_msg("%s: error %d: %s", #call, (int)assert_ok_code, err.message);                 \
    } while (0)

#define assert_contains(text, part)                                                                \
    do {                                                                                           \
        const char *assert_contains_text = (text);                                                 \
        if (strstr(assert_contains_text, (part)) == NULL)                                          \
            fail_msg("'%s' does not contain '%s'", assert_contains_text, (part));                  \
    } while (0)

/* Ends the test as skipped, with the reason in the output; CI fails on skips that it did not
 * expect. */
#define test_skip(reason)                                                                          \
    do {                                                                                           \
        print_message("# SKIP reason: %s\n", (reason));                                            \
        skip();                                                                                    \
    } while (0)

#endif
