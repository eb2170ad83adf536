/* Commands about a node: see node_command.h. */
#include "harness/node_command.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "harness/base/text.h"

void node_command_fill(const struct node *node, const char *text, struct buf *command)
{
    for (const char *at = text; *at != '\0';) {
        bool name = text_starts(at, "{node}"), address = text_starts(at, "{address}");
        if (name || address)
            buf_add_shell_word(command, name ? node->name : node_address(node));
        else
            buf_add_char(command, *at);
        at += name ? strlen("{node}") : address ? strlen("{address}") : 1;
    }
}

enum err_code node_command_run(const char *node, const char *command, struct err *err)
{
    struct buf text = BUF_INIT;
    char output[256] = "";
    buf_printf(&text, "{ %s\n} 2>&1", command);
    FILE *pipe = popen(text.data, "re");
    buf_free(&text);
    if (pipe == NULL)
        return err_errno(err, errno, "%s: run a command", node);
    size_t length = fread(output, 1, sizeof output - 1, pipe);
    output[length] = '\0';
    while (fgetc(pipe) != EOF) /* a command that is cut off would say that it failed */
        ;
    int status = pclose(pipe);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return ERR_NONE;
    output[strcspn(output, "\n")] = '\0';
    return err_set(err, ERR_REMOTE, "%s: `%.100s` exited with status %d: %s", node, command,
                   WIFEXITED(status) ? WEXITSTATUS(status) : -1, output);
}
