/* A small client of the EC2 Query API: instances found by a tag, stopped, started, rebooted,
 * terminated. libcurl signs the requests (AWS Signature Version 4).
 *
 * Credentials come from AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN, or from a
 * profile of AWS_SHARED_CREDENTIALS_FILE (~/.aws/credentials); they are never part of an error, a
 * log or a plan, and are wiped from memory when the client is closed. */
#ifndef ORDEAL_NEMESES_EC2_API_H
#define ORDEAL_NEMESES_EC2_API_H

#include <stddef.h>
#include <stdint.h>

#include "harness/base/err.h"

enum { EC2_TEXT_SIZE = 48 };

struct ec2_options {
    const char *region;   /* "": AWS_REGION or AWS_DEFAULT_REGION */
    const char *endpoint; /* "": https://ec2.REGION.amazonaws.com */
    const char *profile;  /* "": AWS_PROFILE, or default */
};

struct ec2_instance {
    char id[EC2_TEXT_SIZE], state[EC2_TEXT_SIZE]; /* "i-0123", "running" */
};

enum ec2_action { EC2_STOP, EC2_START, EC2_REBOOT, EC2_TERMINATE };

/* One thread at a time. */
struct ec2;
/* ERR_CONFIG says what is missing: a region, or credentials. */
enum err_code ec2_open(const struct ec2_options *options, struct ec2 **ec2, struct err *err);
void ec2_close(struct ec2 *ec2);

/* The instances that carry this tag and are not terminated; at most `most` are told. */
enum err_code ec2_find(struct ec2 *ec2, const char *tag, const char *value,
                       struct ec2_instance *instances, size_t most, size_t *count, struct err *err);
/* What is asked for is under way when it returns, not done. */
enum err_code ec2_ask(struct ec2 *ec2, enum ec2_action action, const char *id, struct err *err);
/* One instance by its id, whatever its state; ERR_UNSUPPORTED when EC2 knows none. */
enum err_code ec2_look(struct ec2 *ec2, const char *id, struct ec2_instance *instance,
                       struct err *err);
const char *ec2_region(const struct ec2 *ec2); /* in force: as long as the client */
/* Waits for that state; ERR_TIMEOUT tells which it is in. */
enum err_code ec2_await(struct ec2 *ec2, const char *id, const char *state, int64_t timeout_ns,
                        struct err *err);

#endif
