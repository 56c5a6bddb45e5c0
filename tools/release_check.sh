#!/usr/bin/env bash
# Make what a release would publish for this machine, and look at it as the package index and users
# will. Takes the tools of the extra "release"; of the network only NumPy's wheels, once:
#   python -m pip install ".[release]" && bash tools/release_check.sh [FOLDER]
# FOLDER receives the distributions.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
root=$PWD
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$root/target}" PIP_DISABLE_PIP_VERSION_CHECK=1
fail() { printf 'error: %s\n' "$1" >&2; exit 1; }
for tool in maturin twine auditwheel abi3audit check-wheel-contents pydistcheck zizmor; do
    command -v "$tool" > /dev/null || fail "$tool is needed: python -m pip install \".[release]\""
done
scratch=$(mktemp -d "${TMPDIR:-/tmp}/amfast-release.XXXXXX")
trap 'rm -rf "$scratch"' EXIT
dist=$scratch/dist
wheelhouse=$CARGO_TARGET_DIR/wheelhouse
mkdir "$scratch/tree" "$dist"

version=$(python tools/versions.py)
echo "version $version in all its places"
# The README as a page, the pins of actions, the parts of this check.
python -m pytest -q -p no:cacheprovider tests/test_release.py
zizmor --offline --quiet .github/workflows
# actionlint comes with no package that installs without GitHub, so it is asked where it is.
if command -v actionlint > /dev/null; then actionlint; fi

# The tree as it is, with a README that stands by itself.
git ls-files -z --cached --others --exclude-standard | while IFS= read -r -d '' file; do
    if [ -e "$file" ]; then printf '%s\0' "$file"; fi
done | tar --null -T - -cf - | tar -xf - -C "$scratch/tree"
python tools/absolute_links.py "$scratch/tree/README.md" "v$version"
(cd "$scratch/tree" && maturin sdist --out "$dist")

# Users without a wheel build from the source distribution, so the wheel is made of it too.
# What is published goes without the names of functions.
export CARGO_PROFILE_RELEASE_STRIP=symbols
# With the time of now: to cargo, files of 2006 would be what it has built before.
tar -xmzf "$dist"/*.tar.gz -C "$scratch"
(cd "$scratch/amfast_memory-$version" && maturin build --locked --release --zig \
    --compatibility manylinux2014 --out "$dist")
python tools/finish_wheel.py "$dist"/*.whl
bash tools/check_dist.sh "$dist"/*

# One wheel for every CPython that is here.
ran=0
for minor in 10 11 12 13 14; do
    for python in "$(command -v "python3.$minor")" "${PYENV_ROOT:-$HOME/.pyenv}/versions/3.$minor."*/bin/python; do
        "$python" -c '' 2> /dev/null || continue
        site=$scratch/site-$minor
        install=(python -m pip --python "$python" install --quiet --find-links "$wheelhouse" --target "$site")
        "${install[@]}" --no-index "$dist"/*.whl 2> /dev/null || {
            python -m pip --python "$python" download --quiet --only-binary :all: --dest "$wheelhouse" "numpy>=2.0"
            "${install[@]}" --no-index "$dist"/*.whl
        }
        PYTHONPATH=$site "$python" -W error tools/smoke.py "$scratch/tree/README.md"
        ran=$((ran + 1))
        break
    done
done
[ "$ran" -gt 0 ] || fail "no CPython 3.10 to 3.14 was found to run the wheel with"
if [ $# -gt 0 ]; then mkdir -p "$1" && cp "$dist"/* "$1"; fi
echo "the release of $version is in order: $(cd "$dist" && echo *)"
