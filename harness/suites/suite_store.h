/* Where suites are kept: STORE/suites/NAME/TIME/ with suite.json (what began it), plans/,
 * runs.jsonl and the summary in every format. The runs are in the store as any others. */
#ifndef ORDEAL_SUITE_STORE_H
#define ORDEAL_SUITE_STORE_H

#include "harness/suites/suite_judge.h"

/* What has to be known again when a suite is continued. */
struct suite_begin {
    const char *directory;
    uint64_t fresh_seed;
    int64_t started_wall_ns;
};

/* The newest directory of that suite and shard, in the arena; false when there is none. */
enum err_code suite_store_find(const char *store, const char *name,
                               const struct suite_options *options, struct arena *arena,
                               bool *found, struct suite_begin *begin, struct err *err);
enum err_code suite_store_create(const char *store, const struct suite *suite,
                                 const struct suite_options *options, struct arena *arena,
                                 struct suite_begin *begin, struct err *err);
/* Renders the summary by every reporter of suites. All are tried; the first error is returned. */
enum err_code suite_store_render(const char *directory, const struct json *summary,
                                 struct err *err);

#endif
