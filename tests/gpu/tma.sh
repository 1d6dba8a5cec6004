#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The kernels of the copy engine (gemm_tma, gemm_stream, conv_tma) on a Hopper GPU. tma.sh [right] [memory] [times] [libraries], all without words:
#   right      every combination of their parameters against the reference, on shapes with edges (tests/cases/nvrtc_tma.txt)
#   memory     small problems under compute-sanitizer, where that is installed
#   times      every combination on the shapes of real networks (tests/cases/nvrtc_tma_times.txt): right or wrong, and its time beside the estimate
#   libraries  the same shapes and 8192 x 8192 x 8192, tuned with cuBLASLt and cuDNN beside: the best of each
# Builds nothing. The results lie in OUT (a new folder); exit 0 when nothing was wrong.
set -u
cd "$(dirname "$0")/../.."
B=${B:-build} OUT=${OUT:-$(mktemp -d "${TMPDIR:-/tmp}/hone-tma-XXXXXX")} DEVICE=${DEVICE:-cuda:0}
mkdir -p "$OUT"
failed=0
kernels='gemm_tma gemm_stream conv_tma'
parts=${*:-right memory times libraries}

# Only what failed is shown; the last line counts.
each_kernel() {                        # NAME, then the arguments of gpu_nvrtc_smoke and what stands before it
    local name=$1
    shift
    for kernel in $kernels; do
        "$@" -d "$DEVICE" -k "$kernel" >"$OUT/$name.$kernel.json" 2>"$OUT/$name.$kernel.txt" || failed=1
        grep -E '^FAIL|^========= (Invalid|Error|ERROR|Barrier|Hazard)' "$OUT/$name.$kernel.txt" | sort | uniq -c | sort -rn | head -40
        echo "$name $kernel: $(grep -E 'passed, ' "$OUT/$name.$kernel.txt" | tail -1)"
    done
}

right() { each_kernel right "$B/tests/gpu_nvrtc_smoke" -n 0 tests/cases/nvrtc_tma.txt; }

memory() {
    local tool
    command -v compute-sanitizer >/dev/null || { echo "memory: skipped, no compute-sanitizer here"; return; }
    printf '%s\n' 'matmul a=f16:264x328 b=f16:328x520 | add a=$0 b=f16:520' 'matmul a=f16:100x1032 b=f16:136x1032 trans_b=1' \
        'matmul a=f16:1544x520 b=f16:520x1544 | add a=$0 b=f16:1544' \
        'conv x=f16:2x17x15x120:nhwc w=f16:136x3x3x120:nhwc b=f16:136 pad=1 stride=2 | relu x=$0' >"$OUT/small.txt"
    for tool in memcheck synccheck; do
        each_kernel "$tool" compute-sanitizer --tool "$tool" --target-processes all --error-exitcode 9 "$B/tests/gpu_nvrtc_smoke" -n 6 "$OUT/small.txt"
    done
}

times() {
    each_kernel times "$B/tests/gpu_nvrtc_smoke" -t -n 0 tests/cases/nvrtc_tma_times.txt
    for kernel in $kernels; do
        echo "best and worst of each problem, us (estimated):"
        sed -n 's/^PASS \(.*\)  error .*  \([0-9.]* us (estimated [0-9.]*)\)[^|]*| \(.*\)$/\3\t\2\t\1/p' "$OUT/times.$kernel.txt" | sort -t "$(printf '\t')" -k1,1 -k2,2n |
            awk -F '\t' '$1 != last { if (last) print "   worst " line; print $1; last = $1; n = 0 } n++ < 3 { print "   " $2 "  " $3 } { line = $2 "  " $3 } END { if (last) print "   worst " line }'
    done
}

libraries() {
    { echo 'matmul a=bf16:8192x8192 b=bf16:8192x8192'; grep -v '^#' tests/cases/nvrtc_tma_times.txt; } >"$OUT/list.txt"
    "$B/hone" tune "$OUT/list.txt" --device "$DEVICE" --db "$OUT/tma.db" --effort full --sources nvrtc,cublaslt,cudnn --progress none >"$OUT/tune.txt" 2>&1 ||
        { tail -3 "$OUT/tune.txt"; failed=1; }
    python3 - "$OUT/tma.db" "$OUT/list.txt" <<'EOF' || failed=1
import collections, math, sqlite3, sys
store = sqlite3.connect(f"file:{sys.argv[1]}?mode=ro", uri=True)
ratios = []
print("library us / own us = ratio, problem, the own kernel")
for problem in (line.strip() for line in open(sys.argv[2])):
    best = {}
    for source, tactic, ns in store.execute("SELECT source, tactic, median_ns FROM measurement_flat WHERE problem = ? AND verdict = 'ok'", (problem,)):
        side = "own" if source == "nvrtc" else "library"
        best[side] = min(best.get(side, (math.inf, "")), (ns, tactic))
    if len(best) == 2:
        ratios.append(best["library"][0] / best["own"][0])
        print(f"{best['library'][0] / 1e3:9.2f} {best['own'][0] / 1e3:9.2f} {ratios[-1]:6.3f}  {problem}  {best['own'][1]}")
    else:
        print(f"not both measured: {problem} {best}")
verdicts = collections.Counter(store.execute("SELECT kernel, verdict FROM measurement_flat WHERE source = 'nvrtc'"))
print(dict(verdicts))
print(f"geometric mean {math.exp(sum(map(math.log, ratios)) / len(ratios)):.3f} of {len(ratios)}" if ratios else "nothing was measured on both sides")
sys.exit(not ratios or any(kernel.endswith(("_tma", "_stream")) and verdict != "ok" for kernel, verdict in verdicts))
EOF
}

for part in $parts; do
    case $part in
    right | memory | times | libraries) "$part" ;;
    *) echo "tma.sh: $part is none of right, memory, times, libraries" >&2; exit 2 ;;
    esac
done
echo "results in $OUT"
exit $failed
