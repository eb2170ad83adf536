/* Stops, reboots or terminates the cloud instances that the nodes are, over the EC2 API; those that
 * were stopped are started again. Which instance a node is, a tag tells (its name, by default), or
 * the plan.
 *
 * A stopped instance keeps its private address and its disks, but not a public address that was
 * given to it for the time being: nodes should be named by addresses that stay. */
#include <stdio.h>
#include <string.h>

#include "harness/base/clock.h"
#include "harness/base/text.h"
#include "nemeses/daemons.h"
#include "nemeses/ec2_api.h"
#include "nemeses/nemeses.h"
#include "nemeses/targets.h"

static const int64_t settle_ns = NS_PER_SECOND; /* one that exits sooner has not really started */
static const int64_t start_again_ns = 10 * 60 * NS_PER_SECOND;

struct state {
    struct daemons on; /* what ran there */
    node_set nodes;
    enum ec2_action action;
    char ids[PLAN_NODES_MAX][EC2_TEXT_SIZE];
    struct test *test;
};

static const char *text_option(const struct test *test, const char *name)
{
    return option_text(&test->plan->options, name);
}

static enum err_code open_api(const struct test *test, struct ec2 **ec2, struct err *err)
{
    const struct ec2_options options = {.region = text_option(test, "ec2.region"),
                                        .endpoint = text_option(test, "ec2.endpoint"),
                                        .profile = text_option(test, "ec2.profile")};
    return ec2_open(&options, ec2, err);
}

/* ---- Which instance a node is ---- */

/* "n1=i-0123+n2=i-0456"; false when the node is not in it. */
static bool read_map(const struct test *test, uint32_t node, char id[EC2_TEXT_SIZE])
{
    struct arena scratch = ARENA_INIT;
    const char **parts;
    size_t count = text_split(&scratch, text_option(test, "ec2.instances"), '+', &parts);
    size_t length = strlen(test->nodes[node].name);
    bool found = false;
    for (size_t i = 0; i < count && !found; i++) {
        found = strncmp(parts[i], test->nodes[node].name, length) == 0 && parts[i][length] == '=';
        if (found)
            snprintf(id, EC2_TEXT_SIZE, "%s", parts[i] + length + 1);
    }
    arena_free(&scratch);
    return found;
}

static enum err_code resolve_one(const struct test *test, struct ec2 *ec2, uint32_t node,
                                 char id[EC2_TEXT_SIZE], struct err *err)
{
    struct ec2_instance instance;
    size_t count = 0;
    const char *tag = text_option(test, "ec2.tag"), *name = test->nodes[node].name;
    if (read_map(test, node, id))
        return ERR_NONE;
    enum err_code code = ec2_find(ec2, tag, name, &instance, 1, &count, err);
    if (code == ERR_NONE && count != 1)
        code = err_set(err, ERR_CONFIG,
                       "%zu instances have the tag %s=%s; tag one for each node, or name them in "
                       "ec2.instances",
                       count, tag, name);
    if (code == ERR_NONE)
        memcpy(id, instance.id, EC2_TEXT_SIZE);
    return code;
}

static enum err_code check(struct test *test, struct err *err)
{
    struct ec2 *ec2 = NULL;
    char id[EC2_TEXT_SIZE];
    if (test->plan->local)
        return err_set(err, ERR_CONFIG, "a local cluster's nodes are no instances: see reboot");
    enum err_code code = targets_check(test, "ec2.targets", err);
    if (code == ERR_NONE)
        code = open_api(test, &ec2, err);
    for (uint32_t i = 0; i < test->node_count && code == ERR_NONE; i++)
        code = resolve_one(test, ec2, i, id, err);
    ec2_close(ec2);
    return code;
}

static struct value choose(struct test *test, struct prng *prng, struct arena *arena)
{
    struct value chosen = targets_choose(test, "ec2.targets", prng, arena);
    return targets_add(chosen, "action", value_keyword(arena, text_option(test, "ec2.action")),
                       arena);
}

/* ---- Acting ---- */

static enum err_code act(struct state *state, enum ec2_action action, const char *until,
                         struct err *err)
{
    const struct test *test = state->test;
    struct ec2 *ec2 = NULL;
    int64_t timeout_ns = option_duration_ns(&test->plan->options, "ec2.timeout");
    enum err_code code = open_api(test, &ec2, err);
    for (uint32_t i = 0; i < test->node_count && code == ERR_NONE; i++)
        if (node_in(state->nodes, i))
            code = ec2_ask(ec2, action, state->ids[i], err);
    for (uint32_t i = 0; i < test->node_count && code == ERR_NONE && until != NULL; i++)
        if (node_in(state->nodes, i))
            code = ec2_await(ec2, state->ids[i], until, timeout_ns, err);
    ec2_close(ec2);
    return code;
}

static enum err_code switch_off(void *context, struct err *err)
{
    static const char *const states[] = {
        [EC2_STOP] = "stopped", [EC2_REBOOT] = NULL, [EC2_TERMINATE] = "terminated"};
    struct state *state = context;
    return act(state, state->action, states[state->action], err);
}

static enum err_code switch_on(void *context, struct err *err)
{
    return act(context, EC2_START, "running", err);
}

static struct node_power power_of(struct state *state)
{
    bool stops = state->action == EC2_STOP;
    return (struct node_power){.how = stops ? NODE_OFF : NODE_REBOOT,
                               .off = switch_off,
                               .on = stops ? switch_on : NULL,
                               .context = state};
}

static enum err_code bring_up(struct state *state, struct buf *evidence, struct err *err)
{
    const struct node_power power = power_of(state);
    struct test *test = state->test;
    enum err_code code =
        node_up(test, state->nodes, &power, option_duration_ns(&test->plan->options, "ec2.timeout"),
                evidence, err);
    if (code == ERR_NONE && daemons_nodes(test, &state->on) != 0)
        code = daemons_bring_back(test, &state->on, err);
    return code;
}

/* An instance that is stopped has no agent on it that could start it again. */
static enum err_code note_stops(struct test *test, const struct state *state, const struct ec2 *ec2,
                                struct err *err)
{
    enum err_code code = ERR_NONE;
    for (uint32_t i = 0; i < test->node_count && code == ERR_NONE; i++) {
        if (!node_in(state->nodes, i))
            continue;
        struct json *how = json_object();
        json_set_text(how, "instance", state->ids[i]);
        json_set_text(how, "region", ec2_region(ec2));
        json_set_text(how, "endpoint", text_option(test, "ec2.endpoint"));
        json_set_text(how, "profile", text_option(test, "ec2.profile"));
        code = node_note_off(test, i, "ec2", how, err);
        json_free(how);
    }
    return code;
}

static enum err_code prepare(struct test *test, struct fault *fault, struct err *err)
{
    struct state *state = fault->state;
    struct ec2 *ec2 = NULL;
    const char *action = value_as_text(value_get(fault->asked, "action"));
    state->test = test;
    state->action = strcmp(action, "reboot") == 0      ? EC2_REBOOT
                    : strcmp(action, "terminate") == 0 ? EC2_TERMINATE
                                                       : EC2_STOP;
    enum err_code code = targets_resolve(test, fault->asked, &state->nodes, err);
    if (code == ERR_NONE)
        code = daemons_in(test, state->nodes, NULL, DAEMON_ALIVE, &state->on, err);
    if (code == ERR_NONE)
        code = open_api(test, &ec2, err);
    for (uint32_t i = 0; i < test->node_count && code == ERR_NONE; i++)
        if (node_in(state->nodes, i))
            code = resolve_one(test, ec2, i, state->ids[i], err);
    if (code == ERR_NONE && state->action == EC2_STOP)
        code = note_stops(test, state, ec2, err);
    ec2_close(ec2);
    return code;
}

static enum err_code begin(struct test *test, struct fault *fault, struct err *err)
{
    static const char *const words[] = {
        [EC2_STOP] = "stopped", [EC2_REBOOT] = "rebooted", [EC2_TERMINATE] = "terminated"};
    struct state *state = fault->state;
    enum err_code code = prepare(test, fault, err);
    if (code != ERR_NONE)
        return err_wrap(err, "ec2");
    const struct node_power power = power_of(state);
    struct err cause = ERR_INIT, back = ERR_INIT;
    code = node_down(test, state->nodes, &power, &fault->begun_evidence, &cause);
    if (code != ERR_NONE) {
        struct buf unused = BUF_INIT;
        buf_clear(&fault->begun_evidence);
        enum err_code undone = bring_up(state, &unused, &back);
        buf_free(&unused);
        err_undone(err, code, &cause, undone == ERR_NONE ? NULL : &back);
        return err_wrap(err, "ec2");
    }
    fault->nodes = state->nodes;
    fault->done =
        daemons_outcome(test, state->nodes, state->nodes, words[state->action], "", fault->arena);
    fault->begun_verified = VERIFIED_YES;
    return ERR_NONE;
}

static enum err_code end(struct test *test, struct fault *fault, struct err *err)
{
    struct state *state = fault->state;
    buf_clear(&fault->ended_evidence);
    if (state->action == EC2_TERMINATE) {
        buf_add_text(&fault->ended_evidence, "what was terminated stays so: ");
        test_print_nodes(test, state->nodes, &fault->ended_evidence);
        fault->ended_verified = VERIFIED_YES;
        return ERR_NONE;
    }
    enum err_code code = bring_up(state, &fault->ended_evidence, err);
    if (code == ERR_NONE)
        code = daemons_stay(test, &state->on, DAEMON_ALIVE, settle_ns, err);
    if (code == ERR_NONE)
        fault->ended_verified = VERIFIED_YES;
    return code;
}

/* ---- After ordeal was killed ---- */

static enum err_code start_one(struct ec2 *ec2, const char *id, struct err *err)
{
    struct ec2_instance instance;
    enum err_code code = ec2_look(ec2, id, &instance, err);
    if (code != ERR_NONE)
        return code;
    if (strcmp(instance.state, "terminated") == 0 || strcmp(instance.state, "shutting-down") == 0)
        return err_set(err, ERR_UNSUPPORTED, "%s is %s: nothing starts it again", id,
                       instance.state);
    if (strcmp(instance.state, "stopping") == 0) /* it cannot be started before it has stopped */
        code = ec2_await(ec2, id, "stopped", start_again_ns, err);
    if (code == ERR_NONE && strcmp(instance.state, "running") != 0)
        code = ec2_ask(ec2, EC2_START, id, err);
    return code == ERR_NONE ? ec2_await(ec2, id, "running", start_again_ns, err) : code;
}

enum err_code ec2_start_again(const struct json *how, struct buf *said, struct err *err)
{
    struct ec2 *ec2 = NULL;
    const char *id = json_as_text(json_get(how, "instance"), "");
    const struct ec2_options options = {.region = json_as_text(json_get(how, "region"), ""),
                                        .endpoint = json_as_text(json_get(how, "endpoint"), ""),
                                        .profile = json_as_text(json_get(how, "profile"), "")};
    enum err_code code = ec2_open(&options, &ec2, err);
    if (code == ERR_NONE)
        code = start_one(ec2, id, err);
    if (code == ERR_NONE)
        buf_printf(said, "EC2, as its instance %s", id);
    ec2_close(ec2);
    return code == ERR_NONE ? code : err_wrap(err, "ec2");
}

static const struct option options[] = {
    {"targets", OPTION_TEXT, "one", NULL, TARGETS_HELP},
    {"action", OPTION_CHOICE, "stop", "stop|reboot|terminate",
     "stop: started again in the end; terminate: for good, nothing brings the node back."},
    {"tag", OPTION_TEXT, "Name", NULL, "The tag whose value is the node's name."},
    {"instances", OPTION_TEXT, "", NULL, "Or which node is which: n1=i-0123+n2=i-0456."},
    {"region", OPTION_TEXT, "", NULL, "Default: AWS_REGION or AWS_DEFAULT_REGION."},
    {"endpoint", OPTION_TEXT, "", NULL, "Where the API is; default: EC2's of the region."},
    {"profile", OPTION_TEXT, "", NULL,
     "Of ~/.aws/credentials; default: what the environment says (AWS_ACCESS_KEY_ID and so on), "
     "else AWS_PROFILE, else default."},
    {"timeout", OPTION_DURATION, "10m", NULL, "How long stopping, and coming back, may take."},
    {.name = NULL},
};

const struct nemesis nemesis_ec2 = {
    .name = "ec2",
    .summary = "stops, reboots or terminates cloud instances over the EC2 API",
    .options = options,
    .begin_f = "start-ec2",
    .end_f = "stop-ec2",
    .fault_state_size = sizeof(struct state),
    .where = targets_where,
    .repeat = targets_repeat,
    .check = check,
    .choose = choose,
    .begin = begin,
    .end = end,
};
