/* Nemeses from outside: `--nemesis ./mine.so` or `--nemesis ./mine`. See docs/extending.md.
 *
 * The name of one is that of its file without folders and extension, and its operations are called
 * start-NAME and stop-NAME, so that a history can be read where the file is not there. */
#ifndef ORDEAL_NEMESIS_FILE_H
#define ORDEAL_NEMESIS_FILE_H

#include "harness/nemesis.h"

/* A name with a slash in it, or one that ends in ".so", is a file and not one of `nemeses`. */
bool nemesis_is_file(const char *name);
/* Loads it; it stays to the end of the process. NULL: `err` says what is wrong. A second time it is
 * the same nemesis. One thread. */
const struct nemesis *nemesis_open(const char *path, struct err *err);

/* The file that it was loaded from; NULL: it is one of `nemeses`. */
const char *nemesis_path(const struct nemesis *nemesis);

/* Makes the nemeses of a stored plan known by name without loading any: for those who judge its
 * history. `plan` may be NULL. */
void nemesis_declare(const struct json *plan);
/* One of `nemeses`, or one from outside that was loaded or declared; NULL at the end. */
const struct nemesis *nemesis_at(size_t index);
const struct nemesis *nemesis_named(const char *name); /* also by its file */

/* The names in a stored plan: of its schedule, or of what flags say; each once, and as it was
 * written. The arena owns them. */
size_t nemesis_planned(const struct json *plan, struct arena *arena, const char ***names);
/* The same of the step number `index`, from 0, of those that go on by themselves (one for flags);
 * 0 when there are no more. Of several names such a step draws again and again. */
size_t nemesis_drawn(const struct json *plan, size_t index, struct arena *arena,
                     const char ***names);

#endif
