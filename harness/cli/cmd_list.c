/* ordeal list: what there is. */
#include <stdio.h>
#include <string.h>

#include "harness/checker.h"
#include "harness/cli/cli.h"
#include "harness/model.h"
#include "harness/nemesis.h"
#include "harness/plugin.h"
#include "harness/reporter.h"
#include "harness/run.h"
#include "harness/workload.h"

static const struct option *system_options(const void *entry)
{
    return ((const struct system *)entry)->options;
}
static const struct option *workload_options(const void *entry)
{
    return ((const struct workload *)entry)->options;
}
static const struct option *nemesis_options(const void *entry)
{
    return ((const struct nemesis *)entry)->options;
}
static const struct option *checker_options(const void *entry)
{
    return ((const struct checker *)entry)->options;
}

/* What `ordeal list` calls it, the table, and where an entry keeps its options (NULL: it has none).
 */
struct listed {
    const char *name;
    const void *table;
    const struct option *(*options)(const void *entry);
};

static const struct listed lists[] = {
    {"systems", systems, system_options},
    {"workloads", workloads, workload_options},
    {"nemeses", nemeses, nemesis_options},
    {"checkers", checkers, checker_options},
    {"models", models, NULL},
    {"reports", reporters, NULL},
};
enum { LIST_COUNT = sizeof lists / sizeof lists[0] };

static void print_entry(const struct listed *list, const struct plugin *entry, struct buf *out)
{
    buf_printf(out, "  %-17s %s\n", entry->name, entry->summary);
    if (list->options == NULL)
        return;
    for (const struct option *option = list->options(entry); option != NULL && option->name != NULL;
         option++)
        buf_printf(out, "  %-17s   --set %s.%s=%s  %s\n", "", entry->name, option->name,
                   option->choices != NULL ? option->choices : option->fallback, option->help);
}

struct found {
    const struct listed *list;
    struct buf *out;
};

/* One of the search path's: an entry like any other, and where it is, or what is wrong with it. */
static void print_own(void *state, const char *directory, const struct system *system,
                      const struct err *err)
{
    struct found *found = state;
    if (system == NULL) {
        buf_printf(found->out, "  %-17s cannot be used: %s\n", strrchr(directory, '/') + 1,
                   err->message);
        return;
    }
    print_entry(found->list, (const struct plugin *)system, found->out);
    buf_printf(found->out, "  %-17s   in %s\n", "", directory);
}

/* What clients of one's own are asked. */
static void print_words(const struct workload *workload, struct buf *out)
{
    for (const struct word *word = workload->words; word != NULL && word->f != NULL; word++)
        buf_printf(out, "  %-17s   %s %s -> %s  %s\n", "", word->f, word->asked, word->answered,
                   word->help);
}

static void print_list(const struct listed *list, struct buf *out)
{
    for (const struct plugin *const *entry = list->table; *entry != NULL; entry++) {
        print_entry(list, *entry, out);
        if (list->table == (const void *)workloads)
            print_words((const struct workload *)*entry, out);
    }
    if (list->table == (const void *)systems)
        system_search(print_own, &(struct found){list, out});
}

static void print_left_out(struct buf *out)
{
    for (const struct system_left_out *entry = systems_left_out; entry->name != NULL; entry++)
        buf_printf(out,
                   "  %-17s not in this build: its client library was missing; install %s and run "
                   "make again\n",
                   entry->name, entry->package);
}

static enum err_code take(void *state, const char *name, const char *value, struct err *err)
{
    const char **wanted = state;
    (void)name;
    if (*wanted != NULL)
        return err_set(err, ERR_CONFIG, "list takes one name, not '%s' and '%s'", *wanted, value);
    *wanted = value;
    return ERR_NONE;
}

int cmd_list(int argc, char **argv)
{
    static const struct cli_option options[] = {{.name = NULL}};
    const char *wanted = NULL;
    bool help, found = false;
    struct err err = ERR_INIT;
    struct buf out = BUF_INIT;
    if (cli_parse(argc, argv, options, take, &wanted, &help, &err) != ERR_NONE)
        return cli_fail(&err);
    if (help)
        buf_add_text(&out, "usage: ordeal list "
                           "[systems|workloads|nemeses|checkers|models|reports]\n\n"
                           "Lists what there is, each with its options and their defaults.\n");
    for (size_t i = 0; i < LIST_COUNT && !help; i++) {
        if (wanted != NULL && strcmp(wanted, lists[i].name) != 0)
            continue;
        if (wanted == NULL)
            buf_printf(&out, "%s%s\n", i > 0 ? "\n" : "", lists[i].name);
        print_list(&lists[i], &out);
        if (lists[i].table == systems)
            print_left_out(&out);
        found = true;
    }
    if (!found && !help) {
        buf_free(&out);
        err_set(&err, ERR_CONFIG,
                "there is no list of '%s': systems, workloads, nemeses, checkers, models, reports",
                wanted);
        return cli_fail(&err);
    }
    int status = cli_output(&out, 0);
    buf_free(&out);
    return status;
}
