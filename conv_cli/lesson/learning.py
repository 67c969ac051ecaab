"""The last steps of the lesson: kernels that are learned, and layers one behind the other."""

import json
import math
from collections.abc import Sequence

import numpy as np

from conv_cli.fitting.fit import fit_kernel
from conv_cli.fitting.result import Fit
from conv_cli.layers import corr2d
from conv_cli.lesson.markup import (
    above,
    commands,
    count,
    figure,
    figures,
    formula,
    indexed,
    matrix,
    name,
    number,
    paragraph,
    row,
    sign,
    signed,
    table,
    total,
)
from conv_cli.lesson.seeing import Step, Values, map_of, seen
from conv_cli.lesson.subject import Subject
from conv_cli.networks.network import Network
from conv_cli.networks.training import train
from conv_cli.report.field_drawing import drawn_field
from conv_cli.report.kernel_table import kernel_table

_BESIDE = 4
"""Pixels on each side of the edge that are shown."""
_ENLARGED = 36
_EPOCHS = 60
_TWO_LAYERS = {
    "layers": [
        {"conv": {"in_channels": 1, "out_channels": 2, "kernel_size": 3}, "padding": "same",
         "border": "edge"},
        {"square": {}},
        {"conv": {"in_channels": 2, "out_channels": 1, "kernel_size": 1}},
        {"sqrt": {}},
    ]
}  # fmt: skip
_TRAINED = 8
"""Epochs."""
_ROUNDING = 1e-9
"""Standard errors below are those of the computer's own numbers."""
_LEARNED = 0.999
"""R² from which on two layers have found what there is."""
_DEEP = "sobel-x sobel-y | abs | maxpool:2 | sum | gaussian:1 | maxpool:2 | log:1"


def edge(subject: Subject) -> Step:
    """Return the edge detector on an edge."""
    at_row, at_col = subject.edge
    line = subject.small.pixels[at_row : at_row + 1, at_col - _BESIDE : at_col + _BESIDE + 2]
    steps = corr2d(line, np.array([[1, -1]]))
    typed = " ".join(map(str, line[0].tolist()))
    values = map_of(subject.small, "edge-x")
    return Step(
        "The edge detector [1 −1]",
        paragraph(
            "The smallest detector of all: a pixel less its right neighbour. Where both are alike "
            "it is 0, at an edge it is not."
        )
        + formula(
            row(indexed("Y", "i", "j"), sign("="), indexed("X", "i", "j"), sign("−"),
                indexed("X", "i", "j+1")),
            "Y i j is X i j minus X i, j plus 1",
        )
        + paragraph(
            f"The strongest edge of your picture lies in row {at_row}, between columns {at_col} "
            f"and {at_col + 1}. These are the pixels around it, and what the detector makes of "
            "them:"
        )
        + '<div class="figures">' + matrix("pixels", line)
        + matrix("each less its right neighbour", steps) + "</div>"
        + commands(
            f'conv-cli apply "{typed}" -k "1 -1" --padding valid',
            f"conv-cli explain {subject.file} -k edge-x --at {at_row},{at_col}",
            f"conv-cli apply {subject.file} -k edge-x --depth float32 -o edges.npy",
        )
        + figures(
            figure(_enlarged(line), "the pixels, enlarged", "A row of ten pixels with an edge"),
            figure(signed(values), "edges.npy: blue below zero, white at zero, red above",
                   "Map of the edges of the picture"),
        ),
    )  # fmt: skip


def _enlarged(line: "np.ndarray") -> "np.ndarray":
    return line.repeat(_ENLARGED, axis=0).repeat(_ENLARGED, axis=1)


def learned(subject: Subject) -> Step:
    """Return a kernel learned by gradient descent, and the exact answer."""
    target = map_of(subject.small, "edge-x")
    small = subject.small
    down = fit_kernel(small, target, (1, 2), method="gd", epochs=_EPOCHS, channels="shared")
    best = fit_kernel(small, target)
    return Step(
        "A kernel that is learned",
        paragraph(
            "Now forget the kernel. Given are your picture X and its map of edges Y; which weights "
            "lead from one to the other? Begin with random weights, measure the squared error, and "
            "take a step downhill: against its slope, as far as the learning rate η says. Again."
        )
        + formula(
            row(name("L"), sign("="), total(row(name("i"), sign(","), name("j")),
                above(row(sign("("), indexed("Y", "i", "j"), sign("−"),
                          indexed("Ŷ", "i", "j"), sign(")")), number(2))),
                "<mspace width='2em'/>", name("w"), sign("←"), name("w"), sign("−"), name("η"),
                "<mfrac>", row(sign("∂"), name("L")), row(sign("∂"), name("w")), "</mfrac>"),
            "L is the sum of squared errors; w becomes w minus eta times the slope of L",
        )
        + commands(
            f"conv-cli fit {subject.file} edges.npy --size 1x2 --method gd --epochs {_EPOCHS}",
            f"conv-cli fit {subject.file} edges.npy",
        )
        + _loss_curve(down.losses)
        + '<div class="figures">'
        + kernel_table(down.weights, caption=f"after {len(down.losses)} epochs")
        + kernel_table(best.weights, caption="the exact answer")
        + "</div>"
        + paragraph(
            f"The loss falls from {count(down.losses[0])} to {_small(down.losses[-1])}. For a "
            "layer without a curve behind it there is an exact answer too, by least squares: one "
            "step in place of many. conv-cli finds even the size of the kernel by itself, and says "
            f"how sure it is: <strong>{best.verdict}</strong>, {best.size[0]}×{best.size[1]}, "
            f"{_certainty(best)}."
        ),
    )  # fmt: skip


def _certainty(fit: Fit) -> str:
    spread = float(np.max(fit.stderr)) if fit.stderr is not None else math.nan
    if not math.isfinite(spread):
        return "though your picture has too little detail to tell all weights apart"
    return f"each weight within {2 * spread:.1g}" if spread > _ROUNDING else "to the last digit"


def _small(value: float) -> str:
    return count(value) if value >= 100 else f"{value:.3g}"


def _loss_curve(losses: Sequence[float]) -> str:
    """Return the loss by epoch as a drawing, its axis of powers of ten."""
    least = max(min(losses), max(losses) * 1e-12, 1e-300)
    low, high = math.floor(math.log10(least)), math.ceil(math.log10(max(*losses, least)))
    high = max(high, low + 1)
    points = " ".join(
        f"{60 + 500 * epoch / max(len(losses) - 1, 1):.1f},"
        f"{190 - 170 * (math.log10(max(loss, least)) - low) / (high - low):.1f}"
        for epoch, loss in enumerate(losses)
    )
    ticks = "".join(
        f'<line x1="60" x2="560" y1="{y:.1f}" y2="{y:.1f}" stroke="#ddd"/>'
        f'<text x="54" y="{y + 4:.1f}" text-anchor="end">{10.0**power:g}</text>'
        for power in range(low, high + 1, max(1, (high - low) // 5))
        for y in (190 - 170 * (power - low) / (high - low),)
    )
    return (
        '<svg class="curve" viewBox="0 0 600 230" role="img" aria-label="The loss falls from '
        f'{losses[0]:.3g} to {losses[-1]:.3g} in {len(losses)} epochs">{ticks}'
        f'<polyline points="{points}" fill="none" stroke="#2166ac" stroke-width="2"/>'
        f'<text x="60" y="210">1</text><text x="560" y="210" text-anchor="end">{len(losses)}</text>'
        '<text x="310" y="222" text-anchor="middle">epoch</text>'
        '<text x="60" y="12">squared error, white counts as 1</text></svg>'
    )


def two_layers(subject: Subject) -> Step:
    """Return two layers where one kernel fails."""
    grey = subject.small.pixels
    across, down = (map_of(subject.small, kernel) for kernel in ("sobel-x", "sobel-y"))
    strength = np.hypot(across, down)
    one = fit_kernel(subject.small, strength)
    training = train(Network(_TWO_LAYERS), [(grey[None], strength[None])], epochs=_TRAINED)
    (made,) = training.network(grey[None])
    failed = one.verdict not in ("exact", "good")
    r2 = training.r2
    return Step(
        "Two layers where one kernel fails",
        paragraph(
            "How strong an edge is, whatever its direction, is the length of the slope: two maps, "
            "squared, added up, and the root of that."
        )
        + formula(
            row(name("S"), sign("="), "<msqrt>",
                above(row(sign("("), name("X"), sign("⋆"), "<msub><mi>K</mi><mi>x</mi></msub>",
                          sign(")")), number(2)), sign("+"),
                above(row(sign("("), name("X"), sign("⋆"), "<msub><mi>K</mi><mi>y</mi></msub>",
                          sign(")")), number(2)), "</msqrt>"),
            "S is the root of the sum of the squares of X correlated with K x and with K y",
        )
        + commands(
            f"conv-cli apply {subject.file} -k sobel-x -k sobel-y --combine magnitude "
            "--depth float32 -o strength.npy",
            f"conv-cli fit {subject.file} strength.npy",
        )
        + figures(figure(seen(strength), "strength.npy: the strength of every edge",
                         "Edges of every direction, white on black"))
        + paragraph(
            f"The best single kernel explains {_share(one.r2)} of it, and the verdict is "
            f"<strong>{one.verdict}</strong>. "
            + ("Squares and roots are not sums of pixels: no kernel can do it." if failed else
               "In your picture all edges run in one direction, so that one kernel is enough; try "
               "the lesson on another photograph.")
        )
        + paragraph(
            "Two layers can. Save this as <code>two-layers.json</code>; none of its weights is "
            "given:"
        )
        + commands(json.dumps(_TWO_LAYERS))
        + commands(
            f"conv-cli net fit two-layers.json {subject.file} strength.npy --epochs {_TRAINED} "
            "-o learned.npz",
            f"conv-cli net apply learned.npz {subject.file} --layer last -o learned/",
        )
        + paragraph(
            f"After {len(training.losses)} epochs they explain <strong>{_share(r2)}</strong> of "
            "pixels that they have not learned from. Their first two kernels:"
        )
        + _first_kernels(training.network)
        + (paragraph(
            "These need not be sobel-x and sobel-y themselves: any two slopes at right angles have "
            "the same length.") if failed and (r2 or 0) > _LEARNED else "")
        + figures(figure(seen(made), "what the two layers make of your picture",
                         "The same edges, as the learned layers see them")),
    )  # fmt: skip


def _share(r2: float | None) -> str:
    """Return a share of the variance in words."""
    if r2 is None:
        return "nothing"
    return f"{max(r2, 0):.2%}" if r2 < 0.9995 else f"{r2:.4%}"


def _first_kernels(network: Network) -> str:
    weight = np.asarray(network.layers[0].weight)  # type: ignore[attr-defined]
    tables = (kernel_table(kernel[0], caption=f"map {i}") for i, kernel in enumerate(weight, 1))
    return f'<div class="figures">{"".join(tables)}</div>'


def depth(subject: Subject) -> Step:
    """Return feature maps and receptive fields, layer by layer."""
    grey = subject.small.pixels
    network = Network(_DEEP)
    shape = (1, *grey.shape)
    layers = network.info(shape)
    centre = layers[-1].output[1] // 2, layers[-1].output[2] // 2
    field = network.field_of(shape, len(layers), *centre)
    at = f"{centre[0]},{centre[1]}"
    rows = [
        (
            f"{each.layer}, {each.kind}",
            "×".join(map(str, each.output)),
            "×".join(map(str, each.receptive_field)),
            "×".join(map(str, each.jump)),
        )
        for each in layers
    ]
    maps = [
        figure(_shown(values[0]), f"layer {number}, {info.kind}: one map of "
               f"{'×'.join(map(str, info.output))}", f"Feature map of layer {number}")
        for number, (info, values) in enumerate(
            zip(layers, network.maps(grey[None]), strict=True), 1)
        if number in (1, 3, 4, 7)
    ]  # fmt: skip
    return Step(
        "Deeper: feature maps and receptive fields",
        paragraph(
            "Layers behind each other see more and more: each pixel of a map looks at a window of "
            "the map before it, whose pixels have looked at windows themselves. What one pixel "
            "sees of your picture is its <em>receptive field</em>. With a window of k and jumps of "
            "j pixels between neighbours, and stride s:"
        )
        + formula(
            row("<msup><mi>r</mi><mo>′</mo></msup>", sign("="), name("r"), sign("+"), sign("("),
                name("k"), sign("−"), number(1), sign(")"), name("j"),
                "<mspace width='2em'/>", "<msup><mi>j</mi><mo>′</mo></msup>", sign("="), name("j"),
                name("s")),
            "r prime is r plus k minus 1 times j; j prime is j times s",
        )
        + commands(
            f'conv-cli net info "{_DEEP}" --image {subject.file}',
            f'conv-cli net apply "{_DEEP}" {subject.file} --layer all -o layers/',
            f'conv-cli net info "{_DEEP}" --image {subject.file} --field {at} -o field.png',
        )
        + table("The layers", ("layer", "output", "receptive field", "jump"), rows)
        + figures(*maps, figure(drawn_field(field, subject.small),
                                f"field.png: all that pixel {at} of the last layer sees",
                                "The picture, dark but for the receptive field"))
        + paragraph(
            "Detail is lost on the way, and meaning won: where a pixel of the last map is bright, "
            f"something happens in {rows[-1][2]} pixels of your photograph."
        ),
    )  # fmt: skip


def _shown(values: Values) -> "np.ndarray":
    """Return a map as it is looked at: signed ones in colours, others from black to white."""
    if values.min() < 0:
        return signed(values)
    return np.rint(values * (255 / (float(values.max()) or 1.0))).astype(np.uint8)
