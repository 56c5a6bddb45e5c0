#!/usr/bin/env bash
# Look at distributions as the package index and installers will: tools/check_dist.sh FILE...
set -euo pipefail
[ $# -gt 0 ] || { echo "usage: tools/check_dist.sh FILE..." >&2; exit 1; }
fail() { printf 'error: %s\n' "$1" >&2; exit 1; }

twine check --strict "$@"
settings=$(dirname "${BASH_SOURCE[0]}")/../pyproject.toml
pydistcheck --config "$settings" "$@"
for file in "$@"; do
    case $file in
    *.whl) most=$((13 * 1024 * 1024 / 4)) ;;
    *) most=$((3 * 1024 * 1024 / 2)) ;;
    esac
    size=$(wc -c < "$file")
    [ "$size" -lt "$most" ] || fail "$file has $size bytes, expected fewer than $most"
    case $file in
    *.whl) check-wheel-contents --config "$settings" "$file" ;;&
    # Not the wheels of abi3.abi3t: it takes their entry, PyModExport, for a violation.
    *-abi3-*.whl) abi3audit --strict --summary "$file" ;;&
    *-manylinux*.whl)
        # The oldest C library that it runs with, read from the symbols and not from the name.
        found=$(auditwheel show "$file" | tr '\n' ' ' | grep -oE 'platform tag: *"[a-z]+_[0-9]+_[0-9]+' | grep -oE '[0-9]+_[0-9]+$')
        printf '%s: glibc %s\n' "$(basename "$file")" "${found/_/.}"
        [ "${found#*_}" -le 17 ] || fail "$file needs glibc ${found/_/.}, expected 2.17 or older"
        ;;
    esac
done
