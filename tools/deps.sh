#!/bin/bash
# tools/deps.sh WHAT: installs the Debian packages that are missing for WHAT:
#   build   compile ordeal and its tests          demo   raise a local cluster of etcd nodes
#   dev     what CI and contributors use beyond    all    build and demo
#   root    the tests that need root, with the demo and the systems
#   systems the servers under test that Debian has (on the nodes of a local cluster they show through)
#   browser the tests in a browser, and the page's bundle
# It says what it installs and why before it does; when nothing is missing it says nothing and touches no network.
set -u
what=${1:-all}
PATH=$PATH:/usr/sbin:/sbin

missing=() reasons=()
need() { # PACKAGE WHY TEST...: the package is needed unless TEST succeeds
    local package=$1 why=$2; shift 2
    "$@" >/dev/null 2>&1 && return
    missing+=("$package"); reasons+=("$package: $why")
}
pkg() { command -v pkg-config >/dev/null && pkg-config --exists "$1"; }
header() { echo "#include <$1>" | ${CC:-cc} -E -x c - ; }
cxx_library() { local out; out=$(mktemp) && echo 'int main(void) { return 0; }' | ${CC:-cc} -x c - -o "$out" -lstdc++; local status=$?; rm -f "$out"; return $status; }
# clang's sanitizer and fuzzer runtimes are a package of their own; the link tells whether it is there.
fuzzer() { local out; out=$(mktemp) && echo 'int LLVMFuzzerTestOneInput(const char *d, long n) { (void)d; (void)n; return 0; }' |
    clang -fsanitize=fuzzer -x c - -o "$out"; local status=$?; rm -f "$out"; return $status; }

build() {
    need pkg-config "finds the libraries below" command -v pkg-config
    need libc6-dev "C headers and the static C library for the node agent" header stdio.h
    need libcurl4-openssl-dev "HTTP clients of systems under test" pkg libcurl
    need libssh2-1-dev "SSH to the nodes" pkg libssh2
    need libhiredis-dev "clients of the job queue, which speaks the Redis protocol" pkg hiredis
    need libcjson-dev "JSON: plans, results, databases' answers" pkg libcjson
    need libyaml-dev "inventories that are YAML" pkg yaml-0.1
    need libmicrohttpd-dev "pages of ordeal serve" pkg libmicrohttpd
    need libarchive-dev "stored runs as one archive" pkg libarchive
    need zlib1g-dev "operations in reports, packed" pkg zlib
    need libssl-dev "TLS and keyed greetings of the job queue" pkg libssl
    need libfuse3-dev "disks of nodes that keep no more than they must" pkg fuse3
    need libcadical-dev "the SAT solver behind serializability of registers" header ccadical.h
    need g++ "the C++ library, in which the SAT solver is written" cxx_library
    need libcmocka-dev "unit tests" pkg cmocka
    # Without these ordeal builds, too, and leaves their systems out.
    need libpq-dev "the client of postgres" pkg libpq
    need libmariadb-dev "the client of mariadb" pkg libmariadb
    need librabbitmq-dev "the client of rabbitmq" pkg librabbitmq
    need libnats-dev "the client of nats" pkg libnats
    need libmemcached-dev "the client of memcached" pkg libmemcached
    need libzookeeper-mt-dev "the client of zookeeper" header zookeeper/zookeeper.h
}
systems() {
    need redis-server "a system under test, and tests of power cuts" command -v redis-server
    need nats-server "a system under test; also of wrong clocks, being a static Go program" command -v nats-server
    need memcached "a system under test" command -v memcached
    need postgresql "a system under test" test -x /usr/lib/postgresql/15/bin/postgres
    need mariadb-server "a system under test" command -v mariadbd
    need galera-4 "clusters of mariadb" test -e /usr/lib/galera/libgalera_smm.so
    need rsync "how a new node of such a cluster gets its data" command -v rsync
    need rabbitmq-server "a system under test" command -v rabbitmq-server
    need zookeeper "a system under test" test -e /usr/share/java/zookeeper.jar
    need beanstalkd "a system under test" command -v beanstalkd
    need activemq "a system under test, with the Java that it recommends" test -e /usr/share/activemq/bin/activemq.jar
}
demo() {
    need openssh-server "every local node runs a real sshd" command -v sshd
    need openssh-client "keys for the local cluster" command -v ssh-keygen
    need iproute2 "links between local nodes" command -v ip
    need iptables "the fallback where the kernel has no nf_tables, and tests of it" command -v iptables
    need e2fsprogs "disks of local nodes that can lose power" command -v mkfs.ext4
    need libfaketime "wall clocks of local nodes that can be set" faketime_library
    need etcd-server "the system under test of the demo" command -v etcd
}
root() {
    need tcpdump "captures of nodes' packets, in tests of --pcap" command -v tcpdump
    need nftables "tests look from outside at what firewalls are left" command -v nft
    need iputils-ping "tests look from outside at how late packets are" command -v ping
    need sudo "tests of users who become root" command -v sudo
    need xfsprogs "disks of nodes with an XFS" command -v mkfs.xfs
    need erlang-base "tests of servers with wrong clocks; Erlang" command -v erl
    systems
}
browser() {
    need nodejs "the page's script is bundled and tested with it" command -v node
    need npm "installs what that needs, by its lock file" command -v npm
    need chromium "the browser that tests look at pages with" command -v chromium
}
faketime_library() { ls /usr/lib/*/faketime/libfaketimeMT.so.1; }
dev() {
    need clang "the second compiler, and the fuzzers" command -v clang
    need "libclang-rt-$(clang_version)-dev" "sanitizer and fuzzer runtimes of clang" fuzzer
    need clang-format "the style that make tidy checks" command -v clang-format
    need mandoc "man pages that make tidy checks" command -v mandoc
    need redis-tools "redis-cli, in tests of the job queue" command -v redis-cli
    need libfaketime "wall clocks that jump, in tests of the job queue" test -e /usr/lib/*/faketime/libfaketimeMT.so.1
}
clang_version() { (clang --version 2>/dev/null || apt-cache policy clang 2>/dev/null | sed -n 's/.*Candidate: 1:\([0-9]*\).*/version \1./p') |
    sed -n 's/.*version \([0-9]*\)\..*/\1/p' | head -1; }

case $what in
build) build ;; browser) browser ;; demo) demo ;; dev) build; demo; root; browser; dev ;; root) demo; root ;; systems) systems ;; all) build; demo ;;
*) echo "tools/deps.sh: '$what' is none of build, demo, systems, root, browser, dev, all" >&2; exit 1 ;;
esac
[ ${#missing[@]} -eq 0 ] && exit 0

printf 'ordeal needs %d Debian package(s) that are not installed:\n' ${#missing[@]} >&2
printf '  %s\n' "${reasons[@]}" >&2
if ! command -v apt-get >/dev/null; then
    echo "This system has no apt-get: install their equivalents by hand, then run make again." >&2
    exit 1
fi
as_root=()
if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || { echo "Run as root: apt-get install ${missing[*]}" >&2; exit 1; }
    as_root=(sudo)
fi
echo "installing: ${as_root[*]} apt-get install ${missing[*]}" >&2

# Servers among them (sshd, etcd) are for the nodes: none may start on this machine because of us.
policy=/usr/sbin/policy-rc.d
made_policy=no
if [ ! -e $policy ]; then
    printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" tee $policy >/dev/null && "${as_root[@]}" chmod 755 $policy && made_policy=yes
fi
undo() { [ $made_policy = yes ] && "${as_root[@]}" rm -f $policy; }
trap undo EXIT
apt() { "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=300 "$@" >&2; }
log=$(mktemp)
apt install -y --no-install-recommends "${missing[@]}" >"$log" 2>&1 ||
    { apt update >"$log" 2>&1 && apt install -y --no-install-recommends "${missing[@]}" >>"$log" 2>&1; } ||
    { tail -n 20 "$log" >&2; echo "installing failed; the end of apt-get's output is above" >&2; rm -f "$log"; exit 1; }
rm -f "$log"
