/* A text of operations read by several threads, each a few of its lines at a time. Private to the
 * walk through texts (history_text.h).
 *
 * The text is cut where a line seems to begin with an operation. Whether it does is seen by
 * reading: a piece is taken only if every one before it was, and ended with a whole operation, so
 * that it begins where the walk would have come. What is not plain (it is wrong, or cut, or closes
 * the history, or says something that only the walk can judge) is left to the walk, so that the
 * outcome is that of the walk alone. */
#ifndef ORDEAL_HISTORY_LINES_H
#define ORDEAL_HISTORY_LINES_H

#include "harness/histories/history_text.h"

struct text_workers;

/* NULL when it is not worth it for a text of this length, or no threads or memory can be had. */
struct text_workers *text_workers_open(const struct text_format *format, size_t length);
/* Reads operations from the text's beginning into the history that `reading` fills, and returns how
 * many bytes are dealt with; 0 when nothing could be taken now. `text` goes on to the end. */
size_t text_workers_read(struct text_workers *workers, struct text_reading *reading,
                         const char *text, size_t length);
/* The values that were read stay, with the history. */
void text_workers_close(struct text_workers *workers, struct history *history);

#endif
