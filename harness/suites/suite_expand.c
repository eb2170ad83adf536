/* Matrices of suites: see suite_internal.h. */
#include <stdio.h>
#include <string.h>

#include "harness/base/text.h"
#include "harness/suites/suite_internal.h"

enum { AXES_MAX = 16 };

struct expansion {
    struct arena *arena;
    const struct json_source *source;
    const struct json *exclude;
    suite_take_combination *take;
    void *state;
    struct suite_choice choices[AXES_MAX];
    size_t axis_count;
    const struct json *axes[AXES_MAX];
};

const char *suite_plain_name(struct arena *arena, const char *text)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                "-_.,=+";
    char *name = arena_strdup(arena, text);
    for (char *c = name; *c != '\0'; c++)
        if (strchr(plain, *c) == NULL)
            *c = '_';
    if (*name == '.')
        *name = '_';
    return name;
}

/* {"etcd.reads": "serializable"} is told as "reads=serializable". */
static const char *label_of_options(struct arena *arena, const struct json *options)
{
    struct buf text = BUF_INIT;
    for (const struct json *one = json_first(options); one != NULL; one = json_next(one)) {
        const char *dot = strchr(json_key(one), '.'), *value = plan_scalar_text(arena, one);
        buf_printf(&text, "%s%s=%s", text.length > 0 ? "," : "",
                   dot == NULL ? json_key(one) : dot + 1, value == NULL ? "" : value);
    }
    const char *label = arena_strdup(arena, text.length > 0 ? buf_text(&text) : "default");
    buf_free(&text);
    return label;
}

static enum err_code label_of(struct expansion *work, const struct json *axis,
                              const struct json *value, const char **label, struct err *err)
{
    if (json_kind(axis) == JSON_OBJECT) {
        if (json_kind(value) != JSON_OBJECT)
            return json_refuse(work->source, value, err,
                               "matrix: %s: %s must be an object of a plan's fields",
                               json_key(axis), json_key(value));
        *label = json_key(value);
    } else if (strcmp(json_key(axis), "set") == 0 && json_kind(value) == JSON_OBJECT) {
        *label = label_of_options(work->arena, value);
    } else {
        *label = plan_scalar_text(work->arena, value);
        if (*label == NULL)
            return json_refuse(
                work->source, value, err,
                "matrix: %s: its values must be texts, numbers, booleans or lists of texts; what "
                "has several fields needs a label: \"%s\": {\"LABEL\": {..}, ..}",
                json_key(axis), json_key(axis));
    }
    return ERR_NONE;
}

static bool is_excluded(const struct expansion *work)
{
    for (const struct json *one = json_first(work->exclude); one != NULL; one = json_next(one)) {
        bool all = true;
        for (const struct json *axis = json_first(one); axis != NULL; axis = json_next(axis))
            for (size_t i = 0; i < work->axis_count; i++)
                if (strcmp(json_key(work->axes[i]), json_key(axis)) == 0) {
                    const char *label = plan_scalar_text(work->arena, axis);
                    all = all && label != NULL && strcmp(label, work->choices[i].label) == 0;
                }
        if (all)
            return true;
    }
    return false;
}

static enum err_code take_one(struct expansion *work, struct err *err)
{
    if (is_excluded(work))
        return ERR_NONE;
    struct buf label = BUF_INIT;
    for (size_t i = 0; i < work->axis_count; i++)
        buf_printf(&label, "%s%s", i > 0 ? "-" : "", work->choices[i].label);
    struct suite_combination combination = {work->choices, work->axis_count,
                                            arena_strdup(work->arena, buf_text(&label))};
    buf_free(&label);
    return work->take(work->state, &combination, err);
}

static enum err_code expand_axis(struct expansion *work, size_t axis, struct err *err)
{
    if (axis == work->axis_count)
        return take_one(work, err);
    for (const struct json *value = json_first(work->axes[axis]); value != NULL;
         value = json_next(value)) {
        struct suite_choice *choice = &work->choices[axis];
        *choice = (struct suite_choice){.axis = work->axes[axis], .value = value};
        if (label_of(work, work->axes[axis], value, &choice->label, err) != ERR_NONE ||
            expand_axis(work, axis + 1, err) != ERR_NONE)
            return err->code;
    }
    return ERR_NONE;
}

/* ---- Checking ---- */

static bool is_field(const char *name)
{
    const struct plan_field *field = plan_fields;
    while (field->name != NULL && strcmp(field->name, name) != 0)
        field++;
    return field->name != NULL;
}

static enum err_code take_axes(struct expansion *work, const struct json *matrix, struct err *err)
{
    for (const struct json *axis = json_first(matrix); axis != NULL; axis = json_next(axis)) {
        enum json_kind kind = json_kind(axis);
        if ((kind != JSON_ARRAY && kind != JSON_OBJECT) || json_count(axis) == 0)
            return json_refuse(work->source, axis, err,
                               "matrix: %s must be a list of values, or an object of labels with "
                               "a plan's fields, with one at least",
                               json_key(axis));
        if (kind == JSON_ARRAY && !is_field(json_key(axis)))
            return json_refuse(work->source, axis, err,
                               "matrix: a plan has no field '%s' that could have these values; "
                               "an axis of several fields is an object: \"%s\": {\"LABEL\": {..}}",
                               json_key(axis), json_key(axis));
        if (work->axis_count == AXES_MAX)
            return json_refuse(work->source, axis, err, "matrix: it has more than %d axes",
                               AXES_MAX);
        work->axes[work->axis_count++] = axis;
    }
    return ERR_NONE;
}

static bool has_label(struct expansion *work, const struct json *axis, const char *wanted)
{
    for (const struct json *value = json_first(axis); value != NULL; value = json_next(value)) {
        const char *label;
        if (label_of(work, axis, value, &label, NULL) == ERR_NONE && strcmp(label, wanted) == 0)
            return true;
    }
    return false;
}

/* An exclusion that matches nothing would look like one that does. */
static enum err_code check_exclude(struct expansion *work, const struct json *matrix,
                                   struct err *err)
{
    if (work->exclude != NULL && json_kind(work->exclude) != JSON_ARRAY)
        return json_refuse(work->source, work->exclude, err,
                           "exclude must be a list of objects: [{\"AXIS\": \"LABEL\"}, ..]");
    for (const struct json *one = json_first(work->exclude); one != NULL; one = json_next(one)) {
        if (json_kind(one) != JSON_OBJECT || json_count(one) == 0)
            return json_refuse(work->source, one, err,
                               "exclude: each must be an object: {\"AXIS\": \"LABEL\"}");
        for (const struct json *axis = json_first(one); axis != NULL; axis = json_next(axis)) {
            const struct json *of = json_get(matrix, json_key(axis));
            const char *label = plan_scalar_text(work->arena, axis);
            if (of == NULL)
                return json_refuse(work->source, axis, err, "exclude: the matrix has no axis '%s'",
                                   json_key(axis));
            if (label == NULL || !has_label(work, of, label))
                return json_refuse(work->source, axis, err,
                                   "exclude: the matrix's axis %s has no '%s'", json_key(axis),
                                   label == NULL ? "" : label);
        }
    }
    return ERR_NONE;
}

enum err_code suite_expand(struct arena *arena, const struct json_source *source,
                           const struct json *matrix, const struct json *exclude,
                           suite_take_combination *take, void *state, struct err *err)
{
    struct expansion work = {
        .arena = arena, .source = source, .exclude = exclude, .take = take, .state = state};
    if (matrix != NULL && json_kind(matrix) != JSON_OBJECT)
        return json_refuse(source, matrix, err, "matrix must be an object of axes");
    if (take_axes(&work, matrix, err) != ERR_NONE || check_exclude(&work, matrix, err) != ERR_NONE)
        return err->code;
    return expand_axis(&work, 0, err);
}
