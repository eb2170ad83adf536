/* The page's script and its style, as tools/page.sh builds them from reports/page: the assembler
 * puts the files into the program as they are. */
#include "reports/html.h"

#define EMBED(name, file)                                                                          \
    __asm__(".pushsection .rodata\n"                                                               \
            ".global " #name "\n.type " #name ", @object\n" #name ":\n.incbin \"" file             \
            "\"\n.byte 0\n.size " #name ", . - " #name "\n.popsection\n")

EMBED(html_script, "reports/page/built/page.js");
EMBED(html_script_style, "reports/page/built/page.css");
