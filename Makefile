# Pacer's verbs. Settings are make variables: make bench STUDIES=5 SUBMISSION=torch.optim:RMSprop
SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help setup bench leaderboard status ui demo check calibrate claims verify test proofs faults soak lint targets perf scale workloads submissions doctor clean

RESULTS ?= results
PORT ?= 5000

# The first Python that is new enough, unless PYTHON names one.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11 python; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && echo $$p && break; done)
RUN := .venv/bin/python -m harness
# Test processes have a thread each, as trials have.
PYTEST := OMP_NUM_THREADS=1 .venv/bin/python -m pytest -n auto --maxprocesses 8 --dist loadgroup
COMMON = $(if $(SUITE),--suite '$(SUITE)') --results '$(RESULTS)' $(if $(DATA),--data '$(DATA)') \
	$(if $(RULESET),--ruleset '$(RULESET)') $(if $(WORKLOADS),--workloads '$(WORKLOADS)')
BENCH = $(if $(SUBMISSIONS),--submissions '$(SUBMISSIONS)') $(if $(SUBMISSION),--submission '$(SUBMISSION)') \
	$(if $(STUDIES),--studies $(STUDIES)) $(if $(TRIALS),--trials $(TRIALS)) $(if $(SEED),--seed $(SEED)) $(if $(STOP),--stop $(STOP)) \
	$(HARDWARED) $(if $(VARIANTS),--variants $(VARIANTS)) $(if $(VARIANT_SEED),--variant-seed $(VARIANT_SEED)) \
	$(if $(UNTIL_DECIDED),--until-decided '$(UNTIL_DECIDED)') $(if $(SURE),--sure $(SURE)) $(if $(BUDGET_H),--budget-h $(BUDGET_H))
HARDWARED = $(if $(HARDWARE),--hardware $(HARDWARE))
LIMITS = $(if $(MEMORY_GIB),--memory-gib $(MEMORY_GIB)) $(if $(PROCESSES),--processes $(PROCESSES)) \
	$(if $(FILE_MIB),--file-mib $(FILE_MIB)) $(if $(STALL_S),--stall-s $(STALL_S))
HOW = $(if $(DEVICES),--devices $(DEVICES)) $(if $(COMPILE),--compile)
OVER = $(if $(MACHINES),--machines $(MACHINES))
BOARD = $(HOW) $(OVER) $(if $(SCORE),--score $(SCORE)) $(if $(BY),--by $(BY)) $(if $(JSON),--json) $(if $(COMPARE),--compare) \
	$(if $(MIRROR_S),--mirror-s $(MIRROR_S))
# A folder of its own, so that published logs do not mix with benches.
DEMO = $(if $(filter file,$(origin RESULTS)),results/demo,$(RESULTS))
export RAY_ADDRESS MLFLOW_TRACKING_URI
# Packages are compiled when they are first imported; where nothing may be kept of that, each process would do it again.
unexport PYTHONDONTWRITEBYTECODE

help:  ## list the verbs
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /\1\t/' | expand -t 14
	@echo; echo 'Settings: SUITE WORKLOADS VARIANTS VARIANT_SEED SUBMISSION SUBMISSIONS STUDIES TRIALS RULESET SEED STOP'
	@echo '          POINTS RESULTS DATA SCORE BY JSON COMPARE COUNT LOGS PORT RAY_ADDRESS MLFLOW_TRACKING_URI PYTHON'
	@echo '          UNTIL_DECIDED SURE BUDGET_H DEVICES MACHINES COMPILE HARDWARE MEMORY_GIB PROCESSES FILE_MIB STALL_S'
	@echo '          MIRROR_S TRIALS_PLANNED'

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
	@$(RUN) bench $(COMMON) $(BENCH) $(LIMITS) $(BOARD)

leaderboard: setup  ## print the leaderboard again; BY=steps, SCORE=algoperf, JSON=1, COMPARE=1
	@$(RUN) leaderboard $(COMMON) $(BOARD) $(HARDWARED)

status: setup  ## what a bench is doing, from another terminal
	@$(RUN) status --results '$(RESULTS)' $(if $(JSON),--json)

ui: setup  ## serve the MLflow UI on loopback and print the leaderboard's address
	@$(RUN) ui $(COMMON) --port $(PORT)

demo: setup  ## show AlgoPerf's published leaderboards, those that come with it or LOGS=DIR, and open the UI
	@$(RUN) demo --results '$(DEMO)' $(if $(LOGS),--logs '$(LOGS)') --port $(PORT)

check: setup  ## try SUBMISSION=x, or all, on every workload for a few steps and say what is wrong
	@$(RUN) check $(COMMON) $(LIMITS) $(HOW) --submission '$(SUBMISSION)'

verify: setup  ## repeat recorded trials of SUBMISSION=x, COUNT a workload: are losses and times the same?
	@$(RUN) verify $(COMMON) $(LIMITS) $(HOW) $(OVER) --submission '$(SUBMISSION)' $(if $(COUNT),--count $(COUNT))

calibrate: setup  ## find one point of SUBMISSION's search space for all workloads of the suite together
	@$(RUN) calibrate $(COMMON) --submission '$(SUBMISSION)' $(if $(POINTS),--points $(POINTS))

claims: setup  ## write docs/claims.md: what became of each algorithm's claim, by the records in RESULTS
	@$(RUN) claims $(COMMON)

test: setup  ## run the quick tests
	@$(PYTEST)

proofs: setup  ## run the slow proofs: cluster, faults, browser, fresh clone
	@$(PYTEST) -m 'slow and not soak' --durations=10

faults: setup  ## inject faults, run bad submissions and cheats; prints what came of each kind
	@$(PYTEST) tests/faults -m 'slow or not slow'

soak: setup  ## interrupt every submission, or SUBMISSION=x, on every workload of mini: does it go on bit for bit?
	@$(PYTEST) -m soak $(if $(SUBMISSION),-k '$(SUBMISSION)')

lint: setup  ## format and lint
	@.venv/bin/ruff format . && .venv/bin/ruff check .

targets: setup  ## set the targets of a suite (an hour for mini on 2 cores), VARIANTS=1 those of its variants
	@$(RUN) targets $(COMMON) $(if $(VARIANTS),--variants)

perf: setup  ## measure what the harness adds to a step, a trial and a bench
	@$(RUN) perf $(COMMON) $(if $(JSON),--json)

scale: setup  ## measure the harness itself on TRIALS_PLANNED (100000) trials with recorded curves for training
	@$(RUN) scale $(if $(TRIALS_PLANNED),--trials-planned $(TRIALS_PLANNED)) $(if $(JSON),--json)

workloads: setup  ## list the workloads
	@$(RUN) workloads $(COMMON) $(if $(VARIANTS),--variants) $(if $(JSON),--json)

submissions: setup  ## list the submissions
	@$(RUN) submissions $(COMMON) $(if $(JSON),--json)

doctor: setup  ## say what machine this is and whether it is quiet enough to time on
	@$(RUN) doctor $(COMMON) $(if $(JSON),--json)

clean:  ## delete .venv, not the results or the data
	rm -rf .venv
