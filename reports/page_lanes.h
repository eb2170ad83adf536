/* The lines that operations are drawn on. A worker whose operation is indeterminate goes on under
 * the number that is as many higher as there are workers: it keeps its lane. */
#ifndef ORDEAL_REPORTS_PAGE_LANES_H
#define ORDEAL_REPORTS_PAGE_LANES_H

#include "reports/page_select.h"

enum { PAGE_LANES_MAX = 512 };

struct page_lanes {
    uint32_t count;
    bool folded;        /* process % count; else each process in the table has its own */
    int32_t *processes; /* ascending */
};
/* By what the results say of the workers, else by what the processes look like. */
void page_lanes_find(const struct digest *digest, const struct page_operations *operations,
                     struct page_lanes *lanes);
void page_lanes_free(struct page_lanes *lanes);
/* The lane of a process; *generation counts the numbers that its worker had before. */
uint32_t page_lane(const struct page_lanes *lanes, int32_t process, int64_t *generation);
struct json *page_lanes_json(const struct page_lanes *lanes);

#endif
