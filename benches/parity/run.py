#!/usr/bin/env python3
"""Trains the same small network in snnc and in SpikingJelly (`learning`), or with and without attention (`ablation`): a
line of JSON for each finished run, and a table. What is finished is not run again; what was stopped is gone on with."""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path.insert(0, str(HERE.parent / "peers"))

import table
from runs import Results, Run, ask, facts, say, work

RESNET19 = "models/resnet19.snn"
BLOCKS = {"variant": "C", "blocks1": 1, "blocks2": 1, "blocks3": 1}
SIDES = ["snnc", "spikingjelly"]
LEARNING = {**BLOCKS, "stem": 16, "width": 32}
VARIANTS = {
    "baseline": {},
    "spatial": {"spatial": "true"},
    "temporal": {"temporal": "true"},
    "both": {"spatial": "true", "temporal": "true"},
    "control": {"spatial": "true", "temporal": "true", "core": "control"},
}
ABLATION = {**BLOCKS, "stem": 8, "width": 16, "classes": 100}
LIMITS = {"logits": 1e-3, "loss": 1e-4, "gradient": 1e-2}  # a spike that flips by rounding stays below
ENERGY_SAMPLES = 1000


def parse():
    parser = argparse.ArgumentParser(description=__doc__)
    parts = parser.add_subparsers(dest="part", required=True)
    learning = parts.add_parser("learning", help="snnc and SpikingJelly on CIFAR-10")
    learning.add_argument("--env", type=Path, default=ROOT / "target/peers",
                          help="the virtual environment of SpikingJelly; made where there is none")
    learning.add_argument("--side", choices=SIDES, help="run one side alone")
    ablation = parts.add_parser("ablation", help="with and without attention on CIFAR-100")
    ablation.add_argument("--variant", choices=VARIANTS, help="run one variant alone")
    for part, epochs, seeds in ((learning, 10, "0,1,2"), (ablation, 30, "0,1")):
        part.add_argument("--data", type=Path, required=True, help="the folder of the data set's binary files")
        part.add_argument("--epochs", type=int, default=epochs)
        part.add_argument("--seeds", default=seeds, help="with commas")
        part.add_argument("--batch", type=int, default=128)
        part.add_argument("--threads", type=int, default=os.cpu_count())
        part.add_argument("--nice", type=int, default=0, help="how far runs stand back behind other processes")
        part.add_argument("--snnc", type=Path, help="the command; a release build of this folder where it is not given")
        part.add_argument("--limit", type=int, help="train and test on so many samples: a trial, kept apart in target")
        part.add_argument("--table", action="store_true", help="run nothing: print the table of what is finished")
        part.add_argument("--results", type=Path, help="another file for the lines of JSON")
    args = parser.parse_args()
    args.data, args.results = args.data.resolve(), args.results and args.results.resolve()
    args.seeds = [int(seed) for seed in args.seeds.split(",")]
    return args


class Bench:
    """Paths and options, the results, and what is done with a run."""

    def __init__(self, args, samples):
        self.args, self.samples = args, tuple(min(n, args.limit or n) for n in samples)
        self.work = ROOT / "target/parity" / args.part
        place = self.work / "trial.jsonl" if args.limit else HERE / f"{args.part}.jsonl"
        self.results = Results(args.results or place)

    def runs(self, names):
        """All runs, seed by seed, so that what is finished first is balanced."""
        return [Run(name, seed, self.args.epochs, self.args.batch, self.samples)
                for seed in self.args.seeds for name in names]

    def left(self, names):
        """Those that are to be run."""
        return [] if self.args.table else [run for run in self.runs(names) if not self.results.has(run)]

    def lines(self, names):
        """The finished ones of these runs."""
        return [line for run in self.runs(names) for line in self.results.lines() if run.is_line(line)]

    def of_limit(self):
        limit = self.args.limit
        return ["--limit", limit, "--test-limit", limit] if limit else []

    def snnc(self, run, defines):
        """A run of snnc: what it found in each epoch, and what it took."""
        folder = run.folder(self.work)
        command = [self.args.snnc, "train", ROOT / RESNET19, *define(defines), "--data", self.args.data]
        command += ["--epochs", run.epochs, "--batch", run.batch, "--seed", run.seed, "--threads", self.args.threads]
        command += ["--resume", "auto", "--out", folder / "run", "--log-seconds", 60, "--json", *self.of_limit()]
        _, taken = work(command, folder, self.args, ROOT)
        lines = (folder / "run/metrics.jsonl").read_text().splitlines()
        return [epoch_of(json.loads(line)) for line in lines], taken

    def peer(self, run):
        """A run of SpikingJelly; `snnc` has written the sizes of the parameters."""
        folder = run.folder(self.work)
        folder.mkdir(parents=True, exist_ok=True)
        self.first(folder, run.seed)
        command = [*self.python("train", folder), "--data", self.args.data, "--seed", run.seed, "--epochs", run.epochs]
        command += ["--batch", run.batch, *(["--limit", self.args.limit] if self.args.limit else [])]
        return work(command, folder, self.args, ROOT)

    def first(self, folder, seed):
        command = [self.args.snnc, "init", ROOT / RESNET19, *define(LEARNING), "--seed", seed]
        ask([*command, "-o", folder / "first.safetensors", "--json"], ROOT)

    def python(self, part, folder):
        return [self.args.env / "bin/python", HERE / "peer.py", part, "--folder", folder, "--threads", self.args.threads]

    def keep(self, run, history, taken, **found):
        last = history[-1]
        self.results.add(run, accuracy=last["test_accuracy"], history=history,
                         images_per_second=round(median(e["images_per_second"] for e in history), 1),
                         wall_seconds=round(taken["wall"], 1), processor_seconds=round(taken["processor"], 1),
                         parts=taken["parts"], **found, **facts(self.args, ROOT))
        say(f"{run.name}, seed {run.seed}: {last['test_accuracy']:.2%} after {len(history)} epochs, "
            f"{taken['wall'] / 60:.1f} min, {taken['processor'] / 60:.1f} of a processor")


def define(values):
    return [word for name, value in values.items() for word in ("-D", f"{name}={value}")]


def epoch_of(record):
    """What is kept of an epoch of snnc."""
    keys = ("train_loss", "train_accuracy", "test_loss", "test_accuracy", "images_per_second")
    rates = record["firing_rates"].values()
    return {**{key: record[key] for key in keys}, "firing_rate": sum(rates) / len(rates)}


def records(folder, train, test, bytes_each):
    """How many samples the files of a data set hold."""
    size = lambda pattern: sum(file.stat().st_size for file in folder.glob(pattern)) // bytes_each
    found = size(train), size(test)
    if 0 in found:
        sys.exit(f"{folder} has no files {train} and {test}")
    return found


def same_network(bench):
    """Refuses to go on where logits, loss or gradients of both sides differ on the same weights and images."""
    bench.work.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="same-", dir=bench.work) as folder:
        apart = compare(bench, Path(folder))
    text = (f"logits differ by up to {apart['logits']:.1e}, losses by {apart['loss']:.1e}, gradients by up to "
            f"{apart['gradient']:.1e} of their norm ({apart['worst']}); {apart['parameters']:,} parameters")
    if any(apart[key] > limit for key, limit in LIMITS.items()):
        sys.exit(f"the networks are not the same: {text}")
    say(f"the same network on both sides: {text}")


def compare(bench, folder):
    """How far both sides lie apart."""
    bench.first(folder, 0)
    ask([*bench.python("sample", folder), "--data", bench.args.data], ROOT)
    common = [ROOT / RESNET19, *define(LEARNING), "--weights", folder / "first.safetensors", "--input", folder / "x.npy"]
    ask([bench.args.snnc, "infer", *common, "--output", folder / "logits.npy", "--json"], ROOT)
    ask([bench.args.snnc, "grad", *common, "--labels", folder / "y.npy", "--output", folder / "gradients.safetensors",
         "--loss-output", folder / "loss.json", "--json"], ROOT)
    return ask(bench.python("compare", folder), ROOT)


def set_up(env):
    """The environment of SpikingJelly, made where there is none."""
    python = env / "bin/python"
    if not python.exists():
        say(f"setting up {env}")
        subprocess.run([sys.executable, "-m", "venv", env], check=True)
        subprocess.run([python, "-m", "pip", "install", "-q", "-r", HERE.parent / "peers/requirements.txt"], check=True)


def learning(args):
    bench = Bench(args, records(args.data, "data_batch_*.bin", "test_batch.bin", 3073))
    left = bench.left([args.side] if args.side else SIDES)
    if left:
        set_up(args.env)
        same_network(bench)
    for run in left:
        say(f"{run.name}, seed {run.seed}")
        if run.name == "snnc":
            bench.keep(run, *bench.snnc(run, LEARNING))
        else:
            told, taken = bench.peer(run)
            bench.keep(run, told["history"], taken, layout=told["layout"], versions=told["versions"])
    print(table.learning(bench.lines(SIDES), SIDES), flush=True)


def ablation(args):
    bench = Bench(args, records(args.data, "train.bin", "test.bin", 3074))
    for run in bench.left([args.variant] if args.variant else VARIANTS):
        say(f"{run.name}, seed {run.seed}")
        defines = {**ABLATION, **VARIANTS[run.name]}
        history, taken = bench.snnc(run, defines)
        model = [ROOT / RESNET19, *define(defines), "--json"]
        size = ask([args.snnc, "check", *model], ROOT)
        last = run.folder(bench.work) / "run/last.safetensors"
        energy = ask([args.snnc, "energy", *model, "--weights", last, "--data", args.data, "--threads", args.threads,
                      "--limit", min(ENERGY_SAMPLES, run.samples[1])], ROOT)
        found = {key: energy[key] for key in ("sops", "sops_exact", "energy_mj", "attention_mj")}
        bench.keep(run, history, taken, parameters=size["parameters"], macs=size["macs_per_timestep"], **found)
    print(table.ablation(bench.lines(VARIANTS), list(VARIANTS)), flush=True)


def main():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))
    args = parse()
    if args.snnc is None and not args.table:
        subprocess.run(["cargo", "build", "--release", "--locked"], cwd=ROOT, check=True, stdout=sys.stderr)
        args.snnc = ROOT / "target/release/snnc"
    args.snnc = args.snnc and args.snnc.resolve()
    {"learning": learning, "ablation": ablation}[args.part](args)


if __name__ == "__main__":
    main()
