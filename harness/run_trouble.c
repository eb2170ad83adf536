/* Why a system could not be set up, as far as its nodes can still tell: the command that failed and
 * what it said, how the daemons were started, and where their logs end. The same for every system;
 * the run's last line says it in one. See run_internal.h. */
#include <string.h>

#include "harness/base/text.h"
#include "harness/notes.h"
#include "harness/run_internal.h"

enum { COMMAND_LINES_MAX = 12, SAID_LINES_MAX = 12, LOG_LINES_MAX = 12, TOLD_NODES_MAX = 2 };

/* The first or the last lines of a text, each indented. */
static void tell_lines(struct running *running, const char *text, size_t most, bool from_end)
{
    size_t lines = 0, length = strlen(text);
    while (length > 0 && (text[length - 1] == '\n' || text[length - 1] == ' '))
        length--;
    for (size_t i = 0; i < length; i++)
        lines += text[i] == '\n';
    lines += length > 0;
    size_t skipped = from_end && lines > most ? lines - most : 0, number = 0;
    for (size_t at = 0; at < length; number++) {
        size_t end = at;
        while (end < length && text[end] != '\n')
            end++;
        if (number >= skipped && number < skipped + most)
            log_problem(running->log, "    %.*s", (int)(end - at > 300 ? 300 : end - at),
                        text + at);
        at = end + 1;
    }
    if (length == 0)
        log_problem(running->log, "    (nothing)");
    else if (!from_end && lines > most)
        log_problem(running->log, "    ... (%zu more lines)", lines - most);
}

/* Whether the word is in the text, with no letter or digit beside it. */
static bool names_word(const char *text, const char *word)
{
    static const char letters[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_";
    size_t length = strlen(word);
    for (const char *at = text; (at = strstr(at, word)) != NULL; at++)
        if ((at == text || strchr(letters, at[-1]) == NULL) &&
            (at[length] == '\0' || strchr(letters, at[length]) == NULL))
            return true;
    return false;
}

static void tell_command(struct running *running, uint32_t node)
{
    int status = 0;
    const char *said = "", *name = running->test.nodes[node].name;
    const char *command = notes_failed(running->control.notes, node, &status, &said);
    if (command == NULL)
        return;
    log_problem(running->log, "%s: the command that failed, with status %d:", name, status);
    tell_lines(running, command, COMMAND_LINES_MAX, false);
    log_problem(running->log, "%s: what it said:", name);
    tell_lines(running, said, SAID_LINES_MAX, true);
}

/* On the node that the problem names; else on the first one where any failed. */
static void tell_a_command(struct running *running, const char *problem)
{
    const struct test *test = &running->test;
    uint32_t chosen = test->node_count;
    int status;
    const char *said;
    for (uint32_t i = test->node_count; i-- > 0;)
        if (notes_failed(running->control.notes, i, &status, &said) != NULL &&
            (chosen == test->node_count || names_word(problem, test->nodes[i].name) ||
             !names_word(problem, test->nodes[chosen].name)))
            chosen = i;
    if (chosen < test->node_count)
        tell_command(running, chosen);
}

/* The nodes that there is something to tell of: where a daemon that was started does not run; else
 * those that the problem names; else the first. */
static node_set find_culprits(struct running *running, node_set there, const char *problem)
{
    struct test *test = &running->test;
    const char *const *daemons = running->plan->system->daemons;
    node_set ended = 0, named = 0;
    for (size_t d = 0; daemons[d] != NULL; d++) {
        enum daemon_state states[PLAN_NODES_MAX];
        const char *log;
        if (daemon_states(test, there, daemons[d], states, NULL) != ERR_NONE)
            continue;
        for (uint32_t i = 0; i < test->node_count; i++)
            if (node_in(there, i) && (states[i] == DAEMON_EXITED || states[i] == DAEMON_NONE) &&
                notes_started(running->control.notes, i, daemons[d], &log) != NULL)
                ended |= NODE_SET(i);
    }
    for (uint32_t i = 0; i < test->node_count; i++)
        if (node_in(there, i) && names_word(problem, test->nodes[i].name))
            named |= NODE_SET(i);
    if ((ended & named) != 0)
        return ended & named;
    return ended != 0 ? ended : named != 0 ? named : there & -there;
}

static void tell_log(struct running *running, uint32_t node, const char *path)
{
    struct buf word = BUF_INIT, tail = BUF_INIT;
    int status = 0;
    buf_add_shell_word(&word, path);
    if (test_shell_output(&running->test, node, &tail, &status, NULL, "timeout 5 tail -n %d -- %s",
                          LOG_LINES_MAX, word.data) != ERR_NONE ||
        status != 0) {
        log_problem(running->log, "%s: there is no log %s", running->test.nodes[node].name, path);
    } else {
        log_problem(running->log, "%s: the end of %s:", running->test.nodes[node].name, path);
        tell_lines(running, buf_text(&tail), LOG_LINES_MAX, true);
    }
    buf_free(&word);
    buf_free(&tail);
}

static void tell_node(struct running *running, uint32_t node)
{
    const struct system *system = running->plan->system;
    const char *name = running->test.nodes[node].name;
    for (size_t d = 0; system->daemons[d] != NULL; d++) {
        const char *log = NULL;
        const char *line = notes_started(running->control.notes, node, system->daemons[d], &log);
        enum daemon_state state = DAEMON_NONE;
        if (line == NULL)
            continue;
        bool known =
            daemon_status(&running->test, node, system->daemons[d], &state, NULL) == ERR_NONE;
        log_problem(running->log, "%s: %s %s; it was started by:", name, system->daemons[d],
                    !known                    ? "may have ended"
                    : state == DAEMON_RUNNING ? "runs"
                    : state == DAEMON_PAUSED  ? "is stopped"
                                              : "has ended");
        tell_lines(running, line, COMMAND_LINES_MAX, false);
        bool listed = false;
        for (const char *const *path = system->log_paths; *path != NULL; path++)
            listed = listed || strcmp(*path, log) == 0;
        if (!listed)
            tell_log(running, node, log);
    }
    for (const char *const *path = system->log_paths; *path != NULL; path++)
        tell_log(running, node, *path);
}

void run_tell_trouble(struct running *running, const char *problem)
{
    struct test *test = &running->test;
    node_set there = test_all_nodes(test) & ~atomic_load(&running->lost);
    if (running->control.notes == NULL || test_cancelled(test) || there == 0)
        return;
    tell_a_command(running, problem);
    if (!running->started)
        return; /* so no daemon was */
    node_set culprits = find_culprits(running, there, problem), left = culprits;
    for (int told = 0; told < TOLD_NODES_MAX && left != 0; told++) {
        uint32_t node = (uint32_t)__builtin_ctzll(left);
        tell_node(running, node);
        left &= ~NODE_SET(node);
    }
    if (left == 0)
        return;
    struct buf names = BUF_INIT;
    test_print_nodes(test, left, &names);
    log_problem(running->log, "of %s the same could be told: their logs are below %s/nodes",
                names.data, running->directory);
    buf_free(&names);
}
