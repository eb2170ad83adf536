/* Templates of systems of one's own: {{node}}, {{set.port}}, {{each peers ,}}..{{end}}. Two braces,
 * since shells, awk and JSON all have one. */
#include <string.h>

#include "harness/base/text.h"
#include "workloads/systems/own.h"

struct filling {
    const struct own_system *own;
    const struct plan *plan; /* NULL: no options are known but by name */
    const struct test *test; /* NULL: only looking */
    uint32_t node;           /* of the template, or of the round of {{each}} */
    enum own_scope scope;
    struct err *err;
};

static const char *const names[] = {
    "node",     "address",        "index",  "nodes",         "addresses",
    "peers",    "peer-addresses", "first",  "first-address", "node-count",
    "data-dir", "workload",       "system", "directory",     "seed"};
enum { NAME_COUNT = sizeof names / sizeof names[0], KNOWN_MAX = NAME_COUNT + 64 };

static enum err_code not_known(const struct filling *filling, const char *name)
{
    const char *known[KNOWN_MAX];
    size_t count = 0;
    struct arena arena = ARENA_INIT;
    for (; count < NAME_COUNT; count++)
        known[count] = names[count];
    for (const struct option *option = filling->own->system.options;
         option != NULL && option->name != NULL && count < KNOWN_MAX; option++)
        known[count++] = arena_printf(&arena, "set.%s", option->name);
    const char *near = text_nearest(name, known, count);
    enum err_code code =
        err_set(filling->err, ERR_CONFIG, "there is no {{%.60s}}%s%s%s", name,
                near == NULL ? "" : "; did you mean {{", near == NULL ? "" : near,
                near == NULL ? " (node, address, index, nodes, addresses, peers, peer-addresses, "
                               "first, first-address, node-count, data-dir, workload, system, "
                               "directory, seed, set.OPTION, each nodes, each peers)"
                             : "}}?");
    arena_free(&arena);
    return code;
}

static bool is_option(const struct own_system *own, const char *name)
{
    for (const struct option *option = own->system.options; option != NULL && option->name != NULL;
         option++)
        if (strcmp(option->name, name) == 0)
            return true;
    return false;
}

static void add_option(const struct filling *filling, const char *name, struct buf *out)
{
    struct buf full = BUF_INIT;
    buf_printf(&full, "%s.%s", filling->own->system.name, name);
    if (filling->plan != NULL)
        buf_add_text(out, option_text(&filling->plan->options, full.data));
    buf_free(&full);
}

static void add_nodes(const struct filling *filling, bool self, bool addresses, struct buf *out)
{
    const struct test *test = filling->test;
    bool first = true;
    for (uint32_t i = 0; i < test->node_count; i++) {
        if (i == filling->node && !self)
            continue;
        buf_printf(out, "%s%s", first ? "" : ",",
                   addresses ? node_peer_address(&test->nodes[i]) : test->nodes[i].name);
        first = false;
    }
}

static enum err_code add_named(const struct filling *filling, const char *name, struct buf *out)
{
    const struct test *test = filling->test;
    const struct own_system *own = filling->own;
    size_t which = 0;
    if (text_starts(name, "set.") && is_option(own, name + 4)) {
        add_option(filling, name + 4, out);
        return ERR_NONE;
    }
    while (which < NAME_COUNT && strcmp(names[which], name) != 0)
        which++;
    if (which == NAME_COUNT)
        return not_known(filling, name);
    if (which == 10 && !own->has_data_dir)
        return err_set(filling->err, ERR_CONFIG, "{{data-dir}}: there is no \"data-dir\"");
    if (which < 10 && filling->scope == OWN_HERE)
        return err_set(filling->err, ERR_CONFIG,
                       "{{%s}} is not known here; what a client is to know of nodes it is told "
                       "when it is opened",
                       name);
    if (test == NULL && which < 10)
        return ERR_NONE;
    switch (which) {
    case 0:
        buf_add_text(out, test->nodes[filling->node].name);
        break;
    case 1:
        buf_add_text(out, node_peer_address(&test->nodes[filling->node]));
        break;
    case 2:
        buf_printf(out, "%u", filling->node);
        break;
    case 3:
    case 4:
        add_nodes(filling, true, which == 4, out);
        break;
    case 5:
    case 6:
        add_nodes(filling, false, which == 6, out);
        break;
    case 7:
        buf_add_text(out, test->nodes[0].name);
        break;
    case 8:
        buf_add_text(out, node_peer_address(&test->nodes[0]));
        break;
    case 9:
        buf_printf(out, "%u", test->node_count);
        break;
    case 10:
        add_option(filling, "data-dir", out);
        break;
    case 11:
        buf_add_text(out, filling->plan == NULL ? "" : filling->plan->workload->name);
        break;
    case 12:
        buf_add_text(out, own->system.name);
        break;
    case 13:
        buf_add_text(out, own->directory);
        break;
    default:
        buf_printf(out, "%llu",
                   filling->plan == NULL ? 0ULL : (unsigned long long)filling->plan->seed);
    }
    return ERR_NONE;
}

static enum err_code fill(const struct filling *filling, const char *text, size_t length,
                          struct buf *out);

/* "each peers ;" and what is between it and {{end}}. Once for each, with a separator between. */
static enum err_code fill_each(const struct filling *filling, const char *tag, const char *inner,
                               size_t length, struct buf *out)
{
    bool self = text_starts(tag, "nodes");
    const char *separator = tag + 5;
    if ((!self && !text_starts(tag, "peers")) || (*separator != '\0' && *separator != ' '))
        return err_set(filling->err, ERR_CONFIG,
                       "{{each %.40s}}: it is {{each nodes}} or {{each peers}}, and what to put "
                       "between them",
                       tag);
    separator = *separator == '\0' || separator[1] == '\0' ? "," : separator + 1;
    if (strcmp(separator, "\\n") == 0)
        separator = "\n";
    if (filling->scope == OWN_HERE)
        return err_set(filling->err, ERR_CONFIG, "{{each %.40s}}: nodes are not known here", tag);
    struct filling one = *filling;
    if (filling->test == NULL)
        return fill(&one, inner, length, out);
    enum err_code code = ERR_NONE;
    bool first = true;
    for (one.node = 0; one.node < filling->test->node_count && code == ERR_NONE; one.node++) {
        if (one.node == filling->node && !self)
            continue;
        buf_add_text(out, first ? "" : separator);
        first = false;
        code = fill(&one, inner, length, out);
    }
    return code;
}

static enum err_code fill(const struct filling *filling, const char *text, size_t length,
                          struct buf *out)
{
    const char *at = text, *end = text + length;
    while (at < end) {
        const char *open = memmem(at, (size_t)(end - at), "{{", 2);
        if (open == NULL)
            break;
        const char *close = memmem(open, (size_t)(end - open), "}}", 2);
        char tag[96];
        if (close == NULL || (size_t)(close - open) - 2 >= sizeof tag)
            return err_set(filling->err, ERR_CONFIG, "'%.40s' has no }}", open);
        buf_add(out, at, (size_t)(open - at));
        memcpy(tag, open + 2, (size_t)(close - open) - 2);
        tag[close - open - 2] = '\0';
        at = close + 2;
        enum err_code code;
        if (text_starts(tag, "each ")) {
            const char *stop = memmem(at, (size_t)(end - at), "{{end}}", 7);
            if (stop == NULL)
                return err_set(filling->err, ERR_CONFIG, "{{%s}} has no {{end}}", tag);
            code = fill_each(filling, tag + 5, at, (size_t)(stop - at), out);
            at = stop + 7;
        } else {
            code = add_named(filling, tag, out);
        }
        if (code != ERR_NONE)
            return code;
    }
    buf_add(out, at, (size_t)(end - at));
    return ERR_NONE;
}

enum err_code own_fill(const struct own_system *own, const struct plan *plan,
                       const struct test *test, uint32_t node, enum own_scope scope,
                       const char *text, struct buf *out, struct err *err)
{
    const struct filling filling = {
        .own = own, .plan = plan, .test = test, .node = node, .scope = scope, .err = err};
    return fill(&filling, text, strlen(text), out);
}
