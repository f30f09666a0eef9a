# The commands of this project; each makes the virtual environment it needs.
#   make demo      a search on handwritten digits with the amended gradient, from nothing to pictures
#   make study-quick  the stability study on handwritten digits: estimators, seeds, tables and a picture
#   make test      all tests on this machine
#   make soak      kills a search twenty times at random moments and resumes it
#   make sanitize  the CPU kernels alone, under ASan, UBSan and TSan
#   make emulate   the CUDA kernels on the CPU: all operator tests, planted bugs, sanitizers, and their budget
#   make gpu       where there is a GPU: all its tests, compute-sanitizer, benchmarks; writes build/gpu.json
#   make lint      formatting, style and types
#   make format    mends what can be mended
PYTHON ?= python3
VENV ?= .venv
# What pip installs: a torch release, e.g. TORCH="torch==2.13.0", and the project (a wheel that is already built, say).
TORCH ?= torch
PACKAGE ?= .
TESTS ?= tests
RUN ?= runs/demo
BIN := $(VENV)/bin

.PHONY: demo study-quick test soak sanitize emulator emulate gpu gpu-rehearsal lint format clean

demo: $(VENV)/installed
	$(BIN)/amended-darts search --config examples/demo.yaml --out $(RUN) --overwrite
	@echo "accuracies, epoch by epoch: $(RUN)/metrics.jsonl"
	@echo "the cells that were found:  $(RUN)/genotype.json"
	@echo "pictures:                   $(RUN)/cells.svg $(RUN)/alphas.png"

study-quick: $(VENV)/installed
	$(BIN)/amended-darts study --setting digits --processes 2 --out runs/study

test: $(VENV)/installed-test
	$(BIN)/pytest $(TESTS)

soak: $(VENV)/installed-test
	$(BIN)/python tests/search/soak.py --kills 20

# The torch-free kernels in a program of their own, plain and under sanitizers.
sanitize: $(VENV)/installed-dev
	for kind in "" address,undefined thread; do \
	  $(BIN)/cmake -G Ninja -S tests/cpp -B build/cpp-$$kind -DSANITIZE=$$kind -DCMAKE_MAKE_PROGRAM=$(CURDIR)/$(BIN)/ninja \
	  && $(BIN)/cmake --build build/cpp-$$kind && $(BIN)/ctest --test-dir build/cpp-$$kind --output-on-failure || exit 1; \
	done

# The CUDA kernels run by g++'s fibers: see tests/cuda_on_cpu/CMakeLists.txt.
EMULATOR := build/cuda_on_cpu
emulator: $(VENV)/installed-dev
	$(BIN)/cmake -G Ninja -S tests/cuda_on_cpu -B $(EMULATOR) -DCMAKE_MAKE_PROGRAM=$(CURDIR)/$(BIN)/ninja \
	  -DTORCH_DIR=$$(PYTHONPATH=build_tools $(BIN)/python -c "import toolchain; print(toolchain.torch_dir())")
	$(BIN)/cmake --build $(EMULATOR)

# Sanitizers write to the terminal (-s). New memory is filled with large numbers: what is read before it is written shows in the results.
EMULATED = AMENDED_DARTS_CUDA_ON_CPU=$(EMULATOR)/libcuda_on_cpu
UNDER_ASAN = LD_PRELOAD=$$(g++ -print-file-name=libasan.so) \
  ASAN_OPTIONS=detect_leaks=0:max_malloc_fill_size=1000000000:malloc_fill_byte=127 $(EMULATED)_asan.so
UNDER_TSAN = LD_PRELOAD=$$(g++ -print-file-name=libtsan.so) TSAN_OPTIONS=halt_on_error=1 $(EMULATED)_tsan.so
emulate: emulator
	MALLOC_PERTURB_=128 $(EMULATED).so $(BIN)/pytest tests/cuda_on_cpu tests/ops
	MALLOC_PERTURB_=128 CUDA_ON_CPU_ORDER=random:1 $(EMULATED).so $(BIN)/pytest tests/ops/test_perturbation.py
	$(UNDER_ASAN) $(BIN)/pytest -s tests/cuda_on_cpu/test_orders.py
	$(UNDER_TSAN) $(BIN)/pytest -s tests/cuda_on_cpu/test_orders.py
	CUDA_ON_CPU_BETWEEN_BLOCKS=1 $(UNDER_TSAN) $(BIN)/pytest -s tests/cuda_on_cpu/test_orders.py
	$(EMULATED).so $(BIN)/python -m tests.cuda_on_cpu.budget
	$(EMULATED).so $(BIN)/python -m tests.gpu.run --rehearse --out build/gpu-rehearsal.json

gpu: $(VENV)/installed-test
	$(BIN)/python -m tests.gpu.run --out build/gpu.json

# The same steps on the emulated kernels and small shapes.
gpu-rehearsal: emulator
	$(EMULATED).so $(BIN)/python -m tests.gpu.run --rehearse --out build/gpu-rehearsal.json

CPP = $(shell git ls-files 'csrc/*.h' 'csrc/*.cpp' 'csrc/*.cu' 'csrc/*.cuh' 'tests/*.h' 'tests/*.cpp' 'tests/*.cu' 'tests/*.cuh')

lint: $(VENV)/installed-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/clang-format --dry-run --Werror $(CPP)

format: $(VENV)/installed-dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .
	$(BIN)/clang-format -i $(CPP)

clean:
	rm -rf build dist $(VENV) *.egg-info python/*.egg-info

# torch first, so that the build finds it in the environment and downloads no copy of its own.
$(VENV)/torch:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install $(TORCH)
	touch $@

SOURCES = pyproject.toml setup.py CMakeLists.txt $(shell git ls-files csrc build_tools amended_darts_ext python)

$(VENV)/installed: $(VENV)/torch $(SOURCES)
	$(BIN)/pip install "$(PACKAGE)[search]"
	touch $@

$(VENV)/installed-test: $(VENV)/installed
	$(BIN)/pip install "$(PACKAGE)[test]"
	touch $@

$(VENV)/installed-dev: $(VENV)/installed-test
	$(BIN)/pip install "$(PACKAGE)[dev]"
	touch $@
