# The everyday commands; `make help` lists them.

PROGRAMS := -p postern-edge -p postern-home -p postern-lab
SECONDS ?= 30
ARCH ?= $(shell dpkg --print-architecture)
EMULATOR = $(if $(filter-out $(shell dpkg --print-architecture),$(ARCH)),qemu-aarch64-static)

.PHONY: help demo test test-terraform test-packaging test-deb test-image deb image soak bench-tunnel bench-dns bench-store bench-smtp build packages checkers machine rust fuzz
.DEFAULT_GOAL := help

help: ## Show this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 20

demo: packages build ## Build, and do the main job before your eyes (ONCE=1: end by itself)
	@target/debug/lab demo $(if $(ONCE),--once)

test: packages checkers machine rust test-terraform ## Run every test: unit, transcripts, properties, scenarios in the lab, Terraform's plans
	@tests/setup/test.sh
	@$(MAKE) --no-print-directory test-packaging

test-packaging: build ## Pack the programs of target/debug as .deb and image, and try them (needs root)
	@[ "$(PACKAGES)" = none ] || tests/setup/packages.sh tests/packaging/debian-packages.txt
	@tests/setup/packaging.sh

test-terraform: ## Check terraform/ with Terraform itself and the schema of AWS's provider (asks nothing of AWS)
	@[ "$(PACKAGES)" = none ] || tests/setup/packages.sh tests/terraform/debian-packages.txt
	@tests/setup/terraform.sh

deb: rust ## Build the Debian packages of both programs into target/deb (ARCH=arm64: for a Raspberry Pi or an EC2 t4g)
	@programs=$$(systemd/programs.sh $(ARCH)) && for name in postern-edge postern-home; do \
	    RUN="$(EMULATOR)" systemd/deb/build.sh $$name $$programs/$$name $(ARCH) target/deb || exit 1; \
	done

test-deb: ## Install, use, upgrade, remove and purge target/deb's packages in a Debian of their own (needs root)
	@[ "$(PACKAGES)" = none ] || tests/setup/packages.sh tests/packaging/debian-packages.txt
	@tests/setup/deb.sh

image: rust ## Build the container images of both programs into target/image (ARCH=arm64, as above)
	@[ "$(PACKAGES)" = none ] || tests/setup/packages.sh tests/packaging/debian-packages.txt
	@programs=$$(systemd/programs.sh $(ARCH)) && for name in postern-edge postern-home; do \
	    systemd/image/build.sh $$name $$programs/$$name $(ARCH) target/image || exit 1; \
	done

test-image: ## Run target/image's images in Podman: home takes a mail and keeps it (ARCH=arm64: under qemu; needs root)
	@[ "$(PACKAGES)" = none ] || tests/setup/packages.sh tests/packaging/debian-packages.txt
	@tests/setup/image.sh $(ARCH)

soak: packages rust ## Run the heavy form of the scenarios that have one (200 rotations, a kill at every step; half an hour)
	@tests/setup/soak.sh

bench-tunnel: rust ## Measure the tunnel against other WireGuard programs (docs/performance.md)
	@[ "$(PACKAGES)" = none ] || tests/setup/packages.sh tests/bench/debian-packages.txt
	@tests/setup/bench-tunnel.sh

bench-dns: rust ## Measure the name server against NSD, Knot and BIND 9, and under attack (docs/performance.md)
	@[ "$(PACKAGES)" = none ] || tests/setup/packages.sh tests/bench/dns/debian-packages.txt
	@tests/setup/bench-dns.sh

bench-store: rust ## Measure mailboxes and IMAP against Dovecot (docs/performance.md; MESSAGES=2000 for a short run)
	@[ "$(PACKAGES)" = none ] || tests/setup/packages.sh tests/bench/store/debian-packages.txt
	@tests/setup/bench-store.sh

bench-smtp: rust ## Measure how fast mail is taken beside Postfix and Dovecot (MESSAGES=400 for a short run)
	@[ "$(PACKAGES)" = none ] || tests/setup/packages.sh tests/bench/smtp/debian-packages.txt
	@tests/setup/bench-smtp.sh

build: rust ## Build the two programs and the lab
	cargo build --locked $(PROGRAMS)

packages: ## Install the Debian packages that the demo and the tests need (PACKAGES=none: do not)
	@[ "$(PACKAGES)" = none ] || tests/setup/packages.sh

checkers: packages ## Install the programs of others that judge the domain's DNS in the tests (PACKAGES=none: do not)
	@[ "$(PACKAGES)" = none ] || tests/setup/packages.sh tests/checkers/debian-packages.txt
	@[ "$(PACKAGES)" = none ] || tests/setup/checkers.sh
	@[ "$(PACKAGES)" = none ] || tests/setup/strangers.sh

machine: packages ## Make the Debian with systemd in which the tests install the packages (needs root)
	@tests/setup/machine.sh

rust:
	@tests/setup/rust.sh

fuzz: rust ## Run every fuzz target for SECONDS=30 each (needs cargo-fuzz and a nightly toolchain)
	@tests/setup/fuzz.sh $(SECONDS)
