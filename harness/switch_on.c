/* Machines that were left off are switched on: see switch_on.h. */
#include "harness/switch_on.h"

#include <stdlib.h>
#include <string.h>

#include "harness/base/clock.h"
#include "harness/nemesis.h"
#include "harness/node_command.h"
#include "harness/switched_off.h"

enum { TRIES = 3 };
static const int64_t pause_ns = 500 * NS_PER_MS, patience_ns = 5 * 60 * NS_PER_SECOND;

static void say(const struct switch_on *options, const struct node *node, const struct buf *line)
{
    options->say(options->state, node, buf_text(line));
}

/* ---- One machine ---- */

/* Until all of them answer, or their time is over. */
static enum err_code await_answers(const struct switch_on *options, const struct node *nodes,
                                   size_t count, int64_t patience, struct err *err)
{
    struct fleet_options fleet_options = *options->fleet_options;
    struct fleet *fleet;
    fleet_options.patience_ns = patience;
    enum err_code code = fleet_open(nodes, count, &fleet_options, &fleet, err);
    if (code == ERR_NONE)
        fleet_close(fleet);
    return code;
}

/* A command that switches on what is on already often fails: then whether the machine answers is
 * what counts. Right after ordeal was killed it may still be on its way down, hence the tries. */
static enum err_code start_by_command(const struct switch_on *options, const struct node *node,
                                      const struct json *how, struct buf *said, struct err *err)
{
    const char *command = json_as_text(json_get(how, "command"), "false");
    struct node alone = *node;
    enum err_code code = ERR_NONE;
    alone.index = 0;
    buf_printf(said, "`%s`", command);
    for (int i = 0; i < TRIES; i++) {
        if (i > 0)
            clock_sleep_ns(pause_ns);
        code = node_command_run(node->name, command, err);
        if (code == ERR_NONE)
            return code;
    }
    if (await_answers(options, &alone, 1, 0, NULL) != ERR_NONE)
        return code;
    buf_printf(said, ", which failed, but it is on");
    return ERR_NONE;
}

static enum err_code start_by_nemesis(const struct node *node, const char *starter,
                                      const struct json *how, struct buf *said, struct err *err)
{
    for (const struct node_starter *one = node_starters; one->name != NULL; one++)
        if (strcmp(one->name, starter) == 0)
            return one->start(how, said, err) == ERR_NONE ? ERR_NONE
                                                          : err_wrap(err, "%s", node->name);
    return err_set(err, ERR_CONFIG,
                   "%s was switched off by %.40s, which this ordeal does not know: switch it on by "
                   "hand",
                   node->name, starter);
}

static void add_owner(const struct json *entry, struct buf *line)
{
    buf_printf(line, "%s had switched it off at %s",
               json_as_text(json_get(entry, "owner"), "somebody"),
               json_as_text(json_get(entry, "at"), "some time"));
}

static enum err_code start(const struct switch_on *options, const struct node *node,
                           const struct json *entry, struct err *err)
{
    struct buf line = BUF_INIT, said = BUF_INIT;
    const char *starter = json_as_text(json_get(entry, "starter"), "");
    const struct json *how = json_get(entry, "how");
    enum err_code code = strcmp(starter, SWITCHED_OFF_COMMAND) == 0
                             ? start_by_command(options, node, how, &said, err)
                             : start_by_nemesis(node, starter, how, &said, err);
    if (code == ERR_UNSUPPORTED) /* nothing ever will: to be told once */
        (void)!switched_off_forget(options->store, node, NULL);
    if (code == ERR_NONE) {
        buf_printf(&line, "switched on again by %s: ", buf_text(&said));
        add_owner(entry, &line);
        buf_add_text(&line, ", and not on again");
        say(options, node, &line);
    }
    buf_free(&line);
    buf_free(&said);
    return code;
}

/* Whose it is to switch it on is not known, or somebody is about to. */
static void tell(const struct switch_on *options, const struct node *node, const struct json *entry,
                 enum switched_off_by by)
{
    struct buf line = BUF_INIT;
    add_owner(entry, &line);
    buf_add_text(&line, by == SWITCHED_OFF_BY_ALIVE
                            ? ", and still runs"
                            : ", elsewhere or before this machine was booted; if it is still off, "
                              "ordeal heal with the same nodes and --store switches it on");
    say(options, node, &line);
    buf_free(&line);
}

/* ---- All of them ---- */

static enum err_code start_all(const struct switch_on *options, struct node *started, size_t *count,
                               struct err *err)
{
    enum err_code first = ERR_NONE;
    for (uint32_t i = 0; i < options->node_count; i++) {
        const struct node *node = &options->nodes[i];
        struct json *entry = NULL;
        enum switched_off_by by;
        struct err one = ERR_INIT;
        enum err_code code = switched_off_read(options->store, node, &entry, &by, &one);
        bool wanted = options->which == SWITCH_ON_ALL ? by != SWITCHED_OFF_NOBODY
                                                      : by == SWITCHED_OFF_BY_DEAD;
        if (code == ERR_NONE && wanted)
            code = start(options, node, entry, &one);
        else if (code == ERR_NONE && by != SWITCHED_OFF_NOBODY)
            tell(options, node, entry, by);
        if (code == ERR_NONE && wanted) {
            started[*count] = *node;
            started[*count].index = (uint32_t)*count;
            (*count)++;
        }
        if (code != ERR_NONE && first == ERR_NONE)
            first = err_set(err, code, "%s", one.message);
        json_free(entry);
    }
    return first;
}

static enum err_code await_all(const struct switch_on *options, const struct node *started,
                               size_t count, struct err *err)
{
    int64_t began_ns = clock_monotonic_ns();
    enum err_code code = await_answers(options, started, count, patience_ns, err);
    if (code != ERR_NONE)
        return err_wrap(err, "what was switched on again does not answer");
    struct buf line = BUF_INIT;
    char took[32];
    clock_format_human(clock_monotonic_ns() - began_ns, took, sizeof took);
    buf_printf(&line, "answers again, %s later", took);
    for (size_t i = 0; i < count; i++) {
        struct err one = ERR_INIT;
        say(options, &started[i], &line);
        if (switched_off_forget(options->store, &started[i], &one) != ERR_NONE && code == ERR_NONE)
            code = err_set(err, one.code, "%s", one.message);
    }
    buf_free(&line);
    return code;
}

enum err_code switch_on(const struct switch_on *options, struct err *err)
{
    size_t count = 0;
    struct err later = ERR_INIT;
    struct node *started = calloc(options->node_count + 1, sizeof *started);
    if (started == NULL)
        return err_set(err, ERR_NOMEM, "no memory for %u nodes", options->node_count);
    enum err_code code = start_all(options, started, &count, err);
    enum err_code awaited = count == 0 ? ERR_NONE : await_all(options, started, count, &later);
    free(started);
    return code == ERR_NONE && awaited != ERR_NONE ? err_set(err, awaited, "%s", later.message)
                                                   : code;
}
