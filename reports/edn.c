/* The results as Jepsen's results.edn: one map, :valid? at every level, the checkers by their names
 * at the top. What Jepsen has no place for (what was run, faults, the harness's own problems) is
 * under :ordeal. */
#include <string.h>

#include "harness/histories/edn.h"
#include "reports/reports.h"

static void new_line(struct buf *out, int depth)
{
    buf_add_char(out, '\n');
    for (int i = 0; i < depth; i++)
        buf_add_char(out, ' ');
}

static void print_text(const char *text, struct buf *out)
{
    struct arena scratch = ARENA_INIT;
    value_print(value_string(&scratch, text), out);
    arena_free(&scratch);
}

/* Names become keywords where they read back as such, else they stay strings. */
static void print_key(const char *key, struct buf *out)
{
    if (strcmp(key, "valid") == 0)
        buf_add_text(out, ":valid?");
    else if (edn_is_name(key, strlen(key)))
        buf_printf(out, ":%s", key);
    else
        print_text(key, out);
}

static void print_node(const struct json *node, const char *key, int depth, struct buf *out);

/* All but two, which the top of the results shows elsewhere; NULL: all. */
static void print_members(const struct json *object, const char *const but[2], int depth,
                          struct buf *out)
{
    bool first = true;
    for (const struct json *member = json_first(object); member != NULL;
         member = json_next(member)) {
        const char *key = json_key(member);
        if (but != NULL && (strcmp(key, but[0]) == 0 || strcmp(key, but[1]) == 0))
            continue;
        if (!first)
            new_line(out, depth);
        first = false;
        print_key(key, out);
        buf_add_char(out, ' ');
        print_node(member, key, depth, out);
    }
}

static void print_array(const struct json *array, int depth, struct buf *out)
{
    buf_add_char(out, '[');
    for (const struct json *item = json_first(array); item != NULL; item = json_next(item)) {
        if (item != json_first(array))
            buf_add_char(out, ' ');
        print_node(item, "", depth, out);
    }
    buf_add_char(out, ']');
}

static void print_node(const struct json *node, const char *key, int depth, struct buf *out)
{
    const char *text = json_as_text(node, "");
    switch (json_kind(node)) {
    case JSON_OBJECT:
        buf_add_char(out, '{');
        print_members(node, NULL, depth + 1, out);
        buf_add_char(out, '}');
        break;
    case JSON_ARRAY:
        print_array(node, depth + 1, out);
        break;
    case JSON_TEXT: /* "unknown" is the one text that a verdict may be */
        if (strcmp(key, "valid") == 0 && strcmp(text, "unknown") == 0)
            buf_add_text(out, ":unknown");
        else
            print_text(text, out);
        break;
    case JSON_NULL:
        buf_add_text(out, "nil");
        break;
    default: /* numbers, true and false are written alike */
        json_print(node, JSON_COMPACT, out);
    }
}

static enum err_code write(const struct run *run, FILE *out, struct err *err)
{
    struct buf text = BUF_INIT;
    if (run->results == NULL)
        return err_set(err, ERR_CONFIG, "the run has no results yet: nothing judged it");
    buf_add_text(&text, "{:valid? ");
    print_node(json_get(run->results, "valid"), "valid", 0, &text);
    new_line(&text, 1);
    print_members(json_get(run->results, "checkers"), NULL, 1, &text);
    if (json_first(json_get(run->results, "checkers")) != NULL)
        new_line(&text, 1);
    buf_add_text(&text, ":ordeal {");
    print_members(run->results, (const char *const[]){"valid", "checkers"}, 2, &text);
    buf_add_text(&text, "}}\n");
    return report_put(&text, "the results", out, err);
}

const struct reporter reporter_edn = {
    .name = "edn",
    .summary = "the results as Jepsen's results.edn",
    .file_name = "results.edn",
    .write = write,
};
