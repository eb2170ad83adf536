/* Hosts, groups and variables of Ansible's inventories: see ansible.h. */
#include "harness/inventories/ansible.h"

#include <ctype.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/base/text.h"

void ansible_init(struct ansible *ansible, const char *file)
{
    *ansible = (struct ansible){.arena = ARENA_INIT, .file = file};
    uint32_t all;
    (void)!ansible_group(ansible, "all", 0, &all, NULL);
}

static void free_names(struct ansible_names *names)
{
    free(names->items);
}

void ansible_free(struct ansible *ansible)
{
    for (size_t i = 0; i < ansible->host_count; i++)
        free_names(&ansible->hosts[i].groups);
    for (size_t i = 0; i < ansible->group_count; i++) {
        free_names(&ansible->groups[i].hosts);
        free_names(&ansible->groups[i].children);
        free_names(&ansible->groups[i].parents);
    }
    free(ansible->hosts);
    free(ansible->groups);
    arena_free(&ansible->arena);
}

enum err_code ansible_refuse(const struct ansible *ansible, int line, struct err *err,
                             const char *format, ...)
{
    char text[ERR_MESSAGE_MAX];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    return err_set(err, ERR_CONFIG, "%.400s:%d: %s", ansible->file, line, text);
}

/* ---- Building ---- */

static void *grow(void *items, size_t count, size_t *capacity, size_t size)
{
    if (count < *capacity)
        return items;
    *capacity = *capacity * 2 + 8;
    items = realloc(items, *capacity * size);
    if (items == NULL)
        abort();
    return items;
}

static bool has(const struct ansible_names *names, uint32_t item)
{
    for (size_t i = 0; i < names->count; i++)
        if (names->items[i] == item)
            return true;
    return false;
}

static void add(struct ansible_names *names, uint32_t item)
{
    names->items = grow(names->items, names->count, &names->capacity, sizeof *names->items);
    names->items[names->count++] = item;
}

enum err_code ansible_group(struct ansible *ansible, const char *name, int line, uint32_t *group,
                            struct err *err)
{
    for (*group = 0; *group < ansible->group_count; ++*group)
        if (strcmp(ansible->groups[*group].name, name) == 0)
            return ERR_NONE;
    if (ansible->group_count == ANSIBLE_GROUPS_MAX)
        return ansible_refuse(ansible, line, err, "more than %d groups", ANSIBLE_GROUPS_MAX);
    ansible->groups = grow(ansible->groups, ansible->group_count, &ansible->group_capacity,
                           sizeof *ansible->groups);
    ansible->groups[ansible->group_count++] =
        (struct ansible_group){.name = arena_strdup(&ansible->arena, name), .line = line};
    return ERR_NONE;
}

enum err_code ansible_host(struct ansible *ansible, const char *name, int line, uint32_t *host,
                           struct err *err)
{
    for (*host = 0; *host < ansible->host_count; ++*host)
        if (strcmp(ansible->hosts[*host].name, name) == 0)
            return ERR_NONE;
    if (ansible->host_count == ANSIBLE_HOSTS_MAX)
        return ansible_refuse(ansible, line, err, "more than %d hosts", ANSIBLE_HOSTS_MAX);
    ansible->hosts =
        grow(ansible->hosts, ansible->host_count, &ansible->host_capacity, sizeof *ansible->hosts);
    ansible->hosts[ansible->host_count++] =
        (struct ansible_host){.name = arena_strdup(&ansible->arena, name)};
    return ERR_NONE;
}

void ansible_set(struct ansible *ansible, struct ansible_var **vars, const char *name,
                 const char *value, int line)
{
    struct ansible_var *var = arena_alloc(&ansible->arena, sizeof *var);
    *var =
        (struct ansible_var){.name = arena_strdup(&ansible->arena, name),
                             .value = value == NULL ? NULL : arena_strdup(&ansible->arena, value),
                             .line = line,
                             .next = *vars};
    *vars = var;
}

void ansible_add_host(struct ansible *ansible, uint32_t group, uint32_t host)
{
    if (has(&ansible->hosts[host].groups, group)) /* of which there are few */
        return;
    add(&ansible->groups[group].hosts, host);
    add(&ansible->hosts[host].groups, group);
}

/* A group may be met on several ways; each is looked at once. */
static void mark_below(const struct ansible *ansible, uint32_t group, bool *below)
{
    if (below[group])
        return;
    below[group] = true;
    for (size_t i = 0; i < ansible->groups[group].children.count; i++)
        mark_below(ansible, ansible->groups[group].children.items[i], below);
}

static bool *new_marks(size_t count)
{
    bool *marks = calloc(count + 1, sizeof *marks);
    if (marks == NULL)
        abort();
    return marks;
}

enum err_code ansible_add_child(struct ansible *ansible, uint32_t group, uint32_t child, int line,
                                struct err *err)
{
    if (has(&ansible->groups[group].children, child))
        return ERR_NONE;
    bool *below = new_marks(ansible->group_count);
    mark_below(ansible, child, below);
    bool loop = below[group];
    free(below);
    if (loop)
        return ansible_refuse(ansible, line, err,
                              "the group %s cannot be among the children of %s: it has that among "
                              "its own",
                              ansible->groups[child].name, ansible->groups[group].name);
    add(&ansible->groups[group].children, child);
    add(&ansible->groups[child].parents, group);
    return ERR_NONE;
}

/* ---- Ranges ---- */

enum { RANGE_MAX = ANSIBLE_HOSTS_MAX };

struct range {
    bool letters;
    int width; /* of numbers, with zeros in front */
    long first, last, step;
};

static bool parse_end(const char *text, size_t length, bool *letters, int *width, long *value)
{
    char copy[16];
    if (length == 0 || length >= sizeof copy)
        return false;
    snprintf(copy, sizeof copy, "%.*s", (int)length, text);
    if (strspn(copy, "0123456789") == length) {
        *letters = false;
        *width = length > 1 && copy[0] == '0' ? (int)length : 0;
        *value = strtol(copy, NULL, 10);
        return length < 10;
    }
    *letters = true;
    *value = (unsigned char)copy[0];
    return length == 1 && isalpha((unsigned char)copy[0]);
}

/* "01:50", "a:f", "1:9:2"; the first may be left out and is 0 then. */
static bool parse_range(const char *text, size_t length, struct range *range)
{
    const char *end = text + length, *colon = memchr(text, ':', length);
    if (colon == NULL)
        return false;
    const char *second = memchr(colon + 1, ':', (size_t)(end - colon - 1));
    const char *last = second == NULL ? end : second;
    bool letters = false, more_letters = false;
    int width = 0, ignored = 0;
    range->first = 0;
    range->step = 1;
    if (colon > text && !parse_end(text, (size_t)(colon - text), &letters, &width, &range->first))
        return false;
    if (!parse_end(colon + 1, (size_t)(last - colon - 1), &more_letters, &ignored, &range->last) ||
        (colon > text && letters != more_letters) || (colon == text && more_letters))
        return false;
    bool stepped = false;
    if (second != NULL &&
        (!parse_end(second + 1, (size_t)(end - second - 1), &stepped, &ignored, &range->step) ||
         stepped || range->step < 1))
        return false;
    range->letters = more_letters;
    range->width = width;
    return range->first <= range->last && (range->last - range->first) / range->step < RANGE_MAX;
}

struct expanding {
    struct ansible *ansible;
    int line;
    const char *whole;
    unsigned port;
    size_t count;
    ansible_take_host *take;
    void *state;
};

static enum err_code expand(struct expanding *work, const char *head, const char *rest,
                            struct err *err)
{
    const char *open = strchr(rest, '['), *close = open == NULL ? NULL : strchr(open, ']');
    if (open == NULL) {
        if (++work->count > RANGE_MAX)
            return ansible_refuse(work->ansible, work->line, err, "'%s' names more than %d hosts",
                                  work->whole, RANGE_MAX);
        const char *name = arena_printf(&work->ansible->arena, "%s%s", head, rest);
        return work->take(work->state, name, work->port, err);
    }
    struct range range;
    if (close == NULL || !parse_range(open + 1, (size_t)(close - open - 1), &range))
        return ansible_refuse(work->ansible, work->line, err,
                              "'%s': a range is [1:5], [01:50:2] or [a:f]", work->whole);
    for (long value = range.first; value <= range.last; value += range.step) {
        const char *next = range.letters
                               ? arena_printf(&work->ansible->arena, "%s%.*s%c", head,
                                              (int)(open - rest), rest, (char)value)
                               : arena_printf(&work->ansible->arena, "%s%.*s%0*ld", head,
                                              (int)(open - rest), rest, range.width, value);
        if (expand(work, next, close + 1, err) != ERR_NONE)
            return err != NULL ? err->code : ERR_CONFIG;
    }
    return ERR_NONE;
}

/* Takes a port off "host:22" and "[2001:db8::1]:22"; a name with more colons is an address. */
static enum err_code take_port(struct expanding *work, char *pattern, const char **host,
                               struct err *err)
{
    char *end = strrchr(pattern, ':'), *close = strrchr(pattern, ']');
    bool six = *pattern == '[' && strchr(pattern, ']') != NULL &&
               strspn(pattern + 1, "0123456789abcdefABCDEF:.") ==
                   (size_t)(strchr(pattern, ']') - pattern - 1) &&
               strchr(pattern, ':') != strrchr(pattern, ':') && strstr(pattern, "::") != NULL;
    *host = pattern;
    bool outside = end != NULL && (close == NULL || end > close);
    bool several = end != NULL && close == NULL && strchr(pattern, ':') != end;
    if (outside && !several) {
        char *rest;
        unsigned long port = strtoul(end + 1, &rest, 10);
        if (!isdigit((unsigned char)end[1]) || *rest != '\0' || port < 1 || port > 65535)
            return ansible_refuse(work->ansible, work->line, err, "'%s': '%s' is not a port",
                                  work->whole, end + 1);
        work->port = (unsigned)port;
        *end = '\0';
    }
    if (six) {
        *strchr(pattern, ']') = '\0';
        *host = pattern + 1;
    }
    return ERR_NONE;
}

enum err_code ansible_expand(struct ansible *ansible, const char *pattern, int line,
                             ansible_take_host *take, void *state, struct err *err)
{
    struct expanding work = {
        .ansible = ansible, .line = line, .whole = pattern, .take = take, .state = state};
    const char *host;
    if (take_port(&work, arena_strdup(&ansible->arena, pattern), &host, err) != ERR_NONE)
        return ERR_CONFIG;
    if (*host == '\0')
        return ansible_refuse(ansible, line, err, "'%s' names no host", pattern);
    return expand(&work, "", host, err);
}

/* ---- Variables that count ---- */

/* depths[group] is 0 where it is not known yet; "all" is the only one whose depth that is. */
static int depth_of(const struct ansible *ansible, uint32_t group, int *depths)
{
    if (group == 0 || depths[group] > 0)
        return depths[group];
    int depth = 1;
    for (size_t i = 0; i < ansible->groups[group].parents.count; i++) {
        int above = depth_of(ansible, ansible->groups[group].parents.items[i], depths) + 1;
        depth = above > depth ? above : depth;
    }
    depths[group] = depth;
    return depth;
}

static void collect_groups(const struct ansible *ansible, uint32_t group, bool *of)
{
    if (of[group])
        return;
    of[group] = true;
    for (size_t i = 0; i < ansible->groups[group].parents.count; i++)
        collect_groups(ansible, ansible->groups[group].parents.items[i], of);
}

static const struct ansible_var *find(const struct ansible_var *vars, const char *name)
{
    while (vars != NULL && strcmp(vars->name, name) != 0)
        vars = vars->next;
    return vars;
}

/* A host's own; else that of its deepest group, the last by name among equally deep ones; else that
 * of all. */
static const struct ansible_var *effective(const struct ansible *ansible,
                                           const struct ansible_host *host, const bool *of,
                                           const int *depths, const char *name)
{
    const struct ansible_var *found = find(host->vars, name);
    uint32_t best = 0;
    for (uint32_t i = 0; i < ansible->group_count && find(host->vars, name) == NULL; i++) {
        const struct ansible_var *here = of[i] ? find(ansible->groups[i].vars, name) : NULL;
        if (here == NULL)
            continue;
        if (found == NULL || depths[i] > depths[best] ||
            (depths[i] == depths[best] &&
             strcmp(ansible->groups[i].name, ansible->groups[best].name) > 0)) {
            found = here;
            best = i;
        }
    }
    return found;
}

/* ---- Nodes ---- */

struct lookup {
    const struct ansible *ansible;
    const struct ansible_host *host;
    bool *of;
    const int *depths;
};

/* The first of the names that is set; NULL when none is. */
static enum err_code value_of(const struct lookup *lookup, const char *const *names,
                              const struct ansible_var **var, struct err *err)
{
    *var = NULL;
    for (; *names != NULL && *var == NULL; names++)
        *var = effective(lookup->ansible, lookup->host, lookup->of, lookup->depths, *names);
    if (*var == NULL)
        return ERR_NONE;
    if ((*var)->value == NULL)
        return ansible_refuse(lookup->ansible, (*var)->line, err,
                              "host %s: %s must be a plain value (neither a list nor encrypted)",
                              lookup->host->name, (*var)->name);
    if (strstr((*var)->value, "{{") != NULL || strstr((*var)->value, "{%") != NULL)
        return ansible_refuse(
            lookup->ansible, (*var)->line, err,
            "host %s: %s is a template, which only Ansible can evaluate: use what "
            "`ansible-inventory --list` prints as the inventory",
            lookup->host->name, (*var)->name);
    return ERR_NONE;
}

/* "-o ProxyJump=me@gate:2222" or "-J gate" among ssh's arguments. */
static const char *jump_of_arguments(struct arena *arena, const char *arguments)
{
    static const char *const forms[] = {"ProxyJump=", "ProxyJump ", "-J ", "-J"};
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        const char *at = strcasestr(arguments, forms[i]);
        if (at == NULL)
            continue;
        at += strlen(forms[i]);
        at += strspn(at, " \"'");
        return arena_strndup(arena, at, strcspn(at, " \t\"'"));
    }
    return NULL;
}

static enum err_code take_jump(const struct lookup *lookup, struct json *node, struct err *err)
{
    static const char *const own[] = {"ordeal_jump", NULL};
    static const char *const arguments[] = {"ansible_ssh_common_args", "ansible_ssh_extra_args",
                                            "ansible_ssh_args"};
    const struct ansible_var *var;
    if (value_of(lookup, own, &var, err) != ERR_NONE)
        return ERR_CONFIG;
    const char *jump = var == NULL ? NULL : var->value;
    for (size_t i = 0; i < 3 && jump == NULL; i++) {
        const char *const one[] = {arguments[i], NULL};
        if (value_of(lookup, one, &var, err) != ERR_NONE)
            return ERR_CONFIG;
        if (var == NULL)
            continue;
        if (strcasestr(var->value, "ProxyCommand") != NULL)
            return ansible_refuse(lookup->ansible, var->line, err,
                                  "host %s: %s: ProxyCommand is not possible here; a jump host is: "
                                  "-o ProxyJump=[user@]host[:port]",
                                  lookup->host->name, var->name);
        jump = jump_of_arguments((struct arena *)&lookup->ansible->arena, var->value);
    }
    if (jump != NULL && *jump != '\0' && strcmp(jump, "none") != 0)
        json_set_text(node, "jump", jump);
    return ERR_NONE;
}

static enum err_code check_connection(const struct lookup *lookup, struct err *err)
{
    static const char *const names[] = {"ansible_connection", NULL};
    static const char *const good[] = {"ssh", "smart", "paramiko", "paramiko_ssh", "libssh"};
    const struct ansible_var *var;
    if (value_of(lookup, names, &var, err) != ERR_NONE)
        return ERR_CONFIG;
    for (size_t i = 0; var != NULL && i < sizeof good / sizeof *good; i++) {
        const char *dot = strrchr(var->value, '.'); /* ansible.builtin.ssh */
        if (strcmp(dot == NULL ? var->value : dot + 1, good[i]) == 0)
            return ERR_NONE;
    }
    if (var == NULL)
        return ERR_NONE;
    return ansible_refuse(lookup->ansible, var->line, err,
                          "host %s: ansible_connection is %s; ordeal reaches nodes by SSH only",
                          lookup->host->name, var->value);
}

static enum err_code take_node(const struct lookup *lookup, struct json *nodes, struct err *err)
{
    static const struct {
        const char *field, *names[4];
    } fields[] = {
        {"address", {"ansible_host", "ansible_ssh_host"}},
        {"port", {"ansible_port", "ansible_ssh_port"}},
        {"user", {"ansible_user", "ansible_ssh_user"}},
        {"key", {"ansible_private_key_file", "ansible_ssh_private_key_file"}},
        {"peer-address", {"ordeal_peer_address"}},
        {"peer-address6", {"ordeal_peer_address6"}},
    };
    if (check_connection(lookup, err) != ERR_NONE)
        return ERR_CONFIG;
    struct json *node = json_add(nodes, json_object());
    json_set_text(node, "name", lookup->host->name);
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        const struct ansible_var *var;
        if (value_of(lookup, fields[i].names, &var, err) != ERR_NONE)
            return ERR_CONFIG;
        if (var != NULL && *var->value != '\0')
            json_set_text(node, fields[i].field, var->value);
    }
    return take_jump(lookup, node, err);
}

/* ---- Which hosts ---- */

static void mark_group(const struct ansible *ansible, uint32_t group, bool value, bool *marks)
{
    bool *below = new_marks(ansible->group_count);
    mark_below(ansible, group, below);
    for (size_t i = 0; i < ansible->group_count; i++)
        for (size_t j = 0; below[i] && j < ansible->groups[i].hosts.count; j++)
            marks[ansible->groups[i].hosts.items[j]] = value;
    free(below);
}

static enum err_code mark_pattern(const struct ansible *ansible, const char *pattern, bool *marks,
                                  struct err *err)
{
    bool value = *pattern != '!', found = false;
    const char *name = pattern + !value;
    for (uint32_t i = 0; i < ansible->group_count; i++)
        if (fnmatch(name, ansible->groups[i].name, 0) == 0) {
            found = true;
            mark_group(ansible, i, value, marks);
            for (size_t j = 0; i == 0 && j < ansible->host_count; j++)
                marks[j] = value;
        }
    for (size_t i = 0; i < ansible->host_count; i++)
        if (fnmatch(name, ansible->hosts[i].name, 0) == 0) {
            found = true;
            marks[i] = value;
        }
    if (found)
        return ERR_NONE;
    struct buf there = BUF_INIT;
    for (size_t i = 0; i < ansible->group_count && i < 12; i++)
        buf_printf(&there, "%s%s", i > 0 ? ", " : "", ansible->groups[i].name);
    err_set(err, ERR_CONFIG, "%s: it has no group or host '%s'; its groups are %s%s", ansible->file,
            name, buf_text(&there), ansible->group_count > 12 ? ", .." : "");
    buf_free(&there);
    return ERR_CONFIG;
}

static enum err_code mark_hosts(struct ansible *ansible, const char *hosts, bool *marks,
                                struct err *err)
{
    const char **parts;
    size_t count = text_split(&ansible->arena, hosts == NULL ? "all" : hosts, ',', &parts);
    bool chosen = false;
    for (size_t i = 0; i < count; i++)
        chosen = chosen || *parts[i] != '!';
    if (!chosen && mark_pattern(ansible, "all", marks, err) != ERR_NONE)
        return ERR_CONFIG;            /* of all, if nothing else is said */
    for (int out = 0; out < 2; out++) /* what is left out is left out wherever it stands */
        for (size_t i = 0; i < count; i++)
            if ((*parts[i] == '!') == out &&
                mark_pattern(ansible, parts[i], marks, err) != ERR_NONE)
                return ERR_CONFIG;
    return ERR_NONE;
}

enum err_code ansible_nodes(struct ansible *ansible, const char *hosts, struct json **nodes,
                            struct err *err)
{
    bool *marks = arena_zalloc(&ansible->arena, ansible->host_count + 1);
    bool *of = arena_zalloc(&ansible->arena, ansible->group_count);
    int *depths = arena_zalloc(&ansible->arena, ansible->group_count * sizeof *depths);
    if (mark_hosts(ansible, hosts, marks, err) != ERR_NONE)
        return ERR_CONFIG;
    for (uint32_t i = 0; i < ansible->group_count; i++)
        (void)depth_of(ansible, i, depths);
    struct json *list = json_array();
    for (size_t i = 0; i < ansible->host_count; i++) {
        if (!marks[i])
            continue;
        const struct ansible_host *host = &ansible->hosts[i];
        memset(of, 0, ansible->group_count);
        of[0] = true;
        for (size_t j = 0; j < host->groups.count; j++)
            collect_groups(ansible, host->groups.items[j], of);
        struct lookup lookup = {ansible, host, of, depths};
        if (take_node(&lookup, list, err) != ERR_NONE) {
            json_free(list);
            return ERR_CONFIG;
        }
    }
    *nodes = list;
    return ERR_NONE;
}
