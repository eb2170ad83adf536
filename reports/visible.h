/* Text from outside, made fit to be shown.
 *
 * Values, errors and evidence come from systems under test and may hold anything: terminal escapes,
 * NUL, malformed UTF-8, characters that turn the direction of writing. Nothing of that reaches a
 * terminal, a page or an XML parser: what cannot be seen is spelt out ("\x1b", "\u202e"). */
#ifndef ORDEAL_REPORTS_VISIBLE_H
#define ORDEAL_REPORTS_VISIBLE_H

#include "harness/base/buf.h"

enum visible_newlines {
    VISIBLE_LINE,  /* newlines and tabs are spelt out: the result is one line */
    VISIBLE_PROSE, /* newlines stay, tabs become blanks */
};
void visible_add(struct buf *out, const char *text, size_t length, enum visible_newlines newlines);

/* Columns that visible text takes on a terminal: East Asian wide characters count two, combining
 * marks none. */
size_t visible_columns(const char *text, size_t length);
/* Bytes of the longest beginning that takes at most `columns`; whole characters. */
size_t visible_fit(const char *text, size_t length, size_t columns);

/* As visible_add on one line, cut to `columns` (at least 3) with "..." at its end. */
void visible_add_cut(struct buf *out, const char *text, size_t length, size_t columns);

/* As visible_add, and safe as text or as a quoted attribute's value in HTML and XML. */
void markup_add(struct buf *out, const char *text, size_t length, enum visible_newlines newlines);
void markup_add_text(struct buf *out, const char *text); /* one line */

/* Adds `text`, wrapped between words at `width` columns, each line after `indent` blanks (the first
 * one too, unless it continues a line that is already `column` wide). Ends without a newline. A
 * word longer than a line is broken. */
void visible_wrap(struct buf *out, const char *text, size_t width, size_t indent, size_t column);

#endif
