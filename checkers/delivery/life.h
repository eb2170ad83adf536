/* Life lines: all that happened to a message, in words. */
#ifndef ORDEAL_DELIVERY_LIFE_H
#define ORDEAL_DELIVERY_LIFE_H

#include "checkers/delivery/judge.h"

/* Tells what the finding is, in whole sentences, and then the message's life line. `events` gets
 * every event of the life line (at most `capacity`), ascending; returns how many. */
size_t life_tell(const struct judge *judge, const struct finding *finding, struct buf *out,
                 uint32_t *events, size_t capacity);
/* "message 7 lost" */
void life_title(const struct judge *judge, const struct finding *finding, struct buf *out);

#endif
