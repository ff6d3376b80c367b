"""The models of `models/` in PyTorch, by the names of their parameters there, on weights of a state file."""

import torch
from torch import nn
from torch.nn import functional as F


def surrogate(forward, slope):
    """A spike function: `forward` of the distance from the threshold, with the gradient `slope`."""

    class Spike(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return forward(x)

        @staticmethod
        def backward(ctx, grad):
            return grad * slope(ctx.saved_tensors[0])

    return Spike.apply


def step(x):
    return (x >= 0).to(x.dtype)


def step_arithmetic(x):
    """The same without a tensor of booleans, which the compiled form stores lane by lane."""
    return torch.relu(torch.sign(torch.sign(x) + 0.5))


def sigmoid_slope(x):
    y = torch.sigmoid(4.0 * x)
    return 4.0 * y * (1.0 - y)


SPIKES = {
    ("plain", "rectangle"): surrogate(step, lambda x: (x.abs() < 0.5).to(x.dtype)),
    ("arithmetic", "rectangle"): surrogate(step_arithmetic, lambda x: torch.relu(torch.sign(0.5 - x.abs()))),
    ("plain", "sigmoid"): surrogate(step, sigmoid_slope),
    ("arithmetic", "sigmoid"): surrogate(step_arithmetic, sigmoid_slope),
}


def lif_loop(x, steps, decay_input, threshold, spike):
    """Spikes of currents [steps·batch, …]: tau 2, hard reset to 0, the reset outside of the gradient."""
    outputs, v = [], None
    for current in x.chunk(steps, 0):
        if decay_input:
            h = current * 0.5 if v is None else v + (current - v) * 0.5
        else:
            h = current if v is None else v * 0.5 + current
        s = spike(h - threshold)
        v = h * (1.0 - s.detach())
        outputs.append(s)
    return torch.cat(outputs)


class Lif(nn.Module):
    """A layer of neurons; `kind` is plain, arithmetic or spikingjelly."""

    def __init__(self, kind, steps, decay_input, shape, threshold=1.0):
        super().__init__()
        self.steps, self.decay_input, self.threshold = steps, decay_input, threshold
        self.node = None
        if kind == "spikingjelly":
            from spikingjelly.activation_based import neuron, surrogate as theirs
            shapes = {"rectangle": lambda: theirs.Rect(alpha=1.0), "sigmoid": lambda: theirs.Sigmoid(alpha=4.0)}
            self.node = neuron.LIFNode(tau=2.0, decay_input=decay_input, v_threshold=threshold, v_reset=0.0,
                                       surrogate_function=shapes[shape](), detach_reset=True, step_mode="m")
        else:
            self.spike = SPIKES[kind, shape]

    def forward(self, x):
        if self.node is None:
            return lif_loop(x, self.steps, self.decay_input, self.threshold, self.spike)
        return self.node(x.view(self.steps, -1, *x.shape[1:])).flatten(0, 1)


class Unit(nn.Module):
    """A convolution and a norm, from the tensors of a path."""

    def __init__(self, state, path, stride=1):
        super().__init__()
        weight, bias = state[f"{path}.conv.weight"], state.get(f"{path}.conv.bias")
        size = weight.shape[-1]
        self.conv = nn.Conv2d(weight.shape[1], weight.shape[0], size, stride, size // 2, bias=bias is not None)
        self.norm = nn.BatchNorm2d(weight.shape[0])
        load(self.conv, state, f"{path}.conv")
        load(self.norm, state, f"{path}.norm")

    def forward(self, x):
        return self.norm(self.conv(x))


def load(module, state, path):
    """Sets all parameters and statistics of a module."""
    with torch.no_grad():
        for name, value in module.state_dict().items():
            if name != "num_batches_tracked":
                value.copy_(state[f"{path}.{name}"])
    return module


def linear(state, path):
    rows, columns = state[f"{path}.weight"].shape
    return load(nn.Linear(columns, rows), state, path)


class Basic(nn.Module):
    """A residual block of `models/blocks/residual.snn`."""

    def __init__(self, state, path, stride, lif):
        super().__init__()
        self.first, self.first_lif = Unit(state, f"{path}.first.unit", stride), lif(f"{path}.first.fire.lif")
        self.second, self.lif = Unit(state, f"{path}.second.unit"), lif(f"{path}.fire.lif")
        skip = f"{path}.skip.unit"
        self.skip = Unit(state, skip, stride) if f"{skip}.conv.weight" in state else nn.Identity()

    def forward(self, x):
        return self.lif(self.second(self.first_lif(self.first(x))) + self.skip(x))


class ResNet19(nn.Module):
    """`models/resnet19.snn`, variant A."""

    def __init__(self, state, steps, lif):
        super().__init__()
        self.steps = steps
        self.stem, self.stem_lif = Unit(state, "stem.unit"), lif("stem.fire.lif")
        paths = ["stage1.stage.enter", "stage1.stage.near", "stage1.stage", "stage2.stage.enter", "stage2.stage.near",
                 "stage2.stage", "stage3.stage.enter", "stage3.stage"]
        strides = [2 if path in ("stage2.stage.enter", "stage3.stage.enter") else 1 for path in paths]
        self.blocks = nn.Sequential(*(Basic(state, f"{p}.basic", s, lif) for p, s in zip(paths, strides)))
        self.hidden, self.hidden_lif = linear(state, "classify.hidden.linear"), lif("classify.hidden.fire.lif")
        self.classify = linear(state, "classify.linear")

    def forward(self, x):
        x = self.blocks(self.stem_lif(self.stem(x.repeat(self.steps, 1, 1, 1))))
        x = self.classify(self.hidden_lif(self.hidden(x.mean((2, 3)))))
        return x.view(self.steps, -1, x.shape[-1]).mean(0)


class Attend(nn.Module):
    """The branch `attend` of `models/blocks/spike_driven.snn` with the attention of `models/statten.snn`."""

    def __init__(self, state, path, steps, lif, heads=8, chunk=2):
        super().__init__()
        self.steps, self.heads, self.chunk = steps, heads, chunk
        self.s_lif = lif(f"{path}.s.lif")
        self.units = nn.ModuleList(Unit(state, f"{path}.{n}.point") for n in "qkv")
        self.lifs = nn.ModuleList(lif(f"{path}.{n}.lif") for n in "qkv")
        self.core_lif = lif(f"{path}.core.lif", threshold=0.5)
        self.point = Unit(state, f"{path}.point")

    def tokens(self, x):
        """[T·B, C, H, W] to [T/chunk, B, heads, chunk·H·W, C/heads]"""
        c, n = x.shape[1], x.shape[2] * x.shape[3]
        x = x.reshape(self.steps // self.chunk, self.chunk, -1, self.heads, c // self.heads, n)
        return x.permute(0, 2, 3, 1, 5, 4).flatten(3, 4)

    def forward(self, x):
        shape, s = x.shape, self.s_lif(x)
        q, k, v = (self.tokens(lif(unit(s))) for unit, lif in zip(self.units, self.lifs))
        o = q @ ((k.transpose(-2, -1) @ v) * (1.0 / shape[2]))
        o = o.unflatten(3, (self.chunk, shape[2] * shape[3])).permute(0, 3, 1, 2, 5, 4)
        return self.point(self.core_lif(o.reshape(shape)))


class Encoder(nn.Module):
    def __init__(self, state, path, steps, lif):
        super().__init__()
        self.attend = Attend(state, f"{path}.attended.attend", steps, lif)
        self.lif, self.up = lif(f"{path}.lif"), Unit(state, f"{path}.point")
        self.lif_2, self.down = lif(f"{path}.lif_2"), Unit(state, f"{path}.point_2")

    def forward(self, x):
        x = x + self.attend(x)
        return x + self.down(self.lif_2(self.up(self.lif(x))))


class Statten(nn.Module):
    """`models/statten.snn` with two blocks and two pools."""

    def __init__(self, state, steps, lif):
        super().__init__()
        self.steps = steps
        paths = [f"embed.spikes.{name}.y" for name in ("patch", "patch_2", "patch_3")]
        self.patches = nn.ModuleList(Unit(state, f"{path}.conv_norm") for path in paths)
        self.lifs = nn.ModuleList(lif(f"{path}.lif") for path in paths)
        self.current, self.lif = Unit(state, "embed.current.conv_norm"), lif("embed.lif")
        self.position = Unit(state, "embed.conv_norm")
        self.encoders = nn.Sequential(*(Encoder(state, f"encoder.{n}", steps, lif) for n in range(2)))
        self.head_lif, self.classify = lif("classify.lif"), linear(state, "classify.linear")

    def forward(self, x):
        x = x.repeat(self.steps, 1, 1, 1)
        for unit, lif in zip(self.patches, self.lifs):
            x = lif(unit(x))
        x = self.current(F.max_pool2d(x, 3, 2, 1))
        x = F.max_pool2d(x, 3, 2, 1)
        x = self.encoders(x + self.position(self.lif(x)))
        x = self.classify(self.head_lif(x.mean((2, 3))))
        return x.view(self.steps, -1, x.shape[-1]).mean(0)


def build(name, kind, state, steps):
    """A model of a name; its neurons know the layer they stand for."""
    decay_input, shape = {"resnet19": (False, "rectangle"), "statten": (True, "sigmoid")}[name]

    def lif(layer, threshold=1.0):
        module = Lif(kind, steps, decay_input, shape, threshold)
        module.layer = layer
        return module

    return {"resnet19": ResNet19, "statten": Statten}[name](state, steps, lif)


def rates(model, run):
    """The firing rate of each layer in one run."""
    found, hooks = {}, []
    for module in model.modules():
        if isinstance(module, Lif):
            note = lambda m, _, spikes: found.__setitem__(m.layer, round(spikes.detach().mean().item(), 4))
            hooks.append(module.register_forward_hook(note))
    with torch.no_grad():
        run()
    for hook in hooks:
        hook.remove()
    return found
