#!/usr/bin/env bash
# Builds the packages, checks what is in them, and runs the wheel in bare environments.
# Usage: release_check.sh PYTHON [CONSTRAINTS...]; each argument after the first is one environment.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
python=$1
shift
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

rm -rf dist
"$python" -m build --outdir dist . >"$work/build.log" 2>&1 || { cat "$work/build.log" >&2; exit 1; }
"$python" -m twine check --strict dist/*
"$python" -m check_wheel_contents --ignore W004 dist/*.whl # W004 is about names of modules; data/ is not one
wheel=$(echo dist/*.whl)
contents=$("$python" -m zipfile --list "$wheel")
for file in $(git ls-files ffjax); do
  grep -q "^$file " <<<"$contents" || { echo "the wheel lacks $file" >&2; exit 1; }
done

for packages in "$@"; do
  echo "with ${packages:-the newest versions}"
  "$python" -m venv --clear "$work/venv"
  # shellcheck disable=SC2086 # several packages
  "$work/venv/bin/pip" install --quiet --disable-pip-version-check "$wheel" $packages
  (
    cd "$work"
    venv/bin/ffjax --version
    venv/bin/ffjax similar demo berlin -k 1
    venv/bin/python -c '
import ffjax, jax
emb = ffjax.demo()
vectors, found = jax.jit(ffjax.embed)(emb, ffjax.pack(["berlin", "berlinish"]))
print("jax", jax.__version__, vectors.shape, found)'
  )
done
