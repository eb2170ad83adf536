/* Final reads: see final_reads.h. */
#include "workloads/final_reads.h"

int64_t final_reads_keys(const struct history *history, final_reads_key *highest)
{
    int64_t count = 0;
    for (uint32_t event = 0; event < history->count; event++) {
        if (history->type[event] != OP_INVOKE || !history_is_client(history, event))
            continue;
        int64_t key = highest(history->value[event]);
        count = key >= count ? key + 1 : count;
    }
    return count;
}

int64_t final_reads_key_of_pair(struct value value)
{
    return value_is_pair(value) ? value_as_int(value_at(value, 0)) : -1;
}

bool final_reads_pair(void *state, struct prng *prng, const struct generator_context *context,
                      struct generator_op *op)
{
    (void)prng;
    struct final_reads *reads = state;
    if (reads->left == 0)
        return false;
    op->f = reads->f;
    op->value =
        value_pair(context->scratch, value_int(context->scratch, --reads->left), value_nil());
    return true;
}

struct generator *final_reads(struct arena *arena, const struct history *history, uint16_t f,
                              bool wanted, final_reads_key *highest, generator_fill *fill)
{
    struct final_reads *reads = arena_zalloc(arena, sizeof *reads);
    reads->f = f;
    reads->left = wanted ? final_reads_keys(history, highest) : 0;
    return generator_on_clients(arena,
                                generator_function(arena, fill, reads, prng_stream(0, "unused")));
}

struct each {
    uint16_t f;
    int64_t keys;
};

static struct generator *read_all(void *state, struct arena *arena, uint64_t round)
{
    const struct each *each = state;
    struct final_reads *reads = arena_zalloc(arena, sizeof *reads);
    (void)round;
    *reads = (struct final_reads){.f = each->f, .left = each->keys};
    return generator_function(arena, final_reads_pair, reads, prng_stream(0, "unused"));
}

struct generator *final_reads_of_pairs(struct arena *arena, const struct history *history,
                                       uint16_t f, bool wanted, int64_t settle_ns)
{
    if (!wanted || settle_ns <= 0)
        return final_reads(arena, history, f, wanted, final_reads_key_of_pair, final_reads_pair);
    struct each *each = arena_zalloc(arena, sizeof *each);
    *each = (struct each){.f = f, .keys = final_reads_keys(history, final_reads_key_of_pair)};
    struct generator *parts[] = {generator_sleep(arena, settle_ns),
                                 generator_each_thread(arena, read_all, each)};
    return generator_on_clients(arena, generator_phases(arena, parts, 2));
}
