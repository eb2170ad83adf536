/* Options that plug-ins declare: see option.h. */
#include "harness/option.h"

#include <assert.h>
#include <errno.h>
#include <regex.h>
#include <stdlib.h>
#include <string.h>

#include "harness/base/clock.h"

const struct option no_options[] = {{.name = NULL}};

const char *option_text(const struct options *options, const char *full_name)
{
    const char *text = json_as_text(json_get(options->values, full_name), NULL);
    assert(text != NULL); /* every declared option has a value: option_defaults */
    return text;
}

int64_t option_int(const struct options *options, const char *full_name)
{
    return strtoll(option_text(options, full_name), NULL, 10);
}

double option_real(const struct options *options, const char *full_name)
{
    return strtod(option_text(options, full_name), NULL);
}

bool option_bool(const struct options *options, const char *full_name)
{
    return strcmp(option_text(options, full_name), "true") == 0;
}

int64_t option_duration_ns(const struct options *options, const char *full_name)
{
    int64_t ns = 0;
    enum err_code code = clock_parse_duration(option_text(options, full_name), &ns, NULL);
    assert(code == ERR_NONE); /* option_check looked */
    return code == ERR_NONE ? ns : 0;
}

static void full_name(struct buf *out, const char *owner, const char *name)
{
    buf_printf(out, "%s.%s", owner, name);
}

void option_defaults(struct options *options, const char *owner, const struct option *declared)
{
    for (; declared != NULL && declared->name != NULL; declared++) {
        struct buf name = BUF_INIT;
        full_name(&name, owner, declared->name);
        if (json_get(options->values, name.data) == NULL)
            json_set_text(options->values, name.data, declared->fallback);
        buf_free(&name);
    }
}

static bool is_choice(const char *choices, const char *value, size_t length)
{
    for (const char *c = choices; c != NULL; c = strchr(c, '|') == NULL ? NULL : strchr(c, '|') + 1)
        if (strncmp(c, value, length) == 0 && (c[length] == '|' || c[length] == '\0'))
            return length > 0;
    return false;
}

/* Every part of "a,b"; an empty list says nothing, so it is refused too. */
static enum err_code check_choices(const struct option *declared, const char *owner,
                                   const char *value, struct err *err)
{
    for (const char *part = value;; part++) {
        size_t length = strcspn(part, ",");
        if (!is_choice(declared->choices, part, length))
            return err_set(err, ERR_CONFIG, "%s.%s: '%.*s' is none of %s", owner, declared->name,
                           (int)length, part, declared->choices);
        part += length;
        if (*part == '\0')
            return ERR_NONE;
    }
}

static enum err_code check_pattern(const struct option *declared, const char *owner,
                                   const char *value, struct err *err)
{
    regex_t pattern;
    char why[100];
    int failure = regcomp(&pattern, value, REG_EXTENDED | REG_NOSUB);
    if (failure == 0) {
        regfree(&pattern);
        return ERR_NONE;
    }
    regerror(failure, &pattern, why, sizeof why);
    return err_set(err, ERR_CONFIG,
                   "%s.%s: '%.100s' is no extended regular expression: %s (a \\ before a character "
                   "takes it as it is)",
                   owner, declared->name, value, why);
}

enum err_code option_check(const struct option *declared, const char *owner, const char *value,
                           struct err *err)
{
    char *end = NULL;
    int64_t ns;
    errno = 0;
    switch (declared->kind) {
    case OPTION_TEXT:
        return ERR_NONE;
    case OPTION_CHOICE:
        if (is_choice(declared->choices, value, strlen(value)))
            return ERR_NONE;
        return err_set(err, ERR_CONFIG, "%s.%s: '%s' is none of %s", owner, declared->name, value,
                       declared->choices);
    case OPTION_CHOICES:
        return check_choices(declared, owner, value, err);
    case OPTION_INT:
        (void)strtoll(value, &end, 10);
        break;
    case OPTION_REAL:
        (void)strtod(value, &end);
        break;
    case OPTION_BOOL:
        if (strcmp(value, "true") == 0 || strcmp(value, "false") == 0)
            return ERR_NONE;
        return err_set(err, ERR_CONFIG, "%s.%s: '%s' is neither true nor false", owner,
                       declared->name, value);
    case OPTION_DURATION:
        if (clock_parse_duration(value, &ns, err) != ERR_NONE)
            return err_wrap(err, "%s.%s", owner, declared->name);
        return ERR_NONE;
    case OPTION_PATTERN:
        return check_pattern(declared, owner, value, err);
    }
    if (end == value || *end != '\0' || errno != 0)
        return err_set(err, ERR_CONFIG, "%s.%s: '%s' is not a number", owner, declared->name,
                       value);
    return ERR_NONE;
}
