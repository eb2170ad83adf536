# ordeal: one Makefile, no recursion. `make help` lists the targets.
#
# CC CFLAGS CPPFLAGS LDFLAGS PREFIX DESTDIR PKG_CONFIG are yours; what ordeal itself needs is in
# ORDEAL_CFLAGS. SAN=address,undefined or SAN=thread builds a variant of its own under build/.

CC ?= cc
CFLAGS ?= -O2 $(if $(SAN),-g1,-g)
PREFIX ?= /usr/local
PKG_CONFIG ?= pkg-config
WERROR ?= -Werror
SAN ?=
VERSION := 0.1.0

# Packages are installed before anything else is read, so that pkg-config below finds them.
NEEDS_DEPS := $(filter-out deps help clean dist page,$(or $(MAKECMDGOALS),all))
ifneq ($(NEEDS_DEPS),)
ifneq ($(ORDEAL_DEPS_DONE),1)
DEPS_RESULT := $(shell ./tools/deps.sh build 1>&2 && echo ok)
ifneq ($(DEPS_RESULT),ok)
$(error what ordeal needs is not installed; see the message above)
endif
export ORDEAL_DEPS_DONE := 1
endif
endif

comma := ,
VARIANT := $(if $(SAN),san-$(subst $(comma),-,$(SAN)),release)$(if $(filter-out cc gcc,$(CC)),-$(notdir $(CC)))
B := build/$(VARIANT)

# Client libraries that ordeal can do without: a system that needs one is a folder of workloads/systems/ named in the
# table of workloads/systems/systems.h, and built where the library is. WITHOUT=libpq,libnats builds as if they were not.
CLIENT_SYSTEMS := libpq:postgres libmariadb:mariadb librabbitmq:rabbitmq libnats:nats libmemcached:memcached zookeeper:zookeeper
CLIENT_ALL := $(foreach entry,$(CLIENT_SYSTEMS),$(firstword $(subst :, ,$(entry))))
zookeeper_header := $(shell echo '\#include <zookeeper/zookeeper.h>' | $(CC) -E -x c - >/dev/null 2>&1 && echo zookeeper)
CLIENT_HAVE := $(filter-out $(subst $(comma), ,$(WITHOUT)),$(zookeeper_header) \
	$(foreach library,$(filter-out zookeeper,$(CLIENT_ALL)),$(shell $(PKG_CONFIG) --exists $(library) 2>/dev/null && echo $(library))))
CLIENT_PKG := $(filter-out zookeeper,$(CLIENT_HAVE))
CLIENT_CFLAGS := $(foreach library,$(CLIENT_HAVE),-DORDEAL_HAVE_$(shell echo $(library) | tr a-z A-Z))
CLIENT_LACKS := $(foreach entry,$(CLIENT_SYSTEMS),$(if $(filter $(CLIENT_HAVE),$(firstword $(subst :, ,$(entry)))),,$(lastword $(subst :, ,$(entry)))))

LIBS_PKG := libcurl libssh2 libcjson hiredis libmicrohttpd libarchive zlib yaml-0.1 $(CLIENT_PKG)
PKG_CFLAGS := $(shell $(PKG_CONFIG) --cflags $(LIBS_PKG) 2>/dev/null)
# CaDiCaL has no pkg-config file; its archive is C++, its interface C.
PKG_LIBS := -Wl$(comma)--as-needed $(shell $(PKG_CONFIG) --libs $(LIBS_PKG) 2>/dev/null) $(if $(filter zookeeper,$(CLIENT_HAVE)),-lzookeeper_mt) -lcadical -lstdc++

ORDEAL_CFLAGS := -std=gnu11 -D_GNU_SOURCE -DORDEAL_VERSION='"$(VERSION)"' -DORDEAL_LIBEXEC='"$(PREFIX)/libexec/ordeal"' \
	-Wall -Wextra -Wshadow -Wvla -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith -Wwrite-strings \
	$(WERROR) -fno-common -fno-strict-aliasing -pthread -I. -MMD -MP $(PKG_CFLAGS) $(CLIENT_CFLAGS)
SAN_FLAGS := $(if $(SAN),-fsanitize=$(SAN) -fno-sanitize-recover=all -fno-omit-frame-pointer)
# The queue's server is optimised as a whole: a tenth less processor time for a job. Its objects can be linked without as
# well, as the tests do, which have to say so: gcc would do it wherever an object allows it, and take 4 s of processor time
# for each of them. gcc only: clang's archives would want tools of its own.
QUEUE_LTO := $(if $(SAN),,$(shell $(CC) --version 2>/dev/null | grep -q 'Free Software' && echo -flto=auto))
QUEUE_NO_LTO := $(if $(QUEUE_LTO),-fno-lto)
# The agent must run on any node whatever its libraries; sanitizers cannot be linked statically.
AGENT_LDFLAGS := $(if $(SAN),,-static -Wl$(comma)--wrap=dlopen)

BASE_SRC := $(wildcard harness/base/*.c)
# The strict file system is a command of the agent's: only its program needs FUSE.
AGENT_FUSE_SRC := $(wildcard harness/agent/strict_fs*.c)
AGENT_SRC := $(filter-out %/main.c $(AGENT_FUSE_SRC),$(wildcard harness/agent/*.c))
LIB_SRC := $(filter-out harness/cli/main.c harness/agent/% harness/base/%,$(wildcard harness/*.c harness/*/*.c nemeses/*.c \
	checkers/*.c checkers/*/*.c workloads/*.c workloads/systems/*.c workloads/systems/*/*.c reports/*.c reports/*/*.c))
LIB_SRC := $(filter-out $(foreach system,$(CLIENT_LACKS),workloads/systems/$(system)/%),$(LIB_SRC))
# The queue shares no code with the harness, so that no bug can hide in both.
QUEUE_SRC := $(filter-out queue/main.c,$(wildcard queue/*.c))
QUEUE_TEST_SRC := $(wildcard tests/queue/*_test.c)
QUEUE_TEST_LIB_SRC := $(wildcard tests/queue/lib/*.c)
TEST_SRC := $(wildcard tests/unit/*_test.c)
INTEGRATION_SRC := $(wildcard tests/integration/*_test.c)
# A fake defines all that a file of the harness does, so only tests that include its header get it:
# linked in front of the archive it keeps the real file out, and a name that it lacks is a link error.
FAKE_SRC := $(wildcard tests/lib/fake_*.c)
TEST_LIB_SRC := $(filter-out $(FAKE_SRC),$(wildcard tests/lib/*.c))
FUZZ_SRC := $(wildcard tests/fuzz/*_fuzz.c)
QUEUE_BENCH_SRC := $(wildcard tests/bench/queue_*.c)
BENCH_SRC := $(filter-out $(QUEUE_BENCH_SRC) tests/bench/commit_probe.c,$(wildcard tests/bench/*.c))

obj = $(patsubst %.c,$(B)/%.o,$(1))
bin = $(patsubst %.c,$(B)/%,$(1))
BASE_OBJ := $(call obj,$(BASE_SRC))
# json.c needs cJSON, which the static agent does not carry.
AGENT_BASE_OBJ := $(filter-out %/json.o,$(BASE_OBJ))
AGENT_OBJ := $(call obj,$(AGENT_SRC))
AGENT_FUSE_OBJ := $(call obj,$(AGENT_FUSE_SRC))
LIB_OBJ := $(call obj,$(LIB_SRC)) $(BASE_OBJ)
TESTS := $(call bin,$(TEST_SRC)) $(call bin,$(QUEUE_TEST_SRC))
INTEGRATION := $(call bin,$(INTEGRATION_SRC))
QUEUE_CLUSTER := $(call bin,$(wildcard tests/queue/cluster*_test.c tests/queue/defect_test.c tests/queue/robust_test.c))

# One line a file; make V=1 shows the commands.
ifeq ($(V),)
say = @printf '  %-5s %s\n' $(1) $(patsubst $(B)/%,%,$@);
endif

# Which client libraries there are is written down, so that what depends on it is compiled again when that changes.
CLIENT_STAMP := $(B)/clients
$(shell mkdir -p $(B); echo '$(CLIENT_HAVE)' | cmp -s - $(CLIENT_STAMP) || echo '$(CLIENT_HAVE)' >$(CLIENT_STAMP))
$(B)/workloads/systems/systems.o: $(CLIENT_STAMP)

.DELETE_ON_ERROR:
.SECONDARY:
.PHONY: all objects page prove prove-clean prove-schedules findings check check-all check-queue check-root check-browser check-san deps demo fuzz tidy bench bench-queue bench-transactions bench-check bench-faults bench-report conformance coverage install uninstall dist clean help programs tests format

all: programs

programs: $(B)/ordeal $(B)/ordeal-agent $(if $(wildcard queue/main.c),$(B)/ordeal-queue $(B)/ordeal-queue-defective)
ifeq ($(VARIANT),release)
	@ln -sf $(B)/ordeal ordeal; ln -sf $(B)/ordeal-agent ordeal-agent; ln -sf $(B)/ordeal-queue ordeal-queue
endif

$(B)/libordeal.a: $(LIB_OBJ)
	@rm -f $@; $(AR) rcs $@ $^
$(B)/ordeal: $(B)/harness/cli/main.o $(B)/libordeal.a
	$(call say,LINK)$(CC) $(SAN_FLAGS) $(LDFLAGS) -pthread -rdynamic -o $@ $^ $(PKG_LIBS) -lm -ldl
$(B)/ordeal-agent: $(B)/harness/agent/main.o $(AGENT_FUSE_OBJ) $(AGENT_OBJ) $(AGENT_BASE_OBJ)
	$(call say,LINK)$(CC) $(SAN_FLAGS) $(LDFLAGS) $(AGENT_LDFLAGS) -pthread -o $@ $^ -lfuse3 -lm
$(B)/libqueue.a: $(call obj,$(QUEUE_SRC))
	@rm -f $@; $(AR) rcs $@ $^
$(B)/queue/%.o: LTO := $(if $(QUEUE_LTO),$(QUEUE_LTO) -ffat-lto-objects)
$(B)/ordeal-queue: $(B)/queue/main.o $(call obj,$(QUEUE_SRC))
	$(call say,LINK)$(CC) $(QUEUE_LTO) $(CFLAGS) $(SAN_FLAGS) $(LDFLAGS) -pthread -o $@ $^ -lssl -lcrypto -lm
# The same with defects planted, to test the testers: never installed.
$(B)/ordeal-queue-defective: $(patsubst %.c,$(B)/defective/%.o,$(QUEUE_SRC) queue/main.c)
	$(call say,LINK)$(CC) $(SAN_FLAGS) $(LDFLAGS) -pthread -o $@ $^ -lssl -lcrypto -lm
$(B)/defective/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(call say,CC)$(CC) $(CPPFLAGS) $(ORDEAL_CFLAGS) -DORDEAL_QUEUE_DEFECTS $(CFLAGS) $(SAN_FLAGS) -c -o $@ $<
$(B)/tests/queue/%_test: $(B)/tests/queue/%_test.o $(call obj,$(QUEUE_TEST_LIB_SRC)) $(B)/libqueue.a
	$(call say,LINK)$(CC) $(QUEUE_NO_LTO) $(SAN_FLAGS) $(LDFLAGS) -pthread -o $@ $^ -lcmocka $(if $(findstring hiredis,$@),-lhiredis) -lssl -lcrypto -lm
$(B)/tests/queue/simulated_history: $(B)/tests/queue/simulated_history.o $(call obj,$(QUEUE_TEST_LIB_SRC)) $(B)/libqueue.a
	$(call say,LINK)$(CC) $(QUEUE_NO_LTO) $(SAN_FLAGS) $(LDFLAGS) -pthread -o $@ $^ -lcmocka -lssl -lcrypto -lm
# What `ordeal new` writes is in it as it is.
$(B)/harness/cli/cmd_new.o: $(wildcard harness/cli/skeleton/*)
$(B)/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(call say,CC)$(CC) $(CPPFLAGS) $(ORDEAL_CFLAGS) $(CFLAGS) $(LTO) $(SAN_FLAGS) -c -o $@ $<

# The assembler reads the page's bundle, which the compiler's list of what an object is made of does not name.
$(B)/reports/html_bundle.o: reports/page/built/page.js reports/page/built/page.css

# An archive, so that a test is linked with no more of it than it uses.
$(B)/libtest.a: $(call obj,$(TEST_LIB_SRC))
	@rm -f $@; $(AR) rcs $@ $^
$(B)/tests/%_test: $(B)/tests/%_test.o $(B)/libtest.a $(AGENT_OBJ) $(B)/libordeal.a
	$(call say,LINK)$(CC) $(SAN_FLAGS) $(LDFLAGS) -pthread -o $@ $(FAKES) $(filter-out $(FAKES),$^) -lcmocka $(PKG_LIBS) -lm -ldl
define FAKED
$(1): FAKES += $(2)
$(1): $(2)
endef
$(foreach fake,$(FAKE_SRC),$(foreach test,$(shell grep -l '"$(fake:.c=.h)"' $(TEST_SRC) /dev/null),\
	$(eval $(call FAKED,$(call bin,$(test)),$(call obj,$(fake))))))
# A fuzz target is its LLVMFuzzerTestOneInput and this driver, which replays files given as arguments.
$(B)/tests/fuzz/%_fuzz: $(B)/tests/fuzz/%_fuzz.o $(B)/tests/fuzz/driver.o $(B)/libtest.a $(AGENT_OBJ) $(B)/libordeal.a
	$(CC) $(SAN_FLAGS) $(LDFLAGS) -pthread -o $@ $^ $(PKG_LIBS) -lm -ldl
# The queue's own: names that both libraries have are the queue's, but for what the driver needs.
$(B)/tests/fuzz/queue_%_fuzz: $(B)/tests/fuzz/queue_%_fuzz.o $(B)/tests/queue/lib/disk_shim.o $(B)/libqueue.a \
		$(B)/tests/fuzz/driver.o $(B)/libordeal.a
	$(CC) $(QUEUE_NO_LTO) $(SAN_FLAGS) $(LDFLAGS) -pthread -o $@ $^ $(PKG_LIBS) -lssl -lcrypto -lm -ldl
$(B)/tests/bench/queue_bench: $(call obj,$(QUEUE_BENCH_SRC))
	$(call say,LINK)$(CC) $(SAN_FLAGS) $(LDFLAGS) -o $@ $^
$(B)/tests/bench/commit_probe: $(B)/tests/bench/commit_probe.o $(B)/queue/crc32c.o
	$(call say,LINK)$(CC) $(SAN_FLAGS) $(LDFLAGS) -pthread -o $@ $^
$(B)/tests/bench/%: $(B)/tests/bench/%.o $(call obj,$(filter-out tests/lib/test.c,$(TEST_LIB_SRC))) $(B)/libordeal.a
	$(call say,LINK)$(CC) $(SAN_FLAGS) $(LDFLAGS) -pthread -o $@ $^ -lcmocka $(PKG_LIBS) -lm -ldl

# A stand-in for EC2 beside local clusters.
$(B)/tests/integration/ec2_endpoint: $(call obj,tests/integration/ec2_endpoint.c tests/lib/fake_ec2.c) $(B)/libtest.a $(B)/libordeal.a
	$(call say,LINK)$(CC) $(SAN_FLAGS) $(LDFLAGS) -pthread -o $@ $^ $(PKG_LIBS) -lm -ldl
# Preloaded by tests/run.sh where a test says that it makes no threads.
$(B)/tests/lib/no_threads.so: tests/preload/no_threads.c
	@mkdir -p $(@D)
	$(call say,CC)$(CC) $(ORDEAL_CFLAGS) -O2 -shared -fPIC -o $@ $<
# All that is compiled, not linked: what a second compiler has to say.
objects: $(LIB_OBJ) $(AGENT_OBJ) $(AGENT_FUSE_OBJ) $(call obj,$(QUEUE_SRC) $(TEST_SRC) $(QUEUE_TEST_SRC) $(QUEUE_TEST_LIB_SRC) \
	$(INTEGRATION_SRC) tests/integration/ec2_endpoint.c $(FAKE_SRC) $(TEST_LIB_SRC) $(FUZZ_SRC) $(BENCH_SRC) $(QUEUE_BENCH_SRC))
tests: $(TESTS) $(if $(SAN),,$(B)/tests/lib/no_threads.so) $(call bin,$(FUZZ_SRC)) $(B)/example-model.so $(B)/examples/hiccup.so
# As a user would: against what is installed, and nothing else.
MODEL_HEADERS := harness/model.h harness/model_space.h harness/history.h harness/value.h harness/base/arena.h harness/base/buf.h \
	harness/base/err.h harness/histories/value_table.h
NEMESIS_HEADERS := harness/nemesis.h harness/system.h harness/test.h harness/node.h harness/plan.h harness/checker.h harness/option.h \
	harness/base/json.h harness/base/prng.h
PLUGIN_HEADERS := $(MODEL_HEADERS) $(NEMESIS_HEADERS)
$(B)/include/stamp: $(PLUGIN_HEADERS)
	@rm -rf $(B)/include; for header in $(PLUGIN_HEADERS); do install -Dm644 $$header $(B)/include/$$header; done; touch $@
$(B)/example-model.so: docs/examples/tickets.c $(B)/include/stamp
	$(call say,CC)$(CC) -std=gnu11 -Wall -Wextra $(WERROR) -O2 -shared -fPIC -I$(B)/include -o $@ $<
$(B)/examples/%.so: docs/examples/%.c $(B)/include/stamp
	@mkdir -p $(@D)
	$(call say,CC)$(CC) -std=gnu11 -Wall -Wextra $(WERROR) -O2 -shared -fPIC -I$(B)/include -o $@ $<

deps:                ## install what building, testing and the demo need (Debian packages)
	@./tools/deps.sh all
demo: all            ## raise five local nodes, run the default test for a minute, print the verdict
	@./tools/deps.sh demo
	./ordeal run --local 5 --system queue --workload queue --nemesis partition,kill,pause --time-limit 60s --rate 500
check: programs tests ## quick tests: no root, no network
	@tests/run.sh --build $(B) unit fuzz
check-san:           ## the quick tests under address, undefined and thread sanitizers
	+$(MAKE) SAN=address,undefined check
	+$(MAKE) SAN=thread check
check-root: programs $(INTEGRATION) $(B)/tests/integration/ec2_endpoint $(QUEUE_CLUSTER) $(B)/examples/hiccup.so ## tests that need root: namespaces, sshd, a real etcd
	@./tools/deps.sh root
	@tests/run.sh --build $(B) integration
check-browser: programs ## reports and the pages of ordeal serve in a real browser (Chromium)
	@./tools/deps.sh browser
	@tests/run.sh --build $(B) browser
check-queue: programs tests ## the quick tests and three real queue servers under kills, pauses and lost disks
	@tests/run.sh --build $(B) unit
	@tests/run.sh --build $(B) cluster
check-all: check check-san check-root check-browser ## everything that CI runs
conformance: programs ## recorded histories and their verdicts: HISTORIES=DIR with a MANIFEST.tsv, FAMILY=.. to choose
	@tests/conformance.sh $(or $(HISTORIES),../shared/histories) $(FAMILY)
prove: programs $(B)/tests/queue/simulated_history ## plant every defect of the queue and demand its conviction: PROVE_SEEDS=5 PROVE_DEFECT=a,b (root)
	@./tools/deps.sh demo
	@tests/prove.sh
prove-clean: programs ## short clean runs of the queue with every nemesis on: RUNS=100 (root); reports false convictions
	@./tools/deps.sh demo
	@tests/prove_clean.sh $(or $(RUNS),100)
prove-schedules: programs ## short runs of the queue under random schedules of everything at once: RUNS=100 (root)
	@./tools/deps.sh demo
	@tests/prove_schedules.sh $(or $(RUNS),100)
findings: programs   ## what the suites of tests/findings show, into docs/findings.md: FINDINGS='etcd queue' (root; long)
	@./tools/deps.sh demo
	@tests/findings.sh $(FINDINGS)
fuzz:                ## fuzz what parses: FUZZ_SECONDS each (clang, libFuzzer)
	+tests/fuzz/run.sh $(or $(FUZZ_SECONDS),60)
bench: programs $(call bin,$(BENCH_SRC)) ## measure what the documents promise, print the figures
	@tests/bench/run.sh $(B)
bench-transactions: programs $(B)/tests/bench/transactions ## measure the transactions checker: TRANSACTIONS=10000000 for more
	@$(B)/tests/bench/transactions $(B)/ordeal $(TRANSACTIONS)
bench-queue: programs $(B)/tests/bench/queue_bench $(B)/tests/bench/commit_probe ## the queue beside Redis, NATS, RabbitMQ, beanstalkd
	@tests/bench/queue.sh $(B)
bench-faults: programs $(B)/tests/bench/faults ## how long it takes to inject faults into five local nodes: TIMES=40, NEMESIS=kill
	@$(B)/tests/bench/faults $(B) $(or $(TIMES),40) $(NEMESIS)
bench-check: programs $(B)/tests/bench/linearizable $(B)/tests/bench/distinct ## the linearizable checker over its grid: SEEDS=10 OPS=100000 HISTORIES=..
	@tests/bench/check.sh $(B) $(or $(SEEDS),10) $(or $(OPS),100000) $(or $(HISTORIES),../shared/histories)
bench-report: programs ## what the report of OPERATIONS=1000000 costs, and the list of thousands of runs
	@tests/bench/report.sh $(B) $(or $(OPERATIONS),1000000)
page:                ## bundle the script of report.html (needs Node.js; what it builds is kept in git)
	@tools/page.sh build
tidy:                ## style, dependencies between folders, man pages
	@tools/tidy.sh
format:              ## clang-format in place
	@git ls-files '*.c' '*.h' | xargs clang-format -i
coverage:            ## line coverage of the quick tests (gcov)
	+$(MAKE) CFLAGS='-O0 -g --coverage' LDFLAGS=--coverage B=build/coverage check
	@tools/coverage.sh build/coverage

install: all
	install -Dm755 $(B)/ordeal $(DESTDIR)$(PREFIX)/bin/ordeal
	install -Dm755 $(B)/ordeal-queue $(DESTDIR)$(PREFIX)/bin/ordeal-queue
	install -Dm755 $(B)/ordeal-agent $(DESTDIR)$(PREFIX)/libexec/ordeal/ordeal-agent
	for header in $(PLUGIN_HEADERS); do install -Dm644 $$header $(DESTDIR)$(PREFIX)/include/ordeal/$$header; done
	for file in $$(cd examples && find . -type f ! -name '*.pyc'); do install -Dm$$([ -x examples/$$file ] && echo 755 || echo 644) examples/$$file $(DESTDIR)$(PREFIX)/share/ordeal/systems/$$file; done
	for page in docs/man/*.[1-8]; do install -Dm644 $$page $(DESTDIR)$(PREFIX)/share/man/man$${page##*.}/$$(basename $$page); done
uninstall:
	rm -f $(DESTDIR)$(PREFIX)/bin/ordeal $(DESTDIR)$(PREFIX)/bin/ordeal-queue $(DESTDIR)$(PREFIX)/libexec/ordeal/ordeal-agent
	rm -rf $(DESTDIR)$(PREFIX)/include/ordeal $(DESTDIR)$(PREFIX)/share/ordeal
	for page in docs/man/*.[1-8]; do rm -f $(DESTDIR)$(PREFIX)/share/man/man$${page##*.}/$$(basename $$page); done
dist:                ## a source tarball of what git tracks
	git archive --prefix=ordeal-$(VERSION)/ -o ordeal-$(VERSION).tar.gz HEAD
clean:
	rm -rf build ordeal ordeal-agent ordeal-queue
help:                ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1|\2/p' Makefile | column -t -s '|'

-include $(shell find $(B) -name '*.d' 2>/dev/null)
