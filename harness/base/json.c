/* JSON documents: the one file that meets cJSON. See json.h. */
#include "harness/base/json.h"

#include <cJSON.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/base/text.h"

enum { FILE_LIMIT = 1 << 30 };

static cJSON *raw(const struct json *node)
{
    return (cJSON *)(uintptr_t)node;
}

static struct json *wrap(cJSON *node)
{
    if (node == NULL) {
        fprintf(stderr, "ordeal: out of memory for a JSON document\n");
        abort();
    }
    return (struct json *)node;
}

static struct json *maybe(cJSON *node)
{
    return (struct json *)node;
}

static void locate(const char *text, const char *at, int *line, int *column)
{
    *line = 1;
    *column = 1;
    for (; text < at && *text != '\0'; text++) {
        if (*text == '\n') {
            (*line)++;
            *column = 0;
        }
        (*column)++;
    }
}

enum err_code json_parse(const char *text, size_t length, const char *name, struct json **root,
                         struct err *err)
{
    const char *end = NULL;
    /* +1: the terminating NUL counts, so that trailing garbage is seen as such */
    cJSON *parsed = cJSON_ParseWithLengthOpts(text, length + 1, &end, 1);
    if (parsed == NULL) {
        int line, column;
        if (end == NULL)
            end = text;
        locate(text, end, &line, &column);
        char near[24];
        snprintf(near, sizeof near, "%.20s", end);
        return err_set(err, ERR_PARSE, "%s:%d:%d: not JSON%s%s%s", name, line, column,
                       *near ? " near '" : ": the text ends too early", near, *near ? "'" : "");
    }
    *root = wrap(parsed);
    return ERR_NONE;
}

enum err_code json_read_file(const char *path, struct json **root, struct err *err)
{
    struct buf text = BUF_INIT;
    enum err_code code = file_read(path, FILE_LIMIT, &text, err);
    if (code == ERR_NONE)
        code = json_parse(text.data, text.length, path, root, err);
    buf_free(&text);
    return code;
}

void json_free(struct json *root)
{
    cJSON_Delete(raw(root));
}

struct json *json_object(void)
{
    return wrap(cJSON_CreateObject());
}

struct json *json_array(void)
{
    return wrap(cJSON_CreateArray());
}

/* Text from nodes and databases need not be UTF-8; JSON must be. Wrong bytes become '?'. */
struct json *json_text(const char *text)
{
    size_t length = strlen(text), at = 0, size;
    while (at < length && (size = text_utf8(text + at, length - at)) > 0)
        at += size;
    if (at == length)
        return wrap(cJSON_CreateString(text));
    char *clean = strdup(text);
    if (clean == NULL)
        return wrap(NULL);
    for (; at < length; at += size) {
        size = text_utf8(clean + at, length - at);
        if (size == 0) {
            clean[at] = '?';
            size = 1;
        }
    }
    struct json *node = wrap(cJSON_CreateString(clean));
    free(clean);
    return node;
}

struct json *json_int(int64_t value)
{
    return wrap(cJSON_CreateNumber((double)value));
}

struct json *json_real(double value)
{
    return isfinite(value) ? wrap(cJSON_CreateNumber(value)) : json_null();
}

struct json *json_bool(bool value)
{
    return wrap(cJSON_CreateBool(value));
}

struct json *json_null(void)
{
    return wrap(cJSON_CreateNull());
}

struct json *json_copy(const struct json *node)
{
    return wrap(cJSON_Duplicate(raw(node), 1));
}

struct json *json_set(struct json *object, const char *key, struct json *child)
{
    if (cJSON_GetObjectItemCaseSensitive(raw(object), key) != NULL)
        cJSON_ReplaceItemInObjectCaseSensitive(raw(object), key, raw(child));
    else
        cJSON_AddItemToObject(raw(object), key, raw(child));
    return child;
}

struct json *json_set_text(struct json *object, const char *key, const char *text)
{
    return json_set(object, key, json_text(text));
}

struct json *json_set_int(struct json *object, const char *key, int64_t value)
{
    return json_set(object, key, json_int(value));
}

struct json *json_set_real(struct json *object, const char *key, double value)
{
    return json_set(object, key, json_real(value));
}

struct json *json_set_bool(struct json *object, const char *key, bool value)
{
    return json_set(object, key, json_bool(value));
}

void json_remove(struct json *object, const char *key)
{
    cJSON_DeleteItemFromObjectCaseSensitive(raw(object), key);
}

struct json *json_add(struct json *array, struct json *child)
{
    cJSON_AddItemToArray(raw(array), raw(child));
    return child;
}

enum json_kind json_kind(const struct json *node)
{
    const cJSON *item = raw(node);
    if (cJSON_IsObject(item))
        return JSON_OBJECT;
    if (cJSON_IsArray(item))
        return JSON_ARRAY;
    if (cJSON_IsString(item))
        return JSON_TEXT;
    if (cJSON_IsNumber(item))
        return JSON_NUMBER;
    return cJSON_IsBool(item) ? JSON_BOOL : JSON_NULL;
}

struct json *json_get(const struct json *object, const char *key)
{
    return maybe(cJSON_GetObjectItemCaseSensitive(raw(object), key));
}

struct json *json_at(const struct json *array, size_t index)
{
    return maybe(cJSON_GetArrayItem(raw(array), (int)index));
}

size_t json_count(const struct json *node)
{
    return node == NULL ? 0 : (size_t)cJSON_GetArraySize(raw(node));
}

struct json *json_first(const struct json *node)
{
    return node == NULL ? NULL : maybe(raw(node)->child);
}

struct json *json_next(const struct json *child)
{
    return child == NULL ? NULL : maybe(raw(child)->next);
}

const char *json_key(const struct json *child)
{
    return child == NULL || raw(child)->string == NULL ? "" : raw(child)->string;
}

const char *json_as_text(const struct json *node, const char *absent)
{
    return json_kind(node) == JSON_TEXT ? raw(node)->valuestring : absent;
}

double json_as_real(const struct json *node, double absent)
{
    return json_kind(node) == JSON_NUMBER ? raw(node)->valuedouble : absent;
}

int64_t json_as_int(const struct json *node, int64_t absent)
{
    double value = json_as_real(node, NAN);
    return value > -9e18 && value < 9e18 ? (int64_t)value : absent;
}

bool json_as_bool(const struct json *node, bool absent)
{
    return json_kind(node) == JSON_BOOL ? cJSON_IsTrue(raw(node)) : absent;
}

/* cJSON prints 15 digits; an integer may have 16. */
static bool needs_digits(const cJSON *item)
{
    double value = item->valuedouble;
    return cJSON_IsNumber(item) && fabs(value) >= 1e15 && fabs(value) <= 0x1p53 &&
           value == trunc(value);
}

static bool any_needs_digits(const cJSON *item)
{
    bool found = needs_digits(item);
    for (const cJSON *child = item->child; child != NULL && !found; child = child->next)
        found = any_needs_digits(child);
    return found;
}

static void spell_out(cJSON *item)
{
    if (needs_digits(item)) {
        char digits[32];
        snprintf(digits, sizeof digits, "%.0f", item->valuedouble);
        item->valuestring = cJSON_malloc(strlen(digits) + 1);
        if (item->valuestring == NULL)
            wrap(NULL);
        strcpy(item->valuestring, digits);
        item->type = cJSON_Raw | (item->type & cJSON_StringIsConst);
    }
    for (cJSON *child = item->child; child != NULL; child = child->next)
        spell_out(child);
}

static char *print(const cJSON *item, enum json_style style)
{
    char *text = style == JSON_PRETTY ? cJSON_Print(item) : cJSON_PrintUnformatted(item);
    if (text == NULL)
        wrap(NULL);
    return text;
}

void json_print(const struct json *node, enum json_style style, struct buf *out)
{
    char *text;
    if (node != NULL && any_needs_digits(raw(node))) {
        cJSON *spelt = raw(json_copy(node));
        spell_out(spelt);
        text = print(spelt, style);
        cJSON_Delete(spelt);
    } else {
        text = print(raw(node), style);
    }
    buf_add_text(out, text);
    cJSON_free(text);
}

/* The values of a document, in the order of its text, are its nodes in the order of a walk that
 * takes a node before its children: the number of one in the walk finds its place in the text. */
static bool number_of(const struct json *at, const struct json *node, size_t *number)
{
    if (at == node)
        return true;
    (*number)++;
    bool nested = json_kind(at) == JSON_ARRAY || json_kind(at) == JSON_OBJECT;
    for (const struct json *child = nested ? json_first(at) : NULL; child != NULL;
         child = json_next(child))
        if (number_of(child, node, number))
            return true;
    return false;
}

static const char *skip_text(const char *quote)
{
    const char *c = quote + 1;
    for (; *c != '\0' && *c != '"'; c++)
        c += *c == '\\' && c[1] != '\0';
    return *c == '\0' ? c : c + 1;
}

int json_line_at(const struct json_source *source, const struct json *node)
{
    size_t wanted = 0, number = 0;
    if (node == NULL || !number_of(source->root, node, &wanted))
        return 0;
    int line = 1, key_line = 0;
    for (const char *c = source->text; *c != '\0';) {
        if (strchr(" \t\r\n,:]}", *c) != NULL) {
            line += *c++ == '\n';
            continue;
        }
        const char *end = *c == '"' ? skip_text(c) : c + 1;
        if (*c == '"' && end[strspn(end, " \t\r\n")] == ':') {
            key_line = line;
        } else {
            if (number++ == wanted)
                return key_line > 0 ? key_line : line;
            key_line = 0;
            if (strchr("\"{[", *c) == NULL)
                end = c + strcspn(c, " \t\r\n,]}");
        }
        c = end;
    }
    return 0;
}

void json_where(const struct json_source *source, const struct json *node, char *where, size_t size)
{
    snprintf(where, size, "%.400s:%d", source->name, json_line_at(source, node));
}

enum err_code json_refuse(const struct json_source *source, const struct json *node,
                          struct err *err, const char *format, ...)
{
    char where[512], text[ERR_MESSAGE_MAX];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    json_where(source, node, where, sizeof where);
    return err_set(err, ERR_CONFIG, "%s: %s", where, text);
}
