/* Options that a plug-in declares, set by `--set owner.name=value` or {"set": {"owner.name":
 * value}}.
 *
 * The owner is the plug-in's name, so `etcd.reads` belongs to the system etcd. Unknown owners,
 * names and values are refused before the run, with the nearest right one. */
#ifndef ORDEAL_OPTION_H
#define ORDEAL_OPTION_H

#include <stdbool.h>
#include <stdint.h>

#include "harness/base/json.h"

enum option_kind {
    OPTION_TEXT,
    OPTION_CHOICE,
    OPTION_CHOICES, /* several, separated by commas */
    OPTION_INT,
    OPTION_REAL,
    OPTION_BOOL,
    OPTION_DURATION,
    OPTION_PATTERN, /* an extended regular expression; may be empty */
};

struct option {
    const char *name;
    enum option_kind kind;
    const char *fallback; /* the default, as one would write it */
    const char *choices;  /* OPTION_CHOICE, OPTION_CHOICES: "linearizable|serializable" */
    const char *help;     /* one sentence */
};

/* Ends with .name == NULL. */
extern const struct option no_options[];

/* Values in force: the flat object {"owner.name": text} with every declared option present. */
struct options {
    struct json *values;
};

const char *option_text(const struct options *options, const char *full_name);
int64_t option_int(const struct options *options, const char *full_name);
double option_real(const struct options *options, const char *full_name);
bool option_bool(const struct options *options, const char *full_name);
int64_t option_duration_ns(const struct options *options, const char *full_name);

/* Sets the defaults of `owner`'s options where absent. */
void option_defaults(struct options *options, const char *owner, const struct option *declared);
/* Checks a value against its declaration: "etcd.reads: 'x' is none of linearizable|serializable".
 */
enum err_code option_check(const struct option *declared, const char *owner, const char *value,
                           struct err *err);

#endif
