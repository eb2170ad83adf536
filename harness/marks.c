/* Marks: see marks.h. */
#include "harness/marks.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "harness/control.h"

void marks_prepare(struct history *history)
{
    history_f(history, MARK_FUNCTION);
    history_process_named(history, MARK_PROCESS);
}

int32_t marks_process(const struct history *history)
{
    for (uint32_t i = 0; i < history->process_name_count; i++)
        if (strcmp(history->process_names[i], MARK_PROCESS) == 0)
            return PROCESS_OTHER - (int32_t)i;
    return 0;
}

struct mark mark_of_event(const struct history *history, uint32_t event)
{
    struct value value = history->value[event];
    int64_t time_ns = history->time_ns[event];
    struct mark mark = {.kind = value_as_text(value_get(value, "kind")),
                        .text = value_as_text(value_get(value, "text")),
                        .nodes = value_get(value, "nodes"),
                        .from_ns = time_ns,
                        .to_ns = time_ns};
    struct value from = value_get(value, "from");
    if (value_is_int(from) && value_as_int(from) >= 0 && value_as_int(from) < time_ns)
        mark.from_ns = value_as_int(from);
    return mark;
}

static struct value names_of(const struct test *test, node_set nodes, struct arena *arena)
{
    struct value names[PLAN_NODES_MAX];
    size_t count = 0;
    for (uint32_t i = 0; i < test->node_count; i++)
        if (node_in(nodes, i))
            names[count++] = value_string(arena, test->nodes[i].name);
    return value_items(arena, VALUE_VECTOR, names, count);
}

static struct value value_of(const struct test *test, const char *kind, const char *text,
                             node_set nodes, int64_t from_ns, struct arena *arena)
{
    struct value items[8];
    size_t count = 0;
    items[count++] = value_keyword(arena, "kind");
    items[count++] = value_string(arena, kind);
    items[count++] = value_keyword(arena, "text");
    items[count++] = value_string(arena, text);
    if (nodes != 0) {
        items[count++] = value_keyword(arena, "nodes");
        items[count++] = names_of(test, nodes, arena);
    }
    if (from_ns >= 0) {
        items[count++] = value_keyword(arena, "from");
        items[count++] = value_int(arena, from_ns);
    }
    return value_items(arena, VALUE_MAP, items, count);
}

void test_mark(struct test *test, const char *kind, node_set nodes, int64_t from_ns,
               const char *format, ...)
{
    struct control *control = test->control;
    if (control == NULL || control->hooks.on_mark == NULL)
        return;
    unsigned before = atomic_fetch_add(&control->mark_count, 1);
    if (before >= MARKS_MAX) {
        if (before == MARKS_MAX)
            test_log(test, "there are more than %d marks; what comes now is not kept", MARKS_MAX);
        return;
    }
    char text[MARK_TEXT_MAX + 1]; /* what is longer is cut */
    struct arena arena = ARENA_INIT;
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    struct op op = {.type = OP_INFO, .value = value_of(test, kind, text, nodes, from_ns, &arena)};
    control->hooks.on_mark(control->hooks.state, &op);
    arena_free(&arena);
}
