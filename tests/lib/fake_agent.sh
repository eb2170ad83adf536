#!/bin/sh
# An agent that does nothing, and some things badly: speaks the line protocol of harness/agent/ for the tests
# of the controller's side. Its directory may hold files that make it misbehave.
here=$(dirname "$0")
tab=$(printf '\t')
[ "$1" = serve ] || exit 254
shift
name=
while [ $# -gt 0 ]; do
    case $1 in
    --name) name=$2 ;;
    --owner) owner=$2 ;;
    --lease-ms) lease=$2 ;;
    --ssh) ssh=$2 ;;
    esac
    shift 2
done
if [ -e "$here/refuse-$name" ]; then
    printf '!\trefused\towner=bob@ci\tsince=2026-11-21T08:00:00Z\tpid=42\n'
    exit 3
fi
if [ -e "$here/die-$name" ]; then
    echo "cannot lock /run/ordeal" >&2
    exit 255
fi
echo "Welcome to this node!"
[ -e "$here/mute-$name" ] || printf '!\thello\tversion=0\tpid=%d\towner=%s\tlease=%s\tssh=%s\n' $$ "$owner" "$lease" "$ssh"
while IFS=$tab read -r id verb rest; do
    case $verb in
    ping) [ -e "$here/silent-$name" ] || { printf '%s\tok\n' "$id"; : >"$here/pinged-$name"; } ;;
    echo) printf '%s\tok\t%s\tnode=%s\n' "$id" "$rest" "$name" ;;
    fail) printf '%s\terr\tbusy\tthe disk is\\tbusy\n' "$id" ;;
    nonsense) printf '%s\tok\ta=\\q\n' "$id" ;;
    silence) ;;
    event) printf '!\texit\tname=etcd\tstatus=9\n%s\tok\n' "$id" ;;
    die) echo "out of memory" >&2; exit 9 ;;
    shutdown)
        : >"$here/shut-$name"
        [ -e "$here/stuck-$name" ] && printf '%s\tok\tundone=1\tfailed=2\tproblem=nft: busy\n' "$id" && exit 1
        printf '%s\tok\tundone=0\tfailed=0\tkilled=0\n' "$id"
        exit 0 ;;
    *) printf '%s\terr\tbad-request\tno such verb\n' "$id" ;;
    esac
done
: >"$here/closed-$name"
