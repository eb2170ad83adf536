/* See state_model.h. */
#include "tests/queue/lib/state_model.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

void model_begin(struct model *model)
{
    memset(model, 0, sizeof *model);
    model->config[CONFIG_QUEUE_IDLE_MS] = 3600000;
    model->config[CONFIG_DONE_MAX] = 65536;
    model->config[CONFIG_EXPIRED_MAX] = 1024;
    model->config[CONFIG_BACKOFF_MS] = 1000;
    model->config[CONFIG_BACKOFF_MS_MAX] = 3600000;
}

static void text(char target[32], struct command_bytes source)
{
    snprintf(target, 32, "%.*s", (int)source.length, (const char *)source.data);
}

static bool same(const struct job_id *a, const struct job_id *b)
{
    return memcmp(a, b, sizeof *a) == 0;
}

struct model_job *model_find(struct model *model, const struct job_id *id)
{
    for (uint32_t i = 0; i < model->job_count; i++)
        if (same(&model->jobs[i].id, id))
            return &model->jobs[i];
    return NULL;
}

struct model_queue *model_queue(struct model *model, const char *name)
{
    for (uint32_t i = 0; i < model->queue_count; i++)
        if (strcmp(model->queues[i].name, name) == 0)
            return &model->queues[i];
    return NULL;
}

static struct model_queue *model_queue_or_new(struct model *model, const char *name)
{
    struct model_queue *queue = model_queue(model, name);
    if (queue)
        return queue;
    assert(model->queue_count < MODEL_QUEUES_MAX);
    queue = &model->queues[model->queue_count++];
    memset(queue, 0, sizeof *queue);
    snprintf(queue->name, sizeof queue->name, "%s", name);
    return queue;
}

uint64_t model_count(const struct model *model, const char *queue, enum job_state state)
{
    uint64_t count = 0;
    for (uint32_t i = 0; i < model->job_count; i++)
        count +=
            model->jobs[i].state == state && (!queue || strcmp(model->jobs[i].queue, queue) == 0);
    return count;
}

/* Whether a job goes before another of the same queue. */
static bool goes_first(const struct model_job *a, const struct model_job *b)
{
    if (a->priority != b->priority)
        return a->priority > b->priority;
    return a->place < b->place;
}

struct model_job *model_ready(struct model *model, const char *queue, uint64_t n)
{
    for (uint32_t i = 0; i < model->job_count; i++) {
        struct model_job *job = &model->jobs[i];
        uint64_t before = 0;
        if (job->state != JOB_READY || strcmp(job->queue, queue) != 0)
            continue;
        for (uint32_t k = 0; k < model->job_count; k++) {
            const struct model_job *other = &model->jobs[k];
            before += other->state == JOB_READY && strcmp(other->queue, queue) == 0 &&
                      goes_first(other, job);
        }
        if (before == n)
            return job;
    }
    return NULL;
}

uint64_t model_takeable(struct model *model, const char *name)
{
    const struct model_queue *queue = model_queue(model, name);
    if (!queue || queue->pause == PAUSE_OUT || queue->pause == PAUSE_ALL)
        return 0;
    uint64_t ready = model_count(model, name, JOB_READY);
    uint64_t leased = model_count(model, name, JOB_LEASED);
    if (queue->leased_max == 0)
        return ready;
    if (leased >= queue->leased_max)
        return 0;
    return ready < queue->leased_max - leased ? ready : queue->leased_max - leased;
}

/* When something happens to a job by itself; 0: never. */
static uint64_t due_ms(const struct model_job *job)
{
    switch (job->state) {
    case JOB_READY:
        return job->expires_ms;
    case JOB_DELAYED:
        if (job->deadline_ms && (!job->expires_ms || job->deadline_ms < job->expires_ms))
            return job->deadline_ms;
        return job->expires_ms;
    case JOB_LEASED:
        return job->deadline_ms;
    default:
        return 0;
    }
}

uint64_t model_next_ms(const struct model *model)
{
    uint64_t next = UINT64_MAX;
    for (uint32_t i = 0; i < model->job_count; i++) {
        uint64_t due = due_ms(&model->jobs[i]);
        if (due && due < next)
            next = due;
    }
    return next;
}

#define COUNT(model, job, name)                                                                    \
    (model->total.name++, model_queue(model, (job)->queue)->counters.name++)

static void become_ready(struct model *model, struct model_job *job)
{
    job->state = JOB_READY;
    job->deadline_ms = 0;
    job->place = ++model->counter;
}

static void become_dead(struct model *model, struct model_job *job, enum job_death death)
{
    COUNT(model, job, died);
    if (death == DEATH_TTL)
        COUNT(model, job, died_expired);
    job->state = JOB_DEAD;
    job->death = death;
    job->deadline_ms = 0;
    job->place = ++model->counter;
}

static void trim(struct model_done *list, uint32_t *count, uint64_t maximum)
{
    while (*count > maximum) {
        memmove(&list[0], &list[1], (*count - 1) * sizeof *list);
        --*count;
    }
}

static void key_forget(struct model *model, struct model_key *key)
{
    *key = model->keys[--model->key_count];
}

static void leave(struct model *model, struct model_job *job, enum job_end end)
{
    struct model_done done = {job->id, end, model->time_ms};
    if (end == END_ACKED)
        COUNT(model, job, acked);
    if (end == END_SPENT)
        COUNT(model, job, spent);
    if (end == END_DELETED)
        COUNT(model, job, deleted);
    if (end == END_EXPIRED) {
        COUNT(model, job, expired);
        assert(model->expired_count < MODEL_DONE_MAX);
        model->expired[model->expired_count++] = done;
        trim(model->expired, &model->expired_count, model->config[CONFIG_EXPIRED_MAX]);
    }
    assert(model->done_count < MODEL_DONE_MAX);
    model->done[model->done_count++] = done;
    trim(model->done, &model->done_count, model->config[CONFIG_DONE_MAX]);
    for (uint32_t i = 0; i < model->key_count; i++) {
        struct model_key *key = &model->keys[i];
        if (key->job_lives && same(&key->id, &job->id)) {
            key->job_lives = false;
            if (key->expires_ms <= model->time_ms)
                key_forget(model, key);
            break;
        }
    }
    uint32_t place = (uint32_t)(job - model->jobs);
    memmove(job, job + 1, (model->job_count - place - 1) * sizeof *job);
    model->job_count--;
}

static void expire(struct model *model, struct model_job *job)
{
    if (job->drop_expired)
        leave(model, job, END_EXPIRED);
    else
        become_dead(model, job, DEATH_TTL);
}

static bool ttl_is_over(const struct model *model, const struct model_job *job)
{
    return job->expires_ms && job->expires_ms <= model->time_ms;
}

static bool tries_are_over(const struct model_job *job)
{
    return job->attempts_max && job->tries >= job->attempts_max;
}

/* Of all that is due, what is due first; of that, the oldest job. */
static struct model_job *first_due(struct model *model)
{
    struct model_job *first = NULL;
    for (uint32_t i = 0; i < model->job_count; i++) {
        struct model_job *job = &model->jobs[i];
        if (!due_ms(job) || due_ms(job) > model->time_ms)
            continue;
        if (!first || due_ms(job) < due_ms(first) ||
            (due_ms(job) == due_ms(first) && job->born < first->born))
            first = job;
    }
    return first;
}

static bool queue_is_idle(const struct model *model, const struct model_queue *queue)
{
    for (uint32_t i = 0; i < model->job_count; i++)
        if (strcmp(model->jobs[i].queue, queue->name) == 0)
            return false;
    for (uint32_t i = 0; i < model->key_count; i++)
        if (strcmp(model->keys[i].queue, queue->name) == 0)
            return false;
    return !queue->length_max && !queue->leased_max && queue->pause == PAUSE_NONE;
}

/* Notes which queues have become idle by what was just done. */
static void note_idle(struct model *model)
{
    for (uint32_t i = 0; i < model->queue_count; i++) {
        struct model_queue *queue = &model->queues[i];
        bool idle = queue_is_idle(model, queue);
        if (idle && !queue->was_idle)
            queue->idle_since_ms = model->time_ms;
        queue->was_idle = idle;
    }
}

void model_time(struct model *model, uint64_t stamp_ms)
{
    if (stamp_ms > model->time_ms)
        model->time_ms = stamp_ms;
    struct model_job *job;
    while ((job = first_due(model))) {
        if (job->state == JOB_LEASED)
            COUNT(model, job, leases_ended);
        if (ttl_is_over(model, job))
            expire(model, job);
        else if (job->state == JOB_LEASED && tries_are_over(job))
            become_dead(model, job, DEATH_ATTEMPTS);
        else
            become_ready(model, job);
    }
    note_idle(model);
    for (uint32_t i = model->key_count; i-- > 0;)
        if (!model->keys[i].job_lives && model->keys[i].expires_ms <= model->time_ms)
            key_forget(model, &model->keys[i]);
    note_idle(model);
    for (uint32_t i = model->queue_count; i-- > 0;) {
        struct model_queue *queue = &model->queues[i];
        if (queue->was_idle &&
            queue->idle_since_ms + model->config[CONFIG_QUEUE_IDLE_MS] <= model->time_ms)
            *queue = model->queues[--model->queue_count];
    }
}

static struct model_done *done_find(struct model *model, const struct job_id *id)
{
    for (uint32_t i = 0; i < model->done_count; i++)
        if (same(&model->done[i].id, id))
            return &model->done[i];
    return NULL;
}

static struct model_key *key_find(struct model *model, const char *queue, const char *name)
{
    for (uint32_t i = 0; i < model->key_count; i++)
        if (strcmp(model->keys[i].queue, queue) == 0 && strcmp(model->keys[i].name, name) == 0)
            return &model->keys[i];
    return NULL;
}

static void answer_known(struct model *model, const struct job_id *id, struct model_result *result)
{
    const struct model_job *job = model_find(model, id);
    const struct model_done *done = done_find(model, id);
    result->status = STATE_DUPLICATE;
    result->id = *id;
    if (job) {
        result->job = job->state;
        result->attempt = job->attempt;
    } else if (done) {
        result->end = done->end;
    }
}

static uint64_t model_bytes(const struct model *model)
{
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < model->job_count; i++)
        bytes += strlen(model->jobs[i].body) + 128;
    return bytes;
}

static enum state_status admit(struct model *model, const struct command *command,
                               const char *queue_name)
{
    const struct model_queue *queue = model_queue(model, queue_name);
    uint64_t waiting =
        model_count(model, queue_name, JOB_READY) + model_count(model, queue_name, JOB_DELAYED);
    uint64_t bytes_max = model->config[CONFIG_BYTES_MAX];
    if (bytes_max && model_bytes(model) + command->add.body.length + 128 > bytes_max)
        return STATE_FULL;
    if (queue && (queue->pause == PAUSE_IN || queue->pause == PAUSE_ALL))
        return STATE_PAUSED;
    if (queue && queue->length_max && waiting >= queue->length_max)
        return STATE_FULL;
    if (queue && command->add.length_max && waiting >= command->add.length_max)
        return STATE_FULL;
    return STATE_OK;
}

static void add_new(struct model *model, const struct command *command, struct model_result *result)
{
    const struct command_add *add = &command->add;
    char queue[32], key[32];
    text(queue, command->queue);
    text(key, command->key);
    model_queue_or_new(model, queue)->counters.added++;
    model->total.added++;
    assert(model->job_count < MODEL_JOBS_MAX);
    struct model_job *job = &model->jobs[model->job_count++];
    memset(job, 0, sizeof *job);
    job->id = command->id;
    memcpy(job->queue, queue, sizeof queue);
    snprintf(job->body, sizeof job->body, "%.*s", (int)add->body.length,
             (const char *)add->body.data);
    job->priority = add->priority;
    job->retry_ms = add->retry_ms;
    job->attempts_max = add->attempts_max;
    job->added_ms = model->time_ms;
    job->expires_ms = add->ttl_ms ? model->time_ms + add->ttl_ms + 1 : 0;
    job->drop_expired = add->flags & ADD_DROP_EXPIRED;
    job->born = ++model->counter;
    if (add->delay_ms) {
        job->state = JOB_DELAYED;
        job->deadline_ms = model->time_ms + add->delay_ms + 1;
    } else {
        become_ready(model, job);
    }
    if (key[0]) {
        assert(model->key_count < MODEL_KEYS_MAX);
        struct model_key *entry = &model->keys[model->key_count++];
        memset(entry, 0, sizeof *entry);
        memcpy(entry->queue, queue, sizeof queue);
        memcpy(entry->name, key, sizeof key);
        entry->id = command->id;
        entry->expires_ms = add->key_ttl_ms ? model->time_ms + add->key_ttl_ms + 1 : 0;
        entry->job_lives = true;
        memcpy(job->key, key, sizeof key);
    }
    result->job = job->state;
}

static void add(struct model *model, const struct command *command, struct model_result *result)
{
    const struct command_add *add = &command->add;
    char queue[32], name[32];
    text(queue, command->queue);
    text(name, command->key);
    uint64_t *last = add->origin_sequence ? &model->origins[add->origin] : NULL;
    if (last && add->origin_sequence <= *last) {
        answer_known(model, &command->id, result);
        result->value = *last;
        return;
    }
    if (last && add->origin_sequence > *last + 1) {
        result->status = STATE_GAP;
        result->value = *last;
        return;
    }
    struct model_key *key = name[0] ? key_find(model, queue, name) : NULL;
    if (add->priority > 9 || (add->ttl_ms && add->delay_ms >= add->ttl_ms))
        result->status = STATE_INVALID;
    else if (model_find(model, &command->id) || done_find(model, &command->id))
        answer_known(model, &command->id, result);
    else if (key)
        answer_known(model, &key->id, result);
    else if ((result->status = admit(model, command, queue)) == STATE_OK)
        add_new(model, command, result);
    bool decided = result->status != STATE_PAUSED && result->status != STATE_FULL;
    if (last && decided)
        *last = add->origin_sequence;
    if (last)
        result->value = *last;
}

static void take(struct model *model, const struct command *command, struct model_result *result)
{
    if (command->count == 0 || command->count > COMMAND_TAKE_MAX) {
        result->status = STATE_INVALID;
        return;
    }
    for (uint32_t i = 0; i < command->take.queue_count; i++) {
        char queue[32];
        text(queue, command->take.queues[i]);
        while (result->count < command->count && model_takeable(model, queue) > 0) {
            struct model_job *job = model_ready(model, queue, 0);
            job->attempt++;
            job->tries++;
            job->may_ack = true;
            COUNT(model, job, delivered);
            if (job->attempt > 1)
                COUNT(model, job, redelivered);
            if (job->retry_ms) {
                job->state = JOB_LEASED;
                job->deadline_ms = model->time_ms + job->retry_ms + 1;
            }
            result->taken[result->count++] = *job;
            if (!job->retry_ms)
                leave(model, job, END_SPENT);
        }
    }
}

static void nack(struct model *model, const struct command *command, struct model_job *job)
{
    uint64_t delay_ms = command->duration_ms;
    COUNT(model, job, nacked);
    job->nacks++;
    job->may_ack = false;
    if (command->mode == NACK_BACKOFF) {
        delay_ms = model->config[CONFIG_BACKOFF_MS];
        for (uint32_t i = 1; i < job->tries && i < 40; i++)
            delay_ms *= 2;
        if (delay_ms > model->config[CONFIG_BACKOFF_MS_MAX])
            delay_ms = model->config[CONFIG_BACKOFF_MS_MAX];
    }
    if (command->mode == NACK_DEAD) {
        become_dead(model, job, DEATH_NACK);
    } else if (ttl_is_over(model, job)) {
        expire(model, job);
    } else if (tries_are_over(job)) {
        become_dead(model, job, DEATH_ATTEMPTS);
    } else if (delay_ms) {
        job->state = JOB_DELAYED;
        job->deadline_ms = model->time_ms + delay_ms + 1;
    } else {
        become_ready(model, job);
    }
}

static void kick(struct model *model, struct model_job *job)
{
    COUNT(model, job, kicked);
    job->tries = 0;
    job->death = DEATH_NONE;
    job->may_ack = false;
    if (ttl_is_over(model, job))
        job->expires_ms = 0;
    become_ready(model, job);
}

static enum state_status on_job(struct model *model, const struct command *command,
                                struct model_job *job, struct model_result *result)
{
    bool stale = command->attempt && command->attempt != job->attempt;
    enum state_status wrong = command->attempt ? STATE_STALE : STATE_WRONG;
    uint64_t duration_ms = command->duration_ms ? command->duration_ms : job->retry_ms;
    switch (command->type) {
    case COMMAND_ACK:
    case COMMAND_FASTACK:
        if (stale || (command->attempt && !job->may_ack))
            return STATE_STALE;
        leave(model, job, END_ACKED);
        return STATE_OK;
    case COMMAND_NACK:
        if (command->mode > NACK_DEAD)
            return STATE_INVALID;
        if (stale)
            return STATE_STALE;
        if (job->state != JOB_LEASED)
            return wrong;
        nack(model, command, job);
        return STATE_OK;
    case COMMAND_EXTEND:
        if (stale)
            return STATE_STALE;
        if (job->state != JOB_LEASED)
            return wrong;
        if (ttl_is_over(model, job))
            return STATE_EXPIRED;
        if (job->deadline_ms < model->time_ms + duration_ms + 1)
            job->deadline_ms = model->time_ms + duration_ms + 1;
        result->value = job->deadline_ms;
        COUNT(model, job, extended);
        return STATE_OK;
    case COMMAND_ENQUEUE:
        if (job->state != JOB_DELAYED)
            return STATE_WRONG;
        job->may_ack = false;
        become_ready(model, job);
        return STATE_OK;
    case COMMAND_DEQUEUE:
        if (job->state != JOB_READY)
            return STATE_WRONG;
        job->may_ack = false;
        job->state = JOB_DELAYED;
        job->deadline_ms = duration_ms ? model->time_ms + duration_ms + 1 : 0;
        return STATE_OK;
    case COMMAND_KICK:
        if (job->state != JOB_DEAD)
            return STATE_WRONG;
        kick(model, job);
        return STATE_OK;
    default:
        leave(model, job, END_DELETED);
        return STATE_OK;
    }
}

static void by_id(struct model *model, const struct command *command, struct model_result *result)
{
    struct model_job *job = model_find(model, &command->id);
    const struct model_done *done = done_find(model, &command->id);
    result->id = command->id;
    if (!job) {
        result->status = STATE_NOTFOUND;
        result->end = done ? done->end : END_NONE;
        return;
    }
    uint64_t expired = model->total.expired;
    result->attempt = job->attempt;
    result->status = on_job(model, command, job, result);
    job = model_find(model, &command->id);
    if (job)
        result->job = job->state;
    else if (model->total.expired > expired)
        result->end = END_EXPIRED;
    else
        result->end = command->type == COMMAND_DELETE ? END_DELETED : END_ACKED;
    bool put_off = command->type == COMMAND_NACK || command->type == COMMAND_DEQUEUE;
    if (job && put_off && result->status == STATE_OK && job->state == JOB_DELAYED)
        result->value = due_ms(job);
}

static void kick_queue(struct model *model, const struct command *command, const char *queue,
                       struct model_result *result)
{
    if (!model_queue(model, queue))
        result->status = STATE_NOTFOUND;
    while (result->value < command->count) {
        struct model_job *first = NULL;
        for (uint32_t i = 0; i < model->job_count; i++) {
            struct model_job *job = &model->jobs[i];
            if (job->state == JOB_DEAD && strcmp(job->queue, queue) == 0 &&
                (!first || job->place < first->place))
                first = job;
        }
        if (!first)
            return;
        kick(model, first);
        result->value++;
    }
}

static void on_queue(struct model *model, const struct command *command,
                     struct model_result *result)
{
    char name[32], key_name[32];
    text(name, command->queue);
    struct model_queue *queue = model_queue(model, name);
    if (command->type == COMMAND_KICK_QUEUE) {
        kick_queue(model, command, name, result);
    } else if (command->type == COMMAND_PAUSE) {
        if (command->mode > PAUSE_ALL)
            result->status = STATE_INVALID;
        else if (queue || command->mode)
            model_queue_or_new(model, name)->pause = command->mode;
    } else if (command->type == COMMAND_LIMIT) {
        if (!queue && !command->limit.length_max && !command->limit.leased_max)
            return;
        queue = model_queue_or_new(model, name);
        queue->length_max = command->limit.length_max;
        queue->leased_max = command->limit.leased_max;
    } else {
        text(key_name, command->key);
        struct model_key *key = key_find(model, name, key_name);
        if (!key) {
            result->status = STATE_NOTFOUND;
            return;
        }
        result->id = key->id;
        if (key->job_lives) {
            struct model_job *job = model_find(model, &key->id);
            result->job = job->state;
            result->attempt = job->attempt;
            job->key[0] = 0;
        }
        key_forget(model, key);
    }
}

void model_apply(struct model *model, const struct command *command, struct model_result *result)
{
    memset(result, 0, offsetof(struct model_result, taken));
    switch (command->type) {
    case COMMAND_ADD:
        result->id = command->id;
        add(model, command, result);
        break;
    case COMMAND_TAKE:
        take(model, command, result);
        break;
    case COMMAND_KICK_QUEUE:
    case COMMAND_PAUSE:
    case COMMAND_LIMIT:
    case COMMAND_KEYDROP:
        on_queue(model, command, result);
        break;
    case COMMAND_CONFIG:
        if (command->config.key >= CONFIG_COUNT) {
            result->status = STATE_INVALID;
            break;
        }
        model->config[command->config.key] = command->config.value;
        trim(model->done, &model->done_count, model->config[CONFIG_DONE_MAX]);
        trim(model->expired, &model->expired_count, model->config[CONFIG_EXPIRED_MAX]);
        break;
    case COMMAND_TICK:
    case COMMAND_TYPE_END:
        break;
    default:
        by_id(model, command, result);
        break;
    }
    model->refused[result->status]++;
    note_idle(model);
}
