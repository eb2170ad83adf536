/* Breaks nothing: the template for a nemesis. */
#include "nemeses/nemeses.h"

static enum err_code check(struct test *test, struct err *err)
{
    (void)test, (void)err;
    return ERR_NONE;
}

static struct value choose(struct test *test, struct prng *prng, struct arena *arena)
{
    (void)test, (void)prng;
    return value_keyword(arena, "nothing");
}

static enum err_code begin(struct test *test, struct fault *fault, struct err *err)
{
    (void)test, (void)err;
    fault->done = fault->asked;
    fault->begun_verified = VERIFIED_YES;
    buf_add_text(&fault->begun_evidence, "there was nothing to do");
    return ERR_NONE;
}

static enum err_code end(struct test *test, struct fault *fault, struct err *err)
{
    (void)test, (void)err;
    fault->ended_verified = VERIFIED_YES;
    buf_add_text(&fault->ended_evidence, "there was nothing to undo");
    return ERR_NONE;
}

const struct nemesis nemesis_noop = {
    .name = "noop",
    .summary = "breaks nothing (the template for a nemesis)",
    .begin_f = "start-noop",
    .end_f = "stop-noop",
    .hits = HITS_NOTHING,
    .check = check,
    .choose = choose,
    .begin = begin,
    .end = end,
};
