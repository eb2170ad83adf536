/* Models, searches and monitors against brute force over a reference object, on random histories,
 * valid and spoiled, with and without indeterminate operations, values distinct and not. */
#ifndef ORDEAL_TESTS_REF_AGREE_H
#define ORDEAL_TESTS_REF_AGREE_H

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { REF_SMALL = 1500, REF_LONGER = 150 };
#else
enum { REF_SMALL = 100000, REF_LONGER = 6000 };
#endif

/* Small histories, brute force decides. Fails the test on the first that is judged otherwise, and
 * when too few are valid, invalid, or decided by a monitor to mean anything. */
void ref_agree(const char *model, int histories);
/* Longer ones with distinct values, which are too long for brute force: the plain search decides.
 */
void ref_agree_longer(const char *model, int histories);

#define REF_MODEL(function, model)                                                                 \
    static void function(void **unused)                                                            \
    {                                                                                              \
        (void)unused;                                                                              \
        ref_agree(model, REF_SMALL);                                                               \
    }

#endif
