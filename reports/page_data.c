/* Operations in columns for the page's script: see page_data.h. */
#include "reports/page_data.h"

#include <stdlib.h>
#include <string.h>

#include "reports/page_keys.h"
#include "reports/page_lanes.h"
#include "reports/page_pack.h"
#include "reports/page_select.h"
#include "reports/visible.h"

enum {
    OPERATIONS_MAX = 1200000, /* one by one */
    EXACT_MAX = 100000,       /* with nanoseconds */
    VALUES_MAX = 300000,      /* with all their values */
    VALUE_COLUMNS = 96,
    OF_AN_ANOMALY_MAX = 40,
    GAP_QUANTA = 16, /* to an average gap between invocations, where they are rounded */
};
/* Of all columns together; as base64 a third more, so that the page stays below 5 MB. */
static const size_t packed_bytes_max = 3400000;

enum column {
    COLUMN_BEGIN,
    COLUMN_DURATION,
    COLUMN_DURATION_HIGH,
    COLUMN_DURATION_LOW,
    COLUMN_LANE,
    COLUMN_GENERATION,
    COLUMN_F,
    COLUMN_OUTCOME,
    COLUMN_WEIGHT,
    COLUMN_NEAR,
    /* from here on they may be left out, the last ones first */
    COLUMN_ERROR,
    COLUMN_KEY,
    COLUMN_KEY_COUNT,
    COLUMN_KEYS,
    COLUMN_VALUE,
    COLUMN_COUNT
};
static const char *const names[COLUMN_COUNT] = {
    [COLUMN_BEGIN] = "begin",
    [COLUMN_DURATION] = "duration",
    [COLUMN_DURATION_HIGH] = "duration-high",
    [COLUMN_DURATION_LOW] = "duration-low",
    [COLUMN_LANE] = "lane",
    [COLUMN_GENERATION] = "generation",
    [COLUMN_F] = "f",
    [COLUMN_OUTCOME] = "outcome",
    [COLUMN_WEIGHT] = "weight",
    [COLUMN_NEAR] = "near",
    [COLUMN_ERROR] = "error",
    [COLUMN_KEY] = "key",
    [COLUMN_KEY_COUNT] = "key-count",
    [COLUMN_KEYS] = "keys",
    [COLUMN_VALUE] = "value",
};

struct page {
    const struct digest *digest;
    struct page_operations operations;
    struct page_keys keys;
    struct page_lanes lanes;
    int64_t last_generation[PAGE_LANES_MAX];
    bool rounded, all_values;
    int64_t from_ns, to_ns, quantum_ns;
    struct buf columns[COLUMN_COUNT], packed[COLUMN_COUNT];
};

/* ---- Lanes ---- */

static void add_lane(struct page *page, int32_t process)
{
    int64_t generation;
    uint32_t lane = page_lane(&page->lanes, process, &generation);
    int64_t more = generation - page->last_generation[lane];
    page->last_generation[lane] = generation;
    pack_varint(&page->columns[COLUMN_LANE], lane);
    /* Histories from elsewhere may go back; the sign goes to the lowest bit. */
    pack_varint(&page->columns[COLUMN_GENERATION],
                more >= 0 ? (uint64_t)more << 1 : (uint64_t)-more << 1 | 1);
}

/* ---- Times ---- */

/* Without times the order of events stands for them. */
static int64_t place_of(const struct page *page, uint32_t event)
{
    return page->digest->timed ? page->digest->run->history->time_ns[event] : (int64_t)event;
}

static void find_scale(struct page *page)
{
    const struct digest *digest = page->digest;
    page->from_ns = digest->timed ? digest->begin_ns : 0;
    page->to_ns = digest->timed ? digest->end_ns : digest->run->history->count;
    page->quantum_ns = 1;
    page->rounded = digest->timed && page->operations.count > EXACT_MAX;
    if (page->rounded) {
        int64_t gap = (page->to_ns - page->from_ns) / page->operations.count;
        while (page->quantum_ns * 10 * GAP_QUANTA <= gap)
            page->quantum_ns *= 10;
        while (page->quantum_ns * 2 * GAP_QUANTA <= gap)
            page->quantum_ns *= 2;
    }
}

static uint64_t quanta(const struct page *page, int64_t ns)
{
    return ns <= 0 ? 0 : (uint64_t)(ns / page->quantum_ns);
}

/* Six bits behind the highest: within 0.8 %. */
static void add_rounded(struct page *page, uint64_t duration)
{
    unsigned high = 0;
    while (duration >= 128) {
        duration = duration >> 1 | (duration & 1); /* up, not down */
        high++;
    }
    if (duration >= 64)
        high++;
    buf_add_char(&page->columns[COLUMN_DURATION_HIGH], (char)high);
    buf_add_char(&page->columns[COLUMN_DURATION_LOW], (char)(duration & 63));
}

static void add_times(struct page *page, uint32_t invocation, uint32_t completion, int64_t *last)
{
    int64_t begin = place_of(page, invocation);
    begin = begin < *last ? *last : begin; /* a time that is missing, or goes back */
    uint64_t more = quanta(page, begin - page->from_ns) - quanta(page, *last - page->from_ns);
    *last = begin;
    pack_varint(&page->columns[COLUMN_BEGIN], more);
    int64_t end = completion == HISTORY_NONE ? begin : place_of(page, completion);
    if (page->rounded)
        add_rounded(page, quanta(page, end - begin));
    else
        pack_varint(&page->columns[COLUMN_DURATION], quanta(page, end - begin));
}

/* ---- The rest of an operation ---- */

static void add_keys(struct page *page, struct value value)
{
    uint32_t ids[PAGE_KEYS_OF_ONE];
    size_t count = page_keys_of(&page->keys, value, ids);
    if (page->keys.keyed == PAGE_KEYED_PAIRS) {
        pack_varint(&page->columns[COLUMN_KEY], count == 0 ? 0 : ids[0]);
    } else if (page->keys.keyed == PAGE_KEYED_TRANSACTIONS) {
        pack_varint(&page->columns[COLUMN_KEY_COUNT], count);
        for (size_t i = 0; i < count; i++)
            pack_varint(&page->columns[COLUMN_KEYS], ids[i]);
    }
}

static void add_value(struct page *page, struct value value)
{
    struct buf *out = &page->columns[COLUMN_VALUE];
    if (!value_is_nil(value))
        digest_value(out, value, VALUE_COLUMNS);
    buf_add_char(out, '\n');
}

static void add_operation(struct page *page, uint32_t place, int64_t *last)
{
    const struct digest *digest = page->digest;
    const struct history *history = digest->run->history;
    struct digest_operation operation =
        digest_operation(history, page->operations.invocation[place]);
    bool open = operation.completion == HISTORY_NONE;
    uint32_t error = open ? 0 : history->error[operation.completion];
    add_times(page, operation.invocation, operation.completion, last);
    add_lane(page, operation.process);
    pack_varint(&page->columns[COLUMN_F], digest->function_of[history->f[operation.invocation]]);
    buf_add_char(&page->columns[COLUMN_OUTCOME], (char)(open ? 3 : operation.outcome - OP_OK));
    pack_varint(&page->columns[COLUMN_ERROR], error < PAGE_ERRORS_MAX ? error : PAGE_ERRORS_MAX);
    add_keys(page, operation.value);
    if (page->operations.weight != NULL)
        pack_varint(&page->columns[COLUMN_WEIGHT], page->operations.weight[place]);
    buf_add_char(&page->columns[COLUMN_NEAR], page->operations.near[place] ? 1 : 0);
    if (page->all_values || page->operations.near[place])
        add_value(page, operation.value);
}

/* ---- The header ---- */

static int by_event(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static struct json *anomaly_json(const struct page *page, const struct json *anomaly, size_t number)
{
    struct digest_operation operations[OF_AN_ANOMALY_MAX];
    size_t total;
    size_t count = digest_operations(page->digest, anomaly, operations, OF_AN_ANOMALY_MAX, &total);
    struct json *told = json_object(), *places = json_array();
    struct buf title = BUF_INIT;
    const char *text = json_as_text(json_get(anomaly, "title"), "an anomaly");
    visible_add_cut(&title, text, strlen(text), VALUE_COLUMNS);
    json_set_int(told, "number", (int64_t)number);
    json_set_text(told, "title", buf_text(&title));
    buf_free(&title);
    for (size_t i = 0; i < count; i++) {
        const uint32_t *place = bsearch(&operations[i].invocation, page->operations.invocation,
                                        page->operations.count, sizeof(uint32_t), by_event);
        if (place != NULL)
            json_add(places, json_int(place - page->operations.invocation));
    }
    json_set(told, "operations", places);
    return told;
}

static struct json *anomalies_json(const struct page *page)
{
    struct json *all = json_array();
    size_t number = 0;
    for (size_t i = 0; i < page->digest->checker_count; i++)
        for (const struct json *one = json_first(page->digest->checkers[i].anomalies);
             one != NULL && number < PAGE_ANOMALIES_MAX; one = json_next(one))
            json_add(all, anomaly_json(page, one, ++number));
    return all;
}

static struct json *functions_json(const struct digest *digest)
{
    struct json *all = json_array();
    for (size_t i = 0; i < digest->function_count; i++) {
        struct buf name = BUF_INIT;
        visible_add_cut(&name, digest->functions[i].name, strlen(digest->functions[i].name), 40);
        json_add(all, json_text(buf_text(&name)));
        buf_free(&name);
    }
    return all;
}

static struct json *header_json(const struct page *page, unsigned kept)
{
    struct json *header = json_object();
    bool values = (kept >> COLUMN_VALUE & 1) != 0;
    json_set_int(header, "version", 1);
    json_set_bool(header, "timed", page->digest->timed);
    json_set_int(header, "from-ns", page->from_ns);
    json_set_int(header, "to-ns", page->to_ns);
    json_set_int(header, "quantum-ns", page->quantum_ns);
    json_set_int(header, "count", page->operations.count);
    json_set_int(header, "total", (int64_t)page->operations.total);
    json_set_int(header, "step", page->operations.step);
    json_set_int(header, "odd-step", page->operations.odd_step);
    json_set_text(header, "values", !values ? "none" : page->all_values ? "all" : "near");
    json_set(header, "lanes", page_lanes_json(&page->lanes));
    json_set(header, "functions", functions_json(page->digest));
    json_set(header, "errors", page_errors_json(page->digest->run->history));
    if ((kept >> COLUMN_KEY & 1) != 0 && page->keys.keyed != PAGE_KEYED_NOT)
        json_set(header, "keys", page_keys_json(&page->keys));
    json_set(header, "faults", page_faults_json(page->digest));
    json_set(header, "marks", page_marks_json(page->digest));
    json_set(header, "anomalies", anomalies_json(page));
    return header;
}

/* ---- All together ---- */

static void make(const struct digest *digest, uint32_t most, struct page *page)
{
    *page = (struct page){.digest = digest};
    page_select(digest, most, &page->operations);
    page_keys_init(digest, &page->keys);
    page_lanes_find(digest, &page->operations, &page->lanes);
    find_scale(page);
    page->all_values = page->operations.count <= VALUES_MAX;
    int64_t last = page->from_ns;
    for (uint32_t i = 0; i < page->operations.count; i++)
        add_operation(page, i, &last);
}

static void free_page(struct page *page)
{
    for (int i = 0; i < COLUMN_COUNT; i++) {
        buf_free(&page->columns[i]);
        buf_free(&page->packed[i]);
    }
    page_keys_free(&page->keys);
    page_operations_free(&page->operations);
    page_lanes_free(&page->lanes);
}

/* Packs the columns; which of them are kept, as bits. 0: even the first do not fit. */
static unsigned pack(struct page *page)
{
    unsigned kept = 0;
    size_t bytes = 0;
    for (int i = 0; i < COLUMN_COUNT; i++) {
        if (page->columns[i].length == 0)
            continue;
        pack_deflate(&page->packed[i], page->columns[i].data, page->columns[i].length);
        if (bytes + page->packed[i].length > packed_bytes_max) {
            if (i < COLUMN_ERROR)
                return 0;
            continue;
        }
        bytes += page->packed[i].length;
        kept |= 1u << i;
    }
    unsigned keys = 1u << COLUMN_KEY_COUNT | 1u << COLUMN_KEYS;
    if ((kept & keys) != keys) /* one is nothing without the other */
        kept &= ~keys;
    else
        kept |= 1u << COLUMN_KEY;
    return kept;
}

static void add_column(struct html *html, const char *name, const struct buf *packed)
{
    buf_printf(&html->out, "%s ", name);
    pack_base64(&html->out, packed->data, packed->length);
    buf_add_char(&html->out, '\n');
}

static void add_header(struct html *html, const struct page *page, unsigned kept)
{
    struct json *header = header_json(page, kept);
    struct buf text = BUF_INIT, packed = BUF_INIT;
    json_print(header, JSON_COMPACT, &text);
    pack_deflate(&packed, text.data, text.length);
    add_column(html, "header", &packed);
    json_free(header);
    buf_free(&text);
    buf_free(&packed);
}

void page_data(struct html *html)
{
    const struct digest *digest = &html->digest;
    struct page page;
    uint32_t most = OPERATIONS_MAX;
    unsigned kept;
    if (digest->total[OP_INVOKE] == 0)
        return;
    make(digest, most, &page);
    while ((kept = pack(&page)) == 0 && most > 1000) {
        free_page(&page);
        most /= 2;
        make(digest, most, &page);
    }
    html_raw(html, "<script type=\"text/plain\" id=\"ordeal-data\">\n");
    add_header(html, &page, kept);
    for (int i = 0; i < COLUMN_COUNT; i++)
        if ((kept >> i & 1) != 0 && page.packed[i].length > 0)
            add_column(html, names[i], &page.packed[i]);
    html_raw(html, "</script>\n");
    free_page(&page);
}
