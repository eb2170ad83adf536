/* Which nodes a fault hits: see targets.h. */
#include "nemeses/targets.h"

#include <string.h>

#include "harness/base/clock.h"
#include "harness/base/text.h"

/* Elections take a second or so, several when votes split. */
static const int64_t poll_ns = 100 * NS_PER_MS, leader_timeout_ns = 10 * NS_PER_SECOND;

enum kind { ONE, MINORITY, MAJORITY, ALL, PRIMARIES, MINORITY_THIRD, FOLLOWERS, NAMED, RANDOM };

static const char *const kind_names[] = {"one",       "minority",  "majority",
                                         "all",       "primaries", "minority-third",
                                         "followers", "named",     "random"};
/* What `random` draws among, primaries being the last, which not every system can tell. */
enum { RANDOM_KINDS = PRIMARIES + 1 };

uint32_t targets_majority(uint32_t node_count)
{
    return node_count / 2 + 1;
}

uint32_t targets_minority(uint32_t node_count)
{
    return node_count < 3 ? 1 : (node_count - 1) / 2;
}

uint32_t targets_minority_third(uint32_t node_count)
{
    return (node_count + 2) / 3 - 1;
}

node_set targets_draw(const struct test *test, uint32_t count, struct prng *prng)
{
    uint8_t order[PLAN_NODES_MAX];
    for (uint32_t i = 0; i < test->node_count; i++)
        order[i] = (uint8_t)i;
    prng_shuffle(prng, order, test->node_count, sizeof *order);
    node_set set = 0;
    for (uint32_t i = 0; i < count && i < test->node_count; i++)
        set |= NODE_SET(order[i]);
    return set;
}

enum err_code targets_find_node(const struct test *test, const char *where, const char *name,
                                uint32_t *node, struct err *err)
{
    const char *names[PLAN_NODES_MAX];
    for (uint32_t i = 0; i < test->node_count; i++) {
        names[i] = test->nodes[i].name;
        if (strcmp(names[i], name) == 0) {
            *node = i;
            return ERR_NONE;
        }
    }
    const char *nearest = text_nearest(name, names, test->node_count);
    if (nearest != NULL)
        return err_set(err, ERR_CONFIG, "%s: no node is called '%s'; did you mean %s?", where, name,
                       nearest);
    return err_set(err, ERR_CONFIG, "%s: no node is called '%s'; the nodes are %s%s", where, name,
                   names[0], test->node_count > 1 ? " and so on" : "");
}

/* "n1+n3", which is not empty. */
static enum err_code parse_names(const struct test *test, const char *full_name, const char *text,
                                 node_set *nodes, struct err *err)
{
    struct arena scratch = ARENA_INIT;
    const char **parts;
    size_t count = text_split(&scratch, text, '+', &parts);
    enum err_code code = ERR_NONE;
    node_set set = 0;
    if (count == 0)
        code =
            err_set(err, ERR_CONFIG, "%s: it is empty; write e.g. minority, or n1+n2", full_name);
    for (size_t i = 0; i < count && code == ERR_NONE; i++) {
        uint32_t node = 0;
        code = targets_find_node(test, full_name, parts[i], &node, err);
        set |= code == ERR_NONE ? NODE_SET(node) : 0;
    }
    arena_free(&scratch);
    if (code == ERR_NONE)
        *nodes = set;
    return code;
}

/* NAMED for anything that is no word for a kind. */
static enum kind parse_kind(const char *text)
{
    for (enum kind kind = ONE; kind <= RANDOM; kind++)
        if (kind != NAMED && strcmp(kind_names[kind], text) == 0)
            return kind;
    return NAMED;
}

static bool knows_node(const struct test *test, const char *name)
{
    uint32_t node;
    return targets_find_node(test, "", name, &node, NULL) == ERR_NONE;
}

enum err_code targets_check(const struct test *test, const char *full_name, struct err *err)
{
    const char *text = option_text(&test->plan->options, full_name);
    node_set nodes;
    switch (parse_kind(text)) {
    case NAMED:
        if (strchr(text, '+') == NULL && *text != '\0' && !knows_node(test, text)) {
            const char *word =
                text_nearest(text, kind_names, sizeof kind_names / sizeof *kind_names);
            if (word != NULL && strcmp(word, kind_names[NAMED]) != 0)
                return err_set(err, ERR_CONFIG,
                               "%s: '%s' is neither a kind of target nor a node; did you mean %s?",
                               full_name, text, word);
        }
        return parse_names(test, full_name, text, &nodes, err);
    case PRIMARIES:
    case FOLLOWERS:
        if (test->plan->system->primaries == NULL)
            return err_set(err, ERR_CONFIG,
                           "%s=%s: the system %s cannot tell which nodes lead; choose another "
                           "target",
                           full_name, text, test->plan->system->name);
        if (parse_kind(text) == FOLLOWERS && test->node_count < 2)
            return err_set(err, ERR_CONFIG, "%s=followers: one node follows nobody", full_name);
        return ERR_NONE;
    case MINORITY_THIRD:
        if (targets_minority_third(test->node_count) == 0)
            return err_set(err, ERR_CONFIG,
                           "%s=minority-third: below a third of %u nodes there is none; it needs 4 "
                           "nodes or more",
                           full_name, test->node_count);
        return ERR_NONE;
    default:
        return ERR_NONE;
    }
}

static node_set draw_kind(const struct test *test, enum kind kind, struct prng *prng)
{
    switch (kind) {
    case ONE:
        return targets_draw(test, 1, prng);
    case MINORITY:
        return targets_draw(test, targets_minority(test->node_count), prng);
    case MAJORITY:
        return targets_draw(test, targets_majority(test->node_count), prng);
    case MINORITY_THIRD:
        return targets_draw(test, targets_minority_third(test->node_count), prng);
    default:
        return test_all_nodes(test);
    }
}

struct value targets_choose(const struct test *test, const char *full_name, struct prng *prng,
                            struct arena *arena)
{
    const char *text = option_text(&test->plan->options, full_name);
    enum kind kind = parse_kind(text);
    if (kind == RANDOM)
        kind = (enum kind)prng_below(prng, test->plan->system->primaries != NULL ? RANDOM_KINDS
                                                                                 : PRIMARIES);
    struct value items[] = {value_keyword(arena, "targets"), value_keyword(arena, kind_names[kind]),
                            value_keyword(arena, "nodes"), value_nil()};
    if (kind == PRIMARIES || kind == FOLLOWERS)
        return value_items(arena, VALUE_MAP, items, 2);
    node_set nodes = 0;
    if (kind != NAMED)
        nodes = draw_kind(test, kind, prng);
    else if (parse_names(test, full_name, text, &nodes, NULL) != ERR_NONE)
        nodes = 0; /* not checked: targets_resolve will say that it names nobody */
    items[3] = targets_names(test, nodes, arena, VALUE_VECTOR);
    return value_items(arena, VALUE_MAP, items, 4);
}

struct value targets_add(struct value chosen, const char *key, struct value value,
                         struct arena *arena)
{
    struct value items[32];
    size_t count = 0, most = sizeof items / sizeof *items - 2;
    for (; count < value_count(chosen) && count < most; count++)
        items[count] = value_at(chosen, count);
    items[count++] = value_keyword(arena, key);
    items[count++] = value;
    return value_items(arena, VALUE_MAP, items, count);
}

enum err_code targets_primaries(struct test *test, node_set *nodes, struct err *err)
{
    const struct system *system = test->plan->system;
    if (system->primaries == NULL)
        return err_set(err, ERR_UNSUPPORTED, "the system %s cannot tell which nodes lead",
                       system->name);
    int64_t deadline_ns = test_now_ns(test) + leader_timeout_ns;
    for (;;) {
        node_set set = 0;
        enum err_code code = system->primaries(test, &set, err);
        *nodes = set & test_all_nodes(test);
        if (code == ERR_NONE && *nodes != 0)
            return ERR_NONE;
        if (test_now_ns(test) >= deadline_ns || test_cancelled(test))
            return code != ERR_NONE ? err_wrap(err, "asking %s who leads", system->name)
                                    : err_set(err, ERR_REMOTE, "no node of %s leads at the moment",
                                              system->name);
        clock_sleep_ns(poll_ns);
    }
}

/* Nobody follows when all lead, which a cluster of several groups may do. */
static enum err_code targets_followers(struct test *test, node_set *nodes, struct err *err)
{
    node_set leaders = 0;
    enum err_code code = targets_primaries(test, &leaders, err);
    if (code == ERR_NONE && (test_all_nodes(test) & ~leaders) == 0)
        code = err_set(err, ERR_REMOTE, "every node of %s leads at the moment",
                       test->plan->system->name);
    if (code == ERR_NONE)
        *nodes = test_all_nodes(test) & ~leaders;
    return code;
}

enum err_code targets_resolve(struct test *test, struct value chosen, node_set *nodes,
                              struct err *err)
{
    const char *kind = value_as_text(value_get(chosen, "targets"));
    if (strcmp(kind, kind_names[PRIMARIES]) == 0)
        return targets_primaries(test, nodes, err);
    if (strcmp(kind, kind_names[FOLLOWERS]) == 0)
        return targets_followers(test, nodes, err);
    return targets_read_names(test, value_get(chosen, "nodes"), nodes, err);
}

node_set targets_where(const struct test *test, struct value asked)
{
    node_set nodes = 0;
    if (!value_is_nil(value_get(asked, "who")))
        asked = value_get(asked, "who");
    bool named = strcmp(value_as_text(value_get(asked, "targets")), kind_names[PRIMARIES]) != 0;
    if (named && targets_read_names(test, value_get(asked, "nodes"), &nodes, NULL) == ERR_NONE)
        return nodes;
    return test_all_nodes(test);
}

struct value targets_repeat(const struct test *test, struct value asked, struct value done,
                            node_set nodes, struct arena *arena)
{
    enum { ITEMS_MAX = 32 };
    (void)done;
    struct value items[ITEMS_MAX + 4],
        named[] = {value_keyword(arena, "targets"), value_keyword(arena, kind_names[NAMED]),
                   value_keyword(arena, "nodes"), targets_names(test, nodes, arena, VALUE_VECTOR)};
    size_t count = 0;
    if (!value_is_nil(value_get(asked, "who"))) {
        items[count++] = value_keyword(arena, "who");
        items[count++] = value_items(arena, VALUE_MAP, named, 4);
    } else {
        memcpy(items, named, sizeof named);
        count = 4;
    }
    for (size_t i = 0; i + 1 < value_count(asked) && count + 2 <= ITEMS_MAX; i += 2) {
        const char *key = value_as_text(value_at(asked, i));
        if (strcmp(key, "targets") == 0 || strcmp(key, "nodes") == 0 || strcmp(key, "who") == 0)
            continue;
        items[count++] = value_at(asked, i);
        items[count++] = value_at(asked, i + 1);
    }
    return value_items(arena, VALUE_MAP, items, count);
}

struct value targets_names(const struct test *test, node_set nodes, struct arena *arena,
                           enum value_kind kind)
{
    struct value names[PLAN_NODES_MAX];
    size_t count = 0;
    for (uint32_t i = 0; i < test->node_count; i++)
        if (node_in(nodes, i))
            names[count++] = value_string(arena, test->nodes[i].name);
    return value_items(arena, kind, names, count);
}

enum err_code targets_read_names(const struct test *test, struct value names, node_set *nodes,
                                 struct err *err)
{
    node_set set = 0;
    for (size_t i = 0; i < value_count(names); i++) {
        uint32_t node = 0;
        enum err_code code =
            targets_find_node(test, "the fault", value_as_text(value_at(names, i)), &node, err);
        if (code != ERR_NONE)
            return code;
        set |= NODE_SET(node);
    }
    if (set == 0)
        return err_set(err, ERR_CONFIG, "the fault names no node");
    *nodes = set;
    return ERR_NONE;
}
