# tests/lib/json_lines.awk: one JSON value as lines, "PATH VALUE" for each leaf: .checkers.stats.valid true
# Exit status 1 when the input is anything but one JSON value. For tests, so that they need no other program.
{ text = text $0 "\n" }
END {
    at = 1
    if (!value("")) exit 1
    space()
    exit at <= length(text) ? 1 : 0
}
function space() { while (substr(text, at, 1) ~ /[ \t\r\n]/) at++ }
function word(    rest) {
    rest = substr(text, at, 64)
    if (!match(rest, /^(true|false|null|-?[0-9][0-9.eE+-]*)/)) return ""
    at += RLENGTH
    return substr(rest, 1, RLENGTH)
}
function string(    start) { # keeps its quotes and escapes
    start = at++
    for (;;) {
        c = substr(text, at, 1)
        if (c == "" || c == "\n") return ""
        at += c == "\\" ? 2 : 1
        if (c == "\"") return substr(text, start, at - start)
    }
}
function value(path,    first, count, key, leaf) {
    space()
    first = substr(text, at, 1)
    if (first != "{" && first != "[") {
        leaf = first == "\"" ? string() : word()
        if (leaf == "") return 0
        print path " " leaf
        return 1
    }
    at++
    space()
    if (substr(text, at, 1) == (first == "{" ? "}" : "]")) { at++; print path " " first (first == "{" ? "}" : "]"); return 1 }
    for (count = 0;; count++) {
        space()
        key = count
        if (first == "{") {
            key = string()
            space()
            if (key == "" || substr(text, at++, 1) != ":") return 0
            key = substr(key, 2, length(key) - 2)
        }
        if (!value(path "." key)) return 0
        space()
        c = substr(text, at++, 1)
        if (c == (first == "{" ? "}" : "]")) return 1
        if (c != ",") return 0
    }
}
