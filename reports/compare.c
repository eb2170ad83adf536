/* Two runs side by side: see compare.h. */
#include "reports/compare.h"

#include "harness/checker.h"

static void row(const struct compare *into, const char *name, const char *left, const char *right)
{
    if (*left != '\0' || *right != '\0')
        into->row(into->state, name, left, right);
}

static void print(const struct json *node, struct buf *out)
{
    if (json_kind(node) == JSON_TEXT)
        buf_add_text(out, json_as_text(node, ""));
    else if (node != NULL)
        json_print(node, JSON_COMPACT, out);
}

static void json_row(const struct compare *into, const char *name, const struct json *left,
                     const struct json *right)
{
    struct buf texts[2] = {BUF_INIT, BUF_INIT};
    print(left, &texts[0]);
    print(right, &texts[1]);
    row(into, name, buf_text(&texts[0]), buf_text(&texts[1]));
    buf_free(&texts[0]);
    buf_free(&texts[1]);
}

/* The members of both objects, in the order of the first; nested objects as "set.etcd.reads". */
static void object_rows(const struct compare *into, const char *prefix, const struct json *left,
                        const struct json *right)
{
    const struct json *sides[2] = {left, right};
    for (int side = 0; side < 2; side++)
        for (const struct json *item = json_first(sides[side]); item != NULL;
             item = json_next(item)) {
            const char *key = json_key(item);
            if (key == NULL || (side == 1 && json_get(left, key) != NULL))
                continue;
            struct buf name = BUF_INIT;
            buf_printf(&name, "%s%s", prefix, key);
            if (json_kind(item) == JSON_OBJECT) {
                buf_add_char(&name, '.');
                object_rows(into, buf_text(&name), json_get(left, key), json_get(right, key));
            } else {
                json_row(into, buf_text(&name), json_get(left, key), json_get(right, key));
            }
            buf_free(&name);
        }
}

static const char *verdict_of(const struct json *results)
{
    return results == NULL ? "" : verdict_name(verdict_from_json(json_get(results, "valid")));
}

static const char *state_of(const struct compare_side *side)
{
    return side->state != NULL ? side->state : verdict_of(side->results);
}

static void checker_rows(const struct compare_side sides[2], const struct compare *into)
{
    const struct json *judged[2];
    for (int i = 0; i < 2; i++)
        judged[i] = json_get(sides[i].results, "checkers");
    for (int side = 0; side < 2; side++)
        for (const struct json *one = json_first(judged[side]); one != NULL; one = json_next(one)) {
            if (json_key(one) == NULL || (side == 1 && json_get(judged[0], json_key(one)) != NULL))
                continue;
            struct buf texts[2] = {BUF_INIT, BUF_INIT};
            for (int i = 0; i < 2; i++) {
                const struct json *its = json_get(judged[i], json_key(one));
                if (its != NULL)
                    buf_printf(&texts[i], "%s: %s", verdict_of(its),
                               json_as_text(json_get(its, "reason"), ""));
            }
            row(into, json_key(one), buf_text(&texts[0]), buf_text(&texts[1]));
            buf_free(&texts[0]);
            buf_free(&texts[1]);
        }
}

void compare_runs(const struct compare_side sides[2], const struct compare *into)
{
    const struct json *stats[2];
    into->section(into->state, "Verdicts");
    row(into, "verdict", state_of(&sides[0]), state_of(&sides[1]));
    checker_rows(sides, into);
    into->section(into->state, "Facts");
    object_rows(into, "", json_get(sides[0].results, "test"), json_get(sides[1].results, "test"));
    for (int i = 0; i < 2; i++)
        stats[i] = json_get(json_get(json_get(sides[i].results, "checkers"), "stats"), "by-f");
    into->section(into->state, "Operations");
    object_rows(into, "", stats[0], stats[1]);
    into->section(into->state, "Plans");
    object_rows(into, "", sides[0].plan, sides[1].plan);
}
