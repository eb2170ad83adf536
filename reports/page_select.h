/* Which operations a page carries one by one. All of them, as long as there is room; else all that
 * are near an anomaly or did not go well, and of the rest every n-th, which then stands for n. */
#ifndef ORDEAL_REPORTS_PAGE_SELECT_H
#define ORDEAL_REPORTS_PAGE_SELECT_H

#include "reports/digest.h"

struct page_operations {
    uint32_t *invocation; /* events, ascending */
    uint16_t *weight;     /* how many each stands for; NULL: one each */
    bool *near;           /* near an anomaly */
    uint32_t count;
    uint64_t total;
    uint32_t near_count;
    uint32_t step, odd_step; /* of those that were ok, of the others; 1: all are there */
};
/* At most about `most`. The caller frees what it got. */
void page_select(const struct digest *digest, uint32_t most, struct page_operations *selected);
void page_operations_free(struct page_operations *selected);

#endif
