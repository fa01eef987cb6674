"""CLIP, SigLIP and other vision models of Hugging Face, from a folder or the hub's cache: ``hf:models/clip``."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

from torch import Tensor

from recsys.errors import ArtifactError
from recsys.extras import require
from style.encoders.network import Network, NetworkEncoder, pooled_output
from style.encoders.reading import Pool
from style.encoders.trunk import choose_device
from style.encoders.weights import fetched
from style.encoders.zoo import frozen

EXTRA = "hf"
FILES = ["*.json", "*.safetensors", "*.txt", "*.model"]


class HuggingFace(NetworkEncoder):
    """A vision model of transformers; of CLIP and SigLIP the row is the image's place in the space shared with text.

    Args:
        model: A folder as ``save_pretrained`` writes it, weights in safetensors; or ``owner/name`` of the hub.
        device: ``auto``, ``cpu`` or ``cuda``.
        layers: Read these modules in place, such as ``vision_model.encoder.layers.3``.
        pool: See `style.encoders.reading.layer_reader`.
        allow_download: Fetch a model of the hub that is not in its cache.

    Raises:
        ArtifactError: The model is not there or cannot be used.
        ConfigError: An unknown layer.
        MissingExtraError: transformers is not installed.
    """

    name = "hf"
    extra = EXTRA
    family = "FOLDER"
    about = "CLIP, SigLIP and other vision models of Hugging Face"

    def __init__(
        self,
        model: str,
        device: str = "auto",
        layers: tuple[str, ...] = (),
        pool: Pool = "mean-std",
        allow_download: bool = False,
    ) -> None:
        super().__init__(f"hf:{model}", hf_network(model, choose_device(device), allow_download), layers, pool)


def hf_folder(model: str, *, allow_download: bool) -> str:
    """A model's folder: as given, or in the hub's cache.

    Raises:
        ArtifactError: It is not there.
    """
    if Path(model).is_dir():
        return model
    snapshot = require("huggingface_hub", extra=EXTRA).snapshot_download
    found = fetched(f"hf:{model}", lambda: snapshot(model, allow_patterns=FILES, local_files_only=not allow_download))
    return str(found)


def load_pretrained(kind: str, folder: str) -> Any:
    """``transformers.<kind>.from_pretrained`` of a folder: no code of the folder is run, no pickle is read.

    Raises:
        ArtifactError: The folder holds no such thing.
        MissingExtraError: transformers is not installed.
    """
    loader = getattr(require("transformers", extra=EXTRA), kind)
    safe = {"use_safetensors": True} if kind == "AutoModel" else {}
    try:
        return loader.from_pretrained(folder, local_files_only=True, trust_remote_code=False, **safe)
    except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
        first = str(error).strip().partition("\n")[0]
        cure = "it must be whole, as save_pretrained writes it, weights in safetensors"
        raise ArtifactError(f"hf:{folder}: {kind} cannot be read ({type(error).__name__}: {first}); {cure}") from error


@lru_cache(maxsize=2)
def hf_network(model: str, device: str, allow_download: bool) -> Network:
    """See `HuggingFace`."""
    folder = hf_folder(model, allow_download=allow_download)
    module, looks = load_pretrained("AutoModel", folder), load_pretrained("AutoImageProcessor", folder)

    def answer(x: Tensor) -> Tensor:
        features = getattr(module, "get_image_features", None)
        return pooled_output(module(pixel_values=x) if features is None else features(pixel_values=x))

    size = getattr(getattr(module.config, "vision_config", module.config), "image_size", None)
    if not isinstance(size, int):
        raise ArtifactError(f"hf:{model} is no vision model with a size of its own ({type(module).__name__})")
    return frozen(module, answer, looks.image_mean, looks.image_std, size, device)
