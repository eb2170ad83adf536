/* Redis' wire protocol: requests in, replies out, both RESP2 and RESP3. No sockets.
 *
 * A request is an array of bulk strings, or a line of words ("inline", for people with netcat). */
#ifndef ORDEAL_QUEUE_RESP_H
#define ORDEAL_QUEUE_RESP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Requests */

struct resp_limits {
    uint32_t arguments_max;
    uint32_t bulk_bytes_max;    /* of one argument */
    uint64_t request_bytes_max; /* of all, as they come over the wire */
    uint32_t line_bytes_max;    /* of an inline request, and of a length */
};
extern const struct resp_limits resp_limits_default;
/* For a client that has not said its password yet: hardly any memory. */
extern const struct resp_limits resp_limits_stranger;

enum resp_status {
    RESP_MORE,    /* the request is not there whole: call again with more bytes */
    RESP_REQUEST, /* one request; it may have no arguments, and is then to be ignored */
    RESP_ERROR,   /* not the protocol: send the error and close, nothing after it can be trusted */
};

struct resp_slice {
    const char *data;
    size_t length;
};

struct resp_request {
    const struct resp_slice *arguments; /* the parser's, until it is called again */
    uint32_t count;
    size_t consumed;   /* bytes of the buffer that the request took */
    const char *error; /* "Protocol error: ...", the parser's */
};

struct resp_parser {
    const struct resp_limits *limits;
    /* All that is remembered between calls, as offsets from the request's first byte, so that the
     * buffer may move. */
    size_t at;      /* parsed so far */
    size_t scanned; /* no line end before */
    size_t wanted;  /* bytes that must be there before another call can get further */
    int64_t bulk;   /* the length of the argument at `at`; -1: its header is next */
    uint32_t expected, count;
    bool in_array;
    struct resp_span {
        size_t offset, length;
    } * spans;
    struct resp_slice *slices;
    uint32_t capacity;
    char *words; /* an inline request's, without their quotes */
    char error[64];
};

/* The limits must outlive the parser, which may be given others between requests. */
void resp_parser_init(struct resp_parser *parser, const struct resp_limits *limits);
void resp_parser_free(struct resp_parser *parser);

/* Looks for one request in `length` bytes, which begin with that request's first byte and, after
 * RESP_MORE, continue what was given before. The slices point into `buffer` (those of an inline
 * request into the parser). After RESP_REQUEST drop `consumed` bytes and call again: pipelined
 * requests may follow. No byte is looked at twice, however small the pieces. */
enum resp_status resp_parse(struct resp_parser *parser, const char *buffer, size_t length,
                            struct resp_request *request);

/* After RESP_MORE: how many bytes, from the request's first, are needed to get any further. Room
 * for a large argument can be made at once. */
size_t resp_wanted(const struct resp_parser *parser);

/* Replies */

struct resp_buffer {
    char *data;
    size_t length, capacity;
    size_t length_max; /* 0: none */
    bool failed;       /* no memory, or past the maximum: close the connection */
};
void resp_buffer_free(struct resp_buffer *buffer);
/* Drops what was sent. */
void resp_buffer_consume(struct resp_buffer *buffer, size_t length);

enum resp_version { RESP_2 = 2, RESP_3 = 3 };
struct resp_writer {
    struct resp_buffer *buffer;
    enum resp_version version;
};

/* A line must be one: any CR or LF in it becomes a space. */
void resp_write_status(struct resp_writer *writer, const char *text);
/* A status that is known to be a line: quicker. */
void resp_write_line(struct resp_writer *writer, const char *text, size_t length);
void resp_write_error(struct resp_writer *writer, const char *format, ...)
    __attribute__((format(printf, 2, 3))); /* with its code: "ERR ...", "UNKNOWN ..." */
void resp_write_integer(struct resp_writer *writer, int64_t value);
void resp_write_bulk(struct resp_writer *writer, const void *bytes, size_t length);
void resp_write_text(struct resp_writer *writer, const char *text); /* as a bulk string */
void resp_write_format(struct resp_writer *writer, const char *format, ...)
    __attribute__((format(printf, 2, 3)));                        /* as a bulk string */
void resp_write_null(struct resp_writer *writer);                 /* RESP2: a null bulk string */
void resp_write_null_array(struct resp_writer *writer);           /* RESP3: the one null there is */
void resp_write_boolean(struct resp_writer *writer, bool value);  /* RESP2: 1 or 0 */
void resp_write_double(struct resp_writer *writer, double value); /* RESP2: a bulk string */

/* What follows is that many values; for a map that many pairs. */
void resp_write_array(struct resp_writer *writer, uint64_t count);
void resp_write_set(struct resp_writer *writer, uint64_t count);  /* RESP2: an array */
void resp_write_map(struct resp_writer *writer, uint64_t pairs);  /* RESP2: an array of 2 pairs */
void resp_write_push(struct resp_writer *writer, uint64_t count); /* RESP2: an array */

#endif
