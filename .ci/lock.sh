#!/usr/bin/env bash
# Write constraints.txt (everything that `make test` needs) and constraints-image.txt (what the container image needs) anew:
# each package with its version and the hashes of its files. Versions stay as they are; `.ci/lock.sh --upgrade` takes newer ones.
# torch is in neither: which of its builds is right depends on the machine.
set -euo pipefail
cd "$(dirname "$0")/.."

uv=.venv-lock/bin/uv
[ -x "$uv" ] || { "${PYTHON:-python3}" -m venv .venv-lock && .venv-lock/bin/python -m pip install --quiet 'uv>=0.13,<0.14'; }

lock() {  # FILE EXTRA...
  local file=$1 extras=()
  shift
  for extra in "$@"; do extras+=(--extra "$extra"); done
  printf 'setuptools>=77\nwheel\n%s\n' "${BESIDE:-}" | "$uv" pip compile --quiet pyproject.toml - "${extras[@]}" --universal \
    --python-version 3.11 --generate-hashes --no-header --no-annotate --no-emit-package torch --output-file "$file" "${upgrade[@]}"
}

upgrade=("$@")
BESIDE=$'networkx\nsympy' lock constraints.txt text report tuning serve mcp index postgres excel images llm llm-local docs dev  # those two are for torch
lock constraints-image.txt text serve postgres llm
