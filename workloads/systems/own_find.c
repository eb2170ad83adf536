/* Finding systems of one's own, by path and by name: see own.h, harness/system.h. */
#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "harness/base/text.h"
#include "harness/plugin.h"
#include "workloads/systems/own.h"

enum { SYSTEMS_MAX = 64, PLACES_MAX = 32 };

static struct own_system *known[SYSTEMS_MAX];
static size_t known_count;

/* Each directory is read once. */
static const struct system *open_directory(const char *directory, const char *reference,
                                           struct err *err)
{
    char full[PATH_MAX];
    if (realpath(directory, full) == NULL)
        return NULL;
    for (size_t i = 0; i < known_count; i++)
        if (strcmp(known[i]->directory, full) == 0)
            return &known[i]->system;
    if (known_count == SYSTEMS_MAX) {
        err_set(err, ERR_CONFIG, "more than %d systems of one's own", SYSTEMS_MAX);
        return NULL;
    }
    struct own_system *own = own_read(directory, reference, err);
    if (own == NULL)
        return NULL;
    known[known_count++] = own;
    return &own->system;
}

static bool is_there(const char *directory)
{
    struct stat status;
    char path[PATH_MAX + 16];
    snprintf(path, sizeof path, "%s/system.json", directory);
    return stat(path, &status) == 0;
}

/* The directory that the program is in, so many steps up; NULL: there is none. */
static const char *above_program(struct arena *arena, int steps)
{
    char program[PATH_MAX];
    ssize_t length = readlink("/proc/self/exe", program, sizeof program - 1);
    if (length <= 0)
        return NULL;
    program[length] = '\0';
    for (int i = 0; i <= steps; i++) {
        char *slash = strrchr(program, '/');
        if (slash == NULL || slash == program)
            return NULL;
        *slash = '\0';
    }
    return arena_strdup(arena, program);
}

/* Where systems are looked for: $ORDEAL_SYSTEMS (several, with colons between), ./systems, what is
 * installed (bin/ordeal, share/ordeal/systems), and the examples of the source tree that it was
 * built in (build/release/ordeal, examples). */
static size_t places(struct arena *arena, const char ***list)
{
    const char *own = getenv("ORDEAL_SYSTEMS");
    const char **parts = NULL;
    size_t count = own == NULL ? 0 : text_split(arena, own, ':', &parts);
    if (count > PLACES_MAX)
        count = PLACES_MAX;
    *list = arena_zalloc(arena, (count + 4) * sizeof **list);
    if (count > 0)
        memcpy(*list, parts, count * sizeof **list);
    (*list)[count++] = "systems";
    const char *prefix = above_program(arena, 1), *tree = above_program(arena, 2);
    if (prefix != NULL)
        (*list)[count++] = arena_printf(arena, "%s/share/ordeal/systems", prefix);
    if (tree != NULL)
        (*list)[count++] = arena_printf(arena, "%s/examples", tree);
    return count;
}

static bool is_path(const char *name)
{
    return strchr(name, '/') != NULL || strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

static const struct system *by_path(const char *name, struct err *err)
{
    struct stat status;
    char directory[PATH_MAX];
    size_t length = strlen(name);
    if (length >= sizeof directory) {
        err_set(err, ERR_CONFIG, "system: the path is too long");
        return NULL;
    }
    memcpy(directory, name, length + 1);
    /* The file itself is as good as its directory. */
    if (length > 12 && strcmp(directory + length - 12, "/system.json") == 0)
        directory[length - 12] = '\0';
    while (strlen(directory) > 1 && directory[strlen(directory) - 1] == '/')
        directory[strlen(directory) - 1] = '\0';
    if (stat(directory, &status) != 0 || !S_ISDIR(status.st_mode)) {
        err_set(err, ERR_CONFIG,
                "system: there is no directory %s (ordeal new system NAME writes one)", directory);
        return NULL;
    }
    if (!is_there(directory)) {
        err_set(err, ERR_CONFIG, "system: %s has no system.json", directory);
        return NULL;
    }
    return open_directory(directory, NULL, err);
}

/* NULL without an error: there is none of that name. */
static const struct system *by_name(const char *name, struct err *err)
{
    struct arena arena = ARENA_INIT;
    const struct system *system = NULL;
    const char **list;
    size_t count = places(&arena, &list);
    for (size_t i = 0; i < count && system == NULL && err->code == ERR_NONE; i++) {
        const char *directory = arena_printf(&arena, "%s/%s", list[i], name);
        if (is_there(directory))
            system = open_directory(directory, name, err);
    }
    arena_free(&arena);
    return system;
}

const struct system *system_named(const char *name, struct err *err)
{
    struct err why = ERR_INIT;
    const struct system *system = is_path(name) ? NULL : system_find(name);
    if (system != NULL)
        return system;
    system = is_path(name) ? by_path(name, &why) : by_name(name, &why);
    if (system == NULL && why.code != ERR_NONE)
        err_set(err, why.code, "%s", why.message);
    else if (system == NULL && is_there(name))
        err_set(err, ERR_CONFIG, "there is no system '%s', but a directory of one: --system ./%s",
                name, name);
    else if (system == NULL)
        plugin_resolve(systems, "system", "systems", name, err);
    return system;
}

const char *system_reference(const struct system *system)
{
    for (size_t i = 0; i < known_count; i++)
        if (&known[i]->system == system)
            return known[i]->reference;
    return system->name;
}

static int compare(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void search_one(const char *place, struct arena *arena, system_each *each, void *state)
{
    DIR *directory = opendir(place);
    const char *names[SYSTEMS_MAX];
    size_t count = 0;
    struct dirent *entry;
    while (directory != NULL && (entry = readdir(directory)) != NULL && count < SYSTEMS_MAX)
        if (entry->d_name[0] != '.')
            names[count++] = arena_strdup(arena, entry->d_name);
    if (directory != NULL)
        closedir(directory);
    if (count > 0)
        qsort(names, count, sizeof names[0], compare);
    for (size_t i = 0; i < count; i++) {
        struct err err = ERR_INIT;
        const char *path = arena_printf(arena, "%s/%s", place, names[i]);
        if (is_there(path))
            each(state, path, open_directory(path, names[i], &err), &err);
    }
}

void system_search(system_each *each, void *state)
{
    struct arena arena = ARENA_INIT;
    const char **list;
    size_t count = places(&arena, &list);
    for (size_t i = 0; i < count; i++)
        search_one(list[i], &arena, each, state);
    arena_free(&arena);
}
