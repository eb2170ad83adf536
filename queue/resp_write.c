/* Writing replies. */
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "queue/resp.h"

void resp_buffer_free(struct resp_buffer *buffer)
{
    free(buffer->data);
    *buffer = (struct resp_buffer){.length_max = buffer->length_max};
}

void resp_buffer_consume(struct resp_buffer *buffer, size_t length)
{
    buffer->length -= length;
    if (buffer->length > 0 && length > 0)
        memmove(buffer->data, buffer->data + length, buffer->length);
}

static char *reserve(struct resp_buffer *buffer, size_t more)
{
    size_t needed = buffer->length + more;
    if (buffer->length_max != 0 && needed > buffer->length_max)
        buffer->failed = true;
    if (buffer->failed)
        return NULL;
    if (needed > buffer->capacity) {
        size_t capacity = buffer->capacity < 256 ? 256 : buffer->capacity * 2;
        if (capacity < needed)
            capacity = needed;
        char *data = realloc(buffer->data, capacity);
        if (data == NULL) {
            buffer->failed = true;
            return NULL;
        }
        buffer->data = data;
        buffer->capacity = capacity;
    }
    return buffer->data + buffer->length;
}

static void add(struct resp_writer *writer, const void *bytes, size_t length)
{
    char *at = reserve(writer->buffer, length);
    if (at == NULL || length == 0)
        return;
    memcpy(at, bytes, length);
    writer->buffer->length += length;
}

/* A type's character, a number, CR LF: faster than printf, which every reply would pass through. */
static void add_number(struct resp_writer *writer, char type, int64_t value)
{
    char text[32], *end = text + sizeof text, *at = end;
    uint64_t left = value < 0 ? -(uint64_t)value : (uint64_t)value;
    *--at = '\n';
    *--at = '\r';
    do {
        *--at = (char)('0' + left % 10);
        left /= 10;
    } while (left > 0);
    if (value < 0)
        *--at = '-';
    *--at = type;
    add(writer, at, (size_t)(end - at));
}

static void add_line(struct resp_writer *writer, char type, const char *text, size_t length)
{
    char *at = reserve(writer->buffer, length + 3);
    if (at == NULL)
        return;
    *at++ = type;
    memcpy(at, text, length);
    static const char ends[] = "\r\n";
    for (const char *end = ends; *end != '\0'; end++) {
        for (char *found = at; (found = memchr(found, *end, (size_t)(at + length - found)));)
            *found = ' ';
    }
    at[length] = '\r';
    at[length + 1] = '\n';
    writer->buffer->length += length + 3;
}

void resp_write_line(struct resp_writer *writer, const char *text, size_t length)
{
    char *at = reserve(writer->buffer, length + 3);
    if (at == NULL)
        return;
    *at++ = '+';
    memcpy(at, text, length);
    memcpy(at + length, "\r\n", 2);
    writer->buffer->length += length + 3;
}

void resp_write_status(struct resp_writer *writer, const char *text)
{
    add_line(writer, '+', text, strlen(text));
}

void resp_write_error(struct resp_writer *writer, const char *format, ...)
{
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    add_line(writer, '-', text, strlen(text));
}

void resp_write_integer(struct resp_writer *writer, int64_t value)
{
    add_number(writer, ':', value);
}

void resp_write_bulk(struct resp_writer *writer, const void *bytes, size_t length)
{
    add_number(writer, '$', (int64_t)length);
    add(writer, bytes, length);
    add(writer, "\r\n", 2);
}

void resp_write_text(struct resp_writer *writer, const char *text)
{
    resp_write_bulk(writer, text, strlen(text));
}

void resp_write_format(struct resp_writer *writer, const char *format, ...)
{
    char text[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    resp_write_text(writer, text);
}

void resp_write_null(struct resp_writer *writer)
{
    const char *text = writer->version == RESP_3 ? "_\r\n" : "$-1\r\n";
    add(writer, text, strlen(text));
}

void resp_write_null_array(struct resp_writer *writer)
{
    const char *text = writer->version == RESP_3 ? "_\r\n" : "*-1\r\n";
    add(writer, text, strlen(text));
}

void resp_write_boolean(struct resp_writer *writer, bool value)
{
    if (writer->version == RESP_2)
        resp_write_integer(writer, value);
    else
        add(writer, value ? "#t\r\n" : "#f\r\n", 4);
}

void resp_write_double(struct resp_writer *writer, double value)
{
    char text[64];
    if (isnan(value))
        strcpy(text, "nan");
    else if (isinf(value))
        strcpy(text, value < 0 ? "-inf" : "inf");
    else
        for (int digits = 15; digits <= 17; digits++) { /* the shortest that reads back the same */
            snprintf(text, sizeof text, "%.*g", digits, value);
            if (strtod(text, NULL) == value)
                break;
        }
    if (writer->version == RESP_2)
        resp_write_text(writer, text);
    else
        add_line(writer, ',', text, strlen(text));
}

void resp_write_array(struct resp_writer *writer, uint64_t count)
{
    add_number(writer, '*', (int64_t)count);
}

void resp_write_set(struct resp_writer *writer, uint64_t count)
{
    add_number(writer, writer->version == RESP_3 ? '~' : '*', (int64_t)count);
}

void resp_write_map(struct resp_writer *writer, uint64_t pairs)
{
    bool map = writer->version == RESP_3;
    add_number(writer, map ? '%' : '*', (int64_t)(map ? pairs : pairs * 2));
}

void resp_write_push(struct resp_writer *writer, uint64_t count)
{
    add_number(writer, writer->version == RESP_3 ? '>' : '*', (int64_t)count);
}
