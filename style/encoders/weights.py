"""Weights from files: state dicts as safetensors or by torch's safe loader, never code; fetched only where allowed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from recsys.errors import ArtifactError

RANDOM = "random"
OFFLINE = (
    "give a file or folder on this machine, write allow_download = true to fetch it, or take an encoder whose weights "
    "an installed package brings: efficientnet-lite0, magenta-style, gram"
)


def read_state(path: Path) -> Mapping[str, Tensor]:
    """The state dict in a file.

    Raises:
        ArtifactError: The file is missing or holds none.
    """
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
        state = state.get("state_dict", state)
        if not all(isinstance(value, Tensor) for value in state.values()):
            raise ValueError("not all of its values are tensors")
    except FileNotFoundError as error:
        raise ArtifactError(f"weights {path} do not exist; {OFFLINE}") from error
    except (OSError, SafetensorError) as error:
        raise ArtifactError(f"weights {path} cannot be read ({error}); fetch the file again") from error
    except Exception as error:  # torch raises a dozen kinds for files that are no state dict
        # torch's own text advises to unpickle it after all
        what = type(error).__name__
        raise ArtifactError(f"{path} is no state dict ({what}); give .safetensors or a torch state dict") from error
    found: Mapping[str, Tensor] = state
    return found


def fill(module: nn.Module, path: Path, *, spare: tuple[str, ...] = ()) -> None:
    """Load a file's weights; parts of the file that begin with one of ``spare`` may have no place.

    Raises:
        ArtifactError: The file is missing, holds no state dict, or one of another network.
    """
    state = read_state(path)
    kept = {k: v for k, v in state.items() if not (spare and k.startswith(spare))}
    try:
        module.load_state_dict(kept)
    except RuntimeError as error:
        raise ArtifactError(f"{path} is no state dict of {type(module).__name__} ({error})") from error


def cached(name: str, url: str, *, allow_download: bool) -> Path:
    """Where torch's hub keeps the file of ``url``; fetched where that is allowed.

    Raises:
        ArtifactError: It is not there and may not be fetched, or the hub cannot be reached.
    """
    path = Path(torch.hub.get_dir()) / "checkpoints" / Path(url).name
    if not path.is_file() and allow_download:
        path.parent.mkdir(parents=True, exist_ok=True)
        fetched(name, lambda: torch.hub.download_url_to_file(url, str(path), progress=False))
    if not path.is_file():
        raise ArtifactError(f"{name}: {path} does not exist; fetch {url} there; or {OFFLINE}")
    return path


def fetched(name: str, fetch: Callable[[], str | None]) -> str | None:
    """What ``fetch`` brings.

    Raises:
        ArtifactError: It is not here and the hub cannot be reached, or must not be asked.
    """
    try:
        return fetch()
    except (OSError, ValueError) as error:
        first = str(error).strip().partition("\n")[0]
        raise ArtifactError(f"{name} cannot be had ({type(error).__name__}: {first}); {OFFLINE}") from error


def randomly(make: Callable[[], nn.Module]) -> nn.Module:
    """A network as its maker initialises it, the same at every call; the caller's random numbers stay as they were."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return make()
