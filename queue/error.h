/* One-line error messages: what was tried on what, and what to do about it. */
#ifndef ORDEAL_QUEUE_ERROR_H
#define ORDEAL_QUEUE_ERROR_H

#include <stdbool.h>

struct queue_error {
    char message[256];
};

/* Fills the message (cut where it does not fit) and returns false, for `return
 * queue_error_set(...)`. A NULL error is allowed. */
bool queue_error_set(struct queue_error *error, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
