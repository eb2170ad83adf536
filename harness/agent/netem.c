/* Shaping by queueing disciplines: see netem.h. */
#include "harness/agent/netem.h"

#include <inttypes.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>

#include "harness/agent/faults.h"
#include "harness/agent/tool.h"
#include "harness/base/clock.h"

/* A handle that nobody else takes by chance: by it ours is known again. */
#define ROOT "dea1:"
#define OURS "qdisc htb " ROOT " "

enum {
    QUEUE_PACKETS_MAX = 20000, /* held at once, as a shaper's (shaper.c) */
    RATE_BURST_MIN = 1600,     /* the largest packet of an Ethernet, or tbf lets none pass */
    PACKET_BYTES_MIN = 100,
    PRIORITY_CONTROL = 1, /* one for each family; the lower is asked first */
    PRIORITY_TARGETS = 3,
    LEAF_FIRST = 0xdeb0, /* handles of leaves: no two in a device are the same */
};

/* ---- What is said to tc ---- */

static bool is_rate_alone(const struct agentd_shape *shape)
{
    return shape->rate_bps != 0 && shape->delay_ns == 0 && shape->loss_ppm == 0 &&
           shape->duplicate_ppm == 0 && shape->corrupt_ppm == 0 && shape->reorder_ppm == 0;
}

const char *agentd_netem_leaf(const struct agentd_shape *shape)
{
    return is_rate_alone(shape) ? "tbf" : "netem";
}

/* What netem does when two of its ways meet is not what the shape says. */
static const char *what_netem_cannot(const struct agentd_shape *shape)
{
    if (shape->reorder_ppm != 0 && (shape->delay_ns != 0 || shape->rate_bps != 0))
        return "those that netem does not hold back it sends at once: no reordering beside a delay "
               "or a rate";
    if (shape->duplicate_ppm != 0 && (shape->loss_ppm != 0 || shape->corrupt_ppm != 0 ||
                                      shape->reorder_ppm != 0 || shape->rate_bps != 0))
        return "netem shapes twins a second time: no duplication but alone or beside a delay";
    return NULL;
}

static void add_percent(struct buf *text, const char *what, uint32_t ppm)
{
    if (ppm != 0)
        buf_printf(text, " %s %" PRIu32 ".%04" PRIu32 "%%", what, ppm / 10000, ppm % 10000);
}

static void add_tbf(const struct agentd_shape *shape, struct buf *text)
{
    int64_t burst = shape->rate_bps / 8 / 1000; /* a millisecond */
    buf_printf(text, "tbf rate %" PRId64 "bit burst %" PRId64 "b latency %dms", shape->rate_bps,
               burst < RATE_BURST_MIN ? RATE_BURST_MIN : burst,
               (int)(AGENTD_PACE_BACKLOG_NS / NS_PER_MS));
}

static void add_netem(const struct agentd_shape *shape, struct buf *text)
{
    static const char *const spreads[] = {"", " distribution normal", " distribution pareto"};
    int64_t limit = QUEUE_PACKETS_MAX, delay_ns = shape->delay_ns;
    if (shape->rate_bps != 0)
        limit =
            shape->rate_bps / 8 * (AGENTD_PACE_BACKLOG_NS / NS_PER_MS) / 1000 / PACKET_BYTES_MIN;
    limit = limit < 20 ? 20 : limit > QUEUE_PACKETS_MAX ? QUEUE_PACKETS_MAX : limit;
    if (shape->reorder_ppm != 0) /* netem's is the share that is not held back */
        delay_ns = shape->reorder_ns;
    buf_printf(text, "netem limit %" PRId64, limit);
    if (delay_ns != 0)
        buf_printf(text, " delay %" PRId64 "us", delay_ns / NS_PER_US);
    if (shape->jitter_ns != 0)
        buf_printf(text, " %" PRId64 "us%s", shape->jitter_ns / NS_PER_US, spreads[shape->spread]);
    add_percent(text, "loss random", shape->loss_ppm);
    add_percent(text, "duplicate", shape->duplicate_ppm);
    add_percent(text, "corrupt", shape->corrupt_ppm);
    if (shape->reorder_ppm != 0)
        add_percent(text, "reorder", AGENTD_PPM - shape->reorder_ppm);
    if (shape->rate_bps != 0)
        buf_printf(text, " rate %" PRId64 "bit", shape->rate_bps);
}

static void add_class(const char *device, uint32_t number, const struct agentd_shape *shape,
                      struct buf *text)
{
    buf_printf(text,
               "class add dev %s parent " ROOT " classid " ROOT
               "%x htb rate 100gbit quantum 60000\n"
               "qdisc add dev %s parent " ROOT "%x handle %x: ",
               device, number, device, number, LEAF_FIRST + number);
    if (is_rate_alone(shape))
        add_tbf(shape, text);
    else
        add_netem(shape, text);
    buf_add_char(text, '\n');
}

static void add_filter(const char *device, int priority, const struct agentd_address *target,
                       struct buf *text)
{
    bool six = target->family == AF_INET6;
    buf_printf(text, "filter add dev %s parent " ROOT " protocol %s prio %d u32 match %s dst %s/%d",
               device, six ? "ipv6" : "ip", priority + six, six ? "ip6" : "ip", target->text,
               six ? 128 : 32);
}

void agentd_netem_commands(const struct agentd_block *block, const struct agentd_routes *routes,
                           uint32_t device, const struct agentd_shape *shape,
                           const struct agentd_connection *control, uint32_t control_count,
                           struct buf *commands)
{
    const char *name = routes->devices[device];
    uint32_t classes = 0;
    buf_printf(commands, "qdisc add dev %s root handle " ROOT " htb\n", name);
    for (uint32_t i = 0; i < control_count; i++) {
        bool six = control[i].client.family == AF_INET6;
        add_filter(name, PRIORITY_CONTROL, &control[i].client, commands);
        buf_printf(commands, " match %s sport %u 0xffff flowid " ROOT "0\n", six ? "ip6" : "ip",
                   control[i].server_port);
    }
    for (uint32_t i = 0; i < block->count; i++) {
        if (routes->of[i] != device)
            continue;
        if (classes == 0 || shape->rate_bps != 0)
            add_class(name, ++classes, shape, commands);
        add_filter(name, PRIORITY_TARGETS, &block->targets[i].address, commands);
        buf_printf(commands, " flowid " ROOT "%x\n", classes);
    }
}

/* ---- The tools of iproute2 ---- */

/* Its last words, in one line: it says what went wrong after "Error: ", and then which line of the
 * batch that was. */
static enum err_code tell(enum err_code code, const struct err *cause, const char *what,
                          struct err *err)
{
    char words[256];
    const char *error = strstr(cause->message, "Error: ");
    snprintf(words, sizeof words, "%.*s", (int)sizeof words - 1,
             error != NULL ? error + 7 : cause->message);
    char *which = strstr(words, " Command failed");
    size_t length = which != NULL ? (size_t)(which - words) : strlen(words);
    if (length > 0 && words[length - 1] == '.')
        length--;
    words[length] = '\0';
    return err_set(err, code, "%s: %s", what, words);
}

static enum err_code find(const char *name, char *path, size_t size, struct err *err)
{
    if (agentd_tool_find(name, path, size))
        return ERR_NONE;
    return err_set(err, ERR_UNSUPPORTED, "there is no %s here; it is of the package iproute2",
                   name);
}

static enum err_code run_batch(enum agentd_tool_place place, const char *commands, struct err *err)
{
    char path[64];
    enum err_code code = find("tc", path, sizeof path, err);
    const char *const argv[] = {path, "-batch", "-", NULL};
    return code == ERR_NONE ? agentd_tool_run_in(place, argv, commands, NULL, err) : code;
}

/* What is at the root of a device, as tc shows it: "qdisc noqueue 0: root refcnt 2". */
static enum err_code show_root(const char *device, struct buf *shown, struct err *err)
{
    char path[64];
    enum err_code code = find("tc", path, sizeof path, err);
    const char *const argv[] = {path, "qdisc", "show", "dev", device, "root", NULL};
    return code == ERR_NONE ? agentd_tool_run(argv, NULL, shown, err) : code;
}

static enum err_code find_routes(const struct agentd_block *block, struct agentd_routes *routes,
                                 struct err *err)
{
    routes->count = 0;
    for (uint32_t i = 0; i < block->count; i++) {
        char device[AGENTD_DEVICE_SIZE];
        enum err_code code = agentd_route_device(&block->targets[i].address, device, err);
        if (code != ERR_NONE)
            return code;
        uint32_t known = 0;
        while (known < routes->count && strcmp(routes->devices[known], device) != 0)
            known++;
        if (known == AGENTD_DEVICES_MAX)
            return err_set(err, ERR_UNSUPPORTED, "more than %d devices lead to the targets",
                           AGENTD_DEVICES_MAX);
        if (known == routes->count)
            memcpy(routes->devices[routes->count++], device, sizeof device);
        routes->of[i] = (uint8_t)known;
    }
    return ERR_NONE;
}

/* A root that the kernel gave has no number. */
static enum err_code check_free(const char *device, struct err *err)
{
    struct buf shown = BUF_INIT;
    enum err_code code = show_root(device, &shown, err);
    const char *root = code == ERR_NONE ? strstr(buf_text(&shown), "qdisc ") : NULL;
    char kind[32] = "", handle[32] = "";
    if (root != NULL && sscanf(root, "qdisc %31s %31s", kind, handle) == 2 &&
        strcmp(handle, "0:") != 0)
        code =
            err_set(err, ERR_UNSUPPORTED, "%s has a queueing discipline of its own already (%s %s)",
                    device, kind, handle);
    buf_free(&shown);
    return code;
}

/* ---- Whether it can be had ---- */

/* The whole tree, as it would be, on the loopback device of a new network: the kernel loads what is
 * a module then, or says what it does not know. Tried once for each leaf. */
static enum err_code try_kernel(const struct agentd_shape *shape, struct err *err)
{
    static struct tried {
        bool tried;
        enum err_code code;
        struct err err;
    } all[2];
    struct tried *one = &all[is_rate_alone(shape)];
    if (!one->tried) {
        struct agentd_target target;
        struct agentd_block block = {.count = 1, .targets = &target};
        struct agentd_routes routes = {.count = 1, .devices = {"lo"}};
        struct buf commands = BUF_INIT;
        char what[64];
        one->err = (struct err)ERR_INIT;
        snprintf(what, sizeof what, "the kernel has no %s", agentd_netem_leaf(shape));
        if (agentd_address_parse("127.0.0.1", &target.address, err) != ERR_NONE)
            return err->code;
        agentd_netem_commands(&block, &routes, 0, shape, NULL, 0, &commands);
        struct err cause = ERR_INIT;
        one->code = run_batch(TOOL_IN_NEW_NETWORK, buf_text(&commands), &cause);
        if (one->code == ERR_REMOTE)
            one->code = tell(ERR_UNSUPPORTED, &cause, what, &one->err);
        else
            one->err = cause;
        one->tried = one->code == ERR_NONE || one->code == ERR_UNSUPPORTED;
        buf_free(&commands);
    }
    return one->code == ERR_NONE ? ERR_NONE : err_set(err, one->code, "%s", one->err.message);
}

enum err_code agentd_netem_can(const struct agentd_block *block, const struct agentd_shape *shape,
                               struct err *err)
{
    struct agentd_routes routes;
    const char *cannot = what_netem_cannot(shape);
    if (cannot != NULL)
        return err_set(err, ERR_UNSUPPORTED, "%s", cannot);
    enum err_code code = try_kernel(shape, err);
    if (code == ERR_NONE)
        code = find_routes(block, &routes, err);
    for (uint32_t i = 0; code == ERR_NONE && i < routes.count; i++)
        code = check_free(routes.devices[i], err);
    return code;
}

/* ---- In force ---- */

static enum err_code keep(struct agentd_faults *faults, const struct agentd_block *block,
                          const struct agentd_routes *routes, struct err *err)
{
    struct buf text = BUF_INIT;
    agentd_journal_begin(&faults->journal, &text, AGENTD_KIND_NETEM);
    line_key(&text, "id", block->id);
    for (uint32_t i = 0; i < routes->count; i++)
        line_key(&text, "device", routes->devices[i]);
    for (uint32_t i = 0; i < block->count; i++)
        line_key(&text, "to", block->targets[i].address.text);
    enum err_code code = agentd_faults_keep(faults, block->id, AGENTD_KIND_NETEM, &text, err);
    buf_free(&text);
    return code;
}

/* Whether another fault is on one of the devices. What else may be there tc finds out. */
static enum err_code check_ours(struct agentd_faults *faults, const struct agentd_routes *routes,
                                struct err *err)
{
    struct arena arena = ARENA_INIT;
    enum err_code code = ERR_NONE;
    for (uint32_t i = 0; i < faults->count && code == ERR_NONE; i++) {
        struct agentd_entry entry;
        uint32_t cursor = 0;
        const char *device;
        if (strcmp(faults->items[i].kind, AGENTD_KIND_NETEM) != 0 ||
            agentd_journal_read(&faults->journal, faults->items[i].sequence, &arena, &entry,
                                NULL) != ERR_NONE)
            continue;
        while ((device = line_next(&entry.line, "device", &cursor)) != NULL)
            for (uint32_t j = 0; j < routes->count; j++)
                if (strcmp(routes->devices[j], device) == 0)
                    code = err_set(err, ERR_UNSUPPORTED, "%s is shaped already, by the fault %s",
                                   device, faults->items[i].id);
    }
    arena_free(&arena);
    return code;
}

/* Where a root is not free the kernel refuses ours: it is somebody else's, and stays. */
static enum err_code make_trees(struct agentd_faults *faults, const char *id,
                                const struct agentd_routes *routes, const char *commands,
                                struct err *err)
{
    struct err cause = ERR_INIT;
    enum err_code code = run_batch(TOOL_HERE, commands, &cause);
    if (code == ERR_NONE)
        return ERR_NONE;
    code = tell(code == ERR_REMOTE ? ERR_UNSUPPORTED : code, &cause, "tc", err);
    for (uint32_t i = 0; i < routes->count; i++)
        if (check_free(routes->devices[i], &cause) != ERR_NONE &&
            strstr(cause.message, "(htb " ROOT ")") == NULL)
            code = err_set(err, ERR_UNSUPPORTED, "%s", cause.message);
    (void)!agentd_faults_undo(faults, id, NULL); /* what fails stays journaled */
    return code;
}

enum err_code agentd_netem_begin(struct agentd_faults *faults, const struct agentd_block *block,
                                 const struct agentd_shape *shape, struct err *err)
{
    struct agentd_routes routes;
    struct buf commands = BUF_INIT;
    const char *cannot = what_netem_cannot(shape);
    if (cannot != NULL)
        return err_set(err, ERR_UNSUPPORTED, "%s", cannot);
    enum err_code code = find_routes(block, &routes, err);
    if (code == ERR_NONE)
        code = check_ours(faults, &routes, err);
    for (uint32_t i = 0; code == ERR_NONE && i < routes.count; i++)
        agentd_netem_commands(block, &routes, i, shape, faults->firewall.control,
                              faults->firewall.control_count, &commands);
    if (code == ERR_NONE)
        code = keep(faults, block, &routes, err);
    if (code == ERR_NONE)
        code = make_trees(faults, block->id, &routes, buf_text(&commands), err);
    buf_free(&commands);
    return code;
}

/* ---- Undoing ---- */

/* Whether our root is on a device; false when there is no such device. */
static enum err_code look(const char *device, bool *ours, struct err *err)
{
    struct buf shown = BUF_INIT;
    *ours = false;
    if (if_nametoindex(device) == 0)
        return ERR_NONE;
    enum err_code code = show_root(device, &shown, err);
    *ours = code == ERR_NONE && strstr(buf_text(&shown), OURS) != NULL;
    buf_free(&shown);
    return code;
}

static enum err_code undo_on(const char *device, struct err *err)
{
    bool ours;
    char path[64];
    enum err_code code = look(device, &ours, err);
    if (code != ERR_NONE || !ours)
        return code;
    code = find("tc", path, sizeof path, err);
    const char *const argv[] = {path, "qdisc", "del", "dev", device, "root", NULL};
    if (code == ERR_NONE)
        code = agentd_tool_run(argv, NULL, NULL, err);
    if (code == ERR_NONE)
        code = look(device, &ours, err);
    return code == ERR_NONE && ours
               ? err_set(err, ERR_REMOTE, "%s has its root " ROOT " still", device)
               : code;
}

enum err_code agentd_netem_undo(const struct agentd_entry *entry, struct err *err)
{
    uint32_t cursor = 0;
    enum err_code first = ERR_NONE;
    const char *device;
    while ((device = line_next(&entry->line, "device", &cursor)) != NULL) {
        enum err_code code = undo_on(device, first == ERR_NONE ? err : NULL);
        first = first == ERR_NONE ? code : first;
    }
    return first;
}
