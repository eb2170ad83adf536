/* Histories written as text: see lin_text.h. */
#include "tests/lib/lin_text.h"

#include <assert.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/base/clock.h"

struct reader {
    const char *text, *at;
};

/* Used by benchmarks too, so it cannot lean on cmocka. */
static void refuse(const struct reader *reader, const char *expected)
{
    fprintf(stderr, "'%s': expected %s at '%s'\n", reader->text, expected, reader->at);
    abort();
}

static void skip_blanks(struct reader *reader)
{
    while (isspace((unsigned char)*reader->at) || *reader->at == ';')
        reader->at++;
}

static bool take(struct reader *reader, char c)
{
    if (*reader->at != c)
        return false;
    reader->at++;
    return true;
}

static void need(struct reader *reader, char c)
{
    if (!take(reader, c))
        refuse(reader, (char[]){c, '\0'});
}

static int take_number(struct reader *reader)
{
    char *end;
    if (take(reader, 'n'))
        return LIN_TEXT_NIL;
    long number = strtol(reader->at, &end, 10);
    if (end == reader->at)
        refuse(reader, "a number");
    reader->at = end;
    return (int)number;
}

static struct lin_text_op take_op(struct reader *reader, int process)
{
    struct lin_text_op op = {.key = LIN_TEXT_NO_KEY, .process = process, .outcome = OP_OK};
    while (*reader->at == 'k' || *reader->at == 'p') {
        char which = *reader->at++;
        *(which == 'k' ? &op.key : &op.process) = take_number(reader);
        need(reader, ':');
    }
    if (*reader->at == '\0' || strchr("rwcal", *reader->at) == NULL)
        refuse(reader, "an operation");
    op.f = *reader->at++;
    op.a = op.f == 'a' || op.f == 'l' ? LIN_TEXT_NIL : take_number(reader);
    if (op.f == 'c') {
        need(reader, '>');
        op.b = take_number(reader);
    }
    skip_blanks(reader);
    need(reader, '[');
    op.invoked = take_number(reader);
    need(reader, ',');
    op.completed = LIN_TEXT_NO_TIME;
    if (take(reader, '-'))
        op.outcome = OP_INFO;
    else
        op.completed = take_number(reader);
    need(reader, ']');
    if (take(reader, '!'))
        op.outcome = OP_FAIL;
    else if (take(reader, '?'))
        op.outcome = OP_INFO;
    return op;
}

size_t lin_text_parse(const char *text, struct lin_text_op *ops, size_t capacity)
{
    struct reader reader = {.text = text, .at = text};
    size_t count = 0;
    for (skip_blanks(&reader); *reader.at != '\0'; skip_blanks(&reader)) {
        assert(count < capacity);
        ops[count] = take_op(&reader, (int)count);
        count++;
    }
    return count;
}

static struct value number_value(int number)
{
    return number == LIN_TEXT_NIL ? value_nil() : value_int(NULL, number);
}

static struct value event_value(struct arena *arena, const struct lin_text_op *op, bool completes)
{
    struct value value = number_value(op->a);
    if (op->f == 'c')
        value = value_pair(arena, number_value(op->a), number_value(op->b));
    if (op->f == 'r' && (!completes || op->outcome != OP_OK))
        value = value_nil();
    return op->key == LIN_TEXT_NO_KEY ? value : value_pair(arena, number_value(op->key), value);
}

struct moment {
    int time;
    uint32_t op;
    bool completes;
};

static int compare_moments(const void *a, const void *b)
{
    const struct moment *x = a, *y = b;
    return x->time < y->time ? -1 : x->time > y->time;
}

void lin_text_history(const struct lin_text_op *ops, size_t count, struct history *history)
{
    static const char *const names[] = {
        ['r'] = "read", ['w'] = "write", ['c'] = "cas", ['a'] = "acquire", ['l'] = "release"};
    struct moment *moments = calloc(2 * count + 1, sizeof *moments);
    size_t moment_count = 0;
    assert(moments != NULL);
    for (uint32_t i = 0; i < count; i++) {
        moments[moment_count++] = (struct moment){ops[i].invoked, i, false};
        if (ops[i].completed != LIN_TEXT_NO_TIME)
            moments[moment_count++] = (struct moment){ops[i].completed, i, true};
    }
    qsort(moments, moment_count, sizeof *moments, compare_moments);
    history_init(history);
    struct arena scratch = ARENA_INIT;
    for (size_t i = 0; i < moment_count; i++) {
        const struct lin_text_op *op = &ops[moments[i].op];
        struct op event = {.type = moments[i].completes ? op->outcome : OP_INVOKE,
                           .process = op->process,
                           .f = history_f(history, names[(unsigned char)op->f]),
                           .value = event_value(&scratch, op, moments[i].completes),
                           .time_ns = moments[i].time * NS_PER_MS};
        enum err_code code;
        history_append(history, &event, &code);
        assert(code == ERR_NONE);
    }
    free(moments);
    arena_free(&scratch);
    struct err err = ERR_INIT;
    if (history_pair(history, &err) != ERR_NONE) {
        fprintf(stderr, "%s\n", err.message);
        abort();
    }
}

void lin_text(const char *text, struct history *history)
{
    struct lin_text_op *ops = calloc(LIN_TEXT_OPS_MAX, sizeof *ops);
    assert(ops != NULL);
    size_t count = lin_text_parse(text, ops, LIN_TEXT_OPS_MAX);
    lin_text_history(ops, count, history);
    free(ops);
}

static void print_number(int number, struct buf *out)
{
    if (number == LIN_TEXT_NIL)
        buf_add_char(out, 'n');
    else
        buf_printf(out, "%d", number);
}

void lin_text_print(const struct lin_text_op *ops, size_t count, struct buf *out)
{
    for (size_t i = 0; i < count; i++) {
        const struct lin_text_op *op = &ops[i];
        buf_add_text(out, i == 0 ? "" : "; ");
        if (op->key != LIN_TEXT_NO_KEY)
            buf_printf(out, "k%d:", op->key);
        buf_printf(out, "p%d:%c", op->process, op->f);
        if (op->f != 'a' && op->f != 'l')
            print_number(op->a, out);
        if (op->f == 'c') {
            buf_add_char(out, '>');
            print_number(op->b, out);
        }
        buf_printf(out, " [%d,", op->invoked);
        if (op->completed == LIN_TEXT_NO_TIME)
            buf_add_char(out, '-');
        else
            buf_printf(out, "%d", op->completed);
        buf_printf(out, "]%s",
                   op->outcome == OP_FAIL                                        ? "!"
                   : op->outcome == OP_INFO && op->completed != LIN_TEXT_NO_TIME ? "?"
                                                                                 : "");
    }
}
