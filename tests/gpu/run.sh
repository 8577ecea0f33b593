#!/usr/bin/env bash
# One round on a machine with a GPU, from programs that were built elsewhere.
#   tests/gpu/run.sh pack [BUILD [TO [ARCHITECTURE]]]
#       fills TO (.gpu) from the built preset cuda-release (BUILD: build/cuda-release) for devices
#       of ARCHITECTURE (90) and above, and says its size, at most 64 MiB
#   .gpu/run.sh round [SECONDS [OUT]]
#       there: all tests, trainings and benchmarks in at most SECONDS (330); logs and the table go
#       to OUT (.gpu/out)
#
# .gpu/ needs glibc 2.34, the driver, and cuBLASLt 13 and NCCL 2 of the toolkit, of the system or of
# NVIDIA's Python packages; no source, no compiler. Every check is a process of its own with a
# limit, so that one that hangs takes nothing along. What fails runs again with launches that wait,
# with all kernels loaded at the start, and under memcheck. Correctness comes first, then times,
# then sanitizers while time is left; the table of all of it is printed as it grows.
# Exit status: 0 nothing failed, 1 something did, 2 the arguments, the packed tree or the machine
# are wrong.
set -uo pipefail
die() { echo "run.sh: $*" >&2; exit 2; }

programs=(tests/test.gpu tests/test.gpu_nccl
  benchmarks/gpu/benchmark.gpu_{bandwidth,placement,executors}
  examples/{train_through_failures,adaptive_experts})

pack() {
  local root build to program library path size wanted architecture
  root=$(cd "$(dirname "$0")/../.." && pwd) || exit 2
  build=${1:-$root/build/cuda-release}
  to=${2:-$root/.gpu}
  wanted=${3:-90}
  [[ -f $build/CMakeCache.txt ]] || die "no build in $build: cmake --workflow --preset cuda-release"
  architecture=$(sed -n 's/^CMAKE_CUDA_ARCHITECTURES:[A-Z]*=//p' "$build/CMakeCache.txt")
  [[ -n $architecture ]] || die "$build is built without CUDA"
  [[ $architecture == "$wanted" ]] ||
    die "$build is built for architecture $architecture, not $wanted"
  rm -rf "$to" && mkdir -p "$to/bin" "$to/lib" "$to/fallback" || exit 2
  for program in "${programs[@]}"; do
    [[ -x $build/$program ]] || { echo "pack: no $program"; continue; }
    strip -o "$to/bin/${program##*/}" "$build/$program" || die "can't strip $program"
  done
  [[ -x $to/bin/test.gpu ]] || die "no tests/test.gpu in $build: its build isn't complete"
  # What such a machine lacks; cuBLASLt and NCCL are large and there.
  for library in libcudart.so.13 libbenchmark.so.1 libgtest.so.1 libstdc++.so.6 libgcc_s.so.1; do
    path=$(ldd "$to"/bin/* 2>/dev/null | awk -v l="$library" 'index($1, l) == 1 { print $3; exit }')
    case $library in
      libstdc++* | libgcc*) [[ -n $path ]] && cp -L "$path" "$to/fallback/$library" ;;
      *) [[ -n $path ]] && cp -L "$path" "$to/lib/$library" ;;
    esac
  done
  cp "$root/tests/data/text/tiny_shakespeare.txt" "$to/text"
  cp "$root/tests/gpu/run.sh" "$to/run.sh"
  {
    git -C "$root" rev-parse HEAD 2>/dev/null || echo unknown
    uname -m
    echo "$architecture"
  } >"$to/built"
  size=$(du -sk "$to" | cut -f1)
  ((size <= 65536)) || die "$to is $((size / 1024)) MiB, more than 64"
  echo "pack: $(ls "$to/bin" | wc -l) programs, $((size / 1024)) MiB in $to"
}

# ---- on the machine with the GPU
left() { echo $((budget - SECONDS)); }
say() { echo "$*" | tee -a "$table"; }

# attempt <label> <limit> <command>...: runs it in what time is left; sets rc, took; keeps the log.
attempt() {
  local label=$1 limit=$2 begin=$EPOCHREALTIME
  shift 2
  (($(left) < limit)) && limit=$(left)
  rc=255 took=-
  ((limit < 3)) && return
  timeout -k 5 "$limit" "$@" >"$work/last" 2>&1
  rc=$?
  took=$(awk -v a="$begin" -v b="$EPOCHREALTIME" 'BEGIN { printf "%.1f", b - a }')
  { echo "#### $label: exit status $rc, $took s"; tail -n 400 "$work/last" | cut -c1-600; } >>"$log"
}

passed=0 failed=0 skipped=0 repeated=0 unrun=0
declare -A lacks # by program: the library that it doesn't find
no_device=': (there is no CUDA|no CUDA device|the driver is for CUDA)'
# check <label> <limit> <command>...: a row of the table; what fails is run again in three ways.
check() {
  local label=$1 limit=$2 verdict=FAILS how why
  shift 2
  [[ -n ${lacks[${1##*/}]-} ]] && ((++skipped)) && return
  attempt "$label" "$limit" "$@"
  if ((rc == 255)); then
    ((unrun++ == 0)) && say "$(printf '%-8s %6s  %s' 'no time' - "$label, and all that follows")"
    return
  fi
  if grep -qE "^\[  SKIPPED \]|^error: engine$no_device" "$work/last"; then
    why=$(grep -E '^[a-z].*(CUDA|device)' "$work/last" | head -1 | sed 's/^error: engine: //')
    ((++skipped))
    say "$(printf '%-8s %6s  %s: %s' skipped "$took" "$label" "$why")"
    return
  fi
  ((rc == 124 || rc >= 137)) && verdict=HANGS
  ((rc >= 130 && rc < 137)) && verdict=CRASHES
  ((rc == 139)) && verdict=CRASHES
  if ((rc == 0)); then verdict=ok && ((++passed)); else ((++failed)); fi
  say "$(printf '%-8s %6s  %s' "$verdict" "$took" "$label")"
  [[ $verdict == ok ]] && return
  tail -n 8 "$work/last" | cut -c1-240 | sed 's/^/    | /' | tee -a "$table"
  ((++repeated > 4)) && return
  for how in CUDA_LAUNCH_BLOCKING=1 CUDA_MODULE_LOADING=EAGER; do
    attempt "$label, $how" 40 env $how CUBLASLT_LOG_LEVEL=2 "$@"
    say "$(printf '    %-4s %6s  with %s' "$rc" "$took" "$how")"
  done
  command -v compute-sanitizer >/dev/null || return
  attempt "$label, memcheck" 60 compute-sanitizer --tool memcheck --error-exitcode 9 "$@"
  say "    $rc $took  memcheck: $(grep -E 'Invalid|SUMMARY' "$work/last" | head -2 | paste -sd' ')"
}
tests_of() { # <program>: names of its tests
  "$here/bin/$1" --gtest_list_tests 2>/dev/null | awk '/^[^ ]/ { s = $1; next } NF { print s $1 }'
}
checked_tests() { # <program> <pattern>
  local t
  [[ -x $here/bin/$1 ]] || { say "no $1"; return; }
  [[ -n ${lacks[$1]-} ]] && ((++skipped)) && return
  for t in $(tests_of "$1" | grep -E "$2"); do
    check "$t" 45 "$here/bin/$1" --gtest_filter="$t"
  done
}

# Where cuBLASLt, NCCL and the CUDA runtime lie: the toolkit, the system, NVIDIA's Python packages.
libraries() {
  local name folder
  for name in libcublasLt.so.13 libnccl.so.2; do
    for folder in /usr/local/cuda/lib64 /usr/lib/x86_64-linux-gnu /usr/local/nvidia/lib64 \
      $(python3 -c 'import glob, nvidia
for p in nvidia.__path__: print(*glob.glob(p + "/*/lib"))' 2>/dev/null); do
      [[ -e $folder/$name ]] && echo "$folder" && break
    done
  done
}

trainings() {
  local engine train=$here/bin/train_through_failures adapt=$here/bin/adaptive_experts
  local kills="--kill 1:2@3,0:1@6 --join 1:2@8"
  for engine in cuda cuda-graphs; do # options are words
    # shellcheck disable=SC2086
    {
      check "train_through_failures $engine, kills and a join" 60 "$train" --engine $engine \
        --text "$here/text" --iterations 12 $kills
      check "train_through_failures $engine, clipped and spoilt" 60 "$train" --engine $engine \
        --text "$here/text" --iterations 10 --clip 2 --inject-nan 2@3:4,0@5 $kills
      local adapted=("$adapt" --engine $engine --text "$here/text" --tokens 64)
      check "adaptive_experts $engine, near the host" 60 "${adapted[@]}" --iterations 12
      check "adaptive_experts $engine, dropless" 60 "${adapted[@]}" --iterations 8 --dropless \
        --policy random,swift_moe,uniform
      check "adaptive_experts $engine, lost ranks" 60 "${adapted[@]}" --iterations 8 \
        --policy swift_moe --shards mirrored --kill 3@2,4@4,0@5
    }
  done
}

# Streams beyond the hardware queues wait for each other: the same runs with 8 queues and with 32.
queues() {
  local n
  for n in 8 32; do
    [[ -n ${lacks[train_through_failures]-} ]] && return
    attempt "$n queues" 40 env CUDA_DEVICE_MAX_CONNECTIONS=$n "$here/bin/train_through_failures" \
      --engine cuda --text "$here/text" --iterations 40
    say "train_through_failures, 40 iterations, $n hardware queues: exit status $rc, $took s"
  done
}

benchmarks() {
  local b
  for b in bandwidth placement executors; do
    attempt "benchmark $b" 60 "$here/bin/benchmark.gpu_$b" --benchmark_min_time=0.2 \
      --benchmark_out="$out/$b.csv" --benchmark_out_format=csv
    [[ $rc == 0 || $rc == 255 ]] || say "benchmark $b: exit status $rc"
  done
}
# target <text> <benchmark's name> <column> <at most|at least> <limit>: a row with its verdict
target() {
  say "$(awk -F, -v what="$1" -v name="\"$2" -v column="$3" -v sense="$4" -v limit="$5" '
    /^name,/ { delete at; for (i = 1; i <= NF; ++i) { gsub(/"/, "", $i); at[$i] = i } next }
    index($1, name) == 1 && $at["error_occurred"] != "true" { found = 1; value = $at[column] }
    END {
      if (!found || value == "") { printf "%s: %s %s: not run", what, sense, limit; exit }
      good = sense == "at most" ? value <= limit : value >= limit
      printf "%s: %s %s: %.3g, %s", what, sense, limit, value, good ? "met" : "MISSED"
    }' "$out"/*.csv 2>/dev/null)"
}
targets() {
  touch "$out/none.csv"
  target "swift_moe, 58 layers x 256 experts x 288 slots, us" swift_moe/58/256/288/32/0 real_time \
    "at most" 5
  target "eplb, the same, us" eplb/58/256/288/32/0 real_time "at most" 40
  local kernel
  for kernel in adam/0 adam/1 adam_rollback {pack,unpack,whole_scatter}/{16,15} \
    slot_gradient_sum; do
    target "$kernel, part of a copy's bandwidth" "$kernel" of_copy "at least" 0.9
  done
  target "host time of a step's launch as a graph, us" graph_step/0 real_time "at most" 20
  target "launches of a step as a graph" graph_step/0 launches "at most" 1
  rm -f "$out/none.csv"
}

sanitized() {
  local each tool filter
  command -v compute-sanitizer >/dev/null || { say "no compute-sanitizer"; return; }
  for each in 'memcheck *_kernels.*' 'racecheck placement_kernels.*graph*' \
    'synccheck placement_kernels.*graph*' 'initcheck token_kernels.*'; do
    tool=${each%% *} filter=${each#* }
    attempt "$each" 45 compute-sanitizer --tool "$tool" --report-api-errors no \
      --error-exitcode 9 "$here/bin/test.gpu" --gtest_filter="$filter"
    say "$each: exit status $rc, $took s, $(grep -E 'SUMMARY' "$work/last" | tail -1)"
  done
}

round() {
  budget=${1:-330}
  [[ $budget =~ ^[0-9]+$ ]] || die "SECONDS must be a number, is '$budget'"
  ((budget > 5)) || die "$budget s are too few for anything"
  here=$(cd "$(dirname "$0")" && pwd) || exit 2
  [[ -x $here/bin/test.gpu && -f $here/built ]] || die "$here is no packed tree: run.sh pack"
  local commit machine architecture
  { read -r commit && read -r machine && read -r architecture; } <"$here/built" ||
    die "$here/built is not what this run.sh packs"
  [[ $machine == "$(uname -m)" ]] || die "$here is packed for $machine, this is $(uname -m)"
  out=$(realpath -m "${2:-$here/out}")
  mkdir -p "$out" || die "can't write to $out"
  log=$out/round.log table=$out/table.txt
  : >"$log" >"$table"
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
  PATH=$PATH:/usr/local/cuda/bin:/usr/local/nvidia/bin
  LD_LIBRARY_PATH=$here/lib:$(libraries | paste -sd:):${LD_LIBRARY_PATH-}
  export LD_LIBRARY_PATH
  tests_of test.gpu | grep -q . || LD_LIBRARY_PATH+=:$here/fallback

  say "== machine"
  device=$(nvidia-smi --query-gpu=name,compute_cap,driver_version,memory.total \
    --format=csv,noheader 2>/dev/null | head -1)
  say "device: ${device:-none, every check will skip}"
  say "commit $commit, built for $architecture"
  say "$(date -u '+%F %H:%M') UTC, $(uname -sr), $(nproc) cores"
  local program missing capability
  for program in "$here"/bin/*; do
    missing=$(ldd "$program" 2>&1 | grep 'not found' | sort -u | head -1 | awk '{ print $1 }')
    [[ -z $missing ]] && continue
    lacks[${program##*/}]=$missing
    say "skipped: ${program##*/}, as ${missing%:} is missing"
  done
  capability=$(awk -F', ' '{ print $2 * 10 }' <<<"$device")
  if [[ -n $device && $capability -lt ${architecture%%[^0-9]*} ]]; then
    say "== nothing can run: the device's architecture is $capability, the programs' $architecture"
    exit 2
  fi

  say "== kernels, streams and graphs"
  checked_tests test.gpu .
  say "== training"
  trainings
  say "== NCCL on one device"
  checked_tests test.gpu_nccl _on_one_device
  if [[ -n $device ]]; then
    say "== hardware queues"
    queues
    say "== benchmarks"
    benchmarks
    say "== sanitizers"
    sanitized
  fi
  say "== targets"
  targets
  say "== $passed passed, $failed failed, $skipped skipped, $unrun without time, $SECONDS s"
  exit $((failed > 0))
}

case ${1-} in
  pack) shift && pack "$@" ;;
  round) shift && round "$@" ;;
  *) die "'${1-}' is neither pack nor round" ;;
esac
