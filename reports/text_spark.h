/* How a run went, in a few lines of small bars for a terminal. */
#ifndef ORDEAL_REPORTS_TEXT_SPARK_H
#define ORDEAL_REPORTS_TEXT_SPARK_H

#include "reports/digest.h"

/* Adds lines for rates, latency and the faults in force below them; nothing where the history has
 * no times or too little in it. True when it added any. */
bool text_spark(const struct digest *digest, struct buf *out);

#endif
