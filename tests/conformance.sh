#!/bin/bash
# tests/conformance.sh DIR [FAMILY..]: judges every row of DIR/MANIFEST.tsv whose checker exists, and compares.
#
# The manifest is a table with a header: id, split, family, file, format, checker, model, options, expected_valid, ... A
# row agrees when the verdict is the expected one. Where a verdict was expected, "unknown" is counted apart; what
# ordeal cannot read or judge yet is "not supported". A row whose expected verdict is unknown only has to end. Prints a line a
# family, each disagreement, and "N passed, N failed, N skipped"; fails on a disagreement.
set -u
cd "$(dirname "$0")/.." || exit 1
dir=${1:?a directory with a MANIFEST.tsv}; shift
families=" $* "
ordeal=${ORDEAL:-./ordeal}
[ -r "$dir/MANIFEST.tsv" ] || { echo "no MANIFEST.tsv in $dir: nothing to compare with"; echo "0 passed, 0 failed, 1 skipped"; exit 0; }
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT

# The keywords of ":NAME [:a :b]" as "a,b"; "none" when it is nil there, else the third argument.
names() { # options name otherwise
    case $1 in
    *":$2 nil"*) echo none ;;
    *":$2 ["*) local list=${1#*":$2 ["}; list=${list%%]*}; list=${list//:/}; echo "${list// /,}" ;;
    *) echo "$3" ;;
    esac
}

# The arguments of `ordeal check` for a row, or nothing when it is not supported.
arguments() { # checker model format options
    case $3 in edn* | json* | jepsen-log* | awdit* | plume* | bincode*) ;; *) return ;; esac
    case $1 in
    set | counter | queue | total-queue | unique-ids | long-fork | causal-reverse) printf '%s\n' --checker "$1" --keyed no ;;
    set-full)
        printf '%s\n' --checker set-full --keyed no
        case $4 in *"linearizable? true"*) printf '%s\n' --set set-full.linearizable=true ;; esac ;;
    bank)
        printf '%s\n' --checker bank --keyed no
        case $4 in *":total-amount "*) local total=${4##*:total-amount }; printf '%s\n' --set "bank.total=${total%%[!0-9]*}" ;; esac ;;
    elle-list-append | elle-rw-register | elle-closed-predicate)
        case $4 in *:transaction-order*) return ;; esac # an option that is only Elle's
        printf '%s\n' --checker transactions --set "transactions.level=$(names "$4" consistency-models strict-serializable)"
        printf '%s\n' --set "transactions.anomalies=$(names "$4" anomalies "")"
        for key in linearizable-keys sequential-keys wfr-keys; do
            case $4 in *":$key? true"*) printf '%s\n' --set "transactions.$key=true" ;; esac
        done
        # Asks what Elle cannot infer without the option; an order of commits would tell all the same.
        case $4 in *":wfr-keys? false"*) printf '%s\n' --set transactions.orders=false ;; esac ;;
    awdit | dbcop\ * | "si (black-box"* | "serializability (black-box"*) # all of them keep the order of sessions
        case ${4#*=} in
        serializable | Serializable) printf '%s\n' --checker transactions --set transactions.level=strong-session-serializable ;;
        snapshot-isolation | SnapshotIsolation)
            printf '%s\n' --checker transactions --set transactions.level=strong-session-snapshot-isolation ;;
        causal | Causal) printf '%s\n' --checker transactions --set transactions.level=causal ;;
        read-atomic | AtomicRead) printf '%s\n' --checker transactions --set transactions.level=session-read-atomic ;;
        read-committed | CommittedRead) printf '%s\n' --checker transactions --set transactions.level=session-read-committed ;;
        esac ;;
    linearizable)
        case $2 in
        "cas-register init="* | "register init="*)
            local initial=${2#*init=}; initial=${initial%% (*}
            printf '%s\n' --checker linearizable --model "${2%% *}" --keyed guess --set "linearizable.initial=$initial" ;;
        "fifo-queue init empty"*) printf '%s\n' --checker linearizable --model fifo-queue --keyed no ;;
        "stack (vec)"*) printf '%s\n' --checker linearizable --model stack --keyed no ;;
        "set init=#{}"*) printf '%s\n' --checker linearizable --model set --keyed no ;;
        "kv get/put/append per key, init "*)
            printf '%s\n' --checker linearizable --model kv --set "linearizable.initial=${2##*init }" ;;
        mutex) printf '%s\n' --checker linearizable --model mutex --keyed no ;;
        esac ;;
    esac
}

while IFS=$'\x1f' read -r id _ family file format checker model options expected _; do
    [ "$id" = id ] && continue
    [ "$families" != "  " ] && [[ $families != *" $family "* ]] && continue
    mapfile -t args < <(arguments "$checker" "$model" "$format" "$options")
    if [ ${#args[@]} -eq 0 ]; then echo "$family unsupported $id"; continue; fi
    case $format in json*) from=json ;; jepsen-log*) from=log ;; awdit*) from=awdit ;; plume*) from=plume ;; bincode*) from=dbcop ;; *) from=edn ;; esac
    path=$dir/$file
    case $file in *.gz) gunzip -c "$path" >"$work/history"; path=$work/history ;; esac
    timeout 60 "$ordeal" check "$path" --from $from "${args[@]}" --time 30s --json >"$work/out" 2>"$work/err"
    case $? in 0) got=true ;; 1) got=false ;; 2) got=unknown ;; *) got="error" ;; esac
    # A history without client operations is no test: unknown by design, whatever others call it.
    [ "$got$expected" = unknowntrue ] && grep -qE 'has no client operations|nothing was tested' "$work/out" && got=true
    # What was never invoked cannot be paired: such a history is refused, with the event. That is no verdict.
    if [ "$got" = error ] && grep -q 'that it never invoked' "$work/err"; then echo "$family unsupported $id"; continue; fi
    # Nor can the answers of a process that invokes again and again before it hears one be told apart.
    if [ "$got" = unknown ] && grep -q 'still open when their process invoked another' "$work/out" "$work/err"; then
        echo "$family unsupported $id"; continue
    fi
    if [ "$got" = "$expected" ] || { [ "$expected" = unknown ] && [ "$got" != error ]; }; then echo "$family agreed $id"
    elif [ $got = unknown ]; then echo "$family undecided $id: $file"
    else echo "$family disagreed $id: $file: expected $expected, got $got $(head -c 300 "$work/err")"; fi
done < <(tr '\t' '\037' <"$dir/MANIFEST.tsv") >"$work/results" # a tab would swallow empty fields

grep -E ' (disagreed|undecided) ' "$work/results"
awk '{n[$1]; c[$1, $2]++} END {for (f in n) printf "%-28s %4d agreed %3d disagreed %3d undecided %4d not supported\n", f, c[f, "agreed"], c[f, "disagreed"], c[f, "undecided"], c[f, "unsupported"]}' "$work/results" | sort
counts=$(awk '$2 == "agreed" {p++} $2 == "disagreed" || $2 == "undecided" {f++} $2 == "unsupported" {s++} END {printf "%d %d %d", p, f, s}' "$work/results")
read -r p f s <<<"$counts"
echo "$p passed, $f failed, $s skipped"
[ -n "${ORDEAL_COUNTS:-}" ] && echo "$p $f 0" >>"$ORDEAL_COUNTS" # what is not supported yet is no test that was skipped
[ "$f" -eq 0 ]
