/* What was done to the nodes while a system was set up: see notes.h. */
#include "harness/notes.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/* A system has a few daemons; the agent itself takes no more than 64. */
enum { DAEMONS_MAX = 8, COMMAND_BYTES_MAX = 4000, SAID_BYTES_MAX = 2000 };

struct daemon_note {
    char *name, *line, *log;
};

struct command_note {
    struct buf command, said; /* empty: none failed */
    int status;
};

struct notes {
    pthread_mutex_t lock;
    struct command_note commands[PLAN_NODES_MAX];
    struct daemon_note daemons[PLAN_NODES_MAX][DAEMONS_MAX];
};

struct notes *notes_open(void)
{
    struct notes *notes = calloc(1, sizeof *notes);
    if (notes == NULL)
        abort();
    pthread_mutex_init(&notes->lock, NULL);
    return notes;
}

static void forget(struct daemon_note *note)
{
    free(note->name);
    free(note->line);
    free(note->log);
}

void notes_close(struct notes *notes)
{
    if (notes == NULL)
        return;
    for (size_t i = 0; i < PLAN_NODES_MAX; i++) {
        for (size_t d = 0; d < DAEMONS_MAX; d++)
            forget(&notes->daemons[i][d]);
        buf_free(&notes->commands[i].command);
        buf_free(&notes->commands[i].said);
    }
    pthread_mutex_destroy(&notes->lock);
    free(notes);
}

void notes_clear_commands(struct notes *notes)
{
    pthread_mutex_lock(&notes->lock);
    for (size_t i = 0; i < PLAN_NODES_MAX; i++)
        buf_clear(&notes->commands[i].command);
    pthread_mutex_unlock(&notes->lock);
}

void notes_command(struct notes *notes, uint32_t node, const char *command, int status,
                   const char *said)
{
    size_t length = strlen(command), heard = strlen(said);
    struct command_note *note = &notes->commands[node];
    pthread_mutex_lock(&notes->lock);
    buf_clear(&note->command);
    buf_clear(&note->said);
    buf_add(&note->command, command, length > COMMAND_BYTES_MAX ? COMMAND_BYTES_MAX : length);
    buf_add_text(&note->said, heard > SAID_BYTES_MAX ? said + heard - SAID_BYTES_MAX : said);
    note->status = status;
    pthread_mutex_unlock(&notes->lock);
}

static void add_word(struct buf *line, const char *word)
{
    if (line->length > 0)
        buf_add_char(line, ' ');
    if (*word != '\0' && strpbrk(word, " \t\n'\"\\$`&|;<>()*?[]{}~#!") == NULL)
        buf_add_text(line, word);
    else
        buf_add_shell_word(line, word);
}

void notes_daemon(struct notes *notes, uint32_t node, const struct daemon_spec *spec,
                  const char *log)
{
    struct buf line = BUF_INIT, name = BUF_INIT, path = BUF_INIT;
    for (const char *const *pair = spec->env; pair != NULL && *pair != NULL; pair++)
        add_word(&line, *pair);
    for (const char *const *word = spec->argv; *word != NULL; word++)
        add_word(&line, *word);
    if (spec->user != NULL)
        buf_printf(&line, " (as %s)", spec->user);
    buf_add_text(&name, spec->name);
    buf_add_text(&path, log);
    pthread_mutex_lock(&notes->lock);
    struct daemon_note *list = notes->daemons[node];
    size_t d = 0;
    while (d < DAEMONS_MAX - 1 && list[d].name != NULL && strcmp(list[d].name, spec->name) != 0)
        d++;
    forget(&list[d]);
    list[d] = (struct daemon_note){buf_take(&name), buf_take(&line), buf_take(&path)};
    pthread_mutex_unlock(&notes->lock);
}

const char *notes_failed(const struct notes *notes, uint32_t node, int *status, const char **said)
{
    const struct command_note *note = &notes->commands[node];
    if (note->command.length == 0)
        return NULL;
    *status = note->status;
    *said = buf_text(&note->said);
    return buf_text(&note->command);
}

const char *notes_started(const struct notes *notes, uint32_t node, const char *name,
                          const char **log)
{
    const struct daemon_note *list = notes->daemons[node];
    for (size_t d = 0; d < DAEMONS_MAX; d++)
        if (list[d].name != NULL && strcmp(list[d].name, name) == 0) {
            *log = list[d].log;
            return list[d].line;
        }
    return NULL;
}
