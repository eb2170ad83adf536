/* An EC2 endpoint for tests: see fake_ec2.h. */
#include "tests/lib/fake_ec2.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <microhttpd.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/base/buf.h"
#include "tests/lib/sigv4.h"

enum { INSTANCES_MAX = 16, TEXT = 64 };

struct instance {
    char id[TEXT], name[TEXT], state[TEXT], next[TEXT];
    int looks; /* until it is in its next state */
};

struct fake_ec2 {
    struct MHD_Daemon *daemon;
    pthread_mutex_t lock;
    struct instance instances[INSTANCES_MAX];
    size_t count;
    int refuse, disbelieved;
    const char *token;
    char why[256];
    struct buf log;
    fake_ec2_on_state *on_state; /* NULL: nobody wants to know */
    void *state;
};

/* ---- Form fields ---- */

static int hex_digit(char c)
{
    return isdigit((unsigned char)c) ? c - '0' : tolower((unsigned char)c) - 'a' + 10;
}

/* Decodes the field's value; false when it is not there. */
static bool field(const char *form, const char *name, char value[256])
{
    size_t length = strlen(name), out = 0;
    for (const char *at = form; at != NULL; at = strchr(at, '&')) {
        at += *at == '&';
        if (strncmp(at, name, length) != 0 || at[length] != '=')
            continue;
        for (at += length + 1; *at != '\0' && *at != '&' && out < 255; at++) {
            bool escaped =
                *at == '%' && isxdigit((unsigned char)at[1]) && isxdigit((unsigned char)at[2]);
            value[out++] = escaped ? (char)(hex_digit(at[1]) * 16 + hex_digit(at[2])) : *at;
            at += escaped ? 2 : 0;
        }
        value[out] = '\0';
        return true;
    }
    value[0] = '\0';
    return false;
}

/* ---- What it does ---- */

static void go(struct instance *instance, const char *now, const char *next)
{
    snprintf(instance->state, TEXT, "%s", now);
    snprintf(instance->next, TEXT, "%s", next);
    instance->looks = 2;
}

static void tell(struct fake_ec2 *fake, const struct instance *instance)
{
    if (fake->on_state != NULL)
        fake->on_state(fake->state, instance->name, instance->state);
}

static void describe(struct fake_ec2 *fake, const char *form, struct buf *out)
{
    char id[256], filter[256], value[256];
    bool by_id = field(form, "InstanceId.1", id);
    field(form, "Filter.1.Name", filter);
    field(form, "Filter.1.Value.1", value);
    buf_add_text(out, "<?xml version=\"1.0\"?>\n<DescribeInstancesResponse><reservationSet>");
    for (size_t i = 0; i < fake->count; i++) {
        struct instance *instance = &fake->instances[i];
        bool shown = by_id
                         ? strcmp(instance->id, id) == 0
                         : strcmp(filter, "tag:Name") == 0 && strcmp(instance->name, value) == 0 &&
                               strcmp(instance->state, "terminated") != 0;
        if (!shown)
            continue;
        if (instance->next[0] != '\0' && instance->looks-- == 0) {
            memcpy(instance->state, instance->next, TEXT);
            instance->next[0] = '\0';
            tell(fake, instance);
        }
        buf_printf(out,
                   "<item><instancesSet><item><instanceId>%s</instanceId><imageId>ami-1</imageId>"
                   "<instanceState><code>16</code><name>%s</name></instanceState>"
                   "<tagSet><item><key>Name</key><value>%s</value></item></tagSet>"
                   "<monitoring><state>disabled</state></monitoring></item></instancesSet></item>",
                   instance->id, instance->state, instance->name);
    }
    buf_add_text(out, "</reservationSet></DescribeInstancesResponse>");
}

/* As EC2 has it. */
static bool may_change(const struct instance *instance, const char *action)
{
    static const char *const starts[] = {"stopped", "pending", "running"};
    if (strcmp(action, "TerminateInstances") == 0)
        return true;
    for (size_t i = 0; i < 3; i++)
        if (strcmp(instance->state, starts[i]) == 0)
            return strcmp(action, "StartInstances") == 0 || i > 0;
    return strcmp(action, "StopInstances") == 0 && strcmp(instance->state, "stopping") == 0;
}

static int change(struct fake_ec2 *fake, const char *action, const char *form, struct buf *out)
{
    char id[256], force[256];
    field(form, "InstanceId.1", id);
    bool forced = field(form, "Force", force);
    for (size_t i = 0; i < fake->count; i++) {
        struct instance *instance = &fake->instances[i];
        if (strcmp(instance->id, id) != 0)
            continue;
        if (!may_change(instance, action)) {
            buf_printf(out,
                       "<Response><Errors><Error><Code>IncorrectInstanceState</Code><Message>The "
                       "instance '%s' is %s</Message></Error></Errors></Response>",
                       id, instance->state);
            return 400;
        }
        buf_printf(&fake->log, "%s %s%s%s\n", action, id, forced ? " Force=" : "",
                   forced ? force : "");
        if (strcmp(action, "StopInstances") == 0)
            go(instance, "stopping", "stopped");
        else if (strcmp(action, "StartInstances") == 0)
            go(instance, "pending", "running");
        else if (strcmp(action, "TerminateInstances") == 0)
            go(instance, "shutting-down", "terminated");
        else if (strcmp(action, "RebootInstances") == 0 && fake->on_state != NULL)
            fake->on_state(fake->state, instance->name, "rebooting");
        buf_printf(out, "<%sResponse><return>true</return></%sResponse>", action, action);
        return 200;
    }
    buf_printf(out,
               "<Response><Errors><Error><Code>InvalidInstanceID.NotFound</Code><Message>The "
               "instance ID '%s' does not exist</Message></Error></Errors></Response>",
               id);
    return 400;
}

static int answer(struct fake_ec2 *fake, const struct sigv4_request *request, struct buf *out)
{
    char action[256], version[256];
    const char *form = request->body == NULL ? "" : request->body;
    const char *token = NULL;
    if (fake->refuse > 0) {
        fake->refuse--;
        buf_add_text(out, "<Response><Errors><Error><Code>RequestLimitExceeded</Code><Message>slow "
                          "down</Message></Error></Errors></Response>");
        return 503;
    }
    for (size_t i = 0; i < request->header_count; i++)
        if (strcmp(request->headers[i].name, "x-amz-security-token") == 0)
            token = request->headers[i].value;
    bool believed =
        sigv4_verify(request, FAKE_EC2_ID, FAKE_EC2_SECRET, FAKE_EC2_REGION, "ec2", fake->why);
    if (believed && fake->token != NULL && (token == NULL || strcmp(token, fake->token) != 0)) {
        snprintf(fake->why, sizeof fake->why, "the token is missing or another");
        believed = false;
    }
    if (!believed) {
        fake->disbelieved++;
        buf_printf(out,
                   "<Response><Errors><Error><Code>AuthFailure</Code><Message>%s</Message>"
                   "</Error></Errors></Response>",
                   fake->why);
        return 401;
    }
    field(form, "Action", action);
    if (strcmp(request->method, "POST") != 0 || !field(form, "Version", version) ||
        strcmp(version, "2016-11-15") != 0) {
        buf_add_text(out, "<Response><Errors><Error><Code>InvalidAction</Code></Error></Errors>");
        return 400;
    }
    if (strcmp(action, "DescribeInstances") != 0)
        return change(fake, action, form, out);
    describe(fake, form, out);
    return 200;
}

/* ---- HTTP ---- */

static enum MHD_Result take_header(void *state, enum MHD_ValueKind kind, const char *key,
                                   const char *value)
{
    struct sigv4_request *request = state;
    (void)kind;
    if (request->header_count == SIGV4_HEADERS_MAX)
        return MHD_NO;
    char *name = strdup(key);
    for (char *c = name; *c != '\0'; c++)
        *c = (char)tolower((unsigned char)*c);
    request->headers[request->header_count++] = (struct sigv4_header){name, value};
    return MHD_YES;
}

static enum MHD_Result on_request(void *state, struct MHD_Connection *connection, const char *url,
                                  const char *method, const char *version, const char *data,
                                  size_t *size, void **context)
{
    struct fake_ec2 *fake = state;
    struct buf *body = *context;
    (void)version;
    if (body == NULL) {
        *context = calloc(1, sizeof *body);
        return MHD_YES;
    }
    if (*size > 0) {
        buf_add(body, data, *size);
        *size = 0;
        return MHD_YES;
    }
    struct sigv4_request request = {
        .method = method, .path = url, .body = buf_text(body), .body_length = body->length};
    struct buf out = BUF_INIT;
    MHD_get_connection_values(connection, MHD_HEADER_KIND, take_header, &request);
    pthread_mutex_lock(&fake->lock);
    int status = answer(fake, &request, &out);
    pthread_mutex_unlock(&fake->lock);
    for (size_t i = 0; i < request.header_count; i++)
        free((char *)(uintptr_t)request.headers[i].name);
    struct MHD_Response *response = MHD_create_response_from_buffer(
        out.length, (void *)(uintptr_t)buf_text(&out), MHD_RESPMEM_MUST_COPY);
    enum MHD_Result result = MHD_queue_response(connection, (unsigned)status, response);
    MHD_destroy_response(response);
    buf_free(&out);
    return result;
}

static void on_end(void *state, struct MHD_Connection *connection, void **context,
                   enum MHD_RequestTerminationCode code)
{
    (void)state, (void)connection, (void)code;
    if (*context != NULL)
        buf_free(*context);
    free(*context);
    *context = NULL;
}

struct fake_ec2 *fake_ec2_start(size_t instances)
{
    struct fake_ec2 *fake = calloc(1, sizeof *fake);
    if (fake == NULL || instances > INSTANCES_MAX - 1)
        abort();
    pthread_mutex_init(&fake->lock, NULL);
    for (size_t i = 0; i < instances; i++) {
        struct instance *instance = &fake->instances[fake->count++];
        snprintf(instance->id, TEXT, "i-%zu", i + 1);
        snprintf(instance->name, TEXT, "n%zu", i + 1);
        snprintf(instance->state, TEXT, "running");
    }
    const struct sockaddr_in address = {.sin_family = AF_INET,
                                        .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    fake->daemon = MHD_start_daemon(MHD_USE_INTERNAL_POLLING_THREAD, 0, NULL, NULL, on_request,
                                    fake, MHD_OPTION_SOCK_ADDR, (const struct sockaddr *)&address,
                                    MHD_OPTION_NOTIFY_COMPLETED, on_end, NULL, MHD_OPTION_END);
    if (fake->daemon == NULL)
        abort();
    return fake;
}

void fake_ec2_stop(struct fake_ec2 *fake)
{
    MHD_stop_daemon(fake->daemon);
    pthread_mutex_destroy(&fake->lock);
    buf_free(&fake->log);
    free(fake);
}

uint16_t fake_ec2_port(const struct fake_ec2 *fake)
{
    return MHD_get_daemon_info(fake->daemon, MHD_DAEMON_INFO_BIND_PORT)->port;
}

void fake_ec2_refuse(struct fake_ec2 *fake, int requests)
{
    fake->refuse = requests;
}

void fake_ec2_demand_token(struct fake_ec2 *fake, const char *token)
{
    fake->token = token;
}

void fake_ec2_add_twin(struct fake_ec2 *fake)
{
    struct instance *twin = &fake->instances[fake->count++];
    *twin = fake->instances[0];
    snprintf(twin->id, TEXT, "i-twin");
}

const char *fake_ec2_state(struct fake_ec2 *fake, size_t instance)
{
    return fake->instances[instance].state;
}

const char *fake_ec2_log(struct fake_ec2 *fake)
{
    return buf_text(&fake->log);
}

int fake_ec2_disbelieved(struct fake_ec2 *fake, const char **why)
{
    *why = fake->why;
    return fake->disbelieved;
}

void fake_ec2_tell(struct fake_ec2 *fake, fake_ec2_on_state *on_state, void *state)
{
    pthread_mutex_lock(&fake->lock);
    fake->on_state = on_state;
    fake->state = state;
    pthread_mutex_unlock(&fake->lock);
}
