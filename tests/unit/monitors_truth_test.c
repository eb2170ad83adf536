/* Models with monitors, their searches and the monitors agree with brute force: see ref_agree.h. */
#include "tests/lib/ref_agree.h"
#include "tests/lib/reference.h"
#include "tests/lib/test.h"

static void longer_histories_too(void **unused)
{
    (void)unused;
    for (const struct ref_object *object = ref_objects; object->model != NULL; object++)
        if (object->container)
            ref_agree_longer(object->model, REF_LONGER);
}

REF_MODEL(registers, "register")
REF_MODEL(cas_registers, "cas-register")
REF_MODEL(fifo_queues, "fifo-queue")
REF_MODEL(unordered_queues, "unordered-queue")
REF_MODEL(priority_queues, "priority-queue")
REF_MODEL(stacks, "stack")
REF_MODEL(sets, "set")

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(longer_histories_too),
        cmocka_unit_test(registers),
        cmocka_unit_test(cas_registers),
        cmocka_unit_test(fifo_queues),
        cmocka_unit_test(unordered_queues),
        cmocka_unit_test(priority_queues),
        cmocka_unit_test(stacks),
        cmocka_unit_test(sets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
