/* Answers checked: an order replayed, and every order tried. Plain on purpose: see orders.h. */
#include <string.h>

#include "checkers/transactions/orders.h"

/* ---- A replay ---- */

/* The commits to each key, in order: who, and at which place. */
struct commits {
    uint32_t *first, *count, *places, *writers;
};

static void list_commits(const struct orders *orders, const uint32_t *order, struct arena *arena,
                         struct commits *out)
{
    uint32_t writes = orders->write_first[orders->count];
    size_t keys = (size_t)orders->key_count + 2;
    out->first = arena_zalloc(arena, keys * sizeof(uint32_t));
    out->count = arena_zalloc(arena, keys * sizeof(uint32_t));
    out->places = arena_alloc(arena, ((size_t)writes + 1) * sizeof(uint32_t));
    out->writers = arena_alloc(arena, ((size_t)writes + 1) * sizeof(uint32_t));
    for (uint32_t w = 0; w < writes; w++)
        out->first[orders->writes[w] + 1]++;
    for (uint32_t key = 0; key < orders->key_count; key++)
        out->first[key + 1] += out->first[key];
    for (uint32_t place = 0; place < orders->count; place++) {
        uint32_t i = order[place];
        for (uint32_t w = orders->write_first[i]; w < orders->write_first[i + 1]; w++) {
            uint32_t key = orders->writes[w], at = out->first[key] + out->count[key]++;
            out->places[at] = place;
            out->writers[at] = i;
        }
    }
}

/* Who wrote the key last among the first `seen` commits. */
static uint32_t last_writer(const struct commits *commits, uint32_t key, uint32_t seen)
{
    uint32_t low = 0, high = commits->count[key];
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (commits->places[commits->first[key] + middle] < seen)
            low = middle + 1;
        else
            high = middle;
    }
    return low == 0 ? ORDER_INITIAL : commits->writers[commits->first[key] + low - 1];
}

/* One transaction at its place: what it read was there, and nobody wrote beside it. */
static bool fits(const struct orders *orders, const struct commits *commits, uint32_t i,
                 uint32_t place, uint32_t seen)
{
    if (seen > place || (!orders->snapshots && seen != place))
        return false;
    for (uint32_t r = orders->read_first[i]; r < orders->read_first[i + 1]; r++)
        if (last_writer(commits, orders->reads[r].key, seen) != orders->reads[r].from)
            return false;
    for (uint32_t w = orders->write_first[i]; w < orders->write_first[i + 1]; w++)
        if (last_writer(commits, orders->writes[w], seen) !=
            last_writer(commits, orders->writes[w], place))
            return false;
    return true;
}

/* Whoever ended before it began is among those it saw. */
static bool keeps_real_time(const struct orders *orders, const struct order_found *found,
                            struct arena *arena)
{
    uint32_t n = orders->count;
    uint32_t *ended = arena_alloc(arena, ((size_t)n + 1) * sizeof *ended); /* first, from there */
    ended[n] = TXN_NONE;
    for (uint32_t place = n; place-- > 0;) {
        uint32_t end = orders->end[found->commits[place]];
        ended[place] = end < ended[place + 1] ? end : ended[place + 1];
    }
    for (uint32_t place = 0; place < n; place++)
        if (ended[found->seen[place]] < orders->begin[found->commits[place]])
            return false;
    return true;
}

bool orders_replay(const struct orders *orders, const struct order_found *found)
{
    struct arena arena = ARENA_INIT;
    struct commits commits;
    uint32_t n = orders->count;
    uint32_t *place_of = arena_alloc(&arena, ((size_t)n + 1) * sizeof *place_of);
    bool good = true;
    memset(place_of, 0xff, ((size_t)n + 1) * sizeof *place_of);
    for (uint32_t place = 0; good && place < n; place++) {
        uint32_t i = found->commits[place];
        good = i < n && place_of[i] == TXN_NONE && found->seen[place] <= place;
        if (good)
            place_of[i] = place;
    }
    if (good)
        list_commits(orders, found->commits, &arena, &commits);
    for (uint32_t place = 0; good && place < n; place++) {
        uint32_t i = found->commits[place], before = orders->previous[i];
        good = fits(orders, &commits, i, place, found->seen[place]) &&
               (orders->form != ORDER_SESSION || before == TXN_NONE ||
                place_of[before] < found->seen[place]);
    }
    good = good && (orders->form != ORDER_REALTIME || keeps_real_time(orders, found, &arena));
    arena_free(&arena);
    return good;
}

/* ---- Every order ---- */

enum status { WAITING, BEGUN, COMMITTED };

/* The states met that led nowhere: whole, so that no two are taken for one. A state is the status
 * of each transaction and who wrote each key last. */
struct tried {
    uint16_t *states;
    uint32_t *seats, mask; /* state + 1; at most half of them are taken */
    uint32_t count, max;
    size_t width;
};

struct trial {
    const struct orders *orders;
    struct arena arena;
    bool *before; /* before[a * count + b] */
    uint16_t *state;
    struct tried tried;
    bool out;
};

static uint16_t *last_of(const struct trial *trial, uint32_t key)
{
    return &trial->state[trial->orders->count + key]; /* 0: the initial value; else who, + 1 */
}

static uint64_t hash_state(const struct tried *tried, const uint16_t *state)
{
    uint64_t hash = UINT64_C(14695981039346656037);
    for (size_t w = 0; w < tried->width; w++)
        hash = (hash ^ state[w]) * UINT64_C(1099511628211);
    return hash ^ hash >> 32;
}

/* Room for as many again. */
static void grow_tried(struct trial *trial)
{
    struct tried *tried = &trial->tried, old = *tried;
    size_t bytes = tried->width * sizeof(uint16_t);
    tried->mask = old.mask == 0 ? 255 : 2 * old.mask + 1;
    tried->seats = arena_zalloc(&trial->arena, ((size_t)tried->mask + 1) * sizeof(uint32_t));
    tried->states = arena_alloc(&trial->arena, ((size_t)tried->mask + 1) / 2 * bytes + 1);
    if (old.count > 0)
        memcpy(tried->states, old.states, old.count * bytes);
    for (uint32_t i = 0; i < old.count; i++) {
        uint32_t at = (uint32_t)hash_state(tried, tried->states + i * tried->width) & tried->mask;
        while (tried->seats[at] != 0)
            at = (at + 1) & tried->mask;
        tried->seats[at] = i + 1;
    }
}

/* False when it is known already. */
static bool remember(struct trial *trial)
{
    struct tried *tried = &trial->tried;
    if (2 * tried->count >= tried->mask)
        grow_tried(trial);
    uint32_t at = (uint32_t)hash_state(tried, trial->state) & tried->mask;
    for (; tried->seats[at] != 0; at = (at + 1) & tried->mask)
        if (memcmp(tried->states + (tried->seats[at] - 1) * tried->width, trial->state,
                   tried->width * sizeof(uint16_t)) == 0)
            return false;
    if (tried->count == tried->max) {
        trial->out = true;
        return false;
    }
    memcpy(tried->states + tried->count * tried->width, trial->state,
           tried->width * sizeof(uint16_t));
    tried->seats[at] = ++tried->count;
    return true;
}

static bool may_begin(const struct trial *trial, uint32_t i)
{
    const struct orders *orders = trial->orders;
    for (uint32_t j = 0; j < orders->count; j++)
        if (trial->before[j * orders->count + i] && trial->state[j] != COMMITTED)
            return false;
    for (uint32_t r = orders->read_first[i]; r < orders->read_first[i + 1]; r++) {
        uint32_t from = orders->reads[r].from;
        if (*last_of(trial, orders->reads[r].key) != (from == ORDER_INITIAL ? 0 : from + 1))
            return false;
    }
    return true;
}

/* Nobody who is under way writes one of its keys, and nobody still has to read what it overwrites.
 */
static bool may_commit(const struct trial *trial, uint32_t i)
{
    const struct orders *orders = trial->orders;
    for (uint32_t w = orders->write_first[i]; w < orders->write_first[i + 1]; w++) {
        uint32_t key = orders->writes[w], last = *last_of(trial, key);
        for (uint32_t j = 0; j < orders->count; j++) {
            if (j != i && trial->state[j] == BEGUN && orders_writes(orders, j, key))
                return false;
            for (uint32_t r = orders->read_first[j];
                 j != i && trial->state[j] == WAITING && r < orders->read_first[j + 1]; r++) {
                uint32_t from = orders->reads[r].from;
                if (orders->reads[r].key == key && last == (from == ORDER_INITIAL ? 0 : from + 1))
                    return false;
            }
        }
    }
    return true;
}

static bool try_orders(struct trial *trial);

/* Commits i (which has begun) and goes on from there. */
static bool commit(struct trial *trial, uint32_t i, uint16_t status)
{
    const struct orders *orders = trial->orders;
    uint32_t first = orders->write_first[i], last = orders->write_first[i + 1];
    uint16_t *old = arena_alloc(&trial->arena, ((size_t)(last - first) + 1) * sizeof *old);
    for (uint32_t w = first; w < last; w++) {
        old[w - first] = *last_of(trial, orders->writes[w]);
        *last_of(trial, orders->writes[w]) = (uint16_t)(i + 1);
    }
    trial->state[i] = COMMITTED;
    bool good = try_orders(trial);
    for (uint32_t w = first; w < last; w++)
        *last_of(trial, orders->writes[w]) = old[w - first];
    trial->state[i] = status;
    return good;
}

static bool try_orders(struct trial *trial)
{
    const struct orders *orders = trial->orders;
    uint32_t left = 0;
    for (uint32_t i = 0; i < orders->count; i++)
        left += trial->state[i] != COMMITTED;
    if (left == 0)
        return true;
    if (!remember(trial))
        return false;
    for (uint32_t i = 0; i < orders->count && !trial->out; i++) {
        uint16_t status = trial->state[i];
        if (status == COMMITTED || (status == WAITING && !may_begin(trial, i)))
            continue;
        if (status == WAITING && orders->snapshots) {
            trial->state[i] = BEGUN;
            bool good = try_orders(trial);
            trial->state[i] = WAITING;
            if (good)
                return true;
        } else if (may_commit(trial, i) && commit(trial, i, status)) {
            return true;
        }
    }
    return false;
}

enum order_answer orders_try_all(const struct orders *orders, uint32_t states_max)
{
    struct trial trial = {.orders = orders, .arena = ARENA_INIT};
    uint32_t n = orders->count;
    if (n >= 1000 || orders->key_count >= 10000)
        return ORDER_OPEN;
    trial.tried.width = (size_t)n + orders->key_count;
    trial.tried.max = states_max;
    trial.state = arena_zalloc(&trial.arena, (trial.tried.width + 1) * sizeof(uint16_t));
    trial.before = arena_alloc(&trial.arena, (size_t)n * n + 1);
    for (uint32_t a = 0; a < n; a++)
        for (uint32_t b = 0; b < n; b++)
            trial.before[a * n + b] = a != b && orders_before(orders, a, b);
    bool good = try_orders(&trial);
    enum order_answer answer = good ? ORDER_YES : trial.out ? ORDER_OPEN : ORDER_NO;
    arena_free(&trial.arena);
    return answer;
}
