"""A figure that hides in a crowd: the children's game, for `conv-cli find`.

Everybody is drawn by one routine from a few measures; the figure alone wears checks and a pointed
hat. It is drawn four times as large as it appears and reduced, as everything here is.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from PIL import Image, ImageDraw

from conv_cli import find_pattern
from conv_cli.images.drawing import Frame, draw_frames

from .painting import Array, noise, uniform

FINE = 4
HEIGHT, WIDTH = 640, 960
BOX = 44, 30
"""Rows and columns that the figure takes."""
HIDDEN = 371, 604
"""Row and column of its box in the crowd."""
LATER = 148, 233
"""And in the other picture, where it is darker and larger."""
GROWN, DIMMED = 1.3, 0.6

Colour = tuple[int, int, int]
Box = Callable[[float, float, float, float], tuple[float, ...]]
SKINS = [(250, 214, 184), (226, 172, 134), (186, 128, 92), (124, 82, 58)]
CLOTHES = [
    (200, 62, 54), (52, 108, 180), (246, 246, 240), (240, 196, 70), (74, 150, 96), (226, 132, 60),
    (120, 86, 150), (70, 74, 84), (232, 158, 180), (110, 186, 196),
]  # fmt: skip
HAIR = [(50, 38, 30), (96, 62, 36), (30, 30, 34), (206, 168, 96), (150, 150, 150)]


class Person(NamedTuple):
    """What somebody looks like: colours, the pattern of the coat, and what is on the head."""

    skin: Colour
    coat: Colour
    second: Colour
    legs: Colour
    head: Colour
    weave: str
    hat: str


FIGURE = Person(
    SKINS[0], (60, 48, 120), (250, 214, 60), (40, 40, 60), (190, 40, 110), "checks", "cone"
)


def figure() -> Array:
    """Return the figure on nothing, (h, w, 4)."""
    return np.asarray(_drawn(FIGURE, (0, 0)))


def crowd() -> Array:
    """Return the crowd with the figure in it."""
    return _scene(31, HIDDEN, 1.0, 1.0)


def crowd_later() -> Array:
    """Return another crowd, where the figure stands elsewhere, nearer and in the shade."""
    return _scene(32, LATER, GROWN, DIMMED)


def found(scene: Array, pattern: Array) -> Array:
    """Return the crowd with the figure framed, as `conv-cli find` frames it."""
    hits = find_pattern(scene, pattern[..., :3], mask=pattern[..., 3])
    frames = [
        Frame(hit.center, (hit.height, hit.width), f"{number} {hit.score:.2f}")
        for number, hit in enumerate(hits, 1)
    ]
    drawn = scene.copy()
    draw_frames(drawn, frames)
    return drawn


def _scene(seed: int, place: tuple[int, int], scale: float, light: float) -> Array:
    ground = np.array([214, 190, 150]) * (1 + 0.05 * noise((HEIGHT, WIDTH), seed, 0.8)[..., None])
    picture = Image.fromarray(np.clip(ground, 0, 255).astype(np.uint8))
    draws = iter(uniform((60_000,), seed).tolist())
    rows, columns = (round(n * scale) for n in BOX)
    hidden = Image.fromarray(figure()).resize((columns, rows), Image.Resampling.LANCZOS)
    dim = hidden.convert("RGB").point([round(value * light) for value in range(256)] * 3)
    waits = True
    for row in range(-20, HEIGHT, 23):
        if waits and row > place[0] + rows - BOX[0]:
            picture.paste(dim, (place[1], place[0]), hidden.getchannel("A"))
            waits = False
        for column in range(-20, WIDTH, 21):
            person, shift = _somebody(draws), (next(draws), next(draws))
            top, left = row + round(14 * shift[0]), column + round(14 * shift[1])
            other = _drawn(person, (next(draws) - 0.5, next(draws) - 0.5))
            covers = top < place[0] + rows - 8 and abs(left - place[1]) < columns - 6
            if waits or not covers:  # nobody stands before more of the figure than its feet
                picture.paste(other, (left, top), other)
    grain = 2 * noise((HEIGHT, WIDTH), seed + 100, 0.0)[..., None]
    return np.clip(np.rint(np.asarray(picture) + grain), 0, 255).astype(np.uint8)


def _somebody(draws: Iterator[float]) -> Person:
    def one(choices: Sequence[Any]) -> Any:
        return choices[int(next(draws) * len(choices))]

    return Person(
        one(SKINS), one(CLOTHES), one(CLOTHES), one(CLOTHES), one(HAIR + CLOTHES),
        one(["plain", "plain", "stripes", "bars", "spots"]), one(["hair", "hair", "cap", "brim"]),
    )  # fmt: skip


def _drawn(person: Person, lean: tuple[float, float]) -> Image.Image:
    """Return somebody, 44 high and 30 wide, leaning and waving a little."""
    size = BOX[1] * FINE, BOX[0] * FINE
    picture = Image.new("RGBA", size)
    draw = ImageDraw.Draw(picture)
    tilt = 4 * lean[0]

    def box(left: float, top: float, right: float, bottom: float) -> tuple[float, ...]:
        return tuple(FINE * n for n in (left, top, right, bottom))

    for side in (-1, 1):
        draw.rounded_rectangle(
            box(15 + side * 3.4 - 2, 32, 15 + side * 3.4 + 2, 43.5), 6, person.legs
        )
        shoulder, hand = 15 + side * 6, (15 + side * 10.5, 27 + side * 5 * lean[1])
        draw.line(
            [(FINE * shoulder, FINE * 20), (FINE * hand[0], FINE * hand[1])], person.coat, 3 * FINE
        )
        draw.ellipse(box(hand[0] - 2, hand[1] - 2, hand[0] + 2, hand[1] + 2), person.skin)
    _coat(picture, person, box)
    head = 15 + tilt / 4
    draw.ellipse(box(head - 5, 7.5, head + 5, 17.5), person.skin)
    for side in (-1, 1):
        draw.ellipse(box(head + side * 2 - 0.7, 11.5, head + side * 2 + 0.7, 13), (30, 24, 24))
    draw.arc(box(head - 2.4, 11.5, head + 2.4, 15.6), 30, 150, (120, 40, 40), FINE // 2)
    _hat(draw, person, head, box)
    return picture.resize((BOX[1], BOX[0]), Image.Resampling.LANCZOS)


def _coat(picture: Image.Image, person: Person, box: Box) -> None:
    shape = Image.new("L", picture.size)
    ImageDraw.Draw(shape).rounded_rectangle(box(8.5, 17, 21.5, 34), 4 * FINE, 255)
    cloth = Image.new("RGB", picture.size, person.coat)
    draw = ImageDraw.Draw(cloth)
    for n in range(12):
        if person.weave == "stripes" and n % 2:
            draw.rectangle(box(0, 16 + 2 * n, 30, 18 + 2 * n), person.second)
        if person.weave == "bars" and n % 2:
            draw.rectangle(box(6 + 2 * n, 0, 8 + 2 * n, 44), person.second)
        for m in range(12):
            left, top = 6 + 4 * n, 16 + 4 * m
            if person.weave == "checks" and (n + m) % 2:
                draw.rectangle(box(left, top, left + 4, top + 4), person.second)
            if person.weave == "spots" and (n + m) % 2:
                draw.ellipse(box(left + 0.5, top + 0.5, left + 3, top + 3), person.second)
    picture.paste(cloth, (0, 0), shape)


def _hat(draw: ImageDraw.ImageDraw, person: Person, head: float, box: Box) -> None:
    if person.hat == "cone":
        corners = [(head - 6.5, 9.5), (head + 2.5, 0), (head + 6, 9.5)]
        draw.polygon([(FINE * x, FINE * y) for x, y in corners], person.head)
        draw.ellipse(box(head + 0.5, 0, head + 4.5, 3.5), person.second)
    elif person.hat == "hair":
        draw.chord(box(head - 5.5, 6.5, head + 5.5, 16), 180, 360, person.head)
    elif person.hat == "cap":
        draw.chord(box(head - 5.5, 6, head + 5.5, 15), 180, 360, person.head)
        draw.rectangle(box(head, 9.5, head + 8, 11), person.head)
    else:
        draw.ellipse(box(head - 8.5, 8, head + 8.5, 11.5), person.head)
        draw.chord(box(head - 5, 4, head + 5, 14), 180, 360, person.head)
