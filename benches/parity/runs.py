"""Runs: commands that can be stopped and gone on with, and the file of those that are finished."""

import ctypes
import hashlib
import json
import os
import platform
import resource
import signal
import subprocess
import sys
import time
from dataclasses import asdict, dataclass

from process import environment

TICKS = os.sysconf("SC_CLK_TCK")
PAUSE = 2.0  # seconds between two looks at a run
DEATH_SIGNAL = 1  # prctl's PR_SET_PDEATHSIG


@dataclass(frozen=True)
class Run:
    """What makes a run; a line of the results with the same values is this one."""

    name: str
    seed: int
    epochs: int
    batch: int
    samples: tuple

    def folder(self, work):
        return work / f"{self.name}-{self.seed}-{self.epochs}-{self.batch}-{self.samples[0]}-{self.samples[1]}"

    def is_line(self, line):
        return all(line[key] == value for key, value in json.loads(json.dumps(asdict(self))).items())


class Results:
    """A file with one line of JSON for each finished run."""

    def __init__(self, path):
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)

    def lines(self):
        if not self.path.exists():
            return []
        return [json.loads(line) for line in self.path.read_text().splitlines() if line.strip()]

    def has(self, run):
        return any(run.is_line(line) for line in self.lines())

    def add(self, run, **found):
        with open(self.path, "a") as file:
            file.write(json.dumps({**asdict(run), **found}) + "\n")


class Spent:
    """Wall and processor seconds of a run, over all its parts; written while it runs, so that nothing is lost."""

    def __init__(self, folder):
        self.path = folder / "spent.json"
        earlier = json.loads(self.path.read_text()) if self.path.exists() else {}
        self.wall, self.processor = earlier.get("wall", 0.0), earlier.get("processor", 0.0)
        self.parts = earlier.get("parts", 0) + 1

    def write(self, wall, processor):
        found = dict(wall=self.wall + wall, processor=self.processor + processor, parts=self.parts)
        part = self.path.with_suffix(".part")
        part.write_text(json.dumps(found))
        os.replace(part, self.path)
        return found


def work(command, folder, args, cwd):
    """Runs a command to its end: its JSON, and what it has taken so far. It ends with this process, saved."""
    folder.mkdir(parents=True, exist_ok=True)
    spent, start, before = Spent(folder), time.perf_counter(), children_seconds()
    with open(folder / "stdout", "w") as answers, open(folder / "log", "a") as log:
        process = subprocess.Popen([str(word) for word in command], stdout=answers, stderr=log, cwd=cwd,
                                   env=environment(args.threads, folder, True), start_new_session=True,
                                   preexec_fn=lambda: prepare(args.nice))
    try:
        while True:
            try:
                process.wait(PAUSE)
                break
            except subprocess.TimeoutExpired:
                spent.write(time.perf_counter() - start, seconds_of(process.pid))
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            process.wait()
        taken = spent.write(time.perf_counter() - start, children_seconds() - before)
    if process.returncode != 0:
        with open(folder / "log") as log:
            last = [line.strip() for line in log if line.strip()][-5:]
        sys.exit(f"{command[0]} ended with status {process.returncode}:\n" + "\n".join(last))
    return json.loads((folder / "stdout").read_text()), taken


def prepare(nice):
    """In a new process: it is asked to end when this one does, and stands back behind others."""
    ctypes.CDLL(None).prctl(DEATH_SIGNAL, signal.SIGTERM)
    os.nice(nice)


def children_seconds():
    """Processor seconds of all processes that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def seconds_of(pid):
    """Processor seconds of a process under way."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            fields = file.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / TICKS
    except OSError:
        return 0.0


def ask(command, cwd):
    """The JSON of a short command."""
    done = subprocess.run([str(word) for word in command], cwd=cwd, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))}\n{done.stderr.strip()}")
    return json.loads(done.stdout)


def facts(args, root):
    """Machine, program and load of this moment."""
    with open("/proc/cpuinfo") as file:
        cpu = next((line.split(":")[1].strip() for line in file if line.startswith("model name")), platform.machine())
    git = ["git", "rev-parse", "--short", "HEAD"]
    commit = subprocess.run(git, cwd=root, capture_output=True, text=True).stdout.strip()
    told = subprocess.run([args.snnc, "--version"], capture_output=True, text=True, check=True).stdout.split()[-1]
    with open(args.snnc, "rb") as file:
        binary = hashlib.sha256(file.read()).hexdigest()[:12]
    return dict(date=time.strftime("%Y-%m-%d"), cpu=cpu, cores=os.cpu_count(), threads=args.threads, nice=args.nice,
                load=round(os.getloadavg()[0], 1), snnc=told, commit=commit, binary=binary)


def say(text):
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)
