# senses: make, make demo, make test. `make help` lists the targets.
BUILD   ?= build
CC      ?= cc
CFLAGS  ?= -O2 -g
STD     := -std=c11 -D_GNU_SOURCE
WARN    := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla -Werror
PKGS    := sndfile libavformat libavcodec libavutil libswresample libswscale openblas libpcre2-8 libcjson
PKG_C   := $(shell pkg-config --cflags $(PKGS) 2>/dev/null)
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

all: senses

senses: $(TOOL_OBJ) $(BUILD)/libsenses.a
	$(CC) $(CFLAGS) -o $@ $(TOOL_OBJ) $(BUILD)/libsenses.a $(LIBS)

$(BUILD)/libsenses.a: $(LIB_OBJ)
	@rm -f $@
	ar rcs $@ $^

# One instruction set a file: the rest of the program runs on any x86-64 (and the scalar kernels anywhere).
$(BUILD)/core/k_avx2.o:        EXTRA_C += -mavx2 -mfma -mf16c
$(BUILD)/core/k_avx512.o:      EXTRA_C += -mavx2 -mfma -mf16c -mavx512f -mavx512bw -mavx512vl -mavx512dq
$(BUILD)/core/k_avx512vnni.o:  EXTRA_C += -mavx2 -mfma -mf16c -mavx512f -mavx512bw -mavx512vl -mavx512dq -mavx512vnni

$(BUILD)/%.o: %.c
	@mkdir -p $(dir $@)
	$(CC) $(ALL_C) -c -o $@ $<

# A room's own tests link the room and core alone, so that a room stands (and builds) without the others:
# tests/test_ROOM_UNIT.c, with ROOM one of $(ROOMS); tests/test_fusion_* and test_senses_* link everything.
room_obj = $(filter $(BUILD)/core/% $(BUILD)/$(1)/%,$(LIB_OBJ))
define test_rule
$(BUILD)/tests/$(1): $(BUILD)/tests/$(1).o $(BUILD)/tests/testing.o $(if $(filter fusion senses,$(word 2,$(subst _, ,$(1)))),$(BUILD)/libsenses.a,$(call room_obj,$(word 2,$(subst _, ,$(1)))))
	$$(CC) $$(CFLAGS) -o $$@ $$^ $$(LIBS) -lcmocka
endef
$(foreach t,$(TEST_SRC:tests/%.c=%),$(eval $(call test_rule,$(t))))

.PHONY: all clean
clean:
	rm -rf $(BUILD) senses

-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)
