"""One peer in its own process: answers `run SECONDS` and `memory` on stdin with one line of JSON, as the example
`throughput` does for snnc. The first line says what it runs."""

import argparse
import ctypes
import gc
import io
import itertools
import json
import os
import sys
import time
import warnings

warnings.filterwarnings("ignore")
LEARNING_RATE = 1e-7  # weights, and with them firing rates, stay where they are


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("peer")
    parser.add_argument("part", choices=["infer", "train", "lif", "lif-forward"])
    parser.add_argument("--model", choices=["resnet19", "statten"])
    parser.add_argument("--state")
    parser.add_argument("--batch", type=int, required=True)
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--neurons", type=int, help="of a sample, for the parts `lif`")
    parser.add_argument("--one-form", action="store_true", help="do not look for the fastest form")
    args = parser.parse_args()
    answers, sys.stdout = sys.stdout, sys.stderr  # what libraries print is no answer
    start = time.perf_counter()
    step, told = prepare(args)
    told.update(peer=args.peer, part=args.part, batch=args.batch, first_seconds=time.perf_counter() - start)
    print(json.dumps(told), file=answers, flush=True)
    for line in sys.stdin:
        command, *rest = line.split()
        answer = {"run": run, "memory": memory}[command](step, *rest)
        print(json.dumps(answer), file=answers, flush=True)


def run(step, seconds):
    """One step that does not count, then at least two that do."""
    step()
    start, times = time.perf_counter(), []
    while len(times) < 2 or time.perf_counter() - start < float(seconds):
        begin = time.perf_counter()
        step()
        times.append(time.perf_counter() - begin)
    return {"seconds": times}


def memory(step):
    """Bytes beyond weights and optimiser: what a step adds to what is resident between steps, gradients freed."""
    idle = []
    for _ in range(2):
        step()
        step.free()
        gc.collect()
        ctypes.CDLL(None).malloc_trim(0)
        idle.append(status("VmRSS"))
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")
    step()
    return {"resident": status("VmHWM") - idle[-1]}


def status(field):
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith(field))


def prepare(args):
    """A step without arguments, and what to tell of it."""
    if args.part.startswith("lif"):
        import lif
        backward = args.part == "lif"
        step, rate, note = lif.make(args.peer, args.steps, args.batch * args.neurons, backward, args.threads)
        step()
        return step, {"rates": {"n.lif": round(rate(), 4)}, "note": note}
    import torch
    from safetensors.torch import load_file
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    state = load_file(args.state)
    images = state.pop("bench.images")[: args.batch].clone()
    if len(images) < args.batch:
        sys.exit(f"the state has {len(images)} images")
    told, forms, best = facts(args, state, images), FORMS[args.peer](args.part), None
    for form in forms[:1] if args.one_form else forms:
        step = (train if args.part == "train" else infer)(args, state, images, **form)
        first = step()
        seconds = min(timed(step) for _ in range(1 if args.one_form else 2))
        if best is None or seconds < best[0]:
            best = (seconds, step, form, first)
    told.update(form=shown(**best[2]), note="")
    if args.part == "infer":
        told["logits"] = torch.as_tensor(best[3]).flatten().tolist()
    return best[1], told


def timed(step):
    begin = time.perf_counter()
    step()
    return time.perf_counter() - begin


def facts(args, state, images):
    """Rates as the plain model has them on these weights; SpikingJelly's by its own neurons."""
    import models
    kind = "spikingjelly" if args.peer == "spikingjelly" else "plain"
    model = models.build(args.model, kind, state, args.steps)
    model.train(args.part == "train")
    return {"rates": models.rates(model, lambda: model(images))}


def shown(kind, layout):
    return ", ".join(word for word in (kind, layout) if word in ("arithmetic", "channels_last"))


def product(kinds, layouts):
    return [{"kind": kind, "layout": layout} for kind, layout in itertools.product(kinds, layouts)]


LAYOUTS = ["rows", "channels_last"]
# The forms of a peer that are tried, the fastest of which is timed.
FORMS = {
    "spikingjelly": lambda part: product(["spikingjelly"], LAYOUTS),
    "eager": lambda part: product(["plain"], LAYOUTS),
    "compile": lambda part: product(["arithmetic", "plain"] if part == "train" else ["plain"], LAYOUTS),
    "openvino": lambda part: product(["plain"], ["rows"]),
    "onnxruntime": lambda part: product(["plain"], ["rows"]),
}


def arrange(args, state, images, kind, layout):
    """The model and the images in a memory layout, and what resets its neurons."""
    import torch

    import models
    model = models.build(args.model, kind, state, args.steps)
    if layout == "channels_last":
        model, images = model.to(memory_format=torch.channels_last), images.contiguous(memory_format=torch.channels_last)
    if kind != "spikingjelly":
        return model, images, lambda: None
    from spikingjelly.activation_based import functional
    return model, images, lambda: functional.reset_net(model)


def infer(args, state, images, kind, layout):
    import torch
    model, images, reset = arrange(args, state, images, kind, layout)
    model.eval()
    if args.peer == "openvino":
        return openvino(model, images, args.threads)
    if args.peer == "onnxruntime":
        return onnxruntime(model, images, args.threads)
    call = model
    if args.peer == "compile":
        import torch._inductor.config
        torch._inductor.config.freezing = True
        torch._dynamo.reset()
        call = torch.compile(model)

    def step():
        reset()
        with torch.no_grad():
            return call(images)

    return step


def openvino(model, images, threads):
    import openvino
    converted = openvino.convert_model(model, example_input=images)
    converted.reshape(list(images.shape))
    options = {"INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}
    request = openvino.Core().compile_model(converted, "CPU", options).create_infer_request()
    values = images.numpy()
    return lambda: request.infer([values])[0]


def onnxruntime(model, images, threads):
    import onnxruntime
    import torch
    file = io.BytesIO()
    torch.onnx.export(model, (images,), file, dynamo=False)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(file.getvalue(), options, providers=["CPUExecutionProvider"])
    values = {session.get_inputs()[0].name: images.numpy()}
    return lambda: session.run(None, values)[0]


def train(args, state, images, kind, layout):
    import torch
    model, images, reset = arrange(args, state, images, kind, layout)
    model.train()
    labels = torch.arange(args.batch) % 10
    optimizer = torch.optim.SGD(model.parameters(), lr=LEARNING_RATE, momentum=0.9)
    call = model
    if args.peer == "compile":
        torch._dynamo.reset()
        call = torch.compile(model)

    def step():
        reset()
        optimizer.zero_grad(set_to_none=True)
        loss = torch.nn.functional.cross_entropy(call(images), labels)
        loss.backward()
        optimizer.step()

    def free():
        reset()
        optimizer.zero_grad(set_to_none=True)

    step.free = free
    return step


if __name__ == "__main__":
    main()
