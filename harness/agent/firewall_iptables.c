/* Dropping packets with iptables-restore, for kernels without nf_tables.
 *
 * Rules live in the chains ORDEAL-IN and ORDEAL-OUT of the filter table, which INPUT and OUTPUT
 * jump to from their first position. Each change is one iptables-restore --noflush per address
 * family, which is atomic. A rule is found again by being written again: -D takes the rule as it
 * was added, its comment "ID in|out ADDRESS" included, so that overlapping blocks stay apart. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/agent/firewall.h"
#include "harness/agent/tool.h"

enum tool { RESTORE, SAVE, LIST, RESTORE6, SAVE6, LIST6 };
static const char *const tool_names[] = {"iptables-restore",  "iptables-save",  "iptables",
                                         "ip6tables-restore", "ip6tables-save", "ip6tables"};

static const struct chain {
    const char *name, *hook;
    bool out;
} chains[] = {{"ORDEAL-IN", "INPUT", false}, {"ORDEAL-OUT", "OUTPUT", true}};

static enum tool tool_for(int family, enum tool tool)
{
    return family == AF_INET ? tool : tool + RESTORE6;
}

static enum err_code restore(struct agentd_firewall *firewall, int family, const struct buf *script,
                             struct err *err)
{
    const char *path = firewall->tools[tool_for(family, RESTORE)];
    const char *argv[] = {path, "--noflush", "-w", NULL};
    return agentd_tool_run(argv, buf_text(script), NULL, err);
}

static enum err_code save(struct agentd_firewall *firewall, int family, struct buf *rules,
                          struct err *err)
{
    const char *argv[] = {firewall->tools[tool_for(family, SAVE)], "-t", "filter", NULL};
    return agentd_tool_run(argv, NULL, rules, err);
}

static bool find_tools(struct agentd_firewall *firewall)
{
    size_t missing6 = 0;
    for (size_t i = 0; i < sizeof tool_names / sizeof tool_names[0]; i++)
        if (!agentd_tool_find(tool_names[i], firewall->tools[i], sizeof firewall->tools[i])) {
            if (i < RESTORE6)
                return false;
            missing6++;
        }
    struct buf rules = BUF_INIT;
    firewall->has_ipv6 = missing6 == 0 && save(firewall, AF_INET6, &rules, NULL) == ERR_NONE;
    buf_free(&rules);
    return true;
}

static enum err_code iptables_open(struct agentd_firewall *firewall, struct err *err)
{
    if (!find_tools(firewall))
        return err_set(err, ERR_UNSUPPORTED,
                       "iptables: iptables, iptables-restore and iptables-save are not installed");
    struct buf rules = BUF_INIT;
    enum err_code code = save(firewall, AF_INET, &rules, err);
    /* iptables-save exits 0 without permission, and says nothing; listing does not. */
    if (code == ERR_NONE) {
        const char *argv[] = {firewall->tools[LIST], "-w", "-nL", "INPUT", NULL};
        code = agentd_tool_run(argv, NULL, &rules, err);
    }
    buf_free(&rules);
    return code == ERR_NONE ? code : err_wrap(err, "iptables");
}

/* ---- Scripts ---- */

/* RETURN, not ACCEPT: what the node's own rules think of the connection stays theirs to say. */
static void pass_control(struct buf *script, const struct chain *chain,
                         const struct agentd_connection *control, bool to_server)
{
    const struct agentd_address *source = to_server ? &control->client : &control->server,
                                *target = to_server ? &control->server : &control->client;
    buf_printf(script, "-A %s -p tcp -s %s --sport %u -d %s --dport %u -j RETURN\n", chain->name,
               source->text, to_server ? control->client_port : control->server_port, target->text,
               to_server ? control->server_port : control->client_port);
}

static void add_control(struct buf *script, const struct agentd_connection *control)
{
    pass_control(script, &chains[0], control, true);
    pass_control(script, &chains[1], control, false);
    if (!agentd_address_equal(&control->client, &control->server))
        return;
    /* The controller is on this very node: both ends pass both chains. */
    pass_control(script, &chains[0], control, false);
    pass_control(script, &chains[1], control, true);
}

static void add_chains(struct agentd_firewall *firewall, int family, struct buf *script)
{
    for (size_t i = 0; i < 2; i++)
        buf_printf(script, ":%s - [0:0]\n-I %s 1 -j %s\n", chains[i].name, chains[i].hook,
                   chains[i].name);
    /* As ARP is for IPv4: see firewall_nftables.c. */
    for (size_t i = 0; i < 2 && family == AF_INET6; i++)
        buf_printf(script,
                   "-A %s -p icmpv6 --icmpv6-type neighbour-solicitation -j RETURN\n"
                   "-A %s -p icmpv6 --icmpv6-type neighbour-advertisement -j RETURN\n",
                   chains[i].name, chains[i].name);
    for (uint32_t i = 0; i < firewall->control_count; i++)
        if (firewall->control[i].client.family == family)
            add_control(script, &firewall->control[i]);
}

/* The packets of one rule; tcp_words is the length of TCP's header where the rule asks for data. */
struct match {
    uint8_t protocol; /* 0: any */
    bool other;       /* any but the protocol */
    uint32_t tcp_words;
};

static void add_data_match(struct buf *script, int family, uint32_t words)
{
    if (family == AF_INET)
        buf_printf(script, " -m u32 --u32 \"0>>22&0x3C@12>>28=%u&&0&0xFFFF=%u:0xFFFF\"", words,
                   AGENTD_IPV4_HEADER + 4 * words + 1);
    else
        buf_printf(script, " -m u32 --u32 \"52>>28=%u&&4>>16=%u:0xFFFF\"", words, 4 * words + 1);
}

static void add_rule(struct buf *script, const char *verb, const struct agentd_block *block,
                     const struct agentd_target *target, const struct match *match,
                     const char *port_side)
{
    char comment[AGENTD_COMMENT_SIZE];
    agentd_block_comment(block, target, comment);
    buf_printf(script, "%s %s %s %s", verb, chains[target->out].name, target->out ? "-d" : "-s",
               target->address.text);
    if (match->protocol != 0)
        buf_printf(script, "%s -p %s", match->other ? " !" : "",
                   match->protocol == IPPROTO_TCP ? "tcp" : "udp");
    if (match->tcp_words != 0)
        add_data_match(script, target->address.family, match->tcp_words);
    if (block->port != 0)
        buf_printf(script, " %s %u", port_side, block->port);
    buf_printf(script, " -m comment --comment \"%s\" -j DROP\n", comment);
}

static void add_both_sides(struct buf *script, const char *verb, const struct agentd_block *block,
                           const struct agentd_target *target, const struct match *match)
{
    add_rule(script, verb, block, target, match, "--dport");
    if (block->port != 0)
        add_rule(script, verb, block, target, match, "--sport");
}

static void add_target(struct buf *script, const char *verb, const struct agentd_block *block,
                       const struct agentd_target *target)
{
    struct match match = {.protocol = block->protocol};
    if (!block->data_only || block->protocol == IPPROTO_UDP) {
        add_both_sides(script, verb, block, target, &match);
        return;
    }
    match = (struct match){.protocol = IPPROTO_TCP, .other = true};
    if (block->protocol == 0)
        add_both_sides(script, verb, block, target, &match);
    match.other = false;
    for (match.tcp_words = AGENTD_TCP_WORDS_MIN; match.tcp_words <= AGENTD_TCP_WORDS_MAX;
         match.tcp_words++)
        add_both_sides(script, verb, block, target, &match);
}

static uint32_t add_rules(struct buf *script, const char *verb, const struct agentd_block *block,
                          int family)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < block->count; i++) {
        if (block->targets[i].address.family != family)
            continue;
        add_target(script, verb, block, &block->targets[i]);
        count++;
    }
    return count;
}

/* ---- The back-end ---- */

static const int families[] = {AF_INET, AF_INET6};

static enum err_code prepare(struct agentd_firewall *firewall, struct err *err)
{
    for (size_t i = 0; i < 2; i++) {
        if (families[i] == AF_INET6 && !firewall->has_ipv6)
            continue;
        struct buf script = BUF_INIT;
        buf_add_text(&script, "*filter\n");
        add_chains(firewall, families[i], &script);
        buf_add_text(&script, "COMMIT\n");
        enum err_code code = restore(firewall, families[i], &script, err);
        buf_free(&script);
        if (code != ERR_NONE)
            return code;
    }
    firewall->prepared = true;
    return ERR_NONE;
}

static enum err_code change(struct agentd_firewall *firewall, const struct agentd_block *block,
                            const char *verb, int family, struct err *err)
{
    struct buf script = BUF_INIT;
    buf_add_text(&script, "*filter\n");
    uint32_t count = add_rules(&script, verb, block, family);
    buf_add_text(&script, "COMMIT\n");
    enum err_code code = ERR_NONE;
    if (count > 0 && family == AF_INET6 && !firewall->has_ipv6)
        code = err_set(err, ERR_UNSUPPORTED, "iptables: ip6tables does not work on this node");
    else if (count > 0)
        code = restore(firewall, family, &script, err);
    buf_free(&script);
    return code;
}

static enum err_code iptables_clear(struct agentd_firewall *firewall, struct err *err);

static enum err_code iptables_block(struct agentd_firewall *firewall,
                                    const struct agentd_block *block, struct err *err)
{
    enum err_code code = ERR_NONE;
    /* Chains that an earlier agent left would be jumped to twice. */
    if (!firewall->prepared)
        code = iptables_clear(firewall, err);
    if (code == ERR_NONE && !firewall->prepared)
        code = prepare(firewall, err);
    if (code == ERR_NONE)
        code = change(firewall, block, "-A", AF_INET, err);
    if (code != ERR_NONE)
        return code;
    code = change(firewall, block, "-A", AF_INET6, err);
    if (code != ERR_NONE)
        change(firewall, block, "-D", AF_INET, NULL); /* all of the block or none of it */
    return code;
}

/* Calls nothing for what is not ours: sums the packets of the rules whose comment the block owns.
 */
static uint32_t read_listing(const struct agentd_block *block, char *text, uint64_t *counters)
{
    uint32_t found = 0;
    char *rest = text;
    for (char *line = strsep(&rest, "\n"); line != NULL; line = strsep(&rest, "\n")) {
        char *comment = strstr(line, "/* "), *end = comment != NULL ? strstr(comment, " */") : NULL;
        if (end == NULL)
            continue;
        *end = '\0';
        found += agentd_block_count(block, comment + 3, strtoull(line, NULL, 10), counters);
    }
    return found;
}

static enum err_code look(struct agentd_firewall *firewall, const struct agentd_block *block,
                          uint64_t *counters, uint32_t *found, struct err *err)
{
    enum err_code code = ERR_NONE;
    *found = 0;
    for (size_t i = 0; i < 4 && code == ERR_NONE && firewall->prepared; i++) {
        int family = families[i / 2];
        if (family == AF_INET6 && !firewall->has_ipv6)
            continue;
        const char *argv[] = {firewall->tools[tool_for(family, LIST)], "-w", "-nvxL",
                              chains[i % 2].name, NULL};
        struct buf listing = BUF_INIT;
        code = agentd_tool_run(argv, NULL, &listing, err);
        if (code == ERR_NONE && listing.length > 0)
            *found += read_listing(block, listing.data, counters);
        buf_free(&listing);
    }
    return code;
}

static enum err_code iptables_count(struct agentd_firewall *firewall,
                                    const struct agentd_block *block, uint64_t *counters,
                                    struct err *err)
{
    uint32_t found;
    enum err_code code = look(firewall, block, counters, &found, err);
    if (code == ERR_NONE && found == 0)
        code =
            err_set(err, ERR_IO, "iptables: the rules of %s are gone: something else removed them",
                    block->id);
    return code;
}

/* Somebody may have taken the rules away already, with our chains: what counts is that they are
 * gone. Also true when that cannot be found out. */
static bool still_there(struct agentd_firewall *firewall, const struct agentd_block *block)
{
    struct buf rules = BUF_INIT;
    char in[AGENTD_COMMENT_SIZE], out[AGENTD_COMMENT_SIZE];
    snprintf(in, sizeof in, "--comment \"%s in ", block->id);
    snprintf(out, sizeof out, "--comment \"%s out ", block->id);
    bool told = save(firewall, AF_INET, &rules, NULL) == ERR_NONE &&
                (!firewall->has_ipv6 || save(firewall, AF_INET6, &rules, NULL) == ERR_NONE);
    bool found = strstr(buf_text(&rules), in) != NULL || strstr(buf_text(&rules), out) != NULL;
    buf_free(&rules);
    return found || !told;
}

static enum err_code iptables_undo(struct agentd_firewall *firewall,
                                   const struct agentd_block *block, struct err *err)
{
    if (!firewall->prepared)
        return iptables_clear(firewall, err);
    struct err first = ERR_INIT, second = ERR_INIT;
    enum err_code code = change(firewall, block, "-D", AF_INET, &first),
                  code6 = change(firewall, block, "-D", AF_INET6, &second);
    if (code == ERR_NONE && code6 == ERR_NONE)
        return ERR_NONE;
    if (!still_there(firewall, block))
        return ERR_NONE;
    return err_set(err, ERR_REMOTE, "%s", code != ERR_NONE ? first.message : second.message);
}

/* Turns what iptables-save shows of ours into a script that removes it; false when it shows none.
 */
static bool removal_script(char *rules, struct buf *script)
{
    bool found = false;
    struct buf removals = BUF_INIT;
    buf_add_text(script, "*filter\n");
    char *rest = rules;
    for (char *line = strsep(&rest, "\n"); line != NULL; line = strsep(&rest, "\n"))
        for (size_t i = 0; i < 2; i++) {
            char declaration[32], jump[48];
            snprintf(declaration, sizeof declaration, ":%s ", chains[i].name);
            snprintf(jump, sizeof jump, "-A %s -j %s", chains[i].hook, chains[i].name);
            if (strncmp(line, declaration, strlen(declaration)) == 0) {
                buf_printf(script, "-F %s\n", chains[i].name);
                buf_printf(&removals, "-X %s\n", chains[i].name);
                found = true;
            } else if (strcmp(line, jump) == 0) {
                buf_printf(script, "-D %s -j %s\n", chains[i].hook, chains[i].name);
            }
        }
    buf_add_text(script, buf_text(&removals)); /* a chain can go only once nothing jumps to it */
    buf_add_text(script, "COMMIT\n");
    buf_free(&removals);
    return found;
}

static enum err_code clear_family(struct agentd_firewall *firewall, int family, struct err *err)
{
    struct buf rules = BUF_INIT, script = BUF_INIT;
    enum err_code code = save(firewall, family, &rules, err);
    if (code == ERR_NONE && rules.length > 0 && removal_script(rules.data, &script))
        code = restore(firewall, family, &script, err);
    buf_free(&rules);
    buf_free(&script);
    return code;
}

static enum err_code iptables_clear(struct agentd_firewall *firewall, struct err *err)
{
    if (firewall->tools[RESTORE][0] == '\0' && !find_tools(firewall))
        return err_set(err, ERR_UNSUPPORTED, "iptables: iptables-restore is not installed");
    enum err_code code = clear_family(firewall, AF_INET, err);
    if (code == ERR_NONE && firewall->has_ipv6)
        code = clear_family(firewall, AF_INET6, err);
    if (code == ERR_NONE)
        firewall->prepared = false;
    return code;
}

static void iptables_close(struct agentd_firewall *firewall)
{
    firewall->prepared = false;
}

const struct agentd_firewall_kind agentd_firewall_iptables = {
    .name = "iptables",
    .open = iptables_open,
    .block = iptables_block,
    .undo = iptables_undo,
    .count = iptables_count,
    .clear = iptables_clear,
    .close = iptables_close,
};
