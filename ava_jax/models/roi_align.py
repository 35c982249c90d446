"""RoIAlign as a matrix product."""

import jax
import jax.numpy as jnp

from ava_jax.models.precision import at_least_float32

# How many consecutive sample points of a bin are looked at for one cell. A bin of two
# points has no more of them; those of three or more are over 2/3 of a cell apart, so at
# most three are within one cell of it. One more absorbs rounding of the first index.
CANDIDATES = 4


def roi_align(
    features: jax.Array,
    boxes: jax.Array,
    resolution: int = 8,
    stride: int = 16,
    aligned: bool = True,
) -> jax.Array:
    """Average RoIAlign with adaptive sampling (mmcv `RoIAlign`, ratio 0).

    A box is cut into resolution x resolution bins; a bin is the mean over
    ceil(bin size) x ceil(bin size) bilinear samples. A sample's weight for a cell is
    a factor for the row times one for the column, and so is the mean of a bin's
    samples: exactly, and for boxes of any size. Boxes get no gradient.

    Args:
      features: (B, H, W, C).
      boxes: (B, N, 4), x1 y1 x2 y2 in pixels of the clip.
      resolution: bins an axis.
      stride: pixels of the clip a cell of the map.
      aligned: cell i's centre is at pixel (i + 0.5) * stride. If not, at
        i * stride, and boxes are at least one cell wide and high (Detectron's
        and PySlowFast's older convention).

    Returns:
      (B, N, resolution, resolution, C). Samples more than one cell outside the
      map count as zero. Empty and inverted boxes give zeros (if `aligned`), and
      so do boxes that are not finite.
    """
    boxes = jax.lax.stop_gradient(at_least_float32(boxes)) * (1 / stride)
    height, width = features.shape[1:3]
    x1, y1, x2, y2 = jnp.moveaxis(boxes, -1, 0)
    rows = _axis_weights(y1, y2, height, resolution, aligned)
    columns = _axis_weights(x1, x2, width, resolution, aligned)
    finite = jnp.isfinite(boxes).all(-1)[..., None, None]
    rows = jnp.where(finite, rows, 0)
    columns = jnp.where(finite, columns, 0)
    return _weighted_sums(features, rows, columns)


def extend_boxes(
    boxes: jax.Array, extension: tuple[float, float], height: int, width: int
) -> jax.Array:
    """Boxes with a margin, inside the picture (AlphAction `BoxList.extend`).

    Args:
      boxes: (B, N, 4), x1 y1 x2 y2 in pixels; a box from 0 to 9 is 10 pixels wide.
      extension: share by which the width and the height grow, half on either side.
      height: of the picture, in pixels.
      width: of the picture.

    Returns:
      (B, N, 4), from 0 to the last pixel.
    """
    sizes = boxes[..., 2:] - boxes[..., :2] + 1
    margins = sizes * jnp.asarray(extension, boxes.dtype) / 2
    last = jnp.asarray((width - 1, height - 1), boxes.dtype)
    extended = jnp.stack([boxes[..., :2] - margins, boxes[..., 2:] + margins], -2)
    return extended.clip(0, last).reshape(boxes.shape)


def _weighted_sums(features, rows, columns):
    """Sums over the map for every bin of every box.

    One product with the weights of all cells is less work in practice than two
    products, rows first: that is a tenth of the arithmetic, but in the shape of
    thin matrices, with a large array between.

    Args:
      features: (B, H, W, C).
      rows: (B, N, R, H).
      columns: (B, N, R, W).

    Returns:
      (B, N, R, R, C).
    """
    batch, height, width, channels = features.shape
    weights = jnp.einsum("bnph,bnqw->bnpqhw", rows, columns)
    shape = weights.shape[:4]
    weights = weights.reshape(batch, -1, height * width).astype(features.dtype)
    sums = weights @ features.reshape(batch, height * width, channels)
    return sums.reshape(*shape, channels)


def _axis_weights(start, end, cells, resolution, aligned):
    """Weight of every cell of an axis in every bin; sizes in cells.

    Args:
      start: (B, N) where the boxes begin.
      end: (B, N) where they end.
      cells: cells of the map.
      resolution: bins.
      aligned: see `roi_align`.

    Returns:
      (B, N, resolution, cells).
    """
    # The order of operations is the original's, whose float32 rounding decides
    # on which side of the map's edge a sample is.
    offset = 0.5 if aligned else 0.0
    start, end = start - offset, end - offset
    size = end - start if aligned else jnp.maximum(end - start, 1.0)
    size = size[..., None, None, None]
    bin_size = size / resolution
    samples = jnp.maximum(jnp.ceil(bin_size), 0.0)  # none if empty or inverted
    divisor = jnp.maximum(samples, 1.0)

    bins = jnp.arange(resolution, dtype=jnp.float32)[:, None, None]
    cell = jnp.arange(cells, dtype=jnp.float32)[:, None]
    bin_start = start[..., None, None, None] + bins * bin_size
    spacing = jnp.where(samples > 0, bin_size / divisor, 1.0)
    first = jnp.floor((cell - 1 - bin_start) / spacing - 0.5)
    sample = jnp.maximum(first, 0.0) + jnp.arange(CANDIDATES)
    point = bin_start + (sample + 0.5) * bin_size / divisor

    inside = (point >= -1) & (point <= cells) & (sample < samples)
    # Up to one cell outside counts as on the edge.
    distance = jnp.abs(jnp.clip(point, 0, cells - 1) - cell)
    weight = jnp.where(inside, jnp.maximum(1 - distance, 0), 0)
    return weight.sum(-1) / divisor[..., 0]


def global_context(features: jax.Array, resolution: int = 8) -> jax.Array:
    """Adaptive average pool of a whole map: (B, H, W, C) -> (B, R, R, C).

    Bin i of R covers cells floor(i size / R) to ceil((i + 1) size / R).
    """
    rows = _pool_weights(features.shape[1], resolution)
    columns = _pool_weights(features.shape[2], resolution)
    batch = (features.shape[0], 1)
    rows = jnp.broadcast_to(rows, (*batch, *rows.shape))
    columns = jnp.broadcast_to(columns, (*batch, *columns.shape))
    return _weighted_sums(features, rows, columns)[:, 0]


def _pool_weights(cells, resolution):
    bins = jnp.arange(resolution)[:, None]
    first = bins * cells // resolution
    end = -(-(bins + 1) * cells // resolution)
    cell = jnp.arange(cells)
    return ((cell >= first) & (cell < end)) / (end - first)
