#!/usr/bin/env bash
# Remake the pinned, hashed requirements for Python 3.11 and later on every platform. Needs `uv` on the PATH.
# The output names no registry, no address and no path of the machine that made it.
set -euo pipefail
cd "$(dirname "$0")/.."

compile() {
    uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
        --no-header --no-emit-index-url --no-emit-find-links "$@"
}

compile pyproject.toml requirements/dev.in \
    --extra test --extra cli --extra kit --extra redis --extra seal --extra openfeature --extra otel \
    --output-file requirements/dev.txt
# Held to the versions in dev.txt, so that both can be installed into one environment.
compile requirements/servers.in --constraint requirements/dev.txt --output-file requirements/servers.txt

# One environment for each framework: the framework, what its tests need, and the project's own dependencies. Where a `.overrides`
# stands beside it, a framework's bound is set aside there, with the reason.
for wanted in requirements/frameworks/*.in; do
    framework=${wanted%.in}
    overrides=()
    [[ -e $framework.overrides ]] && overrides=(--override "$framework.overrides")
    compile pyproject.toml requirements/frameworks.in "$wanted" ${overrides[@]+"${overrides[@]}"} \
        --output-file "$framework.txt"
done

# One environment for each version of the SDK that is held to. The newest on httpx2 is the main environment.
for wanted in requirements/lanes/*.in; do
    compile pyproject.toml requirements/lanes.in "$wanted" --output-file "${wanted%.in}.txt"
done

if grep -nE '://|^ *#.*/(home|root|opt|usr)/' requirements/*.txt requirements/*/*.txt; then
    echo "requirements name an address or a path" >&2
    exit 1
fi
