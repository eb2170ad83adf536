/* Shapes of answers: see workload_words.h. Read and matched in one pass, by recursive descent; a
 * text that is only stepped over is matched with nobody looking. */
#include "harness/workload_words.h"

#include <string.h>

enum { DEPTH_MAX = 32 };

struct matcher {
    const char *at;
    struct arena *arena; /* NULL: only stepping over */
    bool good;           /* the shape's text, so far */
    unsigned depth;
};

static bool match_any(struct matcher *m, struct value asked, struct value answered,
                      struct value *taken);

static void skip_blanks(struct matcher *m)
{
    while (*m->at == ' ')
        m->at++;
}

static bool taken_char(struct matcher *m, char c)
{
    skip_blanks(m);
    if (*m->at != c)
        return false;
    m->at++;
    return true;
}

static bool text_is(struct value value, const char *text, size_t length)
{
    enum value_kind kind = value_kind(value);
    if (kind != VALUE_KEYWORD && kind != VALUE_STRING)
        return false;
    const char *own = value_as_text(value);
    return strlen(own) == length && memcmp(own, text, length) == 0;
}

/* As equal as JSON can make them. */
static bool same(struct value asked, struct value answered)
{
    if (value_equal(asked, answered))
        return true;
    enum value_kind kind = value_kind(asked), other = value_kind(answered);
    if ((kind == VALUE_KEYWORD && other == VALUE_STRING) ||
        (kind == VALUE_STRING && other == VALUE_KEYWORD)) /* a map's key that was a string */
        return strcmp(value_as_text(asked), value_as_text(answered)) == 0;
    bool items = kind == VALUE_VECTOR || kind == VALUE_LIST;
    if (kind == VALUE_MAP && value_kind(answered) == VALUE_MAP &&
        value_count(asked) == value_count(answered)) {
        for (size_t i = 0; i + 1 < value_count(asked); i += 2) {
            size_t j = 0;
            while (j < value_count(answered) && !same(value_at(asked, i), value_at(answered, j)))
                j += 2;
            if (j >= value_count(answered) ||
                !same(value_at(asked, i + 1), value_at(answered, j + 1)))
                return false;
        }
        return true;
    }
    if (!items || value_kind(answered) != VALUE_VECTOR ||
        value_count(asked) != value_count(answered))
        return false;
    for (size_t i = 0; i < value_count(asked); i++)
        if (!same(value_at(asked, i), value_at(answered, i)))
            return false;
    return true;
}

static struct value part_of(struct value value, size_t index)
{
    enum value_kind kind = value_kind(value);
    bool items = kind == VALUE_VECTOR || kind == VALUE_LIST;
    return items && index < value_count(value) ? value_at(value, index) : value_nil();
}

static size_t parts_in(struct value value)
{
    return value_kind(value) == VALUE_VECTOR || value_kind(value) == VALUE_LIST ? value_count(value)
                                                                                : 0;
}

static void step_over(struct matcher *m)
{
    struct arena *arena = m->arena;
    struct value unused;
    m->arena = NULL;
    (void)match_any(m, value_nil(), value_nil(), &unused);
    m->arena = arena;
}

/* Behind '['. */
static bool match_vector(struct matcher *m, struct value asked, struct value answered,
                         struct value *taken)
{
    size_t count = parts_in(answered), next = 0;
    bool fits = m->arena != NULL && value_kind(answered) == VALUE_VECTOR;
    struct value *parts =
        m->arena == NULL ? NULL : arena_alloc(m->arena, (count + 1) * sizeof *parts);
    while (m->good && !taken_char(m, ']')) {
        const char *shape = m->at;
        step_over(m);
        bool many = taken_char(m, '*'), as_asked = !many && strncmp(m->at, "..", 2) == 0;
        m->at += as_asked ? 2 : 0;
        const char *behind = m->at;
        if (as_asked && parts_in(asked) != count)
            fits = false;
        while (m->good && fits && (many || as_asked ? next < count : true)) {
            m->at = shape;
            fits = next < count &&
                   match_any(m, part_of(asked, next), value_at(answered, next), &parts[next]);
            next++;
            if (!many && !as_asked)
                break;
        }
        m->at = behind;
    }
    if (fits && m->good && next == count)
        *taken = value_items(m->arena, VALUE_VECTOR, parts, count);
    return fits && m->good && next == count;
}

static struct value *find_key(struct value *items, size_t count, const char *name, size_t length)
{
    for (size_t i = 0; i + 1 < count; i += 2)
        if (text_is(items[i], name, length))
            return &items[i + 1];
    return NULL;
}

/* Behind '{'. What the shape does not name is kept as it is. */
static bool match_map(struct matcher *m, struct value asked, struct value answered,
                      struct value *taken)
{
    bool fits = m->arena != NULL && value_kind(answered) == VALUE_MAP;
    size_t count = fits ? value_count(answered) : 0;
    struct value *items = fits ? arena_alloc(m->arena, (count + 1) * sizeof *items) : NULL;
    for (size_t i = 0; i < count; i++)
        items[i] = value_at(answered, i);
    while (m->good && !taken_char(m, '}')) {
        if (!taken_char(m, ':')) {
            m->good = false;
            break;
        }
        const char *name = m->at;
        m->at += strcspn(m->at, " }");
        size_t length = (size_t)(m->at - name);
        struct value *item = fits ? find_key(items, count, name, length) : NULL;
        char key[64] = "";
        memcpy(key, name, length < sizeof key ? length : 0);
        if (item == NULL) {
            fits = false;
            step_over(m);
        } else {
            struct value before =
                value_kind(asked) == VALUE_MAP ? value_get(asked, key) : value_nil();
            fits = match_any(m, before, *item, item);
        }
    }
    if (fits && m->good)
        *taken = value_items(m->arena, VALUE_MAP, items, count);
    return fits && m->good;
}

static bool match_keyword(struct matcher *m, struct value asked, struct value answered,
                          struct value *taken)
{
    const char *name = m->at;
    m->at += strcspn(m->at, " ]})|?*.");
    size_t length = (size_t)(m->at - name);
    if (m->arena == NULL || !text_is(answered, name, length) ||
        (value_kind(asked) == VALUE_KEYWORD && !text_is(asked, name, length)))
        return false;
    *taken = value_text(m->arena, VALUE_KEYWORD, name, length);
    return true;
}

static bool match_kind(struct matcher *m, struct value asked, struct value answered,
                       struct value *taken)
{
    static const char *const names[] = {"nil", "int", "text", "bool", "any", "same"};
    static const enum value_kind kinds[] = {VALUE_NIL, VALUE_INT, VALUE_STRING, VALUE_BOOL};
    size_t length = strspn(m->at, "abcdefghijklmnopqrstuvwxyz"), which = 0;
    while (which < 6 &&
           (strlen(names[which]) != length || strncmp(names[which], m->at, length) != 0))
        which++;
    m->at += length;
    if (which == 6) {
        m->good = false;
        return false;
    }
    *taken = which == 5 ? asked : answered;
    if (which == 4)
        return true;
    return which == 5 ? same(asked, answered) : value_kind(answered) == kinds[which];
}

static bool match_one(struct matcher *m, struct value asked, struct value answered,
                      struct value *taken)
{
    bool fits;
    if (taken_char(m, '['))
        fits = match_vector(m, asked, answered, taken);
    else if (taken_char(m, '{'))
        fits = match_map(m, asked, answered, taken);
    else if (taken_char(m, ':'))
        fits = match_keyword(m, asked, answered, taken);
    else if (taken_char(m, '(')) {
        fits = match_any(m, asked, answered, taken);
        m->good = m->good && taken_char(m, ')');
    } else {
        fits = match_kind(m, asked, answered, taken);
    }
    if (m->good && *m->at == '?') {
        m->at++;
        if (!fits && value_is_nil(answered)) {
            *taken = value_nil();
            fits = true;
        }
    }
    return fits && m->good;
}

static bool match_any(struct matcher *m, struct value asked, struct value answered,
                      struct value *taken)
{
    bool fits = false;
    if (++m->depth > DEPTH_MAX)
        m->good = false;
    do {
        struct value one;
        if (m->good && match_one(m, asked, answered, &one) && !fits) {
            *taken = one;
            fits = true;
        }
    } while (m->good && taken_char(m, '|'));
    m->depth--;
    return fits;
}

bool word_take(const char *shape, struct value asked, struct value answered, struct arena *arena,
               struct value *taken)
{
    struct matcher m = {.at = shape, .arena = arena, .good = true};
    bool fits = match_any(&m, asked, answered, taken);
    return fits && m.good;
}

bool word_shape_is_good(const char *shape)
{
    struct matcher m = {.at = shape, .good = true};
    step_over(&m);
    skip_blanks(&m);
    return m.good && *m.at == '\0';
}

const struct word *word_find(const struct workload *workload, const char *f)
{
    for (const struct word *word = workload->words; word != NULL && word->f != NULL; word++)
        if (strcmp(word->f, f) == 0)
            return word;
    return NULL;
}
