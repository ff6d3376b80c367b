#!/usr/bin/env python3
"""Compares snnc with its peers: prints tables of ratios, and keeps every measurement as a line of JSON."""

import argparse
import json
import os
import platform
import signal
import subprocess
import sys
import time
from pathlib import Path

import report
import tasks
from process import Failed, Worker, environment

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
EXAMPLE = ROOT / "target/release/examples/throughput"


def parse():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small models, short turns: shows that all of it runs")
    parser.add_argument("--env", type=Path, default=ROOT / "target/peers",
                        help="the virtual environment of the peers; made where there is none")
    parser.add_argument("--cpus", default="0,1", help="the processors that all sides are pinned to, one thread each")
    parser.add_argument("--rounds", type=int, help="turns of each side (5; quick: 2)")
    parser.add_argument("--seconds", type=float, help="of a turn (6; quick: 0.3)")
    parser.add_argument("--only", default="", help="parts of names of tasks, with commas: resnet19,lif,memory,sweep")
    parser.add_argument("--peers", default="", help="peers to run, with commas; all without")
    parser.add_argument("--trained", type=Path, metavar="CHECKPOINT", help="compare with this network instead: a run of "
                        "`snnc train models/resnet19.snn` (variant A) with the parameters --define, on images of --data")
    parser.add_argument("--data", type=Path, help="the data set whose test images --trained is run on")
    parser.add_argument("--define", action="append", default=[], metavar="NAME=VALUE", help="a parameter of --trained")
    args = parser.parse_args()
    if args.trained and not args.data:
        parser.error("--trained needs --data")
    args.cpus = [int(cpu) for cpu in args.cpus.split(",")]
    args.rounds = args.rounds or (2 if args.quick else 5)
    args.seconds = args.seconds or (0.3 if args.quick else 6.0)
    return args


class Bench:
    """Paths, options and the file of results."""

    def __init__(self, args):
        self.args, self.python = args, args.env / "bin/python"
        self.work = ROOT / "target/peers-work"
        self.work.mkdir(parents=True, exist_ok=True)
        words = ["peers", *filter(None, args.only.split(",")), *(["trained"] if args.trained else []), *(["quick"] if args.quick else [])]
        self.results = ROOT / "benches/results" / f"{'-'.join(words)}.jsonl"
        self.results.parent.mkdir(exist_ok=True)
        self.part = self.results.with_suffix(".part")
        self.part.write_text("")

    def keep(self, **line):
        with open(self.part, "a") as file:
            file.write(json.dumps(line) + "\n")

    def chosen(self, all_tasks):
        words = [word for word in self.args.only.split(",") if word]
        return [task for task in all_tasks if not words or any(word in task.name for word in words)]

    def peers(self, task):
        words = [word for word in self.args.peers.split(",") if word]
        return [peer for peer in task.peers if not words or peer in words]

    def state(self, task):
        """Weights whose layers fire at the task's rate, and images: made once, the same for every side."""
        name = "-".join([task.model, "trained" if task.trained else f"{task.rate:g}", *(f"{v}" for v in task.defines.values())])
        state = self.work / f"{name}.safetensors"
        if task.model == "lif" or state in STATES:
            return state
        say(f"weights for {name}")
        if task.trained:
            command = [EXAMPLE, "trained", task.file, state, *task.trained, "images=32"]
        else:
            command = [EXAMPLE, "prepare", task.file, state, f"rate={task.rate}", f"qkv={task.qkv or task.rate}", "images=32"]
        defines = [f"{k}={v}" for k, v in task.defines.items()]
        subprocess.run([*command, *defines], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
        STATES.add(state)
        return state

    def start(self, task, side, keep_memory=True):
        """A worker of a side that is ready."""
        say(f"{task.name}: {side}")
        threads, state = len(self.args.cpus), self.state(task)
        if side == "snnc":
            place = "-" if task.model == "lif" else state
            command = [EXAMPLE, "serve", task.file, place, task.part, f"batch={task.batch}", f"threads={threads}"]
            # Peers that may keep memory are compared with a step that may use as much as it likes.
            command += [f"rate={task.rate}", f"ample={int(keep_memory)}", *task.define()]
        else:
            command = [self.python, HERE / "worker.py", side, task.part, "--batch", task.batch, "--steps", task.steps]
            command += ["--threads", threads, "--neurons", task.neurons]
            command += [] if task.model == "lif" else ["--model", task.model, "--state", state]
            command += ["--one-form"] if self.args.quick or not keep_memory else []
        found = environment(threads, self.work / "inductor", keep_memory)
        log = self.work / f"{task.name}-{side}.log"
        return Worker(side, [str(word) for word in command], found, self.args.cpus, log)


STATES = set()


def say(text):
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


def compare(bench, task):
    """Runs all sides in turn, forwards and backwards, and prints their table."""
    workers, failed = [], {}
    for side in ["snnc", *bench.peers(task)]:
        try:
            workers.append(bench.start(task, side))
        except Failed as why:
            failed[side] = str(why)
    turns = {worker.side: [] for worker in workers}
    for number in range(bench.args.rounds):
        say(f"{task.name}: round {number + 1} of {bench.args.rounds}")
        for worker in workers if number % 2 == 0 else reversed(workers):
            try:
                turns[worker.side].append(worker.ask(f"run {bench.args.seconds}"))
            except Failed as why:
                failed[worker.side] = str(why)
        workers = [worker for worker in workers if worker.side not in failed]
    for worker in workers:
        worker.stop()
    turns = {side: found for side, found in turns.items() if side not in failed}
    told = {worker.side: worker.told for worker in workers}
    for side in turns:
        bench.keep(task=task.name, side=side, steps=task.steps, told=told[side], turns=turns[side])
    for side, why in failed.items():
        bench.keep(task=task.name, side=side, failed=why)
    print(report.comparison(task, told, turns, failed), flush=True)


def memory(bench, all_tasks):
    """What a training step needs, each side alone and with the allocator as it comes."""
    rows = []
    for task in all_tasks:
        for side in ["snnc", *bench.peers(task)]:
            answer, why = None, None
            try:
                worker = bench.start(task, side, keep_memory=False)
                answer = worker.ask("memory")
                worker.stop()
            except Failed as error:
                why = str(error)
            rows.append((task, side, answer, why))
            bench.keep(task=task.name, side=side, steps=task.steps, batch=task.batch, memory=answer, failed=why)
    if rows:
        print(report.memory(rows), flush=True)


def sweep(bench, all_tasks):
    """snnc alone over firing rates."""
    rows = []
    for task in all_tasks:
        worker = bench.start(task, "snnc")
        turns = [worker.ask(f"run {bench.args.seconds}") for _ in range(bench.args.rounds)]
        worker.stop()
        rows.append((task, worker.told, turns))
        bench.keep(task=task.name, side="snnc", rate=task.rate, told=worker.told, turns=turns)
    if rows:
        print(report.sweep(rows), flush=True)


def set_up(bench):
    """The environment of the peers and our side, built."""
    if not bench.python.exists():
        say(f"setting up {bench.args.env}")
        subprocess.run([sys.executable, "-m", "venv", bench.args.env], check=True)
        subprocess.run([bench.python, "-m", "pip", "install", "-q", "-r", HERE / "requirements.txt"], check=True)
    subprocess.run(["cargo", "build", "--release", "--locked", "--example", "throughput"], cwd=ROOT, check=True)


def facts(bench):
    """Machine, versions and options."""
    with open("/proc/cpuinfo") as file:
        model = next((line.split(":")[1].strip() for line in file if line.startswith("model name")), platform.machine())
    freeze = subprocess.run([bench.python, "-m", "pip", "list", "--format", "json"], capture_output=True, text=True, check=True)
    named = {line.split("==")[0].lower() for line in (HERE / "requirements.txt").read_text().split()}
    versions = {p["name"]: p["version"] for p in json.loads(freeze.stdout) if p["name"].lower() in named}
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True).stdout.strip()
    args = bench.args
    return dict(date=time.strftime("%Y-%m-%d"), cpu=model, cpus=args.cpus, rounds=args.rounds, seconds=args.seconds,
                quick=args.quick, load=os.getloadavg(), commit=commit, versions=versions)


def main():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))
    bench = Bench(parse())
    os.chdir(ROOT)
    set_up(bench)
    known = facts(bench)
    bench.keep(**known)
    print("# snnc and its peers\n\n" + ", ".join(f"{k} {v}" for k, v in known.items() if k != "versions"))
    print("\n" + ", ".join(f"{name} {version}" for name, version in known["versions"].items()), flush=True)
    if bench.args.trained:
        defines = dict(word.split("=", 1) for word in bench.args.define)
        compare(bench, tasks.trained(bench.args.trained.resolve(), bench.args.data.resolve(), defines))
        os.replace(bench.part, bench.results)
        return
    for task in bench.chosen(tasks.compared(bench.args.quick)):
        compare(bench, task)
    memory(bench, bench.chosen(tasks.remembered(bench.args.quick)))
    sweep(bench, bench.chosen(tasks.swept(bench.args.quick)))
    os.replace(bench.part, bench.results)
    say(f"all measurements are in {bench.results.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
