"""Tables in Markdown."""

from statistics import median, quantiles

OTHERS = 0.05  # the share of the processors that others may have before a row is marked
RATES = 0.005  # how far rates of a layer may lie apart


def spread(values):
    """The first and the last quartile."""
    if len(values) < 2:
        return values[0], values[0]
    first, _, last = quantiles(values, n=4, method="inclusive")
    return first, last


def speeds(task, turns):
    """Items a second of each step of all turns."""
    return [task.items / seconds for turn in turns for seconds in turn["seconds"]]


def ratios(ours, theirs):
    """How many times snnc is as fast, turn by turn."""
    return [median(b["seconds"]) / median(a["seconds"]) for a, b in zip(ours, theirs)]


def comparison(task, told, turns, failed):
    """The table of a task; the sides' words and turns by side."""
    lines = [f"\n### {task.name}", "",
             f"`{task.file}` {' '.join(task.define())}, {task.part}, batch {task.batch}{task.activity}", "",
             f"| side | {task.unit}, median [quartiles] | snnc is faster by, median [turns] | CPU | others | rates | logits | |",
             "|---|---|---|---|---|---|---|---|"]
    lines += [row(task, side, told, turns) for side in turns]
    lines += [f"| {side} | failed: {why} | | | | | | |" for side, why in failed.items()]
    return "\n".join(lines + rate_lines(told))


def row(task, side, told, turns):
    values, mine = speeds(task, turns[side]), turns[side]
    low, high = spread(values)
    cells = [f"{side} {told[side].get('form', '')}".strip(), f"{median(values):.3g} [{low:.3g}–{high:.3g}]", ""]
    if side != "snnc" and "snnc" in turns:
        faster = ratios(turns["snnc"], mine)
        cells[2] = f"**{median(faster):.2f}×** [{min(faster):.2f}–{max(faster):.2f}]"
    cells += [f"{median(turn['cpu'] for turn in mine):.2f}", f"{max(turn['others'] for turn in mine):.0%}"]
    rates = list(told[side]["rates"].values())
    cells += [f"{sum(rates) / len(rates):.3f}", logits(side, told), "; ".join(marks(side, told, mine))]
    return "| " + " | ".join(cells) + " |"


def logits(side, told):
    """The largest difference between the logits of a side and those of snnc."""
    ours, theirs = told.get("snnc", {}).get("logits"), told[side].get("logits")
    if side == "snnc" or told[side]["part"] != "infer" or not ours or not theirs:
        return ""
    return f"±{max(abs(a - b) for a, b in zip(ours, theirs)):.0e}"


def marks(side, told, turns):
    """Why a row should not be believed, or compares something else."""
    found = [told[side]["note"]] if told[side].get("note") else []
    if max(turn["others"] for turn in turns) > OTHERS:
        found.append("**disturbed**: others had the processors")
    ours, theirs = told.get("snnc", {}).get("rates", {}), told[side]["rates"]
    if ours.keys() != theirs.keys():
        found.append("**other layers**")
    elif any(abs(ours[layer] - rate) > RATES for layer, rate in theirs.items()):
        found.append("**other rates**")
    return found


def rate_lines(told):
    """The firing rate of each layer at snnc and at the peers."""
    if "snnc" not in told:
        return []
    lines = ["", "| layer | snnc | " + " | ".join(side for side in told if side != "snnc") + " |",
             "|---|" + "---|" * len(told)]
    for layer, rate in told["snnc"]["rates"].items():
        others = [told[side]["rates"].get(layer) for side in told if side != "snnc"]
        lines.append(f"| {layer} | {rate:.3f} | " + " | ".join("" if r is None else f"{r:.3f}" for r in others) + " |")
    return lines


def memory(rows):
    """Bytes of a training step beyond weights and optimiser; rows of (task, side, answer or None, why not)."""
    lines = ["\n### Memory of a training step beyond weights and optimiser", "",
             "| timesteps | batch | side | MiB resident | MiB planned | times snnc |", "|---|---|---|---|---|---|"]
    for task, side, answer, why in rows:
        ours = next((a for t, s, a, _ in rows if t is task and s == "snnc" and a), None)
        cells = [str(task.steps), str(task.batch), side, f"failed: {why}", "", ""]
        if answer:
            cells[3] = f"{answer['resident'] / 2**20:.0f}"
            cells[4] = f"{answer['planned'] / 2**20:.0f}" if "planned" in answer else ""
            if ours and side != "snnc":
                cells[5] = f"**{answer['resident'] / max(1, ours['resident']):.1f}×**"
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def sweep(rows):
    """snnc alone over firing rates; rows of (task, told, turns)."""
    lines = ["\n### snnc over firing rates", "", "| rate | part | rates of layers | images/s, median [quartiles] | |",
             "|---|---|---|---|---|"]
    for task, told, turns in rows:
        values, rates = speeds(task, turns), told["rates"].values()
        low, high = spread(values)
        mark = "**disturbed**" if max(turn["others"] for turn in turns) > OTHERS else ""
        lines.append(f"| {task.rate:.0%} | {task.part} | {min(rates):.3f}–{max(rates):.3f} | "
                     f"{median(values):.3g} [{low:.3g}–{high:.3g}] | {mark} |")
    return "\n".join(lines)
