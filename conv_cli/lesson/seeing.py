"""The first steps of the lesson: why images are seen through small windows, and what these see."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from conv_cli.correlation.params import ConvParams
from conv_cli.filtering import filter_image
from conv_cli.finding.find import find_pattern
from conv_cli.finding.peaks import Hit
from conv_cli.images import Image
from conv_cli.kernels.kernel import Kernel
from conv_cli.kernels.spec import load_kernel
from conv_cli.layers import corr2d
from conv_cli.lesson.markup import (
    below,
    commands,
    count,
    figure,
    figures,
    formula,
    indexed,
    matrix,
    name,
    paragraph,
    plain,
    row,
    sign,
    signed,
    table,
    total,
)
from conv_cli.lesson.subject import Subject, second_score
from conv_cli.networks.network import Network
from conv_cli.networks.receptive import PixelField
from conv_cli.pipeline.dense import dense_layer
from conv_cli.pipeline.feature_map import Range, map_to_pixels
from conv_cli.pipeline.find_task import framed
from conv_cli.report.dense_picture import dense_picture
from conv_cli.report.field_drawing import drawn_field

Pixels = npt.NDArray[np.uint8]
Values = npt.NDArray[np.float32]

_UNITS = 1000
_HIDING = "0.5", 60
"""The kernel and bias that make a picture pale, and hide what is in it from a plain comparison."""
_SOBEL = "sobel-x"


class Step(NamedTuple):
    """A step of the lesson: its title, and its body as HTML."""

    title: str
    body: str


def photograph(subject: Subject) -> Step:
    """Return what the lesson works on, and how it is made."""
    rows, columns, channels = subject.shape
    height, width = subject.small.shape[:2]
    how = (
        f"each of its pixels is the mean of {subject.factor}×{subject.factor} of yours"
        if subject.factor > 1
        else "your picture is small already, so its pixels stay as they are"
    )
    kind = "colour" if channels == 3 else "grey"
    return Step(
        "Your photograph",
        paragraph(
            f"Your {kind} picture has {count(rows)} rows and {count(columns)} columns. This lesson "
            f"works on a small grey one of {height}×{width} pixels, numbers from 0 (black) to 255 "
            f"(white): {how}. Type the commands below each step one after another, in the folder "
            "of your photograph, and you get the same numbers and pictures yourself."
        )
        + commands(*subject.made_by)
        + figures(figure(subject.small.pixels, subject.file, "Your photograph, small and grey")),
    )


def dense(subject: Subject) -> Step:
    """Return what a dense layer would need."""
    rows, columns, channels = subject.shape
    height, width = subject.small.shape[:2]
    inputs = rows * columns * channels
    (layer,) = Network(_SOBEL).info((1, height, width))
    rows_of = (
        ("every output from every input", count(layer.dense_parameters)),
        ("one 3×3 window for all places", count(layer.parameters)),
    )
    return Step(
        "A dense layer is far too large",
        paragraph(
            "A dense layer joins every input to every output, each by a weight of its own. Your "
            f"photograph has {count(rows)} × {count(columns)} × {channels} = {count(inputs)} "
            f"numbers. A dense layer of only {count(_UNITS)} outputs needs "
            f"<strong>{count(inputs * _UNITS)} weights</strong>, which is "
            f"{_gigabytes(4 * inputs * _UNITS)} at four bytes each."
        )
        + formula(
            row(
                below(name("h"), name("i")),
                sign("="),
                total(
                    name("j"),
                    row(
                        below(name("W"), row(name("i"), sign(","), name("j"))),
                        below(name("x"), name("j")),
                    ),
                ),
                sign("+"),
                below(name("b"), name("i")),
            ),
            "h i is the sum over j of W i j times x j, plus b i",
        )
        + paragraph(
            "Two ideas shrink it: use the <em>same</em> weights at every place, and look only at "
            "what lies near. For the small picture, one map of edges as large as itself takes:"
        )
        + commands(f"conv-cli net info {_SOBEL} --input 1x{height}x{width}")
        + table("Weights from the small picture to one map", ("layer", "weights"), rows_of)
        + paragraph(
            "For a tiny picture of 5×5 pixels the dense layer can be drawn: a row for each output "
            "pixel, a column for each input pixel, and every weight in the colour of its place in "
            "the kernel. The same nine weights in every row, moved on, and nothing else:"
        )
        + commands(f"conv-cli kernels dense {_SOBEL} --input 5x5 --padding valid -o dense.png")
        + figures(
            figure(_dense_picture(), "dense.png: the kernel, and the matrix of the dense layer",
                   "A matrix of 9 rows and 25 columns, blank but for the kernel's weights, which "
                   "are the same in every row")
        ),
    )  # fmt: skip


def _dense_picture() -> Pixels:
    kernel = load_kernel(_SOBEL)
    inside = ConvParams(padding=((0, 0), (0, 0)))
    return dense_picture(dense_layer(kernel, (5, 5), inside), kernel)


def _gigabytes(size: int) -> str:
    return f"{size / 1e9:,.1f} gigabytes" if size >= 1e8 else f"{size / 1e6:,.1f} megabytes"


def same_everywhere(subject: Subject) -> Step:
    """Return that the map of the moved picture is the moved map."""
    rows, columns = subject.move
    moved = subject.moved
    of_whole, of_moved = (map_of(image, _SOBEL) for image in (subject.small, moved))
    inside = of_whole[rows + 1 :, columns + 1 :] - of_moved[1:, 1:]
    height, width = moved.shape[:2]
    return Step(
        "The same detector everywhere",
        paragraph(
            f"Cut off the first {rows} rows and {columns} columns, and all that is in the picture "
            "has moved up and to the left. A detector of edges should not care: the map of the "
            "moved picture should be the moved map. This is <em>translation invariance</em> (to be "
            "exact, equivariance: the answer moves along)."
        )
        + formula(
            row(
                indexed("H", "i", "j"),
                sign("="),
                name("u"),
                sign("+"),
                total(
                    row(name("a"), sign(","), name("b")),
                    row(indexed("V", "a", "b"), indexed("X", "i+a", "j+b")),
                ),
            ),
            "H i j is u plus the sum over a and b of V a b times X i plus a, j plus b",
        )
        + paragraph("The weights V depend on the offset (a, b) alone, not on the place (i, j).")
        + commands(
            f"conv-cli apply {subject.file} -k identity --region {rows},{columns},{height}x{width} "
            "-o moved.png",
            f"conv-cli apply {subject.file} -k {_SOBEL} --depth float32 -o map.npy",
            f"conv-cli apply moved.png -k {_SOBEL} --depth float32 -o map-moved.npy",
            f"conv-cli net audit {_SOBEL} {subject.file} --shift {rows},{columns}",
        )
        + figures(
            figure(
                signed(of_whole),
                f"{_SOBEL} of the picture: blue below zero, red above",
                "Map of the edges of the picture",
            ),
            figure(
                signed(of_moved),
                f"{_SOBEL} of the moved picture",
                "Map of the edges of the moved picture: the same, moved",
            ),
        )
        + paragraph(
            f"Compare all {count(inside.size)} pixels that both maps have (but the first row and "
            "column of the moved one, whose windows reach over its new edge): the largest "
            f"difference is <strong>{plain(float(np.abs(inside).max()))}</strong>."
        ),
    )


def near_only(subject: Subject) -> Step:
    """Return that far pixels do not matter."""
    at_row, at_col = subject.edge
    nine = subject.small.window(at_row - 1, at_col - 1, 3, 3)
    whole, alone = (
        float(map_of(subject.small, _SOBEL)[at_row, at_col]),
        float(map_of(nine, _SOBEL)[1, 1]),
    )
    height, width = subject.small.shape[:2]
    field = PixelField(1, at_row, at_col, (at_row - 1, at_row + 2), (at_col - 1, at_col + 2),
                       (height, width))  # fmt: skip
    return Step(
        "Far pixels do not matter",
        paragraph(
            "<em>Locality</em>: to tell whether there is an edge here, look here. The sum goes "
            "over a small window, |a| ≤ Δ and |b| ≤ Δ; with Δ = 1 these are nine pixels. At row "
            f"{at_row}, column {at_col} of your picture they are:"
        )
        + matrix("The pixels of the window", nine.pixels)
        + commands(f"conv-cli explain {subject.file} -k {_SOBEL} --at {at_row},{at_col}")
        + paragraph(
            f"Their weighted sum is {plain(whole)}. Now throw all the rest of the photograph away:"
        )
        + commands(
            f"conv-cli apply {subject.file} -k identity --region {at_row - 1},{at_col - 1},3x3 "
            "-o nine.png",
            f"conv-cli explain nine.png -k {_SOBEL} --at 1,1",
        )
        + paragraph(f"From nine pixels alone it is <strong>{plain(alone)}</strong>.")
        + figures(
            figure(drawn_field(field, subject.small),
                   "All that this output pixel sees, framed and enlarged",
                   "The picture, dark but for a window of three by three pixels")
        ),
    )  # fmt: skip


def hidden(subject: Subject) -> Step:
    """Return that a patch is found wherever it hides."""
    patch, grey = subject.patch, subject.small.pixels
    kernel, bias = _HIDING
    pale = _paled(subject.moved.pixels)
    own, found = (find_pattern(image, patch.of(grey)) for image in (grey, pale))
    expected = patch.row - subject.move[0], patch.col - subject.move[1]
    rows = [
        (title, f"row {hit.row}, column {hit.col}", f"{hit.score:.3f}", len(hits))
        for title, hits in ((subject.file, own), ("hidden.png", found))
        for hit in hits[:1]
    ]
    return Step(
        "Found wherever it hides",
        paragraph(
            f"The detector may be a piece of the picture itself. This one of {patch.height}×"
            f"{patch.width} pixels was chosen because, of all the pieces with much detail, it is "
            f"the one that nothing else in your picture is like (the likest other place scores "
            f"{second_score(grey, patch):.2f}). It is slid over the picture, and every place gets "
            "a score: 1 where all is alike, 0 where nothing is."
        )
        + formula(_SCORE, "the score is the sum of w minus its mean times x minus its mean, "
                  "divided by the lengths of both")
        + figures(figure(patch.of(grey), f"the patch, at row {patch.row}, column {patch.col}",
                         "The piece of the picture that is looked for"))
        + commands(f"conv-cli find {subject.file} {subject.file} --crop {patch.words} -o found.png")
        + paragraph(
            "Now hide it: take the moved picture, halve its contrast and make it paler. Not one "
            "of the pixels need be the same, and yet:"
        )
        + commands(
            f"conv-cli apply moved.png -k {kernel} --bias {bias} -o hidden.png",
            f"conv-cli find {subject.file} hidden.png --crop {patch.words} -o found-hidden.png",
        )
        + table("Where it is found", ("picture", "best place", "score", "places above 0.8"), rows)
        + _whether_found(found, expected)
        + figures(
            figure(framed(subject.small, own), f"found.png: in {subject.file}",
                   "The picture with a frame around the patch"),
            figure(framed(Image(pale), found), "found-hidden.png: in the moved, paler picture",
                   "The moved, paler picture with a frame around the patch"),
        ),
    )  # fmt: skip


def _whether_found(found: list[Hit], expected: tuple[int, int]) -> str:
    """Return whether the first hit is where the patch has moved to."""
    if min(expected) < 0:
        return paragraph("The move has cut the patch itself off here, so what is found is another.")
    if found and (found[0].row, found[0].col) == expected:
        return paragraph(
            f"It moved by as much as the picture: to row {expected[0]}, column {expected[1]}."
        )
    return paragraph(
        f"It is at row {expected[0]}, column {expected[1]}, but your picture has places that are "
        "as like it as that: no detector can tell them apart."
    )


_SCORE = row(
    name("s"),
    sign("="),
    "<mfrac>",
    row(sign("∑"), sign("("), name("w"), sign("−"),
        f"<mover>{name('w')}{sign('¯')}</mover>", sign(")"), sign("("), name("x"), sign("−"),
        f"<mover>{name('x')}{sign('¯')}</mover>", sign(")")),
    row(sign("‖"), name("w"), sign("−"), f"<mover>{name('w')}{sign('¯')}</mover>", sign("‖"),
        sign("‖"), name("x"), sign("−"), f"<mover>{name('x')}{sign('¯')}</mover>", sign("‖")),
    "</mfrac>",
)  # fmt: skip


def flipped(subject: Subject) -> Step:
    """Return correlation beside convolution."""
    picture, kernel = np.arange(9).reshape(3, 3), np.arange(4).reshape(2, 2)
    correlated, convolved = (corr2d(picture, k) for k in (kernel, kernel[::-1, ::-1]))
    emboss = load_kernel("emboss")
    ways = [map_of(subject.small, emboss, convolve=convolve) for convolve in (False, True)]
    turned = map_of(subject.small, emboss.flipped())
    apart, none = (float(np.abs(ways[1] - other).max()) for other in (ways[0], turned))
    height, width = subject.small.shape[:2]
    typed = '"0 1 2; 3 4 5; 6 7 8" -k "0 1; 2 3" --padding valid'
    return Step(
        "Correlation, and convolution",
        paragraph(
            "The window starts at the top left and slides. At each place weights and pixels are "
            "multiplied and added up: that is <em>cross-correlation</em>, and what “convolutional” "
            "networks compute. Mathematical <em>convolution</em> turns the kernel by 180° first."
        )
        + formula(
            row(below(row(sign("("), name("X"), sign("⋆"), name("K"), sign(")")),
                      row(name("i"), sign(","), name("j"))), sign("="),
                total(row(name("a"), sign(","), name("b")),
                      row(indexed("K", "a", "b"), indexed("X", "i+a", "j+b")))),
            "X correlated with K, at i j, is the sum over a and b of K a b times X i plus a, j "
            "plus b",
        )
        + '<div class="figures">' + matrix("pixels", picture) + matrix("kernel", kernel)
        + matrix("correlated", correlated) + matrix("convolved", convolved) + "</div>"
        + commands(f"conv-cli apply {typed}", f"conv-cli apply {typed} --convolve")
        + paragraph(
            f"Check the first: 0·0 + 1·1 + 3·2 + 4·3 = {correlated[0, 0]}. Of n rows a kernel of k "
            f"rows leaves n − k + 1: here 3 − 2 + 1 = 2, of your {height}×{width} pixels a 3×3 "
            f"kernel leaves {height - 2}×{width - 2}."
        )
        + paragraph("On your picture, with a kernel that is not the same when it is turned:")
        + commands(
            f"conv-cli apply {subject.file} -k emboss -o correlated.png",
            f"conv-cli apply {subject.file} -k emboss --convolve -o convolved.png",
        )
        + figures(
            figure(seen(ways[0]), "correlated.png: light from one side", "Relief, correlated"),
            figure(seen(ways[1]), "convolved.png: light from the other side",
                   "Relief, convolved: lit from the opposite side"),
        )
        + paragraph(
            f"They differ by up to {plain(apart)}. Convolving and correlating with the turned "
            f"kernel differ by <strong>{plain(none)}</strong>. A kernel that is <em>learned</em> "
            "comes out turned or not as the operation needs it, so that for networks it makes no "
            "difference which of the two is used."
        ),
    )  # fmt: skip


def layer(subject: Subject) -> Step:
    """Return a layer with its bias."""
    values = map_of(subject.small, _SOBEL)
    bias = -max(1, round(float(np.percentile(np.abs(values), 90))))
    before, after = (float(np.mean(shown > 0)) for shown in (values, values + bias))
    model = f"{_SOBEL} | relu"
    return Step(
        "A layer: weights and a bias",
        paragraph(
            "A convolutional layer correlates with its weights W and adds a bias b, one number for "
            "the whole map. Both are learned; here there are 3 × 3 + 1 = 10 of them."
        )
        + formula(
            row(name("Y"), sign("="), name("X"), sign("⋆"), name("W"), sign("+"), name("b")),
            "Y is X correlated with W, plus b",
        )
        + paragraph(
            "A bias moves all values alike. Where only what is above zero counts (a picture has no "
            "negative light, and networks cut it off on purpose: <em>ReLU</em>), it is a "
            f"threshold. With b = {plain(bias)}, the strength that a tenth of your picture's edges "
            "reach, only the strong ones are left that grow lighter to the right:"
        )
        + commands(
            f"conv-cli apply {subject.file} -k {_SOBEL} --bias 0 -o rising.png",
            f"conv-cli apply {subject.file} -k {_SOBEL} --bias {bias} -o strong.png",
        )
        + figures(
            figure(seen(values), f"rising.png: {before:.1%} of the pixels are above zero",
                   "All edges that grow lighter to the right"),
            figure(seen(values + bias), f"strong.png: {after:.1%} are",
                   "The strong ones among them"),
        )
        + paragraph(f"As a network of two layers, the first of these is <code>{model}</code>."),
    )  # fmt: skip


def map_of(image: Image, kernel: str | Kernel, *, convolve: bool = False) -> Values:
    """Return the map (H, W) that a kernel makes of a grey image without opacity."""
    values: Values = filter_image(image, kernel, convolve=convolve)
    return values


def seen(values: Values) -> Pixels:
    """Return values as ``apply`` writes them: rounded, and limited to what 8 bits hold."""
    whole = np.dtype(np.uint8)
    return map_to_pixels(values, whole, whole, Range("clip"))[0]


def _paled(pixels: Pixels) -> Pixels:
    kernel, bias = _HIDING
    return seen(filter_image(pixels, kernel, bias=bias))
