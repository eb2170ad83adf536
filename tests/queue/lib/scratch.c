#include "tests/queue/lib/scratch.h"

#include <assert.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

char *scratch_make(void)
{
    const char *parent = getenv("TMPDIR");
    char *path = NULL;
    int length = asprintf(&path, "%s/queue.XXXXXX", parent == NULL ? "/tmp" : parent);
    assert(length > 0 && mkdtemp(path) != NULL);
    return path;
}

void scratch_remove(char *path)
{
    DIR *directory = opendir(path);
    assert(directory != NULL);
    for (struct dirent *entry; (entry = readdir(directory)) != NULL;)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            unlinkat(dirfd(directory), entry->d_name, 0);
    closedir(directory);
    rmdir(path);
    free(path);
}
