# SPDX-License-Identifier: Apache-2.0
# The ten verbs. Meson builds; this file only names what people do.
BUILD ?= build

.PHONY: all packages check sim demo lint format clean

all: packages
	@test -f $(BUILD)/build.ninja || meson setup $(BUILD) >/dev/null
	@ninja -C $(BUILD)

packages:
	@devtools/packages.sh

check: all
	@devtools/check.sh $(BUILD)

# The flow table's simulator. SEEDS=n OPS=n: how much; SEED=x: that one again, told step by step.
sim: all
	@$(BUILD)/dft/sim $(if $(SEEDS),--seeds $(SEEDS)) $(if $(OPS),--ops $(OPS)) \
		$(if $(SEED),--seed $(SEED) $(if $(SEEDS)$(OPS),,--replay))

demo: all
	@lab/demo.sh $(BUILD)

lint: packages
	@devtools/lint.sh

format:
	@git ls-files '*.c' '*.h' | xargs clang-format -i

clean:
	@rm -rf $(BUILD)
