# `make help` lists what there is. Everything is made inside this folder and the user's cache.

PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
LOCK := requirements-dev.lock
STAMP := $(VENV)/installed-$(firstword $(shell sha256sum $(LOCK)))
CLUSTER := $(PY) -m hack.cluster.cluster

# Of KUBECONFIG only what stands on make's own command line counts: a cluster that the shell happens to
# name must not be changed by a plain `make run`.
ifeq ($(origin KUBECONFIG),command line)
RUN_FLAGS += --kubeconfig "$(KUBECONFIG)"
endif
RUN_FLAGS += $(if $(EXPERIMENT),--experiment "$(EXPERIMENT)") $(if $(KEEP),--keep)
RUN_FLAGS += $(if $(IMG),--image "$(IMG)") $(if $(TRAINER_IMG),--trainer-image "$(TRAINER_IMG)")

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

##@ General

.PHONY: help
help: ## Show this list
	@awk 'BEGIN {FS = ":.*## "} \
	  /^##@ / {printf "\n%s\n", substr($$0, 5)} \
	  /^[a-z-]+:.*## / {printf "  %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: setup
setup: $(STAMP) ## Make .venv from the locked, hashed requirements; as root, install Debian packages too

$(STAMP): $(LOCK) hack/setup.sh
	@hack/setup.sh "$(PYTHON)" "$(VENV)" "$(LOCK)"
	@rm -f $(VENV)/installed-* && touch $@

##@ Run

.PHONY: run
run: setup ## Run a sample Experiment to its end on a throw-away cluster (EXPERIMENT= KEEP=1 KUBECONFIG= IMG=)
	@$(PY) -m hack.run $(RUN_FLAGS)

.PHONY: cluster-up
cluster-up: setup ## Bring up a cluster with one node (INDEX=0 FLAVOUR=node)
	@$(CLUSTER) up --index $(or $(INDEX),0) --flavour $(or $(FLAVOUR),node)

.PHONY: cluster-down
cluster-down: setup ## Take it down; nothing is left (INDEX=0)
	@$(CLUSTER) down --index $(or $(INDEX),0)

.PHONY: cluster-status
cluster-status: setup ## Show its parts and addresses (INDEX=0)
	@$(CLUSTER) status --index $(or $(INDEX),0)

##@ Check

.PHONY: lint
lint: setup ## Ruff, format, mypy
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/ruff format --check .
	@$(VENV)/bin/mypy

.PHONY: fmt
fmt: setup ## Format and fix what can be fixed
	@$(VENV)/bin/ruff check --fix .
	@$(VENV)/bin/ruff format .

.PHONY: test-unit
test-unit: setup ## The tests that need no cluster: seconds
	@$(VENV)/bin/pytest -q tests/unit

.PHONY: test
test: lint ## Everything: lint, unit, wire, rules, cluster and e2e tests; names what it skipped and why
	@$(VENV)/bin/pytest -q $(PYTEST_FLAGS)

.PHONY: verify
verify: test ## What CI runs

##@ Make

.PHONY: proto
proto: setup ## Write kfx/services/pb anew from the proto file
	@$(PY) hack/proto/generate.py
