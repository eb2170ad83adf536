/* The EC2 Query API: see ec2_api.h. Requests are POSTs of form fields, answers are XML of which two
 * elements matter here: their values are of letters, digits, '-' and spaces, never escaped. */
#include "nemeses/ec2_api.h"

#include <ctype.h>
#include <curl/curl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/base/clock.h"
#include "harness/base/text.h"

enum { ANSWER_BYTES_MAX = 4 << 20, FILE_BYTES_MAX = 1 << 20, TRIES = 5 };
static const int64_t first_pause_ns = 200 * NS_PER_MS, poll_ns = 500 * NS_PER_MS;
static const char version[] = "2016-11-15";

struct ec2 {
    CURL *curl;
    char id[256], secret[256], token[4096];
    char region[64], endpoint[256];
};

/* ---- Credentials ---- */

static const char *environment(const char *name)
{
    const char *text = getenv(name);
    return text == NULL ? "" : text;
}

/* "aws_access_key_id = AKIA..." of the profile's section. */
static void read_field(const char *section, const char *name, char *value, size_t size)
{
    for (const char *line = section; line != NULL && *line != '[';) {
        size_t blank = strspn(line, " \t"), length = strlen(name);
        const char *at = line + blank;
        if (strncmp(at, name, length) == 0) {
            at += length + strspn(at + length, " \t");
            if (*at == '=') {
                at++;
                at += strspn(at, " \t");
                snprintf(value, size, "%.*s", (int)strcspn(at, " \t\r\n"), at);
                return;
            }
        }
        line = strchr(line, '\n');
        line = line == NULL ? NULL : line + 1;
    }
}

/* The text behind the line "[profile]"; NULL when there is none. */
static const char *find_section(const char *text, const char *profile)
{
    size_t length = strlen(profile);
    for (const char *line = text; line != NULL; line = strchr(line, '\n')) {
        line += *line == '\n';
        line += strspn(line, " \t");
        if (*line == '[' && strncmp(line + 1, profile, length) == 0 && line[1 + length] == ']') {
            const char *end = strchr(line, '\n');
            return end == NULL ? "" : end + 1;
        }
    }
    return NULL;
}

static void wipe(struct buf *text)
{
    if (text->length > 0)
        explicit_bzero(text->data, text->length);
    buf_free(text);
}

static enum err_code read_profile(struct ec2 *ec2, const char *profile, struct err *err)
{
    char path[4096];
    const char *named = environment("AWS_SHARED_CREDENTIALS_FILE");
    if (*named != '\0')
        snprintf(path, sizeof path, "%s", named);
    else
        snprintf(path, sizeof path, "%s/.aws/credentials", environment("HOME"));
    struct buf text = BUF_INIT;
    const char *section = NULL;
    if (file_read(path, FILE_BYTES_MAX, &text, NULL) == ERR_NONE)
        section = find_section(buf_text(&text), profile);
    if (section != NULL) {
        read_field(section, "aws_access_key_id", ec2->id, sizeof ec2->id);
        read_field(section, "aws_secret_access_key", ec2->secret, sizeof ec2->secret);
        read_field(section, "aws_session_token", ec2->token, sizeof ec2->token);
    }
    wipe(&text);
    if (ec2->id[0] != '\0' && ec2->secret[0] != '\0')
        return ERR_NONE;
    return err_set(
        err, ERR_CONFIG,
        "no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or have them in "
        "the profile %s of %s",
        profile, path);
}

static enum err_code find_credentials(struct ec2 *ec2, const char *profile, struct err *err)
{
    const char *id = environment("AWS_ACCESS_KEY_ID");
    const char *secret = environment("AWS_SECRET_ACCESS_KEY");
    /* A profile that was asked for by name comes first. */
    if (*profile == '\0' && *id != '\0' && *secret != '\0') {
        snprintf(ec2->id, sizeof ec2->id, "%s", id);
        snprintf(ec2->secret, sizeof ec2->secret, "%s", secret);
        snprintf(ec2->token, sizeof ec2->token, "%s", environment("AWS_SESSION_TOKEN"));
        return ERR_NONE;
    }
    if (*profile == '\0')
        profile = environment("AWS_PROFILE");
    return read_profile(ec2, *profile == '\0' ? "default" : profile, err);
}

/* ---- Opening ---- */

static pthread_once_t once = PTHREAD_ONCE_INIT;

static void global_init(void)
{
    curl_global_init(CURL_GLOBAL_DEFAULT);
}

static enum err_code find_place(struct ec2 *ec2, const struct ec2_options *options, struct err *err)
{
    const char *region = options->region;
    if (*region == '\0')
        region = environment("AWS_REGION");
    if (*region == '\0')
        region = environment("AWS_DEFAULT_REGION");
    if (*region == '\0')
        return err_set(err, ERR_CONFIG, "no region: name one, or set AWS_REGION");
    for (const char *c = region; *c != '\0'; c++)
        if (!isalnum((unsigned char)*c) && *c != '-')
            return err_set(err, ERR_CONFIG, "'%.40s' is no region", region);
    snprintf(ec2->region, sizeof ec2->region, "%s", region);
    if (*options->endpoint != '\0')
        snprintf(ec2->endpoint, sizeof ec2->endpoint, "%s", options->endpoint);
    else
        snprintf(ec2->endpoint, sizeof ec2->endpoint, "https://ec2.%s.amazonaws.com/", region);
    return ERR_NONE;
}

enum err_code ec2_open(const struct ec2_options *options, struct ec2 **out, struct err *err)
{
    pthread_once(&once, global_init);
    struct ec2 *ec2 = calloc(1, sizeof *ec2);
    if (ec2 == NULL)
        return err_set(err, ERR_NOMEM, "no memory for a client of EC2");
    enum err_code code = find_place(ec2, options, err);
    if (code == ERR_NONE)
        code = find_credentials(ec2, options->profile, err);
    if (code == ERR_NONE && (ec2->curl = curl_easy_init()) == NULL)
        code = err_set(err, ERR_NOMEM, "libcurl cannot be set up");
    if (code != ERR_NONE) {
        ec2_close(ec2);
        return code;
    }
    *out = ec2;
    return ERR_NONE;
}

void ec2_close(struct ec2 *ec2)
{
    if (ec2 == NULL)
        return;
    if (ec2->curl != NULL)
        curl_easy_cleanup(ec2->curl);
    explicit_bzero(ec2, sizeof *ec2);
    free(ec2);
}

/* ---- One request ---- */

static size_t take(char *bytes, size_t size, size_t count, void *state)
{
    struct buf *answer = state;
    if (answer->length + size * count > ANSWER_BYTES_MAX)
        return 0;
    buf_add(answer, bytes, size * count);
    return size * count;
}

static void add_field(struct ec2 *ec2, struct buf *form, const char *name, const char *value)
{
    char *escaped = curl_easy_escape(ec2->curl, value, 0);
    buf_printf(form, "%s%s=%s", form->length > 0 ? "&" : "", name, escaped == NULL ? "" : escaped);
    curl_free(escaped);
}

static void set_options(struct ec2 *ec2, const struct buf *form, struct curl_slist *headers,
                        const char *scope, struct buf *answer)
{
    CURL *curl = ec2->curl;
    curl_easy_reset(curl);
    curl_easy_setopt(curl, CURLOPT_URL, ec2->endpoint);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_AWS_SIGV4, scope);
    curl_easy_setopt(curl, CURLOPT_USERNAME, ec2->id);
    curl_easy_setopt(curl, CURLOPT_PASSWORD, ec2->secret);
    curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)form->length);
    curl_easy_setopt(curl, CURLOPT_POSTFIELDS, form->data);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, answer);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, 20000L);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
}

/* The text of the first element of that name from `text` on; "" when there is none. */
static const char *element(const char *text, const char *name, char value[EC2_TEXT_SIZE])
{
    char open_tag[EC2_TEXT_SIZE];
    value[0] = '\0';
    snprintf(open_tag, sizeof open_tag, "<%s>", name);
    const char *at = strstr(text, open_tag);
    if (at == NULL)
        return NULL;
    at += strlen(open_tag);
    snprintf(value, EC2_TEXT_SIZE, "%.*s", (int)strcspn(at, "<"), at);
    return at;
}

/* One try. *again: the same may succeed a little later. */
static enum err_code send_once(struct ec2 *ec2, const char *action, const struct buf *form,
                               struct buf *answer, bool *again, struct err *err)
{
    char scope[128], token[4200], code[EC2_TEXT_SIZE];
    struct curl_slist *headers =
        curl_slist_append(NULL, "Content-Type: application/x-www-form-urlencoded; charset=utf-8");
    snprintf(scope, sizeof scope, "aws:amz:%s:ec2", ec2->region);
    if (ec2->token[0] != '\0') {
        snprintf(token, sizeof token, "X-Amz-Security-Token: %s", ec2->token);
        headers = curl_slist_append(headers, token);
        explicit_bzero(token, sizeof token);
    }
    buf_clear(answer);
    set_options(ec2, form, headers, scope, answer);
    CURLcode result = curl_easy_perform(ec2->curl);
    long status = 0;
    curl_easy_getinfo(ec2->curl, CURLINFO_RESPONSE_CODE, &status);
    curl_slist_free_all(headers); /* the token's copy goes with it */
    *again = result != CURLE_OK || status >= 500;
    if (result != CURLE_OK)
        return err_set(err, ERR_IO, "EC2: %s: %s: %s", action, ec2->endpoint,
                       curl_easy_strerror(result));
    if (status == 200)
        return ERR_NONE;
    element(buf_text(answer), "Code", code);
    *again = *again || strcmp(code, "RequestLimitExceeded") == 0;
    const char *message = strstr(buf_text(answer), "<Message>");
    message = message == NULL ? "" : message + strlen("<Message>");
    return err_set(err, ERR_REMOTE, "EC2: %s: status %ld %s: %.*s", action, status, code,
                   (int)(strcspn(message, "<\n") < 200 ? strcspn(message, "<\n") : 200), message);
}

/* Everything that is asked here may be asked twice without harm. */
static enum err_code send_form(struct ec2 *ec2, const char *action, struct buf *form,
                               struct buf *answer, struct err *err)
{
    enum err_code code = ERR_IO;
    int64_t pause_ns = first_pause_ns;
    bool again = true;
    add_field(ec2, form, "Action", action);
    add_field(ec2, form, "Version", version);
    for (int i = 0; i < TRIES && code != ERR_NONE && again; i++) {
        if (i > 0) {
            clock_sleep_ns(pause_ns);
            pause_ns *= 2;
        }
        code = send_once(ec2, action, form, answer, &again, err);
    }
    buf_free(form);
    return code;
}

/* ---- What is asked ---- */

/* Each instance's state comes after its id, and before the next one's. */
static size_t read_instances(const char *answer, struct ec2_instance *instances, size_t most)
{
    size_t count = 0;
    char id[EC2_TEXT_SIZE];
    for (const char *at = element(answer, "instanceId", id); at != NULL;
         at = element(at, "instanceId", id)) {
        struct ec2_instance instance;
        memcpy(instance.id, id, sizeof id);
        const char *state = strstr(at, "<instanceState>");
        if (state == NULL || element(state, "name", instance.state) == NULL)
            continue;
        if (count < most)
            instances[count] = instance;
        count++;
    }
    return count;
}

enum err_code ec2_find(struct ec2 *ec2, const char *tag, const char *value,
                       struct ec2_instance *instances, size_t most, size_t *count, struct err *err)
{
    static const char *const states[] = {"pending", "running", "stopping", "stopped"};
    struct buf form = BUF_INIT, answer = BUF_INIT;
    char text[256];
    snprintf(text, sizeof text, "tag:%s", tag);
    add_field(ec2, &form, "Filter.1.Name", text);
    add_field(ec2, &form, "Filter.1.Value.1", value);
    add_field(ec2, &form, "Filter.2.Name", "instance-state-name");
    for (size_t i = 0; i < sizeof states / sizeof *states; i++) {
        snprintf(text, sizeof text, "Filter.2.Value.%zu", i + 1);
        add_field(ec2, &form, text, states[i]);
    }
    enum err_code code = send_form(ec2, "DescribeInstances", &form, &answer, err);
    if (code == ERR_NONE)
        *count = read_instances(buf_text(&answer), instances, most);
    buf_free(&answer);
    return code;
}

enum err_code ec2_ask(struct ec2 *ec2, enum ec2_action action, const char *id, struct err *err)
{
    static const char *const names[] = {"StopInstances", "StartInstances", "RebootInstances",
                                        "TerminateInstances"};
    struct buf form = BUF_INIT, answer = BUF_INIT;
    add_field(ec2, &form, "InstanceId.1", id);
    if (action == EC2_STOP) /* as when the power goes */
        add_field(ec2, &form, "Force", "true");
    enum err_code code = send_form(ec2, names[action], &form, &answer, err);
    buf_free(&answer);
    return code;
}

enum err_code ec2_look(struct ec2 *ec2, const char *id, struct ec2_instance *instance,
                       struct err *err)
{
    struct buf form = BUF_INIT, answer = BUF_INIT;
    add_field(ec2, &form, "InstanceId.1", id);
    enum err_code code = send_form(ec2, "DescribeInstances", &form, &answer, err);
    if (code == ERR_NONE && read_instances(buf_text(&answer), instance, 1) != 1)
        code = err_set(err, ERR_UNSUPPORTED, "EC2 tells nothing of %s", id);
    else if (code == ERR_REMOTE && strstr(buf_text(&answer), "InvalidInstanceID.NotFound") != NULL)
        err->code = code = ERR_UNSUPPORTED;
    buf_free(&answer);
    return code;
}

const char *ec2_region(const struct ec2 *ec2)
{
    return ec2->region;
}

enum err_code ec2_await(struct ec2 *ec2, const char *id, const char *state, int64_t timeout_ns,
                        struct err *err)
{
    int64_t deadline_ns = clock_monotonic_ns() + timeout_ns;
    for (;;) {
        struct ec2_instance instance;
        enum err_code code = ec2_look(ec2, id, &instance, err);
        if (code != ERR_NONE || strcmp(instance.state, state) == 0)
            return code;
        if (clock_monotonic_ns() > deadline_ns)
            return err_set(err, ERR_TIMEOUT, "%s is %s, not %s", id, instance.state, state);
        clock_sleep_ns(poll_ns);
    }
}
