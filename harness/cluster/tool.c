/* Running the few programs that the local cluster needs: see tool.h. */
#include "harness/cluster/tool.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

bool tool_find(const char *name, char *path, size_t size)
{
    for (const char *at = TOOL_PATH; *at != '\0';) {
        size_t length = strcspn(at, ":");
        snprintf(path, size, "%.*s/%s", (int)length, at, name);
        if (access(path, X_OK) == 0)
            return true;
        at += length + (at[length] == ':');
    }
    return false;
}

/* A memory file rather than a pipe: nobody has to feed it while the program runs. */
static int input_file(const char *input)
{
    int fd = memfd_create("ordeal-input", MFD_CLOEXEC);
    size_t length = strlen(input);
    if (fd >= 0 && (write(fd, input, length) != (ssize_t)length || lseek(fd, 0, SEEK_SET) != 0)) {
        close(fd);
        fd = -1;
    }
    return fd;
}

enum err_code tool_start(struct tool *tool, const char *const argv[], const char *input,
                         struct err *err)
{
    char path[256];
    if (!tool_find(argv[0], path, sizeof path))
        return err_set(err, ERR_UNSUPPORTED, "%s is not installed", argv[0]);
    int errors[2], in = input_file(input);
    if (in < 0)
        return err_errno(err, errno, "run %s", argv[0]);
    if (pipe2(errors, O_CLOEXEC) != 0) {
        int error = errno;
        close(in);
        return err_errno(err, error, "run %s", argv[0]);
    }
    pid_t pid = fork();
    if (pid == 0) {
        int null = open("/dev/null", O_WRONLY);
        if (dup2(in, 0) < 0 || dup2(null, 1) < 0 || dup2(errors[1], 2) < 0)
            _exit(127);
        char *const environment[] = {(char *)"PATH=" TOOL_PATH, (char *)"LC_ALL=C", NULL};
        signal(SIGPIPE, SIG_DFL);
        execve(path, (char *const *)argv, environment);
        _exit(127);
    }
    int error = errno;
    close(in);
    close(errors[1]);
    if (pid < 0) {
        close(errors[0]);
        return err_errno(err, error, "run %s", argv[0]);
    }
    *tool = (struct tool){.name = argv[0], .pid = pid, .error_fd = errors[0]};
    return ERR_NONE;
}

enum err_code tool_finish(struct tool *tool, struct err *err)
{
    char message[512], discard[512];
    size_t length = 0;
    for (;;) {
        bool full = length == sizeof message - 1;
        ssize_t got = read(tool->error_fd, full ? discard : message + length,
                           full ? sizeof discard : sizeof message - 1 - length);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            break;
        if (!full)
            length += (size_t)got;
    }
    message[length] = '\0';
    close(tool->error_fd);
    int status;
    while (waitpid(tool->pid, &status, 0) < 0)
        if (errno != EINTR)
            return err_errno(err, errno, "wait for %s", tool->name);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return ERR_NONE;
    if (WIFSIGNALED(status))
        return err_set(err, ERR_IO, "%s was killed by signal %d", tool->name, WTERMSIG(status));
    return err_set(err, ERR_IO, "%s: %s (exit status %d)", tool->name, message,
                   WEXITSTATUS(status));
}

enum err_code tool_run(const char *const argv[], const char *input, struct err *err)
{
    struct tool tool;
    enum err_code code = tool_start(&tool, argv, input, err);
    return code == ERR_NONE ? tool_finish(&tool, err) : code;
}
