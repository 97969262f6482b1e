# SPDX-License-Identifier: Apache-2.0
# The verbs. Meson builds; this file only names what people do.
BUILD ?= build

.PHONY: all programs packages configured check bench sim chaos repair demo lint format clean

all: configured
	@ninja -C $(BUILD)

# What is installed on machines, without the tests: a good half less to compile.
programs: configured
	@ninja -C $(BUILD) cli/zetactl controller/zeta-controller node/zetad

configured: packages
	@test -f $(BUILD)/build.ninja || meson setup $(BUILD) >/dev/null

packages:
	@devtools/packages.sh $(PACKAGES)

check: all
	@devtools/check.sh $(BUILD)

# The flow table's simulator. SEEDS=n OPS=n: how much; SEED=x: that one again, told step by step.
sim: all
	@$(BUILD)/dft/sim $(if $(SEEDS),--seeds $(SEEDS)) $(if $(OPS),--ops $(OPS)) \
		$(if $(SEED),--seed $(SEED) $(if $(SEEDS)$(OPS),,--replay))

# Gateway nodes die, pause, are cut off and replaced under load: docs/chaos.md. JSON=file keeps the report.
chaos: all
	@lab/chaos.py $(BUILD) $(if $(SECONDS),--seconds $(SECONDS)) $(if $(COUNT),--count $(COUNT)) \
		$(if $(SEED),--seed $(SEED)) $(if $(EVENTS),--events $(EVENTS)) \
		$(if $(JSON),--json $(JSON)) $(OPTIONS)

# A replica with a million sessions is replaced while connections are made. SESSIONS=n, TABLE=flat,
# JSON=file.
repair: all
	@lab/repair.py $(BUILD) $(if $(SESSIONS),--sessions $(SESSIONS)) \
		$(if $(TABLE),--table $(TABLE)) $(if $(JSON),--json $(JSON)) $(OPTIONS)

demo: PACKAGES = demo
demo: programs
	@lab/demo.sh $(BUILD)

lint: packages
	@devtools/lint.sh

format:
	@git ls-files '*.c' '*.h' | xargs clang-format -i

# QUICK=1: in some two minutes. What was found stays in the build directory, one JSON file for each.
bench: all
	@$(BUILD)/bench/session_bench $(if $(QUICK),-q) -o $(BUILD)/bench.json
	@$(BUILD)/bench/edge_bench $(if $(QUICK),-q) -o $(BUILD)/edge.json
	@$(BUILD)/bench/live_bench $(if $(QUICK),-q) -o $(BUILD)/live.json
	@bench/hosts_bench.py $(BUILD) $(if $(QUICK),--quick) --output $(BUILD)/hosts.json
	@bench/chains_bench.py $(BUILD) $(if $(QUICK),--quick) --output $(BUILD)/chains.json

clean:
	@rm -rf $(BUILD)
