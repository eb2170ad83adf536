/* Processes: see process.h. */
#include "harness/agent/process.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { COMM_BYTES = 15, KERNEL_THREAD_FLAG = 0x00200000, ANCESTORS_MAX = 64 };

static ssize_t read_small(const char *path, char *text, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    ssize_t length = read(fd, text, size - 1);
    close(fd);
    text[length < 0 ? 0 : length] = '\0';
    return length;
}

/* comm may hold anything, brackets and spaces included, so what follows it starts at the last ')'.
 */
static bool parse_stat(const char *text, struct agentd_process *process)
{
    const char *open_bracket = strchr(text, '(');
    const char *close_bracket = strrchr(text, ')');
    if (open_bracket == NULL || close_bracket == NULL || close_bracket < open_bracket)
        return false;
    size_t length = (size_t)(close_bracket - open_bracket - 1);
    if (length >= sizeof process->comm)
        length = sizeof process->comm - 1;
    memcpy(process->comm, open_bracket + 1, length);
    process->comm[length] = '\0';
    unsigned flags;
    unsigned long long start;
    if (sscanf(close_bracket + 1,
               " %c %d %d %d %*d %*d %u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %llu",
               &process->state, &process->parent, &process->group, &process->session, &flags,
               &start) != 6)
        return false;
    process->kernel_thread = (flags & KERNEL_THREAD_FLAG) != 0;
    process->start = start;
    return true;
}

bool agentd_process_read(pid_t pid, struct agentd_process *process)
{
    char path[64], text[1024];
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    if (read_small(path, text, sizeof text) <= 0)
        return false;
    process->pid = pid;
    return parse_stat(text, process);
}

bool agentd_process_is_dead(const struct agentd_process *process)
{
    return process->state == 'Z' || process->state == 'X' || process->state == 'x';
}

static void append(struct arena *arena, struct agentd_processes *all, uint32_t *capacity,
                   const struct agentd_process *process)
{
    if (all->count == *capacity) {
        *capacity = *capacity == 0 ? 64 : *capacity * 2;
        struct agentd_process *items = arena_alloc(arena, *capacity * sizeof *items);
        if (all->count > 0)
            memcpy(items, all->items, all->count * sizeof *items);
        all->items = items;
    }
    all->items[all->count++] = *process;
}

void agentd_processes_read(struct arena *arena, struct agentd_processes *all)
{
    *all = (struct agentd_processes){.count = 0};
    DIR *proc = opendir("/proc");
    if (proc == NULL)
        return;
    uint32_t capacity = 0;
    struct dirent *entry;
    while ((entry = readdir(proc)) != NULL) {
        struct agentd_process process;
        if (isdigit((unsigned char)entry->d_name[0]) &&
            agentd_process_read((pid_t)atoi(entry->d_name), &process))
            append(arena, all, &capacity, &process);
    }
    closedir(proc);
}

static bool executable_is(pid_t pid, const char *name)
{
    char path[64], target[4096];
    snprintf(path, sizeof path, "/proc/%d/exe", (int)pid);
    ssize_t length = readlink(path, target, sizeof target - 1);
    if (length <= 0)
        return false;
    target[length] = '\0';
    static const char deleted[] = " (deleted)"; /* replaced on disk while it runs */
    size_t tail = sizeof deleted - 1;
    if ((size_t)length > tail && strcmp(target + length - tail, deleted) == 0)
        target[(size_t)length - tail] = '\0';
    return strcmp(basename(target), name) == 0;
}

static bool named(const struct agentd_process *process, const char *name)
{
    if (strcmp(process->comm, name) == 0)
        return true;
    /* The kernel keeps 15 bytes of a comm: a longer name can only be told from the executable. */
    return executable_is(process->pid, name);
}

static bool is_ancestor(const struct agentd_processes *all, pid_t self, pid_t pid)
{
    pid_t at = self;
    for (int depth = 0; at > 1 && depth < ANCESTORS_MAX; depth++) {
        if (at == pid)
            return true;
        pid_t parent = 0;
        for (uint32_t i = 0; i < all->count; i++)
            if (all->items[i].pid == at)
                parent = all->items[i].parent;
        at = parent;
    }
    return false;
}

static bool selected_by_name(const struct agentd_processes *all,
                             const struct agentd_selector *selector,
                             const struct agentd_process *process)
{
    if (process->kernel_thread || process->pid == 1 || process->pid == selector->guardian ||
        !named(process, selector->name))
        return false;
    if (strcmp(process->comm, "sshd") == 0 && strcmp(selector->name, "sshd") != 0)
        return false;
    return !is_ancestor(all, selector->self, process->pid);
}

static bool number_was_recycled(const struct agentd_processes *all,
                                const struct agentd_selector *selector)
{
    for (uint32_t i = 0; i < all->count; i++)
        if (all->items[i].pid == selector->session)
            return all->items[i].start != selector->start;
    return false; /* the leader is gone; its number is not given out while its session lives */
}

/* Some servers give every child a session of its own (PostgreSQL does): as long as the main process
 * lives, it is told by whom it descends from. */
static bool selected_by_session(const struct agentd_processes *all,
                                const struct agentd_selector *selector,
                                const struct agentd_process *process)
{
    return process->session == selector->session || process->group == selector->session ||
           is_ancestor(all, process->pid, selector->session);
}

void agentd_processes_select(struct arena *arena, const struct agentd_selector *selector,
                             struct agentd_processes *found)
{
    struct agentd_processes all;
    agentd_processes_read(arena, &all);
    *found = (struct agentd_processes){.count = 0};
    if (selector->name == NULL && number_was_recycled(&all, selector))
        return;
    uint32_t capacity = 0;
    for (uint32_t i = 0; i < all.count; i++) {
        const struct agentd_process *process = &all.items[i];
        bool wanted = selector->name != NULL ? selected_by_name(&all, selector, process)
                                             : selected_by_session(&all, selector, process);
        if (wanted && !agentd_process_is_dead(process))
            append(arena, found, &capacity, process);
    }
}

static char thread_state(pid_t pid, const char *thread)
{
    char path[320], text[1024];
    struct agentd_process process;
    snprintf(path, sizeof path, "/proc/%d/task/%s/stat", (int)pid, thread);
    return read_small(path, text, sizeof text) > 0 && parse_stat(text, &process) ? process.state
                                                                                 : 'X';
}

enum agentd_stopped agentd_process_stopped(pid_t pid)
{
    return agentd_process_threads(pid, NULL);
}

enum agentd_stopped agentd_process_threads(pid_t pid, bool *waits_in_kernel)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/task", (int)pid);
    DIR *threads = opendir(path);
    if (waits_in_kernel != NULL)
        *waits_in_kernel = false;
    if (threads == NULL)
        return AGENTD_STOPPED_NONE;
    uint32_t stopped = 0, running = 0, waiting = 0;
    struct dirent *entry;
    while ((entry = readdir(threads)) != NULL) {
        if (!isdigit((unsigned char)entry->d_name[0]))
            continue;
        char state = thread_state(pid, entry->d_name);
        stopped += state == 'T' || state == 't';
        running += strchr("TtZXx", state) == NULL;
        waiting += state == 'D';
    }
    closedir(threads);
    if (waits_in_kernel != NULL)
        *waits_in_kernel = waiting > 0;
    if (stopped == 0)
        return AGENTD_STOPPED_NONE;
    return running == 0 ? AGENTD_STOPPED_ALL : AGENTD_STOPPED_SOME;
}

bool agentd_process_signal(pid_t pid, uint64_t start, int signal)
{
    struct agentd_process process;
    /* The descriptor is opened before the start time is compared: from then on it can mean no other
     * process, whatever happens to the number. */
    int fd = (int)syscall(SYS_pidfd_open, pid, 0);
    if (fd < 0 && errno != ENOSYS)
        return false;
    bool same = agentd_process_read(pid, &process) && process.start == start;
    bool sent;
    if (fd < 0) /* before Linux 5.3: as close as it gets */
        return same && kill(pid, signal) == 0;
    sent = same && syscall(SYS_pidfd_send_signal, fd, signal, NULL, 0) == 0;
    close(fd);
    return sent;
}

static void hurry(pid_t thread)
{
    const struct sched_param urgent = {.sched_priority = 1};
    (void)!sched_setscheduler(thread, SCHED_RR | SCHED_RESET_ON_FORK, &urgent);
}

void agentd_be_prompt(void)
{
    hurry(0);
}

void agentd_process_hurry(pid_t pid)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/task", (int)pid);
    DIR *threads = opendir(path);
    struct dirent *entry;
    while (threads != NULL && (entry = readdir(threads)) != NULL)
        if (isdigit((unsigned char)entry->d_name[0]))
            hurry((pid_t)atoi(entry->d_name));
    if (threads != NULL)
        closedir(threads);
}

const char *agentd_signal_name(int signal, char *text)
{
    const char *name = sigabbrev_np(signal);
    snprintf(text, 16, "%s", name != NULL ? name : "");
    if (name == NULL)
        snprintf(text, 16, "%d", signal);
    return text;
}

int agentd_signal_number(const char *text)
{
    if (strncmp(text, "SIG", 3) == 0)
        text += 3;
    for (int signal = 1; signal < NSIG; signal++) {
        char name[16];
        if (strcmp(agentd_signal_name(signal, name), text) == 0)
            return signal;
    }
    char *end;
    long number = strtol(text, &end, 10);
    return *text != '\0' && *end == '\0' && number > 0 && number < NSIG ? (int)number : 0;
}
