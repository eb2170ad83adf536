/* The list of systems under test. A new one is its file (or its folder), one line here, and its
 * test. One that needs a client library which a build may lack is a folder named in the Makefile's
 * CLIENT_SYSTEMS, and LEFT_OUT says which Debian package brings the library. */
#ifndef ORDEAL_SYSTEMS_H
#define ORDEAL_SYSTEMS_H

#include "harness/system.h"

/* WITH_LIBRARY(built, left out) is the one or the other. */
#ifdef ORDEAL_HAVE_LIBPQ
#define WITH_LIBPQ(built, left_out) built
#else
#define WITH_LIBPQ(built, left_out) left_out
#endif
#ifdef ORDEAL_HAVE_LIBMARIADB
#define WITH_LIBMARIADB(built, left_out) built
#else
#define WITH_LIBMARIADB(built, left_out) left_out
#endif
#ifdef ORDEAL_HAVE_LIBRABBITMQ
#define WITH_LIBRABBITMQ(built, left_out) built
#else
#define WITH_LIBRABBITMQ(built, left_out) left_out
#endif
#ifdef ORDEAL_HAVE_LIBNATS
#define WITH_LIBNATS(built, left_out) built
#else
#define WITH_LIBNATS(built, left_out) left_out
#endif
#ifdef ORDEAL_HAVE_LIBMEMCACHED
#define WITH_LIBMEMCACHED(built, left_out) built
#else
#define WITH_LIBMEMCACHED(built, left_out) left_out
#endif
#ifdef ORDEAL_HAVE_ZOOKEEPER
#define WITH_ZOOKEEPER(built, left_out) built
#else
#define WITH_ZOOKEEPER(built, left_out) left_out
#endif

/* clang-format off: a line each */
#define SYSTEMS(X, LEFT_OUT)                                                                       \
    X(noop)                                                                                        \
    X(etcd)                                                                                        \
    X(queue)                                                                                       \
    WITH_LIBPQ(X(postgres), LEFT_OUT(postgres, "libpq-dev"))                                       \
    WITH_LIBMARIADB(X(mariadb), LEFT_OUT(mariadb, "libmariadb-dev"))                               \
    X(redis)                                                                                       \
    X(beanstalkd)                                                                                  \
    X(disque)                                                                                      \
    X(activemq)                                                                                    \
    WITH_LIBNATS(X(nats), LEFT_OUT(nats, "libnats-dev"))                                           \
    WITH_LIBMEMCACHED(X(memcached), LEFT_OUT(memcached, "libmemcached-dev"))                       \
    WITH_LIBRABBITMQ(X(rabbitmq), LEFT_OUT(rabbitmq, "librabbitmq-dev"))                           \
    WITH_ZOOKEEPER(X(zookeeper), LEFT_OUT(zookeeper, "libzookeeper-mt-dev"))
/* clang-format on */

#define DECLARE(name) extern const struct system system_##name;
#define NOT_DECLARED(name, package)
SYSTEMS(DECLARE, NOT_DECLARED)
#undef DECLARE
#undef NOT_DECLARED

#endif
