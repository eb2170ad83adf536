/* What beanstalkd says: any bytes are an answer, the beginning of one, or none, and bytes that come
 * one by one are read as they are when they come at once. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "workloads/systems/beanstalkd/beanstalkd.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct beanstalk_reply reply, part;
    char *bytes = malloc(size + 1); /* so that what is read behind the end is noticed */
    memcpy(bytes, data, size);
    enum beanstalk_read read = beanstalk_reply_read(bytes, size, &reply);
    if (read == BEANSTALK_WHOLE) {
        assert(reply.length <= size && beanstalk_word_name(reply.word) != NULL);
        assert(reply.body == NULL ||
               (reply.body >= bytes && reply.body + reply.body_length <= bytes + reply.length));
        size_t from = reply.length > 64 ? reply.length - 64 : 0;
        for (size_t length = from; length < reply.length; length++)
            assert(beanstalk_reply_read(bytes, length, &part) == BEANSTALK_MORE);
        if (reply.word == BEANSTALK_OK)
            assert(beanstalk_stat(reply.body, reply.body_length, "current-jobs-ready") >= -1);
    }
    free(bytes);
    return 0;
}
