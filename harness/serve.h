/* ordeal serve: the runs of a store as pages, for a browser. Implemented in reports/serve/. */
#ifndef ORDEAL_SERVE_H
#define ORDEAL_SERVE_H

#include <stdint.h>

#include "harness/base/err.h"

struct serve_options {
    const char *store;   /* directory */
    const char *address; /* numeric IPv4 or IPv6 address, without brackets */
    uint16_t port;       /* 0: any */
    /* What a browser must show to be let in; NULL: anybody who reaches the address and names it as
     * loopback is. */
    const char *token;
};

struct serve;

/* Reads the store once and listens; requests are answered by threads of its own. *port is the one
 * that was got. ERR_CONFIG for a store that is none or an address that is none. */
enum err_code serve_open(const struct serve_options *options, struct serve **serve, uint16_t *port,
                         struct err *err);
/* Ends every connection, and frees. */
void serve_close(struct serve *serve);

#endif
