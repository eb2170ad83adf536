/* One thread, one list of questions, one list of answers. */
#include "queue/resolve.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "queue/config.h"
#include "queue/disk.h"

struct question {
    struct question *next;
    char address[RAFT_ADDRESS_BYTES];
    struct resolve_addresses found;
    char problem[128];
};

struct resolver {
    struct watch watch;
    struct loop *loop;
    resolve_done *done;
    void *context;
    resolve_lookup *lookup;
    bool started;

    pthread_mutex_t lock;
    pthread_cond_t asked;
    bool closed; /* the thread frees everything */
    struct question *questions, *answers;
};

static void keep(struct resolve_addresses *found, const struct addrinfo *list)
{
    found->count = 0;
    for (; list != NULL && found->count < RESOLVE_ADDRESSES_MAX; list = list->ai_next) {
        memcpy(&found->list[found->count], list->ai_addr, list->ai_addrlen);
        found->lengths[found->count++] = list->ai_addrlen;
    }
}

static int look_up(resolve_lookup *lookup, const char *address, int flags,
                   struct resolve_addresses *found)
{
    char host[RAFT_ADDRESS_BYTES], service[16];
    uint32_t port;
    struct addrinfo *list = NULL;
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV | flags};
    found->count = 0;
    if (!config_split_address(address, host, sizeof host, &port))
        return EAI_NONAME;
    snprintf(service, sizeof service, "%u", port);
    int code = lookup(host, service, &hints, &list);
    if (code == 0) {
        keep(found, list);
        freeaddrinfo(list);
    }
    return code;
}

bool resolve_number(const char *address, struct resolve_addresses *found)
{
    return look_up(getaddrinfo, address, AI_NUMERICHOST, found) == 0 && found->count > 0;
}

static void free_questions(struct question *question)
{
    while (question != NULL) {
        struct question *next = question->next;
        free(question);
        question = next;
    }
}

static void resolver_free(struct resolver *resolver)
{
    free_questions(resolver->questions);
    free_questions(resolver->answers);
    close(resolver->watch.file);
    pthread_mutex_destroy(&resolver->lock);
    pthread_cond_destroy(&resolver->asked);
    free(resolver);
}

static void *answer_all(void *context)
{
    struct resolver *resolver = context;
    pthread_mutex_lock(&resolver->lock);
    while (!resolver->closed) {
        struct question *question = resolver->questions;
        if (question == NULL) {
            pthread_cond_wait(&resolver->asked, &resolver->lock);
            continue;
        }
        resolver->questions = question->next;
        pthread_mutex_unlock(&resolver->lock);
        int code = look_up(resolver->lookup, question->address, 0, &question->found);
        if (code != 0)
            snprintf(question->problem, sizeof question->problem, "%s", gai_strerror(code));
        pthread_mutex_lock(&resolver->lock);
        question->next = resolver->answers;
        resolver->answers = question;
        eventfd_write(resolver->watch.file, 1);
    }
    pthread_mutex_unlock(&resolver->lock);
    resolver_free(resolver);
    return NULL;
}

static void answered(struct watch *watch, uint32_t events)
{
    (void)events;
    struct resolver *resolver = (struct resolver *)watch;
    eventfd_t ignored;
    eventfd_read(watch->file, &ignored);
    pthread_mutex_lock(&resolver->lock);
    struct question *answers = resolver->answers;
    resolver->answers = NULL;
    pthread_mutex_unlock(&resolver->lock);
    for (struct question *at = answers; at != NULL; at = at->next)
        resolver->done(resolver->context, at->address, &at->found, at->problem);
    free_questions(answers);
}

struct resolver *resolver_open(struct loop *loop, resolve_done *done, void *context)
{
    struct resolver *resolver = disk_allocate(NULL, sizeof *resolver);
    *resolver = (struct resolver){
        .loop = loop,
        .done = done,
        .context = context,
        .lookup = getaddrinfo,
        .watch = {.file = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC), .ready = answered}};
    pthread_mutex_init(&resolver->lock, NULL);
    pthread_cond_init(&resolver->asked, NULL);
    loop_add(loop, &resolver->watch, EPOLLIN);
    return resolver;
}

void resolver_set_lookup(struct resolver *resolver, resolve_lookup *lookup)
{
    resolver->lookup = lookup;
}

void resolver_close(struct resolver *resolver)
{
    loop_remove(resolver->loop, &resolver->watch);
    if (!resolver->started) {
        resolver_free(resolver);
        return;
    }
    pthread_mutex_lock(&resolver->lock);
    resolver->closed = true;
    pthread_cond_signal(&resolver->asked);
    pthread_mutex_unlock(&resolver->lock);
}

void resolver_ask(struct resolver *resolver, const char *address)
{
    struct question *question = disk_allocate(NULL, sizeof *question);
    *question = (struct question){0};
    snprintf(question->address, sizeof question->address, "%s", address);
    pthread_mutex_lock(&resolver->lock);
    struct question **end = &resolver->questions;
    while (*end != NULL)
        end = &(*end)->next;
    *end = question;
    pthread_cond_signal(&resolver->asked);
    pthread_mutex_unlock(&resolver->lock);
    pthread_t thread;
    if (!resolver->started && pthread_create(&thread, NULL, answer_all, resolver) == 0) {
        resolver->started = true;
        pthread_detach(thread);
    }
}
