/* The smaller things that reports tell of a run: see digest.h. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "harness/base/clock.h"
#include "reports/digest.h"
#include "reports/visible.h"

/* ---- What was run ---- */

const char *digest_test_text(const struct digest *digest, const char *key)
{
    const struct json *test = json_get(json_get(digest->run->results, "test"), key);
    if (json_kind(test) != JSON_TEXT)
        test = json_get(digest->run->plan, key);
    const char *text = json_as_text(test, "");
    return *text == '\0' ? NULL : text;
}

const char *digest_run_again(const struct digest *digest)
{
    const struct json *test = json_get(digest->run->results, "test");
    const char *command = json_as_text(json_get(test, "run-again"), NULL);
    return command != NULL ? command : json_as_text(json_get(test, "command"), NULL);
}

static void add_part(struct buf *out, const char *text)
{
    if (text == NULL || *text == '\0')
        return;
    buf_printf(out, "%s%s", out->length > 0 ? ", " : "", text);
}

const char *digest_setting(struct digest *digest)
{
    struct arena *arena = &digest->arena;
    const struct json *test = json_get(digest->run->results, "test");
    const char *workload = digest_test_text(digest, "workload");
    const char *system = digest_test_text(digest, "system-version");
    struct buf out = BUF_INIT;
    if (system == NULL)
        system = digest_test_text(digest, "system");
    if (workload != NULL && system != NULL)
        add_part(&out, arena_printf(arena, "%s on %s", workload, system));
    else
        add_part(&out, workload != NULL ? workload : system);
    size_t nodes = json_count(json_get(test, "nodes"));
    if (nodes > 0)
        add_part(&out, arena_printf(arena, "%zu node%s", nodes, nodes == 1 ? "" : "s"));
    const struct json *nemeses = json_get(test, "nemeses");
    add_part(&out, json_count(nemeses) > 0 ? digest_join(arena, nemeses)
                   : nemeses != NULL       ? "no faults"
                                           : NULL);
    double duration_s = json_as_real(json_get(test, "duration-s"), -1);
    if (duration_s >= 0)
        add_part(&out, arena_printf(arena, "%.1f s", duration_s));
    if (json_kind(json_get(test, "seed")) == JSON_NUMBER)
        add_part(&out,
                 arena_printf(arena, "seed %" PRId64, json_as_int(json_get(test, "seed"), 0)));
    const char *setting = arena_strdup(arena, buf_text(&out));
    buf_free(&out);
    return setting;
}

const char *digest_join(struct arena *arena, const struct json *array)
{
    struct buf out = BUF_INIT;
    for (const struct json *one = json_first(array); one != NULL; one = json_next(one))
        add_part(&out, json_as_text(one, ""));
    const char *text = arena_strdup(arena, buf_text(&out));
    buf_free(&out);
    return text;
}

const char *digest_where(struct digest *digest, const struct json *nodes)
{
    size_t count = json_count(nodes);
    const struct json *test = json_get(digest->run->results, "test");
    if (count > 2 && count == json_count(json_get(test, "nodes")))
        return arena_printf(&digest->arena, "all %zu", count);
    return digest_join(&digest->arena, nodes);
}

/* ---- Values and figures ---- */

void digest_plain(struct buf *out, const char *edn)
{
    size_t length = strlen(edn);
    if (strcmp(edn, "nil") == 0)
        return;
    if (length >= 2 && edn[0] == '{' && edn[length - 1] == '}') {
        edn++;
        length -= 2;
    }
    for (size_t i = 0; i < length; i++) {
        bool begins = i == 0 || strchr(" [({,", edn[i - 1]) != NULL;
        if (edn[i] == '"' || (edn[i] == ':' && begins))
            continue;
        buf_add_char(out, edn[i]);
    }
}

void digest_value(struct buf *out, struct value value, size_t columns)
{
    struct buf whole = BUF_INIT;
    value_print(value, &whole);
    visible_add_cut(out, buf_text(&whole), whole.length, columns);
    buf_free(&whole);
}

void digest_time(struct buf *out, int64_t ns)
{
    if (ns < 0)
        buf_add_char(out, '-');
    else
        buf_printf(out, "%.3f s", (double)ns / 1e9);
}

void digest_exact_time(struct buf *out, int64_t ns)
{
    if (ns < 0)
        buf_add_char(out, '-');
    else
        buf_printf(out, "%.6f s", (double)ns / 1e9);
}

void digest_duration(struct buf *out, int64_t ns)
{
    char text[48];
    if (ns < 0) {
        buf_add_char(out, '-');
        return;
    }
    clock_format_human(ns, text, sizeof text);
    buf_add_text(out, text);
}

void digest_number(struct buf *out, uint64_t number)
{
    char digits[24];
    int length = snprintf(digits, sizeof digits, "%" PRIu64, number);
    for (int i = 0; i < length; i++) {
        if (i > 0 && (length - i) % 3 == 0)
            buf_add_char(out, ' ');
        buf_add_char(out, digits[i]);
    }
}

/* ---- Operations of an anomaly ---- */

static uint32_t partner_of(const struct history *history, uint32_t event)
{
    return history->partner == NULL ? HISTORY_NONE : history->partner[event];
}

struct digest_operation digest_operation(const struct history *history, uint32_t event)
{
    uint32_t partner = partner_of(history, event);
    uint32_t first = partner != HISTORY_NONE && partner < event ? partner : event;
    uint32_t second = first == event ? partner : event;
    struct digest_operation operation = {
        .invocation = first,
        .completion = second,
        .process = history->process[first],
        .f = history_f_name(history, first),
        .outcome = second == HISTORY_NONE ? OP_INFO : (enum op_type)history->type[second],
        .value = history->value[first],
        .from_ns = history->time_ns[first],
        .to_ns = second == HISTORY_NONE ? -1 : history->time_ns[second],
    };
    if (second != HISTORY_NONE && !value_is_nil(history->value[second]) &&
        (operation.outcome == OP_OK || value_is_nil(operation.value)))
        operation.value = history->value[second];
    return operation;
}

size_t digest_operations(const struct digest *digest, const struct json *anomaly,
                         struct digest_operation *operations, size_t most, size_t *total)
{
    const struct history *history = digest->run->history;
    size_t count = 0;
    *total = 0;
    int64_t last = -1;
    for (const struct json *event = json_first(json_get(anomaly, "events")); event != NULL;
         event = json_next(event)) {
        int64_t index = json_as_int(event, -1);
        if (index < 0 || index >= history->count || index <= last)
            continue;
        last = index;
        struct digest_operation operation = digest_operation(history, (uint32_t)index);
        bool known = false;
        for (size_t i = 0; i < count && !known; i++)
            known = operations[i].invocation == operation.invocation;
        if (known)
            continue;
        (*total)++;
        if (count < most)
            operations[count++] = operation;
    }
    return count;
}

const char *digest_key(struct digest *digest, const struct json *anomaly)
{
    const struct json *key = json_get(anomaly, "key");
    if (key == NULL || json_kind(key) == JSON_TEXT)
        return json_as_text(key, NULL);
    struct buf text = BUF_INIT;
    json_print(key, JSON_COMPACT, &text);
    const char *copy = arena_strdup(&digest->arena, buf_text(&text));
    buf_free(&text);
    return copy;
}

bool digest_exit_asked(const struct history *history, uint32_t event)
{
    return value_as_bool(value_get(history->value[event], "asked"));
}
