/* One connection to beanstalkd, for one tube. A connection watches no other tube, so that what it
 * reserves is of that one; what it has reserved is lost to it when it ends. */
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "workloads/systems/beanstalkd/beanstalkd.h"

void beanstalk_link_init(struct beanstalk_link *link, const char *host, uint16_t port,
                         const char *tube)
{
    stream_init(&link->stream, host, port);
    snprintf(link->tube, sizeof link->tube, "%s", tube);
    link->number = 0;
    link->answered = 0;
}

void beanstalk_link_close(struct beanstalk_link *link)
{
    stream_close(&link->stream);
}

static bool is_good(const struct beanstalk_link *link)
{
    return link->stream.fd >= 0 && link->stream.in.length == link->answered &&
           !stream_is_stale(link->stream.fd);
}

bool beanstalk_link_is(const struct beanstalk_link *link, uint64_t number)
{
    return link->number == number && is_good(link);
}

/* The answer stays in the stream, to be consumed. */
static bool receive(struct beanstalk_link *link, int64_t deadline_ns, struct beanstalk_reply *reply,
                    struct stream_trouble *trouble)
{
    struct stream *stream = &link->stream;
    for (;;) {
        switch (beanstalk_reply_read(buf_text(&stream->in), stream->in.length, reply)) {
        case BEANSTALK_WHOLE:
            return true;
        case BEANSTALK_NONSENSE:
            return stream_give_up(stream, STREAM_LOST, "bad-reply",
                                  "what was received is no answer of beanstalkd", trouble);
        case BEANSTALK_MORE:
            if (!stream_receive(stream, deadline_ns, trouble))
                return false;
        }
    }
}

static bool set_up(struct beanstalk_link *link, int64_t deadline_ns, struct stream_trouble *trouble)
{
    static const enum beanstalk_word due[] = {BEANSTALK_USING, BEANSTALK_WATCHING,
                                              BEANSTALK_WATCHING};
    static atomic_ullong connections;
    char request[256];
    struct beanstalk_reply reply;
    link->number = atomic_fetch_add(&connections, 1) + 1;
    if (!stream_connect(&link->stream, deadline_ns, trouble))
        return false;
    if (*link->tube == '\0')
        return true;
    int length = snprintf(request, sizeof request, "use %s\r\nwatch %s\r\nignore default\r\n",
                          link->tube, link->tube);
    if (!stream_send(&link->stream, request, (size_t)length, deadline_ns, trouble))
        return false;
    for (size_t i = 0; i < sizeof due / sizeof *due; i++) {
        if (!receive(link, deadline_ns, &reply, trouble))
            return false;
        if (reply.word != due[i])
            return stream_give_up(&link->stream, STREAM_NOT_SENT, "tube-refused",
                                  beanstalk_word_name(reply.word), trouble);
        buf_consume(&link->stream.in, reply.length);
    }
    return true;
}

void beanstalk_ask(struct beanstalk_link *link, const char *request, size_t length,
                   int64_t deadline_ns, struct beanstalk_answer *answer)
{
    struct stream_trouble *trouble = &answer->trouble;
    bool good = is_good(link);
    *answer = (struct beanstalk_answer){.outcome = BEANSTALK_UNSENT};
    buf_consume(&link->stream.in, link->answered);
    link->answered = 0;
    if (!good && !set_up(link, deadline_ns, trouble))
        return;
    bool sent = stream_send(&link->stream, request, length, deadline_ns, trouble);
    if (sent && receive(link, deadline_ns, &answer->reply, trouble)) {
        answer->outcome = BEANSTALK_REPLIED;
        link->answered = answer->reply.length;
    } else if (sent || trouble->outcome == STREAM_LOST) {
        answer->outcome = BEANSTALK_LOST;
    }
}
