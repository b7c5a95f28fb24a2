# The commands of this project. Each target does all of its own set-up; `make` alone lists them.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:
.ONESHELL:
.SUFFIXES:
MAKEFLAGS += --no-builtin-rules --no-print-directory

# Debian keeps ip, ovs-vswitchd and their like out of an ordinary user's PATH.
export PATH := $(PATH):/usr/sbin:/sbin
# A Python 3.11 to 3.13 of your choice; by default the first one found.
PYTHON ?=
# The bridge of `make run`.
BRIDGE ?= br0
# How long each of the two parts of `make soak` lasts.
MINUTES ?= 30
# How often `make soak` kills the controller in the middle of registrations.
KILLS ?= 1000
# How many tests run side by side; most of their time they wait for processes, not for a core.
WORKERS ?= 4
# Where `make test` leaves pytest's exit status, instead of failing by one of make's own.
STATUS_FILE ?=

# A file's tests stay together: they share what is made once for the file.
SIDE_BY_SIDE := --numprocesses $(WORKERS) --dist loadfile --no-loadscope-reorder

RYU_WHEEL := .build/wheels/ryu-4.34+ovsmetadata.1-py3-none-any.whl

.PHONY: help demo test soak test-vm check bench run docs deb clean venv client-image host-image promtool
.PHONY: need-root build-packages network-packages fleet-packages browser-packages bench-packages

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 20

demo: need-root venv network-packages $(if $(filter 1,$(FLEET)),fleet-packages) ## droplets on a private Open vSwitch ask for their metadata (root); ONCE=1 leaves by itself; FLEET=1: two hypervisors, two controllers, etcd
	@exec .venv/bin/python -m lab.$(if $(filter 1,$(FLEET)),fleet_demo,demo) $(if $(filter 1,$(ONCE)),--once)

test: venv network-packages fleet-packages browser-packages promtool client-image host-image deb ## every test (root; an ordinary user's run leaves out the system tests)
	@status=0
	.venv/bin/python -m pytest $(SIDE_BY_SIDE) || status=$$?
	if [[ -n "$(STATUS_FILE)" ]]; then echo $$status >"$(STATUS_FILE)"; exit 0; fi
	exit $$status

soak: need-root venv network-packages ## both processes under a random life of ports and droplets, memory and files watched, and faults in their long form (root); MINUTES=30 KILLS=1000
	@export OVS_METADATA_SOAK_SECONDS=$$(( $(MINUTES) * 60 )) OVS_METADATA_REGISTRY_KILLS=$(KILLS)
	exec .venv/bin/python -m pytest -s tests/system/test_soak.py tests/system/test_faults.py::test_controller_frozen tests/http/test_registry_crash.py

test-vm: need-root venv network-packages ## a Debian boots as a virtual machine, in software, from the server (root; takes minutes)
	@scripts/client-image --vm >/dev/null
	exec .venv/bin/python -m pytest tests/clients/vm_boot.py

check: venv network-packages promtool ## the tests that take under a minute and need no root, and the style
	@exec .venv/bin/python -m pytest $(SIDE_BY_SIDE) -m "not root and not slow"

bench: need-root venv network-packages bench-packages ## measured beside named peers, and docs/benchmarks.md anew (root); under 15 minutes
	@exec .venv/bin/python -m bench

run: need-root venv network-packages ## controller and metadata server on this host's own bridge, BRIDGE=br0 (root)
	@exec scripts/run "$(BRIDGE)"

docs: venv ## the documentation as a site, .build/docs/index.html; a broken link fails it
	@.venv/bin/python -m sphinx --quiet --fresh-env --fail-on-warning --builder html docs .build/docs
	echo "Made .build/docs/index.html"

deb: venv build-packages ## a Debian package of all of it, .build/deb/*.deb
	@scripts/build-deb

venv: .venv/.complete ## the virtual environment .venv with our Ryu and everything else in it

client-image: | build-packages ## the real clients that `make test` runs, a Debian and a virtual environment (root)
	@scripts/client-image

host-image: | build-packages ## the bare Debian that `make test` installs the package on (root)
	@scripts/host-image

promtool: | build-packages ## the checker of docs/monitoring's rules that tests use
	@scripts/promtool >/dev/null

clean: ## removes all that the other targets made in this directory
	@rm -rf .venv .build build dist .pytest_cache .ruff_cache .hypothesis ./*.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Before anything else, so that nobody waits for an environment to be refused then.
need-root:
	@scripts/need-root "make $(MAKECMDGOALS)"

build-packages:
	@scripts/install-packages build

network-packages:
	@scripts/install-packages network

fleet-packages:
	@scripts/install-packages fleet

browser-packages:
	@scripts/install-packages browser

bench-packages:
	@scripts/install-packages bench

$(RYU_WHEEL): third_party/ryu/build-wheel third_party/ryu/ryu-4.34.patch third_party/ryu/sdist.txt | build-packages
	@python=$$(scripts/find-python $(PYTHON))
	echo "Building $@"
	third_party/ryu/build-wheel "$$python" .build
	test -s $@ # the patch and this file name the same version

.venv/.complete: setup.cfg pyproject.toml constraints.txt $(RYU_WHEEL) | build-packages
	@python=$$(scripts/find-python $(PYTHON))
	echo "Making .venv with $$python"
	"$$python" -m venv .venv
	pip=(.venv/bin/python -m pip --quiet --disable-pip-version-check install --constraint constraints.txt)
	"$${pip[@]}" setuptools
	"$${pip[@]}" --find-links $(dir $(RYU_WHEEL)) --no-build-isolation --editable '.[dev]'
	touch $@
