/* The event loop's sockets: epoll, and the few socket calls that everybody needs. One thread. */
#ifndef ORDEAL_QUEUE_LOOP_H
#define ORDEAL_QUEUE_LOOP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "queue/error.h"

/* Part of whatever owns the file; `ready` may remove and free its own watch and any other. */
struct watch {
    int file;
    uint32_t events;
    void (*ready)(struct watch *watch, uint32_t events);
};

struct loop {
    int epoll;
    struct epoll_event happened[256];
    int count, at;     /* of `happened`, while they are handed out */
    uint64_t woken_ms; /* CLOCK_MONOTONIC when this turn began */
};

bool loop_open(struct loop *loop, struct queue_error *error);
void loop_close(struct loop *loop);
bool loop_add(struct loop *loop, struct watch *watch, uint32_t events);
void loop_want(struct loop *loop, struct watch *watch, uint32_t events);
void loop_remove(struct loop *loop, struct watch *watch); /* does not close the file */
/* Waits once and calls what is ready. */
void loop_turn(struct loop *loop, int timeout_ms);

/* Sockets that do not block, are closed on exec, and do not delay small messages. -1 and the error.
 */
int loop_listen(const char *address, uint32_t port, struct queue_error *error);
int loop_accept(int listener); /* -1: nobody there */
/* Not yet connected; `name` is for the message. */
int loop_dial(const char *name, const struct sockaddr *address, socklen_t length,
              struct queue_error *error);
/* Of a dialed socket that became writable: 0 or an errno. */
int loop_dialed(int file);
/* "host:port" of the other end. */
void loop_peer_name(int file, char *text, uint32_t size);

#endif
