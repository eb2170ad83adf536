/* JSON documents: plans, results, machine-readable output. cJSON does the work, behind this file.
 *
 * A document is a tree owned by its root: json_free(root) frees all of it; a node given to json_set
 * or json_add belongs to its parent. Integers are exact up to 2^53. */
#ifndef ORDEAL_BASE_JSON_H
#define ORDEAL_BASE_JSON_H

#include <stdbool.h>
#include <stdint.h>

#include "harness/base/buf.h"

struct json; /* opaque */
enum json_kind { JSON_NULL, JSON_BOOL, JSON_NUMBER, JSON_TEXT, JSON_ARRAY, JSON_OBJECT };

/* `text` has a NUL behind its `length` bytes, as a buf has. `name` is the file's, for messages such
 * as "plan.json:3:14: ...". The caller frees *root. */
enum err_code json_parse(const char *text, size_t length, const char *name, struct json **root,
                         struct err *err);
enum err_code json_read_file(const char *path, struct json **root, struct err *err);
void json_free(struct json *root);

struct json *json_object(void);
struct json *json_array(void);
struct json *json_text(const char *text);
struct json *json_int(int64_t value);
struct json *json_real(double value); /* NaN and infinities become null */
struct json *json_bool(bool value);
struct json *json_null(void);
struct json *json_copy(const struct json *node);

/* Replace the member of that name, or add it at the end. They return the child. */
struct json *json_set(struct json *object, const char *key, struct json *child);
struct json *json_set_text(struct json *object, const char *key, const char *text);
struct json *json_set_int(struct json *object, const char *key, int64_t value);
struct json *json_set_real(struct json *object, const char *key, double value);
struct json *json_set_bool(struct json *object, const char *key, bool value);
void json_remove(struct json *object, const char *key);
struct json *json_add(struct json *array, struct json *child);

/* All readers take NULL and answer NULL / the absent value, so that paths can be chained. */
enum json_kind json_kind(const struct json *node);
struct json *json_get(const struct json *object, const char *key);
struct json *json_at(const struct json *array, size_t index); /* linear: use json_first/json_next */
size_t json_count(const struct json *node);
struct json *json_first(const struct json *node); /* first child of an array or object */
struct json *json_next(const struct json *child);
const char *json_key(const struct json *child); /* name within its object */
const char *json_as_text(const struct json *node, const char *absent);
double json_as_real(const struct json *node, double absent);
int64_t json_as_int(const struct json *node, int64_t absent);
bool json_as_bool(const struct json *node, bool absent);

enum json_style { JSON_COMPACT, JSON_PRETTY };
void json_print(const struct json *node, enum json_style style, struct buf *out);

/* A document with the text that it was parsed from, for telling where in it something is. */
struct json_source {
    const char *name; /* the file's */
    const char *text;
    const struct json *root; /* as parsed from `text`, unchanged since */
};
/* The line, from 1, on which `node` (a member: its name) begins; 0 when it is none of the root's.
 */
int json_line_at(const struct json_source *source, const struct json *node);
/* "plan.json:7" */
void json_where(const struct json_source *source, const struct json *node, char *where,
                size_t size);
/* "FILE:LINE: " and the message, as ERR_CONFIG. */
enum err_code json_refuse(const struct json_source *source, const struct json *node,
                          struct err *err, const char *format, ...) FORMAT(4, 5);

#endif
