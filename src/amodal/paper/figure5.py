"""The paper's figure 5: a category's code book laid out by t-SNE, with decoded shapes drawn at their places.

If the embeddings mean something, shapes that are near one another are alike. For long objects the layout is about
their orientation, so that it is measured: how far neighbours' main axes are apart, against any two shapes'.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.offsetbox import AnnotationBbox, OffsetImage
from sklearn.manifold import TSNE, trustworthiness

from amodal.categories import key
from amodal.errors import UserError, unknown
from amodal.prior.shape_prior import ShapePrior

FEWEST = 4
"""Shapes below this are no layout."""
NEIGHBOURS = 5


@dataclass(frozen=True)
class Layout:
    """A category's shapes on the plane.

    Attributes:
        category: Its name.
        places: t-SNE's coordinates, float (V, 2).
        shapes: Decoded masks as probabilities, float (V, 28, 28).
        angles: Direction of each shape's main axis in degrees, in [0, 180), float (V,).
        trustworthiness: Share of neighbours on the plane that are neighbours among the embeddings, as scikit-learn
            defines it, in [0, 1].
    """

    category: str
    places: np.ndarray
    shapes: np.ndarray
    angles: np.ndarray
    trustworthiness: float

    def numbers(self) -> dict[str, object]:
        """What the figure is reported with; angles in degrees, of a random pair 45 on average."""
        return {
            "category": self.category,
            "shapes": len(self.places),
            "trustworthiness": round(self.trustworthiness, 4),
            "angle_of_neighbours": round(neighbour_angle(self.places, self.angles), 2),
            "angle_of_any_two": round(float(apart(self.angles[:, None], self.angles[None]).mean()), 2),
            "places": self.places.round(3).tolist(),
        }


def first_categories(prior: ShapePrior, count: int) -> tuple[str, ...]:
    """Names of the first categories with shapes enough for a layout, at most `count`."""
    counts = prior.codebook.counts.tolist()
    return tuple(name for name, shapes in zip(names_of(prior), counts, strict=True) if shapes >= FEWEST)[:count]


def names_of(prior: ShapePrior) -> list[str]:
    """The categories' names, or their numbers from 1 where the prior does not know them."""
    return [category.name for category in prior.categories] or [str(i + 1) for i in range(prior.num_classes)]


def category_index(prior: ShapePrior, name: str) -> int:
    """The class (from 0) of a category's name, or of its number from 1. Raises UserError for an unknown one."""
    names = names_of(prior)
    keys = [key(known) for known in names]
    if key(name) not in keys:
        raise unknown(f"the prior knows no category '{name}'", name, names)
    return keys.index(key(name))


def lay_out(prior: ShapePrior, name: str, seed: int = 0) -> Layout:
    """t-SNE (van der Maaten and Hinton 2008) of the category's codes. Raises UserError for one of too few shapes."""
    index = category_index(prior, name)
    count = int(prior.codebook.counts[index])
    if count < FEWEST:
        raise UserError(f"the prior has {count} shapes of '{name}'", remedy=f"t-SNE needs {FEWEST} or more")
    codes = prior.codebook.codes[index, :count].cpu().numpy().astype(np.float64)
    perplexity = min(30.0, (count - 1) / 3)
    init = "pca" if min(codes.shape) >= 2 else "random"
    places = TSNE(2, perplexity=perplexity, init=init, random_state=seed).fit_transform(codes)
    shapes = prior.shapes(index).cpu().numpy()
    neighbours = min(NEIGHBOURS, (count - 1) // 2)
    trust = float(trustworthiness(codes, places, n_neighbors=neighbours))
    return Layout(name, places, shapes, np.array([main_axis(shape) for shape in shapes]), trust)


def main_axis(shape: Float[np.ndarray, "H W"]) -> float:
    """Direction of the main axis of a mask's second moments, degrees in [0, 180) from the x axis; 0 if it has none."""
    total = shape.sum()
    if total <= 0:
        return 0.0
    rows, columns = np.indices(shape.shape)
    x, y = columns - (columns * shape).sum() / total, rows - (rows * shape).sum() / total
    xx, yy, xy = ((first * second * shape).sum() for first, second in ((x, x), (y, y), (x, y)))
    return float(np.degrees(0.5 * np.arctan2(-2 * xy, xx - yy)) % 180)  # image rows count downwards


def apart(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Angle between axes in degrees, in [0, 90]."""
    difference = np.abs(first - second) % 180
    return np.minimum(difference, 180 - difference)


def neighbour_angle(places: Float[np.ndarray, "V 2"], angles: Float[np.ndarray, " V"]) -> float:
    """Mean angle between the axes of a shape and its nearest neighbour on the plane."""
    distances = ((places[:, None] - places[None]) ** 2).sum(-1)
    np.fill_diagonal(distances, np.inf)
    return float(apart(angles, angles[distances.argmin(1)]).mean())


def spread_out(places: Float[np.ndarray, "V 2"], share: float = 0.07) -> list[int]:
    """Which shapes to draw: no two nearer than `share` of the plane's extent in both directions, greedily."""
    room = share * np.ptp(places, axis=0).max()
    chosen: list[int] = []
    for index in np.argsort(((places - places.mean(0)) ** 2).sum(1)):
        if not chosen or np.abs(places[chosen] - places[index]).max(1).min() >= room:
            chosen.append(int(index))
    return chosen


def picture(layouts: list[Layout]) -> np.ndarray:
    """A panel for each category, uint8 (H, W, 3): points coloured by orientation, shapes at their places."""
    figure = Figure(figsize=(6 * len(layouts), 6.2), layout="constrained")
    canvas = FigureCanvasAgg(figure)
    for number, layout in enumerate(layouts):
        axes = figure.add_subplot(1, len(layouts), number + 1)
        points = axes.scatter(*layout.places.T, c=layout.angles, cmap="hsv", vmin=0, vmax=180, s=10, linewidths=0)
        for index in spread_out(layout.places):
            stamp = OffsetImage(_stamp(layout.shapes[index], points.to_rgba(layout.angles)[index]), zoom=0.9)
            axes.add_artist(AnnotationBbox(stamp, layout.places[index], frameon=False, pad=0, zorder=4))
        axes.set_title(f"{layout.category}: {len(layout.places)} shapes")
        axes.set_xticks([])
        axes.set_yticks([])
        axes.set_aspect("equal", adjustable="datalim")
        if number == len(layouts) - 1:
            figure.colorbar(points, ax=axes, label="main axis, degrees", shrink=0.8)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def _stamp(shape: Float[np.ndarray, "28 28"], colour: Float[np.ndarray, " 4"]) -> np.ndarray:
    """A mask in a darker tone of its point's RGBA colour on clear pixels, float (28, 28, 4) in [0, 1]."""
    stamp = np.empty((*shape.shape, 4))
    stamp[..., :3] = 0.55 * colour[:3]
    stamp[..., 3] = shape
    return stamp
