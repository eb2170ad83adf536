/* A system that is nothing and always there: the template for a system and its client. */
#include "harness/workload.h"
#include "workloads/systems/systems.h"

static enum err_code nothing(struct test *test, node_set nodes, struct err *err)
{
    (void)test, (void)nodes, (void)err;
    return ERR_NONE;
}

static bool ready(struct test *test, struct buf *why_not)
{
    (void)test, (void)why_not;
    return true;
}

static enum err_code client_open(void *state, struct test *test, uint32_t node, struct err *err)
{
    (void)state, (void)test, (void)node, (void)err;
    return ERR_NONE;
}

static void client_invoke(void *state, struct test *test, struct op *op, struct arena *scratch)
{
    (void)state, (void)test, (void)scratch;
    op_ok(op);
}

static void client_close(void *state)
{
    (void)state;
}

static const struct client noop_client = {
    .state_size = 1,
    .open = client_open,
    .invoke = client_invoke,
    .close = client_close,
};

static const struct client *client(const char *workload)
{
    (void)workload; /* every operation of any workload succeeds here, and proves nothing */
    return &noop_client;
}

static const char *const none[] = {NULL};

const struct system system_noop = {
    .name = "noop",
    .summary = "nothing at all, always there (the template for a system)",
    .daemons = none,
    .log_paths = none,
    .install = nothing,
    .start = nothing,
    .ready = ready,
    .wipe = nothing,
    .client = client,
};
