"""One layer of neurons in each framework: decay 0.5, threshold 1, hard reset, rectangle of width 1; T·N currents."""


def make(peer, steps, neurons, backward, threads):
    """A step of a peer without arguments, that returns its spikes or nothing; and notes where it computes another neuron."""
    if peer in ("jax", "spyx"):
        return of_jax(peer, steps, neurons, backward)
    return of_torch(peer, steps, neurons, backward, threads)


def of_jax(peer, steps, neurons, backward):
    import jax
    import jax.numpy as jnp
    import numpy as np
    rng = np.random.default_rng(0)
    x = jnp.asarray(3 ** 0.5 * rng.uniform(-1, 1, (steps, neurons)) + 0.2, jnp.float32)
    g = jnp.asarray(rng.standard_normal((steps, neurons)), jnp.float32)
    layer, note = (jax_layer(jax, jnp), "") if peer == "jax" else (spyx_layer(neurons), "soft reset, one step late")
    forward = jax.jit(layer)
    both = jax.jit(lambda x, g: jax.vjp(layer, x)[1](g)[0])
    run = (lambda: both(x, g).block_until_ready()) if backward else (lambda: forward(x).block_until_ready())
    return run, lambda: float(forward(x).mean()), note


def jax_layer(jax, jnp):
    @jax.custom_vjp
    def spike(u):
        return (u >= 0).astype(u.dtype)

    spike.defvjp(lambda u: (spike(u), u), lambda u, grad: (grad * (jnp.abs(u) < 0.5),))

    def layer(x):
        v, outputs = jnp.zeros_like(x[0]), []
        for current in x:
            h = v * 0.5 + current
            s = spike(h - 1.0)
            v = h * (1 - jax.lax.stop_gradient(s))
            outputs.append(s)
        return jnp.stack(outputs)

    return layer


def spyx_layer(neurons):
    import spyx.axn
    import spyx.nn
    from flax import nnx
    boxcar = spyx.axn.boxcar(width=1, height=1)
    lif = spyx.nn.LIF((neurons,), beta=0.5, threshold=1.0, activation=boxcar, rngs=nnx.Rngs(0))
    return lambda x: spyx.nn.run(lif, x[:, None, :])[0][:, 0]


def of_torch(peer, steps, neurons, backward, threads):
    import torch
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    x = 3 ** 0.5 * (2 * torch.rand(steps, neurons) - 1) + 0.2
    g = torch.randn(steps, neurons)
    layer = torch_layer(torch, peer, steps)

    def forward():
        with torch.no_grad():
            return layer(x)

    leaf = x.clone().requires_grad_(True)

    def both():
        leaf.grad = None
        layer(leaf).backward(g)

    return both if backward else forward, lambda: float(forward().mean()), ""


def torch_layer(torch, peer, steps):
    from models import SPIKES, Lif
    if peer == "spikingjelly":
        from spikingjelly.activation_based import functional
        lif = Lif("spikingjelly", steps, False, "rectangle")

        def layer(x):
            functional.reset_net(lif)
            return lif(x)

        return layer
    if peer == "snntorch":
        import snntorch
        lif = snntorch.Leaky(beta=0.5, threshold=1.0, spike_grad=SPIKES["plain", "rectangle"],
                             reset_mechanism="zero", reset_delay=False)

        def layer(x):
            membrane, outputs = lif.reset_mem(), []
            for current in x:
                s, membrane = lif(current, membrane)
                outputs.append(s)
            return torch.stack(outputs)

        return layer
    lif = Lif("arithmetic" if peer == "compile" else "plain", steps, False, "rectangle")
    return torch.compile(lif) if peer == "compile" else lif
