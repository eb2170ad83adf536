/* Marks of a run: those in its history, and daemons that died unasked. See digest.h. */
#include <stdlib.h>
#include <string.h>

#include "harness/marks.h"
#include "reports/digest.h"

static const char *names_of(struct arena *arena, struct value nodes)
{
    struct buf text = BUF_INIT;
    for (size_t i = 0; i < value_count(nodes); i++)
        buf_printf(&text, "%s%s", i == 0 ? "" : ", ", value_as_text(value_at(nodes, i)));
    const char *names = arena_strdup(arena, buf_text(&text));
    buf_free(&text);
    return names;
}

/* "etcd ended: signal 11" */
static struct digest_mark crash(struct digest *digest, uint32_t event)
{
    const struct history *history = digest->run->history;
    struct value exit = history->value[event], signal = value_get(exit, "signal");
    bool signalled = value_is_int(signal);
    int64_t number = value_as_int(signalled ? signal : value_get(exit, "status"));
    return (struct digest_mark){
        .kind = "crash",
        .text = arena_printf(&digest->arena, "%s ended unasked: %s %d",
                             value_as_text(value_get(exit, "name")),
                             signalled ? "signal" : "status", (int)number),
        .where = value_as_text(value_get(exit, "node")),
        .from_ns = history->time_ns[event],
        .to_ns = history->time_ns[event],
    };
}

static struct digest_mark told(struct digest *digest, uint32_t event)
{
    struct mark mark = mark_of_event(digest->run->history, event);
    return (struct digest_mark){.kind = mark.kind,
                                .text = mark.text,
                                .where = names_of(&digest->arena, mark.nodes),
                                .from_ns = mark.from_ns,
                                .to_ns = mark.to_ns};
}

static int by_time(const void *a, const void *b)
{
    const struct digest_mark *x = a, *y = b;
    if (x->from_ns != y->from_ns)
        return x->from_ns < y->from_ns ? -1 : 1;
    if (x->to_ns != y->to_ns)
        return x->to_ns < y->to_ns ? -1 : 1;
    int order = strcmp(x->where, y->where);
    order = order == 0 ? strcmp(x->kind, y->kind) : order;
    return order == 0 ? strcmp(x->text, y->text) : order;
}

void digest_marks_add(struct digest *digest, const struct digest_mark *marks, size_t count)
{
    size_t all = digest->mark_count + count;
    struct digest_mark *list = arena_alloc(&digest->arena, (all + 1) * sizeof *list);
    if (digest->mark_count > 0)
        memcpy(list, digest->marks, digest->mark_count * sizeof *list);
    if (count > 0)
        memcpy(list + digest->mark_count, marks, count * sizeof *list);
    qsort(list, all, sizeof *list, by_time);
    digest->marks = list;
    digest->mark_count = all;
}

void digest_marks(struct digest *digest)
{
    const struct history *history = digest->run->history;
    int32_t process = marks_process(history);
    struct digest_mark *marks = NULL;
    size_t count = 0, capacity = 0;
    for (uint32_t i = 0; i < history->count; i++) {
        bool died = history->process[i] == PROCESS_DAEMON && !digest_exit_asked(history, i);
        if (!died && (process == 0 || history->process[i] != process))
            continue;
        if (count == capacity) {
            capacity = capacity == 0 ? 64 : capacity * 2;
            struct digest_mark *more = realloc(marks, capacity * sizeof *more);
            if (more == NULL)
                break;
            marks = more;
        }
        marks[count++] = died ? crash(digest, i) : told(digest, i);
    }
    digest_marks_add(digest, marks, count);
    free(marks);
}
