"""The network of `learning` in SpikingJelly, trained as `snnc` trains it; and the comparison that shows it is the same."""

import argparse
import json
import math
import os
import sys
import time
import warnings
from importlib.metadata import version
from pathlib import Path

warnings.filterwarnings("ignore")
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "peers"))

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from spikingjelly.activation_based import functional
from torch import nn
from torch.nn import functional as F

from models import Basic, Lif, Unit, linear, rates

STEPS, SIZE = 4, 32
MEAN = torch.tensor([0.4914, 0.4822, 0.4465]).view(3, 1, 1)
STD = torch.tensor([0.2023, 0.1994, 0.2010]).view(3, 1, 1)
LR, MOMENTUM, DECAY = 0.1, 0.9, 5e-4
PAD, HOLE = 4, 16
COMPARED = 4  # images that both sides compute on: few, since a spike that flips by rounding moves all behind it


class ResNet19(nn.Module):
    """`models/resnet19.snn`, variant C with one block a stage; the state gives the sizes."""

    def __init__(self, state):
        super().__init__()
        self.stem, self.stem_lif = Unit(state, "stem.unit"), lif("stem.fire.lif")
        blocks = [Basic(state, f"stage{n}.stage.enter.basic", min(n, 2), lif) for n in (1, 2, 3)]
        self.blocks, self.classify = nn.Sequential(*blocks), linear(state, "classify.linear")

    def forward(self, x):
        functional.reset_net(self)
        x = self.blocks(self.stem_lif(self.stem(x.repeat(STEPS, 1, 1, 1))))
        return self.classify(x.mean((2, 3))).view(STEPS, len(x) // STEPS, -1).mean(0)


def lif(layer):
    """SpikingJelly's neuron with the constants of `models/blocks/residual.snn`."""
    module = Lif("spikingjelly", STEPS, False, "rectangle")
    module.layer = layer
    return module


def path_of(name):
    """The name of a parameter in `snnc`."""
    head, *rest = name.split(".")
    if head == "stem":
        return ".".join(["stem.unit", *rest])
    if head == "classify":
        return ".".join(["classify.linear", *rest])
    block, part, *rest = rest
    return ".".join([f"stage{int(block) + 1}.stage.enter.basic.{part}.unit", *rest])


def fresh(state, seed, layout):
    """The model with first values of PyTorch's own making."""
    torch.manual_seed(seed)
    model = ResNet19(state)
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        elif isinstance(module, (nn.Linear, nn.BatchNorm2d)):
            module.reset_parameters()
    return model.to(memory_format=LAYOUTS[layout])


LAYOUTS = {"rows": torch.contiguous_format, "channels_last": torch.channels_last}


def read(folder, pattern, limit):
    """Images and labels of the files of CIFAR-10."""
    files = [np.fromfile(file, np.uint8).reshape(-1, 1 + 3 * SIZE * SIZE) for file in sorted(folder.glob(pattern))]
    records = torch.from_numpy(np.concatenate(files)[:limit])
    return records[:, 1:].reshape(-1, 3, SIZE, SIZE), records[:, 0].long()


def normalise(images):
    return (images.float() / 255 - MEAN) / STD


def vary(images, generator):
    """A crop of the image with zeros around it, a flip, the normalisation, a square of zeros."""
    count, every = len(images), torch.arange(len(images))[:, None, None]
    draw = lambda below: torch.randint(below, (count, 1), generator=generator)
    padded, line = F.pad(images, [PAD] * 4), torch.arange(SIZE)
    rows, columns = draw(2 * PAD + 1) + line, draw(2 * PAD + 1) + line
    columns = torch.where(draw(2) == 1, columns.flip(1), columns)
    moved = padded.permute(0, 2, 3, 1)[every, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)
    inside = lambda centre: (line >= centre - HOLE // 2) & (line < centre + HOLE // 2)
    hole = inside(draw(SIZE))[:, None, :, None] & inside(draw(SIZE))[:, None, None, :]
    return normalise(moved).masked_fill(hole, 0.0)


def optimizer_of(model):
    """Weights of products decay; norms and biases do not."""
    decayed = [p for p in model.parameters() if p.dim() > 1]
    spared = [p for p in model.parameters() if p.dim() <= 1]
    groups = [{"params": decayed, "weight_decay": DECAY}, {"params": spared, "weight_decay": 0.0}]
    return torch.optim.SGD(groups, lr=LR, momentum=MOMENTUM)


def epoch_of(model, optimizer, data, args, epoch):
    """Trains an epoch: the sums of losses and right answers."""
    images, labels = data
    generator = torch.Generator().manual_seed(1_000_003 * args.seed + epoch)
    for group in optimizer.param_groups:
        group["lr"] = LR * (1 + math.cos(math.pi * epoch / args.epochs)) / 2
    model.train()
    loss_sum, right = 0.0, 0
    for part in torch.randperm(len(images), generator=generator).split(args.batch):
        x = vary(images[part], generator).contiguous(memory_format=LAYOUTS[args.layout])
        logits = model(x)
        loss = F.cross_entropy(logits, labels[part])
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        loss_sum += loss.item() * len(part)
        right += (logits.argmax(1) == labels[part]).sum().item()
    return loss_sum / len(images), right / len(images)


def test(model, data, args):
    """Mean loss, accuracy, and the mean firing rate over layers of the first images."""
    images, labels = data
    model.eval()
    loss_sum, right = 0.0, 0
    with torch.no_grad():
        for part in torch.arange(len(images)).split(args.batch):
            logits = model(normalise(images[part]))
            loss_sum += F.cross_entropy(logits, labels[part], reduction="sum").item()
            right += (logits.argmax(1) == labels[part]).sum().item()
    found = rates(model, lambda: model(normalise(images[:512]))).values()
    return loss_sum / len(images), right / len(images), sum(found) / len(found)


def fastest(state, data, args):
    """The memory layout in which a step takes less processor time."""
    images, labels = data[0][: args.batch], data[1][: args.batch]
    seconds = {}
    for layout, form in LAYOUTS.items():
        model, x = fresh(state, args.seed, layout), normalise(images).contiguous(memory_format=form)
        for _ in range(3):
            start = time.process_time()
            F.cross_entropy(model(x), labels).backward()
            seconds[layout] = min(seconds.get(layout, math.inf), time.process_time() - start)
    return min(seconds, key=seconds.get)


def train(args):
    """Trains what is left of the epochs, keeping a checkpoint of each, and tells of all."""
    torch.set_num_threads(args.threads)
    state, kept = load_file(args.folder / "first.safetensors"), args.folder / "state.pt"
    data = read(args.data, "data_batch_*.bin", args.limit)
    tests = read(args.data, "test_batch.bin", args.limit)
    earlier = torch.load(kept, weights_only=True) if kept.exists() else None
    args.layout = earlier["layout"] if earlier else fastest(state, data, args)
    model = fresh(state, args.seed, args.layout)
    optimizer, history = optimizer_of(model), earlier["history"] if earlier else []
    if earlier:
        model.load_state_dict(earlier["model"])
        optimizer.load_state_dict(earlier["optimizer"])
    for epoch in range(len(history), args.epochs):
        start = time.perf_counter()
        train_loss, train_accuracy = epoch_of(model, optimizer, data, args, epoch)
        speed = len(data[0]) / (time.perf_counter() - start)
        test_loss, test_accuracy, rate = test(model, tests, args)
        history.append(dict(train_loss=train_loss, train_accuracy=train_accuracy, test_loss=test_loss,
                            test_accuracy=test_accuracy, firing_rate=rate, images_per_second=speed))
        print(f"{epoch + 1}/{args.epochs}: loss {train_loss:.4f}, test {test_accuracy:.2%}, {speed:.0f} images/s",
              file=sys.stderr, flush=True)
        found = dict(model=model.state_dict(), optimizer=optimizer.state_dict(), history=history, layout=args.layout)
        torch.save(found, kept.with_suffix(".part"))
        os.replace(kept.with_suffix(".part"), kept)
    versions = {name: version(name) for name in ("torch", "spikingjelly")}
    return dict(history=history, layout=args.layout, versions=versions)


def sample(args):
    """Writes images, labels, and weights with running statistics of these images, for both sides to compute on."""
    images, labels = read(args.data, "test_batch.bin", COMPARED)
    np.save(args.folder / "x.npy", normalise(images).numpy())
    np.save(args.folder / "y.npy", labels.numpy())
    model = ResNet19(load_file(args.folder / "first.safetensors"))
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0
    with torch.no_grad():
        model.train()(normalise(images))
    kept = {path_of(name): v for name, v in model.state_dict().items() if not name.endswith("num_batches_tracked")}
    save_file(kept, args.folder / "first.safetensors")
    return {"rates": rates(model, lambda: model(normalise(images)))}


def compare(args):
    """How far logits, loss and gradients of both sides lie apart on the same weights and images."""
    torch.set_num_threads(args.threads)
    model = ResNet19(load_file(args.folder / "first.safetensors"))
    x = torch.from_numpy(np.load(args.folder / "x.npy"))
    y = torch.from_numpy(np.load(args.folder / "y.npy"))
    with torch.no_grad():
        logits = (model.eval()(x) - torch.from_numpy(np.load(args.folder / "logits.npy"))).abs().max().item()
    loss = F.cross_entropy(model.train()(x), y)
    loss.backward()
    theirs = load_file(args.folder / "gradients.safetensors")
    ours = {path_of(name): p.grad for name, p in model.named_parameters()}
    if ours.keys() != theirs.keys():
        sys.exit(f"parameters of one side alone: {sorted(ours.keys() ^ theirs.keys())}")
    apart = {name: ((grad - theirs[name]).norm() / grad.norm()).item() for name, grad in ours.items()}
    worst = max(apart, key=apart.get)
    their_loss = json.loads((args.folder / "loss.json").read_text())["loss"]
    return dict(logits=logits, loss=abs(loss.item() - their_loss), gradient=apart[worst], worst=worst,
                parameters=sum(p.numel() for p in model.parameters()))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("part", choices=["train", "sample", "compare"])
    parser.add_argument("--folder", type=Path, required=True, help="holds the files of a run or a comparison")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--limit", type=int)
    args = parser.parse_args()
    print(json.dumps({"train": train, "sample": sample, "compare": compare}[args.part](args)))


if __name__ == "__main__":
    main()
