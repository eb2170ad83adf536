/* The timeline: a place for the page's script to work in, and the operations it works on. */
#include "reports/html.h"
#include "reports/page_data.h"

void html_timeline(struct html *html)
{
    const struct digest *digest = &html->digest;
    html_section(html, "timeline", "Timeline");
    if (digest->total[OP_INVOKE] == 0) {
        html_note(html, "The history has no client operations.");
    } else {
        html_raw(html, "<p id=\"timeline-off\" class=\"note\">With scripts on, a timeline of all "
                       "operations stands here, to zoom, filter and search; the sections below do "
                       "without.</p>\n<div id=\"timeline-app\" hidden=\"\"></div>\n");
        page_data(html);
    }
    html_section_end(html);
}
