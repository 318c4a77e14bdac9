# The face of the workspace: every target works on a machine that has only Python >= 3.11 and make.
PYTHON ?= python3
VENV := .venv
# Which of bench/: first_light, fan_out, log_ingest, heartbeats, log_table, idle, observing, gateway_load, audit_cost, dashboard.
BENCH ?= first_light
BIN := $(VENV)/bin
PACKAGES := protos kit services/registry services/heartbeat services/executor services/gateway agent cli client deploy/agent deploy/standalone
MANIFESTS := constraints.txt $(addsuffix /pyproject.toml,$(PACKAGES)) protos/generate.py $(shell find protos/myx -name '*.proto')
# Made from the OpenAPI document, at install and whenever that has changed.
CLIENT := client/src/myx_client/api.py
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
EDITABLE := install --no-build-isolation -c constraints.txt
PYTEST := $(BIN)/python -m pytest
# Test processes side by side: most tests wait for processes, so that there may be more than cores.
WORKERS ?= 3

# A virtual environment knows its place: one of a checkout that was moved or copied does not work, and is made anew. So is
# one that was only half made, or whose Python the distribution has replaced.
MADE_FOR := $(shell $(VENV)/bin/python -c 'import pip' 2>/dev/null && sed -n 's/^command = .* -m venv \(--[a-z-]* \)*//p' $(VENV)/pyvenv.cfg 2>/dev/null)

.DEFAULT_GOAL := help
.PHONY: help up install dev test test-long check protos bench agent-bundle dashboard screenshots images clean

help: ## Show the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

up: install ## Run all of MyX on this machine (Ctrl-C stops it)
	@$(BIN)/python dashboard/build.py --optional
	@exec $(BIN)/myx-standalone up

install: $(VENV)/.installed $(CLIENT) ## Install MyX into .venv

dev: $(VENV)/.dev $(CLIENT) ## Install the tools for tests and checks as well

# In the order of the folders: the long files stand before the short ones of tests/unit, so that all workers end together.
test: dev ## Run the whole test suite
	$(PYTEST) -m "not long" -n $(WORKERS) --dist loadfile --no-loadscope-reorder $(ARGS)

test-long: dev ## Run in full what make test leaves out or shortens: the tests that take many minutes
	$(PYTEST) -m long $(ARGS)

check: dev ## Lint, types, import rules, proto lint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	cd protos && ../$(BIN)/buf lint

protos: dev ## Generate the gRPC stubs anew
	$(BIN)/python protos/generate.py

bench: dev ## Measure MyX beside plain ssh on this machine
	$(BIN)/python -m bench.$(BENCH) $(ARGS)

agent-bundle: install ## Build what servers get installed: agent, its wheels, uv (build/agent-bundle)
	@$(BIN)/python -m myx_agent_bundle build --out build/agent-bundle $(ARGS)

dashboard: install ## Build the dashboard into the gateway's package (make up does it too)
	@$(BIN)/python dashboard/build.py

screenshots: dev dashboard ## Make pictures of each page of the dashboard (build/screenshots; needs Chromium)
	@$(BIN)/python tests/browser/screenshots.py $(ARGS)

images: agent-bundle dashboard ## Build the services' container images (podman or docker; see deploy/docker/build)
	deploy/docker/build $(SERVICES)

clean: ## Remove what was built (not the data in .myx)
	rm -rf $(VENV) build dashboard/node_modules services/gateway/src/myx_gateway/dashboard_files protos/gen $(CLIENT) $(CLIENT:api.py=models.py) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis

ifneq ($(wildcard $(VENV)/pyvenv.cfg),)
ifneq ($(MADE_FOR),$(CURDIR)/$(VENV))
.PHONY: made-elsewhere
made-elsewhere:
	@echo "$(VENV) is made anew: this checkout was moved or copied, or the Python of $(VENV) was replaced"

$(VENV)/bin/python: made-elsewhere
endif
endif

$(VENV)/bin/python:
	@command -v "$(PYTHON)" >/dev/null \
	  || { echo "There is no '$(PYTHON)' here. MyX needs Python 3.11 or newer: make PYTHON=python3.12 ..."; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "MyX needs Python 3.11 or newer; '$(PYTHON)' is older. Name another one: make PYTHON=python3.12 ..."; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' \
	  || { echo "This Python cannot make virtual environments. On Debian and Ubuntu: apt-get install python3-venv"; exit 1; }
	@echo "Making $(VENV) with $$($(PYTHON) --version)"
	@$(PYTHON) -m venv --clear $(VENV) || { rm -rf $(VENV); exit 1; }

$(VENV)/.installed: $(VENV)/bin/python $(MANIFESTS)
	@test -e $@ || echo "Installing MyX into $(VENV) (about 300 MB; half a minute when the network is good)"
	@test ! -e $@ || echo "Installing what is new into $(VENV)"
	@$(PIP) install -c constraints.txt hatchling editables grpcio-tools mypy-protobuf
	@$(PIP) $(EDITABLE) $(addprefix -e ,$(PACKAGES))
	@touch $@

$(CLIENT): client/generate.py tests/contract/openapi/openapi.json $(VENV)/.installed
	@$(BIN)/python client/generate.py

$(VENV)/.dev: $(VENV)/.installed tests/requirements.txt tests/testkit/pyproject.toml
	@echo "Installing the tools for tests and checks"
	@$(PIP) install -c constraints.txt -r tests/requirements.txt
	@$(PIP) $(EDITABLE) -e tests/testkit
	@touch $@
