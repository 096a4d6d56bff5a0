#!/usr/bin/env bash
# Remake the exact lists of packages, for Python 3.11 and later on every platform. README.md says what they are. Needs `uv` on the PATH.
# A version that stands in a list stays, unless UPGRADE=1. The output names no registry, no address and no path of this machine.
set -euo pipefail
cd "$(dirname "$0")/.."

compile() {
    uv pip compile --quiet --python-version 3.11 --generate-hashes --no-header --no-emit-index-url --no-emit-find-links \
        ${UPGRADE:+--upgrade} "$@"
}
# Where a `.overrides` stands beside what is wanted, another package's bound is set aside there, with the reason.
overrides() {
    overriding=()
    if [[ -e $1.overrides ]]; then overriding=(--override "$1.overrides"); fi
}

# What installs the project itself.
builder=requirements/demo.in

compile --universal pyproject.toml requirements/dev.in \
    --extra test --extra tools --extra testing --extra parquet --extra redis --extra seal --extra openfeature \
    --output-file requirements/dev.txt
# Held to the versions in dev.txt, so that these can be installed into one environment with it.
compile --universal pyproject.toml $builder requirements/cli.in --constraint requirements/dev.txt --output-file requirements/demo.txt
compile --universal requirements/servers.in --constraint requirements/dev.txt --output-file requirements/servers.txt
# The same ruff as in dev.txt; the project itself isn't installed.
compile --universal requirements/docs.in --constraint requirements/dev.txt --output-file requirements/docs.txt

# One environment for each of a kind: that, what its tests need, and the project's own dependencies.
for kind in frameworks tracers; do
    for wanted in requirements/$kind/*.in; do
        overrides "${wanted%.in}"
        compile --universal pyproject.toml "requirements/$kind.in" "$wanted" ${overriding[@]+"${overriding[@]}"} \
            --output-file "${wanted%.in}.txt"
    done
done

# What the examples of some guides need, with the packages of dev.txt.
for wanted in requirements/guides/*.in; do
    compile --universal pyproject.toml requirements/guides.in "$wanted" --constraint requirements/dev.txt \
        --output-file "${wanted%.in}.txt"
done

# One environment for each version of the SDK that is held to. The newest on httpx2 is the main environment.
for wanted in requirements/lanes/*.in; do
    compile --universal pyproject.toml requirements/lanes.in "$wanted" --output-file "${wanted%.in}.txt"
done

# Published packages that are scanned: each alone. One that isn't an application has what it needs in a list of its own.
compile --universal --no-deps requirements/packages.in --output-file requirements/packages.txt
for wanted in requirements/packages/*.in; do
    overrides "${wanted%.in}"
    compile --universal pyproject.toml $builder "$wanted" ${overriding[@]+"${overriding[@]}"} --output-file "${wanted%.in}.txt"
done

# One environment for each published application that is run.
for wanted in requirements/apps/*.in; do
    overrides "${wanted%.in}"
    compile --universal pyproject.toml $builder "$wanted" ${overriding[@]+"${overriding[@]}"} --output-file "${wanted%.in}.txt"
done

compile --universal pyproject.toml $builder requirements/ray.in --extra testing --extra ray --constraint requirements/dev.txt \
    --output-file requirements/ray.txt
compile --universal pyproject.toml $builder requirements/litellm.in --output-file requirements/litellm.txt
# torch's CPU wheel is on its makers' own index: name that to uv and to pip (UV_FIND_LINKS or UV_EXTRA_INDEX_URL; PIP_…).
overrides requirements/vllm
compile --python-platform x86_64-manylinux_2_28 requirements/vllm.in "${overriding[@]}" --output-file requirements/vllm.txt

if grep -nE '://|^ *#.*/(home|root|opt|usr)/' requirements/*.txt requirements/*/*.txt; then
    echo "requirements name an address or a path" >&2
    exit 1
fi
