"""Workers: one process a side, pinned to the same processors, stopped while another has its turn."""

import atexit
import json
import os
import select
import signal
import subprocess
import time

READY_SECONDS = 1800  # compiling a training step takes minutes
ANSWER_SECONDS = 900
TICKS = os.sysconf("SC_CLK_TCK")


class Failed(Exception):
    """A side that did not run: a finding, not an end."""


class Worker:
    """A side of a task; `told` is what it said when it was ready."""

    def __init__(self, side, command, environment, cpus, log):
        self.side, self.cpus, self.log = side, cpus, log
        with open(log, "w") as errors:
            self.process = subprocess.Popen(
                command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True,
                preexec_fn=lambda: os.sched_setaffinity(0, cpus))
        atexit.register(self.stop)  # a process that is stopped does not see that its master has gone
        self.told = self.answer(READY_SECONDS)
        self.pause()

    def pause(self):
        self.process.send_signal(signal.SIGSTOP)

    def ask(self, command):
        """The answer to a command, with the share of the processors that it took and that others took."""
        self.process.send_signal(signal.SIGCONT)
        start, own, busy = time.perf_counter(), self.own_seconds(), busy_seconds(self.cpus)
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()
        answer = self.answer(ANSWER_SECONDS)
        wall = time.perf_counter() - start
        own, busy = self.own_seconds() - own, busy_seconds(self.cpus) - busy
        self.pause()
        answer["cpu"] = round(own / wall, 2)
        answer["others"] = round(max(0.0, busy - own) / wall / len(self.cpus), 3)
        return answer

    def answer(self, seconds):
        if not select.select([self.process.stdout], [], [], seconds)[0]:
            self.stop()
            raise Failed(f"no answer in {seconds} s")
        line = self.process.stdout.readline()
        if not line:
            raise Failed(f"ended with status {self.process.wait()}: {last_line(self.log)}")
        return json.loads(line)

    def own_seconds(self):
        with open(f"/proc/{self.process.pid}/stat") as file:
            fields = file.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def stop(self):
        self.process.kill()
        self.process.wait()


def busy_seconds(cpus):
    """Seconds that some process, or another guest of the machine, has had these processors."""
    total = 0
    with open("/proc/stat") as file:
        for line in file:
            name, *ticks = line.split()
            if name in {f"cpu{cpu}" for cpu in cpus}:
                user, nice, system, _idle, _wait, interrupt, soft, steal = map(int, ticks[:8])
                total += user + nice + system + interrupt + soft + steal
    return total / TICKS


def last_line(path):
    with open(path) as file:
        lines = [line.strip() for line in file if line.strip()]
    return lines[-1][:200] if lines else "nothing was said"


def environment(threads, cache, keep_memory):
    """What every side finds; `keep_memory` lets the allocator keep large tensors instead of returning them to the
    system at each step, which peers that are bound by memory gain most from."""
    names = ["OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"]
    found = dict(os.environ, **{name: str(threads) for name in names})
    found.update(JAX_PLATFORMS="cpu", TORCHINDUCTOR_CACHE_DIR=str(cache), TORCHINDUCTOR_COMPILE_THREADS="1")
    if keep_memory:
        found.update(MALLOC_MMAP_MAX_="0", MALLOC_TRIM_THRESHOLD_=str(1 << 40), MALLOC_TOP_PAD_=str(64 << 20),
                     MALLOC_ARENA_MAX="1", THP_MEM_ALLOC_ENABLE="1", GLIBC_TUNABLES="glibc.malloc.hugetlb=1")
    return found
