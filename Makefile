# SPDX-License-Identifier: BSD-3-Clause
# A thin front for meson and ninja; `make help` lists what there is.
#   BUILD=DIR   build folder (default build)         PREFIX=DIR  where install puts things
#   TIME=SECONDS ENGINE=libfuzzer|afl TARGETS="NAME..."  for fuzz
#   TIME=SECONDS POINTS=N STEPS=N ONLY=NAME,... RECORD=1  for reliability
#   KERNEL=6.12 or newest: what check-kernel compares with (default 6.12)
BUILD  ?= build
ENGINE ?= libfuzzer
KERNEL ?= 6.12
PREFIX ?= /usr/local
NINJA   = ninja $(if $(V),-v) -C

TIME   ?= 60

.PHONY: build demo check check-quick check-long check-kernel check-clients fuzz coverage reliability bench bench-peers install deb check-deb clean deps format help
.DEFAULT_GOAL := build

help:
	@echo 'make deps      install what building and testing need'
	@echo 'make build     $(BUILD)/holdfast and $(BUILD)/libholdfast-preload.so'
	@echo 'make demo      install what is missing, build, run a QEMU guest on a Holdfast NIC and migrate it'
	@echo 'make check     install what is missing, build with gcc and clang, run all tests'
	@echo 'make check-kernel  compare with a real Linux 6.12: download, boot, run the same suite and sequences on both'
	@echo '    KERNEL=newest   with the newest kernel of Debian unstable instead; needs root, debootstrap and the network'
	@echo 'make check-clients  unmodified clients of Debian 12, 13 and unstable, each in a root of its release'
	@echo 'make fuzz      TIME=60 seconds for each fuzz target; ENGINE=libfuzzer or afl, TARGETS="ring blk"'
	@echo 'make coverage  which lines and branches of src/ the tests run'
	@echo 'make reliability  the table of docs/reliability.md from runs of this machine: TIME=60 seconds for each fuzz target,'
	@echo '    POINTS=1000 at which clients are killed, STEPS=10000000 of a model; ONLY=hostile,late: some rows; RECORD=1: into the page'
	@echo 'make bench     the figures of docs/performance.md'
	@echo 'make bench-peers  against QEMU'"'"'s storage daemon and cards and DPDK'"'"'s vhost port: the table of docs/peers.md; QUICK=1: to see that all of it runs'
	@echo 'make install   into PREFIX (default /usr/local), honours DESTDIR'
	@echo 'make deb       Debian packages, in $(BUILD)/deb'
	@echo 'make check-deb  install them in a bare root and remove them; needs root, debootstrap and the network'
	@echo 'make clean     remove the build folders'

deps:
	@scripts/install-deps

$(BUILD)/build.ninja:
	meson setup $(BUILD) --prefix=$(PREFIX)

build: $(BUILD)/build.ninja
	@$(NINJA) $(BUILD)

demo: deps
	@$(MAKE) --no-print-directory build
	@scripts/demo $(BUILD)

# Everything that decides whether a change is good, some 40 minutes on two cores.
check: deps
	@BUILD=$(BUILD) scripts/check

# Without real clients and without the sanitizers.
check-quick: build
	meson test -C $(BUILD) --no-rebuild --no-suite integration

check-long: deps
	@BUILD=$(BUILD) LONG=1 scripts/check

# Needs the network the first time, 280 MB; then ten minutes on two cores. Not a part of check. KERNEL=newest
# is a part of check-long; where it cannot be had, tests/kernel/build says why, and nothing is compared (status 77).
check-kernel: deps
	@$(MAKE) --no-print-directory build
	@export KERNEL="$(KERNEL)"; \
	tests/kernel/check-kernel $(BUILD); suite=$$?; [ $$suite != 77 ] || exit 0; \
	tests/kernel/check-random $(BUILD) && exit $$suite

# Needs root and the network the first time, 2 GB a release; then half an hour a release on two cores. The releases run
# at the same time. LONG=1: the long rows, too. RECORD=1: into results.json and the tables.
check-clients:
	@tests/clients/check-clients $(if $(LONG),--long) $(if $(RECORD),--record) $(if $(RELEASE),$(addprefix --release ,$(RELEASE)))

# What a run learns stays in build-fuzz/corpus; inputs that make a target fail in build-fuzz/findings.
fuzz: deps
	@$(if $(filter afl,$(ENGINE)),scripts/install-deps afl++)
	@ENGINE=$(ENGINE) scripts/fuzz $(TIME) $(TARGETS)

coverage: deps
	@scripts/install-deps llvm
	@scripts/coverage

reliability: deps
	@scripts/install-deps llvm afl++
	@$(MAKE) --no-print-directory build
	@scripts/reliability --seconds $(TIME) $(if $(POINTS),--points $(POINTS)) $(if $(STEPS),--steps $(STEPS)) $(if $(ONLY),--only $(ONLY)) \
		$(if $(RECORD),--record) $(BUILD)

bench: build
	$(BUILD)/holdfast bench iotlb
	$(BUILD)/holdfast bench reset

# 33 minutes at most, on a machine that does nothing else; a few with QUICK=1, which records nothing.
bench-peers: deps
	@$(MAKE) --no-print-directory build
	@scripts/install-deps fio e2fsprogs
	@scripts/bench-peers $(if $(QUICK),--quick,--record) $(BUILD)

# A PREFIX given here also moves a build folder that was set up for another.
install: $(BUILD)/build.ninja
	$(if $(filter file,$(origin PREFIX)),,meson configure $(BUILD) -Dprefix=$(PREFIX))
	@$(NINJA) $(BUILD)
	meson install -C $(BUILD) --no-rebuild

deb:
	@scripts/install-deps build-essential debhelper
	@scripts/make-deb $(BUILD)/deb

check-deb: deb
	@scripts/install-deps debootstrap
	@tests/packaging/check-deb $(BUILD)/deb

format:
	@git ls-files '*.c' '*.h' | xargs clang-format -i

clean:
	rm -rf $(BUILD) build-clang build-asan build-tsan build-fuzz build-afl build-coverage
