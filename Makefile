# cnnc: `make demo` does the main job, `make check` runs all tests; both install what is missing.
# Everything is built below $(BUILD); `make help` lists the targets.

BUILD    ?= build
CC       ?= gcc
CFLAGS   ?= -O2 -g
PREFIX   ?= /usr/local
SAN      ?=
JOBS     ?= $(shell nproc 2>/dev/null || echo 2)
# a whole build in one command uses the processors, unless make was told how many
PARALLEL := $(if $(findstring j,$(firstword -$(MAKEFLAGS))),,-j$(JOBS))
LLVM     := $(firstword $(shell command -v llvm-config-19 2>/dev/null) \
              $(shell command -v llvm-config 2>/dev/null))
WARN     := -Wall -Wextra -Wshadow -Wformat=2 -Wno-format-nonliteral -Wstrict-prototypes -Werror
BASE     := -std=gnu17 -D_GNU_SOURCE= -Isrc -Iinclude -Iruntime -Iruntime/cnnrt -Iruntime/cnndata -I$(BUILD)/gen -fPIC -MMD -MP \
            $(if $(SAN),-fsanitize=$(SAN) -fno-sanitize-recover=all)
COMPILE  = $(CC) $(BASE) $(WARN) $(CFLAGS)
LDSAN    := $(if $(SAN),-fsanitize=$(SAN))

GEN      := $(BUILD)/gen
OBJ      := $(BUILD)/obj
LIB      := $(BUILD)/lib
STDLIB   := $(sort $(wildcard stdlib/*.cnn))
PAGES    := $(sort $(wildcard docs/diagnostics/*.md))

FRONT    := $(filter-out src/codegen/% src/driver/%,$(wildcard src/*/*.c))
DRIVER   := $(wildcard src/driver/*.c)
CODEGEN  := $(wildcard src/codegen/*.c src/codegen/*/*.c)
# diagnostics and their pages belong to the front end alone
SHARED   := $(filter-out src/support/diag% src/support/explain.c,\
              $(wildcard src/support/*.c src/expr/*.c src/family/*.c src/ops/*.c))
RUNTIME  := $(wildcard runtime/cnnrt/*.c)
TRAIN    := $(wildcard runtime/cnntrain/*.c)
DATA     := $(wildcard runtime/cnndata/*.c)
# the runtime for CUDA devices, where the toolkit is (12.8 or newer: its header knows "libraries")
CUDA_HOME ?= /usr/local/cuda
CUDA     := $(if $(shell grep -ls cudaLibraryLoadData $(CUDA_HOME)/include/cuda_runtime_api.h),$(wildcard runtime/cnnrt_cuda/*.c))
GENERATED := cnn_lex cnn_parse stdlib_data explain_data

front_o   := $(FRONT:%.c=$(OBJ)/%.o) $(GENERATED:%=$(OBJ)/gen/%.o)
driver_o  := $(DRIVER:%.c=$(OBJ)/%.o)
codegen_o := $(CODEGEN:%.c=$(OBJ)/hidden/%.o) $(SHARED:%.c=$(OBJ)/hidden/%.o)
runtime_o := $(RUNTIME:%.c=$(OBJ)/hidden/%.o)
# the runtime for another machine: its compiler is a package of its own
ARCH     ?= aarch64
CROSS_CC ?= $(ARCH)-linux-gnu-gcc
cross_o   = $(RUNTIME:%.c=$(OBJ)/$(ARCH)/%.o)
train_o   := $(TRAIN:%.c=$(OBJ)/hidden/%.o)
cuda_o    := $(CUDA:%.c=$(OBJ)/hidden/%.o)
CUDART   := $(firstword $(wildcard $(CUDA_HOME)/lib64/libcudart_static.a $(CUDA_HOME)/lib/libcudart_static.a))
CUDA_LIB  := $(if $(cuda_o),$(LIB)/libcnnrt_cuda.a $(if $(CUDART),$(LIB)/libcnnrt_cuda.so))
data_o    := $(DATA:%.c=$(OBJ)/%.o)
# the emulator that kernels for GPUs are tested with; no part of what is installed
SIMT      := $(wildcard tests/simt/*.c tests/simt/cudart/*.c)
simt_o    := $(SIMT:%.c=$(OBJ)/%.o)
UNIT      := $(patsubst tests/unit/%.c,$(BUILD)/tests/%,$(wildcard tests/unit/test_*.c))
LINKED    := $(LIB)/libcnnc.a $(LIB)/libcnndata.a $(LIB)/libcnntrain.a $(LIB)/libcnnrt.a
LIBS      := -ljansson -lpng -ljpeg -lz -lm -ldl -lpthread

.PHONY: all demo check check-full check-ndebug check-san check-tsan test-oom deps test-unit lint format bench bench-peers bench-tune bench-rounding bench-compile bench-zoo bench-train-peers experiment-refine paper docs pictures zoo man config clean help install uninstall cross cuda-bundle check-cuda bench-cuda
.DELETE_ON_ERROR:
.SECONDARY:

all: $(BUILD)/bin/cnnc $(LIB)/libcnnc_codegen.so $(LIB)/libcnnrt.a $(LIB)/libcnntrain.a $(LIB)/libcnndata.a $(CUDA_LIB) ## build the compiler and its runtime

deps: ## install what is missing (Debian), or say what to install
	@sh tests/tools/deps.sh

demo: deps ## the main job: a refusal with its repair, a network built and run, one trained for a minute
	@sh tests/tools/deps.sh dataset-fashion-mnist || echo "the demo goes on without training"
	@$(MAKE) $(PARALLEL) --no-print-directory -s all
	@CNNC=$(BUILD)/bin/cnnc BUILD=$(BUILD) sh examples/demo.sh

check: deps ## all tests; closes with counts
	@$(MAKE) $(PARALLEL) --no-print-directory -s all unit-programs
	@CNNC=$(abspath $(BUILD)/bin/cnnc) BUILD=$(abspath $(BUILD)) SRC=$(CURDIR) sh tests/run_all.sh

check-full: ## check, with every network verified and every allocation failing once
	@CHECK_FULL=1 OOM_FULL=1 $(MAKE) --no-print-directory check

check-ndebug: ## check of a build without assertions, in a folder of its own
	@$(MAKE) --no-print-directory BUILD=$(BUILD)/ndebug CFLAGS="-O2 -g -DNDEBUG" check

check-san: all ## the suite with address and undefined-behaviour sanitizers, in a folder of its own
	@$(MAKE) $(PARALLEL) --no-print-directory -s BUILD=$(BUILD)/san SAN=address,undefined CFLAGS="-O1 -g" all unit-programs
	@BUILD=$(abspath $(BUILD)) SRC=$(CURDIR) sh tests/san/check.sh address

check-tsan: all ## whatever has threads, with the thread sanitizer
	@$(MAKE) $(PARALLEL) --no-print-directory -s BUILD=$(BUILD)/tsan SAN=thread CFLAGS="-O1 -g" all unit-programs
	@BUILD=$(abspath $(BUILD)) SRC=$(CURDIR) sh tests/san/check.sh thread

test-oom: all ## every allocation of many commands fails once: reported, or survived, never a crash
	@mkdir -p $(BUILD)/tests
	@OOM_FULL=1 CNNC=$(abspath $(BUILD)/bin/cnnc) BUILD=$(abspath $(BUILD)) SRC=$(CURDIR) sh tests/oom/run.sh

cuda-bundle: all ## what check-cuda and bench-cuda need on another machine, in build/cuda-bundle
	@CNNC=$(abspath $(BUILD)/bin/cnnc) BUILD=$(abspath $(BUILD)) SRC=$(CURDIR) CC=$(CC) \
	    sh tests/gpu/bundle.sh $(abspath $(BUILD)/cuda-bundle)

check-cuda: ## networks on this machine's GPU beside its processor, from the bundle
	@python3 -B tests/gpu/check_cuda.py $(abspath $(BUILD)/cuda-bundle)

bench-cuda: ## networks on this machine's GPU beside PyTorch, from the bundle; kept in bench/results
	@python3 -B $(abspath $(BUILD)/cuda-bundle)/bench/cuda.py --write=$(CURDIR)/bench/results $(BENCH)

unit-programs: $(UNIT) $(BUILD)/tests/libcnnrt_cuda.so
test-unit: all $(UNIT) ## unit tests alone
	@CNNC=$(abspath $(BUILD)/bin/cnnc) BUILD=$(abspath $(BUILD)) SRC=$(CURDIR) sh tests/run_all.sh unit

$(BUILD)/bin/cnnc: $(driver_o) $(LINKED)
	@mkdir -p $(@D)
	$(CC) $(LDSAN) -o $@ $(driver_o) $(LINKED) $(LIBS)

# every archive's recipe; what is in it is said beside its name
$(BUILD)/%.a:
	@mkdir -p $(@D)
	@rm -f $@
	ar rcsD $@ $^

$(LIB)/libcnnc.a: $(front_o)

$(LIB)/libcnnrt.a: $(runtime_o)

cross: ## the runtime for another machine, ARCH=aarch64: build links programs for it then
	@command -v $(CROSS_CC) >/dev/null || { echo "make cross: no $(CROSS_CC) (Debian: gcc-$(ARCH)-linux-gnu)" >&2; exit 1; }
	@$(MAKE) --no-print-directory -s $(LIB)/$(ARCH)/libcnnrt.a

$(LIB)/$(ARCH)/libcnnrt.a: $(cross_o)

$(LIB)/libcnntrain.a: $(train_o)

$(LIB)/libcnnrt_cuda.a: $(cuda_o)

$(BUILD)/tests/libsimt.a: $(simt_o)

# what cnnc itself opens to run networks on a GPU
$(LIB)/libcnnrt_cuda.so: $(cuda_o)
	@mkdir -p $(@D)
	$(CC) $(LDSAN) -shared -Wl,--exclude-libs,ALL -o $@ $(cuda_o) $(CUDART) -ldl -lrt -lpthread

$(cuda_o): BASE += -isystem $(CUDA_HOME)/include

# the same against the emulator's runtime, for the tests
standin_o := $(patsubst %.c,$(OBJ)/standin/%.o,$(wildcard runtime/cnnrt_cuda/*.c))
$(OBJ)/standin/%.o: %.c
	@mkdir -p $(@D)
	$(COMPILE) -Itests/simt/cudart -c -o $@ $<
$(BUILD)/tests/libcnnrt_cuda.a: $(standin_o)
# what cnnc opens in place of the one above
$(BUILD)/tests/libcnnrt_cuda.so: $(standin_o) $(BUILD)/tests/libsimt.a
	$(CC) $(LDSAN) -shared -o $@ $^ $(shell $(LLVM) --ldflags) -lLLVM-19 -lm -lpthread

$(OBJ)/tests/simt/%.o: tests/simt/%.c
	@mkdir -p $(@D)
	$(COMPILE) -I$(shell $(LLVM) --includedir) -c -o $@ $<

$(OBJ)/$(ARCH)/%.o: %.c
	@mkdir -p $(@D)
	$(CROSS_CC) $(BASE) $(WARN) $(CFLAGS) -fvisibility=hidden -c -o $@ $<

$(LIB)/libcnndata.a: $(data_o)

# The one object that links LLVM; everything but its entry is hidden.
$(LIB)/libcnnc_codegen.so: $(codegen_o)
	@mkdir -p $(@D)
	$(CC) $(LDSAN) -shared -Wl,-z,defs -o $@ $(codegen_o) $(shell $(LLVM) --ldflags) -lLLVM-19 \
	    -lm -lpthread $(if $(SAN),,-Wl,--as-needed)

$(OBJ)/%.o: %.c $(GEN)/cnn_parse.h $(GEN)/cnn_lex.h
	@mkdir -p $(@D)
	$(COMPILE) -c -o $@ $<

$(OBJ)/hidden/src/codegen/%.o: src/codegen/%.c
	@mkdir -p $(@D)
	$(COMPILE) -fvisibility=hidden -I$(shell $(LLVM) --includedir) -c -o $@ $<

$(OBJ)/hidden/%.o: %.c
	@mkdir -p $(@D)
	$(COMPILE) -fvisibility=hidden -c -o $@ $<

$(OBJ)/gen/%.o: $(GEN)/%.c $(GEN)/cnn_parse.h $(GEN)/cnn_lex.h
	@mkdir -p $(@D)
	$(CC) $(BASE) $(CFLAGS) -w -Isrc/sema -c -o $@ $<

$(GEN)/cnn_parse.h: $(GEN)/cnn_parse.c ;
$(GEN)/cnn_lex.h: $(GEN)/cnn_lex.c ;
$(GEN)/cnn_parse.c: grammar/cnn.y
	@mkdir -p $(@D)
	bison -Werror -o $(GEN)/cnn_parse.c --header=$(GEN)/cnn_parse.h $<

$(GEN)/cnn_lex.c: grammar/cnn.l $(GEN)/cnn_parse.h
	flex -o $(GEN)/cnn_lex.c --header-file=$(GEN)/cnn_lex.h $<

$(GEN)/stdlib_data.c: tests/tools/embed.sh $(STDLIB)
	@mkdir -p $(@D)
	sh tests/tools/embed.sh stdlib $(STDLIB) > $@

$(GEN)/explain_data.c: tests/tools/embed.sh $(PAGES)
	@mkdir -p $(@D)
	sh tests/tools/embed.sh pages $(PAGES) > $@

$(BUILD)/tests/test_data $(BUILD)/tests/test_loader: LIBS += -larchive # they write shards
simt_unit := $(filter $(BUILD)/tests/test_simt%,$(UNIT))
$(simt_unit): LINKED += $(BUILD)/tests/libcnnrt_cuda.a $(BUILD)/tests/libsimt.a
$(simt_unit): LIBS += $(shell $(LLVM) --ldflags) -lLLVM-19
$(simt_unit): $(BUILD)/tests/libsimt.a $(BUILD)/tests/libcnnrt_cuda.a
$(BUILD)/tests/%: tests/unit/%.c $(LINKED)
	@mkdir -p $(@D)
	$(CC) $(BASE) -Wall -Wextra $(CFLAGS) $(LDSAN) -o $@ $< $(LINKED) -lcmocka $(LIBS)

bench: all ## ratios against ONNX Runtime, interleaved; needs it and, once, PyTorch (bench/README.md)
	@CNNC=$(abspath $(BUILD)/bin/cnnc) BUILD=$(abspath $(BUILD)) python3 -B bench/peers.py --peers=onnxruntime \
	    --nets=resnet50,mobilenet_v2,efficientnet_b0 $(BENCH)

bench-peers: all ## 13 networks beside ONNX Runtime and PyTorch, outputs compared; BENCH=--write keeps the table
	@CNNC=$(abspath $(BUILD)/bin/cnnc) BUILD=$(abspath $(BUILD)) python3 -B bench/peers.py $(BENCH)

bench-tune: all ## how long tuning 13 networks takes, and what it brings; BENCH=--write keeps the table
	@CNNC=$(abspath $(BUILD)/bin/cnnc) BUILD=$(abspath $(BUILD)) python3 -B bench/tuned.py $(BENCH)

bench-rounding: all ## error of each network's outputs, with and without Winograd, against double precision
	@CNNC=$(abspath $(BUILD)/bin/cnnc) BUILD=$(abspath $(BUILD)) python3 -B bench/rounding.py $(BENCH)

paper: all ## the tables of the paper with our figures beside the published ones
	@CNNC=$(abspath $(BUILD)/bin/cnnc) python3 -B tests/tools/paper.py $(TABLE)

bench-compile: all ## how long checking and building take, and how large the result is
	@CNNC=$(abspath $(BUILD)/bin/cnnc) BUILD=$(abspath $(BUILD)) CC=$(CC) python3 -B bench/compile.py $(BENCH)

bench-train-peers: all ## training steps beside PyTorch, interleaved (bench/README.md)
	@CNNC=$(abspath $(BUILD)/bin/cnnc) BUILD=$(abspath $(BUILD)) $(or $(BENCH_PYTHON),python3) -B bench/train_peers.py $(BENCH)

experiment-refine: all ## networks as drawn and refined, trained on Fashion-MNIST: docs/experiments.md; hours, resumable
	@CNNC=$(abspath $(BUILD)/bin/cnnc) BUILD=$(abspath $(BUILD)) python3 -B bench/experiment.py $(BENCH)

bench-zoo: all ## check and build times, memory and sizes of every network; BENCH=--write keeps the table
	@CNNC=$(abspath $(BUILD)/bin/cnnc) BUILD=$(abspath $(BUILD)) python3 -B bench/zoo.py $(BENCH)

lint: ## layers, layout, lengths, untested rows; gcc, clang, cppcheck, clang-tidy, shellcheck
	@ok=0; $(MAKE) $(PARALLEL) -k --no-print-directory -s analyse || ok=1; \
	    BUILD=$(BUILD) sh tests/tools/lint.sh && exit $$ok

include tests/tools/analyse.mk
include tests/fuzz/fuzz.mk

format: all ## clang-format over all C, cnnc fmt over all networks
	clang-format -i $(wildcard src/*/*.[ch] src/*/*/*.[ch] runtime/*/*.[ch] include/*.h tests/*/*.[ch] tests/*/*/*.[ch] examples/*/*.c)
	$(BUILD)/bin/cnnc fmt $(wildcard stdlib/*.cnn examples/*/*.cnn)

docs: ## the table of docs/diagnostics.md, from diag.def and the pages
	@python3 -B tests/tools/diagnostics_index.py

zoo: all ## docs/zoo.md, the table of the library's networks
	@CNNC=$(abspath $(BUILD)/bin/cnnc) python3 -B tests/tools/zoo.py

pictures: all ## the pictures of the documents and of the tests, drawn anew
	@mkdir -p docs/pictures
	@for net in resnet18 efficientnet_b0; do $(BUILD)/bin/cnnc graph $$net -o docs/pictures/$$net.svg || exit 1; done
	@cd tests/graph && for form in svg dot; do \
	    $(abspath $(BUILD)/bin/cnnc) graph tiny.cnn --format=$$form -o tiny.$$form || exit 1; done

man: $(BUILD)/man/cnnc.1 ## the manual page, and completions for shells
$(BUILD)/man/cnnc.1: $(BUILD)/bin/cnnc
	@mkdir -p $(@D)
	@$(BUILD)/bin/cnnc man -o $@
	@$(BUILD)/bin/cnnc completions bash -o $(@D)/cnnc.bash
	@$(BUILD)/bin/cnnc completions zsh -o $(@D)/_cnnc
	@$(BUILD)/bin/cnnc completions fish -o $(@D)/cnnc.fish

config: ## what was found on this machine
	@echo "LLVM      $(LLVM) $(if $(LLVM),$(shell $(LLVM) --version))"
	@echo "CUDA      $(or $(shell command -v nvcc 2>/dev/null),not found (optional))"
	@echo "MPI       $(or $(shell command -v mpicc 2>/dev/null),not found (optional))"
	@echo "graphviz  $(or $(shell command -v dot 2>/dev/null),not found (optional))"

# every word quoted: DESTDIR and PREFIX may contain blanks
LIBDIR   ?= $(PREFIX)/lib
to_share := man/man1/cnnc.1 bash-completion/completions/cnnc zsh/site-functions/_cnnc \
            fish/vendor_completions.d/cnnc.fish
install: all man ## into DESTDIR and PREFIX
	install -d "$(DESTDIR)$(PREFIX)/bin" "$(DESTDIR)$(PREFIX)/include" "$(DESTDIR)$(LIBDIR)/pkgconfig"
	install -m 755 $(BUILD)/bin/cnnc "$(DESTDIR)$(PREFIX)/bin/"
	install -m 644 $(LIB)/libcnnc_codegen.so $(LIB)/libcnnrt.a $(LIB)/libcnntrain.a $(LIB)/libcnndata.a $(CUDA_LIB) "$(DESTDIR)$(LIBDIR)/"
	for lib in $(LIB)/*/libcnnrt.a; do [ ! -f "$$lib" ] || \
	    install -D -m 644 "$$lib" "$(DESTDIR)$(LIBDIR)/$${lib#$(LIB)/}" || exit 1; done
	install -m 644 include/cnnrt.h include/cnndata.h "$(DESTDIR)$(PREFIX)/include/"
	sed -e "s|@VERSION@|$$($(BUILD)/bin/cnnc --version | cut -d' ' -f2)|" \
	    -e "s|@UP@|$$(realpath -m --relative-to="$(LIBDIR)/pkgconfig" "$(PREFIX)")|" runtime/cnnc.pc.in > "$(DESTDIR)$(LIBDIR)/pkgconfig/cnnc.pc"
	install -D -m 644 $(BUILD)/man/cnnc.1 "$(DESTDIR)$(PREFIX)/share/man/man1/cnnc.1"
	install -D -m 644 $(BUILD)/man/cnnc.bash "$(DESTDIR)$(PREFIX)/share/bash-completion/completions/cnnc"
	install -D -m 644 $(BUILD)/man/_cnnc "$(DESTDIR)$(PREFIX)/share/zsh/site-functions/_cnnc"
	install -D -m 644 $(BUILD)/man/cnnc.fish "$(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/cnnc.fish"

uninstall: ## what install put there
	rm -f "$(DESTDIR)$(PREFIX)/bin/cnnc" "$(DESTDIR)$(LIBDIR)/libcnnc_codegen.so" \
	    "$(DESTDIR)$(LIBDIR)/libcnnrt.a" "$(DESTDIR)$(LIBDIR)/libcnnrt_cuda.a" "$(DESTDIR)$(LIBDIR)/libcnnrt_cuda.so" "$(DESTDIR)$(LIBDIR)/$(ARCH)/libcnnrt.a" "$(DESTDIR)$(LIBDIR)/pkgconfig/cnnc.pc" \
	    "$(DESTDIR)$(LIBDIR)/libcnntrain.a" "$(DESTDIR)$(LIBDIR)/libcnndata.a" "$(DESTDIR)$(PREFIX)/include/cnnrt.h" \
	    "$(DESTDIR)$(PREFIX)/include/cnndata.h"
	for f in $(to_share); do rm -f "$(DESTDIR)$(PREFIX)/share/$$f"; done

clean: ## remove the build folder
	rm -rf $(BUILD)

help: ## this list
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  %-14s %s\n", $$1, $$2}' Makefile

-include $(front_o:.o=.d) $(driver_o:.o=.d) $(codegen_o:.o=.d) $(runtime_o:.o=.d) $(train_o:.o=.d) $(cuda_o:.o=.d) $(UNIT:=.d)
-include $(data_o:.o=.d) $(cross_o:.o=.d) $(simt_o:.o=.d) $(standin_o:.o=.d)
