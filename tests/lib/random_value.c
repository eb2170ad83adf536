/* Random values: see random_value.h. */
#include "tests/lib/random_value.h"

#include <stdio.h>
#include <string.h>

static int64_t random_int(struct prng *prng)
{
    static const int64_t edges[] = {0,
                                    1,
                                    -1,
                                    1 << 19,
                                    (1 << 19) - 1,
                                    -(1 << 19),
                                    1 << 29,
                                    -(1 << 29),
                                    (1 << 29) - 1,
                                    INT64_C(1) << 53,
                                    INT64_C(1) << 60,
                                    -(INT64_C(1) << 60),
                                    INT64_MAX,
                                    INT64_MIN};
    if (prng_below(prng, 3) == 0)
        return edges[prng_below(prng, sizeof edges / sizeof edges[0])];
    return (int64_t)(prng_next(prng) >> prng_below(prng, 64));
}

static struct value random_text(struct prng *prng, struct arena *arena)
{
    static const char *const texts[] = {
        "",      "a",     "n1",         "x y",   "\"quoted\"",
        "\\:x",  ":x",    "line\nfeed", "#set",  "\xce\xa9",
        "\\",    "12",    "-3",         "#list", "\x01\x7f",
        "\\\\:", "tab\t", "; no",       "{}",    "\xf0\x9f\x98\x80"};
    return value_string(arena, texts[prng_below(prng, sizeof texts / sizeof texts[0])]);
}

static struct value random_named(struct prng *prng, struct arena *arena)
{
    static const struct {
        enum value_kind kind;
        const char *text;
    } named[] = {
        {VALUE_KEYWORD, "append"}, {VALUE_KEYWORD, "r"},
        {VALUE_KEYWORD, "a/b"},    {VALUE_KEYWORD, "0"},
        {VALUE_SYMBOL, "x"},       {VALUE_SYMBOL, "foo.Bar/baz"},
        {VALUE_CHAR, "a"},         {VALUE_CHAR, "newline"},
        {VALUE_CHAR, "("},         {VALUE_NUMBER, "1/3"},
        {VALUE_NUMBER, "1.5M"},    {VALUE_NUMBER, "123456789012345678901N"},
    };
    size_t i = prng_below(prng, sizeof named / sizeof named[0]);
    return value_text(arena, named[i].kind, named[i].text, strlen(named[i].text));
}

static struct value random_items(struct prng *prng, struct arena *arena, unsigned depth)
{
    static const enum value_kind kinds[] = {VALUE_VECTOR, VALUE_VECTOR, VALUE_LIST,
                                            VALUE_SET,    VALUE_MAP,    VALUE_TAGGED};
    enum value_kind kind = kinds[prng_below(prng, 6)];
    struct value items[40];
    size_t count = prng_below(prng, prng_below(prng, 10) == 0 ? 20 : 5);
    if (kind == VALUE_MAP)
        count *= 2;
    if (kind == VALUE_TAGGED)
        count = 2;
    for (size_t i = 0; i < count; i++)
        items[i] = random_exact_value(prng, arena, depth - 1);
    if (kind == VALUE_TAGGED)
        items[0] = value_text(arena, VALUE_SYMBOL, "inst", 4);
    return value_items(arena, kind, items, count);
}

struct value random_exact_value(struct prng *prng, struct arena *arena, unsigned depth)
{
    switch (prng_below(prng, depth > 0 ? 9 : 6)) {
    case 0:
        return value_nil();
    case 1:
        return value_bool(prng_below(prng, 2) == 1);
    case 2:
    case 3:
        return value_int(arena, random_int(prng));
    case 4:
        return random_text(prng, arena);
    case 5:
        return random_named(prng, arena);
    default:
        return random_items(prng, arena, depth);
    }
}

struct value random_value(struct prng *prng, struct arena *arena, unsigned depth)
{
    if (prng_below(prng, 10) != 0)
        return random_exact_value(prng, arena, depth);
    static const double reals[] = {0, -0.0, 1.5, 1e100, -1e-7, 3, 0.1, 1e15, 1e22, 5e-324};
    return value_double(arena, reals[prng_below(prng, sizeof reals / sizeof reals[0])]);
}

static struct value random_extra(struct prng *prng, struct arena *arena)
{
    struct value items[4] = {value_keyword(arena, "node"), random_exact_value(prng, arena, 1)};
    bool named = prng_below(prng, 4) != 0;
    items[2] = named ? value_keyword(arena, "op-index") : value_string(arena, "link");
    items[3] = random_exact_value(prng, arena, 2);
    return value_items(arena, VALUE_MAP, items, prng_below(prng, 2) == 0 ? 2 : 4);
}

void random_history(struct prng *prng, struct history *history, uint32_t count)
{
    struct arena scratch = ARENA_INIT;
    static const char *const fs[] = {"read", "write", "txn", "[:a :start]", "with space"};
    int64_t time_ns = (int64_t)prng_below(prng, 1000);
    for (uint32_t i = 0; i < count; i++) {
        char name[16];
        snprintf(name, sizeof name, "f%d", (int)prng_below(prng, 40));
        const char *f = prng_below(prng, 4) == 0 ? name : fs[prng_below(prng, 5)];
        time_ns += prng_between(prng, -100, 5000);
        struct op op = {.type = (enum op_type)prng_below(prng, 4),
                        .process = (int32_t)prng_between(prng, -2, 100),
                        .f = history_f(history, f),
                        .value = random_value(prng, &scratch, 3),
                        .error = value_nil(),
                        .time_ns = prng_below(prng, 10) == 0 ? -1 : time_ns};
        if (prng_below(prng, 4) == 0)
            op.error = random_exact_value(prng, &scratch, 1);
        if (prng_below(prng, 20) == 0)
            op.process = history_process_named(history, i % 2 == 0 ? "checker" : "other");
        if (prng_below(prng, 20) == 0)
            op.extra = random_extra(prng, &scratch);
        enum err_code code;
        history_append(history, &op, &code);
    }
    arena_free(&scratch);
}

bool history_same(const struct history *a, const struct history *b, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        struct op x = history_op(a, i), y = history_op(b, i);
        if (x.type != y.type || x.time_ns != y.time_ns ||
            strcmp(a->f_names[x.f], b->f_names[y.f]) != 0 || !value_equal(x.value, y.value) ||
            !value_equal(x.error, y.error) || !value_equal(x.extra, y.extra))
            return false;
        bool client = x.process >= 0;
        if (client != (y.process >= 0) || (client && x.process != y.process) ||
            (!client &&
             strcmp(history_process_name(a, x.process), history_process_name(b, y.process)) != 0))
            return false;
    }
    return true;
}
