# Fuzz targets: `make fuzz` runs each for T seconds with libFuzzer (clang-19 libclang-rt-19-dev),
# `make check` replays the committed corpus (group fuzz).
FUZZERS := $(patsubst tests/fuzz/fuzz_%.c,%,$(wildcard tests/fuzz/fuzz_*.c))
FUZZ    := $(BUILD)/fuzz
T       ?= 60

.PHONY: fuzz fuzz-targets fuzz-replay
fuzz-targets: ## the fuzz targets, built for libFuzzer in $(BUILD)/fuzz
	@command -v clang-19 >/dev/null || { echo "make fuzz needs clang-19 and libclang-rt-19-dev" >&2; exit 3; }
	@$(MAKE) --no-print-directory -s BUILD=$(FUZZ) CC=clang-19 SAN=address,undefined \
	    CFLAGS="-O1 -g -fsanitize=fuzzer-no-link" $(FUZZERS:%=$(FUZZ)/%)

$(BUILD)/%: tests/fuzz/fuzz_%.c tests/fuzz/fuzz.h $(LINKED)
	$(CC) $(BASE) -Wall -Wextra $(CFLAGS) -fsanitize=fuzzer $(LDSAN) -o $@ $< $(LINKED) $(LIBS)

$(BUILD)/replay/%: tests/fuzz/fuzz_%.c tests/fuzz/replay.c tests/fuzz/fuzz.h $(LINKED)
	@mkdir -p $(@D)
	$(CC) $(BASE) -Wall -Wextra $(CFLAGS) $(LDSAN) -o $@ $< tests/fuzz/replay.c $(LINKED) $(LIBS)

$(BUILD)/replay/prefixes: tests/fuzz/prefixes.c tests/fuzz/fuzz_front.c tests/fuzz/fuzz.h $(LINKED)
	@mkdir -p $(@D)
	$(CC) $(BASE) -Wall -Wextra $(CFLAGS) $(LDSAN) -o $@ $< tests/fuzz/fuzz_front.c $(LINKED) $(LIBS)

fuzz-replay: $(FUZZERS:%=$(BUILD)/replay/%)

fuzz: fuzz-targets ## go on fuzzing: T seconds a target (60), FUZZERS="front graph" for some
	@for t in $(FUZZERS); do sh tests/fuzz/fuzz.sh $$t $(T) $(FUZZ) || exit 1; done
