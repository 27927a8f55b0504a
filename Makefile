# senses. The two commands of the README are `make demo` and `make test`; `make help` lists the rest.
BUILD   ?= build
PREFIX  ?= /usr/local
CC      ?= cc
AR      ?= ar
CFLAGS  ?= -O2 -g
VERSION := $(shell sed -n 's/^\#define SENSES_VERSION "\(.*\)"/\1/p' include/senses.h)
SONAME  := libsenses.so.0

export SENSES_HOME ?= $(or $(XDG_DATA_HOME),$(HOME)/.local/share)/senses

STD     := -std=c11 -D_GNU_SOURCE
WARN    := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla -Werror
PKGS    := sndfile libpcre2-8 libcjson zlib
# Opened by the program itself when a medium needs them (core/ffmpeg.c): only their headers are needed here.
FFMPEG  := libavformat libavcodec libavutil libswresample libswscale
PKG_C   := $(shell pkg-config --cflags $(PKGS) $(FFMPEG) 2>/dev/null)
PKG_L   := $(shell pkg-config --libs $(PKGS) 2>/dev/null)
ALL_C    = $(STD) $(WARN) -Iinclude -fPIC -pthread -MMD -MP $(PKG_C) $(CFLAGS) $(EXTRA_C)
LIBS     = $(PKG_L) -lm -pthread

ROOMS   := core vision audio text fusion
LIB_SRC := $(foreach r,$(ROOMS),$(wildcard $(r)/*.c $(r)/*/*.c))
TOOL_SRC:= $(wildcard tools/*.c)
TEST_SRC:= $(wildcard tests/test_*.c)
LIB_OBJ := $(LIB_SRC:%.c=$(BUILD)/%.o)
TOOL_OBJ:= $(TOOL_SRC:%.c=$(BUILD)/%.o)
TESTS   := $(TEST_SRC:tests/%.c=$(BUILD)/tests/%)
FUZZ_SRC:= $(wildcard tests/fuzz/fuzz_*.c)
FUZZERS := $(FUZZ_SRC:tests/%.c=$(BUILD)/tests/%)
OWN_C   := $(LIB_SRC) $(TOOL_SRC) $(wildcard tests/*.c tests/*/*.c)
OWN_H   := $(wildcard include/*.h) $(foreach r,$(ROOMS) tools tests,$(wildcard $(r)/*.h $(r)/*/*.h))

# ---- build ----
all: libs-present senses $(BUILD)/libsenses.so

libs-present:
	@pkg-config --exists $(PKGS) $(FFMPEG) 2>/dev/null && [ -e /usr/include/stb/stb_image.h ] || { \
	  echo "make: libraries are missing; this brings them: make deps" >&2; exit 1; }

senses: $(TOOL_OBJ) $(BUILD)/libsenses.a
	$(CC) $(CFLAGS) -o $@ $(TOOL_OBJ) $(BUILD)/libsenses.a $(LIBS)

$(BUILD)/libsenses.a: $(LIB_OBJ)
	@rm -f $@
	$(AR) rcs $@ $^

# Only the public API leaves the shared library.
$(BUILD)/libsenses.so: $(LIB_OBJ) include/senses.map
	$(CC) $(CFLAGS) -shared -Wl,-soname,$(SONAME) -Wl,--version-script,include/senses.map -o $@ $(LIB_OBJ) $(LIBS)

# One instruction set a file: the rest of the program runs on any x86-64 (and the scalar kernels anywhere).
AVX2     := -mavx2 -mfma -mf16c
AVX512   := $(AVX2) -mavx512f -mavx512bw -mavx512vl -mavx512dq
$(BUILD)/core/k_avx2.o:        EXTRA_C += $(AVX2)
$(BUILD)/core/k_avx512.o:      EXTRA_C += $(AVX512)
$(BUILD)/core/sha256_ni.o:     EXTRA_C += -msse4.1 -msha
$(BUILD)/core/k_avx512vnni.o:  EXTRA_C += $(AVX512) -mavx512vnni
$(BUILD)/core/k_amx.o:         EXTRA_C += $(AVX512) -mavx512vnni -mamx-tile -mamx-int8
$(BUILD)/core/k_%.o:           EXTRA_C += $(KERNEL_C)

$(BUILD)/vision/image_stb.o:   EXTRA_C += -fwrapv

# What an encoder makes of a medium, to the last bit, may change with any of this: the cache of encoded media keeps builds apart by it.
ENCODING := $(sort $(foreach r,core vision audio,$(wildcard $(r)/*.[ch] $(r)/*.inc $(r)/*/*.[ch])))
$(BUILD)/fusion/cache.o: EXTRA_C += -DENCODING_HASH='"$(shell { cat $(ENCODING); echo '$(subst ','\'',$(CC) $(CFLAGS))'; } | sha256sum | head -c 32)"'
$(BUILD)/fusion/cache.o: $(ENCODING)

$(BUILD)/%.o: %.c
	@mkdir -p $(dir $@)
	$(CC) $(ALL_C) -c -o $@ $<

# ---- set-up ----
DEBS := build-essential pkg-config libsndfile1-dev libavformat-dev libavcodec-dev libavutil-dev libswresample-dev \
        libswscale-dev libpcre2-dev libcjson-dev zlib1g-dev libstb-dev libcmocka-dev python3 python3-pip python3-venv

# The browser that pages are tried in. Large, so only the tests ask for it.
TEST_DEBS := chromium chromium-driver
FUZZ_DEBS := clang

# A cluster of two nodes on this machine, for make test-cluster.
CLUSTER_DEBS := slurmctld slurmd slurm-client munge procps

# Installs what is missing; says what it would run when it may not.
deps: WANTED := $(DEBS)
deps-test: WANTED := $(DEBS) $(TEST_DEBS)
deps-fuzz: WANTED := $(DEBS) $(FUZZ_DEBS)
deps-cluster: WANTED := $(DEBS) $(CLUSTER_DEBS)
deps deps-test deps-fuzz deps-cluster:
	@missing=$$(for p in $(WANTED); do dpkg-query -W -f '$${Status}' $$p 2>/dev/null | grep -q 'ok installed' || echo $$p; done); \
	if [ -z "$$missing" ]; then exit 0; fi; \
	if [ "$$(id -u)" = 0 ]; then \
	  echo "installing:" $$missing >&2; \
	  { apt-get install -y -qq --no-install-recommends $$missing || { apt-get update -qq && \
	    apt-get install -y -qq --no-install-recommends $$missing; }; } >$${TMPDIR:-/tmp}/senses-deps.log 2>&1 || \
	    { tail -5 $${TMPDIR:-/tmp}/senses-deps.log >&2; exit 1; }; \
	else \
	  echo "make: packages are missing; as root, run: apt-get install" $$missing >&2; exit 1; \
	fi

# The default bundle into $$SENSES_HOME/models.
models: senses
	@tools/models/fetch.sh bundle

# What the tests need besides.
models-test: models
	@tools/models/fetch.sh tests

# A second make, so that what deps installs is seen by it.
demo: deps
	@[ -e senses ] || echo "building ./senses" >&2
	@$(MAKE) --no-print-directory -j$$(nproc) senses >/dev/null
	@$(MAKE) --no-print-directory models
	@tools/demo.sh

# ---- tests ----
test: deps-test
	@$(MAKE) --no-print-directory -j$$(nproc) all tests-built >/dev/null
	@$(MAKE) --no-print-directory models-test
	@REQUIRE=1 BUILD=$(BUILD) tests/run.sh

# Shards of a batch on a real Slurm, one of whose nodes is lost in the middle. As root, in minutes.
test-cluster: deps-cluster
	@$(MAKE) --no-print-directory -j$$(nproc) senses >/dev/null
	@tests/cluster/run.sh

# Without weights, in seconds: the house rules, and every test that needs no model.
check: house
	@$(MAKE) --no-print-directory -j$$(nproc) all tests-built >/dev/null
	@REQUIRE=0 BUILD=$(BUILD) SENSES_HOME=/nonexistent tests/run.sh

house:
	@tests/house.sh

tests-built: $(TESTS) $(FUZZERS) $(BUILD)/tests/page_html_main $(BUILD)/tests/whisper_bin_main $(BUILD)/tests/grammar_main $(BUILD)/tests/robust/open_models

# A room's own tests link the room and core alone, so that a room stands without the others:
# tests/test_ROOM_UNIT.c, with ROOM one of $(ROOMS); test_fusion_* and test_senses_* link everything.
room_obj = $(filter $(BUILD)/core/% $(BUILD)/$(1)/%,$(LIB_OBJ))
define test_rule
$(BUILD)/tests/$(1): $(BUILD)/tests/$(1).o $(BUILD)/tests/testing.o $(if $(filter fusion senses,$(word 2,$(subst _, ,$(1)))),$(BUILD)/libsenses.a,$(call room_obj,$(word 2,$(subst _, ,$(1)))))
	$$(CC) $$(CFLAGS) -o $$@ $$^ $$(LIBS) -lcmocka
endef
$(foreach t,$(TEST_SRC:tests/%.c=%),$(eval $(call test_rule,$(t))))

$(BUILD)/tests/test_audio_whisper $(BUILD)/tests/test_audio_oom: $(BUILD)/tests/whisper_bin.o
$(BUILD)/tests/test_text_convert $(BUILD)/tests/test_vision_convert $(BUILD)/tests/test_audio_convert: $(BUILD)/tests/converted.o
# Pages in words, for tests; and what turns them into HTML for the browser.
$(BUILD)/tests/test_fusion_page $(BUILD)/tests/test_fusion_page_html: $(BUILD)/tests/page_lines.o
$(BUILD)/tests/page_html_main: $(BUILD)/tests/page_html_main.o $(BUILD)/tests/page_lines.o $(BUILD)/libsenses.a
	$(CC) $(CFLAGS) -o $@ $^ $(LIBS)

# What a grammar takes, for the script that holds grammars against others': tests/golden/make_grammar.py.
$(BUILD)/tests/grammar_main: $(BUILD)/tests/grammar_main.o $(call room_obj,text)
	$(CC) $(CFLAGS) -o $@ $^ $(LIBS)

$(BUILD)/tests/robust/open_models: $(BUILD)/tests/robust/open_models.o $(BUILD)/libsenses.a
	$(CC) $(CFLAGS) -o $@ $^ $(LIBS)
$(BUILD)/tests/whisper_bin_main: $(BUILD)/tests/whisper_bin_main.o $(BUILD)/tests/whisper_bin.o $(call room_obj,core)
	$(CC) $(CFLAGS) -o $@ $^ $(LIBS)

SANITIZE := -O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=undefined
sanitize: deps
	@$(MAKE) --no-print-directory -j$$(nproc) BUILD=build/sanitize CFLAGS="$(SANITIZE)" build/sanitize/senses tests-built >/dev/null
	@ln -sfn ../../models build/sanitize/models # what comes with the program is looked for beside it
	@REQUIRE=$${REQUIRE:-0} SENSES_SLOW=10 BUILD=build/sanitize SENSES=build/sanitize/senses tests/run.sh

$(BUILD)/senses: $(TOOL_OBJ) $(BUILD)/libsenses.a
	$(CC) $(CFLAGS) -o $@ $(TOOL_OBJ) $(BUILD)/libsenses.a $(LIBS)

# The same programs twice: by libFuzzer for FUZZ_SECONDS each (make fuzz), and with replay.c, which feeds them what was found before
# (tests/fuzz/run.sh). A target is one file: fuzz_NAME.c. Kernels read no file and take clang minutes with coverage.
FUZZ     := -O1 -g -fno-omit-frame-pointer -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined
FUZZ_MAIN = $(BUILD)/tests/fuzz/replay.o
fuzz-built: $(FUZZERS)
$(BUILD)/tests/fuzz/fuzz_journal: $(filter-out $(addprefix $(BUILD)/tools/,main.o help.o cmd_%.o),$(TOOL_OBJ))
$(FUZZERS): %: %.o $(BUILD)/tests/fuzz/fuzz.o $(BUILD)/tests/whisper_bin.o $(FUZZ_MAIN) $(BUILD)/libsenses.a
	$(CC) $(CFLAGS) $(FUZZ_LINK) -o $@ $(filter %.o,$^) $(filter %.a,$^) $(LIBS)
fuzz: deps-fuzz
	@$(MAKE) --no-print-directory -j$$(nproc) BUILD=build/fuzz CC=clang CFLAGS="$(FUZZ)" FUZZ_MAIN= FUZZ_LINK=-fsanitize=fuzzer \
	  KERNEL_C="-O2 -fno-sanitize=all -fno-sanitize-coverage=edge" fuzz-built >/dev/null
	@tests/fuzz/fuzz.sh

lint: house
	@for tool in clang clang-format cppcheck; do command -v $$tool >/dev/null || { \
	  echo "make: $$tool is missing; as root, run: apt-get install $$tool" >&2; exit 1; }; done
	@clang-format --dry-run --Werror $(OWN_C) $(OWN_H)
	@clang -fsyntax-only $(STD) $(WARN) -Iinclude $(PKG_C) $(filter-out core/k_a%,$(LIB_SRC)) $(TOOL_SRC) # as make fuzz compiles them
	@cppcheck --quiet --std=c11 --error-exitcode=1 --inline-suppr --enable=warning,performance,portability \
	  --suppressions-list=tests/cppcheck.txt -D_GNU_SOURCE -Iinclude $(LIB_SRC) $(TOOL_SRC)
	@$(MAKE) --no-print-directory -j$$(nproc) BUILD=build/lint build/lint/senses build/lint/libsenses.so tests-built >/dev/null
	@echo "lint: clean"

bench: deps
	@$(MAKE) --no-print-directory -j$$(nproc) senses >/dev/null
	@$(MAKE) --no-print-directory models
	@tools/bench/bench.sh

# Files of a batch four at once against one at a time: throughput and memory.
bench-batch: deps
	@$(MAKE) --no-print-directory -j$$(nproc) senses >/dev/null
	@$(MAKE) --no-print-directory models
	@ONLY=batch tools/bench/bench.sh

# Trains the page reader anew, or on from where it was left: for hours, at idle priority. tools/train/README.md
train-sketch:
	@tools/train/run.sh all --start models
	@tools/train/run.sh export models

# ---- install ----
MAN  := $(DESTDIR)$(PREFIX)/share/man/man1
BASH := $(DESTDIR)$(PREFIX)/share/bash-completion/completions
ZSH  := $(DESTDIR)$(PREFIX)/share/zsh/site-functions
FISH := $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d
DOC  := $(DESTDIR)$(PREFIX)/share/doc/senses
# Models that are our own come with the program, which looks for them there.
KEPT := $(wildcard models/*.gguf)
OURS := $(DESTDIR)$(PREFIX)/share/senses/models

$(BUILD)/senses.pc: include/senses.h Makefile
	@mkdir -p $(BUILD)
	@printf 'prefix=%s\nlibdir=$${prefix}/lib\nincludedir=$${prefix}/include\n\nName: senses\nDescription: images and speech into a Llama\nVersion: %s\nRequires.private: %s\nLibs: -L$${libdir} -lsenses\nLibs.private: -lm -pthread\nCflags: -I$${includedir}\n' \
	  '$(PREFIX)' '$(VERSION)' '$(PKGS)' >$@

# Man page and completions come from the program's own option table.
$(BUILD)/share/%: senses
	@mkdir -p $(BUILD)/share
	@case $* in \
	  senses.1) ./senses help --man ;; \
	  *) ./senses help --completion $* ;; \
	esac >$@

install: all $(BUILD)/senses.pc $(addprefix $(BUILD)/share/,senses.1 bash zsh fish)
	install -D -m 755 senses $(DESTDIR)$(PREFIX)/bin/senses
	install -D -m 644 include/senses.h $(DESTDIR)$(PREFIX)/include/senses.h
	install -D -m 644 $(BUILD)/libsenses.a $(DESTDIR)$(PREFIX)/lib/libsenses.a
	install -D -m 755 $(BUILD)/libsenses.so $(DESTDIR)$(PREFIX)/lib/libsenses.so.$(VERSION)
	ln -sf libsenses.so.$(VERSION) $(DESTDIR)$(PREFIX)/lib/$(SONAME)
	ln -sf $(SONAME) $(DESTDIR)$(PREFIX)/lib/libsenses.so
	install -D -m 644 $(BUILD)/senses.pc $(DESTDIR)$(PREFIX)/lib/pkgconfig/senses.pc
	install -D -m 644 $(BUILD)/share/senses.1 $(MAN)/senses.1
	install -D -m 644 $(BUILD)/share/bash $(BASH)/senses
	install -D -m 644 $(BUILD)/share/zsh $(ZSH)/_senses
	install -D -m 644 $(BUILD)/share/fish $(FISH)/senses.fish
	install -D -m 644 LICENSE $(DOC)/LICENSE
	install -D -m 644 docs/licences.md $(DOC)/licences.md
	for f in $(KEPT); do install -D -m 644 $$f $(OURS)/$${f##*/} || exit 1; done

uninstall:
	rm -f $(DESTDIR)$(PREFIX)/bin/senses $(DESTDIR)$(PREFIX)/include/senses.h $(DESTDIR)$(PREFIX)/lib/libsenses.a \
	  $(DESTDIR)$(PREFIX)/lib/libsenses.so $(DESTDIR)$(PREFIX)/lib/$(SONAME) $(DESTDIR)$(PREFIX)/lib/libsenses.so.$(VERSION) \
	  $(DESTDIR)$(PREFIX)/lib/pkgconfig/senses.pc $(MAN)/senses.1 $(BASH)/senses $(ZSH)/_senses $(FISH)/senses.fish
	rm -f $(DOC)/LICENSE $(DOC)/licences.md $(addprefix $(OURS)/,$(notdir $(KEPT)))
	for d in $(DOC) $(OURS) $(dir $(OURS)); do [ ! -d $$d ] || rmdir --ignore-fail-on-non-empty $$d; done

clean:
	rm -rf build senses

help:
	@echo "make            the program ./senses, build/libsenses.a and .so"
	@echo "make demo       installs, builds, brings the models, and shows the main job"
	@echo "make test       sets up and runs every test"
	@echo "make check      the house rules and the tests that need no model, in seconds"
	@echo "make lint       format, static analysis, warnings      make sanitize   the tests under ASan and UBSan"
	@echo "make fuzz       FUZZ_SECONDS=60 on each parser with libFuzzer, ASan and UBSan"
	@echo "make test-cluster  a batch on a real Slurm, as root    make deps-cluster  what that needs"
	@echo "make deps       the Debian packages it needs           make deps-test  those of the tests as well: a browser"
	@echo "make models     the default bundle"
	@echo "make bench      beside the peers; bench-batch             make install    PREFIX=$(PREFIX) DESTDIR=$(DESTDIR)"

.PHONY: all libs-present deps deps-test deps-fuzz deps-cluster models models-test demo test test-cluster check house tests-built sanitize fuzz fuzz-built lint bench bench-batch train-sketch install uninstall clean help
.DELETE_ON_ERROR:
-include $(LIB_OBJ:.o=.d) $(TOOL_OBJ:.o=.d) $(TEST_SRC:%.c=$(BUILD)/%.d) $(BUILD)/tests/testing.d $(BUILD)/tests/page_lines.d $(BUILD)/tests/page_html_main.d $(BUILD)/tests/whisper_bin.d $(wildcard $(BUILD)/tests/fuzz/*.d $(BUILD)/tests/robust/*.d)
