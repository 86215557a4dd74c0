"""Images as one animated file, GIF or WebP, that loops for ever. Synchronous; any thread.

Equal frames that follow each other are joined to one that stays as long.
"""

from __future__ import annotations

import io

from PIL import Image

from model.pixels import Images

WEIGHT = 16
"""How many times as long a pixel takes here as in a PNG, about: what to offload by."""


def gif(frames: Images, milliseconds: int) -> bytes:
    """uint8 [n, h, w, c], c being 1 or 3, as an animated GIF.

    Grey levels are kept exactly; of colours each frame has the 256 that suit it. Times are kept
    in hundredths of a second, rounded down.
    """
    return _save(frames, "GIF", milliseconds // 10 * 10)


def webp(frames: Images, milliseconds: int) -> bytes:
    """uint8 [n, h, w, c], c being 1 or 3, as an animated WebP without loss."""
    return _save(frames, "WEBP", milliseconds, lossless=True, method=0, quality=0)


def _save(frames: Images, kind: str, milliseconds: int, **options: int) -> bytes:
    # A channel of its own is not what Pillow takes for grey.
    images = [Image.fromarray(one[..., 0] if one.shape[2] == 1 else one) for one in frames]
    file = io.BytesIO()
    images[0].save(
        file,
        kind,
        save_all=True,
        append_images=images[1:],
        duration=milliseconds,
        loop=0,
        **options,
    )
    return file.getvalue()
