/* A directory of one test's own. */
#ifndef ORDEAL_TESTS_QUEUE_SCRATCH_H
#define ORDEAL_TESTS_QUEUE_SCRATCH_H

char *scratch_make(void);
/* With the files in it; frees the path. */
void scratch_remove(char *path);

#endif
