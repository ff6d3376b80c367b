"""Tables in Markdown of the runs that are finished."""

from statistics import mean, stdev


def percent(values):
    """Mean and deviation of accuracies, and each of them."""
    shown = f"{100 * mean(values):.2f}"
    shown += f" ± {100 * stdev(values):.2f}" if len(values) > 1 else ""
    return f"{shown} ({', '.join(f'{100 * value:.2f}' for value in values)})"


def of(lines, key):
    return [line[key] for line in lines]


def minutes(lines, key):
    parts = sum(line["parts"] > 1 for line in lines)
    return f"{mean(of(lines, key)) / 60:.1f}" + (f" ({parts} in parts)" if parts else "")


def difference(ours, theirs):
    """The difference of two means in points, with its standard error."""
    points = 100 * (mean(ours) - mean(theirs))
    if min(len(ours), len(theirs)) < 2:
        return f"{points:+.2f} points"
    error = 100 * (stdev(ours) ** 2 / len(ours) + stdev(theirs) ** 2 / len(theirs)) ** 0.5
    return f"{points:+.2f} points, standard error {error:.2f}"


def learning(lines, sides):
    """Accuracy and time of both sides, and accuracies by epoch."""
    by_side = {side: [line for line in lines if line["name"] == side] for side in sides}
    by_side = {side: found for side, found in by_side.items() if found}
    rows = ["| side | runs | test accuracy after the last epoch, % | loss in training | firing rate | images/s | "
            "wall, min | processor, min |", "|---|---|---|---|---|---|---|---|"]
    for side, found in by_side.items():
        last = [line["history"][-1] for line in found]
        cells = [side, str(len(found)), percent(of(found, "accuracy")), f"{mean(of(last, 'train_loss')):.4f}",
                 f"{mean(of(last, 'firing_rate')):.3f}", f"{mean(of(found, 'images_per_second')):.0f}",
                 minutes(found, "wall_seconds"), minutes(found, "processor_seconds")]
        rows.append("| " + " | ".join(cells) + " |")
    if len(by_side) == 2:
        ours, theirs = (of(found, "accuracy") for found in by_side.values())
        taken = [mean(of(found, "processor_seconds")) for found in by_side.values()]
        rows += ["", f"{' less '.join(by_side)}: {difference(ours, theirs)}; "
                     f"{taken[1] / taken[0]:.2f} times the processor time."]
    return "\n".join(rows + [""] + by_epoch(by_side))


def by_epoch(by_side):
    epochs = max((len(found[0]["history"]) for found in by_side.values()), default=0)
    rows = ["| mean test accuracy, % | " + " | ".join(f"epoch {n + 1}" for n in range(epochs)) + " |",
            "|---|" + "---|" * epochs]
    for side, found in by_side.items():
        means = [mean(line["history"][n]["test_accuracy"] for line in found) for n in range(epochs)]
        rows.append(f"| {side} | " + " | ".join(f"{100 * value:.1f}" for value in means) + " |")
    return rows


def ablation(lines, variants):
    """Accuracy of each variant, against the first one on the same seeds."""
    rows = ["| variant | runs | test accuracy after the last epoch, % | against the first, points by seed | parameters | "
            "operations of spikes an image, M | firing rate | wall, min | processor, min |",
            "|---|---|---|---|---|---|---|---|---|"]
    first = {line["seed"]: line["accuracy"] for line in lines if line["name"] == variants[0]}
    for variant in variants:
        found = [line for line in lines if line["name"] == variant]
        if not found:
            continue
        apart = [100 * (line["accuracy"] - first[line["seed"]]) for line in found if line["seed"] in first]
        shown = f"{mean(apart):+.2f} ({', '.join(f'{a:+.2f}' for a in apart)})" if apart else ""
        rate = mean(line["history"][-1]["firing_rate"] for line in found)
        cells = [variant, str(len(found)), percent(of(found, "accuracy")), "" if variant == variants[0] else shown,
                 f"{found[0]['parameters']:,}", f"{mean(of(found, 'sops')) / 1e6:.2f}", f"{rate:.3f}",
                 minutes(found, "wall_seconds"), minutes(found, "processor_seconds")]
        rows.append("| " + " | ".join(cells) + " |")
    return "\n".join(rows)
