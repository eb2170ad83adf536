/* The list of nemeses. A new one is its file, one line here, and its test. */
#ifndef ORDEAL_NEMESES_H
#define ORDEAL_NEMESES_H

#include "harness/nemesis.h"

#define NEMESES(X)                                                                                 \
    X(partition)                                                                                   \
    X(packets)                                                                                     \
    X(clog)                                                                                        \
    X(flap)                                                                                        \
    X(clients)                                                                                     \
    X(port)                                                                                        \
    X(reset)                                                                                       \
    X(kill)                                                                                        \
    X(pause)                                                                                       \
    X(power)                                                                                       \
    X(io)                                                                                          \
    X(disk)                                                                                        \
    X(clock)                                                                                       \
    X(slow)                                                                                        \
    X(memory)                                                                                      \
    X(files)                                                                                       \
    X(hog)                                                                                         \
    X(reboot)                                                                                      \
    X(ec2)                                                                                         \
    X(membership)                                                                                  \
    X(noop)

#define DECLARE(name) extern const struct nemesis nemesis_##name;
NEMESES(DECLARE)
#undef DECLARE

/* The starter of machines that ec2 has stopped: see node_starter. */
enum err_code ec2_start_again(const struct json *how, struct buf *said, struct err *err);

#endif
