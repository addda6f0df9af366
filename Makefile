# Homeport's house. `make serve` runs the server, `make test` runs everything that must hold; both do their own set-up.

PYTHON_ENV := .venv/bin/python
# asyncio in debug mode finds forgotten awaits and calls that block the loop.
PYTEST := PYTHONASYNCIODEBUG=1 $(PYTHON_ENV) -m pytest -n auto --dist loadfile
# By folder, not by name: Alembic runs core/migrations under names of its own.
COVERED := --cov=src/homeport/core --cov=src/homeport/protocols --cov-branch

.PHONY: .venv-test serve test check format-check lint fmt types imports tests cover bench docs clean

serve: ## start the server on ./homeport-data (or $$HOMEPORT_DIR); ARGS="--set ftp.port=0" adds options
	@tools/make-venv run && exec .venv/bin/homeport serve $(ARGS)

test: check

check: format-check lint types imports tests ## the gate: everything a machine can check

.venv-test:
	@tools/make-venv test

format-check: .venv-test
	$(PYTHON_ENV) -m ruff format --check .

lint: .venv-test
	$(PYTHON_ENV) -m ruff check .

types: .venv-test ## mypy --strict on source and tests
	$(PYTHON_ENV) -m mypy

imports: .venv-test ## the import directions of docs/architecture.md
	.venv/bin/lint-imports

tests: .venv-test ## all tests; core and protocols must be covered by branch to the last line
	$(PYTEST) $(COVERED) --cov-report=term-missing:skip-covered --cov-fail-under=100 $(ARGS)

fmt: .venv-test ## put the code into shape
	$(PYTHON_ENV) -m ruff format .
	$(PYTHON_ENV) -m ruff check --fix .

cover: .venv-test ## what no test reaches, in the whole package: htmlcov/index.html
	$(PYTEST) --cov=homeport --cov-branch --cov-report=html --cov-report=term-missing:skip-covered $(ARGS)

docs: .venv-test ## write the papers that are made from the code
	$(PYTHON_ENV) tools/make-docs

bench: .venv-test ## peers and Homeport in turn, ratios in one table: benchmarks/README.md; ARGS="--rows noop-16"
	$(PYTHON_ENV) -m benchmarks $(ARGS)

clean: ## remove what the targets made, never ./homeport-data
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache htmlcov .coverage .coverage.*
