/* Nemeses from outside: see nemesis_file.h. */
#include "harness/nemesis_file.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "harness/base/text.h"
#include "harness/nemesis_program.h"

#define TEXT_OF_(symbol) #symbol
#define TEXT_OF(symbol) TEXT_OF_(symbol)

enum { OWN_MAX = 32, NAME_MAX_LENGTH = 32 };

/* Those from outside, in the order in which they became known. */
static struct {
    const struct nemesis *nemesis;
    const char *path; /* NULL: only declared */
} own[OWN_MAX];
static size_t own_count;
static pthread_mutex_t own_lock = PTHREAD_MUTEX_INITIALIZER;

bool nemesis_is_file(const char *name)
{
    size_t length = strlen(name);
    return strchr(name, '/') != NULL || (length > 3 && strcmp(name + length - 3, ".so") == 0);
}

static char *duplicate(const char *text)
{
    char *copy = strdup(text);
    if (copy == NULL)
        abort();
    return copy;
}

/* "./some/mine.so" is mine. */
static char *name_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    char *name = duplicate(slash == NULL ? path : slash + 1);
    char *dot = strrchr(name, '.');
    if (dot != NULL && dot != name)
        *dot = '\0';
    return name;
}

static const struct nemesis *find(const char *name, bool loaded)
{
    for (size_t i = 0; i < own_count; i++)
        if (strcmp(own[i].nemesis->name, name) == 0 && (!loaded || own[i].path != NULL))
            return own[i].nemesis;
    return NULL;
}

static bool keep(const struct nemesis *nemesis, const char *path)
{
    if (own_count == OWN_MAX)
        return false;
    own[own_count].nemesis = nemesis;
    own[own_count++].path = path == NULL ? NULL : duplicate(path);
    return true;
}

/* ---- Loading ---- */

static enum err_code look_over(const struct nemesis *nemesis, const char *path, const char *name,
                               struct err *err)
{
    const char *wrong = NULL;
    char begin[NAME_MAX_LENGTH + 8], end[NAME_MAX_LENGTH + 8];
    snprintf(begin, sizeof begin, "start-%.32s", name);
    snprintf(end, sizeof end, "stop-%.32s", name);
    if (nemesis->name == NULL || nemesis->summary == NULL || nemesis->check == NULL ||
        nemesis->choose == NULL || nemesis->begin == NULL || nemesis->end == NULL)
        wrong = "name, summary, check, choose, begin and end must be given";
    else if (strcmp(nemesis->name, name) != 0)
        wrong = "its name must be that of its file, without folders and extension";
    else if (nemesis->begin_f == NULL || strcmp(nemesis->begin_f, begin) != 0 ||
             nemesis->end_f == NULL || strcmp(nemesis->end_f, end) != 0)
        wrong = "begin_f and end_f must be start-NAME and stop-NAME";
    return wrong == NULL ? ERR_NONE : err_set(err, ERR_CONFIG, "nemesis %s: %s", path, wrong);
}

static const struct nemesis *load(const char *path, struct err *err)
{
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (library == NULL) {
        (void)err_set(err, ERR_CONFIG, "nemesis %s: %s", path, dlerror());
        return NULL;
    }
    const struct nemesis *nemesis = dlsym(library, TEXT_OF(ORDEAL_NEMESIS));
    if (nemesis == NULL)
        (void)err_set(err, ERR_CONFIG,
                      "nemesis %s: it defines no " TEXT_OF(
                          ORDEAL_NEMESIS) "; compile it against the header of this ordeal, with "
                                          "`const struct nemesis ORDEAL_NEMESIS = {..};`",
                      path);
    return nemesis;
}

static enum err_code check_name(const char *path, const char *name, struct err *err)
{
    size_t good = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-");
    if (name[0] == '\0' || name[good] != '\0' || good > NAME_MAX_LENGTH)
        return err_set(err, ERR_CONFIG,
                       "nemesis %s: its file must be called by at most %d small letters, digits "
                       "and '-': that is its name",
                       path, NAME_MAX_LENGTH);
    if (nemesis_find(name) != NULL)
        return err_set(err, ERR_CONFIG,
                       "nemesis %s: there is a nemesis %s already; give the file another name",
                       path, name);
    return ERR_NONE;
}

const struct nemesis *nemesis_open(const char *path, struct err *err)
{
    struct stat status;
    char here[4096];
    snprintf(here, sizeof here, "%s%s", strchr(path, '/') == NULL ? "./" : "", path);
    char *name = name_of(here);
    size_t length = strlen(here);
    pthread_mutex_lock(&own_lock);
    const struct nemesis *nemesis = NULL;
    for (size_t i = 0; i < own_count && nemesis == NULL; i++)
        if (own[i].path != NULL && strcmp(own[i].path, here) == 0)
            nemesis = own[i].nemesis;
    if (nemesis == NULL && check_name(path, name, err) == ERR_NONE) {
        if (stat(here, &status) != 0 || !S_ISREG(status.st_mode))
            (void)err_set(err, ERR_CONFIG, "nemesis %s: there is no such file", path);
        else if (find(name, true) != NULL)
            (void)err_set(err, ERR_CONFIG, "nemesis %s: another file of that name is in use", path);
        else if (length > 3 && strcmp(here + length - 3, ".so") == 0)
            nemesis = load(here, err);
        else
            nemesis = nemesis_program(here, name, err);
        if (nemesis != NULL &&
            (look_over(nemesis, path, name, err) != ERR_NONE || !keep(nemesis, here)))
            nemesis = NULL;
    }
    pthread_mutex_unlock(&own_lock);
    free(name);
    return nemesis;
}

const char *nemesis_path(const struct nemesis *nemesis)
{
    const char *path = NULL;
    pthread_mutex_lock(&own_lock);
    for (size_t i = 0; i < own_count; i++)
        if (own[i].nemesis == nemesis)
            path = own[i].path;
    pthread_mutex_unlock(&own_lock);
    return path;
}

/* ---- By name ---- */

static void declare(const char *path)
{
    char *name = name_of(path);
    struct nemesis *nemesis = calloc(1, sizeof *nemesis);
    size_t size = strlen(name) + 8;
    char *begin_f = malloc(size), *end_f = malloc(size);
    if (nemesis == NULL || begin_f == NULL || end_f == NULL)
        abort();
    snprintf(begin_f, size, "start-%s", name);
    snprintf(end_f, size, "stop-%s", name);
    *nemesis = (struct nemesis){
        .name = name, .summary = "from outside", .begin_f = begin_f, .end_f = end_f};
    if (keep(nemesis, NULL))
        return;
    free(begin_f);
    free(end_f);
    free(name);
    free(nemesis);
}

void nemesis_declare(const struct json *plan)
{
    struct arena arena = ARENA_INIT;
    const char **names;
    size_t count = nemesis_planned(plan, &arena, &names);
    pthread_mutex_lock(&own_lock);
    for (size_t i = 0; i < count; i++) {
        if (!nemesis_is_file(names[i]))
            continue;
        char *name = name_of(names[i]);
        if (find(name, false) == NULL)
            declare(names[i]);
        free(name);
    }
    pthread_mutex_unlock(&own_lock);
    arena_free(&arena);
}

const struct nemesis *nemesis_at(size_t index)
{
    size_t count = 0;
    while (nemeses[count] != NULL)
        count++;
    if (index < count)
        return nemeses[index];
    pthread_mutex_lock(&own_lock);
    const struct nemesis *nemesis = index - count < own_count ? own[index - count].nemesis : NULL;
    pthread_mutex_unlock(&own_lock);
    return nemesis;
}

const struct nemesis *nemesis_named(const char *name)
{
    if (!nemesis_is_file(name)) {
        const struct nemesis *nemesis = nemesis_find(name);
        pthread_mutex_lock(&own_lock);
        nemesis = nemesis == NULL ? find(name, false) : nemesis;
        pthread_mutex_unlock(&own_lock);
        return nemesis;
    }
    char *base = name_of(name);
    pthread_mutex_lock(&own_lock);
    const struct nemesis *nemesis = find(base, false);
    pthread_mutex_unlock(&own_lock);
    free(base);
    return nemesis;
}

/* ---- A stored plan ---- */

static size_t add_names(struct arena *arena, const char *text, const char **names, size_t count,
                        size_t most)
{
    const char **parts;
    size_t part_count = text_split(arena, text, ',', &parts);
    for (size_t i = 0; i < part_count && count < most; i++) {
        const char *name = arena_strndup(arena, parts[i], strcspn(parts[i], "="));
        size_t known = 0;
        while (known < count && strcmp(names[known], name) != 0)
            known++;
        if (known == count && strcmp(name, "none") != 0)
            names[count++] = name;
    }
    return count;
}

enum { NAMES_MAX = 64 };

/* Of one step or of the flag: a text with commas, or an array of such. */
static size_t add_list(struct arena *arena, const struct json *list, const char **names,
                       size_t count)
{
    if (json_kind(list) == JSON_TEXT)
        return add_names(arena, json_as_text(list, ""), names, count, NAMES_MAX);
    for (const struct json *name = json_first(list); name != NULL; name = json_next(name))
        count = add_names(arena, json_as_text(name, ""), names, count, NAMES_MAX);
    return count;
}

static bool draws(const struct json *step)
{
    return json_get(step, "at") == NULL && json_get(step, "when") == NULL;
}

size_t nemesis_drawn(const struct json *plan, size_t index, struct arena *arena,
                     const char ***names)
{
    const struct json *schedule = json_get(plan, "schedule"), *step = json_first(schedule);
    *names = arena_zalloc(arena, (NAMES_MAX + 1) * sizeof **names);
    if (schedule == NULL)
        return index == 0 ? add_list(arena, json_get(plan, "nemesis"), *names, 0) : 0;
    while (step != NULL && (!draws(step) || index-- > 0))
        step = json_next(step);
    return step == NULL ? 0 : add_list(arena, json_get(step, "nemesis"), *names, 0);
}

size_t nemesis_planned(const struct json *plan, struct arena *arena, const char ***names)
{
    const struct json *schedule = json_get(plan, "schedule");
    size_t count = 0;
    *names = arena_zalloc(arena, (NAMES_MAX + 1) * sizeof **names);
    for (const struct json *step = json_first(schedule); step != NULL; step = json_next(step))
        count = add_list(arena, json_get(step, "nemesis"), *names, count);
    return schedule != NULL ? count : add_list(arena, json_get(plan, "nemesis"), *names, 0);
}
