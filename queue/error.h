/* Why something could not be done, in one line: what was tried on what, and what to do about it.
 *
 * Functions that take a `struct queue_error *` fill it only when they fail; NULL is allowed. */
#ifndef ORDEAL_QUEUE_ERROR_H
#define ORDEAL_QUEUE_ERROR_H

struct queue_error {
    char message[256];
};

/* Replaces the message; a longer one is cut. */
void queue_error_set(struct queue_error *error, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Puts "prefix: " in front of the message, on the way up. */
void queue_error_wrap(struct queue_error *error, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
