/* Several at the same time: see at_once.h. */
#include "workloads/at_once.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

struct errand {
    pthread_t thread;
    bool made;
};

void at_once(void *items, size_t size, size_t count, void *(*each)(void *item))
{
    struct errand *errands = calloc(count, sizeof *errands);
    for (size_t i = 0; i < count; i++) {
        void *item = (char *)items + i * size;
        if (errands != NULL)
            errands[i].made = pthread_create(&errands[i].thread, NULL, each, item) == 0;
        if (errands == NULL || !errands[i].made)
            each(item);
    }
    for (size_t i = 0; i < count && errands != NULL; i++)
        if (errands[i].made)
            pthread_join(errands[i].thread, NULL);
    free(errands);
}
