/* Requests arrive in any pieces; replies read back as what was written. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "queue/resp.h"

/* Bytes grow here as in a connection's buffer. */
struct text {
    char data[1 << 16];
    size_t length;
};

static void add(struct text *text, const void *bytes, size_t length)
{
    assert_true(text->length + length <= sizeof text->data);
    memcpy(text->data + text->length, bytes, length);
    text->length += length;
}

static void expect(const struct resp_request *request, uint32_t place, const char *word)
{
    assert_true(place < request->count);
    assert_int_equal(request->arguments[place].length, strlen(word));
    assert_memory_equal(request->arguments[place].data, word, strlen(word));
}

static struct resp_parser parser_of(const struct resp_limits *limits)
{
    struct resp_parser parser;
    resp_parser_init(&parser, limits);
    return parser;
}

static void an_array_of_bulk_strings_is_a_request(void **state)
{
    (void)state;
    static const char wire[] = "*3\r\n$6\r\nADDJOB\r\n$0\r\n\r\n$4\r\na\r\nb\r\n";
    struct resp_parser parser = parser_of(&resp_limits_default);
    struct resp_request request;
    assert_int_equal(resp_parse(&parser, wire, sizeof wire - 1, &request), RESP_REQUEST);
    assert_int_equal(request.count, 3);
    assert_int_equal(request.consumed, sizeof wire - 1);
    expect(&request, 0, "ADDJOB");
    expect(&request, 1, "");
    expect(&request, 2, "a\r\nb");
    assert_ptr_equal(request.arguments[0].data, wire + 8); /* no copy */
    resp_parser_free(&parser);
}

static void bytes_one_by_one_from_moving_buffers_make_the_same(void **state)
{
    (void)state;
    static const char wire[] = "*2\r\n$4\r\nPING\r\n$11\r\nhello there\r\n";
    struct resp_parser parser = parser_of(&resp_limits_default);
    struct resp_request request;
    for (size_t length = 0; length < sizeof wire - 1; length++) {
        char *moved = malloc(length + 1);
        memcpy(moved, wire, length);
        assert_int_equal(resp_parse(&parser, moved, length, &request), RESP_MORE);
        assert_true(resp_wanted(&parser) > length);
        assert_true(resp_wanted(&parser) <= sizeof wire - 1);
        free(moved);
    }
    assert_int_equal(resp_parse(&parser, wire, sizeof wire - 1, &request), RESP_REQUEST);
    expect(&request, 0, "PING");
    expect(&request, 1, "hello there");
    resp_parser_free(&parser);
}

static void pipelined_requests_come_one_after_the_other(void **state)
{
    (void)state;
    static const char wire[] =
        "*1\r\n$1\r\na\r\nPING x\n*0\r\n\r\n*-1\r\n*1\r\n$1\r\nb\r\n*1\r\n$9";
    static const uint32_t counts[] = {1, 2, 0, 0, 0, 1};
    struct resp_parser parser = parser_of(&resp_limits_default);
    struct resp_request request;
    size_t at = 0;
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++, at += request.consumed) {
        assert_int_equal(resp_parse(&parser, wire + at, sizeof wire - 1 - at, &request),
                         RESP_REQUEST);
        assert_int_equal(request.count, counts[i]);
    }
    assert_int_equal(resp_parse(&parser, wire + at, sizeof wire - 1 - at, &request), RESP_MORE);
    assert_int_equal(at, sizeof wire - 1 - 6);
    resp_parser_free(&parser);
}

static void inline_requests_have_quotes_and_escapes(void **state)
{
    (void)state;
    static const char wire[] =
        "  ADDJOB\tq \"a b\\x41\\n\\\"\\q\" 'it\\'s \\n' \"\" x\"y\"\r\nrest";
    struct resp_parser parser = parser_of(&resp_limits_default);
    struct resp_request request;
    assert_int_equal(resp_parse(&parser, wire, sizeof wire - 1, &request), RESP_REQUEST);
    assert_int_equal(request.count, 6);
    expect(&request, 0, "ADDJOB");
    expect(&request, 1, "q");
    expect(&request, 2, "a bA\n\"q");
    expect(&request, 3, "it's \\n");
    expect(&request, 4, "");
    expect(&request, 5, "xy");
    assert_int_equal(request.consumed, sizeof wire - 1 - 4);
    resp_parser_free(&parser);
}

static void what_is_not_the_protocol_is_named(void **state)
{
    (void)state;
    static const struct {
        const char *wire, *error;
    } cases[] = {
        {"*x\r\n", "invalid multibulk length"},
        {"*\r\n", "invalid multibulk length"},
        {"*+1\r\n", "invalid multibulk length"},
        {"*01\r\n", "invalid multibulk length"},
        {"*-0\r\n", "invalid multibulk length"},
        {"*1\n", "invalid multibulk length"},
        {"*99999999999999999999\r\n", "invalid multibulk length"},
        {"*100000\r\n", "invalid multibulk length"},
        {"*1\r\n:5\r\n", "expected '$', got ':'"},
        {"*1\r\n\x01", "expected '$', got '?'"},
        {"*1\r\n$-1\r\n", "invalid bulk length"},
        {"*1\r\n$\r\n", "invalid bulk length"},
        {"*1\r\n$1 \r\n", "invalid bulk length"},
        {"*1\r\n$16777217\r\n", "invalid bulk length"},
        {"*1\r\n$9223372036854775807\r\n", "invalid bulk length"},
        {"*1\r\n$1\r\nabc", "expected CR LF behind a bulk string"},
        {"GET \"a\r\n", "unbalanced quotes in request"},
        {"GET 'a'b\r\n", "unbalanced quotes in request"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct resp_parser parser = parser_of(&resp_limits_default);
        struct resp_request request;
        char expected[128];
        snprintf(expected, sizeof expected, "Protocol error: %s", cases[i].error);
        assert_int_equal(resp_parse(&parser, cases[i].wire, strlen(cases[i].wire), &request),
                         RESP_ERROR);
        assert_string_equal(request.error, expected);
        resp_parser_free(&parser);
    }
}

static enum resp_status parse_filled(const char *begin, char filler, size_t length,
                                     const struct resp_limits *limits, const char *expected)
{
    struct resp_parser parser = parser_of(limits);
    struct resp_request request;
    char *wire = malloc(length);
    memset(wire, filler, length);
    memcpy(wire, begin, strlen(begin));
    enum resp_status status = resp_parse(&parser, wire, length, &request);
    if (status == RESP_ERROR)
        assert_string_equal(request.error, expected);
    free(wire);
    resp_parser_free(&parser);
    return status;
}

static void everything_has_a_bound(void **state)
{
    (void)state;
    const struct resp_limits *stranger = &resp_limits_stranger;
    assert_int_equal(parse_filled("", 'a', 1024, stranger, ""), RESP_MORE);
    assert_int_equal(
        parse_filled("", 'a', 1025, stranger, "Protocol error: too big inline request"),
        RESP_ERROR);
    assert_int_equal(
        parse_filled("*", '1', 1025, stranger, "Protocol error: too big mbulk count string"),
        RESP_ERROR);
    assert_int_equal(
        parse_filled("*1\r\n$", '1', 1029, stranger, "Protocol error: too big bulk count string"),
        RESP_ERROR);
    struct resp_limits small = resp_limits_default;
    small.request_bytes_max = 100;
    assert_int_equal(parse_filled("*2\r\n$60\r\n", '\n', 100, &small,
                                  "Protocol error: expected CR LF behind a "
                                  "bulk string"),
                     RESP_ERROR);
    assert_int_equal(parse_filled("*2\r\n$1\r\na\r\n$90\r\n", '\n', 100, &small,
                                  "Protocol error: too big request"),
                     RESP_ERROR);
    small.arguments_max = 2;
    assert_int_equal(
        parse_filled("a b c\r\n", '\n', 10, &small, "Protocol error: too many arguments"),
        RESP_ERROR);
}

/* Random requests, as arrays and as lines, in random pieces, out of a buffer that is compacted. */
static uint64_t next_random(uint64_t *random)
{
    *random ^= *random << 13;
    *random ^= *random >> 7;
    *random ^= *random << 17;
    return *random;
}

struct sent {
    uint32_t count;
    size_t lengths[8];
    char words[8][64];
};

static void send_random(struct text *wire, struct sent *sent, uint64_t *random)
{
    char line[80];
    sent->count = (uint32_t)(next_random(random) % 8) + 1;
    bool as_line = next_random(random) % 3 == 0;
    if (!as_line)
        add(wire, line, (size_t)snprintf(line, sizeof line, "*%u\r\n", sent->count));
    for (uint32_t i = 0; i < sent->count; i++) {
        sent->lengths[i] = next_random(random) % 60;
        for (size_t c = 0; c < sent->lengths[i]; c++)
            sent->words[i][c] = (char)next_random(random);
        if (as_line) {
            add(wire, " \"", 2);
            for (size_t c = 0; c < sent->lengths[i]; c++)
                add(wire, line,
                    (size_t)snprintf(line, sizeof line, "\\x%02x", sent->words[i][c] & 0xff));
            add(wire, "\"", 1);
        } else {
            add(wire, line, (size_t)snprintf(line, sizeof line, "$%zu\r\n", sent->lengths[i]));
            add(wire, sent->words[i], sent->lengths[i]);
            add(wire, "\r\n", 2);
        }
    }
    if (as_line)
        add(wire, "\r\n", 2);
}

static void random_requests_in_random_pieces_survive(void **state)
{
    (void)state;
    static struct sent sent[16];
    static struct text wire, buffer;
    for (uint64_t seed = 1; seed <= 2000; seed++) {
        uint64_t random = seed * 0x9e3779b97f4a7c15u;
        size_t count = next_random(&random) % 16 + 1, got = 0, at = 0;
        wire.length = buffer.length = 0;
        for (size_t i = 0; i < count; i++)
            send_random(&wire, &sent[i], &random);
        struct resp_parser parser = parser_of(&resp_limits_default);
        while (at < wire.length) {
            size_t piece = next_random(&random) % 200 + 1;
            if (piece > wire.length - at)
                piece = wire.length - at;
            add(&buffer, wire.data + at, piece);
            at += piece;
            struct resp_request request;
            while (resp_parse(&parser, buffer.data, buffer.length, &request) == RESP_REQUEST) {
                assert_int_equal(request.count, sent[got].count);
                for (uint32_t i = 0; i < request.count; i++) {
                    assert_int_equal(request.arguments[i].length, sent[got].lengths[i]);
                    assert_memory_equal(request.arguments[i].data, sent[got].words[i],
                                        sent[got].lengths[i]);
                }
                got++;
                buffer.length -= request.consumed;
                memmove(buffer.data, buffer.data + request.consumed, buffer.length);
            }
        }
        assert_int_equal(got, count);
        assert_int_equal(buffer.length, 0);
        resp_parser_free(&parser);
    }
}

/* Replies */

static void write_all_kinds(struct resp_writer *writer)
{
    resp_write_status(writer, "OK");
    resp_write_error(writer, "ERR no such %s", "queue\r\nat all");
    resp_write_integer(writer, -42);
    resp_write_integer(writer, INT64_MIN);
    resp_write_bulk(writer, "a\0b", 3);
    resp_write_text(writer, "");
    resp_write_format(writer, "%d of %d", 1, 2);
    resp_write_null(writer);
    resp_write_null_array(writer);
    resp_write_boolean(writer, true);
    resp_write_boolean(writer, false);
    resp_write_double(writer, 0.1);
    resp_write_double(writer, -INFINITY);
    resp_write_double(writer, NAN);
    resp_write_array(writer, 2);
    resp_write_set(writer, 3);
    resp_write_map(writer, 4);
    resp_write_push(writer, 5);
}

static void expect_written(enum resp_version version, const char *expected, size_t length)
{
    struct resp_buffer buffer = {.data = NULL};
    struct resp_writer writer = {.buffer = &buffer, .version = version};
    write_all_kinds(&writer);
    assert_false(buffer.failed);
    assert_int_equal(buffer.length, length);
    assert_memory_equal(buffer.data, expected, length);
    resp_buffer_consume(&buffer, 5);
    assert_int_equal(buffer.length, length - 5);
    assert_memory_equal(buffer.data, expected + 5, length - 5);
    resp_buffer_free(&buffer);
}

#define COMMON                                                                                     \
    "+OK\r\n-ERR no such queue  at all\r\n:-42\r\n:-9223372036854775808\r\n$3\r\na\0b\r\n$0\r\n\r" \
    "\n$6\r\n1 of 2\r\n"

static void replies_are_as_each_version_has_them(void **state)
{
    (void)state;
    static const char two[] = COMMON "$-1\r\n*-1\r\n:1\r\n:0\r\n$3\r\n0.1\r\n$4\r\n-inf\r\n$3\r\n"
                                     "nan\r\n*2\r\n*3\r\n*8\r\n*5\r\n";
    static const char three[] =
        COMMON "_\r\n_\r\n#t\r\n#f\r\n,0.1\r\n,-inf\r\n,nan\r\n*2\r\n~3\r\n%4\r\n>5\r\n";
    expect_written(RESP_2, two, sizeof two - 1);
    expect_written(RESP_3, three, sizeof three - 1);
}

static void a_full_buffer_fails_and_stays_as_it_was(void **state)
{
    (void)state;
    struct resp_buffer buffer = {.length_max = 12};
    struct resp_writer writer = {.buffer = &buffer, .version = RESP_2};
    resp_write_status(&writer, "OK");
    resp_write_status(&writer, "a longer one");
    assert_true(buffer.failed);
    assert_int_equal(buffer.length, 5);
    resp_write_integer(&writer, 1);
    assert_int_equal(buffer.length, 5);
    resp_buffer_free(&buffer);
}

static void doubles_read_back_the_same(void **state)
{
    (void)state;
    uint64_t random = 7;
    for (int i = 0; i < 2000; i++) {
        uint64_t bits = next_random(&random);
        double value;
        memcpy(&value, &bits, sizeof value);
        if (!isfinite(value))
            continue;
        struct resp_buffer buffer = {.data = NULL};
        struct resp_writer writer = {.buffer = &buffer, .version = RESP_3};
        resp_write_double(&writer, value);
        assert_true(strtod(buffer.data + 1, NULL) == value);
        resp_buffer_free(&buffer);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_array_of_bulk_strings_is_a_request),
        cmocka_unit_test(bytes_one_by_one_from_moving_buffers_make_the_same),
        cmocka_unit_test(pipelined_requests_come_one_after_the_other),
        cmocka_unit_test(inline_requests_have_quotes_and_escapes),
        cmocka_unit_test(what_is_not_the_protocol_is_named),
        cmocka_unit_test(everything_has_a_bound),
        cmocka_unit_test(random_requests_in_random_pieces_survive),
        cmocka_unit_test(replies_are_as_each_version_has_them),
        cmocka_unit_test(a_full_buffer_fails_and_stays_as_it_was),
        cmocka_unit_test(doubles_read_back_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
