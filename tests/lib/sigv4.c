/* AWS Signature Version 4: see sigv4.h. */
#include "tests/lib/sigv4.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/base/buf.h"
#include "harness/remote/sha256.h"

enum { BLOCK = 64 };

static void hash(const void *data, size_t length, unsigned char digest[SHA256_BYTES])
{
    struct sha256 sha;
    sha256_begin(&sha);
    sha256_add(&sha, data, length);
    sha256_end(&sha, digest);
}

/* HMAC (RFC 2104). */
static void mac(const void *key, size_t key_length, const void *data, size_t length,
                unsigned char digest[SHA256_BYTES])
{
    unsigned char inner[BLOCK] = {0}, outer[BLOCK] = {0}, middle[SHA256_BYTES];
    struct sha256 sha;
    if (key_length > BLOCK)
        hash(key, key_length, inner);
    else
        memcpy(inner, key, key_length);
    memcpy(outer, inner, BLOCK);
    for (int i = 0; i < BLOCK; i++) {
        inner[i] ^= 0x36;
        outer[i] ^= 0x5c;
    }
    sha256_begin(&sha);
    sha256_add(&sha, inner, BLOCK);
    sha256_add(&sha, data, length);
    sha256_end(&sha, middle);
    sha256_begin(&sha);
    sha256_add(&sha, outer, BLOCK);
    sha256_add(&sha, middle, SHA256_BYTES);
    sha256_end(&sha, digest);
}

static void add_hex(struct buf *out, const unsigned char digest[SHA256_BYTES])
{
    for (int i = 0; i < SHA256_BYTES; i++)
        buf_printf(out, "%02x", digest[i]);
}

static const char *header(const struct sigv4_request *request, const char *name, size_t length)
{
    for (size_t i = 0; i < request->header_count; i++)
        if (strlen(request->headers[i].name) == length &&
            strncmp(request->headers[i].name, name, length) == 0)
            return request->headers[i].value;
    return NULL;
}

/* Runs of blanks become one, and none is left at the ends. */
static void add_trimmed(struct buf *out, const char *value)
{
    bool blank = false, any = false;
    for (; *value != '\0'; value++) {
        if (*value == ' ' || *value == '\t') {
            blank = any;
            continue;
        }
        if (blank)
            buf_add_char(out, ' ');
        blank = false;
        any = true;
        buf_add_char(out, *value);
    }
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void add_query(struct buf *out, const char *query)
{
    char *copy = strdup(query == NULL ? "" : query), *parts[64], *rest = copy;
    size_t count = 0;
    for (char *part = strsep(&rest, "&"); part != NULL && count < 64; part = strsep(&rest, "&"))
        if (*part != '\0')
            parts[count++] = part;
    qsort(parts, count, sizeof *parts, by_text);
    for (size_t i = 0; i < count; i++)
        buf_printf(out, "%s%s%s", i == 0 ? "" : "&", parts[i],
                   strchr(parts[i], '=') == NULL ? "=" : "");
    free(copy);
}

static void add_canonical(struct buf *out, const struct sigv4_request *request,
                          const char *signed_headers)
{
    unsigned char digest[SHA256_BYTES];
    buf_printf(out, "%s\n%s\n", request->method, request->path);
    add_query(out, request->query);
    buf_add_char(out, '\n');
    for (const char *at = signed_headers; *at != '\0';) {
        size_t length = strcspn(at, ";");
        const char *value = header(request, at, length);
        buf_printf(out, "%.*s:", (int)length, at);
        add_trimmed(out, value == NULL ? "" : value);
        buf_add_char(out, '\n');
        at += length + (at[length] == ';');
    }
    buf_printf(out, "\n%s\n", signed_headers);
    hash(request->body, request->body_length, digest);
    add_hex(out, digest);
}

void sigv4_sign(const struct sigv4_request *request, const char *secret, const char *date,
                const char *region, const char *service, const char *signed_headers,
                char signature[SIGV4_HEX_SIZE])
{
    struct buf canonical = BUF_INIT, text = BUF_INIT, key = BUF_INIT, hex = BUF_INIT;
    unsigned char digest[SHA256_BYTES], next[SHA256_BYTES];
    add_canonical(&canonical, request, signed_headers);
    hash(canonical.data, canonical.length, digest);
    buf_printf(&text, "AWS4-HMAC-SHA256\n%s\n%.8s/%s/%s/aws4_request\n", date, date, region,
               service);
    add_hex(&text, digest);
    buf_printf(&key, "AWS4%s", secret);
    mac(key.data, key.length, date, 8, digest);
    mac(digest, sizeof digest, region, strlen(region), next);
    mac(next, sizeof next, service, strlen(service), digest);
    mac(digest, sizeof digest, "aws4_request", strlen("aws4_request"), next);
    mac(next, sizeof next, text.data, text.length, digest);
    add_hex(&hex, digest);
    snprintf(signature, SIGV4_HEX_SIZE, "%s", buf_text(&hex));
    buf_free(&canonical);
    buf_free(&text);
    buf_free(&key);
    buf_free(&hex);
}

static bool is_signed(const char *signed_headers, const char *name)
{
    size_t length = strlen(name);
    for (const char *at = signed_headers; *at != '\0';) {
        size_t here = strcspn(at, ";");
        if (here == length && strncmp(at, name, length) == 0)
            return true;
        at += here + (at[here] == ';');
    }
    return false;
}

bool sigv4_verify(const struct sigv4_request *request, const char *id, const char *secret,
                  const char *region, const char *service, char *why)
{
    const char *authorization = header(request, "authorization", strlen("authorization"));
    const char *date = header(request, "x-amz-date", strlen("x-amz-date"));
    char scope[256], signed_headers[256], told[SIGV4_HEX_SIZE + 1], expected[512],
        signature[SIGV4_HEX_SIZE];
    if (authorization == NULL || date == NULL ||
        sscanf(authorization,
               "AWS4-HMAC-SHA256 Credential=%255[^,], SignedHeaders=%255[^,], Signature=%65s",
               scope, signed_headers, told) != 3) {
        snprintf(why, 256, "it is not signed: %.200s", authorization == NULL ? "" : authorization);
        return false;
    }
    snprintf(expected, sizeof expected, "%s/%.8s/%s/%s/aws4_request", id, date, region, service);
    if (strcmp(scope, expected) != 0) {
        snprintf(why, 256, "it is signed for another scope: %.200s", scope);
        return false;
    }
    bool token = header(request, "x-amz-security-token", strlen("x-amz-security-token")) != NULL;
    if (!is_signed(signed_headers, "host") || !is_signed(signed_headers, "x-amz-date") ||
        (token && !is_signed(signed_headers, "x-amz-security-token"))) {
        snprintf(why, 256, "headers are left unsigned: %.200s", signed_headers);
        return false;
    }
    sigv4_sign(request, secret, date, region, service, signed_headers, signature);
    if (strcmp(signature, told) == 0)
        return true;
    snprintf(why, 256, "the signature does not match");
    return false;
}
