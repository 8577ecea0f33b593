#!/usr/bin/env bash
# Builds shunt's CUDA part for the GPU at hand, runs its tests, trains through failures, runs the tests once more under compute-sanitizer,
# and the GPU benchmarks, and writes a report.
#   tests/gpu/run.sh [REPORT.md] [STEP...]
# REPORT.md: build/gpu/report.md if not given. STEP: build, test, train, sanitize, benchmark; all of them in this order if none is named.
#
# Needs nvcc 13, a C++20 host compiler, CMake 3.25 and Ninja. NCCL: Debian's, the toolkit's, or the one in NVIDIA's Python package; without
# any its tests are left out. Training needs CLI11, Eigen and nlohmann-json. GoogleTest and Google Benchmark: installed, or as Debian's
# sources in build/debian-src/{googletest,benchmark} (the script says how to get them); nothing is downloaded here.
set -uo pipefail
cd "$(dirname "$0")/../.."
root=$PWD
report=$(realpath -m "${1:-build/gpu/report.md}")
shift || true
steps=${*:-build test train sanitize benchmark}
build=$root/build/cuda-release
logs=$root/build/gpu
mkdir -p "$logs" "$(dirname "$report")"
failed=0

die() { echo "run.sh: $*" >&2; exit 2; }
has() { command -v "$1" >/dev/null; }
wanted() { [[ " $steps " == *" $1 "* ]]; }
for step in $steps; do
  case $step in build | test | train | sanitize | benchmark) ;; *) die "unknown step '$step'; there are build, test, train, sanitize and benchmark" ;; esac
done

# What is there
PATH=$PATH:/usr/local/cuda/bin
has nvcc || die "no nvcc: put CUDA 13's bin folder into PATH"
has cmake || die "no cmake (3.25 or newer)"
has ninja || die "no ninja"
has nvidia-smi || die "no nvidia-smi: this machine has no NVIDIA driver"
smi() { nvidia-smi --query-gpu="$1" --format=csv,noheader --id=0 | head -1; }
device=$(smi name) || die "nvidia-smi finds no GPU"
architecture=$(smi compute_cap | tr -d .)
[[ $architecture =~ ^[0-9]+$ ]] || die "nvidia-smi doesn't say the GPU's compute capability"
commit=$(git rev-parse HEAD 2>/dev/null) || commit=${SHUNT_COMMIT:-unknown}
[[ -z $(git status --porcelain 2>/dev/null) ]] || commit="$commit with changes"

# GoogleTest and Google Benchmark: what is installed wins
prefix=$logs/prefix
found() { # <CMake package>
  mkdir -p "$logs/find"
  printf 'cmake_minimum_required(VERSION 3.25)\nproject(find CXX)\nfind_package(%s REQUIRED)\n' "$1" >"$logs/find/CMakeLists.txt"
  cmake -S "$logs/find" -B "$logs/find/$1" -G Ninja -DCMAKE_PREFIX_PATH="$prefix" >/dev/null 2>&1
}
from_sources() { # <CMake package> <source> <option>...
  local package=$1 source=$root/build/debian-src/$2
  shift 2
  found "$package" && return
  [[ -f $source/CMakeLists.txt ]] || die "$package is not installed, and its source is not in $source.
Install libgtest-dev and libbenchmark-dev, or on any Debian or Ubuntu with deb-src lines:
  mkdir -p build/debian-src && cd build/debian-src
  apt-get source googletest benchmark
  mv googletest-*/ googletest && mv benchmark-*/ benchmark"
  echo "== $package from ${source#"$root"/}"
  cmake -S "$source" -B "$logs/$package" -G Ninja -DCMAKE_BUILD_TYPE=Release -DCMAKE_INSTALL_PREFIX="$prefix" "$@" >"$logs/$package.log" 2>&1 &&
    cmake --build "$logs/$package" --target install >>"$logs/$package.log" 2>&1 || die "building $package failed, see $logs/$package.log"
}

# NCCL where CMake wouldn't look: inside NVIDIA's Python package, whose library has no plain name
nccl=()
find_nccl() {
  local folder
  folder=$(python3 -c 'import nvidia.nccl; print(list(nvidia.nccl.__path__)[0])' 2>/dev/null) || return 0
  [[ -f $folder/include/nccl.h && -f $folder/lib/libnccl.so.2 ]] || return 0
  nccl=(-DNCCL_INCLUDE_DIR="$folder/include" -DNCCL_LIBRARY="$folder/lib/libnccl.so.2")
  export LD_LIBRARY_PATH=$folder/lib:${LD_LIBRARY_PATH-}
}
find_nccl

{
  echo "# GPU report"
  echo
  echo "| what | |"
  echo "|---|---|"
  echo "| device | $device, compute capability $(smi compute_cap), $(smi memory.total) |"
  echo "| driver | $(smi driver_version) |"
  echo "| CUDA | $(nvcc --version | sed -n 's/.*release \([^,]*\), \(V[0-9.]*\).*/\1 (\2)/p') |"
  echo "| NCCL | ${nccl[0]:-as CMake finds it} |" | sed 's/-DNCCL_INCLUDE_DIR=//'
  echo "| host | $(uname -sr), $(nproc) cores, $(g++ --version 2>/dev/null | head -1) |"
  echo "| date | $(date -u '+%Y-%m-%d %H:%M UTC') |"
  echo "| commit | $commit |"
  echo "| steps | $steps |"
} >"$report"

# section <title> <log> <command>...: runs it, shows it, puts its end and its verdict into the report
section() {
  local title=$1 log=$logs/$2 start=$SECONDS verdict
  shift 2
  echo "== $title"
  if "$@" >"$log" 2>&1; then verdict=passed; else verdict="**failed** (exit status $?)" failed=1; fi
  tail -n 40 "$log"
  { printf '\n## %s\n\n%s, %d s.\n\n```\n' "$title" "$verdict" $((SECONDS - start)); tail -n "${lines:-25}" "$log"; printf '```\n'; } >>"$report"
  echo "== $title: $verdict, $((SECONDS - start)) s"
}

build() {
  cmake --preset cuda-release -DCMAKE_CUDA_COMPILER="$(command -v nvcc)" -DCMAKE_CUDA_ARCHITECTURES="$architecture" \
    -DCMAKE_PREFIX_PATH="$prefix" "${nccl[@]}" && cmake --build --preset cuda-release
}
if wanted build; then
  from_sources GTest googletest -DBUILD_GMOCK=OFF
  from_sources benchmark benchmark -DBENCHMARK_ENABLE_TESTING=OFF -DBENCHMARK_ENABLE_GTEST_TESTS=OFF -DBENCHMARK_ENABLE_WERROR=OFF
  lines=8 section "Build" build.log build
fi
if wanted test; then
  [[ -d $build ]] || die "nothing is built yet: name the step build"
  lines=60 section "Tests with the label gpu" test.log ctest --test-dir "$build" -L gpu --output-on-failure --no-tests=error --timeout 300
fi

trained() { # failures, a re-joining worker, steps taken back; each compared to the bit with a run without failures, and with the host
  local engine result=0
  for engine in cuda cuda-graphs; do
    for options in "" "--clip 2 --inject-nan 2@9:4"; do
      echo "train_through_failures --engine $engine $options"
      # shellcheck disable=SC2086 # options are words
      timeout 300 "$build/examples/train_through_failures" --engine $engine $options --iterations 16 --kill 1:2@4,0:1@8 --join 1:2@12 || result=$?
    done
  done
  for engine in cuda cuda-graphs; do # experts placed anew, and anywhere; ranks that fall silent
    for options in "--policy both" "--dropless --policy random,swift_moe,uniform" "--policy swift_moe --shards mirrored --kill 3@5,9@12"; do
      echo "adaptive_experts --engine $engine $options"
      # shellcheck disable=SC2086
      timeout 300 "$build/examples/adaptive_experts" --engine $engine $options --iterations 20 || result=$?
    done
  done
  return $result
}
if wanted train; then
  if [[ -x $build/examples/train_through_failures && -x $build/examples/adaptive_experts ]]; then
    lines=240 section "Training through failures" train.log trained
  else
    printf '\n## Training through failures\n\nNot run: the example programs need CLI11, Eigen and nlohmann-json.\n' >>"$report"
  fi
fi

sanitized() {
  local program tool result=0
  for program in "$build"/tests/test.gpu "$build"/tests/test.gpu_examples; do
    [[ -x $program ]] || continue
    echo "memcheck: all of $(basename "$program")"
    # calls that the tests want refused are no errors
    timeout 900 compute-sanitizer --tool memcheck --report-api-errors no --error-exitcode 9 "$program" --gtest_brief=1 || result=$?
  done
  if [[ -x $build/examples/train_through_failures ]]; then
    echo "memcheck: train_through_failures"
    timeout 900 compute-sanitizer --tool memcheck --error-exitcode 9 "$build/examples/train_through_failures" --engine cuda --iterations 3 \
      --kill 1:2@1 || result=$?
    echo "memcheck: adaptive_experts"
    timeout 900 compute-sanitizer --tool memcheck --error-exitcode 9 "$build/examples/adaptive_experts" --engine cuda --iterations 3 --tokens 64 \
      --policy swift_moe --shards mirrored --kill 3@1 || result=$?
  fi
  for tool in racecheck synccheck; do # what threads share: placement, split
    echo "$tool: PlacementKernels"
    timeout 600 compute-sanitizer --tool $tool --error-exitcode 9 "$build/tests/test.gpu" --gtest_brief=1 \
      --gtest_filter='PlacementKernels.AGraph*' || result=$?
  done
  return $result
}
if wanted sanitize; then
  if has compute-sanitizer; then
    section "compute-sanitizer" sanitize.log sanitized
  else
    printf '\n## compute-sanitizer\n\nNot run: there is no compute-sanitizer on this machine.\n' >>"$report"
  fi
fi

benchmarks() {
  local program result=0
  rm -f "$logs"/*.csv
  for program in "$build"/benchmarks/gpu/benchmark.gpu_*; do
    [[ -x $program && ! -d $program ]] || continue
    echo "$(basename "$program")"
    timeout 600 "$program" --benchmark_out="$logs/$(basename "$program").csv" --benchmark_out_format=csv 2>/dev/null || result=$?
  done
  ! grep -hE '^".*,true,' "$logs"/*.csv || result=1 # a benchmark that says why it can't run
  return $result
}
# row <target> <benchmark's name> <column> <at most|at least> <limit>: a row of the table of targets, from the benchmarks' tables
row() {
  awk -F, -v what="$1" -v name="\"$2" -v column="$3" -v sense="$4" -v limit="$5" '
    /^name,/ { delete at; for (i = 1; i <= NF; ++i) { gsub(/"/, "", $i); at[$i] = i } next }
    index($1, name) == 1 && $at["error_occurred"] != "true" { found = 1; value = $at[column] }
    END {
      if (!found || value == "") { printf "| %s | %s %s | not run | |\n", what, sense, limit; exit }
      good = sense == "at most" ? value <= limit : value >= limit
      printf "| %s | %s %s | %.3g | %s |\n", what, sense, limit, value, good ? "met" : "**missed**"
    }' "$logs"/benchmark.gpu_*.csv
}
if wanted benchmark; then
  lines=200 section "Benchmarks" benchmark.log benchmarks
  {
    printf '\n## Targets\n\n| what | target | measured | |\n|---|---|---|---|\n'
    row '`swift_moe`, 58 layers x 256 experts x 288 slots, µs' swift_moe/58/256/288/32/0 real_time 'at most' 50
    row '`swift_moe`, the same with all loads equal, µs' swift_moe/58/256/288/32/1 real_time 'at most' 50
    row '`eplb`, 58 layers x 256 experts x 288 slots, µs' eplb/58/256/288/32/0 real_time 'at most' 150
    row '`eplb`, the same with all loads equal, µs' eplb/58/256/288/32/1 real_time 'at most' 150
    for kernel in adam/0 adam/1 adam_rollback pack unpack slot_gradient_sum; do
      row "\`$kernel\`, part of measured copy bandwidth" "$kernel/" of_copy 'at least' 0.9
    done
    row 'a whole step of a pipeline as a graph: launches' graph_step/0 launches 'at most' 1
    row 'its host time, µs' graph_step/0 real_time 'at most' 20
  } >>"$report"
fi

echo "== report: $report"
exit $failed
