/* Host names to addresses, in a thread of its own: a name server that does not answer takes as long
 * as it likes, and the event loop goes on. */
#ifndef ORDEAL_QUEUE_RESOLVE_H
#define ORDEAL_QUEUE_RESOLVE_H

#include <netdb.h>
#include <sys/socket.h>

#include "queue/loop.h"

enum { RESOLVE_ADDRESSES_MAX = 4 };

struct resolve_addresses {
    uint32_t count;
    struct sockaddr_storage list[RESOLVE_ADDRESSES_MAX];
    socklen_t lengths[RESOLVE_ADDRESSES_MAX];
};

/* host:port whose host is a number needs nobody. False when it is a name, or nothing at all. */
bool resolve_number(const char *address, struct resolve_addresses *found);

struct resolver;
/* `found` has no addresses when the name has none; `problem` then says why. On the loop's thread.
 */
typedef void resolve_done(void *context, const char *address, const struct resolve_addresses *found,
                          const char *problem);

/* The thread is started when the first name is asked for. */
struct resolver *resolver_open(struct loop *loop, resolve_done *done, void *context);
/* Does not wait for the name server: the thread ends when it has its answer. */
void resolver_close(struct resolver *resolver);
/* One answer follows, but not before the loop turns. */
void resolver_ask(struct resolver *resolver, const char *address);

/* For tests: what is called in place of getaddrinfo. */
typedef int resolve_lookup(const char *host, const char *service, const struct addrinfo *hints,
                           struct addrinfo **found);
void resolver_set_lookup(struct resolver *resolver, resolve_lookup *lookup);

#endif
