#!/bin/bash
# Asks the server what ordeal wants asked: one JSON object a line in, one out. docs/clients.md has the protocol.
# ok: it happened. fail: it did not, and never will. info: nobody knows. When in doubt, info.
#
# There is no JSON parser here: ordeal writes objects without blanks, so patterns will do.

trap '' PIPE # a server that has gone is an error like any other
say() { printf '{"id":%s%s}\n' "$id" "$1"; }
# The text or number of a member; of the first one when there are several.
member() { local rest=${line#*"\"$1\":"}; rest=${rest#\"}; printf '%s' "${rest%%[\",\}]*}"; }
disconnect() { [ -z "$connected" ] || exec 3>&-; connected=; }

# Sets $words to the answer. Status 1: it was never sent; 2: nobody knows.
ask() {
    [ -n "$connected" ] || { exec 3<>"/dev/tcp/$address/$port"; } 2>/dev/null || return 1
    connected=yes
    printf '%s\n' "$1" >&3 2>/dev/null && read -r -t "$timeout" -u 3 words && return 0
    disconnect # an answer may still come: it must not be taken for the next one's
    return 2
}

# Asks, and says what came of it where there is no answer.
try() {
    ask "$1"
    case $? in
    0) return 0 ;;
    1) say ',"type":"fail","error":"not-connected"' ;;
    *) say ',"type":"info","error":"no-answer"' ;;
    esac
    return 1
}

while read -r line; do
    id=$(member id)
    case $(member ask) in
    open) # all clients ask the first node; "node" would be the one that ordeal has in mind for this client
        nodes=${line#*'"nodes":['}
        address=${nodes#*'"address":"'} address=${address%%\"*}
        port=$(member port)
        ms=$(member timeout-ms) ms=$((ms * 9 / 10))
        timeout=$((ms / 1000)).$(printf %03d $((ms % 1000)))
        say ''
        ;;
    invoke) # "value":[3,null], [3,5] or [3,[5,6]]
        value=${line#*'"value":['}
        IFS=' ' read -r key first second <<<"${value//[],\[\}]/ }"
        case $(member f) in
        read) if try "GET $key"; then [ "$words" = NONE ] && words='VALUE null'; say ",\"type\":\"ok\",\"value\":[$key,${words#VALUE }]"; fi ;;
        write) if try "SET $key $first"; then say ',"type":"ok"'; fi ;;
        cas) if try "CAS $key $first $second"; then
            if [ "$words" = OK ]; then say ',"type":"ok"'; else say ',"type":"fail","error":"no-match"'; fi
        fi ;;
        *) say ',"type":"fail","error":"not-supported"' ;;
        esac
        ;;
    close) disconnect; say '' ;;
    *) say ',"error":"what is that?"' ;;
    esac
done
