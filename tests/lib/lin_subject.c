/* One history as the searches see it: see lin_subject.h. */
#include "tests/lib/lin_subject.h"

#include <stdlib.h>

#include "tests/lib/test.h"

void lin_subject_open(struct lin_subject *subject, const struct lin_text_op *ops, size_t count)
{
    bool locks = count > 0 && (ops[0].f == 'a' || ops[0].f == 'l');
    lin_text_history(ops, count, &subject->history);
    subject->arena = ARENA_INIT;
    lin_memory_init(&subject->memory, 0);
    subject->budget = (struct lin_budget){.memory = &subject->memory, .deadline_ns = INT64_MAX};
    uint32_t *events = calloc(subject->history.count + 1, sizeof *events);
    assert_non_null(events);
    for (uint32_t i = 0; i < subject->history.count; i++)
        events[i] = i;
    struct buf trouble = BUF_INIT;
    bool built = lin_problem_build(&subject->problem, &subject->arena,
                                   model_find(locks ? "mutex" : "cas-register"), &subject->history,
                                   events, subject->history.count, false, NULL, &trouble);
    if (!built)
        fail_msg("%s", buf_text(&trouble));
    free(events);
}

void lin_subject_close(struct lin_subject *subject)
{
    assert_int_equal(atomic_load(&subject->memory.used_bytes), 0); /* every search gave all back */
    arena_free(&subject->arena);
    history_free(&subject->history);
}
