# make setup | test | demo | bench | lint: each does all the set-up that it needs, into .venv.
# make test-jazzy: the tests that meet ROS, on the wheels of ROS 2 Jazzy, in .venv-jazzy; the others use those of Kilted.
# PYTHON=python3.12 picks the interpreter; ARGS="-m 'not slow and not ros'" selects tests; SEQ=FOLDER gives the demo a KITTI sequence in place of a rendered drive, LIVE=8765 a live view.
PYTHON ?=
SEQ ?=
LIVE ?=
OUT ?= out/demo

# The ROS 2 wheels re-execute their interpreter once, to set LD_LIBRARY_PATH, and mark that by a variable. A make that was itself started
# from such an interpreter would hand down the mark and another environment's path.
ifdef _ROS_WHEELS_BOOTSTRAP_COMPLETE
unexport _ROS_WHEELS_BOOTSTRAP_COMPLETE
unexport LD_LIBRARY_PATH
endif

# Compiled modules are kept: the tests start some hundred processes of this package.
unexport PYTHONDONTWRITEBYTECODE

# What depends on the version of ROS 2.
ROS_TESTS = test/sfm_odometry/nodes test/ros_dropins test/test_packaging.py

.PHONY: setup setup-jazzy test test-jazzy demo bench lint clean

setup:
	@python3 tools/setup_environment.py $(if $(PYTHON),--python $(PYTHON))

setup-jazzy:
	@python3 tools/setup_environment.py --distribution jazzy $(if $(PYTHON),--python $(PYTHON))

test: setup
	.venv/bin/python -m pytest -n auto --dist loadfile $(ARGS)

test-jazzy: setup-jazzy
	.venv-jazzy/bin/python -m pytest -n auto --dist loadfile $(if $(ARGS),$(ARGS),$(ROS_TESTS))

demo: setup
	.venv/bin/python -m demo --out $(OUT) $(if $(SEQ),--sequence $(SEQ)) $(if $(LIVE),--live $(LIVE))

bench: setup
	.venv/bin/python -m benchmarks.node

lint: setup
	.venv/bin/python -m ruff check .
	.venv/bin/python -m ruff format --check .
	.venv/bin/python -m mypy

clean:
	rm -rf .venv .venv-jazzy out build install log
