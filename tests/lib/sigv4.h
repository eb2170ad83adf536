/* AWS Signature Version 4, a second time: what a server does to a request that libcurl has signed.
 * https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html */
#ifndef ORDEAL_TESTS_SIGV4_H
#define ORDEAL_TESTS_SIGV4_H

#include <stdbool.h>
#include <stddef.h>

enum { SIGV4_HEADERS_MAX = 32, SIGV4_HEX_SIZE = 65 };

struct sigv4_header {
    const char *name, *value; /* the name in lower case */
};
struct sigv4_request {
    const char *method, *path, *query; /* path and query as in the request line */
    struct sigv4_header headers[SIGV4_HEADERS_MAX];
    size_t header_count;
    const void *body;
    size_t body_length;
};

/* `date` is that of x-amz-date, "20150830T123600Z"; `signed_headers` as in the request:
 * "host;x-amz-date". */
void sigv4_sign(const struct sigv4_request *request, const char *secret, const char *date,
                const char *region, const char *service, const char *signed_headers,
                char signature[SIGV4_HEX_SIZE]);

/* Whether the request's Authorization header is what the owner of this key would have sent; `why`
 * (256 bytes) tells why not. Demands that host, x-amz-date and, where there is one, the security
 * token are signed. */
bool sigv4_verify(const struct sigv4_request *request, const char *id, const char *secret,
                  const char *region, const char *service, char *why);

#endif
