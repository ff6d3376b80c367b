"""What is compared: models, parts, sizes, peers."""

from dataclasses import dataclass, field

RESNET19, STATTEN, LIF = "models/resnet19.snn", "models/statten.snn", "benches/peers/lif.snn"
INFER = ["openvino", "onnxruntime", "spikingjelly", "eager", "compile"]
TRAIN = ["spikingjelly", "eager", "compile"]
NEURON = ["spikingjelly", "eager", "compile", "snntorch", "jax", "spyx"]
SWEEP = [0.01, 0.02, 0.05, 0.10, 0.20, 0.30]
MEMORY_STEPS = [4, 16]


@dataclass
class Task:
    """One table: a part of a model at a firing rate, and who runs it beside snnc."""

    name: str
    file: str
    part: str
    batch: int
    peers: list
    rate: float = 0.15
    qkv: float = None
    defines: dict = field(default_factory=dict)
    steps: int = 4
    neurons: int = 128 * 32 * 32  # of a sample of `lif.snn`
    trained: tuple = None  # a checkpoint and its data, instead of weights and images that fire at the rate

    @property
    def model(self):
        return self.file.split("/")[-1].removesuffix(".snn")

    @property
    def activity(self):
        """What neurons do, in words."""
        if self.model == "lif":
            return ""
        if self.trained:
            return ", trained weights, test images"
        return f", firing rates {self.rate:.0%}" + (f" (queries, keys, values {self.qkv:.0%})" if self.qkv else "")

    @property
    def unit(self):
        return "G neuron updates/s" if self.model == "lif" else "images/s"

    @property
    def items(self):
        """What a step does, in the unit."""
        return self.steps * self.batch * self.neurons / 1e9 if self.model == "lif" else self.batch

    def define(self):
        """The overrides of the model's parameters, as words of the command."""
        return [f"{name}={value}" for name, value in {**self.defines, "steps": self.steps}.items()]


def sizes(quick):
    """Overrides of both models, and batches of inference, training and neuron."""
    if quick:
        small = dict(size=16)
        return dict(small, stem=16, width=16, hidden=32), dict(small, dim=64), (4, 4, 4)
    return dict(stem=128), dict(dim=256), (16, 8, 32)


def compared(quick):
    """The tasks that peers run too."""
    resnet, statten, (infer, train, neuron) = sizes(quick)
    return [
        Task("resnet19-infer-15", RESNET19, "infer", infer, INFER, 0.15, None, resnet),
        Task("resnet19-infer-5", RESNET19, "infer", infer, INFER, 0.05, None, resnet),
        Task("resnet19-train-15", RESNET19, "train", train, TRAIN, 0.15, None, resnet),
        Task("statten-infer", STATTEN, "infer", infer, INFER, 0.15, 0.09, statten),
        Task("statten-train", STATTEN, "train", train, TRAIN, 0.15, 0.09, statten),
        Task("lif-forward", LIF, "lif-forward", neuron, NEURON),
        Task("lif", LIF, "lif", neuron, NEURON),
    ]


def trained(checkpoint, data, defines):
    """The task of a trained network on images that it has not seen."""
    return Task("trained-infer", RESNET19, "infer", 16, INFER, defines=defines, trained=(checkpoint, data))


def swept(quick):
    """The tasks of snnc alone."""
    resnet, _, (infer, train, _) = sizes(quick)
    parts = [("infer", infer), ("train", train)]
    return [Task(f"sweep-{part}-{rate:g}", RESNET19, part, batch, [], rate, None, resnet)
            for rate in SWEEP for part, batch in parts]


def remembered(quick):
    """The tasks whose memory is measured: a training step at each number of timesteps."""
    resnet, _, (_, train, _) = sizes(quick)
    return [Task(f"memory-{steps}", RESNET19, "train", train, TRAIN, 0.15, None, resnet, steps)
            for steps in MEMORY_STEPS]
