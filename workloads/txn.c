/* Transactions over keys in rotation: see txn.h. The distributions are Elle's (elle.txn). */
#include "workloads/txn.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "harness/base/buf.h"
#include "workloads/final_reads.h"

enum { KEYS_MAX = 10000, LENGTH_MAX = 100, FINAL_LENGTH = 4 };

const struct option txn_options[] = {
    {.name = "key-count",
     .kind = OPTION_INT,
     .fallback = "0",
     .help = "keys in use at a time; 0: 3 where they are drawn evenly, else 10"},
    {.name = "key-dist",
     .kind = OPTION_CHOICE,
     .fallback = "exponential",
     .choices = "exponential|uniform|zipf",
     .help = "how a micro-operation's key is drawn of those in use"},
    {.name = "key-dist-base",
     .kind = OPTION_REAL,
     .fallback = "2",
     .help = "exponential: each key is drawn so many times as often as the one before"},
    {.name = "key-dist-exponent",
     .kind = OPTION_REAL,
     .fallback = "1",
     .help = "zipf: the first key is drawn 2 to this power times as often as the second"},
    {.name = "writes-per-key",
     .kind = OPTION_INT,
     .fallback = "32",
     .help = "writes of a key before a new one takes its place"},
    {.name = "length-min",
     .kind = OPTION_INT,
     .fallback = "1",
     .help = "the fewest micro-operations of a transaction"},
    {.name = "length-max",
     .kind = OPTION_INT,
     .fallback = "4",
     .help = "the most; lengths are drawn evenly"},
    {.name = "read", .kind = OPTION_REAL, .fallback = "1", .help = "weight of reads in the mix"},
    {.name = "write", .kind = OPTION_REAL, .fallback = "1", .help = "weight of writes"},
    {.name = "final-reads",
     .kind = OPTION_BOOL,
     .fallback = "true",
     .help = "read every key once more when everything was healed: shows writes that were lost"},
    {.name = NULL},
};

struct value txn_of(struct value value)
{
    return value_is_pair(value) && value_is_int(value_at(value, 0)) ? value_at(value, 1) : value;
}

struct value txn_done(struct value value, struct value done, struct arena *scratch)
{
    bool grouped = value_is_pair(value) && value_is_int(value_at(value, 0));
    return grouped ? value_pair(scratch, value_at(value, 0), done) : done;
}

/* ---- Options ---- */

static const char *full_name(struct arena *arena, const char *owner, const char *name)
{
    return arena_printf(arena, "%s.%s", owner, name);
}

static int64_t bounded(int64_t value, int64_t low, int64_t high)
{
    return value < low ? low : value > high ? high : value;
}

static double weight(const struct options *from, const char *name)
{
    double value = option_real(from, name);
    return value > 0 && value < 1e9 ? value : 0;
}

static void mix_init(struct txn_mix *mix, struct arena *arena, const struct options *from,
                     const char *owner)
{
    const char *dist = option_text(from, full_name(arena, owner, "key-dist"));
    mix->distribution = dist[0] == 'u' ? TXN_UNIFORM : dist[0] == 'z' ? TXN_ZIPF : TXN_EXPONENTIAL;
    mix->base = option_real(from, full_name(arena, owner, "key-dist-base"));
    mix->exponent = option_real(from, full_name(arena, owner, "key-dist-exponent"));
    bool based = mix->base > 1 && mix->base <= 1000; /* 1 is the uniform distribution */
    if (mix->distribution == TXN_EXPONENTIAL && !based)
        mix->distribution = TXN_UNIFORM;
    int64_t count = option_int(from, full_name(arena, owner, "key-count"));
    if (count <= 0)
        count = mix->distribution == TXN_UNIFORM ? 3 : 10;
    mix->key_count = (uint32_t)bounded(count, 1, KEYS_MAX);
    mix->key_writes =
        bounded(option_int(from, full_name(arena, owner, "writes-per-key")), 1, INT64_MAX);
    mix->length_min =
        bounded(option_int(from, full_name(arena, owner, "length-min")), 1, LENGTH_MAX);
    mix->length_max = bounded(option_int(from, full_name(arena, owner, "length-max")),
                              mix->length_min, LENGTH_MAX);
    double read = weight(from, full_name(arena, owner, "read"));
    double write = weight(from, full_name(arena, owner, "write"));
    mix->write_share = read + write > 0 ? write / (read + write) : 0.5;
}

static void zipf_start(struct txn_keys *keys, struct arena *arena)
{
    double sum = 0;
    keys->shares = arena_alloc(arena, keys->mix.key_count * sizeof *keys->shares);
    for (uint32_t i = 0; i < keys->mix.key_count; i++)
        keys->shares[i] = sum += pow(i + 1, -keys->mix.exponent);
    for (uint32_t i = 0; i < keys->mix.key_count; i++)
        keys->shares[i] /= sum;
}

void txn_keys_init(struct txn_keys *keys, struct arena *arena, const struct options *from,
                   const char *owner, const char *write, struct history *history)
{
    *keys = (struct txn_keys){.mix = {.write = write, .txn_f = history_f(history, "txn")}};
    mix_init(&keys->mix, arena, from, owner);
    txn_keys_start(keys, arena);
}

void txn_keys_start(struct txn_keys *keys, struct arena *arena)
{
    keys->in_use = arena_alloc(arena, keys->mix.key_count * sizeof *keys->in_use);
    for (uint32_t i = 0; i < keys->mix.key_count; i++)
        keys->in_use[i] = (struct txn_key){.key = keys->next++};
    /* Past 1e300 the first keys of very many would never be drawn anyhow. */
    double all = pow(keys->mix.base, keys->mix.key_count);
    keys->scale = all < 1e300 ? all - 1 : 1e300;
    if (keys->mix.distribution == TXN_ZIPF)
        zipf_start(keys, arena);
}

/* ---- Drawing ---- */

/* The first key whose share of the draws reaches that far. */
static uint32_t zipf_index(const struct txn_keys *keys, double unit)
{
    uint32_t low = 0, high = keys->mix.key_count - 1;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (keys->shares[middle] > unit)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

/* Exponential: with u even in [0, 1), floor(log_b(1 + u (b^n - 1))) is i with a probability
 * proportional to b^i. */
static uint32_t draw_index(const struct txn_keys *keys, struct prng *prng)
{
    const struct txn_mix *mix = &keys->mix;
    if (mix->distribution == TXN_UNIFORM)
        return (uint32_t)prng_below(prng, mix->key_count);
    if (mix->distribution == TXN_ZIPF)
        return zipf_index(keys, prng_unit(prng));
    double drawn = log1p(prng_unit(prng) * keys->scale) / log(mix->base);
    return drawn >= mix->key_count ? mix->key_count - 1 : (uint32_t)drawn;
}

static struct value micro_op(struct arena *scratch, const char *name, int64_t key,
                             struct value value)
{
    const struct value items[3] = {value_keyword(scratch, name), value_int(scratch, key), value};
    return value_items(scratch, VALUE_VECTOR, items, 3);
}

struct txn_key *txn_draw_key(struct txn_keys *keys, struct prng *prng)
{
    return &keys->in_use[draw_index(keys, prng)];
}

struct value txn_read(struct arena *scratch, int64_t key)
{
    return micro_op(scratch, "r", key, value_nil());
}

struct value txn_write(struct txn_keys *keys, struct txn_key *key, struct arena *scratch)
{
    struct value micro =
        micro_op(scratch, keys->mix.write, key->key, value_int(scratch, ++key->written));
    if (key->written >= keys->mix.key_writes)
        *key = (struct txn_key){.key = keys->next++};
    return micro;
}

static struct value draw_micro_op(struct txn_keys *keys, struct prng *prng, struct arena *scratch)
{
    struct txn_key *key = txn_draw_key(keys, prng);
    if (prng_unit(prng) >= keys->mix.write_share)
        return txn_read(scratch, key->key);
    return txn_write(keys, key, scratch);
}

bool txn_fill(void *state, struct prng *prng, const struct generator_context *context,
              struct generator_op *op)
{
    struct txn_keys *keys = state;
    struct value items[LENGTH_MAX];
    int64_t length = prng_between(prng, keys->mix.length_min, keys->mix.length_max);
    for (int64_t i = 0; i < length; i++)
        items[i] = draw_micro_op(keys, prng, context->scratch);
    op->f = keys->mix.txn_f;
    op->value = value_items(context->scratch, VALUE_VECTOR, items, (size_t)length);
    return true;
}

/* ---- Reading everything in the end ---- */

static int64_t highest_key(struct value txn)
{
    int64_t highest = -1;
    for (size_t i = 0; i < value_count(txn); i++) {
        int64_t key = value_as_int(value_at(value_at(txn, i), 1));
        highest = key > highest ? key : highest;
    }
    return highest;
}

static bool final_fill(void *state, struct prng *prng, const struct generator_context *context,
                       struct generator_op *op)
{
    (void)prng;
    struct final_reads *final = state;
    struct value items[FINAL_LENGTH];
    size_t length = 0;
    while (final->left > 0 && length < FINAL_LENGTH)
        items[length++] = micro_op(context->scratch, "r", --final->left, value_nil());
    op->f = final->f;
    op->value = value_items(context->scratch, VALUE_VECTOR, items, length);
    return length > 0;
}

struct generator *txn_final_reads(struct arena *arena, const struct history *history,
                                  const struct options *from, const char *owner)
{
    bool wanted = option_bool(from, full_name(arena, owner, "final-reads"));
    return final_reads(arena, history, (uint16_t)history_find_f(history, "txn"), wanted,
                       highest_key, final_fill);
}

enum txn_micro txn_micro(bool lists, struct value micro)
{
    if (value_kind(micro) != VALUE_VECTOR || value_count(micro) != 3)
        return TXN_NEITHER;
    struct value name = value_at(micro, 0);
    if (value_kind(name) != VALUE_KEYWORD || !value_is_int(value_at(micro, 1)))
        return TXN_NEITHER;
    if (strcmp(value_as_text(name), "r") == 0)
        return TXN_READS;
    bool writes = strcmp(value_as_text(name), lists ? "append" : "w") == 0;
    return writes && value_is_int(value_at(micro, 2)) ? TXN_WRITES : TXN_NEITHER;
}
