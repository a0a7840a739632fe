# Pacer's verbs. Settings are make variables: make bench STUDIES=5 SUBMISSION=torch.optim:RMSprop
#
# Those that run Pacer are aliases: `make bench STUDIES=5` is `pacer bench --studies 5`, and `pacer bench --help` says
# what each setting means. Only what is typed after make counts; of the environment RAY_ADDRESS and
# MLFLOW_TRACKING_URI do.
SHELL := /bin/bash
.DEFAULT_GOAL := help
ALIASES := bench leaderboard compare reliability noise axes status ui demo check tune calibrate claims verify targets perf scale workloads submissions doctor
.PHONY: help setup test proofs faults soak mutants lint types clean $(ALIASES)

# The first Python that is new enough, unless PYTHON names one.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11 python; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && echo $$p && break; done)
# Test processes have a thread each, as trials have.
PYTEST := OMP_NUM_THREADS=1 .venv/bin/python -m pytest -n auto --maxprocesses 8 --dist loadgroup

# The settings that were typed, quoted for the shell, and their names.
quoted = '$(subst ','\'',$(1))'
TYPED := $(foreach name,$(.VARIABLES),$(if $(filter command,$(firstword $(origin $(name)))),$(name)))
GIVEN = $(foreach name,$(TYPED),$(call quoted,$(name)=$(value $(name))))
# An alias, with options of its own; the other verbs of the same call say which settings are theirs.
pacer = @.venv/bin/python -m harness make $@ $(1) $(filter-out $@,$(MAKECMDGOALS)) $(GIVEN)
# The settings of a verb that is no alias: PYTHON and those named.
takes = $(if $(filter-out PYTHON $(1),$(if $(filter $(ALIASES),$(MAKECMDGOALS)),,$(TYPED))),$(error \
	make $@ takes no setting $(firstword $(filter-out PYTHON $(1),$(TYPED)))$(if $(1),; it takes $(1))))
export RAY_ADDRESS MLFLOW_TRACKING_URI
# Packages are compiled when they are first imported; where nothing may be kept of that, each process would do it again.
unexport PYTHONDONTWRITEBYTECODE

help:  ## list the verbs
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /\1\t/' | expand -t 14
	@echo; echo 'Settings, each where it acts; .venv/bin/python -m harness VERB --help says what they mean:'
	@echo '  SETTINGS SUITE WORKLOADS VARIANTS VARIANT_SEED SUBMISSION SUBMISSIONS STUDIES TRIALS RULESET SEED'
	@echo '  STOP SPEND DECIDED UNTIL_DECIDED SURE BUDGET_H SCORE REFERENCE BY INTERPOLATE A B MARGIN COMPARE JSON MLFLOW MIRROR_S'
	@echo '  TRACKING_URI RESULTS DATA HARDWARE DEVICES MACHINES COMPILE HORIZON BATCH MEMORY_GIB PROCESSES'
	@echo '  FILE_MIB STALL_S CHECKPOINT_S POINTS REPEATS FAMILIES COUNT LOGS HOST PORT PUBLIC TO PAIRS'
	@echo '  TRIALS_PLANNED'
	@echo 'of make itself: PYTHON; from the environment, too: RAY_ADDRESS MLFLOW_TRACKING_URI'

setup: .venv/.ready  ## make .venv with the pinned packages (the other verbs do it when needed)

.venv/.ready: requirements.txt
	@[ -n '$(PYTHON)' ] || { echo "Pacer needs Python 3.11 or newer, and found: $$(python3 --version 2>&1)." \
		"Install one, or name it: make setup PYTHON=/path/to/python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Pacer needs Python 3.11 or newer;" \
		"$(PYTHON) is $$($(PYTHON) --version 2>&1). Name another: make setup PYTHON=/path/to/python3.12" >&2; exit 1; }
	@echo "setting up .venv with $$($(PYTHON) --version): a few minutes, once"
	@$(PYTHON) -m venv .venv
	@.venv/bin/pip install -qq --disable-pip-version-check --no-compile -r requirements.txt
	@.venv/bin/pip install -qq --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch .venv/.ready

bench: setup  ## run what is missing of four workloads (SUITE=mini: all nine), print the leaderboard
	$(call pacer)

leaderboard: setup  ## print the leaderboard again; BY=steps, SCORE=algoperf, JSON=1, COMPARE=1
	$(call pacer)

compare: setup  ## A=lion B=adamw: which is faster, by how much, and how many more studies would decide it
	$(call pacer)

reliability: setup  ## how well each score of a single study tells submissions apart
	$(call pacer)

noise: setup  ## the smallest speed-up that 3, 5, 10 studies detect on this machine
	$(call pacer)

axes: setup  ## SUBMISSIONS=A,B HORIZON=0.5,1,2 or BATCH=0.5,1,2: the speed-up over the axis; do rankings flip?
	$(call pacer)

status: setup  ## what a bench is doing, from another terminal
	$(call pacer)

ui: setup  ## serve the MLflow UI on loopback and print the leaderboard's address
	$(call pacer)

demo: setup  ## show AlgoPerf's published leaderboards, those of Pacer or LOGS=DIR, and open the UI
	$(call pacer)

check: setup  ## try SUBMISSION=x, or all, on every workload for a few steps and say what is wrong
	$(call pacer)

verify: setup  ## repeat recorded trials of SUBMISSION=x, COUNT a workload: are losses and times the same?
	$(call pacer)

tune: setup  ## find one point of SUBMISSION's search space for all workloads of the suite together
	$(call pacer)

calibrate: setup
	$(call pacer)

claims: setup  ## write docs/claims.md: what became of each algorithm's claim, by the records in RESULTS
	$(call pacer,$(if $(filter TO,$(TYPED)),,--to=docs/claims.md))

test: setup  ## run the quick tests
	@$(call takes)$(PYTEST)

proofs: setup  ## run the slow proofs: cluster, faults, browser, fresh clone
	@$(call takes)$(PYTEST) -m 'slow and not soak' --durations=10

faults: setup  ## inject faults, run bad submissions and cheats; prints what came of each kind
	@$(call takes)$(PYTEST) tests/faults -m 'slow or not slow'

soak: setup  ## interrupt every submission, or SUBMISSION=x, on every workload of mini: does it go on bit for bit?
	@$(call takes,SUBMISSION)$(PYTEST) -m soak $(if $(filter SUBMISSION,$(TYPED)),-k $(call quoted,$(value SUBMISSION)))

mutants: setup  ## change the code in small ways, a SAMPLE of each AREA: do its tests notice? (an hour on 2 cores)
	@$(call takes,AREA SAMPLE).venv/bin/python -m tests.mutants $(if $(filter SAMPLE,$(TYPED)),--sample $(call quoted,$(value SAMPLE))) \
		$(if $(filter AREA,$(TYPED)),$(call quoted,$(value AREA)))

lint: setup  ## format and lint
	@$(call takes).venv/bin/ruff format . && .venv/bin/ruff check .

types: setup  ## check the types
	@$(call takes).venv/bin/pyright

targets: setup  ## set the targets of a suite (an hour for mini on 2 cores), VARIANTS=1 those of its variants
	$(call pacer)

perf: setup  ## measure what the harness adds to a step, a trial and a bench
	$(call pacer)

scale: setup  ## measure the harness itself on TRIALS_PLANNED (100000) trials with recorded curves for training
	$(call pacer)

workloads: setup  ## list the workloads
	$(call pacer)

submissions: setup  ## list the submissions
	$(call pacer)

doctor: setup  ## say what machine this is and whether it is quiet enough to time on
	$(call pacer)

clean:  ## delete .venv, not the results or the data
	$(call takes)rm -rf .venv
