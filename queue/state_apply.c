/* Committed entries change the state here, and nowhere else. See state.h. */
#include "queue/state_inner.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>

static const uint64_t config_maxima[CONFIG_COUNT] = {
#define X(name, text, value, maximum) [CONFIG_##name] = maximum,
    STATE_CONFIGS(X)
#undef X
};

static void describe_job(struct state_result *result, const struct job *job)
{
    result->id = job->id;
    result->job = job->state;
    result->attempt = job->attempt;
}

static void tell(struct state *state, const struct state_listener *listener,
                 const struct state_result *result)
{
    state->refused[result->status]++;
    if (listener && listener->result)
        listener->result(listener->context, result);
}

/* ---- ADD ---- */

static bool add_is_valid(const struct command *command)
{
    static const struct job_id nobody;
    const struct command_add *add = &command->add;
    return memcmp(&command->id, &nobody, sizeof nobody) != 0 &&
           add->priority <= COMMAND_PRIORITY_MAX && add->attempts_max <= UINT16_MAX &&
           !(add->flags & ~(uint32_t)ADD_FLAGS_ALL) && add->delay_ms <= COMMAND_DURATION_MS_MAX &&
           add->ttl_ms <= COMMAND_DURATION_MS_MAX && add->key_ttl_ms <= COMMAND_DURATION_MS_MAX &&
           (!add->ttl_ms || add->delay_ms < add->ttl_ms);
}

/* Whether the job is known already, by its id or by its key; the result then tells which it is. */
static bool add_is_known(struct state *state, const struct command *command, uint64_t hash,
                         struct queue *queue, struct state_result *result)
{
    const struct job *job = table_find(&state->jobs, hash, command->id.bytes);
    const struct done *done = job ? NULL : table_find(&state->done, hash, command->id.bytes);
    if (job) {
        describe_job(result, job);
    } else if (done) {
        result->end = done->end;
    } else {
        const struct key *key =
            queue && command->key.length ? key_find(state, queue, command->key) : NULL;
        if (!key)
            return false;
        result->id = key->id;
        if (key->job)
            describe_job(result, key->job);
        else if ((done = done_find(state, &key->id)))
            result->end = done->end;
    }
    return true;
}

static enum state_status add_admit(const struct state *state, const struct command *command,
                                   const struct queue *queue)
{
    uint64_t bytes = (uint64_t)command->add.body.length + JOB_BYTES_COUNTED;
    uint64_t bytes_max = state->config[CONFIG_BYTES_MAX];
    if (bytes_max && (bytes > bytes_max || state->bytes > bytes_max - bytes))
        return STATE_FULL;
    if (!queue)
        return STATE_OK;
    if (queue->pause & PAUSE_IN)
        return STATE_PAUSED;
    uint64_t waiting = queue->counters.ready + queue->counters.delayed;
    if ((queue->length_max && waiting >= queue->length_max) ||
        (command->add.length_max && waiting >= command->add.length_max))
        return STATE_FULL;
    return STATE_OK;
}

static struct job *add_make(struct state *state, const struct command *command, uint64_t hash,
                            struct queue *queue)
{
    const struct command_add *add = &command->add;
    struct job *job = job_allocate(add->body.length, command->key.length > 0);
    memcpy(job->data, add->body.data, add->body.length);
    job->id = command->id;
    job->timer.sequence = ++state->sequence;
    job->timer.queue = queue->number;
    job->added_ms = state->time_ms;
    job->expires_ms = add->ttl_ms ? state_deadline_ms(state, add->ttl_ms) : 0;
    job->retry_ms = add->retry_ms;
    job->attempts_max = (uint16_t)add->attempts_max;
    job->priority = (uint8_t)(add->priority & 0x7f);
    job->drop_expired = add->flags & ADD_DROP_EXPIRED ? 1 : 0;
    job_register(state, job, hash);
    return job;
}

static enum state_status add_job(struct state *state, const struct command *command,
                                 struct state_result *result)
{
    uint64_t hash = job_hash(&command->id);
    struct queue *queue = queue_find_again(state, command->queue);
    if (add_is_known(state, command, hash, queue, result))
        return STATE_DUPLICATE;
    enum state_status status = add_admit(state, command, queue);
    if (status != STATE_OK)
        return status;
    if (!queue)
        queue = queue_obtain(state, command->queue);
    struct job *job = add_make(state, command, hash, queue);
    STATE_COUNT(state, queue, added, 1);
    if (command->add.delay_ms)
        job_delay(state, job, state_deadline_ms(state, command->add.delay_ms));
    else
        job_ready(state, job);
    if (command->key.length) {
        struct key *key = key_create(state, queue, command->key, ++state->sequence);
        uint64_t ttl_ms = command->add.key_ttl_ms;
        key->expires_ms = ttl_ms ? state_deadline_ms(state, ttl_ms) : 0;
        key_attach(key, job);
    }
    queue_settle(state, queue);
    describe_job(result, job);
    return STATE_OK;
}

/* A spooled job comes with a number of its own. What was decided once is never decided again, and
 * what was only put off (paused, full) keeps its number, so the spool may send it again. */
static void apply_add(struct state *state, const struct command *command,
                      struct state_result *result)
{
    const struct command_add *add = &command->add;
    if (add->origin_sequence) {
        uint64_t last = state_origin(state, add->origin);
        result->value = last;
        if (add->origin_sequence <= last) {
            struct state_result known = *result;
            if (add_is_known(state, command, job_hash(&command->id), NULL, &known))
                *result = known;
            result->status = STATE_DUPLICATE;
            return;
        }
        if (add->origin_sequence != last + 1) {
            result->status = STATE_GAP;
            return;
        }
    }
    result->status = add_is_valid(command) ? add_job(state, command, result) : STATE_INVALID;
    if (add->origin_sequence && result->status != STATE_PAUSED && result->status != STATE_FULL)
        result->value = origin_obtain(state, add->origin)->sequence = add->origin_sequence;
}

/* ---- TAKE ---- */

static struct job *queue_first(const struct queue *queue)
{
    for (int priority = COMMAND_PRIORITY_MAX; priority >= 0; priority--)
        if (queue->ready[priority].first)
            return queue->ready[priority].first;
    return NULL;
}

/* Hands out one job. One with retry 0 is gone by the same entry, and comes back for its body only:
 * no crash after this can deliver it again. */
static struct job *take_job(struct state *state, struct job *job, struct job_view *view)
{
    struct queue *queue = job_queue(state, job);
    job->attempt++;
    job->tries += job->tries < UINT16_MAX;
    job->open = 1;
    STATE_COUNT(state, queue, delivered, 1);
    STATE_COUNT(state, queue, redelivered, job->attempt > 1);
    if (job->retry_ms) {
        job_lease(state, job, state_deadline_ms(state, job->retry_ms));
        job_describe(state, job, view);
        return NULL;
    }
    job_describe(state, job, view);
    view->state = JOB_NONE;
    view->key.length = 0; /* its bytes may go with the job */
    job_finish(state, job, END_SPENT);
    return job;
}

static void apply_take(struct state *state, const struct command *command,
                       struct state_result *result, const struct state_listener *listener)
{
    struct job *spent = NULL;
    result->jobs = state->delivered;
    result->nonce = command->take.nonce;
    if (!command->count || command->count > COMMAND_TAKE_MAX)
        result->status = STATE_INVALID;
    for (uint32_t i = 0; result->status == STATE_OK && i < command->take.queue_count; i++) {
        const struct queue *queue = queue_find_again(state, command->take.queues[i]);
        while (queue && result->count < command->count && queue_gives(queue)) {
            struct job *job = queue_first(queue);
            if (!job)
                break;
            struct job *gone = take_job(state, job, &state->delivered[result->count++]);
            if (gone) {
                gone->next = spent;
                spent = gone;
            }
        }
    }
    tell(state, listener, result);
    for (struct job *next; spent; spent = next) {
        next = spent->next;
        job_free(spent);
    }
}

/* ---- one job, by id ---- */

/* Whether the command speaks for the latest attempt, or for none in particular. */
static bool attempt_is_current(const struct job *job, const struct command *command)
{
    return !command->attempt || command->attempt == job->attempt;
}

static void apply_ack(struct state *state, const struct command *command, struct job *job,
                      struct state_result *result)
{
    bool current = attempt_is_current(job, command) && (!command->attempt || job->open);
    if (!current && !queue_defect(DEFECT_ACK_ANY_ATTEMPT)) {
        result->status = STATE_STALE;
        return;
    }
    job_finish(state, job, END_ACKED);
    result->end = END_ACKED;
    job_free(job);
}

/* NACK and EXTEND are for the one who holds the job now. */
static bool holder_speaks(const struct job *job, const struct command *command,
                          struct state_result *result)
{
    if (job->state == JOB_LEASED && attempt_is_current(job, command))
        return true;
    result->status = command->attempt ? STATE_STALE : STATE_WRONG;
    return false;
}

static uint64_t backoff_ms(const struct state *state, const struct job *job)
{
    uint64_t delay_ms = state->config[CONFIG_BACKOFF_MS];
    uint64_t delay_ms_max = state->config[CONFIG_BACKOFF_MS_MAX];
    for (uint32_t i = 1; i < job->tries && delay_ms && delay_ms < delay_ms_max; i++)
        delay_ms *= 2;
    return delay_ms < delay_ms_max ? delay_ms : delay_ms_max;
}

static void apply_nack(struct state *state, const struct command *command, struct job *job,
                       struct state_result *result)
{
    if (command->mode > NACK_DEAD || command->duration_ms > COMMAND_DURATION_MS_MAX) {
        result->status = STATE_INVALID;
        return;
    }
    if (!holder_speaks(job, command, result))
        return;
    job->open = 0;
    job->nacks += job->nacks < UINT16_MAX;
    STATE_COUNT(state, job_queue(state, job), nacked, 1);
    uint64_t delay_ms =
        command->mode == NACK_BACKOFF ? backoff_ms(state, job) : command->duration_ms;
    if (command->mode == NACK_DEAD) {
        job_die(state, job, DEATH_NACK);
    } else if (job->expires_ms && job->expires_ms <= state->time_ms) {
        result->end = job->drop_expired ? END_EXPIRED : END_NONE;
        job_expire(state, job);
    } else if (job->attempts_max && job->tries >= job->attempts_max) {
        job_die(state, job, DEATH_ATTEMPTS);
    } else if (delay_ms) {
        job_delay(state, job, state_deadline_ms(state, delay_ms));
        result->value = heap_deadline_ms(&state->timers, &job->timer);
    } else {
        job_ready(state, job);
    }
}

static void apply_extend(struct state *state, const struct command *command, struct job *job,
                         struct state_result *result)
{
    uint64_t duration_ms = command->duration_ms ? command->duration_ms : job->retry_ms;
    if (duration_ms > COMMAND_DURATION_MS_MAX) {
        result->status = STATE_INVALID;
        return;
    }
    if (!holder_speaks(job, command, result))
        return;
    if (job->expires_ms && job->expires_ms <= state->time_ms) {
        result->status = STATE_EXPIRED;
        return;
    }
    uint64_t old_ms = heap_deadline_ms(&state->timers, &job->timer);
    uint64_t new_ms = state_deadline_ms(state, duration_ms);
    result->value = new_ms > old_ms ? new_ms : old_ms;
    heap_set(&state->timers, &job->timer, result->value);
    STATE_COUNT(state, job_queue(state, job), extended, 1);
}

static void apply_enqueue(struct state *state, struct job *job, struct state_result *result)
{
    if (job->state != JOB_DELAYED) {
        result->status = STATE_WRONG;
        return;
    }
    job->open = 0;
    job_ready(state, job);
}

static void apply_dequeue(struct state *state, const struct command *command, struct job *job,
                          struct state_result *result)
{
    uint64_t duration_ms = command->duration_ms ? command->duration_ms : job->retry_ms;
    if (duration_ms > COMMAND_DURATION_MS_MAX) {
        result->status = STATE_INVALID;
        return;
    }
    if (job->state != JOB_READY) {
        result->status = STATE_WRONG;
        return;
    }
    job->open = 0;
    job_delay(state, job, duration_ms ? state_deadline_ms(state, duration_ms) : 0);
    result->value = heap_deadline_ms(&state->timers, &job->timer);
}

static void kick(struct state *state, struct job *job)
{
    job->open = 0;
    job->tries = 0;
    job->death = DEATH_NONE;
    if (job->expires_ms <= state->time_ms)
        job->expires_ms = 0;
    STATE_COUNT(state, job_queue(state, job), kicked, 1);
    job_ready(state, job);
}

static void apply_job(struct state *state, const struct command *command,
                      struct state_result *result)
{
    struct job *job = job_find(state, &command->id);
    if (!job) {
        const struct done *done = done_find(state, &command->id);
        result->status = STATE_NOTFOUND;
        result->end = done ? done->end : END_NONE;
        return;
    }
    describe_job(result, job);
    switch (command->type) {
    case COMMAND_ACK:
    case COMMAND_FASTACK:
        apply_ack(state, command, job, result);
        break;
    case COMMAND_NACK:
        apply_nack(state, command, job, result);
        break;
    case COMMAND_EXTEND:
        apply_extend(state, command, job, result);
        break;
    case COMMAND_ENQUEUE:
        apply_enqueue(state, job, result);
        break;
    case COMMAND_DEQUEUE:
        apply_dequeue(state, command, job, result);
        break;
    case COMMAND_KICK:
        if (job->state == JOB_DEAD)
            kick(state, job);
        else
            result->status = STATE_WRONG;
        break;
    default:
        assert(command->type == COMMAND_DELETE);
        job_finish(state, job, END_DELETED);
        result->end = END_DELETED;
        job_free(job);
        break;
    }
    result->job = result->end ? JOB_NONE : (enum job_state)job->state;
}

/* ---- queues and settings ---- */

static void apply_kick_queue(struct state *state, const struct command *command,
                             struct state_result *result)
{
    struct queue *queue = queue_find(state, command->queue);
    if (!queue)
        result->status = STATE_NOTFOUND;
    while (queue && queue->dead.first && result->value < command->count) {
        kick(state, queue->dead.first);
        result->value++;
    }
}

static void settings_changed(struct state *state, struct queue *queue)
{
    queue_settle(state, queue);
    queue_touch(state, queue);
}

static void apply_pause(struct state *state, const struct command *command,
                        struct state_result *result)
{
    if (command->mode > PAUSE_ALL) {
        result->status = STATE_INVALID;
        return;
    }
    struct queue *queue =
        command->mode ? queue_obtain(state, command->queue) : queue_find(state, command->queue);
    if (!queue)
        return;
    queue->pause = command->mode;
    settings_changed(state, queue);
}

static void apply_limit(struct state *state, const struct command *command,
                        struct state_result *result)
{
    (void)result;
    bool bounded = command->limit.length_max || command->limit.leased_max;
    struct queue *queue =
        bounded ? queue_obtain(state, command->queue) : queue_find(state, command->queue);
    if (!queue)
        return;
    queue->length_max = command->limit.length_max;
    queue->leased_max = command->limit.leased_max;
    settings_changed(state, queue);
}

static void apply_keydrop(struct state *state, const struct command *command,
                          struct state_result *result)
{
    struct queue *queue = queue_find(state, command->queue);
    struct key *key = queue ? key_find(state, queue, command->key) : NULL;
    if (!key) {
        result->status = STATE_NOTFOUND;
        return;
    }
    result->id = key->id;
    if (key->job)
        describe_job(result, key->job);
    key_drop(state, key);
}

static void apply_config(struct state *state, const struct command *command,
                         struct state_result *result)
{
    uint32_t key = command->config.key;
    if (key >= CONFIG_COUNT || command->config.value > config_maxima[key]) {
        result->status = STATE_INVALID;
        return;
    }
    state->config[key] = command->config.value;
    done_trim(state);
    expired_trim(state);
}

/* ---- the batch ---- */

static void apply_command(struct state *state, const struct command *command,
                          struct state_result *result)
{
    switch (command->type) {
    case COMMAND_ADD:
        result->id = command->id;
        apply_add(state, command, result);
        break;
    case COMMAND_ACK:
    case COMMAND_FASTACK:
    case COMMAND_NACK:
    case COMMAND_EXTEND:
    case COMMAND_ENQUEUE:
    case COMMAND_DEQUEUE:
    case COMMAND_DELETE:
    case COMMAND_KICK:
        result->id = command->id;
        apply_job(state, command, result);
        break;
    case COMMAND_KICK_QUEUE:
        apply_kick_queue(state, command, result);
        break;
    case COMMAND_PAUSE:
        apply_pause(state, command, result);
        break;
    case COMMAND_LIMIT:
        apply_limit(state, command, result);
        break;
    case COMMAND_KEYDROP:
        apply_keydrop(state, command, result);
        break;
    case COMMAND_CONFIG:
        apply_config(state, command, result);
        break;
    case COMMAND_TICK:
    case COMMAND_TAKE:
    case COMMAND_TYPE_END:
        break;
    }
}

static void move_time(struct state *state, uint64_t stamp_ms)
{
    if (stamp_ms > state->time_ms)
        state->time_ms = stamp_ms;
    state_wall_clock(state);
    job_run_timers(state);
    key_run_timers(state);
    queue_forget_idle(state);
}

static void tell_ready(struct state *state, const struct state_listener *listener)
{
    for (uint32_t i = 0; i < state->touched_count; i++) {
        struct queue *queue = state->queues[state->touched[i]];
        queue->touched = false;
        if (listener && listener->ready && queue->counters.ready && queue_gives(queue))
            listener->ready(listener->context, queue_name(queue));
    }
    state->touched_count = 0;
}

/* Whether all can be read: an entry is applied whole or not at all. On the way the places of the
 * jobs are fetched, for with millions of them each look-up would wait for memory. */
static bool look_ahead(const struct state *state, const struct entry *entry,
                       struct queue_error *error)
{
    struct command_reader reader;
    struct command command;
    int more;
    if (!command_reader_begin(&reader, entry->data, entry->length, error))
        return false;
    while ((more = command_reader_next(&reader, &command, error)) > 0)
        if (command.type <= COMMAND_KICK && command.type != COMMAND_TAKE)
            table_prefetch(&state->jobs, job_hash(&command.id));
    return more == 0;
}

bool state_apply(struct state *state, const struct entry *entry,
                 const struct state_listener *listener, struct queue_error *error)
{
    assert(entry->index == state->index + 1);
    state->index = entry->index;
    state->term = entry->term;
    if (entry->type != ENTRY_COMMANDS)
        return true;
    struct command_reader reader;
    struct command command;
    if (!look_ahead(state, entry, error))
        return false;
    command_reader_begin(&reader, entry->data, entry->length, NULL);
    move_time(state, reader.time_ms);
    for (uint32_t ordinal = 0; command_reader_next(&reader, &command, NULL) > 0; ordinal++) {
        struct state_result result = {
            .index = entry->index,
            .ordinal = ordinal,
            .type = command.type,
        };
        if (command.type == COMMAND_TAKE) {
            apply_take(state, &command, &result, listener);
            continue;
        }
        apply_command(state, &command, &result);
        tell(state, listener, &result);
    }
    tell_ready(state, listener);
    return true;
}
