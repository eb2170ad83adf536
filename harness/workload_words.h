/* The shapes of values that operations answer: a small language, so that a client from outside
 * which answers something else is told so, and nothing that it cannot have meant is judged.
 *
 *   nil int text bool any   a value of that kind
 *   same                    what was asked at this place
 *   :name                   that keyword, where it was asked
 *   SHAPE?                  that, or nil
 *   SHAPE | SHAPE           one of these
 *   [SHAPE SHAPE]           a vector of exactly these
 *   [SHAPE*]                any number of them        [SHAPE..]  as many as were asked
 *   {:key SHAPE}            a map with at least these
 *   (SHAPE)                 that
 *
 * A client speaks plain JSON, where a keyword is a string: where a keyword is expected, or was
 * asked, the string is taken for it. */
#ifndef ORDEAL_WORKLOAD_WORDS_H
#define ORDEAL_WORKLOAD_WORDS_H

#include "harness/value.h"
#include "harness/workload.h"

/* Whether `answered` fits; then *taken is what goes into the history, in `arena`. */
bool word_take(const char *shape, struct value asked, struct value answered, struct arena *arena,
               struct value *taken);
/* Whether a shape follows the language. */
bool word_shape_is_good(const char *shape);
/* The workload's word for that function; NULL: it has none. */
const struct word *word_find(const struct workload *workload, const char *f);

#endif
