/* What the faults of disks share: see disks.h. */
#include "nemeses/disks.h"

#include <stdio.h>
#include <string.h>

/* Those that need a disk, by name. */
static const char *const users[] = {"power", "io"};

const char *disks_data_dir(const struct test *test)
{
    return option_text(&test->plan->options, test->plan->system->data_dir_option);
}

enum err_code disks_check(const struct test *test, struct err *err)
{
    const struct system *system = test->plan->system;
    if (system->data_dir_option != NULL)
        return ERR_NONE;
    return err_set(err, ERR_CONFIG, "it needs a system that says where its data is; %s does not",
                   system->name);
}

static bool needs_disk(const struct nemesis *nemesis)
{
    for (size_t i = 0; i < sizeof users / sizeof *users; i++)
        if (strcmp(nemesis->name, users[i]) == 0)
            return true;
    return false;
}

static const char *file_system_of(const struct test *test, const char *nemesis)
{
    char option[64];
    snprintf(option, sizeof option, "%s.file-system", nemesis);
    return option_text(&test->plan->options, option);
}

enum err_code disks_give(struct test *test, const char *nemesis, struct err *err)
{
    const char *wanted = file_system_of(test, nemesis);
    const char *first = NULL;
    for (size_t i = 0; i < test->plan->nemesis_count; i++) {
        const struct nemesis *other = test->plan->nemeses[i];
        if (!needs_disk(other))
            continue;
        first = first == NULL ? other->name : first;
        const char *its = file_system_of(test, other->name);
        if (strcmp(its, wanted) != 0)
            return err_set(err, ERR_CONFIG,
                           "the data has one disk, and %s.file-system=%s is not "
                           "%s.file-system=%s: set both to the same",
                           nemesis, wanted, other->name, its);
    }
    if (first != NULL && strcmp(first, nemesis) != 0)
        return ERR_NONE; /* it gave it */
    enum err_code code = disk_give(test, test_all_nodes(test), disks_data_dir(test), wanted, err);
    return code == ERR_NONE ? code : err_wrap(err, "giving each node a disk of its own");
}
