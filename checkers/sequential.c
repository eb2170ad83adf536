/* Sequential consistency (Lamport, 1979) and the session guarantees (Terry et al., 1994) of single
 * registers whose written values are all different.
 *
 * Then each read tells which write it read from, and the question is one of order: is there one
 * order of a register's writes in which every process sees them go forward only? A write and the
 * reads of it have to be neighbours in that order, so they are one node of a graph; an operation of
 * a process that follows another one of the same process and is about another node draws an edge.
 * The register is sequentially consistent if the graph has no cycle, no edge leads back to the
 * value that it began with, and no process reads its own write before it wrote it. (For one
 * register with known readings this is exact: Gibbons and Korach, 1997.)
 *
 * Each session guarantee forbids the same with fewer edges, by what the two operations are:
 *     read, read     monotonic reads          write, read    read your writes
 *     write, write   monotonic writes         read, write    writes follow reads
 * An edge leads from the last read and from the last write before the operation. For sequential
 * consistency and for monotonic reads and writes that is all there is to say; of the other two, a
 * violation found is one, but one that needs an earlier write or read than the last may be missed.
 *
 * Sequential consistency does not compose: that of every register by itself, which is judged here,
 * is necessary for that of all together, not sufficient. A write that may have happened counts as
 * one where it was read, and nowhere else. Processes are sessions, so what a client did under its
 * former process number, before an indeterminate operation, is another session: that only asks for
 * less. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "checkers/checkers.h"
#include "checkers/folding/fold.h"
#include "harness/histories/edn.h"

enum { ANOMALIES_MAX = 8, CYCLE_MAX = 32 };
#define NONE ELEMENT_NONE

enum guarantee {
    MONOTONIC_READS,
    READ_YOUR_WRITES,
    MONOTONIC_WRITES,
    WRITES_FOLLOW_READS,
    SEQUENTIAL, /* all edges */
    GUARANTEE_COUNT,
};
static const char *const names[GUARANTEE_COUNT] = {
    "monotonic-reads", "read-your-writes", "monotonic-writes", "writes-follow-reads", "sequential"};

/* One way from a node to another, and the two operations of a process that draw it. */
struct edge {
    uint32_t from, to;
    uint32_t first, second; /* completions */
    uint32_t next;          /* of the same node; NONE */
    enum guarantee kind;
};

/* A write and the reads of it, or what a register began with and the reads of that. */
struct node {
    uint32_t write; /* invocation; NONE for what the register began with */
    uint32_t edges; /* the first in `edges`; NONE */
    bool happened;  /* a read saw it */
    /* of the search */
    bool visited, on_path;
    uint32_t walk;        /* the edge to be followed next */
    uint32_t parent_edge; /* the edge that led here */
};

/* What a process did last to one register. */
struct session {
    uint32_t last_read, last_write; /* completions; NONE */
    uint32_t read_node, write_node;
};

struct sequential {
    const struct history *history;
    struct check_result *result;
    int read, write;
    bool keyed;
    struct value initial;
    struct arena arena;
    struct elements values; /* [key value], or values where there is one register */
    struct node *nodes;     /* by element of `values` */
    struct edge *edges;
    uint32_t edge_count, edge_capacity;
    struct elements session_ids; /* [key process] */
    struct session *sessions;
    uint32_t session_capacity;
    uint64_t reads, writes;
    uint64_t violations[GUARANTEE_COUNT];
    bool promised[GUARANTEE_COUNT];
    bool broken; /* cannot be judged: the verdict is set */
};

static bool give_up(struct sequential *seq, uint32_t event, const char *why)
{
    if (!seq->broken)
        check_verdict(seq->result, VERDICT_UNKNOWN, "event %" PRIu32 ": %s", event, why);
    seq->broken = true;
    return false;
}

/* The key and value of an operation's value. */
static bool take_apart(struct sequential *seq, uint32_t event, struct value *key,
                       struct value *value)
{
    *key = value_nil();
    *value = seq->history->value[event];
    if (!seq->keyed)
        return true;
    if (!value_is_pair(*value))
        return give_up(seq, event, "its value is not [key value]");
    *key = value_at(*value, 0);
    *value = value_at(*value, 1);
    return true;
}

/* The name of a register's value. */
static struct value name_of(struct sequential *seq, struct value key, struct value value)
{
    return seq->keyed ? value_pair(&seq->arena, key, value) : value;
}

static struct node new_node(uint32_t write)
{
    return (struct node){.write = write, .edges = NONE};
}

/* Nodes for what registers begin with and for every write that did not fail. */
static bool collect_nodes(struct sequential *seq)
{
    const struct history *history = seq->history;
    size_t room = (size_t)history->count + 2;
    seq->nodes = arena_alloc(&seq->arena, 2 * room * sizeof *seq->nodes);
    elements_init(&seq->values, &seq->arena, (uint32_t)room);
    for (uint32_t i = 0; i < history->count; i++) {
        struct value key, value;
        if (history->type[i] != OP_INVOKE || !history_is_client(history, i) ||
            history_outcome(history, i) == OP_FAIL)
            continue;
        if (!take_apart(seq, i, &key, &value))
            return false;
        uint32_t before = seq->values.count;
        uint32_t node = elements_add(&seq->values, name_of(seq, key, seq->initial));
        if (node == before)
            seq->nodes[node] = new_node(NONE);
        if (history->f[i] != seq->write)
            continue;
        before = seq->values.count;
        node = elements_add(&seq->values, name_of(seq, key, value));
        if (node != before)
            return give_up(seq, i,
                           "a value that was written before, or that the register began "
                           "with; only histories of different values can be judged");
        seq->nodes[node] = new_node(i);
    }
    return true;
}

/* Whoever was read did happen. */
static bool mark_happened(struct sequential *seq)
{
    const struct history *history = seq->history;
    for (uint32_t i = 0; i < history->count; i++) {
        struct value key, value;
        if (!fold_is(history, i, OP_OK, seq->read))
            continue;
        if (!take_apart(seq, i, &key, &value))
            return false;
        uint32_t node = elements_find(&seq->values, name_of(seq, key, value));
        if (node != ELEMENT_NONE)
            seq->nodes[node].happened = true;
    }
    return true;
}

static void add_edge(struct sequential *seq, uint32_t from, uint32_t to, uint32_t first,
                     uint32_t second, enum guarantee kind)
{
    if (first == NONE || from == to)
        return;
    if (seq->edge_count == seq->edge_capacity) {
        uint32_t capacity = seq->edge_capacity == 0 ? 1024 : seq->edge_capacity * 2;
        struct edge *edges = realloc(seq->edges, capacity * sizeof *edges);
        if (edges == NULL) {
            give_up(seq, second, "out of memory");
            return;
        }
        seq->edges = edges;
        seq->edge_capacity = capacity;
    }
    seq->edges[seq->edge_count] =
        (struct edge){from, to, first, second, seq->nodes[from].edges, kind};
    seq->nodes[from].edges = seq->edge_count++;
}

static struct session *session_of(struct sequential *seq, struct value key, int32_t process)
{
    struct value name = value_int(NULL, process);
    if (seq->keyed)
        name = value_pair(&seq->arena, name, key);
    uint32_t before = seq->session_ids.count, id = elements_add(&seq->session_ids, name);
    if (id >= seq->session_capacity) {
        uint32_t capacity = seq->session_capacity == 0 ? 256 : seq->session_capacity * 2;
        struct session *sessions = arena_alloc(&seq->arena, capacity * sizeof *sessions);
        if (seq->session_capacity > 0)
            memcpy(sessions, seq->sessions, seq->session_capacity * sizeof *sessions);
        seq->sessions = sessions;
        seq->session_capacity = capacity;
    }
    if (id == before)
        seq->sessions[id] = (struct session){NONE, NONE, NONE, NONE};
    return &seq->sessions[id];
}

static void tell_violation(struct sequential *seq, enum guarantee kind, const char *text,
                           const uint32_t *events, size_t count)
{
    if (seq->violations[kind]++ >= ANOMALIES_MAX || !seq->promised[kind])
        return;
    struct buf title = BUF_INIT;
    buf_printf(&title, "%s is violated",
               kind == SEQUENTIAL ? "sequential consistency" : names[kind]);
    check_anomaly(seq->result, names[kind], buf_text(&title), text, events, count);
    buf_free(&title);
}

/* The node of a read, or NONE; a read that no order can explain is told of here. */
static uint32_t node_of_read(struct sequential *seq, uint32_t completion, struct value name)
{
    uint32_t node = elements_find(&seq->values, name);
    if (node == ELEMENT_NONE) {
        tell_violation(seq, SEQUENTIAL, "A read of a value that nobody can have written.",
                       &completion, 1);
        return NONE;
    }
    uint32_t write = seq->nodes[node].write;
    if (write != NONE && write > completion &&
        seq->history->process[write] == seq->history->process[completion]) {
        const uint32_t events[] = {completion, write};
        tell_violation(seq, SEQUENTIAL, "A process read a value before it wrote it itself.", events,
                       2);
    }
    return node;
}

/* One operation that happened: its node, and the edges that it draws. `event` is its completion, or
 * the invocation of an indeterminate write. */
static void take_op(struct sequential *seq, uint32_t event)
{
    const struct history *history = seq->history;
    uint32_t invocation = history->type[event] == OP_INVOKE ? event : history->partner[event];
    struct value key, value, told_key, told;
    bool reads = history->f[event] == seq->read;
    if (!take_apart(seq, invocation, &key, &value) || !take_apart(seq, event, &told_key, &told))
        return;
    uint32_t node = reads ? node_of_read(seq, event, name_of(seq, key, told))
                          : elements_find(&seq->values, name_of(seq, key, value));
    seq->reads += reads;
    seq->writes += !reads;
    if (node == NONE)
        return;
    struct session *session = session_of(seq, key, history->process[event]);
    add_edge(seq, session->read_node, node, session->last_read, event,
             reads ? MONOTONIC_READS : WRITES_FOLLOW_READS);
    add_edge(seq, session->write_node, node, session->last_write, event,
             reads ? READ_YOUR_WRITES : MONOTONIC_WRITES);
    if (reads) {
        session->last_read = event;
        session->read_node = node;
    } else {
        session->last_write = event;
        session->write_node = node;
    }
}

/* An indeterminate write that was read happened, after all that its process did before it. */
static bool is_hidden_write(struct sequential *seq, uint32_t event)
{
    struct value key, value;
    if (!fold_is(seq->history, event, OP_INVOKE, seq->write) ||
        history_outcome(seq->history, event) != OP_INFO || !take_apart(seq, event, &key, &value))
        return false;
    return seq->nodes[elements_find(&seq->values, name_of(seq, key, value))].happened;
}

/* ---- Cycles: depth first, by hand, as histories are long ---- */

static void tell_cycle(struct sequential *seq, enum guarantee kind, uint32_t last_edge)
{
    uint32_t events[2 * CYCLE_MAX], count = 0;
    uint32_t to = seq->edges[last_edge].to;
    for (uint32_t edge = last_edge; count + 2 <= 2 * CYCLE_MAX;) {
        events[count++] = seq->edges[edge].first;
        events[count++] = seq->edges[edge].second;
        if (seq->edges[edge].from == to)
            break;
        edge = seq->nodes[seq->edges[edge].from].parent_edge;
    }
    for (uint32_t i = 1; i < count; i++) /* ascending, each once */
        for (uint32_t j = i; j > 0 && events[j - 1] > events[j]; j--) {
            uint32_t event = events[j];
            events[j] = events[j - 1];
            events[j - 1] = event;
        }
    uint32_t left = 0;
    for (uint32_t i = 0; i < count; i++)
        if (left == 0 || events[left - 1] != events[i])
            events[left++] = events[i];
    tell_violation(seq, kind, "Processes saw the writes of one register go round in a circle.",
                   events, left);
}

static bool follows(const struct edge *edge, enum guarantee kind)
{
    return kind == SEQUENTIAL || edge->kind == kind;
}

static void search_from(struct sequential *seq, uint32_t root, enum guarantee kind, uint32_t *path)
{
    uint32_t depth = 0;
    path[depth++] = root;
    seq->nodes[root].visited = true;
    seq->nodes[root].on_path = true;
    seq->nodes[root].walk = seq->nodes[root].edges;
    while (depth > 0) {
        struct node *node = &seq->nodes[path[depth - 1]];
        if (node->walk == NONE) {
            node->on_path = false;
            depth--;
            continue;
        }
        uint32_t number = node->walk;
        const struct edge *edge = &seq->edges[number];
        node->walk = edge->next;
        struct node *target = &seq->nodes[edge->to];
        if (!follows(edge, kind))
            continue;
        if (target->on_path)
            tell_cycle(seq, kind, number);
        else if (!target->visited) {
            target->visited = true;
            target->on_path = true;
            target->walk = target->edges;
            target->parent_edge = number;
            path[depth++] = edge->to;
        }
    }
}

static void search(struct sequential *seq, enum guarantee kind, uint32_t *path)
{
    for (uint32_t i = 0; i < seq->edge_count; i++) {
        const struct edge *edge = &seq->edges[i];
        if (!follows(edge, kind) || seq->nodes[edge->to].write != NONE)
            continue;
        const uint32_t events[] = {edge->first, edge->second};
        tell_violation(seq, kind,
                       "A process read the value that the register began with after it "
                       "had seen a write.",
                       events, 2);
    }
    for (uint32_t i = 0; i < seq->values.count; i++)
        seq->nodes[i].visited = false;
    for (uint32_t i = 0; i < seq->values.count; i++)
        if (!seq->nodes[i].visited && seq->nodes[i].edges != NONE)
            search_from(seq, i, kind, path);
}

/* ---- The checker ---- */

static void report(struct sequential *seq)
{
    struct json *details = seq->result->details;
    json_set_int(details, "read-count", (int64_t)seq->reads);
    json_set_int(details, "write-count", (int64_t)seq->writes);
    for (int i = 0; i < GUARANTEE_COUNT && !seq->broken; i++) {
        json_set_bool(details, names[i], seq->violations[i] == 0);
        if (seq->violations[i] > 0 && seq->promised[i])
            check_verdict(seq->result, VERDICT_INVALID, "%s is violated", names[i]);
    }
    if (seq->reads == 0)
        check_verdict(seq->result, VERDICT_UNKNOWN, "no read ever succeeded");
    check_verdict(seq->result, VERDICT_VALID,
                  "%" PRIu64 " reads and %" PRIu64 " writes, each register by itself", seq->reads,
                  seq->writes);
}

static bool take_promises(struct sequential *seq, const char *text)
{
    for (const char *at = text; *at != '\0';) {
        size_t length = strcspn(at, ",");
        int i = 0;
        while (i < GUARANTEE_COUNT &&
               (strlen(names[i]) != length || memcmp(names[i], at, length) != 0))
            i++;
        if (i == GUARANTEE_COUNT) {
            check_verdict(seq->result, VERDICT_UNKNOWN,
                          "sequential.promises: '%.*s' is none of sequential, monotonic-reads, "
                          "read-your-writes, monotonic-writes, writes-follow-reads",
                          (int)length, at);
            return false;
        }
        seq->promised[i] = true;
        at += length + (at[length] == ',');
    }
    return true;
}

/* Keyed as asked, or if all values of client operations are vectors of two. */
static bool looks_keyed(const struct check_input *input)
{
    const struct history *history = input->history;
    bool any = false;
    if (input->keyed != KEYED_GUESS)
        return input->keyed == KEYED_YES;
    for (uint32_t i = 0; i < history->count; i++) {
        if (!history_is_client(history, i) || history->type[i] == OP_INFO)
            continue;
        if (!value_is_pair(history->value[i]))
            return false;
        any = true;
    }
    return any;
}

static void judge(struct sequential *seq)
{
    const struct history *history = seq->history;
    elements_init(&seq->session_ids, &seq->arena, 256);
    if (!collect_nodes(seq) || !mark_happened(seq))
        return;
    for (uint32_t i = 0; i < history->count && !seq->broken; i++)
        if (fold_is(history, i, OP_OK, seq->read) || fold_is(history, i, OP_OK, seq->write) ||
            is_hidden_write(seq, i))
            take_op(seq, i);
    uint32_t *path = arena_alloc(&seq->arena, ((size_t)seq->values.count + 1) * sizeof *path);
    for (int i = 0; i < GUARANTEE_COUNT && !seq->broken; i++)
        search(seq, (enum guarantee)i, path);
}

static void check(const struct check_input *input, struct check_result *result)
{
    struct sequential seq = {.history = input->history, .result = result};
    struct check_input whole = *input;
    whole.keyed = KEYED_NO; /* keys are dealt with here */
    if (!fold_understands(&whole, result, (const char *const[]){"read", "write", NULL}))
        return;
    struct err err = ERR_INIT;
    const char *initial = option_text(&input->options, "sequential.initial");
    seq.keyed = looks_keyed(input);
    seq.read = fold_f(input, "read");
    seq.write = fold_f(input, "write");
    json_set_bool(result->details, "keyed", seq.keyed);
    if (edn_parse_all(&seq.arena, initial, strlen(initial), &seq.initial, &err) != ERR_NONE)
        check_verdict(result, VERDICT_UNKNOWN, "sequential.initial: %s", err.message);
    else if (take_promises(&seq, option_text(&input->options, "sequential.promises"))) {
        judge(&seq);
        report(&seq);
    }
    free(seq.edges);
    arena_free(&seq.arena);
}

static const struct option options[] = {
    {.name = "initial",
     .kind = OPTION_TEXT,
     .fallback = "nil",
     .help = "The first value of each register, in EDN."},
    {.name = "promises",
     .kind = OPTION_TEXT,
     .fallback = "sequential",
     .help = "What is promised, with commas: sequential, monotonic-reads, read-your-writes, "
             "monotonic-writes, writes-follow-reads; the others are told as facts."},
    {.name = NULL},
};

const struct checker checker_sequential = {
    .name = "sequential",
    .summary = "sequential consistency and session guarantees of single registers",
    .options = options,
    .check = check,
};
