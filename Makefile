# SPDX-License-Identifier: Apache-2.0
# The whole build. New .c files in the folders below are picked up by themselves; a new file
# tests/unit/x.c registers its entry `int test_x(void)` by its name; a new tests/suites/NN-x.sh is a
# suite of `make check` and can be run alone as `make check-x`.
#
#   make            build/hone, build/libhone.so          make check     every test suite
#   make deps       what the build and the tests need     make demo      the main job, end to end
#   make lint       layers, fences, style                 make models    test networks in build/models
#   make asan|tsan  unit tests under sanitizers           make fuzz      fuzz targets (clang)
#   make install    DESTDIR, prefix, GNU folder names    make hub-peers, hub-load, hub-kill   the hub at length

VERSION := 0.1.0
SOVERSION := 0

ifeq ($(origin CC),default)
CC := gcc
endif
B ?= build
PROTOC_C ?= protoc-c
ONNX_PROTO_DIR ?= /usr/include
PYTHON ?= build/venv/bin/python

WARNINGS := -Wall -Wextra -Wshadow -Wstrict-prototypes -Werror
CFLAGS ?= -O2 -g
SANITIZE ?=
override CFLAGS += -std=gnu11 $(WARNINGS) -fvisibility=hidden -fPIC $(SANITIZE)
CPPFLAGS += -D_GNU_SOURCE -DHONE_VERSION='"$(VERSION)"' -I. -I$(B)/gen
LDFLAGS += -Wl,-z,relro,-z,now $(SANITIZE)
LIBS := -lsqlite3 -lsodium -lzstd -ljansson -lprotobuf-c -ldl -lm -lpthread

prefix ?= /usr/local
exec_prefix ?= $(prefix)
bindir ?= $(exec_prefix)/bin
libdir ?= $(exec_prefix)/lib
includedir ?= $(prefix)/include
datadir ?= $(prefix)/share
INSTALL ?= install

# A line per file; V=1 shows the commands.
Q = $(if $(V),,@echo '  $(@)';)

LIB_SRC ?= $(wildcard base/*.c kernels/*.c kernels/*/*.c db/*.c engine/*.c)
REST_SRC ?= $(wildcard profiler/*.c tuner/*.c reports/*.c)
CMD_SRC := $(wildcard cmd_*.c)
MAIN_SRC := $(wildcard main.c)
CUDA_SRC := $(sort $(wildcard kernels/cuda/*.cu kernels/cuda/*.cuh))
UNIT_SRC ?= $(filter-out tests/unit/main.c,$(wildcard tests/unit/*.c))
HOSTILE_SRC := $(wildcard tests/hostile/*.c)
FUZZ_SRC := $(filter-out tests/fuzz/replay.c,$(wildcard tests/fuzz/*.c))

objects = $(patsubst %.c,$(B)/obj/%.o,$(1))
GEN_OBJ := $(B)/obj/gen/onnx/onnx.pb-c.o $(B)/obj/gen/cuda_sources.o
LIB_OBJ := $(call objects,$(LIB_SRC)) $(GEN_OBJ)
REST_OBJ := $(call objects,$(REST_SRC))
CMD_OBJ := $(call objects,$(CMD_SRC) $(MAIN_SRC))
ALL_OBJ := $(LIB_OBJ) $(REST_OBJ)
UNIT_OBJ := $(call objects,tests/unit/main.c $(UNIT_SRC)) $(B)/obj/gen/unit_table.o
HOSTILE_OBJ := $(call objects,$(HOSTILE_SRC))

LIBHONE := $(B)/libhone.so.$(VERSION)
PROGRAM := $(if $(MAIN_SRC),$(B)/hone)
# Without dumps (or without a program to load them) there is no bundled database.
BUNDLED := $(sort $(wildcard db/bundled/*.txt.zst))
BUNDLED_DB := $(if $(BUNDLED),$(PROGRAM:%/hone=%/bundled.db))
# A learned order of trial, made by `hone rank train db/bundled/*.txt.zst -o db/bundled/ranking.txt`; without it estimates order.
RANKING := $(if $(wildcard db/bundled/ranking.txt),$(PROGRAM:%/hone=%/ranking.txt))
TEST_BINS := $(B)/tests/unit $(if $(HOSTILE_SRC),$(B)/tests/hone-hostile) \
	$(patsubst tests/fuzz/%.c,$(B)/tests/fuzz-%,$(FUZZ_SRC)) \
	$(patsubst tests/gpu/%.c,$(B)/tests/gpu_%,$(wildcard tests/gpu/*.c)) \
	$(patsubst tests/hub/%.c,$(B)/tests/hub-%,$(wildcard tests/hub/*.c)) $(B)/tests/hide_libraries.so \
	$(patsubst tests/tuner/%.c,$(B)/tests/tuner-%,$(wildcard tests/tuner/*.c))

.DELETE_ON_ERROR:
.SECONDARY:
.PHONY: all tests deps demo check check-unit check-lint check-slurm check-postgres lint models fuzz asan tsan hub-peers hub-load hub-kill install clean FORCE

all: $(PROGRAM) $(B)/libhone.so $(BUNDLED_DB) $(RANKING)

tests: all $(TEST_BINS)

# ---- what is made from sources

$(B)/hone: $(CMD_OBJ) $(ALL_OBJ)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(LIBS)

# The folder is named too, so that a dump that is gone is noticed.
$(B)/bundled.db: $(BUNDLED) db/bundled $(call objects,$(wildcard db/*.c)) | $(B)/hone
	@rm -f $@ $@.new*
	$(Q)$(B)/hone db load $@.new $(BUNDLED) >/dev/null
	@mv $@.new $@ && rm -f $@.new-journal

$(B)/ranking.txt: db/bundled/ranking.txt
	@cp $< $@

$(LIBHONE): $(LIB_OBJ)
	$(Q)$(CC) $(LDFLAGS) -shared -Wl,-soname,libhone.so.$(SOVERSION) -Wl,-z,defs -Wl,-z,nodelete -o $@ $^ $(LIBS)

$(B)/libhone.so: $(LIBHONE)
	@ln -sf $(notdir $<) $(B)/libhone.so.$(SOVERSION)
	@ln -sf libhone.so.$(SOVERSION) $@

$(B)/tests/unit: $(UNIT_OBJ) $(ALL_OBJ)
	@mkdir -p $(@D)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ -lcmocka $(LIBS)

# The same program with a table of sources that crash, hang and lie in place of the real one.
$(B)/tests/hone-hostile: $(CMD_OBJ) $(filter-out $(B)/obj/kernels/sources.o,$(ALL_OBJ)) $(HOSTILE_OBJ)
	@mkdir -p $(@D)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(LIBS)

# Programs that need a GPU; never part of `make check`.
$(B)/tests/gpu_%: $(B)/obj/tests/gpu/%.o $(call objects,$(filter base/% kernels/% profiler/%,$(LIB_SRC) $(REST_SRC))) \
		$(B)/obj/gen/cuda_sources.o
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS) -o $@ $^ $(LIBS)

# Writers and load for the tests of the hub.
$(B)/tests/hub-%: $(B)/obj/tests/hub/%.o $(call objects,$(filter base/% db/%,$(LIB_SRC)))
	@mkdir -p $(@D)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(LIBS)

# Simulations on recorded databases.
$(B)/tests/tuner-%: $(B)/obj/tests/tuner/%.o $(ALL_OBJ)
	@mkdir -p $(@D)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(LIBS)

# The loader loads it before the program, so it is plain C, whatever the program is built with.
$(B)/tests/hide_libraries.so: tests/hide_libraries.c
	@mkdir -p $(@D)
	$(Q)$(CC) -D_GNU_SOURCE -std=gnu11 -O2 -fPIC $(WARNINGS) -shared -o $@ $<

# Fuzz targets replay their corpora in `make check` through tests/fuzz/replay.c; `make fuzz` searches.
$(B)/tests/fuzz-%: $(B)/obj/tests/fuzz/%.o $(B)/obj/tests/fuzz/replay.o $(ALL_OBJ)
	@mkdir -p $(@D)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(LIBS)

$(B)/tests/search-%: $(B)/obj/tests/fuzz/%.o $(ALL_OBJ)
	@mkdir -p $(@D)
	$(Q)$(CC) $(LDFLAGS) -fsanitize=fuzzer -o $@ $^ $(LIBS)

# CPU kernels gain from vectorised loops; all else stays at -O2 for the sake of readable back traces.
CPU_CFLAGS ?= -O3
$(B)/obj/kernels/cpu/%.o: override CFLAGS += $(CPU_CFLAGS)

$(B)/obj/%.o: %.c | $(B)/gen/onnx/onnx.pb-c.h
	@mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

$(B)/obj/gen/onnx/onnx.pb-c.o: $(B)/gen/onnx/onnx.pb-c.c
	@mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -w -MMD -MP -c -o $@ $<

$(B)/obj/gen/%.o: $(B)/gen/%.c
	@mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

# ---- generated sources

$(B)/gen/onnx/onnx.pb-c.c $(B)/gen/onnx/onnx.pb-c.h &: $(wildcard $(ONNX_PROTO_DIR)/onnx/onnx.proto)
	@mkdir -p $(B)/gen
	$(Q)$(PROTOC_C) --proto_path=$(ONNX_PROTO_DIR) --c_out=$(B)/gen onnx/onnx.proto

# A table is rewritten only when its content changes, so that a new or vanished file is noticed.
define write_if_changed
@mkdir -p $(@D)
@$(1) > $@.new; if cmp -s $@.new $@; then rm $@.new; else mv $@.new $@; fi
endef

$(B)/gen/cuda_sources.c: FORCE
	$(call write_if_changed,kernels/embed.sh $(CUDA_SRC))

$(B)/gen/unit_table.c: FORCE
	$(call write_if_changed,tests/unit/table.sh $(UNIT_SRC))

FORCE:

-include $(patsubst %.o,%.d,$(ALL_OBJ) $(CMD_OBJ) $(UNIT_OBJ) $(HOSTILE_OBJ) \
	$(call objects,$(wildcard tests/*/*.c)))

# ---- set-up, tests, demonstration. Recipes call make again because the packages come first.

deps: build/.deps

build/.deps: tests/deps.sh $(filter-out %-peers.txt,$(wildcard tests/requirements*.txt))
	@tests/deps.sh build

# As many jobs as processors, unless the user has said how many.
JOBS ?= $(shell nproc 2>/dev/null || echo 2)
SUBMAKE = $(MAKE) --no-print-directory $(if $(findstring jobserver,$(MAKEFLAGS)),,-j$(JOBS))

check: build/.deps
	@$(SUBMAKE) tests
	@B=$(B) tests/run.sh

# Without the set-up, so that one suite answers at once.
check-%: tests
	@B=$(B) tests/run.sh $*

# A sweep on a real Slurm, set up in a temporary folder: needs root, and packages that `make check` does without.
check-slurm: tests
	@B=$(B) tests/slurm.sh

# The hub over a real PostgreSQL, set up in a temporary folder, from a package that `make check` does without.
check-postgres: tests
	@B=$(B) tests/postgres.sh

check-unit: $(B)/tests/unit
	@B=$(B) tests/run.sh unit

lint check-lint:
	@B=$(B) tests/run.sh lint

demo: build/.deps
	@$(SUBMAKE) all
	@tests/demo.sh

models: build/.deps
	@$(PYTHON) tests/models/make_models.py

# An eighth of what repeats one thing many times: what it may hit is memory, and the plain run has all of it.
# Its code is for one run: -O3 would take it longer to compile the CPU kernels than to run them.
asan:
	@UNIT_SHARE=$${UNIT_SHARE:-8} ASAN_OPTIONS=detect_leaks=1 $(SUBMAKE) B=build/asan CFLAGS='-O0 -g1' CPU_CFLAGS=-O1 WARNINGS=-w \
		SANITIZE='-fsanitize=address,undefined -fno-sanitize-recover=undefined' check-unit

tsan:
	@TSAN_OPTIONS=die_after_fork=0 $(SUBMAKE) B=build/tsan CFLAGS='-O0 -g1' WARNINGS=-w SANITIZE=-fsanitize=thread check-unit

# Each target runs for FUZZ_SECONDS on its corpus; the libraries of hone are instrumented too.
FUZZ_SECONDS ?= 60
fuzz: build/.deps
	@tests/fuzz.sh $(FUZZ_SECONDS)

# The hub against an S3 server, botocore's signatures and schemathesis; and what it bears (needs wrk). Neither is part of `make check`.
hub-peers: tests
	@HONE=$(CURDIR)/$(B)/hone tests/hub/peers.sh

hub-load: tests
	@B=$(B) tests/hub/load.sh

# 4 hosts in network namespaces x 8 workers, each host and the hub killed KILLS times: needs root and iproute2. In `make check` 2 x 2, 5 times.
KILLS ?= 50
hub-kill: tests
	@folder=$$(mktemp -d) && trap 'rm -rf "$$folder"' EXIT && HOME=$$folder HONE=$(CURDIR)/$(B)/hone PYTHONPATH=tests/hub PYTHONDONTWRITEBYTECODE=1 \
		python3 tests/hub/kill.py "$$folder" 4 8 $(KILLS) netns

install: all
	$(INSTALL) -d $(DESTDIR)$(bindir) $(DESTDIR)$(libdir)/pkgconfig $(DESTDIR)$(includedir) $(DESTDIR)$(datadir)/hone
	$(INSTALL) -m 755 $(B)/hone $(DESTDIR)$(bindir)/hone
	$(INSTALL) -m 644 $(LIBHONE) $(DESTDIR)$(libdir)/
	ln -sf $(notdir $(LIBHONE)) $(DESTDIR)$(libdir)/libhone.so.$(SOVERSION)
	ln -sf libhone.so.$(SOVERSION) $(DESTDIR)$(libdir)/libhone.so
	$(INSTALL) -m 644 include/hone.h $(DESTDIR)$(includedir)/hone.h
	$(if $(BUNDLED_DB),$(INSTALL) -m 644 $(BUNDLED_DB) $(DESTDIR)$(datadir)/hone/)
	$(if $(RANKING),$(INSTALL) -m 644 $(RANKING) $(DESTDIR)$(datadir)/hone/)
	printf '%s\n' 'prefix=$(prefix)' 'libdir=$(libdir)' 'includedir=$(includedir)' '' 'Name: hone' \
		'Description: Loads and runs inference plans tuned by hone' 'Version: $(VERSION)' \
		'Libs: -L$${libdir} -lhone' 'Cflags: -I$${includedir}' > $(DESTDIR)$(libdir)/pkgconfig/hone.pc

clean:
	rm -rf $(B)
