/* Errors: what went wrong with the harness itself, told once, in one line.
 *
 * An error is not an outcome (data), not a verdict (a result) and not a bug (an assert). A fallible
 * function returns `enum err_code`, takes `struct err *` last, says what it tried on what, and
 * leaves its out parameters alone on failure. Each caller that knows more prefixes it on the way
 * up, so that the user reads "n2: upload agent: No space left on device". */
#ifndef ORDEAL_BASE_ERR_H
#define ORDEAL_BASE_ERR_H

#include <stdarg.h>
#include <stddef.h>

#define MUST_CHECK __attribute__((warn_unused_result))
#define FORMAT(format_index, first) __attribute__((format(printf, format_index, first)))

enum err_code {
    ERR_NONE = 0,
    ERR_NOMEM,
    ERR_IO,
    ERR_TIMEOUT,
    ERR_REMOTE,      /* a node or a command on it refused */
    ERR_PARSE,       /* input that does not follow its format */
    ERR_CONFIG,      /* arguments or a plan that cannot be meant: exit status 254 */
    ERR_UNSUPPORTED, /* right, but not possible here */
    ERR_CANCELLED,   /* the user interrupted */
};

enum { ERR_MESSAGE_MAX = 1024 };

struct err {
    enum err_code code;
    char message[ERR_MESSAGE_MAX];
};

/* Fills `err` (which may be NULL) and returns `code`. Newlines in the result become spaces: an
 * error is one line wherever its parts come from. */
enum err_code err_set(struct err *err, enum err_code code, const char *format, ...) FORMAT(3, 4);

/* As err_set, and appends ": " and strerror(errno_value). */
enum err_code err_errno(struct err *err, int errno_value, const char *format, ...) FORMAT(3, 4);

/* Puts "<formatted>: " before the message; returns the code that is already there. */
enum err_code err_wrap(struct err *err, const char *format, ...) FORMAT(2, 3);

/* What is told of something that failed halfway and was undone: `cause`; and when undoing it failed
 * too (`back` is not NULL), that. */
enum err_code err_undone(struct err *err, enum err_code code, const struct err *cause,
                         const struct err *back);

#define ERR_INIT ((struct err){.code = ERR_NONE})

#endif
