/* ordeal new: a directory to begin with. What is written are files of harness/cli/skeleton, which
 * are in the program as they are. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "harness/base/text.h"
#include "harness/cli/cli.h"
#include "harness/run.h"
#include "harness/system.h"

#define SKELETON(name, file)                                                                       \
    __asm__(".section .rodata,\"a\"\n"                                                             \
            ".global skeleton_" #name "\n"                                                         \
            "skeleton_" #name ": .incbin \"harness/cli/skeleton/" file "\"\n"                      \
            ".byte 0\n"                                                                            \
            ".previous\n");                                                                        \
    extern const char skeleton_##name[];
SKELETON(system, "system.json")
SKELETON(server, "server.py")
SKELETON(client_python, "client.py")
SKELETON(client_shell, "client.sh")

static const struct {
    const char *file;
    const char *text; /* with NAME for the system's name */
    unsigned mode;
} files[] = {
    {"system.json", skeleton_system, 0644},
    {"server.py", skeleton_server, 0755},
    {"client.py", skeleton_client_python, 0755},
    {"client.sh", skeleton_client_shell, 0755},
};
enum { FILE_COUNT = sizeof files / sizeof files[0], NAME_LENGTH_MAX = 32 };

static const struct cli_option options[] = {{.name = NULL}};

struct request {
    const char *kind, *path;
};

static enum err_code take(void *state, const char *name, const char *value, struct err *err)
{
    struct request *request = state;
    (void)name;
    if (request->kind == NULL)
        request->kind = value;
    else if (request->path == NULL)
        request->path = value;
    else
        return err_set(err, ERR_CONFIG, "new system takes one name, not '%s' and '%s'",
                       request->path, value);
    return ERR_NONE;
}

static enum err_code check_name(const char *name, struct err *err)
{
    size_t good = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-");
    if (*name == '\0' || *name == '-' || name[good] != '\0' || good > NAME_LENGTH_MAX)
        return err_set(err, ERR_CONFIG,
                       "a system is called by at most %d small letters, digits and '-', not '%s'",
                       NAME_LENGTH_MAX, name);
    if (system_find(name) != NULL)
        return err_set(err, ERR_CONFIG, "there is a system %s already (ordeal list systems)", name);
    return ERR_NONE;
}

static void fill_in(const char *text, const char *name, struct buf *out)
{
    for (const char *at; (at = strstr(text, "NAME")) != NULL; text = at + 4) {
        buf_add(out, text, (size_t)(at - text));
        buf_add_text(out, name);
    }
    buf_add_text(out, text);
}

static enum err_code write_file(const char *directory, size_t index, const char *name,
                                struct err *err)
{
    struct buf path = BUF_INIT, text = BUF_INIT;
    buf_printf(&path, "%s/%s", directory, files[index].file);
    fill_in(files[index].text, name, &text);
    enum err_code code = file_write(path.data, text.data, text.length, err);
    if (code == ERR_NONE && chmod(path.data, files[index].mode) != 0)
        code = err_errno(err, errno, "%s", path.data);
    buf_free(&path);
    buf_free(&text);
    return code;
}

static enum err_code write_system(const char *path, struct err *err)
{
    const char *slash = strrchr(path, '/'), *name = slash == NULL ? path : slash + 1;
    if (check_name(name, err) != ERR_NONE)
        return err->code;
    if (mkdir(path, 0777) != 0)
        return err_set(err, ERR_CONFIG, "cannot make the directory %s: %s", path,
                       errno == EEXIST ? "there is something of that name" : strerror(errno));
    for (size_t i = 0; i < FILE_COUNT; i++)
        if (write_file(path, i, name, err) != ERR_NONE)
            return err->code;
    return ERR_NONE;
}

static void add_help(struct buf *out)
{
    buf_add_text(
        out, "usage: ordeal new system NAME\n\n"
             "Writes a directory NAME (or PATH/NAME) with a system of your own that works as it\n"
             "is: system.json, a small server in Python, and a client in Python and one in shell.\n"
             "Put your system in the server's place. docs/own-systems.md says what system.json\n"
             "can say, docs/clients.md what a client is asked, docs/tutorial.md builds one.\n");
}

int cmd_new(int argc, char **argv)
{
    struct request request = {.kind = NULL};
    bool help;
    struct err err = ERR_INIT;
    struct buf out = BUF_INIT;
    enum err_code code = cli_parse(argc, argv, options, take, &request, &help, &err);
    if (code == ERR_NONE && !help && (request.kind == NULL || strcmp(request.kind, "system") != 0))
        code = err_set(&err, ERR_CONFIG, "new takes what is to be made: ordeal new system NAME");
    else if (code == ERR_NONE && !help && request.path == NULL)
        code = err_set(&err, ERR_CONFIG, "new system takes a name: ordeal new system NAME");
    if (code == ERR_NONE && !help)
        code = write_system(request.path, &err);
    if (code != ERR_NONE)
        return cli_fail(&err);
    if (help)
        add_help(&out);
    else
        buf_printf(&out,
                   "wrote %s/: system.json, server.py, client.py, client.sh\n"
                   "try it: ordeal run --system %s%s --local 3 --time-limit 10s\n",
                   request.path, strchr(request.path, '/') == NULL ? "./" : "", request.path);
    int status = cli_output(&out, 0);
    buf_free(&out);
    return status;
}
