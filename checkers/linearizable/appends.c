/* Appends as compare-and-sets: a key of a store of texts becomes a register.
 *
 * Say no text that is appended or put is the beginning of another, and so whatever a get answers
 * can be taken apart in one way, and every text is appended once. Then an append whose text was
 * seen happened at one value, the text before it in what was seen, and is a compare-and-set from
 * there to what it makes of it; were it at another value, nobody could see what was seen. An append
 * whose text nobody saw may happen at any value, and what it leaves is never asked for: it is a
 * write of a value that nobody reads. A put is a write, a delete a write of what there was at
 * first, and a get is a read. The orders of the one object are those of the other, and registers
 * have better searches.
 *
 * Of texts that are appended several times the first invoked is taken for the first seen, and so
 * on; what only an indeterminate compare-and-set saw is taken for seen. An order found so is one,
 * and is replayed as any; finding none means nothing then, and the plain search is asked.
 *
 * Values are numbered as nodes of a tree of texts, so that long values cost their last part only.
 * Histories that are not of this kind go to the plain search. */
#include <stdlib.h>
#include <string.h>

#include "checkers/linearizable/engine.h"
#include "harness/base/arena.h"

enum { EVERY_KEY = -1, ROOT = 0 };
enum f { GET, PUT, APPEND, DELETE, CAS, OTHER };
#define NO_NODE UINT32_MAX

struct word {
    const char *text;
    size_t length;
    bool appended;
};

struct tree {
    struct arena arena;
    const struct lin_problem *problem;
    struct word *words; /* sorted, distinct */
    uint32_t word_count;
    int64_t empty; /* what the root is: the number of nil or of "" */
    uint32_t *parent, *word, *slots;
    uint32_t count, capacity;
    uint32_t *seen; /* per word: the next node that an append of it leaves; NO_NODE: none is left */
    uint32_t *next; /* per node: the next one of the same word */
    bool plain;     /* it is not of this kind */
    bool guessed;   /* a text is appended several times */
};

static enum f function_of(const struct lin_problem *problem, const struct lin_op *op)
{
    static const char *const names[] = {"get", "put", "append", "delete", "cas"};
    for (int i = 0; i < OTHER; i++)
        if (strcmp(problem->model->functions[op->op.f], names[i]) == 0)
            return (enum f)i;
    return OTHER;
}

static struct value value_of(const struct tree *tree, int64_t number)
{
    return value_table_value(&tree->problem->space->values, number);
}

/* ---- Words ---- */

static int compare_words(const void *a, const void *b)
{
    const struct word *x = a, *y = b;
    size_t shorter = x->length < y->length ? x->length : y->length;
    int order = memcmp(x->text, y->text, shorter);
    return order != 0 ? order : (x->length > y->length) - (x->length < y->length);
}

static void add_word(struct tree *tree, int64_t number, bool appended)
{
    struct value value = value_of(tree, number);
    bool is_text = value_kind(value) == VALUE_STRING;
    bool is_empty = value_is_nil(value) || (is_text && value_text_length(value) == 0);
    if (is_empty ? number != tree->empty || appended : !is_text) {
        tree->plain = true; /* nil and "" at once, an append of nothing, or no text */
        return;
    }
    if (!is_empty)
        tree->words[tree->word_count++] = (struct word){
            .text = value_as_text(value), .length = value_text_length(value), .appended = appended};
}

static void sort_words(struct tree *tree)
{
    uint32_t kept = 0;
    qsort(tree->words, tree->word_count, sizeof *tree->words, compare_words);
    for (uint32_t i = 0; i < tree->word_count; i++) {
        const struct word *last = kept == 0 ? NULL : &tree->words[kept - 1];
        const struct word *word = &tree->words[i];
        bool begins = last != NULL && last->length <= word->length &&
                      memcmp(last->text, word->text, last->length) == 0;
        if (begins && (last->length < word->length || last->appended != word->appended))
            tree->plain = true; /* one begins with the other, or is both appended and put */
        tree->guessed = tree->guessed || (begins && word->appended);
        if (!begins)
            tree->words[kept++] = *word;
    }
    tree->word_count = kept;
}

static void collect_words(struct tree *tree)
{
    const struct lin_problem *problem = tree->problem;
    tree->words = arena_alloc(&tree->arena, (problem->op_count + 1) * sizeof *tree->words);
    for (uint32_t i = 0; i < problem->op_count && !tree->plain; i++) {
        const struct lin_op *op = &problem->ops[i];
        enum f f = function_of(problem, op);
        if (f == OTHER || op->op.a != problem->ops[0].op.a)
            tree->plain = true;
        else if (f == PUT || f == APPEND)
            add_word(tree, op->op.b, f == APPEND);
        else if (f == CAS)
            add_word(tree, op->op.c, false);
    }
    sort_words(tree);
}

/* The word that the text begins with; NO_NODE: none. */
static uint32_t find_word(const struct tree *tree, const char *text, size_t length)
{
    struct word sought = {.text = text, .length = length};
    uint32_t low = 0, high = tree->word_count;
    while (low < high) { /* the first that is greater */
        uint32_t middle = low + (high - low) / 2;
        if (compare_words(&tree->words[middle], &sought) <= 0)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == 0 || tree->words[low - 1].length > length ||
        memcmp(tree->words[low - 1].text, text, tree->words[low - 1].length) != 0)
        return NO_NODE;
    return low - 1;
}

/* ---- The tree ---- */

static uint32_t *slot_of(const struct tree *tree, uint32_t parent, uint32_t word)
{
    uint64_t hash = (parent * UINT64_C(0x9e3779b97f4a7c15)) ^ (word * UINT64_C(0xff51afd7ed558ccd));
    hash ^= hash >> 29;
    uint32_t mask = 2 * tree->capacity - 1, at = (uint32_t)hash & mask;
    while (tree->slots[at] != 0 &&
           (tree->parent[tree->slots[at] - 1] != parent || tree->word[tree->slots[at] - 1] != word))
        at = (at + 1) & mask;
    return &tree->slots[at];
}

static void grow(struct tree *tree)
{
    uint32_t capacity = tree->capacity == 0 ? 256 : tree->capacity * 2;
    uint32_t *parent = arena_alloc(&tree->arena, capacity * sizeof *parent);
    uint32_t *word = arena_alloc(&tree->arena, capacity * sizeof *word);
    if (tree->count > 0) {
        memcpy(parent, tree->parent, tree->count * sizeof *parent);
        memcpy(word, tree->word, tree->count * sizeof *word);
    }
    tree->parent = parent;
    tree->word = word;
    tree->capacity = capacity;
    tree->slots = arena_zalloc(&tree->arena, 2 * (size_t)capacity * sizeof *tree->slots);
    for (uint32_t i = 1; i < tree->count; i++)
        *slot_of(tree, parent[i], word[i]) = i + 1;
}

static uint32_t child(struct tree *tree, uint32_t parent, uint32_t word)
{
    if (tree->count == tree->capacity)
        grow(tree);
    uint32_t *slot = slot_of(tree, parent, word);
    if (*slot == 0) {
        tree->parent[tree->count] = parent;
        tree->word[tree->count] = word;
        *slot = ++tree->count;
    }
    return *slot - 1;
}

/* The node of a value that was seen or is put. What cannot be taken apart gets a node that nothing
 * leads to. */
static uint32_t node_of(struct tree *tree, int64_t number)
{
    struct value value = value_of(tree, number);
    if (number == tree->empty)
        return ROOT;
    if (value_kind(value) != VALUE_STRING)
        return child(tree, ROOT, NO_NODE);
    const char *text = value_as_text(value);
    size_t left = value_text_length(value);
    uint32_t node = left == 0 ? child(tree, ROOT, NO_NODE) : ROOT;
    while (left > 0) {
        uint32_t word = find_word(tree, text, left);
        if (word == NO_NODE || (node != ROOT && !tree->words[word].appended))
            return child(tree, ROOT, NO_NODE);
        node = child(tree, node, word);
        text += tree->words[word].length;
        left -= tree->words[word].length;
    }
    return node;
}

/* What the key holds at first and after a delete. */
static void find_first(struct tree *tree, int64_t *first, int64_t *otherwise)
{
    int64_t map = 0;
    lin_problem_start(tree->problem, &map);
    struct model_sequence pairs = model_sequence_of(tree->problem->space, map);
    bool found = false;
    *first = *otherwise = 0;
    for (uint32_t i = 0; i + 1 < pairs.count; i += 2)
        if (pairs.items[i] == EVERY_KEY)
            *otherwise = pairs.items[i + 1];
        else if (pairs.items[i] == tree->problem->ops[0].op.a) {
            *first = pairs.items[i + 1];
            found = true;
        }
    if (!found)
        *first = *otherwise;
}

/* What is seen for certain, and then what a compare-and-set may have seen that may have happened:
 * of a text that only the latter saw it is a guess where it was appended. */
static void lookup_seen(struct tree *tree)
{
    for (int known = 1; known >= 0; known--) {
        uint32_t count = tree->count;
        for (uint32_t i = 0; i < tree->problem->op_count; i++) {
            const struct lin_op *op = &tree->problem->ops[i];
            enum f f = function_of(tree->problem, op);
            if (op->op.known == (known == 1) && (f == GET || f == CAS))
                (void)node_of(tree, op->op.b);
        }
        tree->guessed = tree->guessed || (known == 0 && tree->count > count);
    }
    tree->seen = arena_alloc(&tree->arena, (tree->word_count + 1) * sizeof *tree->seen);
    tree->next = arena_alloc(&tree->arena, tree->count * sizeof *tree->next);
    memset(tree->seen, 0xff, (tree->word_count + 1) * sizeof *tree->seen);
    for (uint32_t node = tree->count; node-- > 1;) {
        uint32_t word = tree->word[node];
        if (word >= tree->word_count || !tree->words[word].appended)
            continue;
        tree->next[node] = tree->seen[word];
        tree->seen[word] = node;
    }
}

/* The operation as one of a register. */
static void translate(struct tree *tree, struct lin_op *op)
{
    enum f f = function_of(tree->problem, op);
    op->needs = op->leaves = MODEL_ANY;
    if (f == GET || f == CAS)
        op->needs = node_of(tree, op->op.b);
    if (f == PUT || f == CAS)
        op->leaves = node_of(tree, f == CAS ? op->op.c : op->op.b);
    if (f == DELETE)
        op->leaves = ROOT;
    if (f == APPEND) {
        struct value text = value_of(tree, op->op.b);
        uint32_t word = find_word(tree, value_as_text(text), value_text_length(text));
        uint32_t node = tree->seen[word];
        op->needs = node == NO_NODE ? MODEL_ANY : tree->parent[node];
        op->leaves = node == NO_NODE ? child(tree, ROOT, NO_NODE - 1) : node;
        if (node != NO_NODE)
            tree->seen[word] = tree->next[node];
    }
    op->pure = op->leaves == MODEL_ANY || op->needs == op->leaves;
}

/* False: it is not of this kind. */
static bool reduce(struct tree *tree, struct lin_problem *reduced)
{
    const struct lin_problem *problem = tree->problem;
    int64_t first, otherwise;
    if (problem->op_count == 0)
        return false;
    find_first(tree, &first, &otherwise);
    tree->empty = first;
    if (first != otherwise || !(value_is_nil(value_of(tree, first)) ||
                                (value_kind(value_of(tree, first)) == VALUE_STRING &&
                                 value_text_length(value_of(tree, first)) == 0)))
        return false;
    collect_words(tree);
    if (tree->plain)
        return false;
    grow(tree);
    tree->count = 1; /* the root */
    lookup_seen(tree);
    *reduced = *problem;
    reduced->model = model_find("cas-register");
    reduced->ops = arena_alloc(&tree->arena, problem->op_count * sizeof *reduced->ops);
    memcpy(reduced->ops, problem->ops, problem->op_count * sizeof *reduced->ops);
    for (uint32_t i = 0; i < problem->op_count; i++)
        translate(tree, &reduced->ops[i]);
    reduced->state_count = tree->count;
    memset(reduced->start, 0, sizeof reduced->start); /* the root */
    return true;
}

/* ---- The engine ---- */

static bool suits_stores(const struct model *model)
{
    return strcmp(model->name, "kv") == 0;
}

static void search_appends(const struct lin_problem *problem, struct lin_budget *budget,
                           struct lin_answer *answer)
{
    struct tree tree = {.problem = problem, .arena = ARENA_INIT};
    struct lin_problem reduced;
    if (!reduce(&tree, &reduced)) {
        lin_engine_wgl.search(problem, budget, answer);
    } else if (!lin_charge(budget, tree.arena.used_bytes)) {
        *answer = (struct lin_answer){.verdict = VERDICT_UNKNOWN,
                                      .at = LIN_NEVER,
                                      .begin = LIN_NEVER,
                                      .limit = LIN_LIMIT_MEMORY,
                                      .decided_by = "appends"};
    } else {
        lin_engine_hiding.search(&reduced, budget, answer);
        lin_discharge(budget, tree.arena.used_bytes);
        answer->decided_by = "appends, hiding";
        if (answer->verdict != VERDICT_VALID && tree.guessed)
            lin_engine_wgl.search(problem, budget, answer);
    }
    arena_free(&tree.arena);
}

const struct lin_engine lin_engine_appends = {
    .name = "appends",
    .summary = "appends to texts as compare-and-sets of a register, and then as hiding; stores",
    .suits = suits_stores,
    .search = search_appends,
};
