#!/usr/bin/env bash
# Checks that take longer than CI may: each is a step that can run alone.
#   tools/long_checks.sh [--minutes N] [STEP ...]
# Steps, all of them by default, in this order:
#   valgrind     the engine's tests under memcheck, which runs no AVX-512 (needs valgrind and cargo)
#   hypothesis   every property test and state machine, with new examples, for N minutes
#   atheris      damaged and forged files into am.load, for N minutes
#   memory       the examples of every public name under ever tighter limits of memory
#   minimum      the tests with the oldest versions that pyproject.toml allows
#   pythons      the tests under every CPython >= 3.10 on this machine, >= 3.14 without a lock
# N is 60 unless said. PYTHON is an interpreter with amfast and its test extra (default: python3);
# what else is needed comes from PyPI into a folder that is removed at the end. PROPTEST_CASES
# and TESTS (files for the last two) make steps shorter.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
python=${PYTHON:-python3}
minutes=60
steps=()
while [ $# -gt 0 ]; do
    case $1 in
        --minutes) minutes=${2:?--minutes needs a number}; shift 2 ;;
        -h | --help) sed -n '2,/^set/{/^set/!s/^# \{0,1\}//p}' "$0"; exit 0 ;;
        valgrind | hypothesis | atheris | memory | minimum | pythons) steps+=("$1"); shift ;;
        *) printf 'error: no step is called %s (see --help)\n' "$1" >&2; exit 2 ;;
    esac
done
[ ${#steps[@]} -gt 0 ] || steps=(valgrind hypothesis atheris memory minimum pythons)
ls python/amfast/_core.*so >/dev/null 2>&1 || { echo "error: build first: $python -m pip install -e '.[test]'" >&2; exit 2; }
scratch=$(mktemp -d "${TMPDIR:-/tmp}/amfast-long.XXXXXX")
trap 'rm -rf "$scratch"' EXIT
# Every interpreter below finds this tree, with the one extension (abi3) that was built in it.
export PYTHONPATH=$PWD/python PYTHONDONTWRITEBYTECODE=1 PIP_DISABLE_PIP_VERSION_CHECK=1
tests=(-q -p no:cacheprovider -W ignore::DeprecationWarning)
read -r -a files <<< "${TESTS:-tests}"

# One of the tools from PyPI, in an environment of its own beside what PYTHON has.
tool() {
    [ -d "$scratch/$1" ] || { "$python" -m venv "$scratch/$1"; "$scratch/$1/bin/python" -m pip install -q "$@"; }
}

valgrind() {
    local binary
    cargo test --locked --no-run --message-format=json 2>/dev/null |
        "$python" -c 'import json, sys
for line in sys.stdin:
    made = json.loads(line)
    if made.get("executable") and made["profile"]["test"]:
        print(made["executable"])' > "$scratch/binaries"
    # A test body runs about fifty times slower here; shapes repeat after a few random cases.
    export PROPTEST_CASES=${PROPTEST_CASES:-8} AMFAST_TEST_QUICK=${AMFAST_TEST_QUICK:-1}
    while read -r binary; do
        echo "-- ${binary##*/}"
        # Left out is the test of single operations: memcheck's own fnma has another sign of zero.
        command valgrind --quiet --error-exitcode=9 --leak-check=no --fair-sched=yes "$binary" \
            --quiet --skip arithmetic < /dev/null
    done < "$scratch/binaries"
}

hypothesis() {
    local end=$((SECONDS + 60 * minutes)) seed code round=0
    while [ $SECONDS -lt $end ]; do
        round=$((round + 1)) seed=$RANDOM$RANDOM code=0
        mapfile -t found < <(grep -rlE "hypothesis" tests --include="test_*.py" | shuf)
        echo "-- round $round, --hypothesis-seed=$seed"
        HYPOTHESIS_PROFILE=long timeout -s INT $((end - SECONDS + 1)) "$python" -m pytest "${tests[@]}" \
            -x -m hypothesis --hypothesis-seed="$seed" "${found[@]}" || code=$?
        # 124: the time is up in the middle of a round.
        [ $code -eq 0 ] || [ $code -eq 124 ] || return $code
    done
}

atheris() {
    tool atheris numpy
    mkdir "$scratch/corpus"
    "$scratch/atheris/bin/python" tools/fuzz_load.py -max_total_time=$((60 * minutes)) -timeout=20 \
        -rss_limit_mb=3000 -print_final_stats=1 -artifact_prefix="$PWD/fuzz-" "$scratch/corpus" tests/data/files
}

memory() {
    "$python" tools/limited.py
    "$python" -m pytest "${tests[@]}" tests/test_process.py -k without
}

# An environment with what the tests need, by uv, which knows the lowest versions and finds interpreters.
environment() {
    local name=$1 interpreter=$2 resolution=$3; shift 3
    tool uv
    "$scratch/uv/bin/uv" venv -q --no-python-downloads -p "$interpreter" "$scratch/$name"
    "$scratch/uv/bin/uv" pip install -q --only-binary :all: -p "$scratch/$name" --resolution "$resolution" \
        "${@/#/--extra=}" -r pyproject.toml
}

minimum() {
    # torch alone is larger than all others, and bench is for measurements.
    environment minimum "$("$python" -c 'import sys; print(sys.executable)')" lowest-direct \
        completion dask data demo files-test frames interop-test polars recovery sklearn test
    "$scratch/minimum/bin/python" -m pytest "${tests[@]}" "${files[@]}"
}

pythons() {
    local interpreter version
    tool uv
    # uv looks along PATH; pyenv keeps its interpreters beside it.
    PATH="$PATH$(printf ':%s' "${PYENV_ROOT:-$HOME/.pyenv}"/versions/*/bin)" \
        "$scratch/uv/bin/uv" python list --only-installed --no-python-downloads --output-format json 2>/dev/null |
        "$python" -c 'import json, sys
best = {}
for found in json.load(sys.stdin):
    parts = found["version_parts"]
    minor = parts["major"], parts["minor"]
    oldest = {"default": (3, 10), "freethreaded": (3, 14)}.get(found["variant"])
    if found["implementation"] == "cpython" and oldest and minor >= oldest:
        suffix = "t" if found["variant"] == "freethreaded" else ""
        best.setdefault((*minor, suffix), found["path"])
for version in sorted(best):
    print("{}.{}{}".format(*version), best[version])' > "$scratch/interpreters"
    while read -r version interpreter; do
        echo "-- CPython $version, $interpreter"
        environment "python$version" "$interpreter" highest test
        # The extension in this tree is abi3, which interpreters without a lock do not load.
        case $version in *t)
            "$scratch/uv/bin/uv" pip install -q --no-deps -p "$scratch/python$version" -e . ;;
        esac
        "$scratch/python$version/bin/python" -m pytest "${tests[@]}" "${files[@]}" < /dev/null
    done < "$scratch/interpreters"
}

if [ ${#steps[@]} -eq 1 ]; then
    printf '\n== %s ==\n' "${steps[0]}"
    "${steps[0]}"
    printf -- '-- %s: well, %d s\n' "${steps[0]}" $SECONDS
    exit
fi
# Each in a process of its own: a finding of one is no reason to leave the others out.
failed=()
for step in "${steps[@]}"; do
    bash tools/long_checks.sh --minutes "$minutes" "$step" || failed+=("$step")
done
[ ${#failed[@]} -eq 0 ] || { printf '\nFAILED: %s\n' "${failed[*]}"; exit 1; }
