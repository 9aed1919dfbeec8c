# The analysers of `make lint`, file by file, with stamps: only what changed is looked at again.
# A tool that is not installed is announced once and not run.
LINT     := $(BUILD)/lint
LINTED   := $(wildcard src/*/*.c src/*/*/*.c runtime/*/*.c tests/simt/*.c tests/simt/*/*.c)
LINTINC  = -std=gnu17 -D_GNU_SOURCE= -Isrc -Iinclude -Iruntime -Iruntime/cnnrt -Iruntime/cnndata -I$(BUILD)/gen \
           -I$(shell $(LLVM) --includedir)
STRICT   := -Wall -Wextra -Wshadow -Wformat=2 -Wno-format-nonliteral -Wstrict-prototypes \
            -Wmissing-prototypes -Wconversion -Wsign-conversion -Wcast-qual -Wpointer-arith -Wvla \
            -Wundef -Wimplicit-fallthrough -Werror
HEADERS  := $(wildcard src/*/*.h src/*/*/*.h src/*/*.def runtime/*/*.h runtime/*/*.def include/*.h \
              tests/simt/*.h tests/simt/*.def tests/simt/*/*.h tests/simt/*/*.def)

GCC      := $(shell command -v gcc 2>/dev/null)
CLANG    := $(firstword $(shell command -v clang-19 2>/dev/null) $(shell command -v clang 2>/dev/null))
TIDY     := $(shell command -v clang-tidy 2>/dev/null)
CPPCHECK := $(shell command -v cppcheck 2>/dev/null)

.PHONY: analyse
analyse: $(if $(GCC),$(LINTED:%.c=$(LINT)/%.gcc),no-gcc) \
         $(if $(CLANG),$(LINTED:%.c=$(LINT)/%.clang),no-clang) \
         $(if $(CPPCHECK),$(LINT)/cppcheck,no-cppcheck) \
         $(if $(TIDY),$(LINTED:%.c=$(LINT)/%.tidy),no-clang-tidy)

.PHONY: no-gcc no-clang no-cppcheck no-clang-tidy
no-gcc no-clang no-cppcheck no-clang-tidy:
	@echo "lint: $@ on this machine, its findings are not known"

$(LINT)/%.gcc: %.c $(HEADERS) $(GEN)/cnn_parse.h
	@mkdir -p $(@D)
	@$(GCC) -O1 $(LINTINC) $(STRICT) -Wlogical-op -Wduplicated-cond -fsyntax-only $<
	@touch $@

$(LINT)/%.clang: %.c $(HEADERS) $(GEN)/cnn_parse.h
	@mkdir -p $(@D)
	@$(CLANG) $(LINTINC) $(STRICT) -fsyntax-only $<
	@touch $@

$(LINT)/%.tidy: %.c $(HEADERS) $(GEN)/cnn_parse.h .clang-tidy
	@mkdir -p $(@D)
	@$(TIDY) --quiet $< -- $(LINTINC) 2>$@.log || { cat $@.log; exit 1; }
	@touch $@

$(LINT)/cppcheck: $(LINTED) $(HEADERS)
	@mkdir -p $(@D)
	@$(CPPCHECK) --enable=warning,performance,portability --inline-suppr --quiet --std=c11 \
	    --error-exitcode=1 -D_GNU_SOURCE -Isrc -Iinclude -Iruntime -Iruntime/cnnrt -Iruntime/cnndata -j2 src runtime tests/simt
	@touch $@
