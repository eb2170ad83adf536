/* What goes wrong on a strict disk: see strict_faults.h. */
#include "harness/agent/strict_faults.h"

#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/base/clock.h"

const char *const strict_kind_names[STRICT_KINDS] = {
    [STRICT_EIO_READ] = "eio-read",
    [STRICT_EIO_WRITE] = "eio-write",
    [STRICT_EIO_FSYNC] = "eio-fsync",
    [STRICT_SLOW] = "slow",
    [STRICT_FULL] = "full",
    [STRICT_LYING_FSYNC] = "lying-fsync",
    [STRICT_SHORT_WRITE] = "short-write",
};

static const unsigned ops_of_kind[STRICT_KINDS] = {
    [STRICT_EIO_READ] = STRICT_READ,     [STRICT_EIO_WRITE] = STRICT_WRITE,
    [STRICT_EIO_FSYNC] = STRICT_FSYNC,   [STRICT_SLOW] = 0,
    [STRICT_FULL] = STRICT_WRITE,        [STRICT_LYING_FSYNC] = STRICT_FSYNC,
    [STRICT_SHORT_WRITE] = STRICT_WRITE,
};

static const struct {
    const char *name;
    enum strict_op op;
} op_names[] = {{"read", STRICT_READ}, {"write", STRICT_WRITE}, {"fsync", STRICT_FSYNC}};
enum { OPS = sizeof op_names / sizeof *op_names };

/* ---- Reading and printing ---- */

static enum err_code parse_kind(const char *text, enum strict_kind *kind, struct err *err)
{
    for (int k = 0; text != NULL && k < STRICT_KINDS; k++)
        if (strcmp(text, strict_kind_names[k]) == 0) {
            *kind = (enum strict_kind)k;
            return ERR_NONE;
        }
    return err_set(err, ERR_CONFIG,
                   "io: '%.32s' is not eio-read, eio-write, eio-fsync, slow, full, lying-fsync or "
                   "short-write",
                   text == NULL ? "" : text);
}

static enum err_code parse_ops(const struct line *line, struct strict_rule *rule, struct err *err)
{
    uint32_t cursor = 0;
    unsigned asked = 0;
    for (const char *text; (text = line_next(line, "op", &cursor)) != NULL;) {
        unsigned before = asked;
        for (size_t i = 0; i < OPS; i++)
            asked |= strcmp(text, op_names[i].name) == 0 ? op_names[i].op : 0;
        if (asked == before)
            return err_set(err, ERR_CONFIG, "op: '%.32s' is not one more of read, write, fsync",
                           text);
    }
    if (asked != 0 && rule->kind != STRICT_SLOW)
        return err_set(err, ERR_CONFIG, "op: only slow has it; %s says itself what it hits",
                       strict_kind_names[rule->kind]);
    if (rule->kind == STRICT_SLOW)
        rule->ops = asked != 0 ? asked : STRICT_READ | STRICT_WRITE | STRICT_FSYNC;
    else
        rule->ops = ops_of_kind[rule->kind];
    return ERR_NONE;
}

static enum err_code copy(char *target, size_t size, const char *key, const char *text,
                          struct err *err)
{
    if (strlen(text) == 0 || strlen(text) >= size)
        return err_set(err, ERR_CONFIG, "%s: it must have 1 to %zu bytes", key, size - 1);
    memcpy(target, text, strlen(text) + 1);
    return ERR_NONE;
}

enum err_code strict_rule_parse(const struct line *line, struct strict_rule *rule, struct err *err)
{
    const char *id = line_get(line, "id"), *files = line_get(line, "files");
    int64_t delay_ms = line_get_int(line, "delay_ms", 0);
    int64_t chance = line_get_int(line, "chance", STRICT_CHANCE_ALWAYS);
    int64_t bytes = line_get_int(line, "bytes", 0);
    *rule = (struct strict_rule){.seed = (uint64_t)line_get_int(line, "seed", 0)};
    enum err_code code = copy(rule->id, sizeof rule->id, "id", id == NULL ? "" : id, err);
    if (code == ERR_NONE)
        code = copy(rule->files, sizeof rule->files, "files", files == NULL ? "*" : files, err);
    if (code == ERR_NONE)
        code = parse_kind(line_get(line, "io"), &rule->kind, err);
    if (code == ERR_NONE)
        code = parse_ops(line, rule, err);
    if (code != ERR_NONE)
        return code;
    if (chance < 1 || chance > STRICT_CHANCE_ALWAYS)
        return err_set(err, ERR_CONFIG, "chance: it is not 1 to %d", STRICT_CHANCE_ALWAYS);
    if ((rule->kind == STRICT_SLOW) != (delay_ms > 0) || delay_ms > STRICT_DELAY_MS_MAX)
        return err_set(err, ERR_CONFIG, "delay_ms: slow needs 1 to %d, the others have none",
                       STRICT_DELAY_MS_MAX);
    if (bytes < 0 || (bytes > 0 && rule->kind != STRICT_FULL))
        return err_set(err, ERR_CONFIG, "bytes: only full has it, and not below 0");
    if (bytes > 0 && strcmp(rule->files, "*") != 0)
        return err_set(err, ERR_CONFIG, "bytes: what is left is for all files, not some");
    if (chance < STRICT_CHANCE_ALWAYS && rule->kind == STRICT_FULL)
        return err_set(err, ERR_CONFIG, "chance: a disk is full or it is not");
    rule->chance = (uint32_t)chance;
    rule->delay_ns = delay_ms * NS_PER_MS;
    rule->bytes = (uint64_t)bytes;
    rule->prng = prng_stream(rule->seed, rule->id);
    return ERR_NONE;
}

void strict_rule_print(const struct strict_rule *rule, struct buf *out)
{
    line_key(out, "id", rule->id);
    line_key(out, "io", strict_kind_names[rule->kind]);
    line_key(out, "files", rule->files);
    for (size_t i = 0; i < OPS && rule->kind == STRICT_SLOW; i++)
        if (rule->ops & op_names[i].op)
            line_key(out, "op", op_names[i].name);
    if (rule->delay_ns > 0)
        line_key_int(out, "delay_ms", rule->delay_ns / NS_PER_MS);
    if (rule->bytes > 0)
        line_key_int(out, "bytes", (int64_t)rule->bytes);
    line_key_int(out, "chance", rule->chance);
    line_key_int(out, "seed", (int64_t)rule->seed);
}

/* ---- All of them ---- */

const struct strict_rule *strict_rules_find(const struct strict_rules *rules, const char *id)
{
    for (uint32_t i = 0; i < rules->count; i++)
        if (strcmp(rules->items[i].id, id) == 0)
            return &rules->items[i];
    return NULL;
}

static void load_line(struct strict_rules *rules, const struct strict_rules *before,
                      const char *text, size_t length)
{
    struct arena arena = ARENA_INIT;
    struct line line;
    struct strict_rule rule;
    if (rules->count < STRICT_RULES_MAX &&
        line_parse(&arena, text, length, &line, NULL) == ERR_NONE &&
        strict_rule_parse(&line, &rule, NULL) == ERR_NONE) {
        const struct strict_rule *known = strict_rules_find(before, rule.id);
        rules->items[rules->count++] = known != NULL ? *known : rule;
    }
    arena_free(&arena);
}

void strict_rules_load(struct strict_rules *rules, const char *text, size_t length)
{
    struct strict_rules before = *rules;
    rules->count = 0;
    while (length > 0) {
        const char *end = memchr(text, '\n', length);
        size_t line = end == NULL ? length : (size_t)(end - text);
        load_line(rules, &before, text, line);
        line += end != NULL;
        text += line;
        length -= line;
    }
}

/* ---- Deciding ---- */

static bool means(const struct strict_rule *rule, const char *path)
{
    if (path == NULL || strcmp(rule->files, "*") == 0)
        return true;
    if (strchr(rule->files, '/') != NULL)
        return fnmatch(rule->files, path, FNM_PATHNAME) == 0;
    const char *slash = strrchr(path, '/');
    return *path != '\0' && fnmatch(rule->files, slash == NULL ? path : slash + 1, 0) == 0;
}

static void count(struct strict_rule *rule, const char *path)
{
    if (path == NULL)
        rule->tries++;
    else
        rule->hits++;
}

static bool hits(struct strict_rule *rule, enum strict_op op, const char *path)
{
    if ((rule->ops & op) == 0 || !means(rule, path))
        return false;
    if (rule->chance < STRICT_CHANCE_ALWAYS &&
        prng_below(&rule->prng, STRICT_CHANCE_ALWAYS) >= rule->chance)
        return false;
    count(rule, path);
    return true;
}

int64_t strict_rules_delay_ns(struct strict_rules *rules, enum strict_op op, const char *path)
{
    int64_t longest = 0;
    for (uint32_t i = 0; i < rules->count; i++) {
        struct strict_rule *rule = &rules->items[i];
        if (rule->kind == STRICT_SLOW && hits(rule, op, path) && rule->delay_ns > longest)
            longest = rule->delay_ns;
    }
    return longest;
}

static bool any_hits(struct strict_rules *rules, enum strict_kind kind, enum strict_op op,
                     const char *path)
{
    for (uint32_t i = 0; i < rules->count; i++)
        if (rules->items[i].kind == kind && hits(&rules->items[i], op, path))
            return true;
    return false;
}

bool strict_rules_fail(struct strict_rules *rules, enum strict_op op, const char *path)
{
    return any_hits(rules,
                    op == STRICT_READ    ? STRICT_EIO_READ
                    : op == STRICT_WRITE ? STRICT_EIO_WRITE
                                         : STRICT_EIO_FSYNC,
                    op, path);
}

bool strict_rules_lie(struct strict_rules *rules, const char *path)
{
    return any_hits(rules, STRICT_LYING_FSYNC, STRICT_FSYNC, path);
}

uint64_t strict_rules_room(struct strict_rules *rules, const char *path, uint64_t growth)
{
    uint64_t room = growth;
    for (uint32_t i = 0; i < rules->count && growth > 0; i++) {
        struct strict_rule *rule = &rules->items[i];
        if (rule->kind != STRICT_FULL || !means(rule, path))
            continue;
        if (rule->bytes < growth)
            count(rule, path);
        room = rule->bytes < room ? rule->bytes : room;
    }
    for (uint32_t i = 0; i < rules->count; i++) {
        struct strict_rule *rule = &rules->items[i];
        if (rule->kind == STRICT_FULL && means(rule, path))
            rule->bytes -= room;
    }
    return room;
}

size_t strict_rules_shorten(struct strict_rules *rules, const char *path, size_t size)
{
    return size > 1 && any_hits(rules, STRICT_SHORT_WRITE, STRICT_WRITE, path) ? size / 2 : size;
}

uint64_t strict_rules_left(const struct strict_rules *rules)
{
    uint64_t left = UINT64_MAX;
    for (uint32_t i = 0; i < rules->count; i++)
        if (rules->items[i].kind == STRICT_FULL && means(&rules->items[i], "") &&
            rules->items[i].bytes < left)
            left = rules->items[i].bytes;
    return left;
}
