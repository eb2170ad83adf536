/* Suites from texts, for tests of reading, running and reporting them. */
#ifndef ORDEAL_TESTS_SUITE_HELPERS_H
#define ORDEAL_TESTS_SUITE_HELPERS_H

#include "harness/suites/suite.h"

/* Writes the text to suite.json in the working directory and reads that. `text` has ' for ". */
enum err_code suite_of(const char *text, const struct suite_options *options, struct suite *suite,
                       struct err *err);

#endif
