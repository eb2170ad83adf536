/* What really touches this machine's clock: see machine.h. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/timex.h>
#include <time.h>
#include <unistd.h>

#include "harness/agent/machine.h"
#include "harness/base/clock.h"

/* The numbers that the kernel gives its first namespaces, ever since there are any. Who is in
 * another one shares the machine. */
static const struct {
    const char *name;
    ino_t first;
} namespaces[] = {
    {"pid", 0xeffffffc}, {"uts", 0xeffffffe}, {"ipc", 0xefffffff}, {"user", 0xeffffffd}};

static void read_boot_id(char *text, size_t size)
{
    FILE *file = fopen("/proc/sys/kernel/random/boot_id", "re");
    if (file == NULL || fgets(text, (int)size, file) == NULL)
        snprintf(text, size, "%s", "");
    text[strcspn(text, "\n")] = '\0';
    if (file != NULL)
        fclose(file);
}

static void refusal(const char *controller_boot, char *reason, size_t size)
{
    char own[64];
    reason[0] = '\0';
    read_boot_id(own, sizeof own);
    if (own[0] == '\0' || controller_boot == NULL || strcmp(own, controller_boot) == 0) {
        snprintf(reason, size, "it shares its kernel, and so its clock, with ordeal's machine");
        return;
    }
    for (size_t i = 0; i < sizeof namespaces / sizeof namespaces[0]; i++) {
        char path[64];
        struct stat status;
        snprintf(path, sizeof path, "/proc/self/ns/%s", namespaces[i].name);
        if (stat(path, &status) != 0 || status.st_ino != namespaces[i].first) {
            snprintf(reason, size,
                     "it is a container (its %s namespace is not the machine's), and would set the "
                     "clock of all that run beside it",
                     namespaces[i].name);
            return;
        }
    }
    if (geteuid() != 0)
        snprintf(reason, size, "only root may set the clock");
}

static int64_t read_ns(clockid_t id)
{
    struct timespec now = {.tv_sec = 0};
    clock_gettime(id, &now);
    return now.tv_sec * NS_PER_SECOND + now.tv_nsec;
}

static int64_t wall_ns(void)
{
    return read_ns(CLOCK_REALTIME);
}

static int64_t raw_ns(void)
{
    return read_ns(CLOCK_MONOTONIC_RAW);
}

static enum err_code set_wall(int64_t ns, struct err *err)
{
    struct timespec wanted = clock_timespec(ns);
    if (clock_settime(CLOCK_REALTIME, &wanted) != 0)
        return err_errno(err, errno, "cannot set the clock");
    return ERR_NONE;
}

static enum err_code steer(const struct agentd_steering *wanted, struct agentd_steering *now,
                           struct err *err)
{
    struct timex timex = {.modes = 0};
    if (wanted != NULL) {
        timex.modes = ADJ_TICK | ADJ_FREQUENCY;
        timex.tick = wanted->tick;
        timex.freq = wanted->frequency;
    }
    if (adjtimex(&timex) < 0)
        return err_errno(err, errno, "cannot %s how fast the clock runs",
                         wanted != NULL ? "set" : "read");
    *now = (struct agentd_steering){timex.tick, timex.freq};
    return ERR_NONE;
}

/* By their comm, of which the kernel keeps 15 bytes. */
static void ntp_daemons(struct arena *arena, struct agentd_processes *found)
{
    static const char *const names[] = {"chronyd", "ntpd", "systemd-timesyn", "ntpd-rs"};
    struct agentd_processes all;
    agentd_processes_read(arena, &all);
    found->items = arena_alloc(arena, (all.count + 1) * sizeof *found->items);
    found->count = 0;
    for (uint32_t i = 0; i < all.count; i++)
        for (size_t j = 0; j < sizeof names / sizeof names[0]; j++)
            if (strcmp(all.items[i].comm, names[j]) == 0 && !all.items[i].kernel_thread &&
                !agentd_process_is_dead(&all.items[i]))
                found->items[found->count++] = all.items[i];
}

const struct agentd_machine_backend agentd_machine_real = {
    .refusal = refusal,
    .wall_ns = wall_ns,
    .raw_ns = raw_ns,
    .set_wall = set_wall,
    .steer = steer,
    .ntp_daemons = ntp_daemons,
};
