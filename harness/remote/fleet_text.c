/* The fleet's texts: command lines for the node, and errors for people. See fleet_internal.h. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/remote/fleet_internal.h"

void output_free(struct output *output)
{
    buf_free(&output->out);
    buf_free(&output->err);
    *output = (struct output){.status = 0};
}

static bool is_assignment(const char *text)
{
    const char *c = text;
    if (*c >= '0' && *c <= '9')
        return false;
    while ((*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') || (*c >= '0' && *c <= '9') ||
           *c == '_')
        c++;
    return c > text && *c == '=';
}

static bool needs_sudo(const struct node *node, const char *user)
{
    if (node->sudo == NODE_SUDO_AUTO)
        return strcmp(user, "root") != 0;
    return node->sudo == NODE_SUDO_ALWAYS;
}

static enum err_code add_environment(const struct node *node, const struct command *command,
                                     struct buf *line, struct err *err)
{
    static const char *const none[] = {NULL};
    const char *const *env = command->env != NULL ? command->env : none;
    const char *const *keep = command->keep_env != NULL ? command->keep_env : none;
    if (*env == NULL && *keep == NULL)
        return ERR_NONE;
    buf_add_text(line, "env ");
    for (; *env != NULL; env++) {
        if (!is_assignment(*env))
            return err_set(err, ERR_CONFIG, "%s: '%s' is not an environment NAME=value", node->name,
                           *env);
        buf_add_shell_word(line, *env);
        buf_add_char(line, ' ');
    }
    for (; *keep != NULL; keep++) /* expanded by the login shell, before sudo drops it */
        buf_printf(line, "%s=\"$%s\" ", *keep, *keep);
    return ERR_NONE;
}

enum err_code command_line(const struct node *node, const char *user, const struct command *command,
                           struct buf *line, bool *sudo, struct err *err)
{
    *sudo = command->as_root && needs_sudo(node, user);
    buf_add_text(line, *sudo ? "exec sudo -n " : "exec ");
    enum err_code code = add_environment(node, command, line, err);
    if (code != ERR_NONE)
        return code;
    buf_add_text(line, "sh -c ");
    struct buf script = BUF_INIT;
    if (command->cwd != NULL) {
        buf_add_text(&script, "cd ");
        buf_add_shell_word(&script, command->cwd);
        buf_add_text(&script, " || exit\n");
    }
    buf_add_text(&script, command->text);
    buf_add_shell_word(line, buf_text(&script));
    buf_free(&script);
    if (line->length > REMOTE_COMMAND_BYTES_MAX)
        return err_set(err, ERR_CONFIG,
                       "%s: a command of %zu bytes: at most %d are possible, upload a script",
                       node->name, line->length, REMOTE_COMMAND_BYTES_MAX);
    return ERR_NONE;
}

/* At most `size` - 1 bytes of a text on one line. */
static void shorten(const char *text, char *label, size_t size)
{
    size_t length = 0;
    bool space = true; /* runs of white space show as one */
    for (; *text != '\0' && length + 4 < size; text++) {
        bool blank = (unsigned char)*text <= ' ' || *text == 0x7f;
        if (!blank || !space)
            label[length++] = blank ? ' ' : *text;
        space = blank;
    }
    while (*text == ' ' || *text == '\n')
        text++;
    if (*text != '\0') {
        /* Never half a UTF-8 character. */
        while (length > 0 && ((unsigned char)label[length - 1] & 0xc0) == 0x80)
            length--;
        if (length > 0 && (unsigned char)label[length - 1] >= 0xc0)
            length--;
        length += (size_t)snprintf(label + length, size - length, "...");
    }
    while (length > 0 && label[length - 1] == ' ')
        length--;
    label[length] = '\0';
}

void command_label(const struct command *command, char *label, size_t size)
{
    if (command->label != NULL) {
        snprintf(label, size, "%s", command->label);
        return;
    }
    char text[64];
    assert(size >= sizeof text + 2);
    shorten(command->text, text, sizeof text);
    snprintf(label, size, "`%s`", text);
}

/* The last lines of a text, at most `max` bytes, without the white space around them. */
static void last_lines(const struct buf *text, size_t max, const char **start, int *length)
{
    const char *data = buf_text(text);
    size_t end = text->length;
    while (end > 0 && (unsigned char)data[end - 1] <= ' ')
        end--;
    size_t begin = end;
    for (unsigned lines = 0; begin > 0 && end - begin < max; begin--)
        if (data[begin - 1] == '\n' && ++lines == 3)
            break;
    *start = data + begin;
    *length = (int)(end - begin);
}

enum err_code command_failed(const struct node *node, const char *label,
                             const struct output *output, struct err *err)
{
    const char *text;
    int length;
    last_lines(&output->err, 300, &text, &length);
    if (length == 0)
        last_lines(&output->out, 300, &text, &length);
    char how[64];
    if (output->signal_name[0] != '\0')
        snprintf(how, sizeof how, "was ended by SIG%s", output->signal_name);
    else
        snprintf(how, sizeof how, "exited with status %d", output->status);
    return err_set(err, ERR_REMOTE, "%s: %s %s: %.*s", node->name, label, how,
                   length > 0 ? length : 18, length > 0 ? text : "it printed nothing");
}

bool sudo_refused(const struct node *node, const char *user, const struct output *output,
                  struct err *err)
{
    const char *text = buf_text(&output->err);
    if (output->status == 0)
        return false;
    /* sshd may have said something of its own before, such as that there is no home directory. */
    bool by_sudo = strncmp(text, "sudo: ", 6) == 0 || strstr(text, "\nsudo: ") != NULL;
    if (by_sudo &&
        (strstr(text, "password is required") != NULL || strstr(text, "no tty present") != NULL ||
         strstr(text, "terminal is required") != NULL)) {
        err_set(err, ERR_REMOTE,
                "%s: sudo needs a password of user '%s': allow it to run commands without one "
                "(NOPASSWD in sudoers), or log in as root",
                node->name, user);
        return true;
    }
    if (strstr(text, "not in the sudoers file") != NULL ||
        (strncmp(text, "Sorry, user ", 12) == 0 && strstr(text, "not allowed to") != NULL)) {
        err_set(err, ERR_REMOTE,
                "%s: user '%s' may not use sudo: add it to sudoers (NOPASSWD), or log in as root",
                node->name, user);
        return true;
    }
    if ((output->status == 127 || output->status == 126) && strstr(text, "sudo") != NULL &&
        strstr(text, "not found") != NULL && !by_sudo) {
        err_set(err, ERR_REMOTE,
                "%s: there is no sudo on it, and user '%s' is not root: install sudo, or log in "
                "as root",
                node->name, user);
        return true;
    }
    return false;
}

static int compare_indexes(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

/* " (and 2 more nodes: n3, n4)" for the failed nodes after the first, each once. */
static void name_others(const struct fleet *fleet, uint32_t *failed, size_t count, struct buf *text)
{
    qsort(failed, count, sizeof *failed, compare_indexes);
    size_t distinct = 0;
    for (size_t i = 0; i < count; i++)
        if (i == 0 || failed[i] != failed[i - 1])
            failed[distinct++] = failed[i];
    if (distinct < 2)
        return;
    buf_printf(text, " (and %zu more node%s: ", distinct - 1, distinct == 2 ? "" : "s");
    for (size_t i = 1; i < distinct && i <= 20; i++)
        buf_printf(text, "%s%s", i == 1 ? "" : ", ", fleet_node(fleet, failed[i])->name);
    buf_add_text(text, distinct > 21 ? ", ...)" : ")");
}

enum err_code fleet_sum_up(const struct fleet *fleet, const uint32_t *nodes,
                           const struct err *const *errs, size_t count, struct err *err)
{
    uint32_t *failed = NULL;
    size_t failures = 0;
    const struct err *first = NULL;
    uint32_t first_node = UINT32_MAX;
    for (size_t i = 0; i < count; i++) {
        if (errs[i] == NULL || errs[i]->code == ERR_NONE)
            continue;
        uint32_t node = nodes != NULL ? nodes[i] : (uint32_t)i;
        if (failed == NULL && (failed = calloc(count, sizeof *failed)) == NULL)
            abort();
        failed[failures++] = node;
        if (node < first_node) {
            first_node = node;
            first = errs[i];
        }
    }
    if (first == NULL)
        return ERR_NONE;
    struct buf others = BUF_INIT;
    name_others(fleet, failed, failures, &others);
    int room = ERR_MESSAGE_MAX - 1 - (int)(others.length < 500 ? others.length : 500);
    enum err_code code =
        err_set(err, first->code, "%.*s%s", room, first->message, buf_text(&others));
    buf_free(&others);
    free(failed);
    return code;
}
