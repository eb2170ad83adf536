/* What agent_link.c and agent_start.c share. */
#ifndef ORDEAL_AGENT_INTERNAL_H
#define ORDEAL_AGENT_INTERNAL_H

#include <pthread.h>

#include "harness/remote/agent_link.h"
#include "harness/remote/batch.h"

enum agent_state {
    AGENT_ABSENT,   /* not started */
    AGENT_STARTING, /* hello is not there yet */
    AGENT_GREETED,  /* hello has come; its starter has yet to take the stream over */
    AGENT_READY,
    AGENT_FAILED, /* did not start: `why` tells */
    AGENT_LOST,
};

struct agent {
    struct agents *agents;
    uint32_t node;
    /* These are read and changed under agents->mutex, by the I/O thread and by the starter. */
    enum agent_state state;
    struct err why;
    bool may_be_missing;   /* the start failed in a way that an upload may mend */
    struct buf hello;      /* the line */
    struct stream *stream; /* the I/O thread may use it while the state is AGENT_READY */
    /* The I/O thread's own, or the starter's while there is no stream. */
    struct buf incoming;   /* the unfinished line */
    struct buf complaints; /* the end of its stderr */
    struct agent_call *pending, **last_pending;
    uint64_t next_id;
    int64_t heard_ns; /* when the last line came */
};

struct agents {
    struct fleet *fleet;
    struct agents_options options;
    struct buf binary; /* local path */
    struct buf target; /* path on the nodes */
    struct agent *list;
    size_t count;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    struct fleet_timer timer; /* pings, silences and deadlines of calls */
    int64_t ping_at_ns;
    bool stopping;        /* an end is not a loss; under the mutex */
    struct arena scratch; /* the I/O thread's, for events */
};

extern const struct stream_events agent_stream_events;

/* Under the mutex. Setting wakes who waits for a change. */
void agent_set_state(struct agent *agent, enum agent_state state, const struct err *why);
enum agent_state agent_state_of(struct agent *agent);
/* Starts the agents on these nodes, uploading where needed. */
enum err_code agents_start_on(struct agents *agents, const uint32_t *nodes, size_t count,
                              struct err *err);
/* Fills binary and target in. */
enum err_code agents_locate(struct agents *agents, struct err *err);
/* On the I/O thread, begins the pings. */
void agents_arm(struct agents *agents);

#endif
