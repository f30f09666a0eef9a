# The commands of this project; each makes the virtual environment it needs.
#   make demo      a search on handwritten digits with the amended gradient, from nothing to pictures
#   make test      all tests on this machine
#   make sanitize  the kernels alone, under ASan, UBSan and TSan
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

.PHONY: demo test sanitize lint format clean

demo: $(VENV)/installed
	$(BIN)/amended-darts search --config examples/demo.yaml --out $(RUN) --overwrite
	@echo "accuracies, epoch by epoch: $(RUN)/metrics.jsonl"
	@echo "the cells that were found:  $(RUN)/genotype.json"
	@echo "pictures:                   $(RUN)/cells.svg $(RUN)/alphas.png"

test: $(VENV)/installed-test
	$(BIN)/pytest $(TESTS)

# The torch-free kernels in a program of their own, plain and under sanitizers.
sanitize: $(VENV)/installed-dev
	for kind in "" address,undefined thread; do \
	  $(BIN)/cmake -G Ninja -S tests/cpp -B build/cpp-$$kind -DSANITIZE=$$kind -DCMAKE_MAKE_PROGRAM=$(CURDIR)/$(BIN)/ninja \
	  && $(BIN)/cmake --build build/cpp-$$kind && $(BIN)/ctest --test-dir build/cpp-$$kind --output-on-failure || exit 1; \
	done

CPP = $(shell git ls-files 'csrc/*.h' 'csrc/*.cpp' 'csrc/*.cu' 'csrc/*.cuh' 'tests/*.h' 'tests/*.cpp' 'tests/*.cu')

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
