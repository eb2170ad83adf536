/* Preloaded into tests that are not run under the thread sanitizer, for they make no threads: a
 * test that makes one after all ends here, and has to come off the list in tests/run.sh. */
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *),
                   void *context)
{
    static const char text[] = "this test makes a thread: take it off `unthreaded` in "
                               "tests/run.sh\n";
    (void)thread, (void)attributes, (void)run, (void)context;
    if (write(STDERR_FILENO, text, sizeof text - 1) < 0)
        abort();
    abort();
}
