/* Work done beside: see aside.h. */
#include "checkers/transactions/aside.h"

enum { WORTH_TXNS = 10000 };

static void *run(void *argument)
{
    struct aside *aside = argument;
    aside->work(&aside->inference, aside->state);
    return NULL;
}

void aside_begin(struct aside *aside, const struct inference *inference,
                 void (*work)(struct inference *inference, void *state), void *state)
{
    *aside = (struct aside){.inference = *inference,
                            .txns = *inference->txns,
                            .arena = ARENA_INIT,
                            .work = work,
                            .state = state};
    aside->txns.arena = &aside->arena;
    aside->inference.txns = &aside->txns;
    aside->inference.found = &aside->found;
    found_init(&aside->found, inference->txns);
    aside->found.draw = inference->found->draw;
    aside->running = inference->threads > 1 && inference->txns->count >= WORTH_TXNS &&
                     pthread_create(&aside->thread, NULL, run, aside) == 0;
    if (!aside->running)
        run(aside);
}

void aside_end(struct aside *aside, struct found *found)
{
    if (aside->running)
        pthread_join(aside->thread, NULL);
    found_merge(found, &aside->found);
    arena_free(&aside->arena);
}
