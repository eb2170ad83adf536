/* libfaketime: see faketime.h. */
#include "harness/agent/faketime.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "harness/agent/journal.h"
#include "harness/agent/tool.h"
#include "harness/base/clock.h"

#define TOLERANCE_NS NS_PER_MS

/* Aside and renamed, so that nobody reads half a number. */
enum err_code agentd_faketime_write(const char *file, int64_t offset_ns, struct err *err)
{
    char aside[300], directory[300], text[64];
    snprintf(aside, sizeof aside, "%s.new", file);
    snprintf(directory, sizeof directory, "%s", file);
    char *slash = strrchr(directory, '/');
    if (file[0] != '/' || slash == directory)
        return err_set(err, ERR_CONFIG, "file: '%.100s' is no full path", file);
    *slash = '\0';
    if (agentd_make_directories(directory, 0755, err) != ERR_NONE)
        return err->code;
    int64_t size = offset_ns < 0 ? -offset_ns : offset_ns;
    int length = snprintf(text, sizeof text, "%c%" PRId64 ".%09" PRId64 "\n",
                          offset_ns < 0 ? '-' : '+', size / NS_PER_SECOND, size % NS_PER_SECOND);
    int fd = open(aside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    bool good = fd >= 0 && write(fd, text, (size_t)length) == length;
    int failure = errno;
    if (fd >= 0)
        close(fd);
    if (!good)
        return err_errno(err, failure, "cannot write %s", aside);
    if (rename(aside, file) != 0)
        return err_errno(err, errno, "cannot rename %s", aside);
    return ERR_NONE;
}

static bool environment_names(pid_t pid, const char *file)
{
    char path[64], wanted[320];
    snprintf(path, sizeof path, "/proc/%d/environ", (int)pid);
    snprintf(wanted, sizeof wanted, "FAKETIME_TIMESTAMP_FILE=%s", file);
    FILE *environment = fopen(path, "re");
    char *entry = NULL;
    size_t size = 0;
    bool found = false;
    while (environment != NULL && !found && getdelim(&entry, &size, '\0', environment) > 0)
        found = strcmp(entry, wanted) == 0;
    free(entry);
    if (environment != NULL)
        fclose(environment);
    return found;
}

/* By the names of its sections, which stripping leaves: Go programs ask the kernel by themselves,
 * whatever they are linked with. */
static bool is_go_program(pid_t pid)
{
    char path[64], names[65536];
    Elf64_Ehdr header;
    Elf64_Shdr section;
    snprintf(path, sizeof path, "/proc/%d/exe", (int)pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t length = 0;
    if (fd >= 0 && pread(fd, &header, sizeof header, 0) == (ssize_t)sizeof header &&
        memcmp(header.e_ident, ELFMAG, SELFMAG) == 0 && header.e_ident[EI_CLASS] == ELFCLASS64 &&
        pread(fd, &section, sizeof section,
              (off_t)(header.e_shoff + header.e_shstrndx * sizeof section)) ==
            (ssize_t)sizeof section)
        length = pread(fd, names, sizeof names, (off_t)section.sh_offset);
    if (fd >= 0)
        close(fd);
    if (length <= 0)
        return false;
    size_t size = (size_t)length < section.sh_size ? (size_t)length : section.sh_size;
    return memmem(names, size, ".gopclntab", 10) != NULL ||
           memmem(names, size, ".go.buildinfo", 13) != NULL;
}

enum err_code agentd_faketime_find(pid_t pid, const char *file, char *library, struct err *err)
{
    char path[64], line[1024];
    snprintf(path, sizeof path, "/proc/%d/maps", (int)pid);
    library[0] = '\0';
    FILE *maps = fopen(path, "re");
    while (maps != NULL && library[0] == '\0' && fgets(line, sizeof line, maps) != NULL)
        if (strstr(line, "libfaketime") != NULL)
            sscanf(line, "%*s %*s %*s %*s %*s %255s", library);
    if (maps != NULL)
        fclose(maps);
    if (library[0] == '\0')
        return err_set(err, ERR_UNSUPPORTED,
                       "process %d has not loaded libfaketime (is it statically linked?)",
                       (int)pid);
    if (is_go_program(pid))
        return err_set(err, ERR_UNSUPPORTED,
                       "process %d is a Go program, which does not ask libfaketime what time it is",
                       (int)pid);
    if (!environment_names(pid, file))
        return err_set(err, ERR_UNSUPPORTED, "process %d does not read %s", (int)pid, file);
    return ERR_NONE;
}

enum err_code agentd_faketime_verify(const char *library, const char *file, int64_t offset_ns,
                                     int64_t *seen_ns, struct err *err)
{
    char preload[300], from[320];
    struct buf output = BUF_INIT;
    snprintf(preload, sizeof preload, "LD_PRELOAD=%s", library);
    snprintf(from, sizeof from, "FAKETIME_TIMESTAMP_FILE=%s", file);
    const char *const words[] = {
        "/usr/bin/env", preload, from, "FAKETIME_NO_CACHE=1", "FAKETIME_DONT_FAKE_MONOTONIC=1",
        "/bin/date",    "+%s%N", NULL};
    int64_t before_ns = clock_wall_ns();
    enum err_code code = agentd_tool_run(words, NULL, &output, err);
    int64_t after_ns = clock_wall_ns(), told_ns = strtoll(buf_text(&output), NULL, 10);
    buf_free(&output);
    if (code != ERR_NONE)
        return code;
    *seen_ns = told_ns - before_ns - (after_ns - before_ns) / 2;
    if (told_ns < before_ns + offset_ns - TOLERANCE_NS ||
        told_ns > after_ns + offset_ns + TOLERANCE_NS)
        return err_set(err, ERR_REMOTE, "what reads %s is off by %" PRId64 " ms, not by %" PRId64,
                       file, *seen_ns / NS_PER_MS, offset_ns / NS_PER_MS);
    return ERR_NONE;
}
