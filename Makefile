# `make help` lists what there is. Everything is made inside this folder and the user's cache.

PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
LOCK := requirements-dev.lock
STAMP := $(VENV)/installed-$(firstword $(shell sha256sum $(LOCK)))
CLUSTER := $(PY) -m hack.cluster.cluster
LOCKED := uv pip compile --quiet --upgrade --python $(PY) --generate-hashes --no-header --no-annotate --no-emit-index-url

# Of KUBECONFIG only what stands on make's own command line counts: a cluster that the shell happens to
# name must not be changed by a plain `make run`.
ifeq ($(origin KUBECONFIG),command line)
RUN_FLAGS += --kubeconfig "$(KUBECONFIG)"
endif
RUN_FLAGS += $(if $(EXPERIMENT),--experiment "$(EXPERIMENT)") $(if $(filter-out 0,$(KEEP)),--keep)
RUN_FLAGS += $(if $(INDEX),--index $(INDEX)) $(if $(IMG),--image "$(IMG)") $(if $(TRAINER_IMG),--trainer-image "$(TRAINER_IMG)")

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

##@ General

.PHONY: help
help: ## Show this list
	@awk 'BEGIN {FS = ":.*## "} \
	  /^##@ / {printf "\n%s\n", substr($$0, 5)} \
	  /^[a-z-]+:.*## / {printf "  %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: setup
setup: $(STAMP) ## Make .venv from the hashed requirements; build the cluster's binaries; as root, install Debian packages
	@$(CLUSTER) install --flavour node || $(CLUSTER) install --flavour control-plane || \
	  echo "setup: no cluster on this machine; the tests that need one are skipped" >&2

$(STAMP): $(LOCK) hack/setup.sh
	@hack/setup.sh $(PYTHON) $(VENV) $(LOCK)
	@rm -f $(VENV)/installed-* && touch $@

##@ Run

.PHONY: run
run: $(STAMP) ## Run a sample Experiment to its end on a throw-away cluster (EXPERIMENT= KEEP=1 KUBECONFIG= IMG=)
	@$(PY) -m hack.run $(RUN_FLAGS)

.PHONY: cluster-up
cluster-up: $(STAMP) ## Bring up a cluster with one node (INDEX=0 FLAVOUR=node)
	@$(CLUSTER) up --index $(or $(INDEX),0) --flavour $(or $(FLAVOUR),node)

.PHONY: cluster-down
cluster-down: $(STAMP) ## Take it down; nothing is left (INDEX=0)
	@$(CLUSTER) down --index $(or $(INDEX),0)

.PHONY: cluster-status
cluster-status: $(STAMP) ## Show its parts and addresses (INDEX=0)
	@$(CLUSTER) status --index $(or $(INDEX),0)

##@ Check

.PHONY: lint
lint: $(STAMP) ## Ruff, format, mypy
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/ruff format --check .
	@$(VENV)/bin/mypy

.PHONY: fmt
fmt: $(STAMP) ## Format and fix what can be fixed
	@$(VENV)/bin/ruff check --fix .
	@$(VENV)/bin/ruff format .

.PHONY: test-unit
test-unit: $(STAMP) ## The tests that need no cluster: seconds
	@$(VENV)/bin/pytest -q tests/unit

.PHONY: test
test: setup lint ## Everything: lint, unit, wire, rules, cluster and e2e tests; names what it skipped and why
	@$(VENV)/bin/pytest -q $(PYTEST_FLAGS)

.PHONY: verify
verify: test ## What CI runs, and whether every generated file is up to date
	@$(PY) -m hack.generate --check

.PHONY: verify-bugs
verify-bugs: $(STAMP) ## Plant the seeded bugs one by one and show which the tests catch (ten minutes)
	@$(PY) -m hack.verify.seeded_bugs

.PHONY: verify-kill
verify-kill: $(STAMP) ## Kill and stop kfx at its writes, cut its watches, judge by the audit log, write the points down (25 minutes; PART=kill …)
	@$(PY) -m hack.verify.kill $(addprefix --only=,$(PART))

##@ Make

.PHONY: generate
generate: $(STAMP) ## Write CRDs, docs/swagger.json, docs/reference and gRPC messages anew from the code
	@$(PY) -m hack.generate

.PHONY: lock
lock: $(STAMP) ## Resolve pyproject.toml anew into both lock files (needs uv on PATH)
	@$(LOCKED) pyproject.toml --output-file requirements.lock
	@$(LOCKED) pyproject.toml --extra dev --extra otel --output-file $(LOCK)
