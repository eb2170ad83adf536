/* The space-time diagram of an anomaly, shared by what draws its operations (html_spacetime.c) and
 * what draws the reasons over them (html_spacetime_why.c). Units are pixels. */
#ifndef ORDEAL_REPORTS_HTML_SPACETIME_H
#define ORDEAL_REPORTS_HTML_SPACETIME_H

#include "reports/html.h"

enum {
    SPACETIME_OPERATIONS_MAX = 40,
    SPACETIME_POINTS_MAX = 2 * SPACETIME_OPERATIONS_MAX,
    SPACETIME_LEFT = 104,
    SPACETIME_RIGHT = 150, /* room for the last label */
    SPACETIME_LANE = 48,
    SPACETIME_BAR = 18,
    SPACETIME_GAP_MIN = 40, /* between two events */
    SPACETIME_WIDTH_USUAL = 900,
    SPACETIME_WIDTH_LEAST = 640, /* of a single moment, too: its label wants room */
    SPACETIME_AXIS = 30,
    SPACETIME_STRIP = 16,
    SPACETIME_FAULTS_MAX = 12,
};

struct spacetime {
    struct html *html;
    const struct digest_operation *operations;
    size_t count;
    uint32_t culprit;
    bool timed; /* else positions go by index */
    int64_t points[SPACETIME_POINTS_MAX];
    double at[SPACETIME_POINTS_MAX];
    size_t point_count;
    int32_t lanes[SPACETIME_OPERATIONS_MAX]; /* processes */
    size_t lane_count;
    const struct digest_fault *faults[SPACETIME_FAULTS_MAX];
    size_t fault_count;
    const char
        *names[SPACETIME_OPERATIONS_MAX]; /* by which texts speak of them, "T1"; NULL: none */
    double top, width, height;
    /* What is drawn besides, of whoever found the anomaly. */
    const struct json *anomaly;
    bool life; /* it is about one message, whose way is followed */
};

/* When an operation begins and ends: nanoseconds, or events where the history has no times. */
int64_t spacetime_begin(const struct spacetime *diagram, const struct digest_operation *operation);
int64_t spacetime_end(const struct spacetime *diagram, const struct digest_operation *operation);
double spacetime_x(const struct spacetime *diagram, int64_t point);
/* A process's lane, and the height of its line. */
size_t spacetime_lane(const struct spacetime *diagram, int32_t process);
double spacetime_middle(const struct spacetime *diagram, size_t lane);

/* Before anything is drawn: the names by which the anomaly's text speaks of the operations. */
void spacetime_name(struct spacetime *diagram);
/* Over the operations: the longest order that a linearizability checker found and what could have
 * been read instead; the dependencies that a cycle of transactions is made of; a message's way. */
void spacetime_why(struct spacetime *diagram, size_t number);
/* What the caption has to say of that. */
void spacetime_why_caption(struct spacetime *diagram);

#endif
