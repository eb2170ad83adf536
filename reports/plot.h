/* Charts over the time of a run, as SVG: the frame, the axes, and the faults that lie behind all of
 * them. Units are those of the view box, 960 wide. */
#ifndef ORDEAL_REPORTS_PLOT_H
#define ORDEAL_REPORTS_PLOT_H

#include "reports/html.h"

enum { PLOT_WIDTH = 960, PLOT_LEFT = 72, PLOT_RIGHT = 12, PLOT_BOTTOM = 26 };

struct plot {
    struct html *html;
    double top, height; /* of the area that data are drawn in; set by plot_begin */
    double from_ns, to_ns;
};

/* Opens the SVG with a title and a description for those who cannot see it (both ours or escaped by
 * the caller), draws the faults' strip and bands, and the time axis. `id` is unique on the page. */
void plot_begin(struct plot *plot, struct html *html, const char *id, double height,
                const char *title, const char *description);
void plot_end(struct plot *plot);
double plot_x(const struct plot *plot, double ns);
/* A horizontal line across, labelled on the left. */
void plot_level(struct plot *plot, double y, const char *label);
/* A step of 1, 2 or 5 times a power of ten, of which `range` has at most `most`. */
double plot_step(double range, int most);

#endif
