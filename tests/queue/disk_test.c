/* The real directory's lock: one server at a time, and none kept out by what a killed one left. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "queue/disk.h"
#include "tests/queue/lib/scratch.h"

/* Another process that has the directory; it forks a child that does nothing, as a snapshot's is
 * before the scheduler gives it its first turn. Returns once both are there. */
static pid_t start_holder(const char *path, pid_t *child)
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    pid_t holder = fork();
    if (holder == 0) {
        struct disk disk;
        if (disk_open(&disk, path, NULL) != DISK_OK)
            _exit(1);
        pid_t forked = fork();
        if (forked == 0)
            for (;;)
                pause();
        (void)!write(ends[1], &forked, sizeof forked);
        for (;;)
            pause();
    }
    assert_int_equal(read(ends[0], child, sizeof *child), sizeof *child);
    close(ends[0]);
    close(ends[1]);
    return holder;
}

static void a_directory_is_one_servers(void **state)
{
    (void)state;
    char *path = scratch_make();
    struct disk disk;
    struct queue_error error;
    pid_t child, holder = start_holder(path, &child);
    assert_int_equal(disk_open(&disk, path, &error), DISK_REFUSED);
    assert_non_null(strstr(error.message, "in use"));
    kill(child, SIGKILL);
    kill(holder, SIGKILL);
    waitpid(holder, NULL, 0);
    scratch_remove(path);
}

/* A server is killed just after it forked, and is started again before its child has run. */
static void a_killed_servers_child_does_not_hold_it(void **state)
{
    (void)state;
    char *path = scratch_make();
    struct disk disk;
    struct queue_error error = {.message = ""};
    pid_t child, holder = start_holder(path, &child);
    kill(holder, SIGKILL);
    waitpid(holder, NULL, 0);
    enum disk_result result = disk_open(&disk, path, &error);
    kill(child, SIGKILL);
    if (result != DISK_OK)
        fail_msg("%s", error.message);
    disk_close(&disk);
    scratch_remove(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_directory_is_one_servers),
        cmocka_unit_test(a_killed_servers_child_does_not_hold_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
