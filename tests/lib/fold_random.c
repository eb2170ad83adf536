/* Random histories: see fold_random.h. */
#include "tests/lib/fold_random.h"

#include <assert.h>
#include <string.h>

#include "harness/histories/edn.h"

enum { CLIENTS_MAX = 16 };

static void append(struct history *history, int32_t process, enum op_type type, const char *f,
                   struct value value)
{
    enum err_code code;
    struct op op = {.type = type,
                    .process = process,
                    .f = history_f(history, f),
                    .value = value,
                    .time_ns = (int64_t)history->count * 1000000};
    history_append(history, &op, &code);
    assert(code == ERR_NONE);
}

void fold_random(struct prng *prng, const struct fold_client *client, struct history *history)
{
    struct open {
        int32_t process;
        const char *f; /* NULL: idle */
        struct value asked;
    } open[CLIENTS_MAX];
    struct arena arena = ARENA_INIT;
    assert(client->clients <= CLIENTS_MAX);
    for (uint32_t i = 0; i < client->clients; i++)
        open[i] = (struct open){.process = (int32_t)i};
    for (uint32_t asked = 0; asked < client->ops;) {
        struct open *one = &open[prng_below(prng, client->clients)];
        if (one->f == NULL) {
            one->asked = client->ask(client->state, prng, &arena, &one->f);
            append(history, one->process, OP_INVOKE, one->f, one->asked);
            asked++;
            continue;
        }
        uint64_t dice = prng_below(prng, 100);
        bool info = dice < client->info_percent;
        bool fail = !info && dice < client->info_percent + client->fail_percent;
        struct value answer = one->asked;
        if (!info && !fail)
            answer = client->answer(client->state, prng, &arena, one->f, one->asked);
        append(history, one->process, info ? OP_INFO : fail ? OP_FAIL : OP_OK, one->f, answer);
        if (info)
            one->process += (int32_t)client->clients;
        one->f = NULL;
    }
    arena_free(&arena);
}

uint32_t fold_event(struct history *history, int32_t process, enum op_type type, const char *f,
                    const char *value)
{
    struct arena arena = ARENA_INIT;
    struct value parsed;
    enum err_code code = edn_parse_all(&arena, value, strlen(value), &parsed, NULL);
    assert(code == ERR_NONE);
    append(history, process, type, f, parsed);
    arena_free(&arena);
    return history->count - 1;
}

void fold_op(struct history *history, int32_t process, const char *f, const char *asked,
             enum op_type outcome, const char *answered)
{
    fold_event(history, process, OP_INVOKE, f, asked);
    fold_event(history, process, outcome, f, answered);
}
