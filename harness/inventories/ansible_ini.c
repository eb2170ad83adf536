/* Ansible's inventory as INI: see ansible.h.
 *
 *   host[:port] NAME=VALUE ..    before any section, or below [GROUP]; ranges as in web[01:50]
 *   [GROUP:vars]                 NAME = VALUE, one a line
 *   [GROUP:children]             a group a line */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "harness/inventories/ansible.h"

enum kind { KIND_HOSTS, KIND_VARS, KIND_CHILDREN };

struct reading {
    struct ansible *ansible;
    uint32_t group;
    enum kind kind;
    int line;
    struct ansible_var *vars; /* of the host line being read */
    const char *late;         /* the group of [x:vars] or [x:children] that was not declared yet */
};

/* ---- Words, as a shell would take them ---- */

/* The next word of *rest into `word`; false at the end or at a comment. */
static enum err_code next_word(struct reading *reading, const char **rest, struct buf *word,
                               bool *found, struct err *err)
{
    const char *c = *rest + strspn(*rest, " \t");
    char quote = '\0';
    buf_clear(word);
    *found = *c != '\0' && *c != '#';
    for (; *c != '\0'; c++) {
        if (quote == '\0' && (*c == ' ' || *c == '\t' || *c == '#'))
            break;
        if (quote == '\0' && (*c == '"' || *c == '\''))
            quote = *c;
        else if (quote != '\0' && *c == quote)
            quote = '\0';
        else if (*c == '\\' && quote != '\'' && c[1] != '\0' &&
                 (quote == '\0' || strchr("\"\\", c[1]) != NULL))
            buf_add_char(word, *++c);
        else
            buf_add_char(word, *c);
    }
    *rest = *c == '#' ? "" : c;
    if (quote != '\0')
        return ansible_refuse(reading->ansible, reading->line, err,
                              "a quotation mark %c is not closed", quote);
    return ERR_NONE;
}

/* ---- Lines ---- */

static enum err_code take_host(void *state, const char *name, unsigned port, struct err *err)
{
    struct reading *reading = state;
    struct ansible *ansible = reading->ansible;
    uint32_t host;
    if (ansible_host(ansible, name, reading->line, &host, err) != ERR_NONE)
        return ERR_CONFIG;
    ansible_add_host(ansible, reading->group, host);
    if (port != 0) {
        char text[16];
        snprintf(text, sizeof text, "%u", port);
        ansible_set(ansible, &ansible->hosts[host].vars, "ansible_port", text, reading->line);
    }
    for (const struct ansible_var *var = reading->vars; var != NULL; var = var->next)
        ansible_set(ansible, &ansible->hosts[host].vars, var->name, var->value, reading->line);
    return ERR_NONE;
}

static enum err_code take_host_line(struct reading *reading, const char *line, struct err *err)
{
    struct ansible *ansible = reading->ansible;
    struct buf word = BUF_INIT;
    bool found;
    enum err_code code = next_word(reading, &line, &word, &found, err);
    const char *pattern = arena_strdup(&ansible->arena, buf_text(&word));
    reading->vars = NULL;
    while (code == ERR_NONE && found) {
        code = next_word(reading, &line, &word, &found, err);
        if (code != ERR_NONE || !found)
            break;
        char *equals = strchr(word.length > 0 ? word.data : "", '=');
        if (equals == NULL || equals == word.data) {
            code = ansible_refuse(ansible, reading->line, err,
                                  "'%s' behind the host %s is not NAME=VALUE", buf_text(&word),
                                  pattern);
            break;
        }
        *equals = '\0';
        ansible_set(ansible, &reading->vars, word.data, equals + 1, reading->line);
    }
    buf_free(&word);
    if (code == ERR_NONE && *pattern != '\0')
        code = ansible_expand(ansible, pattern, reading->line, take_host, reading, err);
    return code;
}

/* A value is Python's: text in quotes, or as it stands. */
static enum err_code take_var_line(struct reading *reading, char *line, struct err *err)
{
    struct ansible *ansible = reading->ansible;
    char *equals = strchr(line, '=');
    if (equals == NULL || equals == line)
        return ansible_refuse(ansible, reading->line, err, "'%s' is not NAME = VALUE", line);
    char *end = equals, *value = equals + 1 + strspn(equals + 1, " \t");
    while (end > line && isspace((unsigned char)end[-1]))
        end--;
    *end = '\0';
    size_t length = strlen(value);
    while (length > 0 && isspace((unsigned char)value[length - 1]))
        value[--length] = '\0';
    if (length >= 2 && (*value == '"' || *value == '\'') && value[length - 1] == *value) {
        value[length - 1] = '\0';
        value++;
    }
    ansible_set(ansible, &ansible->groups[reading->group].vars, line, value, reading->line);
    return ERR_NONE;
}

static enum err_code take_child_line(struct reading *reading, char *line, struct err *err)
{
    struct ansible *ansible = reading->ansible;
    uint32_t child;
    line[strcspn(line, " \t#")] = '\0';
    if (strpbrk(line, ":[]=") != NULL)
        return ansible_refuse(ansible, reading->line, err, "'%s' is no group's name", line);
    if (ansible_group(ansible, line, reading->line, &child, err) != ERR_NONE)
        return ERR_CONFIG;
    return ansible_add_child(ansible, reading->group, child, reading->line, err);
}

static enum err_code take_section(struct reading *reading, char *line, struct err *err)
{
    struct ansible *ansible = reading->ansible;
    char *close = strchr(line, ']'), *colon;
    const char *rest = close == NULL ? "" : close + 1 + strspn(close + 1, " \t");
    if (close == NULL || (*rest != '\0' && *rest != '#' && *rest != ';') || close == line + 1)
        return ansible_refuse(ansible, reading->line, err,
                              "'%s' is no section: [GROUP], [GROUP:vars] or [GROUP:children]",
                              line);
    *close = '\0';
    char *name = line + 1;
    colon = strchr(name, ':');
    reading->kind = KIND_HOSTS;
    if (colon != NULL) {
        *colon = '\0';
        if (strcmp(colon + 1, "vars") == 0)
            reading->kind = KIND_VARS;
        else if (strcmp(colon + 1, "children") == 0)
            reading->kind = KIND_CHILDREN;
        else if (strcmp(colon + 1, "hosts") != 0)
            return ansible_refuse(ansible, reading->line, err,
                                  "[%s:%s]: a group has vars or children, not '%s'", name,
                                  colon + 1, colon + 1);
    }
    if (*name == '\0' || strpbrk(name, " \t[") != NULL)
        return ansible_refuse(ansible, reading->line, err, "'%s' cannot name a group", name);
    if (ansible_group(ansible, name, reading->line, &reading->group, err) != ERR_NONE)
        return ERR_CONFIG;
    if (reading->kind != KIND_VARS)
        ansible->groups[reading->group].formal = true;
    return ERR_NONE;
}

/* A host, too, may begin with a bracket: "[a:f].example.org", "[2001:db8::1]:22". */
static bool is_section(const char *line)
{
    const char *close = strchr(line, ']');
    if (*line != '[' || strstr(line, "::") != NULL)
        return false;
    return close == NULL || strchr(" \t#;", close[1]) != NULL;
}

static enum err_code take_line(struct reading *reading, char *line, struct err *err)
{
    line += strspn(line, " \t\r");
    size_t length = strlen(line);
    while (length > 0 && isspace((unsigned char)line[length - 1]))
        line[--length] = '\0';
    if (*line == '\0' || *line == '#' || *line == ';')
        return ERR_NONE;
    if (is_section(line))
        return take_section(reading, line, err);
    if (reading->kind == KIND_VARS)
        return take_var_line(reading, line, err);
    if (reading->kind == KIND_CHILDREN)
        return take_child_line(reading, line, err);
    return take_host_line(reading, line, err);
}

/* Sections may come in any order, so it is told in the end what none declares. */
static enum err_code check_declared(const struct ansible *ansible, struct err *err)
{
    for (size_t i = 1; i < ansible->group_count; i++)
        if (!ansible->groups[i].formal)
            return ansible_refuse(ansible, ansible->groups[i].line, err,
                                  "the group %s is used, but there is no section [%s]",
                                  ansible->groups[i].name, ansible->groups[i].name);
    return ERR_NONE;
}

enum err_code ansible_read_ini(struct ansible *ansible, const char *text, struct err *err)
{
    struct reading reading = {.ansible = ansible};
    uint32_t ungrouped;
    struct buf line = BUF_INIT;
    enum err_code code = ansible_group(ansible, "ungrouped", 0, &ungrouped, err);
    ansible->groups[ungrouped].formal = true;
    reading.group = ungrouped;
    while (code == ERR_NONE && *text != '\0') {
        size_t length = strcspn(text, "\n");
        reading.line++;
        buf_clear(&line);
        buf_add(&line, text, length);
        buf_add_char(&line, '\0');
        code = take_line(&reading, line.data, err);
        text += length + (text[length] == '\n');
    }
    buf_free(&line);
    return code != ERR_NONE ? code : check_declared(ansible, err);
}
