/* What is asked of a bad network: kinds and amounts of options, shapes as values of a history. */
#ifndef ORDEAL_NEMESES_PACKETS_ASKED_H
#define ORDEAL_NEMESES_PACKETS_ASKED_H

#include "harness/packets.h"

/* Those that random draws from, as packets.kind has them; the composed ones are last. */
extern const char *const packets_kinds[];
/* How many of them, from the first: netem makes no twins of what it also loses, and holds nothing
 * back beside a delay. */
size_t packets_kinds_drawn(const struct test *test);

/* Of kinds joined by +, with what the options say of each. ERR_CONFIG names what is no kind. */
enum err_code packets_shape_of(const struct test *test, const char *kinds,
                               struct network_shape *shape, struct err *err);
enum err_code packets_check_amounts(const struct test *test, struct err *err);
enum shape_means packets_means(const struct test *test);

/* {:delay-us 50000 ...}, and back. */
struct value packets_shape_value(const struct network_shape *shape, struct arena *arena);
enum err_code packets_read_shape(struct value value, struct network_shape *shape, struct err *err);

#endif
