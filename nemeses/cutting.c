/* Cutting nodes off: see cutting.h. */
#include "nemeses/cutting.h"

#include "harness/base/clock.h"
#include "harness/packets.h"

static const int64_t retry_ns = 50 * NS_PER_MS;

enum err_code cutting_check(struct test *test, uint32_t nodes_min, struct err *err)
{
    if (test->node_count < nodes_min)
        return err_set(err, ERR_CONFIG, "it needs %u nodes or more; there is only %u", nodes_min,
                       test->node_count);
    return network_can_block(test, err);
}

void cutting_alone(const struct test *test, node_set nodes, node_set *drops)
{
    for (uint32_t i = 0; i < test->node_count; i++)
        drops[i] |= (node_in(nodes, i) ? test_all_nodes(test) : nodes) & ~NODE_SET(i);
}

node_set cutting_nodes_hit(const struct test *test, const node_set *drops)
{
    node_set nodes = 0;
    for (uint32_t i = 0; i < test->node_count; i++)
        nodes |= drops[i] | (drops[i] != 0 ? NODE_SET(i) : 0);
    return nodes;
}

enum err_code cutting_verify(struct test *test, const node_set *drops, int64_t timeout_ns,
                             struct buf *evidence, struct err *err)
{
    int64_t deadline_ns = test_now_ns(test) + timeout_ns;
    for (;;) {
        struct buf line = BUF_INIT;
        enum err_code code = network_verify(test, drops, &line, err);
        if (code == ERR_NONE && evidence != NULL)
            buf_printf(evidence, "%s%s", evidence->length > 0 ? "; " : "", buf_text(&line));
        buf_free(&line);
        if (code == ERR_NONE || test_now_ns(test) >= deadline_ns || test_cancelled(test))
            return code;
        clock_sleep_ns(retry_ns);
    }
}

enum err_code cutting_undo(struct test *test, const char *id, struct err *err)
{
    int64_t deadline_ns = test_now_ns(test) + CUTTING_END_NS;
    for (;;) {
        enum err_code code = network_undo(test, id, err);
        if (code == ERR_NONE || test_now_ns(test) >= deadline_ns)
            return code;
        clock_sleep_ns(retry_ns);
    }
}

enum err_code cutting_give_up(struct test *test, const char *id, const char *what,
                              enum err_code code, const struct err *cause, struct err *err)
{
    struct err back = ERR_INIT;
    if (cutting_undo(test, id, &back) != ERR_NONE)
        return err_set(err, code, "%s: %s; and it could not be undone: %s", what, cause->message,
                       back.message);
    return err_set(err, code, "%s, and undone: %s", what, cause->message);
}

enum err_code cutting_end(struct test *test, struct fault *fault, const char *id,
                          const char *undoing, const char *after, struct err *err)
{
    enum err_code code = cutting_undo(test, id, err);
    if (code != ERR_NONE)
        return err_wrap(err, "%s", undoing);
    code = cutting_verify(test, NULL, CUTTING_END_NS, &fault->ended_evidence, err);
    if (code != ERR_NONE)
        return err_wrap(err, "%s", after);
    fault->ended_verified = VERIFIED_YES;
    return ERR_NONE;
}
