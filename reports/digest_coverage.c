/* On whom the faults of each nemesis were and in what state the cluster was, in a line each: from
 * what the checker `faults` counted. */
#include <inttypes.h>

#include "reports/digest.h"

const struct json *digest_coverage(const struct digest *digest)
{
    const struct json *judged = json_get(digest->run->results, "checkers");
    return json_first(json_get(json_get(judged, "faults"), "by-nemesis"));
}

static int64_t number(const struct json *one, const char *name)
{
    return json_as_int(json_get(one, name), 0);
}

static void print_nodes(const struct json *nodes, struct buf *out)
{
    const char *before = ", on ";
    for (const struct json *node = json_first(nodes); node != NULL; node = json_next(node)) {
        buf_printf(out, "%s%s (%" PRId64 ")", before, json_key(node), json_as_int(node, 0));
        before = ", ";
    }
}

void digest_coverage_line(const struct json *one, struct buf *out)
{
    int64_t hit = number(one, "primary-hit-count"), spared = number(one, "primary-spared-count");
    int64_t least = json_as_int(json_get(one, "in-flight-min"), -1);
    buf_printf(out, "%s: in force %" PRId64 " of %" PRId64 " times", json_key(one),
               number(one, "in-force-count"), number(one, "tried-count"));
    print_nodes(json_get(one, "nodes"), out);
    if (hit + spared > 0)
        buf_printf(out, "; who led was among them %" PRId64 " of %" PRId64 " times", hit,
                   hit + spared);
    if (least >= 0)
        buf_printf(out, "; %" PRId64 " to %" PRId64 " operations in flight when it began", least,
                   number(one, "in-flight-max"));
}
