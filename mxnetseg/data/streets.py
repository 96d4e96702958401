"""Draw street scenes with labels: the data set `streets`, for trying things out without a download.

A scene is a straight street in one-point perspective. A place on the ground is (side, near): `near` runs
from 0 at the horizon to 1 at the lower edge, `side` counts picture widths from the street's axis at the lower
edge. The camera is at eye level, so things are as many times `eye` high as they are times a person's height.
"""

from pathlib import Path
from typing import Dict, Tuple

import cv2
import numpy as np

from ..progress import progress_bar
from ..saving import write_file
from ..visual import save_png
from .catalog import get_spec
from .dataset import IGNORE

__all__ = ["draw_scene", "draw_streets"]

SKY, BUILDING, TREE, PAVEMENT, ROAD, LANE, CAR, PERSON, POLE, SIGN = range(10)
FINER = 2  # scenes are drawn this many times finer, for smooth edges


def draw_streets(root, counts: Dict[str, int], size: Tuple[int, int], seed: int = 0, progress: bool = True) -> None:
    """Write images/<split>/NNNN.png, labels/<split>/NNNN.png and classes.txt below `root`.

    Parameters
    ----------
    root : str or Path
        Folder.
    counts : dict
        Scenes per split.
    size : (int, int)
        (height, width) in pixels, at least 64 x 64.
    seed : int
        Scene i of a split depends on (seed, split, i, size) alone.
    """
    from ..config.schema import DataConfig

    spec = get_spec(DataConfig(name="streets"))
    for split, count in counts.items():
        salt = sum(ord(letter) * 131**place for place, letter in enumerate(split)) % 2**31
        for index in progress_bar(range(count), desc=f"draw {split}", unit="scene", shown=progress):
            image, label = draw_scene(np.random.default_rng([seed, salt, index]), size)
            for folder, pixels in ((spec.images, image), (spec.masks, label)):
                save_png(Path(root) / folder.format(split=split) / f"{index:04d}.png", pixels)
    write_file(Path(root) / "classes.txt", "".join(f"{name}\n" for name in spec.classes).encode())


def draw_scene(rng: np.random.Generator, size: Tuple[int, int]) -> Tuple[np.ndarray, np.ndarray]:
    """One scene: image (H, W, 3) uint8 RGB and label (H, W) uint8."""
    scene = _Scene(rng, size[0] * FINER, size[1] * FINER)
    scene.sky()
    scene.skyline()
    scene.ground()
    scene.facades()
    scene.things()
    scene.bonnet()
    return scene.photograph(size)


class _Scene:
    """A picture and its labels, drawn from far to near."""

    def __init__(self, rng: np.random.Generator, height: int, width: int):
        self.rng = rng
        self.height, self.width = height, width
        self.horizon = height * rng.uniform(0.36, 0.46)
        self.axis = width * rng.uniform(0.4, 0.6)
        self.image = np.zeros((height, width, 3), np.float32)
        self.label = np.full((height, width), IGNORE, np.uint8)
        self.left, self.right = -rng.uniform(0.38, 0.55), rng.uniform(0.38, 0.55)  # kerbs
        self.walk = rng.uniform(0.22, 0.32)  # width of the pavements
        self.grain = {cell: self._noise(cell) for cell in (3, 10, 40)}

    # geometry

    def place(self, side: float, near: float, up: float = 0.0) -> Tuple[float, float]:
        """Pixel (x, y) of a point `up` eye heights above the ground."""
        eye = near * (self.height - self.horizon)
        return self.axis + side * near * self.width, self.horizon + (1 - up) * eye

    def box(self, side, near, low, high, wide) -> np.ndarray:
        """Corners of an upright rectangle that faces us, `wide` and `low` to `high` in eye heights."""
        x, y = self.place(side, near)
        eye = near * (self.height - self.horizon)
        left, right = x - wide / 2 * eye, x + wide / 2 * eye
        return np.array(
            [(left, y - low * eye), (right, y - low * eye), (right, y - high * eye), (left, y - high * eye)]
        )

    # paint

    def _noise(self, cell: int) -> np.ndarray:
        coarse = self.rng.standard_normal((self.height // cell + 2, self.width // cell + 2)).astype(np.float32)
        return cv2.resize(coarse, (self.width, self.height), interpolation=cv2.INTER_CUBIC)

    def paint(self, mask: np.ndarray, colour, kind, texture: float = 0.0, cell: int = 3) -> None:
        """Colour where `mask` is set, with noise of `texture` grey levels; kind None leaves the labels alone."""
        where = mask > 0
        self.image[where] = np.asarray(colour, np.float32) + texture * self.grain[cell][where][:, None]
        if kind is not None:
            self.label[where] = kind

    def polygon(self, points, colour, kind, texture: float = 0.0, cell: int = 3) -> None:
        mask = np.zeros((self.height, self.width), np.uint8)
        cv2.fillPoly(mask, [np.rint(np.asarray(points)).astype(np.int32)], 1)
        self.paint(mask, colour, kind, texture, cell)

    def ellipse(self, centre, axes, colour, kind, texture: float = 0.0, cell: int = 3) -> None:
        mask = np.zeros((self.height, self.width), np.uint8)
        size = [max(1, round(a)) for a in axes]
        cv2.ellipse(mask, [round(c) for c in centre], size, 0, 0, 360, 1, -1)
        self.paint(mask, colour, kind, texture, cell)

    def colour(self, *ranges) -> np.ndarray:
        return np.array([self.rng.uniform(low, high) for low, high in ranges])

    # what stands where

    def sky(self) -> None:
        top, low = self.colour((60, 150), (120, 190), (190, 245)), self.colour((190, 235), (205, 240), (225, 250))
        share = np.clip(np.arange(self.height) / self.horizon, 0, 1)[:, None, None]
        clouds = np.clip(self.grain[40] + 0.4 * self.grain[10] - self.rng.uniform(0.2, 1.5), 0, 1)[..., None]
        self.image[:] = (top * (1 - share) + low * share) * (1 - 0.7 * clouds) + 245 * 0.7 * clouds
        self.label[: int(self.horizon) + 1] = SKY

    def skyline(self) -> None:
        left = -0.05 * self.width
        while left < self.width:
            wide = self.width * self.rng.uniform(0.08, 0.2)
            high = self.height * self.rng.uniform(0.05, 0.2)
            if self.rng.random() < 0.6:
                corners = [(left, self.horizon + 2), (left + wide, self.horizon + 2)]
                corners += [(left + wide, self.horizon - high), (left, self.horizon - high)]
                self.wall(np.array(corners), rows=2, columns=2)
            else:
                foliage = self.colour((60, 100), (95, 140), (50, 85))
                self.ellipse((left + wide / 2, self.horizon), (wide * 0.6, high * 0.7), foliage, TREE, 16)
            left += wide * self.rng.uniform(0.8, 1.3)

    def wall(self, corners: np.ndarray, rows: int, columns: int) -> None:
        """A facade with windows; corners: below left, below right, above right, above left."""
        brick = self.colour((110, 210), (85, 180), (75, 165))
        self.polygon(corners, brick, BUILDING, 7, 3)
        glass = self.colour((40, 110), (55, 125), (75, 150))
        low_left, low_right, high_right, high_left = corners

        def at(u, v):
            return (1 - v) * ((1 - u) * low_left + u * low_right) + v * ((1 - u) * high_left + u * high_right)

        for row in range(rows):
            for column in range(columns):
                u, v = (column + 0.25) / columns, (row + 0.3) / rows
                du, dv = 0.5 / columns, 0.45 / rows
                self.polygon([at(u, v), at(u + du, v), at(u + du, v + dv), at(u, v + dv)], glass, None, 7, 10)

    def ground(self) -> None:
        below = np.zeros((self.height, self.width), np.uint8)
        below[int(self.horizon) + 1 :] = 1
        stone = self.rng.uniform(145, 190) + self.colour((-6, 12), (-8, 6), (-14, 4))
        self.paint(below, stone, PAVEMENT, 7, 3)
        for step in range(1, 14):  # joints between the slabs
            near = step / 13
            _, y = self.place(0, near * near)
            cv2.line(self.image, (0, round(y)), (self.width, round(y)), (stone * 0.86).tolist(), 1 + round(2 * near))
        tar = self.rng.uniform(70, 110) + self.colour((-5, 5), (-5, 5), (-2, 8))
        far = 0.001
        for side, kerb in ((self.left, -0.03), (self.right, 0.03)):
            strip = [self.place(side, far), self.place(side + kerb, far), self.place(side + kerb, 1.05)]
            self.polygon([*strip, self.place(side, 1.05)], stone * 0.72, PAVEMENT, 4)
        corners = [(self.left, far), (self.right, far), (self.right, 1.05), (self.left, 1.05)]
        self.polygon([self.place(*corner) for corner in corners], tar, ROAD, 6, 3)
        for _ in range(self.rng.integers(0, 4)):  # patches of newer tar
            centre = self.place(self.rng.uniform(self.left, self.right) * 0.8, self.rng.uniform(0.3, 0.9))
            self.ellipse(centre, self.width * self.rng.uniform(0.03, 0.1, 2) * (1, 0.4), tar * 0.85, None, 5)
        self.lanes()

    def lanes(self) -> None:
        white = self.rng.uniform(205, 245) + self.colour((-4, 4), (-4, 4), (-20, 2))
        half = self.rng.uniform(0.034, 0.044)
        near = self.rng.uniform(0.2, 0.26)
        middle = (self.left + self.right) / 2 + self.rng.uniform(-0.05, 0.05)
        while near < 1:
            end = near * 1.3
            self.stripe(middle, half, near, min(end, 1.05), white)
            near = end * 1.25
        if self.rng.random() < 0.5:
            for side in (self.left * 0.88, self.right * 0.88):
                self.stripe(side, half * 0.8, 0.22, 1.05, white)

    def stripe(self, side, half, near, end, colour) -> None:
        corners = [(side - half, near), (side + half, near), (side + half, end), (side - half, end)]
        self.polygon([self.place(*corner) for corner in corners], colour, LANE, 8)

    def facades(self) -> None:
        for sign, kerb in ((-1, self.left), (1, self.right)):
            side = kerb + sign * self.walk
            near = self.rng.uniform(0.08, 0.14)
            while near < 1.2:
                end = near * self.rng.uniform(1.35, 1.9)
                if self.rng.random() < 0.85:
                    high = self.rng.uniform(3.5, 7)
                    corners = [self.place(side, near), self.place(side, end)]
                    corners += [self.place(side, end, high), self.place(side, near, high)]
                    self.wall(np.array(corners), rows=4, columns=self.rng.integers(2, 5))
                near = end

    def things(self) -> None:
        rng = self.rng
        plan = []
        for _ in range(rng.integers(1, 4)):
            plan.append((rng.uniform(0.22, 0.6), self.car, rng.choice([-1, 1]) * rng.uniform(0.14, 0.36)))
        for kind, most, low, high in (
            (self.tree, 3, 0.3, 0.8),
            (self.pole, 3, 0.45, 0.95),
            (self.traffic_sign, 3, 0.5, 0.9),
            (self.person, 3, 0.5, 0.95),
            (self.bin, 2, 0.35, 0.8),
        ):
            for _ in range(rng.integers(1, most + 1)):
                sign, kerb = ((-1, self.left), (1, self.right))[rng.integers(2)]
                side = kerb + sign * self.walk * rng.uniform(0.15, 0.85)
                if kind == self.person and rng.random() < 0.25:
                    side = rng.uniform(self.left, self.right)  # crossing the street
                plan.append((rng.uniform(low, high), kind, side))
        for near, draw, side in sorted(plan, key=lambda thing: thing[0]):
            draw(side, near)

    def shadow(self, side, near, wide) -> None:
        x, y = self.place(side, near)
        eye = near * (self.height - self.horizon)
        mask = np.zeros((self.height, self.width), np.uint8)
        cv2.ellipse(mask, (round(x), round(y)), (max(1, round(wide * eye)), max(1, round(0.1 * eye))), 0, 0, 360, 1, -1)
        self.image[mask > 0] *= 0.6

    def tree(self, side, near) -> None:
        self.shadow(side, near, 0.6)
        self.polygon(self.box(side, near, 0, 1.6, 0.22), self.colour((70, 110), (50, 80), (35, 60)), TREE, 12)
        leaf = self.colour((35, 95), (85, 145), (25, 70))
        x, y = self.place(side, near, 2.2)
        eye = near * (self.height - self.horizon)
        for _ in range(7):
            centre = x + eye * self.rng.uniform(-0.6, 0.6), y - eye * self.rng.uniform(-0.5, 0.6)
            self.ellipse(centre, eye * self.rng.uniform(0.4, 0.7, 2), leaf * self.rng.uniform(0.85, 1.15), TREE, 20)

    def pole(self, side, near) -> None:
        self.shadow(side, near, 0.2)
        grey = self.rng.uniform(90, 150) + self.colour((-8, 8), (-8, 8), (-8, 8))
        self.polygon(self.box(side, near, 0, 3.4, 0.2), grey, POLE, 6)
        x, y = self.place(side, near, 3.4)
        eye = near * (self.height - self.horizon)
        reach = -np.sign(side) * 0.8 * eye  # the lamp hangs over the street
        self.polygon(
            [(x, y), (x + reach, y - 0.1 * eye), (x + reach, y + 0.08 * eye), (x, y + 0.16 * eye)], grey, POLE, 6
        )

    def traffic_sign(self, side, near) -> None:
        self.polygon(self.box(side, near, 0, 1.7, 0.18), self.rng.uniform(130, 170) + np.zeros(3), POLE, 6)
        face = [(190, 30, 35), (30, 70, 180), (240, 200, 40)][self.rng.integers(3)]
        face = np.array(face) * self.rng.uniform(0.8, 1.1)
        x, y = self.place(side, near, 2.0)
        radius = 0.48 * near * (self.height - self.horizon)
        shape = self.rng.integers(3)
        if shape == 0:
            self.ellipse((x, y), (radius, radius), face, SIGN, 4)
            self.ellipse((x, y), (radius * 0.55, radius * 0.55), (235, 235, 235), None, 4)
        elif shape == 1:
            self.polygon(self.box(side, near, 1.6, 2.4, 0.8), face, SIGN, 4)
            self.polygon(self.box(side, near, 1.85, 2.05, 0.55), (235, 235, 235), None, 4)
        else:
            angles = np.pi * (np.array([-0.5, 1 / 6, 5 / 6]))
            corners = np.stack([x + 1.15 * radius * np.cos(angles), y + 1.15 * radius * np.sin(angles)], axis=1)
            self.polygon(corners, face, SIGN, 4)

    def car(self, side, near) -> None:
        self.shadow(side, near, 1.15)
        coat = self.colour((30, 230), (30, 210), (30, 220))
        self.polygon(self.box(side, near, 0.0, 0.22, 1.7), (25, 25, 28), CAR, 5)  # tyres and the dark below
        self.polygon(self.box(side, near, 0.12, 0.62, 2.0), coat, CAR, 5, 10)
        roof = self.box(side, near, 0.6, 1.05, 1.75)
        roof[2:, 0] += np.array([-1, 1]) * 0.2 * near * (self.height - self.horizon)
        self.polygon(roof, coat * 0.92, CAR, 5, 10)
        glass = roof + (roof.mean(0) - roof) * 0.22
        self.polygon(glass, self.colour((35, 80), (50, 95), (60, 110)), None, 8, 10)
        for offset in (-0.82, 0.82):
            x, y = self.place(side, near, 0.45)
            eye = near * (self.height - self.horizon)
            self.ellipse((x + offset * eye, y), (0.12 * eye, 0.08 * eye), (200, 30, 30), None, 4)

    def person(self, side, near) -> None:
        self.shadow(side, near, 0.25)
        skin = np.array((225, 180, 150)) * self.rng.uniform(0.45, 1.05)
        trousers, shirt = self.colour((25, 110), (25, 100), (30, 130)), self.colour((40, 235), (35, 220), (35, 220))
        self.polygon(self.box(side, near, 0.0, 0.5, 0.32), trousers, PERSON, 8)
        body = self.box(side, near, 0.45, 0.87, 0.44)
        self.polygon(body, shirt, PERSON, 8, 10)
        x, y = self.place(side, near, 0.96)
        radius = 0.13 * near * (self.height - self.horizon)
        self.ellipse((x, y), (radius, radius * 1.2), skin, PERSON, 4)

    def bin(self, side, near) -> None:
        """Street furniture that no class describes."""
        self.shadow(side, near, 0.3)
        self.polygon(self.box(side, near, 0, 0.55, 0.4), self.colour((40, 120), (70, 130), (40, 110)), IGNORE, 8)

    def bonnet(self) -> None:
        """The car that carries the camera: unlabelled, as in Cityscapes."""
        centre = self.width * self.rng.uniform(0.45, 0.55), self.height * 1.03
        axes = self.width * self.rng.uniform(0.5, 0.7), self.height * self.rng.uniform(0.08, 0.13)
        self.ellipse(centre, axes, self.colour((30, 90), (30, 90), (35, 100)), IGNORE, 5, 40)

    def photograph(self, size: Tuple[int, int]) -> Tuple[np.ndarray, np.ndarray]:
        """Light, lens and sensor."""
        rng = self.rng
        light = rng.uniform(0.75, 1.12) * self.colour((0.94, 1.06), (0.97, 1.03), (0.94, 1.06))
        haze = np.linspace(rng.uniform(0.9, 1.1), rng.uniform(0.9, 1.1), self.width)[None, :, None]
        image = cv2.GaussianBlur((self.image * light * haze).astype(np.float32), (0, 0), rng.uniform(0.5, 1.1))
        image = cv2.resize(image, size[::-1], interpolation=cv2.INTER_AREA)
        image += rng.normal(0, rng.uniform(1, 4), image.shape)
        label = self.label[FINER // 2 :: FINER, FINER // 2 :: FINER]
        return np.clip(np.rint(image), 0, 255).astype(np.uint8), np.ascontiguousarray(label)
