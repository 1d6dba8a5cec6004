# SPDX-License-Identifier: Apache-2.0
"""What the device of this run can do at best: copies, large products on random data, the gap of a graph's node. Needs PyTorch (and Triton
for the gap under dependent launch). Rows have kind "ceiling", name, value and unit."""
import traceback

import numpy as np

import side_by_side
from side_by_side import say

NODES = (1, 64, 512)


def seconds_of(torch, call, repeats):
    """Median of `repeats` single calls by events, after three."""
    first, last = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    times = []
    for k in range(repeats + 3):
        first.record()
        call()
        last.record()
        last.synchronize()
        times.append(first.elapsed_time(last) / 1e3)
    return float(np.median(times[3:]))


def copy_bandwidth(torch):
    """Bytes read and written a second, by a copy of 2 GiB."""
    source = torch.randn(1 << 29, device="cuda")
    target = torch.empty_like(source)
    return 2 * source.nbytes / seconds_of(torch, lambda: target.copy_(source), 10) / 1e9, "GB/s"


def product(torch, dtype):
    """8192 x 8192 x 8192 on random data: a constant fill draws less power and flatters the rate."""
    a, b = (torch.randn(8192, 8192, device="cuda").to(dtype) for _ in range(2))
    out = torch.empty_like(a)
    return 2 * 8192 ** 3 / seconds_of(torch, lambda: torch.matmul(a, b, out=out), 20) / 1e12, "TFLOP/s"


def graph_of(torch, call, nodes):
    call()
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        for _ in range(nodes):
            call()
    return graph


def slope(torch, call):
    """Microseconds that one node more adds to a graph of nodes that do next to nothing."""
    times = []
    for nodes in NODES:
        graph = graph_of(torch, call, nodes)
        times.append(seconds_of(torch, graph.replay, 50))
    return float(np.polyfit(NODES, times, 1)[0]) * 1e6, "us"


def tiny_kernel(torch, dependent):
    """One block that adds 1 to 32 floats; dependent: started before its predecessor has ended, waiting for it inside."""
    import triton
    import triton.language as tl
    from triton.language.extra.cuda import gdc_launch_dependents, gdc_wait

    @triton.jit
    def add_one(x, DEPENDENT: tl.constexpr):
        if DEPENDENT:
            gdc_launch_dependents()
            gdc_wait()
        at = x + tl.arange(0, 32)
        tl.store(at, tl.load(at) + 1)

    data = torch.zeros(32, device="cuda")
    return lambda: add_one[(1,)](data, DEPENDENT=dependent, num_warps=1, launch_pdl=dependent)


CEILINGS = {
    "copy bandwidth, read and written": copy_bandwidth,
    "8192 x 8192 x 8192 in FP16, random data": lambda torch: product(torch, torch.float16),
    "8192 x 8192 x 8192 in BF16, random data": lambda torch: product(torch, torch.bfloat16),
    "a node of a graph, tiny kernels": lambda torch: slope(torch, tiny_kernel(torch, False)),
    "a node of a graph, tiny kernels under dependent launch": lambda torch: slope(torch, tiny_kernel(torch, True)),
}


def rows(run):
    made = []
    for name, measure in CEILINGS.items():
        try:
            value, unit = measure(run.torch)
        except Exception:
            say(f"ceiling {name} FAILED\n{traceback.format_exc()[-2000:]}")
            run.failed = run.failed or 1
            continue
        say(f"ceiling: {name}: {value:.4g} {unit}")
        made.append({"kind": "ceiling", "name": name, "value": value, "unit": unit,
                     **side_by_side.conditions(run.lib, run.torch, run.torch.cuda.get_device_name(0))})
        run.torch.cuda.empty_cache()
    return made
