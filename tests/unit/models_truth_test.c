/* Models without monitors agree with brute force: see ref_agree.h. (The others:
 * monitors_truth_test.) */
#include <string.h>

#include "harness/model.h"
#include "tests/lib/ref_agree.h"
#include "tests/lib/reference.h"
#include "tests/lib/test.h"

static void every_model_is_tried(void **unused)
{
    (void)unused;
    for (const struct model *const *model = models; *model != NULL; model++)
        if (strcmp((*model)->name, "noop") != 0)
            assert_non_null(ref_find((*model)->name));
}

REF_MODEL(multi_registers, "multi-register")
REF_MODEL(mutexes, "mutex")
REF_MODEL(owner_aware_mutexes, "owner-aware-mutex")
REF_MODEL(reentrant_mutexes, "reentrant-mutex")
REF_MODEL(fenced_mutexes, "fenced-mutex")
REF_MODEL(fences, "fences")
REF_MODEL(semaphores, "semaphore")
REF_MODEL(multisets, "multiset")
REF_MODEL(counters, "counter")
REF_MODEL(logs, "log")
REF_MODEL(stores, "kv")
REF_MODEL(transactions, "kv-txn")

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_model_is_tried),
        cmocka_unit_test(multi_registers),
        cmocka_unit_test(mutexes),
        cmocka_unit_test(owner_aware_mutexes),
        cmocka_unit_test(reentrant_mutexes),
        cmocka_unit_test(fenced_mutexes),
        cmocka_unit_test(fences),
        cmocka_unit_test(semaphores),
        cmocka_unit_test(multisets),
        cmocka_unit_test(counters),
        cmocka_unit_test(logs),
        cmocka_unit_test(stores),
        cmocka_unit_test(transactions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
