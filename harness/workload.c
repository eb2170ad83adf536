/* Completing operations: see workload.h. */
#include "harness/workload.h"

void op_ok(struct op *op)
{
    op->type = OP_OK;
    op->error = value_nil();
}

static struct value error_value(struct arena *scratch, const char *error, const char *detail)
{
    struct value keyword = value_keyword(scratch, error);
    if (detail == NULL)
        return keyword;
    return value_pair(scratch, keyword, value_string(scratch, detail));
}

void op_fail(struct op *op, struct arena *scratch, const char *error, const char *detail)
{
    op->type = OP_FAIL;
    op->error = error_value(scratch, error, detail);
}

void op_info(struct op *op, struct arena *scratch, const char *error, const char *detail)
{
    op->type = OP_INFO;
    op->error = error_value(scratch, error, detail);
}
