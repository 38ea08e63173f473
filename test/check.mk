# The goals that start servers or look at the tree.  They stand beside PGXS,
# which has a "check" of its own and needs PostgreSQL to be there already.
#
#   make check [TESTS="fdw/ t/001"]    every test, or those with such a path
#   make check-deep                    with 100,000 random queries, 20,000 sequences of writes
#   make check-matrix                  on later releases of Debian, in chroots
#   make demo, make demo-stop          the demonstration
#   make indent                        the C files in pgindent's form

CHECK_GOALS = prepare check check-deep check-matrix demo demo-stop indent

ifeq ($(filter-out $(CHECK_GOALS),$(or $(MAKECMDGOALS),all)),)
ONLY_CHECK_GOALS = yes
PG_CONFIG   ?= pg_config
TEST_PYTHON  = PG_CONFIG='$(PG_CONFIG)' build/venv/bin/python -B

.PHONY: $(CHECK_GOALS)

# Packages of Debian (by apt, as root) and a Python environment.
prepare:
	@test/servers/prepare

check: prepare
	@$(TEST_PYTHON) test/run.py $(TESTS)

check-deep: prepare
	@$(TEST_PYTHON) test/run.py --queries 100000 --sequences 20000 $(TESTS)

check-matrix:
	@test/servers/prepare debootstrap
	@$(TEST_PYTHON) test/matrix.py

demo: prepare
	@$(TEST_PYTHON) test/demo/demo.py start

demo-stop: prepare
	@$(TEST_PYTHON) test/demo/demo.py stop

indent:
	.ci/indent
endif
