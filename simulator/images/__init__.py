"""Container images without a container engine, and the enclave images (EIF) made of them.

`open_image` reads a folder, what `docker save` writes, or an OCI layout; `build_eif` makes an
enclave image of it as `nitro-cli build-enclave` does; `ImageStore` keeps images by name, as the
engine on a parent instance would; `build_dockerfile` follows those instructions of a Dockerfile
that need no engine.

Not a container engine: nothing of an image is run, and nothing is fetched.
"""

from simulator.images.config import ImageConfig
from simulator.images.errors import BadImage, NoCommand
from simulator.images.image import ContainerImage, open_image
from simulator.images.tree import Entry, Kind, Limits

__all__ = [
    "BadImage",
    "ContainerImage",
    "Entry",
    "ImageConfig",
    "Kind",
    "Limits",
    "NoCommand",
    "open_image",
]
