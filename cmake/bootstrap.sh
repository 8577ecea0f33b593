#!/usr/bin/env bash
# Installs what is missing of the Debian packages that shunt's tests, examples and benchmarks are
# built with.
#   bash cmake/bootstrap.sh         for the presets test and demo
#   bash cmake/bootstrap.sh --all   and for the other presets and the formatter
#   bash cmake/bootstrap.sh --torch and PyTorch in build/torch, for the tests with the label torch:
#                                   1 GB for CPUs alone, 6 GB where only PyPI's can be had
set -euo pipefail

packages=(g++ cmake ninja-build libgtest-dev libbenchmark-dev libeigen3-dev nlohmann-json3-dev
  libcli11-dev librange-v3-dev libgloo-dev python3-dev python3-numpy pybind11-dev)
case "${1-}" in
  '') ;;
  --all) packages+=(clang-19 libclang-rt-19-dev clang-14 clang-format-19
    clang-tidy-19 stress-ng) ;;
  --torch) packages+=(python3-venv) ;;
  *) echo "bootstrap: unknown argument '$1'; there are --all and --torch" >&2; exit 2 ;;
esac

if ! command -v apt-get >/dev/null || ! command -v dpkg-query >/dev/null; then
  echo "bootstrap: this is no Debian; please install what these Debian packages hold: ${packages[*]}" >&2
  exit 1
fi

missing=()
for package in "${packages[@]}"; do
  status=$(dpkg-query --show --showformat='${db:Status-Status}' "$package" 2>/dev/null || true)
  [[ $status == installed ]] || missing+=("$package")
done
if (( ${#missing[@]} == 0 )); then
  echo "bootstrap: all ${#packages[@]} packages are there"
else
  as_root=()
  if (( EUID != 0 )); then
    command -v sudo >/dev/null || { echo "bootstrap: to install ${missing[*]}, run me as root or install sudo" >&2; exit 1; }
    as_root=(sudo)
  fi
  echo "bootstrap: installing ${missing[*]}"
  export DEBIAN_FRONTEND=noninteractive
  "${as_root[@]}" apt-get -qq update
  "${as_root[@]}" apt-get -qq -o DPkg::Lock::Timeout=600 -o Dpkg::Use-Pty=0 install --no-install-recommends "${missing[@]}" >/dev/null
fi

[[ ${1-} == --torch ]] || exit 0
at=$(cd "$(dirname "$0")/.." && pwd)/build/torch
if [[ ! -x $at/bin/python ]] || ! "$at/bin/python" -c 'import torch' 2>/dev/null; then
  echo "bootstrap: PyTorch goes to $at: 1 GB for CPUs alone, 6 GB where only PyPI's can be had"
  /usr/bin/python3 -m venv "$at"
  "$at/bin/pip" install -q --retries 0 --timeout 15 --index-url https://download.pytorch.org/whl/cpu torch numpy 2>/dev/null ||
    "$at/bin/pip" install -q torch numpy
fi
echo "bootstrap: PyTorch $("$at/bin/python" -c 'import torch; print(torch.__version__)') in $(du -sh "$at" | cut -f1)"
