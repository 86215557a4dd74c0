"""`encode`: the latents of a folder's images in a file."""

from __future__ import annotations

import argparse
from functools import partial

from app.cli import latent_files
from app.cli.batches import Batches
from app.cli.exits import CommandError, Exit
from app.cli.files import images_below
from app.cli.listing import count, summary
from app.cli.progress import Progress
from app.cli.service import client_of
from vaeserve.results import Encodings


def encode(options: argparse.Namespace) -> Exit:
    """Writes a row for each image, in the order of their names."""
    latent_files.check(options.output)
    paths = options.images
    count(paths, at_least=1)
    with (
        client_of(options) as client,
        Progress("encoding", partial(count, paths)) as progress,
        latent_files.writing(options.output) as file,
    ):
        batches: Batches[Encodings] = Batches(client.encode, progress, options.strict)
        identity: tuple[str, int] | None = None
        for there, latents in batches.answers(images_below(paths)):
            answered = (latents.model, latents.version)
            if identity not in (None, answered):
                msg = f"{answered[0]}/{answered[1]} took the place of the model; begin again"
                raise CommandError(msg)
            identity = answered
            file.add(there, latents)
        # Before the file is finished: without a row there is to be none.
        return summary(batches, "encoded")
