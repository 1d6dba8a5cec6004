# SPDX-License-Identifier: Apache-2.0
"""What bench/pytorch.py does without a GPU: test_pytorch.py. Prints one line per failure and "N passed, N failed"."""
import os
import sys

import numpy as np

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import pytorch as bench


class Fake:
    """A side that takes no time and writes down when it ran."""

    def __init__(self, name, log):
        self.name, self.log = name, log

    def replay(self, n):
        self.log.append((self.name, n))

    def sync(self):
        self.log.append((self.name, "sync"))


def raises(call):
    try:
        call()
    except bench.Off:
        return True
    return False


def test_blocks_alternate():
    log = []
    original, bench.replays_of = bench.replays_of, lambda side: 7
    times, counts = bench.take_turns([Fake("A", log), Fake("B", log)], 2)
    bench.replays_of = original
    assert "".join(name for name, what in log if what != "sync") == "ABBAABBA"
    assert log[:2] == [("A", 7), ("A", "sync")] and counts == [7, 7]
    assert [t.shape for t in times] == [(2, 2), (2, 2)]


def test_interval_holds_the_ratio_and_is_seeded():
    rng = np.random.default_rng(3)
    hone, peer = rng.normal(1, 0.02, (20, 2)), rng.normal(1.5, 0.03, (20, 2))
    low, high = bench.bootstrap(hone, peer, 1)
    assert 1.45 < low < 1.5 < high < 1.55 and [low, high] == bench.bootstrap(hone, peer, 1)


def test_drift_of_both_sides_does_not_widen_the_interval_to_no_end():
    drift = np.linspace(1, 1.2, 20)[:, None] * np.ones(2)
    low, high = bench.bootstrap(drift, 2 * drift, 1)
    assert abs(low - 2) < 1e-9 and abs(high - 2) < 1e-9


def test_gates():
    fine = {"y": np.array([1.0, 2.0])}
    bench.look_at(fine, "hone")
    assert raises(lambda: bench.look_at({"y": np.array([1.0, np.nan])}, "hone"))
    assert raises(lambda: bench.look_at({"y": np.ones(4)}, "hone"))
    bench.look_again(fine, {"y": np.array([1.0, 2.0001])}, "hone")
    assert raises(lambda: bench.look_again(fine, {"y": np.array([1.0, 2.1])}, "hone"))
    assert raises(lambda: bench.look_again(fine, {"y": np.array([1.0, np.nan])}, "hone"))


def test_inputs_are_drawn_by_network_and_name():
    ports = [("input_ids", np.dtype(np.int64), (2, 128)), ("attention_mask", np.dtype(np.int64), (2, 128)), ("x", np.dtype(np.float32), (3, 4))]
    drawn, again = bench.make_inputs("bert-base", ports, 1), bench.make_inputs("bert-base", ports, 1)
    assert all((drawn[name] == again[name]).all() for name in drawn)
    assert drawn["attention_mask"].sum() == 2 * 111 and drawn["input_ids"].min() >= 1000
    assert (drawn["x"] != bench.make_inputs("resnet50", ports, 1)["x"]).any()


def test_command_line_names_no_folder():
    kept, sys.argv = sys.argv, ["x", "--plan", "resnet50=" + "/some/folder/" + "r.plan", "--out=" + "/a/" + "b.json", "bench/results/c.json"]
    line = bench.command_line()
    sys.argv = kept
    assert line == "python3 bench/pytorch.py --plan resnet50=r.plan --out=b.json bench/results/c.json", line


def main():
    passed = failed = 0
    for name, test in sorted(globals().items()):
        if not name.startswith("test_"):
            continue
        try:
            test()
            passed += 1
        except Exception as error:
            failed += 1
            print(f"{name}: {type(error).__name__} {error}")
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
