/* Replays files, and the files of directories, through a fuzz target: one file, one test, TAP.
 * Under libFuzzer this file is not linked; the target is the same. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "harness/base/arena.h"
#include "harness/base/text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { FILE_LIMIT = 64 << 20 };

struct files {
    struct arena arena;
    const char **paths;
    size_t count, capacity;
};

static void add_file(struct files *files, const char *path)
{
    if (files->count == files->capacity) {
        files->capacity = files->capacity == 0 ? 64 : files->capacity * 2;
        files->paths = realloc(files->paths, files->capacity * sizeof *files->paths);
        if (files->paths == NULL)
            abort();
    }
    files->paths[files->count++] = arena_strdup(&files->arena, path);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Returns 1 when there is no such path. */
static int add_path(struct files *files, const char *path)
{
    struct stat status;
    if (stat(path, &status) != 0) {
        fprintf(stderr, "%s: no such corpus\n", path);
        return 1;
    }
    if (!S_ISDIR(status.st_mode)) {
        add_file(files, path);
        return 0;
    }
    DIR *directory = opendir(path);
    if (directory == NULL) {
        perror(path);
        return 1;
    }
    for (struct dirent *entry; (entry = readdir(directory)) != NULL;)
        if (entry->d_name[0] != '.')
            add_file(files, arena_printf(&files->arena, "%s/%s", path, entry->d_name));
    closedir(directory);
    return 0;
}

/* The bytes are given in a block of exactly their size, so that a sanitizer sees a step beyond. */
static int replay(const char *path)
{
    struct buf bytes = BUF_INIT;
    struct err err = ERR_INIT;
    if (file_read(path, FILE_LIMIT, &bytes, &err) != ERR_NONE) {
        printf("# %s\n", err.message);
        return 1;
    }
    uint8_t *exact = malloc(bytes.length == 0 ? 1 : bytes.length);
    if (exact == NULL)
        abort();
    if (bytes.length > 0)
        memcpy(exact, bytes.data, bytes.length);
    LLVMFuzzerTestOneInput(exact, bytes.length);
    free(exact);
    buf_free(&bytes);
    return 0;
}

int main(int argc, char **argv)
{
    struct files files = {.arena = ARENA_INIT};
    int failed = 0;
    for (int i = 1; i < argc; i++)
        failed |= add_path(&files, argv[i]);
    if (files.count > 0)
        qsort(files.paths, files.count, sizeof *files.paths, by_name);
    printf("1..%zu\n", files.count);
    for (size_t i = 0; i < files.count; i++) {
        const char *slash = strrchr(files.paths[i], '/');
        const char *name = slash == NULL ? files.paths[i] : slash + 1;
        fflush(stdout); /* a crash must show which file it was */
        int bad = replay(files.paths[i]);
        printf("%sok %zu - %s\n", bad ? "not " : "", i + 1, name);
        failed |= bad;
    }
    free(files.paths);
    arena_free(&files.arena);
    return failed;
}
